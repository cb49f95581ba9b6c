//! The host's own addresses, and the networks that it stands in: as they are, and as they change.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

use crate::sys::{self, c, netlink, Errno};

/// Networks remembered at most; a host with more has no network for machines.
const MAX_KNOWN: usize = 2048;
/// Wider ones are mistakes or tunnels: only the address itself is denied.
const WIDEST4: u8 = 8;
const WIDEST6: u8 = 32;

/// An address and how many of its bits name the network.
pub type Subnet = (IpAddr, u8);

pub struct Addresses {
    changes: OwnedFd,
    known: HashSet<Subnet>,
}

impl Addresses {
    /// Watches before it reads, so that nothing is missed in between.
    pub fn open() -> sys::Result<Addresses> {
        Ok(Addresses { changes: netlink::watch_addresses()?, known: HashSet::new() })
    }

    pub fn descriptor(&self) -> RawFd {
        self.changes.as_raw_fd()
    }

    /// What was not there at the last reading. What goes away stays denied.
    pub fn read(&mut self) -> sys::Result<Vec<Subnet>> {
        netlink::drain(&self.changes)?;
        let mut new = Vec::new();
        for (address, bits) in netlink::addresses()? {
            let subnet = network(address, bits);
            if self.known.insert(subnet) {
                new.push(subnet);
            }
        }
        if self.known.len() > MAX_KNOWN {
            return Err(Errno(c::E2BIG));
        }
        Ok(new)
    }
}

fn network(address: IpAddr, bits: u8) -> Subnet {
    match address {
        IpAddr::V4(address) => {
            let bits = if (WIDEST4..=32).contains(&bits) { bits } else { 32 };
            (IpAddr::V4(Ipv4Addr::from(u32::from(address) & (u32::MAX << (32 - bits)))), bits)
        }
        IpAddr::V6(address) => {
            let bits = if (WIDEST6..=128).contains(&bits) { bits } else { 128 };
            (IpAddr::V6(Ipv6Addr::from(u128::from(address) & (u128::MAX << (128 - bits)))), bits)
        }
    }
}

/// Commands for nft that deny these, also as a translated address of the other family.
pub fn elements(subnets: &[Subnet]) -> String {
    let mut text = String::new();
    for (address, bits) in subnets {
        let _ = match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                let _ = writeln!(text, "add element inet cove host4 {{ {}/{} }}", address, bits);
                writeln!(text, "add element inet cove host6 {{ 64:ff9b::{:x}:{:x}/{} }}", high, low, bits + 96)
            }
            IpAddr::V6(address) => writeln!(text, "add element inet cove host6 {{ {}/{} }}", address, bits),
        };
    }
    text
}

/// True when this host's IPv6 leads anywhere.
pub fn has_default_route6() -> bool {
    let routes = fs::read_to_string("/proc/self/net/ipv6_route").unwrap_or_default();
    routes.lines().any(is_default_route)
}

fn is_default_route(line: &str) -> bool {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let everything = words.first().map_or(false, |target| target.bytes().all(|digit| digit == b'0'));
    everything && words.get(1) == Some(&"00") && words.last().map_or(false, |device| *device != "lo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_denied_whole_unless_it_is_far_too_wide() {
        let of = |text: &str, bits| network(text.parse().unwrap(), bits);
        assert_eq!(of("198.51.100.77", 24), ("198.51.100.0".parse().unwrap(), 24));
        assert_eq!(of("198.51.100.77", 32), ("198.51.100.77".parse().unwrap(), 32));
        assert_eq!(of("198.51.100.77", 0), ("198.51.100.77".parse().unwrap(), 32));
        assert_eq!(of("2001:db8::77", 64), ("2001:db8::".parse().unwrap(), 64));
        assert_eq!(of("2001:db8::77", 3), ("2001:db8::77".parse().unwrap(), 128));
    }

    #[test]
    fn an_address_is_denied_in_its_translated_form_too() {
        let text = elements(&[("198.51.100.0".parse().unwrap(), 24), ("2001:db8::".parse().unwrap(), 64)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "add element inet cove host4 { 198.51.100.0/24 }",
                "add element inet cove host6 { 64:ff9b::c633:6400/120 }",
                "add element inet cove host6 { 2001:db8::/64 }",
            ]
        );
    }

    #[test]
    fn a_route_into_nowhere_is_no_default_route() {
        let zero = "00000000000000000000000000000000";
        let route = |bits: &str, device: &str| {
            format!("{0} {1} {0} 00 {0} ffffffff 00000001 00000000 00200200       {2}", zero, bits, device)
        };
        assert!(is_default_route(&route("00", "eth0")));
        assert!(!is_default_route(&route("00", "lo")));
        assert!(!is_default_route(&route("40", "eth0")));
        assert!(!is_default_route(""));
    }
}
