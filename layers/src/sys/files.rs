//! Facts about files, and what changes them. Names are single entries of open folders; links are never followed.

use super::{c, c_string, check, check_size, own, retry, Errno, Result};
use std::os::unix::io::{OwnedFd, RawFd};

pub const S_IFMT: u32 = 0o170000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFCHR: u32 = 0o020000;
pub const S_IFBLK: u32 = 0o060000;
pub const S_IFIFO: u32 = 0o010000;

/// Seconds since 1970, perhaps negative, and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Time {
    fn both(self) -> [c::Timespec; 2] {
        [c::Timespec { seconds: self.seconds, nanoseconds: self.nanoseconds as c::Long }; 2]
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Stat {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// Bytes on the disk.
    pub stored: u64,
    pub links: u32,
    pub inode: u64,
    /// Of the file system.
    pub device: (u32, u32),
    /// What a device node stands for: major and minor number.
    pub special: (u32, u32),
    pub modified: Time,
}

impl Stat {
    pub fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }

    pub fn is_dir(&self) -> bool {
        self.kind() == S_IFDIR
    }

    /// What hides an entry of a layer below.
    pub fn is_whiteout(&self) -> bool {
        self.kind() == S_IFCHR && self.special == (0, 0)
    }

    pub fn is_same_file(&self, other: &Stat) -> bool {
        self.inode == other.inode && self.device == other.device
    }
}

fn stat_with(directory: RawFd, name: &[u8], flags: c::Int) -> Result<Stat> {
    let name = c_string(name)?;
    let mut raw = c::Statx::default();
    check(unsafe { c::statx(directory, name.as_ptr(), flags, 0x7ff, &mut raw) })?;
    Ok(Stat {
        mode: u32::from(raw.mode),
        uid: raw.uid,
        gid: raw.gid,
        size: raw.size,
        stored: raw.blocks.saturating_mul(512),
        links: raw.links,
        inode: raw.inode,
        device: (raw.device_major, raw.device_minor),
        special: (raw.special_major, raw.special_minor),
        modified: Time { seconds: raw.modified_seconds, nanoseconds: raw.modified_nanoseconds },
    })
}

pub fn stat_at(directory: RawFd, name: &[u8]) -> Result<Stat> {
    stat_with(directory, name, c::AT_SYMLINK_NOFOLLOW)
}

pub fn stat(fd: RawFd) -> Result<Stat> {
    stat_with(fd, b"", c::AT_EMPTY_PATH)
}

pub fn read_link_at(directory: RawFd, name: &[u8]) -> Result<Vec<u8>> {
    let name = c_string(name)?;
    let mut target = vec![0; 4096];
    let length =
        check_size(unsafe { c::readlinkat(directory, name.as_ptr(), target.as_mut_ptr().cast(), target.len()) })?;
    target.truncate(length);
    Ok(target)
}

pub fn make_dir_at(directory: RawFd, name: &[u8], mode: u32) -> Result<()> {
    let name = c_string(name)?;
    check(unsafe { c::mkdirat(directory, name.as_ptr(), mode) }).map(drop)
}

/// `mode` with the kind of the node in it.
pub fn make_node_at(directory: RawFd, name: &[u8], mode: u32, (major, minor): (u32, u32)) -> Result<()> {
    let name = c_string(name)?;
    let (major, minor) = (u64::from(major), u64::from(minor));
    let device = minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32;
    check(unsafe { c::mknodat(directory, name.as_ptr(), mode, device) }).map(drop)
}

pub fn make_symlink_at(target: &[u8], directory: RawFd, name: &[u8]) -> Result<()> {
    let (target, name) = (c_string(target)?, c_string(name)?);
    check(unsafe { c::symlinkat(target.as_ptr(), directory, name.as_ptr()) }).map(drop)
}

pub fn link_at(from_directory: RawFd, from: &[u8], to_directory: RawFd, to: &[u8]) -> Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    check(unsafe { c::linkat(from_directory, from.as_ptr(), to_directory, to.as_ptr(), 0) }).map(drop)
}

pub fn rename_at(from_directory: RawFd, from: &[u8], to_directory: RawFd, to: &[u8]) -> Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    check(unsafe { c::renameat(from_directory, from.as_ptr(), to_directory, to.as_ptr()) }).map(drop)
}

