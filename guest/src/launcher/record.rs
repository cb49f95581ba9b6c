//! What is remembered on disk of one host process. A record is a small text file, one `key value` per line, written
//! whole to a temporary name and renamed. State and exit have lines of fixed width at the top, so that they can be
//! written in place: that needs no space on a full disk and no second file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::procs::stat;

const MAGIC: &str = "cove-record 1\n";
const EXIT_WIDTH: usize = 24;
const STATE_WIDTH: usize = 9;
use crate::sys::c::O_NOFOLLOW;
/// Larger files are no records: several times what a specification of the largest size leads to.
const MAX_BYTES: u64 = 8 << 20;

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

/// The folder of records.
pub struct Records {
    folder: PathBuf,
}

const SUFFIX: &str = ".record";

impl Records {
    pub fn open(state: &Path) -> io::Result<Records> {
        let folder = state.join("records");
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let records = Records { folder };
        records.remove_unfinished()?;
        Ok(records)
    }

    /// Removes what a launcher left that was killed while it wrote.
    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let writer = name.to_str().and_then(|name| name.strip_suffix(".tmp")?.rsplit('.').next()?.parse().ok());
            if writer.map_or(false, |pid: i32| stat(pid).map_or(true, |stat| stat.zombie)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{}{}", id, SUFFIX))
    }

    /// Replaces the record in one step.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let temporary = self.folder.join(format!(".{}.{}.tmp", record.id, std::process::id()));
        let written = (|| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600).custom_flags(O_NOFOLLOW);
            options.open(&temporary)?.write_all(record.to_text().as_bytes())?;
            fs::rename(&temporary, self.path(&record.id))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Writes the exit into the record in place. `NotFound` when the record has been removed.
    pub fn write_exit(&self, id: &str, exit: Exit) -> io::Result<()> {
        self.write_at(id, MAGIC.len(), &exit_line(Some(exit)))
    }

    /// Writes into the record in place that the start has succeeded.
    pub fn write_running(&self, id: &str) -> io::Result<()> {
        self.write_at(id, MAGIC.len() + exit_line(None).len(), &state_line(State::Running))
    }

    fn write_at(&self, id: &str, offset: usize, line: &str) -> io::Result<()> {
        let file = OpenOptions::new().write(true).custom_flags(O_NOFOLLOW).open(self.path(id))?;
        file.write_all_at(line.as_bytes(), offset as u64)
    }

    /// Ok(None) when there is none; an error of kind `InvalidData` when it cannot be understood.
    pub fn read(&self, id: &str) -> io::Result<Option<Record>> {
        let file = match OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(self.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        File::take(file, MAX_BYTES).read_to_string(&mut text)?;
        let record = Record::parse(&text).ok_or_else(damaged)?;
        if record.id != id {
            return Err(damaged());
        }
        Ok(Some(record))
    }

    pub fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Moves a record that cannot be understood out of the way, for a person to look at.
    pub fn quarantine(&self, id: &str) -> io::Result<()> {
        fs::rename(self.path(id), self.folder.join(format!("{}.invalid", id)))
    }

    /// Ids of all records.
    pub fn ids(&self) -> io::Result<Vec<String>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                match name.strip_suffix(SUFFIX) {
                    Some(id) if valid_id(id) => ids.push(id.to_string()),
                    _ => {}
                }
            }
        }
        ids.sort();
        Ok(ids)
    }
}

fn exit_line(exit: Option<Exit>) -> String {
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

fn state_line(state: State) -> String {
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
