//! Sockets that never block.

use super::{c, check, check_size, own, retry, Errno, Result};
use std::net::IpAddr;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

const AF_UNIX: c::Int = 1;
const AF_INET: c::Int = 2;
const AF_INET6: c::Int = 10;
const SOCK_STREAM: c::Int = 1;
const SOL_SOCKET: c::Int = 1;
const SO_ERROR: c::Int = 4;
const SO_SNDBUF: c::Int = 7;
const SHUT_WR: c::Int = 1;
const IPPROTO_TCP: c::Int = 6;
const TCP_NODELAY: c::Int = 1;
const MSG_NOSIGNAL: c::Int = 0x4000;

extern "C" {
    fn socket(domain: c::Int, kind: c::Int, protocol: c::Int) -> c::Int;
    fn connect(fd: c::Int, address: *const c::Void, length: c::UInt) -> c::Int;
    fn accept4(fd: c::Int, address: *mut c::Void, length: *mut c::UInt, flags: c::Int) -> c::Int;
    fn shutdown(fd: c::Int, how: c::Int) -> c::Int;
    fn getsockopt(fd: c::Int, level: c::Int, name: c::Int, value: *mut c::Void, length: *mut c::UInt) -> c::Int;
    fn setsockopt(fd: c::Int, level: c::Int, name: c::Int, value: *const c::Void, length: c::UInt) -> c::Int;
    fn send(fd: c::Int, buffer: *const c::Void, length: usize, flags: c::Int) -> isize;
}

/// A connection that waits at a listening socket, if there is one.
pub fn accept(listener: RawFd) -> Result<OwnedFd> {
    retry(|| {
        own(unsafe { accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), c::O_CLOEXEC | c::O_NONBLOCK) })
    })
}

/// Asks for a larger send buffer; the kernel gives what it allows.
pub fn grow_send_buffer(fd: RawFd, bytes: c::Int) {
    let size = std::mem::size_of::<c::Int>() as c::UInt;
    unsafe { setsockopt(fd, SOL_SOCKET, SO_SNDBUF, (&bytes as *const c::Int).cast(), size) };
}

/// Begins a connection: the socket, and whether it stands already.
pub fn connect_tcp(host: IpAddr, port: u16) -> Result<(OwnedFd, bool)> {
    let mut address = [0; 28];
    address[2..4].copy_from_slice(&port.to_be_bytes());
    let (family, length) = match host {
        IpAddr::V4(host) => {
            address[4..8].copy_from_slice(&host.octets());
            (AF_INET, 16)
        }
        IpAddr::V6(host) => {
            address[8..24].copy_from_slice(&host.octets());
            (AF_INET6, 28)
        }
    };
    address[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    let fd = stream(family)?;
    let on: c::Int = 1;
    let size = std::mem::size_of::<c::Int>() as c::UInt;
    unsafe { setsockopt(fd.as_raw_fd(), IPPROTO_TCP, TCP_NODELAY, (&on as *const c::Int).cast(), size) };
    begin(fd, &address[..length])
}

pub fn connect_unix(path: &[u8]) -> Result<(OwnedFd, bool)> {
    if path.len() > 107 {
        return Err(Errno(c::ENAMETOOLONG));
    }
    let mut address = vec![0; 2];
    address[..2].copy_from_slice(&(AF_UNIX as u16).to_ne_bytes());
    address.extend_from_slice(path);
    address.push(0);
    begin(stream(AF_UNIX)?, &address)
}

fn stream(family: c::Int) -> Result<OwnedFd> {
    own(unsafe { socket(family, SOCK_STREAM | c::O_CLOEXEC | c::O_NONBLOCK, 0) })
}

fn begin(fd: OwnedFd, address: &[u8]) -> Result<(OwnedFd, bool)> {
    match check(unsafe { connect(fd.as_raw_fd(), address.as_ptr().cast(), address.len() as c::UInt) }) {
        Ok(_) => Ok((fd, true)),
        Err(Errno(c::EINPROGRESS)) => Ok((fd, false)),
        Err(error) => Err(error),
    }
}

/// How a begun connection came out.
pub fn connected(fd: RawFd) -> Result<()> {
    let mut error: c::Int = 0;
    let mut size = std::mem::size_of::<c::Int>() as c::UInt;
    check(unsafe { getsockopt(fd, SOL_SOCKET, SO_ERROR, (&mut error as *mut c::Int).cast(), &mut size) })?;
    if error == 0 {
        Ok(())
    } else {
        Err(Errno(error))
    }
}

/// Tells the other side that nothing more will come.
pub fn end_writing(fd: RawFd) {
    unsafe { shutdown(fd, SHUT_WR) };
}

pub fn send_some(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    retry(|| check_size(unsafe { send(fd, bytes.as_ptr().cast(), bytes.len(), MSG_NOSIGNAL) }))
}
