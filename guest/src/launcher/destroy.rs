//! Ending a host process and removing what belongs to it, step by step and never blocking: kill, wait, control
//! groups, paths, record. The record goes last, so that whoever comes after a crash can start over.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::time::{Duration, Instant};

use super::cgroups;
use super::entry::Entry;
use super::exit::Exit;
use super::fault::Fault;
use super::held;
use super::host::Host;
use super::job::{Job, Phase, Step, Waiter, DEADLINE, FIRST_DELAY};
use super::pipes;
use super::procs;
use super::record::{valid_id, ProcessKey, State};
use super::remove::{remove, Removed};
use super::signals;
use crate::sys::{self, c, host};

const LONGEST_DELAY: Duration = Duration::from_millis(50);
/// Entries removed on the loop; more are left to a helper.
const BUDGET: u64 = 128;
const MAX_HELPERS: usize = 8;

impl Host {
    /// Idempotent, also for ids that nobody has seen.
    pub fn destroy(&mut self, id: &str, waiter: Option<Waiter>) {
        if valid_id(id) {
            self.load(id);
        }
        let entry = match self.entries.get_mut(id) {
            Some(entry) => entry,
            None => return self.tell(waiter.into_iter().collect(), id, None),
        };
        let starter = entry.starting.take().map(|starting| {
            Waiter::Failed(starting.client, Fault::new("cancelled", format!("the start of {} was cancelled", id)))
        });
        let job = self.jobs.entry(id.to_string()).or_insert_with(|| Job::new(Instant::now()));
        job.waiters.extend(starter);
        job.waiters.extend(waiter);
        self.advance(id);
    }

    /// Goes on as far as possible now.
    pub fn advance(&mut self, id: &str) {
        let mut job = match self.jobs.remove(id) {
            Some(job) => job,
            None => return,
        };
        loop {
            match self.step(id, &mut job) {
                Step::Again => {}
                Step::Wait(time) => {
                    job.next = Instant::now() + time;
                    self.jobs.insert(id.to_string(), job);
                    return;
                }
                Step::Failed(fault) => {
                    self.log.line(format_args!("destroy {}: {}", id, fault.message));
                    return self.tell(job.waiters, id, Some(fault));
                }
                Step::Done => return self.tell(job.waiters, id, None),
            }
        }
    }

    fn tell(&mut self, waiters: Vec<Waiter>, id: &str, fault: Option<Fault>) {
        self.swept(id);
        for waiter in waiters {
            match (waiter, &fault) {
                (Waiter::Destroyed(client), None) => self.done(client),
                (Waiter::Destroyed(client), Some(fault)) => self.refuse(client, fault),
                (Waiter::Failed(client, cause), None) => self.refuse(client, &cause),
                (Waiter::Failed(client, cause), Some(fault)) => {
                    let message =
                        format!("{} (and undoing it failed, destroy {}: {})", cause.message, id, fault.message);
                    self.refuse(client, &Fault { message, ..cause });
                }
            }
        }
    }

    fn step(&mut self, id: &str, job: &mut Job) -> Step {
        match job.phase {
            Phase::Kill => self.kill(id, job),
            Phase::Cgroups => self.remove_cgroups(id, job),
            Phase::Paths => self.remove_paths(id, job),
            Phase::Helper => Step::Wait(DEADLINE),
        }
    }

    fn kill(&mut self, id: &str, job: &mut Job) -> Step {
        let entry = match self.entries.get(id) {
            Some(entry) => entry,
            None => return Step::Done,
        };
        if job.killed.is_empty() {
            cgroups::roots(&entry.record.cgroups).for_each(|group| cgroups::forbid_forks(group));
        }
        let own = entry.own;
        // An end that nobody has heard of yet: what was seen before it tells nothing.
        let unheard = entry.lives() && !procs::exists(entry.record.leader);
        let since =
            if unheard { Instant::now() } else { job.signalled.map_or(entry.known, |time| time.max(entry.known)) };
        let orphans = entry.record.marked || entry.home.is_some();
        let bare = entry.record.cgroups.is_empty();
        if bare && entry.record.launcher != self.me {
            if let Some(rest) = self.living.rest(since) {
                return Step::Wait(rest);
            }
        }
        let targets = self.targets(id, since);
        // Killed is not gone: the tree that led to a process may have ended before it.
        if targets.is_empty() && job.waiting.is_empty() && !own {
            // One that ends while it is looked for leaves children that were not its heirs' yet: the second look finds them.
            if orphans && !job.nothing {
                job.nothing = true;
                job.signalled = Some(Instant::now());
                return Step::Wait(FIRST_DELAY);
            }
            job.phase = Phase::Cgroups;
            if self.entries.get(id).map_or(false, Entry::lives) {
                self.adopted_ended(id);
                if self.entries.get(id).map_or(false, Entry::lives) {
                    // Its launcher is about to write how it ended.
                    job.phase = Phase::Kill;
                    return Step::Wait(FIRST_DELAY);
                }
            }
            return Step::Again;
        }
        job.nothing = false;
        if Instant::now() >= job.deadline {
            let left = job.killed.iter().filter(|key| procs::alive(**key));
            let pids: Vec<_> = left.take(8).map(|key| key.pid.to_string()).collect();
            let message = format!("processes of {} cannot be killed: {}", id, pids.join(", "));
            return Step::Failed(Fault::new("deadline-exceeded", message));
        }
        // Without a control group the tree is all there is to go by, and it falls apart when parents die first.
        if bare && Instant::now() < job.stopping_until {
            if let Some(step) = job.stop(&targets, own) {
                return step;
            }
        }
        if bare && job.killed.is_empty() {
            self.remember(id, &targets);
        }
        for key in targets {
            if job.killed.insert(key) {
                job.waiting.extend(signals::send_exactly(key, c::SIGKILL));
            }
        }
        job.signalled = Some(Instant::now());
        if let Some(entry) = self.entries.get(id) {
            cgroups::roots(&entry.record.cgroups).for_each(|group| cgroups::thaw(group));
        }
        Step::Wait(LONGEST_DELAY)
    }

