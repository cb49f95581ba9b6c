use super::*;

pub fn record() -> Record {
    Record {
        id: "a.b_c-9".into(),
        installation: "home".into(),
        boot: "1b8f-aa".into(),
        state: State::Running,
        exit: None,
        owner: Owner::Process(ProcessKey { pid: 77, start: 1234 }),
        launcher: ProcessKey { pid: 5, start: 6 },
        leader: ProcessKey { pid: 4_194_304, start: u64::MAX },
        members: vec![ProcessKey { pid: 8, start: 9 }, ProcessKey { pid: 10, start: 11 }],
        note: "two\nlines, a \\ and \\n, ünïcode, end\nend".into(),
        held: true,
        marked: true,
        cgroups: vec!["/sys/fs/cgroup/pids/x y".into()],
        problems: vec!["write: denied".into()],
        listens: vec!["/run/a".into()],
        folders: vec!["/run/b".into(), "/run/c\nd".into()],
        removes: vec!["/run/\\".into()],
    }
}

#[test]
fn what_is_written_is_read() {
    let mut record = record();
    for exit in [None, Some(Exit::Exited(255)), Some(Exit::Signaled(64)), Some(Exit::Lost)] {
        for owner in [record.owner, Owner::Durable] {
            for state in [State::Preparing, State::Started, State::Running] {
                record.exit = exit;
                record.owner = owner;
                record.state = state;
                assert_eq!(Record::parse(&record.to_text()).as_ref(), Some(&record));
            }
        }
    }
}

#[test]
fn a_record_that_is_cut_anywhere_is_none() {
    let text = record().to_text();
    for length in (0..text.len()).filter(|length| text.is_char_boundary(*length)) {
        assert_eq!(Record::parse(&text[..length]), None, "cut at {}", length);
    }
}

#[test]
fn lines_that_are_missing_doubled_or_strange_make_it_none() {
    let text = record().to_text();
    for key in ["id", "installation", "boot", "owner", "launcher", "leader", "note"] {
        let line = text.lines().find(|line| line.starts_with(&format!("{} ", key))).unwrap();
        assert_eq!(Record::parse(&text.replace(&format!("{}\n", line), "")), None, "without {}", key);
        assert_eq!(Record::parse(&text.replace(line, &format!("{0}\n{0}", line))), None, "twice {}", key);
    }
    for (from, to) in [
        ("leader 4194304", "leader -4"),
        ("leader 4194304", "leader 1"),
        ("leader 4194304", "leader 99999999999"),
        ("exit running", "exit unknown"),
        ("state running", "state singing"),
        ("\nid a", "\nid ../a"),
        ("note two\\n", "note two\\x"),
        ("cove-record 1", "cove-record 2"),
        ("\nend\n", "\nstrange thing\nend\n"),
    ] {
        assert!(text.contains(from), "{}", from);
        assert_eq!(Record::parse(&text.replace(from, to)), None, "{} for {}", to, from);
    }
}
