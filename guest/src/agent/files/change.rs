//! Changing the tree of files.

use super::entry::entry;
use super::write::make_parents;
use crate::agent::core::{Agent, Work};
use crate::agent::fault::{Answer, Fault};
use crate::agent::paths;
use crate::agent::users::User;
use crate::fields::{Fields, Writer};
use crate::sys::files::{self, Entries};
use crate::sys::process::{become_user, fork_with};
use crate::sys::{self, c, Errno};
use std::os::unix::io::{AsRawFd, RawFd};

impl Agent {
    pub fn stat(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let path = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let user = self.file_user(fields)?;
        let acting = self.act_as(&user)?;
        let stat = files::lstat(path).map_err(|errno| Fault::at(path, errno))?;
        let target = if stat.is_symlink() { files::read_link(path).ok() } else { None };
        drop(acting);
        self.session().opened(channel, entry(path, &stat, target));
        self.finish(channel);
        Ok(())
    }

    pub fn make_directory(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let path = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let mode = (fields.number(3)?.unwrap_or(0o755) & 0o7777) as u32;
        let parents = fields.truth(4)?;
        let user = self.file_user(fields)?;
        let acting = self.act_as(&user)?;
        let made = if parents {
            make_parents(paths::split(path).0).and_then(|()| match files::make_dir(path, mode) {
                Err(Errno(c::EEXIST)) if files::stat(path).map_or(false, |stat| stat.is_dir()) => Ok(()),
                other => other,
            })
        } else {
            files::make_dir(path, mode)
        };
        drop(acting);
        made.map_err(|errno| Fault::at(path, errno))?;
        self.done(channel)
    }

    pub fn chmod(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let path = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let mode = fields.number(3)?.ok_or_else(|| Fault::invalid("no mode is given"))?;
        if mode > 0o7777 {
            return Err(Fault::invalid("a mode has 12 bits"));
        }
        let user = self.file_user(fields)?;
        let acting = self.act_as(&user)?;
        let changed = files::chmod(path, mode as u32);
        drop(acting);
        changed.map_err(|errno| Fault::at(path, errno))?;
        self.done(channel)
    }

    pub fn symlink(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let path = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let target = fields.bytes(3).unwrap_or(b"");
        if target.is_empty() || target.len() > 4095 || target.contains(&0) {
            return Err(Fault::new("path-invalid", "the target of the link is empty, too long or has a NUL inside"));
        }
        let user = self.file_user(fields)?;
        let acting = self.act_as(&user)?;
        let made = files::make_symlink(target, path);
        drop(acting);
        made.map_err(|errno| Fault::at(path, errno))?;
        self.done(channel)
    }

    pub fn move_path(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let from = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let to = paths::check(fields.bytes(3).unwrap_or(b""))?;
        let user = self.file_user(fields)?;
        let acting = self.act_as(&user)?;
        let moved = files::rename(from, to);
        drop(acting);
        match moved {
            Ok(()) => self.done(channel),
            Err(Errno(c::EXDEV)) => {
                let (source, target) = (from.to_vec(), to.to_vec());
                self.errand(channel, &user, from, move || super::transfer::transfer(&source, &target))
            }
            Err(errno) => Err(Fault::at(from, errno)),
        }
    }

    pub fn remove(&mut self, channel: u32, fields: &Fields<'_>) -> Answer<()> {
        let path = paths::check(fields.bytes(2).unwrap_or(b""))?;
        let recursive = fields.truth(3)?;
        let force = fields.truth(4)?;
        let user = self.file_user(fields)?;
        let acting = self.act_as(&user)?;
        let removed = files::lstat(path).and_then(|stat| {
            if stat.is_dir() {
                files::remove_dir_at(c::AT_FDCWD, path)
            } else {
                files::remove_file_at(c::AT_FDCWD, path)
            }
        });
        drop(acting);
        match removed {
            Ok(()) => self.done(channel),
            Err(Errno(c::ENOENT)) if force => self.done(channel),
            Err(Errno(c::ENOTEMPTY)) | Err(Errno(c::EEXIST)) if recursive => {
                let tree = path.to_vec();
                self.errand(channel, &user, path, move || remove_tree(c::AT_FDCWD, &tree))
            }
            Err(Errno(c::EEXIST)) => Err(Fault::at(path, Errno(c::ENOTEMPTY))),
            Err(errno) => Err(Fault::at(path, errno)),
        }
    }

    pub fn done(&mut self, channel: u32) -> Answer<()> {
        self.session().opened(channel, Writer::new());
        self.finish(channel);
        Ok(())
    }

    /// Has work that may take long done by a forked copy of the agent, as the user and within the workload's limits.
    /// The channel is answered when the copy has ended.
    pub fn errand(
        &mut self,
        channel: u32,
        user: &User,
        path: &[u8],
        work: impl FnOnce() -> sys::Result<()>,
    ) -> Answer<()> {
        let cgroups = &self.options.workload_cgroups;
        let identity = self.users.switch(user);
        let pid = fork_with(|| {
            let joined = cgroups.iter().try_for_each(|file| sys::write(file.as_raw_fd(), b"0").map(drop));
            let become_it = || identity.map_or(Ok(()), become_user);
            match joined.and_then(|()| become_it()).and_then(|()| work()) {
                Ok(()) => 0,
                Err(errno) => errno.0.clamp(1, 255),
            }
        })?;
        self.works.insert(channel, Work::Errand { pid, path: path.to_vec() });
        Ok(())
    }
}

/// Removes a folder and everything below it, links not followed. It goes on where something cannot be removed and
/// tells the first error.
pub fn remove_tree(directory: RawFd, name: &[u8]) -> sys::Result<()> {
    match files::remove_file_at(directory, name) {
        Err(Errno(c::EISDIR)) | Err(Errno(c::EPERM)) => {}
        other => return other,
    }
    let flags = c::O_RDONLY | c::O_DIRECTORY | c::O_NOFOLLOW | c::O_NONBLOCK;
    let mut first = None;
    if let Ok(folder) = sys::open_at(directory, name, flags, 0) {
        let mut entries = Entries::new();
        let mut names = Vec::new();
        while let Some(name) = entries.next(folder.as_raw_fd())? {
            names.push(name);
        }
        for name in names {
            if let Err(errno) = remove_tree(folder.as_raw_fd(), &name) {
                if errno != Errno(c::ENOENT) {
                    first = first.or(Some(errno));
                }
            }
        }
    }
    match (files::remove_dir_at(directory, name), first) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(errno)) => Err(errno),
        (Err(errno), None) => Err(errno),
    }
}
