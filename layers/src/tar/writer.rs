//! An archive written in the POSIX form, with extended headers only where they are needed. Nothing in it tells when or
//! where it was written: the same entries give the same bytes.

use super::{Entry, Kind, BLOCK, XATTR};
use crate::failure::{Result, Tried};
use crate::sys;
use crate::sys::files::Time;
use std::os::unix::io::RawFd;

const BUFFER: usize = 262_144;
/// Largest numbers that the fields of a header take.
const MAX_ID: u32 = 0o7777777;
const MAX_LONG: u64 = 0o77777777777;

pub struct Writer {
    fd: RawFd,
    buffer: Vec<u8>,
}

impl Writer {
    pub fn new(fd: RawFd) -> Writer {
        Writer { fd, buffer: Vec::with_capacity(BUFFER) }
    }

    /// Writes what comes before the content; answers how much of it must follow by `content`.
    pub fn entry(&mut self, entry: &Entry) -> Result<u64> {
        let mut path = entry.path.clone();
        if entry.kind == Kind::Dir {
            path.push(b'/');
        }
        let mut records = Vec::new();
        let mut map = Vec::new();
        let mut stored = entry.size;
        if let Some(pieces) = &entry.pieces {
            map = map_of(pieces);
            stored = pieces.iter().map(|(_, length)| length).sum();
            record(&mut records, b"GNU.sparse.major", b"1");
            record(&mut records, b"GNU.sparse.minor", b"0");
            record(&mut records, b"GNU.sparse.name", &path);
            record(&mut records, b"GNU.sparse.realsize", entry.size.to_string().as_bytes());
            path = b"GNUSparseFile.0/".iter().chain(base_of(&entry.path)).copied().collect();
        }
        let size = stored + map.len() as u64;
        if path.len() > 100 {
            record(&mut records, b"path", &path);
        }
        if entry.target.len() > 100 {
            record(&mut records, b"linkpath", &entry.target);
        }
        if size > MAX_LONG {
            record(&mut records, b"size", size.to_string().as_bytes());
        }
        if entry.uid > MAX_ID {
            record(&mut records, b"uid", entry.uid.to_string().as_bytes());
        }
        if entry.gid > MAX_ID {
            record(&mut records, b"gid", entry.gid.to_string().as_bytes());
        }
        let Time { seconds, nanoseconds } = entry.modified;
        let fits = nanoseconds == 0 && u64::try_from(seconds).map_or(false, |seconds| seconds <= MAX_LONG);
        if !fits {
            record(&mut records, b"mtime", seconds_of(entry.modified).as_bytes());
        }
        for (name, value) in &entry.attributes {
            record(&mut records, &[XATTR, name].concat(), value);
        }
        if !records.is_empty() {
            let name: Vec<u8> = b"PaxHeaders/".iter().chain(base_of(&entry.path)).copied().collect();
            let fields = Fields { path: &name, mode: 0o644, size: records.len() as u64, ..Fields::of(b'x') };
            self.put(&fields.block())?;
            self.put(&records)?;
            self.fill_up(records.len() as u64)?;
        }
        let fields = Fields {
            path: &path,
            target: &entry.target,
            mode: entry.mode,
            uid: if entry.uid > MAX_ID { 0 } else { entry.uid },
            gid: if entry.gid > MAX_ID { 0 } else { entry.gid },
            size: if size > MAX_LONG { 0 } else { size },
            modified: u64::try_from(seconds).map_or(0, |seconds| seconds.min(MAX_LONG)),
            device: entry.device,
            ..Fields::of(letter_of(entry.kind))
        };
        self.put(&fields.block())?;
        self.put(&map)?;
        Ok(stored)
    }

    /// A stretch of a file; what the file does not have any more is zeros.
    pub fn content(&mut self, file: RawFd, mut begin: u64, mut length: u64) -> Result<()> {
        while length > 0 {
            if self.buffer.len() == BUFFER {
                self.flush()?;
            }
            let start = self.buffer.len();
            let room = length.min((BUFFER - start) as u64) as usize;
            self.buffer.resize(start + room, 0);
            let count = sys::read_at(file, &mut self.buffer[start..], begin).tried("read a file")?;
            if count == 0 {
                // Shorter than it was: zeros stand for the rest, in pieces.
                length -= room as u64;
                continue;
            }
            self.buffer.truncate(start + count);
            begin += count as u64;
            length -= count as u64;
        }
        Ok(())
    }

    /// Ends the content of an entry that has `stored` bytes of it.
    pub fn fill_up(&mut self, stored: u64) -> Result<()> {
        let rest = (BLOCK as u64 - stored % BLOCK as u64) % BLOCK as u64;
        self.put(&[0; BLOCK][..rest as usize])
    }

    pub fn finish(&mut self) -> Result<()> {
        self.put(&[0; 2 * BLOCK])?;
        self.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() >= BUFFER {
            return sys::write_all(self.fd, bytes).tried("write the archive");
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        sys::write_all(self.fd, &self.buffer).tried("write the archive")?;
        self.buffer.clear();
        Ok(())
    }
}

struct Fields<'a> {
    letter: u8,
    path: &'a [u8],
    target: &'a [u8],
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    modified: u64,
    device: (u32, u32),
}

impl Fields<'_> {
    fn of(letter: u8) -> Fields<'static> {
        Fields { letter, path: b"", target: b"", mode: 0, uid: 0, gid: 0, size: 0, modified: 0, device: (0, 0) }
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        // Longer ones are in the extended header.
        text(&mut block[..100], self.path);
        octal(&mut block[100..108], u64::from(self.mode));
        octal(&mut block[108..116], u64::from(self.uid));
        octal(&mut block[116..124], u64::from(self.gid));
        octal(&mut block[124..136], self.size);
        octal(&mut block[136..148], self.modified);
        block[148..156].fill(b' ');
        block[156] = self.letter;
        text(&mut block[157..257], self.target);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..337], u64::from(self.device.0));
        octal(&mut block[337..345], u64::from(self.device.1));
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut block[148..155], sum);
        block
    }
}

