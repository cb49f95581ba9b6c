//! One session's channels: what may be sent, what may still arrive, and what waits to be written. It knows bytes and
//! rules, neither descriptors nor operations.

use super::fault::Fault;
use crate::fields::{Fields, Writer, OPERATION, WINDOW_TAG};
use crate::frames::{self, kind, Header, WINDOW};
use std::collections::{HashMap, VecDeque};

/// Channels that may be open at once.
pub const MAX_CHANNELS: usize = 1024;
/// Bytes that may wait to be written before the session ends.
pub const MAX_WAITING: usize = 4 * 1024 * 1024;
/// Most credit a channel can have.
const MAX_CREDIT: u32 = 0x7fff_ffff;

/// The host broke a rule: the session ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// What a frame asks for, checked against the rules of the session.
#[derive(Debug)]
pub enum Message<'a> {
    /// Nothing is left to do.
    None,
    Open {
        channel: u32,
        operation: u64,
        fields: Fields<'a>,
    },
    Data {
        channel: u32,
        stream: u8,
        bytes: &'a [u8],
    },
    End {
        channel: u32,
        stream: u8,
    },
    /// The channel may send again.
    Credit {
        channel: u32,
    },
    /// The host wants the channel closed; the answer has been written already.
    Close {
        channel: u32,
    },
}

struct Flow {
    send: u32,
    receive: u32,
    ready: bool,
}

#[derive(Default)]
pub struct Session {
    out: Vec<u8>,
    written: usize,
    flows: HashMap<u32, Flow>,
    ready: VecDeque<u32>,
    last: u32,
}

impl Session {
    pub fn new() -> Session {
        Session::default()
    }

