//! Bytes of an archive, in blocks and in stretches of content.

use super::BLOCK;
use crate::failure::{Failure, Result};
use crate::sys::Errno;

/// Where the bytes come from; 0 is the end.
pub trait Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Errno>;
}

impl Source for &[u8] {
    fn read(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Errno> {
        let length = buffer.len().min(self.len());
        buffer[..length].copy_from_slice(&self[..length]);
        *self = &self[length..];
        Ok(length)
    }
}

pub struct Input<S> {
    source: S,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

const BUFFER: usize = 262_144;

impl<S: Source> Input<S> {
    pub fn new(source: S) -> Input<S> {
        Input { source, buffer: vec![0; BUFFER], at: 0, end: 0 }
    }

    /// Makes sure that as many bytes are there, unless the source ends; answers how many are.
    fn fill(&mut self, wanted: usize) -> Result<usize> {
        if self.end - self.at < wanted {
            self.buffer.copy_within(self.at..self.end, 0);
            self.end -= self.at;
            self.at = 0;
            while self.end < wanted {
                match self.source.read(&mut self.buffer[self.end..]) {
                    Ok(0) => break,
                    Ok(count) => self.end += count,
                    Err(error) => return Err(Failure::system("read the archive", error)),
                }
            }
        }
        Ok(self.end - self.at)
    }

    /// The next block; none at the end of the source.
    pub fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        match self.fill(BLOCK)? {
            0 => Ok(None),
            length if length < BLOCK => Err(truncated()),
            _ => {
                let mut block = [0; BLOCK];
                block.copy_from_slice(&self.buffer[self.at..self.at + BLOCK]);
                self.at += BLOCK;
                Ok(Some(block))
            }
        }
    }

    /// The next bytes, at least one and at most `most`.
    pub fn some(&mut self, most: u64) -> Result<&[u8]> {
        let there = self.fill(1)?;
        if there == 0 {
            return Err(truncated());
        }
        let length = most.min(there as u64) as usize;
        self.at += length;
        Ok(&self.buffer[self.at - length..self.at])
    }

    /// A short stretch, whole.
    pub fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length.min(65_536));
        while bytes.len() < length {
            let rest = (length - bytes.len()) as u64;
            bytes.extend_from_slice(self.some(rest)?);
        }
        Ok(bytes)
    }

    pub fn skip(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            length -= self.some(length)?.len() as u64;
        }
        Ok(())
    }

    /// Zeros behind a content. An archive may end in them: some programs write none behind the last content.
    pub fn skip_padding(&mut self, length: u64) -> Result<()> {
        match self.fill(length as usize)? as u64 {
            there if there < length => self.skip(there),
            _ => self.skip(length),
        }
    }

    /// Reads what is left and forgets it.
    pub fn drain(&mut self) -> Result<()> {
        while self.fill(1)? > 0 {
            self.at = self.end;
        }
        Ok(())
    }
}

pub fn truncated() -> Failure {
    Failure::invalid("the archive ends in the middle of an entry")
}
