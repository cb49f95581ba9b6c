//! Connections to servers inside the machine.

use super::core::{Agent, Work, SCRATCH};
use super::fault::{Answer, Fault};
use super::paths;
use super::users::User;
use crate::fields::{Fields, Writer};
use crate::frames::{stream, Header};
use crate::sys::poll::{Event, READ, WRITE};
use crate::sys::{self, c, socket, Errno};
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

pub struct Dialing {
    fd: OwnedFd,
    /// What the poller looks for.
    interest: u32,
    connected: bool,
    /// The port to try at `::1` when nobody listens at 127.0.0.1.
    other: Option<u16>,
    /// From the host, not yet taken by the server.
    waiting: Vec<u8>,
    at: usize,
    /// The host has sent its last byte.
    host_ended: bool,
    written_ended: bool,
    server_ended: bool,
}

impl Dialing {
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn new(fd: OwnedFd, other: Option<u16>) -> Dialing {
        Dialing {
            fd,
            interest: 0,
            connected: false,
            other,
            waiting: Vec::new(),
            at: 0,
            host_ended: false,
            written_ended: false,
            server_ended: false,
        }
    }
}

impl Agent {
    pub fn open_dial(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let mut other = None;
        let (fd, connected) = if let Some(path) = fields.bytes(4) {
            let path = paths::check(path)?;
            let user: User = self.file_user(fields)?;
            let acting = self.act_as(&user)?;
            let begun = socket::connect_unix(path);
            drop(acting);
            begun.map_err(|errno| Fault::at(path, errno))?
        } else {
            let port = fields.number(2)?.unwrap_or(0);
            if !(1..=65_535).contains(&port) {
                return Err(Fault::invalid("a port is a number from 1 to 65,535"));
            }
            let host = match fields.text(3)? {
                Some(text) => text.parse::<IpAddr>().map_err(|_| Fault::invalid("the host is not an IP address"))?,
                None => {
                    other = Some(port as u16);
                    IpAddr::V4(Ipv4Addr::LOCALHOST)
                }
            };
            match socket::connect_tcp(host, port as u16) {
                Err(Errno(c::ECONNREFUSED)) if other.take().is_some() => {
                    socket::connect_tcp(IpAddr::V6(Ipv6Addr::LOCALHOST), port as u16)?
                }
                other => other?,
            }
        };
        let mut dialing = Dialing::new(fd, other);
        dialing.interest = WRITE;
        self.poller.add(dialing.fd(), self.channel_token(channel), WRITE)?;
        self.works.insert(channel, Work::Dial(dialing));
        if connected {
            self.dial_stands(channel);
        }
        Ok(())
    }

    fn dial_stands(&mut self, channel: u32) {
        let dialing = match self.works.get_mut(&channel) {
            Some(Work::Dial(dialing)) => dialing,
            _ => return,
        };
        if let Err(errno) = socket::connected(dialing.fd()) {
            return self.dial_failed(channel, errno);
        }
        dialing.connected = true;
        self.session().opened(channel, Writer::new());
        self.dial_write(channel);
        self.dial_interest(channel);
    }

    fn dial_failed(&mut self, channel: u32, errno: Errno) {
        let port = match self.works.get_mut(&channel) {
            Some(Work::Dial(dialing)) if errno == Errno(c::ECONNREFUSED) => dialing.other.take(),
            _ => None,
        };
        let second = port.map(|port| socket::connect_tcp(IpAddr::V6(Ipv6Addr::LOCALHOST), port));
        let (fd, connected) = match second {
            Some(Ok(begun)) => begun,
            _ => return self.fail(channel, &Fault::from(errno)),
        };
        let token = self.channel_token(channel);
        if let Some(Work::Dial(dialing)) = self.works.get_mut(&channel) {
            self.poller.remove(dialing.fd());
            dialing.fd = fd;
            dialing.interest = WRITE;
            if let Err(errno) = self.poller.add(dialing.fd(), token, WRITE) {
                return self.fail(channel, &Fault::from(errno));
            }
        }
        if connected {
            self.dial_stands(channel);
        }
    }

    pub fn dial_event(&mut self, channel: u32, event: &Event) {
        match self.works.get(&channel) {
            Some(Work::Dial(dialing)) if !dialing.connected => return self.dial_stands(channel),
            Some(Work::Dial(_)) => {}
            _ => return,
        }
        if event.writable() {
            self.dial_write(channel);
        }
        if event.readable() {
            self.mark_ready(channel);
            self.dial_park(channel);
        } else {
            self.dial_interest(channel);
        }
    }

    /// Does not look at the socket for reading while the channel stands in line to send.
    fn dial_park(&mut self, channel: u32) {
        if let Some(Work::Dial(dialing)) = self.works.get(&channel) {
            let writing = dialing.at < dialing.waiting.len();
            self.set_dial_interest(channel, if writing { WRITE } else { 0 });
        }
    }

    /// Looks for what can be done next.
    fn dial_interest(&mut self, channel: u32) {
        let credit = self.session().credit(channel);
        if let Some(Work::Dial(dialing)) = self.works.get(&channel) {
            let mut interest = 0;
            if dialing.at < dialing.waiting.len() {
                interest |= WRITE;
            }
            if !dialing.server_ended && credit > 0 {
                interest |= READ;
            }
            self.set_dial_interest(channel, interest);
        }
    }

