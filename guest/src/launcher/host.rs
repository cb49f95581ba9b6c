//! All host processes that this launcher knows of, and what can be asked about them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::io;
use std::os::unix::io::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::child::RLIMIT_NOFILE;
use super::entry::Entry;
use super::exit::Exit;
use super::fault::Fault;
use super::held::{Held, Outputs};
use super::job::Job;
use super::living::Living;
use super::log::Log;
use super::namespaces::UserNamespaces;
use super::procs;
use super::record::{valid_id, Owner, ProcessKey, Record, State};
use super::records::Records;
use super::signals::{self, open_exactly};
use super::sweep::Sweep;
use crate::fields::Writer;
use crate::frames::kind;
use crate::sys::c;

/// Who asked: a channel of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    pub connection: u64,
    pub channel: u32,
}

/// A frame to be sent.
pub struct Message {
    /// None: to everybody who watches.
    pub to: Option<Client>,
    pub kind: u8,
    pub payload: Vec<u8>,
}

pub struct Host {
    pub state: PathBuf,
    pub records: Records,
    pub log: Log,
    pub me: ProcessKey,
    pub boot: String,
    pub installation: String,
    pub lock: i32,
    /// The one it listens on, and those of its callers.
    pub sockets: Vec<RawFd>,
    /// The limit of descriptors that started programs get.
    pub descriptors: c::rlimit_t,
    pub entries: BTreeMap<String, Entry>,
    pub namespaces: UserNamespaces,
    pub jobs: HashMap<String, Job>,
    /// Helpers that remove large folders, by pid, and the id they work for.
    pub helpers: HashMap<i32, String>,
    /// Owners of ephemeral processes: readable when they have ended.
    pub owners: HashMap<ProcessKey, OwnedFd>,
    pub outputs: Outputs,
    pub outbox: Vec<Message>,
    pub living: Living,
    pub sweeps: Vec<Sweep>,
}

