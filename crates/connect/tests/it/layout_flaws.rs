//! Bad rows cost themselves; bad files are refused with a remedy.

use crate::layout_kit::{layout, options, plain, read, reader};
use expect_test::{Expect, expect};
use kairos_connect::layout::{Layout, RAW_MAX};
use std::{
    io::{self, Read},
    path::Path,
};

fn check(layout: &Layout, bytes: &[u8], want: Expect) {
    want.assert_eq(&read(layout, bytes));
}

#[test]
fn a_bad_row_is_quarantined_with_field_and_reason() {
    let l = layout(
        r#"
        id = "all"
        table = "subscriber"
        mode = "upsert"
        key = ["subscriber"]
        [file]
        zone = "Asia/Shanghai"
        [[column]]
        to = "subscriber"
        [[column]]
        to = "msisdn"
        [[column]]
        to = "gender"
        map = { Male = "M", Female = "F" }
        [[column]]
        to = "birth_year"
        [[column]]
        to = "joined"
        [[column]]
        to = "device_5g"
        [[column]]
        to = "spent"
        type = "money"
        [[column]]
        to = "friend"
        type = "party"
        "#,
    );
    let bytes = b"subscriber,msisdn,gender,birth_year,joined,device_5g,spent,friend
1, 138 0000 1111 ,Male,1980,2020-01-31,yes,12.5,10086
2,+8613800001111,,,,,,
3,1234,,,,,,
4,10086,,,,,,
5,,Man,,,,,
6,,,80s,,,,
7,,,1980.5,,,,
8,,,99999999999999999999,,,,
9,,,,2020-02-30,,,
10,,,,,maybe,,
11,,,,,,0.1234567,
12,,,,,,12 yuan,
 ,,,,,,,
14,,,,
15,,,,,,,,,
subscriber,msisdn,gender,birth_year,joined,device_5g,spent,friend
17,\xff\xfe,,,,,,
18,,,\"1980\"x,,,,
19,\"\",\"Female\",\"1980\",,,,
";
    check(
        &l,
        bytes,
        expect![[r#"
            2: 1 Number(861****1111) M 1980 2020-01-31 true 12.50 Short(#0)
            3: 2 Number(861****1111) · · · · · ·
            row 4 msisdn: a phone number of 4 digits is not valid in its country [12 raw bytes]
            row 5 msisdn: a short code is no subscriber's number [13 raw bytes]
            row 6 gender: value not in the layout's map [11 raw bytes]
            row 7 birth_year: no plain decimal number [11 raw bytes]
            row 8 birth_year: not a whole number in the column's unit; the layout has no `round` [14 raw bytes]
            row 9 birth_year: number out of range [28 raw bytes]
            row 10 joined: no date in the layout's format [18 raw bytes]
            row 11 device_5g: neither a true nor a false word [14 raw bytes]
            row 12 spent: more than six decimals; the layout has no `round` [18 raw bytes]
            row 13 spent: no plain decimal number [16 raw bytes]
            row 14 subscriber: required, but blank [8 raw bytes]
            row 15: 5 field(s) instead of 8 [6 raw bytes]
            row 16: 10 field(s) instead of 8 [11 raw bytes]
            row 17: repeated header [65 raw bytes]
            row 18: byte 4 of the row is not utf-8 [11 raw bytes]
            row 19: text between a closing quote and the delimiter [16 raw bytes]
            20: 19 · F 1980 · · · ·
        "#]],
    );
}

#[test]
fn no_reason_holds_a_cell() {
    let text = "subscriber,at,bytes,note\nsecret77,secret77,secret77,secret77\n";
    let chunk =
        reader(&plain(""), text.as_bytes(), &options()).expect("opens").next().expect("a chunk").expect("whole");
    let said = format!("{chunk:?} {:?} {}", chunk.rejects, chunk.rejects[0].reason);
    assert!(!said.contains("secret77"), "{said}");
    assert_eq!(chunk.rejects[0].raw, b"secret77,secret77,secret77,secret77");
}

#[test]
fn a_number_that_is_none_is_not_repeated_in_its_reason() {
    let l = layout(
        r#"
        id = "s"
        table = "suppression"
        mode = "append"
        key = ["msisdn"]
        [file]
        zone = "Asia/Shanghai"
        [[column]]
        to = "msisdn"
        [[column]]
        to = "since"
        const = "2026-03-01"
        "#,
    );
    let said = read(&l, b"msisdn\n1380000111\n12800001111\n138000011112222\n+1 650\n");
    assert!(!said.contains("380000") && !said.contains("650") && said.lines().count() == 4, "{said}");
}

#[test]
fn an_endless_line_costs_one_row_and_little_memory() {
    let head = "subscriber,at,bytes,note\na,2026-03-02,1,x\n";
    let long = "y".repeat(10 << 20);
    for line in [long.clone(), format!("b,2026-03-02,1,\"{long}\""), format!("b,2026-03-02,1,{}", &long[..70_000])] {
        let text = format!("{head}{line}\r\nc,2026-03-02,1,z\n");
        let want = "2: a 2026-03-01T16:00:00Z data 1024 x\n\
             row 3: longer than line_max = 65536 bytes [4096 raw bytes]\n\
             4: c 2026-03-01T16:00:00Z data 1024 z\n";
        assert_eq!(read(&plain(""), text.as_bytes()), want);
    }
    let mut r = reader(&plain(""), format!("{head}{long}").as_bytes(), &options()).expect("opens");
    assert_eq!(r.next().expect("a chunk").expect("whole").rejects[0].raw.len(), RAW_MAX);
}

#[test]
fn a_lost_quote_costs_its_line_only() {
    let text = "subscriber,at,bytes,note\na,2026-03-02,1,\"lost\nb,2026-03-02,2,x\nc,2026-03-02,3,y\n";
    check(
        &plain(""),
        text.as_bytes(),
        expect![[r#"
        row 2: a quote opens and does not close within line_max [20 raw bytes]
        3: b 2026-03-01T16:00:00Z data 2048 x
        4: c 2026-03-01T16:00:00Z data 3072 y
    "#]],
    );
    let far = format!("{text}{}", "d,2026-03-02,4,z\n".repeat(5_000));
    assert_eq!(read(&plain(""), far.as_bytes()).lines().filter(|l| l.contains("quote")).count(), 1);
}

#[test]
fn bytes_of_another_encoding_cost_their_row() {
    let gbk = |s: &str| encoding_rs::GBK.encode(s).0.into_owned();
    let mut bytes = gbk("subscriber,at,bytes,note\na,2026-03-02,1,天气\nb,2026-03-02,1,");
    bytes.extend(b"\x81\nc,2026-03-02,1,\xff\xff\n\xb9\n");
    bytes.extend(gbk("d,2026-03-02,1,好\n"));
    let l = plain("encoding = \"gbk\"");
    check(
        &l,
        &bytes,
        expect![[r#"
        2: a 2026-03-01T16:00:00Z data 1024 天气
        row 3: byte 16 of the row is not gbk [16 raw bytes]
        row 4: byte 16 of the row is not gbk [17 raw bytes]
        row 5: byte 1 of the row is not gbk [1 raw bytes]
        6: d 2026-03-01T16:00:00Z data 1024 好
    "#]],
    );
    let chunk = reader(&l, &bytes, &options()).expect("opens").next().expect("a chunk").expect("whole");
    let raw: Vec<&[u8]> = chunk.rejects.iter().map(|r| r.raw.as_slice()).collect();
    assert_eq!(raw, [b"b,2026-03-02,1,\x81" as &[u8], b"c,2026-03-02,1,\xff\xff", b"\xb9"]);
}

#[test]
fn a_wrong_file_is_refused_with_a_remedy() {
    let rows = "subscriber,at,bytes,note\na,2026-03-02,1,x\n";
    let table: &[(&str, Vec<u8>)] = &[
        ("", rows.replace(',', ";").into_bytes()),
        ("", rows.replace(',', "|@|").into_bytes()),
        ("delimiter = \"|\"", rows.replace(',', "\t").into_bytes()),
        ("", rows.replace("bytes", "Byte").replace("note", "remark").into_bytes()),
        ("", rows.replace("bytes", "note").into_bytes()),
        ("", rows.replace("note", "at").into_bytes()),
        ("", b"13800001111,2026-03-02,1,x\n13800001112,2026-03-02,1,x\n".to_vec()),
        ("", b"subscriber,at,bytes,note\ra,2026-03-02,1,x\r".to_vec()),
        ("", encoding_rs::GBK.encode("用户,时间\n").0.into_owned()),
        ("encoding = \"gbk\"", "\u{feff}用户,时间\n".into()),
        (
            "",
            [
                b"subscriber,at,bytes,note\n".to_vec(),
                encoding_rs::GBK.encode(&"a,2026-03-02,1,天气\n".repeat(20)).0.into_owned(),
            ]
            .concat(),
        ),
        ("", b"\xff\xfes\0u\0b\0".to_vec()),
        ("", b"PK\x03\x04rest".to_vec()),
        ("", b"PAR1rest".to_vec()),
        ("", vec![b'x'; 70_000]),
        ("format = \"parquet\"", b"PAR1rest".to_vec()),
    ];
    let said: String = table.iter().map(|(file, bytes)| read(&plain(file), bytes) + "\n").collect();
    expect![[r#"
        `test.csv` is not delimited by "," but, it seems, by ";": set delimiter = ";" in [file] of layout `plain`
        `test.csv` is not delimited by "," but, it seems, by "|@|": set delimiter = "|@|" in [file] of layout `plain`
        `test.csv` is not delimited by "|" but, it seems, by "\t": set delimiter = "\t" in [file] of layout `plain`
        layout `plain` does not fit `test.csv`: no column `bytes` (for `bytes`); did you mean `Byte`?; no column `note` (for `note`); the header is: subscriber, at, Byte, remark
        layout `plain` does not fit `test.csv`: the header has column `note` 2 times and the layout reads it; rename one, or give `from` as a position
        layout `plain` does not fit `test.csv`: the header has column `at` 2 times and the layout reads it; rename one, or give `from` as a position
        layout `plain` does not fit `test.csv`: no column `subscriber` (for `subscriber`); no column `at` (for `at`); no column `bytes` (for `bytes`); no column `note` (for `note`); the header is: 4 fields that look like data; does the file lack a header? Then set header = false and give positions
        the header of `test.csv` is broken by zero bytes or bare carriage returns; convert the file to UTF-8 text with line feeds
        `test.csv` is not utf-8: the header cannot be decoded; set `encoding` in [file] of layout `plain`, probably to "gb18030"
        `test.csv` is not gbk: it begins with the mark of UTF-8; set `encoding` in [file] of layout `plain` to "utf-8"
        `test.csv` is not utf-8: 20 of the first 20 rows cannot be decoded; set `encoding` in [file] of layout `plain`, probably to "gb18030"
        `test.csv` is UTF-16 text; save it as UTF-8
        `test.csv` is a ZIP archive or a workbook; unpack it, or save the sheet as CSV
        `test.csv` is a Parquet file; set format = "parquet" in [file] of the layout
        the header of `test.csv` is longer than line_max = 65536 bytes; is it a text file with a header, and is `quote` right?
        layout `plain` is for Parquet files, which the lake reads; `test.csv` was opened as text
    "#]].assert_eq(&said);
}

#[test]
fn a_file_without_header_and_with_another_delimiter_is_refused() {
    let l = layout(
        r#"
        id = "p"
        table = "suppression"
        mode = "append"
        key = ["msisdn"]
        [file]
        zone = "Asia/Shanghai"
        header = false
        fields = 2
        [[column]]
        to = "msisdn"
        from = 1
        [[column]]
        to = "since"
        from = 2
        "#,
    );
    check(
        &l,
        b"13800001111|2026-03-02\n",
        expect![[
            r#"`test.csv` is not delimited by "," but, it seems, by "|": set delimiter = "|" in [file] of layout `p`"#
        ]],
    );
    check(
        &l,
        b"13800001111,2026-03-02\n13800001111,2026-03-02,x\n13800001111\n",
        expect![[r#"
            1: Number(861****1111) 2026-03-01T16:00:00Z
            row 2: 3 field(s) instead of 2 [24 raw bytes]
            row 3: 1 field(s) instead of 2 [11 raw bytes]
        "#]],
    );
}

#[test]
fn money_of_another_currency_is_refused() {
    let l = layout(
        r#"
        id = "dollars"
        table = "orders"
        mode = "append"
        key = ["at"]
        [[column]]
        to = "subscriber"
        [[column]]
        to = "offer"
        [[column]]
        to = "at"
        format = "rfc3339"
        [[column]]
        to = "price"
        unit = "usd"
        "#,
    );
    check(
        &l,
        b"subscriber,offer,at,price\n",
        expect![[
            r#"layout `dollars` does not fit `test.csv`: column `price` is in USD and the tenant's currency is CNY; a `type = "decimal"` column keeps it as a plain figure"#
        ]],
    );
}

/// A disk that fails.
struct Broken(usize);
impl Read for Broken {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let text = b"subscriber,at,bytes,note\na,2026-03-02,1,x\n";
        let n = 1.min(out.len()).min(text.len() - self.0.min(text.len()));
        out[..n].copy_from_slice(&text[self.0..self.0 + n]);
        self.0 += n;
        if n == 0 { Err(io::Error::other("bad sector")) } else { Ok(n) }
    }
}

#[test]
fn a_disk_that_fails_is_an_error_and_ends_the_reading() {
    let l = plain("");
    let mut r = kairos_connect::layout::Reader::from_read(Box::new(Broken(0)), Path::new("test.csv"), &l, &options())
        .expect("the header reads, byte by byte");
    let error = r.next().expect("an answer").expect_err("broken");
    assert_eq!(error.to_string(), "cannot read `test.csv` behind byte 42");
    assert!(r.next().is_none() && r.content_hash().is_none());
}
