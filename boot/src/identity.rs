//! What a machine must not share with others that were restored from the same memory.

use crate::failure::{Result, Tried};
use crate::network::INTERFACE;
use crate::sys::network::Interfaces;
use crate::sys::{entropy, time};

#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    pub mac: Option<[u8; 6]>,
    /// Milliseconds since 1970.
    pub clock: u64,
    pub seed: [u8; entropy::SEED],
}

/// Randomness first: whatever else fails, no two machines may draw the same numbers.
pub fn take(identity: &Identity) -> Result<()> {
    entropy::reseed(&identity.seed).tried("add randomness")?;
    time::set_clock(identity.clock).tried("set the clock")?;
    if let Some(mac) = identity.mac {
        let interfaces = Interfaces::open().tried("open the network")?;
        interfaces.set_mac(INTERFACE, mac).tried("set the MAC address")?;
    }
    Ok(())
}
