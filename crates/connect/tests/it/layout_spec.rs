//! Layout files: what they may say, and how a wrong one is answered.

use crate::layout_kit::{layout, plain};
use expect_test::{Expect, expect};
use kairos_connect::layout::{EventLayout, Layout, Mode};
use kairos_model::EventCatalog;
use std::{fs, path::PathBuf};

fn check(text: &str, want: Expect) {
    let said = match Layout::parse(text, "bad.toml") {
        Ok(_) => "no fault".to_owned(),
        Err(e) => e.to_string(),
    };
    want.assert_eq(&said);
}

#[test]
fn every_layout_of_the_province_reads() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../province/layouts");
    let mut read = 0;
    for entry in fs::read_dir(&folder).expect("the province has layouts") {
        let path = entry.expect("listed").path();
        let text = fs::read_to_string(&path).expect("readable");
        let id = match EventLayout::is_one(&text) {
            true => EventLayout::parse(&text, &path, &EventCatalog::standard()).unwrap_or_else(|e| panic!("{e}")).id,
            false => Layout::parse(&text, &path).unwrap_or_else(|e| panic!("{e}")).id,
        };
        assert_eq!(path.file_stem().and_then(|s| s.to_str()), Some(id.as_str()));
        read += 1;
    }
    assert!(read >= 5, "{read}");
}

