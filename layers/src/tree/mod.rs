//! A folder that is filled from names that nobody vouches for. The way to an entry is walked from folder to folder by
//! open descriptors and single names; a link on the way is read and walked here, beneath the root, and never by the
//! kernel. So no name leads outside, whatever it says and whatever was made before it.

mod over;
mod put;
pub mod remove;

use crate::failure::{Code, Failure, Result, Tried};
use crate::sys::files::{self, Stat, Time};
use crate::sys::{self, attributes, c, Errno};
use over::{Found, Over};
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

pub use put::Attributes;

/// Links in the way to one entry, as many as the kernel follows.
const MAX_LINKS: usize = 40;
const MAX_NAME: usize = 255;

/// What a folder says besides its entries: the name of the mark that hides what is below it in other layers.
pub const OPAQUE: [&[u8]; 2] = [b"trusted.overlay.opaque", b"user.overlay.opaque"];

/// A folder on the way to the current entry. Its time is set again when it is left, if something changed in it.
struct Frame {
    name: Vec<u8>,
    fd: OwnedFd,
    modified: Time,
    changed: bool,
    /// Its own mode, where it had to be opened up to write into it.
    mode: Option<u32>,
}

pub struct Tree {
    frames: Vec<Frame>,
    over: Over,
    max_depth: usize,
    /// Root gives files their owners and makes devices; others own what they unpack.
    root: bool,
    pub skipped: Skipped,
    /// Folders besides the root that no entry had described when they were made: they are as in the layers below.
    pub implied: u64,
}

/// What could not be kept.
#[derive(Clone, Copy, Default)]
pub struct Skipped {
    pub owners: u64,
    pub devices: u64,
    pub attributes: u64,
}

/// Splits a path into names; `.` and empty ones mean nothing. Fails when `..` leads out of the root.
pub fn names_of(path: &[u8]) -> Result<Vec<&[u8]>> {
    let mut names: Vec<&[u8]> = Vec::new();
    let mut depth = 0usize;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
        if name == b".." {
            depth = depth.checked_sub(1).ok_or_else(|| Failure::invalid("the path leaves the root of the layer"))?;
        } else {
            depth += 1;
        }
        if name.len() > MAX_NAME {
            return Err(Failure::invalid(format!("a name has more than {MAX_NAME} bytes")));
        }
        names.push(name);
    }
    Ok(names)
}

impl Tree {
    /// `into` is a folder that is there and empty. Folders that nobody describes are made like those in `over`, the
    /// unpacked layers below, the first on top; links there are followed too.
    pub fn new(into: &[u8], over: &[Vec<u8>], max_depth: usize) -> Result<Tree> {
        let named = |failure: Failure| failure.at(into);
        let fd = sys::open_at(c::AT_FDCWD, into, c::O_RDONLY | c::O_DIRECTORY, 0).tried("open").map_err(named)?;
        if !sys::entries::names(fd.as_raw_fd()).tried("read").map_err(named)?.is_empty() {
            return Err(Failure::new(Code::Usage, "the folder to unpack into is not empty").at(into));
        }
        let root = sys::is_root();
        let frame = Frame { name: Vec::new(), fd, modified: Time::default(), changed: true, mode: None };
        let mut tree = Tree {
            frames: vec![frame],
            over: Over::new(over)?,
            max_depth,
            root,
            skipped: Skipped::default(),
            implied: 0,
        };
        // As far as nobody says more of it.
        tree.describe_implied().map_err(named)?;
        Ok(tree)
    }

    fn top(&mut self) -> &mut Frame {
        // The root is never left.
        self.frames.last_mut().expect("a tree has a root")
    }

    fn top_fd(&self) -> RawFd {
        self.frames[self.frames.len() - 1].fd.as_raw_fd()
    }

    fn root_fd(&self) -> RawFd {
        self.frames[0].fd.as_raw_fd()
    }

    /// Goes up until only `depth` folders below the root are open.
    fn leave(&mut self, depth: usize) -> Result<()> {
        while self.frames.len() > depth + 1 {
            if let Some(frame) = self.frames.pop() {
                Tree::close(&frame)?;
            }
        }
        Ok(())
    }

