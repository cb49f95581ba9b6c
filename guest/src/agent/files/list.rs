//! Listing a folder, a step at a time.

use super::entry::entry_at;
use crate::agent::core::{Agent, Work};
use crate::agent::fault::{Answer, Fault};
use crate::agent::paths;
use crate::agent::users::User;
use crate::fields::{Fields, Writer};
use crate::frames::{stream, Header};
use crate::sys::files::Entries;
use crate::sys::{self, c};
use std::io::IoSlice;
use std::os::unix::io::{AsRawFd, OwnedFd};

const MAX_DEPTH: u64 = 64;
/// Entries gathered before they are sent, in bytes.
const PIECE: usize = 32 * 1024;

struct Level {
    fd: OwnedFd,
    entries: Entries,
    prefix: Vec<u8>,
}

pub struct Listing {
    user: User,
    levels: Vec<Level>,
    depth: usize,
    made: Vec<u8>,
    sent: usize,
}

impl Agent {
    pub fn open_list(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let path = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let user = self.file_user(fields)?;
        let depth = fields.number(3)?.unwrap_or(1);
        if !(1..=MAX_DEPTH).contains(&depth) {
            return Err(Fault::invalid(format!("the depth must be 1 to {}", MAX_DEPTH)));
        }
        let acting = self.act_as(&user)?;
        let fd = sys::open(path, c::O_RDONLY | c::O_DIRECTORY | c::O_NONBLOCK, 0).map_err(|e| Fault::at(path, e))?;
        drop(acting);
        let levels = vec![Level { fd, entries: Entries::new(), prefix: Vec::new() }];
        let listing = Listing { user, levels, depth: depth as usize, made: Vec::new(), sent: 0 };
        self.session().opened(channel, Writer::new());
        self.works.insert(channel, Work::List(Box::new(listing)));
        self.mark_ready(channel);
        Ok(())
    }

    /// Sends the next piece; how many bytes were sent.
    pub fn send_listing(&mut self, channel: u32) -> usize {
        let mut listing = match self.works.remove(&channel) {
            Some(Work::List(listing)) => listing,
            _ => return 0,
        };
        let gathered = match self.act_as(&listing.user) {
            Ok(acting) => {
                let gathered = listing.gather();
                drop(acting);
                gathered
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = gathered {
            self.fail(channel, &fault);
            return 0;
        }
        let (wire, session) = match (&self.wire, &mut self.session) {
            (Some(wire), Some(session)) => (wire, session),
            _ => return 0,
        };
        let count = session.credit(channel).min(listing.made.len() - listing.sent);
        if count == 0 && listing.is_done() {
            session.end(channel, stream::CONTENT);
            self.finish(channel);
            return 0;
        }
        if count == 0 {
            self.works.insert(channel, Work::List(listing));
            return 0;
        }
        let header = Header::data(channel, stream::CONTENT, count).encode();
        let parts = [IoSlice::new(&header), IoSlice::new(&listing.made[listing.sent..listing.sent + count])];
        let sent = match Agent::send_frames(wire, session, &parts) {
            Ok(true) => {
                session.spend(channel, count);
                listing.sent += count;
                session.mark_ready(channel);
                count
            }
            Ok(false) => {
                session.mark_ready(channel);
                self.block();
                0
            }
            Err(_) => {
                self.write_failed();
                return 0;
            }
        };
        self.works.insert(channel, Work::List(listing));
        sent
    }
}

impl Listing {
    fn is_done(&self) -> bool {
        self.levels.is_empty() && self.sent == self.made.len()
    }

    /// Makes the next piece when the last one has been sent.
    fn gather(&mut self) -> Answer<()> {
        if self.sent < self.made.len() {
            return Ok(());
        }
        self.made.clear();
        self.sent = 0;
        while self.made.len() < PIECE {
            let top = self.levels.len();
            let level = match self.levels.last_mut() {
                Some(level) => level,
                None => break,
            };
            let directory = level.fd.as_raw_fd();
            let name = match level.entries.next(directory) {
                Ok(Some(name)) => name,
                // A folder below that went away while it was read has no more entries.
                Ok(None) => {
                    self.levels.pop();
                    continue;
                }
                Err(_) if top > 1 => {
                    self.levels.pop();
                    continue;
                }
                Err(errno) => return Err(Fault::from(errno)),
            };
            let path = paths::join(&level.prefix, &name);
            if path.len() > paths::MAX_PATH {
                // Folders can be nested deeper than any path leads.
                continue;
            }
            let (entry, stat) = match entry_at(directory, &name, &path) {
                Some(found) => found,
                None => continue,
            };
            self.made.extend_from_slice(&(entry.as_slice().len() as u32).to_be_bytes());
            self.made.extend_from_slice(entry.as_slice());
            if stat.is_dir() && top < self.depth {
                let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_NOFOLLOW | c::O_NONBLOCK;
                // One that may not be read is listed without what is in it.
                if let Ok(fd) = sys::open_at(directory, &name, flags, 0) {
                    self.levels.push(Level { fd, entries: Entries::new(), prefix: path });
                }
            }
        }
        Ok(())
    }
}
