//! Disks.

use super::{c, check, Result};
use std::os::unix::io::RawFd;

/// True for a disk that the host gives for reading only.
pub fn is_read_only(fd: RawFd) -> Result<bool> {
    let mut flag: c::Int = 0;
    check(unsafe { c::ioctl(fd, c::BLKROGET, &mut flag as *mut c::Int) })?;
    Ok(flag != 0)
}
