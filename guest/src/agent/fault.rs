//! What went wrong, in the words of the protocol.

use crate::fields::{FieldError, Writer};
use crate::sys::process::{SpawnError, Stage};
use crate::sys::{c, Errno};

/// An error that a `CLOSE` carries: a code of Cove's registry, a sentence, and the kernel's number where it has one.
#[derive(Clone, Debug)]
pub struct Fault {
    pub code: &'static str,
    pub message: String,
    pub errno: Option<i32>,
}

pub type Answer<T> = Result<T, Fault>;

impl Fault {
    pub fn new(code: &'static str, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), errno: None }
    }

    pub fn invalid(message: impl Into<String>) -> Fault {
        Fault::new("invalid-argument", message)
    }

    /// A failed call on a path.
    pub fn at(path: &[u8], errno: Errno) -> Fault {
        let mut fault = Fault::from(errno);
        fault.message = format!("{}: {}", String::from_utf8_lossy(path), fault.message);
        fault
    }

    pub fn fields(&self) -> Writer {
        let writer = Writer::new().text(1, self.code).text(2, &self.message);
        match self.errno {
            Some(errno) => writer.number(3, errno as u64),
            None => writer,
        }
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        let code = match errno.0 {
            c::ENOENT => "file-not-found",
            c::EEXIST => "file-exists",
            c::ENOTDIR => "not-a-directory",
            c::EISDIR => "is-a-directory",
            c::ENOTEMPTY => "directory-not-empty",
            c::EACCES | c::EPERM | c::EROFS => "file-permission-denied",
            c::ENAMETOOLONG => "path-invalid",
            c::ELOOP => "symlink-loop",
            c::ENOSPC | c::EDQUOT => "no-space",
            c::ECONNREFUSED | c::ECONNRESET | c::EHOSTUNREACH | c::ENETUNREACH | c::ETIMEDOUT => "connection-refused",
            c::EMFILE | c::ENFILE | c::EAGAIN | c::ENOMEM => "limit-reached",
            c::EINVAL => "invalid-argument",
            _ => "io-error",
        };
        Fault { code, message: errno.text(), errno: Some(errno.0) }
    }
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Fault {
        Fault::invalid(error.message())
    }
}

/// Why a process did not start. `program` and `cwd` are as they were asked for.
pub fn start_fault(error: SpawnError, program: &[u8], cwd: &[u8]) -> Fault {
    let errno = error.errno;
    let mut fault = match error.stage {
        Stage::Program => {
            let mut fault = Fault::at(program, errno);
            fault.code = match errno.0 {
                c::ENOENT | c::ENOTDIR => "command-not-found",
                c::EACCES | c::EPERM => "file-permission-denied",
                c::E2BIG => "invalid-argument",
                _ => "io-error",
            };
            fault
        }
        Stage::Directory => Fault::at(cwd, errno),
        Stage::Fork => {
            let mut fault = Fault::from(errno);
            fault.message = format!("no new process: {}", fault.message);
            fault
        }
        Stage::Cgroup | Stage::Terminal | Stage::Streams | Stage::Identity => {
            let mut fault = Fault::from(errno);
            fault.code = "io-error";
            fault.message = format!("the process could not be set up ({:?}): {}", error.stage, fault.message);
            fault
        }
    };
    fault.errno = Some(errno.0);
    fault
}
