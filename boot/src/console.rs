//! Lines on the console, which the host reads.

use crate::sys::{self, time};

/// Says one line, in one piece.
pub fn say(text: &str) {
    let clean = text.replace(|letter: char| letter.is_control(), " ");
    let _ = sys::write_all(2, format!("cove-boot: {clean}\n").as_bytes());
}

/// Moments of the boot, told together at the end: a serial console is slow.
pub struct Trace {
    moments: Vec<(&'static str, u64)>,
}

impl Trace {
    pub fn begin() -> Trace {
        Trace { moments: vec![("begin", time::since_boot())] }
    }

    pub fn mark(&mut self, what: &'static str) {
        self.moments.push((what, time::since_boot()));
    }

    /// `begin 0.310, disks +0.004, …`, in seconds since the kernel began and since the moment before.
    pub fn tell(&self) {
        let mut before = 0;
        let moments = self.moments.iter().map(|(what, at)| {
            let passed = at - before;
            let sign = if before == 0 { "" } else { "+" };
            before = *at;
            format!("{what} {sign}{}.{:04}", passed / 1_000_000, passed % 1_000_000 / 100)
        });
        say(&format!("times: {}", moments.collect::<Vec<_>>().join(", ")));
    }
}
