//! What belongs to a host process.

use std::collections::HashSet;
use std::time::Instant;

use super::cgroups;
use super::fault::Fault;
use super::host::Host;
use super::marks::mark_of;
use super::procs;
use super::record::ProcessKey;

impl Host {
    /// Everything of this entry that runs, as it was at `since` or later.
    pub fn targets(&mut self, id: &str, since: Instant) -> HashSet<ProcessKey> {
        let mut found = HashSet::new();
        let launcher = self.me.pid;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.settle_home(launcher);
        }
        let entry = match self.entries.get(id) {
            Some(entry) if entry.record.boot == self.boot => entry,
            _ => return found,
        };
        let record = &entry.record;
        // As long as the leader exists, dead or alive, nobody else can have its number as a session.
        let leads = record.leader.pid > 1 && procs::exists(record.leader);
        let session = record.leader.pid;
        let mut queue: Vec<ProcessKey> = record.members.clone();
        if leads {
            queue.push(record.leader);
        }
        let ours = record.launcher == self.me;
        if ours && (leads || record.marked || entry.home.is_some()) {
            let leaders = self.own_leaders();
            for pid in procs::children(self.me.pid).into_iter().filter(|pid| !leaders.contains(pid)) {
                let same_session = leads && procs::stat(pid).map_or(false, |stat| stat.session == session);
                let named = record.marked && mark_of(pid).as_deref() == Some(id);
                if same_session || named || entry.is_home_of(pid) {
                    queue.extend(procs::key_of(pid));
                }
            }
        }
        // What a dead launcher has started is not below this one when it has lost its parents.
        if !ours && record.cgroups.is_empty() && (leads || record.marked) {
            self.living.look(since);
            if leads {
                queue.extend(self.living.in_session(session));
            }
            if record.marked {
                queue.extend(self.living.marked(id));
            }
        }
        // A member of one group is one of the others too, in their own hierarchies: the first that has any tells of all,
        // and one that only another group has keeps that from being removed, which leads back here.
        let members = cgroups::roots(&record.cgroups).map(cgroups::members).find(|pids| !pids.is_empty());
        queue.extend(members.into_iter().flatten().filter_map(procs::key_of));
        while let Some(key) = queue.pop() {
            if key.pid > 1 && key != self.me && !found.contains(&key) && procs::alive(key) {
                found.insert(key);
                queue.extend(procs::children(key.pid).into_iter().filter_map(procs::key_of));
            }
        }
        found
    }

    /// Everything of this entry that runs now.
    pub fn living_of(&mut self, id: &str) -> Result<HashSet<ProcessKey>, Fault> {
        self.find(id)?;
        Ok(self.targets(id, Instant::now()))
    }
}
