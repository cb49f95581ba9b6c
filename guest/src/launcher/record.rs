//! What is remembered on disk of one host process. A record is a small text file, one `key value` per line, written
//! whole to a temporary name and renamed. State and exit have lines of fixed width at the top, so that they can be
//! written in place: that needs no space on a full disk and no second file.

use super::exit::Exit;

pub const MAGIC: &str = "cove-record 1\n";
const EXIT_WIDTH: usize = 24;
const STATE_WIDTH: usize = 9;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Things may have been made, but nothing of it runs.
    Preparing,
    /// There is a process, and it may run.
    Started,
    /// The caller can have been told that it runs.
    Running,
}

/// One process for ever: a pid is used again, a pid with its start time is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ProcessKey {
    pub pid: i32,
    /// Ticks since boot.
    pub start: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    Durable,
    Process(ProcessKey),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub id: String,
    pub installation: String,
    pub boot: String,
    pub state: State,
    pub exit: Option<Exit>,
    pub owner: Owner,
    /// The launcher that started it, the only one that can read its exit status.
    pub launcher: ProcessKey,
    pub leader: ProcessKey,
    /// Further processes that belong to it, such as the init of its pid namespace.
    pub members: Vec<ProcessKey>,
    pub note: String,
    pub held: bool,
    /// Its environment names this record, and so do those of all that it starts.
    pub marked: bool,
    pub cgroups: Vec<String>,
    pub problems: Vec<String>,
    pub listens: Vec<String>,
    /// Made by the start; removed when the caller was never told that it succeeded.
    pub folders: Vec<String>,
    pub removes: Vec<String>,
}

impl Record {
    pub fn to_text(&self) -> String {
        let mut text = String::from(MAGIC);
        text.push_str(&exit_line(self.exit));
        text.push_str(&state_line(self.state));
        let mut line = |key: &str, value: &str| {
            text.push_str(key);
            text.push(' ');
            text.push_str(&escape(value));
            text.push('\n');
        };
        line("id", &self.id);
        line("installation", &self.installation);
        line("boot", &self.boot);
        match self.owner {
            Owner::Durable => line("owner", "durable"),
            Owner::Process(key) => line("owner", &key_text(key)),
        }
        line("launcher", &key_text(self.launcher));
        line("leader", &key_text(self.leader));
        for member in &self.members {
            line("member", &key_text(*member));
        }
        line("note", &self.note);
        if self.held {
            line("held", "yes");
        }
        if self.marked {
            line("marked", "yes");
        }
        let lists: [(&str, &Vec<String>); 5] = [
            ("cgroup", &self.cgroups),
            ("problem", &self.problems),
            ("listen", &self.listens),
            ("folder", &self.folders),
            ("remove", &self.removes),
        ];
        for (key, values) in lists {
            for value in values {
                line(key, value);
            }
        }
        text.push_str("end\n");
        text
    }

    /// None for everything that a launcher of this version did not write whole.
    pub fn parse(text: &str) -> Option<Record> {
        let mut lines = text.strip_prefix(MAGIC)?.strip_suffix("\nend\n")?.split('\n');
        let exit = parse_exit(lines.next()?)?;
        let state = parse_state(lines.next()?)?;
        let mut record = Record {
            id: String::new(),
            installation: String::new(),
            boot: String::new(),
            state,
            exit,
            owner: Owner::Durable,
            launcher: ProcessKey { pid: 0, start: 0 },
            leader: ProcessKey { pid: 0, start: 0 },
            members: Vec::new(),
            note: String::new(),
            held: false,
            marked: false,
            cgroups: Vec::new(),
            problems: Vec::new(),
            listens: Vec::new(),
            folders: Vec::new(),
            removes: Vec::new(),
        };
        let mut seen = 0;
        for line in lines {
            let (key, value) = line.split_once(' ')?;
            let value = unescape(value)?;
            let bit = match key {
                "id" => (record.id = value, 1).1,
                "installation" => (record.installation = value, 2).1,
                "boot" => (record.boot = value, 4).1,
                "owner" => (record.owner = parse_owner(&value)?, 8).1,
                "launcher" => (record.launcher = parse_key(&value)?, 16).1,
                "leader" => (record.leader = parse_key(&value)?, 32).1,
                "note" => (record.note = value, 64).1,
                "member" => (record.members.push(parse_key(&value)?), 0).1,
                "held" => (record.held = true, 0).1,
                "marked" => (record.marked = true, 0).1,
                "cgroup" => (record.cgroups.push(value), 0).1,
                "problem" => (record.problems.push(value), 0).1,
                "listen" => (record.listens.push(value), 0).1,
                "folder" => (record.folders.push(value), 0).1,
                "remove" => (record.removes.push(value), 0).1,
                _ => return None,
            };
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
        }
        let started_without_leader = record.state != State::Preparing && record.leader.pid <= 1;
        if seen != 127 || started_without_leader || !valid_id(&record.id) {
            return None;
        }
        Some(record)
    }
}

/// Safe as a file name and as a word: letters, digits, dot, dash and underscore, not starting with a dot.
pub fn valid_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && !id.starts_with('.')
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub fn exit_line(exit: Option<Exit>) -> String {
    let text = match exit {
        None => "running".to_string(),
        Some(Exit::Exited(code)) => format!("exited {}", code),
        Some(Exit::Signaled(signal)) => format!("signaled {}", signal),
        Some(Exit::Lost) => "lost".to_string(),
    };
    format!("exit {:<width$}\n", text, width = EXIT_WIDTH)
}

#[allow(clippy::option_option)]
fn parse_exit(line: &str) -> Option<Option<Exit>> {
    let value = line.strip_prefix("exit ")?;
    if value.len() != EXIT_WIDTH {
        return None;
    }
    let mut words = value.split_ascii_whitespace();
    let exit = match (words.next()?, words.next()) {
        ("running", None) => None,
        ("lost", None) => Some(Exit::Lost),
        ("exited", Some(code)) => Some(Exit::Exited(code.parse().ok()?)),
        ("signaled", Some(signal)) => Some(Exit::Signaled(signal.parse().ok()?)),
        _ => return None,
    };
    Some(exit)
}

pub fn state_line(state: State) -> String {
    let text = match state {
        State::Preparing => "preparing",
        State::Started => "started",
        State::Running => "running",
    };
    format!("state {:<width$}\n", text, width = STATE_WIDTH)
}

fn parse_state(line: &str) -> Option<State> {
    let value = line.strip_prefix("state ")?;
    match value.trim_end_matches(' ') {
        _ if value.len() != STATE_WIDTH => None,
        "preparing" => Some(State::Preparing),
        "started" => Some(State::Started),
        "running" => Some(State::Running),
        _ => None,
    }
}

fn parse_owner(text: &str) -> Option<Owner> {
    match text {
        "durable" => Some(Owner::Durable),
        other => parse_key(other).map(Owner::Process),
    }
}

fn key_text(key: ProcessKey) -> String {
    format!("{} {}", key.pid, key.start)
}

fn parse_key(text: &str) -> Option<ProcessKey> {
    let (pid, start) = text.split_once(' ')?;
    let pid: i32 = pid.parse().ok()?;
    if pid < 0 {
        return None;
    }
    Some(ProcessKey { pid, start: start.parse().ok()? })
}

fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text
}

fn unescape(text: &str) -> Option<String> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        match characters.next()? {
            '\\' => value.push('\\'),
            'n' => value.push('\n'),
            _ => return None,
        }
    }
    Some(value)
}

#[cfg(test)]
pub mod tests;
