//! Intake: good files, bad files, and nothing half-done.

use crate::cli::{AS_OF, Process, Ran, Tenant, counts, files_below, province, province_text, repository};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A tenant whose customers and numbers are known: call records find their subscribers.
fn registered() -> Tenant {
    let t = Tenant::new();
    assert_eq!(t.import("subscribers", &province().join("subscribers.csv")), [1000, 1000, 0, 0]);
    assert_eq!(t.import("numbers", &province().join("numbers.csv")), [1001, 1001, 0, 0]);
    t
}

fn lines(file: &str, from: usize, to: usize) -> String {
    province_text(file).lines().skip(from).take(to - from).map(|l| format!("{l}\n")).collect()
}

/// The header of the call records and these rows.
fn records(rows: &str) -> String {
    format!("{}{rows}", lines("usage-2025-12.csv", 0, 1))
}

/// field, reason, rows, first row of each kind of fault.
fn faults(imported: &Value) -> Vec<(String, String, u64, u64)> {
    let of = |f: &Value| {
        let text = |k: &str| f[k].as_str().unwrap_or("-").to_owned();
        (text("field"), text("reason"), f["rows"].as_u64().unwrap(), f["first_row"].as_u64().unwrap())
    };
    imported["imports"][0]["faults"].as_array().unwrap().iter().map(of).collect()
}

/// What a tool of the system makes of these bytes.
fn through(tool: &str, args: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(tool).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{tool}");
        output.stdout
    })
}

#[test]
fn a_wrong_delimiter_is_named_with_the_right_one() {
    let t = Tenant::new();
    let file = t.write("semicolons.csv", province_text("subscribers.csv").replace(',', ";"));
    let e = t.refused(&["import", "--layout", "subscribers", file.to_str().unwrap()]);
    e.is(2, "import_file", &["semicolons.csv` is not delimited by \",\"", "set delimiter = \";\" in [file] of layout"]);
    assert_eq!(t.import("subscribers", &province().join("subscribers.csv")), [1000, 1000, 0, 0], "nothing was kept");
}

#[test]
fn a_wrong_encoding_is_named_and_the_right_one_reads() {
    let t = Tenant::new();
    let gbk = through("iconv", &["-f", "utf-8", "-t", "gbk"], province_text("subscribers.csv").as_bytes());
    let file = t.write("gbk.csv", gbk);
    let path = file.to_str().unwrap();
    let e = t.refused(&["import", "--layout", "subscribers", path]);
    e.is(2, "import_file", &["gbk.csv` is not utf-8", "set `encoding` in [file] of layout `subscribers`", "gb18030"]);
    let layout = fs::read_to_string(repository().join("province/layouts/subscribers.toml")).unwrap();
    t.write("ours.toml", layout.replace("\"utf-8\"", "\"gbk\""));
    assert_eq!(counts(&t.json(&["import", "--layout", "ours.toml", path])["imports"][0]), [1000, 1000, 0, 0]);
}

#[test]
fn a_truncated_gzip_leaves_nothing_and_the_whole_one_is_taken() {
    let t = registered();
    let before = files_below(&t.data().join("lake"));
    let whole = through("gzip", &["-1"], province_text("usage-2025-12.csv").as_bytes());
    let cut = t.write("usage.csv.gz", &whole[..whole.len() / 2]);
    let e = t.refused(&["import", "--layout", "usage", cut.to_str().unwrap()]);
    e.is(2, "import_file", &["usage.csv.gz` is a broken gzip file: it ends early", "fetch it again"]);
    assert_eq!(files_below(&t.data().join("lake")), before);
    t.write("usage.csv.gz", &whole);
    assert_eq!(t.import("usage", &cut), [22605, 22597, 0, 8]);
    // the same rows unpacked: another file, no new row
    assert_eq!(t.import("usage", &province().join("usage-2025-12.csv")), [22605, 0, 22597, 8]);
}

