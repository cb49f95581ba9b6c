//! User namespaces with a range of ids. Making one costs a fork, so they are kept per range: a sandbox that comes
//! after another with the same range gets the same namespace.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

use crate::sys::namespace::fork_into_user_namespace;
use crate::sys::{self, c, host};

/// Namespaces kept at most; each costs a few kilobytes of kernel memory.
const KEPT: usize = 512;

#[derive(Default)]
pub struct UserNamespaces {
    kept: HashMap<(u32, u32), (OwnedFd, u64)>,
    clock: u64,
}

impl UserNamespaces {
    /// A descriptor of a namespace where 0..count-1 is base..base+count-1 outside; it stays owned by the pool.
    pub fn get(&mut self, base: u32, count: u32) -> io::Result<RawFd> {
        self.clock += 1;
        if !self.kept.contains_key(&(base, count)) {
            if self.kept.len() >= KEPT {
                if let Some(oldest) = self.kept.iter().min_by_key(|(_, (_, used))| *used).map(|(range, _)| *range) {
                    self.kept.remove(&oldest);
                }
            }
            self.kept.insert((base, count), (make(base, count)?, 0));
        }
        match self.kept.get_mut(&(base, count)) {
            Some((namespace, used)) => {
                *used = self.clock;
                Ok(namespace.as_raw_fd())
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn make(base: u32, count: u32) -> io::Result<OwnedFd> {
    let (wait, go) = sys::pipe(0).map_err(|error| io::Error::from_raw_os_error(error.0))?;
    let pid = fork_into_user_namespace()?;
    if pid == 0 {
        // The other end closes when the launcher is done, or dead.
        unsafe { c::close(go.as_raw_fd()) };
        let _ = sys::read(wait.as_raw_fd(), &mut [0]);
        unsafe { c::_exit(0) };
    }
    let made = (|| {
        let map = format!("0 {} {}\n", base, count);
        fs::write(format!("/proc/{}/uid_map", pid), &map)?;
        fs::write(format!("/proc/{}/gid_map", pid), &map)?;
        Ok(fs::File::open(format!("/proc/{}/ns/user", pid))?.into())
    })();
    drop(go);
    host::reap(pid);
    made
}
