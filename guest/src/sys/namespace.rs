//! Namespaces and the identity inside them.

use std::ffi::CString;
use std::io;
use std::os::raw::{c_int, c_long, c_ulong};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::{AsRawFd, RawFd};
use std::path::Path;

use super::c;

extern "C" {
    #[link_name = "unshare"]
    fn c_unshare(flags: c_int) -> c_int;
    #[link_name = "setns"]
    fn c_setns(fd: c_int, kind: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
}

pub const CLONE_NEWNS: c_int = 0x0002_0000;
pub const CLONE_NEWUTS: c_int = 0x0400_0000;
pub const CLONE_NEWUSER: c_int = 0x1000_0000;
pub const CLONE_NEWNET: c_int = 0x4000_0000;

pub fn unshare(flags: c_int) -> io::Result<()> {
    check(unsafe { c_unshare(flags) } as c_long)
}

pub fn enter(namespace: RawFd, kind: c_int) -> io::Result<()> {
    check(unsafe { c_setns(namespace, kind) } as c_long)
}

/// Becomes uid 0 and gid 0 of the current user namespace, without supplementary groups. For one thread only.
pub fn become_root() -> io::Result<()> {
    let zero: c_ulong = 0;
    check(unsafe { syscall(c::SYS_SETGROUPS, zero, zero) })?;
    check(unsafe { syscall(c::SYS_SETRESGID, zero, zero, zero) })?;
    check(unsafe { syscall(c::SYS_SETRESUID, zero, zero, zero) })
}

fn check(status: c_long) -> io::Result<()> {
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Gives a file away, never following a link.
pub fn chown(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let status = unsafe { c::fchownat(c::AT_FDCWD, path.as_ptr(), uid, gid, c::AT_SYMLINK_NOFOLLOW) };
    check(status as c_long)
}

/// Turns the loopback interface of the current network namespace on.
pub fn raise_loopback() -> io::Result<()> {
    const SIOCSIFFLAGS: c::ULong = 0x8914;
    const IFF_UP: u8 = 1;
    let (inet, datagram) = (2, 2);
    let socket = super::own(unsafe { socket(inet, datagram | c::O_CLOEXEC, 0) });
    let socket = socket.map_err(|error| io::Error::from_raw_os_error(error.0))?;
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = IFF_UP;
    check(unsafe { c::ioctl(socket.as_raw_fd(), SIOCSIFFLAGS, request.as_mut_ptr()) } as c_long)
}

/// What kind of namespace a descriptor stands for: the `CLONE_` flag that makes one. None for other files.
pub fn kind_of(fd: RawFd) -> Option<c_int> {
    const NS_GET_NSTYPE: c::ULong = 0xb703;
    let kind = unsafe { c::ioctl(fd, NS_GET_NSTYPE) };
    Some(kind).filter(|kind| *kind > 0)
}
