//! Output kept by the launcher. The process writes into FIFOs that it has open for reading too: when the launcher dies
//! it is not killed by a broken pipe, and the next launcher opens the same FIFOs and reads on.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use super::host::{c_path, fifo_path};
use super::ring::Ring;
use crate::sys::c::{O_NOFOLLOW, O_NONBLOCK};
use crate::sys::host;
use crate::sys::poll::{Event, Poller, READ};

pub struct Held {
    streams: [(File, Ring); 2],
}

pub const STREAMS: [u8; 2] = [1, 2];

impl Held {
    pub fn open(state: &Path, id: &str) -> io::Result<Held> {
        let stream = |number| -> io::Result<(File, Ring)> {
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(O_NONBLOCK | O_NOFOLLOW);
            Ok((options.open(fifo_path(state, id, number))?, Ring::default()))
        };
        Ok(Held { streams: [stream(STREAMS[0])?, stream(STREAMS[1])?] })
    }

    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.streams[0].0.as_raw_fd(), self.streams[1].0.as_raw_fd()]
    }

    /// Takes what is there now, bounded, so that a process that never stops writing cannot hold up the others.
    pub fn drain(&mut self) {
        let mut buffer = [0u8; 65_536];
        for (file, ring) in &mut self.streams {
            if let Ok(count) = file.read(&mut buffer) {
                ring.push(&buffer[..count]);
            }
        }
    }

    pub fn bytes(&mut self, stream: u8) -> Vec<u8> {
        self.drain();
        self.streams.get(usize::from(stream) - 1).map_or_else(Vec::new, |(_, ring)| ring.to_vec())
    }
}

/// Which processes have said something: one descriptor to wait for, however many there are.
pub struct Outputs {
    poller: Poller,
    /// By the descriptor of the first stream.
    ids: HashMap<u64, String>,
}

impl Outputs {
    pub fn new() -> io::Result<Outputs> {
        let poller = Poller::new().map_err(|error| io::Error::from_raw_os_error(error.0))?;
        Ok(Outputs { poller, ids: HashMap::new() })
    }

    pub fn descriptor(&self) -> RawFd {
        self.poller.descriptor()
    }

    pub fn watch(&mut self, id: &str, held: &Held) -> io::Result<()> {
        let descriptors = held.descriptors();
        let token = descriptors[0] as u64;
        for fd in descriptors {
            self.poller.add(fd, token, READ).map_err(|error| io::Error::from_raw_os_error(error.0))?;
        }
        self.ids.insert(token, id.to_string());
        Ok(())
    }

    /// A child that is about to exec may still have copies, so closing alone would not do.
    pub fn forget(&mut self, held: &Held) {
        let descriptors = held.descriptors();
        descriptors.iter().for_each(|fd| self.poller.remove(*fd));
        self.ids.remove(&(descriptors[0] as u64));
    }

    pub fn ready(&self) -> Vec<String> {
        let mut events = [Event::EMPTY; 64];
        let count = self.poller.wait(&mut events, 0).unwrap_or(0);
        events[..count].iter().filter_map(|event| self.ids.get(&event.token()).cloned()).collect()
    }
}

/// Makes the FIFOs and opens the ends of the process.
pub fn make(state: &Path, id: &str) -> io::Result<[OwnedFd; 2]> {
    let stream = |number| -> io::Result<OwnedFd> {
        let path = fifo_path(state, id, number);
        host::make_fifo(&c_path(&path)?, 0o600).map_err(|error| io::Error::from_raw_os_error(error.0))?;
        // Opened for both, so that opening does not wait for the other side.
        Ok(OpenOptions::new().read(true).write(true).open(path)?.into())
    };
    Ok([stream(STREAMS[0])?, stream(STREAMS[1])?])
}

pub fn remove(state: &Path, id: &str) {
    for number in STREAMS {
        let _ = fs::remove_file(fifo_path(state, id, number));
    }
}
