//! A machine that only reads: it streams what was written to a disk as the archive of a layer.

use crate::config::Door;
use crate::disks::Disks;
use crate::failure::{Failure, Result, Tried};
use crate::ports;
use crate::sys::mount::{mount, NODEV, NOEXEC, NOSUID, READ_ONLY};
use crate::sys::poll::{self, wait_for};
use crate::sys::process::{self, End, Program};
use crate::sys::{self, c, socket, Errno};
use std::os::unix::io::{AsRawFd, OwnedFd};

const DISK: &str = "/disk";
const FILE: &str = "/cove-layers";
const PIECE: usize = 64 * 1024;
/// How long a host has to read the rest, in milliseconds.
const PATIENCE: i32 = 10_000;

/// Answers how the program for layers has ended.
pub fn pack(door: Door, disks: &Disks) -> Result<String> {
    let disk = disks.writable.as_ref().or(disks.root.as_ref());
    let disk = disk.ok_or_else(|| Failure::new("there is no disk to pack"))?;
    sys::make_dir(DISK, 0o755).tried("make a folder")?;
    // A disk that can be written is made whole first, from its journal.
    mount(disk, DISK, "ext4", READ_ONLY | NOSUID | NODEV | NOEXEC, "").tried("mount the disk to pack")?;
    let (stream, is_port) = match door {
        Door::Port => (ports::open(ports::PACK)?, true),
        Door::Vsock(port) => (connection(port).tried("listen for the host")?, false),
    };
    let (archive, into) = sys::pipe().tried("make a pipe")?;
    let words = ["cove-layers", "pack", "--upper", "/disk/ru", "--at", "/"].map(String::from);
    let program = Program::new(FILE, &words, &[]).tried("name the program for layers")?;
    let mut failure = None;
    let packer = process::start(0, &mut || {
        let handed = sys::put_at(into.as_raw_fd(), 1).tried("hand over a pipe");
        failure =
            Some(handed.err().unwrap_or_else(|| Failure::system("run the program for layers", program.become_it())));
    })
    .tried("start the program for layers")?;
    drop(into);
    if let Some(failure) = failure {
        return Err(failure);
    }
    carry(&archive, &stream, is_port).tried("stream the layer")?;
    Ok(match process::wait_for(packer) {
        End::Exited(code) => format!("exited {code}"),
        End::Signaled(signal) => format!("signaled {signal}"),
    })
}

fn connection(port: u32) -> sys::Result<OwnedFd> {
    let listener = socket::listen_at(port)?;
    wait_for(listener.as_raw_fd(), poll::READ, -1)?;
    socket::accept(listener.as_raw_fd())
}

/// Everything has reached the host when this comes back: one piece is held back, and the last one is written in the way
/// that waits for that. All others are not, since a port that waits does so with the whole processor.
fn carry(archive: &OwnedFd, stream: &OwnedFd, is_port: bool) -> sys::Result<()> {
    let mut held = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        match sys::read(archive.as_raw_fd(), &mut piece)? {
            0 => break,
            count => {
                write(stream, &held)?;
                held.clear();
                held.extend_from_slice(&piece[..count]);
            }
        }
    }
    if is_port {
        sys::set_blocking(stream.as_raw_fd())?;
        return sys::write_all(stream.as_raw_fd(), &held);
    }
    write(stream, &held)?;
    socket::end_writing(stream.as_raw_fd())?;
    wait_for(stream.as_raw_fd(), poll::READ, PATIENCE).map(drop)
}

fn write(stream: &OwnedFd, mut bytes: &[u8]) -> sys::Result<()> {
    while !bytes.is_empty() {
        match sys::write(stream.as_raw_fd(), bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno(c::EAGAIN)) => drop(wait_for(stream.as_raw_fd(), poll::WRITE, -1)?),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
