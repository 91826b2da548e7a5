//! The vault on a simulated disk: stories, crashes, damage and erasure.

#![allow(clippy::unwrap_used)]

use expect_test::expect;
use kairos_model::{
    Dialled, Msisdn, Party, PartyId, ShortCode, SubscriberId, TenantId, Timestamp,
    disk::Disk,
    hash,
    mem_disk::{Fault, MemDisk},
};
use kairos_vault::{
    AssignCounts, Assignment, ErasedData, MasterKey, RawRow, SecretRow, SeededEntropy, Stats, SuppressRow,
    SuppressionCause, Vault, VaultError,
};
use proptest::prelude::*;
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

const DIR: &str = "/data/vault";

fn master() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}
fn open_as(disk: &MemDisk, master: &MasterKey, tenant: u16, seed: u64) -> Result<Vault, VaultError> {
    let entropy = Arc::new(SeededEntropy::new(seed));
    Vault::open(Arc::new(disk.clone()), entropy, Path::new(DIR), master, TenantId(tenant))
}
fn open(disk: &MemDisk) -> Result<Vault, VaultError> {
    open_as(disk, &master(), 1, disk.calls())
}
fn number(i: u64) -> Msisdn {
    Msisdn::from_e164(8_613_800_000_000 + i * 7_919).unwrap()
}
fn day(n: i64) -> Timestamp {
    Timestamp::from_secs(n * 86_400)
}
fn assignment(sub: SubscriberId, n: u64, from: Timestamp, to: Timestamp) -> Assignment {
    Assignment { subscriber: sub, number: number(n), from, to }
}
fn files(disk: &MemDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(DIR);
    disk.list(dir).unwrap().into_iter().map(|n| (dir.join(&n), disk.read(&dir.join(n)).unwrap())).collect()
}
/// Names of the files that hold these bytes.
fn holding(disk: &MemDisk, needle: &[u8]) -> Vec<String> {
    let hit = |bytes: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
    let name = |p: PathBuf| p.file_name().unwrap().to_string_lossy().into_owned();
    files(disk).into_iter().filter(|(_, b)| hit(b)).map(|(p, _)| name(p)).collect()
}
fn suppress_row(n: u64, at: Timestamp) -> SuppressRow {
    SuppressRow { number: number(n), at, cause: SuppressionCause::Reply }
}

#[test]
fn ordinals_are_dense_stay_and_are_found_again() {
    let disk = MemDisk::new();
    let vault = open(&disk).unwrap();
    assert_eq!(vault.ensure_subscribers(&["a", "b", "a", "c"]).unwrap(), [0, 1, 0, 2].map(SubscriberId));
    assert_eq!(vault.ensure_subscribers(&["d", "b"]).unwrap(), [3, 1].map(SubscriberId));
    assert_eq!(vault.ordinals(&["c", "x", "d"]), [Some(SubscriberId(2)), None, Some(SubscriberId(3))]);
    let e = vault.ensure_subscribers(&["e", ""]).unwrap_err().to_string();
    assert_eq!(e, "row 1 of the batch: a source key of 0 bytes; it must have 1 to 256");
    disk.crash(1);
    let vault = open(&disk).unwrap();
    assert_eq!(vault.ensure_subscribers(&["e", "d", "a"]).unwrap(), [4, 3, 0].map(SubscriberId));
}

