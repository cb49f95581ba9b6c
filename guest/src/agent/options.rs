//! Flags of `cove-guest agent`.

use crate::sys::{self, c};
use std::ffi::OsString;
use std::os::unix::io::{OwnedFd, RawFd};

pub const USAGE: &str = "usage: cove-guest agent (--listen-fd N | --listen PATH | --stream-fd N | --stdio)
  [--workload-cgroup-fd N | --workload-cgroup PATH]... [--workload-oom-score-adj N] [--oom-event-fd N | --oom-events PATH]
  [--drop-bounding-set NAME,...] [--own-clock] [--say-ready] [--home FOLDER] [--etc NAME:(FD|PATH)]...";

/// Where something is read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An inherited descriptor.
    Inherited(RawFd),
    /// A path inside.
    Path(String),
}

impl Place {
    /// A path is absolute.
    fn parse(text: &str) -> Option<Place> {
        match text.strip_prefix('/') {
            Some(_) => Some(Place::Path(text.to_string())),
            None => text.parse().ok().map(Place::Inherited),
        }
    }

    pub fn open(&self, flags: c::Int) -> sys::Result<OwnedFd> {
        match self {
            Place::Inherited(fd) => sys::adopt(*fd),
            Place::Path(path) => sys::open(path.as_bytes(), flags, 0),
        }
    }
}

/// How the host reaches the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// An inherited listening unix socket.
    Listen(RawFd),
    /// A unix socket that the agent makes, for its own user only.
    Bind(String),
    /// One inherited stream in both directions.
    Stream(RawFd),
    /// One stream on descriptors 0 and 1.
    Stdio,
}

#[derive(Debug, Default)]
pub struct Flags {
    pub reach: Option<Reach>,
    pub cgroups: Vec<Place>,
    pub oom_score: Option<i32>,
    pub oom_event: Option<RawFd>,
    pub oom_events: Option<String>,
    /// Capabilities to keep; absent: the sets stay as they are.
    pub keep: Option<Vec<u32>>,
    pub own_clock: bool,
    /// A line on stderr tells that SIGTERM is heard from now on.
    pub say_ready: bool,
    /// The agent acts as its own user only, who is at home here.
    pub home: Option<Vec<u8>>,
    /// Files of `/etc` to write, and where their content is read from.
    pub etc: Vec<(String, Place)>,
}

/// What the flags come to once the descriptors are taken over.
pub struct Options {
    pub workload_cgroups: Vec<OwnedFd>,
    pub own_clock: bool,
}

/// Cgroup files that a process may be asked to join.
const MAX_CGROUPS: usize = 32;
const MAX_ETC: usize = 8;

pub fn parse(args: &[OsString]) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let arg = arg.to_str().ok_or("a flag is not UTF-8")?;
        let (name, inline) = match arg.find('=') {
            Some(at) => (&arg[..at], Some(&arg[at + 1..])),
            None => (arg, None),
        };
        let mut value = || match inline {
            Some(value) => Ok(value),
            None => args.next().and_then(|next| next.to_str()).ok_or_else(|| format!("{} needs a value", name)),
        };
        let number = |text: &str| text.parse::<i32>().map_err(|_| format!("{}: {} is not a number", name, text));
        match name {
            "--listen-fd" => flags.reach = Some(Reach::Listen(number(value()?)?)),
            "--listen" => flags.reach = Some(Reach::Bind(value()?.to_string())),
            "--stream-fd" => flags.reach = Some(Reach::Stream(number(value()?)?)),
            "--stdio" => flags.reach = Some(Reach::Stdio),
            "--workload-cgroup-fd" if flags.cgroups.len() < MAX_CGROUPS => {
                flags.cgroups.push(Place::Inherited(number(value()?)?))
            }
            "--workload-cgroup" if flags.cgroups.len() < MAX_CGROUPS => {
                flags.cgroups.push(Place::Path(value()?.to_string()))
            }
            "--workload-oom-score-adj" => flags.oom_score = Some(number(value()?)?),
            "--oom-event-fd" => flags.oom_event = Some(number(value()?)?),
            "--oom-events" => flags.oom_events = Some(value()?.to_string()),
            "--drop-bounding-set" => flags.keep = Some(capabilities(value()?)?),
            "--home" => flags.home = Some(value()?.as_bytes().to_vec()),
            "--etc" if flags.etc.len() < MAX_ETC => flags.etc.push(etc(value()?)?),
            "--own-clock" => flags.own_clock = true,
            "--say-ready" => flags.say_ready = true,
            _ => return Err(format!("{} is not a flag, or is given too often", name)),
        }
    }
    if flags.reach.is_none() {
        return Err(String::from("one of --listen-fd, --listen, --stream-fd and --stdio is needed"));
    }
    Ok(flags)
}

