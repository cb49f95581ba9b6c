//! Why a request failed, as it is told to the caller.

use std::fmt::Display;
use std::io;

use crate::sys::c::{EACCES, EDQUOT, EEXIST, ENOSPC, EPERM};
use crate::sys::Errno;

const EADDRINUSE: i32 = 98;

#[derive(Debug)]
pub struct Fault {
    /// A code of Cove's error registry.
    pub code: &'static str,
    pub message: String,
    /// 0 when no system call failed.
    pub errno: i32,
}

impl Fault {
    pub fn new(code: &'static str, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), errno: 0 }
    }

    pub fn invalid(message: impl Into<String>) -> Fault {
        Fault::new("invalid-argument", message)
    }

    /// A system call that failed at a step of the work, such as "mkdir /x".
    pub fn at(step: impl Display, error: &io::Error) -> Fault {
        match error.raw_os_error() {
            Some(errno) => Fault::from_errno(step, errno, Errno(errno).text()),
            None => Fault::from_errno(step, 0, error),
        }
    }

    pub fn from_errno(step: impl Display, errno: i32, error: impl Display) -> Fault {
        let code = match errno {
            EPERM | EACCES => "permission-denied",
            ENOSPC | EDQUOT => "no-space",
            EEXIST | EADDRINUSE => "already-exists",
            _ => "driver-failed",
        };
        Fault { code, message: format!("{}: {}", step, error), errno }
    }
}

/// Adds the step to the error of a system call.
pub trait AtStep<T> {
    fn at<S: Display>(self, step: impl FnOnce() -> S) -> Result<T, Fault>;
}

impl<T> AtStep<T> for io::Result<T> {
    fn at<S: Display>(self, step: impl FnOnce() -> S) -> Result<T, Fault> {
        self.map_err(|error| Fault::at(step(), &error))
    }
}

impl<T> AtStep<T> for Result<T, Errno> {
    fn at<S: Display>(self, step: impl FnOnce() -> S) -> Result<T, Fault> {
        self.map_err(|error| Fault::from_errno(step(), error.0, error.text()))
    }
}
