//! Watching a folder, or a tree of them.

use super::core::{Agent, Work};
use super::fault::{Answer, Fault};
use super::files::write::replaces;
use super::ops;
use super::paths;
use super::timers::Due;
use super::users::User;
use crate::fields::{Fields, Writer};
use crate::sys::files::{self, Entries};
use crate::sys::inotify::{self, Change, Inotify};
use crate::sys::poll::READ;
use crate::sys::{self, c, Errno};
use std::collections::{HashMap, VecDeque};
use std::os::unix::io::{AsRawFd, RawFd};

/// Folders that one channel may watch.
const MAX_FOLDERS: usize = 8192;
/// Folders taken on at a time.
const STEP: usize = 32;
/// How long the second half of a rename may take, in milliseconds.
const PAIRING: u64 = 20;
/// With more than this waiting to be written, changes stay in the kernel's queue, in bytes.
const MAX_WAITING: usize = 262_144;
const READ_SIZE: usize = 65_536;
/// Entries told at a time of folders that are new.
const MAX_FOUND: usize = 4096;

const MASK: u32 = inotify::MODIFY
    | inotify::ATTRIB
    | inotify::CLOSE_WRITE
    | inotify::MOVED_FROM
    | inotify::MOVED_TO
    | inotify::CREATE
    | inotify::DELETE
    | inotify::DELETE_SELF
    | inotify::MOVE_SELF
    | inotify::EXCL_UNLINK;

struct Moved {
    cookie: u32,
    path: Vec<u8>,
    /// The agent's own temporary file; whether it replaces one.
    own: Option<bool>,
}

pub struct Watching {
    inotify: Inotify,
    user: User,
    root: Vec<u8>,
    recursive: bool,
    /// Folders by the kernel's number, relative to the root.
    folders: HashMap<i32, Vec<u8>>,
    /// Folders to take on.
    pending: VecDeque<Vec<u8>>,
    /// The host knows that the watch stands.
    standing: bool,
    overfull: bool,
    moved: Option<Moved>,
    timer: Option<(u64, Due)>,
    paused: bool,
}

impl Watching {
    pub fn fd(&self) -> RawFd {
        self.inotify.as_raw_fd()
    }

    fn absolute(&self, relative: &[u8]) -> Vec<u8> {
        if relative.is_empty() {
            self.root.clone()
        } else {
            paths::join(&self.root, relative)
        }
    }

    fn forget_below(&mut self, path: &[u8]) {
        let gone: Vec<i32> = self.folders.iter().filter(|(_, at)| is_below(at, path)).map(|(watch, _)| *watch).collect();
        for watch in gone {
            self.folders.remove(&watch);
            self.inotify.remove(watch);
        }
    }

    fn rename_below(&mut self, from: &[u8], to: &[u8]) {
        for at in self.folders.values_mut().filter(|at| is_below(at, from)) {
            *at = [to, &at[from.len()..]].concat();
        }
    }

    /// Takes on the next folders. Events are for what is found in those that are new.
    fn step(&mut self, events: &mut Vec<Writer>) -> sys::Result<()> {
        for _ in 0..STEP {
            let relative = match self.pending.pop_front() {
                Some(relative) => relative,
                None => return Ok(()),
            };
            let first = relative.is_empty();
            if self.folders.len() >= MAX_FOLDERS {
                if !self.standing {
                    return Err(Errno(c::EMFILE));
                }
                if !self.overfull {
                    self.overfull = true;
                    events.push(Writer::new().number(1, ops::OVERFLOWED));
                }
                continue;
            }
            let path = self.absolute(&relative);
            let mask = if first { MASK } else { MASK | inotify::DONT_FOLLOW | inotify::ONLYDIR };
            match self.inotify.add(&path, mask) {
                Ok(watch) => {
                    self.folders.insert(watch, relative.clone());
                }
                // The kernel's own limit of watches.
                Err(Errno(c::ENOSPC)) if self.standing => events.push(Writer::new().number(1, ops::OVERFLOWED)),
                Err(Errno(c::ENOSPC)) => return Err(Errno(c::EMFILE)),
                Err(errno) if first => return Err(errno),
                // Gone meanwhile, or not to be read by this user.
                Err(_) => continue,
            }
            if self.recursive {
                self.scan(&path, &relative, events);
            }
        }
        Ok(())
    }

