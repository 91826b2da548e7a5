//! Files as they come: encodings, delimiters, packings, real excerpts.

use crate::layout_kit::{cells, layout, options, plain, read, reader, try_read};
use expect_test::{Expect, expect};
use kairos_connect::layout::{Layout, Mapper, Packing, Reader, content_hash};
use std::{fs, io::Write as _, path::PathBuf};

const ROWS: &str = "subscriber,at,bytes,note\na,2026-03-02 08:30:00,1,天气\nb,2026-03-02 08:31:00,,\n";
const WANT: &str = "2: a 2026-03-02T00:30:00Z data 1024 天气\n3: b 2026-03-02T00:31:00Z data · ·\n";

fn check(layout: &Layout, bytes: &[u8], want: Expect) {
    want.assert_eq(&read(layout, bytes));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

#[test]
fn the_same_rows_come_out_however_the_file_is_written() {
    let gbk = encoding_rs::GBK.encode(ROWS).0.into_owned();
    let bom = format!("\u{feff}{ROWS}");
    let crlf = ROWS.replace('\n', "\r\n");
    let open_end = ROWS.trim_end();
    let quoted = ROWS.replace(',', "\",\"").replace('\n', "\"\n\"");
    let quoted = format!("\"{}", quoted.strip_suffix('"').expect("ends quoted"));
    let table: &[(&str, &[u8])] = &[
        ("", ROWS.as_bytes()),
        ("", bom.as_bytes()),
        ("", crlf.as_bytes()),
        ("", open_end.as_bytes()),
        ("", quoted.as_bytes()),
        ("encoding = \"gbk\"", &gbk),
        ("encoding = \"gb18030\"", &gbk),
        ("delimiter = \"|@|\"", &ROWS.replace(',', "|@|").into_bytes()),
        ("delimiter = \"\\t\"\nquote = \"\"", &ROWS.replace(',', "\t").into_bytes()),
        ("delimiter = \"，\"", &ROWS.replace(',', "，").into_bytes()),
    ];
    for (file, bytes) in table {
        assert_eq!(read(&plain(file), bytes), WANT, "{file}");
    }
}

#[test]
fn packed_files_are_known_by_their_first_bytes() {
    let (first, second) = ROWS.as_bytes().split_at(40);
    let members = [gzip(first), gzip(second)].concat();
    let frames = [zstd::encode_all(first, 3).expect("memory"), zstd::encode_all(second, 3).expect("memory")].concat();
    for (packing, bytes) in [(Packing::Gzip, gzip(ROWS.as_bytes())), (Packing::Gzip, members), (Packing::Zstd, frames)]
    {
        let mut r = reader(&plain(""), &bytes, &options()).expect("opens");
        assert_eq!((r.packing(), r.content_hash()), (packing, None));
        let rows: usize = r.by_ref().map(|c| c.expect("whole").batch.rows()).sum();
        assert_eq!((rows, r.content_hash()), (2, Some(*blake3::hash(&bytes).as_bytes())));
        assert_eq!(read(&plain(""), &bytes), WANT);
    }
}

#[test]
fn a_packed_file_that_ends_early_is_an_error_at_every_cut() {
    let long: String = ROWS
        .lines()
        .next()
        .into_iter()
        .map(str::to_owned)
        .chain((0..500).map(|i| format!("s{i},2026-03-02,{i},x{}", i * 7919)))
        .fold(String::new(), |out, l| out + &l + "\n");
    for bytes in [gzip(long.as_bytes()), zstd::encode_all(long.as_bytes(), 3).expect("memory")] {
        for cut in [20, bytes.len() / 2, bytes.len() - 9, bytes.len() - 1] {
            let said = read(&plain(""), &bytes[..cut]);
            assert!(said.contains("`test.csv` is a broken "), "{cut}: {said}");
        }
    }
}

#[test]
fn the_file_hash_is_the_readers_hash() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("rows.csv.gz");
    fs::write(&path, gzip(ROWS.as_bytes())).expect("written");
    let mut r = Reader::open(&path, &plain(""), &options()).expect("opens");
    assert_eq!(r.by_ref().map(|c| c.expect("whole").read).sum::<u64>(), 2);
    assert_eq!(r.content_hash(), content_hash(&path).ok());
    let missing = Reader::open(folder.path().join("none.csv"), &plain(""), &options()).err().expect("no file");
    assert!(missing.to_string().starts_with("cannot open `"), "{missing}");
}

