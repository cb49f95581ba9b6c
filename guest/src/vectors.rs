//! The vectors that both ends of the protocol are tested with, and what the guest makes of them.

use crate::fields::{FieldError, Fields};
use crate::frames::{Hunter, Parser, HEADER};
use std::collections::BTreeMap;

const FILE: &str = include_str!("../vectors/frames.json");
const TYPES: [&str; 12] =
    ["PAD", "HELLO", "WELCOME", "OPEN", "OPENED", "DATA", "END", "CREDIT", "EVENT", "CLOSE", "PING", "PONG"];

#[derive(Clone, Debug, PartialEq)]
enum Json {
    Null,
    Truth(bool),
    Number(u64),
    Text(String),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

impl Json {
    fn get(&self, name: &str) -> &Json {
        match self {
            Json::Map(map) => map.get(name).unwrap_or(&Json::Null),
            other => panic!("{:?} has no {}", other, name),
        }
    }

    fn list(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            other => panic!("{:?} is no list", other),
        }
    }

    fn text(&self) -> &str {
        match self {
            Json::Text(text) => text,
            other => panic!("{:?} is no text", other),
        }
    }

    fn number(&self) -> u64 {
        match self {
            Json::Number(number) => *number,
            other => panic!("{:?} is no number", other),
        }
    }