#[test]
fn a_number_belongs_to_whom_it_belonged_at_the_time() {
    let disk = MemDisk::new();
    let vault = open(&disk).unwrap();
    let [a, b] = vault.ensure_subscribers(&["a", "b"]).unwrap()[..] else { panic!() };
    let batch = [assignment(a, 1, day(10), Timestamp::MAX), assignment(b, 1, day(20), Timestamp::MAX)];
    assert_eq!(vault.assign(&batch).unwrap(), AssignCounts { new: 2, same: 0, changed: 0 });
    assert_eq!(vault.assign(&batch).unwrap(), AssignCounts { new: 0, same: 2, changed: 0 });
    // the monthly extract says it again from a later day
    let again = [assignment(b, 1, day(30), Timestamp::MAX)];
    assert_eq!(vault.assign(&again).unwrap(), AssignCounts { new: 0, same: 1, changed: 0 });
    let end = [assignment(b, 1, day(20), day(40))];
    assert_eq!(vault.assign(&end).unwrap(), AssignCounts { new: 0, same: 0, changed: 1 });
    for _ in 0..2 {
        let vault = open(&disk).unwrap();
        let holder = |d| vault.holder(number(1), day(d));
        assert_eq!([9, 10, 19, 20, 39, 40].map(holder), [None, Some(a), Some(a), Some(b), Some(b), None]);
        let number_of = |s, d| vault.number_of(s, day(d)).unwrap();
        assert_eq!([number_of(a, 15), number_of(a, 20), number_of(b, 19)], [Some(number(1)), None, None]);
        assert_eq!(number_of(b, 39), Some(number(1)));
        assert!(vault.has_number(b, day(25)) && !vault.has_number(b, day(40)));
    }
    let e = vault.assign(&[assignment(a, 1, day(2), day(2))]).unwrap_err().to_string();
    assert_eq!(e, "row 0 of the batch: the assignment ends before it begins");
    let e = vault.assign(&[assignment(SubscriberId(9), 1, day(2), day(3))]).unwrap_err().to_string();
    assert_eq!(e, "no subscriber s9: the vault knows 2");
}

