//! Ends of processes: reaping, telling, timeouts, forgetting.

use super::core::{Agent, Work};
use super::fault::{Answer, Fault};
use super::process::Exit;
use super::timers::Due;
use crate::fields::{Fields, Writer};
use crate::sys::process::{kill_group, next_signals, reap, Status};
use crate::sys::{c, pty};
use std::os::unix::io::AsRawFd;

/// How long the output of an ended process may still come from others, in milliseconds.
const LINGER: u64 = 250;
/// How long an ended process is remembered, in milliseconds, and how many are.
const REMEMBER: u64 = 600_000;
const MAX_ENDED: usize = 256;
/// Bytes of arguments in all entries of one answer.
const ENTRIES: usize = 2 * 1024 * 1024;

impl Agent {
    pub fn take_signals(&mut self) {
        let mut children = false;
        for signal in next_signals(self.signals.as_raw_fd()) {
            if signal == c::SIGCHLD {
                children = true;
            } else {
                self.shut_down(2000);
            }
        }
        if children {
            self.reap_all();
        }
    }

    pub fn reap_all(&mut self) {
        loop {
            match reap() {
                Ok(Some((pid, status))) => {
                    if let Some(serial) = self.processes.by_pid.remove(&pid) {
                        self.process_ended(serial, status);
                    } else {
                        self.errand_ended(pid, status);
                    }
                }
                Ok(None) => return,
                // Nobody is left.
                Err(_) => {
                    if self.ending {
                        self.status = Some(0);
                    }
                    return;
                }
            }
        }
    }

