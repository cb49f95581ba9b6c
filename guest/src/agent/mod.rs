//! The guest agent: the first process of a machine, which does there what the daemon asks for.
//! `docs/guest-protocol.md` is the contract.

mod core;
mod dial;
mod etc;
pub mod fault;
mod files;
mod greeting;
mod machine;
mod memory_tmp;
mod oom;
mod ops;
mod options;
mod output;
mod paths;
mod process;
mod reap;
mod requests;
pub mod ring;
mod sending;
pub mod session;
mod start;
mod stdin;
mod timers;
mod users;
mod watch;
mod watch_events;
mod watch_tree;
mod wire;

use self::core::{Agent, Door, Processes, SCRATCH};
use self::oom::{OomScore, OomWatch};
use self::options::{Flags, Options, Reach, USAGE};
use self::timers::Timers;
use self::users::Users;
use self::wire::Wire;
use crate::sys::poll::Poller;
use crate::sys::process::{self as processes, Spawner};
use crate::sys::{self, c, Errno};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::time::Instant;

const USAGE_STATUS: i32 = 2;

pub fn main(args: &[OsString]) -> i32 {
    let flags = match options::parse(args) {
        Ok(flags) => flags,
        Err(message) => {
            eprintln!("cove-guest: {}\n{}", message, USAGE);
            return USAGE_STATUS;
        }
    };
    let ran = set_up(&flags).and_then(|mut agent| {
        let status = agent.run()?;
        // A bridge dies with the machine's first process, and with it what it has not carried out yet.
        if let Some(Reach::Bind(_)) = flags.reach {
            agent.wait_for_bridge();
        }
        Ok(status)
    });
    match ran {
        Ok(status) => status,
        Err(errno) => {
            eprintln!("cove-guest: {:?}", errno);
            1
        }
    }
}

fn set_up(flags: &Flags) -> sys::Result<Agent> {
    processes::reset_signals();
    let null = sys::machine::null_for_standard_streams()?;
    let (door, wire) = take_streams(flags)?;
    sys::cloexec_from(3)?;
    let options = Options::take(flags)?;
    for (name, place) in &flags.etc {
        etc::write(name, place.open(c::O_RDONLY)?);
    }
    let oom = OomWatch::new(match &flags.oom_events {
        // Where the path leads nowhere, kills for memory are told as kills.
        Some(path) => sys::open(path.as_bytes(), c::O_RDONLY, 0).ok(),
        None => flags.oom_event.map(sys::adopt).transpose()?,
    });
    let score = OomScore::new(flags.oom_score);
    if let Some(keep) = &flags.keep {
        sys::machine::keep_capabilities(keep)?;
    }
    processes::hide_memory()?;
    sys::machine::settle()?;
    let is_init = processes::pid() == 1;
    if !is_init {
        processes::adopt_orphans()?;
    }
    let signals = processes::signals(&[c::SIGCHLD, c::SIGTERM, c::SIGINT])?;
    memory_tmp::open_to_all();
    if flags.say_ready {
        let _ = sys::write(2, b"ready\n");
    }
    Ok(Agent {
        options,
        poller: Poller::new()?,
        timers: Timers::new(),
        door,
        wire,
        newcomers: Vec::new(),
        last_newcomer: 0,
        session: None,
        sessions: 0,
        token: None,
        epoch: 0,
        instance: sys::random(),
        works: HashMap::new(),
        processes: Processes::default(),
        spawner: Spawner::new(),
        users: Users::new(flags.home.clone()),
        null,
        signals,
        open_files: processes::raise_open_files(),
        oom,
        score,
        env: Vec::new(),
        workdir: None,
        hostname: machine::hostname(),
        quiesced: false,
        ending: false,
        status: None,
        began: Instant::now(),
        scratch: vec![0; SCRATCH],
        inbox: vec![0; SCRATCH],
        is_init,
    })
}

/// Takes the host's stream over. Standard streams are moved away, so that nothing writes into it by mistake.
fn take_streams(flags: &Flags) -> sys::Result<(Door, Option<Wire>)> {
    match &flags.reach {
        Some(Reach::Listen(fd)) => {
            let listener = nonblocking(sys::adopt(*fd)?)?;
            Ok((Door::Listener(listener), None))
        }
        Some(Reach::Bind(path)) => {
            let listener = nonblocking(sys::machine::listen(path)?)?;
            Ok((Door::Listener(listener), None))
        }
        Some(Reach::Stream(fd)) => {
            let stream = nonblocking(sys::adopt(*fd)?)?;
            sys::machine::make_raw(stream.as_raw_fd());
            Ok((Door::Single, Some(Wire::new(stream, None, true))))
        }
        Some(Reach::Stdio) => {
            let input = nonblocking(sys::machine::move_away(0)?)?;
            let output = nonblocking(sys::machine::move_away(1)?)?;
            Ok((Door::Single, Some(Wire::new(input, Some(output), true))))
        }
        None => Err(Errno(c::EINVAL)),
    }
}

fn nonblocking(fd: OwnedFd) -> sys::Result<OwnedFd> {
    sys::set_nonblocking(fd.as_raw_fd(), true)?;
    Ok(fd)
}
