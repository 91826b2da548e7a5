//! The journal on a disk that forgets and tears, byte by byte.

#![allow(clippy::unwrap_used)]

use kairos_journal::{Disk, Fault, Journal, JournalConfig, JournalError, MemDisk, Opened, Position, RealDisk, Record};
use kairos_model::{TenantId, Timestamp, hash};
use proptest::prelude::*;
use std::{path::Path, sync::Arc};

const DIR: &str = "/data/journal";

fn config(partitions: u16, segment_bytes: usize) -> JournalConfig {
    JournalConfig { tenant: TenantId(7), partitions, segment_bytes, record_max: 400, align: 8 }
}
fn open(disk: &MemDisk, config: JournalConfig) -> Result<(Journal, Opened), JournalError> {
    Journal::open(Arc::new(disk.clone()), Path::new(DIR), config)
}
/// The `i`-th record of a partition; both content and length follow from `i`.
fn record(partition: u16, i: u64) -> (Timestamp, u8, Vec<u8>) {
    let h = hash::salted2(11, partition.into(), i);
    // now and then a stamp that does not fit the short form
    let stamp = if h.is_multiple_of(17) { h as i64 } else { 1_772_000_000_000_000 + i as i64 };
    let payload = (0..h % 300).map(|k| hash::salted(h, k) as u8).collect();
    (Timestamp(stamp), (h >> 8) as u8, payload)
}
fn append(journal: &mut Journal, partition: u16, i: u64) {
    let (stamp, kind, payload) = record(partition, i);
    assert_eq!(journal.append(partition, stamp, kind, &payload).unwrap(), Position(i));
}
fn expect(journal: &Journal, partition: u16, from: u64, to: u64) {
    let got: Vec<Record> = journal.read_from(partition, Position(from)).unwrap().map(Result::unwrap).collect();
    let want: Vec<Record> = (from..to)
        .map(|i| {
            let (stamp, kind, payload) = record(partition, i);
            Record { position: Position(i), stamp, kind, payload }
        })
        .collect();
    assert!(got == want, "partition {partition}: {} records read, {} wanted", got.len(), want.len());
}
fn segments(disk: &MemDisk, partition: u16) -> Vec<std::path::PathBuf> {
    let dir = Path::new(DIR).join(format!("p{partition:04}"));
    disk.list(&dir).unwrap().into_iter().map(|n| dir.join(n)).collect()
}
/// Five commits of ten records in one partition.
fn five_commits(segment_bytes: usize) -> (MemDisk, JournalConfig) {
    let disk = MemDisk::new();
    let config = config(1, segment_bytes);
    let (mut journal, _) = open(&disk, config.clone()).unwrap();
    for i in 0..50 {
        append(&mut journal, 0, i);
        if i % 10 == 9 {
            journal.commit().unwrap();
        }
    }
    (disk, config)
}