#[test]
fn an_empty_file_and_a_bare_header_have_no_rows() {
    for text in ["", "\u{feff}", "\n\r\n", "subscriber,at,bytes,note\n", "subscriber,at,bytes,note"] {
        assert_eq!(read(&plain(""), text.as_bytes()), "", "{text:?}");
        let mut r = reader(&plain(""), text.as_bytes(), &options()).expect("opens");
        assert!(r.next().is_none() && r.content_hash().is_some());
    }
}

#[test]
fn positions_serve_files_without_header() {
    let l = layout(
        r#"
        id = "orders"
        table = "orders"
        mode = "append"
        key = ["subscriber", "at"]
        [file]
        header = false
        delimiter = "|"
        null = ["\\N"]
        [[column]]
        to = "at"
        from = 3
        format = "epoch_s"
        [[column]]
        to = "subscriber"
        from = 1
        [[column]]
        to = "offer"
        from = 2
        map = { RBT = "ring_back_tone", OLD = "" }
        map_other = "keep"
        [[column]]
        to = "price"
        from = 4
        unit = "fen"
        "#,
    );
    check(
        &l,
        b"a|RBT|1772411400|500|spare\nb|OLD|1772411400|1\nc| wlan |1772411400.5|\\N\nd|x\n",
        expect![[r#"
            1: 2026-03-02T00:30:00Z a ring_back_tone 5.00
            row 2 offer: required, but blank [18 raw bytes]
            3: 2026-03-02T00:30:00.5Z c wlan ·
            row 4: 2 field(s) instead of 4 [3 raw bytes]
        "#]],
    );
}

#[test]
fn chunks_hold_what_was_asked_for_and_add_up() {
    let mut o = options();
    o.chunk_rows = 2;
    let text = format!("{ROWS}c,bad,1,\n\n\nd,2026-03-02,1,\"x\ny\"\ne,2026-03-02,1,\n");
    let chunks: Vec<_> = reader(&plain(""), text.as_bytes(), &o).expect("opens").map(|c| c.expect("whole")).collect();
    assert_eq!(chunks.iter().map(|c| c.read).collect::<Vec<_>>(), [2, 2, 1]);
    // a record within quotes is named by its first line, and blank lines count as lines
    expect![[r#"
        2: a 2026-03-02T00:30:00Z data 1024 天气
        3: b 2026-03-02T00:31:00Z data · ·
        row 4 at: no time in the layout's format [8 raw bytes]
        7: d 2026-03-01T16:00:00Z data 1024 x
        y
        9: e 2026-03-01T16:00:00Z data 1024 ·
    "#]]
    .assert_eq(&try_read(&plain(""), text.as_bytes(), &o).expect("reads"));
}

#[test]
fn a_key_is_its_values_under_the_secret_and_the_space() {
    let keys = |l: &Layout, o, text: &str| -> Vec<u128> {
        reader(l, text.as_bytes(), &o).expect("opens").flat_map(|c| c.expect("whole").keys).collect()
    };
    let numbers = |id: &str, columns: &str| {
        layout(&format!(
            r#"
            id = "{id}"
            table = "suppression"
            mode = "append"
            key = ["msisdn", "entry"]
            [file]
            zone = "Asia/Shanghai"
            {columns}
            [[column]]
            to = "since"
            const = "2026-03-01"
            "#
        ))
    };
    let (msisdn, entry) = ("[[column]]\nto = \"msisdn\"\n", "[[column]]\nto = \"entry\"\ntype = \"key\"\n");
    let one = numbers("one", &format!("{msisdn}{entry}"));
    let text = "msisdn,entry\n13800001111,1\n+86 138-0000-1111, 1\n13800001111,2\n13800001112,1\n";
    let k = keys(&one, options(), text);
    assert_eq!(k[0], k[1], "however a number is written");
    assert!(k[0] != k[2] && k[0] != k[3] && k[2] != k[3]);
    assert_eq!(keys(&numbers("one", &format!("{entry}{msisdn}")), options(), text), k, "order of the columns");
    assert_ne!(keys(&numbers("two", &format!("{msisdn}{entry}")), options(), text)[0], k[0], "another space");
    let mut other = options();
    other.key_secret = [8; 32];
    assert_ne!(keys(&one, other, text)[0], k[0], "another secret");
    // a golden value: stored keys must mean the same for ever
    assert_eq!(format!("{:032x}", k[0]), "7a30eebf786f8dd13664b2c40069c9b2");
}

#[test]
fn rows_of_text_cells_take_the_same_path_as_a_file() {
    let l = plain("");
    let mut mapper = Mapper::new(&l, Some(&["note", "bytes", "at", "subscriber"]), &options()).expect("binds");
    let mut builder = mapper.builder(2);
    let row = [Some("天气"), Some("1"), Some("2026-03-02 08:30:00"), Some("a")];
    assert_eq!(mapper.map_record(&mut builder, 1, &row), Ok(()));
    let flaw =
        mapper.map_record(&mut builder, 2, &[None, Some("1.0001"), Some("2026-03-02"), Some("a")]).expect_err("bad");
    assert_eq!((flaw.field.as_deref(), flaw.reason.code()), (Some("bytes"), "not_whole"));
    assert_eq!(mapper.map_record(&mut builder, 3, &[None, None, Some("2026-03-02"), Some("b")]), Ok(()));
    let (batch, keys) = builder.finish();
    assert_eq!((cells(&batch, 0).as_str(), keys.len()), ("a 2026-03-02T00:30:00Z data 1024 天气", 2));
    assert_eq!(cells(&batch, 1), "b 2026-03-01T16:00:00Z data · ·");
}

fn excerpt(layout_id: &str, file: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(format!("../../province/layouts/{layout_id}.toml"));
    let text = fs::read_to_string(&path).expect("a layout of the province");
    let l = Layout::parse(&text, &path).unwrap_or_else(|e| panic!("{e}"));
    read(&l, &fs::read(root.join("tests/data").join(file)).expect("an excerpt"))
}

#[test]
fn megaline_reads() {
    expect![[r#"
        2: 1000 voice_out 2018-12-27T05:00:00Z 511
        3: 1000 voice_out 2018-12-27T05:00:00Z 820
        4: 1000 voice_out 2018-12-27T05:00:00Z 869
        5: 1000 voice_out 2018-12-28T05:00:00Z 346
        6: 1000 voice_out 2018-12-30T05:00:00Z 253
        7: 1000 voice_out 2018-12-31T05:00:00Z 132
        8: 1000 voice_out 2018-12-27T05:00:00Z 345
        9: 1000 voice_out 2018-12-28T05:00:00Z 851
        10: 1000 voice_out 2018-12-28T05:00:00Z 346
        11: 1000 voice_out 2018-12-26T05:00:00Z 264
        12: 1000 voice_out 2018-12-31T05:00:00Z 259
    "#]]
    .assert_eq(&excerpt("megaline-calls", "megaline_calls.csv"));
    expect![[r#"
        2: 1000 data 2018-12-29T05:00:00Z 94225039
        3: 1000 data 2018-12-31T05:00:00Z 0
        4: 1000 data 2018-12-28T05:00:00Z 692479590
        5: 1000 data 2018-12-26T05:00:00Z 284153610
        6: 1000 data 2018-12-27T05:00:00Z 922977567
        7: 1001 data 2018-08-24T04:00:00Z 298508616
        8: 1001 data 2018-12-09T05:00:00Z 687907799
        9: 1001 data 2018-11-04T04:00:00Z 17794335
        10: 1001 data 2018-11-27T05:00:00Z 141746504
        11: 1001 data 2018-12-13T05:00:00Z 798931026
        12: 1001 data 2018-10-28T04:00:00Z 525892321
    "#]]
    .assert_eq(&excerpt("megaline-internet", "megaline_internet.csv"));
    expect![[r#"
        2: 1000 sms_out 2018-12-27T05:00:00Z
        3: 1000 sms_out 2018-12-31T05:00:00Z
        4: 1000 sms_out 2018-12-31T05:00:00Z
        5: 1000 sms_out 2018-12-27T05:00:00Z
        6: 1000 sms_out 2018-12-26T05:00:00Z
        7: 1000 sms_out 2018-12-29T05:00:00Z
        8: 1000 sms_out 2018-12-30T05:00:00Z
        9: 1000 sms_out 2018-12-31T05:00:00Z
        10: 1000 sms_out 2018-12-27T05:00:00Z
        11: 1000 sms_out 2018-12-28T05:00:00Z
        12: 1000 sms_out 2018-12-25T05:00:00Z
    "#]]
    .assert_eq(&excerpt("megaline-messages", "megaline_messages.csv"));
    expect![[r#"
        2: 1000 45 Atlanta-Sandy Springs-Roswell, GA MSA 2018-12-24 ultimate ·
        3: 1001 28 Seattle-Tacoma-Bellevue, WA MSA 2018-08-13 surf ·
        4: 1002 36 Las Vegas-Henderson-Paradise, NV MSA 2018-10-21 surf ·
        5: 1003 52 Tulsa, OK MSA 2018-01-28 surf ·
        6: 1004 40 Seattle-Tacoma-Bellevue, WA MSA 2018-05-23 surf ·
        7: 1005 31 Dallas-Fort Worth-Arlington, TX MSA 2018-11-29 surf ·
        8: 1006 73 San Francisco-Oakland-Berkeley, CA MSA 2018-11-27 ultimate 2018-12-18
        9: 1007 42 Grand Rapids-Kentwood, MI MSA 2018-07-11 surf ·
    "#]]
    .assert_eq(&excerpt("megaline-users", "megaline_users.csv"));
}

#[test]
fn ibm_churn_reads() {
    expect![[r#"
        2: 7590-VHVEG F active online false true false 1 false none dsl no yes no no no no month true 29.85 29.85
        3: 5575-GNVDE M active check false false false 34 true no dsl yes no yes no no no year false 56.95 1889.50
        4: 3668-QPYBK M closed check false false false 2 true no dsl yes yes no no no no month true 53.85 108.15
        5: 7795-CFOCW M active bank false false false 45 false none dsl yes no yes yes no no year false 42.30 1840.75
        6: 9237-HQITU F closed online false false false 2 true no fiber no no no no no no month true 70.70 151.65
        7: 9305-CDSKC F closed online false false false 8 true yes fiber no no yes no yes yes month true 99.65 820.50
        8: 1452-KIOVK M active card false false true 22 true yes fiber no yes no no yes no month true 89.10 1949.40
        9: 6713-OKOMC F active check false false false 10 false none dsl yes no no no no no month false 29.75 301.90
        10: 7892-POOKP F closed online false true false 28 true yes fiber no no yes yes yes yes month true 104.80 3046.05
        11: 6388-TABGU M active bank false false true 62 true no dsl yes yes no no no no year false 56.15 3487.95
        12: 9763-GRSKD M active check false true true 13 true no dsl yes no no no no no month true 49.95 587.45
        13: 4472-LVYGI F active bank false true true 0 false none dsl yes no yes yes yes no two_years true 52.55 ·
        14: 3115-CZMZD M active check false false true 0 true no none none none none none none none two_years false 20.25 ·
    "#]].assert_eq(&excerpt("ibm-churn", "ibm_churn.csv"));
}

#[test]
fn a_reader_may_move_to_another_thread() {
    fn sends<T: Send>() {}
    sends::<Reader>();
    sends::<Mapper>();
}
