//! System calls that the standard library does not offer. Everything unsafe of the program lives below here.

pub mod attributes;
pub mod c;
pub mod entries;
pub mod files;

use std::ffi::CString;
use std::os::unix::io::{FromRawFd, OwnedFd, RawFd};

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// A name for the kernel; `EINVAL` when it has a NUL inside.
pub fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Errno(c::EINVAL))
}

pub fn is_root() -> bool {
    unsafe { c::geteuid() == 0 }
}

/// Modes are as they are asked for from now on.
pub fn clear_umask() {
    unsafe { c::umask(0) };
}

/// Allows as many open files as this process may have.
pub fn raise_open_files() {
    let mut limit = c::Rlimit { soft: 0, hard: 0 };
    unsafe {
        if c::getrlimit(c::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.soft = limit.hard;
            c::setrlimit(c::RLIMIT_NOFILE, &limit);
        }
    }
}

pub fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    retry(|| check_size(unsafe { c::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }))
}

pub fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let written = retry(|| check_size(unsafe { c::write(fd, bytes.as_ptr().cast(), bytes.len()) }))?;
        bytes = &bytes[written..];
    }
    Ok(())
}

pub fn write_all_at(fd: RawFd, mut bytes: &[u8], mut offset: u64) -> Result<()> {
    while !bytes.is_empty() {
        let at = offset as i64;
        let written = retry(|| check_size(unsafe { c::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), at) }))?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

pub fn read_at(fd: RawFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    retry(|| check_size(unsafe { c::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), offset as i64) }))
}

/// Opens below a folder without ever passing the descriptor on to other programs.
pub fn open_at(directory: RawFd, path: &[u8], flags: c::Int, mode: u32) -> Result<OwnedFd> {
    let path = c_string(path)?;
    retry(|| own(unsafe { c::openat(directory, path.as_ptr(), flags | c::O_CLOEXEC, mode) }))
}

/// Opens one entry of a folder that is a folder itself and no link to one.
pub fn open_dir_at(directory: RawFd, name: &[u8]) -> Result<OwnedFd> {
    open_at(directory, name, c::O_RDONLY | c::O_DIRECTORY | c::O_NOFOLLOW, 0)
}

pub fn duplicate(fd: RawFd) -> Result<OwnedFd> {
    own(unsafe { c::dup(fd) })
}
