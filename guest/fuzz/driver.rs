//! Throws bytes at everything that reads what the other side or the kernel sends, and checks what must always hold.
//! Deterministic: a seed and the number of a case make it again.

#[cfg(libfuzzer)]
#[path = "libfuzzer.rs"]
mod libfuzzer;

use crate::agent::fault::Fault;
use crate::agent::ring::Ring;
use crate::agent::session::{Broken, Message, Session, MAX_CHANNELS};
use crate::fields::{Fields, Writer};
use crate::frames::{self, kind, Header, Hunter, Parser, HEADER, MAX_PAYLOAD, PREAMBLE};
use crate::launcher::record::Record;
use crate::launcher::spec::Spec;
use crate::sys::inotify;
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

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let count = self.below(limit);
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A stream of frames as a host may send it, more often right than wrong.
fn compose(chance: &mut Chance) -> Vec<u8> {
    let mut out = Vec::new();
    let mut channel = 0;
    for _ in 0..chance.below(40) {
        let on = 1 + chance.below(channel as usize + 1) as u32;
        match chance.below(12) {
            0 | 1 | 2 => {
                channel += 1 + chance.below(50).saturating_sub(48) as u32;
                let mut fields = Writer::new().number(1, chance.below(36) as u64);
                for _ in 0..chance.below(6) {
                    let tag = [2, 3, 4, 5, 6, 9, 10, 250][chance.below(8)];
                    if chance.below(2) == 0 {
                        fields.put_number(tag, chance.next() >> chance.below(64));
                    } else {
                        fields.put(tag, &chance.bytes(20));
                    }
                }
                let payload = fields.finish();
                frames::append(&mut out, Header::new(kind::OPEN, channel, payload.len()), &payload);
            }
            3 | 4 => {
                let payload = vec![0x41; chance.below(3000)];
                frames::append(&mut out, Header::data(on, chance.below(4) as u8, payload.len()), &payload);
            }
            5 => {
                frames::append(&mut out, Header { flags: chance.below(4) as u8, ..Header::new(kind::END, on, 0) }, b"")
            }
            6 | 7 => {
                let more = (chance.next() as u32) >> chance.below(32);
                frames::append(&mut out, Header::new(kind::CREDIT, on, 4), &more.to_be_bytes());
            }
            8 => frames::append(&mut out, Header::new(kind::CLOSE, on, 0), b""),
            9 => {
                let payload = chance.bytes(64);
                frames::append(&mut out, Header::new(kind::PING, 0, payload.len()), &payload);
            }
            10 => out.extend_from_slice(&[0; HEADER]),
            _ => out.extend_from_slice(&frames::preamble(&[chance.next() as u8; 16])),
        }
    }
    out
}

fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>) {
    for _ in 0..chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0x80, 4][chance.below(5)],
            2 => {
                let more = chance.bytes(24);
                bytes.splice(at..at, more);
            }
            3 => {
                let end = (at + chance.below(30)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
    }
}

