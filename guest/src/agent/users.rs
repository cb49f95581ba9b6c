//! Users and groups of the machine.

use super::fault::{Answer, Fault};
use crate::sys;
use crate::sys::process::Identity;

/// What a process gets to know about its user.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub identity: Identity,
    pub home: Vec<u8>,
    pub shell: Vec<u8>,
}

impl User {
    /// The agent itself.
    pub fn agent() -> User {
        let (uid, gid) = sys::process::own_ids();
        let identity = Identity { uid, gid, groups: Vec::new() };
        User { name: uid.to_string(), identity, home: b"/".to_vec(), shell: b"/bin/sh".to_vec() }
    }
}

/// The user that is meant where none is named.
const DEFAULT: &str = "user";
/// Bytes read of the user files.
const LIMIT: usize = 1024 * 1024;

pub struct Users {
    /// False where only the agent's own user exists.
    pub many: bool,
    own: u32,
    /// Where the agent's own user is at home, whatever `/etc/passwd` says.
    home: Option<Vec<u8>>,
    /// Whom `configure` named for requests that name nobody.
    pub default: Option<String>,
}

impl Users {
    /// Finds out once whether the agent can act as others. With a home of its own it acts as itself only.
    pub fn new(home: Option<Vec<u8>>) -> Users {
        let own = sys::process::own_ids().0;
        let map = sys::read_small(b"/proc/self/uid_map", 4096).unwrap_or_default();
        let groups = sys::read_small(b"/proc/self/setgroups", 64).unwrap_or_else(|_| b"allow".to_vec());
        let many = home.is_none() && own == 0 && mapped(&map) > 1 && groups.starts_with(b"allow");
        Users { many, own, home, default: None }
    }

    /// The identity to take on, or none where the agent stays who it is.
    pub fn switch<'a>(&self, user: &'a User) -> Option<&'a Identity> {
        if self.many {
            Some(&user.identity)
        } else {
            None
        }
    }

    /// Looks a user up by name or number, with `:group` behind it or without; absent is the default.
    pub fn find(&self, name: Option<&str>) -> Answer<User> {
        let passwd = sys::read_small(b"/etc/passwd", LIMIT).unwrap_or_default();
        let group = if self.many { sys::read_small(b"/etc/group", LIMIT).unwrap_or_default() } else { Vec::new() };
        self.find_in(name.or(self.default.as_deref()), &passwd, &group)
    }

    fn find_in(&self, name: Option<&str>, passwd: &[u8], group: &[u8]) -> Answer<User> {
        let (asked, wanted) = match name.unwrap_or(DEFAULT).split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (name.unwrap_or(DEFAULT), None),
        };
        let found = named(passwd, asked).or_else(|| numbered(passwd, asked));
        let mut user = match found {
            Some(user) if self.many || user.identity.uid == self.own => user,
            _ if asked == DEFAULT => self.myself(passwd),
            _ => return Err(Fault::new("user-not-found", format!("there is no user {}", asked))),
        };
        if let Some(home) = &self.home {
            user.home = home.clone();
        }
        match wanted {
            // Whoever names a group means that one alone.
            Some(wanted) if self.many => {
                let gid = group_named(group, wanted).or_else(|| number(wanted.as_bytes()));
                user.identity.gid =
                    gid.ok_or_else(|| Fault::new("user-not-found", format!("there is no group {}", wanted)))?;
                Ok(user)
            }
            _ => Ok(with_groups(user, group)),
        }
    }

    fn myself(&self, passwd: &[u8]) -> User {
        numbered(passwd, &self.own.to_string()).unwrap_or_else(User::agent)
    }
}

fn mapped(map: &[u8]) -> u64 {
    let mut count: u64 = 0;
    for line in map.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        count = count.saturating_add(text.split_whitespace().nth(2).and_then(|size| size.parse().ok()).unwrap_or(0));
    }
    count
}

fn rows(file: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    file.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':').collect())
}

fn number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn user_of(row: &[&[u8]]) -> Option<User> {
    if row.len() < 7 {
        return None;
    }
    let shell = if row[6].is_empty() { b"/bin/sh".to_vec() } else { row[6].to_vec() };
    Some(User {
        name: String::from_utf8_lossy(row[0]).into_owned(),
        identity: Identity { uid: number(row[2])?, gid: number(row[3])?, groups: Vec::new() },
        home: if row[5].is_empty() { b"/".to_vec() } else { row[5].to_vec() },
        shell,
    })
}

