//! The first frame of a session: who may have the machine.

use super::core::Agent;
use super::fault::Fault;
use super::session::Session;
use super::wire::Wire;
use crate::fields::{FieldError, Fields, Writer};
use crate::frames::{self, kind, Header, MAX_PAYLOAD, NEWEST_VERSION, NONCE, OLDEST_VERSION};
use crate::sys;
use crate::VERSION;

struct Hello {
    newest: u64,
    oldest: u64,
    epoch: u64,
    token: [u8; 32],
}

fn parse_hello(payload: &[u8]) -> std::result::Result<Hello, FieldError> {
    let fields = Fields::parse(payload)?;
    let mut token = [0; 32];
    match fields.bytes(4) {
        Some(bytes) if bytes.len() == token.len() => token.copy_from_slice(bytes),
        _ => return Err(FieldError::Cut),
    }
    fields.text(5)?;
    Ok(Hello {
        newest: fields.number(1)?.unwrap_or(0),
        oldest: fields.number(2)?.unwrap_or(0),
        epoch: fields.number(3)?.unwrap_or(0),
        token,
    })
}

fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl Agent {
    /// Judges a HELLO; a valid one begins a new session on this stream.
    pub fn greet(&mut self, wire: &mut Wire, payload: &[u8]) -> bool {
        let nonce = wire.nonce.unwrap_or([0; NONCE]);
        let hello = match parse_hello(payload) {
            Ok(hello) => hello,
            Err(_) => return false,
        };
        let version = hello.newest.min(NEWEST_VERSION);
        let refusal = if self.token.map_or(false, |token| !same(&token, &hello.token)) {
            Some(Fault::new("unauthenticated", "the token is not the one of the first session"))
        } else if version < hello.oldest.max(OLDEST_VERSION) {
            Some(Fault::new(
                "unsupported",
                format!(
                    "the agent speaks versions {} to {}, the daemon {} to {}",
                    OLDEST_VERSION, NEWEST_VERSION, hello.oldest, hello.newest
                ),
            ))
        } else if self.token.is_some() && hello.epoch <= self.epoch {
            Some(Fault::new("stale-session", format!("the epoch must be above {}", self.epoch)))
        } else {
            None
        };
        if let Some(fault) = refusal {
            let mut bytes = frames::preamble(&nonce).to_vec();
            let fields = fault.fields();
            frames::append(&mut bytes, Header::new(kind::CLOSE, 0, fields.as_slice().len()), fields.as_slice());
            let _ = sys::write(wire.out(), &bytes);
            return false;
        }
        if !wire.single {
            self.tell_taken_over();
        }
        self.end_session();
        if !wire.single {
            self.wire = None;
        }
        self.token = Some(hello.token);
        self.epoch = hello.epoch;
        self.sessions = self.sessions.wrapping_add(1);
        wire.greeted = true;
        let welcome = Writer::new()
            .number(1, version)
            .text(2, VERSION)
            .bytes(3, &self.instance)
            .number(4, NEWEST_VERSION)
            .number(5, MAX_PAYLOAD as u64);
        let mut bytes = frames::preamble(&nonce).to_vec();
        frames::append(&mut bytes, Header::new(kind::WELCOME, 0, welcome.as_slice().len()), welcome.as_slice());
        let mut session = Session::new();
        session.push_raw(&bytes);
        self.session = Some(session);
        true
    }

    /// The standing session is told why it ends, as far as its connection takes it.
    fn tell_taken_over(&mut self) {
        if let Some(session) = &mut self.session {
            session.refuse(0, &Fault::new("stale-session", "another session has taken over"));
        }
        self.flush();
    }
}
