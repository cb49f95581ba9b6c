//! Children that have ended: the status goes to disk before the child is reaped, so that a launcher that is killed in
//! between has lost nothing.

use std::collections::HashSet;

use super::exit::Exit;
use super::host::Host;
use super::procs;
use crate::sys::host::{peek_ended, reap, Ended};

impl Host {
    pub fn children_ended(&mut self) {
        loop {
            match peek_ended(None) {
                Ok(Some(ended)) => self.child_ended(ended),
                Ok(None) => return,
                Err(error) => return self.log.line(format_args!("wait for children: {:?}", error)),
            }
        }
    }

    fn child_ended(&mut self, ended: Ended) {
        if self.helpers.contains_key(&ended.pid) {
            reap(ended.pid);
            return self.helper_ended(ended.pid, if ended.signaled { 5 } else { ended.status });
        }
        let id = (self.entries.values())
            .find(|entry| entry.own && entry.record.leader.pid == ended.pid)
            .map(|entry| entry.record.id.clone());
        let id = match id {
            Some(id) => id,
            // An orphan that came to us as the subreaper.
            None => return reap(ended.pid),
        };
        // A status pipe that closed without exec must not pass for a start.
        self.start_reported(&id);
        let exit = match ended.signaled {
            true => Exit::Signaled(ended.status as u8),
            false => Exit::Exited(ended.status as u8),
        };
        self.keep_orphans(&id, ended.pid);
        self.set_exit(&id, exit);
        reap(ended.pid);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.own = false;
        }
        if self.jobs.contains_key(&id) {
            self.advance(&id);
        }
    }

    /// Children that were started, as opposed to those that came to us as orphans.
    pub fn own_leaders(&self) -> HashSet<i32> {
        self.entries.values().filter(|entry| entry.own).map(|entry| entry.record.leader.pid).collect()
    }

    /// What the leader leaves behind in its session, or in its user namespace, has just become our child: it is remembered as long as the
    /// session's number cannot mean anything else.
    fn keep_orphans(&mut self, id: &str, session: i32) {
        let leaders = self.own_leaders();
        let orphans: Vec<_> = (procs::children(self.me.pid).into_iter())
            .filter(|pid| !leaders.contains(pid) && !self.helpers.contains_key(pid))
            .filter(|pid| {
                let at_home = self.entries.get(id).map_or(false, |entry| entry.is_home_of(*pid));
                procs::stat(*pid).map_or(false, |stat| (at_home || stat.session == session) && !stat.zombie)
            })
            .filter_map(procs::key_of)
            .collect();
        if orphans.is_empty() {
            return;
        }
        if let Some(entry) = self.entries.get_mut(id) {
            for orphan in orphans {
                if !entry.record.members.contains(&orphan) {
                    entry.record.members.push(orphan);
                }
            }
            if let Err(error) = self.records.write(&entry.record) {
                self.log.line(format_args!("write the record {}: {}", id, error));
            }
        }
    }
}
