//! A folder as a source: order, completeness, crashes, files that do not fit.

use crate::event_kit::{event_layout, event_options};
use expect_test::{Expect, expect};
use kairos_connect::{
    event::Who,
    folder::{FolderConfig, FolderError, FolderSource, Polled},
    layout::EventOptions,
};
use kairos_model::{
    Span, Timestamp,
    disk::{Disk, DiskFile, DiskReader},
    hash::salted,
    mem_disk::{Fault, MemDisk},
};
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const LAYOUT: &str = r#"
id = "probe"
[file]
delimiter = "|"
[event]
number = "number"
time = { from = "at", format = "epoch_s" }
[[event.rule]]
when = { what = "on" }
event = "power_on"
"#;
const INBOX: &str = "/in";

fn config() -> FolderConfig {
    FolderConfig {
        inbox: INBOX.into(),
        state: "/data/sources/probe".into(),
        suffixes: vec![".txt".to_owned(), ".gz".to_owned()],
        stable_for: Span::secs(10),
    }
}

fn disk() -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir_all(Path::new(INBOX)).expect("memory");
    disk
}

/// A file as a writer leaves it: synced.
fn put(disk: &MemDisk, name: &str, bytes: &[u8]) {
    let path = Path::new(INBOX).join(name);
    let mut file = disk.create_append(&path).expect("new");
    file.append(bytes).expect("memory");
    file.sync_data().expect("memory");
    disk.sync_dir(Path::new(INBOX)).expect("memory");
}

/// Power-ons of the numbers 138000000`n`.
fn rows(from: u64, to: u64) -> String {
    let row = |n| format!("{}|138{n:08}|on\n", 1_773_108_000 + n);
    format!("at|number|what\n{}", (from..to).map(row).collect::<String>())
}

fn open(disk: &MemDisk, committed: u64, batch_records: usize) -> Result<FolderSource, FolderError> {
    let options = EventOptions { batch_records, ..event_options() };
    FolderSource::open(Arc::new(disk.clone()), config(), event_layout(LAYOUT), options, committed)
}

fn at(s: i64) -> Timestamp {
    Timestamp::from_secs(1_773_108_000 + s)
}

fn polled(source: &mut FolderSource, s: i64) -> String {
    match source.poll(at(s)) {
        Ok(Polled::Batch(b)) => {
            let who = b.events.iter().map(|e| match e.who {
                Who::Number(n) => (n.reveal() % 100_000_000).to_string(),
                Who::Imsi(_) => "imsi".to_owned(),
            });
            let who = who.collect::<Vec<_>>().join(" ");
            format!("{}..{} of {}/{}: {who} rejects {}", b.first, b.next, b.source, b.partition, b.rejects.len())
        }
        Ok(Polled::AwaitCommit { offset }) => format!("waits for commit of {offset}"),
        Ok(Polled::Aside(a)) => {
            let path = a.path.map_or("gone".to_owned(), |p| p.display().to_string());
            format!("aside {} at {path}: {}", a.name, a.report)
        }
        Ok(Polled::Idle { again }) => match again {
            Some(again) => format!("idle until {}", again.secs() - at(0).secs()),
            None => "idle".to_owned(),
        },
        Err(e) => format!("error {e}"),
    }
}

fn check(got: &[String], want: Expect) {
    want.assert_eq(&got.join("\n"));
}

fn listed(disk: &MemDisk, dir: &str) -> String {
    disk.list(&Path::new(INBOX).join(dir)).expect("a directory").join(" ")
}

