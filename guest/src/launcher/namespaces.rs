//! User namespaces with a range of ids. Making one costs a fork, so they are kept per range: a sandbox that comes
//! after another with the same range gets the same namespace.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

use crate::sys::namespace::{unshare, CLONE_NEWUSER};
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
    let pipe = || sys::pipe(0).map_err(|error| io::Error::from_raw_os_error(error.0));
    let ((wait, go), (ready, tell)) = (pipe()?, pipe()?);
    let pid = sys::check(unsafe { c::fork() }).map_err(|error| io::Error::from_raw_os_error(error.0))?;
    if pid == 0 {
        // The other end closes when the launcher is done, or dead.
        unsafe { c::close(go.as_raw_fd()) };
        let errno = unshare_as(base).err().and_then(|error| error.raw_os_error()).unwrap_or(0);
        let _ = sys::write(tell.as_raw_fd(), &errno.to_ne_bytes());
        let _ = sys::read(wait.as_raw_fd(), &mut [0]);
        unsafe { c::_exit(0) };
    }
    drop(tell);
    let made = (|| {
        let mut errno = [0; 4];
        if sys::read(ready.as_raw_fd(), &mut errno) != Ok(errno.len()) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match i32::from_ne_bytes(errno) {
            0 => {}
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
        let map = format!("0 {} {}\n", base, count);
        fs::write(format!("/proc/{}/uid_map", pid), &map)?;
        fs::write(format!("/proc/{}/gid_map", pid), &map)?;
        Ok(fs::File::open(format!("/proc/{}/ns/user", pid))?.into())
    })();
    drop(go);
    host::reap(pid);
    made
}

/// What is used inside, such as inotify instances, the kernel counts for the maker of the namespace as well. As the
/// first user of the range it is counted for nobody else: made by root, all sandboxes would share what root may use.
fn unshare_as(base: u32) -> io::Result<()> {
    let keep = -1 as c::Long;
    sys::check_long(unsafe { c::syscall(c::SYS_SETRESUID, keep, base as c::Long, keep) })
        .and_then(|_| sys::machine::raise_capabilities())
        .map_err(|error| io::Error::from_raw_os_error(error.0))?;
    unshare(CLONE_NEWUSER)
}