#[test]
fn one_number_for_everybody_is_a_wrong_column() {
    let disk = MemDisk::new();
    let vault = open(&disk).unwrap();
    let keys: Vec<String> = (0..1_200).map(|i| format!("k{i}")).collect();
    let subs = vault.ensure_subscribers(&keys.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let batch: Vec<_> = subs.iter().map(|&s| assignment(s, 1, day(1), Timestamp::MAX)).collect();
    let e = vault.assign(&batch).unwrap_err().to_string();
    assert_eq!(
        e,
        "row 1000 of the batch: number 861****7919 would have more than 1000 assignments; is the number column right?"
    );
    assert_eq!(vault.holder(number(1), day(1)), None, "nothing of the batch is there");
}

#[test]
fn parties_are_subscribers_short_codes_or_foreign() {
    let disk = MemDisk::new();
    let vault = open(&disk).unwrap();
    let a = vault.ensure_subscribers(&["a"]).unwrap()[0];
    vault.assign(&[assignment(a, 1, day(10), day(20))]).unwrap();
    let dialled = |n| Dialled::Number(number(n));
    let batch = [
        (dialled(1), day(15)),
        (dialled(1), day(25)),
        (dialled(2), day(15)),
        (Dialled::Short(ShortCode(3)), day(15)),
        (dialled(2), day(1)),
    ];
    assert_eq!(vault.parties(&batch)[1..3], [None, None]);
    let parties = vault.ensure_parties(&batch).unwrap();
    let shown: Vec<String> = parties.iter().map(|p| format!("{p:?}")).collect();
    assert_eq!(shown, ["s0", "f0", "f1", "#3", "f1"]);
    let vault = open(&disk).unwrap();
    assert_eq!(vault.ensure_parties(&batch).unwrap(), parties);
    let Some(Party::Foreign(f)) = parties[2].party() else { panic!() };
    assert_eq!(vault.foreign_number(f).unwrap(), Some(number(2)));
    assert_eq!(vault.party(dialled(3), day(1)), None);
}

#[test]
fn texts_and_raw_rows_come_back_and_the_last_one_counts() {
    let disk = MemDisk::new();
    let vault = open(&disk).unwrap();
    let [a, b] = vault.ensure_subscribers(&["a", "b"]).unwrap()[..] else { panic!() };
    let row = |subscriber, field, text| SecretRow { subscriber, field, text };
    vault
        .put_secrets(&[row(a, "name", "王芳"), row(a, "address", "海曙"), row(b, "name", ""), row(a, "name", "王方")])
        .unwrap();
    let len = || disk.len(&Path::new(DIR).join("texts")).unwrap();
    let before = len();
    vault.put_secrets(&[row(a, "name", "王方"), row(b, "name", "")]).unwrap();
    assert_eq!(len(), before, "equal texts are not written again");
    let raw =
        [RawRow { subscriber: None, bytes: b"13800001111;bad" }, RawRow { subscriber: Some(b), bytes: &[0xff, 0, 1] }];
    let ids = vault.put_raw_rows(&raw).unwrap();
    for vault in [vault, open(&disk).unwrap()] {
        assert_eq!(vault.secret(a, "name").unwrap().as_deref(), Some("王方"));
        assert_eq!(vault.secret(b, "name").unwrap().as_deref(), Some(""));
        assert_eq!((vault.secret(b, "address").unwrap(), vault.secret(a, "nothing").unwrap()), (None, None));
        let all = [("name", "王方"), ("address", "海曙")].map(|(f, t)| (f.to_owned(), t.to_owned()));
        assert_eq!(vault.secrets(a).unwrap(), all);
        let got: Vec<_> = ids.iter().map(|&id| vault.raw_row(id).unwrap().unwrap()).collect();
        assert_eq!(got, [raw[0].bytes, raw[1].bytes]);
        vault.verify().unwrap();
    }
    let vault = open(&disk).unwrap();
    vault.destroy_raw_rows(&ids[..1]).unwrap();
    for vault in [vault, open(&disk).unwrap()] {
        assert_eq!(vault.raw_row(ids[0]).unwrap(), None);
        assert!(vault.raw_row(ids[1]).unwrap().is_some());
        assert!(matches!(vault.raw_row(kairos_vault::RawRowId(1)), Err(VaultError::NoRow(_))));
        vault.verify().unwrap();
    }
    let vault = open(&disk).unwrap();
    let long = "x".repeat(20_000);
    let e = vault.put_secrets(&[row(a, "name", &long)]).unwrap_err().to_string();
    assert_eq!(e, "row 0 of the batch: text of 20000 bytes; the limit is 16384");
}

#[test]
fn suppression_belongs_to_the_number() {
    let disk = MemDisk::new();
    let vault = open(&disk).unwrap();
    let [a, b] = vault.ensure_subscribers(&["a", "b"]).unwrap()[..] else { panic!() };
    vault.assign(&[assignment(a, 1, day(1), Timestamp::MAX)]).unwrap();
    assert_eq!(
        vault.suppress(&[suppress_row(1, day(3)), suppress_row(2, day(3)), suppress_row(1, day(4))]).unwrap(),
        2
    );
    assert_eq!(vault.suppress(&[suppress_row(1, day(9))]).unwrap(), 0);
    // assigned after it was suppressed, and changing hands
    vault.assign(&[assignment(b, 2, day(1), Timestamp::MAX), assignment(b, 1, day(5), Timestamp::MAX)]).unwrap();
    disk.crash(3);
    let vault = open(&disk).unwrap();
    assert_eq!(vault.suppression(number(1)).unwrap().at, day(3));
    assert_eq!(
        [(a, 4), (a, 6), (b, 6), (b, 2)].map(|(s, d)| vault.is_suppressed_sub(s, day(d))),
        [true, false, true, true]
    );
    assert!(vault.unsuppress(number(1), day(7)).unwrap() && !vault.unsuppress(number(1), day(7)).unwrap());
    disk.crash(4);
    let vault = open(&disk).unwrap();
    assert!(!vault.is_suppressed(number(1)) && vault.is_suppressed(number(2)));
    assert!(!vault.is_suppressed_sub(b, day(6)));
}

/// A little operator: two holders of one number, a foreign past, names, rows.
fn populated(disk: &MemDisk) -> (Vault, [SubscriberId; 3]) {
    let vault = open(disk).unwrap();
    let text = |n: u64| number(n).reveal().to_string();
    let keys = [text(1), text(2), "key-of-c".to_owned()];
    let subs = vault.ensure_subscribers(&keys.each_ref().map(String::as_str)).unwrap();
    let [a, b, c] = subs[..] else { panic!() };
    vault.ensure_parties(&[(Dialled::Number(number(1)), day(0)), (Dialled::Number(number(9)), day(0))]).unwrap();
    let assignments = [
        assignment(a, 1, day(10), Timestamp::MAX),
        assignment(b, 1, day(20), Timestamp::MAX),
        assignment(b, 2, day(1), day(5)),
        assignment(b, 2, day(1), day(6)),
        assignment(c, 3, day(1), Timestamp::MAX),
    ];
    vault.assign(&assignments).unwrap();
    let row = |subscriber, text| SecretRow { subscriber, field: "name", text };
    vault.put_secrets(&[row(a, "Anna Alder"), row(b, "Berta Birch"), row(c, "Carla Cedar")]).unwrap();
    let raw = format!("{};Berta Birch;oops", text(1));
    vault.put_raw_rows(&[RawRow { subscriber: Some(b), bytes: raw.as_bytes() }]).unwrap();
    vault.put_raw_rows(&[RawRow { subscriber: None, bytes: raw.as_bytes() }]).unwrap();
    vault.suppress(&[suppress_row(2, day(2))]).unwrap();
    (vault, [a, b, c])
}

#[test]
fn the_bytes_of_version_1() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let disk = MemDisk::new();
    let (vault, [_, b, c]) = populated(&disk);
    vault.erase(c).unwrap();
    for (path, bytes) in files(&disk) {
        let name = path.file_name().unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden.join(name), &bytes).unwrap();
        }
        assert!(std::fs::read(golden.join(name)).unwrap() == bytes, "format changed: {}", path.display());
    }
    // and files of that version are read
    let old = MemDisk::new();
    old.create_dir_all(Path::new(DIR)).unwrap();
    for entry in std::fs::read_dir(&golden).unwrap() {
        let path = entry.unwrap().path();
        old.write_whole(&Path::new(DIR).join(path.file_name().unwrap()), &std::fs::read(&path).unwrap()).unwrap();
    }
    let vault = open(&old).unwrap();
    vault.verify().unwrap();
    assert_eq!(vault.number_of(b, day(25)).unwrap(), Some(number(1)));
    assert_eq!(vault.secret(b, "name").unwrap().as_deref(), Some("Berta Birch"));
    let stats = Stats { memory_bytes: 0, ..vault.stats() };
    assert_eq!(stats, Stats { subscribers: 3, erased: 1, foreign: 2, numbers: 2, suppressed: 1, memory_bytes: 0 });
}

