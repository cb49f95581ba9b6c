//! The launcher: starts host processes for a daemon, outlives it, and knows how they ended.

mod cgroups;
mod child;
mod connection;
mod destroy;
mod entry;
mod exit;
mod exits;
mod fault;
mod held;
mod host;
mod hostname;
mod job;
mod living;
mod log;
mod marks;
mod mount_points;
mod mounts;
mod namespaces;
mod network;
mod pipes;
mod procs;
pub mod record;
mod records;
mod remove;
mod requests;
mod ring;
mod server;
mod signals;
pub mod spec;
mod start;
mod sweep;
mod targets;
mod values;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys::host::{close_from, signal_descriptor, try_lock};
use crate::sys::{self, c};

const USAGE: &str = "usage: cove-guest launcher --state DIR --installation ID --instance NAME [--idle-ms N]";
/// Exit status when another launcher of this name holds the lock.
const BUSY: i32 = 3;

struct Options {
    state: PathBuf,
    installation: String,
    /// Tells launchers of different versions apart.
    instance: String,
    idle: Duration,
}

/// Returns when the launcher listens; the launcher itself goes on in the background.
pub fn main(args: &[OsString]) -> i32 {
    let options = match parse(args) {
        Some(options) => options,
        None => {
            eprintln!("{}", USAGE);
            return 2;
        }
    };
    match serve(&options) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("launcher in {}: {}", options.state.display(), error);
            1
        }
    }
}

fn parse(args: &[OsString]) -> Option<Options> {
    let (mut state, mut installation, mut instance) = (None, None, None);
    let mut idle = Duration::from_secs(30);
    for pair in args.chunks(2) {
        let value = pair.get(1)?;
        match pair[0].to_str()? {
            "--state" => state = Some(PathBuf::from(value)).filter(|path| path.is_absolute()),
            "--installation" => installation = value.to_str().filter(|text| is_word(text)).map(String::from),
            "--instance" => instance = value.to_str().filter(|text| is_word(text)).map(String::from),
            "--idle-ms" => idle = Duration::from_millis(value.to_str()?.parse().ok()?),
            _ => return None,
        }
    }
    Some(Options { state: state?, installation: installation?, instance: instance?, idle })
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn serve(options: &Options) -> io::Result<i32> {
    unsafe { c::umask(0o077) };
    // What the caller had open must not stay open as long as the launcher lives.
    close_from(3);
    make_state_folder(&options.state)?;
    let path = |suffix: &str| options.state.join(format!("{}.{}", options.instance, suffix));
    let lock = fs::OpenOptions::new().write(true).create(true).mode(0o600).open(path("lock"))?;
    let locked = try_lock(lock.as_raw_fd()).map_err(to_io)?;
    // A lock on a file that was just removed by the cleaning of another launcher locks nobody out.
    let current =
        fs::metadata(path("lock")).map_or(false, |facts| lock.metadata().map_or(0, |own| own.ino()) == facts.ino());
    if !locked || !current {
        return Ok(BUSY);
    }
    remove_dead(&options.state, &options.instance);
    let socket = path("sock");
    let listener = listen(&socket, &path("new"))?;

    if fork()? {
        return Ok(0);
    }
    unsafe { c::setsid() };
    if fork()? {
        return Ok(0);
    }
    detach_stdio()?;
    let signals = signal_descriptor(&[c::SIGCHLD, c::SIGTERM, c::SIGINT, c::SIGHUP]).map_err(to_io)?;
    sys::check(unsafe { c::prctl(c::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map_err(to_io)?;
    let host = match host::Host::open(&options.state, &options.installation, lock.as_raw_fd()) {
        Ok(host) => host,
        Err(error) => {
            log::Log::new(options.state.join("launcher.log")).line(format_args!("open the records: {}", error));
            let _ = fs::remove_file(&socket);
            return Err(error);
        }
    };
    server::Server::new(host, listener, signals, socket, options.idle).run();
    Ok(0)
}

fn make_state_folder(state: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(state) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(state, fs::Permissions::from_mode(0o700))
}

/// The socket appears under its name when it listens, in place of what a dead launcher left.
fn listen(socket: &Path, temporary: &Path) -> io::Result<UnixListener> {
    let _ = fs::remove_file(temporary);
    let listener = UnixListener::bind(temporary)?;
    listener.set_nonblocking(true)?;
    fs::rename(temporary, socket)?;
    Ok(listener)
}

/// Removes locks and sockets of other launchers that do not run any more, such as those of earlier versions.
fn remove_dead(state: &Path, instance: &str) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension() != Some("lock".as_ref()) || path.file_stem() == Some(instance.as_ref()) {
            continue;
        }
        if let Ok(lock) = fs::OpenOptions::new().write(true).open(&path) {
            if let Ok(true) = try_lock(lock.as_raw_fd()) {
                let _ = fs::remove_file(path.with_extension("sock"));
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// True in the parent.
fn fork() -> io::Result<bool> {
    Ok(sys::check(unsafe { c::fork() }).map_err(to_io)? != 0)
}

fn detach_stdio() -> io::Result<()> {
    std::env::set_current_dir("/")?;
    let null: OwnedFd = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into();
    for target in 0..3 {
        sys::check(unsafe { c::dup2(null.as_raw_fd(), target) }).map_err(to_io)?;
    }
    Ok(())
}

fn to_io(error: sys::Errno) -> io::Error {
    io::Error::from_raw_os_error(error.0)
}
