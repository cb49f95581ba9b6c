//! Deadlines on a clock that stands still while the machine is frozen.

use std::collections::BTreeSet;
use std::time::Instant;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The process's time is over.
    Timeout(u64),
    /// The grace after TERM is over.
    Kill(u64),
    /// The output of an ended process has had its time.
    Tell(u64),
    /// Inputs of an ended process have had their time to end.
    Unread(u64),
    /// An ended process is remembered no longer.
    Forget(u64),
    /// A connection has said no HELLO.
    Newcomer(u64),
    /// Bytes that looked like the start of a preamble have stood alone long enough.
    Held,
    /// There may be descriptors for connections again.
    Listen,
    /// A serial port without a reader at its other end may have one now.
    Reopen,
    /// A rename whose second half has not come is a removal.
    Unpaired(u64),
    /// The grace of a shutdown is over.
    Shutdown,
}

impl Due {
    fn is_patient(self) -> bool {
        matches!(self, Due::Forget(_))
    }
}

/// A longer silence than this between two looks at the clock is taken as frozen time, in milliseconds.
const SLACK: u64 = 500;
/// With deadlines pending the clock is looked at this often, so that a freeze never costs them more.
const LOOK: u64 = 1000;

pub struct Timers {
    due: BTreeSet<(u64, Due)>,
    /// How many of them need not be exact.
    patient: usize,
    seen: Instant,
    now: u64,
}

impl Timers {
    pub fn new() -> Timers {
        Timers { due: BTreeSet::new(), patient: 0, seen: Instant::now(), now: 0 }
    }

    /// Milliseconds of unfrozen time.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// A deadline from now on; the handle takes it back.
    pub fn set(&mut self, after: u64, due: Due) -> (u64, Due) {
        let handle = (self.now.saturating_add(after), due);
        if self.due.insert(handle) && due.is_patient() {
            self.patient += 1;
        }
        handle
    }

    pub fn cancel(&mut self, handle: (u64, Due)) {
        if self.due.remove(&handle) && handle.1.is_patient() {
            self.patient -= 1;
        }
    }

    /// How long to wait at most, in milliseconds; -1 without end.
    pub fn wait(&self) -> i32 {
        match self.due.iter().next() {
            None => -1,
            // An idle machine is not woken for them more often than it must.
            Some((at, _)) if self.patient == self.due.len() => at.saturating_sub(self.now).min(i32::MAX as u64) as i32,
            Some((at, _)) => at.saturating_sub(self.now).min(LOOK) as i32,
        }
    }

    /// Moves the clock on after a wait of at most `waited` milliseconds (-1: without end).
    pub fn advance(&mut self, waited: i32) {
        let elapsed = self.seen.elapsed().as_millis() as u64;
        if elapsed == 0 {
            return;
        }
        self.seen = Instant::now();
        let expected = if waited < 0 { elapsed } else { waited as u64 };
        self.now += if elapsed > expected + SLACK { expected } else { elapsed };
    }

    /// The next deadline that has passed.
    pub fn next(&mut self) -> Option<Due> {
        let first = *self.due.iter().next()?;
        if first.0 > self.now {
            return None;
        }
        self.cancel(first);
        Some(first.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn gives_deadlines_in_order_and_takes_them_back() {
        let mut timers = Timers::new();
        assert_eq!(timers.wait(), -1);
        timers.set(30, Due::Tell(1));
        let early = timers.set(10, Due::Tell(2));
        timers.set(20, Due::Kill(3));
        assert_eq!(timers.wait(), 10);
        timers.cancel(early);
        timers.now = 25;
        assert_eq!(timers.next(), Some(Due::Kill(3)));
        assert_eq!(timers.next(), None);
        assert_eq!(timers.wait(), 5);
    }

    #[test]
    fn is_not_woken_for_what_can_wait() {
        let mut timers = Timers::new();
        timers.set(600_000, Due::Forget(1));
        assert_eq!(timers.wait(), 600_000);
        let exact = timers.set(5000, Due::Timeout(2));
        assert_eq!(timers.wait(), LOOK as i32);
        timers.cancel(exact);
        timers.cancel(exact);
        assert_eq!(timers.wait(), 600_000);
        timers.now = 600_000;
        assert_eq!(timers.next(), Some(Due::Forget(1)));
        assert_eq!(timers.wait(), -1);
    }

    #[test]
    fn leaves_out_the_time_that_it_was_frozen() {
        let mut timers = Timers::new();
        timers.seen = Instant::now() - Duration::from_secs(3600);
        timers.advance(1000);
        assert_eq!(timers.now(), 1000);
        timers.seen = Instant::now() - Duration::from_millis(1200);
        timers.advance(1000);
        assert!((2190..2300).contains(&timers.now()), "{}", timers.now());
    }
}
