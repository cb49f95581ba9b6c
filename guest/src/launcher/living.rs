//! All processes of the host by session and by mark, as they were at one time. To look at all of them takes long, so what
//! one has seen serves everybody for whom it is new enough.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use super::marks::mark_of;
use super::procs;
use super::record::ProcessKey;

#[derive(Default)]
pub struct Living {
    taken: Option<Instant>,
    /// How long the last look took.
    cost: Duration,
    sessions: HashMap<i32, Vec<ProcessKey>>,
    marks: HashMap<String, Vec<ProcessKey>>,
}

impl Living {
    /// How long to wait for the next look, when a new one is needed: half of the time is for other work, and whoever comes
    /// in the meantime shares it.
    pub fn rest(&self, since: Instant) -> Option<Duration> {
        let taken = self.taken.filter(|taken| *taken <= since)?;
        (taken + self.cost * 2).checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
    }

    /// What is shown from then on is not older than this.
    pub fn look(&mut self, since: Instant) {
        if self.taken.map_or(false, |taken| taken > since) {
            return;
        }
        let begun = Instant::now();
        self.taken = Some(begun);
        self.sessions.clear();
        self.marks.clear();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = match entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) {
                Some(pid) => pid,
                None => continue,
            };
            if let Some(stat) = procs::stat(pid).filter(|stat| !stat.zombie) {
                let key = ProcessKey { pid, start: stat.start };
                self.sessions.entry(stat.session).or_default().push(key);
                if let Some(mark) = mark_of(pid) {
                    self.marks.entry(mark).or_default().push(key);
                }
            }
        }
        self.cost = begun.elapsed();
    }

    pub fn in_session(&self, session: i32) -> &[ProcessKey] {
        self.sessions.get(&session).map_or(&[], Vec::as_slice)
    }

    pub fn marked(&self, id: &str) -> &[ProcessKey] {
        self.marks.get(id).map_or(&[], Vec::as_slice)
    }
}
