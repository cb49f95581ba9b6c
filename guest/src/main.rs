//! Cove's guest program: one static binary with four faces. Inside a machine it is the guest agent, and the bridge
//! to it where nothing else leads there; on the host it is the launcher, and the keeper of a machine's network.

mod agent;
mod bridge;
mod fields;
mod frames;
#[cfg(fuzzing)]
#[path = "../fuzz/driver.rs"]
mod fuzz;
mod launcher;
mod network;
mod sys;
#[cfg(test)]
mod vectors;

fn main() {
    let mut args = std::env::args_os().skip(1);
    let face = args.next();
    let rest: Vec<_> = args.collect();
    let status = match face.as_ref().and_then(|face| face.to_str()) {
        Some("agent") => agent::main(&rest),
        Some("bridge") => bridge::main(&rest),
        Some("launcher") => launcher::main(&rest),
        Some("network") => network::main(&rest),
        #[cfg(fuzzing)]
        Some("fuzz") => fuzz::main(&rest),
        Some("version") => {
            println!("{}", VERSION);
            0
        }
        _ => {
            eprintln!("usage: cove-guest agent|bridge|launcher|network|version");
            2
        }
    };
    std::process::exit(status);
}

/// Version of the guest program; the protocol's versions are negotiated apart from it.
pub const VERSION: &str = "0.1.0";
