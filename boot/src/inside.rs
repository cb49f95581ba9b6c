//! What a process does that is about to be the agent: its own view of the machine, in which nothing of the initramfs is.

use crate::config::{Machine, Sharing, Volume};
use crate::failure::{Failure, Result, Tried};
use crate::machine::ROOT;
use crate::sys::mount::{self, mount, NODEV, NOEXEC, NOSUID, READ_ONLY};
use crate::sys::process::{self, Program};
use crate::sys::{self};
use std::os::unix::io::RawFd;

/// The agent's file, in the machine.
pub const AGENT: &str = "/run/.cove-agent";
const RUN_BYTES: u64 = 16 << 20;
const LEAST_TMP: u64 = 1 << 20;
/// What a message of 9p may have, in bytes: more has to be found in one piece in the machine's memory.
const MESSAGE: u32 = 128 << 10;

pub struct Inside<'a> {
    pub machine: &'a Machine,
    pub program: Program,
    /// A detached mount of the agent's file.
    pub agent: RawFd,
    /// What the agent is handed over, under the numbers that these have.
    pub descriptors: Vec<RawFd>,
}

impl Inside<'_> {
    /// Becomes the agent; comes back only with what has gone wrong.
    pub fn enter(&self) -> Failure {
        match self.prepare() {
            Ok(()) => Failure::system("run the agent", self.program.become_it()),
            Err(failure) => failure,
        }
    }

    fn prepare(&self) -> Result<()> {
        process::new_session();
        process::unblock_signals();
        mount::become_root(ROOT).tried("enter the root")?;
        self.mount_all()?;
        for volume in &self.machine.volumes {
            mount_volume(volume)?;
        }
        sys::make_file(AGENT).tried("make a place for the agent")?;
        mount::attach(self.agent, AGENT).tried("bring the agent in")?;
        mount::make_read_only(AGENT).tried("protect the agent")?;
        sys::set("/proc/self/oom_score_adj", "-1000").tried("protect the agent")?;
        for fd in &self.descriptors {
            sys::hand_over(*fd).tried("hand over a descriptor")?;
        }
        Ok(())
    }

    fn mount_all(&self) -> Result<()> {
        let tmp = self.machine.tmp.max(LEAST_TMP);
        let plain = NOSUID | NODEV;
        place("proc", "/proc", "proc", plain | NOEXEC, "")?;
        place("sysfs", "/sys", "sysfs", plain | NOEXEC, "")?;
        place("cgroup2", "/sys/fs/cgroup", "cgroup2", plain | NOEXEC, "")?;
        place("dev", "/dev", "devtmpfs", NOSUID | NOEXEC, "")?;
        place("devpts", "/dev/pts", "devpts", NOSUID | NOEXEC, "mode=620,ptmxmode=666,gid=5")?;
        place("shm", "/dev/shm", "tmpfs", plain, &format!("mode=1777,size={}", tmp / 2))?;
        place("tmp", "/tmp", "tmpfs", plain, &format!("mode=1777,size={tmp}"))?;
        place("run", "/run", "tmpfs", plain, &format!("mode=755,size={RUN_BYTES}"))?;
        // Not every kernel has message queues.
        let _ = place("mqueue", "/dev/mqueue", "mqueue", plain | NOEXEC, "");
        for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            let _ = sys::make_symlink(&format!("/proc/self/{target}"), &format!("/dev/{name}"));
        }
        Ok(())
    }
}

/// Mounts at a folder that an image may lack.
fn place(source: &str, target: &str, kind: &str, flags: sys::c::ULong, options: &str) -> Result<()> {
    sys::make_dir(target, 0o755).tried(&format!("make {target}"))?;
    mount(source, target, kind, flags, options).tried(&format!("mount {target}"))
}

fn mount_volume(volume: &Volume) -> Result<()> {
    let shown = String::from_utf8_lossy(&volume.path);
    for (at, byte) in volume.path.iter().enumerate().skip(1) {
        if *byte == b'/' {
            sys::make_dir(&volume.path[..at], 0o755).tried(&format!("make {shown}"))?;
        }
    }
    sys::make_dir(&volume.path, 0o755).tried(&format!("make {shown}"))?;
    let (kind, options) = match volume.kind {
        // Files can be mapped for writing, and everything else is asked of the host each time.
        Sharing::NineP => ("9p", format!("trans=virtio,version=9p2000.L,msize={MESSAGE},cache=mmap")),
        Sharing::Virtiofs => ("virtiofs", String::new()),
    };
    let flags = NOSUID | NODEV | if volume.read_only { READ_ONLY } else { 0 };
    mount(&volume.tag, &volume.path, kind, flags, &options).tried(&format!("mount the volume {shown}"))
}
