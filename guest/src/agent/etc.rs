//! Files of `/etc` that only the host knows the content of, such as where names are resolved.

use crate::sys::{self, c};
use std::os::unix::io::{AsRawFd, OwnedFd};

const MAX_BYTES: usize = 64 * 1024;

/// Puts it in place of what is there, never through a link. A machine that cannot have it can do without.
pub fn write(name: &str, content: OwnedFd) {
    if let Err(error) = replace(name, content) {
        eprintln!("cove-guest: /etc/{}: {:?}", name, error);
    }
}

fn replace(name: &str, content: OwnedFd) -> sys::Result<()> {
    let mut bytes = vec![0; MAX_BYTES];
    let mut length = 0;
    while length < MAX_BYTES {
        match sys::read(content.as_raw_fd(), &mut bytes[length..])? {
            0 => break,
            count => length += count,
        }
    }
    let folder = sys::open(b"/etc", c::O_RDONLY | c::O_DIRECTORY, 0)?;
    let target = sys::c_string(name.as_bytes())?;
    let _ = sys::check(unsafe { c::unlinkat(folder.as_raw_fd(), target.as_ptr(), 0) });
    let file = sys::open_at(folder.as_raw_fd(), name.as_bytes(), c::O_WRONLY | c::O_CREAT | c::O_EXCL, 0o644)?;
    let mut written = 0;
    while written < length {
        written += sys::write(file.as_raw_fd(), &bytes[written..length])?;
    }
    Ok(())
}
