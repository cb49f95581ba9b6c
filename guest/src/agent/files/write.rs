//! Writing a file: into a new one beside it, which takes its place when everything has arrived.

use super::entry::entry;
use crate::agent::core::{Agent, Work};
use crate::agent::fault::{Answer, Fault};
use crate::agent::paths;
use crate::agent::users::User;
use crate::fields::{Fields, Writer};
use crate::sys::files::{self, Stat};
use crate::sys::{self, c, Errno};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

/// Credit given beyond what every channel starts with.
const MORE_CREDIT: u32 = 458_752;
/// Credit is given back in pieces of at least this many bytes.
const GIVE_BACK: u32 = 131_072;
const MAX_LINKS: usize = 40;

pub struct Writing {
    fd: OwnedFd,
    folder: OwnedFd,
    temporary: Vec<u8>,
    name: Vec<u8>,
    path: Vec<u8>,
    /// The file to take the place of.
    existing: Option<Stat>,
    mode: u32,
    user: User,
    owed: u32,
}

impl Writing {
    /// Leaves everything as it was.
    pub fn abandon(self) {
        let _ = files::remove_file_at(self.folder.as_raw_fd(), &self.temporary);
    }
}

impl Agent {
    pub fn open_write(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let path = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let mode = (fields.number(3)?.unwrap_or(0o644) & 0o7777) as u32;
        let parents = fields.truth(4)?;
        let user = self.file_user(fields)?;
        let acting = self.act_as(&user)?;
        let writing = begin(path, mode, parents, user)?;
        drop(acting);
        self.works.insert(channel, Work::Write(writing));
        let session = self.session();
        session.opened(channel, Writer::new());
        session.grant(channel, MORE_CREDIT);
        Ok(())
    }

    pub fn write_data(&mut self, channel: u32, bytes: &[u8]) {
        let writing = match self.works.get_mut(&channel) {
            Some(Work::Write(writing)) => writing,
            _ => return,
        };
        if let Err(errno) = write_all(writing.fd.as_raw_fd(), bytes) {
            let fault = Fault::at(&writing.path, errno);
            return self.fail(channel, &fault);
        }
        writing.owed += bytes.len() as u32;
        if writing.owed >= GIVE_BACK {
            let owed = std::mem::take(&mut writing.owed);
            self.session().grant(channel, owed);
        }
    }

    pub fn write_end(&mut self, channel: u32) {
        let writing = match self.works.remove(&channel) {
            Some(Work::Write(writing)) => writing,
            _ => return,
        };
        match self.put_in_place(&writing) {
            Ok(event) => {
                self.session().event(channel, event);
                self.finish(channel);
            }
            Err(fault) => {
                writing.abandon();
                self.fail(channel, &fault);
            }
        }
    }

    fn put_in_place(&self, writing: &Writing) -> Answer<Writer> {
        let at = |errno| Fault::at(&writing.path, errno);
        let fd = writing.fd.as_raw_fd();
        let mode = match &writing.existing {
            Some(existing) => {
                let made = files::fstat(fd).map_err(at)?;
                if (made.uid, made.gid) != (existing.uid, existing.gid) {
                    // With the agent's own rights: writing into the file in place would have kept its owner too.
                    files::give(fd, existing.uid, existing.gid).map_err(at)?;
                }
                existing.mode & 0o1777
            }
            None => writing.mode,
        };
        let acting = if writing.existing.is_some() { None } else { Some(self.act_as(&writing.user)?) };
        files::set_mode(fd, mode).map_err(at)?;
        drop(acting);
        let acting = self.act_as(&writing.user)?;
        files::rename_at(writing.folder.as_raw_fd(), &writing.temporary, &writing.name).map_err(at)?;
        drop(acting);
        let stat = files::fstat(fd).map_err(at)?;
        Ok(entry(&writing.path, &stat, None))
    }
}

