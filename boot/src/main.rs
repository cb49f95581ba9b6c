//! The first program of Cove's virtual machines, as `/init` of their initramfs: it makes a machine of disks, ports and
//! volumes, starts the guest agent in it, and ends the machine with the agent. `docs/boot-protocol.md` is the contract.

#![cfg_attr(not(any(test, fuzzing)), no_main)]

mod agent;
mod cgroup;
mod config;
mod console;
mod control;
mod disks;
mod failure;
#[cfg(fuzzing)]
#[path = "../fuzz/driver.rs"]
mod fuzz;
mod hex;
mod identity;
mod inside;
mod machine;
mod modules;
mod network;
mod pack;
mod ports;
mod sys;

use config::Mode;
use console::Trace;
use failure::{Result, Tried};
use modules::Modules;
use sys::mount::{self, mount, NODEV, NOEXEC, NOSUID};

/// Of the program, the same as of the package that brings it.
pub const VERSION: &str = "0.1.0";

const USAGE: &str = "usage: cove-boot version; everything else it does as the first process of a virtual machine";

/// The entry of the C library: the standard library's own would end a process without standard streams, and those of
/// the first process of all are what it finds.
#[cfg(not(any(test, fuzzing)))]
#[no_mangle]
pub extern "C" fn main(_count: i32, _arguments: *const *const u8) -> i32 {
    run()
}

#[cfg(any(test, fuzzing))]
fn main() {
    std::process::exit(run());
}

fn run() -> i32 {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    #[cfg(fuzzing)]
    if arguments.first().map_or(false, |face| face == "fuzz") {
        return fuzz::main(&arguments[1..]);
    }
    if arguments.len() == 1 && arguments[0] == "version" {
        let _ = sys::write_all(1, format!("{VERSION}\n").as_bytes());
        return 0;
    }
    if sys::process::id() != 1 {
        let _ = sys::write_all(2, format!("{USAGE}\n").as_bytes());
        return 2;
    }
    let trace = Trace::begin();
    match boot(trace) {
        Ok(end) => console::say(&format!("ended {end}")),
        Err(failure) => console::say(&format!("failed: {}", failure.0)),
    }
    sys::reboot();
    1
}

/// Answers how what the machine was for has ended.
fn boot(mut trace: Trace) -> Result<String> {
    sys::clear_umask();
    for folder in ["/dev", "/sys"] {
        sys::make_dir(folder, 0o755).tried("make a folder")?;
    }
    mount("dev", "/dev", "devtmpfs", NOSUID | NOEXEC, "").tried("mount /dev")?;
    sys::take_console();
    mount("sysfs", "/sys", "sysfs", NOSUID | NODEV | NOEXEC, "").tried("mount /sys")?;
    let modules = Modules::read()?;
    modules.load_first()?;
    trace.mark("modules");
    let disks = disks::find()?;
    let config = config::parse(&disks.config)?;
    trace.mark("disks");
    modules.load_needed(|need| config.needs(need))?;
    trace.mark("more modules");
    match config.mode {
        Mode::Machine(machine) => {
            let machine = machine::Machine::prepare(machine, &disks, &mut trace)?;
            trace.mark("agent");
            modules.forget();
            if config.trace {
                trace.tell();
            }
            machine.run()
        }
        Mode::Pack(door) => pack::pack(door, &disks),
    }
}

/// Nothing that was written is lost from here on.
fn settle(disk: &str) {
    sys::sync();
    let _ = mount::freeze(disk);
}
