//! One large file copied as it is, sharing or leaving out what can be: a disk, or the memory of a virtual machine.

use crate::failure::{Code, Failure, Result, Tried};
use crate::memory;
use crate::sys::{self, c, files, Errno};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

/// What the holes of the copy are made of, and what changes are looked for in.
pub const BLOCK: usize = 4096;
const PIECE: usize = 1 << 20;
const MOST_SAMPLES: usize = 64;

/// What was made.
pub struct Copied {
    pub size: u64,
    /// Bytes on the disk.
    pub stored: u64,
    /// Where some of the blocks are that are not holes: whoever remembers them can tell whether the file is whole.
    pub samples: Vec<u64>,
}

/// Copies the file at `from` to `into`, which must not be there and is gone again when it fails. With `process`, what
/// that process has changed in its private mapping of the file is in the copy, too. `follow`: the kernel's own link to
/// an open file is meant.
pub fn copy(from: &[u8], into: &[u8], process: Option<u64>, follow: bool) -> Result<Copied> {
    let (source, facts) = open_source(from, follow)?;
    let flags = c::O_RDWR | c::O_CREAT | c::O_EXCL | c::O_NOFOLLOW;
    let target = sys::open_at(c::AT_FDCWD, into, flags, 0o600).tried("make the copy")?;
    let copied = fill(&source, &target, facts.size, process.map(|pid| (pid, facts.inode)));
    if copied.is_err() {
        // Why it failed matters more.
        let _ = files::remove_file_at(c::AT_FDCWD, into);
    }
    copied
}

pub fn open_source(path: &[u8], follow: bool) -> Result<(OwnedFd, files::Stat)> {
    // Whoever owns the folder may have put something else there: a link to what is not its own, a pipe without an end.
    let flags = c::O_RDONLY | c::O_NONBLOCK | c::O_NOCTTY | if follow { 0 } else { c::O_NOFOLLOW };
    let source = sys::open_at(c::AT_FDCWD, path, flags, 0).tried("open the file")?;
    let facts = files::stat(source.as_raw_fd()).tried("look at the file")?;
    if facts.kind() != files::S_IFREG {
        return Err(Failure::new(Code::Io, "it is not a regular file").at(path));
    }
    Ok((source, facts))
}

fn fill(source: &OwnedFd, target: &OwnedFd, size: u64, mapped: Option<(u64, u64)>) -> Result<Copied> {
    let (from, to) = (source.as_raw_fd(), target.as_raw_fd());
    let mut samples = Samples::default();
    if size > 0 && files::clone_file(from, to).is_ok() {
        each_data(from, size, |begin, _| {
            samples.offer(begin);
            Ok(())
        })?;
    } else {
        copy_data(from, to, size, &mut samples)?;
    }
    if let Some((pid, inode)) = mapped {
        memory::copy_private(pid, inode, size, |at, bytes| sys::write_all_at(to, bytes, at).tried("write the copy"))?;
    }
    let stored = files::stat(to).tried("look at the copy")?.stored;
    Ok(Copied { size, stored, samples: samples.kept })
}

/// Copies what is not zero, and sets the length.
pub fn copy_data(from: RawFd, to: RawFd, size: u64, samples: &mut Samples) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    files::set_length(to, size).tried("set the length of the copy")?;
    each_data(from, size, |begin, end| by_hand(from, to, begin, end, &mut buffer, samples))
}

fn each_data(fd: RawFd, size: u64, mut found: impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
    let mut at = 0;
    while let Some((begin, end)) = files::next_data(fd, at, size).tried("look for holes")? {
        found(begin, end)?;
        at = end;
    }
    Ok(())
}

/// Blocks that are zero become holes: memory that was used once and cleaned is most of what looks like data.
fn by_hand(from: RawFd, to: RawFd, mut at: u64, end: u64, buffer: &mut [u8], samples: &mut Samples) -> Result<()> {
    while at < end {
        let room = (end - at).min(buffer.len() as u64) as usize;
        let count = sys::read_at(from, &mut buffer[..room], at).tried("read the file")?;
        if count == 0 {
            return Err(Errno(c::EIO)).tried("read a file that became shorter");
        }
        let mut begin = 0;
        while begin < count {
            let zero = is_zero(block(buffer, begin, count));
            let mut next = begin + BLOCK;
            while next < count && is_zero(block(buffer, next, count)) == zero {
                next += BLOCK;
            }
            let next = next.min(count);
            if !zero {
                samples.offer_all(at + begin as u64, next - begin);
                sys::write_all_at(to, &buffer[begin..next], at + begin as u64).tried("write the copy")?;
            }
            begin = next;
        }
        at += count as u64;
    }
    Ok(())
}

fn block(buffer: &[u8], begin: usize, count: usize) -> &[u8] {
    &buffer[begin..count.min(begin + BLOCK)]
}

fn is_zero(bytes: &[u8]) -> bool {
    // Most blocks with content begin with some of it.
    let (words, rest) = bytes.split_at(bytes.len() & !31);
    words.chunks_exact(32).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|byte| *byte == 0)
}

/// Some of many, spread over all of them.
pub struct Samples {
    kept: Vec<u64>,
    stride: u64,
    seen: u64,
}

impl Default for Samples {
    fn default() -> Samples {
        Samples { kept: Vec::new(), stride: 1, seen: 0 }
    }
}

impl Samples {
    fn offer_all(&mut self, begin: u64, length: usize) {
        for index in 0..(length + BLOCK - 1) / BLOCK {
            self.offer(begin + (index * BLOCK) as u64);
        }
    }

    fn offer(&mut self, offset: u64) {
        let mut number = self.seen;
        self.seen += 1;
        if number % self.stride != 0 {
            return;
        }
        if self.kept.len() == MOST_SAMPLES {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
            number %= self.stride;
            if number != 0 {
                return;
            }
        }
        self.kept.push(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_everything() {
        let mut samples = Samples::default();
        samples.offer_all(0, 1000 * BLOCK);
        assert!((32..=64).contains(&samples.kept.len()));
        assert!(samples.kept.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(*samples.kept.last().unwrap() > 900 * BLOCK as u64);
    }

    #[test]
    fn zero_is_known_to_the_last_byte() {
        let mut bytes = [0; BLOCK];
        assert!(is_zero(&bytes));
        assert!(is_zero(&bytes[..37]));
        bytes[BLOCK - 1] = 1;
        assert!(!is_zero(&bytes));
        assert!(!is_zero(&bytes[BLOCK - 3..]));
    }
}
