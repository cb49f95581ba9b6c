//! An archive read entry by entry from a stream that cannot go back.

use super::block::Header;
use super::input::{Input, Source};
use super::pax::Pax;
use super::{sparse, Entry, Kind, BLOCK};
use crate::failure::{Failure, Result};
use crate::sys::files::Time;

const MAX_EXTENDED_BYTES: u64 = 1 << 20;

pub struct Reader<S> {
    input: Input<S>,
    global: Pax,
    /// Of the current entry's content, and what fills up its last block.
    rest: u64,
    padding: u64,
    /// Longest name or target.
    max_path: usize,
}

impl<S: Source> Reader<S> {
    pub fn new(source: S, max_path: usize) -> Reader<S> {
        Reader { input: Input::new(source), global: Pax::default(), rest: 0, padding: 0, max_path }
    }

    /// The next entry, whatever is left of the one before skipped; none at the end, of which all has been read then.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let mut pax = Pax { attributes: Vec::new(), ..self.global.clone() };
        let (mut long_path, mut long_target) = (None, None);
        let mut described = false;
        loop {
            self.input.skip(self.rest)?;
            self.input.skip_padding(self.padding)?;
            self.rest = 0;
            self.padding = 0;
            let block = match self.input.block()? {
                Some(block) => block,
                None if described => return Err(Failure::invalid("the archive ends in the middle of an entry")),
                None => return Ok(None),
            };
            let header = Header(&block);
            if header.is_zero() {
                if described {
                    return Err(Failure::invalid("the archive ends in the middle of an entry"));
                }
                self.end()?;
                return Ok(None);
            }
            header.check_sum()?;
            let kind = header.kind();
            match kind {
                b'x' | b'X' | b'g' | b'L' | b'K' => {
                    let most = if matches!(kind, b'L' | b'K') { self.max_path as u64 + 1 } else { MAX_EXTENDED_BYTES };
                    let bytes = self.extension(&header, most)?;
                    match kind {
                        b'g' => {
                            self.global.read(&bytes, true)?;
                            pax.uid = pax.uid.or(self.global.uid);
                            pax.gid = pax.gid.or(self.global.gid);
                            pax.modified = pax.modified.or(self.global.modified);
                            continue;
                        }
                        b'L' => long_path = Some(until_nul(bytes)),
                        b'K' => long_target = Some(until_nul(bytes)),
                        _ => pax.read(&bytes, false)?,
                    }
                    described = true;
                }
                b'V' => self.enter(&header, None)?,
                _ => return self.entry(&block, pax, long_path, long_target).map(Some),
            }
        }
    }

    /// Content of the current entry, piece by piece; empty at its end.
    pub fn content(&mut self) -> Result<&[u8]> {
        if self.rest == 0 {
            return Ok(&[]);
        }
        let bytes = self.input.some(self.rest)?;
        self.rest -= bytes.len() as u64;
        Ok(bytes)
    }

    /// The same, never more than `most` at once.
    pub fn content_up_to(&mut self, most: u64) -> Result<&[u8]> {
        let most = most.min(self.rest);
        if most == 0 {
            return Ok(&[]);
        }
        let bytes = self.input.some(most)?;
        self.rest -= bytes.len() as u64;
        Ok(bytes)
    }

    /// Sets out to read what follows a header.
    fn enter(&mut self, header: &Header<'_>, size: Option<u64>) -> Result<()> {
        let size = match size {
            Some(size) => size,
            None => u64::try_from(header.size()?).map_err(|_| bad_size())?,
        };
        if size > i64::MAX as u64 {
            return Err(bad_size());
        }
        self.rest = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        Ok(())
    }

    /// What a header says of the next one.
    fn extension(&mut self, header: &Header<'_>, most: u64) -> Result<Vec<u8>> {
        self.enter(header, None)?;
        if self.rest > most {
            return Err(Failure::invalid("a name or an extended header in the archive is too long"));
        }
        let bytes = self.input.exactly(self.rest as usize)?;
        self.rest = 0;
        Ok(bytes)
    }

    /// Two blocks of zeros end an archive; what follows is of no meaning, and whoever writes it waits until it is read.
    fn end(&mut self) -> Result<()> {
        if let Some(block) = self.input.block()? {
            if !Header(&block).is_zero() {
                return Err(Failure::invalid("the archive is damaged: a block of zeros between entries"));
            }
        }
        self.input.drain()
    }

    fn entry(
        &mut self,
        block: &[u8; BLOCK],
        pax: Pax,
        long_path: Option<Vec<u8>>,
        long_target: Option<Vec<u8>>,
    ) -> Result<Entry> {
        let header = Header(block);
        let path = match (&pax.sparse.name, &pax.path, long_path) {
            (Some(name), _, _) | (None, Some(name), _) => name.clone(),
            (None, None, Some(name)) => name,
            (None, None, None) => header.path(),
        };
        let target = pax.target.clone().or(long_target).unwrap_or_else(|| header.target().to_vec());
        self.finish(block, pax, path.clone(), target).map_err(|failure| failure.at(&path))
    }

    fn finish(&mut self, block: &[u8; BLOCK], pax: Pax, path: Vec<u8>, target: Vec<u8>) -> Result<Entry> {
        let header = Header(block);
        if path.len() > self.max_path || target.len() > self.max_path {
            return Err(Failure::invalid(format!("a path has more than {} bytes", self.max_path)));
        }
        let kind = kind_of(header.kind(), &path)?;
        self.enter(&header, pax.size)?;
        let mut size = self.rest;
        let mut pieces = None;
        if kind == Kind::File {
            let holes = if header.kind() == b'S' {
                if !header.is_gnu() {
                    return Err(Failure::invalid("a file with holes has the header of another format"));
                }
                Some(sparse::old(block, &mut self.input)?)
            } else {
                sparse::from_pax(&pax.sparse, &mut self.rest, &mut self.input)?
            };
            if let Some((whole, map)) = holes {
                sparse::check(whole, &map, self.rest)?;
                size = whole;
                pieces = Some(map);
            }
        } else if !matches!(header.kind(), b'D' | b'0' | 0 | b'7') {
            // Only files have content, whatever their size field says.
            self.enter(&header, Some(0))?;
            size = 0;
        } else {
            size = 0;
        }
        Ok(Entry {
            kind,
            target,
            mode: (header.mode()? & 0o7777) as u32,
            uid: owner(pax.uid, header.uid()?)?,
            gid: owner(pax.gid, header.gid()?)?,
            modified: match pax.modified {
                Some(time) => time,
                None => Time { seconds: header.modified()?, nanoseconds: 0 },
            },
            size,
            pieces,
            device: match kind {
                Kind::Char | Kind::Block => device(header.device()?)?,
                _ => (0, 0),
            },
            attributes: pax.attributes,
            path,
        })
    }
}

fn bad_size() -> Failure {
    Failure::invalid("the archive is damaged: an entry has no possible size")
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn kind_of(letter: u8, path: &[u8]) -> Result<Kind> {
    Ok(match letter {
        // Archives older than directories in them.
        0 | b'0' | b'7' if path.ends_with(b"/") => Kind::Dir,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char,
        b'4' => Kind::Block,
        b'5' | b'D' => Kind::Dir,
        b'6' => Kind::Fifo,
        _ => return Err(Failure::invalid(format!("an entry is of the unknown kind {:?}", char::from(letter)))),
    })
}

fn owner(told: Option<u32>, header: i64) -> Result<u32> {
    match told {
        Some(id) => Ok(id),
        None => match u32::try_from(header) {
            Ok(id) if id != u32::MAX => Ok(id),
            _ => Err(Failure::invalid("an owner in the archive is no id")),
        },
    }
}

/// As many bits as the kernel has for them.
fn device((major, minor): (i64, i64)) -> Result<(u32, u32)> {
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) if major < 1 << 12 && minor < 1 << 20 => Ok((major, minor)),
        _ => Err(Failure::invalid("a device in the archive has numbers that no device has")),
    }
}
