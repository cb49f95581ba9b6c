//! Where a file with holes has content, in the forms that GNU tar has had for it.

use super::block::number;
use super::input::{truncated, Input, Source};
use super::pax::{decimal, PaxSparse};
use super::BLOCK;
use crate::failure::{Failure, Result};

/// A beginning and a length each.
pub type Pieces = Vec<(u64, u64)>;

const MAX_PIECES: usize = 1_000_000;

fn bad() -> Failure {
    Failure::invalid("the archive is damaged: the map of a file with holes makes no sense")
}

/// The oldest form: in the header, and in blocks after it. Answers the file's size too.
pub fn old<S: Source>(header: &[u8; BLOCK], input: &mut Input<S>) -> Result<(u64, Pieces)> {
    let size = u64::try_from(number(&header[483..495])?).map_err(|_| bad())?;
    let mut pieces = Vec::new();
    let mut more = header[482] != 0;
    take(&header[386..482], &mut pieces)?;
    while more {
        let block = input.block()?.ok_or_else(truncated)?;
        more = block[504] != 0;
        take(&block[..504], &mut pieces)?;
    }
    Ok((size, pieces))
}

fn take(fields: &[u8], pieces: &mut Pieces) -> Result<()> {
    for field in fields.chunks_exact(24) {
        if field[0] == 0 || field[12] == 0 {
            return Ok(());
        }
        if pieces.len() >= MAX_PIECES {
            return Err(bad());
        }
        let begin = u64::try_from(number(&field[..12])?).map_err(|_| bad())?;
        let length = u64::try_from(number(&field[12..])?).map_err(|_| bad())?;
        pieces.push((begin, length));
    }
    Ok(())
}

/// The forms in extended headers. None: nothing is said of holes. `stored` is what is left of the entry's bytes; version
/// 1.0 has its map there.
pub fn from_pax<S: Source>(
    sparse: &PaxSparse,
    stored: &mut u64,
    input: &mut Input<S>,
) -> Result<Option<(u64, Pieces)>> {
    let size = || sparse.size.ok_or_else(bad);
    match (sparse.major, sparse.minor) {
        (Some(1), Some(0)) => Ok(Some((size()?, leading_map(stored, input)?))),
        (None | Some(0), None | Some(0 | 1)) => match &sparse.map {
            Some(map) => Ok(Some((size()?, pairs(map)?))),
            None if sparse.numbers.is_empty() => Ok(None),
            None => Ok(Some((size()?, pairs(&sparse.numbers)?))),
        },
        _ => Err(Failure::invalid("the archive has files with holes in a form that is not known")),
    }
}

fn pairs(numbers: &[u64]) -> Result<Pieces> {
    if numbers.len() % 2 != 0 {
        return Err(bad());
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// Decimal numbers in lines, filled up to whole blocks: how many pieces, then each.
fn leading_map<S: Source>(stored: &mut u64, input: &mut Input<S>) -> Result<Pieces> {
    let mut lines = Lines { block: [0; BLOCK], at: BLOCK, stored, input };
    let count = usize::try_from(lines.number()?).map_err(|_| bad())?;
    if count > MAX_PIECES {
        return Err(bad());
    }
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push((lines.number()?, lines.number()?));
    }
    Ok(pieces)
}

struct Lines<'a, S> {
    block: [u8; BLOCK],
    at: usize,
    stored: &'a mut u64,
    input: &'a mut Input<S>,
}

impl<S: Source> Lines<'_, S> {
    fn number(&mut self) -> Result<u64> {
        let mut digits = Vec::new();
        loop {
            if self.at == BLOCK {
                if *self.stored < BLOCK as u64 {
                    return Err(bad());
                }
                self.block = self.input.block()?.ok_or_else(truncated)?;
                *self.stored -= BLOCK as u64;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return decimal(&digits).map_err(|_| bad()),
                _ if digits.len() > 20 => return Err(bad()),
                _ => digits.push(byte),
            }
        }
    }
}

/// In order, apart from each other, within the file, and together as long as what is stored of it.
pub fn check(size: u64, pieces: &[(u64, u64)], stored: u64) -> Result<()> {
    let (mut end, mut sum) = (0u64, 0u64);
    for (begin, length) in pieces {
        if *begin < end {
            return Err(bad());
        }
        end = begin.checked_add(*length).ok_or_else(bad)?;
        sum = sum.checked_add(*length).ok_or_else(bad)?;
    }
    if end > size || sum != stored {
        return Err(bad());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_make_sense() {
        assert!(check(10, &[(0, 2), (4, 6)], 8).is_ok());
        assert!(check(10, &[(10, 0)], 0).is_ok());
        assert!(check(10, &[], 0).is_ok());
        assert!(check(9, &[(0, 2), (4, 6)], 8).is_err());
        assert!(check(10, &[(0, 2), (1, 2)], 4).is_err());
        assert!(check(10, &[(4, 2), (0, 2)], 4).is_err());
        assert!(check(10, &[(0, 2)], 3).is_err());
        assert!(check(u64::MAX, &[(u64::MAX, 2)], 2).is_err());
    }

    #[test]
    fn a_leading_map_is_read_over_blocks() {
        let mut text = b"100\n".to_vec();
        for at in 0..100 {
            text.extend_from_slice(format!("{}\n1\n", at * 1000).as_bytes());
        }
        text.resize(1024, 0);
        let mut stored = 1124;
        let pieces = leading_map(&mut stored, &mut Input::new(&text[..])).unwrap();
        assert_eq!((pieces.len(), pieces[99], stored), (100, (99_000, 1), 100));
    }

    #[test]
    fn a_leading_map_stays_within_its_entry() {
        for text in [&b"1\n"[..], b"x\n1\n1\n", b"99999999999999999999999\n", b"2000000\n", b"-1\n"] {
            let mut block = text.to_vec();
            block.resize(512, b'1');
            assert!(leading_map(&mut 512, &mut Input::new(&block[..])).is_err());
        }
    }
}
