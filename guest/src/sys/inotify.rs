//! Changes in folders.

use super::{c, c_string, check, own, Result};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

pub const MODIFY: u32 = 0x2;
pub const ATTRIB: u32 = 0x4;
pub const CLOSE_WRITE: u32 = 0x8;
pub const MOVED_FROM: u32 = 0x40;
pub const MOVED_TO: u32 = 0x80;
pub const CREATE: u32 = 0x100;
pub const DELETE: u32 = 0x200;
pub const DELETE_SELF: u32 = 0x400;
pub const MOVE_SELF: u32 = 0x800;
pub const OVERFLOW: u32 = 0x4000;
pub const IGNORED: u32 = 0x8000;
pub const ONLYDIR: u32 = 0x0100_0000;
pub const DONT_FOLLOW: u32 = 0x0200_0000;
pub const EXCL_UNLINK: u32 = 0x0400_0000;
pub const ISDIR: u32 = 0x4000_0000;

extern "C" {
    fn inotify_init1(flags: c::Int) -> c::Int;
    fn inotify_add_watch(fd: c::Int, path: *const c::Char, mask: u32) -> c::Int;
    fn inotify_rm_watch(fd: c::Int, watch: c::Int) -> c::Int;
}

pub struct Inotify {
    fd: OwnedFd,
}

impl Inotify {
    pub fn new() -> Result<Inotify> {
        Ok(Inotify { fd: own(unsafe { inotify_init1(c::O_CLOEXEC | c::O_NONBLOCK) })? })
    }

    pub fn add(&self, path: &[u8], mask: u32) -> Result<i32> {
        let path = c_string(path)?;
        check(unsafe { inotify_add_watch(self.fd.as_raw_fd(), path.as_ptr(), mask) })
    }

    pub fn remove(&self, watch: i32) {
        unsafe { inotify_rm_watch(self.fd.as_raw_fd(), watch) };
    }
}

impl AsRawFd for Inotify {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// One change as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub watch: i32,
    pub mask: u32,
    pub cookie: u32,
    pub name: Vec<u8>,
}

/// Cuts what was read from the descriptor into changes.
pub fn changes(mut bytes: &[u8]) -> Vec<Change> {
    let mut changes = Vec::new();
    let number = |bytes: &[u8], at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    while bytes.len() >= 16 {
        let length = number(bytes, 12) as usize;
        if bytes.len() < 16 + length {
            break;
        }
        let name = &bytes[16..16 + length];
        let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(length)];
        changes.push(Change {
            watch: number(bytes, 0) as i32,
            mask: number(bytes, 4),
            cookie: number(bytes, 8),
            name: name.to_vec(),
        });
        bytes = &bytes[16 + length..];
    }
    changes
}