#[test]
fn complete_files_are_read_in_order_and_leave_when_they_are_committed() {
    let disk = disk();
    put(&disk, "b.txt", rows(5, 7).as_bytes());
    put(&disk, "a.txt", rows(1, 4).as_bytes());
    put(&disk, "c.txt.tmp", rows(8, 9).as_bytes());
    put(&disk, "readme", b"hello");
    let mut source = open(&disk, 0, 2).expect("opens");
    let mut got = vec![polled(&mut source, 0), polled(&mut source, 9)];
    assert_eq!(source.waiting(), (2, 160));
    got.extend((0..3).map(|_| polled(&mut source, 10)));
    source.commit(2);
    got.push(polled(&mut source, 11));
    got.push(listed(&disk, ""));
    source.commit(3);
    got.push(polled(&mut source, 12));
    got.push(listed(&disk, ""));
    source.commit(5);
    got.push(polled(&mut source, 13));
    disk.rename(Path::new("/in/c.txt.tmp"), Path::new("/in/c.txt")).expect("there");
    got.extend([14, 23, 24].map(|s| polled(&mut source, s)));
    source.commit(6);
    got.push(polled(&mut source, 25));
    got.extend([listed(&disk, ""), listed(&disk, "done")]);
    check(
        &got,
        expect![[r#"
        idle until 10
        idle until 10
        0..2 of src1/0: 1 2 rejects 0
        2..3 of src1/0: 3 rejects 0
        waits for commit of 3
        waits for commit of 3
        a.txt b.txt c.txt.tmp readme
        3..5 of src1/0: 5 6 rejects 0
        b.txt c.txt.tmp readme
        idle
        idle until 24
        idle until 24
        5..6 of src1/0: 8 rejects 0
        idle
        readme
        a.txt~34eab1ccf11565f3 b.txt~e466f0e8f4019ce8 c.txt~6e7445eedb40d223"#]],
    );
}

#[test]
fn a_file_that_still_grows_waits() {
    let disk = disk();
    put(&disk, "a.txt", rows(1, 2).as_bytes());
    let mut source = open(&disk, 0, 10).expect("opens");
    let mut got = vec![polled(&mut source, 0)];
    let mut file = disk.open_append(Path::new("/in/a.txt")).expect("there");
    file.append(b"1773108002|13800000002|on\n").expect("memory");
    got.extend([9, 10, 18, 19].map(|s| polled(&mut source, s)));
    // it grows once more after it was taken for complete
    file.append(b"1773108003|13800000003|on\n").expect("memory");
    got.push(polled(&mut source, 20));
    source.commit(2);
    got.extend([21, 22].map(|s| polled(&mut source, s)));
    check(
        &got,
        expect![[r#"
        idle until 10
        idle until 19
        idle until 19
        idle until 19
        0..2 of src1/0: 1 2 rejects 0
        waits for commit of 2
        aside a.txt at /in/aside/a.txt~66538edc047edaf3: its size changed behind byte 67 after it was taken for complete: what was added is not read. Let its writer rename it when it is done, or raise stable_for
        idle"#]],
    );
}

#[test]
fn what_does_not_fit_is_set_aside_with_its_reason_and_the_folder_goes_on() {
    let disk = disk();
    put(&disk, "a.txt", b"at;number;what\n1773108001;13800000001;on\n");
    put(&disk, "b.txt", b"time|number|what\n1773108001|13800000001|on\n");
    put(&disk, "c.txt", b"PK\x03\x04 a workbook");
    let packed = stored(rows(1, 4).as_bytes());
    put(&disk, "d.txt.gz", &packed[..packed.len() - 6]);
    put(&disk, "e.txt", rows(7, 8).as_bytes());
    put(&disk, "f.txt", rows(7, 8).as_bytes());
    put(&disk, "g.txt", b"");
    put(&disk, "h.txt", b"at|number|what\nx|13800000001|on\n");
    let mut source = open(&disk, 0, 10).expect("opens");
    let mut got = vec![polled(&mut source, 0)];
    while got.last().is_some_and(|l| l != "idle") {
        got.push(polled(&mut source, 10));
        // a consumer that commits each batch at once
        let next = got.last().and_then(|l| l.split_once("..")?.1.split_once(' ')?.0.parse().ok());
        source.commit(next.unwrap_or(0));
    }
    got.extend([listed(&disk, ""), listed(&disk, "done"), listed(&disk, "aside")]);
    let why = listed(&disk, "aside").split(' ').find(|n| n.starts_with("d.") && n.ends_with(".why")).map(str::to_owned);
    let why = disk.read(&Path::new("/in/aside").join(why.expect("a reason"))).expect("there");
    got.push(String::from_utf8(why).expect("text"));
    check(
        &got,
        expect![[r#"
            idle until 10
            aside a.txt at /in/aside/a.txt~7c2652af84d8eadc: `/in/a.txt` is not delimited by "|" but, it seems, by ";": set delimiter = ";" in [file] of layout `probe`
            aside b.txt at /in/aside/b.txt~589bce408863035a: layout `probe` does not fit `/in/b.txt`: no column `at` (for `event`); the header is: time, number, what
            aside c.txt at /in/aside/c.txt~46a25f00393a4da2: `/in/c.txt` is a ZIP archive or a workbook; unpack it, or save the sheet as CSV
            0..3 of src1/0: 1 2 3 rejects 0
            aside d.txt.gz at /in/aside/d.txt.gz~418eed1fff6ff2a2: `/in/d.txt.gz` is a broken gzip file: it ends early or is damaged behind byte 110; fetch it again: unexpected end of file
            3 record(s) before it were taken in; records behind it were not.
            3..4 of src1/0: 7 rejects 0
            aside f.txt at /in/aside/f.txt~e946038646dd67b4: the same content was read before (a file in `done` has its mark): it is not read again
            4..5 of src1/0:  rejects 1
            idle

            e.txt~e946038646dd67b4 g.txt~3149567391a9e071 h.txt~8d79667e3d3975d8
            a.txt~7c2652af84d8eadc a.txt~7c2652af84d8eadc.why b.txt~589bce408863035a b.txt~589bce408863035a.why c.txt~46a25f00393a4da2 c.txt~46a25f00393a4da2.why d.txt.gz~418eed1fff6ff2a2 d.txt.gz~418eed1fff6ff2a2.why f.txt~e946038646dd67b4 f.txt~e946038646dd67b4.why
            `/in/d.txt.gz` is a broken gzip file: it ends early or is damaged behind byte 110; fetch it again: unexpected end of file
            3 record(s) before it were taken in; records behind it were not.
        "#]],
    );
}

#[test]
fn a_file_that_changes_or_vanishes_between_two_runs_is_reported() {
    for vanishes in [false, true] {
        let disk = disk();
        put(&disk, "a.txt", rows(1, 5).as_bytes());
        let mut source = open(&disk, 0, 2).expect("opens");
        let mut got = vec![polled(&mut source, 0), polled(&mut source, 10)];
        source.commit(2);
        drop(source);
        disk.remove(Path::new("/in/a.txt")).expect("there");
        if !vanishes {
            put(&disk, "a.txt", rows(2, 6).as_bytes());
        }
        put(&disk, "b.txt", rows(7, 8).as_bytes());
        let mut source = open(&disk, 2, 2).expect("opens");
        got.extend([20, 30, 40].map(|s| polled(&mut source, s)));
        match vanishes {
            false => check(
                &got,
                expect![[r#"
                idle until 10
                0..2 of src1/0: 1 2 rejects 0
                aside a.txt at /in/aside/a.txt~1bb3ca054b07640e: its content changed while it was read: what was read before stays taken in, the rest is not read
                idle until 40
                2..3 of src1/0: 7 rejects 0"#]],
            ),
            true => check(
                &got,
                expect![[r#"
                idle until 10
                0..2 of src1/0: 1 2 rejects 0
                aside a.txt at gone: it vanished from the inbox while it was read: the rest of it is not read
                idle until 40
                2..3 of src1/0: 7 rejects 0"#]],
            ),
        }
    }
}

#[test]
fn an_older_state_of_the_engine_is_refused() {
    let disk = disk();
    put(&disk, "a.txt", rows(1, 5).as_bytes());
    let mut source = open(&disk, 0, 10).expect("opens");
    polled(&mut source, 0);
    polled(&mut source, 10);
    source.commit(4);
    polled(&mut source, 11);
    assert_eq!(listed(&disk, ""), "");
    let said = open(&disk, 3, 10).err().expect("refused").to_string();
    expect!["the engine has committed offset 3 of the folder `/in`, but files up to offset 4 are read and moved to `done`: it stands on an older state. Move those files back and remove `/data/sources/probe`"].assert_eq(&said);
    assert!(open(&disk, 4, 10).is_ok());
    disk.flip_bit(Path::new("/data/sources/probe/folder.json"), 100).expect("there");
    let said = open(&disk, 4, 10).err().expect("refused").to_string();
    expect!["`/data/sources/probe/folder.json` is damaged: its checksum is wrong; if the offset that the engine committed is right, remove it and move the file that was being read back into the inbox"].assert_eq(&said);
}

/// The consumer of a crash test: what it made of the batches and the offset, changed as one.
#[derive(Default)]
struct Consumer {
    committed: u64,
    seen: Vec<(u64, u64)>,
}

/// One life of source and consumer; false when the disk stopped.
fn live(disk: &MemDisk, consumer: &mut Consumer, seed: u64, s: &mut i64) -> bool {
    let Ok(mut source) = open(disk, consumer.committed, 3) else { return false };
    for step in 0..400 {
        *s += 1;
        match source.poll(at(*s)) {
            Ok(Polled::Batch(batch)) => {
                // the process ends between the batch and its commit
                if salted(seed, step).is_multiple_of(16) {
                    return false;
                }
                assert_eq!(batch.first, consumer.committed);
                let numbers = batch.events.iter().map(|e| match e.who {
                    Who::Number(n) => (e.offset, n.reveal() % 100_000_000),
                    Who::Imsi(_) => (e.offset, 0),
                });
                consumer.seen.extend(numbers);
                consumer.committed = batch.next;
                // or between the commit and the source's hearing of it
                if salted(seed, step) % 16 == 1 {
                    return false;
                }
                source.commit(batch.next);
            }
            Ok(Polled::AwaitCommit { .. }) => source.commit(consumer.committed),
            Ok(Polled::Aside(aside)) => panic!("{aside:?}"),
            Ok(Polled::Idle { again: None }) => return true,
            Ok(Polled::Idle { .. }) => {}
            Err(_) => return false,
        }
    }
    panic!("no end")
}

/// Wherever the machine stops, every record is seen once, in order, at its offset.
#[test]
fn whatever_stops_nothing_is_lost_and_nothing_comes_twice() {
    let want: Vec<(u64, u64)> = (0..17).map(|n| (n, n + 1)).collect();
    let mut crashes = 0;
    for seed in 0..300 {
        let disk = disk();
        put(&disk, "a.txt", rows(1, 8).as_bytes());
        put(&disk, "b.txt", rows(8, 9).as_bytes());
        put(&disk, "c.txt", rows(9, 18).as_bytes());
        let (mut consumer, mut s) = (Consumer::default(), 0);
        for life in 0..60 {
            if life < 8 {
                let fault = if salted(seed, life).is_multiple_of(4) { Fault::Error } else { Fault::Halt };
                disk.fail_at(1 + salted(seed, 100 + life) % 12, fault);
            }
            if live(&disk, &mut consumer, salted(seed, 200 + life), &mut s) {
                break;
            }
            crashes += 1;
            disk.crash(salted(seed, 300 + life));
        }
        assert_eq!(consumer.seen, want, "seed {seed}");
        assert_eq!((listed(&disk, ""), listed(&disk, "aside")), (String::new(), String::new()), "seed {seed}");
        // this disk may forget both names of a rename that was not synced, which no journalling file system does: what
        // leaves the inbox is committed by then
        assert!(listed(&disk, "done").len() <= 3 * "a.txt~0123456789abcdef".len() + 2);
    }
    assert!(crashes > 600, "{crashes}");
}

/// A disk whose reads fail now and then, as a network file system's do.
struct Shaky {
    disk: MemDisk,
    reads: Arc<AtomicU64>,
    /// Reads that fail.
    fails: Vec<u64>,
}

struct ShakyReader(Box<dyn DiskReader>, Arc<AtomicU64>, Vec<u64>);

impl DiskReader for ShakyReader {
    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        match self.2.contains(&self.1.fetch_add(1, Ordering::Relaxed)) {
            true => Err(io::Error::from_raw_os_error(5)),
            false => self.0.read_exact_at(offset, bytes),
        }
    }
}

impl Disk for Shaky {
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskReader>> {
        let reader = self.disk.open_read(path)?;
        Ok(Box::new(ShakyReader(reader, self.reads.clone(), self.fails.clone())))
    }
    fn create_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create_append(path)
    }
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open_append(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.disk.read_at(path, offset, len)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list_dirs(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        self.disk.len(path)
    }
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.disk.truncate(path, len)
    }
    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.overwrite(path, offset, bytes)
    }
}

/// The failed read is told, and the next look goes on behind what was handed out, committed or not.
#[test]
fn a_read_that_fails_is_tried_again() {
    let disk = disk();
    // more than one block of the reader, so that a read fails in the middle
    put(&disk, "a.txt", rows(1, 30_000).as_bytes());
    for fails in [vec![0], vec![1, 2], vec![2], vec![0, 1, 2, 3, 4]] {
        let copy = MemDisk::new();
        copy.create_dir_all(Path::new(INBOX)).expect("memory");
        put(&copy, "a.txt", &disk.read(Path::new("/in/a.txt")).expect("there"));
        let shaky = Shaky { disk: copy, reads: Arc::default(), fails: fails.clone() };
        let options = EventOptions { batch_records: 1_000, ..event_options() };
        let mut source =
            FolderSource::open(Arc::new(shaky), config(), event_layout(LAYOUT), options, 0).expect("opens");
        let (mut seen, mut errors, mut s) = (Vec::new(), 0, 0);
        loop {
            s += 1;
            match source.poll(at(s)) {
                Ok(Polled::Batch(batch)) => seen.extend(batch.events.iter().map(|e| e.offset)),
                Ok(Polled::Idle { .. }) => {}
                Ok(Polled::AwaitCommit { offset }) => {
                    assert_eq!(offset, 29_999);
                    break;
                }
                Ok(Polled::Aside(aside)) => panic!("{aside:?}"),
                Err(_) => errors += 1,
            }
        }
        assert_eq!(errors, fails.len(), "{fails:?}");
        assert!(seen.iter().copied().eq(0..29_999), "{fails:?}");
    }
}

/// The same on the machine's own disk: packed files, a restart in the middle, and what is left in which directory.
#[test]
fn on_a_real_disk_a_folder_is_read_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let inbox = dir.path().join("in");
    std::fs::create_dir_all(&inbox).expect("made");
    let packed = zstd::encode_all(rows(1, 6).as_bytes(), 1).expect("memory");
    std::fs::write(inbox.join("a.txt"), &packed).expect("written");
    std::fs::write(inbox.join("b.txt"), rows(6, 9)).expect("written");
    std::fs::write(inbox.join("c.txt"), &packed).expect("written");
    let config = FolderConfig {
        inbox: inbox.clone(),
        state: dir.path().join("state"),
        suffixes: Vec::new(),
        stable_for: Span::ZERO,
    };
    let open = |committed| {
        let options = EventOptions { batch_records: 2, ..event_options() };
        let layout = event_layout(LAYOUT);
        FolderSource::open(Arc::new(kairos_journal::RealDisk), config.clone(), layout, options, committed)
            .expect("opens")
    };
    let (mut committed, mut seen, mut aside) = (0, Vec::new(), Vec::new());
    'lives: for _ in 0..20 {
        let mut source = open(committed);
        // each life ends after two batches
        for _ in 0..2 {
            loop {
                match source.poll(at(0)).expect("a disk") {
                    Polled::Batch(batch) => {
                        seen.extend(batch.events.iter().map(|e| e.offset));
                        committed = batch.next;
                        source.commit(committed);
                        break;
                    }
                    Polled::AwaitCommit { .. } => source.commit(committed),
                    Polled::Aside(a) => aside.push((a.name, a.report)),
                    Polled::Idle { .. } => break 'lives,
                }
            }
        }
    }
    assert_eq!(seen, (0..8).collect::<Vec<_>>());
    let repeated = "the same content was read before (a file in `done` has its mark): it is not read again";
    assert_eq!(aside, [("c.txt".to_owned(), repeated.to_owned())]);
    let count = |name: &str| std::fs::read_dir(inbox.join(name)).expect("there").count();
    assert_eq!((count("done"), count("aside")), (2, 2));
}

/// A gzip file (RFC 1952) of one stored block: the same bytes whatever packer is linked.
fn stored(content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("short");
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(content);
    out.extend(crc.sum().to_le_bytes());
    out.extend(u32::from(len).to_le_bytes());
    out
}
