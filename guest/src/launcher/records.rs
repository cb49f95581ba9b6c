//! The folder of records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::procs::stat;
use super::record::{exit_line, state_line, valid_id, Record, State, MAGIC};
use crate::sys::c::O_NOFOLLOW;

/// Larger files are no records: several times what a specification of the largest size leads to.
const MAX_BYTES: u64 = 8 << 20;

pub struct Records {
    folder: PathBuf,
}

const SUFFIX: &str = ".record";

impl Records {
    pub fn open(state: &Path) -> io::Result<Records> {
        let folder = state.join("records");
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let records = Records { folder };
        records.remove_unfinished()?;
        Ok(records)
    }

    /// Removes what a launcher left that was killed while it wrote.
    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let writer = name.to_str().and_then(|name| name.strip_suffix(".tmp")?.rsplit('.').next()?.parse().ok());
            if writer.map_or(false, |pid: i32| stat(pid).map_or(true, |stat| stat.zombie)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{}{}", id, SUFFIX))
    }

    /// Replaces the record in one step.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let temporary = self.folder.join(format!(".{}.{}.tmp", record.id, std::process::id()));
        let written = (|| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600).custom_flags(O_NOFOLLOW);
            options.open(&temporary)?.write_all(record.to_text().as_bytes())?;
            fs::rename(&temporary, self.path(&record.id))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Writes the exit into the record in place. `NotFound` when the record has been removed.
    pub fn write_exit(&self, id: &str, exit: Exit) -> io::Result<()> {
        self.write_at(id, MAGIC.len(), &exit_line(Some(exit)))
    }

    /// Writes into the record in place that the start has succeeded.
    pub fn write_running(&self, id: &str) -> io::Result<()> {
        self.write_at(id, MAGIC.len() + exit_line(None).len(), &state_line(State::Running))
    }

    fn write_at(&self, id: &str, offset: usize, line: &str) -> io::Result<()> {
        let file = OpenOptions::new().write(true).custom_flags(O_NOFOLLOW).open(self.path(id))?;
        file.write_all_at(line.as_bytes(), offset as u64)
    }

    /// Ok(None) when there is none; an error of kind `InvalidData` when it cannot be understood.
    pub fn read(&self, id: &str) -> io::Result<Option<Record>> {
        let file = match OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(self.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        File::take(file, MAX_BYTES).read_to_string(&mut text)?;
        let record = Record::parse(&text).ok_or_else(damaged)?;
        if record.id != id {
            return Err(damaged());
        }
        Ok(Some(record))
    }

    pub fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Moves a record that cannot be understood out of the way, for a person to look at.
    pub fn quarantine(&self, id: &str) -> io::Result<()> {
        fs::rename(self.path(id), self.folder.join(format!("{}.invalid", id)))
    }

    /// Ids of all records.
    pub fn ids(&self) -> io::Result<Vec<String>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                match name.strip_suffix(SUFFIX) {
                    Some(id) if valid_id(id) => ids.push(id.to_string()),
                    _ => {}
                }
            }
        }
        ids.sort();
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests as sample;
    use super::*;

    #[test]
    fn state_and_exit_are_written_in_place() {
        let folder = std::env::temp_dir().join(format!("cove-test-records-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let records = Records::open(&folder).unwrap();
        let mut written = Record { state: State::Started, ..sample::record() };
        records.write(&written).unwrap();
        records.write_running(&written.id).unwrap();
        written.state = State::Running;
        assert_eq!(records.read(&written.id).unwrap().as_ref(), Some(&written));
        for exit in [Exit::Exited(255), Exit::Exited(0), Exit::Signaled(9), Exit::Lost] {
            records.write_exit(&written.id, exit).unwrap();
            written.exit = Some(exit);
            assert_eq!(records.read(&written.id).unwrap().as_ref(), Some(&written));
        }
        assert_eq!(records.ids().unwrap(), vec![written.id.clone()]);
        records.remove(&written.id).unwrap();
        records.remove(&written.id).unwrap();
        assert_eq!(records.write_exit(&written.id, Exit::Lost).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::remove_dir_all(&folder).unwrap();
    }
}
