//! Finding the network namespace that a host process keeps for others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::io::{AsRawFd, OwnedFd};

use super::fault::{AtStep, Fault};
use super::host::Host;
use super::procs;
use crate::network::NAMESPACE_FD;
use crate::sys::namespace::{kind_of, CLONE_NEWNET};

pub struct Network {
    pub namespace: OwnedFd,
    /// The user namespace that it belongs to, where that is not the launcher's own.
    pub users: Option<OwnedFd>,
}

impl Host {
    /// What the living process of this id keeps; never the host's own network.
    pub fn network_of(&mut self, id: &str) -> Result<Network, Fault> {
        let gone = || Fault::new("network-unavailable", format!("the network {} is gone", id));
        self.load(id);
        let key = self.entries.get(id).filter(|entry| entry.lives()).map(|entry| entry.record.leader);
        let key = key.ok_or_else(gone)?;
        let namespace = open(&format!("/proc/{}/fd/{}", key.pid, NAMESPACE_FD))?;
        let users = open(&format!("/proc/{}/ns/user", key.pid))?;
        // Only now is it certain whose these are.
        if !procs::alive(key) || kind_of(namespace.as_raw_fd()) != Some(CLONE_NEWNET) {
            return Err(gone());
        }
        if is_own(&namespace, "net")? {
            return Err(Fault::new("network-unavailable", format!("the network {} is the host's own", id)));
        }
        let users = if is_own(&users, "user")? { None } else { Some(users.into()) };
        Ok(Network { namespace: namespace.into(), users })
    }
}

fn open(path: &str) -> Result<fs::File, Fault> {
    fs::File::open(path).at(|| format!("open {}", path))
}

fn is_own(namespace: &fs::File, kind: &str) -> Result<bool, Fault> {
    let path = format!("/proc/self/ns/{}", kind);
    let (a, b) = (namespace.metadata().at(|| path.clone())?, fs::metadata(&path).at(|| path.clone())?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}
