//! The guest agent: with what it is started.

use crate::cgroup::Workload;
use crate::config::{Door, Machine};
use crate::console::Trace;
use crate::failure::{Failure, Result, Tried};
use crate::inside::{Inside, AGENT};
use crate::ports;
use crate::sys::process::{self, Program};
use crate::sys::{self, c, mount, socket};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

/// In the initramfs.
const FILE: &str = "/cove-guest";
const ENV: [&str; 2] = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"];

pub struct Started {
    pub agent: c::Pid,
}

/// Starts it as the first process of its own namespace of processes, in which only the machine's root is to be seen.
pub fn start(machine: &Machine, workload: Workload, trace: &mut Trace) -> Result<Started> {
    let (stream, reach) = match machine.stream {
        Door::Port => (ports::open(ports::GUEST)?, "--stream-fd"),
        Door::Vsock(port) => (socket::listen_at(port).tried("listen for the host")?, "--listen-fd"),
    };
    let contents = machine.etc.iter().map(|(_, content)| content_of(content)).collect::<Result<Vec<_>>>()?;
    let mut argv = vec![String::from("cove-guest"), String::from("agent"), String::from("--own-clock")];
    let mut descriptors: Vec<RawFd> = Vec::new();
    let mut pass = |flag: &str, before: &str, fd: &OwnedFd| {
        descriptors.push(fd.as_raw_fd());
        argv.extend([flag.to_string(), format!("{before}{}", fd.as_raw_fd())]);
    };
    pass(reach, "", &stream);
    pass("--workload-cgroup-fd", "", &workload.join);
    pass("--oom-event-fd", "", &workload.events);
    for ((name, _), content) in machine.etc.iter().zip(&contents) {
        pass("--etc", &format!("{name}:"), content);
    }
    // The agent itself is the last to go.
    argv.extend([String::from("--workload-oom-score-adj"), String::from("0")]);
    let program = Program::new(AGENT, &argv, &ENV).tried("name the agent")?;
    let file = mount::clone_tree(FILE).tried("find the agent")?;
    let inside = Inside { machine, program, agent: file.as_raw_fd(), descriptors };
    if machine.stream == Door::Port {
        ports::await_host(&stream);
    }
    trace.mark("ports");
    let mut failure = None;
    let agent = process::start(c::CLONE_NEWPID | c::CLONE_NEWNS, &mut || failure = Some(inside.enter()))
        .tried("start the agent")?;
    match failure {
        None => Ok(Started { agent }),
        Some(failure) => {
            process::wait_for(agent);
            Err(failure)
        }
    }
}

/// A pipe with a content that fits into it.
fn content_of(content: &[u8]) -> Result<OwnedFd> {
    let (out, into) = sys::pipe().tried("make a pipe")?;
    match sys::write(into.as_raw_fd(), content).tried("write to a pipe")? {
        count if count == content.len() => Ok(out),
        _ => Err(Failure::new("a pipe is too small")),
    }
}