#[test]
fn no_number_key_or_name_lies_in_clear() {
    let disk = MemDisk::new();
    populated(&disk);
    for n in [1, 2, 3, 9] {
        let digits = number(n).reveal();
        let national = &digits.to_string()[2..];
        for needle in [national.as_bytes(), &digits.to_le_bytes()[..6], &digits.to_be_bytes()[2..]] {
            assert_eq!(holding(&disk, needle), Vec::<String>::new(), "number {n}");
        }
        let unkeyed = hash::mix(digits).to_le_bytes();
        assert_eq!(holding(&disk, &unkeyed), Vec::<String>::new());
    }
    for needle in ["Anna", "Birch", "Carla", "key-of-c", "oops", "name"] {
        assert_eq!(holding(&disk, needle.as_bytes()), Vec::<String>::new(), "{needle}");
    }
}

#[test]
fn what_was_erased_is_gone_for_the_master_key_too() {
    let disk = MemDisk::new();
    let (vault, [a, b, c]) = populated(&disk);
    let slot = |name: &str, size: usize, i: usize| {
        disk.read(&Path::new(DIR).join(name)).unwrap()[64 + i * size..][..size].to_vec()
    };
    // the key's random bytes, the keyed hashes of number 1 and 2 and of the source key: each is there before …
    let key = slot("keys", 40, 1)[..32].to_vec();
    let number_1 = slot("assigned", 88, 1)[..16].to_vec();
    let number_2 = slot("assigned", 88, 2)[..16].to_vec();
    let sealed_1 = slot("assigned", 88, 1)[52..76].to_vec();
    let source = slot("sources", 24, 1)[..16].to_vec();
    let foreign = slot("foreign", 64, 0);
    assert_eq!(holding(&disk, &number_1), ["assigned", "foreign"]);
    assert_eq!(holding(&disk, &number_2), ["assigned", "suppressed"]);
    assert_eq!(vault.erase(b).unwrap(), ErasedData { assignments: 3, foreign: 1 });
    // … and afterwards only the suppression of 2, and 1 as the former holder's own
    for needle in [&key, &sealed_1, &source, &foreign] {
        assert_eq!(holding(&disk, needle), Vec::<String>::new());
    }
    assert_eq!(holding(&disk, &number_2), ["suppressed"]);
    assert_eq!(holding(&disk, &number_1), ["assigned"]);
    assert_eq!(slot("keys", 40, 1), [0; 40]);
    for vault in [vault, open(&disk).unwrap()] {
        assert!(vault.is_erased(b) && !vault.is_erased(a));
        assert_eq!(vault.number_of(b, day(25)).unwrap(), None);
        assert_eq!((vault.secret(b, "name").unwrap(), vault.secrets(b).unwrap()), (None, vec![]));
        assert_eq!(vault.ordinal(&number(2).reveal().to_string()), None);
        assert!(vault.is_suppressed(number(2)), "suppression outlives erasure");
        let holder = |d| vault.holder(number(1), day(d));
        assert_eq!([15, 19, 20, 99].map(holder), [Some(a), Some(a), None, None], "not given back to the former holder");
        assert_eq!(vault.holder(number(2), day(3)), None);
        assert_eq!(vault.party(Dialled::Number(number(1)), day(0)), None, "its foreign past is gone");
        assert_eq!(vault.secret(c, "name").unwrap().as_deref(), Some("Carla Cedar"));
        assert!(matches!(
            vault.put_secrets(&[SecretRow { subscriber: b, field: "name", text: "x" }]),
            Err(VaultError::Erased { .. })
        ));
        assert_eq!(vault.erase(b).unwrap(), ErasedData::default());
        vault.verify().unwrap();
    }
    // the same person again is somebody new
    let vault = open(&disk).unwrap();
    assert_eq!(vault.ensure_subscribers(&[&number(2).reveal().to_string()]).unwrap(), [SubscriberId(3)]);
}

