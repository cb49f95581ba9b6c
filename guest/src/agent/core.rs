//! The agent: what it owns, and its loop. One thread; nothing in the loop ever blocks.

use super::fault::Fault;
use super::files::list::Listing;
use super::files::read::Reading;
use super::files::write::Writing;
use super::oom::{OomScore, OomWatch};
use super::options::Options;
use super::process::Process;
use super::session::{Message, Session};
use super::timers::{Due, Timers};
use super::users::Users;
use super::wire::Wire;
use crate::sys::poll::{Event, Poller, READ};
use crate::sys::process::Spawner;
use crate::sys::{self, c, Result};
use std::collections::HashMap;
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::time::Instant;

/// What a descriptor in the poller belongs to; the rest of the token says which one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    Listener = 1,
    Signals = 2,
    /// The session's stream.
    Wire = 3,
    /// Its other half, where that is a descriptor of its own.
    WireOut = 4,
    Newcomer = 5,
    Output = 6,
    Stdin = 7,
    /// A channel of the session.
    Channel = 8,
}

pub fn token(kind: Kind, which: u64) -> u64 {
    (kind as u64) << 56 | which
}

/// What an open channel is busy with.
pub enum Work {
    /// Follows the output of a process.
    Attach(u64),
    /// Feeds a process.
    Stdin(u64),
    Read(Reading),
    Write(Writing),
    List(Box<Listing>),
    Watch(Box<super::watch_tree::Watching>),
    Dial(super::dial::Dialing),
    /// A forked copy of the agent is at work for it.
    Errand {
        pid: c::Pid,
        path: Vec<u8>,
    },
}

#[derive(Default)]
pub struct Processes {
    pub all: HashMap<u64, Process>,
    pub by_id: HashMap<Vec<u8>, u64>,
    pub by_pid: HashMap<c::Pid, u64>,
    /// Ended ones in the order of their end.
    pub ended: std::collections::VecDeque<u64>,
    /// Bytes of all rings.
    pub ring_bytes: usize,
    last: u64,
}

impl Processes {
    pub fn next_serial(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub fn insert(&mut self, process: Process) {
        self.by_id.insert(process.id.clone(), process.serial);
        self.by_pid.insert(process.pid, process.serial);
        self.all.insert(process.serial, process);
    }
}

/// How the host's stream reaches the agent.
pub enum Door {
    /// Each connection is a stream of its own.
    Listener(OwnedFd),
    /// There is only one; a new session begins with a preamble in the middle of it.
    Single,
}

pub struct Agent {
    pub options: Options,
    pub poller: Poller,
    pub timers: Timers,
    pub door: Door,
    pub wire: Option<Wire>,
    pub newcomers: Vec<(u64, Wire)>,
    pub last_newcomer: u64,
    pub session: Option<Session>,
    /// Counts sessions, so that a late event of an old one is not taken for a new channel's.
    pub sessions: u32,
    pub token: Option<[u8; 32]>,
    pub epoch: u64,
    pub instance: [u8; 16],
    pub works: HashMap<u32, Work>,
    pub processes: Processes,
    pub spawner: Spawner,
    pub users: Users,
    pub null: OwnedFd,
    pub signals: OwnedFd,
    pub open_files: Option<c::rlimit_t>,
    pub oom: OomWatch,
    pub score: OomScore,
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where processes start when a request names no folder; absent: at the user's home.
    pub workdir: Option<Vec<u8>>,
    /// As it was when the agent began, or as it was named since.
    pub hostname: Vec<u8>,
    pub quiesced: bool,
    /// A shutdown is under way.
    pub ending: bool,
    /// The loop ends with this status.
    pub status: Option<i32>,
    pub began: Instant,
    pub scratch: Vec<u8>,
    pub inbox: Vec<u8>,
    pub is_init: bool,
}

/// Bytes that one turn of the loop writes before it looks at other things again.
const TURN: usize = 4 * 1024 * 1024;
pub const SCRATCH: usize = 262_144;

impl Agent {
    /// The session that is known to stand where a message of it is handled.
    pub fn session(&mut self) -> &mut Session {
        self.session.get_or_insert_with(Session::new)
    }

    pub fn run(&mut self) -> Result<i32> {
        self.poller.add(self.signals.as_raw_fd(), token(Kind::Signals, 0), READ)?;
        match &self.door {
            Door::Listener(fd) => self.poller.add(fd.as_raw_fd(), token(Kind::Listener, 0), READ)?,
            Door::Single => self.watch_wire()?,
        }
        let mut events = [Event::EMPTY; 64];
        loop {
            self.pump();
            if let Some(status) = self.status {
                return Ok(status);
            }
            let wait = if self.has_more() { 0 } else { self.timers.wait() };
            let count = self.poller.wait(&mut events, wait)?;
            self.timers.advance(wait);
            // Ends of processes come last: what they have written is read then, and their exits are told at once.
            let signals = token(Kind::Signals, 0);
            for event in events[..count].iter().filter(|event| event.token() != signals) {
                self.handle(event);
            }
            if events[..count].iter().any(|event| event.token() == signals) {
                self.take_signals();
            }
            while let Some(due) = self.timers.next() {
                self.due(due);
            }
        }
    }

    fn has_more(&self) -> bool {
        let blocked = self.wire.as_ref().map_or(true, |wire| wire.blocked);
        !blocked && self.session.as_ref().map_or(false, |session| session.has_ready())
    }

