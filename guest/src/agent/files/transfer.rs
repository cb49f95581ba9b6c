//! Moving between file systems: a copy, then the removal of what was copied. Runs in a forked copy of the agent.

use super::change::remove_tree;
use super::write::temporary_name;
use crate::agent::paths;
use crate::sys::files::{self, Entries, Stat};
use crate::sys::{self, c, Errno};
use std::os::unix::io::{AsRawFd, RawFd};

const CHUNK: usize = 262_144;

/// Copies beside the target, takes its place in one step, and only then removes the source.
pub fn transfer(from: &[u8], to: &[u8]) -> sys::Result<()> {
    let (folder, _) = paths::split(to);
    let temporary = paths::join(folder, &temporary_name(files::lstat(to).is_ok()));
    let copied = copy(c::AT_FDCWD, from, c::AT_FDCWD, &temporary).and_then(|()| files::rename(&temporary, to));
    if let Err(errno) = copied {
        let _ = remove_tree(c::AT_FDCWD, &temporary);
        return Err(errno);
    }
    remove_tree(c::AT_FDCWD, from)
}

fn copy(source_dir: RawFd, source: &[u8], target_dir: RawFd, target: &[u8]) -> sys::Result<()> {
    let stat = files::lstat_at(source_dir, source)?;
    if stat.is_symlink() {
        return files::make_symlink_at(&files::read_link_at(source_dir, source)?, target_dir, target);
    }
    if stat.is_dir() {
        return copy_folder(source_dir, source, target_dir, target, &stat);
    }
    if !stat.is_file() {
        // Sockets, pipes and devices are bound to their file system.
        return Err(Errno(c::EXDEV));
    }
    let input = sys::open_at(source_dir, source, c::O_RDONLY | c::O_NOFOLLOW | c::O_NONBLOCK, 0)?;
    let flags = c::O_WRONLY | c::O_CREAT | c::O_EXCL | c::O_NOFOLLOW;
    let output = sys::open_at(target_dir, target, flags, 0o600)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = sys::read(input.as_raw_fd(), &mut chunk)?;
        if count == 0 {
            break;
        }
        let mut at = 0;
        while at < count {
            at += sys::write(output.as_raw_fd(), &chunk[at..count])?;
        }
    }
    keep_facts(output.as_raw_fd(), &stat)
}

fn copy_folder(source_dir: RawFd, source: &[u8], target_dir: RawFd, target: &[u8], stat: &Stat) -> sys::Result<()> {
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_NOFOLLOW | c::O_NONBLOCK;
    files::make_dir_at(target_dir, target, 0o700)?;
    let input = sys::open_at(source_dir, source, flags, 0)?;
    let output = sys::open_at(target_dir, target, flags, 0)?;
    let mut entries = Entries::new();
    while let Some(name) = entries.next(input.as_raw_fd())? {
        copy(input.as_raw_fd(), &name, output.as_raw_fd(), &name)?;
    }
    keep_facts(output.as_raw_fd(), stat)
}

/// Owner where the user may give it away, mode, and time of the last change.
fn keep_facts(fd: RawFd, stat: &Stat) -> sys::Result<()> {
    let _ = files::give(fd, stat.uid, stat.gid);
    files::set_mode(fd, stat.mode & 0o7777)?;
    files::set_modified(fd, stat.modified_ms)
}
