//! The last bytes of a held stream.

use std::collections::VecDeque;

pub const CAPACITY: usize = 65_536;

#[derive(Default)]
pub struct Ring {
    bytes: VecDeque<u8>,
}

impl Ring {
    pub fn push(&mut self, data: &[u8]) {
        let data = &data[data.len().saturating_sub(CAPACITY)..];
        let excess = (self.bytes.len() + data.len()).saturating_sub(CAPACITY);
        self.bytes.drain(..excess);
        self.bytes.extend(data);
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.bytes.iter().copied().collect()
    }
}
