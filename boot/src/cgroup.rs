//! The workload's control group: what it may use, so that the agent always has enough to answer.

use crate::failure::{Result, Tried};
use crate::sys::mount::{mount, NODEV, NOEXEC, NOSUID};
use crate::sys::{self, c, memory};
use std::os::unix::io::OwnedFd;

const GROUPS: &str = "/cgroup";
/// As it is called inside, below `/sys/fs/cgroup`.
const NAME: &str = "workload";
/// What the agent and the kernel may need besides: the agent alone keeps up to 20 MiB of what processes
/// say, and is the last to go when all memory is used.
const RESERVE: u64 = 16 << 20;
const RESERVE_PART: u64 = 64;

/// What the agent puts processes into and reads kills from.
pub struct Workload {
    pub join: OwnedFd,
    pub events: OwnedFd,
}

pub fn make(processes: Option<u64>) -> Result<Workload> {
    sys::make_dir(GROUPS, 0o755).tried("make a folder")?;
    mount("cgroup2", GROUPS, "cgroup2", NOSUID | NODEV | NOEXEC, "").tried("mount control groups")?;
    let free = memory::free().tried("ask for free memory")?;
    sys::set(&format!("{GROUPS}/cgroup.subtree_control"), "+memory +pids").tried("limit memory and processes")?;
    sys::make_dir(&at(""), 0o755).tried("make a control group")?;
    sys::set(&at("memory.max"), &limit(free).to_string()).tried("limit the workload's memory")?;
    if let Some(most) = processes {
        sys::set(&at("pids.max"), &most.to_string()).tried("limit the workload's processes")?;
    }
    Ok(Workload {
        join: sys::open(&at("cgroup.procs"), c::O_WRONLY).tried("open the workload's group")?,
        events: sys::open(&at("memory.events"), c::O_RDONLY).tried("open the workload's group")?,
    })
}

fn at(file: &str) -> String {
    format!("{GROUPS}/{NAME}/{file}")
}

/// In whole pages of any size. A machine that has hardly more than the reserve shares it.
fn limit(free: u64) -> u64 {
    let rest = free.saturating_sub(RESERVE + free / RESERVE_PART);
    rest.max(free / 2) & !0xffff
}

/// True when the kernel has killed for want of memory outside of any limit.
pub fn has_run_out() -> bool {
    let _ = sys::make_dir("/proc", 0o555);
    let _ = mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC, "");
    let facts = sys::read_file("/proc/vmstat", 65_536).unwrap_or_default();
    kills(&String::from_utf8_lossy(&facts)) > 0
}

fn kills(facts: &str) -> u64 {
    let count = facts.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_a_reserve() {
        let mib = |count: u64| count << 20;
        assert_eq!(limit(mib(1024)), mib(1024 - 16 - 16));
        assert_eq!(limit(mib(224)), mib(224 - 16) - (224 << 20) / 64 & !0xffff);
        assert_eq!(limit(mib(16)), mib(8));
        assert_eq!(limit(0), 0);
    }

    #[test]
    fn reads_how_often_memory_ran_out() {
        assert_eq!(kills("nr_free_pages 5\noom_kill 2\nx 1\n"), 2);
        assert_eq!(kills("nr_free_pages 5\n"), 0);
    }
}
