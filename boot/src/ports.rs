//! Virtio-serial ports, found by their names.

use crate::failure::{Failure, Result, Tried};
use crate::sys::{self, c, poll, time};
use std::os::unix::io::{AsRawFd, OwnedFd};

pub const GUEST: &str = "cove.guest";
pub const CONTROL: &str = "cove.control";
pub const PACK: &str = "cove.pack";

const CLASS: &str = "/sys/class/virtio-ports";
/// The host names ports soon after the driver has found them: so often others are let run, then milliseconds pass.
const YIELDS: u32 = 200;
const PATIENCE: u32 = 3000;

/// Waits for a port; reading and writing it does not block.
pub fn open(wanted: &str) -> Result<OwnedFd> {
    let path = patiently(|| find(wanted)).ok_or_else(|| Failure::new(format!("there is no port {wanted}")))?;
    sys::open(&path, c::O_RDWR | c::O_NONBLOCK).tried(&format!("open the port {wanted}"))
}

/// Waits until the host's side is open; not for long, since a host may come later.
pub fn await_host(port: &OwnedFd) {
    for _ in 0..YIELDS {
        match poll::wait_for(port.as_raw_fd(), poll::READ, 0) {
            Ok(state) if state & poll::HUNG_UP != 0 => time::give_way(),
            _ => return,
        }
    }
}

fn patiently<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for round in 0..YIELDS + PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        if round < YIELDS {
            time::give_way();
        } else {
            time::sleep_ms(1);
        }
    }
    None
}

fn find(wanted: &str) -> Option<String> {
    let entries = std::fs::read_dir(CLASS).ok()?;
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let told = sys::read_file(format!("{CLASS}/{name}/name"), 64).unwrap_or_default();
        if told.strip_suffix(b"\n").unwrap_or(&told) == wanted.as_bytes() {
            return Some(format!("/dev/{name}"));
        }
    }
    None
}
