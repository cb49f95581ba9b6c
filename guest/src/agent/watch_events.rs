//! Events of a watch on their way out: bounded, whatever the workload does to its files.

use super::ops;
use super::paths::MAX_PATH;
use crate::fields::Writer;

/// Bytes told at a time; what is more is told as an overflow.
const MAX_BYTES: usize = 512 * 1024;

#[derive(Default)]
pub struct Events {
    told: Vec<Writer>,
    bytes: usize,
}

impl Events {
    pub fn is_full(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    /// The same change twice in a row is told once: a write comes in many pieces.
    pub fn changed(&mut self, kind: u64, path: &[u8]) {
        self.push(Writer::new().number(1, kind).bytes(2, path), path.len());
    }

    pub fn renamed(&mut self, from: &[u8], to: &[u8]) {
        let event = Writer::new().number(1, ops::RENAMED).bytes(2, from).bytes(3, to);
        self.push(event, from.len().max(to.len()));
    }

    /// Something was missed.
    pub fn overflowed(&mut self) {
        self.push(Writer::new().number(1, ops::OVERFLOWED), 0);
    }

    pub fn take(self) -> Vec<Writer> {
        self.told
    }

    fn push(&mut self, event: Writer, longest: usize) {
        if longest > MAX_PATH {
            // Folders can be nested deeper than any path leads.
            return self.overflowed();
        }
        if self.is_full() || self.told.last().map_or(false, |last| last.as_slice() == event.as_slice()) {
            return;
        }
        self.bytes += event.as_slice().len();
        self.told.push(event);
        if self.is_full() {
            self.told.push(Writer::new().number(1, ops::OVERFLOWED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overflow() -> Writer {
        Writer::new().number(1, ops::OVERFLOWED)
    }

    #[test]
    fn tells_the_same_once_and_no_path_that_is_too_long() {
        let mut events = Events::default();
        events.changed(ops::MODIFIED, b"a");
        events.changed(ops::MODIFIED, b"a");
        events.changed(ops::CREATED, &[b'x'; MAX_PATH + 1]);
        events.renamed(b"a", &[b'x'; MAX_PATH + 1]);
        events.renamed(b"a", b"b");
        let told: Vec<_> = events.take().into_iter().map(Writer::finish).collect();
        let modified = Writer::new().number(1, ops::MODIFIED).bytes(2, b"a");
        let renamed = Writer::new().number(1, ops::RENAMED).bytes(2, b"a").bytes(3, b"b");
        assert_eq!(told, vec![modified.finish(), overflow().finish(), renamed.finish()]);
    }

    #[test]
    fn ends_with_an_overflow_where_there_is_too_much() {
        let mut events = Events::default();
        for index in 0..100_000u32 {
            events.changed(ops::CREATED, &[&index.to_be_bytes()[..], &[b'x'; 4000]].concat());
        }
        let told = events.take();
        assert_eq!(told.last().map(Writer::as_slice), Some(overflow().as_slice()));
        assert!(told.iter().map(|event| event.as_slice().len()).sum::<usize>() < MAX_BYTES + 8192);
    }
}
