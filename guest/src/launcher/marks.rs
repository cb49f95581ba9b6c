//! A process whose environment names its record is found by that, also when it has left the session and lost its parents.
//! The name is random and known to nobody else: whoever carries it was started by that process.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::procs;

/// How often, and how long between, one is looked at that is just becoming another program.
const LOOKS: usize = 50;
const PAUSE: Duration = Duration::from_micros(200);
const VARIABLE: &[u8] = b"COVE_RECORD=";

/// The record that one `K=V` names.
pub fn of(word: &[u8]) -> Option<&str> {
    std::str::from_utf8(word.strip_prefix(VARIABLE)?).ok()
}

/// The record that a process's environment names.
pub fn mark_of(pid: i32) -> Option<String> {
    let mut bytes = Vec::new();
    for _ in 0..LOOKS {
        bytes = fs::read(format!("/proc/{}/environ", pid)).ok()?;
        if !bytes.is_empty() || !procs::stat(pid).map_or(false, |stat| stat.unsettled) {
            break;
        }
        sleep(PAUSE);
    }
    let mark = bytes.split(|byte| *byte == 0).find_map(of);
    mark.map(String::from)
}
