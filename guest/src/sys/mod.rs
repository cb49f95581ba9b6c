//! System calls that the standard library does not offer. Everything unsafe of the guest program lives below here.

pub mod c;
pub mod files;
pub mod host;
pub mod inotify;
pub mod machine;
pub mod memfd;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod pidfd;
pub mod poll;
pub mod process;
pub mod pty;
pub mod socket;

use std::ffi::CString;
use std::fmt;
use std::io::IoSlice;
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

pub type Result<T> = std::result::Result<T, Errno>;

impl Errno {
    /// The error of the last failed call of this thread.
    pub fn last() -> Errno {
        Errno(unsafe { *c::__errno_location() })
    }

    /// What `strerror` says, without the number.
    pub fn text(self) -> String {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        match text.find(" (os error") {
            Some(end) => text[..end].to_string(),
            None => text,
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (errno {})", self.text(), self.0)
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(c::EIO))
    }
}

/// Turns a call's -1 into its error number.
pub fn check(result: c::Int) -> Result<c::Int> {
    if result == -1 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// The same for calls that return a length.
pub fn check_size(result: isize) -> Result<usize> {
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result as usize)
    }
}

/// The same for raw system calls.
pub fn check_long(result: c::Long) -> Result<c::Long> {
    if result == -1 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// Repeats a call that a signal interrupted.
pub fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno(c::EINTR)) => continue,
            other => return other,
        }
    }
}

/// Takes ownership of a descriptor that a call has just returned.
pub fn own(result: c::Int) -> Result<OwnedFd> {
    let fd = check(result)?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes ownership of an inherited descriptor; fails with `EBADF` where none is open.
pub fn adopt(fd: RawFd) -> Result<OwnedFd> {
    check(unsafe { c::fcntl(fd, c::F_GETFD) })?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A path or argument for the kernel; `EINVAL` when it has a NUL inside.
pub fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Errno(c::EINVAL))
}

pub fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    retry(|| check_size(unsafe { c::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }))
}

pub fn write(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    retry(|| check_size(unsafe { c::write(fd, bytes.as_ptr().cast(), bytes.len()) }))
}

/// Writes several parts in one call.
pub fn write_parts(fd: RawFd, parts: &[IoSlice<'_>]) -> Result<usize> {
    // The standard library promises that an `IoSlice` is laid out as the kernel wants it.
    retry(|| check_size(unsafe { c::writev(fd, parts.as_ptr().cast(), parts.len() as c::Int) }))
}

/// Reads into two parts in one call.
pub fn read_parts(fd: RawFd, first: &mut [u8], second: &mut [u8]) -> Result<usize> {
    let parts = [
        c::iovec_t { base: first.as_mut_ptr().cast(), length: first.len() },
        c::iovec_t { base: second.as_mut_ptr().cast(), length: second.len() },
    ];
    retry(|| check_size(unsafe { c::readv(fd, parts.as_ptr(), 2) }))
}

/// Asks for a pipe that holds more; the kernel gives what it allows.
pub fn widen_pipe(fd: RawFd, bytes: c::Int) {
    unsafe { c::fcntl(fd, c::F_SETPIPE_SZ, bytes) };
}

/// Opens without ever passing the descriptor on to other programs.
pub fn open(path: &[u8], flags: c::Int, mode: u32) -> Result<OwnedFd> {
    let path = c_string(path)?;
    retry(|| own(unsafe { c::open(path.as_ptr(), flags | c::O_CLOEXEC, mode) }))
}

/// The same below a directory.
pub fn open_at(directory: RawFd, path: &[u8], flags: c::Int, mode: u32) -> Result<OwnedFd> {
    let path = c_string(path)?;
    retry(|| own(unsafe { c::openat(directory, path.as_ptr(), flags | c::O_CLOEXEC, mode) }))
}

/// Reads a small file whole, at most `limit` bytes of it.
pub fn read_small(path: &[u8], limit: usize) -> Result<Vec<u8>> {
    let file = open(path, c::O_RDONLY | c::O_NONBLOCK, 0)?;
    let mut bytes = vec![0; 4096.min(limit)];
    let mut length = 0;
    while length < limit {
        if length == bytes.len() {
            bytes.resize((length * 2).min(limit), 0);
        }
        match read(file.as_raw_fd(), &mut bytes[length..])? {
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// A pipe, both ends closed on exec: where to read, where to write.
pub fn pipe(flags: c::Int) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    check(unsafe { c::pipe2(ends.as_mut_ptr(), flags | c::O_CLOEXEC) })?;
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

pub fn set_nonblocking(fd: RawFd, on: bool) -> Result<()> {
    let flags = check(unsafe { c::fcntl(fd, c::F_GETFL) })?;
    let wanted = if on { flags | c::O_NONBLOCK } else { flags & !c::O_NONBLOCK };
    if wanted != flags {
        check(unsafe { c::fcntl(fd, c::F_SETFL, wanted) })?;
    }
    Ok(())
}

/// The same for a descriptor that has no other flags yet.
pub fn set_nonblocking_fresh(fd: RawFd) -> Result<()> {
    check(unsafe { c::fcntl(fd, c::F_SETFL, c::O_NONBLOCK) }).map(drop)
}

/// Marks every descriptor from `first` on as closed on exec. The last one is the largest that gVisor takes for one.
pub fn cloexec_from(first: RawFd) -> Result<()> {
    check_long(unsafe { c::syscall(c::SYS_CLOSE_RANGE, first as c::Long, i32::MAX as c::Long, 4 as c::Long) })
        .map(drop)
}

/// Random bytes of the kernel.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match check_size(unsafe { c::getrandom(bytes[filled..].as_mut_ptr().cast(), N - filled, 0) }) {
            Ok(count) => filled += count,
            Err(Errno(c::EINTR)) => {}
            // Only kernels without the call get here, and those are older than any that can run the agent.
            Err(_) => std::process::abort(),
        }
    }
    bytes
}
