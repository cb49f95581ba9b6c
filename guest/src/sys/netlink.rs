//! Asking the kernel for the addresses of its interfaces.

use super::{c, check, check_size, own, retry, Errno, Result};
use std::convert::TryFrom;
use std::net::IpAddr;
use std::os::unix::io::{AsRawFd, OwnedFd};

const AF_NETLINK: c::Int = 16;
const SOCK_RAW: c::Int = 3;
const GROUPS: u32 = 0x10 | 0x100;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST_DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ENOBUFS: c::Int = 105;

extern "C" {
    fn socket(domain: c::Int, kind: c::Int, protocol: c::Int) -> c::Int;
    fn bind(fd: c::Int, address: *const c::Void, length: c::UInt) -> c::Int;
}

#[repr(C)]
struct Address {
    family: u16,
    padding: u16,
    port: u32,
    groups: u32,
}

fn open(groups: u32, flags: c::Int) -> Result<OwnedFd> {
    let fd = own(unsafe { socket(AF_NETLINK, SOCK_RAW | c::O_CLOEXEC | flags, 0) })?;
    let address = Address { family: AF_NETLINK as u16, padding: 0, port: 0, groups };
    let size = std::mem::size_of::<Address>() as c::UInt;
    check(unsafe { bind(fd.as_raw_fd(), (&address as *const Address).cast(), size) })?;
    Ok(fd)
}

/// Readable when an address has come or gone.
pub fn watch_addresses() -> Result<OwnedFd> {
    open(GROUPS, c::O_NONBLOCK)
}

/// Forgets what has been told; an overflow is as good as any other news.
pub fn drain(changes: &OwnedFd) -> Result<()> {
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        match super::read(changes.as_raw_fd(), &mut buffer) {
            Ok(_) | Err(Errno(ENOBUFS)) => {}
            Err(Errno(c::EAGAIN)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// All addresses of this network namespace with the bits of their networks.
pub fn addresses() -> Result<Vec<(IpAddr, u8)>> {
    let fd = open(0, 0)?;
    let mut request = [0u8; HEADER + 4];
    request[..4].copy_from_slice(&(HEADER as u32 + 1).to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    super::write(fd.as_raw_fd(), &request)?;
    let mut found = Vec::new();
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let length = retry(|| {
            check_size(unsafe { c::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) })
        })?;
        if parse(&buffer[..length], &mut found)? {
            return Ok(found);
        }
    }
}

/// True after the last message.
fn parse(mut bytes: &[u8], found: &mut Vec<(IpAddr, u8)>) -> Result<bool> {
    while bytes.len() >= HEADER {
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let message = bytes.get(HEADER..length).ok_or(Errno(c::EIO))?;
        match u16::from_ne_bytes([bytes[4], bytes[5]]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(Errno(c::EIO)),
            RTM_NEWADDR if message.len() >= ADDRESS_HEADER => {
                attributes(message[1], &message[ADDRESS_HEADER..], found);
            }
            _ => {}
        }
        bytes = bytes.get((length + 3) & !3..).unwrap_or(&[]);
    }
    Ok(false)
}

fn attributes(bits: u8, mut bytes: &[u8], found: &mut Vec<(IpAddr, u8)>) {
    while bytes.len() >= 4 {
        let length = u16::from_ne_bytes([bytes[0], bytes[1]]) as usize;
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]);
        let value = match bytes.get(4..length) {
            Some(value) => value,
            None => return,
        };
        // Of a link between two the one is the host's own and the other that of its peer.
        if kind == IFA_ADDRESS || kind == IFA_LOCAL {
            if let Ok(octets) = <[u8; 4]>::try_from(value) {
                found.push((IpAddr::from(octets), bits));
            } else if let Ok(octets) = <[u8; 16]>::try_from(value) {
                found.push((IpAddr::from(octets), bits));
            }
        }
        bytes = bytes.get((length + 3) & !3..).unwrap_or(&[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_loopback_is_among_the_addresses() {
        let found = addresses().unwrap();
        let loopback = found.iter().find(|(address, _)| address.is_loopback());
        assert!(found.is_empty() || loopback.is_some(), "{:?}", found);
    }

    #[test]
    fn broken_messages_end_nowhere() {
        let mut found = Vec::new();
        assert!(parse(&[255; 64], &mut found).is_err());
        assert!(!parse(&[0; 3], &mut found).unwrap());
        attributes(24, &[255; 9], &mut found);
        attributes(24, &[0; 12], &mut found);
        assert!(found.is_empty());
    }
}
