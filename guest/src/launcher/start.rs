//! Starting a host process: the record first, then everything it names, then the process, which may run only when the
//! record says who it is.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::cgroups;
use super::child::{self, Inherited};
use super::entry::Entry;
use super::fault::{AtStep, Fault};
use super::held::{self, Held};
use super::host::{Client, Host};
use super::job::Waiter;
use super::marks;
use super::pipes;
use super::procs;
use super::record::{Owner, ProcessKey, Record, State};
use super::spec::{Spec, Stdio, UserNamespace};
use crate::frames::kind;
use crate::sys::namespace::chown;
use crate::sys::{self, c, memfd};

/// Records at most: more would make listing and sweeping slow.
const MAX_RECORDS: usize = 16_384;

/// What stays with the launcher of a process's stdio.
enum Kept {
    Nothing,
    Output(Held),
    Pipes(Vec<OwnedFd>),
}

/// A process between fork and exec.
pub struct Starting {
    pub status: OwnedFd,
    pub client: Client,
}

impl Host {
    /// Answers when exec has happened, or when everything is undone.
    pub fn start(&mut self, client: Client, bytes: &[u8]) {
        let checked = Spec::decode(bytes).and_then(|spec| {
            self.check_free(&spec)?;
            Ok(spec)
        });
        let spec = match checked {
            Ok(spec) => spec,
            Err(fault) => return self.refuse(client, &fault),
        };
        let record = self.new_record(&spec);
        if let Err(error) = self.records.write(&record) {
            return self.refuse(client, &Fault::at("write the record", &error));
        }
        let mut entry = Entry::new(record);
        if let (Some(UserNamespace::Own { .. }), true) = (spec.user_namespace, spec.cgroups.is_empty()) {
            entry.home = Some(0);
        }
        self.entries.insert(spec.id.clone(), entry);
        if let Err(fault) = self.launch(&spec, client) {
            self.destroy(&spec.id, Some(Waiter::Failed(client, fault)));
        }
    }

    /// Refuses what is there already, so that nothing is ever removed that this start has not made.
    fn check_free(&mut self, spec: &Spec) -> Result<(), Fault> {
        let taken = |what: &str| Err(Fault::new("already-exists", format!("{} exists already", what)));
        self.load(&spec.id);
        if self.entries.contains_key(&spec.id) {
            return taken(&format!("the host process {}", spec.id));
        }
        if self.entries.len() >= MAX_RECORDS {
            return Err(Fault::new("limit-reached", format!("there are {} host processes already", MAX_RECORDS)));
        }
        let made = (spec.folders.iter().map(|folder| &folder.path))
            .chain(spec.cgroups.iter().map(|group| &group.path))
            .chain(spec.listens.iter().map(|listen| &listen.path));
        for path in made {
            if fs::symlink_metadata(path).is_ok() {
                return taken(path);
            }
        }
        match spec.owner {
            Owner::Process(key) if !self.watch_owner(key) => {
                Err(Fault::invalid(format!("the owner {} does not run", key.pid)))
            }
            _ => Ok(()),
        }
    }

    fn new_record(&self, spec: &Spec) -> Record {
        Record {
            id: spec.id.clone(),
            installation: self.installation.clone(),
            boot: self.boot.clone(),
            state: State::Preparing,
            exit: None,
            owner: spec.owner,
            launcher: self.me,
            leader: ProcessKey { pid: 0, start: 0 },
            members: Vec::new(),
            note: spec.note.clone(),
            held: matches!(spec.stdio, Stdio::Held | Stdio::Fifos { .. }),
            marked: spec.env.iter().any(|word| marks::of(word.as_bytes()) == Some(&spec.id)),
            cgroups: spec.cgroups.iter().map(|group| group.path.clone()).collect(),
            problems: Vec::new(),
            listens: spec.listens.iter().map(|listen| listen.path.clone()).collect(),
            folders: spec.folders.iter().map(|folder| folder.path.clone()).collect(),
            removes: spec.removes.clone(),
        }
    }

