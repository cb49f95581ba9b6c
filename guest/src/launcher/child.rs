//! From fork to exec: what the new process does to itself. It reports the first step that fails and ends.

use std::fs;
use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use super::mounts::{self, Failure};
use super::network::Network;
use super::spec::{Spec, UserNamespace};
use crate::sys::namespace::{become_root, enter, unshare, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER};
use crate::sys::{self, c, host, Errno};

/// Everything that the launcher opened for the child.
pub struct Inherited {
    /// Descriptors and the numbers that the program finds them at.
    pub placed: Vec<(OwnedFd, RawFd)>,
    /// Open for writing: "0" joins.
    pub cgroups: Vec<OwnedFd>,
    /// Becomes stdin, stdout and stderr.
    pub stdio: [OwnedFd; 3],
    /// Exec is allowed when a byte arrives, and forbidden when it ends without one.
    pub gate: OwnedFd,
    /// Ends without a byte when exec has happened.
    pub status: OwnedFd,
    pub user_namespace: Option<RawFd>,
    pub network: Option<Network>,
    /// Limit of descriptors as the launcher found it.
    pub descriptors: c::rlimit_t,
}

/// First byte of a report: exec itself failed, the program could not be run.
pub const EXEC_FAILED: u8 = 1;
/// Any other step failed.
pub const STEP_FAILED: u8 = 2;
/// Longest report; short enough for one atomic write.
pub const MAX_REPORT: usize = 2048;
pub const RLIMIT_NOFILE: i32 = 7;
const FIRST_FREE_FD: RawFd = 256;

/// Never returns: it is another program afterwards, or has ended. `strange` are copies of what only the launcher may
/// hold: its lock, its sockets, and the other end of the gate. All must end with the launcher, also when this process is
/// stopped before exec and stays so: nobody must wait for an answer from it.
pub fn run(spec: &Spec, inherited: Inherited, strange: &[RawFd]) -> ! {
    for fd in strange {
        unsafe { c::close(*fd) };
    }
    // Above all numbers that are placed later, so that a report arrives whatever fails.
    let (status, gate) = match (lift(&inherited.status), lift(&inherited.gate)) {
        (Ok(status), Ok(gate)) => (status, gate),
        (_, Err((step, error))) | (Err((step, error)), _) => {
            report(inherited.status.as_raw_fd(), STEP_FAILED, &step, &error);
            unsafe { c::_exit(126) };
        }
    };
    if let Err((step, error)) = prepare(spec, &inherited) {
        report(status.as_raw_fd(), STEP_FAILED, &step, &error);
        unsafe { c::_exit(126) };
    }
    match exec(spec, &gate) {
        Some(error) => report(status.as_raw_fd(), EXEC_FAILED, &spec.argv[0].to_string_lossy(), &error),
        None => report(status.as_raw_fd(), STEP_FAILED, "wait for the launcher", &io::ErrorKind::BrokenPipe.into()),
    }
    unsafe { c::_exit(127) };
}

fn lift(fd: &OwnedFd) -> Result<OwnedFd, Failure> {
    name("move a descriptor", host::duplicate_above(fd, FIRST_FREE_FD))
}

fn prepare(spec: &Spec, inherited: &Inherited) -> Result<(), Failure> {
    host::reset_signals();
    unsafe {
        c::umask(0o022);
        c::setsid();
    }
    for group in &inherited.cgroups {
        name("join a cgroup", sys::write(group.as_raw_fd(), b"0"))?;
    }
    if let Some(value) = spec.oom_score_adj {
        step("set oom_score_adj", fs::write("/proc/self/oom_score_adj", value.to_string()))?;
    }
    let prepared = mounts::prepare(&spec.mounts, inherited.user_namespace)?;
    match (&inherited.network, spec.user_namespace) {
        // Whoever has ids of nobody else's enters with the launcher's rights, and has none there afterwards.
        (Some(network), Some(UserNamespace::Range { .. })) => {
            step("enter the network", enter(network.namespace.as_raw_fd(), CLONE_NEWNET))?;
            enter_user_namespace(spec.user_namespace, inherited.user_namespace)?;
        }
        // An ordinary user has rights only where the network was made.
        (Some(network), _) => {
            if let Some(users) = &network.users {
                step("enter the network's user namespace", enter(users.as_raw_fd(), CLONE_NEWUSER))?;
            }
            step("enter the network", enter(network.namespace.as_raw_fd(), CLONE_NEWNET))?;
        }
        (None, wanted) => enter_user_namespace(wanted, inherited.user_namespace)?,
    }
    if !spec.mounts.is_empty() {
        step("make a mount namespace", unshare(CLONE_NEWNS))?;
        mounts::make(&spec.mounts, prepared)?;
    }
    for write in &spec.writes {
        let file = fs::OpenOptions::new().write(true).create(true).open(&write.path);
        let written = file.and_then(|mut file| io::Write::write_all(&mut file, write.text.as_bytes()));
        written.map_err(|error| (format!("write {}", write.path), error))?;
    }
    let cwd = spec.cwd.as_deref().unwrap_or("/");
    std::env::set_current_dir(cwd).map_err(|error| (format!("change to {}", cwd), error))?;
    place(inherited)?;
    let descriptors = sys::check(unsafe { c::setrlimit(RLIMIT_NOFILE, &inherited.descriptors) });
    name("set the limit of descriptors", descriptors)?;
    // Last, for a low limit of descriptors would be in the way of placing them.
    for limit in &spec.limits {
        set_limit(limit.resource, limit.soft, limit.hard)?;
    }
    Ok(())
}

