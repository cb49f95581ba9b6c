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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_bytes_however_they_come() {
        let all: Vec<u8> = (0..200_000u32).map(|index| (index % 251) as u8).collect();
        for step in [1000, 65_536, 65_537, 200_000] {
            let mut ring = Ring::default();
            all.chunks(step).for_each(|chunk| ring.push(chunk));
            assert_eq!(ring.to_vec(), &all[all.len() - CAPACITY..]);
        }
        let mut ring = Ring::default();
        ring.push(b"ab");
        ring.push(b"");
        ring.push(b"c");
        assert_eq!(ring.to_vec(), b"abc");
    }
}