fn text(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// Digits and a NUL.
fn octal(field: &mut [u8], mut value: u64) {
    let end = field.len() - 1;
    field[end] = 0;
    for digit in field[..end].iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

fn letter_of(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Dir => b'5',
        Kind::Fifo => b'6',
    }
}

/// The last name, as much of it as a header takes beside a folder's.
fn base_of(path: &[u8]) -> &[u8] {
    let begin = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    &path[begin..path.len().min(begin + 80)]
}

/// The length at a record's start counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// With as many digits of the fraction as there are.
fn seconds_of(time: Time) -> String {
    let (sign, seconds, nanoseconds) = match (time.seconds < 0, time.nanoseconds) {
        (false, nanoseconds) => ("", time.seconds.unsigned_abs(), nanoseconds),
        (true, 0) => ("-", time.seconds.unsigned_abs(), 0),
        (true, nanoseconds) => ("-", time.seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
    };
    let mut text = format!("{sign}{seconds}");
    if nanoseconds > 0 {
        text.push_str(format!(".{nanoseconds:09}").trim_end_matches('0'));
    }
    text
}

/// As GNU tar has it since version 1.0, in whole blocks.
fn map_of(pieces: &[(u64, u64)]) -> Vec<u8> {
    let mut map = format!("{}\n", pieces.len());
    for (begin, length) in pieces {
        map.push_str(&format!("{begin}\n{length}\n"));
    }
    let mut map = map.into_bytes();
    map.resize((map.len() + BLOCK - 1) / BLOCK * BLOCK, 0);
    map
}

#[cfg(test)]
mod tests {
    use super::super::reader::Reader;
    use super::*;
    use std::io::{Read, Seek, SeekFrom};
    use std::os::unix::io::AsRawFd;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// An unnamed file. Tests run side by side, so that each file has had a name of its own.
    fn scratch() -> std::fs::File {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cove-test-layers-{}-{number}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    fn entry(kind: Kind, path: &[u8]) -> Entry {
        Entry {
            path: path.to_vec(),
            kind,
            target: Vec::new(),
            mode: 0o4755,
            uid: 7,
            gid: 8,
            modified: Time { seconds: 1_700_000_000, nanoseconds: 0 },
            size: 0,
            pieces: None,
            device: (0, 0),
            attributes: Vec::new(),
        }
    }

    /// What is read of what was written.
    fn round(written: &Entry) -> Entry {
        let mut out = scratch();
        let content = scratch();
        content.set_len(written.size).unwrap();
        let mut writer = Writer::new(out.as_raw_fd());
        let stored = writer.entry(written).unwrap();
        writer.content(content.as_raw_fd(), 0, stored).unwrap();
        writer.fill_up(stored).unwrap();
        writer.finish().unwrap();
        let mut bytes = Vec::new();
        out.seek(SeekFrom::Start(0)).unwrap();
        out.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut reader = Reader::new(&bytes[..], 4095);
        let mut read = reader.next().unwrap().unwrap();
        assert!(reader.next().unwrap().is_none());
        if read.kind == Kind::Dir {
            read.path.pop();
        }
        read
    }

    fn same(written: Entry) {
        assert_eq!(format!("{written:?}"), format!("{:?}", round(&written)));
    }

    #[test]
    fn what_is_written_is_read() {
        same(entry(Kind::Dir, b"usr/lib"));
        same(entry(Kind::File, &[b'n'; 255]));
        same(entry(Kind::Dir, &[b'a'; 100]));
        same(Entry { target: vec![b't'; 3000], ..entry(Kind::Symlink, b"l") });
        same(Entry { target: b"usr/x".to_vec(), ..entry(Kind::HardLink, "\u{e9}/y".as_bytes()) });
        same(Entry { device: (8, 300_000), ..entry(Kind::Block, b"dev/x") });
        same(Entry { uid: 3_000_000_000, gid: 2_097_152, ..entry(Kind::Fifo, b"f") });
        same(Entry { size: 1_000_000, ..entry(Kind::File, b"f") });
    }

    #[test]
    fn times_and_attributes_are_exact() {
        for (seconds, nanoseconds) in [(-2, 750_000_000), (-1, 0), (0, 1), (1 << 40, 120_000_000), (5, 999_999_999)] {
            same(Entry { modified: Time { seconds, nanoseconds }, ..entry(Kind::File, b"f") });
        }
        let attributes =
            vec![(b"security.capability".to_vec(), vec![0, 1, 2, b'\n', 255]), (b"user.a".to_vec(), vec![b'x'; 70_00])];
        same(Entry { attributes, ..entry(Kind::File, b"f") });
    }

    #[test]
    fn holes_stay_holes() {
        let pieces: Vec<_> = (0..300).map(|at| (at * 1_000_000, 7)).collect();
        same(Entry { size: 400_000_000, pieces: Some(pieces), ..entry(Kind::File, &[b'p'; 200]) });
        same(Entry { size: 400_000_000, pieces: Some(Vec::new()), ..entry(Kind::File, b"empty") });
    }

    #[test]
    fn lengths_of_records_count_themselves() {
        for length in [1, 3, 4, 5, 90, 91, 92, 93, 94, 95, 991, 992, 993, 994, 9990] {
            let mut records = Vec::new();
            record(&mut records, b"k", &vec![b'v'; length]);
            let told: usize = String::from_utf8_lossy(&records).split(' ').next().unwrap().parse().unwrap();
            assert_eq!(told, records.len());
        }
    }
}
