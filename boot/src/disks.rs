//! The machine's disks, told apart by what they are and not by their order.

use crate::config;
use crate::failure::{Failure, Result, Tried};
use crate::sys::{self, block, c, time, Errno};
use std::os::unix::io::{AsRawFd, OwnedFd};

/// Disks that are looked at.
const NAMES: &[u8] = b"abcdefgh";
/// How long disks may take to appear, in milliseconds.
const PATIENCE: u64 = 2000;
const FIRST_READ: usize = 4096;

#[derive(Default)]
pub struct Disks {
    /// The configuration's text.
    pub config: Vec<u8>,
    /// Path of what else is read-only.
    pub root: Option<String>,
    /// Path of what can be written.
    pub writable: Option<String>,
    /// A disk that is closed forgets what was read of it, which takes time and is read again when it is mounted.
    _open: Vec<OwnedFd>,
}

/// Waits for the one with the configuration.
pub fn find() -> Result<Disks> {
    for _ in 0..PATIENCE {
        let disks = look()?;
        if !disks.config.is_empty() {
            return Ok(disks);
        }
        time::sleep_ms(1);
    }
    Err(Failure::new("there is no disk with a configuration"))
}

fn look() -> Result<Disks> {
    let mut disks = Disks::default();
    for name in NAMES {
        let path = format!("/dev/vd{}", *name as char);
        let disk = match sys::open(&path, c::O_RDONLY) {
            Err(Errno(c::ENOENT)) => break,
            disk => disk.tried("open a disk")?,
        };
        if !block::is_read_only(disk.as_raw_fd()).tried("look at a disk")? {
            disks.writable.get_or_insert(path);
        } else {
            let text = read_config(&disk)?;
            if text.is_empty() {
                disks.root.get_or_insert(path);
            } else {
                disks.config = text;
            }
        }
        disks._open.push(disk);
    }
    Ok(disks)
}

/// Empty where the disk has something else.
fn read_config(disk: &OwnedFd) -> Result<Vec<u8>> {
    let mut text = vec![0; FIRST_READ];
    let mut length = 0;
    loop {
        let count = sys::read_at(disk.as_raw_fd(), &mut text[length..], length as u64).tried("read a disk")?;
        length += count;
        if !text[..length].starts_with(config::FIRST) {
            return Ok(Vec::new());
        }
        // Without its end it is refused where it is understood.
        if count == 0 || length >= config::MOST || config::is_whole(&text[..length]) {
            text.truncate(length);
            return Ok(text);
        }
        text.resize(length * 4, 0);
    }
}
