//! Calls that only the launcher needs: waiting for many processes and descriptors, locks, FIFOs, and opening below a
//! folder without leaving it.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_long, c_short, c_uint, c_ulong};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

use super::{c, check, check_long, own, retry, Errno, Result};

extern "C" {
    #[link_name = "poll"]
    fn c_poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
    #[link_name = "waitid"]
    fn c_waitid(kind: c_int, id: c_uint, info: *mut SignalInfo, options: c_int) -> c_int;
    #[link_name = "flock"]
    fn c_flock(fd: c_int, operation: c_int) -> c_int;
    #[link_name = "mkfifo"]
    fn c_mkfifo(path: *const c_char, mode: c_uint) -> c_int;
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PollFd {
    pub fd: RawFd,
    pub events: c_short,
    pub revents: c_short,
}

pub const POLLIN: c_short = 1;
pub const POLLOUT: c_short = 4;

/// Waits at most `timeout` milliseconds, for ever when it is negative. A signal ends the wait early.
pub fn poll(fds: &mut [PollFd], timeout: i32) -> Result<()> {
    match check(unsafe { c_poll(fds.as_mut_ptr(), fds.len() as c_ulong, timeout) }) {
        Ok(_) | Err(Errno(c::EINTR)) => Ok(()),
        Err(error) => Err(error),
    }
}

#[repr(C)]
struct SignalInfo {
    signal: c_int,
    error: c_int,
    code: c_int,
    padding: c_int,
    pid: c_int,
    uid: c_uint,
    status: c_int,
    rest: [c_int; 32],
}

/// A child that has ended and not been reaped.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub pid: i32,
    /// The exit code, or the number of the signal when `signaled`.
    pub status: i32,
    pub signaled: bool,
}

const P_ALL: c_int = 0;
const P_PID: c_int = 1;
const WEXITED: c_int = 4;
const WNOWAIT: c_int = 0x0100_0000;
const CLD_EXITED: c_int = 1;

/// Looks at one ended child and leaves it as a zombie. None: no child has ended, or there is none.
pub fn peek_ended(pid: Option<i32>) -> Result<Option<Ended>> {
    let mut info: SignalInfo = unsafe { std::mem::zeroed() };
    let (kind, id) = pid.map_or((P_ALL, 0), |pid| (P_PID, pid as c_uint));
    match retry(|| check(unsafe { c_waitid(kind, id, &mut info, WEXITED | c::WNOHANG | WNOWAIT) })) {
        Err(Errno(c::ECHILD)) => return Ok(None),
        Err(error) => return Err(error),
        Ok(_) if info.pid == 0 => return Ok(None),
        Ok(_) => {}
    }
    Ok(Some(Ended { pid: info.pid, status: info.status, signaled: info.code != CLD_EXITED }))
}

/// Waits for a child that has ended or is about to.
pub fn reap(pid: i32) {
    let mut status = 0;
    let _ = retry(|| check(unsafe { c::waitpid(pid, &mut status, 0) }));
}

/// A descriptor that is readable while one of these signals is pending; they are blocked from now on.
pub fn signal_descriptor(signals: &[i32]) -> Result<OwnedFd> {
    let mut set = c::sigset_t { bits: [0; 16] };
    for signal in signals {
        set.bits[0] |= 1 << (signal - 1);
    }
    check(unsafe { c::sigprocmask(c::SIG_SETMASK, &set, std::ptr::null_mut()) })?;
    own(unsafe { c::signalfd(-1, &set, c::O_NONBLOCK | c::O_CLOEXEC) })
}

/// Gives every signal its default action and blocks none, as a program expects to be started.
pub fn reset_signals() {
    let action = c::sigaction_t { handler: c::SIG_DFL, mask: c::sigset_t { bits: [0; 16] }, flags: 0, restorer: 0 };
    let empty = c::sigset_t { bits: [0; 16] };
    unsafe {
        c::sigaction(c::SIGPIPE, &action, std::ptr::null_mut());
        c::sigprocmask(c::SIG_SETMASK, &empty, std::ptr::null_mut());
    }
}

/// True when the lock could be taken; it holds until every copy of the descriptor is closed.
pub fn try_lock(fd: RawFd) -> Result<bool> {
    const LOCK_EX: c_int = 2;
    const LOCK_NB: c_int = 4;
    match retry(|| check(unsafe { c_flock(fd, LOCK_EX | LOCK_NB) })) {
        Ok(_) => Ok(true),
        Err(Errno(c::EAGAIN)) => Ok(false),
        Err(error) => Err(error),
    }
}

pub fn make_fifo(path: &CStr, mode: u32) -> Result<()> {
    check(unsafe { c_mkfifo(path.as_ptr(), mode) }).map(drop)
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Opens one entry of a folder: never a link's target, never what is mounted over it.
pub fn open_entry(folder: RawFd, name: &CStr, flags: c_int) -> Result<OwnedFd> {
    const NO_XDEV: u64 = 1;
    const NO_MAGICLINKS: u64 = 2;
    const NO_SYMLINKS: u64 = 4;
    const BENEATH: u64 = 8;
    open_resolved(folder, name, flags, NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH)
}

/// Opens a folder below another that stands for `/`: links lead to nowhere else.
pub fn open_inside(root: RawFd, path: &str) -> Result<OwnedFd> {
    const NO_MAGICLINKS: u64 = 2;
    const IN_ROOT: u64 = 16;
    open_resolved(root, &super::c_string(path.as_bytes())?, c::O_PATH | c::O_DIRECTORY, NO_MAGICLINKS | IN_ROOT)
}

fn open_resolved(folder: RawFd, path: &CStr, flags: c_int, resolve: u64) -> Result<OwnedFd> {
    const SYS_OPENAT2: c_long = 437;
    let how = OpenHow { flags: (flags | c::O_CLOEXEC) as u64, mode: 0, resolve };
    let size = std::mem::size_of::<OpenHow>();
    let fd =
        retry(|| check_long(unsafe { c::syscall(SYS_OPENAT2, folder, path.as_ptr(), &how as *const OpenHow, size) }))?;
    own(fd as c_int)
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: RawFd) {
    let last = c_uint::MAX as c_long;
    unsafe { c::syscall(c::SYS_CLOSE_RANGE, first as c_long, last, 0 as c_long) };
}

/// A copy of a descriptor with a number of at least `least`, closed on exec.
pub fn duplicate_above(fd: &OwnedFd, least: RawFd) -> Result<OwnedFd> {
    own(unsafe { c::fcntl(fd.as_raw_fd(), c::F_DUPFD_CLOEXEC, least) })
}
