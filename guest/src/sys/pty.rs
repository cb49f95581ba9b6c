//! Terminals.

use super::{c, check, open, own, Result};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

pub const TIOCSCTTY: c::ULong = 0x540E;
const TIOCGPTPEER: c::ULong = 0x5441;
const TIOCSPTLCK: c::ULong = 0x4004_5431;
const TIOCSWINSZ: c::ULong = 0x5414;
const FIONREAD: c::ULong = 0x541B;

#[repr(C)]
struct WindowSize {
    rows: u16,
    columns: u16,
    width: u16,
    height: u16,
}

/// A new terminal: the master's end, not blocking, and the one for the process, which belongs to `owner` as far as
/// the agent may give it away.
pub fn open_terminal(rows: u16, columns: u16, owner: Option<(u32, u32)>) -> Result<(OwnedFd, OwnedFd)> {
    let master = open(b"/dev/ptmx", c::O_RDWR | c::O_NOCTTY | c::O_NONBLOCK, 0)?;
    let locked: c::Int = 0;
    check(unsafe { c::ioctl(master.as_raw_fd(), TIOCSPTLCK, &locked as *const c::Int) })?;
    let flags = (c::O_RDWR | c::O_NOCTTY | c::O_CLOEXEC) as c::Long;
    let slave = own(unsafe { c::ioctl(master.as_raw_fd(), TIOCGPTPEER, flags) })?;
    resize(master.as_raw_fd(), rows, columns)?;
    if let Some((uid, gid)) = owner {
        unsafe {
            c::fchown(slave.as_raw_fd(), uid, gid);
            c::fchmod(slave.as_raw_fd(), 0o620);
        }
    }
    Ok((master, slave))
}

pub fn resize(master: RawFd, rows: u16, columns: u16) -> Result<()> {
    let size = WindowSize { rows, columns, width: 0, height: 0 };
    check(unsafe { c::ioctl(master, TIOCSWINSZ, &size as *const WindowSize) }).map(drop)
}

/// Bytes that wait in a pipe or terminal.
pub fn waiting(fd: RawFd) -> usize {
    let mut count: c::Int = 0;
    match check(unsafe { c::ioctl(fd, FIONREAD, &mut count as *mut c::Int) }) {
        Ok(_) if count > 0 => count as usize,
        _ => 0,
    }
}
