//! Cove's program for layers of images, on the host: it unpacks archives into the folders that overlays are mounted
//! from, packs such folders into archives, copies and removes them; and it copies disks and memory of virtual machines.
//! The result is one line of JSON on stdout (of `pack`, the archive), a failure one on stderr.

mod copy;
mod failure;
mod file;
#[cfg(fuzzing)]
#[path = "../fuzz/driver.rs"]
mod fuzz;
mod json;
mod keep;
mod memory;
mod options;
mod owners;
mod pack;
mod sys;
mod tar;
mod tree;
mod unpack;
mod walk;

use failure::{Code, Failure, Result};
use options::Options;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::AsRawFd;

/// Of the program, the same as of the package that brings it.
pub const VERSION: &str = "0.1.0";

const USAGE: &str = "usage: cove-layers unpack|pack|copy|file|keep|remove|version";

fn run(face: &str, rest: &[OsString]) -> Result<()> {
    sys::clear_umask();
    sys::raise_open_files();
    match face {
        "unpack" => {
            let mut options = Options::read(rest, &["plain", "sync"])?;
            let plan = unpack::Plan::read(&mut options)?;
            options.done()?;
            let (report, tree) = unpack::unpack(&plan, unpack::Stdin)?;
            say(report.entries, report.bytes, &tree)
        }
        "pack" => {
            let mut options = Options::read(rest, &[])?;
            let content = walk::Content::read(&mut options)?;
            options.done()?;
            pack::pack(&content)
        }
        "copy" => {
            let mut options = Options::read(rest, &["sync"])?;
            let content = walk::Content::read(&mut options)?;
            let below = options.value("below")?.map(walk::Content::layer);
            let (into, sync) = (options.required("into")?, options.flag("sync"));
            options.done()?;
            let (report, tree) = copy::copy(&content, below.as_ref(), &into, sync)?;
            say(report.entries, report.bytes, &tree)
        }
        "file" => {
            let mut options = Options::read(rest, &["follow"])?;
            let (from, into) = (options.required("from")?, options.required("into")?);
            let (process, follow) = (options.number("process", 0)?, options.flag("follow"));
            options.done()?;
            say_copied(&file::copy(&from, &into, Some(process).filter(|pid| *pid != 0), follow)?)
        }
        "keep" => {
            let mut options = Options::read(rest, &[])?;
            let from = options.required("from")?;
            options.done()?;
            let memory = keep::keep(&from)?;
            print(&format!("{{\"fd\":{}}}", memory.as_raw_fd()))?;
            keep::wait();
            Ok(())
        }
        "remove" => match rest {
            [path] => tree::remove::path(path.as_bytes()).map(drop),
            _ => Err(Failure::new(Code::Usage, "usage: cove-layers remove FOLDER")),
        },
        "version" => print(VERSION),
        #[cfg(fuzzing)]
        "fuzz" => std::process::exit(fuzz::main(rest)),
        _ => Err(Failure::new(Code::Usage, USAGE)),
    }
}

fn say(entries: u64, bytes: u64, tree: &tree::Tree) -> Result<()> {
    let tree::Tree { skipped, implied, .. } = tree;
    print(&format!(
        "{{\"entries\":{},\"bytes\":{},\"implied\":{},\"skipped\":{{\"owners\":{},\"devices\":{},\"attributes\":{}}}}}",
        entries, bytes, implied, skipped.owners, skipped.devices, skipped.attributes
    ))
}

fn say_copied(file::Copied { size, stored, samples }: &file::Copied) -> Result<()> {
    let samples: Vec<String> = samples.iter().map(u64::to_string).collect();
    print(&format!("{{\"size\":{},\"stored\":{},\"samples\":[{}]}}", size, stored, samples.join(",")))
}

fn print(line: &str) -> Result<()> {
    let line = format!("{line}\n");
    sys::write_all(1, line.as_bytes()).map_err(|error| Failure::system("print the result", error))
}

fn main() {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let face = args.first().and_then(|face| face.to_str()).unwrap_or("");
    let status = match run(face, args.get(1..).unwrap_or(&[])) {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("{}", failure.line());
            if failure.code == Code::Usage {
                2
            } else {
                1
            }
        }
    };
    std::process::exit(status);
}
