//! The host's stream: connections, preambles, frames.

use super::core::{token, Agent, Door, Kind};
use super::session::Broken;
use super::timers::Due;
use crate::frames::{kind, Hunter, Parser, NONCE, PREAMBLE};
use crate::sys::poll::READ;
use crate::sys::{self, c, files, socket, Errno, Result};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

/// Connections that have not said HELLO.
const MAX_NEWCOMERS: usize = 8;
/// How long they have for it, in milliseconds.
const GREETING: u64 = 10_000;
/// Bytes that a connection may send before its preamble.
const MAX_NOISE: usize = 4096;
/// So many bytes that may start a preamble are held back on a single stream, and so long, in milliseconds.
const HOLD_FROM: usize = 8;
const HOLD: u64 = 20;
/// A serial port whose other end is closed is looked at this often, in milliseconds.
const REOPEN: u64 = 50;

pub struct Wire {
    pub input: OwnedFd,
    /// Where it is another descriptor than the input.
    pub output: Option<OwnedFd>,
    hunter: Hunter,
    parser: Parser,
    /// The nonce of the last preamble; none while hunting.
    pub nonce: Option<[u8; NONCE]>,
    pub greeted: bool,
    held: Vec<u8>,
    noise: usize,
    /// One stream for all sessions.
    pub single: bool,
    /// Writing waits for the reader.
    pub blocked: bool,
}

/// What became of bytes that were taken in.
enum Taken {
    More,
    /// The stream cannot be understood any longer.
    Lost,
}

impl Wire {
    pub fn new(input: OwnedFd, output: Option<OwnedFd>, single: bool) -> Wire {
        Wire {
            input,
            output,
            hunter: Hunter::new(),
            parser: Parser::new(),
            nonce: None,
            greeted: false,
            held: Vec::new(),
            noise: 0,
            single,
            blocked: false,
        }
    }

    pub fn out(&self) -> RawFd {
        self.output.as_ref().unwrap_or(&self.input).as_raw_fd()
    }

    fn hunt(&mut self) {
        self.parser.reset();
        self.nonce = None;
        self.greeted = false;
    }
}

impl Agent {
    /// Lets in connections; the oldest without a HELLO goes where there are too many.
    pub fn accept(&mut self) {
        let listener = match &self.door {
            Door::Listener(fd) => fd.as_raw_fd(),
            Door::Single => return,
        };
        loop {
            let fd = match socket::accept(listener) {
                Ok(fd) => fd,
                Err(Errno(c::EAGAIN)) => return,
                Err(_) => {
                    // No descriptors are left: looking on at once would only burn time.
                    self.poller.remove(listener);
                    self.timers.set(REOPEN, Due::Listen);
                    return;
                }
            };
            socket::grow_send_buffer(fd.as_raw_fd(), 1 << 20);
            if self.newcomers.len() >= MAX_NEWCOMERS {
                let oldest = self.newcomers[0].0;
                self.drop_newcomer(oldest);
            }
            self.last_newcomer += 1;
            let id = self.last_newcomer;
            if self.poller.add(fd.as_raw_fd(), token(Kind::Newcomer, id), READ).is_ok() {
                self.newcomers.push((id, Wire::new(fd, None, false)));
                self.timers.set(GREETING, Due::Newcomer(id));
            }
        }
    }

    /// Looks at the listening socket again.
    pub fn listen(&mut self) {
        if let Door::Listener(fd) = &self.door {
            let _ = self.poller.add(fd.as_raw_fd(), token(Kind::Listener, 0), READ);
        }
    }

    pub fn drop_newcomer(&mut self, id: u64) {
        self.newcomers.retain(|(known, _)| *known != id);
    }

    /// Reads a connection that has not said HELLO yet. A valid one makes it the session's stream.
    pub fn read_newcomer(&mut self, id: u64) {
        let index = match self.newcomers.iter().position(|(known, _)| *known == id) {
            Some(index) => index,
            None => return,
        };
        let (_, mut wire) = self.newcomers.remove(index);
        let mut inbox = std::mem::take(&mut self.inbox);
        let count = sys::read(wire.input.as_raw_fd(), &mut inbox);
        let taken = match count {
            Ok(0) => Taken::Lost,
            Ok(count) => self.take_in(&mut wire, &inbox[..count]),
            Err(Errno(c::EAGAIN)) => Taken::More,
            Err(_) => Taken::Lost,
        };
        self.inbox = inbox;
        match taken {
            Taken::Lost => {
                if wire.greeted {
                    self.end_session();
                }
            }
            Taken::More if wire.greeted => {
                let fd = wire.input.as_raw_fd();
                if self.poller.change(fd, token(Kind::Wire, 0), READ).is_ok() {
                    self.wire = Some(wire);
                } else {
                    self.end_session();
                }
            }
            Taken::More => self.newcomers.push((id, wire)),
        }
    }

