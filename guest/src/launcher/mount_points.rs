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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    struct Folder(PathBuf);
    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("cove-test-{}-{}", std::process::id(), name));
            fs::create_dir_all(path.join("root/etc")).unwrap();
            Folder(path)
        }
        fn points(&self) -> MountPoints {
            let mut points = MountPoints::default();
            points.add_root(&self.path("root")).unwrap();
            points
        }
        fn path(&self, path: &str) -> String {
            self.0.join(path).to_str().unwrap().to_string()
        }
    }
    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn makes_what_is_missing() {
        let folder = Folder::new("missing");
        let points = folder.points();
        points.find(&folder.path("root/a/b/c"), true).unwrap();
        points.find(&folder.path("root/a/file"), false).unwrap();
        points.find(&folder.path("root/a/b/c"), true).unwrap();
        assert!(Path::new(&folder.path("root/a/b/c")).is_dir());
        assert!(Path::new(&folder.path("root/a/file")).is_file());
        assert!(points.find(&folder.path("root/a/file"), true).is_err());
        assert!(points.find(&folder.path("root/a/file/below"), true).is_err());
    }

    #[test]
    fn follows_links_on_the_way_only_inside() {
        let folder = Folder::new("links");
        symlink("/etc", folder.path("root/absolute")).unwrap();
        symlink("../../../../../../etc", folder.path("root/up")).unwrap();
        symlink("loop", folder.path("root/loop")).unwrap();
        let points = folder.points();
        let found = points.find(&folder.path("root/absolute/one"), true).unwrap();
        assert_eq!(fs::read_link(found.path).unwrap(), Path::new(&folder.path("root/etc/one")));
        points.find(&folder.path("root/up/two"), true).unwrap();
        assert!(Path::new(&folder.path("root/etc/two")).is_dir());
        assert!(points.find(&folder.path("root/loop/three"), true).is_err());
    }

    #[test]
    fn replaces_a_link_in_the_place_of_a_mount_point() {
        let folder = Folder::new("place");
        for (name, target) in [("tmp", "/etc"), ("run", "../.."), ("dev", "dev"), ("file", "/etc/passwd")] {
            symlink(target, folder.path("root").to_string() + "/" + name).unwrap();
            folder.points().find(&(folder.path("root/") + name), name != "file").unwrap();
            let facts = fs::symlink_metadata(folder.path("root/") + name).unwrap();
            assert_eq!((facts.is_dir(), facts.is_file()), (name != "file", name == "file"), "{}", name);
        }
        assert!(folder.points().find(&folder.path("root/"), true).is_err());
        assert!(folder.points().find(&folder.path("root/."), true).is_err());
    }
}
