//! Flags of `cove-guest network`.

use std::ffi::OsString;
use std::os::unix::io::RawFd;

pub const USAGE: &str =
    "usage: cove-guest network --listen-fd N --rules-fd N --nft PATH --slirp4netns PATH [--host-loopback yes]";

pub struct Options {
    /// A listening unix socket: who connects is told how far it is.
    pub listen: RawFd,
    /// What nft is to load.
    pub rules: RawFd,
    pub nft: String,
    pub slirp4netns: String,
    /// The gateway's address leads to the host's own loopback; which ports of it, the rules say.
    pub host_loopback: bool,
}

pub fn parse(args: &[OsString]) -> Option<Options> {
    let (mut listen, mut rules, mut nft, mut slirp4netns, mut host_loopback) = (None, None, None, None, false);
    for pair in args.chunks(2) {
        let value = pair.get(1)?.to_str()?;
        let program = || Some(value.to_string()).filter(|path| path.starts_with('/'));
        match pair[0].to_str()? {
            "--listen-fd" => listen = value.parse().ok(),
            "--rules-fd" => rules = value.parse().ok(),
            "--nft" => nft = program(),
            "--slirp4netns" => slirp4netns = program(),
            "--host-loopback" => host_loopback = value == "yes",
            _ => return None,
        }
    }
    Some(Options { listen: listen?, rules: rules?, nft: nft?, slirp4netns: slirp4netns?, host_loopback })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_hosts_loopback_is_closed_unless_it_is_asked_for() {
        let flags = "--listen-fd 3 --rules-fd 4 --nft /sbin/nft --slirp4netns /bin/slirp4netns";
        assert!(!parse(&words(flags)).unwrap().host_loopback);
        assert!(parse(&words(&format!("{} --host-loopback yes", flags))).unwrap().host_loopback);
        for bad in ["--listen-fd 3", "--nft nft", "--unknown x", "--listen-fd"] {
            assert!(parse(&words(bad)).is_none(), "{}", bad);
        }
    }
}
