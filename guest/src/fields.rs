//! The fields of a control frame: `tag` u8, `length` u32, value. Readers skip tags that they do not know.

/// The tag of `OPEN` that names the operation.
pub const OPERATION: u8 = 1;
/// The tag of `OPEN` that carries the receive window.
pub const WINDOW_TAG: u8 = 250;
/// Bytes in front of every value.
pub const OVERHEAD: usize = 5;

/// Why a payload is not a list of fields, or a value is not of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The payload ends inside a field.
    Cut,
    /// A number that is not 8 bytes.
    Number(u8),
    /// A truth that is neither 0 nor 1.
    Truth(u8),
    /// A text that is not UTF-8.
    Text(u8),
}

impl FieldError {
    #[cfg(any(test, fuzzing))]
    pub fn name(self) -> &'static str {
        match self {
            FieldError::Cut => "cut",
            FieldError::Number(_) => "number",
            FieldError::Truth(_) => "truth",
            FieldError::Text(_) => "text",
        }
    }

    pub fn message(self) -> String {
        match self {
            FieldError::Cut => String::from("the list of fields is cut off"),
            FieldError::Number(tag) => format!("field {} is not a number of 8 bytes", tag),
            FieldError::Truth(tag) => format!("field {} is neither 0 nor 1", tag),
            FieldError::Text(tag) => format!("field {} is not UTF-8", tag),
        }
    }
}

/// A payload whose outline has been checked: every field lies inside it.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Walks once over all fields, so that the getters cannot run over the end.
    pub fn parse(bytes: &'a [u8]) -> Result<Fields<'a>, FieldError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if rest.len() < OVERHEAD {
                return Err(FieldError::Cut);
            }
            let length = u32::from_be_bytes([rest[1], rest[2], rest[3], rest[4]]) as usize;
            if rest.len() - OVERHEAD < length {
                return Err(FieldError::Cut);
            }
            rest = &rest[OVERHEAD + length..];
        }
        Ok(Fields { bytes })
    }

    /// All fields in order.
    pub fn iter(&self) -> Iter<'a> {
        Iter { rest: self.bytes }
    }

    /// The values of a repeated field in order.
    pub fn all(&self, tag: u8) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// The last value of this tag: what comes later replaces what came before.
    pub fn bytes(&self, tag: u8) -> Option<&'a [u8]> {
        self.all(tag).last()
    }

    pub fn number(&self, tag: u8) -> Result<Option<u64>, FieldError> {
        match self.bytes(tag) {
            None => Ok(None),
            Some(value) if value.len() == 8 => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(value);
                Ok(Some(u64::from_be_bytes(bytes)))
            }
            Some(_) => Err(FieldError::Number(tag)),
        }
    }

    /// Absent is false.
    pub fn truth(&self, tag: u8) -> Result<bool, FieldError> {
        match self.number(tag)? {
            None | Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => Err(FieldError::Truth(tag)),
        }
    }

    pub fn text(&self, tag: u8) -> Result<Option<&'a str>, FieldError> {
        match self.bytes(tag) {
            None => Ok(None),
            Some(value) => std::str::from_utf8(value).map(Some).map_err(|_| FieldError::Text(tag)),
        }
    }

    /// A nested list.
    pub fn nested(&self, tag: u8) -> Result<Option<Fields<'a>>, FieldError> {
        self.bytes(tag).map(Fields::parse).transpose()
    }
}

pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        if self.rest.len() < OVERHEAD {
            return None;
        }
        let tag = self.rest[0];
        let length = u32::from_be_bytes([self.rest[1], self.rest[2], self.rest[3], self.rest[4]]) as usize;
        let (value, rest) = self.rest[OVERHEAD..].split_at(length);
        self.rest = rest;
        Some((tag, value))
    }
}

/// Writes fields.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn new() -> Writer {
        Writer::default()
    }

    pub fn bytes(mut self, tag: u8, value: &[u8]) -> Writer {
        self.put(tag, value);
        self
    }

    pub fn text(self, tag: u8, value: &str) -> Writer {
        self.bytes(tag, value.as_bytes())
    }

    pub fn number(self, tag: u8, value: u64) -> Writer {
        self.bytes(tag, &value.to_be_bytes())
    }

    pub fn truth(self, tag: u8, value: bool) -> Writer {
        self.number(tag, value as u64)
    }

    #[cfg(test)]
    pub fn nested(self, tag: u8, value: Writer) -> Writer {
        self.bytes(tag, &value.bytes)
    }

    /// The same as `bytes`, for loops.
    pub fn put(&mut self, tag: u8, value: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(value);
    }

    pub fn put_number(&mut self, tag: u8, value: u64) {
        self.put(tag, &value.to_be_bytes());
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