    fn process_ended(&mut self, serial: u64, status: Status) {
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) => process,
            None => return,
        };
        let exit = match status {
            Status::Exited(code) => Exit::Exited(code),
            Status::Signaled(c::SIGKILL) if !process.killed && self.oom.killed() => Exit::OutOfMemory,
            Status::Signaled(signal) => Exit::Signaled(signal),
        };
        process.exit = Some(exit);
        // Once nobody is left in the group its number may come to mean another.
        process.group_gone = kill_group(process.pid, 0).is_err();
        process.reaped_at = self.timers.now();
        for output in process.outputs.iter_mut().flatten() {
            output.left = pty::waiting(output.fd.as_raw_fd());
        }
        if let Some(timeout) = process.timeout.take() {
            self.timers.cancel(timeout);
        }
        if process.output_ended() {
            self.tell(serial);
        } else {
            process.timeout = Some(self.timers.set(LINGER, Due::Tell(serial)));
        }
    }

    /// Tells the exit when the output is over, or when what the process wrote has been read and its time is over.
    pub fn tell_if_due(&mut self, serial: u64) {
        let process = match self.processes.all.get(&serial) {
            Some(process) if process.exit.is_some() && !process.told => process,
            _ => return,
        };
        let lingered = self.timers.now() >= process.reaped_at + LINGER && process.drained();
        if process.output_ended() || lingered {
            self.tell(serial);
        }
    }

    fn tell(&mut self, serial: u64) {
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) => process,
            None => return,
        };
        process.told = true;
        if let Some(timer) = process.timeout.take() {
            self.timers.cancel(timer);
        }
        if !process.terminal || process.output_ended() {
            process.stdin = None;
        }
        let end = process.ring.end();
        for reader in &mut process.readers {
            reader.until = Some(end);
            if let Some(session) = &mut self.session {
                session.mark_ready(reader.channel);
            }
        }
        self.refuse_inputs(serial);
        let timer = self.timers.set(REMEMBER, Due::Forget(serial));
        if let Some(process) = self.processes.all.get_mut(&serial) {
            process.timeout = Some(timer);
        }
        self.processes.ended.push_back(serial);
        while self.processes.ended.len() > MAX_ENDED {
            let oldest = self.processes.ended[0];
            self.forget(oldest);
        }
    }

    /// Takes an ended process off the list. Its pipes are drained as long as something writes to them.
    pub fn forget(&mut self, serial: u64) {
        self.processes.ended.retain(|ended| *ended != serial);
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) if process.told && !process.forgotten => process,
            _ => return,
        };
        process.forgotten = true;
        if let Some(timer) = process.timeout.take() {
            self.timers.cancel(timer);
        }
        self.processes.by_id.remove(&process.id);
        self.refuse_silent_inputs(serial);
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) => process,
            None => return,
        };
        let channels: Vec<u32> = process.readers.iter().map(|reader| reader.channel).collect();
        self.processes.ring_bytes -= process.ring.capacity();
        process.ring.clear();
        for channel in channels {
            self.finish(channel);
        }
        self.rearm(serial);
        self.bury_if_done(serial);
    }

    /// Frees a forgotten process whose output has ended.
    pub fn bury_if_done(&mut self, serial: u64) {
        if matches!(self.processes.all.get(&serial), Some(process) if process.forgotten && process.output_ended()) {
            self.processes.all.remove(&serial);
        }
    }

    pub fn time_out(&mut self, serial: u64) {
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) if process.exit.is_none() => process,
            _ => return,
        };
        process.timed_out = true;
        let _ = kill_group(process.pid, c::SIGTERM);
        let _ = kill_group(process.pid, c::SIGCONT);
        let grace = process.grace;
        self.timers.set(grace, Due::Kill(serial));
    }

    /// Also when the leader is gone: others of its group may have ignored TERM.
    pub fn kill_group_of(&mut self, serial: u64) {
        if let Some(process) = self.processes.all.get_mut(&serial) {
            process.killed = true;
            if !process.group_gone {
                let _ = kill_group(process.pid, c::SIGKILL);
            }
        }
    }

    pub fn signal(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let serial = self.process_named(fields)?;
        let number = fields.number(3)?.unwrap_or(0);
        if !(1..=64).contains(&number) {
            return Err(Fault::invalid("a signal is a number from 1 to 64"));
        }
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) if process.exit.is_none() => process,
            _ => return Err(Fault::new("wrong-state", "the process has ended")),
        };
        kill_group(process.pid, number as i32)?;
        if number as i32 == c::SIGKILL {
            process.killed = true;
        }
        self.session().opened(channel, Writer::new());
        self.finish(channel);
        Ok(())
    }

    pub fn resize(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let serial = self.process_named(fields)?;
        let size = (fields.number(3)?.unwrap_or(0), fields.number(4)?.unwrap_or(0));
        let size = (size.0.min(65_535) as u16, size.1.min(65_535) as u16);
        match self
            .processes
            .all
            .get(&serial)
            .and_then(|process| process.outputs[0].as_ref().filter(|_| process.terminal))
        {
            Some(master) => pty::resize(master.fd.as_raw_fd(), size.0, size.1)?,
            None => return Err(Fault::new("wrong-state", "the process has no terminal, or has ended")),
        }
        self.session().opened(channel, Writer::new());
        self.finish(channel);
        Ok(())
    }

    /// One entry per process, oldest first.
    pub fn list_processes(&mut self, channel: u32) {
        let mut known: Vec<_> = self.processes.all.values().filter(|process| !process.forgotten).collect();
        known.sort_by_key(|process| process.serial);
        let share = ENTRIES / known.len().max(1);
        let entries: Vec<Writer> = known.into_iter().map(|process| process.entry(share)).collect();
        let session = self.session();
        session.opened(channel, Writer::new());
        for entry in entries {
            session.event(channel, entry);
        }
        self.finish(channel);
    }

    fn errand_ended(&mut self, pid: c::Pid, status: Status) {
        let found = self.works.iter().find_map(|(channel, work)| match work {
            Work::Errand { pid: busy, path } if *busy == pid => Some((*channel, path.clone())),
            _ => None,
        });
        let (channel, path) = match found {
            Some(found) => found,
            None => return,
        };
        self.works.remove(&channel);
        match status {
            Status::Exited(0) => {
                self.session().opened(channel, Writer::new());
                self.finish(channel);
            }
            Status::Exited(errno) => self.fail(channel, &Fault::at(&path, crate::sys::Errno(errno))),
            Status::Signaled(signal) => {
                self.fail(channel, &Fault::new("io-error", format!("the work was ended by signal {}", signal)));
            }
        }
    }
}