#[test]
fn a_repeated_header_and_a_line_of_10_mb_are_one_row_each() {
    let t = registered();
    let file = "usage-2025-12.csv";
    let twice = format!("{}{}{}", lines(file, 0, 101), lines(file, 0, 1), lines(file, 101, 201));
    let imported = t.json(&["import", "--layout", "usage", t.write("twice.csv", twice).to_str().unwrap()]);
    assert_eq!(counts(&imported["imports"][0]), [201, 200, 0, 1]);
    assert_eq!(faults(&imported), [("-".to_owned(), "repeated header".to_owned(), 1, 102)]);
    let long = format!("{}{}\n{}", lines(file, 0, 101), "x".repeat(10_000_000), lines(file, 201, 301));
    let imported = t.json(&["import", "--layout", "usage", t.write("long.csv", long).to_str().unwrap()]);
    assert_eq!(counts(&imported["imports"][0]), [201, 100, 100, 1]);
    assert_eq!(faults(&imported), [("-".to_owned(), "longer than line_max = 65536 bytes".to_owned(), 1, 102)]);
}

#[test]
fn numbers_are_read_as_people_write_them_and_bad_rows_are_counted_with_field_and_reason() {
    let t = registered();
    let number = lines("numbers.csv", 1, 2).split(',').nth(1).unwrap().to_owned();
    let spaced = format!("+86 {} {} {}", &number[..3], &number[3..7], &number[7..]);
    let rest = "2026-01-02 16:05:11,293,,15194,local,home,1,0.00,";
    let rows = format!(
        "900001,{spaced},135-5635-2508,voice_in,{rest}\n\
         900002,86{number},0086 13556352508,voice_in,{rest}\n\
         900003, {number} ,10086,voice_in,{rest}\n\
         900004,12345,13556352508,voice_in,{rest}\n\
         900005,{number},13556352508,voice_in,02/01/2026,293,,15194,local,home,1,0.00,\n\
         900006,{number},13556352508,voice_in,2026-01-02 16:06:11,x,,15194,local,home,1,0.00,\n\
         900007,{number}\n\
         900008,13900000000,13556352508,voice_in,{rest}\n\
         900009,{number},13556352508,voice_in,2026-01-02 16:06:11,y,,15194,local,home,1,0.00,\n"
    );
    let args = ["import", "--layout", "usage", "numbers-as-written.csv"];
    t.write("numbers-as-written.csv", records(&rows));
    let imported = t.json(&args);
    assert_eq!(counts(&imported["imports"][0]), [9, 3, 0, 6], "{imported:#}");
    let nobody = "the number belongs to no subscriber at that time; import the `number` history first";
    let expected = [
        ("subscriber", "a short code is no subscriber's number", 1, 5),
        ("at", "no time in the layout's format", 1, 6),
        ("duration_s", "no plain decimal number", 2, 7),
        ("-", "2 field(s) instead of 13", 1, 8),
        ("subscriber", nobody, 1, 9),
    ];
    assert_eq!(faults(&imported), expected.map(|(f, r, n, row)| (f.to_owned(), r.to_owned(), n, row)));
    // for people, the same below the counts
    let t = registered();
    t.write("numbers-as-written.csv", records(&rows));
    let text = t.ok(&args);
    assert!(text.contains("quarantined of numbers-as-written.csv\nfirst row  field"), "{text}");
}

#[test]
fn an_empty_file_and_an_empty_snapshot_are_refused() {
    let t = Tenant::loaded();
    let empty = t.write("empty.csv", "");
    t.refused(&["import", "--layout", "usage", empty.to_str().unwrap()]).is(
        2,
        "import_file",
        &["empty.csv` holds no row"],
    );
    // a register that holds nobody would empty the base
    let bare = t.write("bare.csv", lines("subscribers.csv", 0, 1));
    t.refused(&["import", "--layout", "subscribers", bare.to_str().unwrap()]).is(
        2,
        "import_file",
        &["bare.csv` holds no row"],
    );
    // a month without records is possible
    assert_eq!(t.import("usage", &t.write("none.csv", records(""))), [0, 0, 0, 0]);
}

