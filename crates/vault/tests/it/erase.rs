//! Nothing in clear, and nothing left of whom was erased.

use crate::*;
use kairos_model::{hash, mem_disk::Fault};
use kairos_vault::ErasedData;

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
