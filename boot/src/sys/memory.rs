//! The machine's memory.

use super::{c, check, Result};

#[repr(C)]
#[derive(Default)]
struct Sysinfo {
    uptime: c::Long,
    loads: [c::ULong; 3],
    total: c::ULong,
    free: c::ULong,
    shared: c::ULong,
    buffers: c::ULong,
    total_swap: c::ULong,
    free_swap: c::ULong,
    processes: u16,
    padding: u16,
    total_high: c::ULong,
    free_high: c::ULong,
    unit: u32,
    rest: [u64; 4],
}

extern "C" {
    fn sysinfo(out: *mut Sysinfo) -> c::Int;
}

/// Bytes that nobody uses.
pub fn free() -> Result<u64> {
    let mut facts = Sysinfo::default();
    check(unsafe { sysinfo(&mut facts) })?;
    Ok((facts.free as u64).saturating_mul(u64::from(facts.unit)))
}