    fn scan(&mut self, path: &[u8], relative: &[u8], events: &mut Vec<Writer>) {
        let folder = match sys::open(path, c::O_RDONLY | c::O_DIRECTORY | c::O_NONBLOCK, 0) {
            Ok(folder) => folder,
            Err(_) => return,
        };
        let mut entries = Entries::new();
        while let Ok(Some(name)) = entries.next(folder.as_raw_fd()) {
            let at = paths::join(relative, &name);
            if self.standing && events.len() >= MAX_FOUND {
                events.push(Writer::new().number(1, ops::OVERFLOWED));
                return;
            }
            if self.standing && replaces(&name).is_none() {
                events.push(Writer::new().number(1, ops::CREATED).bytes(2, &at));
            }
            if files::lstat_at(folder.as_raw_fd(), &name).map_or(false, |stat| stat.is_dir()) {
                if self.pending.len() > MAX_FOLDERS {
                    return;
                }
                self.pending.push_back(at);
            }
        }
    }

    /// Turns one change of the kernel into events.
    fn translate(&mut self, change: &Change, events: &mut Vec<Writer>) {
        if change.mask & inotify::OVERFLOW != 0 {
            events.push(Writer::new().number(1, ops::OVERFLOWED));
            return;
        }
        let folder = match self.folders.get(&change.watch) {
            Some(folder) => folder.clone(),
            None => return,
        };
        if change.mask & inotify::IGNORED != 0 {
            self.folders.remove(&change.watch);
            return;
        }
        let is_root = folder.is_empty();
        if change.name.is_empty() && !is_root {
            // The folder above tells the same by name.
            return;
        }
        let path = if change.name.is_empty() { folder } else { paths::join(&folder, &change.name) };
        let own = replaces(&change.name);
        let is_folder = change.mask & inotify::ISDIR != 0;
        if change.mask & inotify::MOVED_TO != 0 {
            return self.moved_to(change.cookie, path, is_folder, events);
        }
        self.settle(events);
        if change.mask & inotify::MOVED_FROM != 0 {
            self.moved = Some(Moved { cookie: change.cookie, path, own });
            return;
        }
        if own.is_some() {
            return;
        }
        let kind = if change.mask & inotify::CREATE != 0 {
            if is_folder && self.recursive {
                self.pending.push_back(path.clone());
            }
            ops::CREATED
        } else if change.mask & (inotify::MODIFY | inotify::CLOSE_WRITE) != 0 {
            ops::MODIFIED
        } else if change.mask & inotify::ATTRIB != 0 {
            ops::CHMODDED
        } else if change.mask & (inotify::DELETE | inotify::DELETE_SELF | inotify::MOVE_SELF) != 0 {
            ops::REMOVED
        } else {
            return;
        };
        let event = Writer::new().number(1, kind).bytes(2, &path);
        // A write is told once, however many pieces it came in.
        if events.last().map_or(true, |last| last.as_slice() != event.as_slice()) {
            events.push(event);
        }
    }

    fn moved_to(&mut self, cookie: u32, path: Vec<u8>, is_folder: bool, events: &mut Vec<Writer>) {
        match self.moved.take() {
            Some(moved) if moved.cookie == cookie => {
                if let Some(replaced) = moved.own {
                    let kind = if replaced { ops::MODIFIED } else { ops::CREATED };
                    events.push(Writer::new().number(1, kind).bytes(2, &path));
                } else {
                    events.push(Writer::new().number(1, ops::RENAMED).bytes(2, &moved.path).bytes(3, &path));
                    self.rename_below(&moved.path, &path);
                    return;
                }
            }
            unrelated => {
                self.moved = unrelated;
                self.settle(events);
                events.push(Writer::new().number(1, ops::CREATED).bytes(2, &path));
            }
        }
        if is_folder && self.recursive {
            self.pending.push_back(path);
        }
    }

