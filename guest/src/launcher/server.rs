//! The loop: one thread that waits for daemons, children, adopted processes, output and timers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::host::{Client, Host};
use super::record::ProcessKey;
use super::requests;
use crate::sys::host::{poll, PollFd, POLLIN, POLLOUT};
use crate::sys::{self, c};

const MAX_CONNECTIONS: usize = 64;
/// How long accepting rests after it failed for want of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

pub struct Server {
    pub host: Host,
    pub connections: BTreeMap<u64, Connection>,
    listener: UnixListener,
    signals: OwnedFd,
    socket: PathBuf,
    next_connection: u64,
    idle: Duration,
    idle_since: Option<Instant>,
    accept_after: Option<Instant>,
    /// Asked to end: it does as soon as everything is sent.
    pub ending: bool,
}

enum Source {
    Listener,
    Signals,
    Connection(u64),
    Starting(String),
    Adopted(String),
    Outputs,
    Owner(ProcessKey),
    Killed(String, RawFd),
}

impl Server {
    pub fn new(host: Host, listener: UnixListener, signals: OwnedFd, socket: PathBuf, idle: Duration) -> Server {
        Server {
            host,
            connections: BTreeMap::new(),
            listener,
            signals,
            socket,
            next_connection: 1,
            idle,
            idle_since: None,
            accept_after: None,
            ending: false,
        }
    }

    /// Returns when the launcher has nothing left to do.
    pub fn run(mut self) {
        // Children of the time before the loop, such as what the sweep has killed.
        self.host.children_ended();
        loop {
            self.deliver();
            if self.is_over() {
                break;
            }
            let (mut fds, sources) = self.sources();
            if let Err(error) = poll(&mut fds, self.timeout()) {
                self.host.log.line(format_args!("poll: {:?}", error));
                return;
            }
            for (fd, source) in fds.iter().zip(sources) {
                if fd.revents != 0 {
                    self.ready(source);
                }
            }
            self.tick();
        }
        // Whoever connects from now on finds no socket and starts another launcher.
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_file(self.socket.with_extension("lock"));
    }

