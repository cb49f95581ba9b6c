//! File entries of the protocol.

use crate::fields::Writer;
use crate::sys::files::{self, Stat};
use std::os::unix::io::RawFd;

const FILE: u64 = 1;
const DIRECTORY: u64 = 2;
const SYMLINK: u64 = 3;
const OTHER: u64 = 4;
/// The largest number that every reader can hold; files may say larger sizes and later times.
const MOST: u64 = (1 << 53) - 1;

/// `target` is what a symlink leads to.
pub fn entry(path: &[u8], stat: &Stat, target: Option<Vec<u8>>) -> Writer {
    let kind = if stat.is_file() {
        FILE
    } else if stat.is_dir() {
        DIRECTORY
    } else if stat.is_symlink() {
        SYMLINK
    } else {
        OTHER
    };
    let entry = Writer::new()
        .bytes(1, path)
        .number(2, kind)
        .number(3, stat.size.min(MOST))
        .number(4, u64::from(stat.mode & 0o7777))
        .number(5, u64::from(stat.uid))
        .number(6, u64::from(stat.gid))
        .number(7, stat.modified_ms.min(MOST));
    match target {
        Some(target) => entry.bytes(8, &target),
        None => entry,
    }
}

/// The entry of a name in an open folder, shown as `path`; nothing when it has gone meanwhile.
pub fn entry_at(directory: RawFd, name: &[u8], path: &[u8]) -> Option<(Writer, Stat)> {
    let stat = files::lstat_at(directory, name).ok()?;
    let target = if stat.is_symlink() { files::read_link_at(directory, name).ok() } else { None };
    Some((entry(path, &stat, target), stat))
}
