//! Finding mount points. A machine's root comes from an image that nobody knows: no link in it leads out of it.

use std::fs;
use std::io;
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::path::Path;

use crate::sys::c::{EINVAL, ENOENT, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_WRONLY};
use crate::sys::{self, files, host, Errno};

/// The roots of machines, as far as they are mounted.
#[derive(Default)]
pub struct MountPoints {
    roots: Vec<(String, OwnedFd)>,
}

/// A mount point by a name that nothing can change.
pub struct MountPoint {
    pub path: String,
    _held: Option<OwnedFd>,
}

impl MountPoints {
    /// From now on everything below this path is inside.
    pub fn add_root(&mut self, path: &str) -> io::Result<()> {
        let root = sys::open(path.as_bytes(), O_PATH | O_DIRECTORY, 0).map_err(plain)?;
        self.roots.push((path.to_string(), root));
        Ok(())
    }

    /// Makes what is missing of it. In a root, a link in its place is replaced, and links on the way stay inside.
    pub fn find(&self, target: &str, folder: bool) -> io::Result<MountPoint> {
        let inside = |(path, root): &(String, OwnedFd)| {
            let rest = target.strip_prefix(path.as_str())?.strip_prefix('/')?;
            Some(find_inside(root, rest, folder))
        };
        match self.roots.iter().rev().find_map(inside) {
            None => {
                ensure(target, folder);
                Ok(MountPoint { path: target.to_string(), _held: None })
            }
            Some(found) => {
                let found = found.map_err(plain)?;
                Ok(MountPoint { path: format!("/proc/self/fd/{}", found.as_raw_fd()), _held: Some(found) })
            }
        }
    }
}

fn find_inside(root: &OwnedFd, path: &str, folder: bool) -> sys::Result<OwnedFd> {
    let path = path.trim_end_matches('/');
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.is_empty() || name == "." {
        return Err(Errno(EINVAL));
    }
    let mut parent = host::open_inside(root.as_raw_fd(), ".")?;
    let ends = parents.match_indices('/').map(|(end, _)| end).chain(Some(parents.len()));
    for end in ends.filter(|end| *end > 0) {
        let here = &parents[..end];
        parent = match host::open_inside(root.as_raw_fd(), here) {
            Err(Errno(ENOENT)) => {
                let name = here.rsplit('/').next().unwrap_or(here);
                files::make_dir_at(parent.as_raw_fd(), name.as_bytes(), 0o755)?;
                host::open_inside(root.as_raw_fd(), here)?
            }
            other => other?,
        };
    }
    let (parent, name) = (parent.as_raw_fd(), name.as_bytes());
    let missing = match files::lstat_at(parent, name) {
        Ok(found) if found.is_symlink() => {
            files::remove_file_at(parent, name)?;
            true
        }
        Err(Errno(ENOENT)) => true,
        other => other.map(|_| false)?,
    };
    match (missing, folder) {
        (true, true) => files::make_dir_at(parent, name, 0o755)?,
        (true, false) => drop(sys::open_at(parent, name, O_WRONLY | O_CREAT | O_EXCL, 0o644)?),
        (false, _) => {}
    }
    sys::open_at(parent, name, O_PATH | O_NOFOLLOW | if folder { O_DIRECTORY } else { 0 }, 0)
}

/// A mount point that is missing is made; when that fails too, the mount itself says why.
fn ensure(target: &str, folder: bool) {
    if Path::new(target).exists() {
        return;
    }
    if folder {
        let _ = fs::create_dir(target);
    } else {
        let _ = fs::OpenOptions::new().write(true).create_new(true).open(target);
    }
}

fn plain(error: Errno) -> io::Error {
    io::Error::from_raw_os_error(error.0)
}