/// Entries in one page of a listing.
const PAGE: usize = 256;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Host {
    pub fn open(state: &Path, installation: &str, lock: i32) -> io::Result<Host> {
        let me = procs::key_of(std::process::id() as i32).ok_or(io::ErrorKind::NotFound)?;
        let mut host = Host {
            state: state.to_path_buf(),
            records: Records::open(state)?,
            log: Log::new(state.join("launcher.log")),
            me,
            boot: procs::boot_id()?,
            installation: installation.to_string(),
            lock,
            sockets: Vec::new(),
            descriptors: raise_descriptor_limit(),
            entries: BTreeMap::new(),
            namespaces: UserNamespaces::default(),
            jobs: HashMap::new(),
            helpers: HashMap::new(),
            owners: HashMap::new(),
            outputs: Outputs::new()?,
            outbox: Vec::new(),
            living: Living::default(),
            sweeps: Vec::new(),
        };
        host.load_all();
        Ok(host)
    }

    /// Learns of every record on disk that it does not know yet.
    pub fn load_all(&mut self) {
        match self.records.ids() {
            Ok(ids) => {
                let disowned: Vec<_> = ids.into_iter().filter(|id| self.learn(id)).collect();
                // All are known before the first is ended: one look at the host's processes does for all of them.
                disowned.iter().for_each(|id| self.destroy(id, None));
            }
            Err(error) => self.log.line(format_args!("read the records: {}", error)),
        }
    }

    /// Learns of one record, if there is one. What cannot be understood is moved away and never acted upon.
    pub fn load(&mut self, id: &str) {
        if self.learn(id) {
            self.destroy(id, None);
        }
    }

    /// True when it has an owner that is gone.
    fn learn(&mut self, id: &str) -> bool {
        if self.entries.contains_key(id) {
            return false;
        }
        match self.records.read(id) {
            Ok(None) => {}
            Ok(Some(record)) if record.installation != self.installation => {}
            Ok(Some(record)) => return self.adopt(record),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.log.line(format_args!("the record {} is damaged and was moved away", id));
                if let Err(error) = self.records.quarantine(id) {
                    self.log.line(format_args!("move the record {}: {}", id, error));
                }
            }
            Err(error) => self.log.line(format_args!("read the record {}: {}", id, error)),
        }
        false
    }

    /// Takes over what another launcher started. True when its owner is gone.
    fn adopt(&mut self, record: Record) -> bool {
        let id = record.id.clone();
        let (owner, same_boot) = (record.owner, record.boot == self.boot);
        let mut entry = Entry::new(record);
        let mut ended = false;
        if entry.lives() {
            entry.handle = if same_boot { open_exactly(entry.record.leader) } else { None };
            ended = entry.handle.is_none();
            if entry.record.held && !ended {
                self.hold(&mut entry, Held::open(&self.state, &id));
            }
        }
        // Another launcher that is at work on it would be disturbed.
        let in_work = entry.record.state == State::Preparing && same_boot && procs::alive(entry.record.launcher);
        self.entries.insert(id.clone(), entry);
        if ended {
            self.adopted_ended(&id);
        }
        match owner {
            Owner::Durable => false,
            Owner::Process(key) => !in_work && (!same_boot || !self.watch_owner(key)),
        }
    }

    pub fn hold(&mut self, entry: &mut Entry, held: io::Result<Held>) {
        let watched = held.and_then(|held| {
            self.outputs.watch(&entry.record.id, &held)?;
            Ok(held)
        });
        match watched {
            Ok(held) => entry.held = Some(held),
            Err(error) => self.log.line(format_args!("hold the output of {}: {}", entry.record.id, error)),
        }
    }

    /// Takes what processes have said.
    pub fn drain_outputs(&mut self) {
        for id in self.outputs.ready() {
            if let Some(held) = self.entries.get_mut(&id).and_then(|entry| entry.held.as_mut()) {
                held.drain();
            }
        }
    }

    /// False when the owner is dead.
    pub fn watch_owner(&mut self, key: ProcessKey) -> bool {
        if self.owners.contains_key(&key) {
            return true;
        }
        match open_exactly(key) {
            Some(handle) if procs::alive(key) => {
                self.owners.insert(key, handle);
                true
            }
            _ => false,
        }
    }

    pub fn owner_ended(&mut self, key: ProcessKey) {
        self.owners.remove(&key);
        let owned = |entry: &&Entry| entry.record.owner == Owner::Process(key);
        let ids: Vec<_> = self.entries.values().filter(owned).map(|entry| entry.record.id.clone()).collect();
        for id in ids {
            self.destroy(&id, None);
        }
    }

    /// A process that is not our child has ended. Only the launcher that started it can know how: when that one is
    /// alive it writes the exit before it reaps; otherwise the exit is lost.
    pub fn adopted_ended(&mut self, id: &str) {
        let entry = match self.entries.get_mut(id) {
            Some(entry) if entry.lives() && !entry.own => entry,
            _ => return,
        };
        entry.handle = None;
        let (leader, launcher) = (entry.record.leader, entry.record.launcher);
        let same_boot = entry.record.boot == self.boot;
        let known = || self.records.read(id).ok().flatten().and_then(|record| record.exit);
        let mut exit = known();
        if exit.is_none() && same_boot && launcher != self.me && procs::alive(launcher) {
            if procs::exists(leader) {
                entry.look_again = Some(Instant::now() + LOOK_AGAIN);
                return;
            }
            exit = known();
        }
        entry.look_again = None;
        self.set_exit(id, exit.unwrap_or(Exit::Lost));
    }

    /// Remembers how it ended, on disk first, and tells everybody who watches.
    pub fn set_exit(&mut self, id: &str, exit: Exit) {
        if let Err(error) = self.records.write_exit(id, exit) {
            if error.kind() != io::ErrorKind::NotFound {
                self.log.line(format_args!("write the exit of {}: {}", id, error));
            }
        }
        if let Some(entry) = self.entries.get_mut(id) {
            if let Some(held) = entry.held.as_mut() {
                held.drain();
            }
            entry.record.exit = Some(exit);
            entry.known = Instant::now();
            let (kind_of_exit, value) = exit.wire();
            let payload = Writer::new().text(1, id).number(7, kind_of_exit).number(8, value).finish();
            self.outbox.push(Message { to: None, kind: kind::EVENT, payload });
        }
    }

    pub fn find(&mut self, id: &str) -> Result<&mut Entry, Fault> {
        if valid_id(id) {
            self.load(id);
        }
        self.entries.get_mut(id).ok_or_else(|| Fault::new("process-not-found", format!("no host process {}", id)))
    }

    /// One page of entries after an id, and whether there are more.
    pub fn page(&mut self, after: &str) -> (Vec<Vec<u8>>, bool) {
        self.load_all();
        let mut later = self.entries.values().filter(|entry| entry.record.id.as_str() > after);
        let page = later.by_ref().take(PAGE).map(|entry| entry.describe().finish()).collect();
        (page, later.next().is_some())
    }

    /// Sends a signal. A process that has ended is no error.
    pub fn signal(&mut self, id: &str, signal: i32, group: bool, all: bool) -> Result<(), Fault> {
        if !(1..=64).contains(&signal) {
            return Err(Fault::invalid("a signal is not within 1 to 64"));
        }
        if all {
            let others = self.living_of(id)?;
            others.into_iter().for_each(|key| drop(signals::send_exactly(key, signal)));
            return Ok(());
        }
        let entry = self.find(id)?;
        if !entry.lives() {
            return Ok(());
        }
        match signals::send(entry, signal, group) {
            Err(error) if error.raw_os_error() != Some(c::ESRCH) => {
                Err(Fault::at(format_args!("signal {}", id), &error))
            }
            _ => Ok(()),
        }
    }

    /// The first child of the leader, written into the record so that it is found also without the leader.
    pub fn init_pid(&mut self, id: &str) -> Result<Option<i32>, Fault> {
        let entry = self.find(id)?;
        let leader = entry.record.leader;
        let child = match entry.lives() && procs::alive(leader) {
            true => procs::first_child(leader.pid).and_then(procs::key_of),
            false => entry.record.members.iter().copied().find(|member| procs::alive(*member)),
        };
        let child = match child {
            None => return Ok(None),
            Some(child) => child,
        };
        if !entry.record.members.contains(&child) {
            entry.record.members.push(child);
            let record = entry.record.clone();
            self.records.write(&record).map_err(|error| Fault::at("write the record", &error))?;
        }
        Ok(Some(child.pid))
    }

    pub fn live(&self) -> usize {
        self.entries.values().filter(|entry| entry.lives()).count()
    }

    pub fn is_busy(&self) -> bool {
        !self.jobs.is_empty() || !self.helpers.is_empty() || self.live() > 0
    }

    pub fn answer(&mut self, client: Client, kind: u8, payload: Vec<u8>) {
        self.outbox.push(Message { to: Some(client), kind, payload });
    }

    pub fn done(&mut self, client: Client) {
        self.answer(client, kind::CLOSE, Vec::new());
    }

    pub fn refuse(&mut self, client: Client, fault: &Fault) {
        let payload = Writer::new().text(1, fault.code).text(2, &fault.message).number(3, fault.errno as u64).finish();
        self.answer(client, kind::CLOSE, payload);
    }
}

/// The launcher holds descriptors for all that it watches, so its own limit goes as high as it may. Answers with the
/// limit as it was.
fn raise_descriptor_limit() -> c::rlimit_t {
    let mut found = c::rlimit_t { soft: 0, hard: 0 };
    unsafe {
        c::getrlimit(RLIMIT_NOFILE, &mut found);
        c::setrlimit(RLIMIT_NOFILE, &c::rlimit_t { soft: found.hard, hard: found.hard });
    }
    found
}

/// Paths of the FIFOs that hold the output of one process.
pub fn fifo_path(state: &Path, id: &str, stream: u8) -> PathBuf {
    state.join("records").join(format!("{}.out{}", id, stream))
}

pub fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
