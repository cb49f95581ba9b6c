//! Waiting for descriptors.

use super::{c, check, own, retry, Result};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

pub const READ: u32 = 0x001;
pub const WRITE: u32 = 0x004;
pub const HUNG_UP: u32 = 0x010;
/// Told only when something has changed, so that a port whose host is away keeps nobody busy.
pub const CHANGES: u32 = 1 << 31;

const EPOLL_CTL_ADD: c::Int = 1;

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
}

extern "C" {
    fn epoll_create1(flags: c::Int) -> c::Int;
    fn epoll_ctl(poller: c::Int, operation: c::Int, fd: c::Int, event: *mut Event) -> c::Int;
    fn epoll_wait(poller: c::Int, events: *mut Event, count: c::Int, timeout: c::Int) -> c::Int;
}

pub struct Poller(OwnedFd);

impl Poller {
    pub fn new() -> Result<Poller> {
        Ok(Poller(own(unsafe { epoll_create1(c::O_CLOEXEC) })?))
    }

    /// A descriptor that is closed leaves by itself.
    pub fn add(&self, fd: RawFd, token: u64, interest: u32) -> Result<()> {
        let mut event = Event { events: interest, token };
        check(unsafe { epoll_ctl(self.0.as_raw_fd(), EPOLL_CTL_ADD, fd, &mut event) }).map(drop)
    }

    pub fn wait(&self, events: &mut [Event]) -> Result<usize> {
        retry(|| check(unsafe { epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), events.len() as c::Int, -1) }))
            .map(|count| count as usize)
    }
}

/// What is true of one descriptor within so many milliseconds; without end when negative.
pub fn wait_for(fd: RawFd, events: u32, timeout: i32) -> Result<u32> {
    let mut one = c::PollFd { fd, events: events as c::Short, revents: 0 };
    retry(|| check(unsafe { c::poll(&mut one, 1, timeout) }))?;
    Ok(one.revents as u16 as u32)
}