#[test]
fn an_interrupted_erasure_is_finished_or_never_began() {
    let mut ends = [0, 0];
    for n in 1..20 {
        let disk = MemDisk::new();
        let (vault, [a, b, _]) = populated(&disk);
        disk.fail_at(n, Fault::Halt);
        let outcome = vault.erase(b);
        disk.crash(n);
        let vault = open(&disk).unwrap();
        vault.verify().unwrap();
        let erased = vault.is_erased(b);
        assert!(erased || outcome.is_err());
        ends[usize::from(erased)] += 1;
        assert_eq!(vault.number_of(b, day(25)).unwrap().is_none(), erased);
        assert_eq!(vault.secret(b, "name").unwrap().is_none(), erased);
        assert_eq!(vault.holder(number(1), day(25)), (!erased).then_some(b));
        assert_eq!(vault.number_of(a, day(15)).unwrap(), Some(number(1)));
        if erased {
            let keys = disk.read(&Path::new(DIR).join("keys")).unwrap();
            assert_eq!(keys[64 + 40..][..40], [0; 40]);
        }
    }
    assert!(ends[0] >= 3 && ends[1] >= 8, "{ends:?}");
}

#[test]
fn keys_and_directories_of_others_are_refused() {
    let disk = MemDisk::new();
    populated(&disk);
    let e = open_as(&disk, &MasterKey::from_bytes([8; 32]), 1, 5).err().unwrap().to_string();
    assert_eq!(
        e,
        "the master key does not open the vault `/data/vault/root`: give the key that this vault was made with"
    );
    let e = open_as(&disk, &master(), 2, 5).err().unwrap().to_string();
    assert!(e.contains("belongs to tenant 1, not 2"), "{e}");
    for name in ["root", "keys", "sources", "assigned", "commits", "suppressed", "suppressed-commits", "texts"] {
        let path = Path::new(DIR).join(name);
        let bytes = disk.read(&path).unwrap();
        disk.remove(&path).unwrap();
        let e = open(&disk).err().unwrap().to_string();
        assert_eq!(
            e,
            format!(
                "vault file `{}` is missing, though others of this vault are there; restore the vault from a backup",
                path.display()
            )
        );
        let mut newer = bytes.clone();
        newer[8] = 2;
        disk.write_whole(&path, &newer).unwrap();
        assert!(matches!(open(&disk), Err(VaultError::NewerFormat { found: 2, known: 1, .. })));
        disk.write_whole(&path, &bytes[..bytes.len() - 1]).unwrap();
        if !name.contains("commits") {
            assert!(matches!(open(&disk), Err(VaultError::Corrupt { .. })), "{name}");
        }
        disk.write_whole(&path, &bytes).unwrap();
        open(&disk).unwrap();
    }
}

