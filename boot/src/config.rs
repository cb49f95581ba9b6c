//! The text on the config disk: what the machine is to be. `docs/boot-protocol.md` is the contract.

use crate::failure::{Failure, Result};
use crate::hex;

/// The text's first line, by which the disk is known.
pub const FIRST: &[u8] = b"cove-boot 1\n";
/// Bytes of the text.
pub const MOST: usize = 2 * 1024 * 1024;
/// Bytes of one file for `/etc`, files, and volumes.
const MOST_ETC_BYTES: usize = 64 * 1024;
const MOST_ETC: usize = 8;
const MOST_VOLUMES: usize = 64;
/// The longest tag that 9p and virtiofs both know.
const MOST_TAG: usize = 31;
const MOST_HOSTNAME: usize = 64;
const MOST_PATH: usize = 4095;

#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    pub mode: Mode,
    /// Tells on the console how long each step took.
    pub trace: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    Machine(Machine),
    Pack(Door),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    pub hostname: String,
    pub root: FileSystem,
    /// Size of `/tmp` in bytes.
    pub tmp: u64,
    pub net: Option<Net>,
    /// Files for `/etc`: name and content.
    pub etc: Vec<(String, Vec<u8>)>,
    pub volumes: Vec<Volume>,
    /// Processes that the workload may have at once.
    pub processes: Option<u64>,
    pub stream: Door,
    pub control: Door,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    Erofs,
    Ext4,
}

impl FileSystem {
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Erofs => "erofs",
            FileSystem::Ext4 => "ext4",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Net {
    pub mac: [u8; 6],
    pub address: [u8; 4],
    pub prefix: u32,
    pub gateway: [u8; 4],
}

impl Net {
    pub fn mask(&self) -> [u8; 4] {
        u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0).to_be_bytes()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Volume {
    pub tag: String,
    pub kind: Sharing,
    pub read_only: bool,
    /// Absolute.
    pub path: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    NineP,
    Virtiofs,
}

/// How the host reaches something in the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A virtio-serial port, found by its name.
    Port,
    /// A port of virtio-vsock, where connections are awaited.
    Vsock(u32),
}

impl Config {
    /// What a module may be needed for.
    pub fn needs(&self, what: &str) -> bool {
        let doors = match &self.mode {
            Mode::Machine(machine) => vec![machine.stream, machine.control],
            Mode::Pack(stream) => vec![*stream],
        };
        let machine = match &self.mode {
            Mode::Machine(machine) => Some(machine),
            Mode::Pack(_) => None,
        };
        let sharing = |kind| machine.map_or(false, |machine| machine.volumes.iter().any(|volume| volume.kind == kind));
        match what {
            "machine" => machine.is_some(),
            "erofs" => machine.map_or(false, |machine| machine.root == FileSystem::Erofs),
            "net" => machine.map_or(false, |machine| machine.net.is_some()),
            "9p" => sharing(Sharing::NineP),
            "virtiofs" => sharing(Sharing::Virtiofs),
            "port" => doors.contains(&Door::Port),
            "vsock" => doors.iter().any(|door| *door != Door::Port),
            _ => false,
        }
    }
}

/// True when the text's last line has come.
pub fn is_whole(text: &[u8]) -> bool {
    text.windows(5).any(|window| window == b"\nend\n")
}

/// Reads the text up to its line `end`; what follows is padding.
pub fn parse(text: &[u8]) -> Result<Config> {
    let text = text.strip_prefix(FIRST).ok_or_else(|| Failure::new("the configuration has another version"))?;
    let mut found = Found::default();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line == b"end" {
            return found.finish();
        }
        let line = std::str::from_utf8(line).ok().and_then(|line| found.take(line));
        line.ok_or_else(|| Failure::new(format!("line {} of the configuration is not understood", index + 2)))?;
    }
    Err(Failure::new("the configuration has no end"))
}

#[derive(Default)]
struct Found {
    mode: Option<String>,
    hostname: Option<String>,
    root: Option<FileSystem>,
    tmp: Option<u64>,
    net: Option<Net>,
    etc: Vec<(String, Vec<u8>)>,
    volumes: Vec<Volume>,
    processes: Option<u64>,
    stream: Option<Door>,
    control: Option<Door>,
    trace: Option<bool>,
}

/// Each line may come once.
fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value?);
    Some(())
}

