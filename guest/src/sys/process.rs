//! Starting, waiting for and signalling processes.

use super::{c, check, check_long, own, Errno, Result};
use std::ffi::CString;
use std::os::unix::io::{OwnedFd, RawFd};
use std::ptr;

/// Who a process runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// Everything that the new process needs, made ready before it exists: it may not allocate.
pub struct Spawn<'a> {
    /// Paths tried in order, as a shell looks a program up.
    pub programs: &'a [CString],
    pub argv: &'a [CString],
    pub env: &'a [CString],
    pub cwd: &'a CString,
    pub stdin: RawFd,
    pub stdout: RawFd,
    pub stderr: RawFd,
    /// Makes stdin the controlling terminal.
    pub terminal: bool,
    /// None: stay who the agent is.
    pub identity: Option<&'a Identity>,
    /// Cgroup files that get a "0" from the new process.
    pub join: &'a [RawFd],
    /// Limit of open files to give.
    pub open_files: Option<c::rlimit_t>,
}

/// What the new process was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Fork,
    Cgroup,
    Terminal,
    Streams,
    Identity,
    Directory,
    Program,
}

#[derive(Clone, Copy, Debug)]
pub struct SpawnError {
    pub stage: Stage,
    pub errno: Errno,
}

const STACK: usize = 64 * 1024;

/// Reused by every start: the agent waits while the child is on it.
pub struct Spawner {
    stack: Vec<u128>,
}

struct Errand<'a> {
    spawn: &'a Spawn<'a>,
    argv: *const *const c::Char,
    env: *const *const c::Char,
    shell_argv: *mut *const c::Char,
    failure: Option<(Stage, i32)>,
}

extern "C" {
    fn signal(number: c::Int, handler: usize) -> usize;
}

const SHELL: &[u8] = b"/bin/sh\0";

impl Spawner {
    pub fn new() -> Spawner {
        Spawner { stack: vec![0; STACK / 16] }
    }

