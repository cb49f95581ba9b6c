//! Who waits for the network: each is told how far it is.

use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

use crate::sys::socket;

/// More are not expected: the oldest goes.
const MAX: usize = 8;

pub struct Clients {
    listener: OwnedFd,
    waiting: Vec<OwnedFd>,
    said: String,
}

impl Clients {
    pub fn new(listener: OwnedFd) -> Clients {
        Clients { listener, waiting: Vec::new(), said: String::new() }
    }

    pub fn descriptor(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    /// Everybody hears every line once, whenever they come.
    pub fn tell(&mut self, line: &str) {
        if self.said.ends_with(line) {
            return;
        }
        self.said.push_str(line);
        self.waiting.retain(|client| says(client, line));
        self.accept();
    }

    pub fn accept(&mut self) {
        while let Ok(client) = socket::accept(self.listener.as_raw_fd()) {
            if self.waiting.len() == MAX {
                self.waiting.remove(0);
            }
            if says(&client, &self.said) {
                self.waiting.push(client);
            }
        }
    }
}

fn says(client: &OwnedFd, text: &str) -> bool {
    socket::send_some(client.as_raw_fd(), text.as_bytes()) == Ok(text.len())
}
