//! Frames on the wire: a header of 12 bytes, a payload, and the preamble that starts a session.
//! `docs/guest-protocol.md` is the contract.

/// Bytes of a frame's header.
pub const HEADER: usize = 12;
/// Largest payload of a frame, in bytes.
pub const MAX_PAYLOAD: usize = 262_144;
/// What a channel may send to the guest without asking, and the default of the other direction, in bytes.
pub const WINDOW: u32 = 65_536;
/// Largest payload of `PING` and `PONG`, in bytes.
pub const MAX_PING: usize = 64;
/// Protocol versions spoken.
pub const NEWEST_VERSION: u64 = 1;
pub const OLDEST_VERSION: u64 = 1;

/// Types of frames.
pub mod kind {
    pub const PAD: u8 = 0;
    pub const HELLO: u8 = 1;
    pub const WELCOME: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const OPENED: u8 = 4;
    pub const DATA: u8 = 5;
    pub const END: u8 = 6;
    pub const CREDIT: u8 = 7;
    pub const EVENT: u8 = 8;
    pub const CLOSE: u8 = 9;
    pub const PING: u8 = 10;
    pub const PONG: u8 = 11;
}

/// Stream numbers, the flags of `DATA` and `END`.
pub mod stream {
    pub const CONTENT: u8 = 0;
    pub const STDOUT: u8 = 1;
    pub const STDERR: u8 = 2;
    pub const TERMINAL: u8 = 3;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub length: u32,
    pub kind: u8,
    pub flags: u8,
    pub channel: u32,
}

/// Why bytes are not a frame. Every one of them ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The payload is longer than the limit, or not what the type allows.
    Length,
    /// The type is unknown.
    Kind,
    /// The flags are not a stream number, or stand where none belongs.
    Flags,
    /// A reserved bit is set.
    Reserved,
    /// Channel 0 where a channel is needed, or the other way round.
    Channel,
}

impl FrameError {
    #[cfg(any(test, fuzzing))]
    pub fn name(self) -> &'static str {
        match self {
            FrameError::Length => "length",
            FrameError::Kind => "type",
            FrameError::Flags => "flags",
            FrameError::Reserved => "reserved",
            FrameError::Channel => "channel",
        }
    }
}

impl Header {
    pub fn new(kind: u8, channel: u32, length: usize) -> Header {
        Header { length: length as u32, kind, flags: 0, channel }
    }

    pub fn data(channel: u32, stream: u8, length: usize) -> Header {
        Header { length: length as u32, kind: kind::DATA, flags: stream, channel }
    }

    pub fn encode(self) -> [u8; HEADER] {
        let length = self.length.to_be_bytes();
        let channel = self.channel.to_be_bytes();
        [
            length[0], length[1], length[2], length[3], self.kind, self.flags, 0, 0, channel[0], channel[1],
            channel[2], channel[3],
        ]
    }

    /// Checks in this order: reserved, type, length, flags, channel.
    pub fn decode(bytes: &[u8; HEADER]) -> Result<Header, FrameError> {
        let header = Header {
            length: u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            kind: bytes[4],
            flags: bytes[5],
            channel: u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
        };
        if bytes[6] != 0 || bytes[7] != 0 {
            return Err(FrameError::Reserved);
        }
        if header.kind > kind::PONG {
            return Err(FrameError::Kind);
        }
        let length = header.length as usize;
        let fits = match header.kind {
            kind::PAD | kind::END => length == 0,
            kind::CREDIT => length == 4,
            kind::PING | kind::PONG => length <= MAX_PING,
            _ => length <= MAX_PAYLOAD,
        };
        if !fits {
            return Err(FrameError::Length);
        }
        let streams = matches!(header.kind, kind::DATA | kind::END);
        if header.flags > if streams { stream::TERMINAL } else { 0 } {
            return Err(FrameError::Flags);
        }
        let placed = match header.kind {
            kind::PAD | kind::HELLO | kind::WELCOME | kind::PING | kind::PONG => header.channel == 0,
            kind::CLOSE => true,
            _ => header.channel != 0,
        };
        if !placed {
            return Err(FrameError::Channel);
        }
        Ok(header)
    }
}

/// Appends a whole frame. The payload must not be longer than `MAX_PAYLOAD`.
pub fn append(out: &mut Vec<u8>, header: Header, payload: &[u8]) {
    debug_assert!(payload.len() <= MAX_PAYLOAD && payload.len() == header.length as usize);
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(payload);
}

/// Cuts a byte stream into frames, however the bytes arrive. It holds at most one unfinished frame.
#[derive(Default)]
pub struct Parser {
    held: Vec<u8>,
    done: bool,
    failed: Option<FrameError>,
}

/// Capacity that an idle parser keeps, in bytes.
const KEPT: usize = 16 * 1024;

