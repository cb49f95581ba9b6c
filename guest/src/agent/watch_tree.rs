//! What a watch knows of its folders, and what the kernel's changes mean for them.

use super::files::write::replaces;
use super::ops;
use super::paths;
use super::timers::Due;
use super::users::User;
use super::watch_events::Events;
use crate::sys::files::{self, Entries};
use crate::sys::inotify::{self, Change, Inotify};
use crate::sys::{self, c, Errno};
use std::collections::{HashMap, VecDeque};
use std::os::unix::io::{AsRawFd, RawFd};

/// Folders that one channel may watch.
const MAX_FOLDERS: usize = 8192;
/// Folders taken on at a time.
const STEP: usize = 32;

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

pub struct Moved {
    cookie: u32,
    path: Vec<u8>,
    /// The agent's own temporary file; whether it replaces one.
    own: Option<bool>,
}

pub struct Watching {
    inotify: Inotify,
    pub user: User,
    pub root: Vec<u8>,
    recursive: bool,
    /// Folders by the kernel's number, relative to the root.
    folders: HashMap<i32, Vec<u8>>,
    /// Folders to take on.
    pub pending: VecDeque<Vec<u8>>,
    /// The host knows that the watch stands.
    pub standing: bool,
    overfull: bool,
    pub moved: Option<Moved>,
    pub timer: Option<(u64, Due)>,
    pub paused: bool,
}

impl Watching {
    pub fn new(root: Vec<u8>, recursive: bool, user: User) -> sys::Result<Watching> {
        Ok(Watching {
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
        })
    }

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
        let gone: Vec<i32> =
            self.folders.iter().filter(|(_, at)| is_below(at, path)).map(|(watch, _)| *watch).collect();
        for watch in gone {
            self.folders.remove(&watch);
            self.inotify.remove(watch);
        }
    }

    fn rename_below(&mut self, from: &[u8], to: &[u8]) {
        for at in self.folders.values_mut().filter(|at| is_below(at, from)) {
            *at = [to, &at[from.len()..]].concat();
        }
        // What lies deeper now than any path leads is watched no longer.
        let inotify = &self.inotify;
        self.folders.retain(|watch, at| {
            let kept = at.len() <= paths::MAX_PATH;
            if !kept {
                inotify.remove(*watch);
            }
            kept
        });
    }

    /// Takes on the next folders. Events are for what is found in those that are new.
    pub fn step(&mut self, events: &mut Events) -> sys::Result<()> {
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
                    events.overflowed();
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
                Err(Errno(c::ENOSPC)) if self.standing => events.overflowed(),
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

    fn scan(&mut self, path: &[u8], relative: &[u8], events: &mut Events) {
        let folder = match sys::open(path, c::O_RDONLY | c::O_DIRECTORY | c::O_NONBLOCK, 0) {
            Ok(folder) => folder,
            Err(_) => return,
        };
        let mut entries = Entries::new();
        while let Ok(Some(name)) = entries.next(folder.as_raw_fd()) {
            let at = paths::join(relative, &name);
            if events.is_full() {
                return;
            }
            if self.standing && replaces(&name).is_none() {
                events.changed(ops::CREATED, &at);
            }
            if files::lstat_at(folder.as_raw_fd(), &name).map_or(false, |stat| stat.is_dir()) {
                if self.pending.len() > MAX_FOLDERS {
                    return;
                }
                self.pending.push_back(at);
            }
        }
    }

    /// A folder that is new, or has come from elsewhere.
    fn take_on(&mut self, path: Vec<u8>, events: &mut Events) {
        if self.pending.len() < MAX_FOLDERS {
            self.pending.push_back(path);
        } else {
            events.overflowed();
        }
    }

    /// Turns one change of the kernel into events.
    pub fn translate(&mut self, change: &Change, events: &mut Events) {
        if change.mask & inotify::OVERFLOW != 0 {
            events.overflowed();
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
                self.take_on(path.clone(), events);
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
        events.changed(kind, &path);
    }

    fn moved_to(&mut self, cookie: u32, path: Vec<u8>, is_folder: bool, events: &mut Events) {
        match self.moved.take() {
            Some(moved) if moved.cookie == cookie => {
                if let Some(replaced) = moved.own {
                    let kind = if replaced { ops::MODIFIED } else { ops::CREATED };
                    events.changed(kind, &path);
                } else {
                    events.renamed(&moved.path, &path);
                    self.rename_below(&moved.path, &path);
                    return;
                }
            }
            unrelated => {
                self.moved = unrelated;
                self.settle(events);
                events.changed(ops::CREATED, &path);
            }
        }
        if is_folder && self.recursive {
            self.take_on(path, events);
        }
    }

    /// A rename whose second half did not come led out of the tree.
    pub fn settle(&mut self, events: &mut Events) {
        if let Some(moved) = self.moved.take() {
            self.forget_below(&moved.path);
            if moved.own.is_none() {
                events.changed(ops::REMOVED, &moved.path);
            }
        }
    }
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.starts_with(folder) && (path.len() == folder.len() || path[folder.len()] == b'/')
}