#[test]
fn an_interrupted_making_is_begun_anew_and_a_lost_half_is_noticed() {
    for n in 1..60 {
        let disk = MemDisk::new();
        disk.fail_at(n, Fault::Halt);
        drop(open(&disk));
        disk.crash(n);
        let vault = open(&disk).unwrap();
        assert_eq!(vault.ensure_subscribers(&["a"]).unwrap(), [SubscriberId(0)]);
    }
    let disk = MemDisk::new();
    populated(&disk);
    for name in ["suppressed", "suppressed-commits"] {
        disk.remove(&Path::new(DIR).join(name)).unwrap();
    }
    assert!(matches!(open(&disk), Err(VaultError::Missing { .. })), "opt-outs are never lost in silence");
}

#[test]
fn a_new_master_key_replaces_the_old_one() {
    let disk = MemDisk::new();
    let (vault, [a, ..]) = populated(&disk);
    let new = MasterKey::from_bytes([9; 32]);
    vault.rotate(&new).unwrap();
    assert!(matches!(open(&disk), Err(VaultError::WrongKey { .. })));
    let vault = open_as(&disk, &new, 1, 77).unwrap();
    assert_eq!(vault.number_of(a, day(12)).unwrap(), Some(number(1)));
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let disk = MemDisk::new();
    let (vault, [a, b, c]) = populated(&disk);
    vault.erase(c).unwrap();
    let answers = |v: &Vault| {
        let at = [day(3), day(15), day(25)];
        let numbers: Vec<_> = [a, b, c].iter().flat_map(|&s| at.map(|t| v.number_of(s, t).unwrap())).collect();
        let names: Vec<_> = [a, b, c].iter().map(|&s| v.secret(s, "name").unwrap()).collect();
        (numbers, names, Stats { memory_bytes: 0, ..v.stats() }, [1, 2, 3, 9].map(|n| v.suppression(number(n))))
    };
    let want = answers(&vault);
    let mut shown = String::new();
    for (path, bytes) in files(&disk) {
        let (mut found, mut harmless) = (0, 0);
        for bit in (0..bytes.len() as u64 * 8).step_by(5) {
            disk.flip_bit(&path, bit).unwrap();
            match open(&disk).and_then(|v| v.verify().map(|()| v)) {
                Err(_) => found += 1,
                Ok(v) => {
                    harmless += 1;
                    assert_eq!(answers(&v), want, "{} bit {bit}", path.display());
                }
            }
            disk.write_whole(&path, &bytes).unwrap();
        }
        let name = path.file_name().unwrap().to_string_lossy();
        writeln!(shown, "{name}: {found} found, {harmless} harmless").unwrap();
    }
    expect![[r#"
        assigned: 666 found, 141 harmless
        commits: 103 found, 1843 harmless
        destroyed: 218 found, 0 harmless
        foreign: 308 found, 0 harmless
        keys: 231 found, 64 harmless
        root: 205 found, 0 harmless
        sources: 180 found, 38 harmless
        suppressed: 167 found, 0 harmless
        suppressed-commits: 103 found, 205 harmless
        texts: 674 found, 94 harmless
    "#]]
    .assert_eq(&shown);
}

#[derive(Clone, Debug)]
enum Step {
    Enrol(Vec<u8>),
    Assign(u8, u8, u8),
    Dial(u8),
    Name(u8, u8),
    Suppress(u8),
    Lift(u8),
    Erase(u8),
    Fault(u64, Fault),
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![Just(Fault::Halt), Just(Fault::Error), Just(Fault::Full)];
    let step = prop_oneof![
        2 => proptest::collection::vec(0..12u8, 1..5).prop_map(Step::Enrol),
        3 => (0..8u8, 0..5u8, 0..20u8).prop_map(|(s, n, d)| Step::Assign(s, n, d)),
        1 => (0..8u8).prop_map(Step::Dial),
        2 => (0..8u8, any::<u8>()).prop_map(|(s, t)| Step::Name(s, t)),
        2 => (0..6u8).prop_map(Step::Suppress),
        1 => (0..6u8).prop_map(Step::Lift),
        1 => (0..8u8).prop_map(Step::Erase),
        2 => (1..9u64, fault).prop_map(|(n, f)| Step::Fault(n, f)),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..50)
}

/// What was acknowledged. A call that failed may have done its work or not; it is repeated after the crash.
#[derive(Default)]
struct Model {
    keys: Vec<(u8, bool)>,
    facts: Vec<(u32, u8, i64)>,
    foreign: Vec<(u8, u32)>,
    names: hash::FixedMap<u32, String>,
    suppressed: [bool; 6],
}

impl Model {
    fn ordinal(&self, key: u8) -> Option<u32> {
        self.keys.iter().position(|&k| k == (key, true)).map(|i| i as u32)
    }
    fn apply(&mut self, vault: &Vault, step: &Step) -> Result<(), VaultError> {
        let count = self.keys.len() as u32;
        let pick = |s: u8| (count > 0).then(|| u32::from(s) % count).filter(|&s| self.keys[s as usize].1);
        match step {
            Step::Enrol(keys) => {
                let text: Vec<String> = keys.iter().map(|k| format!("key{k}")).collect();
                let got = vault.ensure_subscribers(&text.iter().map(String::as_str).collect::<Vec<_>>())?;
                for (&key, ordinal) in keys.iter().zip(got) {
                    if self.ordinal(key).is_none() {
                        self.keys.push((key, true));
                    }
                    assert_eq!(self.ordinal(key), Some(ordinal.0));
                }
            }
            Step::Assign(s, n, d) => {
                let Some(sub) = pick(*s) else { return Ok(()) };
                vault.assign(&[assignment(SubscriberId(sub), (*n).into(), day((*d).into()), Timestamp::MAX)])?;
                let covered = self.holder(*n, (*d).into()) == Some(sub)
                    && !self.facts.iter().any(|f| f.1 == *n && f.2 > i64::from(*d));
                let known = self.facts.contains(&(sub, *n, (*d).into()));
                if !covered && !known {
                    self.facts.push((sub, *n, (*d).into()));
                }
            }
            Step::Dial(n) => {
                let party = vault.ensure_parties(&[(Dialled::Number(number((*n).into())), day(-5))])?[0];
                let Some(Party::Foreign(f)) = party.party() else { panic!("{party:?}") };
                match self.foreign.iter().find(|x| x.0 == *n) {
                    Some(&(_, id)) => assert_eq!(id, f.0),
                    None => self.foreign.push((*n, f.0)),
                }
            }
            Step::Name(s, t) => {
                let Some(sub) = pick(*s) else { return Ok(()) };
                let text = format!("name {t}");
                vault.put_secrets(&[SecretRow { subscriber: SubscriberId(sub), field: "name", text: &text }])?;
                self.names.insert(sub, text);
            }
            Step::Suppress(n) => {
                vault.suppress(&[suppress_row((*n).into(), day(1))])?;
                self.suppressed[usize::from(*n)] = true;
            }
            Step::Lift(n) => {
                vault.unsuppress(number((*n).into()), day(1))?;
                self.suppressed[usize::from(*n)] = false;
            }
            Step::Erase(s) => {
                let Some(sub) = pick(*s) else { return Ok(()) };
                vault.erase(SubscriberId(sub))?;
                self.keys[sub as usize].1 = false;
                self.names.remove(&sub);
                let numbers: Vec<u8> = self.facts.iter().filter(|f| f.0 == sub).map(|f| f.1).collect();
                self.foreign.retain(|(n, _)| !numbers.contains(n));
                for n in numbers {
                    match self.facts.iter().any(|f| f.1 == n && f.0 != sub && f.0 != u32::MAX) {
                        // others do not get the number back: from then on it is nobody's
                        true => self.facts.iter_mut().filter(|f| (f.0, f.1) == (sub, n)).for_each(|f| f.0 = u32::MAX),
                        false => self.facts.retain(|f| f.1 != n),
                    }
                }
            }
            Step::Fault(..) | Step::Crash => {}
        }
        Ok(())
    }
    fn holder(&self, n: u8, d: i64) -> Option<u32> {
        let began = self.facts.iter().enumerate().filter(|(_, f)| f.1 == n && f.2 <= d);
        began.max_by_key(|(i, f)| (f.2, *i)).map(|(_, f)| f.0).filter(|&s| s != u32::MAX)
    }
    fn check(&self, vault: &Vault) {
        for (i, &(key, live)) in self.keys.iter().enumerate() {
            let sub = SubscriberId(i as u32);
            if live {
                assert_eq!(vault.ordinal(&format!("key{key}")), Some(sub));
            }
            assert_eq!(vault.is_erased(sub), !live);
            assert_eq!(vault.secret(sub, "name").unwrap(), self.names.get(&(i as u32)).cloned());
        }
        for n in 0..6u8 {
            assert_eq!(vault.is_suppressed(number(n.into())), self.suppressed[usize::from(n)]);
            for d in 0..22 {
                let holder = self.holder(n, d);
                assert_eq!(vault.holder(number(n.into()), day(d)).map(|s| s.0), holder, "number {n} day {d}");
                if let Some(s) = holder {
                    assert!(vault.has_number(SubscriberId(s), day(d)));
                    assert!(vault.number_of(SubscriberId(s), day(d)).unwrap().is_some());
                    if vault.number_of(SubscriberId(s), day(d)).unwrap() == Some(number(n.into())) {
                        assert_eq!(vault.is_suppressed_sub(SubscriberId(s), day(d)), self.suppressed[usize::from(n)]);
                    }
                }
            }
        }
        for &(n, id) in &self.foreign {
            assert_eq!(vault.foreign_number(kairos_model::ForeignId(id)).unwrap(), Some(number(n.into())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn what_was_acknowledged_survives_and_a_repeated_call_completes_the_rest(steps in steps(), seed: u64) {
        let disk = MemDisk::new();
        let mut vault = open(&disk).unwrap();
        let mut model = Model::default();
        for (i, step) in steps.iter().enumerate() {
            let failed = match step {
                Step::Fault(n, fault) => {
                    disk.fail_at(*n, *fault);
                    continue;
                }
                Step::Crash => true,
                step => match model.apply(&vault, step) {
                    Ok(()) => false,
                    Err(_) => true,
                },
            };
            if failed {
                disk.crash(hash::salted(seed, i as u64));
                // and once more while it recovers
                disk.fail_at(1 + seed % 5, Fault::Halt);
                drop(open(&disk));
                disk.crash(hash::salted(!seed, i as u64));
                vault = open(&disk).expect("a crash never damages what was committed");
                model.apply(&vault, step).expect("no fault is left");
                model.check(&vault);
            }
        }
        model.check(&vault);
        vault.verify().unwrap();
        drop(vault);
        disk.crash(seed);
        model.check(&open(&disk).unwrap());
    }
}

#[test]
fn an_opt_out_does_not_wait_for_an_import() {
    let disk = MemDisk::new();
    let vault = open(&disk).unwrap();
    let keys: Vec<String> = (0..30_000).map(|i| format!("key{i}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    std::thread::scope(|scope| {
        let import = scope.spawn(|| {
            let subs = vault.ensure_subscribers(&keys).unwrap();
            let batch: Vec<_> = subs.iter().map(|&s| assignment(s, s.0.into(), day(1), Timestamp::MAX)).collect();
            vault.assign(&batch).unwrap();
        });
        for n in 0..200 {
            vault.suppress(&[suppress_row(n, day(2))]).unwrap();
            assert!(vault.is_suppressed(number(n)));
        }
        import.join().unwrap();
    });
    assert!((0..200).all(|n| vault.is_suppressed_sub(SubscriberId(n), day(2))));
    assert!(!vault.is_suppressed_sub(SubscriberId(200), day(2)));
    assert_eq!(vault.party(Dialled::Number(number(7)), day(3)), Some(PartyId::from(SubscriberId(7))));
}

/// An opt-out whose process was killed before the sync is "known already" to the next one, which acknowledges it: so it
/// must be durable by then. (Simulation, seed 217.)
#[test]
fn a_suppression_of_a_killed_process_is_made_durable_by_the_next() {
    for seed in 0..40 {
        let disk = MemDisk::new();
        let vault = open(&disk).unwrap();
        // write, sync, write of the commit, sync of the commit: the last fails
        disk.fail_at(4, Fault::Error);
        vault.suppress(&[suppress_row(1, day(1))]).unwrap_err();
        disk.kill();
        let vault = open(&disk).unwrap();
        assert_eq!(vault.suppress(&[suppress_row(1, day(2))]).unwrap(), 0, "known already: nothing is written");
        drop(vault);
        disk.crash(seed);
        assert!(open(&disk).unwrap().is_suppressed(number(1)), "seed {seed}");
    }
}
