//! Joins descriptors 0 and 1 to the agent's socket, for engines that can start a process in a machine but not open a
//! socket there. It ends when either side does.

use crate::sys::host::{poll, PollFd, POLLIN, POLLOUT};
use crate::sys::{self, c, process, socket, Errno};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

const BUFFER: usize = 64 * 1024;
/// The machine's first process may be so young that it does not listen yet.
const TRIES: u32 = 400;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

pub fn main(args: &[OsString]) -> i32 {
    let path = match args {
        [path] => path.as_bytes(),
        _ => {
            eprintln!("usage: cove-guest bridge SOCKET");
            return 2;
        }
    };
    match carry(path) {
        Ok(()) => 0,
        Err(errno) => {
            eprintln!("cove-guest: {:?}", errno);
            1
        }
    }
}

fn carry(path: &[u8]) -> sys::Result<()> {
    // What passes through is the session's, and its token.
    process::hide_memory()?;
    // The end of the machine is asked for by a signal to everybody in it; its last words are still to be carried out.
    let _blocked = process::signals(&[c::SIGTERM, c::SIGINT])?;
    let agent = connect(path)?;
    join(agent.as_raw_fd())
}

fn connect(path: &[u8]) -> sys::Result<OwnedFd> {
    let mut tries = 0;
    loop {
        match socket::connect_unix(path) {
            Ok((agent, true)) => return Ok(agent),
            Err(Errno(c::ENOENT)) | Err(Errno(c::ECONNREFUSED)) | Err(Errno(c::EAGAIN)) if tries < TRIES => {}
            Err(errno) => return Err(errno),
            Ok((_, false)) if tries < TRIES => {}
            Ok((_, false)) => return Err(Errno(c::ECONNREFUSED)),
        }
        tries += 1;
        std::thread::sleep(BETWEEN_TRIES);
    }
}

/// One direction: what has been read and not yet written.
struct Flow {
    from: RawFd,
    to: RawFd,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Flow {
    fn new(from: RawFd, to: RawFd) -> Flow {
        Flow { from, to, bytes: vec![0; BUFFER], start: 0, end: 0 }
    }

    fn waits_for(&self) -> PollFd {
        if self.start == self.end {
            PollFd { fd: self.from, events: POLLIN, revents: 0 }
        } else {
            PollFd { fd: self.to, events: POLLOUT, revents: 0 }
        }
    }

    /// Moves what can be moved without waiting; false at the end of either side.
    fn step(&mut self) -> sys::Result<bool> {
        match self.pass_on() {
            Err(Errno(c::EPIPE)) | Err(Errno(c::ECONNRESET)) => Ok(false),
            other => other,
        }
    }

    fn pass_on(&mut self) -> sys::Result<bool> {
        if self.start == self.end {
            match sys::read(self.from, &mut self.bytes) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    self.start = 0;
                    self.end = length;
                }
                Err(Errno(c::EAGAIN)) => return Ok(true),
                Err(errno) => return Err(errno),
            }
        }
        match sys::write(self.to, &self.bytes[self.start..self.end]) {
            Ok(length) => self.start += length,
            Err(Errno(c::EAGAIN)) => {}
            Err(errno) => return Err(errno),
        }
        Ok(true)
    }
}

fn join(agent: RawFd) -> sys::Result<()> {
    let mut flows = [Flow::new(0, agent), Flow::new(agent, 1)];
    for fd in [0, 1] {
        sys::set_nonblocking(fd, true)?;
    }
    loop {
        let mut fds = [flows[0].waits_for(), flows[1].waits_for()];
        poll(&mut fds, -1)?;
        for (flow, fd) in flows.iter_mut().zip(fds.iter()) {
            if fd.revents != 0 && !flow.step()? {
                return Ok(());
            }
        }
    }
}