    fn is_over(&mut self) -> bool {
        if self.ending && self.connections.values().all(|connection| !connection.has_output()) {
            return true;
        }
        if !self.connections.is_empty() || self.host.is_busy() {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        since.elapsed() >= self.idle
    }

    pub fn sockets(&self) -> Vec<RawFd> {
        let connections = self.connections.values().map(|connection| connection.stream.as_raw_fd());
        connections.chain(Some(self.listener.as_raw_fd())).collect()
    }

    /// Moves answers to their connections and sends what can be sent.
    fn deliver(&mut self) {
        for message in std::mem::take(&mut self.host.outbox) {
            match message.to {
                Some(client) => {
                    if let Some(connection) = self.connections.get_mut(&client.connection) {
                        connection.queue(message.kind, client.channel, &message.payload);
                    }
                }
                None => {
                    for connection in self.connections.values_mut() {
                        if let Some(channel) = connection.watch {
                            connection.queue(message.kind, channel, &message.payload);
                        }
                    }
                }
            }
        }
        self.connections.retain(|_, connection| connection.send().is_ok());
    }

    fn sources(&self) -> (Vec<PollFd>, Vec<Source>) {
        let mut fds = Vec::new();
        let mut sources = Vec::new();
        let mut add = |fd: RawFd, events, source| {
            fds.push(PollFd { fd, events, revents: 0 });
            sources.push(source);
        };
        // Children first: what they have left to tell must be known before anything else is looked at.
        add(self.signals.as_raw_fd(), POLLIN, Source::Signals);
        if self.accept_after.is_none() && self.connections.len() < MAX_CONNECTIONS {
            add(self.listener.as_raw_fd(), POLLIN, Source::Listener);
        }
        for (number, connection) in &self.connections {
            let events = if connection.has_output() { POLLIN | POLLOUT } else { POLLIN };
            add(connection.stream.as_raw_fd(), events, Source::Connection(*number));
        }
        for (id, entry) in &self.host.entries {
            if let Some(starting) = &entry.starting {
                add(starting.status.as_raw_fd(), POLLIN, Source::Starting(id.clone()));
            }
            if let Some(handle) = &entry.handle {
                add(handle.as_raw_fd(), POLLIN, Source::Adopted(id.clone()));
            }
        }
        add(self.host.outputs.descriptor(), POLLIN, Source::Outputs);
        for (key, handle) in &self.host.owners {
            add(handle.as_raw_fd(), POLLIN, Source::Owner(*key));
        }
        for (id, job) in &self.host.jobs {
            for handle in &job.waiting {
                add(handle.as_raw_fd(), POLLIN, Source::Killed(id.clone(), handle.as_raw_fd()));
            }
        }
        (fds, sources)
    }

    fn ready(&mut self, source: Source) {
        match source {
            Source::Signals => self.signals(),
            Source::Listener => self.accept(),
            Source::Connection(number) => self.receive(number),
            Source::Starting(id) => self.host.start_reported(&id),
            Source::Adopted(id) => self.host.adopted_ended(&id),
            Source::Outputs => self.host.drain_outputs(),
            Source::Owner(key) => self.host.owner_ended(key),
            Source::Killed(id, handle) => {
                let done = self.host.jobs.get_mut(&id).map_or(false, |job| {
                    job.waiting.retain(|waiting| waiting.as_raw_fd() != handle);
                    job.waiting.is_empty()
                });
                if done {
                    self.host.advance(&id);
                }
            }
        }
    }

    fn signals(&mut self) {
        // Larger than any number of signals that can be pending once each.
        let mut buffer = [0u8; 128 * 8];
        let mut asked_to_end = false;
        while let Ok(count) = sys::read(self.signals.as_raw_fd(), &mut buffer) {
            for info in buffer[..count].chunks_exact(128) {
                asked_to_end |= i32::from_ne_bytes([info[0], info[1], info[2], info[3]]) != c::SIGCHLD;
            }
        }
        self.host.children_ended();
        if asked_to_end && !self.host.is_busy() {
            self.ending = true;
        }
    }

    fn accept(&mut self) {
        match self.listener.accept() {
            Ok((stream, _)) => {
                if stream.set_nonblocking(true).is_ok() {
                    self.connections.insert(self.next_connection, Connection::new(stream));
                    self.next_connection += 1;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.host.log.line(format_args!("accept: {}", error));
                self.accept_after = Some(Instant::now() + ACCEPT_REST);
            }
        }
    }

    fn receive(&mut self, number: u64) {
        let received = match self.connections.get_mut(&number) {
            Some(connection) => connection.receive(),
            None => return,
        };
        let frames = match received {
            Ok(frames) => frames,
            Err(_) => {
                self.connections.remove(&number);
                return;
            }
        };
        for frame in frames {
            let client = Client { connection: number, channel: frame.channel };
            let open = self.connections.get(&number).map_or(false, |connection| !connection.closing);
            if open && !requests::handle(self, client, &frame) {
                self.connections.remove(&number);
            }
        }
    }

    /// Does what is due.
    fn tick(&mut self) {
        let now = Instant::now();
        if self.accept_after.map_or(false, |time| time <= now) {
            self.accept_after = None;
        }
        let due: Vec<_> = self.host.jobs.iter().filter(|(_, job)| job.next <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            self.host.advance(&id);
        }
        let look = |entry: &&super::entry::Entry| entry.look_again.map_or(false, |time| time <= now);
        let again: Vec<_> = self.host.entries.values().filter(look).map(|entry| entry.record.id.clone()).collect();
        for id in again {
            self.host.adopted_ended(&id);
        }
    }

    /// Milliseconds until something is due, rounded up; -1 for never.
    fn timeout(&self) -> i32 {
        let idle = self.idle_since.map(|since| since + self.idle);
        let next = (self.host.jobs.values().map(|job| job.next))
            .chain(self.host.entries.values().filter_map(|entry| entry.look_again))
            .chain(idle)
            .chain(self.accept_after)
            .min();
        match next {
            None => -1,
            Some(time) => {
                let wait = time.saturating_duration_since(Instant::now());
                (wait.as_micros() as u64).min(60_000_000).saturating_add(999) as i32 / 1000
            }
        }
    }
}
