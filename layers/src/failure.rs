//! Why it did not work, in a word for programs and a sentence for people.

use crate::json;
use crate::sys::{c, Errno};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The archive is damaged, hostile, or larger than it may be.
    Invalid,
    NoSpace,
    Io,
    Unsupported,
    /// The program was called wrongly.
    Usage,
}

#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    /// Of the entry, as the archive or the tree has it.
    pub path: Option<Vec<u8>>,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), path: None }
    }

    pub fn invalid(message: impl Into<String>) -> Failure {
        Failure::new(Code::Invalid, message)
    }

    /// What the kernel said to a call that is described as in "cannot … ".
    pub fn system(doing: &str, error: Errno) -> Failure {
        let code = match error {
            Errno(c::ENOSPC | c::EDQUOT) => Code::NoSpace,
            Errno(c::ENAMETOOLONG) => Code::Invalid,
            _ => Code::Io,
        };
        Failure::new(code, format!("cannot {}: {}", doing, error.text()))
    }

    /// Names the entry, unless something nearer to it has.
    pub fn at(mut self, path: &[u8]) -> Failure {
        if self.path.is_none() {
            self.path = Some(path.to_vec());
        }
        self
    }

    /// One line of JSON.
    pub fn line(&self) -> String {
        let code = match self.code {
            Code::Invalid => "image-invalid",
            Code::NoSpace => "no-space",
            Code::Io => "io-error",
            Code::Unsupported => "unsupported",
            Code::Usage => "invalid-argument",
        };
        let shown = self.path.as_ref().map(|path| String::from_utf8_lossy(path).into_owned());
        let message = match &shown {
            Some(path) => format!("{}: {}", json::shorten(path), self.message),
            None => self.message.clone(),
        };
        let mut line = format!("{{\"code\":\"{}\",\"message\":{}", code, json::text(&message));
        if let Some(path) = shown {
            line.push_str(&format!(",\"path\":{}", json::text(&path)));
        }
        line.push('}');
        line
    }
}

/// Says what was tried when the kernel refuses.
pub trait Tried<T> {
    fn tried(self, doing: &str) -> Result<T>;
}

impl<T> Tried<T> for std::result::Result<T, Errno> {
    fn tried(self, doing: &str) -> Result<T> {
        self.map_err(|error| Failure::system(doing, error))
    }
}
