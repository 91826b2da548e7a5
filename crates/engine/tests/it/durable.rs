//! Checkpoints and recovery: equal states, torn files, other tenants, newer programs, missing books.

use crate::world::{Lists, Rig, Shelves, at, campaign, check, open, say, wave_of};
use expect_test::expect;
use kairos_decide::{ChannelCapacity, Share};
use kairos_engine::{Engine, Input, Outcome};
use kairos_journal::{Disk, MemDisk, Position};
use kairos_model::{
    CampaignId, CellId, Channel, Event, EventType, PartyId, PlaybookId, Reason, SnapshotId, SubscriberId, WaveNo,
};
use std::{path::Path, sync::Arc};

const DIR: &str = "/d/checkpoint";

/// A life with a bit of everything in it.
fn busy() -> Rig {
    let control = Share { ppm: 200_000, salt: 5 };
    let mut first = campaign(1);
    first.control = control;
    let mut rig =
        Rig::with(vec![first, campaign(2), campaign(3)], ChannelCapacity { per_second: Some(10), per_day: Some(500) });
    rig.lists(Lists { id: 2, suppressed: (0..5).collect(), ..Lists::default() });
    rig.tell(&[Input::SwapFacts(SnapshotId(2))]);
    rig.start(1, 1, 0..60);
    let offered = rig.offer(6);
    rig.accept(&offered[..2]);
    rig.answer(offered[2].contact, Outcome::Refused { status: 3 });
    rig.answer(offered[3].contact, Outcome::Cancelled { reason: Reason::QuietHours });
    rig.answer(offered[4].contact, Outcome::Unknown);
    rig.start(2, 1, 100..120);
    rig.now = at(1);
    rig.tell(&[Input::Pause(CampaignId(2)), Input::OptOut { subscriber: SubscriberId(107), class: None }]);
    rig.start(3, 1, 200..203);
    rig.tell(&[Input::Stop(CampaignId(3)), Input::KillSwitch(true), Input::KillSwitch(false)]);
    let event = Event {
        kind: EventType::POWER_OFF,
        flags: 0,
        subscriber: SubscriberId(9_999),
        peer: PartyId::NONE,
        cell: CellId(70_000),
        at: at(0),
        arrived: at(0),
        aux: 0,
    };
    rig.tell(&[Input::Event(event)]);
    rig
}

/// Everything that can be asked of an engine, in words.
fn picture(e: &Engine) -> String {
    let mut lines = Vec::new();
    for w in e.waves() {
        lines.push(format!("{} {} closed {:?}: {}", w.campaign, w.wave, w.closed, say(&w.sums)));
        lines.extend(e.members(w.campaign, w.wave).map(|m| format!("{m:?} {:?}", e.contacts_of(m.subscriber))));
    }
    lines.extend(
        (0..10_000).filter_map(|s| e.state(SubscriberId(s))).filter(|s| !s.is_default()).map(|s| format!("{s:?}")),
    );
    lines.push(format!("{:?} {:?} {:?}", e.unknowns(), e.in_flight(), e.book()));
    lines.push(format!("{:?}", [1, 2, 3].map(|c| e.spent(CampaignId(c)))));
    lines.join("\n")
}

fn reopen(rig: &Rig) -> (Engine, kairos_engine::Recovered) {
    open(&rig.disk, &rig.shelves, |_| {}).unwrap()
}

#[test]
fn replay_and_checkpoint_give_the_same_engine_and_it_goes_on_the_same() {
    let mut rig = busy();
    // one reopening from the journal alone; it makes the one in flight unknown
    let (engine, recovered) = reopen(&rig);
    rig.engine = engine;
    assert_eq!((recovered.unknown.len(), recovered.notes.len()), (1, 0));
    let replayed = picture(&rig.engine);
    rig.engine.checkpoint().unwrap();
    let (loaded, recovered) = reopen(&rig);
    assert_eq!((recovered.replayed, recovered.unknown.len()), (0, 0));
    assert_eq!(picture(&loaded), replayed);
    check(&loaded);
    // and from then on both decide the same
    rig.tell(&[Input::Resume(CampaignId(2))]);
    rig.run_until(at(100));
    let want = picture(&rig.engine);
    let (again, _) = reopen(&rig);
    assert_eq!(picture(&again), want);
    expect!["withheld 5 (suppressed 5), control 17, sent 35, failed 1, unknown 2"].assert_eq(&rig.told(1, 1));
}

