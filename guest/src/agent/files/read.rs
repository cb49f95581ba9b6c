//! Reading a file.

use super::entry::entry;
use crate::agent::core::{Agent, Work, SCRATCH};
use crate::agent::fault::{Answer, Fault};
use crate::agent::paths;
use crate::fields::Fields;
use crate::frames::{stream, Header};
use crate::sys::{self, c, files};
use std::io::IoSlice;
use std::os::unix::io::{AsRawFd, OwnedFd};

pub struct Reading {
    fd: OwnedFd,
    offset: u64,
    left: u64,
}

impl Agent {
    pub fn open_read(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let path = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let user = self.file_user(fields)?;
        let offset = fields.number(3)?.unwrap_or(0);
        let left = fields.number(4)?.unwrap_or(u64::MAX);
        if offset > i64::MAX as u64 {
            return Err(Fault::invalid("the offset is too large"));
        }
        let acting = self.act_as(&user)?;
        let at = |errno| Fault::at(path, errno);
        // Looked at before it is opened: opening a device can have effects.
        readable(path, &files::stat(path).map_err(at)?)?;
        let fd = sys::open(path, c::O_RDONLY | c::O_NONBLOCK | c::O_NOCTTY, 0).map_err(at)?;
        drop(acting);
        let stat = files::fstat(fd.as_raw_fd()).map_err(at)?;
        readable(path, &stat)?;
        if self.is_own(&fd) {
            return Err(at(sys::Errno(c::EACCES)));
        }
        self.session().opened(channel, entry(path, &stat, None));
        self.works.insert(channel, Work::Read(Reading { fd, offset, left }));
        self.mark_ready(channel);
        Ok(())
    }

    /// The agent's own memory and descriptors are reachable by its own hand only, below `/proc`, and are nobody's.
    fn is_own(&self, fd: &OwnedFd) -> bool {
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let own = format!("/proc/{}/", sys::process::pid());
        files::read_link(link.as_bytes()).map_or(false, |path| path.starts_with(own.as_bytes()))
    }

    /// Sends the next piece; how many bytes were sent.
    pub fn send_file(&mut self, channel: u32) -> usize {
        let (wire, session) = match (&self.wire, &mut self.session) {
            (Some(wire), Some(session)) => (wire, session),
            _ => return 0,
        };
        let reading = match self.works.get_mut(&channel) {
            Some(Work::Read(reading)) => reading,
            _ => return 0,
        };
        let limit = session.credit(channel).min(SCRATCH).min(reading.left.min(SCRATCH as u64) as usize);
        if limit == 0 && reading.left > 0 {
            return 0;
        }
        let count = match files::read_at(reading.fd.as_raw_fd(), &mut self.scratch[..limit], reading.offset) {
            Ok(count) => count,
            Err(errno) => {
                self.fail(channel, &Fault::from(errno));
                return 0;
            }
        };
        if count == 0 {
            session.end(channel, stream::CONTENT);
            self.finish(channel);
            return 0;
        }
        let header = Header::data(channel, stream::CONTENT, count).encode();
        let parts = [IoSlice::new(&header), IoSlice::new(&self.scratch[..count])];
        match Agent::send_frames(wire, session, &parts) {
            Ok(true) => {
                session.spend(channel, count);
                reading.offset += count as u64;
                reading.left -= count as u64;
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
                0
            }
        }
    }
}

fn readable(path: &[u8], stat: &files::Stat) -> Answer<()> {
    if stat.is_dir() {
        return Err(Fault::at(path, sys::Errno(c::EISDIR)));
    }
    if !stat.is_file() {
        let path = String::from_utf8_lossy(path);
        return Err(Fault::invalid(format!("{}: neither a file nor a directory", path)));
    }
    Ok(())
}
