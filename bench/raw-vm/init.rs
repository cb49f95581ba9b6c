//! The least that can be the first program of a virtual machine and answer: what a benchmark compares Cove with. It
//! takes one byte at a time from the first virtio-serial port: `x` runs `/bin/true` and answers `d`, `w` writes 64 MiB.

use std::ffi::CString;
use std::fs::{read_dir, File, OpenOptions};
use std::io::{Read, Write};
use std::os::raw::{c_char, c_int, c_ulong, c_void};
use std::process::Command;
use std::time::Duration;

extern "C" {
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int;
}

const PIECE: usize = 64 * 1024;
const PIECES: usize = 1024;

fn main() {
    show("devtmpfs", "/dev");
    let mut port = open_port();
    port.write_all(b"r").expect("the host listens");
    let piece = vec![b'x'; PIECE];
    let mut order = [0; 1];
    while port.read_exact(&mut order).is_ok() {
        match order[0] {
            b'x' => {
                let status = Command::new("/bin/true").status();
                let answer = if status.map_or(false, |status| status.success()) { b"d" } else { b"e" };
                port.write_all(answer).expect("the host listens");
            }
            b'w' => {
                for _ in 0..PIECES {
                    port.write_all(&piece).expect("the host listens");
                }
            }
            _ => {}
        }
    }
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// What is there already stays as it is.
fn show(kind: &str, at: &str) {
    let (kind, at) = (CString::new(kind).expect("no NUL"), CString::new(at).expect("no NUL"));
    unsafe { mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
}

/// The kernel may find it a moment after it has started its first program.
fn open_port() -> File {
    loop {
        for entry in read_dir("/dev").expect("/dev is there").flatten() {
            if entry.file_name().to_string_lossy().starts_with("vport") {
                if let Ok(port) = OpenOptions::new().read(true).write(true).open(entry.path()) {
                    return port;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
