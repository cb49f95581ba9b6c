//! Ends everything that has no living owner.

use std::collections::HashSet;

use super::entry::Entry;
use super::host::{Client, Host};
use super::procs;
use super::record::{Owner, State};
use crate::fields::Writer;
use crate::frames::kind;

/// One that was asked for, until all that it has to end is gone.
pub struct Sweep {
    client: Client,
    left: HashSet<String>,
}

impl Host {
    /// Answered when all is through, also with what cannot be ended.
    pub fn sweep(&mut self, client: Client) {
        self.load_all();
        let disowned: Vec<_> = self.entries.values().filter(|entry| self.is_disowned(entry)).collect();
        let left: HashSet<String> = disowned.iter().map(|entry| entry.record.id.clone()).collect();
        self.answer(client, kind::OPENED, Writer::new().number(2, left.len() as u64).finish());
        let ids: Vec<_> = left.iter().cloned().collect();
        self.sweeps.push(Sweep { client, left });
        for id in ids {
            if !self.jobs.contains_key(&id) {
                self.destroy(&id, None);
            }
        }
        self.end_sweeps();
    }

    fn is_disowned(&self, entry: &Entry) -> bool {
        let record = &entry.record;
        let same_boot = record.boot == self.boot;
        let in_work = record.state == State::Preparing
            && same_boot
            && record.launcher != self.me
            && procs::alive(record.launcher);
        match record.owner {
            Owner::Durable => false,
            Owner::Process(key) => !in_work && !(same_boot && procs::alive(key)),
        }
    }

    /// One destroy is through, well or not.
    pub fn swept(&mut self, id: &str) {
        if self.sweeps.is_empty() {
            return;
        }
        for sweep in &mut self.sweeps {
            sweep.left.remove(id);
        }
        self.end_sweeps();
    }

    fn end_sweeps(&mut self) {
        let (over, left) = std::mem::take(&mut self.sweeps).into_iter().partition(|sweep| sweep.left.is_empty());
        self.sweeps = left;
        let over: Vec<Sweep> = over;
        over.iter().for_each(|sweep| self.done(sweep.client));
    }
}
