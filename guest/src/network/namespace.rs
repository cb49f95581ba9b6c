//! Making the namespace. It belongs to the user namespace of the keeper, in which nobody of the machine has any
//! capability: whatever root does inside, it cannot change what is set here.

use std::fs;
use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd};

use crate::sys::namespace::{raise_loopback, unshare, CLONE_NEWNET};
use crate::sys::{self, c, host};

/// Settings of the namespace; those that a kernel does not have are no loss of safety.
const SETTINGS: [(&str, &str); 8] = [
    // Nobody in the machine has the capability that low ports would need.
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
    // A host that forwards makes namespaces that forward.
    ("ipv4/ip_forward", "0"),
    ("ipv6/conf/all/forwarding", "0"),
    ("ipv4/conf/all/route_localnet", "0"),
    // There is nobody to have the same address: it need not be tried out, and is there at once.
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv6/conf/default/router_solicitation_delay", "0"),
];

/// A new namespace, with nothing but its own loopback. This process itself stays where it is.
pub fn make() -> io::Result<OwnedFd> {
    let pipe = || sys::pipe(0).map_err(|error| io::Error::from_raw_os_error(error.0));
    let ((wait, go), (ready, tell)) = (pipe()?, pipe()?);
    let pid = sys::check(unsafe { c::fork() }).map_err(|error| io::Error::from_raw_os_error(error.0))?;
    if pid == 0 {
        unsafe { c::close(go.as_raw_fd()) };
        let errno = set_up().err().map_or(0, |error| error.raw_os_error().unwrap_or(c::EIO));
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
            0 => Ok(fs::File::open(format!("/proc/{}/ns/net", pid))?.into()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    })();
    drop(go);
    host::reap(pid);
    made
}

fn set_up() -> io::Result<()> {
    unshare(CLONE_NEWNET)?;
    raise_loopback()?;
    for (name, value) in SETTINGS {
        let path = format!("/proc/sys/net/{}", name);
        if fs::write(&path, value).is_err() && name.ends_with("ping_group_range") {
            // Groups that are not known here cannot be named.
            let _ = fs::write(&path, "0 0");
        }
    }
    Ok(())
}
