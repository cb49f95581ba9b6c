//! A machine in which sandboxes run: its file systems, its limits, its agent, and its end.

use crate::agent::{self, Started};
use crate::config;
use crate::console::Trace;
use crate::control::Control;
use crate::disks::Disks;
use crate::failure::{Failure, Result, Tried};
use crate::sys::mount::{mount, NODEV, NOSUID, READ_ONLY};
use crate::sys::poll::{self, Event, Poller};
use crate::sys::process::{self, End};
use crate::sys::{self, c};
use crate::{cgroup, network, settle};
use std::os::unix::io::{AsRawFd, OwnedFd};

/// Where the read-only root, the writable disk and both over each other are mounted.
const LOWER: &str = "/lower";
const DISK: &str = "/disk";
pub const ROOT: &str = "/root";

const CHILDREN: u64 = 1;
const CONTROL: u64 = 2;
const LISTENER: u64 = 3;

pub struct Machine {
    agent: c::Pid,
    children: OwnedFd,
    control: Control,
}

impl Machine {
    /// Everything up to the started agent.
    pub fn prepare(config: config::Machine, disks: &Disks, trace: &mut Trace) -> Result<Machine> {
        sys::set_hostname(config.hostname.as_bytes()).tried("set the host name")?;
        // Each waits for the kernel now and then, and lets the other go on meanwhile.
        let (limited, mounted) = std::thread::scope(|scope| {
            let limits = scope.spawn(|| {
                let workload = cgroup::make(config.processes)?;
                network::set_up(config.net.as_ref())?;
                Ok(workload)
            });
            let mounted = mount_root(&config, disks);
            (limits.join(), mounted)
        });
        mounted?;
        let workload = limited.unwrap_or_else(|_| Err(Failure::new("a thread ended")))?;
        trace.mark("root");
        let children = process::ended_children().tried("hear of ended processes")?;
        let control = Control::open(config.control)?;
        let Started { agent } = agent::start(&config, workload, trace)?;
        Ok(Machine { agent, children, control })
    }

    /// Until the agent ends. Answers how it did.
    pub fn run(mut self) -> Result<String> {
        let poller = Poller::new().tried("wait")?;
        poller.add(self.children.as_raw_fd(), CHILDREN, poll::READ).tried("wait for processes")?;
        self.control.watch(&poller, CONTROL, LISTENER)?;
        self.control.say_ready();
        let mut events = [Event::EMPTY; 8];
        loop {
            if let Some(end) = self.reap() {
                settle(DISK);
                return Ok(told(end, || cgroup::has_run_out()));
            }
            let count = poller.wait(&mut events).tried("wait")?;
            for event in &events[..count] {
                match event.token() {
                    CHILDREN => drop(sys::read(self.children.as_raw_fd(), &mut [0; 128])),
                    LISTENER => self.control.accept(&poller, CONTROL),
                    _ => self.control.serve(self.agent),
                }
            }
        }
    }

    /// How the agent ended, if it has.
    fn reap(&self) -> Option<End> {
        while let Some((pid, end)) = process::reap() {
            if pid == self.agent {
                return Some(end);
            }
        }
        None
    }
}

fn mount_root(config: &config::Machine, disks: &Disks) -> Result<()> {
    let root = disks.root.as_ref().ok_or_else(|| Failure::new("there is no disk with a root"))?;
    let disk = disks.writable.as_ref().ok_or_else(|| Failure::new("there is no disk to write to"))?;
    for folder in [LOWER, DISK, ROOT] {
        sys::make_dir(folder, 0o755).tried("make a folder")?;
    }
    mount(root, LOWER, config.root.name(), READ_ONLY | NODEV, "").tried("mount the disk with the root")?;
    // Nobody waits for tables of inodes that are zeroed ahead, and what is deleted is the host's again.
    mount(disk, DISK, "ext4", NOSUID | NODEV, "noinit_itable,discard").tried("mount the disk to write to")?;
    // What a layer cannot say may not come about: files that only point to others.
    let options =
        format!("lowerdir={LOWER},upperdir={DISK}/ru,workdir={DISK}/rw,redirect_dir=off,metacopy=off,index=off");
    mount("overlay", ROOT, "overlay", 0, &options).tried("lay the disk over the root")
}

/// Only the kernel itself can kill the agent from within, and it does so for want of memory.
fn told(end: End, ran_out: impl Fn() -> bool) -> String {
    match end {
        End::Exited(code) => format!("exited {code}"),
        End::Signaled(c::SIGKILL) if ran_out() => String::from("out-of-memory"),
        End::Signaled(signal) => format!("signaled {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_the_agent_ended() {
        assert_eq!(told(End::Exited(3), || true), "exited 3");
        assert_eq!(told(End::Signaled(c::SIGKILL), || true), "out-of-memory");
        assert_eq!(told(End::Signaled(c::SIGKILL), || false), "signaled 9");
        assert_eq!(told(End::Signaled(1), || true), "signaled 1");
    }
}
