//! slirp4netns, which carries what the rules let through, and is started again when it ends.

use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::options::Options;
use super::programs::{self, to_io};
use super::{Failure, NAMESPACE_FD};
use crate::sys;

const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Who has lived this long has not failed at its start.
const SETTLED: Duration = Duration::from_secs(10);
const READY_FD: RawFd = 3;
const EXIT_FD: RawFd = 4;

pub struct Helper {
    state: State,
    /// It has been ready once: what it needs is there.
    proven: bool,
    wait: Duration,
}

enum State {
    Running {
        pid: i32,
        since: Instant,
        /// Until it is ready.
        ready: Option<OwnedFd>,
        /// It ends when this is closed.
        _exit: OwnedFd,
    },
    Ended {
        again: Instant,
    },
}

impl Helper {
    pub fn start(options: &Options, inet6: bool) -> Result<Helper, Failure> {
        Ok(Helper { state: launch(options, inet6)?, proven: false, wait: FIRST_WAIT })
    }

    /// Readable when it is ready, or has given up; -1 when there is nothing to wait for.
    pub fn descriptor(&self) -> RawFd {
        match &self.state {
            State::Running { ready: Some(ready), .. } => ready.as_raw_fd(),
            _ => -1,
        }
    }

    /// True when it says so.
    pub fn take_ready(&mut self) -> bool {
        let ready = match &mut self.state {
            State::Running { ready, .. } => ready.take(),
            State::Ended { .. } => None,
        };
        let said = ready.map_or(false, |ready| sys::read(ready.as_raw_fd(), &mut [0]) == Ok(1));
        self.proven |= said;
        said
    }

    /// A child has ended. One that was never ready is not tried again.
    pub fn ended(&mut self, ended: i32) -> Result<(), Failure> {
        if let State::Running { pid, since, .. } = self.state {
            if pid == ended {
                if !self.proven {
                    let error = io::Error::new(io::ErrorKind::Other, "slirp4netns has ended");
                    return Err(("connect the namespace", error));
                }
                self.wait = if since.elapsed() > SETTLED { FIRST_WAIT } else { (self.wait * 2).min(LONGEST_WAIT) };
                self.state = State::Ended { again: Instant::now() + self.wait };
            }
        }
        Ok(())
    }

    /// Milliseconds until there is something to do; negative: nothing.
    pub fn timeout(&self, now: Instant) -> i32 {
        match self.state {
            State::Running { .. } => -1,
            State::Ended { again } => again.saturating_duration_since(now).as_millis() as i32 + 1,
        }
    }

    /// Starts it again when it is time.
    pub fn again(&mut self, options: &Options, inet6: bool) -> Result<(), Failure> {
        match self.state {
            State::Ended { again } if Instant::now() >= again => {
                self.state = launch(options, inet6)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn launch(options: &Options, inet6: bool) -> Result<State, Failure> {
    let namespace = format!("/proc/{}/fd/{}", sys::process::pid(), NAMESPACE_FD);
    let mut argv = vec![options.slirp4netns.as_str(), "--configure", "--mtu=65520", "--enable-sandbox"];
    argv.extend(["--cidr=198.19.255.0/24", "--enable-seccomp", "--ready-fd=3", "--exit-fd=4", "--netns-type=path"]);
    if !options.host_loopback {
        argv.push("--disable-host-loopback");
    }
    if inet6 {
        argv.push("--enable-ipv6");
    }
    argv.extend([namespace.as_str(), "tap0"]);
    let started = (|| {
        let ((ready, tell), (wait, exit)) = (sys::pipe(0).map_err(to_io)?, sys::pipe(0).map_err(to_io)?);
        let placed = [(tell.as_raw_fd(), READY_FD), (wait.as_raw_fd(), EXIT_FD)];
        let pid = programs::start(&argv, None, &placed)?;
        Ok(State::Running { pid, since: Instant::now(), ready: Some(ready), _exit: exit })
    })();
    started.map_err(|error| ("start slirp4netns", error))
}
