//! Headers: one block each.

use super::BLOCK;
use crate::failure::{Failure, Result};

pub struct Header<'a>(pub &'a [u8; BLOCK]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    /// Before POSIX: nothing after the link's name.
    Old,
    Posix,
    /// POSIX with a shorter prefix.
    Star,
    Gnu,
}

impl<'a> Header<'a> {
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// The sum over the header, its own field read as blanks; some summed up signed bytes.
    pub fn check_sum(&self) -> Result<()> {
        let (mut unsigned, mut signed) = (0i64, 0i64);
        for (at, byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte as i8);
        }
        let told = number(&self.0[148..156])?;
        if told == unsigned || told == signed {
            Ok(())
        } else {
            Err(Failure::invalid("the archive is damaged: a header has the wrong checksum"))
        }
    }

    fn flavour(&self) -> Flavour {
        match (&self.0[257..263], &self.0[263..265], &self.0[508..512]) {
            (b"ustar\0", _, b"tar\0") => Flavour::Star,
            (b"ustar\0", _, _) => Flavour::Posix,
            (b"ustar ", b" \0", _) => Flavour::Gnu,
            _ => Flavour::Old,
        }
    }

    pub fn is_gnu(&self) -> bool {
        self.flavour() == Flavour::Gnu
    }

    pub fn kind(&self) -> u8 {
        self.0[156]
    }

    pub fn path(&self) -> Vec<u8> {
        let prefix = match self.flavour() {
            Flavour::Posix => text(&self.0[345..500]),
            Flavour::Star => text(&self.0[345..476]),
            Flavour::Old | Flavour::Gnu => b"",
        };
        let mut path = prefix.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(text(&self.0[..100]));
        path
    }

    pub fn target(&self) -> &'a [u8] {
        text(&self.0[157..257])
    }

    pub fn mode(&self) -> Result<i64> {
        number(&self.0[100..108])
    }

    pub fn uid(&self) -> Result<i64> {
        number(&self.0[108..116])
    }

    pub fn gid(&self) -> Result<i64> {
        number(&self.0[116..124])
    }

    pub fn size(&self) -> Result<i64> {
        number(&self.0[124..136])
    }

    pub fn modified(&self) -> Result<i64> {
        number(&self.0[136..148])
    }

    /// Major and minor number of a device.
    pub fn device(&self) -> Result<(i64, i64)> {
        if self.flavour() == Flavour::Old {
            return Ok((0, 0));
        }
        Ok((number(&self.0[329..337])?, number(&self.0[337..345])?))
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

/// Octal digits with blanks and NULs around them, or GNU's binary form for what does not fit.
pub fn number(field: &[u8]) -> Result<i64> {
    let bad = || Failure::invalid("the archive is damaged: a number in a header cannot be read");
    if field[0] & 0x80 != 0 {
        // Two's complement, the highest bit being the mark and the next one the sign.
        let negative = field[0] & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = match (at, negative) {
                (0, true) => byte | 0x80,
                (0, false) => byte & 0x7f,
                _ => *byte,
            };
            value = value << 8 | i128::from(byte);
            if i64::try_from(value).is_err() {
                return Err(bad());
            }
        }
        return i64::try_from(value).map_err(|_| bad());
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let begin = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let rest = &field[begin..];
    let digits = &rest[..rest.iter().position(blank).unwrap_or(rest.len())];
    let mut value = 0i64;
    for digit in digits {
        if !(b'0'..=b'7').contains(digit) {
            return Err(bad());
        }
        value = value.checked_mul(8).and_then(|value| value.checked_add(i64::from(digit - b'0'))).ok_or_else(bad)?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0").unwrap(), 0o644);
        assert_eq!(number(b"   12 \0\0").unwrap(), 0o12);
        assert_eq!(number(b"\0\0\0\0\0\0\0\0").unwrap(), 0);
        assert_eq!(number(b"77777777777 ").unwrap(), 0o77777777777);
        assert_eq!(number(b"777777777777").unwrap(), 0o777777777777);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0x20, 0, 0]).unwrap(), 0x200000);
        assert_eq!(
            number(&[0x80, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0]).unwrap(),
            0x123456789abcdef0
        );
        assert_eq!(number(&[0xff; 12]).unwrap(), -1);
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]).unwrap(), -256);
    }

    #[test]
    fn other_numbers_are_refused() {
        assert!(number(b"0000648\0").is_err());
        assert!(number(b"-0000001").is_err());
        assert!(number(&[0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(number(&[0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
