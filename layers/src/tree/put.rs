//! Entries made in a tree. What is there already under the name gives way, except that a folder stays one.

use super::{is_overlay_mark, remove, Tree};
use crate::failure::{Code, Failure, Result, Tried};
use crate::sys::attributes::{self, Holder};
use crate::sys::files::{self, Time};
use crate::sys::{self, c, Errno};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

/// What every kind of entry has.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Permissions only.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: Time,
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Folders on the way, and the entry's own name; none of the root itself.
fn split<'a, 'b>(names: &'a [&'b [u8]]) -> Result<(&'a [&'b [u8]], &'b [u8])> {
    match names.split_last() {
        Some((name, folder)) if *name != b".." => Ok((folder, name)),
        _ => Err(Failure::invalid("an entry that is no folder has the name of one")),
    }
}

impl Tree {
    /// A folder, described; goes into it. `keep`: one that is there, here or in the layers below, stays as it is.
    pub fn put_folder(&mut self, names: &[&[u8]], described: &Attributes, keep: bool) -> Result<()> {
        let (folder, name) = match names.split_last() {
            Some((name, folder)) if *name != b".." => (folder, *name),
            _ => {
                self.enter(names, true)?;
                return if keep { Ok(()) } else { self.describe_folder(described) };
            }
        };
        self.enter(folder, true)?;
        let directory = self.top_fd();
        let hides = match files::make_dir_at(directory, name, 0o700) {
            Ok(()) => false,
            Err(Errno(c::EEXIST)) => {
                let there = files::stat_at(directory, name).tried("look at an entry")?;
                if there.is_dir() {
                    self.step(name.to_vec(), false)?;
                    return if keep { Ok(()) } else { self.describe_again(described) };
                }
                files::remove_file_at(directory, name).tried("replace an entry")?;
                files::make_dir_at(directory, name, 0o700).tried("make a folder")?;
                there.is_whiteout()
            }
            Err(error) => return Err(Failure::system("make a folder", error)),
        };
        self.top().changed = true;
        let fd = sys::open_dir_at(directory, name).tried("open a folder")?;
        self.push(name.to_vec(), fd)?;
        if hides {
            self.mark_opaque()?;
        }
        if keep && !matches!(self.find_below(None)?, super::Found::Nothing) {
            return self.describe_implied();
        }
        self.describe_folder(described)
    }

    /// An open file to be written, at the offset 0; `finish_file` must follow.
    pub fn open_file(&mut self, names: &[&[u8]]) -> Result<OwnedFd> {
        let (folder, name) = split(names)?;
        self.enter(folder, true)?;
        let directory = self.top_fd();
        let flags = c::O_WRONLY | c::O_CREAT | c::O_EXCL | c::O_NOFOLLOW | c::O_NOCTTY;
        let file = match sys::open_at(directory, name, flags, 0o600) {
            Err(Errno(c::EEXIST)) => {
                self.clear(name)?;
                sys::open_at(directory, name, flags, 0o600)
            }
            other => other,
        };
        self.top().changed = true;
        file.tried("make a file")
    }

    pub fn finish_file(&mut self, file: &OwnedFd, described: &Attributes) -> Result<()> {
        let fd = file.as_raw_fd();
        self.give(|| files::give(fd, described.uid, described.gid))?;
        files::set_mode(fd, described.mode).tried("set the mode")?;
        self.set_attributes(Holder::Open(fd), &described.attributes)?;
        files::set_modified(fd, described.modified).tried("set the time")
    }

    pub fn put_symlink(&mut self, names: &[&[u8]], target: &[u8], described: &Attributes) -> Result<()> {
        let (folder, name) = split(names)?;
        if target.is_empty() {
            return Err(Failure::invalid("a link has no target"));
        }
        self.enter(folder, true)?;
        let directory = self.top_fd();
        self.replacing(name, || files::make_symlink_at(target, directory, name))
            .and_then(|made| made.tried("make a link"))?;
        self.describe_entry(directory, name, described)
    }

