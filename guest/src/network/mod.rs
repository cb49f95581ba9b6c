//! The network keeper: makes a network namespace, loads the rules that say what may be reached from it, and only then
//! connects it with the host's network through slirp4netns. It stays with it: it starts slirp4netns again when that
//! ends, and denies the host's new addresses as they come. With it the connection ends; the namespace and its rules
//! stay for as long as something runs in there.

mod addresses;
mod clients;
mod helper;
mod namespace;
mod options;
mod programs;

use std::ffi::OsString;
use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

use self::addresses::Addresses;
use self::clients::Clients;
use self::helper::Helper;
use self::options::Options;
use crate::sys::host::{poll, signal_descriptor, PollFd, POLLIN};
use crate::sys::{self, c, process};

/// Where the launcher finds the namespace among a keeper's descriptors.
pub const NAMESPACE_FD: RawFd = 200;
/// Bytes of rules at most.
const MAX_RULES: usize = 256 * 1024;

/// A step that failed, in words, and why.
pub type Failure = (&'static str, io::Error);

pub fn main(args: &[OsString]) -> i32 {
    let options = match options::parse(args) {
        Some(options) => options,
        None => {
            eprintln!("{}", options::USAGE);
            return 2;
        }
    };
    match keep(&options) {
        Ok(()) => 0,
        Err((step, error)) => {
            eprintln!("network: {}: {}", step, error);
            1
        }
    }
}

/// Returns when the machine can have no network any more: whatever fails after that, nothing is open.
fn keep(options: &Options) -> Result<(), Failure> {
    let signals = at("wait for signals", signal_descriptor(&[c::SIGCHLD]))?;
    let listener = at("take the listening socket", sys::adopt(options.listen))?;
    at("take the listening socket", sys::set_nonblocking(listener.as_raw_fd(), true))?;
    let mut rules = read_rules(options.rules)?;
    let mut addresses = at("watch the host's addresses", Addresses::open())?;
    let namespace = place(namespace::make().map_err(|error| ("make a network namespace", error))?)?;
    let mut clients = Clients::new(listener);
    let inet6 = addresses::has_default_route6();
    // The machine may be built in there meanwhile: as long as the rules are not loaded, nothing leads out of it.
    clients.tell(if inet6 { "made 6\n" } else { "made 4\n" });
    let new = at("read the host's addresses", addresses.read())?;
    rules.extend_from_slice(addresses::elements(&new).as_bytes());
    load(options, &namespace, &rules)?;

    // Only now, for with this there is a way out.
    let mut helper = Helper::start(options, inet6)?;
    loop {
        let mut fds = [signals.as_raw_fd(), clients.descriptor(), addresses.descriptor(), helper.descriptor()]
            .map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
        at("wait", poll(&mut fds, helper.timeout(Instant::now())))?;
        if fds[3].revents != 0 && helper.take_ready() {
            clients.tell("ready\n");
        }
        if fds[1].revents != 0 {
            clients.accept();
        }
        if fds[2].revents != 0 {
            let new = at("read the host's addresses", addresses.read())?;
            if !new.is_empty() {
                load(options, &namespace, addresses::elements(&new).as_bytes())?;
            }
        }
        process::next_signals(signals.as_raw_fd());
        while let Ok(Some((pid, _))) = process::reap() {
            helper.ended(pid)?;
        }
        helper.again(options, inet6)?;
    }
}

fn read_rules(fd: RawFd) -> Result<Vec<u8>, Failure> {
    let blob = at("take the rules", sys::adopt(fd))?;
    let mut rules = vec![0; MAX_RULES];
    let mut length = 0;
    loop {
        match at("read the rules", sys::read(blob.as_raw_fd(), &mut rules[length..]))? {
            0 if length == MAX_RULES => return Err(("read the rules", io::ErrorKind::InvalidData.into())),
            0 => break,
            count => length += count,
        }
    }
    rules.truncate(length);
    Ok(rules)
}

/// Puts the namespace where the launcher looks for it.
fn place(namespace: OwnedFd) -> Result<OwnedFd, Failure> {
    let placed = unsafe { c::dup3(namespace.as_raw_fd(), NAMESPACE_FD, c::O_CLOEXEC) };
    at("place the namespace", sys::own(placed))
}

fn load(options: &Options, namespace: &OwnedFd, rules: &[u8]) -> Result<(), Failure> {
    programs::run(&[&options.nft, "-f", "-"], namespace.as_raw_fd(), rules).map_err(|error| ("load the rules", error))
}

fn at<T>(step: &'static str, result: sys::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| (step, io::Error::from_raw_os_error(error.0)))
}