    fn close(frame: &Frame) -> Result<()> {
        if let Some(mode) = frame.mode {
            files::set_mode(frame.fd.as_raw_fd(), mode).tried("set the mode of a folder")?;
        }
        if frame.changed {
            files::set_modified(frame.fd.as_raw_fd(), frame.modified).tried("set the time of a folder")?;
        }
        Ok(())
    }

    /// Finishes what is open; `sync` waits for the disk.
    pub fn finish(&mut self, sync: bool) -> Result<()> {
        self.leave(0)?;
        Tree::close(&self.frames[0])?;
        if sync {
            files::sync(self.top_fd()).tried("write to the disk")?;
        }
        Ok(())
    }

    /// Goes to the folder that these names lead to. Those that are missing are made, or, unless `make`, an error.
    fn enter(&mut self, names: &[&[u8]], make: bool) -> Result<()> {
        // Most entries lie beside the one before.
        let open = self.frames[1..].iter().zip(names).take_while(|(frame, name)| frame.name == **name).count();
        if open == names.len() {
            return self.leave(open);
        }
        let plain = !names.contains(&&b".."[..]);
        let open = if plain { open } else { 0 };
        self.leave(open)?;
        // The next name last.
        let mut ahead: Vec<Vec<u8>> = names[open..].iter().rev().map(|name| name.to_vec()).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == b".." {
                let depth = self.frames.len().saturating_sub(2);
                self.leave(depth)?;
                continue;
            }
            if let Some(target) = self.step(name, make)? {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Failure::invalid("too many links on the way to it"));
                }
                if target.starts_with(b"/") {
                    self.leave(0)?;
                }
                let names = target.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
                ahead.extend(names.rev().map(<[u8]>::to_vec));
                if ahead.len() > 4 * self.max_depth + 4096 {
                    return Err(Failure::invalid("too many links on the way to it"));
                }
            }
        }
        Ok(())
    }

    /// Goes into one folder; answers the target where the name is a link instead.
    fn step(&mut self, name: Vec<u8>, make: bool) -> Result<Option<Vec<u8>>> {
        let directory = self.top_fd();
        match sys::open_dir_at(directory, &name) {
            Ok(fd) => {
                self.push(name, fd)?;
                Ok(None)
            }
            Err(Errno(c::ELOOP | c::ENOTDIR)) => match files::read_link_at(directory, &name) {
                Ok(target) => Ok(Some(target)),
                Err(Errno(c::EINVAL)) => {
                    let there = files::stat_at(directory, &name).tried("look at an entry")?;
                    if !there.is_whiteout() || !make {
                        return Err(Failure::invalid("what it is in is no folder"));
                    }
                    // What is below in other layers stays hidden.
                    files::remove_file_at(directory, &name).tried("replace an entry")?;
                    self.imply(name, true)?;
                    Ok(None)
                }
                Err(error) => Err(Failure::system("read a link", error)),
            },
            Err(Errno(c::ENOENT)) if make => {
                match self.find_below(Some(&name))? {
                    Found::Link(target) => {
                        self.implied += 1;
                        Ok(Some(target))
                    }
                    Found::Other => Err(Failure::invalid("what it is in is no folder")),
                    Found::Nothing | Found::Folder(_) => {
                        self.imply(name, false)?;
                        Ok(None)
                    }
                }
            }
            Err(Errno(c::ENOENT)) => Err(Failure::invalid("what it is a link to is not there")),
            Err(Errno(c::EACCES)) if !self.root => {
                let Stat { mode, .. } = files::stat_at(directory, &name).tried("look at a folder")?;
                files::set_mode_at(directory, &name, mode & 0o7777 | 0o700).tried("open a folder")?;
                let fd = sys::open_dir_at(directory, &name).tried("open a folder")?;
                self.push(name, fd)?;
                self.top().mode = Some(mode & 0o7777);
                Ok(None)
            }
            Err(error) => Err(Failure::system("open a folder", error)),
        }
    }

    /// Goes into a folder that was just opened.
    fn push(&mut self, name: Vec<u8>, fd: OwnedFd) -> Result<()> {
        if self.frames.len() > self.max_depth {
            return Err(Failure::invalid(format!("more than {} folders within each other", self.max_depth)));
        }
        let found = files::stat(fd.as_raw_fd()).tried("look at a folder")?;
        let mut frame = Frame { name, fd, modified: found.modified, changed: false, mode: None };
        if !self.root && found.mode & 0o700 != 0o700 {
            files::set_mode(frame.fd.as_raw_fd(), found.mode & 0o7777 | 0o700).tried("open a folder")?;
            frame.mode = Some(found.mode & 0o7777);
        }
        self.frames.push(frame);
        Ok(())
    }

    /// What the layers below have for the current folder, or for a name in it: nothing where this layer hides it.
    fn find_below(&self, name: Option<&[u8]>) -> Result<Found> {
        for frame in &self.frames {
            if over::is_opaque(&frame.fd)? {
                return Ok(Found::Nothing);
            }
        }
        let mut path: Vec<&[u8]> = self.frames[1..].iter().map(|frame| &frame.name[..]).collect();
        path.extend(name);
        self.over.find(&path)
    }

    /// Makes a folder that nobody has described yet, and goes into it. `hides`: what layers below have there.
    fn imply(&mut self, name: Vec<u8>, hides: bool) -> Result<()> {
        let directory = self.top_fd();
        files::make_dir_at(directory, &name, 0o755).tried("make a folder")?;
        self.top().changed = true;
        self.implied += 1;
        let fd = sys::open_dir_at(directory, &name).tried("open a folder")?;
        self.push(name, fd)?;
        if hides {
            self.mark_opaque()?;
        }
        self.describe_implied()
    }

    /// Gives the current folder what it has in the layers below, or what a folder has that nobody describes.
    fn describe_implied(&mut self) -> Result<()> {
        let like = match self.find_below(None)? {
            Found::Folder(fd) => {
                let found = files::stat(fd.as_raw_fd()).tried("look at a folder")?;
                let mut attributes =
                    attributes::all(attributes::Holder::Open(fd.as_raw_fd())).tried("read attributes")?;
                attributes.retain(|(name, _)| !is_overlay_mark(name));
                Attributes {
                    mode: found.mode & 0o7777,
                    uid: found.uid,
                    gid: found.gid,
                    modified: found.modified,
                    attributes,
                }
            }
            _ => Attributes { mode: 0o755, uid: 0, gid: 0, modified: Time::default(), attributes: Vec::new() },
        };
        self.describe_folder(&like)
    }

    /// Hides what layers below have in the current folder.
    fn mark_opaque(&mut self) -> Result<()> {
        let holder = attributes::Holder::Open(self.top_fd());
        let needed = if self.root { OPAQUE[0] } else { OPAQUE[1] };
        for name in OPAQUE {
            match attributes::set(holder, name, b"y") {
                Ok(()) => {}
                Err(Errno(c::EOPNOTSUPP)) if name == needed => {
                    let message = "the file system here cannot mark a folder as one that hides those below it";
                    return Err(Failure::new(Code::Unsupported, message));
                }
                Err(Errno(c::EOPNOTSUPP | c::EPERM | c::EACCES)) if name != needed => {}
                Err(error) => return Err(Failure::system("mark a folder", error)),
            }
        }
        Ok(())
    }
}

/// Attributes that overlayfs reads and that no archive may bring.
pub fn is_overlay_mark(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_root() {
        assert_eq!(names_of(b"/a//./b/").unwrap(), [&b"a"[..], b"b"]);
        assert_eq!(names_of(b"./").unwrap(), Vec::<&[u8]>::new());
        assert_eq!(names_of(b"a/../b").unwrap(), [&b"a"[..], b"..", b"b"]);
        for path in [&b".."[..], b"../a", b"a/../../b", b"/../a", b"a/b/../../.."] {
            assert!(names_of(path).is_err());
        }
        assert!(names_of(&[b'a'; 256]).is_err());
    }
}
