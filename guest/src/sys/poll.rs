//! Waiting for descriptors: level-triggered epoll.

use super::{c, check, own, retry, Result};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

pub const READ: u32 = 0x001;
pub const WRITE: u32 = 0x004;
pub const FAILED: u32 = 0x008;
pub const HUNG_UP: u32 = 0x010;

const EPOLL_CTL_ADD: c::Int = 1;
const EPOLL_CTL_DEL: c::Int = 2;
const EPOLL_CTL_MOD: c::Int = 3;

#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
#[derive(Clone, Copy)]
pub struct Event {
    events: u32,
    token: u64,
}

impl Event {
    pub const EMPTY: Event = Event { events: 0, token: 0 };

    pub fn token(&self) -> u64 {
        self.token
    }

    /// Reading will not block: there are bytes, the end, or an error to learn of.
    pub fn readable(&self) -> bool {
        self.events & (READ | HUNG_UP | FAILED) != 0
    }

    pub fn writable(&self) -> bool {
        self.events & (WRITE | HUNG_UP | FAILED) != 0
    }
}

extern "C" {
    fn epoll_create1(flags: c::Int) -> c::Int;
    fn epoll_ctl(poller: c::Int, operation: c::Int, fd: c::Int, event: *mut Event) -> c::Int;
    fn epoll_wait(poller: c::Int, events: *mut Event, count: c::Int, timeout: c::Int) -> c::Int;
}

pub struct Poller {
    fd: OwnedFd,
}

impl Poller {
    pub fn new() -> Result<Poller> {
        Ok(Poller { fd: own(unsafe { epoll_create1(c::O_CLOEXEC) })? })
    }

    /// Readable while anything is to be told.
    pub fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub fn add(&self, fd: RawFd, token: u64, interest: u32) -> Result<()> {
        self.control(EPOLL_CTL_ADD, fd, token, interest)
    }

    pub fn change(&self, fd: RawFd, token: u64, interest: u32) -> Result<()> {
        self.control(EPOLL_CTL_MOD, fd, token, interest)
    }

    /// A hang-up is reported whatever the interest, so a descriptor that is of no interest must be taken out.
    pub fn remove(&self, fd: RawFd) {
        let _ = self.control(EPOLL_CTL_DEL, fd, 0, 0);
    }

    /// Waits at most `timeout` milliseconds, -1 without end.
    pub fn wait(&self, events: &mut [Event], timeout: i32) -> Result<usize> {
        retry(|| {
            check(unsafe { epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), events.len() as c::Int, timeout) })
        })
        .map(|count| count as usize)
    }

    fn control(&self, operation: c::Int, fd: RawFd, token: u64, interest: u32) -> Result<()> {
        let mut event = Event { events: interest, token };
        check(unsafe { epoll_ctl(self.fd.as_raw_fd(), operation, fd, &mut event) }).map(drop)
    }
}
