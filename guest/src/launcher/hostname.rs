//! Gives a machine that was made ahead the name of whoever takes it.

use super::fault::Fault;
use super::procs;
use super::record::ProcessKey;
use crate::sys::machine::set_hostname;
use crate::sys::namespace::{enter, CLONE_NEWUTS};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::io::AsRawFd;

/// In the host name space of that process, which must not be the host's own. Only this thread goes there, and back.
pub fn set(pid: u64, start: u64, name: &str) -> Result<(), Fault> {
    let key = ProcessKey { pid: i32::try_from(pid).unwrap_or(0), start };
    if key.pid == 0 || name.is_empty() || name.len() > 64 || name.contains('\0') {
        return Err(Fault::invalid("a process, and a host name of 1 to 64 bytes"));
    }
    let open = |path: String| File::open(&path).map_err(|error| Fault::at(format_args!("open {}", path), &error));
    let (own, target) = (open("/proc/thread-self/ns/uts".into())?, open(format!("/proc/{}/ns/uts", pid))?);
    // What is open is its own for ever; its pid may have come to mean another one before that.
    if !procs::alive(key) {
        return Err(Fault::new("wrong-state", "the process has ended"));
    }
    let inode = |file: &File| file.metadata().map(|data| data.ino()).ok();
    if inode(&own) == inode(&target) {
        return Err(Fault::new("wrong-state", "the process has the host's own name"));
    }
    enter(target.as_raw_fd(), CLONE_NEWUTS).map_err(|error| Fault::at("enter the host name space", &error))?;
    let done = set_hostname(name.as_bytes());
    enter(own.as_raw_fd(), CLONE_NEWUTS).map_err(|error| Fault::at("leave the host name space", &error))?;
    done.map_err(|error| Fault::at("set the host name", &std::io::Error::from_raw_os_error(error.0)))
}