    /// A device or a FIFO; `kind` is its kind as in a mode. Answers false where it was left out.
    pub fn put_node(&mut self, names: &[&[u8]], kind: u32, device: (u32, u32), described: &Attributes) -> Result<bool> {
        let (folder, name) = split(names)?;
        self.enter(folder, true)?;
        let directory = self.top_fd();
        match self.replacing(name, || files::make_node_at(directory, name, kind | described.mode, device))? {
            Ok(()) => {}
            Err(Errno(c::EPERM)) if !self.root && kind != files::S_IFIFO => {
                self.skipped.devices += 1;
                return Ok(false);
            }
            Err(Errno(c::EPERM)) => {
                let message = "cannot make a device: Cove runs without the capability MKNOD";
                return Err(Failure::new(Code::Unsupported, message));
            }
            Err(error) => return Err(Failure::system("make a device", error)),
        }
        self.describe_entry(directory, name, described)?;
        // A change of owner takes the bits for other users away.
        files::set_mode_at(directory, name, described.mode).tried("set the mode")?;
        files::set_modified_at(directory, name, described.modified).tried("set the time")?;
        Ok(true)
    }

    /// One more name of a file that is in the tree already.
    pub fn put_hard_link(&mut self, names: &[&[u8]], target: &[&[u8]]) -> Result<()> {
        let (folder, name) = split(names)?;
        let (target_folder, target_name) =
            split(target).map_err(|_| Failure::invalid("a hard link leads to a folder"))?;
        self.enter(target_folder, false)?;
        let absent = || Failure::invalid("what it is a link to is not there");
        let file = match files::stat_at(self.top_fd(), target_name) {
            Ok(file) if file.is_dir() => return Err(Failure::invalid("a hard link leads to a folder")),
            Ok(file) if file.is_whiteout() => return Err(absent()),
            Ok(file) => file,
            Err(Errno(c::ENOENT)) => return Err(absent()),
            Err(error) => return Err(Failure::system("look at an entry", error)),
        };
        let from = sys::duplicate(self.top_fd()).tried("open a folder")?;
        self.enter(folder, true)?;
        let directory = self.top_fd();
        if matches!(files::stat_at(directory, name), Ok(there) if there.is_same_file(&file)) {
            return Ok(());
        }
        let link = || files::link_at(from.as_raw_fd(), target_name, directory, name);
        match self.replacing(name, link)? {
            Ok(()) => Ok(()),
            // What gave way had it inside.
            Err(Errno(c::ENOENT)) => Err(absent()),
            Err(error) => Err(Failure::system("make a hard link", error)),
        }
    }

    /// Hides an entry of the layers below. What this layer has under that name stays and hides it by itself.
    pub fn put_whiteout(&mut self, names: &[&[u8]]) -> Result<()> {
        let (folder, name) = split(names)?;
        self.enter(folder, true)?;
        let directory = self.top_fd();
        match files::make_node_at(directory, name, files::S_IFCHR, (0, 0)) {
            Ok(()) => self.top().changed = true,
            Err(Errno(c::EEXIST)) => {
                if files::stat_at(directory, name).tried("look at an entry")?.is_dir() {
                    self.step(name.to_vec(), false)?;
                    self.mark_opaque()?;
                }
            }
            Err(Errno(c::EPERM)) => {
                let message = "cannot hide files of layers below: the kernel does not let this user make whiteouts";
                return Err(Failure::new(Code::Unsupported, message));
            }
            Err(error) => return Err(Failure::system("make a whiteout", error)),
        }
        Ok(())
    }

