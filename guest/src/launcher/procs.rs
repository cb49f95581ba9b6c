//! What the kernel tells about processes.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::io::{AsRawFd, FromRawFd};

use super::record::ProcessKey;
use crate::sys::c;

pub struct Stat {
    pub start: u64,
    pub session: i32,
    pub zombie: bool,
    /// Stopped or ended. One that waits in the kernel may be in the middle of a fork and does not count.
    pub still: bool,
    /// In the middle of exec: its environment cannot be read yet.
    pub unsettled: bool,
}

/// None when there is no such process.
pub fn stat(pid: i32) -> Option<Stat> {
    let mut buffer = [0u8; 1024];
    let mut file = fs::File::open(format!("/proc/{}/stat", pid)).ok()?;
    let length = file.read(&mut buffer).ok()?;
    parse_stat(&buffer[..length])
}

fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    // The name in the second field may hold spaces and parentheses; the last parenthesis ends it.
    let after = bytes.iter().rposition(|byte| *byte == b')')? + 2;
    let text = std::str::from_utf8(bytes.get(after..)?).ok()?;
    let fields: Vec<&str> = text.split(' ').collect();
    Some(Stat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        still: matches!(*fields.first()?, "T" | "t" | "Z" | "X"),
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
        unsettled: !matches!(*fields.first()?, "Z" | "X") && is_unsettled(&fields),
    })
}

/// A program's environment has an end, even when it is empty; a thread of the kernel never has one.
fn is_unsettled(fields: &[&str]) -> bool {
    const KERNEL_THREAD: u64 = 0x0020_0000;
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    number(6).map_or(false, |flags| flags & KERNEL_THREAD == 0) && number(48) == Some(0)
}

pub fn key_of(pid: i32) -> Option<ProcessKey> {
    stat(pid).map(|stat| ProcessKey { pid, start: stat.start })
}

/// True when exactly this process exists and has not ended.
pub fn alive(key: ProcessKey) -> bool {
    stat(key.pid).map_or(false, |stat| stat.start == key.start && !stat.zombie)
}

/// True when exactly this process exists, be it as a zombie.
pub fn exists(key: ProcessKey) -> bool {
    stat(key.pid).map_or(false, |stat| stat.start == key.start)
}

/// True when exactly this process cannot start others now.
pub fn still(key: ProcessKey) -> bool {
    stat(key.pid).map_or(true, |stat| stat.start != key.start || stat.still)
}

/// Children of all threads. The kernel may leave some out while others come and go, unless the process is stopped.
pub fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let threads = match fs::read_dir(format!("/proc/{}/task", pid)) {
        Ok(threads) => threads,
        Err(_) => return found,
    };
    for thread in threads.flatten() {
        if let Ok(text) = fs::read_to_string(thread.path().join("children")) {
            found.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()));
        }
    }
    found
}

/// The number of its user namespace; None for one that has ended, or may not be looked at.
pub fn user_namespace(pid: i32) -> Option<u64> {
    fs::metadata(user_namespace_path(pid)).ok().map(|facts| facts.ino())
}

/// True for a process in this user namespace, or in one that was made in there.
pub fn is_within(pid: i32, namespace: u64) -> bool {
    const NS_GET_PARENT: c::ULong = 0xb702;
    const MAX_DEPTH: usize = 33;
    let mut next = fs::File::open(user_namespace_path(pid)).ok();
    for _ in 0..MAX_DEPTH {
        let file = match next {
            Some(file) => file,
            None => return false,
        };
        if file.metadata().map_or(false, |facts| facts.ino() == namespace) {
            return true;
        }
        // Refused for those outside of the launcher's own.
        let parent = unsafe { c::ioctl(file.as_raw_fd(), NS_GET_PARENT, 0) };
        next = if parent < 0 { None } else { Some(unsafe { fs::File::from_raw_fd(parent) }) };
    }
    false
}

fn user_namespace_path(pid: i32) -> String {
    format!("/proc/{}/ns/user", pid)
}

/// Whatever thread it belongs to.
pub fn first_child(pid: i32) -> Option<i32> {
    children(pid).first().copied()
}

pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pass_for_other_fields() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        for name in ["sh", "a b", ") Z 1 1 1 1", "((", "x) S 9 9"] {
            let stat = parse_stat(format!("12 ({}) {}", name, fields).as_bytes()).unwrap();
            assert_eq!((stat.start, stat.session, stat.zombie), (777, 3, false));
        }
        assert!(parse_stat(b"12 (sh) Z 1 2 3").is_none());
        assert!(parse_stat(b"12 (sh)").is_none());
        assert!(parse_stat(b"").is_none());
    }

    #[test]
    fn this_process_is_alive_and_its_namesake_is_not() {
        let key = key_of(std::process::id() as i32).unwrap();
        assert!(alive(key) && exists(key));
        assert!(!exists(ProcessKey { start: key.start + 1, ..key }));
    }
}
