//! An archive unpacked into a folder.

use crate::failure::{Code, Failure, Result, Tried};
use crate::options::Options;
use crate::sys::files;
use crate::sys::{self, Errno};
use crate::tar::input::Source;
use crate::tar::reader::Reader;
use crate::tar::{Entry, Kind};
use crate::tree::{names_of, Attributes, Tree};
use std::os::unix::io::AsRawFd;

pub struct Limits {
    pub bytes: u64,
    pub file_bytes: u64,
    pub entries: u64,
    pub path_bytes: usize,
    pub depth: usize,
}

/// Where the files go and what they mean.
pub struct Plan {
    pub into: Vec<u8>,
    /// Below that folder.
    pub at: Vec<u8>,
    /// Instead of the owners in the archive.
    pub owner: Option<(u32, u32)>,
    /// Names that begin with `.wh.` mean nothing special.
    pub plain: bool,
    pub over: Vec<Vec<u8>>,
    pub sync: bool,
    pub limits: Limits,
}

impl Plan {
    pub fn read(options: &mut Options) -> Result<Plan> {
        Ok(Plan {
            into: options.required("into")?,
            at: options.value("at")?.unwrap_or_default(),
            owner: options.value("owner")?.map(|owner| read_owner(&owner)).transpose()?,
            plain: options.flag("plain"),
            over: options.all("over"),
            sync: options.flag("sync"),
            limits: Limits {
                bytes: options.number("max-bytes", 64 << 30)?,
                file_bytes: options.number("max-file-bytes", 1 << 40)?,
                entries: options.number("max-entries", 2_000_000)?,
                // What the kernel takes at most.
                path_bytes: options.number("max-path-bytes", 4095)?.min(4095) as usize,
                depth: options.number("max-depth", 256)?.min(512) as usize,
            },
        })
    }
}

fn read_owner(text: &[u8]) -> Result<(u32, u32)> {
    let numbers = std::str::from_utf8(text).ok().and_then(|text| {
        let (uid, gid) = text.split_once(':')?;
        Some((uid.parse().ok()?, gid.parse().ok()?))
    });
    match numbers {
        Some((uid, gid)) if uid != u32::MAX && gid != u32::MAX => Ok((uid, gid)),
        _ => Err(Failure::new(Code::Usage, "--owner is not of the form UID:GID")),
    }
}

/// Standard input.
pub struct Stdin;

impl Source for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Errno> {
        sys::read(0, buffer)
    }
}

#[derive(Default)]
pub struct Report {
    pub entries: u64,
    pub bytes: u64,
}

const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";

pub struct Unpacking<'a, S> {
    plan: &'a Plan,
    reader: Reader<S>,
    tree: Tree,
    report: Report,
    at: Vec<&'a [u8]>,
}

/// Answers what was unpacked, and the tree for what was left out.
pub fn unpack<S: Source>(plan: &Plan, source: S) -> Result<(Report, Tree)> {
    let tree = Tree::new(&plan.into, &plan.over, plan.limits.depth)?;
    let reader = Reader::new(source, plan.limits.path_bytes);
    let at = names_of(&plan.at).map_err(|failure| Failure::new(Code::Usage, failure.message).at(&plan.at))?;
    let mut unpacking = Unpacking { plan, reader, tree, report: Report::default(), at };
    while let Some(entry) = unpacking.reader.next()? {
        unpacking.take(&entry).map_err(|failure| failure.at(&entry.path))?;
    }
    unpacking.tree.finish(plan.sync)?;
    Ok((unpacking.report, unpacking.tree))
}