impl Parser {
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Takes bytes from the front of `input` and returns the next whole frame, or nothing when all of `input` is
    /// taken. After an error every further call returns the same error.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<(Header, &'s [u8])>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.done {
            self.held.clear();
            self.held.shrink_to(KEPT);
            self.done = false;
        }
        if self.held.is_empty() && input.len() >= HEADER {
            // The common case: a whole frame lies in the input and is handed on without a copy.
            let header = self.decode(input)?;
            let whole = HEADER + header.length as usize;
            if input.len() >= whole {
                let (frame, rest) = input.split_at(whole);
                *input = rest;
                return Ok(Some((header, &frame[HEADER..])));
            }
        }
        if self.held.len() < HEADER {
            self.take(input, HEADER);
            if self.held.len() < HEADER {
                return Ok(None);
            }
        }
        let header = self.decode_held()?;
        let whole = HEADER + header.length as usize;
        self.take(input, whole);
        if self.held.len() < whole {
            return Ok(None);
        }
        self.done = true;
        Ok(Some((header, &self.held[HEADER..])))
    }

    /// Forgets an unfinished frame and an error.
    pub fn reset(&mut self) {
        self.held = Vec::new();
        self.done = false;
        self.failed = None;
    }

    fn take(&mut self, input: &mut &[u8], until: usize) {
        let count = (until - self.held.len()).min(input.len());
        self.held.extend_from_slice(&input[..count]);
        *input = &input[count..];
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Header, FrameError> {
        let mut header = [0; HEADER];
        header.copy_from_slice(&bytes[..HEADER]);
        let decoded = Header::decode(&header);
        self.failed = decoded.err();
        decoded
    }

    fn decode_held(&mut self) -> Result<Header, FrameError> {
        let mut header = [0; HEADER];
        header.copy_from_slice(&self.held[..HEADER]);
        let decoded = Header::decode(&header);
        self.failed = decoded.err();
        decoded
    }
}

/// Number of `0xFF` bytes at the start of a preamble.
pub const SYNC_RUN: usize = 16;
/// What follows them.
pub const SYNC_WORD: [u8; 8] = *b"COVESYNC";
/// Bytes of the nonce that ends a preamble.
pub const NONCE: usize = 16;
/// Bytes of a whole preamble.
pub const PREAMBLE: usize = SYNC_RUN + SYNC_WORD.len() + NONCE;

pub fn preamble(nonce: &[u8; NONCE]) -> [u8; PREAMBLE] {
    let mut bytes = [0xFF; PREAMBLE];
    bytes[SYNC_RUN..SYNC_RUN + SYNC_WORD.len()].copy_from_slice(&SYNC_WORD);
    bytes[SYNC_RUN + SYNC_WORD.len()..].copy_from_slice(nonce);
    bytes
}

/// Finds preambles in a byte stream, wherever they are cut. A preamble may begin inside the nonce of one that was
/// cut off: the later one wins.
#[derive(Default)]
pub struct Hunter {
    run: usize,
    word: usize,
    nonce: [u8; NONCE],
    collected: Option<usize>,
}

impl Hunter {
    pub fn new() -> Hunter {
        Hunter::default()
    }

    /// Looks through `input` up to the end of the first preamble that ends in it: the number of bytes used, and the
    /// nonce.
    pub fn find(&mut self, input: &[u8]) -> Option<(usize, [u8; NONCE])> {
        let mut index = 0;
        while index < input.len() {
            if self.run == 0 && self.word == 0 && self.collected.is_none() {
                // Nothing is under way: the next 0xFF is the first byte of interest.
                match input[index..].iter().position(|byte| *byte == 0xFF) {
                    Some(skip) => index += skip,
                    None => return None,
                }
            }
            let byte = input[index];
            index += 1;
            if let Some(count) = self.collected {
                self.nonce[count] = byte;
                self.collected = Some(count + 1);
            }
            self.step(byte);
            if self.collected == Some(NONCE) {
                self.collected = None;
                return Some((index, self.nonce));
            }
        }
        None
    }

    /// How many of the last bytes seen may be the start of a preamble whose end has not arrived.
    pub fn pending(&self) -> usize {
        match self.collected {
            Some(count) => SYNC_RUN + SYNC_WORD.len() + count,
            None => self.run + self.word,
        }
    }

    fn step(&mut self, byte: u8) {
        if byte == 0xFF {
            self.run = if self.word > 0 { 1 } else { (self.run + 1).min(SYNC_RUN) };
            self.word = 0;
            return;
        }
        if self.run == SYNC_RUN && byte == SYNC_WORD[self.word] {
            self.word += 1;
            if self.word == SYNC_WORD.len() {
                self.run = 0;
                self.word = 0;
                self.collected = Some(0);
            }
            return;
        }
        self.run = 0;
        self.word = 0;
    }
}