impl Found {
    /// None: it is not understood.
    fn take(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["mode", mode @ ("machine" | "pack")] => once(&mut self.mode, Some(mode.to_string())),
            ["hostname", name] => once(&mut self.hostname, hostname(name)),
            ["root", "erofs"] => once(&mut self.root, Some(FileSystem::Erofs)),
            ["root", "ext4"] => once(&mut self.root, Some(FileSystem::Ext4)),
            ["tmp", bytes] => once(&mut self.tmp, number(bytes)),
            ["net", mac, address, gateway] => once(&mut self.net, net(mac, address, gateway)),
            ["etc", name, content] if self.etc.len() < MOST_ETC => {
                let content = hex::bytes(content).filter(|content| content.len() <= MOST_ETC_BYTES)?;
                self.etc.push((etc_name(name)?, content));
                Some(())
            }
            ["volume", tag, kind, access, path] if self.volumes.len() < MOST_VOLUMES => {
                self.volumes.push(volume(tag, kind, access, path)?);
                Some(())
            }
            ["processes", most] => once(&mut self.processes, number(most).filter(|most| *most > 0)),
            ["stream", ref door @ ..] => once(&mut self.stream, door_of(door)),
            ["control", ref door @ ..] => once(&mut self.control, door_of(door)),
            ["trace"] => once(&mut self.trace, Some(true)),
            _ => None,
        }
    }

    fn finish(self) -> Result<Config> {
        let trace = self.trace.unwrap_or(false);
        let stream = self.stream.unwrap_or(Door::Port);
        let missing = |what: &str| Failure::new(format!("the configuration has no {what}"));
        let mode = self.mode.ok_or_else(|| missing("mode"))?;
        if mode == "pack" {
            return Ok(Config { mode: Mode::Pack(stream), trace });
        }
        let machine = Machine {
            hostname: self.hostname.ok_or_else(|| missing("hostname"))?,
            root: self.root.ok_or_else(|| missing("root"))?,
            tmp: self.tmp.ok_or_else(|| missing("tmp"))?,
            net: self.net,
            etc: self.etc,
            volumes: self.volumes,
            processes: self.processes,
            stream,
            control: self.control.unwrap_or(Door::Port),
        };
        Ok(Config { mode: Mode::Machine(machine), trace })
    }
}

/// Decimal digits only.
pub fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

fn hostname(name: &str) -> Option<String> {
    let fits = !name.is_empty() && name.len() <= MOST_HOSTNAME && name.bytes().all(|byte| byte.is_ascii_graphic());
    Some(name.to_string()).filter(|_| fits)
}

/// As the agent takes it.
fn etc_name(name: &str) -> Option<String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.');
    Some(name.to_string()).filter(|_| plain && !name.is_empty() && !name.starts_with('.'))
}

/// Six pairs of hexadecimal digits; that of a single interface.
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut pairs = text.split(':');
    for byte in &mut mac {
        match hex::bytes(pairs.next()?)?[..] {
            [only] => *byte = only,
            _ => return None,
        }
    }
    let single = mac[0] & 1 == 0 && mac != [0; 6];
    Some(mac).filter(|_| single && pairs.next().is_none())
}

fn ip(text: &str) -> Option<[u8; 4]> {
    text.parse::<std::net::Ipv4Addr>().ok().map(|ip| ip.octets())
}

fn net(mac_text: &str, address: &str, gateway: &str) -> Option<Net> {
    let (address, prefix) = address.split_once('/')?;
    let prefix = number(prefix).filter(|prefix| (1..=32).contains(prefix))? as u32;
    Some(Net { mac: mac(mac_text)?, address: ip(address)?, prefix, gateway: ip(gateway)? })
}

fn volume(tag: &str, kind: &str, access: &str, path: &str) -> Option<Volume> {
    let plain = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if tag.is_empty() || tag.len() > MOST_TAG || !plain {
        return None;
    }
    let kind = match kind {
        "9p" => Sharing::NineP,
        "virtiofs" => Sharing::Virtiofs,
        _ => return None,
    };
    let read_only = match access {
        "ro" => true,
        "rw" => false,
        _ => return None,
    };
    let path = hex::bytes(path).filter(|path| is_place(path))?;
    Some(Volume { tag: tag.to_string(), kind, read_only, path })
}

/// An absolute path that leads down only, and not to `/` itself.
fn is_place(path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).peekable();
    let leads_down = names.peek().is_some() && names.all(|name| name != b"." && name != b"..");
    path.len() <= MOST_PATH && path.starts_with(b"/") && leads_down && !path.contains(&0)
}

fn door_of(words: &[&str]) -> Option<Door> {
    match words {
        ["port"] => Some(Door::Port),
        ["vsock", port] => number(port).and_then(|port| u32::try_from(port).ok()).map(Door::Vsock),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