    fn handle(&mut self, event: &Event) {
        let token = event.token();
        let which = token & 0x00ff_ffff_ffff_ffff;
        match (token >> 56) as u8 {
            kind if kind == Kind::Listener as u8 => self.accept(),
            kind if kind == Kind::Wire as u8 => {
                if event.writable() {
                    self.unblock();
                }
                if event.readable() {
                    self.read_wire();
                }
            }
            kind if kind == Kind::WireOut as u8 => self.unblock(),
            kind if kind == Kind::Newcomer as u8 => self.read_newcomer(which),
            kind if kind == Kind::Output as u8 => self.read_output(which >> 1, (which & 1) as usize),
            kind if kind == Kind::Stdin as u8 => self.write_stdin(which),
            kind if kind == Kind::Channel as u8 => {
                if (which >> 32) as u32 == self.sessions & 0xff_ffff {
                    self.channel_event(which as u32, event);
                }
            }
            _ => {}
        }
    }

    /// The token of a channel's descriptor.
    pub fn channel_token(&self, channel: u32) -> u64 {
        token(Kind::Channel, u64::from(self.sessions & 0xff_ffff) << 32 | u64::from(channel))
    }

    fn channel_event(&mut self, channel: u32, event: &Event) {
        match self.works.get(&channel) {
            Some(Work::Watch(_)) => self.read_watch(channel),
            Some(Work::Dial(_)) => self.dial_event(channel, event),
            _ => {}
        }
    }

    fn due(&mut self, due: Due) {
        match due {
            Due::Timeout(serial) => self.time_out(serial),
            Due::Kill(serial) => self.kill_group_of(serial),
            Due::Tell(serial) => self.tell_if_due(serial),
            Due::Unread(serial) => self.refuse_silent_inputs(serial),
            Due::Forget(serial) => self.forget(serial),
            Due::Newcomer(id) => self.drop_newcomer(id),
            Due::Held => self.release_held(),
            Due::Listen => self.listen(),
            Due::Reopen => self.reopen(),
            Due::Unpaired(channel) => self.unpaired(channel as u32),
            Due::Shutdown => self.finish_shutdown(),
        }
    }

    /// Carries out what one message asks.
    pub fn carry_out(&mut self, message: Message<'_>) {
        match message {
            Message::None => {}
            Message::Open { channel, operation, fields } => {
                if let Err(fault) = self.open(channel, operation, &fields) {
                    self.fail(channel, &fault);
                }
            }
            Message::Data { channel, stream, bytes } => self.data(channel, stream, bytes),
            Message::End { channel, stream } => self.end(channel, stream),
            Message::Credit { channel } => self.credited(channel),
            Message::Close { channel } => self.drop_work(channel),
        }
    }

    /// Ends a channel with an error and frees what it holds.
    pub fn fail(&mut self, channel: u32, fault: &Fault) {
        if let Some(session) = &mut self.session {
            session.fail(channel, fault);
        }
        self.drop_work(channel);
    }

    /// Ends a channel well and frees what it holds.
    pub fn finish(&mut self, channel: u32) {
        if let Some(session) = &mut self.session {
            session.close(channel);
        }
        self.drop_work(channel);
    }

    pub fn drop_work(&mut self, channel: u32) {
        match self.works.remove(&channel) {
            Some(Work::Attach(serial)) => self.detach(channel, serial),
            Some(Work::Stdin(serial)) => self.drop_inputs(channel, serial),
            Some(Work::Errand { pid, .. }) => {
                let _ = sys::process::kill(pid, c::SIGKILL);
            }
            Some(Work::Write(writing)) => writing.abandon(),
            Some(Work::Watch(watching)) => self.poller.remove(watching.fd()),
            Some(Work::Dial(dialing)) => self.poller.remove(dialing.fd()),
            Some(Work::Read(_)) | Some(Work::List(_)) | None => {}
        }
    }

    /// Ends the session and drops all that belongs to it, as if the host had closed every channel.
    pub fn end_session(&mut self) {
        let channels: Vec<u32> = self.works.keys().copied().collect();
        for channel in channels {
            self.drop_work(channel);
        }
        self.session = None;
        self.quiesced = false;
    }

    /// Writes what waits, and lets every channel with something to send have its turn.
    fn pump(&mut self) {
        let mut sent = 0;
        loop {
            match &self.session {
                None => return,
                Some(session) if session.overfull() => return self.lose_wire(),
                Some(_) => {}
            }
            if !self.flush() || sent >= TURN {
                return;
            }
            let channel = match self.session().next_ready() {
                Some(channel) => channel,
                None => return,
            };
            sent += match self.works.get(&channel) {
                Some(Work::Attach(serial)) => {
                    let serial = *serial;
                    self.send_output(channel, serial)
                }
                Some(Work::Read(_)) => self.send_file(channel),
                Some(Work::List(_)) => self.send_listing(channel),
                Some(Work::Dial(_)) => self.send_dialed(channel),
                Some(Work::Watch(_)) => self.step_watch(channel),
                _ => 0,
            };
        }
    }

    /// Something of the channel's may be sent again.
    pub fn mark_ready(&mut self, channel: u32) {
        if let Some(session) = &mut self.session {
            session.mark_ready(channel);
        }
    }

    fn credited(&mut self, channel: u32) {
        if let Some(Work::Dial(_)) = self.works.get(&channel) {
            return self.dial_credited(channel);
        }
        self.mark_ready(channel);
    }
}