fn begin(path: &[u8], mode: u32, parents: bool, user: User) -> Answer<Writing> {
    let at = |errno| Fault::at(path, errno);
    if path.ends_with(b"/") {
        return Err(at(Errno(c::EISDIR)));
    }
    let real = follow(path).map_err(at)?;
    let (folder, name) = paths::split(&real);
    if name.is_empty() || name == b"." || name == b".." {
        return Err(at(Errno(c::EISDIR)));
    }
    let existing = match files::lstat(&real) {
        Ok(stat) if stat.is_dir() => return Err(at(Errno(c::EISDIR))),
        Ok(stat) if !stat.is_file() => {
            return Err(Fault::invalid(format!("{}: neither a file nor a directory", String::from_utf8_lossy(path))))
        }
        Ok(stat) => {
            // A file that may not be written is not replaced either. One that is being run may.
            match sys::open(&real, c::O_WRONLY | c::O_NONBLOCK | c::O_NOFOLLOW, 0) {
                Ok(_) | Err(Errno(c::ETXTBSY)) => Some(stat),
                Err(errno) => return Err(at(errno)),
            }
        }
        Err(Errno(c::ENOENT)) => None,
        Err(errno) => return Err(at(errno)),
    };
    if parents {
        make_parents(folder).map_err(at)?;
    }
    let folder = sys::open(folder, c::O_PATH | c::O_DIRECTORY, 0).map_err(at)?;
    let temporary = temporary_name(existing.is_some());
    let flags = c::O_WRONLY | c::O_CREAT | c::O_EXCL | c::O_NOFOLLOW;
    let fd = sys::open_at(folder.as_raw_fd(), &temporary, flags, 0o600).map_err(at)?;
    let name = name.to_vec();
    Ok(Writing { fd, folder, temporary, name, path: path.to_vec(), existing, mode, user, owed: 0 })
}

/// The name of a file that is not whole yet says what will become of it, for watchers of its folder.
pub fn temporary_name(replacing: bool) -> Vec<u8> {
    let kind = if replacing { "tmp" } else { "new" };
    format!(".cove-{:016x}.{}", u64::from_ne_bytes(sys::random()), kind).into_bytes()
}

/// For such a name: whether it takes the place of another file.
pub fn replaces(name: &[u8]) -> Option<bool> {
    let rest = name.strip_prefix(b".cove-")?;
    if rest.len() != 20 || !rest[..16].iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    match &rest[16..] {
        b".tmp" => Some(true),
        b".new" => Some(false),
        _ => None,
    }
}

/// Where a path leads when its last name is a link, also when nothing is there yet.
fn follow(path: &[u8]) -> sys::Result<Vec<u8>> {
    let mut path = path.to_vec();
    for _ in 0..MAX_LINKS {
        match files::lstat(&path) {
            Ok(stat) if stat.is_symlink() => {
                let target = files::read_link(&path)?;
                path = if target.first() == Some(&b'/') { target } else { paths::join(paths::split(&path).0, &target) };
            }
            _ => return Ok(path),
        }
    }
    Err(Errno(c::ELOOP))
}

/// Makes a folder and those above it where they are missing.
pub fn make_parents(folder: &[u8]) -> sys::Result<()> {
    if files::stat(folder).map_or(false, |stat| stat.is_dir()) {
        return Ok(());
    }
    let mut at = 0;
    while at < folder.len() {
        at = folder[at + 1..].iter().position(|byte| *byte == b'/').map_or(folder.len(), |next| at + 1 + next);
        let part = &folder[..at];
        match files::make_dir(part, 0o755) {
            Ok(()) | Err(Errno(c::EEXIST)) => {}
            Err(errno) if files::stat(part).is_err() => return Err(errno),
            Err(_) => {}
        }
    }
    if files::stat(folder)?.is_dir() {
        Ok(())
    } else {
        Err(Errno(c::ENOTDIR))
    }
}

fn write_all(fd: RawFd, mut bytes: &[u8]) -> sys::Result<()> {
    while !bytes.is_empty() {
        let count = sys::write(fd, bytes)?;
        bytes = &bytes[count..];
    }
    Ok(())
}