    fn error(&self) -> Option<&str> {
        match self.get("error") {
            Json::Null => None,
            error => Some(error.text()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let text = self.text();
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, text: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Json {
        if self.eat("{") {
            let mut map = BTreeMap::new();
            while !self.eat("}") {
                assert!(self.eat("\""));
                let name = self.string();
                assert!(self.eat(":"));
                map.insert(name, self.value());
                self.eat(",");
            }
            return Json::Map(map);
        }
        if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                items.push(self.value());
                self.eat(",");
            }
            return Json::List(items);
        }
        if self.eat("\"") {
            return Json::Text(self.string());
        }
        for (word, value) in [("null", Json::Null), ("true", Json::Truth(true)), ("false", Json::Truth(false))] {
            if self.eat(word) {
                return value;
            }
        }
        let end = self.rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().unwrap();
        self.rest = &self.rest[end..];
        Json::Number(number)
    }

    fn string(&mut self) -> String {
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        loop {
            match chars.next().unwrap() {
                (at, '"') => {
                    self.rest = &self.rest[at + 1..];
                    return text;
                }
                (_, '\\') => match chars.next().unwrap().1 {
                    'u' => {
                        let code: String = (0..4).map(|_| chars.next().unwrap().1).collect();
                        text.push(char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap());
                    }
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                (_, other) => text.push(other),
            }
        }
    }
}

fn section(name: &str) -> Vec<Json> {
    let found = Reader { rest: FILE }.value().get(name).list().to_vec();
    assert!(!found.is_empty());
    found
}

type Frame = (&'static str, u32, u8, Vec<u8>);

/// Frames until the bytes or the patience of the parser end, fed `step` bytes at a time.
fn cut(bytes: &[u8], step: usize) -> (Vec<Frame>, Option<&'static str>) {
    let mut parser = Parser::new();
    let mut frames = Vec::new();
    for mut piece in bytes.chunks(step.max(1)) {
        loop {
            match parser.next(&mut piece) {
                Ok(Some((header, payload))) => {
                    frames.push((TYPES[header.kind as usize], header.channel, header.flags, payload.to_vec()));
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(error.name())),
            }
        }
    }
    (frames, None)
}

#[test]
fn headers() {
    for vector in section("headers") {
        let mut bytes = [0; HEADER];
        bytes.copy_from_slice(&vector.get("hex").bytes());
        let decoded = crate::frames::Header::decode(&bytes);
        match vector.error() {
            Some(error) => assert_eq!(decoded.unwrap_err().name(), error, "{:?}", vector),
            None => {
                let header = decoded.unwrap();
                assert_eq!(u64::from(header.length), vector.get("length").number());
                assert_eq!(TYPES[header.kind as usize], vector.get("type").text());
                assert_eq!(u64::from(header.flags), vector.get("flags").number());
                assert_eq!(u64::from(header.channel), vector.get("channel").number());
                assert_eq!(header.encode(), bytes);
            }
        }
    }
}

#[test]
fn streams_however_they_are_cut() {
    for vector in section("streams") {
        let bytes = vector.get("hex").bytes();
        for step in [1, 2, 3, 5, 11, 12, 13, 64, usize::MAX] {
            let (frames, error) = cut(&bytes, step.min(bytes.len()));
            assert_eq!(error, vector.error(), "{:?} by {}", vector, step);
            let wanted = vector.get("frames").list();
            assert_eq!(frames.len(), wanted.len(), "{:?} by {}", vector, step);
            for (frame, wanted) in frames.iter().zip(wanted) {
                assert_eq!(frame.0, wanted.get("type").text());
                assert_eq!(u64::from(frame.1), wanted.get("channel").number());
                assert_eq!(u64::from(frame.2), wanted.get("flags").number());
                assert_eq!(frame.3, wanted.get("payload").bytes());
            }
            if error.is_none() {
                let whole: usize = frames.iter().map(|frame| HEADER + frame.3.len()).sum();
                assert_eq!((bytes.len() - whole) as u64, vector.get("unfinished").number());
            }
        }
    }
}

#[test]
fn fields() {
    for vector in section("fields") {
        let bytes = vector.get("hex").bytes();
        match (Fields::parse(&bytes), vector.error()) {
            (Err(error), Some(wanted)) => assert_eq!(error.name(), wanted),
            (Ok(fields), None) => {
                let found: Vec<_> = fields.iter().map(|(tag, value)| (u64::from(tag), value.to_vec())).collect();
                let pair = |pair: &Json| (pair.list()[0].number(), pair.list()[1].bytes());
                assert_eq!(found, vector.get("fields").list().iter().map(pair).collect::<Vec<_>>());
                let mut writer = crate::fields::Writer::new();
                found.iter().for_each(|(tag, value)| writer.put(*tag as u8, value));
                assert_eq!(writer.finish(), bytes);
            }
            (parsed, _) => panic!("{:?} gave {:?}", vector, parsed),
        }
    }
}

#[test]
fn values() {
    for vector in section("values") {
        let bytes = vector.get("hex").bytes();
        let fields = Fields::parse(&bytes).unwrap();
        let tag = vector.get("tag").number() as u8;
        let found: Result<Json, FieldError> = match vector.get("as").text() {
            "number" => fields.number(tag).map(|value| value.map_or(Json::Null, |value| Json::Text(value.to_string()))),
            "truth" => fields.truth(tag).map(Json::Truth),
            "text" => fields.text(tag).map(|value| value.map_or(Json::Null, |value| Json::Text(value.to_string()))),
            other => panic!("{} is no type of value", other),
        };
        match (found, vector.error()) {
            (Err(error), Some(wanted)) => assert_eq!(error.name(), wanted, "{:?}", vector),
            (Ok(value), None) => assert_eq!(&value, vector.get("value"), "{:?}", vector),
            (found, _) => panic!("{:?} gave {:?}", vector, found),
        }
    }
}

#[test]
fn preambles_however_they_are_cut() {
    for vector in section("preambles") {
        let bytes = vector.get("hex").bytes();
        for step in [1, 3, 16, 24, 40, 1000] {
            let mut hunter = Hunter::new();
            let mut found = Vec::new();
            for (index, piece) in bytes.chunks(step).enumerate() {
                let mut at = 0;
                while let Some((end, nonce)) = hunter.find(&piece[at..]) {
                    at += end;
                    found.push(((index * step + at) as u64, nonce.to_vec()));
                }
            }
            let wanted = vector.get("found").list().iter();
            let wanted: Vec<_> = wanted.map(|one| (one.get("end").number(), one.get("nonce").bytes())).collect();
            assert_eq!(found, wanted, "{:?} by {}", vector, step);
        }
    }
}

#[test]
fn messages() {
    for vector in section("messages") {
        let bytes = vector.get("hex").bytes();
        let (frames, error) = cut(&bytes, bytes.len());
        assert_eq!((frames.len(), error), (1, None));
        let fields = Fields::parse(&frames[0].3).unwrap();
        let number = |tag| fields.number(tag).unwrap().unwrap().to_string();
        let text = |tag| fields.text(tag).unwrap().unwrap().to_string();
        let texts = |tag| fields.all(tag).map(|text| Json::Text(String::from_utf8_lossy(text).into_owned())).collect();
        match frames[0].0 {
            "HELLO" => {
                assert_eq!(number(1), vector.get("newest").text());
                assert_eq!(number(2), vector.get("oldest").text());
                assert_eq!(number(3), vector.get("epoch").text());
                assert_eq!(fields.bytes(4).unwrap(), vector.get("token").bytes());
                assert_eq!(text(5), vector.get("daemon").text());
            }
            "OPEN" => {
                assert_eq!(number(1), vector.get("operation").text());
                assert_eq!(text(2), vector.get("id").text());
                assert_eq!(&Json::List(texts(3)), vector.get("argv"));
                assert_eq!(&Json::List(texts(4)), vector.get("env"));
                assert_eq!(&Json::Truth(fields.truth(9).unwrap()), vector.get("stdin"));
                assert_eq!(number(250), vector.get("window").text());
            }
            "CLOSE" => {
                assert_eq!(text(1), vector.get("code").text());
                assert_eq!(text(2), vector.get("message").text());
                assert_eq!(number(3), vector.get("errno").text());
            }
            other => panic!("{} is not expected", other),
        }
    }
}
