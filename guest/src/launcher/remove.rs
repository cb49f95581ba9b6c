//! Removing a folder with everything in it, whoever filled it: links are never followed, mounts never entered, depth
//! costs no stack and no descriptors, and folders without permissions are opened up first.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use crate::sys::{self, c, host, Errno};

/// Deeper folders are moved up to the top and removed from there.
const MAX_DEPTH: usize = 32;
/// Unlinking a larger file takes long enough to be left to a helper.
const LARGE_BLOCKS: u64 = (4 << 20) / 512;
/// A budget of a helper, which takes all the time there is. No folder has half as many entries.
const UNLIMITED: u64 = u64::MAX;

pub enum Removed {
    All,
    /// There is more than the budget allows to remove at once.
    TooMuch,
}

struct Walk {
    budget: u64,
    top: OwnedFd,
    moved: u64,
}

/// Removes at most about `budget` entries. A path that is not there is no error.
pub fn remove(path: &str, budget: u64) -> io::Result<Removed> {
    let path = Path::new(path);
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => (parent, CString::new(name.as_bytes())?),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let parent = match sys::open(parent.as_os_str().as_bytes(), c::O_PATH | c::O_DIRECTORY, 0) {
        Err(Errno(c::ENOENT)) => return Ok(Removed::All),
        other => other.map_err(to_io)?,
    };
    match unlink(parent.as_raw_fd(), &name, budget) {
        Ok(true) => return Ok(Removed::All),
        Ok(false) => {}
        Err(Errno(c::E2BIG)) => return Ok(Removed::TooMuch),
        Err(error) => return Err(to_io(error)),
    }
    let top = open_folder(parent.as_raw_fd(), &name).map_err(to_io)?;
    let fd = top.as_raw_fd();
    let mut walk = Walk { budget, top, moved: 0 };
    let done = loop {
        let before = walk.moved;
        match walk.empty(fd, 0) {
            // What was moved up is emptied in the next round.
            Ok(()) if walk.moved != before => continue,
            other => break other,
        }
    };
    match done {
        Ok(()) => {}
        Err(Errno(c::E2BIG)) => return Ok(Removed::TooMuch),
        Err(error) => return Err(to_io(error)),
    }
    match sys::check(unsafe { c::unlinkat(parent.as_raw_fd(), name.as_ptr(), c::AT_REMOVEDIR) }) {
        Ok(_) | Err(Errno(c::ENOENT)) => Ok(Removed::All),
        Err(error) => Err(to_io(error)),
    }
}

impl Walk {
    fn empty(&mut self, folder: RawFd, depth: usize) -> Result<(), Errno> {
        for entry in fs::read_dir(format!("/proc/self/fd/{}", folder))? {
            self.budget = self.budget.checked_sub(1).ok_or(Errno(c::E2BIG))?;
            let name = CString::new(entry?.file_name().into_vec()).map_err(|_| Errno(c::EINVAL))?;
            if unlink(folder, &name, self.budget)? {
                continue;
            }
            if depth >= MAX_DEPTH {
                self.move_up(folder, &name)?;
                continue;
            }
            // A helper of a dead launcher may be removing the same: what is gone already is no error.
            let inner = match open_folder(folder, &name) {
                Err(Errno(c::ENOENT)) => continue,
                other => other?,
            };
            self.empty(inner.as_raw_fd(), depth + 1)?;
            match sys::check(unsafe { c::unlinkat(folder, name.as_ptr(), c::AT_REMOVEDIR) }) {
                Ok(_) | Err(Errno(c::ENOENT)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn move_up(&mut self, folder: RawFd, name: &CStr) -> Result<(), Errno> {
        self.moved += 1;
        let fresh = sys::c_string(format!(".cove-{:016x}", u64::from_be_bytes(sys::random())).as_bytes())?;
        // A folder can only be moved by who may write to it: its `..` changes.
        drop(open_folder(folder, name)?);
        let top = self.top.as_raw_fd();
        sys::check(unsafe { c::renameat(folder, name.as_ptr(), top, fresh.as_ptr()) }).map(drop)
    }
}

/// False when it is a folder. A large file is left alone under a budget, with `E2BIG`.
fn unlink(folder: RawFd, name: &CStr, budget: u64) -> Result<bool, Errno> {
    if budget < UNLIMITED / 2 && is_large(folder, name) {
        return Err(Errno(c::E2BIG));
    }
    match sys::check(unsafe { c::unlinkat(folder, name.as_ptr(), 0) }) {
        Ok(_) | Err(Errno(c::ENOENT)) => Ok(true),
        Err(Errno(c::EISDIR)) => Ok(false),
        // Some file systems say this for folders.
        Err(Errno(c::EPERM)) if open_folder(folder, name).is_ok() => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_large(folder: RawFd, name: &CStr) -> bool {
    let flags = c::O_PATH | c::O_NOFOLLOW;
    let file = match host::open_entry(folder, name, flags) {
        Ok(fd) => fs::File::from(fd),
        Err(_) => return false,
    };
    file.metadata().map_or(false, |facts| facts.is_file() && facts.blocks() > LARGE_BLOCKS)
}

/// Opens a folder for reading, giving its owner the right to do so first where it is missing.
fn open_folder(parent: RawFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = c::O_DIRECTORY | c::O_NOFOLLOW;
    let handle = host::open_entry(parent, name, flags | c::O_PATH)?;
    let path = sys::c_string(format!("/proc/self/fd/{}", handle.as_raw_fd()).as_bytes())?;
    let mode = fs::File::from(handle.try_clone()?).metadata()?.mode();
    if mode & 0o700 != 0o700 {
        sys::check(unsafe { c::fchmodat(c::AT_FDCWD, path.as_ptr(), (mode & 0o7777) | 0o700, 0) })?;
    }
    host::open_entry(parent, name, flags)
}

fn to_io(error: Errno) -> io::Error {
    io::Error::from_raw_os_error(error.0)
}

#[cfg(test)]
mod tests;
