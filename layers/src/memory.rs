//! What a process has changed in its private mapping of a file.

use crate::failure::{Code, Failure, Result, Tried};
use crate::file::BLOCK;
use crate::sys::{self, c};
use std::os::unix::io::AsRawFd;

/// The name of files in memory that were made to be mapped.
pub const KEPT: &str = "cove-memory";
const ENTRY: usize = 8;
/// How many entries of the page map are read at once.
const ENTRIES: usize = 32_768;
const PIECE: usize = 1 << 20;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// The page is the file's own, or nobody's alone.
const OF_FILE: u64 = 1 << 61;

/// Hands over the pages that are the process's own, by where they would be in the file. The process stands still, and
/// has mapped the file itself or what `keep` has made of it.
pub fn copy_private(pid: u64, inode: u64, size: u64, mut put: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
    let open = |name: &str| sys::open_at(c::AT_FDCWD, format!("/proc/{pid}/{name}").as_bytes(), c::O_RDONLY, 0);
    let maps = open("maps").tried("look at the process")?;
    let start = find_mapping(&read_text(maps.as_raw_fd())?, inode, size)?;
    let (pages, memory) = (open("pagemap").tried("read its page map")?, open("mem").tried("read its memory")?);
    let mut entries = vec![0; ENTRIES * ENTRY];
    let mut buffer = vec![0; PIECE];
    let total = size / BLOCK as u64;
    let mut page = 0;
    while page < total {
        let room = (total - page).min(ENTRIES as u64) as usize * ENTRY;
        let at = (start / BLOCK as u64 + page) * ENTRY as u64;
        let count = sys::read_at(pages.as_raw_fd(), &mut entries[..room], at).tried("read its page map")? / ENTRY;
        if count == 0 {
            return Err(Failure::new(Code::Io, "the process has ended"));
        }
        for (begin, end) in own_pages(&entries[..count * ENTRY]) {
            let (mut at, end) = ((page + begin) * BLOCK as u64, (page + end) * BLOCK as u64);
            while at < end {
                let room = (end - at).min(PIECE as u64) as usize;
                let count = sys::read_at(memory.as_raw_fd(), &mut buffer[..room], start + at);
                let count = count.tried("read its memory")?;
                if count == 0 {
                    return Err(Failure::new(Code::Io, "the process has ended"));
                }
                put(at, &buffer[..count])?;
                at += count as u64;
            }
        }
        page += count as u64;
    }
    Ok(())
}

/// Stretches of pages, from and to.
fn own_pages(entries: &[u8]) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for (index, entry) in (0..).zip(entries.chunks_exact(ENTRY)) {
        let entry = entry.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
        if entry & (PRESENT | SWAPPED) == 0 || entry & OF_FILE != 0 {
            continue;
        }
        match found.last_mut() {
            Some((_, end)) if *end == index => *end += 1,
            _ => found.push((index, index + 1)),
        }
    }
    found
}

/// Where it begins: a mapping of the whole file, private, as `/proc/PID/maps` has it.
fn find_mapping(maps: &str, inode: u64, size: u64) -> Result<u64> {
    maps.lines()
        .find_map(|line| mapping_of(line, inode, size))
        .ok_or_else(|| Failure::new(Code::Unsupported, "the process does not have the file mapped"))
}

fn mapping_of(line: &str, inode: u64, size: u64) -> Option<u64> {
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let mut words = line.split_ascii_whitespace();
    let (begin, end) = words.next()?.split_once('-')?;
    let (begin, end, mode, offset) = (hex(begin)?, hex(end)?, words.next()?, hex(words.next()?)?);
    let number: u64 = words.nth(1)?.parse().ok()?;
    let is_kept = words.next().and_then(|name| name.strip_prefix("/memfd:")) == Some(KEPT);
    let is_it = (number == inode || is_kept) && end.saturating_sub(begin) == size && offset == 0 && mode.ends_with('p');
    Some(begin).filter(|_| is_it)
}

fn read_text(fd: i32) -> Result<String> {
    const MOST: usize = 4 << 20;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let count = sys::read(fd, &mut buffer).tried("look at the process")?;
        if count == 0 || bytes.len() > MOST {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_is_known_by_its_file() {
        let maps = "7000-9000 r--p 00000000 fe:00 12 /ram\n1000-3000 rw-s 00000000 fe:00 12 /ram\n\
            3000-5000 rw-p 00001000 fe:00 12 /ram\n5000-6000 rw-p 00000000 00:00 0\na000-c000 rw-p 00000000 fe:00 13 /a b\n\
            d000-f000 rw-p 00000000 00:01 9 /memfd:cove-memory (deleted)\n";
        assert_eq!(find_mapping(maps, 12, 0x2000).unwrap(), 0x7000);
        assert_eq!(find_mapping(maps, 13, 0x2000).unwrap(), 0xa000);
        assert_eq!(find_mapping(maps, 77, 0x2000).unwrap(), 0xd000);
        assert!(find_mapping(maps, 12, 0x1000).is_err());
        assert!(find_mapping("nonsense\n-\n", 0, 0).is_err());
    }

    #[test]
    fn pages_of_its_own_are_those_that_are_not_of_the_file() {
        let entries: Vec<u8> = [0, PRESENT, PRESENT | 7, PRESENT | OF_FILE, SWAPPED, SWAPPED | OF_FILE, PRESENT]
            .iter()
            .flat_map(|entry| entry.to_le_bytes())
            .collect();
        assert_eq!(own_pages(&entries), [(1, 3), (4, 5), (6, 7)]);
    }
}
