//! Processes and signals.

use super::{c, check, own, retry, Result};
use std::ffi::CString;
use std::os::unix::io::OwnedFd;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    Signaled(i32),
}

pub fn id() -> c::Pid {
    unsafe { c::getpid() }
}

/// A program to start, its arguments and variables ready for the kernel.
pub struct Program {
    path: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    pub fn new(path: &str, argv: &[String], env: &[&str]) -> Result<Program> {
        let all = |texts: &mut dyn Iterator<Item = &str>| texts.map(super::c_string).collect::<Result<Vec<_>>>();
        Ok(Program {
            path: super::c_string(path)?,
            argv: all(&mut argv.iter().map(String::as_str))?,
            env: all(&mut env.iter().copied())?,
        })
    }

    /// Becomes the program; comes back only with the reason why not.
    pub fn become_it(&self) -> super::Errno {
        let pointers =
            |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
        let (argv, env) = (pointers(&self.argv), pointers(&self.env));
        unsafe { c::execve(self.path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        super::Errno::last()
    }
}

const STACK: usize = 256 * 1024;

#[repr(align(16))]
struct Entry<'a> {
    run: &'a mut dyn FnMut(),
}

extern "C" fn enter(entry: *mut c::Void) -> c::Int {
    let entry = unsafe { &mut *entry.cast::<Entry<'_>>() };
    (entry.run)();
    // What should have become a program has not.
    127
}

/// Starts a process that shares this one's memory until it becomes a program; meanwhile this one stands still. What
/// `run` leaves in memory is seen here. `flags` are those of clone(2), for new namespaces.
pub fn start(flags: c::Int, run: &mut dyn FnMut()) -> Result<c::Pid> {
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / 16);
    let mut entry = Entry { run };
    let flags = flags | c::CLONE_VM | c::CLONE_VFORK | c::SIGCHLD;
    check(unsafe {
        let top = stack.as_mut_ptr().add(STACK / 16);
        c::clone(enter, top.cast(), flags, (&mut entry as *mut Entry<'_>).cast())
    })
}

/// An ended child, reaped. None: no child has ended.
pub fn reap() -> Option<(c::Pid, End)> {
    wait(-1, c::WNOHANG)
}

/// Waits for a child to end.
pub fn wait_for(pid: c::Pid) -> End {
    wait(pid, 0).map_or(End::Exited(0), |(_, end)| end)
}

fn wait(pid: c::Pid, options: c::Int) -> Option<(c::Pid, End)> {
    let mut status = 0;
    match retry(|| check(unsafe { c::waitpid(pid, &mut status, options) })) {
        Ok(0) | Err(_) => None,
        Ok(pid) => Some((pid, end_of(status))),
    }
}

fn end_of(status: c::Int) -> End {
    match status & 0x7f {
        0 => End::Exited(status >> 8 & 0xff),
        signal => End::Signaled(signal),
    }
}

pub fn send(pid: c::Pid, signal: c::Int) -> Result<()> {
    check(unsafe { c::kill(pid, signal) }).map(drop)
}

pub fn new_session() {
    unsafe { c::setsid() };
}

/// A descriptor that is readable when a child has ended.
pub fn ended_children() -> Result<OwnedFd> {
    let mut set = c::SigSet { bits: [0; 16] };
    set.bits[0] = 1 << (c::SIGCHLD - 1);
    check(unsafe { c::sigprocmask(c::SIG_SETMASK, &set, std::ptr::null_mut()) })?;
    own(unsafe { c::signalfd(-1, &set, c::O_NONBLOCK | c::O_CLOEXEC) })
}

/// Blocks no signal, as a program expects to be started.
pub fn unblock_signals() {
    let empty = c::SigSet { bits: [0; 16] };
    unsafe { c::sigprocmask(c::SIG_SETMASK, &empty, std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_a_process_ended() {
        assert_eq!(end_of(0), End::Exited(0));
        assert_eq!(end_of(7 << 8), End::Exited(7));
        assert_eq!(end_of(9), End::Signaled(9));
        assert_eq!(end_of(11 | 0x80), End::Signaled(11));
    }

    #[test]
    fn shares_its_memory_with_what_it_starts() {
        let mut seen = 0;
        let pid = start(0, &mut || seen = 5).unwrap();
        assert_eq!(wait_for(pid), End::Exited(127));
        assert_eq!(seen, 5);
    }

    #[test]
    fn starts_programs() {
        let program = Program::new("/bin/sh", &["sh".into(), "-c".into(), "exit $CODE".into()], &["CODE=6"]).unwrap();
        let pid = start(0, &mut || assert_ne!(program.become_it(), crate::sys::Errno(0))).unwrap();
        assert_eq!(wait_for(pid), End::Exited(6));
    }
}
