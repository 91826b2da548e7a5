//! The bytes of each version, strangers' keys and directories, flipped bits.

use crate::*;
use expect_test::expect;
use kairos_model::mem_disk::Fault;
use kairos_vault::Stats;
use std::fmt::Write;

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
