//! What a vault keeps and gives back.

use crate::*;
use kairos_model::{Party, PartyId, ShortCode};
use kairos_vault::AssignCounts;

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
