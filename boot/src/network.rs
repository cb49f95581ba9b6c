//! The machine's network: loopback, and one interface where the host gives one.

use crate::config::Net;
use crate::failure::{Result, Tried};
use crate::sys::network::Interfaces;

/// The only one that there is.
pub const INTERFACE: &str = "eth0";

pub fn set_up(net: Option<&Net>) -> Result<()> {
    let interfaces = Interfaces::open().tried("open the network")?;
    interfaces.raise("lo").tried("turn loopback on")?;
    let net = match net {
        Some(net) => net,
        None => return Ok(()),
    };
    let has = interfaces.mac(INTERFACE).tried("find the network interface")?;
    if has != net.mac {
        interfaces.set_mac(INTERFACE, net.mac).tried("set the MAC address")?;
    }
    interfaces.set_address(INTERFACE, net.address, net.mask()).tried("set the network address")?;
    interfaces.raise(INTERFACE).tried("turn the network interface on")?;
    interfaces.set_gateway(net.gateway).tried("set the gateway")
}