/// Never raises a hard limit beyond what this process has.
fn set_limit(resource: i32, soft: u64, hard: u64) -> Result<(), Failure> {
    let mut current = c::rlimit_t { soft: 0, hard: 0 };
    name("read a resource limit", sys::check(unsafe { c::getrlimit(resource, &mut current) }))?;
    let hard = hard.min(current.hard);
    let wanted = c::rlimit_t { soft: soft.min(hard), hard };
    name("set a resource limit", sys::check(unsafe { c::setrlimit(resource, &wanted) })).map(drop)
}

fn enter_user_namespace(wanted: Option<UserNamespace>, range: Option<RawFd>) -> Result<(), Failure> {
    match wanted {
        None => Ok(()),
        Some(UserNamespace::Range { .. }) => {
            if let Some(namespace) = range {
                step("enter the user namespace", enter(namespace, CLONE_NEWUSER))?;
            }
            step("become the mapped root", become_root())
        }
        Some(UserNamespace::Own { uid, gid }) => {
            let (outer_uid, outer_gid) = unsafe { (c::geteuid(), c::getgid()) };
            step("make a user namespace", unshare(CLONE_NEWUSER))?;
            step("deny setgroups", fs::write("/proc/self/setgroups", "deny"))?;
            step("write the uid map", fs::write("/proc/self/uid_map", format!("{} {} 1\n", uid, outer_uid)))?;
            step("write the gid map", fs::write("/proc/self/gid_map", format!("{} {} 1\n", gid, outer_gid)))
        }
    }
}

/// Puts every descriptor at its number; all others are closed on exec.
fn place(inherited: &Inherited) -> Result<(), Failure> {
    let mut lifted = Vec::new();
    for (target, fd) in inherited.stdio.iter().enumerate() {
        lifted.push((lift(fd)?, target as RawFd));
    }
    for (fd, target) in &inherited.placed {
        lifted.push((lift(fd)?, *target));
    }
    name("close descriptors on exec", sys::cloexec_from(3))?;
    for (fd, target) in lifted {
        name("place a descriptor", sys::check(unsafe { c::dup2(fd.as_raw_fd(), target) }))?;
    }
    Ok(())
}

/// None: the gate was closed, nothing may run.
fn exec(spec: &Spec, gate: &OwnedFd) -> Option<io::Error> {
    let pointers = |words: &[std::ffi::CString]| {
        let mut list: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
        list.push(ptr::null());
        list
    };
    let (argv, env) = (pointers(&spec.argv), pointers(&spec.env));
    if sys::read(gate.as_raw_fd(), &mut [0]) != Ok(1) {
        return None;
    }
    unsafe { c::execve(argv[0], argv.as_ptr(), env.as_ptr()) };
    Some(io::Error::last_os_error())
}

fn report(status: RawFd, kind: u8, step: &str, error: &io::Error) {
    let mut message = vec![kind];
    message.extend_from_slice(&error.raw_os_error().unwrap_or(0).to_be_bytes());
    message.extend_from_slice(step.as_bytes());
    message.truncate(MAX_REPORT);
    let _ = sys::write(status, &message);
}

fn step<T>(text: &str, result: io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| (text.to_string(), error))
}

fn name<T>(text: &str, result: Result<T, Errno>) -> Result<T, Failure> {
    step(text, result.map_err(|error| io::Error::from_raw_os_error(error.0)))
}
