//! The unpacked layers below, looked at as overlayfs shows them together.

use super::OPAQUE;
use crate::failure::{Failure, Result, Tried};
use crate::sys::{self, attributes, c, files, Errno};
use std::os::unix::io::{AsRawFd, OwnedFd};

/// The first on top.
pub struct Over(Vec<OwnedFd>);

pub enum Found {
    Nothing,
    Folder(OwnedFd),
    Link(Vec<u8>),
    Other,
}

impl Over {
    pub fn new(layers: &[Vec<u8>]) -> Result<Over> {
        let open = |path: &Vec<u8>| {
            let opened = sys::open_at(c::AT_FDCWD, path, c::O_RDONLY | c::O_DIRECTORY, 0);
            opened.tried("open a layer").map_err(|failure| failure.at(path))
        };
        layers.iter().map(open).collect::<Result<_>>().map(Over)
    }

    /// What these names lead to; none but the last may be a link.
    pub fn find(&self, names: &[&[u8]]) -> Result<Found> {
        for layer in &self.0 {
            match look(layer, names)? {
                Look::Found(found) => return Ok(found),
                Look::Hidden => return Ok(Found::Nothing),
                Look::Absent => {}
            }
        }
        Ok(Found::Nothing)
    }
}

enum Look {
    Found(Found),
    /// Here and in what is below.
    Hidden,
    Absent,
}

fn look(layer: &OwnedFd, names: &[&[u8]]) -> Result<Look> {
    let mut folder = sys::duplicate(layer.as_raw_fd()).tried("look into a layer")?;
    let mut opaque = is_opaque(&folder)?;
    for (at, name) in names.iter().enumerate() {
        match sys::open_dir_at(folder.as_raw_fd(), name) {
            Ok(next) => {
                folder = next;
                opaque |= is_opaque(&folder)?;
            }
            Err(Errno(c::ENOENT)) => return Ok(if opaque { Look::Hidden } else { Look::Absent }),
            Err(Errno(c::ELOOP | c::ENOTDIR)) => {
                let there = files::stat_at(folder.as_raw_fd(), name).tried("look into a layer")?;
                if there.is_whiteout() || at + 1 < names.len() {
                    return Ok(Look::Hidden);
                }
                if there.kind() != files::S_IFLNK {
                    return Ok(Look::Found(Found::Other));
                }
                let target = files::read_link_at(folder.as_raw_fd(), name).tried("read a link")?;
                return Ok(Look::Found(Found::Link(target)));
            }
            Err(error) => return Err(Failure::system("look into a layer", error)),
        }
    }
    Ok(Look::Found(Found::Folder(folder)))
}

pub fn is_opaque(folder: &OwnedFd) -> Result<bool> {
    let names = attributes::names(attributes::Holder::Open(folder.as_raw_fd())).tried("read attributes")?;
    Ok(names.iter().any(|name| OPAQUE.contains(&&name[..])))
}
