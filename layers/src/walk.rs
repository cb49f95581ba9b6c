//! What was written over a root, entry by entry: folders before what is in them, names in the order of their bytes.
//! Links are not followed. A tree that lives on meanwhile is read as it is found; what vanishes is left out.

use crate::failure::{Code, Failure, Result, Tried};
use crate::options::Options;
use crate::owners;
use crate::sys::attributes::{self, Holder};
use crate::sys::files::{self, Stat};
use crate::sys::{self, c, Errno};
use crate::tree::{is_overlay_mark, names_of, Attributes, OPAQUE};
use std::collections::HashMap;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};

pub const MAX_DEPTH: usize = 256;
const XATTR_WHITEOUTS: [&[u8]; 2] = [b"trusted.overlay.whiteout", b"user.overlay.whiteout"];
/// Of overlays that save copies by pointing elsewhere, which a layer cannot.
const POINTERS: [&[u8]; 2] = [b"trusted.overlay.redirect", b"trusted.overlay.metacopy"];

/// Folders, each below its place, and whose ids their owners are.
pub struct Content {
    parts: Vec<Part>,
    id_base: u32,
}

struct Part {
    folder: Vec<u8>,
    /// Without `/` at its ends; empty is the root.
    at: Vec<u8>,
}

pub enum Node<'a> {
    Folder {
        opaque: bool,
    },
    /// Opened; it had so many bytes.
    File {
        fd: RawFd,
        size: u64,
    },
    /// One more name of what was told before.
    Link {
        first: &'a [u8],
    },
    Symlink {
        target: &'a [u8],
    },
    /// Its kind as in a mode, and its numbers.
    Special {
        kind: u32,
        device: (u32, u32),
    },
    /// Hides what is below.
    Whiteout,
}

pub trait Sink {
    fn put(&mut self, path: &[u8], described: &Attributes, node: Node<'_>) -> Result<()>;
}

impl Content {
    pub fn read(options: &mut Options) -> Result<Content> {
        let (folders, places) = (options.all("upper"), options.all("at"));
        if folders.is_empty() || folders.len() != places.len() {
            return Err(Failure::new(Code::Usage, "--upper and --at come in pairs"));
        }
        let mut parts = Vec::new();
        for (folder, at) in folders.into_iter().zip(places) {
            let names = names_of(&at)?;
            if names.contains(&&b".."[..]) {
                return Err(Failure::new(Code::Usage, "--at has .. in it").at(&at));
            }
            parts.push(Part { folder, at: names.join(&b'/') });
        }
        parts.sort_by(|one, other| one.at.cmp(&other.at));
        let id_base = options.number("id-base", 0)?;
        let id_base = u32::try_from(id_base).map_err(|_| Failure::new(Code::Usage, "--id-base is no id"))?;
        Ok(Content { parts, id_base })
    }

    /// A layer by itself, whose owners are those inside.
    pub fn layer(folder: Vec<u8>) -> Content {
        Content { parts: vec![Part { folder, at: Vec::new() }], id_base: 0 }
    }

    pub fn walk(&self, sink: &mut dyn Sink) -> Result<()> {
        let mut walk = Walk { sink, id_base: self.id_base, seen: HashMap::new() };
        for part in &self.parts {
            walk.part(part).map_err(|failure| failure.at(&part.folder))?;
        }
        Ok(())
    }
}

struct Walk<'a> {
    sink: &'a mut dyn Sink,
    id_base: u32,
    /// Files with several names, and the first of those.
    seen: HashMap<((u32, u32), u64), Vec<u8>>,
}

/// A folder, open, with the names that are still to be looked at.
struct Level {
    fd: OwnedFd,
    path: Vec<u8>,
    names: std::vec::IntoIter<Vec<u8>>,
}

