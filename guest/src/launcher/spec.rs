//! What to start, as it came over the wire. Decoding checks everything that can be checked without touching the
//! host, so that what follows works on values it can trust.

use std::ffi::CString;

use super::fault::Fault;
use super::record::{valid_id, Owner, ProcessKey};
use super::values::{descriptor, list, mode, number, optional_path, path, paths, text, words};
use crate::fields::Fields;

/// Bytes of a whole specification, memory files included.
pub const MAX_SPEC: usize = 1 << 20;
const MAX_NOTE: usize = 4096;
/// Longest path that fits into a socket's address.
const MAX_SOCKET_PATH: usize = 107;

pub struct Spec {
    pub id: String,
    pub owner: Owner,
    pub note: String,
    pub argv: Vec<CString>,
    pub env: Vec<CString>,
    pub cwd: Option<String>,
    pub stdio: Stdio,
    pub folders: Vec<Folder>,
    pub listens: Vec<Listen>,
    pub blobs: Vec<Blob>,
    pub files: Vec<OpenFile>,
    pub cgroups: Vec<Cgroup>,
    pub user_namespace: Option<UserNamespace>,
    pub mounts: Vec<Mount>,
    pub writes: Vec<Write>,
    pub limits: Vec<ResourceLimit>,
    pub oom_score_adj: Option<i32>,
    pub removes: Vec<String>,
    /// The host process whose network the new one shares.
    pub network_of: Option<String>,
}

#[derive(PartialEq, Eq, Debug)]
pub enum Stdio {
    Null,
    /// Output is kept by the launcher, bounded.
    Held,
    /// Output, and stdin where it is wanted, are pipes that the caller opens.
    Piped {
        stdin: bool,
    },
    /// Stdin and stdout are FIFOs at these paths, which outlive whoever has their other side; stderr is kept.
    Fifos {
        input: String,
        output: String,
    },
}

pub struct Folder {
    pub path: String,
    pub mode: u32,
    pub mapped_root: bool,
}

pub struct Listen {
    pub fd: i32,
    pub path: String,
    pub mode: u32,
}

pub struct Blob {
    pub fd: i32,
    pub data: Vec<u8>,
}

pub struct OpenFile {
    pub fd: i32,
    pub path: String,
    pub write: bool,
}

pub struct Cgroup {
    pub path: String,
    pub join: bool,
    pub sets: Vec<Setting>,
}

