//! System calls that the standard library does not offer. Everything unsafe of the program lives below here.

pub mod block;
pub mod c;
pub mod entropy;
pub mod memory;
pub mod mount;
pub mod network;
pub mod poll;
pub mod process;
pub mod socket;
pub mod time;

use std::ffi::CString;
use std::os::unix::io::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

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

/// A path or argument for the kernel; `EINVAL` when it has a NUL inside.
pub fn c_string(bytes: impl AsRef<[u8]>) -> Result<CString> {
    CString::new(bytes.as_ref()).map_err(|_| Errno(c::EINVAL))
}

/// Opens a file without ever passing the descriptor on to other programs.
pub fn open(path: impl AsRef<[u8]>, flags: c::Int) -> Result<OwnedFd> {
    let path = c_string(path)?;
    retry(|| own(unsafe { c::open(path.as_ptr(), flags | c::O_CLOEXEC, 0o600) }))
}

pub fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    retry(|| check_size(unsafe { c::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }))
}

pub fn read_at(fd: RawFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    retry(|| check_size(unsafe { c::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), offset as i64) }))
}

pub fn write(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    retry(|| check_size(unsafe { c::write(fd, bytes.as_ptr().cast(), bytes.len()) }))
}

pub fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let written = write(fd, bytes)?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// What a small file has, its first `most` bytes.
pub fn read_file(path: impl AsRef<[u8]>, most: usize) -> Result<Vec<u8>> {
    let file = open(path, c::O_RDONLY)?;
    let mut bytes = vec![0; most];
    let mut length = 0;
    while length < most {
        match read(file.as_raw_fd(), &mut bytes[length..])? {
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Writes a setting of the kernel, in one call.
pub fn set(path: &str, value: &str) -> Result<()> {
    let file = open(path, c::O_WRONLY)?;
    write(file.as_raw_fd(), value.as_bytes()).map(drop)
}

pub fn make_file(path: &str) -> Result<()> {
    open(path, c::O_WRONLY | c::O_CREAT | c::O_EXCL).map(drop)
}

pub fn make_symlink(target: &str, path: &str) -> Result<()> {
    let (target, path) = (c_string(target)?, c_string(path)?);
    check(unsafe { c::symlink(target.as_ptr(), path.as_ptr()) }).map(drop)
}

/// A folder that may be there already.
pub fn make_dir(path: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let path = c_string(path)?;
    match check(unsafe { c::mkdir(path.as_ptr(), mode) }) {
        Err(Errno(c::EEXIST)) => Ok(()),
        other => other.map(drop),
    }
}

pub fn unlink(path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    check(unsafe { c::unlink(path.as_ptr()) }).map(drop)
}

/// Modes are as they are asked for from now on.
pub fn clear_umask() {
    unsafe { c::umask(0) };
}

/// Ends to read and to write.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    check(unsafe { c::pipe2(ends.as_mut_ptr(), c::O_CLOEXEC) })?;
    Ok((own(ends[0])?, own(ends[1])?))
}

/// Passes a descriptor on to the program that this process becomes.
pub fn hand_over(fd: RawFd) -> Result<()> {
    check(unsafe { c::fcntl(fd, c::F_SETFD, 0 as c::Long) }).map(drop)
}

/// Puts a copy of a descriptor at a number, where it is passed on to other programs.
pub fn put_at(fd: RawFd, number: RawFd) -> Result<()> {
    check(unsafe { c::dup2(fd, number) }).map(drop)
}

pub fn set_blocking(fd: RawFd) -> Result<()> {
    let flags = check(unsafe { c::fcntl(fd, c::F_GETFL) })?;
    check(unsafe { c::fcntl(fd, c::F_SETFL, c::Long::from(flags & !c::O_NONBLOCK)) }).map(drop)
}

/// Fills descriptors 0 to 2 with the console, if there is one, where the kernel has not.
pub fn take_console() {
    for _ in 0..3 {
        match open("/dev/console", c::O_RDWR | c::O_NOCTTY) {
            Ok(fd) if fd.as_raw_fd() <= 2 => {
                let number = fd.into_raw_fd();
                let _ = hand_over(number);
            }
            _ => return,
        }
    }
}

pub fn set_hostname(name: &[u8]) -> Result<()> {
    check(unsafe { c::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Loads a module of the kernel; one that is there already will do.
pub fn load_module(path: &[u8]) -> Result<()> {
    let file = open(path, c::O_RDONLY)?;
    let options = c_string("")?;
    let flags: c::Int = 0;
    let loaded = unsafe { c::syscall(c::SYS_FINIT_MODULE, file.as_raw_fd(), options.as_ptr(), flags) };
    match check(loaded as c::Int) {
        Err(Errno(c::EEXIST)) => Ok(()),
        other => other.map(drop),
    }
}

/// Writes all file systems to their disks.
pub fn sync() {
    unsafe { c::sync() };
}

/// Ends the machine. Comes back only where this process may not.
pub fn reboot() {
    unsafe { c::reboot(c::RB_AUTOBOOT) };
}