fn checkpoints(disk: &MemDisk) -> Vec<String> {
    let mut names = disk.list(Path::new(DIR)).unwrap();
    names.retain(|n| n.ends_with(".checkpoint"));
    names
}

#[test]
fn a_torn_checkpoint_is_passed_over_and_named() {
    let mut rig = busy();
    rig.engine.checkpoint().unwrap();
    rig.now = at(2);
    rig.tell(&[Input::Resume(CampaignId(2))]);
    rig.engine.checkpoint().unwrap();
    let want = picture(&reopen(&rig).0);
    let names = checkpoints(&rig.disk);
    assert_eq!(names.len(), 2);
    let newest = Path::new(DIR).join(&names[1]);
    let bytes = rig.disk.read(&newest).unwrap();
    for bit in (0..bytes.len() as u64 * 8).step_by(211) {
        rig.disk.flip_bit(&newest, bit).unwrap();
        let (engine, recovered) = reopen(&rig);
        assert_eq!((picture(&engine), recovered.notes.len()), (want.clone(), 1), "bit {bit}");
        assert!(recovered.notes[0].contains(&names[1]) && recovered.notes[0].contains("torn"), "{:?}", recovered.notes);
        rig.disk.flip_bit(&newest, bit).unwrap();
    }
    // both damaged: the journal is whole from its beginning, so nothing is lost
    rig.disk.truncate(&newest, 25).unwrap();
    rig.disk.truncate(&Path::new(DIR).join(&names[0]), 100).unwrap();
    let (engine, recovered) = reopen(&rig);
    assert_eq!((picture(&engine), recovered.notes.len()), (want, 2));
}

