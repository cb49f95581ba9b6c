//! Watching a folder, or a tree of them.

use super::core::{Agent, Work};
use super::fault::{Answer, Fault};
use super::paths;
use super::timers::Due;
use super::watch_events::Events;
use super::watch_tree::Watching;
use crate::fields::{Fields, Writer};
use crate::sys::poll::READ;
use crate::sys::{self, c, inotify, Errno};

/// How long the second half of a rename may take, in milliseconds.
const PAIRING: u64 = 20;
/// With more than this waiting to be written, changes stay in the kernel's queue, in bytes.
const MAX_WAITING: usize = 262_144;
const READ_SIZE: usize = 65_536;

impl Agent {
    pub fn open_watch(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let root = paths::check(fields.bytes(2).unwrap_or(b""))?.to_vec();
        let recursive = fields.truth(3)?;
        let user = self.file_user(fields)?;
        let watching = Watching::new(root, recursive, user)?;
        self.poller.add(watching.fd(), self.channel_token(channel), READ)?;
        self.works.insert(channel, Work::Watch(Box::new(watching)));
        self.mark_ready(channel);
        Ok(())
    }

    /// Takes on folders that wait for it; how much that counts as having been sent.
    pub fn step_watch(&mut self, channel: u32) -> usize {
        let mut events = Events::default();
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
        for event in events.take() {
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
        let mut events = Events::default();
        for change in inotify::changes(&self.scratch[..count]) {
            watching.translate(&change, &mut events);
        }
        if watching.moved.is_some() && watching.timer.is_none() {
            watching.timer = Some(self.timers.set(PAIRING, Due::Unpaired(u64::from(channel))));
        }
        let more = !watching.pending.is_empty();
        let session = self.session();
        for event in events.take() {
            session.event(channel, event);
        }
        if more {
            session.mark_ready(channel);
        }
    }

    pub fn unpaired(&mut self, channel: u32) {
        let mut events = Events::default();
        if let Some(Work::Watch(watching)) = self.works.get_mut(&channel) {
            watching.timer = None;
            watching.settle(&mut events);
        }
        if let Some(session) = &mut self.session {
            for event in events.take() {
                session.event(channel, event);
            }
        }
    }
}
