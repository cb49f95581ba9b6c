//! Sockets between a machine and its host.

use super::{c, check, own, retry, Result};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

const AF_VSOCK: c::Int = 40;
const ANY: u32 = u32::MAX;

#[repr(C)]
struct Address {
    family: u16,
    reserved: u16,
    port: u32,
    machine: u32,
    flags: u8,
    zero: [u8; 3],
}

extern "C" {
    fn socket(domain: c::Int, kind: c::Int, protocol: c::Int) -> c::Int;
    fn bind(fd: c::Int, address: *const Address, length: c::UInt) -> c::Int;
    fn listen(fd: c::Int, backlog: c::Int) -> c::Int;
    fn shutdown(fd: c::Int, how: c::Int) -> c::Int;
    fn accept4(fd: c::Int, address: *mut c::Void, length: *mut c::UInt, flags: c::Int) -> c::Int;
}

/// Waits for connections of the host at a port.
pub fn listen_at(port: u32) -> Result<OwnedFd> {
    const STREAM: c::Int = 1;
    let fd = own(unsafe { socket(AF_VSOCK, STREAM | c::O_CLOEXEC | c::O_NONBLOCK, 0) })?;
    let address = Address { family: AF_VSOCK as u16, reserved: 0, port, machine: ANY, flags: 0, zero: [0; 3] };
    check(unsafe { bind(fd.as_raw_fd(), &address, std::mem::size_of::<Address>() as c::UInt) })?;
    check(unsafe { listen(fd.as_raw_fd(), 16) })?;
    Ok(fd)
}

/// The next connection, which does not block.
pub fn accept(listener: RawFd) -> Result<OwnedFd> {
    let flags = c::O_CLOEXEC | c::O_NONBLOCK;
    retry(|| own(unsafe { accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), flags) }))
}

/// The other side reads to the end and no further.
pub fn end_writing(fd: RawFd) -> Result<()> {
    const WRITING: c::Int = 1;
    check(unsafe { shutdown(fd, WRITING) }).map(drop)
}