impl<'a, S: Source> Unpacking<'a, S> {
    fn take(&mut self, entry: &Entry) -> Result<()> {
        self.count(entry)?;
        let own = names_of(&entry.path)?;
        let mut names = self.at.clone();
        names.extend_from_slice(&own);
        if !self.plan.plain && self.take_whiteout(&names)? {
            return Ok(());
        }
        let described = self.described(entry);
        match entry.kind {
            // Where files are put, the folder that takes them is not theirs to describe.
            Kind::Dir => self.tree.put_folder(&names, &described, self.plan.plain && own.is_empty()),
            Kind::File => self.file(&names, entry, &described),
            Kind::Symlink => self.tree.put_symlink(&names, &entry.target, &described),
            Kind::HardLink => {
                let mut target = self.at.clone();
                target.extend(names_of(&entry.target).map_err(|failure| {
                    let shown = String::from_utf8_lossy(&entry.target).into_owned();
                    Failure::invalid(format!("a hard link to {}: {}", crate::json::shorten(&shown), failure.message))
                })?);
                self.tree.put_hard_link(&names, &target)
            }
            Kind::Char if entry.device == (0, 0) => {
                Err(Failure::invalid("a character device 0:0, which would hide a file of another layer"))
            }
            Kind::Char => self.tree.put_node(&names, files::S_IFCHR, entry.device, &described).map(drop),
            Kind::Block => self.tree.put_node(&names, files::S_IFBLK, entry.device, &described).map(drop),
            Kind::Fifo => self.tree.put_node(&names, files::S_IFIFO, (0, 0), &described).map(drop),
        }
    }

    /// Everything that grows is counted before it is made.
    fn count(&mut self, entry: &Entry) -> Result<()> {
        let limits = &self.plan.limits;
        self.report.entries += 1;
        if self.report.entries > limits.entries {
            return Err(Failure::invalid(format!("the layer has more than {} entries", limits.entries)));
        }
        if entry.size > limits.file_bytes {
            return Err(Failure::invalid(format!("a file has more than {} bytes", limits.file_bytes)));
        }
        let content = match &entry.pieces {
            None => entry.size,
            Some(pieces) => pieces.iter().fold(0u64, |sum, (_, length)| sum.saturating_add(*length)),
        };
        let names = (entry.path.len() + entry.target.len()) as u64;
        let attributes: usize = entry.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.report.bytes = self.report.bytes.saturating_add(content).saturating_add(names + attributes as u64);
        if self.report.bytes > limits.bytes {
            return Err(Failure::invalid(format!("the layer has more than {} bytes", limits.bytes)));
        }
        Ok(())
    }

    /// True when the entry only says what layers below it hide.
    fn take_whiteout(&mut self, names: &[&[u8]]) -> Result<bool> {
        let (name, folder) = match names.split_last() {
            Some((name, folder)) => (*name, folder),
            None => return Ok(false),
        };
        if let Some(at) = folder.iter().position(|name| name.starts_with(WHITEOUT)) {
            // What AUFS keeps beside the files of a layer.
            if folder[at].starts_with(WHITEOUT_META) {
                return Ok(true);
            }
            return Err(Failure::invalid("an entry within one that only hides another"));
        }
        if name == WHITEOUT_OPAQUE {
            self.tree.put_opaque(folder)?;
            return Ok(true);
        }
        if name.starts_with(WHITEOUT_META) {
            return Ok(true);
        }
        let hidden = match name.strip_prefix(WHITEOUT) {
            Some(hidden) => hidden,
            None => return Ok(false),
        };
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Failure::invalid("an entry that hides another without a name"));
        }
        let mut names = folder.to_vec();
        names.push(hidden);
        self.tree.put_whiteout(&names)?;
        Ok(true)
    }

    fn described(&self, entry: &Entry) -> Attributes {
        let (uid, gid) = self.plan.owner.unwrap_or((entry.uid, entry.gid));
        let Entry { mode, modified, .. } = *entry;
        Attributes { mode, uid, gid, modified, attributes: entry.attributes.clone() }
    }

    fn file(&mut self, names: &[&[u8]], entry: &Entry, described: &Attributes) -> Result<()> {
        let file = self.tree.open_file(names)?;
        let fd = file.as_raw_fd();
        match &entry.pieces {
            None => loop {
                let bytes = self.reader.content()?;
                if bytes.is_empty() {
                    break;
                }
                sys::write_all(fd, bytes).tried("write a file")?;
            },
            Some(pieces) => {
                for (begin, length) in pieces {
                    let (mut at, end) = (*begin, begin + length);
                    while at < end {
                        let bytes = self.reader.content_up_to(end - at)?;
                        sys::write_all_at(fd, bytes, at).tried("write a file")?;
                        at += bytes.len() as u64;
                    }
                }
                files::set_length(fd, entry.size).tried("set the length of a file")?;
            }
        }
        self.tree.finish_file(&file, described)
    }
}
