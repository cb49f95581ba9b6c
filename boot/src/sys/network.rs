//! Network interfaces, by the oldest calls there are: they need nothing of the kernel but IPv4.

use super::{c, check, own, Result};
use std::os::unix::io::{AsRawFd, OwnedFd};

const SIOCADDRT: c::ULong = 0x890b;
const SIOCGIFFLAGS: c::ULong = 0x8913;
const SIOCSIFFLAGS: c::ULong = 0x8914;
const SIOCSIFADDR: c::ULong = 0x8916;
const SIOCSIFNETMASK: c::ULong = 0x891c;
const SIOCSIFHWADDR: c::ULong = 0x8924;
const SIOCGIFHWADDR: c::ULong = 0x8927;

const AF_INET: u16 = 2;
const ARPHRD_ETHER: u16 = 1;
const UP: u16 = 1;
const NAME: usize = 16;

extern "C" {
    fn socket(domain: c::Int, kind: c::Int, protocol: c::Int) -> c::Int;
}

/// The kernel's `ifreq`: a name and 24 bytes for whatever is asked.
#[repr(C, align(8))]
struct Request {
    name: [u8; NAME],
    data: [u8; 24],
}

/// The kernel's `rtentry`.
#[repr(C)]
struct Route {
    pad1: c::ULong,
    destination: [u8; 16],
    gateway: [u8; 16],
    mask: [u8; 16],
    flags: u16,
    pad2: u16,
    pad3: c::ULong,
    pad4: [u8; 8],
    metric: u16,
    device: *const c::Char,
    mtu: c::ULong,
    window: c::ULong,
    timeout: u16,
}

fn address(of: [u8; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&AF_INET.to_ne_bytes());
    bytes[4..8].copy_from_slice(&of);
    bytes
}

/// What asks for and changes interfaces.
pub struct Interfaces(OwnedFd);

impl Interfaces {
    pub fn open() -> Result<Interfaces> {
        const DATAGRAM: c::Int = 2;
        own(unsafe { socket(c::Int::from(AF_INET), DATAGRAM | c::O_CLOEXEC, 0) }).map(Interfaces)
    }

    fn call(&self, call: c::ULong, name: &str, data: &[u8]) -> Result<[u8; 24]> {
        let mut request = Request { name: [0; NAME], data: [0; 24] };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        request.data[..data.len()].copy_from_slice(data);
        check(unsafe { c::ioctl(self.0.as_raw_fd(), call, &mut request as *mut Request) })?;
        Ok(request.data)
    }

    /// Turns an interface on.
    pub fn raise(&self, name: &str) -> Result<()> {
        let data = self.call(SIOCGIFFLAGS, name, &[])?;
        let flags = u16::from_ne_bytes([data[0], data[1]]) | UP;
        self.call(SIOCSIFFLAGS, name, &flags.to_ne_bytes()).map(drop)
    }

    pub fn mac(&self, name: &str) -> Result<[u8; 6]> {
        let data = self.call(SIOCGIFHWADDR, name, &[])?;
        Ok([data[2], data[3], data[4], data[5], data[6], data[7]])
    }

    pub fn set_mac(&self, name: &str, mac: [u8; 6]) -> Result<()> {
        let mut data = [0; 8];
        data[..2].copy_from_slice(&ARPHRD_ETHER.to_ne_bytes());
        data[2..].copy_from_slice(&mac);
        self.call(SIOCSIFHWADDR, name, &data).map(drop)
    }

    pub fn set_address(&self, name: &str, ip: [u8; 4], mask: [u8; 4]) -> Result<()> {
        self.call(SIOCSIFADDR, name, &address(ip))?;
        self.call(SIOCSIFNETMASK, name, &address(mask)).map(drop)
    }

    /// Everything that is not near goes by this neighbour.
    pub fn set_gateway(&self, gateway: [u8; 4]) -> Result<()> {
        const ROUTE_UP: u16 = 1;
        const ROUTE_BY_GATEWAY: u16 = 2;
        let route = Route {
            pad1: 0,
            destination: address([0; 4]),
            gateway: address(gateway),
            mask: address([0; 4]),
            flags: ROUTE_UP | ROUTE_BY_GATEWAY,
            pad2: 0,
            pad3: 0,
            pad4: [0; 8],
            metric: 0,
            device: std::ptr::null(),
            mtu: 0,
            window: 0,
            timeout: 0,
        };
        check(unsafe { c::ioctl(self.0.as_raw_fd(), SIOCADDRT, &route as *const Route) }).map(drop)
    }
}
