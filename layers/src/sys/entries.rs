//! Folders read whole.

use super::{c, Errno, Result};
use std::os::unix::io::RawFd;

/// The names in an open folder, `.` and `..` left out, in the order of the file system. Reads from the folder's start
/// once: the descriptor stands at the end afterwards.
pub fn names(directory: RawFd) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut buffer = vec![0u8; 65_536];
    loop {
        let room = buffer.len() as c::Long;
        let count = unsafe { c::syscall(c::SYS_GETDENTS64, directory as c::Long, buffer.as_mut_ptr(), room) };
        if count < 0 {
            return Err(Errno::last());
        }
        if count == 0 {
            return Ok(found);
        }
        let mut rest = &buffer[..count as usize];
        while rest.len() > 19 {
            let length = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
            let name = &rest[19..length];
            let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())];
            if name != b"." && name != b".." {
                found.push(name.to_vec());
            }
            rest = &rest[length..];
        }
    }
}

/// Lets the next `names` read from the start again.
pub fn rewind(directory: RawFd) -> Result<()> {
    if unsafe { c::lseek(directory, 0, 0) } < 0 {
        return Err(Errno::last());
    }
    Ok(())
}