pub fn remove_file_at(directory: RawFd, name: &[u8]) -> Result<()> {
    let name = c_string(name)?;
    check(unsafe { c::unlinkat(directory, name.as_ptr(), 0) }).map(drop)
}

pub fn remove_dir_at(directory: RawFd, name: &[u8]) -> Result<()> {
    let name = c_string(name)?;
    check(unsafe { c::unlinkat(directory, name.as_ptr(), c::AT_REMOVEDIR) }).map(drop)
}

pub fn give(fd: RawFd, uid: u32, gid: u32) -> Result<()> {
    check(unsafe { c::fchown(fd, uid, gid) }).map(drop)
}

pub fn give_at(directory: RawFd, name: &[u8], uid: u32, gid: u32) -> Result<()> {
    let name = c_string(name)?;
    check(unsafe { c::fchownat(directory, name.as_ptr(), uid, gid, c::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

pub fn set_mode(fd: RawFd, mode: u32) -> Result<()> {
    check(unsafe { c::fchmod(fd, mode) }).map(drop)
}

/// Only for what was just found to be no link.
pub fn set_mode_at(directory: RawFd, name: &[u8], mode: u32) -> Result<()> {
    let name = c_string(name)?;
    check(unsafe { c::fchmodat(directory, name.as_ptr(), mode, 0) }).map(drop)
}

pub fn set_modified(fd: RawFd, time: Time) -> Result<()> {
    check(unsafe { c::futimens(fd, &time.both()) }).map(drop)
}

pub fn set_modified_at(directory: RawFd, name: &[u8], time: Time) -> Result<()> {
    let name = c_string(name)?;
    check(unsafe { c::utimensat(directory, name.as_ptr(), &time.both(), c::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

pub fn set_length(fd: RawFd, length: u64) -> Result<()> {
    let length = i64::try_from(length).map_err(|_| Errno(c::EFBIG))?;
    retry(|| check(unsafe { c::ftruncate(fd, length) })).map(drop)
}

/// The next stretch of content at or after `offset`: where it begins and ends. None: only a hole follows.
pub fn next_data(fd: RawFd, offset: u64, size: u64) -> Result<Option<(u64, u64)>> {
    if offset >= size {
        return Ok(None);
    }
    let begin = unsafe { c::lseek(fd, offset as i64, c::SEEK_DATA) };
    if begin < 0 {
        return match Errno::last() {
            Errno(c::ENXIO) => Ok(None),
            // A file system that knows nothing of holes.
            Errno(c::EINVAL) => Ok(Some((offset, size))),
            error => Err(error),
        };
    }
    let end = unsafe { c::lseek(fd, begin, c::SEEK_HOLE) };
    let (begin, end) = (begin as u64, if end < 0 { size } else { end as u64 });
    Ok(if begin >= size { None } else { Some((begin, end.min(size))) })
}

/// Shares the content of a whole file; fails where the file system cannot.
pub fn clone_file(from: RawFd, to: RawFd) -> Result<()> {
    check(unsafe { c::ioctl(to, c::FICLONE, from) }).map(drop)
}

/// Copies within the kernel; answers how many bytes it took.
pub fn copy_range(from: RawFd, to: RawFd, offset: u64, length: u64) -> Result<usize> {
    let (mut at, mut to_at) = (offset as i64, offset as i64);
    let most = length.min(1 << 30) as usize;
    retry(|| check_size(unsafe { c::copy_file_range(from, &mut at, to, &mut to_at, most, 0) }))
}

/// A file that is nowhere but in memory.
pub fn make_memory(name: &[u8]) -> Result<OwnedFd> {
    let name = c_string(name)?;
    own(unsafe { c::memfd_create(name.as_ptr(), c::MFD_CLOEXEC | c::MFD_ALLOW_SEALING) })
}

/// Makes a file in memory one that never changes again.
pub fn seal(fd: RawFd) -> Result<()> {
    check(unsafe { c::fcntl(fd, c::F_ADD_SEALS, c::ALL_SEALS) }).map(drop)
}

/// Writes the whole file system to the disk.
pub fn sync(fd: RawFd) -> Result<()> {
    check(unsafe { c::syncfs(fd) }).map(drop)
}
