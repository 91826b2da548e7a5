//! Lists for outbound callers.

#![allow(clippy::unwrap_used)]

use crate::smpp_desk::{Desk, START, WallClock, dispatch};
use expect_test::expect;
use kairos_connect::{
    channel::Dispatch,
    file_channel::{FileChannel, FileChannelError, Listed},
};
use kairos_model::{ContactId, Reason, Span, clock::SharedClock};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

struct Place {
    _root: tempfile::TempDir,
    outbox: PathBuf,
    data: PathBuf,
}

fn place() -> Place {
    let root = tempfile::tempdir().unwrap();
    let (outbox, data) = (root.path().join("outbox"), root.path().join("data"));
    fs::create_dir(&data).unwrap();
    Place { _root: root, outbox, data }
}

fn desk() -> Arc<Desk> {
    let clock: SharedClock = Arc::new(WallClock);
    Desk::gated(clock, Vec::new(), |d, _, _| if d.contact.0 == 2 { Err(Reason::Suppressed) } else { Ok(()) })
}

fn contacts() -> Vec<Dispatch> {
    let texts =
        ["=HYPERLINK(\"http://x\")", "unsent", "您好,\"彩铃\"\n首月免费", "+1", "-2", "@sum", "\tx", "\ry", "plain"];
    let mut all: Vec<_> = (1..).zip(texts).map(|(n, text)| dispatch(n, text)).collect();
    all[8].not_after = START.plus(Span::hours(9));
    all.push(Dispatch { not_after: START, ..dispatch(10, "too late") });
    all
}

#[test]
fn a_list_holds_what_the_gate_let_through_and_nothing_that_acts_as_a_formula() {
    let p = place();
    let channel = FileChannel::open(&p.outbox, &p.data).unwrap();
    let export = channel.export("wave-7_1", &contacts(), &*desk(), || START).unwrap();
    let path = export.path.clone().unwrap();
    assert_eq!(export.exported, [1, 3, 4, 5, 6, 7, 8, 9].map(ContactId));
    assert_eq!(export.cancelled, [(ContactId(2), Reason::Suppressed), (ContactId(10), Reason::TooLate)]);
    let text = fs::read_to_string(&path).unwrap();
    expect![[r#"
        \u{feff}contact,number,from,not_after,text
        k0000000000000001,8613800000001,,,"'=HYPERLINK(""http://x"")"
        k0000000000000003,8613800000003,,,"您好,""彩铃""\n首月免费"
        k0000000000000004,8613800000004,,,'+1
        k0000000000000005,8613800000005,,,'-2
        k0000000000000006,8613800000006,,,'@sum
        k0000000000000007,8613800000007,,,'\tx
        k0000000000000008,8613800000008,,,"'\ry"
        k0000000000000009,8613800000009,,2026-03-02T10:10:00Z,plain
    "#]]
    .assert_eq(
        &text
            .replace("\r\n", "<end>")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t")
            .replace('\u{feff}', "\\u{feff}")
            .replace("<end>", "\n"),
    );
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&p.outbox)), (0o600, 0o700));
}

#[test]
fn lists_are_listed_and_recalled() {
    let p = place();
    let channel = FileChannel::open(&p.outbox, &p.data).unwrap();
    let path = |name: &str| fs::canonicalize(&p.outbox).unwrap().join(name);
    for name in ["b", "a"] {
        channel.export(name, &contacts(), &*desk(), || START).unwrap();
    }
    // what a crash leaves behind is no list, and is in nobody's way
    fs::write(path(".c.part"), "contact,num").unwrap();
    let listed = |name: &str, recalled| Listed {
        name: name.to_owned(),
        path: path(&format!("{name}.csv")),
        contacts: Some(8),
        recalled,
    };
    assert_eq!(channel.list().unwrap(), [listed("a", false), listed("b", false)]);
    assert_eq!(channel.recall("b").unwrap(), [1, 3, 4, 5, 6, 7, 8, 9].map(ContactId));
    assert_eq!(channel.list().unwrap(), [listed("a", false), listed("b", true)]);
    // the next opening sweeps it; a list that somebody saved anew is named, and stops nobody
    let channel = FileChannel::open(&p.outbox, &p.data).unwrap();
    assert!(!path(".c.part").exists());
    fs::write(path("a.csv"), "contact\n1.2E+18\n").unwrap();
    assert_eq!(channel.list().unwrap()[0].contacts, None);
    let c = channel.export("c", &contacts(), &*desk(), || START).unwrap();
    assert_eq!((c.exported.len(), channel.list().unwrap().len()), (8, 3));
    assert_eq!(channel.contacts("c").unwrap(), c.exported);
}

#[test]
fn what_cannot_be_says_why_and_leaves_nothing() {
    let p = place();
    let inside = FileChannel::open(&p.data.join("outbox"), &p.data);
    assert!(matches!(inside, Err(FileChannelError::Inside { .. })));
    let channel = FileChannel::open(&p.outbox, &p.data).unwrap();
    for name in ["", "../x", ".hidden", "a b", "彩铃"] {
        let refused = channel.export(name, &contacts(), &*desk(), || START);
        assert!(matches!(refused, Err(FileChannelError::Name { .. })), "{name}");
    }
    assert!(matches!(channel.recall("nothing"), Err(FileChannelError::Unknown { .. })));
    channel.export("once", &contacts(), &*desk(), || START).unwrap();
    let twice = channel.export("once", &contacts(), &*desk(), || START);
    assert!(matches!(twice, Err(FileChannelError::Exists { .. })));
    let refused = channel.export("none", &contacts()[1..2], &*desk(), || START).unwrap();
    assert_eq!((refused.path, refused.exported.len(), refused.cancelled.len()), (None, 0, 1));
    assert_eq!(fs::read_dir(&p.outbox).unwrap().count(), 1);
}
