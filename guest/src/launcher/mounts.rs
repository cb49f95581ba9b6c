//! The mounts of a host process, made in its own mount namespace: the host's mount table never shows them.
//!
//! What needs the host's root (id-mapped copies of lower folders, disk images, and everything below folders that only
//! the daemon may enter) is opened before the child enters its user namespace; it is attached after that, with the
//! rights of the mapped root.

use std::ffi::{CString, OsStr};
use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use super::spec::Mount;
use super::mount_points::MountPoints;
use crate::sys::c::{EBUSY, EINVAL, O_DIRECTORY, O_PATH};
use crate::sys::{self, files, mount as calls};

/// Bytes of paths of lower folders that go into a mount's options as they are: the kernel takes a page of options.
const MAX_PATHS: usize = 2_048;

/// A step that failed, in words, and why.
pub type Failure = (String, io::Error);

/// What one mount needs from before the user namespace.
pub enum Prepared {
    Nothing,
    /// Detached mounts: one image or bind source.
    Trees(Vec<OwnedFd>),
    /// Detached mounts of mapped lower folders, and where writes go if that is there already.
    Layers {
        lower: Vec<OwnedFd>,
        writable: Option<Writable>,
    },
}

/// Upper and work folder of an overlay, opened on a detached mount of the folder that holds both: overlayfs wants them
/// on one mount of its own namespace, and nobody has to be able to walk there.
pub struct Writable {
    tree: OwnedFd,
    upper: OwnedFd,
    work: OwnedFd,
}

/// What lies on a mount that is still to come is left to be found by its path.
pub fn prepare(mounts: &[Mount], user_namespace: Option<RawFd>) -> Result<Vec<Prepared>, Failure> {
    let mut targets: Vec<&Path> = Vec::new();
    let mut prepared = Vec::new();
    for mount in mounts {
        prepared.push(prepare_one(mount, user_namespace, &targets)?);
        targets.push(Path::new(mount.target()));
    }
    Ok(prepared)
}

fn prepare_one(mount: &Mount, user_namespace: Option<RawFd>, targets: &[&Path]) -> Result<Prepared, Failure> {
    let is_there = |path: &str| !targets.iter().any(|target| Path::new(path).starts_with(target));
    match mount {
        Mount::Overlay { lower, upper, work, mapped, .. } => {
            let mut trees = Vec::new();
            for folder in lower.iter().filter(|_| *mapped) {
                let tree = step(|| format!("clone the mount of {}", folder), calls::clone_tree(&c(folder)?, false))?;
                map_ids(&tree, user_namespace, folder)?;
                trees.push(tree);
            }
            let ready = !trees.is_empty() && is_there(upper) && is_there(work);
            let writable = if ready { open_writable(Path::new(upper), Path::new(work))? } else { None };
            Ok(Prepared::Layers { lower: trees, writable })
        }
        // The mapped root may not be able to reach the source; without a range of ids the caller's rights stay.
        Mount::Bind { source, recursive, mapped, .. } if user_namespace.is_some() && is_there(source) => {
            let tree = step(|| format!("clone the mount of {}", source), calls::clone_tree(&c(source)?, *recursive))?;
            if *mapped {
                map_ids(&tree, user_namespace, source)?;
                step(|| format!("bind {}", source), calls::make_harmless(tree.as_raw_fd()))?;
            }
            Ok(Prepared::Trees(vec![tree]))
        }
        Mount::Image { image, .. } => {
            let tree = open_image(image)?;
            map_ids(&tree, user_namespace, image)?;
            Ok(Prepared::Trees(vec![tree]))
        }
        Mount::Bind { .. } | Mount::Tmpfs { .. } | Mount::Devices { .. } => Ok(Prepared::Nothing),
    }
}

fn open_writable(upper: &Path, work: &Path) -> Result<Option<Writable>, Failure> {
    let names = match (upper.parent(), upper.file_name(), work.file_name()) {
        (Some(parent), Some(upper), Some(work_name)) if work.parent() == Some(parent) => (parent, upper, work_name),
        _ => return Ok(None),
    };
    let (parent, upper, work) = names;
    let name = || format!("open the writable folders in {}", parent.display());
    let tree = step(name, calls::clone_tree(&c(&parent.to_string_lossy())?, false))?;
    let open = |folder: &OsStr| {
        let opened = sys::open_at(tree.as_raw_fd(), folder.as_bytes(), O_PATH | O_DIRECTORY, 0);
        step(name, opened.map_err(|error| io::Error::from_raw_os_error(error.0)))
    };
    let (upper, work) = (open(upper)?, open(work)?);
    Ok(Some(Writable { tree, upper, work }))
}

