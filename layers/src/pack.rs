//! A layer written as an archive.

use crate::failure::{Code, Failure, Result};
use crate::sys::files;
use crate::tar::writer::Writer;
use crate::tar::{Entry, Kind};
use crate::tree::Attributes;
use crate::walk::{pieces_of, Content, Node, Sink};

const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";

struct Archive {
    writer: Writer,
}

/// Writes to standard output.
pub fn pack(content: &Content) -> Result<()> {
    let mut archive = Archive { writer: Writer::new(1) };
    content.walk(&mut archive)?;
    archive.writer.finish()
}

fn beside(path: &[u8], prefix: &[u8], name: &[u8]) -> Vec<u8> {
    let begin = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    [&path[..begin], prefix, name].concat()
}

fn base(path: &[u8]) -> &[u8] {
    &path[path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1)..]
}

/// A file without anything, that says something by its name.
fn mark(path: Vec<u8>) -> Entry {
    let described = Attributes { mode: 0, uid: 0, gid: 0, modified: Default::default(), attributes: Vec::new() };
    entry(path, Kind::File, &described)
}

fn entry(path: Vec<u8>, kind: Kind, described: &Attributes) -> Entry {
    Entry {
        path,
        kind,
        target: Vec::new(),
        mode: described.mode,
        uid: described.uid,
        gid: described.gid,
        modified: described.modified,
        size: 0,
        pieces: None,
        device: (0, 0),
        attributes: described.attributes.clone(),
    }
}

impl Sink for Archive {
    fn put(&mut self, path: &[u8], described: &Attributes, node: Node<'_>) -> Result<()> {
        let name = base(path);
        if name.starts_with(WHITEOUT) {
            let message = "a name that begins with .wh. cannot be in a layer: it would hide another file";
            return Err(Failure::new(Code::Unsupported, message));
        }
        let plain = |kind| entry(path.to_vec(), kind, described);
        match node {
            Node::Folder { opaque } => {
                if !path.is_empty() {
                    self.writer.entry(&plain(Kind::Dir))?;
                }
                if opaque {
                    let within = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
                    self.writer.entry(&mark([&within, WHITEOUT_OPAQUE].concat()))?;
                }
            }
            Node::File { fd, size } => {
                let pieces = pieces_of(fd, size)?;
                let stored = self.writer.entry(&Entry { size, pieces: pieces.clone(), ..plain(Kind::File) })?;
                for (begin, length) in pieces.unwrap_or_else(|| vec![(0, size)]) {
                    self.writer.content(fd, begin, length)?;
                }
                self.writer.fill_up(stored)?;
            }
            Node::Link { first } => {
                // What the first name says holds for all.
                let named = Attributes { attributes: Vec::new(), ..described.clone() };
                self.writer.entry(&Entry { target: first.to_vec(), ..entry(path.to_vec(), Kind::HardLink, &named) })?;
            }
            Node::Symlink { target } => {
                self.writer.entry(&Entry { target: target.to_vec(), ..plain(Kind::Symlink) })?;
            }
            Node::Special { kind, device } => {
                let kind = match kind {
                    files::S_IFCHR => Kind::Char,
                    files::S_IFBLK => Kind::Block,
                    _ => Kind::Fifo,
                };
                self.writer.entry(&Entry { device, ..plain(kind) })?;
            }
            Node::Whiteout => {
                self.writer.entry(&mark(beside(path, WHITEOUT, name)))?;
            }
        }
        Ok(())
    }
}
