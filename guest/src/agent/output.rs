//! Output of processes: from their pipes into the ring, from the ring to whoever follows.

use super::core::{token, Agent, Kind, Work};
use super::fault::{Answer, Fault};
use super::ops;
use super::process::{Reader, MAX_SHOWN};
use super::ring::{LARGE, SMALL};
use crate::fields::{Fields, Writer};
use crate::frames::{Header, MAX_PAYLOAD};
use crate::sys::poll::READ;
use crate::sys::{self, c, Errno};
use std::io::IoSlice;
use std::os::unix::io::AsRawFd;

/// Bytes of all rings together.
const MAX_RINGS: usize = 16 * 1024 * 1024;
/// Frames made at a time.
const BATCH: usize = 16;
/// A terminal gives little at a time, so it is read more than once.
const READS: usize = 8;
const WIDE_PIPE: c::Int = 1 << 20;

impl Agent {
    pub fn attach(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let serial = self.process_named(fields)?;
        let from = fields.number(3)?;
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) => process,
            None => return Err(unknown()),
        };
        let end = process.ring.end();
        let reader = Reader {
            channel,
            cursor: from.map_or(end, |from| from.min(end)),
            positioned: false,
            until: if process.told { Some(end) } else { None },
        };
        process.readers.push(reader);
        let entry = process.entry(MAX_SHOWN);
        self.session().opened(channel, entry);
        self.works.insert(channel, Work::Attach(serial));
        self.mark_ready(channel);
        Ok(())
    }

    pub fn process_named(&self, fields: &Fields<'_>) -> Answer<u64> {
        self.processes.by_id.get(fields.bytes(2).unwrap_or(b"")).copied().ok_or_else(unknown)
    }

    pub fn detach(&mut self, channel: u32, serial: u64) {
        if let Some(process) = self.processes.all.get_mut(&serial) {
            process.readers.retain(|reader| reader.channel != channel);
        }
        self.rearm(serial);
    }

    /// Frees rings of ended processes that nobody follows, the longest ended first, until another large one fits.
    fn make_ring_room(&mut self, serial: u64) {
        let wants = matches!(self.processes.all.get(&serial), Some(process) if process.ring.end() >= SMALL as u64
            && process.ring.capacity() < LARGE);
        if !wants {
            return;
        }
        for ended in &self.processes.ended {
            if self.processes.ring_bytes + LARGE <= MAX_RINGS {
                return;
            }
            if let Some(process) = self.processes.all.get_mut(ended).filter(|process| process.readers.is_empty()) {
                self.processes.ring_bytes -= process.ring.capacity();
                process.ring.clear();
            }
        }
    }

    /// Reads what a process has written.
    pub fn read_output(&mut self, serial: u64, which: usize) {
        if self.processes.ring_bytes + LARGE > MAX_RINGS {
            self.make_ring_room(serial);
        }
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) => process,
            None => return,
        };
        for _ in 0..READS {
            let output = match &mut process.outputs[which] {
                Some(output) if output.armed => output,
                _ => break,
            };
            let fd = output.fd.as_raw_fd();
            if process.forgotten {
                match sys::read(fd, &mut self.scratch) {
                    Ok(count) if count > 0 => continue,
                    Err(Errno(c::EAGAIN)) => break,
                    _ => {
                        self.end_output(serial, which);
                        return;
                    }
                }
            }
            if process.ring.capacity() == 0 {
                // Most commands say little or nothing: the ring is made when there is something to keep.
                match sys::read(fd, &mut self.scratch[..SMALL]) {
                    Ok(count) if count > 0 => {
                        process.ring.resize(SMALL);
                        self.processes.ring_bytes += SMALL;
                        let (first, second) = process.ring.free(count);
                        let (head, tail) = self.scratch[..count].split_at(first.len());
                        first.copy_from_slice(head);
                        second.copy_from_slice(tail);
                        process.ring.commit(count, output.stream);
                        output.left = output.left.saturating_sub(count);
                        if !process.terminal {
                            break;
                        }
                        continue;
                    }
                    Err(Errno(c::EAGAIN)) => break,
                    _ => {
                        self.end_output(serial, which);
                        return;
                    }
                }
            }
            let keep = process.readers.iter().map(|reader| reader.cursor).min().unwrap_or_else(|| process.ring.end());
            let mut room = process.ring.room(keep);
            let more = LARGE.saturating_sub(process.ring.capacity());
            if more > 0 && self.processes.ring_bytes + more <= MAX_RINGS {
                if process.ring.end() >= SMALL as u64 {
                    self.processes.ring_bytes += more;
                    process.ring.resize(LARGE);
                    continue;
                }
                // A ring that can still grow forgets nothing, also when nobody is there to read.
                room = room.min(SMALL - process.ring.end() as usize);
            }
            if room == 0 {
                // The readers are behind: the process waits.
                output.armed = false;
                self.poller.remove(fd);
                break;
            }
            let (first, second) = process.ring.free(room);
            match sys::read_parts(fd, first, second) {
                Ok(count) if count > 0 => {
                    process.ring.commit(count, output.stream);
                    output.left = output.left.saturating_sub(count);
                    if count >= 65_536 && !output.widened {
                        output.widened = true;
                        sys::widen_pipe(fd, WIDE_PIPE);
                    }
                    if !process.terminal || count == room {
                        break;
                    }
                }
                Err(Errno(c::EAGAIN)) => break,
                // A terminal without anybody left on it answers with an error.
                _ => {
                    self.end_output(serial, which);
                    return;
                }
            }
        }
        let channels = process.readers.iter().map(|reader| reader.channel);
        if let Some(session) = &mut self.session {
            channels.for_each(|channel| session.mark_ready(channel));
        }
        if process.exit.is_some() && !process.told {
            self.tell_if_due(serial);
        }
    }

    fn end_output(&mut self, serial: u64, which: usize) {
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) => process,
            None => return,
        };
        if let Some(output) = process.outputs[which].take() {
            if output.armed {
                self.poller.remove(output.fd.as_raw_fd());
            }
        }
        if process.terminal {
            if let (Some(stdin), true) = (&process.stdin, process.stdin_armed) {
                self.poller.remove(stdin.as_raw_fd());
            }
            process.stdin = None;
            process.stdin_armed = false;
            self.refuse_inputs(serial);
        }
        self.tell_if_due(serial);
        self.bury_if_done(serial);
    }

    /// Looks at a process's pipes again once its readers have made room.
    pub fn rearm(&mut self, serial: u64) {
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) => process,
            None => return,
        };
        if process.ring.capacity() > 0 && process.ring.room(process.keep()) == 0 {
            return;
        }
        for which in 0..2 {
            if let Some(output) = &mut process.outputs[which] {
                let which = token(Kind::Output, serial << 1 | which as u64);
                if !output.armed && self.poller.add(output.fd.as_raw_fd(), which, READ).is_ok() {
                    output.armed = true;
                }
            }
        }
    }

    /// Sends a reader what it has not had; how many bytes were sent.
    pub fn send_output(&mut self, channel: u32, serial: u64) -> usize {
        let (wire, session) = match (&self.wire, &mut self.session) {
            (Some(wire), Some(session)) => (wire, session),
            _ => return 0,
        };
        let process = match self.processes.all.get_mut(&serial) {
            Some(process) => process,
            None => return 0,
        };
        let ring = &process.ring;
        let reader = match process.readers.iter_mut().find(|reader| reader.channel == channel) {
            Some(reader) => reader,
            None => return 0,
        };
        if reader.cursor < ring.start() {
            let gap = Writer::new().number(1, ops::EVENT_GAP).number(2, reader.cursor).number(3, ring.start());
            session.event(channel, gap);
            reader.cursor = ring.start();
        }
        let end = reader.until.unwrap_or_else(|| ring.end()).min(ring.end());
        let mut budget = session.credit(channel).min(end.saturating_sub(reader.cursor) as usize).min(2 * MAX_PAYLOAD);
        if budget > 0 && !reader.positioned {
            session.event(channel, Writer::new().number(1, ops::EVENT_POSITION).number(2, reader.cursor));
            reader.positioned = true;
        }
        let mut runs = Vec::with_capacity(BATCH);
        let mut cursor = reader.cursor;
        while budget > 0 && runs.len() < BATCH {
            let (stream, first, second) = match ring.run_at(cursor, budget.min(MAX_PAYLOAD)) {
                Some(run) => run,
                None => break,
            };
            let length = first.len() + second.len();
            runs.push((Header::data(channel, stream, length).encode(), first, second));
            cursor += length as u64;
            budget -= length;
        }
        let sent = (cursor - reader.cursor) as usize;
        if sent > 0 {
            let control = session.waiting().to_vec();
            let mut parts = Vec::with_capacity(1 + 3 * runs.len());
            parts.push(IoSlice::new(&control));
            for (header, first, second) in &runs {
                parts.push(IoSlice::new(header));
                parts.push(IoSlice::new(first));
                parts.push(IoSlice::new(second));
            }
            session.wrote(control.len());
            match Agent::send_frames(wire, session, &parts) {
                Ok(true) => {
                    session.spend(channel, sent);
                    reader.cursor = cursor;
                }
                Ok(false) => {
                    session.push_raw(&control);
                    session.mark_ready(channel);
                    self.block();
                    return 0;
                }
                Err(_) => {
                    self.write_failed();
                    return 0;
                }
            }
        }
        let session = match &mut self.session {
            Some(session) => session,
            None => return sent,
        };
        let done = matches!(reader.until, Some(until) if reader.cursor >= until);
        if done {
            session.event(channel, process.exit_event());
            self.finish(channel);
            return sent;
        }
        if reader.cursor < end && session.credit(channel) > 0 {
            session.mark_ready(channel);
        }
        if sent > 0 && process.outputs.iter().flatten().any(|output| !output.armed) {
            self.rearm(serial);
        }
        sent
    }
}

pub fn unknown() -> Fault {
    Fault::new("process-not-found", "there is no process with this id")
}
