//! The format of tar archives: ustar, what POSIX and GNU added to it, and attributes as star writes them.

pub mod block;
pub mod input;
pub mod pax;
pub mod reader;
pub mod sparse;
pub mod writer;

use crate::sys::files::Time;

pub const BLOCK: usize = 512;
pub const XATTR: &[u8] = b"SCHILY.xattr.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Dir,
    Fifo,
}

/// One member of an archive, what comes before and after its header taken into account.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it is in the archive.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Of a link.
    pub target: Vec<u8>,
    /// Permissions only.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: Time,
    /// Of the file, its holes included.
    pub size: u64,
    /// Where content is, when there are holes: where each piece begins and how long it is.
    pub pieces: Option<Vec<(u64, u64)>>,
    pub device: (u32, u32),
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}