    fn launch(&mut self, spec: &Spec, client: Client) -> Result<(), Fault> {
        let mut problems = Vec::new();
        let base = match spec.user_namespace {
            Some(UserNamespace::Range { base, .. }) => base,
            _ => 0,
        };
        make_folders(spec, base)?;
        let mut joins = Vec::new();
        for group in &spec.cgroups {
            joins.extend(cgroups::make(group, &mut problems)?);
        }
        let placed = open_all(spec)?;
        let user_namespace = match spec.user_namespace {
            Some(UserNamespace::Range { base, count }) => {
                Some(self.namespaces.get(base, count).at(|| "make a user namespace")?)
            }
            _ => None,
        };
        let network = match &spec.network_of {
            Some(id) => Some(self.network_of(id)?),
            None => None,
        };
        let (stdio, kept) = self.stdio(spec)?;
        let pipe = || sys::pipe(0).at(|| "make a pipe");
        let ((gate, opener), (status, reporter)) = (pipe()?, pipe()?);
        let inherited = Inherited {
            placed,
            cgroups: joins,
            stdio,
            gate,
            status: reporter,
            user_namespace,
            network,
            descriptors: self.descriptors,
        };

        let pid = sys::check(unsafe { c::fork() }).at(|| "fork")?;
        if pid == 0 {
            child::run(spec, inherited, &[&[self.lock, opener.as_raw_fd()], self.sockets.as_slice()].concat());
        }
        drop(inherited);
        let leader = procs::key_of(pid).ok_or_else(|| Fault::new("driver-failed", "the child is gone"))?;
        if let Some(entry) = self.entries.get_mut(&spec.id) {
            entry.own = true;
            entry.record.leader = leader;
            match kept {
                Kept::Nothing => {}
                Kept::Output(held) => entry.held = Some(held),
                Kept::Pipes(pipes) => entry.pipes = pipes,
            }
            if let Some(held) = &entry.held {
                self.outputs.watch(&spec.id, held).at(|| "watch the output")?;
            }
            entry.record.problems = problems;
            entry.record.state = State::Started;
            self.records.write(&entry.record).at(|| "write the record")?;
            entry.starting = Some(Starting { status, client });
        }
        // Without this byte the child ends: whatever fails before, nothing has run. A child that has failed already is
        // not there to take it, and its report says why.
        let _ = sys::write(opener.as_raw_fd(), &[1]);
        Ok(())
    }

    fn stdio(&self, spec: &Spec) -> Result<([OwnedFd; 3], Kept), Fault> {
        let null = |write: bool| -> Result<OwnedFd, Fault> {
            let file = fs::OpenOptions::new().read(!write).write(write).open("/dev/null");
            Ok(file.at(|| "open /dev/null")?.into())
        };
        let held = || -> Result<([OwnedFd; 2], Held), Fault> {
            let ends = held::make(&self.state, &spec.id).at(|| "make the FIFOs of the output")?;
            let held = Held::open(&self.state, &spec.id).at(|| "open the FIFOs of the output")?;
            Ok((ends, held))
        };
        match &spec.stdio {
            Stdio::Null => Ok(([null(false)?, null(true)?, null(true)?], Kept::Nothing)),
            Stdio::Held => {
                let ([out, err], held) = held()?;
                Ok(([null(false)?, out, err], Kept::Output(held)))
            }
            Stdio::Fifos { input, output } => {
                let ([_, err], held) = held()?;
                let make = |path: &String| pipes::lasting(Path::new(path)).at(|| format!("make the FIFO {}", path));
                Ok(([make(input)?, make(output)?, err], Kept::Output(held)))
            }
            Stdio::Piped { stdin } => {
                let make = |stream| pipes::make(&self.state, &spec.id, stream).at(|| "make a pipe");
                let (out, err) = (make(pipes::OUT)?, make(pipes::ERR)?);
                let mut kept = vec![out.kept, err.kept];
                let input = if *stdin {
                    let input = make(pipes::IN)?;
                    kept.push(input.kept);
                    input.end
                } else {
                    null(false)?
                };
                Ok(([input, out.end, err.end], Kept::Pipes(kept)))
            }
        }
    }

