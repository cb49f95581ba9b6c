//! Declarations of the C library: names, types and numbers as Linux has them on x86-64 and arm64.

use std::os::raw::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

pub type Char = c_char;
pub type Int = c_int;
pub type UInt = c_uint;
pub type Long = c_long;
pub type ULong = c_ulong;
pub type Void = c_void;

pub const EPERM: Int = 1;
pub const ENOENT: Int = 2;
pub const EINTR: Int = 4;
pub const EIO: Int = 5;
pub const ENXIO: Int = 6;
pub const EACCES: Int = 13;
pub const EEXIST: Int = 17;
pub const ENOTDIR: Int = 20;
pub const EISDIR: Int = 21;
pub const EINVAL: Int = 22;
pub const EFBIG: Int = 27;
pub const ENOSPC: Int = 28;
pub const ERANGE: Int = 34;
pub const ENAMETOOLONG: Int = 36;
pub const ENOTEMPTY: Int = 39;
pub const ELOOP: Int = 40;
pub const ENODATA: Int = 61;
pub const EOPNOTSUPP: Int = 95;
pub const EDQUOT: Int = 122;

pub const O_RDONLY: Int = 0;
pub const O_WRONLY: Int = 1;
pub const O_RDWR: Int = 2;
pub const O_CREAT: Int = 0o100;
pub const O_EXCL: Int = 0o200;
pub const O_NOCTTY: Int = 0o400;
pub const O_NONBLOCK: Int = 0o4000;
pub const O_CLOEXEC: Int = 0o2000000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: Int = 0o200000;
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: Int = 0o400000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: Int = 0o40000;
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: Int = 0o100000;

pub const AT_FDCWD: Int = -100;
pub const AT_SYMLINK_NOFOLLOW: Int = 0x100;
pub const AT_REMOVEDIR: Int = 0x200;
pub const AT_EMPTY_PATH: Int = 0x1000;

pub const SEEK_DATA: Int = 3;
pub const SEEK_HOLE: Int = 4;
pub const MFD_CLOEXEC: UInt = 1;
pub const MFD_ALLOW_SEALING: UInt = 2;
pub const F_ADD_SEALS: Int = 1033;
/// Nobody seals more, makes it shorter or longer, or writes.
pub const ALL_SEALS: Int = 1 | 2 | 4 | 8;
pub const FICLONE: ULong = 0x4004_9409;
pub const RLIMIT_NOFILE: Int = 7;

#[cfg(target_arch = "x86_64")]
pub const SYS_GETDENTS64: Long = 217;
#[cfg(target_arch = "aarch64")]
pub const SYS_GETDENTS64: Long = 61;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Timespec {
    pub seconds: i64,
    pub nanoseconds: Long,
}

#[repr(C)]
pub struct Rlimit {
    pub soft: u64,
    pub hard: u64,
}

/// The kernel's `statx`, which has one layout on all machines.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Statx {
    pub mask: u32,
    pub block_size: u32,
    pub attributes: u64,
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    pub spare0: u16,
    pub inode: u64,
    pub size: u64,
    pub blocks: u64,
    pub attributes_mask: u64,
    pub accessed: [u64; 2],
    pub born: [u64; 2],
    pub changed: [u64; 2],
    pub modified_seconds: i64,
    pub modified_nanoseconds: u32,
    pub spare1: i32,
    pub special_major: u32,
    pub special_minor: u32,
    pub device_major: u32,
    pub device_minor: u32,
    pub spare2: [u64; 14],
}

extern "C" {
    pub fn __errno_location() -> *mut Int;
    pub fn syscall(number: Long, ...) -> Long;
    pub fn openat(directory: Int, path: *const Char, flags: Int, ...) -> Int;
    pub fn read(fd: Int, buffer: *mut Void, length: usize) -> isize;
    pub fn write(fd: Int, buffer: *const Void, length: usize) -> isize;
    pub fn pread(fd: Int, buffer: *mut Void, length: usize, offset: i64) -> isize;
    pub fn pwrite(fd: Int, buffer: *const Void, length: usize, offset: i64) -> isize;
    pub fn lseek(fd: Int, offset: i64, whence: Int) -> i64;
    pub fn ftruncate(fd: Int, length: i64) -> Int;
    pub fn copy_file_range(from: Int, at: *mut i64, to: Int, to_at: *mut i64, length: usize, flags: UInt) -> isize;
    pub fn ioctl(fd: Int, request: ULong, ...) -> Int;
    pub fn memfd_create(name: *const Char, flags: UInt) -> Int;
    pub fn fcntl(fd: Int, command: Int, ...) -> Int;
    pub fn syncfs(fd: Int) -> Int;
    pub fn dup(fd: Int) -> Int;
    pub fn fchdir(fd: Int) -> Int;
    pub fn umask(mask: UInt) -> UInt;
    pub fn geteuid() -> UInt;
    pub fn getrlimit(resource: Int, limit: *mut Rlimit) -> Int;
    pub fn setrlimit(resource: Int, limit: *const Rlimit) -> Int;
    pub fn statx(directory: Int, path: *const Char, flags: Int, mask: UInt, out: *mut Statx) -> Int;
    pub fn mkdirat(directory: Int, path: *const Char, mode: UInt) -> Int;
    pub fn mknodat(directory: Int, path: *const Char, mode: UInt, device: u64) -> Int;
    pub fn unlinkat(directory: Int, path: *const Char, flags: Int) -> Int;
    pub fn renameat(from_directory: Int, from: *const Char, to_directory: Int, to: *const Char) -> Int;
    pub fn linkat(from_directory: Int, from: *const Char, to_directory: Int, to: *const Char, flags: Int) -> Int;
    pub fn symlinkat(target: *const Char, directory: Int, path: *const Char) -> Int;
    pub fn readlinkat(directory: Int, path: *const Char, buffer: *mut Char, length: usize) -> isize;
    pub fn fchmod(fd: Int, mode: UInt) -> Int;
    pub fn fchmodat(directory: Int, path: *const Char, mode: UInt, flags: Int) -> Int;
    pub fn fchown(fd: Int, uid: UInt, gid: UInt) -> Int;
    pub fn fchownat(directory: Int, path: *const Char, uid: UInt, gid: UInt, flags: Int) -> Int;
    pub fn futimens(fd: Int, times: *const [Timespec; 2]) -> Int;
    pub fn utimensat(directory: Int, path: *const Char, times: *const [Timespec; 2], flags: Int) -> Int;
    pub fn fsetxattr(fd: Int, name: *const Char, value: *const Void, length: usize, flags: Int) -> Int;
    pub fn lsetxattr(path: *const Char, name: *const Char, value: *const Void, length: usize, flags: Int) -> Int;
    pub fn fgetxattr(fd: Int, name: *const Char, value: *mut Void, length: usize) -> isize;
    pub fn lgetxattr(path: *const Char, name: *const Char, value: *mut Void, length: usize) -> isize;
    pub fn flistxattr(fd: Int, names: *mut Char, length: usize) -> isize;
    pub fn llistxattr(path: *const Char, names: *mut Char, length: usize) -> isize;
    pub fn fremovexattr(fd: Int, name: *const Char) -> Int;
}
