//! Mounts.

use super::{c, c_string, check, own, Result};
use std::os::unix::io::{OwnedFd, RawFd};
use std::ptr;

pub const READ_ONLY: c::ULong = 1;
pub const NOSUID: c::ULong = 2;
pub const NODEV: c::ULong = 4;
pub const NOEXEC: c::ULong = 8;
const REMOUNT: c::ULong = 0x20;
const BIND: c::ULong = 0x1000;
const MOVE: c::ULong = 0x2000;

const OPEN_TREE_CLONE: c::UInt = 1;
const OPEN_TREE_CLOEXEC: c::UInt = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH: c::UInt = 4;
const MOVE_MOUNT_T_SYMLINKS: c::UInt = 0x10;

/// mount(2) of a new file system.
pub fn mount(source: &str, target: impl AsRef<[u8]>, kind: &str, flags: c::ULong, options: &str) -> Result<()> {
    let (source, target, kind) = (c_string(source)?, c_string(target)?, c_string(kind)?);
    let options = c_string(options)?;
    let done = unsafe { c::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
    check(done).map(drop)
}

/// A detached copy of the file or folder at a path.
pub fn clone_tree(path: &str) -> Result<OwnedFd> {
    let path = c_string(path)?;
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    own(unsafe { c::syscall(c::SYS_OPEN_TREE, c::AT_FDCWD, path.as_ptr(), flags) } as c::Int)
}

/// Puts a detached copy at a path.
pub fn attach(tree: RawFd, target: &str) -> Result<()> {
    let (empty, target) = (c_string("")?, c_string(target)?);
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
    let done = unsafe { c::syscall(c::SYS_MOVE_MOUNT, tree, empty.as_ptr(), c::AT_FDCWD, target.as_ptr(), flags) };
    check(done as c::Int).map(drop)
}

/// Nobody writes through this mount from now on.
pub fn make_read_only(target: &str) -> Result<()> {
    let target = c_string(target)?;
    let flags = REMOUNT | BIND | READ_ONLY | NOSUID | NODEV;
    check(unsafe { c::mount(ptr::null(), target.as_ptr(), ptr::null(), flags, ptr::null()) }).map(drop)
}

/// Makes what is mounted at a path the root of this process and of its mount namespace. The root of an initramfs can be
/// covered only, not left.
pub fn become_root(path: &str) -> Result<()> {
    let (path, here, root) = (c_string(path)?, c_string(".")?, c_string("/")?);
    unsafe {
        check(c::chdir(path.as_ptr()))?;
        check(c::mount(here.as_ptr(), root.as_ptr(), ptr::null(), MOVE, ptr::null()))?;
        check(c::chroot(here.as_ptr()))?;
        check(c::chdir(root.as_ptr())).map(drop)
    }
}

/// Makes a file system read-only, everything of it on its disk.
pub fn freeze(target: &str) -> Result<()> {
    let target = c_string(target)?;
    check(unsafe { c::mount(ptr::null(), target.as_ptr(), ptr::null(), REMOUNT | READ_ONLY, ptr::null()) }).map(drop)
}
