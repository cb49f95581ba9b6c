//! What has to be killed to end a host process.

use std::collections::HashSet;

use super::cgroups;
use super::entry::Entry;
use super::host::Host;
use super::procs;
use super::record::ProcessKey;

impl Host {
    /// Everything of this entry that runs.
    pub fn targets(&self, entry: &Entry) -> HashSet<ProcessKey> {
        let record = &entry.record;
        let mut found = HashSet::new();
        if record.boot != self.boot {
            return found;
        }
        let mut queue: Vec<ProcessKey> = record.members.clone();
        if record.leader.pid > 1 && procs::exists(record.leader) {
            queue.push(record.leader);
            // As long as the leader exists, dead or alive, nobody else can have its number as a session.
            let session = record.leader.pid;
            let leaders = self.own_leaders();
            let lost_children = procs::children(self.me.pid).into_iter().filter(|pid| !leaders.contains(pid));
            let others = if !entry.own && record.cgroups.is_empty() { procs::in_session(session) } else { Vec::new() };
            for pid in lost_children.chain(others) {
                if procs::stat(pid).map_or(false, |stat| stat.session == session) {
                    queue.extend(procs::key_of(pid));
                }
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
}
