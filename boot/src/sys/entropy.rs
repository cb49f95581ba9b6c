//! The kernel's random numbers.

use super::{c, check, open, Result};
use std::os::unix::io::AsRawFd;

pub const SEED: usize = 32;

#[repr(C)]
struct Pool {
    bits: c::Int,
    bytes: c::Int,
    seed: [u8; SEED],
}

/// Adds a seed that counts in full and makes the generator use it at once, so that nothing that was drawn before tells
/// what is drawn from now on.
pub fn reseed(seed: &[u8; SEED]) -> Result<()> {
    let file = open("/dev/urandom", c::O_RDWR)?;
    let pool = Pool { bits: SEED as c::Int * 8, bytes: SEED as c::Int, seed: *seed };
    check(unsafe { c::ioctl(file.as_raw_fd(), c::RNDADDENTROPY, &pool as *const Pool) })?;
    check(unsafe { c::ioctl(file.as_raw_fd(), c::RNDRESEEDCRNG) }).map(drop)
}