    /// Takes one frame in.
    pub fn accept<'a>(&mut self, header: Header, payload: &'a [u8]) -> Result<Message<'a>, Broken> {
        let channel = header.channel;
        match header.kind {
            kind::PAD | kind::PONG => Ok(Message::None),
            kind::PING => {
                frames::append(&mut self.out, Header::new(kind::PONG, 0, payload.len()), payload);
                Ok(Message::None)
            }
            kind::OPEN => self.open(channel, payload),
            kind::DATA => match self.flows.get_mut(&channel) {
                None => Ok(Message::None),
                Some(flow) if flow.receive < header.length => Err(Broken("data beyond the credit")),
                Some(flow) => {
                    flow.receive -= header.length;
                    Ok(Message::Data { channel, stream: header.flags, bytes: payload })
                }
            },
            kind::END if self.flows.contains_key(&channel) => Ok(Message::End { channel, stream: header.flags }),
            kind::CREDIT => {
                let more = u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]]);
                match self.flows.get_mut(&channel) {
                    None => Ok(Message::None),
                    Some(flow) => match flow.send.checked_add(more) {
                        Some(credit) if credit <= MAX_CREDIT => {
                            flow.send = credit;
                            Ok(Message::Credit { channel })
                        }
                        _ => Err(Broken("too much credit")),
                    },
                }
            }
            kind::CLOSE if channel == 0 => Err(Broken("closed by the host")),
            kind::CLOSE if self.flows.contains_key(&channel) => {
                self.close(channel);
                Ok(Message::Close { channel })
            }
            kind::END | kind::CLOSE => Ok(Message::None),
            _ => Err(Broken("a frame that only the guest sends, or a second HELLO")),
        }
    }

    fn open<'a>(&mut self, channel: u32, payload: &'a [u8]) -> Result<Message<'a>, Broken> {
        if channel <= self.last {
            return Err(Broken("a channel number used before"));
        }
        self.last = channel;
        if self.flows.len() >= MAX_CHANNELS {
            self.refuse(channel, &Fault::new("limit-reached", format!("{} channels are open", MAX_CHANNELS)));
            return Ok(Message::None);
        }
        let parsed = Fields::parse(payload).and_then(|fields| {
            let operation = fields.number(OPERATION)?.unwrap_or(0);
            let window = fields.number(WINDOW_TAG)?.unwrap_or(u64::from(WINDOW));
            Ok((fields, operation, window))
        });
        match parsed {
            Err(error) => {
                self.refuse(channel, &Fault::from(error));
                Ok(Message::None)
            }
            Ok((_, _, window)) if window > u64::from(MAX_CREDIT) => {
                self.refuse(channel, &Fault::invalid("the window is too large"));
                Ok(Message::None)
            }
            Ok((fields, operation, window)) => {
                self.flows.insert(channel, Flow { send: window as u32, receive: WINDOW, ready: false });
                Ok(Message::Open { channel, operation, fields })
            }
        }
    }

    pub fn opened(&mut self, channel: u32, answer: Writer) {
        self.control(kind::OPENED, channel, answer.as_slice());
    }

    pub fn event(&mut self, channel: u32, event: Writer) {
        self.control(kind::EVENT, channel, event.as_slice());
    }

    pub fn end(&mut self, channel: u32, stream: u8) {
        if self.flows.contains_key(&channel) {
            let header = Header { length: 0, kind: kind::END, flags: stream, channel };
            frames::append(&mut self.out, header, b"");
        }
    }

    /// Ends a channel well.
    pub fn close(&mut self, channel: u32) {
        if self.flows.remove(&channel).is_some() {
            frames::append(&mut self.out, Header::new(kind::CLOSE, channel, 0), b"");
        }
    }

    /// Ends a channel with an error.
    pub fn fail(&mut self, channel: u32, fault: &Fault) {
        if self.flows.remove(&channel).is_some() {
            self.refuse(channel, fault);
        }
    }

    /// An error for a channel that is not open; 0 is the session itself.
    pub fn refuse(&mut self, channel: u32, fault: &Fault) {
        let fields = fault.fields();
        frames::append(&mut self.out, Header::new(kind::CLOSE, channel, fields.as_slice().len()), fields.as_slice());
    }

    /// Lets the host send this much more.
    pub fn grant(&mut self, channel: u32, bytes: u32) {
        if bytes == 0 {
            return;
        }
        if let Some(flow) = self.flows.get_mut(&channel) {
            flow.receive += bytes;
            frames::append(&mut self.out, Header::new(kind::CREDIT, channel, 4), &bytes.to_be_bytes());
        }
    }

    /// Bytes that the channel may send now.
    pub fn credit(&self, channel: u32) -> usize {
        self.flows.get(&channel).map_or(0, |flow| flow.send as usize)
    }

    pub fn spend(&mut self, channel: u32, bytes: usize) {
        if let Some(flow) = self.flows.get_mut(&channel) {
            debug_assert!(bytes <= flow.send as usize);
            flow.send -= bytes as u32;
        }
    }

    /// Puts the channel in the line of those that have something to send.
    pub fn mark_ready(&mut self, channel: u32) {
        if let Some(flow) = self.flows.get_mut(&channel) {
            if !flow.ready {
                flow.ready = true;
                self.ready.push_back(channel);
            }
        }
    }

    /// The next of them.
    pub fn next_ready(&mut self) -> Option<u32> {
        while let Some(channel) = self.ready.pop_front() {
            if let Some(flow) = self.flows.get_mut(&channel) {
                flow.ready = false;
                return Some(channel);
            }
        }
        None
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Bytes that wait to be written before anything else may be.
    pub fn waiting(&self) -> &[u8] {
        &self.out[self.written..]
    }

    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written == self.out.len() {
            self.out.clear();
            self.out.shrink_to(64 * 1024);
            self.written = 0;
        }
    }

    /// Appends bytes as they are: the rest of a frame that was cut by a full pipe, or a preamble.
    pub fn push_raw(&mut self, bytes: &[u8]) {
        if self.written > 0 && self.out.len() + bytes.len() > self.out.capacity() {
            self.out.drain(..self.written);
            self.written = 0;
        }
        self.out.extend_from_slice(bytes);
    }

    pub fn overfull(&self) -> bool {
        self.waiting().len() > MAX_WAITING
    }

    fn control(&mut self, kind: u8, channel: u32, payload: &[u8]) {
        if self.flows.contains_key(&channel) {
            frames::append(&mut self.out, Header::new(kind, channel, payload.len()), payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Parser;

    fn open(session: &mut Session, channel: u32, window: Option<u64>) -> Result<bool, Broken> {
        let mut fields = Writer::new().number(OPERATION, 1);
        if let Some(window) = window {
            fields.put_number(WINDOW_TAG, window);
        }
        let payload = fields.finish();
        let message = session.accept(Header::new(kind::OPEN, channel, payload.len()), &payload)?;
        Ok(matches!(message, Message::Open { .. }))
    }

    fn credit(session: &mut Session, channel: u32, more: u32) -> Result<(), Broken> {
        session.accept(Header::new(kind::CREDIT, channel, 4), &more.to_be_bytes()).map(drop)
    }

    /// Kinds and channels of the frames that wait to be written, and the code of a `CLOSE`.
    fn written(session: &mut Session) -> Vec<(u8, u32, String)> {
        let bytes = session.waiting().to_vec();
        session.wrote(bytes.len());
        let mut parser = Parser::new();
        let mut rest = &bytes[..];
        let mut frames = Vec::new();
        while let Ok(Some((header, payload))) = parser.next(&mut rest) {
            let code = match header.kind {
                kind::CLOSE => Fields::parse(payload).unwrap().text(1).unwrap().unwrap_or("").to_string(),
                _ => String::new(),
            };
            frames.push((header.kind, header.channel, code));
        }
        frames
    }

    #[test]
    fn counts_credit_in_both_directions() {
        let mut session = Session::new();
        assert_eq!(open(&mut session, 1, Some(10)), Ok(true));
        assert_eq!(session.credit(1), 10);
        session.spend(1, 10);
        assert_eq!(session.credit(1), 0);
        credit(&mut session, 1, 5).unwrap();
        assert_eq!(session.credit(1), 5);
        assert_eq!(credit(&mut session, 1, u32::MAX), Err(Broken("too much credit")));

        let half = vec![0; WINDOW as usize / 2];
        let data = Header::data(1, 0, half.len());
        assert!(matches!(session.accept(data, &half), Ok(Message::Data { .. })));
        assert!(matches!(session.accept(data, &half), Ok(Message::Data { .. })));
        assert!(session.accept(Header::data(1, 0, 1), b"x").is_err());
        session.grant(1, 1);
        assert!(session.accept(Header::data(1, 0, 1), b"x").is_ok());
        assert_eq!(written(&mut session), vec![(kind::CREDIT, 1, String::new())]);
    }

    #[test]
    fn never_takes_a_channel_number_twice() {
        let mut session = Session::new();
        assert_eq!(open(&mut session, 5, None), Ok(true));
        session.close(5);
        assert!(open(&mut session, 5, None).is_err());
        assert!(open(&mut session, 4, None).is_err());
        assert_eq!(open(&mut session, 6, None), Ok(true));
    }

    #[test]
    fn refuses_a_channel_too_many_and_keeps_the_others() {
        let mut session = Session::new();
        for channel in 1..=MAX_CHANNELS as u32 {
            assert_eq!(open(&mut session, channel, None), Ok(true));
        }
        let next = MAX_CHANNELS as u32 + 1;
        assert_eq!(open(&mut session, next, None), Ok(false));
        assert_eq!(written(&mut session), vec![(kind::CLOSE, next, String::from("limit-reached"))]);
        session.close(1);
        assert_eq!(open(&mut session, next + 1, None), Ok(true));
    }

    #[test]
    fn ignores_what_crosses_a_close() {
        let mut session = Session::new();
        open(&mut session, 1, None).unwrap();
        session.mark_ready(1);
        session.fail(1, &Fault::invalid("no"));
        assert_eq!(written(&mut session), vec![(kind::CLOSE, 1, String::from("invalid-argument"))]);
        assert!(matches!(session.accept(Header::data(1, 0, 1), b"x"), Ok(Message::None)));
        assert!(matches!(session.accept(Header::new(kind::END, 1, 0), b""), Ok(Message::None)));
        assert!(matches!(session.accept(Header::new(kind::CLOSE, 1, 0), b""), Ok(Message::None)));
        credit(&mut session, 1, 1).unwrap();
        session.opened(1, Writer::new());
        session.close(1);
        assert_eq!(session.next_ready(), None);
        assert!(written(&mut session).is_empty());
    }

    #[test]
    fn gives_ready_channels_their_turns_in_order() {
        let mut session = Session::new();
        for channel in 1..=3 {
            open(&mut session, channel, None).unwrap();
            session.mark_ready(channel);
            session.mark_ready(channel);
        }
        assert_eq!(session.next_ready(), Some(1));
        session.mark_ready(1);
        assert_eq!((session.next_ready(), session.next_ready()), (Some(2), Some(3)));
        assert_eq!((session.next_ready(), session.next_ready()), (Some(1), None));
    }

    #[test]
    fn ends_with_what_only_a_guest_may_send() {
        for number in [kind::HELLO, kind::WELCOME, kind::OPENED, kind::EVENT] {
            let mut session = Session::new();
            open(&mut session, 1, None).unwrap();
            let channel = if number <= kind::WELCOME { 0 } else { 1 };
            assert!(session.accept(Header::new(number, channel, 0), b"").is_err());
        }
        assert!(Session::new().accept(Header::new(kind::CLOSE, 0, 0), b"").is_err());
    }
}
