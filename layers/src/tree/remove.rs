//! Trees removed: links are not followed, and what is mounted in them stays.

use crate::failure::{Code, Failure, Result, Tried};
use crate::sys::files::{self, Stat};
use crate::sys::{self, c, Errno};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

/// Open folders within each other; what lies deeper is moved up and removed from there.
const MAX_OPEN: usize = 200;

struct Level {
    fd: OwnedFd,
    name: Vec<u8>,
    names: std::vec::IntoIter<Vec<u8>>,
}

/// Removes one entry of an open folder; answers false where there was none.
pub fn entry(directory: RawFd, name: &[u8]) -> Result<bool> {
    match files::remove_file_at(directory, name) {
        Ok(()) => return Ok(true),
        Err(Errno(c::ENOENT)) => return Ok(false),
        // Of a folder, as POSIX has it and as Linux has it.
        Err(Errno(c::EPERM | c::EISDIR)) => {}
        Err(error) => return Err(Failure::system("remove an entry", error)),
    }
    let found = match files::stat_at(directory, name) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => return Err(Failure::system("remove an entry", Errno(c::EPERM))),
        Err(Errno(c::ENOENT)) => return Ok(false),
        Err(error) => return Err(Failure::system("look at an entry", error)),
    };
    refuse_mounts(&found, &files::stat(directory).tried("look at a folder")?, name)?;
    let top = open(directory, name, &found)?;
    let mut moved = 0;
    // Again and again, since what lay too deep is moved here.
    loop {
        let names = read(&top)?;
        if names.is_empty() {
            break;
        }
        for name in names {
            below(&top, name, &found, &mut moved)?;
        }
    }
    files::remove_dir_at(directory, name).tried("remove a folder")?;
    Ok(true)
}

fn refuse_mounts(found: &Stat, parent: &Stat, name: &[u8]) -> Result<()> {
    if found.device == parent.device {
        return Ok(());
    }
    Err(Failure::new(Code::Io, "something is mounted in what should be removed").at(name))
}

/// Moves a folder up, under a name that nothing has there.
fn move_up(directory: RawFd, name: &[u8], top: &OwnedFd, moved: &mut u64) -> Result<()> {
    loop {
        let aside = format!(".cove-deep-{moved}");
        *moved += 1;
        match files::rename_at(directory, name, top.as_raw_fd(), aside.as_bytes()) {
            Err(Errno(c::EEXIST | c::ENOTEMPTY | c::ENOTDIR)) => {}
            other => return other.tried("move a folder"),
        }
    }
}

/// Removes an entry of the topmost folder; `moved` counts what was moved there.
fn below(top: &OwnedFd, name: Vec<u8>, origin: &Stat, moved: &mut u64) -> Result<()> {
    let mut levels: Vec<Level> = Vec::new();
    let mut next = Some(name);
    loop {
        let directory = levels.last().map_or(top, |level| &level.fd).as_raw_fd();
        let name = match next.take().or_else(|| levels.last_mut().and_then(|level| level.names.next())) {
            Some(name) => name,
            None => {
                let level = match levels.pop() {
                    Some(level) => level,
                    None => return Ok(()),
                };
                drop(level.fd);
                let directory = levels.last().map_or(top, |level| &level.fd).as_raw_fd();
                files::remove_dir_at(directory, &level.name).tried("remove a folder")?;
                if levels.is_empty() {
                    return Ok(());
                }
                continue;
            }
        };
        match files::remove_file_at(directory, &name) {
            Ok(()) | Err(Errno(c::ENOENT)) => {}
            Err(Errno(c::EPERM | c::EISDIR)) => {
                let found = files::stat_at(directory, &name).tried("look at an entry")?;
                refuse_mounts(&found, origin, &name)?;
                if levels.len() >= MAX_OPEN {
                    move_up(directory, &name, top, moved)?;
                } else {
                    let fd = open(directory, &name, &found)?;
                    let names = read(&fd)?.into_iter();
                    levels.push(Level { fd, name, names });
                    continue;
                }
            }
            Err(error) => return Err(Failure::system("remove an entry", error)),
        }
        if levels.is_empty() {
            return Ok(());
        }
    }
}

/// Opens a folder to empty it, made accessible first where its owner has shut himself out.
fn open(directory: RawFd, name: &[u8], found: &Stat) -> Result<OwnedFd> {
    if !sys::is_root() && found.mode & 0o700 != 0o700 {
        files::set_mode_at(directory, name, 0o700).tried("open a folder")?;
    }
    sys::open_dir_at(directory, name).tried("open a folder")
}

fn read(folder: &OwnedFd) -> Result<Vec<Vec<u8>>> {
    sys::entries::rewind(folder.as_raw_fd()).tried("read a folder")?;
    sys::entries::names(folder.as_raw_fd()).tried("read a folder")
}

/// Removes what is at a path; nothing when nothing is there.
pub fn path(path: &[u8]) -> Result<bool> {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    let begin = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let name = &path[begin..end];
    if name.is_empty() || name == b"." || name == b".." {
        return Err(Failure::new(Code::Usage, "this is no name of a folder").at(path));
    }
    let parent: &[u8] = if begin == 0 { b"." } else { &path[..begin] };
    match sys::open_at(c::AT_FDCWD, parent, c::O_RDONLY | c::O_DIRECTORY, 0) {
        Ok(directory) => entry(directory.as_raw_fd(), name),
        Err(Errno(c::ENOENT)) => Ok(false),
        Err(error) => Err(Failure::system("open a folder", error)),
    }
}
