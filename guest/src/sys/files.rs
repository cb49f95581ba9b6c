//! Facts about files, and folders read entry by entry.

use super::{c, c_string, check, check_long, check_size, Result};
use std::os::unix::io::RawFd;

pub const S_IFMT: u32 = 0o170000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFCHR: u32 = 0o020000;

/// The kernel's `statx`, which has one layout on all machines.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare0: u16,
    inode: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    accessed: [u64; 2],
    born: [u64; 2],
    changed: [u64; 2],
    modified_seconds: i64,
    modified_nanoseconds: u32,
    spare1: i32,
    device_special: [u32; 2],
    device_major: u32,
    device_minor: u32,
    spare2: [u64; 14],
}

#[derive(Clone, Copy, Debug)]
pub struct Stat {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// Unix milliseconds; 0 for times before 1970.
    pub modified_ms: u64,
}

impl Stat {
    pub fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }

    pub fn is_dir(&self) -> bool {
        self.kind() == S_IFDIR
    }

    pub fn is_file(&self) -> bool {
        self.kind() == S_IFREG
    }

    pub fn is_symlink(&self) -> bool {
        self.kind() == S_IFLNK
    }
}

extern "C" {
    fn statx(directory: c::Int, path: *const c::Char, flags: c::Int, mask: c::UInt, out: *mut Statx) -> c::Int;
}

fn stat_with(directory: RawFd, path: &[u8], flags: c::Int) -> Result<Stat> {
    let path = c_string(path)?;
    let mut raw = Statx::default();
    check(unsafe { statx(directory, path.as_ptr(), flags, 0x7ff, &mut raw) })?;
    let millis = raw.modified_seconds.saturating_mul(1000) + i64::from(raw.modified_nanoseconds / 1_000_000);
    Ok(Stat {
        mode: u32::from(raw.mode),
        uid: raw.uid,
        gid: raw.gid,
        size: raw.size,
        modified_ms: millis.max(0) as u64,
    })
}

/// Of the file a link leads to.
pub fn stat(path: &[u8]) -> Result<Stat> {
    stat_with(c::AT_FDCWD, path, 0)
}

/// Of the link itself.
pub fn lstat(path: &[u8]) -> Result<Stat> {
    stat_with(c::AT_FDCWD, path, c::AT_SYMLINK_NOFOLLOW)
}

/// Of an entry of an open folder, links not followed.
pub fn lstat_at(directory: RawFd, name: &[u8]) -> Result<Stat> {
    stat_with(directory, name, c::AT_SYMLINK_NOFOLLOW)
}

pub fn fstat(fd: RawFd) -> Result<Stat> {
    stat_with(fd, b"", c::AT_EMPTY_PATH)
}

pub fn read_link_at(directory: RawFd, path: &[u8]) -> Result<Vec<u8>> {
    let path = c_string(path)?;
    let mut target = vec![0; 4096];
    let length =
        check_size(unsafe { c::readlinkat(directory, path.as_ptr(), target.as_mut_ptr().cast(), target.len()) })?;
    target.truncate(length);
    Ok(target)
}

pub fn read_link(path: &[u8]) -> Result<Vec<u8>> {
    read_link_at(c::AT_FDCWD, path)
}

pub fn make_dir(path: &[u8], mode: u32) -> Result<()> {
    let path = c_string(path)?;
    check(unsafe { c::mkdirat(c::AT_FDCWD, path.as_ptr(), mode) }).map(drop)
}

pub fn remove_file_at(directory: RawFd, path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    check(unsafe { c::unlinkat(directory, path.as_ptr(), 0) }).map(drop)
}

pub fn remove_dir_at(directory: RawFd, path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    check(unsafe { c::unlinkat(directory, path.as_ptr(), c::AT_REMOVEDIR) }).map(drop)
}

pub fn rename(from: &[u8], to: &[u8]) -> Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    check(unsafe { c::renameat(c::AT_FDCWD, from.as_ptr(), c::AT_FDCWD, to.as_ptr()) }).map(drop)
}

/// Renames within an open folder.
pub fn rename_at(directory: RawFd, from: &[u8], to: &[u8]) -> Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    check(unsafe { c::renameat(directory, from.as_ptr(), directory, to.as_ptr()) }).map(drop)
}

pub fn make_dir_at(directory: RawFd, path: &[u8], mode: u32) -> Result<()> {
    let path = c_string(path)?;
    check(unsafe { c::mkdirat(directory, path.as_ptr(), mode) }).map(drop)
}

pub fn make_symlink_at(target: &[u8], directory: RawFd, path: &[u8]) -> Result<()> {
    let (target, path) = (c_string(target)?, c_string(path)?);
    check(unsafe { c::symlinkat(target.as_ptr(), directory, path.as_ptr()) }).map(drop)
}

/// Gives an open file to another owner.
pub fn give(fd: RawFd, uid: u32, gid: u32) -> Result<()> {
    check(unsafe { c::fchown(fd, uid, gid) }).map(drop)
}

pub fn set_mode(fd: RawFd, mode: u32) -> Result<()> {
    check(unsafe { c::fchmod(fd, mode) }).map(drop)
}

/// Sets the time of the last change, in Unix milliseconds.
pub fn set_modified(fd: RawFd, ms: u64) -> Result<()> {
    extern "C" {
        fn futimens(fd: c::Int, times: *const [c::timespec_t; 2]) -> c::Int;
    }
    let time = c::timespec_t { seconds: (ms / 1000) as i64, nanoseconds: (ms % 1000 * 1_000_000) as c::Long };
    check(unsafe { futimens(fd, &[time, time]) }).map(drop)
}

pub fn make_symlink(target: &[u8], path: &[u8]) -> Result<()> {
    let (target, path) = (c_string(target)?, c_string(path)?);
    check(unsafe { c::symlinkat(target.as_ptr(), c::AT_FDCWD, path.as_ptr()) }).map(drop)
}

pub fn chmod(path: &[u8], mode: u32) -> Result<()> {
    let path = c_string(path)?;
    check(unsafe { c::fchmodat(c::AT_FDCWD, path.as_ptr(), mode, 0) }).map(drop)
}

pub fn read_at(fd: RawFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    super::retry(|| check_size(unsafe { c::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), offset as i64) }))
}

/// Reads an open folder in pieces.
pub struct Entries {
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl Entries {
    pub fn new() -> Entries {
        Entries { buffer: Vec::new(), at: 0, end: 0 }
    }

    /// The next name, `.` and `..` left out; nothing at the end.
    pub fn next(&mut self, directory: RawFd) -> Result<Option<Vec<u8>>> {
        loop {
            if self.at == self.end {
                if self.buffer.is_empty() {
                    self.buffer = vec![0; 8192];
                }
                let room = self.buffer.len() as c::Long;
                let count = check_long(unsafe {
                    c::syscall(c::SYS_GETDENTS64, directory as c::Long, self.buffer.as_mut_ptr(), room)
                })?;
                if count == 0 {
                    return Ok(None);
                }
                self.at = 0;
                self.end = count as usize;
            }
            let entry = &self.buffer[self.at..self.end];
            let length = u16::from_ne_bytes([entry[16], entry[17]]) as usize;
            let name = &entry[19..length];
            let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())];
            self.at += length;
            if name != b"." && name != b".." {
                return Ok(Some(name.to_vec()));
            }
        }
    }
}
