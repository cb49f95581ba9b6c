//! Declarations of the C library: names, types and numbers as Linux has them on x86-64 and arm64.
#![allow(non_camel_case_types, dead_code)]

use std::os::raw::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

pub type Char = c_char;
pub type Int = c_int;
pub type UInt = c_uint;
pub type Long = c_long;
pub type ULong = c_ulong;
pub type Void = c_void;
pub type Pid = c_int;

pub const EPERM: Int = 1;
pub const ENOENT: Int = 2;
pub const ESRCH: Int = 3;
pub const EINTR: Int = 4;
pub const EIO: Int = 5;
pub const ENXIO: Int = 6;
pub const E2BIG: Int = 7;
pub const ENOEXEC: Int = 8;
pub const EBADF: Int = 9;
pub const ECHILD: Int = 10;
pub const EAGAIN: Int = 11;
pub const ENOMEM: Int = 12;
pub const EACCES: Int = 13;
pub const EBUSY: Int = 16;
pub const EEXIST: Int = 17;
pub const EXDEV: Int = 18;
pub const ENODEV: Int = 19;
pub const ENOTDIR: Int = 20;
pub const EISDIR: Int = 21;
pub const EINVAL: Int = 22;
pub const ENFILE: Int = 23;
pub const EMFILE: Int = 24;
pub const ETXTBSY: Int = 26;
pub const EFBIG: Int = 27;
pub const ENOSPC: Int = 28;
pub const ESPIPE: Int = 29;
pub const EROFS: Int = 30;
pub const EPIPE: Int = 32;
pub const ENAMETOOLONG: Int = 36;
pub const ENOSYS: Int = 38;
pub const ENOTEMPTY: Int = 39;
pub const ELOOP: Int = 40;
pub const ENETUNREACH: Int = 101;
pub const ECONNRESET: Int = 104;
pub const ETIMEDOUT: Int = 110;
pub const ECONNREFUSED: Int = 111;
pub const EHOSTUNREACH: Int = 113;
pub const EINPROGRESS: Int = 115;
pub const EDQUOT: Int = 122;

pub const O_RDONLY: Int = 0;
pub const O_WRONLY: Int = 1;
pub const O_RDWR: Int = 2;
pub const O_CREAT: Int = 0o100;
pub const O_EXCL: Int = 0o200;
pub const O_NOCTTY: Int = 0o400;
pub const O_TRUNC: Int = 0o1000;
pub const O_APPEND: Int = 0o2000;
pub const O_NONBLOCK: Int = 0o4000;
pub const O_CLOEXEC: Int = 0o2000000;
pub const O_PATH: Int = 0o10000000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: Int = 0o200000;
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: Int = 0o400000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: Int = 0o40000;
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: Int = 0o100000;

pub const F_GETFD: Int = 1;
pub const F_SETFD: Int = 2;
pub const F_GETFL: Int = 3;
pub const F_SETFL: Int = 4;
pub const F_SETPIPE_SZ: Int = 1031;
pub const F_DUPFD_CLOEXEC: Int = 1030;
pub const FD_CLOEXEC: Int = 1;

pub const AT_FDCWD: Int = -100;
pub const AT_SYMLINK_NOFOLLOW: Int = 0x100;
pub const AT_REMOVEDIR: Int = 0x200;
pub const AT_EMPTY_PATH: Int = 0x1000;

pub const SIGHUP: Int = 1;
pub const SIGINT: Int = 2;
pub const SIGBUS: Int = 7;
pub const SIGKILL: Int = 9;
pub const SIGSEGV: Int = 11;
pub const SIGPIPE: Int = 13;
pub const SIGTERM: Int = 15;
pub const SIGCHLD: Int = 17;
pub const SIGCONT: Int = 18;
pub const SIG_DFL: usize = 0;
pub const SIG_IGN: usize = 1;
pub const SIG_BLOCK: Int = 0;
pub const SIG_UNBLOCK: Int = 1;
pub const SIG_SETMASK: Int = 2;

pub const WNOHANG: Int = 1;

pub const RLIMIT_NOFILE: Int = 7;

pub const PR_SET_PDEATHSIG: Int = 1;
pub const PR_SET_DUMPABLE: Int = 4;
pub const PR_CAPBSET_READ: Int = 23;
pub const PR_CAPBSET_DROP: Int = 24;
pub const PR_SET_CHILD_SUBREAPER: Int = 36;
pub const PR_SET_NO_NEW_PRIVS: Int = 38;
pub const PR_CAP_AMBIENT: Int = 47;
pub const PR_CAP_AMBIENT_CLEAR_ALL: Int = 4;

pub const CLONE_VM: Int = 0x100;
pub const CLONE_VFORK: Int = 0x4000;