/// `hosts:7` or `hosts:/path`.
fn etc(text: &str) -> Result<(String, Place), String> {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.') && !name.starts_with('.');
    match text.split_once(':') {
        Some((name, fd)) if !name.is_empty() && plain(name) => {
            Ok((name.to_string(), Place::parse(fd).ok_or_else(|| format!("--etc: {} is no descriptor and no path", fd))?))
        }
        _ => Err(format!("--etc: {} is not a name and a descriptor", text)),
    }
}

/// Names in the order of their numbers.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// `CAP_KILL,setuid,7`: with or without prefix, in any case, or by number. Empty: none.
fn capabilities(list: &str) -> Result<Vec<u32>, String> {
    let mut numbers = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let lower = name.to_ascii_lowercase();
        let short = lower.strip_prefix("cap_").unwrap_or(&lower);
        let known = CAPABILITIES.iter().position(|known| *known == short).map(|index| index as u32);
        match known.or_else(|| short.parse().ok().filter(|number| *number < 64)) {
            Some(number) => numbers.push(number),
            None => return Err(format!("{} is not a capability", name)),
        }
    }
    Ok(numbers)
}

impl Options {
    pub fn take(flags: &Flags) -> sys::Result<Options> {
        let workload_cgroups = flags.cgroups.iter().map(|place| place.open(c::O_WRONLY)).collect::<sys::Result<Vec<_>>>()?;
        Ok(Options { workload_cgroups, own_clock: flags.own_clock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn reads_all_flags() {
        let flags = parse(&words(
            "--listen-fd 3 --workload-cgroup-fd=4 --workload-cgroup-fd 5 --workload-oom-score-adj 500 \
             --oom-event-fd 6 --drop-bounding-set=CAP_KILL,setuid,40 --own-clock --etc resolv.conf:7"
                .replace("             ", "")
                .as_str(),
        ))
        .unwrap();
        assert_eq!(flags.reach, Some(Reach::Listen(3)));
        assert_eq!(flags.cgroups, [Place::Inherited(4), Place::Inherited(5)]);
        assert_eq!((flags.oom_score, flags.oom_event), (Some(500), Some(6)));
        assert_eq!(flags.keep, Some(vec![5, 7, 40]));
        assert!(flags.own_clock);
        assert_eq!(flags.etc, [(String::from("resolv.conf"), Place::Inherited(7))]);
    }

    #[test]
    fn reads_paths() {
        let flags = parse(&words("--listen /dev/a --oom-events=/sys/b --workload-cgroup /c --etc hosts:/d")).unwrap();
        assert_eq!(flags.cgroups, [Place::Path(String::from("/c"))]);
        assert_eq!(flags.etc, [(String::from("hosts"), Place::Path(String::from("/d")))]);
        assert_eq!(flags.reach, Some(Reach::Bind(String::from("/dev/a"))));
        assert_eq!(flags.oom_events.as_deref(), Some("/sys/b"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in ["", "--stdio --unknown", "--listen-fd", "--listen-fd x", "--stdio --drop-bounding-set nonsense", "--stdio --etc ../x:3", "--stdio --etc hosts"] {
            assert!(parse(&words(bad)).is_err(), "{}", bad);
        }
    }
}
