//! Throws archives at everything that reads them, and checks what must always hold: nothing panics, nothing outside is
//! touched, and what is written is read again. Deterministic: a seed and the number of a case make it again.

#[cfg(libfuzzer)]
#[path = "libfuzzer.rs"]
mod libfuzzer;

use crate::sys::files::Time;
use crate::tar::reader::Reader;
use crate::tar::writer::Writer;
use crate::tar::{Entry, Kind, BLOCK};
use crate::tree::remove;
use crate::unpack::{unpack, Limits, Plan};
use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// xorshift64*: small, and good enough to choose mutations.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Few names, so that entries meet each other, and ways out.
fn path(chance: &mut Chance) -> Vec<u8> {
    let mut path = Vec::new();
    for _ in 0..1 + chance.below(4) {
        let name: &[u8] = match chance.below(40) {
            0 => b"..",
            1 => b".",
            2 => b"",
            3 => b".wh..wh..opq",
            4 => b".wh.a",
            5 => b".wh.b",
            6 => b"canary",
            at => [&b"a"[..], b"b", b"c"][at % 3],
        };
        path.extend_from_slice(name);
        path.push(b'/');
    }
    if chance.below(3) > 0 {
        path.pop();
    }
    path
}

fn target(chance: &mut Chance) -> Vec<u8> {
    let start: &[u8] = chance.one(&[&b""[..], b"/", b"../", b"../../", b"../../../canary/", b"/canary/"]);
    match chance.below(3) {
        0 => start.to_vec(),
        _ => [start, &path(chance)].concat(),
    }
}

fn octal(field: &mut [u8], value: u64) {
    let text = format!("{:0width$o}", value, width = field.len() - 1);
    field[..text.len().min(11)].copy_from_slice(&text.as_bytes()[..text.len().min(11)]);
}

/// One header and its content, mostly well made.
fn member(chance: &mut Chance, letter: u8, name: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    octal(&mut block[100..108], chance.next() & 0o7777);
    octal(&mut block[108..116], chance.below(3) as u64);
    octal(&mut block[116..124], chance.below(3) as u64);
    octal(&mut block[124..136], content.len() as u64);
    octal(&mut block[136..148], chance.next() & 0xffff_ffff);
    block[156] = letter;
    block[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
    let magic = chance.one(&[&b"ustar\x0000"[..], b"ustar\x0000", b"ustar  \0", b"\0\0\0\0\0\0\0\0"]);
    block[257..265].copy_from_slice(magic);
    if letter == b'3' || letter == b'4' {
        octal(&mut block[329..337], chance.below(3) as u64);
        octal(&mut block[337..345], chance.below(3) as u64);
    }
    if letter == b'S' {
        octal(&mut block[386..398], chance.below(600) as u64);
        octal(&mut block[398..410], content.len() as u64);
        octal(&mut block[483..495], chance.below(2000) as u64);
    }
    if chance.below(12) == 0 {
        let at = chance.below(BLOCK);
        block[at] = chance.next() as u8;
    }
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
    block.extend_from_slice(content);
    block.resize((block.len() + BLOCK - 1) / BLOCK * BLOCK, 0);
    block
}

fn records(chance: &mut Chance) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + chance.below(4) {
        let number = (chance.next() >> chance.below(64)).to_string().into_bytes();
        let (key, value): (&[u8], Vec<u8>) = match chance.below(14) {
            0 | 1 => (b"path", path(chance)),
            2 => (b"linkpath", target(chance)),
            3 => (b"size", chance.below(700).to_string().into_bytes()),
            4 => (b"mtime", [&number[..], b".", &number].concat()),
            5 => (b"uid", number),
            6 => (b"SCHILY.xattr.user.a", number),
            7 => (b"SCHILY.xattr.trusted.overlay.opaque", b"y".to_vec()),
            8 => (b"GNU.sparse.major", vec![b'0' + chance.below(3) as u8]),
            9 => (b"GNU.sparse.minor", vec![b'0' + chance.below(2) as u8]),
            10 => (b"GNU.sparse.realsize", chance.below(5000).to_string().into_bytes()),
            11 => (b"GNU.sparse.map", format!("0,{},900,{}", chance.below(600), chance.below(9)).into_bytes()),
            12 => (b"GNU.sparse.offset", chance.below(900).to_string().into_bytes()),
            _ => (b"GNU.sparse.numbytes", chance.below(900).to_string().into_bytes()),
        };
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while rest + length.to_string().len() != length {
            length += 1;
        }
        out.extend_from_slice(format!("{length} ").as_bytes());
        out.extend_from_slice(key);
        out.push(b'=');
        out.extend_from_slice(&value);
        out.push(b'\n');
    }
    out
}

fn compose(chance: &mut Chance) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..chance.below(24) {
        match chance.below(12) {
            0 => {
                let records = records(chance);
                let letter = chance.one(b"xxxg");
                out.extend(member(chance, letter, b"pax", b"", &records));
            }
            1 => {
                let letter = chance.one(b"LK");
                let long = [path(chance), vec![0]].concat();
                out.extend(member(chance, letter, b"././@LongLink", b"", &long));
            }
            2 => out.extend(member(chance, b'S', b"a/sparse", b"", &[b'x'; 600])),
            _ => {
                let letter = chance.one(b"00000\x00111222223456557DVZ");
                let (name, link) = (path(chance), target(chance));
                let length = if chance.below(2) == 0 { chance.below(1200) } else { 0 };
                out.extend(member(chance, letter, &name, &link, &vec![b'1'; length]));
            }
        }
    }
    match chance.below(6) {
        0 => out.truncate(chance.below(out.len() + 1)),
        1 => {}
        _ => out.resize(out.len() + 2 * BLOCK, 0),
    }
    if chance.below(10) == 0 && !out.is_empty() {
        let at = chance.below(out.len());
        out[at] = chance.next() as u8;
    }
    out
}