#[derive(Clone, Debug)]
enum Step {
    Append(u16, u8),
    Commit,
    Release(u16),
    Crash(u64),
    /// The machine stops at the n-th call of the next commits.
    HaltAt(u64, Fault),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![Just(Fault::Halt), Just(Fault::Error), Just(Fault::Full)];
    let step = prop_oneof![
        6 => (0..3u16, 1..20u8).prop_map(|(p, n)| Step::Append(p, n)),
        4 => Just(Step::Commit),
        1 => (0..3u16).prop_map(Step::Release),
        1 => any::<u64>().prop_map(Step::Crash),
        2 => (1..8u64, fault).prop_map(|(n, f)| Step::HaltAt(n, f)),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What must be there: by partition, the oldest kept, the committed end and the end with what waits.
struct Model {
    disk: MemDisk,
    journal: Journal,
    committed: [u64; 3],
    waiting: [u64; 3],
    crashes: u64,
}

impl Model {
    fn crash(&mut self, seed: u64) {
        self.crashes += 1;
        self.disk.crash(seed);
        // the machine may stop again while it recovers
        self.disk.fail_at(1 + seed % 6, Fault::Halt);
        drop(open(&self.disk, config(3, 4_000)));
        self.disk.crash(!seed);
        let (journal, opened) = open(&self.disk, config(3, 4_000)).expect("a crash never damages what was committed");
        for p in 0..3u16 {
            let i = usize::from(p);
            let found = &opened.partitions[i];
            let end = found.end.0;
            assert!(
                end == self.committed[i] || end == self.waiting[i],
                "partition {p}: committed {}, waiting {}, found {end}",
                self.committed[i],
                self.waiting[i]
            );
            expect(&journal, p, found.first.0, end);
            (self.committed[i], self.waiting[i]) = (end, end);
        }
        self.journal = journal;
    }
    fn step(&mut self, step: &Step, seed: u64) {
        match *step {
            Step::Append(p, n) => {
                for _ in 0..n {
                    let (stamp, kind, payload) = record(p, self.waiting[usize::from(p)]);
                    match self.journal.append(p, stamp, kind, &payload) {
                        Ok(_) => self.waiting[usize::from(p)] += 1,
                        Err(JournalError::Full { .. }) => return self.step(&Step::Commit, seed),
                        Err(e) => panic!("{e}"),
                    }
                }
            }
            Step::Commit => match self.journal.commit() {
                Ok(()) => self.committed = self.waiting,
                Err(_) => {
                    assert!(self.journal.is_poisoned());
                    assert!(self.journal.commit().is_err(), "poisoned for ever");
                    assert!(matches!(self.journal.append(0, Timestamp(0), 0, b""), Err(JournalError::Poisoned)));
                    self.crash(seed);
                }
            },
            Step::Release(p) => {
                let keep = Position(self.committed[usize::from(p)] / 2);
                if self.journal.release_before(p, keep).is_err() {
                    return self.crash(seed);
                }
                assert!(self.journal.first(p) <= keep);
            }
            Step::Crash(seed) => self.crash(seed),
            Step::HaltAt(n, fault) => self.disk.fail_at(n, fault),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
    #[test]
    fn what_was_committed_survives_and_nothing_else_is_half_there(steps in steps(), seed: u64) {
        let disk = MemDisk::new();
        let (journal, _) = open(&disk, config(3, 4_000)).unwrap();
        let mut model = Model { disk, journal, committed: [0; 3], waiting: [0; 3], crashes: 0 };
        for (i, step) in steps.iter().enumerate() {
            model.step(step, hash::salted(seed, i as u64));
        }
        model.crash(seed);
        model.journal.verify().unwrap();
    }
}

#[test]
fn the_bytes_of_version_1() {
    let disk = MemDisk::new();
    let (mut journal, _) = open(&disk, config(2, 4_000)).unwrap();
    journal.append(1, Timestamp(1_000_000), 0xAB, b"hello").unwrap();
    journal.append(1, Timestamp(1_000_007), 0x01, b"").unwrap();
    journal.append(1, Timestamp(-5), 0x02, &[0xEE; 3]).unwrap();
    journal.commit().unwrap();
    let golden: &[u8] = include_bytes!("golden/v1.seg");
    let bytes = disk.read(&segments(&disk, 1)[0]).unwrap();
    assert!(bytes == golden, "format changed: {bytes:02x?}");

    // and the file of that version is read
    let (journal, opened) = open(&disk, config(2, 4_000)).unwrap();
    assert_eq!((opened.partitions[1].end, opened.last_stamp()), (Position(3), Some(Timestamp(-5))));
    let kinds: Vec<u8> = journal.read_from(1, Position(0)).unwrap().map(|r| r.unwrap().kind).collect();
    assert_eq!(kinds, [0xAB, 1, 2]);
}

#[test]
fn segments_roll_are_read_from_anywhere_and_are_released() {
    let (disk, config) = five_commits(2_500);
    let (mut journal, opened) = open(&disk, config.clone()).unwrap();
    assert!(opened.partitions[0].segments >= 3, "{opened:?}");
    for from in 0..=50 {
        expect(&journal, 0, from, 50);
    }
    journal.release_before(0, Position(25)).unwrap();
    let first = journal.first(0);
    assert!(first > Position(0) && first <= Position(25), "{first}");
    let e = journal.read_from(0, Position(0)).err().unwrap();
    assert!(matches!(e, JournalError::OutOfRange { .. }), "{e}");
    drop(journal);
    let (journal, opened) = open(&disk, config).unwrap();
    assert_eq!(opened.partitions[0].first, first);
    expect(&journal, 0, first.0, 50);
}

#[test]
fn a_damaged_group_before_a_sound_one_is_an_error_that_names_the_place() {
    let (disk, config) = five_commits(100_000);
    let path = &segments(&disk, 0)[0];
    disk.flip_bit(path, 100 * 8).unwrap();
    let e = open(&disk, config).err().unwrap().to_string();
    assert_eq!(
        e,
        "journal file `/data/journal/p0000/0000000000000000.seg` is damaged at byte 64: the checksum of a group does \
         not match; nothing was dropped: restore this file from a backup"
    );
}

#[test]
fn every_flipped_bit_is_found_or_reported() {
    let (disk, config) = five_commits(2_500);
    let (mut errors, mut torn) = (0, 0);
    for path in segments(&disk, 0) {
        for bit in (0..disk.len(&path).unwrap() * 8).step_by(3) {
            let bytes = disk.read(&path).unwrap();
            disk.flip_bit(&path, bit).unwrap();
            match open(&disk, config.clone()) {
                Err(_) => errors += 1,
                Ok((_, opened)) if opened.torn().next().is_some() => {
                    torn += 1;
                    // opening cut the file: put it back
                    disk.write_whole(&path, &bytes).unwrap();
                    continue;
                }
                Ok((journal, _)) => {
                    journal.verify().expect_err("neither open nor verify noticed");
                    errors += 1;
                }
            }
            disk.flip_bit(&path, bit).unwrap();
        }
    }
    assert!(errors > 10_000 && torn > 500, "{errors} {torn}");
}

#[test]
fn files_of_others_and_of_the_future_are_refused() {
    let (disk, config) = five_commits(2_500);
    let refused = |c: JournalConfig| open(&disk, c).err().unwrap().to_string();
    let e = refused(JournalConfig { tenant: TenantId(8), ..config.clone() });
    assert!(e.contains("belongs to tenant 7, not 8"), "{e}");
    let e = refused(JournalConfig { partitions: 2, ..config.clone() });
    assert!(e.contains("partitions is 1, not 2"), "{e}");
    let path = segments(&disk, 0).pop().unwrap();
    let whole = disk.read(&path).unwrap();
    let mut newer = whole.clone();
    newer[8] = 9;
    disk.write_whole(&path, &newer).unwrap();
    let e = refused(config.clone());
    assert!(e.contains("has format 9, this program knows up to 1: use the newer program"), "{e}");
    disk.write_whole(&path, &whole).unwrap();
    disk.remove(&segments(&disk, 0)[1]).unwrap();
    let e = refused(config);
    assert!(e.contains("is missing"), "{e}");
}

#[test]
fn fewer_partitions_than_the_directory_has_are_refused() {
    let disk = MemDisk::new();
    open(&disk, config(3, 4_000)).unwrap();
    let e = open(&disk, config(2, 4_000)).err().unwrap().to_string();
    assert_eq!(e, "`/data/journal/p0002` belongs to a journal of more than 2 partitions: open it with its own number");
}

#[test]
fn limits_refuse_and_lose_nothing() {
    let disk = MemDisk::new();
    let (mut journal, _) = open(&disk, config(1, 1_000)).unwrap();
    let e = journal.append(0, Timestamp(0), 0, &[0; 401]).unwrap_err().to_string();
    assert_eq!(e, "a record of 401 bytes for partition 0 is longer than the limit of 400");
    journal.append(0, Timestamp(0), 0, &[1; 400]).unwrap();
    journal.append(0, Timestamp(0), 0, &[2; 400]).unwrap();
    let e = journal.append(0, Timestamp(0), 0, &[3; 400]).unwrap_err();
    assert!(matches!(e, JournalError::Full { .. }), "{e}");
    assert!(matches!(journal.append(1, Timestamp(0), 0, b""), Err(JournalError::NoPartition { .. })));
    journal.commit().unwrap();
    assert_eq!(journal.append(0, Timestamp(0), 0, &[3; 400]).unwrap(), Position(2));
    journal.commit().unwrap();
    assert_eq!(segments(&disk, 0).len(), 2, "the third record no longer fits into 1,000 bytes");
    assert_eq!(journal.verify().unwrap(), 3);
    assert!(open(&disk, config(0, 1_000)).is_err());
    assert!(open(&disk, config(1, 100)).is_err());
}

#[test]
fn a_full_disk_poisons_and_space_heals_by_opening_again() {
    let (disk, config) = five_commits(100_000);
    let (mut journal, _) = open(&disk, config.clone()).unwrap();
    disk.set_capacity(Some(disk.len(&segments(&disk, 0)[0]).unwrap() + 100));
    (50..60).for_each(|i| append(&mut journal, 0, i));
    let e = journal.commit().unwrap_err();
    assert_eq!((e.partition, e.what, e.cause.kind()), (0, "write", std::io::ErrorKind::StorageFull));
    drop(journal);
    disk.set_capacity(None);
    let (mut journal, opened) = open(&disk, config).unwrap();
    assert_eq!((opened.torn().count(), opened.partitions[0].end), (1, Position(50)));
    (50..60).for_each(|i| append(&mut journal, 0, i));
    journal.commit().unwrap();
    expect(&journal, 0, 0, 60);
}

#[test]
fn a_reader_sees_what_was_committed_when_it_began() {
    let (disk, config) = five_commits(100_000);
    let (mut journal, _) = open(&disk, config).unwrap();
    let mut reader = journal.read_from(0, Position(48)).unwrap();
    (50..60).for_each(|i| append(&mut journal, 0, i));
    journal.commit().unwrap();
    assert_eq!(reader.next_ref().unwrap().unwrap().position, Position(48));
    assert_eq!(reader.by_ref().count(), 1);
    assert!(reader.next_ref().is_none());
}

#[test]
fn the_same_on_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(2, 4_000);
    let (mut journal, _) = Journal::open(Arc::new(RealDisk), dir.path(), config.clone()).unwrap();
    for i in 0..60 {
        append(&mut journal, 0, i);
        append(&mut journal, 1, i);
        if i % 7 == 0 {
            journal.commit().unwrap();
        }
    }
    journal.commit().unwrap();
    drop(journal);
    let path = dir.path().join("p0001/0000000000000000.seg.tmp");
    std::fs::write(&path, b"left over").unwrap();
    let (mut journal, opened) = Journal::open(Arc::new(RealDisk), dir.path(), config.clone()).unwrap();
    assert_eq!((opened.swept, opened.torn().count()), (1, 0));
    expect(&journal, 0, 0, 60);
    expect(&journal, 1, 0, 60);
    append(&mut journal, 1, 60);
    journal.commit().unwrap();
    let last = std::fs::read_dir(dir.path().join("p0001")).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    let len = std::fs::metadata(&last).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&last).unwrap().set_len(len - 3).unwrap();
    let (journal, opened) = Journal::open(Arc::new(RealDisk), dir.path(), config).unwrap();
    assert_eq!((opened.partitions[1].end, opened.torn().count()), (Position(60), 1));
    assert_eq!(journal.verify().unwrap(), 120);
    let parts = journal.into_partitions();
    assert_eq!(parts.iter().map(|p| p.number()).collect::<Vec<_>>(), [0, 1]);
}

/// Groups at multiples of 4,096: small ones through the page cache, large ones past it, read back alike.
#[test]
fn aligned_groups_of_every_size_come_back_from_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        align: 4096,
        record_max: 300_000,
        segment_bytes: 1 << 20,
        ..JournalConfig::new(TenantId(7), 1)
    };
    let payload = |i: u64| vec![i as u8; [3, 200_000, 70_000, 5_000][i as usize % 4] + i as usize];
    let (mut journal, _) = Journal::open(Arc::new(RealDisk), dir.path(), config.clone()).unwrap();
    for i in 0..40 {
        journal.append(0, Timestamp(i as i64), 1, &payload(i)).unwrap();
        if i % 3 != 1 {
            journal.commit().unwrap();
        }
    }
    journal.commit().unwrap();
    drop(journal);
    // a journal that was begun with another alignment goes on in its segment
    for align in [4096, 8] {
        let (journal, opened) =
            Journal::open(Arc::new(RealDisk), dir.path(), JournalConfig { align, ..config.clone() }).unwrap();
        assert_eq!((opened.torn().count(), journal.end(0)), (0, Position(40)));
        for (i, record) in journal.read_from(0, Position::START).unwrap().enumerate() {
            assert_eq!(record.unwrap().payload, payload(i as u64));
        }
    }
    for entry in std::fs::read_dir(dir.path().join("p0000")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().len() % 4096, 0);
    }
}

/// A process that is killed between write and sync leaves a group that the next one reads: from then on it counts, and a
/// later loss of power must not take it away. (Simulation, seed 299.)
#[test]
fn what_a_killed_process_wrote_and_did_not_sync_is_made_durable_by_the_next() {
    for seed in 0..40 {
        let (disk, config) = five_commits(4_096);
        let (mut journal, _) = open(&disk, config.clone()).unwrap();
        append(&mut journal, 0, 50);
        disk.fail_at(2, Fault::Error);
        journal.commit().unwrap_err();
        disk.kill();
        let (journal, opened) = open(&disk, config.clone()).unwrap();
        assert_eq!(opened.partitions[0].end, Position(51), "the page cache has it");
        drop(journal);
        disk.crash(seed);
        let (journal, opened) = open(&disk, config).unwrap();
        assert_eq!((opened.partitions[0].end, &opened.partitions[0].torn), (Position(51), &None), "seed {seed}");
        expect(&journal, 0, 0, 51);
    }
}
