//! A few lines about what went wrong without anybody asking. Never argv, environments or content.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A longer log starts anew.
const MAX_BYTES: u64 = 1 << 20;

pub struct Log {
    path: PathBuf,
}

impl Log {
    pub fn new(path: PathBuf) -> Log {
        Log { path }
    }

    pub fn line(&self, message: impl Display) {
        let full = std::fs::metadata(&self.path).map_or(false, |facts| facts.len() > MAX_BYTES);
        let mut options = OpenOptions::new();
        options.create(true).mode(0o600);
        let file = if full { options.write(true).truncate(true) } else { options.append(true) }.open(&self.path);
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        if let Ok(mut file) = file {
            // A log that cannot be written must not stop the work.
            let _ = file.write_all(format!("{} [{}] {}\n", seconds, std::process::id(), message).as_bytes());
        }
    }
}
