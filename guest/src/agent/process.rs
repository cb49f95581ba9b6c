//! One started process as the agent remembers it.

use super::ops;
use super::ring::Ring;
use super::timers::Due;
use crate::fields::Writer;
use crate::frames::stream;
use crate::sys::c;
use std::collections::VecDeque;
use std::os::unix::io::OwnedFd;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Exited(i32),
    Signaled(i32),
    OutOfMemory,
}

impl Exit {
    /// Kind and value as entries and events carry them.
    pub fn numbers(self) -> (u64, u64) {
        match self {
            Exit::Exited(code) => (ops::EXITED, code as u64),
            Exit::Signaled(signal) => (ops::SIGNALED, signal as u64),
            Exit::OutOfMemory => (ops::OUT_OF_MEMORY, c::SIGKILL as u64),
        }
    }
}

/// Where output comes from.
pub struct Output {
    pub fd: OwnedFd,
    pub stream: u8,
    /// The poller looks at it.
    pub armed: bool,
    /// Bytes that were in it when the process was reaped and have not been read since.
    pub left: usize,
    pub widened: bool,
}

impl Output {
    pub fn new(fd: OwnedFd, stream: u8) -> Output {
        Output { fd, stream, armed: true, left: 0, widened: false }
    }
}

/// A channel that follows the output.
pub struct Reader {
    pub channel: u32,
    pub cursor: u64,
    /// The offset of its first bytes has been told.
    pub positioned: bool,
    /// Where the exit is told; known once the process has ended.
    pub until: Option<u64>,
}

/// Input that waits to be written.
pub struct Input {
    pub channel: u32,
    pub bytes: Vec<u8>,
    pub at: usize,
    /// The channel's input ends here.
    pub last: bool,
    /// And the process's with it.
    pub close: bool,
}

/// Bytes of arguments in one entry.
pub const MAX_SHOWN: usize = 16 * 1024;

pub struct Process {
    pub serial: u64,
    pub id: Vec<u8>,
    pub pid: c::Pid,
    pub argv: Vec<Vec<u8>>,
    pub cwd: Vec<u8>,
    pub user: String,
    pub terminal: bool,
    pub started_ms: u64,
    pub ring: Ring,
    pub outputs: [Option<Output>; 2],
    pub readers: Vec<Reader>,
    pub stdin: Option<OwnedFd>,
    pub stdin_armed: bool,
    pub inputs: VecDeque<Input>,
    pub exit: Option<Exit>,
    /// When it ended nobody was left in its process group.
    pub group_gone: bool,
    pub timed_out: bool,
    /// The agent has sent KILL itself.
    pub killed: bool,
    /// The exit has been told to the readers.
    pub told: bool,
    /// No longer listed; only its output is still drained.
    pub forgotten: bool,
    pub grace: u64,
    /// The agent's clock when it was reaped.
    pub reaped_at: u64,
    /// What is due next: its timeout, then the telling of its exit, then its being forgotten.
    pub timeout: Option<(u64, Due)>,
}

impl Process {
    /// The offset from which nothing may be overwritten.
    pub fn keep(&self) -> u64 {
        self.readers.iter().map(|reader| reader.cursor).min().unwrap_or_else(|| self.ring.end())
    }

    pub fn output_ended(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// Everything that was written before the end has been read.
    pub fn drained(&self) -> bool {
        self.outputs.iter().flatten().all(|output| output.left == 0)
    }

    /// Arguments behind the first `limit` bytes are left out.
    pub fn entry(&self, limit: usize) -> Writer {
        let mut entry = Writer::new().bytes(1, &self.id).number(2, self.pid as u64);
        let mut left = limit;
        for argument in &self.argv {
            let shown = &argument[..argument.len().min(left)];
            entry.put(3, shown);
            left = left.saturating_sub(argument.len() + 5);
            if left == 0 {
                break;
            }
        }
        entry = entry
            .bytes(4, &self.cwd)
            .text(5, &self.user)
            .truth(6, self.terminal)
            .number(7, self.started_ms)
            .number(8, self.ring.start())
            .number(9, self.ring.end());
        if let (Some(exit), true) = (self.exit, self.told) {
            let (kind, value) = exit.numbers();
            entry = entry.number(10, kind).number(11, value);
        }
        entry.truth(12, self.timed_out)
    }

    pub fn exit_event(&self) -> Writer {
        let (kind, value) = self.exit.map_or((0, 0), Exit::numbers);
        let event = Writer::new().number(1, ops::EVENT_EXIT).number(4, kind).number(5, value);
        event.truth(6, self.timed_out)
    }

    pub fn stream_of(terminal: bool, which: usize) -> u8 {
        match (terminal, which) {
            (true, _) => stream::TERMINAL,
            (false, 0) => stream::STDOUT,
            (false, _) => stream::STDERR,
        }
    }
}