#[test]
fn strangers_newer_programs_and_a_replaced_journal_are_refused() {
    let mut rig = busy();
    rig.engine.checkpoint().unwrap();
    let name = checkpoints(&rig.disk).remove(0);
    let path = Path::new(DIR).join(&name);
    let good = rig.disk.read(&path).unwrap();
    let say = |at: usize, value: u16| {
        let mut bytes = good.clone();
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..36]);
        bytes[36..40].copy_from_slice(&sum.to_le_bytes());
        rig.disk.write_whole(&path, &bytes).unwrap();
        open(&rig.disk, &rig.shelves, |_| {}).err().unwrap().to_string()
    };
    let lines = [say(8, 3), say(10, 4)].join("\n").replace(&name, "NAME");
    expect![[r#"
        checkpoint `/d/checkpoint/NAME` has format 3, this program knows up to 2: use the newer program
        checkpoint `/d/checkpoint/NAME` belongs to tenant 4, not 1: it was put into the wrong directory"#]]
    .assert_eq(&lines);
    // the journal lost its end (an older copy was put back): contacts would be forgotten
    let older = MemDisk::new();
    older.create_dir_all(Path::new(DIR)).unwrap();
    older.write_whole(&path, &good).unwrap();
    let e = open(&older, &rig.shelves, |_| {}).err().unwrap().to_string();
    assert!(e.ends_with("the journal ends at @0: the journal was replaced by an older one"), "{e}");
}

#[test]
fn what_the_library_lacks_is_named() {
    let rig = busy();
    let lines: Vec<String> = (0..3)
        .map(|n| {
            let shelves = Arc::new(Shelves::default());
            *shelves.books.lock().unwrap() = rig.shelves.books.lock().unwrap().clone();
            *shelves.facts.lock().unwrap() = rig.shelves.facts.lock().unwrap().clone();
            *shelves.audiences.lock().unwrap() = rig.shelves.audiences.lock().unwrap().clone();
            match n {
                0 => drop(shelves.books.lock().unwrap().remove(&PlaybookId(1))),
                1 => drop(shelves.facts.lock().unwrap().remove(&SnapshotId(2))),
                _ => drop(shelves.audiences.lock().unwrap().remove(&crate::world::hash(33))),
            }
            open(&rig.disk, &shelves, |_| {}).err().unwrap().to_string()
        })
        .collect();
    expect![[r#"
        playbook 1 is missing, and the journal needs it; restore it beside the journal, then start again
        facts of snapshot 2 is missing, and the journal needs it; restore it beside the journal, then start again
        audience 2121212121212121212121212121212121212121212121212121212121212121 is missing, and the journal needs it; restore it beside the journal, then start again"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn the_journal_may_be_cut_only_behind_a_checkpoint() {
    let mut rig = Rig::with(vec![campaign(1)], ChannelCapacity::default());
    rig.start(1, 1, 0..30_000);
    rig.engine.release_journal(Position(u64::MAX)).unwrap();
    assert_eq!(rig.engine.trail_ends().0, Position::START, "no checkpoint yet");
    for _ in 0..3 {
        for _ in 0..150 {
            let offered = rig.offer(64);
            rig.accept(&offered);
        }
        rig.engine.checkpoint().unwrap();
    }
    assert_eq!(checkpoints(&rig.disk).len(), 2);
    rig.engine.release_journal(Position(u64::MAX)).unwrap();
    let want = picture(&reopen(&rig).0);
    assert!(rig.engine.trail_ends().0 > Position::START);
    assert_eq!(picture(&reopen(&rig).0), want);
    for name in checkpoints(&rig.disk) {
        rig.disk.remove(&Path::new(DIR).join(name)).unwrap();
    }
    let e = open(&rig.disk, &rig.shelves, |_| {}).err().unwrap().to_string();
    assert!(e.starts_with("no whole checkpoint reaches back to where the journal begins"), "{e}");
}

#[test]
fn an_engine_may_live_on_any_thread() {
    fn sent<T: Send>() {}
    sent::<Engine>();
    sent::<kairos_engine::TrailReader>();
}

#[test]
fn one_commit_a_call() {
    let mut rig = Rig::with(vec![campaign(1)], ChannelCapacity::default());
    rig.start(1, 1, 0..500);
    let calls = |rig: &mut Rig, f: fn(&mut Rig)| {
        let before = rig.disk.calls();
        f(rig);
        rig.disk.calls() - before
    };
    // one write and one sync, however much happens; nothing where nothing happens
    assert_eq!(calls(&mut rig, |r| drop(r.offer(50))), 2);
    assert_eq!(
        calls(&mut rig, |r| drop(r.tell(&[Input::Tick, Input::Pause(CampaignId(1)), Input::Resume(CampaignId(1))]))),
        2
    );
    assert_eq!(calls(&mut rig, |r| drop(r.tell(&[Input::Tick]))), 0);
    let second = rig.tell(&[Input::StartWave(wave_of(1, 1))]);
    assert_eq!(second.len(), 1, "a second launch: {second:?}");
    assert_eq!(rig.engine.sums(CampaignId(1), WaveNo(9)), None);
    assert_eq!(rig.engine.offer(rig.now, Channel::Email, 5).unwrap().0, []);
}

fn of_a_checkpoint() -> Rig {
    let control = Share { ppm: 400_000, salt: 5 };
    let mut first = campaign(1);
    first.control = control;
    let mut rig = Rig::with(vec![first], ChannelCapacity { per_second: Some(2), per_day: Some(9) });
    rig.start(1, 1, 0..6);
    let offered = rig.offer(1);
    rig.accept(&offered);
    rig
}
fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|b| format!("{b:02x}")).collect::<String>();
    bytes.chunks(32).map(line).collect::<Vec<_>>().join("\n")
}

/// A checkpoint of format 1, as version 0.1 wrote it: read for ever.
const FORMAT_1: &str = "
4b4149524f534350010001000600000000000000750100000000000004545e22
00000000b912e7810008c2f1004c060000010000000100000001000000010000
0001010000000120efa469000000000200000022500000020000000100000001
000000a086010000000000010000000100000001000000010011111111111111
11111111111111111111111111111111111111111111111111ffffffffffffff
7f060000004e82797803226f0101010008c2f1004c06000200000001000000ff
00000000050004000000000000000000020000008e8d7558bcd102cc00000000
000000000100000000010350c30000000000000008c2f1004c06000008c2f100
4c06000008c2f1004c06004e100d1e006251f300000000010000000100000000
010150c30000000000000008c2f1004c06000000000000000080000000000000
00800100000001010000004e100d1e006251f302000000030000000000000000
00010000000008c2f1004c060001000000010000004e100d1e01050000000000
00000000010000000008c2f1004c060001000000010000008e8d755802";

#[test]
fn a_checkpoint_of_format_1_is_read() {
    let rig = of_a_checkpoint();
    let want = picture(&rig.engine);
    let digits: Vec<u8> = FORMAT_1.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    rig.disk.write_whole(&Path::new(DIR).join("00000000000000000006.checkpoint"), &bytes).unwrap();
    let (mut engine, recovered) = reopen(&rig);
    assert_eq!((recovered.replayed, recovered.notes.len()), (0, 0));
    assert_eq!(picture(&engine), want);
    // and goes on as format 2
    engine.checkpoint().unwrap();
    assert_eq!(picture(&reopen(&rig).0), want);
}

/// These bytes are on disks: format 2 stays readable for ever. If this test fails, raise the format and keep this file.
#[test]
fn a_checkpoint_of_format_2_byte_for_byte() {
    let mut rig = of_a_checkpoint();
    rig.engine.checkpoint().unwrap();
    let files: Vec<String> = rig
        .disk
        .list(Path::new(DIR))
        .unwrap()
        .iter()
        .map(|name| {
            let bytes = rig.disk.read(&Path::new(DIR).join(name)).unwrap();
            let used = bytes.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
            format!("{name} {}\n{}", bytes.len(), hex(&bytes[..used]))
        })
        .collect();
    expect![[r#"
        00000000000000000006.00000000000000000006.checkpoint 443
        4b4149524f5343500200010006000000000000009301000000000000e8379adf
        00000000deab5d4f0001000000010000000100000001000000010008c2f1004c
        0600010000000600000000000000000000000000000052000000000000003b8d
        e1550008c2f1004c060000010000000100000001000000010000000101000000
        0120efa469000000000200000022500000020000000100000001000000a08601
        0000000000010000000100000001000000010011111111111111111111111111
        11111111111111111111111111111111111111ffffffffffffff7f060000004e
        82797803226f0101010008c2f1004c06000200000001000000ff000000000500
        04000000000000000000020000008e8d7558bcd102cc00000000000000000001
        00000000010350c30000000000000008c2f1004c06000008c2f1004c06000008
        c2f1004c06004e100d1e006251f30000000000010000000100000000010150c3
        0000000000000008c2f1004c0600000000000000008000000000000000800100
        000001010000004e100d1e006251f3
        00000000000000000006.states 4096
        02000000030000000000000080ff000000000001000000010008c2f1004c0601
        000000010000004e100d1e050000000000000080ff0000000000010000000200
        08c2f1004c0601000000010000008e8d7558"#]]
    .assert_eq(&files.join("\n"));
}

/// A checkpoint whose process was killed before its name was durable counts for the next one, which may cut the journal
/// behind it: a later loss of power must not take it away.
#[test]
fn a_checkpoint_of_a_killed_process_is_made_durable_by_the_next() {
    for seed in 0..5 {
        // the first operation whose failure leaves a checkpoint that bears its name and is not durable
        let made = (1..40).find_map(|operation| {
            let mut rig = Rig::with(vec![campaign(1)], ChannelCapacity::default());
            rig.start(1, 1, 0..30_000);
            for _ in 0..150 {
                let offered = rig.offer(64);
                rig.accept(&offered);
            }
            rig.disk.fail_at(operation, kairos_journal::Fault::Error);
            rig.engine.checkpoint().err()?;
            rig.disk.kill();
            let (engine, recovered) = reopen(&rig);
            (recovered.replayed == 0).then_some((rig, engine))
        });
        let (rig, mut engine) = made.expect("a checkpoint that is there to be read");
        engine.release_journal(Position(u64::MAX)).unwrap();
        let want = picture(&engine);
        drop(engine);
        rig.disk.crash(seed);
        assert_eq!(picture(&reopen(&rig).0), want, "seed {seed}");
    }
}
