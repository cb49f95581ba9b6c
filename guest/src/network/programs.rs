//! Running the programs that do the work.

use std::ffi::CString;
use std::io;
use std::os::unix::io::{AsRawFd, RawFd};
use std::ptr;

use crate::sys::host::reset_signals;
use crate::sys::namespace::{enter, CLONE_NEWNET};
use crate::sys::{self, c, memfd};

/// Above every descriptor that is given to a program, and above the namespace.
const ASIDE: RawFd = 210;

/// Starts a program that ends with this one. `placed`: descriptors and the numbers it finds them at, 0 for stdin.
pub fn start(argv: &[&str], namespace: Option<RawFd>, placed: &[(RawFd, RawFd)]) -> io::Result<i32> {
    let words: Vec<CString> =
        argv.iter().map(|word| CString::new(*word)).collect::<Result<_, _>>().map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(ptr::null());
    let none = [ptr::null()];
    let pid = sys::check(unsafe { c::fork() }).map_err(to_io)?;
    if pid != 0 {
        return Ok(pid);
    }
    let ready = (|| {
        reset_signals();
        sys::check(unsafe { c::prctl(c::PR_SET_PDEATHSIG, c::SIGKILL as c::ULong) }).map_err(to_io)?;
        if let Some(namespace) = namespace {
            enter(namespace, CLONE_NEWNET)?;
        }
        let lift = |fd: RawFd| sys::own(unsafe { c::fcntl(fd, c::F_DUPFD_CLOEXEC, ASIDE) });
        let lifted: Vec<_> = placed.iter().map(|(fd, _)| lift(*fd)).collect::<sys::Result<_>>().map_err(to_io)?;
        sys::cloexec_from(3).map_err(to_io)?;
        for (fd, (_, target)) in lifted.iter().zip(placed) {
            sys::check(unsafe { c::dup2(fd.as_raw_fd(), *target) }).map_err(to_io)?;
        }
        unsafe { c::execve(pointers[0], pointers.as_ptr(), none.as_ptr()) };
        Err::<(), _>(io::Error::last_os_error())
    })();
    if let Err(error) = ready {
        eprintln!("execute {}: {}", argv[0], error);
    }
    unsafe { c::_exit(127) }
}

/// Runs a program in the namespace to its end, with this on its stdin. Anything but success is an error.
pub fn run(argv: &[&str], namespace: RawFd, input: &[u8]) -> io::Result<()> {
    let name = sys::c_string(b"cove").map_err(to_io)?;
    let file = memfd::sealed(&name, input)?;
    let pid = start(argv, Some(namespace), &[(file.as_raw_fd(), 0)])?;
    let mut status = 0;
    sys::retry(|| sys::check(unsafe { c::waitpid(pid, &mut status, 0) })).map_err(to_io)?;
    match status {
        0 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::Other, format!("{} failed", argv[0]))),
    }
}

pub fn to_io(error: sys::Errno) -> io::Error {
    io::Error::from_raw_os_error(error.0)
}