#[test]
fn a_file_that_does_not_fit_its_layout_or_a_layout_that_is_wrong_names_the_column() {
    let t = Tenant::new();
    let numbers = province().join("numbers.csv");
    let numbers = numbers.to_str().unwrap();
    let e = t.refused(&["import", "--layout", "subscribers", numbers]);
    e.is(2, "import_file", &["no column `brand`", "the header is: subscriber_id, msisdn, since, until"]);
    let layout = fs::read_to_string(repository().join("province/layouts/numbers.toml")).unwrap();
    t.write("ours.toml", layout.replace("to = \"msisdn\"", "to = \"msisdm\""));
    let e = t.refused(&["import", "--layout", "ours.toml", numbers]);
    e.is(2, "layout", &["ours.toml", "column `msisdm`", "did you mean `msisdn`?"]);
    t.write("broken.toml", "id = ");
    t.refused(&["import", "--layout", "broken.toml", numbers]).is(2, "layout", &["broken.toml", "line 1"]);
    t.refused(&["import", "--layout", "nums", numbers]).is(3, "layout", &["`", "nums`", "known: bills, cmcc-gn-http"]);
    t.refused(&["import", "--layout", "numbers", "none.csv"]).is(2, "import_file", &["none.csv`"]);
    let e = t.refused(&["import", "--layout", "numbers", "--as-of", "yesterday", numbers]);
    e.is(2, "time", &["`yesterday` is no time; write 2026-03-02T09:00"]);
}

#[test]
fn of_several_files_a_failure_says_which_are_in() {
    let t = Tenant::new();
    let numbers = province().join("numbers.csv");
    let e = t.refused(&["import", "--layout", "numbers", numbers.to_str().unwrap(), "none.csv"]);
    e.is(2, "import_file", &["none.csv`"]);
    assert_eq!(e.errors, json!([{"place": "numbers.csv", "detail": "imported, 1001 rows"}]));
    assert_eq!(t.import("numbers", &numbers), [1001, 0, 1001, 0]);
}

#[test]
fn a_repeated_file_and_an_overlapping_extract_change_nothing() {
    let t = registered();
    let file = "usage-2026-01.csv";
    let first = t.write("first.csv", lines(file, 0, 1001));
    assert_eq!(t.import("usage", &first), [1000, 1000, 0, 0]);
    let before = files_below(&t.data().join("lake"));
    assert_eq!(t.import("usage", &first), [1000, 0, 1000, 0]);
    // the same content by another name
    assert_eq!(t.import("usage", &t.write("renamed.csv", lines(file, 0, 1001))), [1000, 0, 1000, 0]);
    assert_eq!(files_below(&t.data().join("lake")), before);
    let overlapping = format!("{}{}", lines(file, 0, 1), lines(file, 501, 1501));
    assert_eq!(t.import("usage", &t.write("overlap.csv", overlapping)), [1000, 500, 500, 0]);
    // within one file too
    let twice = format!("{}{}{}", lines(file, 0, 1), lines(file, 1501, 1511), lines(file, 1501, 1511));
    assert_eq!(t.import("usage", &t.write("twice.csv", twice)), [20, 10, 10, 0]);
}

