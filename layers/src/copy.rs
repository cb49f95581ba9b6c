//! A layer copied as a folder; with what lies below it, as one.

use crate::failure::{Result, Tried};
use crate::sys::{self, c, files, Errno};
use crate::tree::{names_of, Attributes, Tree};
use crate::unpack::Report;
use crate::walk::{Content, Node, Sink, MAX_DEPTH};
use std::os::unix::io::{AsRawFd, RawFd};

struct Copy {
    tree: Tree,
    report: Report,
    /// Until the file system says that it cannot share.
    shares: bool,
    buffer: Vec<u8>,
    /// What is in the tree came from the layer below: what is hidden of it goes.
    merges: bool,
}

pub fn copy(content: &Content, below: Option<&Content>, into: &[u8], sync: bool) -> Result<(Report, Tree)> {
    let tree = Tree::new(into, &[], MAX_DEPTH)?;
    let mut copy = Copy { tree, report: Report::default(), shares: true, buffer: Vec::new(), merges: false };
    if let Some(below) = below {
        below.walk(&mut copy)?;
        copy.merges = true;
    }
    content.walk(&mut copy)?;
    copy.tree.finish(sync)?;
    Ok((copy.report, copy.tree))
}

impl Sink for Copy {
    fn put(&mut self, path: &[u8], described: &Attributes, node: Node<'_>) -> Result<()> {
        let names = names_of(path)?;
        let attributes: usize = described.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.report.entries += 1;
        self.report.bytes += (path.len() + attributes) as u64;
        match node {
            Node::Folder { opaque } => {
                if opaque && self.merges {
                    self.tree.take_away(&names)?;
                }
                if !names.is_empty() {
                    self.tree.put_folder(&names, described, false)?;
                }
                if opaque {
                    self.tree.put_opaque(&names)?;
                }
                Ok(())
            }
            Node::File { fd, size } => {
                let file = self.tree.open_file(&names)?;
                self.report.bytes += self.content(fd, file.as_raw_fd(), size)?;
                self.tree.finish_file(&file, described)
            }
            Node::Link { first } => self.tree.put_hard_link(&names, &names_of(first)?),
            Node::Symlink { target } => {
                self.report.bytes += target.len() as u64;
                self.tree.put_symlink(&names, target, described)
            }
            Node::Special { kind, device } => self.tree.put_node(&names, kind, device, described).map(drop),
            Node::Whiteout => {
                if self.merges {
                    self.tree.take_away(&names)?;
                }
                self.tree.put_whiteout(&names)
            }
        }
    }
}

impl Copy {
    /// Answers how many bytes there were without holes.
    fn content(&mut self, from: RawFd, to: RawFd, size: u64) -> Result<u64> {
        if size == 0 {
            return Ok(0);
        }
        if self.shares {
            match files::clone_file(from, to) {
                Ok(()) => return Ok(size),
                // Neither here nor for any other file of these two file systems.
                Err(_) => self.shares = false,
            }
        }
        let (mut at, mut sum) = (0, 0);
        while let Some((begin, end)) = files::next_data(from, at, size).tried("look for holes")? {
            self.stretch(from, to, begin, end)?;
            sum += end - begin;
            at = end;
        }
        files::set_length(to, size).tried("set the length of a file")?;
        Ok(sum)
    }

    fn stretch(&mut self, from: RawFd, to: RawFd, mut begin: u64, end: u64) -> Result<()> {
        const SMALL: u64 = 262_144;
        while begin < end {
            let count = if end - begin > SMALL {
                match files::copy_range(from, to, begin, end - begin) {
                    Ok(count) => count,
                    Err(error @ Errno(c::ENOSPC | c::EDQUOT | c::EIO)) => return Err(error).tried("copy a file"),
                    // Not between these file systems.
                    Err(_) => self.by_hand(from, to, begin, end)?,
                }
            } else {
                self.by_hand(from, to, begin, end)?
            };
            if count == 0 {
                // Shorter than it was.
                return Ok(());
            }
            begin += count as u64;
        }
        Ok(())
    }

    fn by_hand(&mut self, from: RawFd, to: RawFd, begin: u64, end: u64) -> Result<usize> {
        self.buffer.resize(262_144, 0);
        let room = (end - begin).min(self.buffer.len() as u64) as usize;
        let count = sys::read_at(from, &mut self.buffer[..room], begin).tried("read a file")?;
        sys::write_all_at(to, &self.buffer[..count], begin).tried("write a file")?;
        Ok(count)
    }
}
