//! Mounts: the classic call, detached trees, id maps, and loop devices.

use std::ffi::CStr;
use std::io;
use std::os::raw::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

extern "C" {
    #[link_name = "mount"]
    fn c_mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
}

const SYS_OPEN_TREE: c_long = 428;
const SYS_MOVE_MOUNT: c_long = 429;
const SYS_FSOPEN: c_long = 430;
const SYS_FSCONFIG: c_long = 431;
const SYS_FSMOUNT: c_long = 432;
const SYS_MOUNT_SETATTR: c_long = 442;

pub const MS_NOSUID: c_ulong = 2;
pub const MS_NODEV: c_ulong = 4;
pub const MS_NOEXEC: c_ulong = 8;
pub const MS_REC: c_ulong = 0x4000;
pub const MS_SLAVE: c_ulong = 1 << 19;

const AT_FDCWD: c_int = -100;
const AT_EMPTY_PATH: c_uint = 0x1000;
const AT_RECURSIVE: c_uint = 0x8000;
const OPEN_TREE_CLONE: c_uint = 1;
const O_CLOEXEC: c_uint = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;
const MOVE_MOUNT_T_SYMLINKS: c_uint = 0x10;
const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NODEV: u64 = 4;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
const FSOPEN_CLOEXEC: c_uint = 1;
const FSMOUNT_CLOEXEC: c_uint = 1;
const FSCONFIG_SET_STRING: c_uint = 1;
const FSCONFIG_CMD_CREATE: c_uint = 6;

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// mount(2). `source`, `kind` and `data` may be left out.
pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: c_ulong,
    data: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    let status =
        unsafe { c_mount(pointer(source), target.as_ptr(), pointer(kind), flags, pointer(data) as *const c_void) };
    done(status as c_long)
}

/// A detached copy of the mount at `path`, with what is mounted below it when `recursive`.
pub fn clone_tree(path: &CStr, recursive: bool) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | O_CLOEXEC | if recursive { AT_RECURSIVE } else { 0 };
    let fd = unsafe { syscall(SYS_OPEN_TREE, AT_FDCWD, path.as_ptr(), flags) };
    owned(fd)
}

/// Attaches a detached mount. Links are followed, so that a descriptor's path will do.
pub fn attach(tree: RawFd, target: &CStr) -> io::Result<()> {
    let empty = [0 as c_char];
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
    let status = unsafe { syscall(SYS_MOVE_MOUNT, tree, empty.as_ptr(), AT_FDCWD, target.as_ptr(), flags) };
    done(status)
}

/// Shows the files of a detached mount through the id map of a user namespace.
pub fn map_ids(tree: RawFd, user_namespace: RawFd) -> io::Result<()> {
    set_attributes(tree, false, MOUNT_ATTR_IDMAP, user_namespace as u64)
}

/// Takes devices and rights away from the files of a detached mount.
pub fn make_harmless(tree: RawFd) -> io::Result<()> {
    set_attributes(tree, true, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0)
}

/// Makes a detached mount read-only, and everything below it when `recursive`.
pub fn make_read_only(tree: RawFd, recursive: bool) -> io::Result<()> {
    set_attributes(tree, recursive, MOUNT_ATTR_RDONLY, 0)
}

fn set_attributes(tree: RawFd, recursive: bool, set: u64, userns_fd: u64) -> io::Result<()> {
    let attributes = MountAttr { set, clear: 0, propagation: 0, userns_fd };
    let empty = [0 as c_char];
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    let status = unsafe {
        syscall(
            SYS_MOUNT_SETATTR,
            tree,
            empty.as_ptr(),
            flags,
            &attributes as *const MountAttr,
            std::mem::size_of::<MountAttr>(),
        )
    };
    done(status)
}

/// A detached mount of a block device.
pub fn mount_device(kind: &CStr, device: &CStr) -> io::Result<OwnedFd> {
    let context = owned(unsafe { syscall(SYS_FSOPEN, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    let source = b"source\0";
    done(unsafe {
        syscall(SYS_FSCONFIG, context.as_raw_fd(), FSCONFIG_SET_STRING, source.as_ptr(), device.as_ptr(), 0 as c_int)
    })?;
    let none = ptr::null::<c_char>();
    done(unsafe { syscall(SYS_FSCONFIG, context.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0 as c_int) })?;
    let attributes = (MS_NOSUID | MS_NODEV) as c_uint;
    owned(unsafe { syscall(SYS_FSMOUNT, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

const LOOP_CTL_GET_FREE: c_ulong = 0x4C82;
const LOOP_CONFIGURE: c_ulong = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// The number of a loop device that is free right now; another process may take it first.
pub fn free_loop_device(control: RawFd) -> io::Result<u32> {
    let number = unsafe { ioctl(control, LOOP_CTL_GET_FREE) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(number as u32)
}

/// Puts a file behind a loop device that is freed when its last user lets go. `EBUSY` when another was faster.
pub fn configure_loop(device: RawFd, file: RawFd) -> io::Result<()> {
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = file as u32;
    config.info.flags = LO_FLAGS_AUTOCLEAR;
    let status = unsafe { ioctl(device, LOOP_CONFIGURE, &config as *const LoopConfig) };
    done(status as c_long)
}

fn done(status: c_long) -> io::Result<()> {
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn owned(fd: c_long) -> io::Result<OwnedFd> {
    done(fd)?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
