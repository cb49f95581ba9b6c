//! The last output of one process, with the stream of every byte.

use std::collections::VecDeque;

/// Bytes of a full-sized ring.
pub const LARGE: usize = 262_144;
/// Bytes that every process with output gets.
pub const SMALL: usize = 16 * 1024;
/// Runs of one stream that a ring keeps apart.
const MAX_RUNS: usize = 8192;

struct Run {
    end: u64,
    stream: u8,
}

/// Holds the bytes from `start` to `end`, offsets counted over all streams since the process began.
#[derive(Default)]
pub struct Ring {
    bytes: Vec<u8>,
    start: u64,
    end: u64,
    runs: VecDeque<Run>,
}

impl Ring {
    pub fn new() -> Ring {
        Ring::default()
    }

    pub fn start(&self) -> u64 {
        self.start
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Makes the ring larger, or smaller by forgetting the oldest bytes.
    pub fn resize(&mut self, capacity: usize) {
        if self.end - self.start > capacity as u64 {
            self.forget_until(self.end - capacity as u64);
        }
        let mut bytes = vec![0; capacity];
        let mut at = self.start;
        while at < self.end {
            let part = self.slice(at, self.end);
            let into = (at % capacity as u64) as usize;
            let count = part.len().min(capacity - into);
            bytes[into..into + count].copy_from_slice(&part[..count]);
            at += count as u64;
        }
        self.bytes = bytes;
    }

    /// Forgets everything that is held; offsets go on.
    pub fn clear(&mut self) {
        self.forget_until(self.end);
        self.bytes = Vec::new();
        self.runs = VecDeque::new();
    }

    /// Bytes that can be added without overwriting anything from `keep` on.
    pub fn room(&self, keep: u64) -> usize {
        if self.runs.len() >= MAX_RUNS && keep <= self.start {
            return 0;
        }
        self.bytes.len() - (self.end - keep.max(self.start)).min(self.bytes.len() as u64) as usize
    }

    /// Where the next bytes go, in two parts, at most `limit` bytes in all.
    pub fn free(&mut self, limit: usize) -> (&mut [u8], &mut [u8]) {
        let capacity = self.bytes.len();
        let limit = limit.min(capacity);
        let at = if capacity == 0 { 0 } else { (self.end % capacity as u64) as usize };
        let (before, after) = self.bytes.split_at_mut(at);
        let first = limit.min(after.len());
        (&mut after[..first], &mut before[..limit - first])
    }

    /// Says that this many bytes of `stream` are there now; the oldest ones go where room was short.
    pub fn commit(&mut self, count: usize, stream: u8) {
        if count == 0 {
            return;
        }
        self.end += count as u64;
        match self.runs.back_mut() {
            Some(run) if run.stream == stream => run.end = self.end,
            _ => self.runs.push_back(Run { end: self.end, stream }),
        }
        if self.end - self.start > self.bytes.len() as u64 {
            self.forget_until(self.end - self.bytes.len() as u64);
        }
        while self.runs.len() > MAX_RUNS {
            let end = self.runs[0].end;
            self.forget_until(end);
        }
    }

    fn forget_until(&mut self, offset: u64) {
        self.start = self.start.max(offset);
        while matches!(self.runs.front(), Some(run) if run.end <= self.start) {
            self.runs.pop_front();
        }
    }

    /// The bytes of one stream that lie at `from`, at most `limit`: the stream and the bytes in two parts.
    pub fn run_at(&self, from: u64, limit: usize) -> Option<(u8, &[u8], &[u8])> {
        if from < self.start || from >= self.end || limit == 0 {
            return None;
        }
        let index = self.runs.partition_point(|run| run.end <= from);
        let run = self.runs.get(index)?;
        let until = run.end.min(from + limit as u64);
        let first = self.slice(from, until);
        let second = self.slice(from + first.len() as u64, until);
        Some((run.stream, first, second))
    }

    /// The bytes from `from` on that lie together, up to `until`.
    fn slice(&self, from: u64, until: u64) -> &[u8] {
        if from >= until {
            return &[];
        }
        let capacity = self.bytes.len();
        let at = (from % capacity as u64) as usize;
        let count = ((until - from) as usize).min(capacity - at);
        &self.bytes[at..at + count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(ring: &mut Ring, stream: u8, bytes: &[u8]) {
        let (first, second) = ring.free(bytes.len());
        let split = first.len();
        first.copy_from_slice(&bytes[..split]);
        second.copy_from_slice(&bytes[split..]);
        ring.commit(bytes.len(), stream);
    }

    fn all(ring: &Ring, mut from: u64) -> Vec<(u8, Vec<u8>)> {
        let mut runs = Vec::new();
        while let Some((stream, first, second)) = ring.run_at(from, usize::MAX >> 1) {
            runs.push((stream, [first, second].concat()));
            from += (first.len() + second.len()) as u64;
        }
        runs
    }

    #[test]
    fn keeps_streams_apart_and_forgets_the_oldest() {
        let mut ring = Ring::new();
        ring.resize(8);
        add(&mut ring, 1, b"abc");
        add(&mut ring, 2, b"de");
        add(&mut ring, 2, b"f");
        assert_eq!(all(&ring, 0), vec![(1, b"abc".to_vec()), (2, b"def".to_vec())]);
        assert_eq!(ring.room(0), 2);
        assert_eq!(ring.room(3), 5);
        add(&mut ring, 1, b"ghijk");
        assert_eq!((ring.start(), ring.end()), (3, 11));
        assert_eq!(all(&ring, 3), vec![(2, b"def".to_vec()), (1, b"ghijk".to_vec())]);
        assert!(ring.run_at(2, 10).is_none());
        assert!(ring.run_at(11, 10).is_none());
    }

    #[test]
    fn grows_and_shrinks_with_its_bytes() {
        let mut ring = Ring::new();
        ring.resize(4);
        add(&mut ring, 1, b"abcd");
        add(&mut ring, 1, b"ef");
        ring.resize(16);
        add(&mut ring, 2, b"0123456789");
        assert_eq!(all(&ring, 2), vec![(1, b"cdef".to_vec()), (2, b"0123456789".to_vec())]);
        ring.resize(5);
        assert_eq!(all(&ring, 11), vec![(2, b"56789".to_vec())]);
        ring.clear();
        assert_eq!((ring.start(), ring.end(), ring.capacity()), (16, 16, 0));
    }

    #[test]
    fn bounds_the_number_of_runs() {
        let mut ring = Ring::new();
        ring.resize(LARGE);
        for index in 0..3 * MAX_RUNS {
            add(&mut ring, 1 + (index % 2) as u8, b"x");
        }
        assert_eq!(ring.end() - ring.start(), MAX_RUNS as u64);
        assert_eq!(ring.room(ring.start()), 0);
        assert!(ring.room(ring.start() + 1) > 0);
    }
}