fn named(passwd: &[u8], name: &str) -> Option<User> {
    rows(passwd).find(|row| row[0] == name.as_bytes()).and_then(|row| user_of(&row))
}

/// A user given by number needs no line in the file.
fn numbered(passwd: &[u8], name: &str) -> Option<User> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let uid: u32 = name.parse().ok().filter(|uid| *uid != u32::MAX)?;
    let listed = rows(passwd).filter_map(|row| user_of(&row)).find(|user| user.identity.uid == uid);
    Some(listed.unwrap_or_else(|| User {
        name: name.to_string(),
        identity: Identity { uid, gid: uid, groups: Vec::new() },
        home: b"/".to_vec(),
        shell: b"/bin/sh".to_vec(),
    }))
}

fn group_named(group: &[u8], name: &str) -> Option<u32> {
    rows(group).find(|row| row.len() > 2 && row[0] == name.as_bytes()).and_then(|row| number(row[2]))
}

fn with_groups(mut user: User, group: &[u8]) -> User {
    for row in rows(group) {
        if row.len() < 4 {
            continue;
        }
        let member = row[3].split(|byte| *byte == b',').any(|name| name == user.name.as_bytes());
        if let (true, Some(gid)) = (member, number(row[2])) {
            if gid != user.identity.gid && user.identity.groups.len() < 256 {
                user.identity.groups.push(gid);
            }
        }
    }
    user
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\nbroken\nuser:x:1000:1000::/home/user:\n";
    const GROUP: &[u8] = b"root:x:0:\nuser:x:1000:user\nvideo:x:44:someone,user\naudio:x:29:users\n";

    #[test]
    fn finds_users_by_name_and_number_with_their_groups() {
        let users = Users { many: true, own: 0, home: None, default: None };
        let user = users.find_in(None, PASSWD, GROUP).unwrap();
        assert_eq!(user.identity, Identity { uid: 1000, gid: 1000, groups: vec![44] });
        assert_eq!((user.home, user.shell), (b"/home/user".to_vec(), b"/bin/sh".to_vec()));
        assert_eq!(users.find_in(Some("0"), PASSWD, GROUP).unwrap().name, "root");
        assert_eq!(users.find_in(Some("7"), PASSWD, GROUP).unwrap().identity.gid, 7);
        let in_group = |name| users.find_in(Some(name), PASSWD, GROUP).map(|user| user.identity);
        let identity = |uid, gid| Identity { uid, gid, groups: Vec::new() };
        assert_eq!(in_group("user:video").unwrap(), identity(1000, 44));
        assert_eq!(in_group("7:9").unwrap(), identity(7, 9));
        assert_eq!(in_group("user:nogroup").unwrap_err().code, "user-not-found");
        assert_eq!(users.find_in(Some("nobody"), PASSWD, GROUP).unwrap_err().code, "user-not-found");
        assert_eq!(users.find_in(Some("4294967295"), PASSWD, GROUP).unwrap_err().code, "user-not-found");
        assert_eq!(users.find_in(Some("broken"), PASSWD, GROUP).unwrap_err().code, "user-not-found");
    }

    #[test]
    fn stays_the_only_user_there_is() {
        let users = Users { many: false, own: 1000, home: None, default: None };
        assert_eq!(users.find_in(Some("user"), PASSWD, GROUP).unwrap().name, "user");
        assert_eq!(users.find_in(Some("root"), PASSWD, GROUP).unwrap_err().code, "user-not-found");
        let other = Users { many: false, own: 4242, home: Some(b"/work".to_vec()), default: None };
        assert_eq!(other.find_in(None, PASSWD, GROUP).unwrap().home, b"/work");
        assert_eq!(other.find_in(None, PASSWD, GROUP).unwrap().identity.uid, 4242);
    }

    #[test]
    fn counts_the_users_of_a_map() {
        assert_eq!(mapped(b"         0     100000      65536\n"), 65536);
        assert_eq!(mapped(b"      1000       1000          1\n"), 1);
        assert_eq!(mapped(b""), 0);
    }
}