    fn set_dial_interest(&mut self, channel: u32, interest: u32) {
        let token = self.channel_token(channel);
        if let Some(Work::Dial(dialing)) = self.works.get_mut(&channel) {
            if dialing.interest == interest {
                return;
            }
            let fd = dialing.fd();
            let _ = match (dialing.interest, interest) {
                (_, 0) => {
                    self.poller.remove(fd);
                    Ok(())
                }
                (0, _) => self.poller.add(fd, token, interest),
                _ => self.poller.change(fd, token, interest),
            };
            dialing.interest = interest;
        }
    }

    pub fn dial_credited(&mut self, channel: u32) {
        if let Some(Work::Dial(dialing)) = self.works.get(&channel) {
            if dialing.connected {
                self.dial_interest(channel);
            }
        }
    }

    /// Passes on what the server has written; how many bytes were sent.
    pub fn send_dialed(&mut self, channel: u32) -> usize {
        let (wire, session) = match (&self.wire, &mut self.session) {
            (Some(wire), Some(session)) => (wire, session),
            _ => return 0,
        };
        let dialing = match self.works.get_mut(&channel) {
            Some(Work::Dial(dialing)) if !dialing.server_ended => dialing,
            _ => return 0,
        };
        let limit = session.credit(channel).min(SCRATCH);
        if limit == 0 {
            self.dial_park(channel);
            return 0;
        }
        match sys::read(dialing.fd.as_raw_fd(), &mut self.scratch[..limit]) {
            Ok(0) => {
                dialing.server_ended = true;
                session.end(channel, stream::CONTENT);
                self.dial_finish_if_done(channel);
                self.dial_interest_if_open(channel);
                0
            }
            Ok(count) => {
                let header = Header::data(channel, stream::CONTENT, count).encode();
                let parts = [IoSlice::new(&header), IoSlice::new(&self.scratch[..count])];
                session.spend(channel, count);
                match Agent::send_frames(wire, session, &parts) {
                    Ok(true) => {}
                    Ok(false) => {
                        // It has left the socket, so it waits here.
                        session.push_raw(&header);
                        session.push_raw(&self.scratch[..count]);
                        self.block();
                    }
                    Err(_) => {
                        self.write_failed();
                        return 0;
                    }
                }
                if count == limit {
                    self.mark_ready(channel);
                } else {
                    self.dial_interest(channel);
                }
                count
            }
            Err(Errno(c::EAGAIN)) => {
                self.dial_interest(channel);
                0
            }
            Err(errno) => {
                self.fail(channel, &Fault::from(errno));
                0
            }
        }
    }

    fn dial_interest_if_open(&mut self, channel: u32) {
        if self.works.contains_key(&channel) {
            self.dial_interest(channel);
        }
    }

    pub fn dial_data(&mut self, channel: u32, bytes: &[u8]) {
        if let Some(Work::Dial(dialing)) = self.works.get_mut(&channel) {
            if dialing.written_ended {
                // The server no longer reads; what is sent meanwhile goes nowhere.
                return self.session().grant(channel, bytes.len() as u32);
            }
            if dialing.host_ended {
                return self.fail(channel, &Fault::invalid("content after the end"));
            }
            if dialing.at == dialing.waiting.len() {
                dialing.waiting.clear();
                dialing.at = 0;
            }
            dialing.waiting.extend_from_slice(bytes);
        }
        self.dial_write(channel);
        self.dial_interest_if_connected(channel);
    }

    pub fn dial_end(&mut self, channel: u32) {
        if let Some(Work::Dial(dialing)) = self.works.get_mut(&channel) {
            dialing.host_ended = true;
        }
        self.dial_write(channel);
    }

    fn dial_interest_if_connected(&mut self, channel: u32) {
        if matches!(self.works.get(&channel), Some(Work::Dial(dialing)) if dialing.connected && dialing.at < dialing.waiting.len())
        {
            self.dial_interest(channel);
        }
    }

    fn dial_write(&mut self, channel: u32) {
        let mut granted = 0;
        let outcome = match self.works.get_mut(&channel) {
            Some(Work::Dial(dialing)) if dialing.connected => loop {
                if dialing.at == dialing.waiting.len() {
                    if dialing.host_ended && !dialing.written_ended {
                        dialing.written_ended = true;
                        socket::end_writing(dialing.fd.as_raw_fd());
                    }
                    break Ok(());
                }
                match socket::send_some(dialing.fd.as_raw_fd(), &dialing.waiting[dialing.at..]) {
                    Ok(count) => {
                        dialing.at += count;
                        granted += count as u32;
                    }
                    Err(Errno(c::EAGAIN)) => break Ok(()),
                    Err(errno) => break Err(errno),
                }
            },
            _ => return,
        };
        match outcome {
            Ok(()) => {
                self.session().grant(channel, granted);
                self.dial_finish_if_done(channel);
            }
            // The server has stopped reading, yet what it has written still counts: that is told when it ends.
            Err(Errno(c::EPIPE)) => {
                if let Some(Work::Dial(dialing)) = self.works.get_mut(&channel) {
                    dialing.waiting.clear();
                    dialing.at = 0;
                    dialing.host_ended = true;
                    dialing.written_ended = true;
                }
                self.dial_finish_if_done(channel);
            }
            Err(errno) => self.fail(channel, &Fault::from(errno)),
        }
    }

    fn dial_finish_if_done(&mut self, channel: u32) {
        if matches!(self.works.get(&channel), Some(Work::Dial(dialing)) if dialing.server_ended && dialing.written_ended)
        {
            self.finish(channel);
        }
    }
}
