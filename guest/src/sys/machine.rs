//! The machine's name, clock, disk, and the agent's own standing in it.

use super::{c, c_string, check, check_long, open, Errno, Result};
use std::os::unix::io::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

const CLOCK_REALTIME: c::Int = 0;
const LAST_CAPABILITY: u32 = 63;
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const TCSANOW: c::Int = 0;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c::Int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The C library's `statvfs` on 64-bit machines.
#[repr(C)]
#[derive(Default)]
struct Statvfs {
    block_size: u64,
    fragment_size: u64,
    blocks: u64,
    free: u64,
    available: u64,
    rest: [u64; 16],
}

/// Larger than the C library's `termios`.
#[repr(C, align(8))]
struct Termios([u8; 128]);

extern "C" {
    fn statvfs(path: *const c::Char, out: *mut Statvfs) -> c::Int;
    fn tcgetattr(fd: c::Int, out: *mut Termios) -> c::Int;
    fn tcsetattr(fd: c::Int, when: c::Int, settings: *const Termios) -> c::Int;
    fn cfmakeraw(settings: *mut Termios);
}

pub fn set_hostname(name: &[u8]) -> Result<()> {
    check(unsafe { c::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Unix milliseconds.
pub fn set_clock(ms: u64) -> Result<()> {
    let time = c::timespec_t { seconds: (ms / 1000) as i64, nanoseconds: (ms % 1000 * 1_000_000) as c::Long };
    check(unsafe { c::clock_settime(CLOCK_REALTIME, &time) }).map(drop)
}

pub fn sync_all() {
    unsafe { c::sync() };
}

/// Bytes of the file system a path is on: all, and those in use.
pub fn disk(path: &[u8]) -> Result<(u64, u64)> {
    let path = c_string(path)?;
    let mut facts = Statvfs::default();
    check(unsafe { statvfs(path.as_ptr(), &mut facts) })?;
    let used = facts.blocks.saturating_sub(facts.free);
    Ok((facts.blocks.saturating_mul(facts.fragment_size), used.saturating_mul(facts.fragment_size)))
}

/// Fills closed standard streams, and gives an open null device.
pub fn null_for_standard_streams() -> Result<OwnedFd> {
    loop {
        let null = open(b"/dev/null", c::O_RDWR, 0)?;
        if null.as_raw_fd() > 2 {
            return Ok(null);
        }
        let _ = null.into_raw_fd();
    }
}

/// Moves a standard stream to a higher number and leaves the null device in its place.
pub fn move_away(fd: RawFd) -> Result<OwnedFd> {
    let moved = check(unsafe { c::fcntl(fd, c::F_DUPFD_CLOEXEC, 3 as c::Long) })?;
    let moved = unsafe { OwnedFd::from_raw_fd(moved) };
    let null = open(b"/dev/null", c::O_RDWR, 0)?;
    check(unsafe { c::dup2(null.as_raw_fd(), fd) })?;
    Ok(moved)
}

/// Makes a serial port carry bytes as they are. Other descriptors have no such settings.
pub fn make_raw(fd: RawFd) {
    let mut settings = Termios([0; 128]);
    unsafe {
        if tcgetattr(fd, &mut settings) == 0 {
            cfmakeraw(&mut settings);
            tcsetattr(fd, TCSANOW, &settings);
        }
    }
}

/// A unix socket at a path, which only its own user can connect to. One that an earlier process left there goes.
pub fn listen(path: &str) -> Result<OwnedFd> {
    let _ = std::fs::remove_file(path);
    unsafe { c::umask(0o177) };
    Ok(UnixListener::bind(path)?.into())
}

/// Modes are what a request says, and no folder is kept busy.
pub fn settle() -> Result<()> {
    unsafe { c::umask(0) };
    let root = c_string(b"/")?;
    check(unsafe { c::chdir(root.as_ptr()) }).map(drop)
}

/// No program started from here on can have any other capability than these, whatever its user or file says.
pub fn keep_capabilities(keep: &[u32]) -> Result<()> {
    for number in 0..=LAST_CAPABILITY {
        if unsafe { c::prctl(c::PR_CAPBSET_READ, number as c::ULong) } < 0 {
            break;
        }
        if !keep.contains(&number) {
            let dropped = check(unsafe { c::prctl(c::PR_CAPBSET_DROP, number as c::ULong) });
            // Without the right to shrink the set it may still be small enough already.
            if dropped.is_err() && unsafe { c::prctl(c::PR_CAPBSET_READ, number as c::ULong) } != 0 {
                if has_capabilities() {
                    return Err(Errno(c::EPERM));
                }
                break;
            }
        }
    }
    let clear = c::PR_CAP_AMBIENT_CLEAR_ALL as c::ULong;
    let zero: c::ULong = 0;
    // Kernels without the ambient set have nothing to clear.
    unsafe { c::prctl(c::PR_CAP_AMBIENT, clear, zero, zero, zero) };
    let (mut header, mut data) = capabilities()?;
    for part in &mut data {
        part.inheritable = 0;
    }
    check_long(unsafe { c::syscall(c::SYS_CAPSET, &mut header as *mut CapabilityHeader, data.as_ptr()) }).map(drop)
}

/// Makes everything that this process may do count again, as after a change of the effective user.
pub fn raise_capabilities() -> Result<()> {
    let (mut header, mut data) = capabilities()?;
    for part in &mut data {
        part.effective = part.permitted;
    }
    check_long(unsafe { c::syscall(c::SYS_CAPSET, &mut header as *mut CapabilityHeader, data.as_ptr()) }).map(drop)
}

fn capabilities() -> Result<(CapabilityHeader, [CapabilityData; 2])> {
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let mut data = [CapabilityData::default(); 2];
    check_long(unsafe { c::syscall(c::SYS_CAPGET, &mut header as *mut CapabilityHeader, data.as_mut_ptr()) })?;
    Ok((header, data))
}

fn has_capabilities() -> bool {
    capabilities().map_or(true, |(_, data)| data.iter().any(|part| part.permitted != 0))
}