#[test]
fn every_example_of_the_reference_reads() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/layouts.md");
    let text = fs::read_to_string(&page).expect("the reference is there");
    let examples: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        if EventLayout::is_one(example) {
            EventLayout::parse(example, &page, &EventCatalog::standard()).unwrap_or_else(|e| panic!("{e}"));
            continue;
        }
        Layout::parse(example, &page).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn all_faults_are_told_at_once_with_their_lines_and_remedies() {
    check(
        r#"id = "x"
table = "usage"
mode = "apend"
key = ["call_id", "at", "at"]
[file]
encoding = "latin1"
delimitter = ";"
line_max = 1
[[column]]
to = "subscriber"
from = 0
[[column]]
to = "durations"
[[column]]
to = "senior"
[[column]]
to = "bytes"
unit = "min"
[[column]]
to = "charge"
unit = "stone"
round = "sideways"
[[column]]
to = "at"
format = "%H:%M"
[[column]]
to = "at"
type = "date"
[[column]]
to = "on_net"
map = { a = "perhaps" }
true = "1"
[[column]]
to = "cell"
const = "many"
from = "cell"
"#,
        expect![[r#"
            layout `bad.toml` has 20 faults
              line 1, top level: table usage needs column `kind`: add [[column]] with to = "kind"
              line 3, top level: unknown mode `apend`; did you mean `append`? (one of append, upsert, snapshot)
              line 4, top level: `key` names `call_id`, which is no column of this layout; or add [[column]] with to = "call_id" and type = "key"
              line 4, top level: `key` names `at` twice
              line 6, [file]: unknown encoding `latin1` (one of utf-8, gbk, gb18030)
              line 7, [file]: unknown field `delimitter`; did you mean `delimiter`? (fields: format, delimiter, encoding, header, quote, null, zone, line_max, fields, names)
              line 8, [file]: `line_max` must be 64 … 16777216 bytes: one record is held in memory
              line 11, column `subscriber`: `from` must be a name of the header or a position 1 … 4096
              line 12, column `durations`: is not in table usage; did you mean `duration_s`?; or give it a `type` to add it
              line 14, column `senior`: is not in table usage; or give it a `type` to add it
              line 18, column `bytes`: unit `min` does not fit: time units are for seconds (`duration_s`), data units for `bytes`, money units for money; a time written as a count takes format = "epoch_s" or "epoch_ms"
              line 21, column `charge`: unknown unit `stone`: s ms min h (time), B KB MB GB (data), yuan fen li or a currency's letters (money)
              line 22, column `charge`: unknown round `sideways` (one of exact, up, down, nearest)
              line 23, column `at`: local times need a zone: set zone = "Asia/Shanghai" in [file] or here
              line 25, column `at`: `%H:%M` does not say which day it is; use e.g. "%Y-%m-%d %H:%M:%S", "%d/%m/%Y", "epoch_s"
              line 26, column `at`: is time in table usage; leave `type` out
              line 29, column `on_net`: `perhaps` of `map` or `const` is no value of this column: neither a true nor a false word
              line 32, column `on_net`: `true` must be a list of texts, not a value of type string
              line 33, column `cell`: `many` of `map` or `const` is no value of this column: no plain decimal number
              line 35, column `cell`: has `from` and `const`; keep one"#]],
    );
}

#[test]
fn what_is_missing_is_named() {
    check(
        "",
        expect![[r#"
        layout `bad.toml` has 4 faults
          line 1, top level: `id` is missing: a name for this layout, e.g. id = "crm-subscribers"
          line 1, top level: `table` is missing: one of subscriber, number, usage, bill, contact_log, orders, product, consent, suppression, device, device_use, payment, content_use, web_visit, page_view, number_list
          line 1, top level: `mode` is missing: append, upsert or snapshot
          line 1, top level: there is no [[column]]; give one for each column that is to be imported"#]],
    );
    check(
        "id = [",
        expect![[r#"
        layout `bad.toml` has 1 fault
          line 1, TOML: unclosed array, expected `]`"#]],
    );
    check(
        r#"
        id = "x"
        table = "subscribers"
        mode = "upsert"
        [[column]]
        to = "subscriber"
        "#,
        expect![[r#"
            layout `bad.toml` has 2 faults
              line 1, top level: mode upsert needs `key`: the columns that tell one row from another
              line 3, top level: unknown table `subscribers`; did you mean `subscriber`? (one of subscriber, number, usage, bill, contact_log, orders, product, consent, suppression, device, device_use, payment, content_use, web_visit, page_view, number_list)"#]],
    );
    check(
        r#"
        id = "x"
        table = "orders"
        mode = "append"
        key = ["order_id"]
        as_of = "2026-03-01"
        [file]
        header = false
        delimiter = "\""
        [[column]]
        to = "subscriber"
        from = "id"
        [[column]]
        to = "order_id"
        type = "key"
        [[column]]
        to = "offer"
        from = 2
        required = false
        [[column]]
        to = "at"
        from = 3
        [[column]]
        to = "spare"
        from = 4
        type = "key"
        "#,
        expect![[r#"
            layout `bad.toml` has 8 faults
              line 1, top level: `as_of` is of upsert and snapshot; rows of an append table carry their own time
              line 5, top level: column `spare` has type "key" but `key` does not name it
              line 6, top level: `as_of` without offset needs `zone` in [file]
              line 9, [file]: `delimiter` must be 1–16 bytes without line ends and without the quote; set quote = "" if needed
              line 12, column `subscriber`: the file has no header: `from` must be a position from 1, or give `names` in [file]
              line 13, column `order_id`: `from` is missing: the file has no header, so give a position from 1 or a `const`
              line 16, column `offer`: the table requires this column; leave `required` out
              line 20, column `at`: local times need a zone: set zone = "Asia/Shanghai" in [file] or here"#]],
    );
}

#[test]
fn defaults_are_those_of_the_reference() {
    let l = plain("");
    assert_eq!((l.mode, l.key_space.as_str(), l.file.delimiter.as_str()), (Mode::Append, "plain", ","));
    assert_eq!((l.file.quote, l.file.header, l.file.line_max, l.as_of), (Some(b'"'), true, 65_536, None));
    let stored: Vec<_> = l.stored().map(|(name, kind)| format!("{name} {}", kind.name())).collect();
    assert_eq!(stored, ["subscriber subscriber", "at time", "kind text", "bytes int", "note text"]);
    let upsert = layout(
        r#"
        id = "crm"
        table = "subscriber"
        mode = "upsert"
        key = ["subscriber"]
        as_of = "2026-03-01T00:00:00"
        [file]
        zone = "Asia/Shanghai"
        [[column]]
        to = "subscriber"
        "#,
    );
    assert_eq!(upsert.key_space, "subscriber");
    assert_eq!(upsert.as_of.map(|t| t.to_string()).as_deref(), Some("2026-02-28T16:00:00Z"));
}
