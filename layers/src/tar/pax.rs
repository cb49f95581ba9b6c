//! Records of extended headers: `length key=value`, one per line.

use crate::failure::{Failure, Result};
use crate::sys::files::Time;
use crate::tar::XATTR;

/// What the records before an entry say of it; what they do not say is as in its header.
#[derive(Clone, Debug, Default)]
pub struct Pax {
    pub path: Option<Vec<u8>>,
    pub target: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub modified: Option<Time>,
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: PaxSparse,
}

/// The three ways in which GNU tar tells of holes.
#[derive(Clone, Debug, Default)]
pub struct PaxSparse {
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub name: Option<Vec<u8>>,
    pub size: Option<u64>,
    /// Of version 0.0: beginnings and lengths in turn.
    pub numbers: Vec<u64>,
    /// Of version 0.1.
    pub map: Option<Vec<u64>>,
}

const MAX_PIECES: usize = 1_000_000;
const MAX_ATTRIBUTES: usize = 256;
const MAX_ATTRIBUTE_BYTES: usize = 1 << 20;

impl Pax {
    /// Reads the records of a header for the next entry, or, when `global`, for all entries from here on.
    pub fn read(&mut self, mut records: &[u8], global: bool) -> Result<()> {
        while !records.is_empty() {
            // Some writers fill up with NULs.
            if records.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            let (key, value, rest) = record(records).ok_or_else(bad)?;
            self.take(key, value, global)?;
            records = rest;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8], global: bool) -> Result<()> {
        match key {
            b"uid" => self.uid = id(value)?,
            b"gid" => self.gid = id(value)?,
            b"mtime" => self.modified = time(value)?,
            // Of a single entry by their nature.
            _ if global => {}
            b"path" => self.path = name(value)?,
            b"linkpath" => self.target = name(value)?,
            b"size" => self.size = if value.is_empty() { None } else { Some(decimal(value)?) },
            b"GNU.sparse.major" => self.sparse.major = Some(decimal(value)?),
            b"GNU.sparse.minor" => self.sparse.minor = Some(decimal(value)?),
            b"GNU.sparse.name" => self.sparse.name = name(value)?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = Some(decimal(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let is_length = self.sparse.numbers.len() % 2 == 1;
                if is_length != (key == b"GNU.sparse.numbytes") || self.sparse.numbers.len() >= 2 * MAX_PIECES {
                    return Err(bad());
                }
                self.sparse.numbers.push(decimal(value)?);
            }
            b"GNU.sparse.map" => self.sparse.map = Some(numbers(value)?),
            _ => {
                if let Some(attribute) = key.strip_prefix(XATTR) {
                    if attribute.is_empty() || attribute.len() > 255 || attribute.contains(&0) || value.len() > 65_536 {
                        return Err(Failure::invalid("an extended attribute in the archive has a bad name or size"));
                    }
                    self.attributes.retain(|(name, _)| name != attribute);
                    let sum = self.attributes.iter().fold(value.len(), |sum, (_, value)| sum + value.len());
                    if self.attributes.len() >= MAX_ATTRIBUTES || sum > MAX_ATTRIBUTE_BYTES {
                        return Err(Failure::invalid("an entry in the archive has too many extended attributes"));
                    }
                    self.attributes.push((attribute.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn bad() -> Failure {
    Failure::invalid("the archive is damaged: an extended header cannot be read")
}

/// Key and value of the first record, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(21).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..blank]).ok()?).ok()?;
    if length > bytes.len() || length < blank + 3 || bytes[length - 1] != b'\n' {
        return None;
    }
    let body = &bytes[blank + 1..length - 1];
    let equals = body.iter().position(|byte| *byte == b'=')?;
    if equals == 0 {
        return None;
    }
    Some((&body[..equals], &body[equals + 1..], &bytes[length..]))
}

pub fn decimal(digits: &[u8]) -> Result<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return Err(bad());
    }
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => Ok(value * 10 + u64::from(digit - b'0')),
        _ => Err(bad()),
    })
}

/// An empty value takes back what was said before.
fn name(value: &[u8]) -> Result<Option<Vec<u8>>> {
    if value.contains(&0) {
        return Err(bad());
    }
    Ok(if value.is_empty() { None } else { Some(value.to_vec()) })
}

fn id(value: &[u8]) -> Result<Option<u32>> {
    if value.is_empty() {
        return Ok(None);
    }
    match u32::try_from(decimal(value)?) {
        Ok(id) if id != u32::MAX => Ok(Some(id)),
        _ => Err(Failure::invalid("an owner in the archive is no id")),
    }
}

/// Seconds with a fraction of any length; beyond nanoseconds it is cut off.
fn time(value: &[u8]) -> Result<Option<Time>> {
    if value.is_empty() {
        return Ok(None);
    }
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let dot = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let whole = i64::try_from(decimal(&digits[..dot])?).map_err(|_| bad())?;
    let fraction = digits.get(dot + 1..).unwrap_or(b"");
    let mut nanoseconds = 0;
    for at in 0..9 {
        let digit = match fraction.get(at) {
            None => 0,
            Some(digit @ b'0'..=b'9') => u32::from(digit - b'0'),
            Some(_) => return Err(bad()),
        };
        nanoseconds = nanoseconds * 10 + digit;
    }
    Ok(Some(match (negative, nanoseconds) {
        (false, _) => Time { seconds: whole, nanoseconds },
        (true, 0) => Time { seconds: -whole, nanoseconds },
        (true, _) => Time { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    }))
}

/// Numbers with commas between them.
fn numbers(value: &[u8]) -> Result<Vec<u64>> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    value.split(|byte| *byte == b',').map(decimal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &[u8]) -> Result<Pax> {
        let mut pax = Pax::default();
        pax.read(records, false)?;
        Ok(pax)
    }

    #[test]
    fn records_are_read() {
        let pax = read(b"12 path=abc\n20 mtime=1700000.25\n10 uid=70\n32 SCHILY.xattr.user.a=b\nc=d\0ef\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"abc"[..]));
        assert_eq!(pax.uid, Some(70));
        assert_eq!(pax.modified, Some(Time { seconds: 1_700_000, nanoseconds: 250_000_000 }));
        assert_eq!(pax.attributes, vec![(b"user.a".to_vec(), b"b\nc=d\0ef".to_vec())]);
    }

    #[test]
    fn times_before_1970_count_down() {
        assert_eq!(time(b"-1.25").unwrap(), Some(Time { seconds: -2, nanoseconds: 750_000_000 }));
        assert_eq!(time(b"-3").unwrap(), Some(Time { seconds: -3, nanoseconds: 0 }));
        assert_eq!(time(b"0.1234567899").unwrap(), Some(Time { seconds: 0, nanoseconds: 123_456_789 }));
    }

    #[test]
    fn the_last_of_two_holds_and_an_empty_one_takes_back() {
        assert_eq!(read(b"10 path=a\n10 path=b\n").unwrap().path.as_deref(), Some(&b"b"[..]));
        assert_eq!(read(b"10 path=a\n8 path=\n").unwrap().path, None);
    }

    #[test]
    fn broken_records_are_refused() {
        for records in [
            &b"13 path=abc\n"[..],
            b"11 path=abc\n",
            b"path=abc\n",
            b"4 =\n",
            b"5 ab\n",
            b"99999999999999999999 a=b\n",
            b"0 a=b\n",
            b"12 path=a\0c\n",
            b"19 uid=4294967295\n",
            b"8 uid=-1\n",
            b"11 mtime=.\n",
            b"23 GNU.sparse.offset=1\n23 GNU.sparse.offset=1\n",
        ] {
            assert!(read(records).is_err(), "{:?}", String::from_utf8_lossy(records));
        }
    }
}
