//! The machine as a whole: metrics, identity, quiescing, shutdown.

use super::core::Agent;
use super::etc;
use super::fault::{Answer, Fault};
use super::paths;
use super::start::{split_variable, unix_ms};
use super::timers::Due;
use super::users::User;
use crate::fields::{Fields, Writer};
use crate::sys::host::{poll, PollFd, POLLIN};
use crate::sys::process::{kill, kill_group};
use crate::sys::socket::end_writing;
use crate::sys::{self, c, Errno};
use crate::VERSION;
use std::os::unix::io::AsRawFd;

/// Variables that `configure` may set, in bytes.
const MAX_ENV: usize = 128 * 1024;
/// What is left when killed is looked at this often, in milliseconds.
const AGAIN: u64 = 50;
/// How often, and how many milliseconds each time, the end of a bridge is waited for.
const BRIDGE_TRIES: u32 = 20;
const BRIDGE_WAIT: i32 = 10;

impl Agent {
    pub fn metrics(&mut self, channel: u32) -> Answer<()> {
        let memory = sys::read_small(b"/proc/meminfo", 4096).unwrap_or_default();
        let memory = String::from_utf8_lossy(&memory).into_owned();
        let total = meminfo(&memory, "MemTotal:");
        let used = total.saturating_sub(meminfo(&memory, "MemAvailable:"));
        let (disk_total, disk_used) = sys::machine::disk(b"/").unwrap_or((0, 0));
        let load = sys::read_small(b"/proc/loadavg", 128).unwrap_or_default();
        let running = self.processes.all.values().filter(|process| process.exit.is_none()).count();
        let answer = Writer::new()
            .number(1, unix_ms())
            .text(2, VERSION)
            .number(3, self.began.elapsed().as_millis() as u64)
            .number(4, running as u64)
            .number(5, total)
            .number(6, used)
            .number(7, disk_total)
            .number(8, disk_used)
            .number(9, load_thousandths(&String::from_utf8_lossy(&load)));
        self.session().opened(channel, answer);
        self.finish(channel);
        Ok(())
    }

    /// Checks everything before it changes anything.
    pub fn configure(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let hostname = fields.text(2)?;
        if hostname.map_or(false, |name| name.is_empty() || name.len() > 64 || name.contains('\0')) {
            return Err(Fault::invalid("a host name has 1 to 64 bytes"));
        }
        let mut env = Vec::new();
        let mut size = 0;
        for pair in fields.all(3) {
            let (key, value) = split_variable(pair)?;
            size += pair.len();
            env.push((key.to_vec(), value.to_vec()));
        }
        if size > MAX_ENV {
            return Err(Fault::invalid("the variables are larger than 128 KiB"));
        }
        let clock = fields.number(5)?;
        let entropy = fields.bytes(4);
        let token = fields.bytes(6).map(|bytes| <[u8; 32]>::try_from(bytes)).transpose();
        let token = token.map_err(|_| Fault::invalid("a token has 32 bytes"))?;
        let user = fields.text(7)?.filter(|user| !user.is_empty()).map(String::from);
        let workdir = fields.bytes(8).map(paths::check).transpose()?.map(<[u8]>::to_vec);
        // Only the first process of a machine knows that the name is the machine's own and not its host's.
        let named = hostname.map(|name| self.is_init && self.take_name(name.as_bytes()));
        let mixed = entropy.map(|bytes| mix(bytes).is_ok());
        let set = clock.map(|clock| self.options.own_clock && sys::machine::set_clock(clock).is_ok());
        let bound = token.map(|_| true);
        self.token = token.or(self.token);
        self.env = env;
        let mut answer = Writer::new();
        let known = [(7, user.as_ref().map(|_| true)), (8, workdir.as_ref().map(|_| true))];
        for (tag, done) in [(2, named), (4, mixed), (5, set), (6, bound)].into_iter().chain(known) {
            if let Some(done) = done {
                answer = answer.truth(tag, done);
            }
        }
        self.users.default = user;
        self.workdir = workdir;
        self.session().opened(channel, answer);
        self.finish(channel);
        Ok(())
    }