    /// Starts a process in a session of its own. It shares the agent's memory until it runs its program, so a start
    /// costs no copy of page tables and a failure needs no pipe to be told.
    pub fn spawn(&mut self, spawn: &Spawn<'_>) -> std::result::Result<c::Pid, SpawnError> {
        let argv = pointers(spawn.argv);
        let env = pointers(spawn.env);
        // For scripts without an interpreter line: sh, the script, and the arguments behind it.
        let mut shell_argv = vec![SHELL.as_ptr().cast(), ptr::null()];
        shell_argv.extend_from_slice(&argv[1.min(argv.len() - 1)..]);
        let mut errand = Errand {
            spawn,
            argv: argv.as_ptr(),
            env: env.as_ptr(),
            shell_argv: shell_argv.as_mut_ptr(),
            failure: None,
        };
        let pid = unsafe {
            let top = self.stack.as_mut_ptr().add(self.stack.len());
            let argument: *mut Errand<'_> = &mut errand;
            c::clone(run_child, top.cast(), c::CLONE_VM | c::CLONE_VFORK | c::SIGCHLD, argument.cast())
        };
        if pid < 0 {
            return Err(SpawnError { stage: Stage::Fork, errno: Errno::last() });
        }
        // Read anew: the child wrote it through its own pointer.
        match unsafe { ptr::read_volatile(&errand.failure) } {
            None => Ok(pid),
            Some((stage, errno)) => {
                let mut status = 0;
                unsafe { c::waitpid(pid, &mut status, 0) };
                Err(SpawnError { stage, errno: Errno(errno) })
            }
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c::Char> {
    let mut pointers: Vec<*const c::Char> = strings.iter().map(|string| string.as_ptr()).collect();
    pointers.push(ptr::null());
    pointers
}

/// Runs in the child, on memory shared with the stopped agent: system calls only.
extern "C" fn run_child(argument: *mut c::Void) -> c::Int {
    unsafe {
        let errand: *mut Errand<'_> = argument.cast();
        let failure = become_program(&*errand);
        ptr::write_volatile(&mut (*errand).failure, Some(failure));
        c::_exit(127)
    }
}

unsafe fn become_program(errand: &Errand<'_>) -> (Stage, i32) {
    let spawn = errand.spawn;
    let last = || *c::__errno_location();
    c::setsid();
    for file in spawn.join {
        if c::write(*file, b"0".as_ptr().cast(), 1) != 1 {
            return (Stage::Cgroup, last());
        }
    }
    for (from, to) in [(spawn.stdin, 0), (spawn.stdout, 1), (spawn.stderr, 2)] {
        if c::dup2(from, to) < 0 {
            return (Stage::Streams, last());
        }
    }
    if spawn.terminal && c::ioctl(0, super::pty::TIOCSCTTY, 0 as c::Long) < 0 {
        return (Stage::Terminal, last());
    }
    if let Some(limit) = &spawn.open_files {
        c::setrlimit(c::RLIMIT_NOFILE, limit);
    }
    if let Some(identity) = spawn.identity {
        // Raw calls: the C library's would try to change all threads of the agent.
        let count = identity.groups.len() as c::Long;
        if c::syscall(c::SYS_SETGROUPS, count, identity.groups.as_ptr()) < 0 {
            return (Stage::Identity, last());
        }
        let gid = identity.gid as c::Long;
        if c::syscall(c::SYS_SETRESGID, gid, gid, gid) < 0 {
            return (Stage::Identity, last());
        }
        let uid = identity.uid as c::Long;
        if c::syscall(c::SYS_SETRESUID, uid, uid, uid) < 0 {
            return (Stage::Identity, last());
        }
    }
    c::umask(0o022);
    if c::chdir(spawn.cwd.as_ptr()) < 0 {
        return (Stage::Directory, last());
    }
    signal(c::SIGPIPE, c::SIG_DFL);
    let none = c::sigset_t { bits: [0; 16] };
    c::sigprocmask(c::SIG_SETMASK, &none, ptr::null_mut());
    let mut told = c::ENOENT;
    for program in spawn.programs {
        c::execve(program.as_ptr(), errand.argv, errand.env);
        match last() {
            c::ENOENT | c::ENOTDIR => {}
            c::ENOEXEC => {
                *errand.shell_argv.add(1) = program.as_ptr();
                c::execve(SHELL.as_ptr().cast(), errand.shell_argv, errand.env);
                return (Stage::Program, c::ENOEXEC);
            }
            // A later folder of PATH may have one that can be run.
            c::EACCES => told = c::EACCES,
            other => return (Stage::Program, other),
        }
    }
    (Stage::Program, told)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Exited(i32),
    Signaled(i32),
}

/// The next child that has ended, if there is one; `ECHILD` when there are no children at all.
pub fn reap() -> Result<Option<(c::Pid, Status)>> {
    let mut status = 0;
    loop {
        let pid = unsafe { c::waitpid(-1, &mut status, c::WNOHANG) };
        match check(pid) {
            Err(Errno(c::EINTR)) => continue,
            Err(errno) => return Err(errno),
            Ok(0) => return Ok(None),
            Ok(_) => {}
        }
        let signal = status & 0x7f;
        let ended = if signal == 0 { Status::Exited((status >> 8) & 0xff) } else { Status::Signaled(signal) };
        return Ok(Some((pid, ended)));
    }
}

/// A copy of the agent that runs `work` and ends with its answer as exit status. Meant for work that may take long.
pub fn fork_with(work: impl FnOnce() -> i32) -> Result<c::Pid> {
    let pid = check(unsafe { c::fork() })?;
    if pid == 0 {
        let status = work();
        unsafe { c::_exit(status) }
    }
    Ok(pid)
}

pub fn kill(pid: c::Pid, signal: i32) -> Result<()> {
    check(unsafe { c::kill(pid, signal) }).map(drop)
}

pub fn kill_group(group: c::Pid, signal: i32) -> Result<()> {
    kill(-group, signal)
}

pub fn pid() -> c::Pid {
    unsafe { c::getpid() }
}

/// Blocks these signals and gives a descriptor that they are read from, one per signal.
pub fn signals(numbers: &[i32]) -> Result<OwnedFd> {
    let mut set = c::sigset_t { bits: [0; 16] };
    for number in numbers {
        set.bits[0] |= 1 << (number - 1);
    }
    check(unsafe { c::sigprocmask(c::SIG_BLOCK, &set, ptr::null_mut()) })?;
    own(unsafe { c::signalfd(-1, &set, c::O_CLOEXEC | c::O_NONBLOCK) })
}

/// Reads signal numbers from such a descriptor.
pub fn next_signals(fd: RawFd) -> Vec<i32> {
    let mut infos = [0; 8 * 128];
    let count = super::read(fd, &mut infos).unwrap_or(0);
    let number = |info: &[u8]| u32::from_ne_bytes([info[0], info[1], info[2], info[3]]) as i32;
    infos[..count].chunks_exact(128).map(number).collect()
}

/// Gives every signal its default effect, whatever the starter of the agent ignored. A broken pipe stays an error of
/// the call.
pub fn reset_signals() {
    for number in 1..32 {
        if number != c::SIGKILL && number != c::SIGPIPE && number != c::SIGSEGV && number != c::SIGBUS {
            unsafe { signal(number, c::SIG_DFL) };
        }
    }
}

/// Orphans of this process's descendants become its children.
pub fn adopt_orphans() -> Result<()> {
    check(unsafe { c::prctl(c::PR_SET_CHILD_SUBREAPER, 1 as c::ULong) }).map(drop)
}

/// No other process, not even of the same user, may look into this one.
pub fn hide_memory() -> Result<()> {
    check(unsafe { c::prctl(c::PR_SET_DUMPABLE, 0 as c::ULong) }).map(drop)
}

/// Raises the soft limit of open files to the hard one; the limit as it was.
pub fn raise_open_files() -> Option<c::rlimit_t> {
    let mut limit = c::rlimit_t { soft: 0, hard: 0 };
    check(unsafe { c::getrlimit(c::RLIMIT_NOFILE, &mut limit) }).ok()?;
    let wanted = c::rlimit_t { soft: limit.hard.min(65_536), hard: limit.hard };
    if wanted.soft > limit.soft {
        check(unsafe { c::setrlimit(c::RLIMIT_NOFILE, &wanted) }).ok()?;
    }
    Some(limit)
}

/// Acts on files as another user for as long as it lives.
pub struct Acting {
    previous: Option<(u32, u32)>,
}

impl Acting {
    /// None: as the agent itself.
    pub fn new(identity: Option<&Identity>) -> Result<Acting> {
        let identity = match identity {
            Some(identity) if identity.uid != 0 || identity.gid != 0 => identity,
            _ => return Ok(Acting { previous: None }),
        };
        let own = unsafe { (c::geteuid(), c::getegid()) };
        let acting = Acting { previous: Some(own) };
        unsafe {
            check_long(c::syscall(c::SYS_SETGROUPS, identity.groups.len() as c::Long, identity.groups.as_ptr()))?;
            set_file_ids(identity.uid, identity.gid);
            // These calls report no error, only who was meant before.
            if c::syscall(c::SYS_SETFSUID, -1 as c::Long) as u32 != identity.uid
                || c::syscall(c::SYS_SETFSGID, -1 as c::Long) as u32 != identity.gid
            {
                // A kernel without them, such as gVisor's. The agent's other ids stay its own: nobody gets at it.
                set_effective_ids(identity.uid, identity.gid)?;
            }
        }
        Ok(acting)
    }
}

fn set_file_ids(uid: u32, gid: u32) {
    unsafe {
        c::syscall(c::SYS_SETFSGID, gid as c::Long);
        c::syscall(c::SYS_SETFSUID, uid as c::Long);
    }
}

fn set_effective_ids(uid: u32, gid: u32) -> Result<()> {
    let keep = -1 as c::Long;
    unsafe {
        check_long(c::syscall(c::SYS_SETRESGID, keep, gid as c::Long, keep))?;
        check_long(c::syscall(c::SYS_SETRESUID, keep, uid as c::Long, keep)).map(drop)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.previous {
            set_file_ids(uid, gid);
            unsafe {
                if (c::geteuid(), c::getegid()) != (uid, gid) {
                    // First the user: the right to change groups comes back with it.
                    let keep = -1 as c::Long;
                    c::syscall(c::SYS_SETRESUID, keep, uid as c::Long, keep);
                    c::syscall(c::SYS_SETRESGID, keep, gid as c::Long, keep);
                }
                c::syscall(c::SYS_SETGROUPS, 0 as c::Long, ptr::null::<u32>());
            }
        }
    }
}

/// Becomes this user for good, in a forked copy of the agent.
pub fn become_user(identity: &Identity) -> Result<()> {
    unsafe {
        check_long(c::syscall(c::SYS_SETGROUPS, identity.groups.len() as c::Long, identity.groups.as_ptr()))?;
        let (uid, gid) = (identity.uid as c::Long, identity.gid as c::Long);
        check_long(c::syscall(c::SYS_SETRESGID, gid, gid, gid))?;
        check_long(c::syscall(c::SYS_SETRESUID, uid, uid, uid))?;
    }
    Ok(())
}

/// The agent's own user and group.
pub fn own_ids() -> (u32, u32) {
    unsafe { (c::geteuid(), c::getegid()) }
}
