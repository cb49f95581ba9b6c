//! Files that exist in memory only.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::raw::{c_char, c_int, c_uint};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd};

extern "C" {
    fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
}

const MFD_CLOEXEC: c_uint = 1;
const MFD_ALLOW_SEALING: c_uint = 2;
const F_ADD_SEALS: c_int = 1033;
/// No more seals, no shrinking, no growing, no writing.
const ALL_SEALS: c_int = 0xF;

/// A memory file with this content that nobody can change, positioned at 0.
pub fn sealed(name: &CStr, content: &[u8]) -> io::Result<OwnedFd> {
    let fd = unsafe { memfd_create(name.as_ptr(), MFD_CLOEXEC | MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    if unsafe { fcntl(file.as_raw_fd(), F_ADD_SEALS, ALL_SEALS) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file.into())
}
