//! Process handles that can never mean another process.

use std::io;
use std::os::raw::{c_int, c_long, c_uint};
use std::os::unix::io::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

const SYS_PIDFD_SEND_SIGNAL: c_long = 424;
const SYS_PIDFD_OPEN: c_long = 434;
/// Linux 6.9.
const PIDFD_SIGNAL_PROCESS_GROUP: c_uint = 4;

/// A handle that becomes readable when the process ends.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let flags: c_uint = 0;
    let fd = unsafe { syscall(SYS_PIDFD_OPEN, pid as c_int, flags) };
    check(fd)?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

pub fn send_signal(handle: RawFd, signal: i32) -> io::Result<()> {
    send(handle, signal, 0)
}

/// To the whole process group of the process, which must be its leader.
pub fn send_signal_to_group(handle: RawFd, signal: i32) -> io::Result<()> {
    send(handle, signal, PIDFD_SIGNAL_PROCESS_GROUP)
}

fn send(handle: RawFd, signal: i32, flags: c_uint) -> io::Result<()> {
    let no_info = ptr::null::<u8>();
    check(unsafe { syscall(SYS_PIDFD_SEND_SIGNAL, handle, signal as c_int, no_info, flags) })
}

fn check(status: c_long) -> io::Result<()> {
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