#[cfg(target_arch = "x86_64")]
mod numbers {
    use super::Long;
    pub const SYS_SETGROUPS: Long = 116;
    pub const SYS_SETRESUID: Long = 117;
    pub const SYS_SETRESGID: Long = 119;
    pub const SYS_SETFSUID: Long = 122;
    pub const SYS_SETFSGID: Long = 123;
    pub const SYS_CAPGET: Long = 125;
    pub const SYS_CAPSET: Long = 126;
    pub const SYS_GETDENTS64: Long = 217;
    pub const SYS_CLOSE_RANGE: Long = 436;
}
#[cfg(target_arch = "aarch64")]
mod numbers {
    use super::Long;
    pub const SYS_GETDENTS64: Long = 61;
    pub const SYS_CAPGET: Long = 90;
    pub const SYS_CAPSET: Long = 91;
    pub const SYS_SETRESUID: Long = 147;
    pub const SYS_SETRESGID: Long = 149;
    pub const SYS_SETFSUID: Long = 151;
    pub const SYS_SETFSGID: Long = 152;
    pub const SYS_SETGROUPS: Long = 159;
    pub const SYS_CLOSE_RANGE: Long = 436;
}
pub use numbers::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sigset_t {
    pub bits: [ULong; 16],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sigaction_t {
    pub handler: usize,
    pub mask: sigset_t,
    pub flags: Int,
    pub restorer: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlimit_t {
    pub soft: u64,
    pub hard: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct iovec_t {
    pub base: *const Void,
    pub length: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct timespec_t {
    pub seconds: i64,
    pub nanoseconds: Long,
}

extern "C" {
    pub fn __errno_location() -> *mut Int;
    pub fn syscall(number: Long, ...) -> Long;

    pub fn open(path: *const Char, flags: Int, ...) -> Int;
    pub fn openat(directory: Int, path: *const Char, flags: Int, ...) -> Int;
    pub fn close(fd: Int) -> Int;
    pub fn read(fd: Int, buffer: *mut Void, length: usize) -> isize;
    pub fn write(fd: Int, buffer: *const Void, length: usize) -> isize;
    pub fn readv(fd: Int, parts: *const iovec_t, count: Int) -> isize;
    pub fn writev(fd: Int, parts: *const iovec_t, count: Int) -> isize;
    pub fn pread(fd: Int, buffer: *mut Void, length: usize, offset: i64) -> isize;
    pub fn dup2(from: Int, to: Int) -> Int;
    pub fn dup3(from: Int, to: Int, flags: Int) -> Int;
    pub fn fcntl(fd: Int, command: Int, ...) -> Int;
    pub fn ioctl(fd: Int, request: ULong, ...) -> Int;
    pub fn pipe2(ends: *mut Int, flags: Int) -> Int;
    pub fn getrandom(buffer: *mut Void, length: usize, flags: UInt) -> isize;

    pub fn mkdirat(directory: Int, path: *const Char, mode: UInt) -> Int;
    pub fn unlinkat(directory: Int, path: *const Char, flags: Int) -> Int;
    pub fn renameat(from_directory: Int, from: *const Char, to_directory: Int, to: *const Char) -> Int;
    pub fn symlinkat(target: *const Char, directory: Int, path: *const Char) -> Int;
    pub fn readlinkat(directory: Int, path: *const Char, buffer: *mut Char, length: usize) -> isize;
    pub fn fchmodat(directory: Int, path: *const Char, mode: UInt, flags: Int) -> Int;
    pub fn fchmod(fd: Int, mode: UInt) -> Int;
    pub fn fchown(fd: Int, uid: UInt, gid: UInt) -> Int;
    pub fn fchownat(directory: Int, path: *const Char, uid: UInt, gid: UInt, flags: Int) -> Int;
    pub fn umask(mask: UInt) -> UInt;
    pub fn chdir(path: *const Char) -> Int;
    pub fn sync();

    pub fn fork() -> Pid;
    pub fn clone(entry: extern "C" fn(*mut Void) -> Int, stack: *mut Void, flags: Int, argument: *mut Void, ...)
        -> Int;
    pub fn execve(path: *const Char, argv: *const *const Char, env: *const *const Char) -> Int;
    pub fn _exit(status: Int) -> !;
    pub fn waitpid(pid: Pid, status: *mut Int, options: Int) -> Pid;
    pub fn kill(pid: Pid, signal: Int) -> Int;
    pub fn getpid() -> Pid;
    pub fn getuid() -> UInt;
    pub fn getgid() -> UInt;
    pub fn geteuid() -> UInt;
    pub fn getegid() -> UInt;
    pub fn setsid() -> Pid;
    pub fn prctl(option: Int, ...) -> Int;
    pub fn setrlimit(resource: Int, limit: *const rlimit_t) -> Int;
    pub fn getrlimit(resource: Int, limit: *mut rlimit_t) -> Int;
    pub fn sigprocmask(how: Int, set: *const sigset_t, old: *mut sigset_t) -> Int;
    pub fn sigaction(signal: Int, new: *const sigaction_t, old: *mut sigaction_t) -> Int;
    pub fn signalfd(fd: Int, mask: *const sigset_t, flags: Int) -> Int;

    pub fn sethostname(name: *const Char, length: usize) -> Int;
    pub fn clock_settime(clock: Int, time: *const timespec_t) -> Int;
}
