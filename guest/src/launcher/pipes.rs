//! Stdio that the caller reads and writes itself. The launcher makes FIFOs, gives the process one end of each, and keeps
//! them open until the caller has opened the other end by its path; then the paths are removed, and a reader sees the end
//! of the output when the last process that has it is gone.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::host::c_path;
use crate::sys::c::{self, O_NOFOLLOW, O_NONBLOCK};
use crate::sys::{self, host};

pub const IN: u8 = 0;
pub const OUT: u8 = 1;
pub const ERR: u8 = 2;

const F_SETPIPE_SZ: i32 = 1031;
const PIPE_BYTES: i32 = 1 << 18;

pub struct Pipe {
    /// The process's.
    pub end: OwnedFd,
    pub kept: OwnedFd,
}

pub fn make(state: &Path, id: &str, stream: u8) -> io::Result<Pipe> {
    let path = path(state, id, stream);
    let os = |error: sys::Errno| io::Error::from_raw_os_error(error.0);
    host::make_fifo(&c_path(&path)?, 0o600).map_err(os)?;
    let open = |read, write| -> io::Result<OwnedFd> {
        let mut options = OpenOptions::new();
        options.read(read).write(write).custom_flags(O_NONBLOCK | O_NOFOLLOW);
        Ok(options.open(&path)?.into())
    };
    // For both first: then neither end waits for the other.
    let kept = open(true, true)?;
    // Fewer turns between writer and reader, and small enough for the share of all pipes that an ordinary user has. A
    // refusal leaves the usual size.
    unsafe { c::fcntl(kept.as_raw_fd(), F_SETPIPE_SZ, PIPE_BYTES) };
    let end = open(stream == IN, stream != IN)?;
    sys::set_nonblocking(end.as_raw_fd(), false).map_err(os)?;
    Ok(Pipe { end, kept })
}

/// A FIFO open for both: no side ever sees an end or an error because the other one has gone, and comes again.
pub fn lasting(path: &Path) -> io::Result<OwnedFd> {
    host::make_fifo(&c_path(path)?, 0o600).map_err(|error| io::Error::from_raw_os_error(error.0))?;
    let fd: OwnedFd = OpenOptions::new().read(true).write(true).custom_flags(O_NOFOLLOW).open(path)?.into();
    unsafe { c::fcntl(fd.as_raw_fd(), F_SETPIPE_SZ, PIPE_BYTES) };
    Ok(fd)
}

pub fn remove(state: &Path, id: &str) {
    for stream in [IN, OUT, ERR] {
        let _ = fs::remove_file(path(state, id, stream));
    }
}

fn path(state: &Path, id: &str, stream: u8) -> PathBuf {
    state.join("records").join(format!("{}.pipe{}", id, stream))
}