    /// Where the agent may not set it, the host may have done so.
    fn take_name(&mut self, name: &[u8]) -> bool {
        if sys::machine::set_hostname(name).is_err() && hostname() != name {
            return false;
        }
        if !self.hostname.is_empty() && self.hostname != name {
            etc::rename_host(&self.hostname, name);
        }
        self.hostname = name.to_vec();
        true
    }

    pub fn quiesce(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        self.quiesced = fields.truth(2)?;
        if !self.quiesced {
            return self.done(channel);
        }
        let myself = User::agent();
        self.errand(channel, &myself, b"/", || {
            sys::machine::sync_all();
            Ok(())
        })
    }

    pub fn open_shutdown(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let grace = fields.number(2)?.unwrap_or(0);
        self.session().opened(channel, Writer::new());
        self.shut_down(grace);
        Ok(())
    }

    /// TERM to all, the grace, KILL, and the agent ends.
    pub fn shut_down(&mut self, grace: u64) {
        if !self.ending {
            self.ending = true;
            self.send_to_all(c::SIGTERM);
            self.send_to_all(c::SIGCONT);
        }
        self.timers.set(grace, Due::Shutdown);
        self.reap_all();
    }

    pub fn finish_shutdown(&mut self) {
        self.send_to_all(c::SIGKILL);
        self.timers.set(AGAIN, Due::Shutdown);
        self.reap_all();
    }

    /// Until the other side has read everything, and for a moment at most.
    pub fn wait_for_bridge(&self) {
        let fd = match &self.wire {
            Some(wire) => wire.input.as_raw_fd(),
            None => return,
        };
        end_writing(fd);
        for _ in 0..BRIDGE_TRIES {
            match sys::read(fd, &mut [0; 4096]) {
                Ok(0) => return,
                Ok(_) => {}
                Err(Errno(c::EAGAIN)) => {
                    let mut fds = [PollFd { fd, events: POLLIN, revents: 0 }];
                    let _ = poll(&mut fds, BRIDGE_WAIT);
                }
                Err(_) => return,
            }
        }
    }

    fn send_to_all(&self, signal: i32) {
        if self.is_init {
            let _ = kill(-1, signal);
            return;
        }
        for pid in self.processes.by_pid.keys() {
            let _ = kill_group(*pid, signal);
        }
        // Orphans that left their group have become children of the agent.
        let own = sys::process::pid();
        let path = format!("/proc/{}/task/{}/children", own, own);
        let children = sys::read_small(path.as_bytes(), 65_536).unwrap_or_default();
        for pid in String::from_utf8_lossy(&children).split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let _ = kill(pid, signal);
        }
    }
}

pub fn hostname() -> Vec<u8> {
    let name = sys::read_small(b"/proc/sys/kernel/hostname", 256).unwrap_or_default();
    name.strip_suffix(b"\n").unwrap_or(&name).to_vec()
}

fn mix(entropy: &[u8]) -> sys::Result<()> {
    let pool = sys::open(b"/dev/urandom", c::O_WRONLY | c::O_NONBLOCK, 0)?;
    sys::write(pool.as_raw_fd(), &entropy[..entropy.len().min(64)]).map(drop)
}

fn meminfo(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0) * 1024
}

/// `0.52 …` is 520. The kernel writes two decimals.
fn load_thousandths(text: &str) -> u64 {
    let load = text.split_whitespace().next().unwrap_or("");
    let (whole, hundredths) = load.split_once('.').unwrap_or((load, "0"));
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    number(whole) * 1000 + number(hundredths) * 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_tells() {
        let text = "MemTotal:        4029480 kB\nMemFree:          100 kB\nMemAvailable:     29480 kB\n";
        assert_eq!(meminfo(text, "MemTotal:"), 4_126_187_520);
        assert_eq!(meminfo(text, "Nothing:"), 0);
        assert_eq!(load_thousandths("0.52 0.58 0.59 1/467 12345\n"), 520);
        assert_eq!(load_thousandths(""), 0);
    }
}