    /// A rename whose second half did not come led out of the tree.
    fn settle(&mut self, events: &mut Vec<Writer>) {
        if let Some(moved) = self.moved.take() {
            self.forget_below(&moved.path);
            if moved.own.is_none() {
                events.push(Writer::new().number(1, ops::REMOVED).bytes(2, &moved.path));
            }
        }
    }
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.starts_with(folder) && (path.len() == folder.len() || path[folder.len()] == b'/')
}

impl Agent {
    pub fn open_watch(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let root = paths::check(fields.bytes(2).unwrap_or(b""))?.to_vec();
        let recursive = fields.truth(3)?;
        let user = self.file_user(fields)?;
        let watching = Watching {
            inotify: Inotify::new()?,
            user,
            root,
            recursive,
            folders: HashMap::new(),
            pending: VecDeque::from(vec![Vec::new()]),
            standing: false,
            overfull: false,
            moved: None,
            timer: None,
            paused: false,
        };
        self.poller.add(watching.fd(), self.channel_token(channel), READ)?;
        self.works.insert(channel, Work::Watch(Box::new(watching)));
        self.mark_ready(channel);
        Ok(())
    }

    /// Takes on folders that wait for it; how much that counts as having been sent.
    pub fn step_watch(&mut self, channel: u32) -> usize {
        let mut events = Vec::new();
        let (stepped, fault_path) = match self.works.remove(&channel) {
            Some(Work::Watch(mut watching)) => {
                if watching.paused {
                    watching.paused = self.poller.add(watching.fd(), self.channel_token(channel), READ).is_err();
                }
                let stepped = match self.act_as(&watching.user) {
                    Ok(acting) => {
                        let stepped = watching.step(&mut events);
                        drop(acting);
                        stepped
                    }
                    Err(_) => Err(Errno(c::EPERM)),
                };
                let root = watching.root.clone();
                self.works.insert(channel, Work::Watch(watching));
                (stepped, root)
            }
            _ => return 0,
        };
        if let Err(errno) = stepped {
            self.fail(channel, &Fault::at(&fault_path, errno));
            return 0;
        }
        let mut more = false;
        let mut stands = false;
        if let Some(Work::Watch(watching)) = self.works.get_mut(&channel) {
            more = !watching.pending.is_empty();
            if !more && !watching.standing {
                watching.standing = true;
                stands = true;
            }
        }
        let session = self.session();
        if stands {
            session.opened(channel, Writer::new());
        }
        for event in events {
            session.event(channel, event);
        }
        if more {
            session.mark_ready(channel);
        }
        // A step costs about as much time as sending this many bytes.
        MAX_WAITING
    }

    pub fn read_watch(&mut self, channel: u32) {
        let full = self.session.as_ref().map_or(true, |session| session.waiting().len() > MAX_WAITING);
        let watching = match self.works.get_mut(&channel) {
            Some(Work::Watch(watching)) => watching,
            _ => return,
        };
        if full || !watching.standing {
            watching.paused = true;
            self.poller.remove(watching.fd());
            return self.mark_ready(channel);
        }
        let count = match sys::read(watching.fd(), &mut self.scratch[..READ_SIZE]) {
            Ok(count) => count,
            Err(_) => return,
        };
        let mut events = Vec::new();
        for change in inotify::changes(&self.scratch[..count]) {
            watching.translate(&change, &mut events);
        }
        if watching.moved.is_some() && watching.timer.is_none() {
            watching.timer = Some(self.timers.set(PAIRING, Due::Unpaired(u64::from(channel))));
        }
        let more = !watching.pending.is_empty();
        let session = self.session();
        for event in events {
            session.event(channel, event);
        }
        if more {
            session.mark_ready(channel);
        }
    }

    pub fn unpaired(&mut self, channel: u32) {
        let mut events = Vec::new();
        if let Some(Work::Watch(watching)) = self.works.get_mut(&channel) {
            watching.timer = None;
            watching.settle(&mut events);
        }
        if let Some(session) = &mut self.session {
            for event in events {
                session.event(channel, event);
            }
        }
    }
}
