//! A file held in memory for others to map, where nobody can change it any more.

use crate::failure::{Result, Tried};
use crate::file;
use crate::memory::KEPT;
use crate::sys::{self, files};
use std::os::unix::io::{AsRawFd, OwnedFd};

/// Takes the file into memory and seals it: whoever opens it for writing can map it for itself, and write nowhere else.
pub fn keep(from: &[u8]) -> Result<OwnedFd> {
    let (source, facts) = file::open_source(from, false)?;
    let memory = files::make_memory(KEPT.as_bytes()).tried("make a file in memory")?;
    file::copy_data(source.as_raw_fd(), memory.as_raw_fd(), facts.size, &mut file::Samples::default())?;
    files::seal(memory.as_raw_fd()).tried("seal the file in memory")?;
    Ok(memory)
}

/// Comes back when nobody holds the other side of stdin any more.
pub fn wait() {
    let mut buffer = [0; 64];
    while matches!(sys::read(0, &mut buffer), Ok(count) if count > 0) {}
}