    /// Writes a tree down before it is killed: a launcher that dies in the middle leaves orphans that no tree leads to.
    fn remember(&mut self, id: &str, targets: &HashSet<ProcessKey>) {
        if let Some(entry) = self.entries.get_mut(id) {
            let record = &mut entry.record;
            let known = record.members.len();
            let new = targets.iter().filter(|key| **key != record.leader && !record.members.contains(key));
            let new: Vec<ProcessKey> = new.copied().collect();
            record.members.extend(new);
            if record.members.len() == known {
                return;
            }
            if let Err(error) = self.records.write(record) {
                self.log.line(format_args!("write the record {}: {}", id, error));
            }
        }
    }

    fn remove_cgroups(&mut self, id: &str, job: &mut Job) -> Step {
        let groups = self.entries.get(id).map_or_else(Vec::new, |entry| entry.record.cgroups.clone());
        for group in groups.iter().rev() {
            match cgroups::remove(group) {
                Ok(()) => {}
                // Still in use: by a newcomer, or by what the kernel has not finished yet.
                Err(error) if error.raw_os_error() == Some(c::EBUSY) && Instant::now() < job.deadline => {
                    job.phase = Phase::Kill;
                    job.delay = (job.delay * 2).min(LONGEST_DELAY);
                    return Step::Wait(job.delay);
                }
                Err(error) => return Step::Failed(Fault::at(format_args!("rmdir {}", group), &error)),
            }
        }
        job.phase = Phase::Paths;
        Step::Again
    }

    fn remove_paths(&mut self, id: &str, job: &mut Job) -> Step {
        let record = match self.entries.get(id) {
            Some(entry) => &entry.record,
            None => return Step::Done,
        };
        for path in &record.listens {
            // Only what a start makes: a socket.
            if fs::symlink_metadata(path).map_or(false, |facts| facts.file_type().is_socket()) {
                let _ = fs::remove_file(path);
            }
        }
        let unconfirmed = record.state != State::Running;
        let made = record.folders.iter().filter(|_| unconfirmed);
        let paths: Vec<String> = made.chain(&record.removes).cloned().collect();
        let mut large = false;
        for path in &paths {
            match remove(path, BUDGET) {
                Ok(Removed::All) => {}
                Ok(Removed::TooMuch) => large = true,
                Err(error) => return Step::Failed(Fault::at(format_args!("remove {}", path), &error)),
            }
        }
        if !large {
            return self.forget(id);
        }
        if self.helpers.len() >= MAX_HELPERS {
            return Step::Wait(LONGEST_DELAY);
        }
        match sys::check(unsafe { c::fork() }) {
            Err(error) => Step::Failed(Fault::from_errno("fork", error.0, error.text())),
            Ok(0) => help_removing(&paths),
            Ok(pid) => {
                self.helpers.insert(pid, id.to_string());
                job.phase = Phase::Helper;
                Step::Again
            }
        }
    }

    /// A helper has ended with 0, or with the error number that stopped it.
    pub fn helper_ended(&mut self, pid: i32, status: i32) {
        let id = match self.helpers.remove(&pid) {
            Some(id) => id,
            None => return,
        };
        let mut job = match self.jobs.remove(&id) {
            Some(job) => job,
            None => return,
        };
        if status == 0 {
            job.phase = Phase::Paths;
            self.jobs.insert(id.clone(), job);
            return self.advance(&id);
        }
        let fault = Fault::from_errno(format_args!("remove the paths of {}", id), status, sys::Errno(status).text());
        self.log.line(&fault.message);
        self.tell(job.waiters, &id, Some(fault));
    }

    fn forget(&mut self, id: &str) -> Step {
        if let Some(entry) = self.entries.get(id) {
            if entry.lives() {
                self.set_exit(id, Exit::Lost);
            }
        }
        held::remove(&self.state, id);
        pipes::remove(&self.state, id);
        if let Err(error) = self.records.remove(id) {
            return Step::Failed(Fault::at("remove the record", &error));
        }
        if let Some(held) = self.entries.remove(id).and_then(|entry| entry.held) {
            self.outputs.forget(&held);
        }
        Step::Done
    }
}

fn help_removing(paths: &[String]) -> ! {
    host::close_from(3);
    let mut status = 0;
    for path in paths {
        if let Err(error) = remove(path, u64::MAX) {
            status = error.raw_os_error().filter(|errno| (1..256).contains(errno)).unwrap_or(c::EIO);
        }
    }
    unsafe { c::_exit(status) };
}