fn map_ids(tree: &OwnedFd, user_namespace: Option<RawFd>, what: &str) -> Result<(), Failure> {
    match user_namespace {
        Some(namespace) => step(|| format!("map the ids of {}", what), calls::map_ids(tree.as_raw_fd(), namespace)),
        None => Ok(()),
    }
}

/// Makes all mounts in order. The caller is in a mount namespace of its own.
pub fn make(mounts: &[Mount], prepared: Vec<Prepared>) -> Result<(), Failure> {
    let slave = calls::mount(None, &c("/")?, None, calls::MS_REC | calls::MS_SLAVE, None);
    step(|| "detach mount propagation", slave)?;
    let mut points = MountPoints::default();
    for (mount, prepared) in mounts.iter().zip(prepared) {
        let (trees, writable) = match prepared {
            Prepared::Nothing => (Vec::new(), None),
            Prepared::Trees(trees) => (trees, None),
            Prepared::Layers { lower, writable } => (lower, writable),
        };
        make_one(mount, &trees, writable.as_ref(), &mut points)?;
    }
    Ok(())
}

fn make_one(
    mount: &Mount,
    trees: &[OwnedFd],
    writable: Option<&Writable>,
    points: &mut MountPoints,
) -> Result<(), Failure> {
    let target = mount.target();
    let find = |points: &MountPoints, path: &str, folder| {
        step(|| format!("make the mount point {}", path), points.find(path, folder))
    };
    match mount {
        Mount::Bind { source, read_only, recursive, .. } => {
            let name = || format!("bind {} to {}", source, target);
            let cloned;
            let tree = match trees.first() {
                Some(tree) => tree,
                None => {
                    cloned = step(name, calls::clone_tree(&c(source)?, *recursive))?;
                    &cloned
                }
            };
            if *read_only {
                step(name, calls::make_read_only(tree.as_raw_fd(), *recursive))?;
            }
            let folder = files::fstat(tree.as_raw_fd()).map_or(true, |facts| facts.is_dir());
            let place = find(points, target, folder)?;
            step(name, calls::attach(tree.as_raw_fd(), &c(&place.path)?))
        }
        Mount::Tmpfs { size, mode, .. } => {
            make_tmpfs(&find(points, target, true)?.path, &format!("size={},mode={:o}", size, mode))
        }
        Mount::Devices { target } => make_devices(target, points),
        Mount::Image { image, target } => {
            let place = find(points, target, true)?;
            for tree in trees {
                step(|| format!("mount {} on {}", image, target), calls::attach(tree.as_raw_fd(), &c(&place.path)?))?;
            }
            Ok(())
        }
        Mount::Overlay { lower, upper, work, target, .. } => {
            find(points, target, true)?;
            let (upper, work) = match writable {
                Some(writable) => (descriptor_path(&writable.upper), descriptor_path(&writable.work)),
                None => {
                    find(points, upper, true)?;
                    find(points, work, true)?;
                    (upper.clone(), work.clone())
                }
            };
            let paths = lower.join(":");
            let lower = match trees.is_empty() {
                true if paths.len() <= MAX_PATHS => paths,
                true => stage_links(lower, target)?,
                false => stage(trees, writable, target)?,
            };
            let options = format!("lowerdir={},upperdir={},workdir={},userxattr", lower, upper, work);
            let (overlay, flags) = (c("overlay")?, calls::MS_NOSUID | calls::MS_NODEV);
            let made = calls::mount(Some(&overlay), &c(target)?, Some(&overlay), flags, Some(&c(&options)?));
            step(|| format!("mount an overlay on {}", target), made)?;
            step(|| format!("open {}", target), points.add_root(target))
        }
    }
}

fn make_tmpfs(target: &str, options: &str) -> Result<(), Failure> {
    let (tmpfs, flags) = (c("tmpfs")?, calls::MS_NOSUID | calls::MS_NODEV);
    let made = calls::mount(Some(&tmpfs), &c(target)?, Some(&tmpfs), flags, Some(&c(options)?));
    step(|| format!("mount a tmpfs on {}", target), made)
}

