//! Signals that can only reach the process that was meant.

use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd};

use super::entry::Entry;
use super::procs;
use super::record::ProcessKey;
use crate::sys::{c, check, pidfd};

/// To the leader of an entry, or to its whole process group.
pub fn send(entry: &Entry, signal: i32, group: bool) -> io::Result<()> {
    let pid = entry.record.leader.pid;
    if entry.own {
        // Not reaped yet, so neither the pid nor the group can belong to anybody else.
        let target = if group { -pid } else { pid };
        return check(unsafe { c::kill(target, signal) })
            .map(drop)
            .map_err(|error| io::Error::from_raw_os_error(error.0));
    }
    let handle = entry.handle.as_ref().ok_or_else(|| io::Error::from_raw_os_error(c::ESRCH))?.as_raw_fd();
    if !group {
        return pidfd::send_signal(handle, signal);
    }
    match pidfd::send_signal_to_group(handle, signal) {
        // Kernels before 6.9 cannot do that.
        Err(error) if error.raw_os_error() == Some(c::EINVAL) && procs::alive(entry.record.leader) => {
            check(unsafe { c::kill(-pid, signal) }).map(drop).map_err(|error| io::Error::from_raw_os_error(error.0))
        }
        other => other,
    }
}

/// To exactly this process; the handle becomes readable when it has ended. None: it has ended already.
pub fn send_exactly(key: ProcessKey, signal: i32) -> Option<OwnedFd> {
    let handle = open_exactly(key)?;
    pidfd::send_signal(handle.as_raw_fd(), signal).ok()?;
    Some(handle)
}

/// A handle of exactly this process, also when it is a zombie; None when it is gone.
pub fn open_exactly(key: ProcessKey) -> Option<OwnedFd> {
    let handle = pidfd::open(key.pid).ok()?;
    // The pid may have been used again before it was opened, but not between opening and looking.
    if procs::exists(key) {
        Some(handle)
    } else {
        None
    }
}
