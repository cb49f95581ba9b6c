//! `/tmp` where it is memory.

use crate::sys;

const MAX_MOUNTS: usize = 256 * 1024;

/// Lets everybody write there. Some runtimes give what they mount the mode of the folder below, which an image may have
/// for root alone. Nobody but root may change it, and such a machine goes on as it is.
pub fn open_to_all() {
    let mounts = sys::read_small(b"/proc/self/mounts", MAX_MOUNTS).unwrap_or_default();
    if mounts.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"tmpfs /tmp tmpfs ")) {
        let _ = sys::files::chmod(b"/tmp", 0o1777);
    }
}