/// The devices that every program may expect, the host's own nodes; terminals of its own; and the usual links.
fn make_devices(target: &str, points: &MountPoints) -> Result<(), Failure> {
    const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
    const LINKS: [(&str, &str); 5] = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    let name = || format!("make the devices in {}", target);
    step(name, points.find(target, true))?;
    make_tmpfs(target, "size=64k,mode=755")?;
    for node in NODES {
        let inside = format!("{}/{}", target, node);
        step(name, points.find(&inside, false))?;
        let tree = step(name, calls::clone_tree(&c(&format!("/dev/{}", node))?, false))?;
        step(name, calls::attach(tree.as_raw_fd(), &c(&inside)?))?;
    }
    for (link, to) in LINKS {
        step(name, std::os::unix::fs::symlink(to, format!("{}/{}", target, link)))?;
    }
    let terminals = format!("{}/pts", target);
    step(name, points.find(&terminals, true))?;
    let (kind, options) = (c("devpts")?, c("newinstance,ptmxmode=0666,mode=620")?);
    let flags = calls::MS_NOSUID | calls::MS_NOEXEC;
    step(name, calls::mount(Some(&kind), &c(&terminals)?, Some(&kind), flags, Some(&options)))
}

/// Gives the folders short names, by links in a small tmpfs that the overlay then covers.
fn stage_links(lower: &[String], target: &str) -> Result<String, Failure> {
    let name = || format!("stage the lower folders of {}", target);
    let (tmpfs, options) = (c("tmpfs")?, c("size=2m,mode=755")?);
    step(name, calls::mount(Some(&tmpfs), &c(target)?, Some(&tmpfs), calls::MS_NODEV, Some(&options)))?;
    step(name, std::env::set_current_dir(target))?;
    let mut names = Vec::new();
    for (index, folder) in lower.iter().enumerate() {
        step(name, std::os::unix::fs::symlink(folder, index.to_string()))?;
        names.push(index.to_string());
    }
    Ok(names.join(":"))
}

/// Attaches the trees inside a small tmpfs that the overlay then covers, so that they have short names and no place
/// that anybody else can see.
fn stage(trees: &[OwnedFd], writable: Option<&Writable>, target: &str) -> Result<String, Failure> {
    let name = || format!("stage the lower folders of {}", target);
    let tmpfs = c("tmpfs")?;
    let options = c("size=64k,mode=755")?;
    step(name, calls::mount(Some(&tmpfs), &c(target)?, Some(&tmpfs), calls::MS_NODEV, Some(&options)))?;
    step(name, std::env::set_current_dir(target))?;
    let mut names = Vec::new();
    for (index, tree) in trees.iter().enumerate() {
        let folder = index.to_string();
        step(name, fs::create_dir(&folder))?;
        step(name, calls::attach(tree.as_raw_fd(), &c(&folder)?))?;
        names.push(folder);
    }
    if let Some(writable) = writable {
        step(name, fs::create_dir("w"))?;
        step(name, calls::attach(writable.tree.as_raw_fd(), &c("w")?))?;
    }
    Ok(names.join(":"))
}

fn descriptor_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn open_image(image: &str) -> Result<OwnedFd, Failure> {
    const ATTEMPTS: usize = 64;
    let name = || format!("put {} behind a loop device", image);
    let read_write = |path: &str| fs::OpenOptions::new().read(true).write(true).open(path);
    let file = step(name, read_write(image))?;
    let control = step(name, read_write("/dev/loop-control"))?;
    for _ in 0..ATTEMPTS {
        let number = step(name, calls::free_loop_device(control.as_raw_fd()))?;
        let path = format!("/dev/loop{}", number);
        let device = step(name, read_write(&path))?;
        match calls::configure_loop(device.as_raw_fd(), file.as_raw_fd()) {
            // Another process took the free device first.
            Err(error) if error.raw_os_error() == Some(EBUSY) => continue,
            other => step(name, other)?,
        }
        return step(|| format!("mount {}", image), calls::mount_device(&c("ext4")?, &c(&path)?));
    }
    Err((name(), io::Error::from_raw_os_error(EBUSY)))
}

fn c(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| (text.to_string(), io::Error::from_raw_os_error(EINVAL)))
}

fn step<T, S: Display>(name: impl Fn() -> S, result: io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| (name().to_string(), error))
}
