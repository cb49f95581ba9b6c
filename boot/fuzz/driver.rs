//! Throws texts at everything that reads what the host gives, and checks what must always hold: nothing panics, what is
//! taken is within its bounds, and what a text says is read as it was written. Deterministic: a seed and the number of a
//! case make it again.

#[cfg(libfuzzer)]
#[path = "libfuzzer.rs"]
mod libfuzzer;

use crate::config::{self, Config, Door, FileSystem, Machine, Mode, Net, Sharing, Volume};
use crate::control::{self, Lines};
use crate::modules;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// xorshift64*: small, and good enough to choose mutations.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }

    fn word(&mut self, letters: &[u8], most: usize) -> String {
        (0..1 + self.below(most)).map(|_| self.one(letters) as char).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(chance: &mut Chance) -> [u8; 6] {
    let mut mac = [0; 6];
    mac.iter_mut().for_each(|byte| *byte = chance.next() as u8);
    mac[0] = mac[0] & 0xfe | 2;
    mac
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| hex(&[byte])).join(":")
}

fn door(chance: &mut Chance) -> Door {
    match chance.below(2) {
        0 => Door::Port,
        _ => Door::Vsock(chance.next() as u32),
    }
}

fn path(chance: &mut Chance) -> Vec<u8> {
    let names = (0..1 + chance.below(4)).map(|_| chance.word(b"abc .-", 6)).filter(|name| name != "." && name != "..");
    let path: String = names.map(|name| format!("/{name}")).collect();
    if path.is_empty() {
        b"/a".to_vec()
    } else {
        path.into_bytes()
    }
}

/// A machine as a text can say it.
fn machine(chance: &mut Chance) -> Machine {
    Machine {
        hostname: chance.word(b"abz09-._", 64),
        root: chance.one(&[FileSystem::Erofs, FileSystem::Ext4]),
        tmp: chance.next() >> chance.below(64),
        net: match chance.below(2) {
            0 => None,
            _ => Some(Net {
                mac: mac(chance),
                address: (chance.next() as u32).to_be_bytes(),
                prefix: 1 + chance.below(32) as u32,
                gateway: (chance.next() as u32).to_be_bytes(),
            }),
        },
        etc: (0..chance.below(9)).map(|_| (chance.word(b"abc", 9), chance.bytes(40))).collect(),
        volumes: (0..chance.below(5))
            .map(|_| Volume {
                tag: chance.word(b"av0._-", 31),
                kind: chance.one(&[Sharing::NineP, Sharing::Virtiofs]),
                read_only: chance.below(2) == 0,
                path: path(chance),
            })
            .collect(),
        processes: Some(chance.next() >> chance.below(64)).filter(|most| *most > 0),
        stream: door(chance),
        control: door(chance),
    }
}

/// The text that says it, its lines in any order.
fn text(machine: &Machine, chance: &mut Chance) -> String {
    let door = |door: Door| match door {
        Door::Port => "port".to_string(),
        Door::Vsock(port) => format!("vsock {port}"),
    };
    let ip = |ip: [u8; 4]| std::net::Ipv4Addr::from(ip).to_string();
    let mut lines = vec![
        "mode machine".to_string(),
        format!("hostname {}", machine.hostname),
        format!("root {}", machine.root.name()),
        format!("tmp {}", machine.tmp),
        format!("stream {}", door(machine.stream)),
        format!("control {}", door(machine.control)),
    ];
    if let Some(net) = &machine.net {
        lines.push(format!("net {} {}/{} {}", mac_text(net.mac), ip(net.address), net.prefix, ip(net.gateway)));
    }
    if let Some(most) = machine.processes {
        lines.push(format!("processes {most}"));
    }
    for index in (1..lines.len()).rev() {
        lines.swap(index, chance.below(index + 1));
    }
    lines.extend(machine.etc.iter().map(|(name, content)| format!("etc {name} {}", hex(content))));
    lines.extend(machine.volumes.iter().map(|volume| {
        let kind = if volume.kind == Sharing::NineP { "9p" } else { "virtiofs" };
        let access = if volume.read_only { "ro" } else { "rw" };
        format!("volume {} {kind} {access} {}", volume.tag, hex(&volume.path))
    }));
    format!("cove-boot 1\n{}\nend\n", lines.join("\n"))
}

