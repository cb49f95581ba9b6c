//! Starting a process: the request, its defaults, and the descriptors.

use super::core::{token, Agent, Kind};
use super::fault::{start_fault, Answer, Fault};
use super::paths;
use super::process::{Input, Output, Process, Reader, MAX_SHOWN};
use super::ring::Ring;
use super::timers::Due;
use super::users::User;
use crate::fields::Fields;
use crate::sys::poll::READ;
use crate::sys::process::{kill_group, Spawn, Stage};
use crate::sys::{self, c, pty};
use std::collections::VecDeque;
use std::ffi::CString;
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

/// Processes that run or are remembered.
pub const MAX_PROCESSES: usize = 4096;
const MAX_ID: usize = 128;
const DEFAULT_GRACE: u64 = 2000;
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

struct Streams {
    child: [Option<OwnedFd>; 3],
    stdin: Option<OwnedFd>,
    outputs: [Option<Output>; 2],
}

impl Agent {
    pub fn start(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        if self.quiesced || self.ending {
            return Err(Fault::new("busy", "the machine takes no new processes now"));
        }
        let id = fields.bytes(2).unwrap_or(b"");
        if id.is_empty() || id.len() > MAX_ID {
            return Err(Fault::invalid(format!("the id must have 1 to {} bytes", MAX_ID)));
        }
        if self.processes.by_id.contains_key(id) {
            return Err(Fault::new("already-exists", "a process with this id exists"));
        }
        if self.processes.all.len() >= MAX_PROCESSES {
            return Err(Fault::new("limit-reached", format!("{} processes run or are remembered", MAX_PROCESSES)));
        }
        let argv: Vec<Vec<u8>> = fields.all(3).map(<[u8]>::to_vec).collect();
        if argv.is_empty() || argv[0].is_empty() {
            return Err(Fault::invalid("no program is named"));
        }
        let user = self.users.find(fields.text(6)?)?;
        let (rows, columns) = (fields.number(7)?, fields.number(8)?);
        let terminal = rows.is_some() && columns.is_some();
        let stdin = fields.truth(9)?;
        let timeout = fields.number(10)?.unwrap_or(0);
        let grace = fields.number(11)?.unwrap_or(DEFAULT_GRACE);
        let env = self.environment(&user, terminal, fields)?;
        let cwd = match fields.bytes(5) {
            Some(cwd) => paths::check(cwd)?.to_vec(),
            None if self.workdir.is_some() => self.workdir.clone().unwrap_or_default(),
            None if sys::files::stat(&user.home).map_or(false, |stat| stat.is_dir()) => user.home.clone(),
            None => b"/".to_vec(),
        };
        let programs = candidates(&argv[0], &env);
        let invalid = |_| Fault::invalid("an argument has a NUL inside");
        let arguments = c_strings(&argv).map_err(invalid)?;
        let variables: Vec<Vec<u8>> = env.into_iter().map(|(key, value)| [&key[..], b"=", &value].concat()).collect();
        let variables = c_strings(&variables).map_err(invalid)?;
        let size = terminal.then(|| (clamp(rows), clamp(columns)));
        let mut streams = self.streams(size, stdin, &user)?;
        let null = self.null.as_raw_fd();
        let fd = |index: usize| streams.child[index].as_ref().map_or(null, AsRawFd::as_raw_fd);
        let join: Vec<_> = self.options.workload_cgroups.iter().map(AsRawFd::as_raw_fd).collect();
        let spawn = Spawn {
            programs: &programs,
            argv: &arguments,
            env: &variables,
            cwd: &sys::c_string(&cwd)?,
            stdin: fd(0),
            stdout: fd(1),
            stderr: fd(2),
            terminal,
            identity: self.users.switch(&user),
            join: &join,
            open_files: self.open_files,
        };
        self.score.raise();
        let started = self.spawner.spawn(&spawn);
        self.score.lower();
        let pid = started.map_err(|error| {
            if error.stage == Stage::Program {
                start_fault(error, &argv[0], &cwd)
            } else {
                start_fault(error, b"", &cwd)
            }
        })?;
        drop(spawn);
        streams.child = [None, None, None];
        self.oom.look();
        let serial = self.processes.next_serial();
        for (which, output) in streams.outputs.iter().enumerate() {
            if let Some(output) = output {
                let token = token(Kind::Output, serial << 1 | which as u64);
                if let Err(errno) = self.poller.add(output.fd.as_raw_fd(), token, READ) {
                    // Nobody could follow it.
                    let _ = kill_group(pid, c::SIGKILL);
                    return Err(Fault::from(errno));
                }
            }
        }
        let timeout = (timeout > 0).then(|| self.timers.set(timeout, Due::Timeout(serial)));
        let process = Process {
            serial,
            id: id.to_vec(),
            pid,
            argv: shown(argv),
            cwd,
            user: user.name,
            terminal,
            started_ms: unix_ms(),
            ring: Ring::new(),
            outputs: streams.outputs,
            readers: vec![Reader { channel, cursor: 0, positioned: false, until: None }],
            stdin: streams.stdin,
            stdin_armed: false,
            inputs: VecDeque::<Input>::new(),
            exit: None,
            group_gone: false,
            timed_out: false,
            killed: false,
            told: false,
            forgotten: false,
            grace,
            reaped_at: 0,
            timeout,
        };
        self.session().opened(channel, process.entry(MAX_SHOWN));
        self.works.insert(channel, super::core::Work::Attach(serial));
        self.processes.insert(process);
        Ok(())
    }