impl Walk<'_> {
    fn part(&mut self, part: &Part) -> Result<()> {
        let fd = sys::open_at(c::AT_FDCWD, &part.folder, c::O_RDONLY | c::O_DIRECTORY, 0).tried("open a folder")?;
        let described = files::stat(fd.as_raw_fd()).tried("look at a folder")?;
        let (described, marks) = self.describe(&described, Holder::Open(fd.as_raw_fd()))?;
        let level = self.level(fd, part.at.clone())?;
        // A place that nothing was written to is not worth an entry; the root itself is nobody's.
        if !marks.opaque && (part.at.is_empty() || level.names.len() == 0) {
            return self.below(level);
        }
        self.sink.put(&part.at, &described, Node::Folder { opaque: marks.opaque })?;
        self.below(level)
    }

    fn level(&self, fd: OwnedFd, path: Vec<u8>) -> Result<Level> {
        let mut names = sys::entries::names(fd.as_raw_fd()).tried("read a folder")?;
        names.sort_unstable();
        Ok(Level { fd, path, names: names.into_iter() })
    }

    fn below(&mut self, level: Level) -> Result<()> {
        let mut levels = vec![level];
        while let Some(level) = levels.last_mut() {
            let name = match level.names.next() {
                Some(name) => name,
                None => {
                    levels.pop();
                    continue;
                }
            };
            let mut path = level.path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            let folder = level.fd.as_raw_fd();
            let next = self.entry(folder, &name, &path).map_err(|failure| failure.at(&path))?;
            if let Some(fd) = next {
                if levels.len() >= MAX_DEPTH {
                    let message = format!("more than {MAX_DEPTH} folders within each other");
                    return Err(Failure::new(Code::Unsupported, message).at(&path));
                }
                let level = self.level(fd, path.clone()).map_err(|failure| failure.at(&path))?;
                levels.push(level);
            }
        }
        Ok(())
    }

    /// Tells one entry; answers the open folder that is to be looked into next.
    fn entry(&mut self, folder: RawFd, name: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
        let found = match files::stat_at(folder, name) {
            Err(Errno(c::ENOENT)) => return Ok(None),
            found => found.tried("look at an entry")?,
        };
        if found.is_whiteout() {
            let described =
                Attributes { mode: 0, uid: 0, gid: 0, modified: Default::default(), attributes: Vec::new() };
            self.sink.put(path, &described, Node::Whiteout)?;
            return Ok(None);
        }
        match found.kind() {
            files::S_IFDIR => self.folder(folder, name, path),
            files::S_IFREG => self.file(folder, name, path).map(|()| None),
            files::S_IFLNK => {
                let target = match files::read_link_at(folder, name) {
                    Err(Errno(c::ENOENT | c::EINVAL)) => return Ok(None),
                    target => target.tried("read a link")?,
                };
                self.other(folder, name, path, &found, Node::Symlink { target: &target })
            }
            kind @ (files::S_IFCHR | files::S_IFBLK | files::S_IFIFO) => {
                self.other(folder, name, path, &found, Node::Special { kind, device: found.special })
            }
            // Sockets mean nothing without who listens.
            _ => Ok(None),
        }
    }

    fn folder(&mut self, folder: RawFd, name: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
        let fd = match sys::open_dir_at(folder, name) {
            Err(Errno(c::ENOENT | c::ELOOP | c::ENOTDIR)) => return Ok(None),
            fd => fd.tried("open a folder")?,
        };
        let found = files::stat(fd.as_raw_fd()).tried("look at a folder")?;
        let (described, marks) = self.describe(&found, Holder::Open(fd.as_raw_fd()))?;
        self.sink.put(path, &described, Node::Folder { opaque: marks.opaque })?;
        Ok(Some(fd))
    }

    fn file(&mut self, folder: RawFd, name: &[u8], path: &[u8]) -> Result<()> {
        let fd = match sys::open_at(folder, name, c::O_RDONLY | c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY, 0) {
            Err(Errno(c::ENOENT | c::ELOOP | c::ENXIO)) => return Ok(()),
            fd => fd.tried("open a file")?,
        };
        let found = files::stat(fd.as_raw_fd()).tried("look at a file")?;
        if found.kind() != files::S_IFREG {
            return Ok(());
        }
        let (described, marks) = self.describe(&found, Holder::Open(fd.as_raw_fd()))?;
        if marks.whiteout && found.size == 0 {
            return self.sink.put(path, &described, Node::Whiteout);
        }
        if self.is_known(path, &found, &described)? {
            return Ok(());
        }
        self.sink.put(path, &described, Node::File { fd: fd.as_raw_fd(), size: found.size })
    }

    fn other(
        &mut self,
        folder: RawFd,
        name: &[u8],
        path: &[u8],
        found: &Stat,
        node: Node<'_>,
    ) -> Result<Option<OwnedFd>> {
        let described = match self.describe(found, Holder::Entry(folder, name)) {
            Ok((described, _)) => described,
            // Vanished since.
            Err(_) if files::stat_at(folder, name).is_err() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        if !self.is_known(path, found, &described)? {
            self.sink.put(path, &described, node)?;
        }
        Ok(None)
    }

    /// Tells a further name of a file that was told already.
    fn is_known(&mut self, path: &[u8], found: &Stat, described: &Attributes) -> Result<bool> {
        if found.links < 2 {
            return Ok(false);
        }
        match self.seen.get(&(found.device, found.inode)) {
            Some(first) => {
                self.sink.put(path, described, Node::Link { first })?;
                Ok(true)
            }
            None => {
                self.seen.insert((found.device, found.inode), path.to_vec());
                Ok(false)
            }
        }
    }

    /// Facts as they are inside, and what the overlay has noted.
    fn describe(&self, found: &Stat, holder: Holder<'_>) -> Result<(Attributes, Marks)> {
        let mut marks = Marks { opaque: false, whiteout: false };
        let mut kept = Vec::new();
        for (name, value) in attributes::all(holder).tried("read attributes")? {
            if !is_overlay_mark(&name) {
                if let Some(value) = owners::attribute(&name, value, self.id_base) {
                    kept.push((name, value));
                }
            } else if OPAQUE.contains(&&name[..]) {
                marks.opaque |= value == b"y";
            } else if XATTR_WHITEOUTS.contains(&&name[..]) {
                marks.whiteout = true;
            } else if POINTERS.contains(&&name[..]) {
                let message = "an overlay with redirects or copies of metadata alone cannot become a layer";
                return Err(Failure::new(Code::Unsupported, message));
            }
        }
        let described = Attributes {
            mode: found.mode & 0o7777,
            uid: owners::inside(found.uid, self.id_base),
            gid: owners::inside(found.gid, self.id_base),
            modified: found.modified,
            attributes: kept,
        };
        Ok((described, marks))
    }
}

struct Marks {
    opaque: bool,
    whiteout: bool,
}

/// Where a file has content; none when it is not worth telling of its holes.
pub fn pieces_of(fd: RawFd, size: u64) -> Result<Option<Vec<(u64, u64)>>> {
    /// Less is not worth a map, and depends on the file system too much.
    const WORTH: u64 = 1 << 20;
    const MOST: usize = 100_000;
    if size < WORTH {
        return Ok(None);
    }
    let found = files::stat(fd).tried("look at a file")?;
    if found.stored.saturating_add(WORTH) > size {
        return Ok(None);
    }
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    let mut at = 0;
    while let Some((begin, end)) = files::next_data(fd, at, size).tried("look for holes")? {
        let full = pieces.len() >= MOST;
        match pieces.last_mut() {
            // Holes that are hardly any do not count, and neither do any more in a file that is full of them.
            Some(last) if begin - (last.0 + last.1) < 65_536 || full => last.1 = end - last.0,
            _ => pieces.push((begin, end - begin)),
        }
        at = end;
    }
    // GNU tar takes the end of the last piece for the end of the file.
    if pieces.last().map_or(0, |(begin, length)| begin + length) < size {
        pieces.push((size, 0));
    }
    Ok(Some(pieces))
}