const MAX_PATH: usize = 300;

/// Entries are what their limits say, and have as much content as they tell.
fn check_reader(bytes: &[u8]) {
    let mut reader = Reader::new(bytes, MAX_PATH);
    while let Ok(Some(entry)) = reader.next() {
        assert!(entry.path.len() <= MAX_PATH && entry.target.len() <= MAX_PATH);
        assert!(entry.mode <= 0o7777 && entry.uid != u32::MAX && entry.gid != u32::MAX);
        assert!(entry.modified.nanoseconds < 1_000_000_000);
        if entry.kind != Kind::File {
            continue;
        }
        let told = match &entry.pieces {
            Some(pieces) => {
                assert!(pieces.iter().all(|(begin, length)| begin + length <= entry.size));
                pieces.iter().map(|(_, length)| length).sum()
            }
            None => entry.size,
        };
        let mut sum = 0;
        loop {
            match reader.content() {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => sum += bytes.len() as u64,
                Err(_) => return,
            }
        }
        assert_eq!(sum, told);
    }
}

/// Whatever an archive says, only the folder that it is unpacked into changes, and that can be removed again.
fn check_unpack(place: &Path, bytes: &[u8]) {
    let into = place.join("in/to/folder");
    std::fs::create_dir(&into).expect("a folder to unpack into");
    let plan = Plan {
        into: into.as_os_str().as_bytes().to_vec(),
        at: Vec::new(),
        owner: None,
        plain: false,
        over: Vec::new(),
        sync: false,
        limits: Limits { bytes: 1 << 20, file_bytes: 1 << 20, entries: 100, path_bytes: MAX_PATH, depth: 12 },
    };
    let _ = unpack(&plan, bytes);
    assert!(matches!(remove::path(into.as_os_str().as_bytes()), Ok(true)));
    let mut around: Vec<_> = ["", "in", "in/to", "canary"].iter().map(|name| names(&place.join(name))).collect();
    assert_eq!(around.pop().as_deref(), Some(&["a".into(), "b".into()][..]));
    assert_eq!(around, [vec!["canary", "in"], vec!["to"], vec![]] as [Vec<&str>; 3]);
    assert_eq!(std::fs::read(place.join("canary/a")).expect("the canary"), b"alive");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("a name").file_name().to_string_lossy().into()).collect();
    names.sort();
    names
}

/// What is written is read as it was.
fn check_writer(chance: &mut Chance, place: &Path) {
    let length = 1 + chance.below(200);
    let written = Entry {
        path: (0..length).map(|_| chance.one(b"abc.\xff")).collect(),
        kind: Kind::File,
        target: Vec::new(),
        mode: chance.below(0o10000) as u32,
        uid: (chance.next() as u32 >> chance.below(32)).min(u32::MAX - 1),
        gid: (chance.next() as u32 >> chance.below(32)).min(u32::MAX - 1),
        modified: Time {
            seconds: (chance.next() >> (24 + chance.below(40))) as i64 - 1_000_000,
            nanoseconds: chance.below(1_000_000_000) as u32,
        },
        size: 0,
        pieces: None,
        device: (0, 0),
        attributes: vec![(b"user.a".to_vec(), (0..chance.below(1200)).map(|_| chance.next() as u8).collect())],
    };
    let path = place.join("written");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(true).open(&path).expect("a file");
    std::fs::remove_file(path).expect("a file");
    let mut writer = Writer::new(file.as_raw_fd());
    writer.entry(&written).expect("an entry written");
    writer.finish().expect("an archive written");
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).expect("the start");
    file.read_to_end(&mut bytes).expect("an archive");
    let read = Reader::new(&bytes[..], 4095).next().expect("an entry read");
    assert_eq!(format!("{:?}", read), format!("{:?}", Some(written)));
}

fn case(place: &Path, seed: u64, number: u64) {
    let mut chance = Chance(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..4 {
        let bytes = compose(&mut chance);
        check_reader(&bytes);
        check_unpack(place, &bytes);
    }
    check_writer(&mut chance, place);
}

/// `SECONDS [SEED [CASE]]`: runs cases for so long, or one again.
pub fn main(args: &[OsString]) -> i32 {
    let number = |index: usize| args.get(index).and_then(|arg| arg.to_str()).and_then(|arg| arg.parse::<u64>().ok());
    let seconds = number(0).unwrap_or(10);
    let seed = number(1).unwrap_or(1);
    // In memory where that is possible: it is what is written there that counts, not how fast a disk is.
    let memory = PathBuf::from("/dev/shm");
    let within = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let place = within.join(format!("cove-test-fuzz-layers-{}", std::process::id()));
    build(&place);
    let status = run(&place, seconds, seed, number(2));
    let _ = remove::path(place.as_os_str().as_bytes());
    status
}

fn build(place: &Path) {
    std::fs::create_dir_all(place.join("in/to")).expect("a folder");
    std::fs::create_dir(place.join("canary")).expect("a folder");
    for name in ["a", "b"] {
        std::fs::write(place.join("canary").join(name), b"alive").expect("the canary");
    }
}

fn run(place: &PathBuf, seconds: u64, seed: u64, again: Option<u64>) -> i32 {
    if let Some(again) = again {
        case(place, seed, again);
        return 0;
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut done: u64 = 0;
    while Instant::now() < end {
        if std::panic::catch_unwind(|| case(place, seed, done)).is_err() {
            eprintln!("case {done} of seed {seed} failed; again: tooling/fuzz-guest.sh 0 {seed} {done}");
            return 1;
        }
        done += 1;
    }
    println!("layers: {done} cases of seed {seed} passed");
    0
}
