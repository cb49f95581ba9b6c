//! Control groups of host processes, v1 and v2 alike: folders that are made, set, joined and removed.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::io::OwnedFd;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::spec::Cgroup;
use crate::sys::c::O_NOFOLLOW;

/// Nested groups below one of ours are looked at this deep.
const MAX_DEPTH: usize = 16;
/// Problems kept at most for one host process, and bytes of each.
const MAX_PROBLEMS: usize = 32;
const MAX_PROBLEM: usize = 1024;

/// Makes and sets one group. Answers with the descriptor that joins it, and adds what could not be set to `problems`.
pub fn make(group: &Cgroup, problems: &mut Vec<String>) -> Result<Option<OwnedFd>, Fault> {
    let required = group.sets.iter().any(|set| set.required);
    if let Err(error) = fs::create_dir(&group.path) {
        let fault = Fault::at(format_args!("mkdir {}", group.path), &error);
        if fault.code == "already-exists" {
            return Err(fault);
        }
        if required {
            return Err(Fault { code: "limit-not-enforceable", ..fault });
        }
        report(problems, fault.message);
        return Ok(None);
    }
    let folder = Path::new(&group.path);
    for set in &group.sets {
        if let Err(error) = write(&folder.join(&set.file), &set.value) {
            let fault = Fault::at(format_args!("write {} to {}/{}", set.value, group.path, set.file), &error);
            if set.required {
                return Err(Fault { code: "limit-not-enforceable", ..fault });
            }
            report(problems, fault.message);
        }
    }
    if !group.join {
        return Ok(None);
    }
    // "0" means the writer. Through `tasks` that is cheap; v2 has `cgroup.procs` only.
    let file = open(&folder.join("tasks")).or_else(|_| open(&folder.join("cgroup.procs")));
    match file {
        Ok(file) => Ok(Some(file)),
        Err(error) => Err(Fault::at(format_args!("open the tasks of {}", group.path), &error)),
    }
}

fn report(problems: &mut Vec<String>, message: String) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(message.chars().take(MAX_PROBLEM / 4).collect());
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let file = fs::OpenOptions::new().write(true).custom_flags(O_NOFOLLOW).open(path)?;
    Ok(file.into())
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).custom_flags(O_NOFOLLOW).open(path)?;
    file.write_all(value.as_bytes())
}

/// The group and those below it, the deepest first.
fn nested(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_path_buf()];
    let mut level = vec![path.to_path_buf()];
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for folder in level {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().map_or(false, |kind| kind.is_dir()) {
                    next.push(entry.path());
                }
            }
        }
        if next.is_empty() {
            break;
        }
        found.extend(next.iter().cloned());
        level = next;
    }
    found.reverse();
    found
}

/// Those that lie in no other of the same list.
pub fn roots(groups: &[String]) -> impl Iterator<Item = &String> {
    let inside = move |path: &String| {
        groups.iter().any(|other| Path::new(path) != Path::new(other) && Path::new(path).starts_with(other))
    };
    groups.iter().filter(move |path| !inside(path))
}

/// Processes in the group and below it.
pub fn members(path: &String) -> Vec<i32> {
    let mut pids = Vec::new();
    for folder in nested(Path::new(path)) {
        if let Ok(text) = fs::read_to_string(folder.join("cgroup.procs")) {
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 1));
        }
    }
    pids
}

/// Members cannot fork any more: a fork bomb would outrun whoever kills it one by one.
pub fn forbid_forks(path: &str) {
    let _ = write(&Path::new(path).join("pids.max"), "0");
}

/// Lets frozen members run again: a frozen process cannot be killed on v1.
pub fn thaw(path: &str) {
    let folder = Path::new(path);
    let _ = write(&folder.join("freezer.state"), "THAWED");
    let _ = write(&folder.join("cgroup.freeze"), "0");
}

/// Removes the group and those below it. An error means: not yet.
pub fn remove(path: &str) -> io::Result<()> {
    for folder in nested(Path::new(path)) {
        match fs::remove_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
