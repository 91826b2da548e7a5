//! Files in: duplicates, versions, crashes.

use crate::kit::{File, ask, at, files, import, keys, meta, open, rows};
use expect_test::expect;
use kairos_lake::{Counts, LakeError, Mode, Reject};

const JANUARY: File = File {
    name: "usage-01.csv",
    table: "usage",
    mode: Mode::Append,
    as_of: "2026-03-02T00:00:00Z",
    keys: &["subscriber", "at", "kind"],
    rows: "subscriber:subscriber kind:text at:time duration_s:int charge:money
           1 voice_out 2026-01-05T08:00:00Z 60 0.30
           2 sms_out   2026-01-06T08:00:00Z -  0.10
           2 sms_out   2026-01-06T08:00:00Z -  0.10
           3 data      2026-01-31T15:59:59Z -  0.000001",
};

/// Overlaps January by its last row, and adds a column.
const OVERLAP: File = File {
    name: "usage-01b.csv",
    rows: "subscriber:subscriber kind:text at:time duration_s:int charge:money tower:text
           3 data      2026-01-31T15:59:59Z -  0.000001 b7
           3 voice_in  2026-02-01T08:00:00Z 5  0        b7",
    ..JANUARY
};

const fn counts(read: u64, accepted: u64, duplicate: u64, quarantined: u64) -> Counts {
    Counts { read, accepted, duplicate, quarantined }
}

