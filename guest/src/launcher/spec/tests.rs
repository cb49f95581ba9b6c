use super::*;
use crate::fields::Writer;

fn valid() -> Writer {
    let item = || Writer::new();
    item()
        .text(2, "id")
        .nested(3, item().number(1, 10).number(2, 20))
        .text(4, "note")
        .text(5, "/bin/true")
        .text(5, "argument")
        .text(6, "A=b")
        .text(7, "/tmp")
        .truth(8, true)
        .nested(9, item().text(1, "/a/b").number(2, 0o750).truth(3, true))
        .nested(10, item().number(1, 3).text(2, "/a/s").number(3, 0o600))
        .nested(11, item().number(1, 4).bytes(2, b"blob"))
        .nested(12, item().number(1, 5).text(2, "/dev/null").truth(3, true))
        .nested(13, item().text(1, "/cg/x").truth(2, true).nested(3, item().text(1, "f").text(2, "v").truth(3, true)))
        .nested(14, item().number(1, 1).number(2, 100_000).number(3, 65_536))
        .nested(15, item().number(1, 1).text(2, "/s").text(3, "/t").truth(4, true).truth(5, true))
        .nested(15, item().number(1, 2).text(3, "/t").text(6, "/l").text(7, "/u").text(8, "/w").truth(9, true))
        .nested(15, item().number(1, 3).text(3, "/t").number(10, 4096).number(11, 0o1777))
        .nested(15, item().number(1, 4).text(2, "/i").text(3, "/t"))
        .nested(15, item().number(1, 5).text(3, "/t"))
        .nested(16, item().text(1, "/proc/x").text(2, "0"))
        .nested(17, item().text(1, "nofile").number(2, 1).number(3, 2))
        .number(18, 1345)
        .text(19, "/a/b")
}

#[test]
fn a_whole_specification_is_understood() {
    let spec = Spec::decode(valid().as_slice()).unwrap();
    assert_eq!(spec.id, "id");
    assert_eq!(spec.owner, Owner::Process(ProcessKey { pid: 10, start: 20 }));
    assert_eq!(spec.argv.len(), 2);
    assert_eq!(spec.stdio, Stdio::Held);
    assert!(spec.folders[0].mapped_root && spec.cgroups[0].sets[0].required && spec.files[0].write);
    assert_eq!(spec.mounts.iter().map(Mount::target).collect::<Vec<_>>(), ["/t"; 5]);
    assert_eq!((spec.limits[0].resource, spec.oom_score_adj), (7, Some(345)));
    assert_eq!(spec.removes, ["/a/b"]);
}

#[test]
fn what_must_not_be_is_refused() {
    let item = || Writer::new();
    let wrong: Vec<(&str, Writer)> = vec![
        ("id with a slash", valid().text(2, "a/b")),
        ("hidden id", valid().text(2, ".a")),
        ("empty id", valid().text(2, "")),
        ("long note", valid().text(4, &"x".repeat(4097))),
        ("NUL in argv", valid().bytes(5, b"a\0b")),
        ("relative cwd", valid().text(7, "tmp")),
        ("unknown stdio", valid().number(8, 5)),
        ("FIFOs without paths", valid().number(8, 4)),
        ("a FIFO beside its folder", valid().number(8, 4).text(21, "/a/../in").text(22, "/a/out")),
        ("upward removal", valid().text(19, "/a/../b")),
        ("removal of everything", valid().text(19, "/")),
        ("descriptor of stdio", valid().nested(11, item().number(1, 2).bytes(2, b""))),
        ("descriptor twice", valid().nested(11, item().number(1, 3).bytes(2, b""))),
        ("descriptor too high", valid().nested(11, item().number(1, 256).bytes(2, b""))),
        (
            "long socket path",
            valid().nested(10, item().number(1, 9).text(2, &format!("/{}", "x".repeat(108))).number(3, 0)),
        ),
        ("set-uid mode", valid().nested(9, item().text(1, "/x").number(2, 0o4755))),
        (
            "cgroup file elsewhere",
            valid().nested(13, item().text(1, "/c").nested(3, item().text(1, "../f").text(2, "v"))),
        ),
        ("range with the host's root", valid().nested(14, item().number(1, 1).number(2, 0).number(3, 10))),
        ("range beyond the end", valid().nested(14, item().number(1, 1).number(2, u32::MAX as u64).number(3, 2))),
        ("mapped without a range", valid().nested(14, item().number(1, 2).number(2, 0).number(3, 0))),
        (
            "option in a folder",
            valid().nested(15, item().number(1, 2).text(3, "/t").text(6, "/l,x=y").text(7, "/u").text(8, "/w")),
        ),
        ("unknown mount", valid().nested(15, item().number(1, 9).text(3, "/t"))),
        ("unknown limit", valid().nested(17, item().text(1, "cpu").number(2, 1).number(3, 1))),
        ("score beyond", valid().number(18, 2001)),
        ("owner zero", valid().nested(3, item().number(1, 0).number(2, 0))),
    ];
    for (name, fields) in wrong {
        assert_eq!(Spec::decode(fields.as_slice()).err().map(|fault| fault.code), Some("invalid-argument"), "{}", name);
    }
    let mut relative = Writer::new().text(2, "id");
    relative.put(5, b"true");
    assert!(Spec::decode(relative.as_slice()).is_err());
}

#[test]
fn no_bytes_make_it_panic() {
    let mut state: u64 = 42;
    let mut next = move |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let whole = valid().finish();
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = next(256) as u8,
                1 => drop(bytes.drain(at..(at + next(20)).min(bytes.len()))),
                _ => bytes.insert(at, next(256) as u8),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let _ = Spec::decode(&bytes);
    }
}
