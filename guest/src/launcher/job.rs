//! A destroy under way.

use std::collections::HashSet;
use std::os::unix::io::OwnedFd;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::host::Client;
use super::procs;
use super::record::ProcessKey;
use super::signals;

/// Time for stopping before killing: a tree that does not stand still by then is killed while it runs.
const STOPPING: Duration = Duration::from_millis(500);
pub const FIRST_DELAY: Duration = Duration::from_millis(1);
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Who is told when it is done.
pub enum Waiter {
    Destroyed(Client),
    /// A start that failed: it is answered with its own fault.
    Failed(Client, Fault),
}

pub enum Phase {
    Kill,
    Cgroups,
    Paths,
    /// A helper removes what is too large to be removed here.
    Helper,
}

pub struct Job {
    pub phase: Phase,
    pub waiters: Vec<Waiter>,
    /// Handles of killed processes that have not ended yet.
    pub waiting: Vec<OwnedFd>,
    pub next: Instant,
    pub deadline: Instant,
    pub delay: Duration,
    pub stopped: HashSet<ProcessKey>,
    pub killed: HashSet<ProcessKey>,
    pub stopping_until: Instant,
    /// Everything known was standing still before the last look.
    pub settled: bool,
    /// The last look has found nothing.
    pub nothing: bool,
    /// The last time: only a later look tells what that has led to.
    pub signalled: Option<Instant>,
}

impl Job {
    pub fn new(now: Instant) -> Job {
        Job {
            phase: Phase::Kill,
            waiters: Vec::new(),
            waiting: Vec::new(),
            next: now,
            deadline: now + DEADLINE,
            delay: FIRST_DELAY,
            stopped: HashSet::new(),
            killed: HashSet::new(),
            stopping_until: now + STOPPING,
            settled: false,
            nothing: false,
            signalled: None,
        }
    }

    /// None when everything stands still and a look after that has found nothing more.
    pub fn stop(&mut self, targets: &HashSet<ProcessKey>, own: bool) -> Option<Step> {
        const SIGSTOP: i32 = 19;
        let mut grown = false;
        for key in targets {
            if self.stopped.insert(*key) {
                grown |= signals::send_exactly(*key, SIGSTOP).is_some();
            }
        }
        // A look at one's own is cheap; one at all processes of the host is shared by all who wait for it.
        let again = if own { Step::Again } else { Step::Wait(FIRST_DELAY) };
        if grown {
            self.settled = false;
            self.signalled = Some(Instant::now());
            return Some(again);
        }
        if !targets.iter().all(|key| procs::still(*key)) {
            self.settled = false;
            self.signalled = Some(Instant::now());
            return Some(Step::Wait(FIRST_DELAY));
        }
        if !self.settled {
            self.settled = true;
            self.signalled = Some(Instant::now());
            return Some(again);
        }
        None
    }
}

/// What comes next.
pub enum Step {
    Again,
    Wait(Duration),
    Failed(Fault),
    Done,
}
