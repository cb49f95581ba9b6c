//! Memory that ran out: telling it truthfully, and making the workload its first victim.

use crate::sys::{self, c, files};
use std::os::unix::io::{AsRawFd, OwnedFd};

/// The count of kills in the workload's group, as the kernel keeps it in `memory.oom_control` (v1) or
/// `memory.events` (v2).
pub struct OomWatch {
    file: Option<OwnedFd>,
    seen: u64,
}

impl OomWatch {
    pub fn new(file: Option<OwnedFd>) -> OomWatch {
        let mut watch = OomWatch { file, seen: 0 };
        watch.look();
        watch
    }

    /// Takes note of the count as it is.
    pub fn look(&mut self) {
        self.killed();
    }

    /// True when the kernel has killed for memory since the last look.
    pub fn killed(&mut self) -> bool {
        let file = match &self.file {
            Some(file) => file,
            None => return false,
        };
        let mut bytes = [0; 512];
        let count = match files::read_at(file.as_raw_fd(), &mut bytes, 0) {
            Ok(length) => kills(&bytes[..length]).unwrap_or(self.seen),
            Err(_) => return false,
        };
        let more = count > self.seen;
        self.seen = count;
        more
    }
}

fn kills(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok())
}

/// Gives new processes their `oom_score_adj`: the agent takes it on while it starts one.
pub struct OomScore {
    file: Option<OwnedFd>,
    own: Vec<u8>,
    workload: Vec<u8>,
}

impl OomScore {
    /// Must be opened before the agent hides its memory, which makes the file belong to root.
    pub fn new(workload: Option<i32>) -> OomScore {
        let none = OomScore { file: None, own: Vec::new(), workload: Vec::new() };
        let workload = match workload {
            Some(score) => score.to_string().into_bytes(),
            None => return none,
        };
        let path = b"/proc/self/oom_score_adj";
        match (sys::read_small(path, 32), sys::open(path, c::O_WRONLY, 0)) {
            (Ok(own), Ok(file)) => OomScore { file: Some(file), own, workload },
            _ => none,
        }
    }

    pub fn raise(&self) {
        if let Some(file) = &self.file {
            let _ = sys::write(file.as_raw_fd(), &self.workload);
        }
    }

    pub fn lower(&self) {
        if let Some(file) = &self.file {
            let _ = sys::write(file.as_raw_fd(), &self.own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_count_of_both_versions() {
        assert_eq!(kills(b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(kills(b"low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(kills(b"oom_kill_disable 0\n"), None);
    }
}