fn pieces<'a>(chance: &mut Chance, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let longest = [1, 13, 4096][chance.below(3)];
        let (piece, rest) = bytes.split_at((1 + chance.below(longest)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

type Cut = (Vec<(Header, Vec<u8>)>, Option<&'static str>);

fn cut(pieces: &[&[u8]]) -> Cut {
    let mut parser = Parser::new();
    let mut found = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match parser.next(&mut rest) {
                Ok(Some((header, payload))) => {
                    assert_eq!(payload.len(), header.length as usize);
                    assert!(payload.len() <= MAX_PAYLOAD);
                    found.push((header, payload.to_vec()));
                }
                Ok(None) => {
                    assert!(rest.is_empty());
                    break;
                }
                Err(error) => {
                    let mut again: &[u8] = b"";
                    assert_eq!(parser.next(&mut again).err(), Some(error));
                    return (found, Some(error.name()));
                }
            }
        }
    }
    (found, None)
}

/// However a stream is cut on its way, the same frames and preambles are in it.
fn check_cutting(chance: &mut Chance, bytes: &[u8]) {
    let parts = pieces(chance, bytes);
    assert_eq!(cut(&[bytes]), cut(&parts));
    let hunt = |parts: &[&[u8]]| {
        let mut hunter = Hunter::new();
        let mut found = Vec::new();
        let mut base = 0;
        for part in parts {
            let mut at = 0;
            while let Some((end, nonce)) = hunter.find(&part[at..]) {
                at += end;
                found.push((base + at, nonce));
            }
            base += part.len();
            assert!(hunter.pending() < PREAMBLE);
        }
        found
    };
    let found = hunt(&[bytes]);
    assert_eq!(found, hunt(&parts));
    for (end, nonce) in found {
        assert_eq!(&bytes[end - PREAMBLE..end], &frames::preamble(&nonce));
    }
}

fn check_fields(chance: &mut Chance, bytes: &[u8]) {
    if let Ok(fields) = Fields::parse(bytes) {
        let mut writer = Writer::new();
        for (tag, value) in fields.iter() {
            writer.put(tag, value);
        }
        assert_eq!(writer.as_slice(), bytes);
        let tag = chance.next() as u8;
        let _ = (fields.number(tag), fields.truth(tag), fields.text(tag), fields.nested(tag).is_ok());
    }
}

/// A whole session with a machine behind it that answers at random, within the rules that the agent keeps.
fn check_session(chance: &mut Chance, bytes: &[u8]) {
    let mut session = Session::new();
    let mut parser = Parser::new();
    let mut open: Vec<u32> = Vec::new();
    let mut written = Vec::new();
    let mut rest = bytes;
    while let Ok(Some((header, payload))) = parser.next(&mut rest) {
        match session.accept(header, payload) {
            Err(Broken(_)) => break,
            Ok(Message::Open { channel, operation, fields }) => {
                assert!(!open.contains(&channel) && open.len() < MAX_CHANNELS);
                if operation % 3 == 0 {
                    session.fail(channel, &Fault::invalid("no"));
                } else {
                    let _ = fields.text(2);
                    session.opened(channel, Writer::new().number(1, operation));
                    open.push(channel);
                    session.mark_ready(channel);
                }
            }
            Ok(Message::Data { channel, bytes, .. }) => {
                assert!(open.contains(&channel));
                if chance.below(2) == 0 {
                    session.grant(channel, bytes.len() as u32);
                }
            }
            Ok(Message::Close { channel }) => {
                assert!(open.contains(&channel));
                open.retain(|known| *known != channel);
            }
            Ok(Message::End { channel, .. }) => assert!(open.contains(&channel)),
            Ok(Message::Credit { channel }) => {
                assert!(open.contains(&channel));
                session.mark_ready(channel);
            }
            Ok(Message::None) => {}
        }
        if chance.below(3) == 0 {
            if let Some(channel) = session.next_ready() {
                assert!(open.contains(&channel));
                let count = session.credit(channel).min(chance.below(500));
                let mut frame = Vec::new();
                frames::append(&mut frame, Header::data(channel, 1, count), &vec![7; count]);
                session.spend(channel, count);
                session.push_raw(&frame);
                if chance.below(8) == 0 {
                    session.close(channel);
                    open.retain(|known| *known != channel);
                }
            }
        }
        let count = chance.below(session.waiting().len() + 1);
        written.extend_from_slice(&session.waiting()[..count]);
        session.wrote(count);
    }
    written.extend_from_slice(session.waiting());
    let (sent, error) = cut(&[&written]);
    assert_eq!(error, None);
    assert_eq!(sent.iter().map(|(header, _)| HEADER + header.length as usize).sum::<usize>(), written.len());
}

/// The ring against a plain list of bytes.
fn check_ring(chance: &mut Chance) {
    let mut ring = Ring::new();
    let mut all: Vec<(u8, u8)> = Vec::new();
    ring.resize(1 + chance.below(64));
    for _ in 0..chance.below(60) {
        if chance.below(10) == 0 {
            ring.resize(1 + chance.below(64));
        }
        let keep = ring.start() + chance.below((ring.end() - ring.start()) as usize + 1) as u64;
        let count = chance.below(ring.room(keep) + 1);
        let stream = 1 + chance.below(2) as u8;
        let (first, second) = ring.free(count);
        for byte in first.iter_mut().chain(second) {
            *byte = chance.next() as u8;
            all.push((stream, *byte));
        }
        ring.commit(count, stream);
        assert!(ring.start() <= keep && ring.end() == all.len() as u64);
        let mut at = ring.start();
        while let Some((stream, first, second)) = ring.run_at(at, 1 + chance.below(40)) {
            for byte in first.iter().chain(second) {
                assert_eq!(all[at as usize], (stream, *byte));
                at += 1;
            }
        }
        assert_eq!(at, ring.end());
    }
}

/// A record is read as it was written, or not at all.
fn check_launcher(bytes: &[u8]) {
    let _ = Spec::decode(bytes);
    if let Some(record) = std::str::from_utf8(bytes).ok().and_then(Record::parse) {
        assert_eq!(Record::parse(&record.to_text()), Some(record));
    }
}

fn case(seed: u64, number: u64) {
    let mut chance = Chance(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut bytes = if chance.below(8) == 0 { chance.bytes(400) } else { compose(&mut chance) };
    mutate(&mut chance, &mut bytes);
    one(&mut chance, &bytes);
    check_ring(&mut chance);
}

fn one(chance: &mut Chance, bytes: &[u8]) {
    check_cutting(chance, bytes);
    check_session(chance, bytes);
    let mut rest = bytes;
    let mut parser = Parser::new();
    while let Ok(Some((_, payload))) = parser.next(&mut rest) {
        check_fields(chance, payload);
    }
    check_fields(chance, bytes);
    let _ = inotify::changes(bytes);
    check_launcher(bytes);
}

/// `SECONDS [SEED [CASE]]`: runs cases for so long, or one again.
pub fn main(args: &[std::ffi::OsString]) -> i32 {
    let number = |index: usize| args.get(index).and_then(|arg| arg.to_str()).and_then(|arg| arg.parse::<u64>().ok());
    let seconds = number(0).unwrap_or(10);
    let seed = number(1).unwrap_or(1);
    if let Some(again) = number(2) {
        case(seed, again);
        return 0;
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut done: u64 = 0;
    while Instant::now() < end {
        for _ in 0..64 {
            let failed = std::panic::catch_unwind(|| case(seed, done)).is_err();
            if failed {
                eprintln!("case {} of seed {} failed; again: tooling/fuzz-guest.sh 0 {} {}", done, seed, seed, done);
                return 1;
            }
            done += 1;
        }
    }
    println!("{} cases of seed {} passed", done, seed);
    0
}
