//! What goes wrong, in words for whoever reads the console.

use crate::sys::{self, Errno};

/// One line of text.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure(pub String);

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }

    pub fn system(tried: &str, error: Errno) -> Failure {
        Failure(format!("cannot {tried}: {}", error.text()))
    }
}

/// Says what a call of the kernel was made for.
pub trait Tried<T> {
    fn tried(self, what: &str) -> Result<T>;
}

impl<T> Tried<T> for sys::Result<T> {
    fn tried(self, what: &str) -> Result<T> {
        self.map_err(|error| Failure::system(what, error))
    }
}
