//! Declarations of the C library: names, types and numbers as Linux has them on x86-64 and arm64.

use std::os::raw::{c_char, c_int, c_long, c_short, c_uint, c_ulong, c_void};

pub type Char = c_char;
pub type Int = c_int;
pub type UInt = c_uint;
pub type Long = c_long;
pub type ULong = c_ulong;
pub type Short = c_short;
pub type Void = c_void;
pub type Pid = c_int;

pub const ENOENT: Int = 2;
pub const EINTR: Int = 4;
pub const EAGAIN: Int = 11;
pub const EEXIST: Int = 17;
pub const EINVAL: Int = 22;

pub const O_RDONLY: Int = 0;
pub const O_WRONLY: Int = 1;
pub const O_RDWR: Int = 2;
pub const O_CREAT: Int = 0o100;
pub const O_EXCL: Int = 0o200;
pub const O_NOCTTY: Int = 0o400;
pub const O_NONBLOCK: Int = 0o4000;
pub const O_CLOEXEC: Int = 0o2000000;

pub const F_SETFD: Int = 2;
pub const F_GETFL: Int = 3;
pub const F_SETFL: Int = 4;

pub const AT_FDCWD: Int = -100;

pub const SIGKILL: Int = 9;
pub const SIGTERM: Int = 15;
pub const SIGCHLD: Int = 17;
pub const SIG_SETMASK: Int = 2;

pub const WNOHANG: Int = 1;

pub const CLONE_VM: Int = 0x100;
pub const CLONE_VFORK: Int = 0x4000;
pub const CLONE_NEWNS: Int = 0x0002_0000;
pub const CLONE_NEWPID: Int = 0x2000_0000;

pub const RB_AUTOBOOT: Int = 0x0123_4567;

pub const BLKROGET: ULong = 0x125e;
pub const RNDADDENTROPY: ULong = 0x4008_5203;
pub const RNDRESEEDCRNG: ULong = 0x5207;

pub const SYS_OPEN_TREE: Long = 428;
pub const SYS_MOVE_MOUNT: Long = 429;
#[cfg(target_arch = "x86_64")]
pub const SYS_FINIT_MODULE: Long = 313;
#[cfg(target_arch = "aarch64")]
pub const SYS_FINIT_MODULE: Long = 273;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SigSet {
    pub bits: [ULong; 16],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Timespec {
    pub seconds: i64,
    pub nanoseconds: Long,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct PollFd {
    pub fd: Int,
    pub events: Short,
    pub revents: Short,
}

extern "C" {
    pub fn __errno_location() -> *mut Int;
    pub fn syscall(number: Long, ...) -> Long;

    pub fn open(path: *const Char, flags: Int, ...) -> Int;
    pub fn read(fd: Int, buffer: *mut Void, length: usize) -> isize;
    pub fn write(fd: Int, buffer: *const Void, length: usize) -> isize;
    pub fn pread(fd: Int, buffer: *mut Void, length: usize, offset: i64) -> isize;
    pub fn dup2(from: Int, to: Int) -> Int;
    pub fn fcntl(fd: Int, command: Int, ...) -> Int;
    pub fn ioctl(fd: Int, request: ULong, ...) -> Int;
    pub fn pipe2(ends: *mut Int, flags: Int) -> Int;
    pub fn poll(fds: *mut PollFd, count: ULong, timeout: Int) -> Int;

    pub fn mkdir(path: *const Char, mode: UInt) -> Int;
    pub fn unlink(path: *const Char) -> Int;
    pub fn symlink(target: *const Char, path: *const Char) -> Int;
    pub fn umask(mask: UInt) -> UInt;
    pub fn chdir(path: *const Char) -> Int;
    pub fn chroot(path: *const Char) -> Int;
    pub fn mount(source: *const Char, target: *const Char, kind: *const Char, flags: ULong, data: *const Void) -> Int;
    pub fn sync();
    pub fn reboot(command: Int) -> Int;

    pub fn clone(entry: extern "C" fn(*mut Void) -> Int, stack: *mut Void, flags: Int, argument: *mut Void, ...)
        -> Int;
    pub fn execve(path: *const Char, argv: *const *const Char, env: *const *const Char) -> Int;
    pub fn waitpid(pid: Pid, status: *mut Int, options: Int) -> Pid;
    pub fn kill(pid: Pid, signal: Int) -> Int;
    pub fn getpid() -> Pid;
    pub fn setsid() -> Pid;
    pub fn sigprocmask(how: Int, set: *const SigSet, old: *mut SigSet) -> Int;
    pub fn signalfd(fd: Int, mask: *const SigSet, flags: Int) -> Int;

    pub fn sethostname(name: *const Char, length: usize) -> Int;
    pub fn clock_settime(clock: Int, time: *const Timespec) -> Int;
    pub fn clock_gettime(clock: Int, time: *mut Timespec) -> Int;
    pub fn sched_yield() -> Int;
    pub fn nanosleep(time: *const Timespec, left: *mut Timespec) -> Int;
}
