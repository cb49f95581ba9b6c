//! Clocks, and waiting.

use super::{c, check, Result};

const CLOCK_REALTIME: c::Int = 0;
const CLOCK_BOOTTIME: c::Int = 7;

/// Microseconds since the kernel began.
pub fn since_boot() -> u64 {
    let mut time = c::Timespec::default();
    unsafe { c::clock_gettime(CLOCK_BOOTTIME, &mut time) };
    time.seconds as u64 * 1_000_000 + time.nanoseconds as u64 / 1000
}

/// Sets the clock, in milliseconds since 1970.
pub fn set_clock(ms: u64) -> Result<()> {
    let time = c::Timespec { seconds: (ms / 1000) as i64, nanoseconds: (ms % 1000 * 1_000_000) as c::Long };
    check(unsafe { c::clock_settime(CLOCK_REALTIME, &time) }).map(drop)
}

/// Lets everything else run that can.
pub fn give_way() {
    unsafe { c::sched_yield() };
}

pub fn sleep_ms(ms: u64) {
    let time = c::Timespec { seconds: (ms / 1000) as i64, nanoseconds: (ms % 1000 * 1_000_000) as c::Long };
    unsafe { c::nanosleep(&time, std::ptr::null_mut()) };
}
