//! One host process as this launcher knows it.

use std::os::unix::io::OwnedFd;
use std::time::Instant;

use super::held::Held;
use super::procs;
use super::record::{Record, State};
use super::start::Starting;
use crate::fields::Writer;

pub struct Entry {
    pub record: Record,
    /// A child of this launcher that has not been reaped: its pid cannot be used again.
    pub own: bool,
    /// Of a process that another launcher started: readable when it has ended.
    pub handle: Option<OwnedFd>,
    pub starting: Option<Starting>,
    pub held: Option<Held>,
    /// Keeps the pipes of a process open until its caller has opened them: what it writes first would be lost otherwise.
    pub pipes: Vec<OwnedFd>,
    /// When to look again for an exit that another launcher is about to write.
    pub look_again: Option<Instant>,
    /// It has a user namespace of its own: the number of that, 0 until it is known. What has left its session and lost its
    /// parents is found by it.
    pub home: Option<u64>,
    /// When it was known to have ended, or became known at all: what is older tells nothing of what it left.
    pub known: Instant,
}

impl Entry {
    pub fn new(record: Record) -> Entry {
        Entry {
            record,
            own: false,
            handle: None,
            starting: None,
            held: None,
            pipes: Vec::new(),
            look_again: None,
            home: None,
            known: Instant::now(),
        }
    }

    /// Looks for its own user namespace, which it enters on its way to exec.
    pub fn settle_home(&mut self, launcher: i32) {
        if self.home == Some(0) && self.own {
            let found = procs::user_namespace(self.record.leader.pid);
            self.home = found.filter(|_| found != procs::user_namespace(launcher)).or(self.home);
        }
    }

    /// True for a process that is at home where this one is, or further in.
    pub fn is_home_of(&self, pid: i32) -> bool {
        self.home.map_or(false, |home| home != 0 && procs::is_within(pid, home))
    }

    pub fn lives(&self) -> bool {
        self.record.state != State::Preparing && self.record.exit.is_none()
    }

    /// Fields of an entry on the wire.
    pub fn describe(&self) -> Writer {
        let record = &self.record;
        let state = match (record.state, record.exit) {
            (State::Preparing, _) => 1,
            (_, None) => 2,
            (_, Some(_)) => 3,
        };
        let mut fields = Writer::new()
            .text(1, &record.id)
            .number(2, state)
            .number(3, record.leader.pid as u64)
            .number(4, record.leader.start)
            .text(5, &record.note);
        for problem in &record.problems {
            fields.put(6, problem.as_bytes());
        }
        match record.exit {
            Some(exit) if state == 3 => fields.number(7, exit.wire().0).number(8, exit.wire().1),
            _ => fields,
        }
    }
}
