//! Extended attributes. Those of links and nodes are reached by their names in the working directory, since no
//! descriptor of them may be opened for it.

use super::{c, c_string, check, check_size, Errno, Result};
use std::ffi::CStr;
use std::os::unix::io::RawFd;

/// What attributes belong to.
#[derive(Clone, Copy)]
pub enum Holder<'a> {
    Open(RawFd),
    /// An entry of a folder, never followed when it is a link.
    Entry(RawFd, &'a [u8]),
}

/// Goes to the folder where it must.
fn locate(holder: Holder<'_>) -> Result<Option<std::ffi::CString>> {
    match holder {
        Holder::Open(_) => Ok(None),
        Holder::Entry(directory, name) => {
            check(unsafe { c::fchdir(directory) })?;
            // A name that is no option and no absolute path.
            c_string(name).map(Some)
        }
    }
}

fn descriptor(holder: Holder<'_>) -> RawFd {
    match holder {
        Holder::Open(fd) | Holder::Entry(fd, _) => fd,
    }
}

pub fn set(holder: Holder<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    let name = c_string(name)?;
    let (bytes, length) = (value.as_ptr().cast(), value.len());
    check(match locate(holder)? {
        None => unsafe { c::fsetxattr(descriptor(holder), name.as_ptr(), bytes, length, 0) },
        Some(path) => unsafe { c::lsetxattr(path.as_ptr(), name.as_ptr(), bytes, length, 0) },
    })
    .map(drop)
}

pub fn remove(fd: RawFd, name: &[u8]) -> Result<()> {
    let name = c_string(name)?;
    check(unsafe { c::fremovexattr(fd, name.as_ptr()) }).map(drop)
}

/// Reads into a buffer that grows until it is enough.
fn grow(mut call: impl FnMut(*mut u8, usize) -> isize) -> Result<Vec<u8>> {
    let mut room = 256;
    loop {
        let mut buffer = vec![0; room];
        match check_size(call(buffer.as_mut_ptr(), buffer.len())) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // The kernel has no longer ones than 64 KiB.
            Err(Errno(c::ERANGE)) if room < 65_536 => room *= 16,
            Err(error) => return Err(error),
        }
    }
}

fn value_of(holder: Holder<'_>, path: Option<&CStr>, name: &[u8]) -> Result<Vec<u8>> {
    let name = c_string(name)?;
    grow(|buffer, room| match path {
        None => unsafe { c::fgetxattr(descriptor(holder), name.as_ptr(), buffer.cast(), room) },
        Some(path) => unsafe { c::lgetxattr(path.as_ptr(), name.as_ptr(), buffer.cast(), room) },
    })
}

/// Names of attributes; none where the file system knows of no attributes.
pub fn names(holder: Holder<'_>) -> Result<Vec<Vec<u8>>> {
    let path = locate(holder)?;
    let list = match grow(|buffer, room| match &path {
        None => unsafe { c::flistxattr(descriptor(holder), buffer.cast(), room) },
        Some(path) => unsafe { c::llistxattr(path.as_ptr(), buffer.cast(), room) },
    }) {
        Err(Errno(c::EOPNOTSUPP)) => return Ok(Vec::new()),
        other => other?,
    };
    Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

/// All of them, sorted by name.
pub fn all(holder: Holder<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut list = names(holder)?;
    if list.is_empty() {
        return Ok(found);
    }
    list.sort();
    let path = locate(holder)?;
    for name in list {
        match value_of(holder, path.as_deref(), &name) {
            Ok(value) => found.push((name, value)),
            // Gone since, or not for us to read.
            Err(Errno(c::ENODATA | c::EOPNOTSUPP | c::EPERM | c::EACCES)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