#[tokio::test]
async fn overlapping_extracts_and_repeated_files_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    assert_eq!(import(&lake, &JANUARY, &[9, 9, 12]), counts(6, 3, 1, 2));
    assert_eq!(import(&lake, &OVERLAP, &[]), counts(2, 1, 1, 0));
    assert_eq!(lake.known_file(&meta(&JANUARY)).unwrap().counts, counts(6, 3, 1, 2));
    assert!(matches!(lake.begin_import(meta(&JANUARY)), Err(LakeError::AlreadyImported { .. })));
    // the same rows under another name and hash
    let again = File { name: "copy.csv", ..JANUARY };
    assert_eq!(import(&lake, &again, &[]), counts(4, 0, 4, 0));
    // and after the process came back
    drop(lake);
    let lake = open(dir.path());
    assert!(lake.known_file(&meta(&OVERLAP)).is_some());
    expect![[r#"
        +------------+-----------+----------------------+------------+----------+-------+
        | subscriber | kind      | at                   | duration_s | charge   | tower |
        +------------+-----------+----------------------+------------+----------+-------+
        | 1          | voice_out | 2026-01-05T08:00:00Z | 60         | 0.300000 |       |
        | 2          | sms_out   | 2026-01-06T08:00:00Z |            | 0.100000 |       |
        | 3          | data      | 2026-01-31T15:59:59Z |            | 0.000001 |       |
        | 3          | voice_in  | 2026-02-01T08:00:00Z | 5          | 0.000000 | b7    |
        +------------+-----------+----------------------+------------+----------+-------+"#]]
    .assert_eq(
        &ask(
            &lake,
            "2026-03-02T00:00:00Z",
            "select subscriber, kind, at, duration_s, charge, tower from usage order by at",
        )
        .await,
    );
    expect![[r#"
        +--------------+-----+-------+---------+-----+
        | file         | row | field | reason  | raw |
        +--------------+-----+-------+---------+-----+
        | usage-01.csv | 9   | at    | no date | 9   |
        | usage-01.csv | 9   | at    | no date | 9   |
        | usage-01.csv | 12  | at    | no date | 12  |
        +--------------+-----+-------+---------+-----+"#]]
    .assert_eq(&ask(&lake, "2026-03-02T00:30:00Z", "select file, row, field, reason, raw from quarantine").await);
}

#[tokio::test]
async fn a_killed_import_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    import(&lake, &OVERLAP, &[]);
    let before = files(dir.path());
    let batch = rows(JANUARY.rows);
    let begin = |rejects: bool| {
        let mut i = lake.begin_import(meta(&JANUARY)).unwrap();
        i.push(&batch, &keys(&batch, JANUARY.keys)).unwrap();
        for row in (0..10_000).filter(|_| rejects) {
            i.reject(Reject { row, field: None, reason: "bad".to_owned(), raw: None }).unwrap();
        }
        i
    };
    // dropped: its files go at once
    drop(begin(true));
    assert_eq!(files(dir.path()), before);
    // killed: its files stay until the lake is opened again
    std::mem::forget(begin(true));
    assert!(files(dir.path()).len() > before.len());
    let lake = open(dir.path());
    assert_eq!(files(dir.path()), before);
    assert_eq!(import(&lake, &JANUARY, &[]), counts(4, 2, 2, 0));
}

#[test]
fn imports_open_at_once_judge_each_other_at_commit() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    let begin = |f: &File| {
        let mut i = lake.begin_import(meta(f)).unwrap();
        let batch = rows(f.rows);
        i.push(&batch, &keys(&batch, f.keys)).unwrap();
        i
    };
    let (a, b, same) = (begin(&JANUARY), begin(&OVERLAP), begin(&JANUARY));
    assert_eq!(b.commit().unwrap(), counts(2, 2, 0, 0));
    assert_eq!(a.commit().unwrap(), counts(4, 2, 2, 0));
    assert_eq!(same.commit().unwrap(), counts(4, 0, 4, 0));
    assert_eq!((lake.rows("usage").unwrap(), lake.imports().len()), (4, 2));
}

#[tokio::test]
async fn keys_that_do_not_fit_in_memory_are_merged_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = kairos_lake::LakeOptions { import_keys: 1_000, key_files: 2, ..Default::default() };
    let lake = kairos_lake::Lake::open(dir.path(), kairos_model::TenantId(1), crate::kit::zone(), options).unwrap();
    // file n holds the calls n·5,000 … n·5,000 + 9,999: half of each is in the file before, every call is in it twice
    for n in 0..6u64 {
        let name = format!("part-{n}");
        let f = File { name: &name, ..JANUARY };
        let mut i = lake.begin_import(meta(&f)).unwrap();
        for chunk in 0..10u64 {
            let one: Vec<String> = (0..1_000).map(|k| (n * 5_000 + chunk * 1_000 + k).to_string()).collect();
            let cells: Vec<&str> = one.iter().chain(&one).map(String::as_str).collect();
            let call = crate::kit::column("duration_s", kairos_model::table::ColumnType::Int, &cells);
            let batch = kairos_model::table::Batch {
                columns: vec![
                    crate::kit::column("at", kairos_model::table::ColumnType::Time, &["2026-01-05T08:00:00Z"; 2_000]),
                    call,
                ],
                source_rows: (0..2_000).collect(),
            };
            i.push(&batch, &keys(&batch, &["duration_s"])).unwrap();
        }
        let new = if n == 0 { 10_000 } else { 5_000 };
        assert_eq!(i.commit().unwrap(), counts(20_000, new, 20_000 - new, 0), "file {n}");
    }
    expect![[r#"
        +-------+----------+-------+-------+
        | calls | distinct | least | most  |
        +-------+----------+-------+-------+
        | 35000 | 35000    | 0     | 34999 |
        +-------+----------+-------+-------+"#]]
    .assert_eq(
        &ask(
            &lake,
            "2026-03-02T00:00:00Z",
            "select count(*) as calls, count(distinct duration_s) as \"distinct\", \
         min(duration_s) as least, max(duration_s) as most from usage",
        )
        .await,
    );
    drop(lake);
    let left: Vec<_> = files(dir.path()).into_iter().filter(|f| f.contains("run")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_newest_version_of_a_key_wins_and_older_ones_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    let january = File {
        name: "subscribers-01.csv",
        table: "subscriber",
        mode: Mode::Upsert,
        as_of: "2026-01-31T16:00:00Z",
        keys: &["subscriber"],
        rows: "subscriber:subscriber brand:text plan:text
               1 gotone  gotone88
               2 easyown easy18
               3 mzone   mzone20
               3 mzone   mzone30",
    };
    // of a file's equal keys the last one counts
    assert_eq!(import(&lake, &january, &[]), counts(4, 3, 1, 0));
    let february = File {
        name: "subscribers-02.csv",
        as_of: "2026-02-28T16:00:00Z",
        rows: "subscriber:subscriber brand:text plan:text
               1 gotone  gotone88
               2 gotone  gotone58
               4 mzone   mzone20",
        ..january
    };
    assert_eq!(import(&lake, &february, &[]), counts(3, 2, 1, 0));
    // an older extract that comes late adds history and does not win
    let december = File {
        name: "subscribers-12.csv",
        as_of: "2025-12-31T16:00:00Z",
        rows: "subscriber:subscriber brand:text plan:text
               1 easyown easy18
               2 easyown easy18",
        ..january
    };
    assert_eq!(import(&lake, &december, &[]), counts(2, 2, 0, 0));
    let q = "select subscriber, brand, plan from subscriber order by subscriber";
    let mut seen = String::new();
    for t in ["2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-02T00:00:00Z"] {
        let rows = kairos_lake::to_json(&lake.sql(at(t), q, Default::default()).await.unwrap().batches).unwrap();
        let line = |r: &serde_json::Map<String, serde_json::Value>| {
            format!(" {}={}", r["subscriber"], r["plan"].as_str().unwrap())
        };
        seen += &format!("{}:{}\n", &t[..10], rows.iter().map(line).collect::<String>());
    }
    expect![[r#"
        2025-12-01:
        2026-01-01: 1=easy18 2=easy18
        2026-02-01: 1=gotone88 2=easy18 3=mzone30
        2026-03-02: 1=gotone88 2=gotone58 3=mzone30 4=mzone20
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn a_snapshot_file_is_the_whole_state_of_its_layout() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    let first = File {
        name: "a.csv",
        table: "suppression",
        mode: Mode::Snapshot,
        as_of: "2026-02-01T00:00:00Z",
        keys: &["msisdn"],
        rows: "msisdn:subscriber_number since:time reason:text
               1 2026-01-01T00:00:00Z asked
               1 2026-01-01T00:00:00Z asked
               2 2026-01-02T00:00:00Z law",
    };
    let second = File {
        name: "b.csv",
        as_of: "2026-02-10T00:00:00Z",
        rows: "msisdn:subscriber_number since:time reason:text
               2 2026-01-02T00:00:00Z law",
        ..first
    };
    assert_eq!(import(&lake, &first, &[]), counts(3, 2, 1, 0));
    assert_eq!(import(&lake, &second, &[]), counts(1, 1, 0, 0));
    // the first state comes back: the same content at a later time is news
    assert!(lake.known_file(&meta(&first)).is_some());
    let back = File { as_of: "2026-02-20T00:00:00Z", ..first };
    assert_eq!(import(&lake, &back, &[]), counts(3, 2, 1, 0));
    let mut seen = Vec::new();
    for t in ["2026-01-20T00:00:00Z", "2026-02-01T00:00:00Z", "2026-02-15T00:00:00Z", "2026-02-25T00:00:00Z"] {
        let a = lake.sql(at(t), "select count(*) as n from suppression", Default::default()).await.unwrap();
        seen.push(kairos_lake::to_json(&a.batches).unwrap()[0]["n"].as_i64().unwrap());
    }
    assert_eq!(seen, [0, 2, 1, 2]);
    // nobody on the list is a state too
    let nobody = File { name: "c.csv", as_of: "2026-02-26T00:00:00Z", rows: "msisdn:subscriber_number", ..first };
    assert_eq!(import(&lake, &nobody, &[]), counts(0, 0, 0, 0));
    let a = lake.sql(at("2026-02-27T00:00:00Z"), "select count(*) as n from suppression", Default::default()).await;
    assert_eq!(kairos_lake::to_json(&a.unwrap().batches).unwrap()[0]["n"], 0);
}

#[test]
fn what_does_not_fit_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    let text = |f: &File| {
        let refused = lake.begin_import(meta(f)).and_then(|mut i| {
            let b = rows(f.rows);
            i.push(&b, &keys(&b, f.keys))
        });
        refused.unwrap_err().to_string()
    };
    expect!["unknown table `usages`; one of subscriber, number, usage, bill, contact_log, orders, product, consent, suppression, device, device_use, payment, content_use, web_visit, page_view, quarantine, decision, outcome"]
        .assert_eq(&text(&File { table: "usages", ..JANUARY }));
    expect!["column `charge` of table `usage` is money, not text; give the layout's column another name or type"]
        .assert_eq(&text(&File {
            rows: "subscriber:subscriber kind:text at:time charge:text\n1 a 2026-01-01T00:00:00Z x",
            ..JANUARY
        }));
    expect!["file name `in/usage.csv` has a folder in it; give its last part only"]
        .assert_eq(&text(&File { name: "in/usage.csv", ..JANUARY }));
    // two open imports that add one column with two types: the later commit is refused, and nothing of it stays
    let mut open_imports = Vec::new();
    for (name, kind, cell) in [("x.csv", "int", "7"), ("y.csv", "text", "seven")] {
        let table = format!("subscriber:subscriber kind:text at:time extra:{kind}\n1 a 2026-01-01T00:00:00Z {cell}");
        let f = File { name, rows: &table, ..JANUARY };
        let mut i = lake.begin_import(meta(&f)).unwrap();
        let b = rows(f.rows);
        i.push(&b, &keys(&b, f.keys)).unwrap();
        open_imports.push(i);
    }
    let mut open_imports = open_imports.into_iter();
    assert_eq!(open_imports.next().unwrap().commit().unwrap(), counts(1, 1, 0, 0));
    let before = files(dir.path());
    expect!["column `extra` of table `usage` is int, not text; give the layout's column another name or type"]
        .assert_eq(&open_imports.next().unwrap().commit().unwrap_err().to_string());
    assert!(files(dir.path()).len() < before.len());
}