    /// The child has reported, or closed its end by exec.
    pub fn start_reported(&mut self, id: &str) {
        let starting = match self.entries.get_mut(id).and_then(|entry| entry.starting.take()) {
            Some(starting) => starting,
            None => return,
        };
        let mut report = [0u8; child::MAX_REPORT];
        let length = sys::read(starting.status.as_raw_fd(), &mut report).unwrap_or(0);
        if length > 0 {
            let fault = report_fault(&report[..length]);
            return self.destroy(id, Some(Waiter::Failed(starting.client, fault)));
        }
        if let Err(error) = self.records.write_running(id) {
            self.log.line(format_args!("write the state of {}: {}", id, error));
        }
        if let Some(entry) = self.entries.get_mut(id) {
            entry.record.state = State::Running;
            entry.settle_home(self.me.pid);
            let payload = entry.describe().finish();
            self.answer(starting.client, kind::OPENED, payload);
            self.done(starting.client);
        }
    }

    /// The caller has lost interest in a start: it is undone.
    pub fn cancel_start(&mut self, client: Client) {
        let waiting = |entry: &&Entry| entry.starting.as_ref().map_or(false, |starting| starting.client == client);
        let id = self.entries.values().find(waiting).map(|entry| entry.record.id.clone());
        if let Some(id) = id {
            self.destroy(&id, None);
        }
    }
}

fn report_fault(report: &[u8]) -> Fault {
    let mut errno = [0u8; 4];
    if report.len() >= 5 {
        errno.copy_from_slice(&report[1..5]);
    }
    let errno = i32::from_be_bytes(errno);
    let step = String::from_utf8_lossy(report.get(5..).unwrap_or(&[])).into_owned();
    let error = sys::Errno(errno).text();
    if report[0] != child::EXEC_FAILED {
        return Fault::from_errno(step, errno, error);
    }
    let fault = Fault::from_errno(format_args!("execute {}", step), errno, error);
    match errno {
        c::ENOENT | c::ENOTDIR => Fault { code: "command-not-found", ..fault },
        _ => fault,
    }
}

fn make_folders(spec: &Spec, base: u32) -> Result<(), Fault> {
    for folder in &spec.folders {
        fs::create_dir(&folder.path).at(|| format!("mkdir {}", folder.path))?;
        if folder.mapped_root {
            chown(Path::new(&folder.path), base, base).at(|| format!("chown {}", folder.path))?;
        }
        let mode = fs::Permissions::from_mode(folder.mode);
        fs::set_permissions(&folder.path, mode).at(|| format!("chmod {}", folder.path))?;
    }
    Ok(())
}

fn open_all(spec: &Spec) -> Result<Vec<(OwnedFd, i32)>, Fault> {
    let mut placed = Vec::new();
    for listen in &spec.listens {
        let listener = UnixListener::bind(&listen.path).at(|| format!("listen on {}", listen.path))?;
        let mode = fs::Permissions::from_mode(listen.mode);
        fs::set_permissions(&listen.path, mode).at(|| format!("chmod {}", listen.path))?;
        placed.push((listener.into(), listen.fd));
    }
    for blob in &spec.blobs {
        let name = sys::c_string(b"cove").at(|| "name a memory file")?;
        placed.push((memfd::sealed(&name, &blob.data).at(|| "make a memory file")?, blob.fd));
    }
    for file in &spec.files {
        // A FIFO without another side must not hold up everything.
        let mut options = fs::OpenOptions::new();
        options.read(!file.write).write(file.write).custom_flags(c::O_NONBLOCK | c::O_NOCTTY);
        let opened: OwnedFd = options.open(&file.path).at(|| format!("open {}", file.path))?.into();
        sys::set_nonblocking(opened.as_raw_fd(), false).at(|| format!("open {}", file.path))?;
        placed.push((opened, file.fd));
    }
    Ok(placed)
}
