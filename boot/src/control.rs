//! What the host says to a running machine beside the agent: one line each way.

use crate::config::{self, Door};
use crate::failure::{Result, Tried};
use crate::identity::{self, Identity};
use crate::sys::poll::{self, Poller};
use crate::sys::{self, c, entropy, process, socket};
use crate::{hex, ports};
use std::os::unix::io::{AsRawFd, OwnedFd};

/// Bytes of a line.
pub const MOST: usize = 512;
/// Bytes of answers that may wait for the host.
const MOST_WAITING: usize = 4096;
const READY: &[u8] = b"ready\n";

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Stop,
    Identity(Identity),
}

/// None: it is not understood.
pub fn parse(line: &str) -> Option<Command> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["stop"] => Some(Command::Stop),
        ["identity", mac, clock, seed] => {
            let mac = match mac {
                "-" => None,
                mac => Some(config::mac(mac)?),
            };
            let seed = <[u8; entropy::SEED]>::try_from(hex::bytes(seed)?).ok()?;
            // What the kernel can count in nanoseconds.
            let clock = config::number(clock).filter(|clock| *clock <= i64::MAX as u64 / 1_000_000)?;
            Some(Command::Identity(Identity { mac, clock, seed }))
        }
        _ => None,
    }
}

/// Cuts what arrives into lines.
#[derive(Default)]
pub struct Lines {
    begun: Vec<u8>,
    /// The line is longer than any: it is skipped to its end.
    skipping: bool,
}

impl Lines {
    /// Whole lines, none of them empty; a line that is too long comes as nothing that is understood.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.begun);
                if !line.is_empty() || self.skipping {
                    lines.push(line);
                }
                self.skipping = false;
            } else if self.begun.len() < MOST && !self.skipping {
                self.begun.push(*byte);
            } else {
                self.begun.clear();
                self.skipping = true;
            }
        }
        lines
    }
}

pub struct Control {
    /// Where connections are awaited; a port is open at once.
    listener: Option<OwnedFd>,
    stream: Option<OwnedFd>,
    lines: Lines,
    waiting: Vec<u8>,
    /// The agent runs, and no host has heard of it yet.
    ready: bool,
}

impl Control {
    pub fn open(door: Door) -> Result<Control> {
        let (listener, stream) = match door {
            Door::Port => (None, Some(ports::open(ports::CONTROL)?)),
            Door::Vsock(port) => (Some(socket::listen_at(port).tried("listen for the host")?), None),
        };
        Ok(Control { listener, stream, lines: Lines::default(), waiting: Vec::new(), ready: false })
    }

    pub fn watch(&self, poller: &Poller, stream_token: u64, listener_token: u64) -> Result<()> {
        if let Some(listener) = &self.listener {
            poller.add(listener.as_raw_fd(), listener_token, poll::READ).tried("wait for the host")?;
        }
        if let Some(stream) = &self.stream {
            poller
                .add(stream.as_raw_fd(), stream_token, poll::READ | poll::WRITE | poll::CHANGES)
                .tried("wait for the host")?;
        }
        Ok(())
    }

    /// The newest connection is the one that counts.
    pub fn accept(&mut self, poller: &Poller, token: u64) {
        let listener = match &self.listener {
            Some(listener) => listener.as_raw_fd(),
            None => return,
        };
        while let Ok(stream) = socket::accept(listener) {
            if poller.add(stream.as_raw_fd(), token, poll::READ | poll::WRITE | poll::CHANGES).is_ok() {
                self.forget();
                self.stream = Some(stream);
                self.say_ready();
            }
        }
    }

    /// The agent runs. On a port this waits until the host listens.
    pub fn say_ready(&mut self) {
        self.ready = true;
        self.flush();
    }

    /// Does what has been asked for by now.
    pub fn serve(&mut self, agent: c::Pid) {
        let mut buffer = [0; 1024];
        while let Some(stream) = &self.stream {
            match sys::read(stream.as_raw_fd(), &mut buffer) {
                Ok(0) => {
                    self.forget();
                    break;
                }
                Err(_) => break,
                Ok(count) => {
                    for line in self.lines.take(&buffer[..count]) {
                        let answer = carry_out(&line, agent);
                        self.answer(&answer);
                    }
                }
            }
        }
        self.flush();
    }

    /// The host has gone, and what was begun with it. A port stays for the next one.
    fn forget(&mut self) {
        self.lines = Lines::default();
        self.waiting.clear();
        if self.listener.is_some() {
            self.stream = None;
        }
    }

    fn answer(&mut self, line: &str) {
        if self.waiting.len() + line.len() < MOST_WAITING {
            self.waiting.extend_from_slice(line.as_bytes());
            self.waiting.push(b'\n');
        }
    }

    fn flush(&mut self) {
        let stream = match &self.stream {
            Some(stream) => stream.as_raw_fd(),
            None => return,
        };
        if self.ready && sys::write(stream, READY).is_ok() {
            self.ready = false;
        }
        while !self.waiting.is_empty() {
            match sys::write(stream, &self.waiting) {
                Ok(count) if count > 0 => drop(self.waiting.drain(..count)),
                _ => return,
            }
        }
    }
}

fn carry_out(line: &[u8], agent: c::Pid) -> String {
    let done = match std::str::from_utf8(line).ok().and_then(parse) {
        None => return String::from("error the line is not understood"),
        Some(Command::Stop) => process::send(agent, c::SIGTERM).tried("stop the agent"),
        Some(Command::Identity(identity)) => identity::take(&identity),
    };
    match done {
        Ok(()) => String::from("ok"),
        Err(failure) => format!("error {}", failure.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_the_host_says() {
        let seed = "ab".repeat(32);
        let expected = |mac| Some(Command::Identity(Identity { mac, clock: 1_700_000_000_123, seed: [0xab; 32] }));
        assert_eq!(parse("stop"), Some(Command::Stop));
        assert_eq!(parse(&format!("identity - 1700000000123 {seed}")), expected(None));
        let mac = Some([2, 0, 0, 0, 0, 0x0a]);
        assert_eq!(parse(&format!("identity 02:00:00:00:00:0a 1700000000123 {seed}")), expected(mac));
    }

    #[test]
    fn refuses_everything_else() {
        let seed = "ab".repeat(32);
        for line in [
            "",
            "stop now",
            "STOP",
            "identity",
            &format!("identity - -1 {seed}"),
            &format!("identity - 18446744073709551615 {seed}"),
            &format!("identity 01:00:00:00:00:0a 1 {seed}"),
            &format!("identity - 1 {}", "ab".repeat(31)),
            &format!("identity - 1 {}", "zz".repeat(32)),
            &format!("identity - 1 {seed} "),
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn cuts_lines_wherever_they_are_torn() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"\n\nsto"), Vec::<Vec<u8>>::new());
        assert_eq!(lines.take(b"p\nidentity"), [b"stop".to_vec()]);
        assert_eq!(lines.take(b"\n\n"), [b"identity".to_vec()]);
    }

    #[test]
    fn keeps_no_more_than_a_line() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            assert!(lines.take(&[b'x'; 1000]).is_empty());
            assert!(lines.begun.capacity() <= 2 * MOST);
        }
        assert_eq!(lines.take(b"\nstop\n"), [Vec::new(), b"stop".to_vec()]);
    }
}