    pub fn read_wire(&mut self) {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => return,
        };
        let mut inbox = std::mem::take(&mut self.inbox);
        let count = sys::read(wire.input.as_raw_fd(), &mut inbox);
        let taken = match count {
            Ok(0) => None,
            Ok(count) => Some(self.take_in(&mut wire, &inbox[..count])),
            Err(Errno(c::EAGAIN)) => Some(Taken::More),
            Err(_) => None,
        };
        self.inbox = inbox;
        let single = wire.single;
        self.wire = Some(wire);
        match taken {
            Some(Taken::More) => {}
            Some(Taken::Lost) => self.lose_wire(),
            None if single => self.single_ended(),
            None => self.lose_wire(),
        }
    }

    /// Ends the session: a connection is closed, a single stream goes back to hunting.
    pub fn lose_wire(&mut self) {
        self.end_session();
        match &mut self.wire {
            Some(wire) if wire.single => {
                wire.hunt();
                self.unblock();
            }
            _ => self.wire = None,
        }
    }

    /// The only stream is at its end. A serial port comes back; a pipe or socket does not, and without it nobody can
    /// ever reach the machine again.
    fn single_ended(&mut self) {
        self.lose_wire();
        let wire = match &self.wire {
            Some(wire) => wire,
            None => return,
        };
        self.poller.remove(wire.input.as_raw_fd());
        let device = files::fstat(wire.input.as_raw_fd()).map_or(false, |stat| stat.kind() == files::S_IFCHR);
        if device {
            self.timers.set(REOPEN, Due::Reopen);
        } else {
            self.shut_down(2000);
        }
    }

    pub fn reopen(&mut self) {
        if self.watch_wire().is_err() {
            self.shut_down(2000);
        }
    }

    /// Puts the single stream into the poller.
    pub fn watch_wire(&mut self) -> Result<()> {
        match &self.wire {
            Some(wire) => self.poller.add(wire.input.as_raw_fd(), token(Kind::Wire, 0), READ),
            None => Ok(()),
        }
    }

    /// Takes bytes of a stream in.
    fn take_in(&mut self, wire: &mut Wire, bytes: &[u8]) -> Taken {
        if !wire.single {
            return self.take_connection(wire, bytes);
        }
        let joined;
        let mut before = wire.held.len();
        let mut rest = if before > 0 {
            let mut held = std::mem::take(&mut wire.held);
            held.extend_from_slice(bytes);
            joined = held;
            &joined[..]
        } else {
            bytes
        };
        // The hunter has seen the held bytes already.
        while let Some((end, nonce)) = wire.hunter.find(&rest[before..]) {
            let end = before + end;
            let start = end.saturating_sub(PREAMBLE);
            self.take_frames(wire, &rest[..start]);
            self.end_session();
            wire.hunt();
            wire.nonce = Some(nonce);
            rest = &rest[end..];
            before = 0;
        }
        let pending = wire.hunter.pending();
        let keep = if pending >= HOLD_FROM { pending.min(rest.len()) } else { 0 };
        let (now, later) = rest.split_at(rest.len() - keep);
        self.take_frames(wire, now);
        if keep > 0 {
            wire.held = later.to_vec();
            self.timers.set(HOLD, Due::Held);
        }
        Taken::More
    }

    /// What was held back is no preamble after all.
    pub fn release_held(&mut self) {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => return,
        };
        let held = std::mem::take(&mut wire.held);
        self.take_frames(&mut wire, &held);
        self.wire = Some(wire);
    }

    fn take_frames(&mut self, wire: &mut Wire, bytes: &[u8]) {
        if wire.nonce.is_some() {
            if let Taken::Lost = self.take_synced(wire, bytes) {
                if wire.greeted {
                    self.end_session();
                }
                wire.hunt();
            }
        }
    }

    fn take_connection(&mut self, wire: &mut Wire, bytes: &[u8]) -> Taken {
        if wire.nonce.is_some() {
            return self.take_synced(wire, bytes);
        }
        match wire.hunter.find(bytes) {
            Some((end, nonce)) => {
                wire.nonce = Some(nonce);
                self.take_synced(wire, &bytes[end..])
            }
            None => {
                wire.noise += bytes.len();
                if wire.noise > MAX_NOISE {
                    Taken::Lost
                } else {
                    Taken::More
                }
            }
        }
    }

    /// Frames behind a preamble.
    fn take_synced(&mut self, wire: &mut Wire, mut bytes: &[u8]) -> Taken {
        let mut parser = std::mem::take(&mut wire.parser);
        let taken = loop {
            let (header, payload) = match parser.next(&mut bytes) {
                Ok(Some(frame)) => frame,
                Ok(None) => break Taken::More,
                Err(_) => break Taken::Lost,
            };
            if wire.greeted {
                match self.session().accept(header, payload) {
                    Ok(message) => self.carry_out(message),
                    Err(Broken(_)) => break Taken::Lost,
                }
            } else if header.kind == kind::HELLO {
                if !self.greet(wire, payload) {
                    break Taken::Lost;
                }
            } else if header.kind != kind::PAD {
                break Taken::Lost;
            }
        };
        wire.parser = parser;
        taken
    }
}
