//! One connected daemon: its frames in, its frames out, both bounded.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use super::spec::MAX_SPEC;
use crate::frames::{append, kind, Header, Parser};

/// Specifications that may be on their way at once, and their bytes.
const MAX_UPLOADS: usize = 64;
const MAX_UPLOADED: usize = 16 << 20;
/// A daemon that does not read its answers is let go when this much waits for it.
const MAX_WAITING: usize = 16 << 20;
const READ: usize = 65_536;

pub struct Connection {
    pub stream: UnixStream,
    parser: Parser,
    out: Vec<u8>,
    sent: usize,
    pub greeted: bool,
    /// The channel that exits are told on.
    pub watch: Option<u32>,
    uploads: HashMap<u32, Vec<u8>>,
    /// Nothing more is read; it ends when everything is sent.
    pub closing: bool,
}

pub struct Frame {
    pub kind: u8,
    pub channel: u32,
    pub payload: Vec<u8>,
}

impl Connection {
    pub fn new(stream: UnixStream) -> Connection {
        Connection {
            stream,
            parser: Parser::new(),
            out: Vec::new(),
            sent: 0,
            greeted: false,
            watch: None,
            uploads: HashMap::new(),
            closing: false,
        }
    }

    /// Frames that have arrived. An error means that the connection is over.
    pub fn receive(&mut self) -> io::Result<Vec<Frame>> {
        let mut buffer = [0u8; READ];
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(Vec::new())
            }
            other => other?,
        };
        let mut frames = Vec::new();
        let mut used = 0;
        loop {
            let mut input = &buffer[used..count];
            match self.parser.next(&mut input) {
                Ok(Some((header, payload))) => {
                    frames.push(Frame { kind: header.kind, channel: header.channel, payload: payload.to_vec() })
                }
                Ok(None) => return Ok(frames),
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
            used = count - input.len();
        }
    }

    /// False: too many at once.
    pub fn begin_upload(&mut self, channel: u32) -> bool {
        if self.uploads.len() >= MAX_UPLOADS {
            return false;
        }
        self.uploads.insert(channel, Vec::new());
        true
    }

    /// False: too much. What belongs to no upload is ignored, for both sides may close at once.
    pub fn upload(&mut self, channel: u32, data: &[u8]) -> bool {
        let uploaded: usize = self.uploads.values().map(Vec::len).sum();
        match self.uploads.get_mut(&channel) {
            Some(bytes) if bytes.len() + data.len() > MAX_SPEC || uploaded + data.len() > MAX_UPLOADED => {
                self.uploads.remove(&channel);
                false
            }
            Some(bytes) => {
                bytes.extend_from_slice(data);
                true
            }
            None => true,
        }
    }

    pub fn end_upload(&mut self, channel: u32) -> Option<Vec<u8>> {
        self.uploads.remove(&channel)
    }

    pub fn queue(&mut self, kind: u8, channel: u32, payload: &[u8]) {
        append(&mut self.out, Header::new(kind, channel, payload.len()), payload);
        if kind == kind::CLOSE && self.watch == Some(channel) {
            self.watch = None;
        }
    }

    pub fn has_output(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Sends what the socket takes now. An error means that the connection is over.
    pub fn send(&mut self) -> io::Result<()> {
        while self.has_output() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
        }
        if !self.has_output() {
            self.out.clear();
            self.out.shrink_to(READ);
            self.sent = 0;
            if self.closing {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        } else if self.out.len() - self.sent > MAX_WAITING {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }
}