/// The import is held at half of its file by a pipe, and killed there.
#[test]
fn a_killed_import_leaves_nothing_and_runs_again() {
    let never_killed = registered();
    let file = province().join("usage-2025-12.csv");
    let expected = never_killed.import("usage", &file);

    let t = registered();
    let pipe = t.path("usage.pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = t.command(&["import", "--layout", "usage", pipe.to_str().unwrap()]);
    let mut process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let text = fs::read(&file).unwrap();
    // read once whole for the hash, then for the rows
    fs::OpenOptions::new().write(true).open(&pipe).unwrap().write_all(&text).unwrap();
    let mut rows = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    rows.write_all(&text[..text.len() / 2]).unwrap();
    process.kill();

    assert_eq!(t.import("usage", &file), expected);
    assert_eq!(files_below(&t.data().join("lake")), files_below(&never_killed.data().join("lake")));
    let count = |t: &Tenant| {
        t.ok(&["--quiet", "tag", "compute", "--as-of", AS_OF]);
        t.json(&["audience", "count", "calls_out_3m >= 10"])["count"].clone()
    };
    assert_eq!(count(&t), count(&never_killed));
}

/// `orders.parquet` was written by pyarrow 26: five orders, one without a subscriber; a dictionary, timestamps, nulls.
#[test]
fn parquet_is_read_by_the_same_layouts() {
    let t = registered();
    let layout = fs::read_to_string(repository().join("province/layouts/orders.toml")).unwrap();
    let layout = layout.replace("format = \"csv\"", "format = \"parquet\"");
    t.write("ours.toml", &layout);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/orders.parquet");
    let imported = t.json(&["import", "--layout", "ours.toml", file.to_str().unwrap()]);
    assert_eq!(counts(&imported["imports"][0]), [5, 0, 0, 5]);
    let fault = |field: &str, reason: &str, rows, first| (field.to_owned(), reason.to_owned(), rows, first);
    let blank = fault("subscriber", "required, but blank", 1, 5);
    assert_eq!(faults(&imported), [fault("at", "no time in the layout's format", 4, 1), blank.clone()]);
    // a mended layout reads the same file anew; its timestamps come as text of ISO 8601
    t.write("ours.toml", layout.replace("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"));
    let imported = t.json(&["import", "--layout", "ours.toml", file.to_str().unwrap()]);
    assert_eq!((counts(&imported["imports"][0]), faults(&imported)), ([5, 4, 0, 1], vec![blank]));
    assert_eq!(t.import("ours.toml", &file), [5, 0, 5, 0]);
    let bytes = fs::read(&file).unwrap();
    let cut = t.write("cut.parquet", &bytes[..1500]);
    let e = t.refused(&["import", "--layout", "ours.toml", cut.to_str().unwrap()]);
    e.is(2, "import_file", &["cannot read as Parquet", "cut.parquet`"]);
    let e = t.refused(&["import", "--layout", "orders", file.to_str().unwrap()]);
    e.is(2, "import_file", &["orders.parquet` is", "Parquet"]);
}

#[test]
fn public_files_are_read_by_the_layouts_that_ship() {
    let t = Tenant::new();
    let data = repository().join("crates/connect/tests/data");
    let rows = |name: &str| fs::read_to_string(data.join(name)).unwrap().lines().count() as u64 - 1;
    for (layout, file) in [
        ("megaline-users", "megaline_users.csv"),
        ("megaline-calls", "megaline_calls.csv"),
        ("megaline-messages", "megaline_messages.csv"),
        ("megaline-internet", "megaline_internet.csv"),
        ("ibm-churn", "ibm_churn.csv"),
    ] {
        let n = rows(file);
        assert_eq!(t.import(layout, &data.join(file)), [n, n, 0, 0], "{file}");
        assert_eq!(t.import(layout, &data.join(file)), [n, 0, n, 0], "{file} again");
    }
}

#[test]
fn the_whole_province_goes_in_with_these_counts() {
    let t = Tenant::new();
    let seen: Vec<(&str, [u64; 4])> =
        crate::cli::FILES.iter().map(|&(layout, file)| (file, t.import(layout, &province().join(file)))).collect();
    assert_eq!(
        seen,
        [
            ("subscribers.csv", [1000, 1000, 0, 0]),
            ("numbers.csv", [1001, 1001, 0, 0]),
            ("products.csv", [1478, 1478, 0, 0]),
            ("consents.csv", [4342, 4342, 0, 0]),
            ("suppression.csv", [15, 15, 0, 0]),
            ("usage-2025-12.csv", [22605, 22597, 0, 8]),
            ("usage-2026-01.csv", [22347, 22335, 0, 12]),
            ("usage-2026-02.csv", [21622, 21613, 0, 9]),
            ("bills.csv", [2957, 2957, 0, 0]),
            ("contacts.csv", [4272, 4271, 0, 1]),
            ("orders.csv", [674, 674, 0, 0]),
            ("devices.csv", [44, 44, 0, 0]),
            ("device_history.csv", [1588, 1588, 0, 0]),
            ("payments.csv", [4138, 4138, 0, 0]),
            ("content.csv", [6000, 6000, 0, 0]),
            ("web_visits.csv", [8529, 8529, 0, 0]),
            ("page_views.csv", [2243, 2243, 0, 0]),
        ]
    );
    let orphans: Vec<PathBuf> =
        files_below(&t.data()).into_iter().filter(|f| f.extension().is_some_and(|e| e == "tmp")).collect();
    assert_eq!(orphans, Vec::<PathBuf>::new());
    let again: Ran = t.run(&["import", "--layout", "usage", province().join("usage-2025-12.csv").to_str().unwrap()]);
    assert!(again.stdout.contains("known file"), "{}", again.stdout);
}
