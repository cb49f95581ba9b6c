//! Writing to the host without ever waiting for it.

use super::core::{token, Agent, Kind};
use super::session::Session;
use super::wire::Wire;
use crate::sys::poll::{READ, WRITE};
use crate::sys::{self, c, Errno, Result};
use std::io::IoSlice;
use std::os::unix::io::AsRawFd;

impl Agent {
    /// Writes what waits; false when something still does.
    pub fn flush(&mut self) -> bool {
        let (wire, session) = match (&self.wire, &mut self.session) {
            (Some(wire), Some(session)) => (wire, session),
            _ => return false,
        };
        if wire.blocked {
            return false;
        }
        while !session.waiting().is_empty() {
            match sys::write(wire.out(), session.waiting()) {
                Ok(count) => session.wrote(count),
                Err(Errno(c::EAGAIN)) => {
                    self.block();
                    return false;
                }
                Err(_) => {
                    self.write_failed();
                    return false;
                }
            }
        }
        true
    }

    /// Writes frames of a channel that have just been made, each in up to two parts. Call it only when nothing waits.
    /// What the stream does not take now is copied and waits. False: nothing was taken, make them again later.
    pub fn send_frames(wire: &Wire, session: &mut Session, parts: &[IoSlice<'_>]) -> Result<bool> {
        let mut written = match sys::write_parts(wire.out(), parts) {
            Ok(written) => written,
            Err(Errno(c::EAGAIN)) => return Ok(false),
            Err(error) => return Err(error),
        };
        for part in parts {
            if written >= part.len() {
                written -= part.len();
            } else {
                session.push_raw(&part[written..]);
                written = 0;
            }
        }
        Ok(true)
    }

    /// Stops writing until the reader has made room.
    pub fn block(&mut self) {
        if let Some(wire) = &mut self.wire {
            if !wire.blocked {
                wire.blocked = true;
                let input = wire.input.as_raw_fd();
                let _ = match &wire.output {
                    None => self.poller.change(input, token(Kind::Wire, 0), READ | WRITE),
                    Some(output) => self.poller.add(output.as_raw_fd(), token(Kind::WireOut, 0), WRITE),
                };
            }
        }
    }

    pub fn unblock(&mut self) {
        if let Some(wire) = &mut self.wire {
            if wire.blocked {
                wire.blocked = false;
                match &wire.output {
                    None => {
                        let _ = self.poller.change(wire.input.as_raw_fd(), token(Kind::Wire, 0), READ);
                    }
                    Some(output) => self.poller.remove(output.as_raw_fd()),
                }
            }
        }
    }

    pub fn write_failed(&mut self) {
        let single = self.wire.as_ref().map_or(false, |wire| wire.single);
        self.lose_wire();
        if single && !self.ending {
            // The reading side learns of the end too, and decides there what it means.
            self.unblock();
        }
    }
}
