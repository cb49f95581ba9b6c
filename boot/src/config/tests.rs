use super::*;

const WHOLE: &str = "cove-boot 1
mode machine
hostname box
root erofs
tmp 8388608
net 52:54:00:12:34:56 10.0.2.15/24 10.0.2.2
etc resolv.conf 6e616d650a
etc hosts \nvolume v0 9p rw 2f64617461
volume v1 virtiofs ro 2f612062
processes 300
stream port
control vsock 7001
trace
end
";

fn machine(text: &str) -> Machine {
    match parse(text.as_bytes()).unwrap().mode {
        Mode::Machine(machine) => machine,
        Mode::Pack(_) => panic!("another mode"),
    }
}

#[test]
fn reads_a_whole_text_and_no_further() {
    let padded = format!("{WHOLE}\0\0\0end\n");
    assert!(is_whole(padded.as_bytes()));
    let config = parse(padded.as_bytes()).unwrap();
    assert!(config.trace);
    for need in ["machine", "erofs", "net", "9p", "virtiofs", "port", "vsock"] {
        assert!(config.needs(need), "{need}");
    }
    assert!(!config.needs("unknown"));
    let machine = machine(WHOLE);
    assert_eq!(machine.hostname, "box");
    assert_eq!(machine.root.name(), "erofs");
    assert_eq!((machine.tmp, machine.processes), (8_388_608, Some(300)));
    let net = machine.net.unwrap();
    assert_eq!(net.mac, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    assert_eq!((net.address, net.mask(), net.gateway), ([10, 0, 2, 15], [255, 255, 255, 0], [10, 0, 2, 2]));
    assert_eq!(machine.etc, [("resolv.conf".to_string(), b"name\n".to_vec()), ("hosts".to_string(), vec![])]);
    assert_eq!(machine.volumes[0].path, b"/data");
    assert_eq!(machine.volumes[1].path, b"/a b");
    assert_eq!(
        (machine.volumes[1].kind, machine.volumes[1].read_only, machine.volumes[0].read_only),
        (Sharing::Virtiofs, true, false)
    );
    assert_eq!((machine.stream, machine.control), (Door::Port, Door::Vsock(7001)));
}

#[test]
fn needs_little() {
    let config = parse(b"cove-boot 1\nmode machine\nhostname a\nroot ext4\ntmp 0\nend\n").unwrap();
    for need in ["erofs", "net", "9p", "virtiofs", "vsock"] {
        assert!(!config.needs(need), "{need}");
    }
    let pack = parse(b"cove-boot 1\nmode pack\nend\n").unwrap();
    assert_eq!(pack.mode, Mode::Pack(Door::Port));
    assert!(pack.needs("port") && !pack.needs("machine"));
}

#[test]
fn says_what_is_wrong() {
    let said = |text: &str| parse(text.as_bytes()).unwrap_err().0;
    assert_eq!(said("cove-boot 2\nend\n"), "the configuration has another version");
    assert_eq!(said("cove-boot 1\nmode pack\n"), "line 3 of the configuration is not understood");
    assert_eq!(said("cove-boot 1\nmode pack"), "the configuration has no end");
    assert_eq!(said("cove-boot 1\nend\n"), "the configuration has no mode");
    assert_eq!(said("cove-boot 1\nmode machine\nend\n"), "the configuration has no hostname");
    assert_eq!(said("cove-boot 1\nmode pack\nmode pack\nend\n"), "line 3 of the configuration is not understood");
}

#[test]
fn refuses_lines_that_are_not_right() {
    for line in [
        "",
        "mode other",
        "hostname ",
        "hostname a b",
        "root btrfs",
        "tmp -1",
        "tmp +1",
        "tmp 18446744073709551616",
        "net 52:54:00:12:34 10.0.2.15/24 10.0.2.2",
        "net 53:54:00:12:34:56 10.0.2.15/24 10.0.2.2",
        "net 00:00:00:00:00:00 10.0.2.15/24 10.0.2.2",
        "net 52:54:00:12:34:56:78 10.0.2.15/24 10.0.2.2",
        "net 5254:00:12:34:56 10.0.2.15/24 10.0.2.2",
        "net 52:54:00:12:34:56 10.0.2.15 10.0.2.2",
        "net 52:54:00:12:34:56 10.0.2.15/33 10.0.2.2",
        "net 52:54:00:12:34:56 10.0.2.15/0 10.0.2.2",
        "etc ../x 00",
        "etc .x 00",
        "etc hosts 0",
        "etc hosts zz",
        "volume v/0 9p rw 2f61",
        "volume v0 nfs rw 2f61",
        "volume v0 9p wr 2f61",
        "volume v0 9p rw 61",
        "volume v0 9p rw 2f",
        "volume v0 9p rw 2f2e2e2f61",
        "volume v0 9p rw 2f6100",
        "processes 0",
        "stream",
        "stream tcp 5",
        "control vsock 4294967296",
        "trace 1",
        "unknown",
    ] {
        let text = format!("cove-boot 1\n{line}\nend\n");
        assert_eq!(parse(text.as_bytes()).unwrap_err().0, "line 2 of the configuration is not understood", "{line}");
    }
}

#[test]
fn has_bounds() {
    let many = |line: &str, count: usize| {
        let lines = format!("{line}\n").repeat(count);
        parse(format!("cove-boot 1\nmode pack\n{lines}end\n").as_bytes())
    };
    assert!(many("etc hosts 00", 8).is_ok());
    assert!(many("etc hosts 00", 9).is_err());
    assert!(many("volume v 9p rw 2f61", 64).is_ok());
    assert!(many("volume v 9p rw 2f61", 65).is_err());
    assert!(many(&format!("etc hosts {}", "00".repeat(65_536)), 1).is_ok());
    assert!(many(&format!("etc hosts {}", "00".repeat(65_537)), 1).is_err());
}