    fn streams(&self, size: Option<(u16, u16)>, stdin: bool, user: &User) -> Answer<Streams> {
        if let Some((rows, columns)) = size {
            let owner = self.users.switch(user).map(|identity| (identity.uid, identity.gid));
            let (master, slave) = pty::open_terminal(rows, columns, owner)?;
            let copies = [slave.try_clone(), slave.try_clone()];
            let [second, third] = copies;
            return Ok(Streams {
                stdin: Some(master.try_clone().map_err(sys::Errno::from)?),
                child: [Some(slave), Some(second.map_err(sys::Errno::from)?), Some(third.map_err(sys::Errno::from)?)],
                outputs: [Some(Output::new(master, Process::stream_of(true, 0))), None],
            });
        }
        let (input, stdin) = if stdin {
            let (read, write) = sys::pipe(0)?;
            sys::set_nonblocking_fresh(write.as_raw_fd())?;
            (Some(read), Some(write))
        } else {
            (None, None)
        };
        let (stdout, child_stdout) = sys::pipe(0)?;
        let (stderr, child_stderr) = sys::pipe(0)?;
        sys::set_nonblocking_fresh(stdout.as_raw_fd())?;
        sys::set_nonblocking_fresh(stderr.as_raw_fd())?;
        Ok(Streams {
            stdin,
            child: [input, Some(child_stdout), Some(child_stderr)],
            outputs: [
                Some(Output::new(stdout, Process::stream_of(false, 0))),
                Some(Output::new(stderr, Process::stream_of(false, 1))),
            ],
        })
    }

    /// Defaults, then what `configure` gave, then what the request says.
    fn environment(&self, user: &User, terminal: bool, fields: &Fields<'_>) -> Answer<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut env: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut set = |key: &[u8], value: &[u8]| match env.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value.to_vec(),
            None => env.push((key.to_vec(), value.to_vec())),
        };
        set(b"PATH", PATH);
        set(b"HOME", &user.home);
        set(b"USER", user.name.as_bytes());
        set(b"LOGNAME", user.name.as_bytes());
        set(b"SHELL", &user.shell);
        set(b"LANG", b"C.UTF-8");
        if terminal {
            set(b"TERM", b"xterm-256color");
        }
        for (key, value) in &self.env {
            set(key, value);
        }
        for pair in fields.all(4) {
            let (key, value) = split_variable(pair)?;
            set(key, value);
        }
        Ok(env)
    }
}

/// Cuts `K=V` at the first `=`.
pub fn split_variable(pair: &[u8]) -> Answer<(&[u8], &[u8])> {
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) if at > 0 && !pair.contains(&0) => Ok((&pair[..at], &pair[at + 1..])),
        _ => Err(Fault::invalid("an environment variable is not NAME=VALUE")),
    }
}

/// The paths at which a program is looked for.
fn candidates(program: &[u8], env: &[(Vec<u8>, Vec<u8>)]) -> Vec<CString> {
    let whole = |path: &[u8]| CString::new(path).ok();
    if program.contains(&b'/') {
        return whole(program).into_iter().collect();
    }
    let path = env.iter().find(|(key, _)| key == b"PATH").map_or(PATH, |(_, value)| value);
    path.split(|byte| *byte == b':')
        .take(256)
        .filter_map(|folder| {
            let folder = if folder.is_empty() { b"." } else { folder };
            whole(&[folder, b"/", program].concat())
        })
        .collect()
}

/// What is remembered of the arguments.
fn shown(mut argv: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut left = MAX_SHOWN;
    argv.retain_mut(|argument| {
        let keep = left > 0;
        argument.truncate(left);
        left = left.saturating_sub(argument.len() + 5);
        keep
    });
    argv.shrink_to_fit();
    argv
}

fn c_strings(strings: &[Vec<u8>]) -> Result<Vec<CString>, std::ffi::NulError> {
    strings.iter().map(|string| CString::new(&string[..])).collect()
}

fn clamp(number: Option<u64>) -> u16 {
    number.unwrap_or(0).min(u64::from(u16::MAX)) as u16
}
