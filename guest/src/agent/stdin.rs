//! Input of processes.

use super::core::{token, Agent, Kind, Work};
use super::fault::{Answer, Fault};
use super::process::Input;
use super::timers::Due;
use crate::fields::{Fields, Writer};
use crate::sys::poll::WRITE;
use crate::sys::{self, c, Errno};
use std::collections::VecDeque;
use std::os::unix::io::AsRawFd;

/// What a terminal takes as the end of its input.
const END_OF_TEXT: u8 = 4;
/// How long the end of an input may come after the end of its process, in milliseconds.
const LINGER: u64 = 250;

impl Agent {
    pub fn open_stdin(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let serial = self.process_named(fields)?;
        let close = fields.truth(3)?;
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) if process.exit.is_none() && process.stdin.is_some() => process,
            _ => return Err(Fault::new("wrong-state", "the process takes no input, or has ended")),
        };
        process.inputs.push_back(Input { channel, bytes: Vec::new(), at: 0, last: false, close });
        self.works.insert(channel, Work::Stdin(serial));
        self.session().opened(channel, Writer::new());
        Ok(())
    }

    pub fn stdin_data(&mut self, channel: u32, serial: u64, bytes: &[u8]) {
        if let Some(process) = self.processes.all.get_mut(&serial) {
            if let Some(input) = process.inputs.iter_mut().find(|input| input.channel == channel && !input.last) {
                if input.at == input.bytes.len() {
                    input.bytes.clear();
                    input.at = 0;
                }
                input.bytes.extend_from_slice(bytes);
            }
        }
        self.write_stdin(serial);
    }

    pub fn stdin_end(&mut self, channel: u32, serial: u64) {
        if let Some(process) = self.processes.all.get_mut(&serial) {
            let terminal = process.terminal && process.stdin.is_some();
            if let Some(input) = process.inputs.iter_mut().find(|input| input.channel == channel && !input.last) {
                input.last = true;
                if input.close && terminal {
                    input.bytes.push(END_OF_TEXT);
                    input.close = false;
                }
            }
        }
        self.write_stdin(serial);
    }

    /// Writes what the process takes. A channel that says nothing does not hold back the others.
    pub fn write_stdin(&mut self, serial: u64) {
        loop {
            let process = match self.processes.all.get_mut(&serial) {
                Some(process) => process,
                None => return,
            };
            let fd = match &process.stdin {
                Some(stdin) => stdin.as_raw_fd(),
                None => return self.refuse_inputs(serial),
            };
            let next = process.inputs.iter().position(|input| input.at < input.bytes.len() || input.last);
            let input = match next.and_then(|index| process.inputs.get_mut(index)) {
                Some(input) if input.at < input.bytes.len() => input,
                Some(input) => {
                    let (channel, close) = (input.channel, input.close);
                    process.inputs.retain(|input| input.channel != channel);
                    if close {
                        self.close_stdin(serial);
                    }
                    self.works.remove(&channel);
                    self.finish(channel);
                    continue;
                }
                _ => {
                    if process.stdin_armed {
                        process.stdin_armed = false;
                        self.poller.remove(fd);
                    }
                    return;
                }
            };
            match sys::write(fd, &input.bytes[input.at..]) {
                Ok(count) => {
                    input.at += count;
                    let channel = input.channel;
                    // What marks the end of a terminal's input was not sent by the host.
                    let ended = input.last;
                    if let (Some(session), false) = (&mut self.session, ended) {
                        session.grant(channel, count as u32);
                    }
                }
                Err(Errno(c::EAGAIN)) => {
                    if !process.stdin_armed {
                        process.stdin_armed = self.poller.add(fd, token(Kind::Stdin, serial), WRITE).is_ok();
                    }
                    return;
                }
                Err(_) => {
                    self.close_stdin(serial);
                    return self.refuse_inputs(serial);
                }
            }
        }
    }

    fn close_stdin(&mut self, serial: u64) {
        if let Some(process) = self.processes.all.get_mut(&serial) {
            if let Some(stdin) = process.stdin.take() {
                if process.stdin_armed {
                    self.poller.remove(stdin.as_raw_fd());
                }
            }
            process.stdin_armed = false;
        }
    }

    /// Nobody reads them any longer. Whose bytes have all been taken may still say that there are no more.
    pub fn refuse_inputs(&mut self, serial: u64) {
        let inputs = match self.processes.all.get_mut(&serial) {
            Some(process) if process.stdin.is_none() || process.told => std::mem::take(&mut process.inputs),
            _ => return,
        };
        let mut waiting = VecDeque::new();
        for input in inputs {
            let taken = input.at == input.bytes.len();
            if taken && !input.last {
                waiting.push_back(input);
                continue;
            }
            self.works.remove(&input.channel);
            if taken {
                self.finish(input.channel);
            } else {
                self.fail(input.channel, &unread());
            }
        }
        if !waiting.is_empty() {
            self.timers.set(LINGER, Due::Unread(serial));
        }
        if let Some(process) = self.processes.all.get_mut(&serial) {
            process.inputs = waiting;
        }
    }

    /// Who has not said so by now is told that nobody reads.
    pub fn refuse_silent_inputs(&mut self, serial: u64) {
        let inputs = match self.processes.all.get_mut(&serial) {
            Some(process) => std::mem::take(&mut process.inputs),
            None => return,
        };
        for input in inputs {
            self.works.remove(&input.channel);
            self.fail(input.channel, &unread());
        }
    }

    pub fn drop_inputs(&mut self, channel: u32, serial: u64) {
        if let Some(process) = self.processes.all.get_mut(&serial) {
            process.inputs.retain(|input| input.channel != channel);
        }
        self.write_stdin(serial);
    }
}

fn unread() -> Fault {
    Fault::new("wrong-state", "the process has closed its input")
}