    /// Removes an entry that may be there, with everything in it; of the root, everything in it.
    pub fn take_away(&mut self, names: &[&[u8]]) -> Result<()> {
        let (folder, entries) = match names.split_last() {
            Some((name, folder)) => (folder, vec![name.to_vec()]),
            None => (names, sys::entries::names(self.root_fd()).tried("read a folder")?),
        };
        self.enter(folder, true)?;
        for name in entries {
            self.clear(&name)?;
        }
        self.top().changed = true;
        Ok(())
    }

    /// Hides everything that layers below have in a folder.
    pub fn put_opaque(&mut self, names: &[&[u8]]) -> Result<()> {
        self.enter(names, true)?;
        self.mark_opaque()
    }

    /// Makes an entry, and what is in its way gives way.
    fn replacing(&mut self, name: &[u8], make: impl Fn() -> sys::Result<()>) -> Result<sys::Result<()>> {
        let made = match make() {
            Err(Errno(c::EEXIST)) => {
                self.clear(name)?;
                make()
            }
            other => other,
        };
        self.top().changed = true;
        Ok(made)
    }

    /// Removes an entry of the current folder, with everything in it.
    fn clear(&mut self, name: &[u8]) -> Result<()> {
        remove::entry(self.top_fd(), name).map(drop)
    }

    fn give(&mut self, give: impl FnOnce() -> sys::Result<()>) -> Result<()> {
        match give() {
            Ok(()) => Ok(()),
            Err(Errno(c::EPERM | c::EINVAL)) if !self.root => {
                self.skipped.owners += 1;
                Ok(())
            }
            Err(error) => Err(Failure::system("set the owner", error)),
        }
    }

    pub(super) fn describe_folder(&mut self, described: &Attributes) -> Result<()> {
        let fd = self.top_fd();
        self.give(|| files::give(fd, described.uid, described.gid))?;
        self.set_attributes(Holder::Open(fd), &described.attributes)?;
        let open = if self.root { described.mode } else { described.mode | 0o700 };
        files::set_mode(fd, open).tried("set the mode of a folder")?;
        let frame = self.top();
        frame.mode = if open == described.mode { None } else { Some(described.mode) };
        frame.modified = described.modified;
        frame.changed = true;
        Ok(())
    }

    /// The same for a folder that was described before: what was said then does not hold any more.
    fn describe_again(&mut self, described: &Attributes) -> Result<()> {
        let fd = self.top_fd();
        for name in attributes::names(Holder::Open(fd)).tried("read attributes")? {
            if !is_overlay_mark(&name) {
                match attributes::remove(fd, &name) {
                    Ok(()) | Err(Errno(c::ENODATA | c::EOPNOTSUPP | c::EPERM | c::EACCES)) => {}
                    Err(error) => return Err(Failure::system("remove an attribute", error)),
                }
            }
        }
        self.describe_folder(described)
    }

    /// Of an entry that is neither a file nor a folder; the mode is not for links.
    fn describe_entry(&mut self, directory: RawFd, name: &[u8], described: &Attributes) -> Result<()> {
        self.give(|| files::give_at(directory, name, described.uid, described.gid))?;
        self.set_attributes(Holder::Entry(directory, name), &described.attributes)?;
        files::set_modified_at(directory, name, described.modified).tried("set the time")
    }

    /// What the file system cannot keep, or this user may not set, is left out and counted.
    fn set_attributes(&mut self, holder: Holder<'_>, list: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        for (name, value) in list {
            if is_overlay_mark(name) {
                self.skipped.attributes += 1;
                continue;
            }
            match attributes::set(holder, name, value) {
                Ok(()) => {}
                Err(Errno(c::EOPNOTSUPP)) => self.skipped.attributes += 1,
                Err(Errno(c::EPERM | c::EACCES)) if !self.root || name.starts_with(b"user.") => {
                    // Links and devices have none of these.
                    self.skipped.attributes += 1;
                }
                Err(error) => {
                    let what = format!("set the attribute {}", String::from_utf8_lossy(name));
                    return Err(Failure::system(&what, error));
                }
            }
        }
        Ok(())
    }
}