fn mutate(bytes: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..1 + chance.below(4) {
        let at = chance.below(bytes.len());
        match chance.below(5) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] = chance.next() as u8,
            2 => bytes.insert(at, chance.one(b"\n \0:/.09af")),
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => {
                let end = at + chance.below(bytes.len() - at + 1);
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
}

/// Whatever is taken is within its bounds.
fn check_config(text: &[u8]) {
    let _ = config::is_whole(text);
    let machine = match config::parse(text) {
        Err(failure) => return assert!(!failure.0.is_empty() && !failure.0.contains('\n')),
        Ok(Config { mode: Mode::Pack(_), .. }) => return,
        Ok(Config { mode: Mode::Machine(machine), .. }) => machine,
    };
    assert!(!machine.hostname.is_empty() && machine.hostname.len() <= 64);
    assert!(machine.etc.len() <= 8 && machine.volumes.len() <= 64);
    for (name, content) in &machine.etc {
        assert!(!name.contains('/') && !name.starts_with('.') && content.len() <= 65_536);
    }
    for volume in &machine.volumes {
        assert!(volume.path.starts_with(b"/") && !volume.path.contains(&0));
        assert!(!volume.path.split(|byte| *byte == b'/').any(|name| name == b".."));
        assert!(!volume.tag.contains(|letter: char| letter == ',' || letter == '\0'));
    }
    if let Some(net) = &machine.net {
        assert!(net.mac[0] & 1 == 0);
        let _ = net.mask();
    }
}

/// Torn anywhere, the same lines come, none of them longer than a line may be.
fn check_control(bytes: &[u8], chance: &mut Chance) {
    let whole = Lines::default().take(bytes);
    let mut lines = Lines::default();
    let (mut torn, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(1 + chance.below(rest.len()));
        torn.extend(lines.take(now));
        rest = later;
    }
    assert_eq!(whole, torn);
    for line in whole {
        assert!(line.len() <= control::MOST);
        if let Ok(line) = std::str::from_utf8(&line) {
            let _ = control::parse(line);
        }
    }
}

fn order(chance: &mut Chance) -> Vec<u8> {
    let seed = chance.bytes(34);
    let address = mac(chance);
    let line = match chance.below(4) {
        0 => "stop".to_string(),
        1 => format!("identity - {} {}", chance.next() >> chance.below(64), hex(&seed)),
        2 => format!("identity {} {} {}", mac_text(address), chance.next(), hex(&seed)),
        _ => String::from_utf8_lossy(&chance.bytes(700)).into_owned(),
    };
    format!("{line}\n").into_bytes()
}

fn case(seed: u64, number: u64) {
    let mut chance = Chance((seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1);
    let machine = machine(&mut chance);
    let mut said = text(&machine, &mut chance).into_bytes();
    let read = config::parse(&said).expect("what was written is read");
    assert_eq!(read, Config { mode: Mode::Machine(machine), trace: false });
    assert!(config::is_whole(&said));
    mutate(&mut said, &mut chance);
    check_config(&said);
    let mut orders: Vec<u8> = (0..chance.below(6)).flat_map(|_| order(&mut chance)).collect();
    check_control(&orders, &mut chance);
    mutate(&mut orders, &mut chance);
    check_control(&orders, &mut chance);
    modules::check(&String::from_utf8_lossy(&said));
}

/// `fuzz SECONDS [SEED [CASE]]`.
pub fn main(rest: &[OsString]) -> i32 {
    let number = |at: usize| rest.get(at).and_then(|text| text.to_str()).and_then(|text| text.parse::<u64>().ok());
    let (seconds, seed) = (number(0).unwrap_or(10), number(1).unwrap_or(1));
    if let Some(only) = number(2) {
        case(seed, only);
        return 0;
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut cases = 0;
    while Instant::now() < until {
        if std::panic::catch_unwind(|| case(seed, cases)).is_err() {
            eprintln!("case {cases} of seed {seed} fails: tooling/fuzz-guest.sh {seconds} {seed} {cases}");
            return 1;
        }
        cases += 1;
    }
    println!("cove-boot: {cases} cases of seed {seed}");
    0
}