pub struct Setting {
    pub file: String,
    pub value: String,
    pub required: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum UserNamespace {
    Range { base: u32, count: u32 },
    Own { uid: u32, gid: u32 },
}

pub enum Mount {
    Bind {
        source: String,
        target: String,
        read_only: bool,
        recursive: bool,
        mapped: bool,
    },
    Overlay {
        lower: Vec<String>,
        upper: String,
        work: String,
        target: String,
        mapped: bool,
    },
    Tmpfs {
        target: String,
        size: u64,
        mode: u32,
    },
    Image {
        image: String,
        target: String,
    },
    /// A small `/dev`.
    Devices {
        target: String,
    },
}

impl Mount {
    pub fn target(&self) -> &str {
        match self {
            Mount::Bind { target, .. }
            | Mount::Overlay { target, .. }
            | Mount::Tmpfs { target, .. }
            | Mount::Image { target, .. }
            | Mount::Devices { target } => target,
        }
    }
}

pub struct Write {
    pub path: String,
    pub text: String,
}

pub struct ResourceLimit {
    pub resource: i32,
    pub soft: u64,
    pub hard: u64,
}

impl Spec {
    pub fn decode(bytes: &[u8]) -> Result<Spec, Fault> {
        let fields = Fields::parse(bytes)?;
        let id = text(&fields, 2, "id")?;
        if !valid_id(&id) {
            return Err(Fault::invalid("the id is not 1 to 64 of letters, digits, dot, dash and underscore"));
        }
        let note = fields.text(4)?.unwrap_or("").to_string();
        if note.len() > MAX_NOTE {
            return Err(Fault::invalid("the note is longer than 4,096 bytes"));
        }
        let spec = Spec {
            id,
            owner: owner(&fields)?,
            note,
            argv: words(&fields, 5, "argv")?,
            env: words(&fields, 6, "env")?,
            cwd: optional_path(&fields, 7, "cwd")?,
            stdio: stdio(&fields)?,
            folders: list(&fields, 9, |item| {
                Ok(Folder { path: path(item, 1, "folder")?, mode: mode(item, 2)?, mapped_root: item.truth(3)? })
            })?,
            listens: list(&fields, 10, |item| {
                let path = path(item, 2, "listen")?;
                if path.len() > MAX_SOCKET_PATH {
                    return Err(Fault::invalid(format!("the socket path {} is longer than 107 bytes", path)));
                }
                Ok(Listen { fd: descriptor(item)?, path, mode: mode(item, 3)? })
            })?,
            blobs: list(&fields, 11, |item| {
                Ok(Blob { fd: descriptor(item)?, data: item.bytes(2).unwrap_or(&[]).to_vec() })
            })?,
            files: list(&fields, 12, |item| {
                Ok(OpenFile { fd: descriptor(item)?, path: path(item, 2, "file")?, write: item.truth(3)? })
            })?,
            cgroups: list(&fields, 13, cgroup)?,
            user_namespace: fields.nested(14)?.as_ref().map(user_namespace).transpose()?,
            mounts: list(&fields, 15, mount)?,
            writes: list(&fields, 16, |item| {
                Ok(Write { path: path(item, 1, "write")?, text: text(item, 2, "text of a write")? })
            })?,
            limits: list(&fields, 17, limit)?,
            oom_score_adj: oom_score_adj(&fields)?,
            removes: paths(&fields, 19, "removeOnDestroy")?,
            network_of: fields.text(20)?.map(String::from),
        };
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), Fault> {
        match self.argv.first() {
            Some(program) if program.as_bytes().first() == Some(&b'/') => {}
            _ => return Err(Fault::invalid("argv does not start with the absolute path of a program")),
        }
        let mut taken = Vec::new();
        let descriptors = (self.listens.iter().map(|item| item.fd))
            .chain(self.blobs.iter().map(|item| item.fd))
            .chain(self.files.iter().map(|item| item.fd));
        for fd in descriptors {
            if taken.contains(&fd) {
                return Err(Fault::invalid(format!("descriptor {} is given twice", fd)));
            }
            taken.push(fd);
        }
        if !self.network_of.as_ref().map_or(true, |id| valid_id(id)) {
            return Err(Fault::invalid("networkOf is not the id of a host process"));
        }
        let ranged = matches!(self.user_namespace, Some(UserNamespace::Range { .. }));
        let wants_range = self.folders.iter().any(|folder| folder.mapped_root)
            || self.mounts.iter().any(|mount| matches!(mount, Mount::Overlay { mapped: true, .. } | Mount::Bind { mapped: true, .. }));
        if wants_range && !ranged {
            return Err(Fault::invalid("mapped folders and layers need a user namespace with a range of ids"));
        }
        Ok(())
    }
}

fn stdio(fields: &Fields<'_>) -> Result<Stdio, Fault> {
    match fields.number(8)? {
        None | Some(0) => Ok(Stdio::Null),
        Some(1) => Ok(Stdio::Held),
        Some(2) => Ok(Stdio::Piped { stdin: false }),
        Some(3) => Ok(Stdio::Piped { stdin: true }),
        Some(4) => {
            Ok(Stdio::Fifos { input: path(fields, 21, "FIFO of stdin")?, output: path(fields, 22, "FIFO of stdout")? })
        }
        Some(_) => Err(Fault::invalid("unknown kind of stdio")),
    }
}

fn owner(fields: &Fields<'_>) -> Result<Owner, Fault> {
    match fields.nested(3)? {
        None => Ok(Owner::Durable),
        Some(owner) => {
            let pid = number(&owner, 1, "pid of the owner")?;
            if pid < 1 || pid > i32::MAX as u64 {
                return Err(Fault::invalid("the pid of the owner is out of range"));
            }
            Ok(Owner::Process(ProcessKey { pid: pid as i32, start: number(&owner, 2, "start time of the owner")? }))
        }
    }
}

fn cgroup(item: &Fields<'_>) -> Result<Cgroup, Fault> {
    Ok(Cgroup {
        path: path(item, 1, "cgroup")?,
        join: item.truth(2)?,
        sets: list(item, 3, |set| {
            let file = text(set, 1, "file of a cgroup")?;
            if file.is_empty() || file.starts_with('.') || file.contains('/') || file.contains('\0') {
                return Err(Fault::invalid("a file of a cgroup is not a plain name"));
            }
            Ok(Setting { file, value: text(set, 2, "value of a cgroup file")?, required: set.truth(3)? })
        })?,
    })
}

fn user_namespace(item: &Fields<'_>) -> Result<UserNamespace, Fault> {
    let id = |tag, name| -> Result<u32, Fault> {
        let value = number(item, tag, name)?;
        u32::try_from(value).map_err(|_| Fault::invalid(format!("{} is out of range", name)))
    };
    match number(item, 1, "kind of the user namespace")? {
        1 => {
            let (base, count) = (id(2, "base")?, id(3, "count")?);
            if base == 0 || count == 0 || base.checked_add(count).is_none() {
                return Err(Fault::invalid("the range of ids is empty, too large or holds the host's root"));
            }
            Ok(UserNamespace::Range { base, count })
        }
        2 => Ok(UserNamespace::Own { uid: id(2, "uid")?, gid: id(3, "gid")? }),
        _ => Err(Fault::invalid("unknown kind of user namespace")),
    }
}

fn mount(item: &Fields<'_>) -> Result<Mount, Fault> {
    let target = path(item, 3, "target of a mount")?;
    match number(item, 1, "kind of a mount")? {
        1 => Ok(Mount::Bind {
            source: path(item, 2, "source of a mount")?,
            target,
            read_only: item.truth(4)?,
            recursive: item.truth(5)?,
            mapped: item.truth(9)?,
        }),
        2 => {
            let lower = paths(item, 6, "lower folder")?;
            let (upper, work) = (path(item, 7, "upper folder")?, path(item, 8, "work folder")?);
            // As many as the layers that image formats know, and those that a machine adds.
            if lower.is_empty() || lower.len() > 130 {
                return Err(Fault::invalid("an overlay needs 1 to 130 lower folders"));
            }
            // These would need escapes in the mount's options, with rules that differ between kernels.
            for folder in lower.iter().chain([&upper, &work]) {
                if folder.contains([',', ':', '\\']) {
                    return Err(Fault::invalid(format!(
                        "the overlay folder {} has a comma, colon or backslash",
                        folder
                    )));
                }
            }
            Ok(Mount::Overlay { lower, upper, work, target, mapped: item.truth(9)? })
        }
        3 => Ok(Mount::Tmpfs { target, size: number(item, 10, "size")?, mode: mode(item, 11)? }),
        4 => Ok(Mount::Image { image: path(item, 2, "image")?, target }),
        5 => Ok(Mount::Devices { target }),
        _ => Err(Fault::invalid("unknown kind of mount")),
    }
}

fn limit(item: &Fields<'_>) -> Result<ResourceLimit, Fault> {
    let resource = match text(item, 1, "name of a resource limit")?.as_str() {
        "stack" => 3,
        "core" => 4,
        "nproc" => 6,
        "nofile" => 7,
        "memlock" => 8,
        other => return Err(Fault::invalid(format!("unknown resource limit {}", other))),
    };
    Ok(ResourceLimit { resource, soft: number(item, 2, "soft limit")?, hard: number(item, 3, "hard limit")? })
}

/// It goes over the wire with 1,000 added, for numbers there are never negative.
fn oom_score_adj(fields: &Fields<'_>) -> Result<Option<i32>, Fault> {
    match fields.number(18)? {
        None => Ok(None),
        Some(value) if value <= 2000 => Ok(Some(value as i32 - 1000)),
        Some(_) => Err(Fault::invalid("oomScoreAdj is not within -1,000 to 1,000")),
    }
}

#[cfg(test)]
mod tests;
