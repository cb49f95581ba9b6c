//! Which operation a message belongs to.

use super::core::{Agent, Work};
use super::fault::{Answer, Fault};
use super::ops;
use crate::fields::Fields;
use crate::frames::stream;

impl Agent {
    pub fn open(&mut self, channel: u32, operation: u64, fields: &Fields<'_>) -> Answer<()> {
        match operation {
            ops::START => self.start(channel, fields),
            ops::ATTACH => self.attach(channel, fields),
            ops::PROCESSES => {
                self.list_processes(channel);
                Ok(())
            }
            ops::STDIN => self.open_stdin(channel, fields),
            ops::SIGNAL => self.signal(channel, fields),
            ops::RESIZE => self.resize(channel, fields),
            ops::READ => self.open_read(channel, fields),
            ops::WRITE => self.open_write(channel, fields),
            ops::STAT => self.stat(channel, fields),
            ops::LIST => self.open_list(channel, fields),
            ops::MAKE_DIRECTORY => self.make_directory(channel, fields),
            ops::MOVE => self.move_path(channel, fields),
            ops::REMOVE => self.remove(channel, fields),
            ops::CHMOD => self.chmod(channel, fields),
            ops::SYMLINK => self.symlink(channel, fields),
            ops::WATCH => self.open_watch(channel, fields),
            ops::DIAL => self.open_dial(channel, fields),
            ops::METRICS => self.metrics(channel),
            ops::CONFIGURE => self.configure(channel, fields),
            ops::QUIESCE => self.quiesce(channel, fields),
            ops::SHUTDOWN => self.open_shutdown(channel, fields),
            _ => Err(Fault::new("unsupported", format!("the agent does not know operation {}", operation))),
        }
    }

    pub fn data(&mut self, channel: u32, number: u8, bytes: &[u8]) {
        if number != stream::CONTENT {
            return self.fail(channel, &Fault::invalid("content goes on stream 0"));
        }
        match self.works.get(&channel) {
            Some(Work::Stdin(serial)) => {
                let serial = *serial;
                self.stdin_data(channel, serial, bytes)
            }
            Some(Work::Write(_)) => self.write_data(channel, bytes),
            Some(Work::Dial(_)) => self.dial_data(channel, bytes),
            _ => self.fail(channel, &Fault::invalid("the operation takes no content")),
        }
    }

    pub fn end(&mut self, channel: u32, number: u8) {
        if number != stream::CONTENT {
            return;
        }
        match self.works.get(&channel) {
            Some(Work::Stdin(serial)) => {
                let serial = *serial;
                self.stdin_end(channel, serial)
            }
            Some(Work::Write(_)) => self.write_end(channel),
            Some(Work::Dial(_)) => self.dial_end(channel),
            _ => {}
        }
    }
}
