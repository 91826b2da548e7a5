//! Event layouts that are wrong, and files that are: what is said, and that nothing panics.

use crate::event_kit::{event_layout, event_options, event_reader, outcomes, shipped};
use expect_test::{Expect, expect};
use kairos_connect::{
    event::EventBatch,
    layout::{EventLayout, EventOptions, Layout, ReadError},
};
use kairos_model::EventCatalog;
use proptest::prelude::*;
use std::{fs, path::PathBuf, sync::Arc};

const SHIPPED: [(&str, &str); 7] = [
    ("a_interface_call", "ctcc-a-call"),
    ("a_interface_mobility", "ctcc-a-mobility"),
    ("unified_dpi_s1_mme", "cmcc-s1-mme"),
    ("unified_dpi_s1u_http", "cmcc-s1u-http"),
    ("unified_dpi_gn_http", "cmcc-gn-http"),
    ("unified_dpi_s1u_s6a", "cmcc-s6a"),
    ("unified_dpi_s1u_sgs", "cmcc-sgs"),
];

fn records(table: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/xdr");
    fs::read(folder.join(format!("{table}.txt"))).expect("the record file")
}

/// Records read, events, ignored, quarantined; their sum is checked on the way.
fn account(layout: &Arc<EventLayout>, bytes: &[u8]) -> Result<[u64; 4], ReadError> {
    let mut sum = [0; 4];
    for batch in event_reader(layout, bytes, &event_options(), 0)? {
        let batch: EventBatch = batch?;
        let parts = [batch.read(), batch.events.len() as u64, batch.ignored(), batch.rejects.len() as u64];
        assert_eq!(parts[0], parts[1] + parts[2] + parts[3]);
        sum.iter_mut().zip(parts).for_each(|(s, p)| *s += p);
    }
    Ok(sum)
}

fn faults(text: &str, want: Expect) {
    let said = match EventLayout::parse(text, "bad.toml", &EventCatalog::standard()) {
        Ok(_) => "no fault".to_owned(),
        Err(e) => e.to_string(),
    };
    want.assert_eq(&said);
}

#[test]
fn all_faults_of_an_event_layout_are_told_at_once() {
    faults(
        r#"id = "x"
table = "usage"
[file]
header = false
names = ["A", "B", "NUMBER"]
fields = 4
[event]
number = "NUMBR"
identity = ["imsi"]
bad_peer = "drop"
time = { from = "A", plus = "B", format = "%H" }
cell = { form = "lac_ci", lac = "A" }
[event.fields]
durations_s = { from = "B" }
[[event.rule]]
when = { C = "1" }
event = "moved"
[[event.rule]]
when = { A = { is = "1" } }
event = "call_end"
[[event.rule]]
event = "data_session"
ignore = "both"
[[event.rule]]
event = "top_up"
fields = { amount = { from = "B", unit = "s" }, colour = { const = "red" } }
[[event.rule]]
event = "call_ended"
fields = { cause = { const = 70000 }, duration_s = { sum = ["A"], since = "B" } }
"#,
        expect![[r#"
            layout `bad.toml` has 23 faults
              line 2, top level: unknown field `table` (fields: id, file, event)
              line 5, [file]: `fields` and `names` count differently
              line 8, [event].number: `NUMBR` is not among the `names` of [file]; did you mean `NUMBER`?
              line 9, [event]: `identity` is ["number", "imsi"] (default) or ["imsi", "number"]
              line 10, [event]: unknown bad_peer `drop` (one of quarantine, none)
              line 11, [event].time: `plus`, a length of time to add, goes with `plus_unit`
              line 11, [event].time: `%H` does not say which day it is; use e.g. "%Y-%m-%d %H:%M:%S", "%d/%m/%Y", "epoch_s"
              line 11, [event].time: local times need a zone: set zone = "Asia/Shanghai" in [file] or here
              line 12, [event].cell: needs `from` (id, ecgi), `lac` and `ci` (lac_ci), `eci` and perhaps `tac` (tac_eci), or `enb` and `cell` (enb_cell)
              line 14, [event.fields]: no event of the rules has a field `durations_s`; did you mean `duration_s`?
              line 15, rule 1: nothing says who the subscriber is: give `number` or `imsi` (or `caller` and `callee` in [event])
              line 15, rule 1: event `moved` needs `cell`
              line 16, rule 1: `C` is not among the `names` of [file]; did you mean `A`?
              line 19, rule 2: unknown field `is` (fields: not, differs)
              line 19, rule 2: a condition is a word, a list of words, { not = [words] } or { differs = column }
              line 20, rule 2: unknown event `call_end`; did you mean `call_ended`?
              line 21, rule 3: says either `event`, what such a record means, or `ignore`, a name to count it by
              line 24, rule 4: nothing says who the subscriber is: give `number` or `imsi` (or `caller` and `callee` in [event])
              line 26, rule 4: event `top_up` has no field `colour`
              line 26, field `amount`: unit `s` does not fit `amount`: time units are for `…_s`, data units for `…_kib` and `bytes`, money units for money
              line 27, rule 5: nothing says who the subscriber is: give `number` or `imsi` (or `caller` and `callee` in [event])
              line 29, field `duration_s`: needs one of `from`, `sum`, `since` with `until`, `const`
              line 29, field `cause`: `70000` is no constant of type int"#]],
    );
    faults(
        "[event]\nrule = []",
        expect![[r#"
        layout `bad.toml` has 2 faults
          line 1, top level: `id` is missing: a name for this layout, e.g. id = "crm-subscribers"
          line 1, [event]: there must be 1 … 256 [[event.rule]]: which records mean which event"#]],
    );
    faults(
        "id = \"x\"\n",
        expect![[r#"
        layout `bad.toml` has 1 fault
          line 1, top level: `[event]` is missing: it says which records mean which event"#]],
    );
    faults(
        "id = \"x\"\n[event]\n[[event.rule]]\nevent = \"power_on\"\n",
        expect![[r#"
        layout `bad.toml` has 2 faults
          line 3, rule 1: nothing says who the subscriber is: give `number` or `imsi` (or `caller` and `callee` in [event])
          line 3, rule 1: nothing says when it happened: give `time`"#]],
    );
}

#[test]
fn an_event_layout_is_no_table_layout_and_says_so() {
    let said = Layout::parse(&shipped("cmcc-sgs"), "cmcc-sgs.toml").expect_err("another form").to_string();
    expect![[r#"
        layout `cmcc-sgs.toml` has 1 fault
          line 20, top level: this is an event layout: a source reads it, `kairos import` does not"#]]
    .assert_eq(&said);
    assert!(EventLayout::is_one(&shipped("cmcc-sgs")) && !EventLayout::is_one(&shipped("usage")));
}

/// Positions in place of names, fields of every kind, words mapped, an unknown record quarantined.
#[test]
fn a_layout_by_position_with_custom_fields() {
    let config = kairos_connect::event::parse_events(
        r#"
        [[type]]
        name = "film_watched"
        code = 128
        zh = "看电影"
        en = "a film was watched"
        field = [
            { name = "minutes", type = "int", required = true, zh = "分钟", en = "minutes" },
            { name = "kind", type = "text", zh = "类型", en = "kind" },
            { name = "price", type = "money", zh = "价格", en = "price" },
            { name = "hd", type = "bool", zh = "高清", en = "in HD" },
            { name = "day", type = "date", zh = "日期", en = "day" },
        ]
        "#,
        "events.toml",
    );
    let catalog = config.unwrap_or_else(|e| panic!("{e}")).catalog;
    let layout = EventLayout::parse(
        r#"
        id = "films"
        [file]
        header = false
        delimiter = ","
        zone = "Asia/Shanghai"
        [event]
        other = "quarantine"
        identity = ["imsi", "number"]
        number = 1
        imsi = 2
        time = { from = 3, format = "iso" }
        [[event.rule]]
        when = { "4" = ["F", "f"] }
        event = "film_watched"
        [event.rule.fields]
        minutes = { from = 5 }
        kind = { from = 6, map = { a = "action", l = "love" }, map_other = "null" }
        price = { from = 7, unit = "fen" }
        hd = { from = 8 }
        day = { from = 3 }
        "#,
        "films.toml",
        &catalog,
    );
    let layout = Arc::new(layout.unwrap_or_else(|e| panic!("{e}")));
    let text = "13800000001,460001234567890,2026-03-10 10:00:00,F,90,a,990,1\n\
                13800000001,,2026-03-10 23:30:00,f,5,x,,0\n\
                13800000001,,2026-03-10,F,,a,1,1\n\
                13800000001,,2026-03-10,F,5,a,1,yes\n\
                13800000001,,2026-03-10,G,5,a,1,1\n\
                13800000001,,2026-03-10,F,5,a,1.2345678,1\n";
    let mut said = Vec::new();
    for batch in event_reader(&layout, text.as_bytes(), &event_options(), 0).expect("opens") {
        let batch = batch.expect("reads");
        said.extend(batch.events.iter().map(|e| crate::event_kit::event_line(&catalog, &batch, e)));
        said.extend(batch.rejects.iter().map(|r| format!("{r:?}")));
    }
    let dollars = EventOptions { currency: kairos_model::Currency::USD, ..event_options() };
    let refused = event_reader(&layout, text.as_bytes(), &dollars, 0).err().expect("another currency").to_string();
    assert!(refused.contains("column `price` is in CNY and the tenant's currency is USD"), "{refused}");
    expect![[r#"
        film_watched imsi 460001234567890 2026-03-10T02:00:00Z minutes=90 kind=action price=9.90 hd=true day=2026-03-10
        film_watched number 8613800000001 2026-03-10T15:30:00Z minutes=5 hd=false day=2026-03-10
        row 3 minutes: required, but blank [32 raw bytes]
        row 4 hd: neither a true nor a false word [35 raw bytes]
        row 5: no rule of the layout knows this record [33 raw bytes]
        row 6 price: more than six decimals; the layout has no `round` [41 raw bytes]"#]]
    .assert_eq(&said.join("\n"));
}

/// A column that a vendor put elsewhere is a change of the list of names, nothing else.
#[test]
fn another_vendors_order_is_another_list_of_names() {
    let text = shipped("ctcc-a-mobility");
    let swapped = text.replace("\"MM_TYPE\", \"MDN\", \"IMSI\"", "\"IMSI\", \"MM_TYPE\", \"MDN\"");
    assert_ne!(text, swapped);
    let bytes = String::from_utf8(records("a_interface_mobility")).expect("text");
    let rows = bytes.lines().map(|line| {
        let mut cells: Vec<&str> = line.split('|').collect();
        if cells.len() > 8 {
            cells[6..9].rotate_right(1);
        }
        cells.join("|") + "\n"
    });
    let rows: String = rows.collect();
    let (one, other) =
        (outcomes(&event_layout(&text), bytes.as_bytes()), outcomes(&event_layout(&swapped), rows.as_bytes()));
    assert_eq!(one, other);
}

#[test]
fn a_line_of_ten_megabytes_costs_itself_only() {
    for (table, layout) in SHIPPED {
        let layout = event_layout(&shipped(layout));
        let good = records(table);
        let mut bytes = vec![b'9'; 10 << 20];
        bytes.push(b'\n');
        bytes.extend(&good);
        let [read, events, ignored, rejected] = account(&layout, &bytes).expect("reads on");
        let [r, e, i, q] = account(&layout, &good).expect("reads");
        assert_eq!([read, events, ignored, rejected], [r + 1, e, i, q + 1], "{table}");
    }
}

/// Any file under any layout: an error that says why, or every record accounted for; and never an event out of thin air.
#[test]
fn the_wrong_layout_for_a_file_makes_no_events() {
    for (table, right) in SHIPPED {
        for (_, other) in SHIPPED.iter().filter(|(_, other)| *other != right) {
            let (layout, bytes) = (event_layout(&shipped(other)), records(table));
            if let Ok([_, events, _, _]) = account(&layout, &bytes) {
                assert_eq!(events, 0, "{table} by {other}");
            }
        }
    }
}

/// A table of another vendor is refused before it fills the quarantine; some short rows do not spoil a file.
#[test]
fn a_file_with_another_number_of_fields_does_not_fit() {
    let layout = event_layout(&shipped("cmcc-s6a"));
    let said = account(&layout, &records("unified_dpi_s1u_http")).expect_err("another table").to_string();
    expect!["33 of the first 34 records of `test.txt` do not have the 26 fields of layout `cmcc-s6a`, the last of them has 76: is it the layout of these files, and `names` and `fields` in [file] those of this vendor?"].assert_eq(&said);
    let good = records("unified_dpi_s1u_s6a");
    let short = b"a|b\n".repeat(25);
    let [read, events, ..] = account(&layout, &[&good[..], &short].concat()).expect("reads");
    assert_eq!((read, events), (56, 8));
}

#[test]
fn a_file_cut_at_any_byte_gives_what_stands_before_the_cut() {
    let (layout, bytes) = (event_layout(&shipped("cmcc-sgs")), records("unified_dpi_s1u_sgs"));
    let mut last = [0; 4];
    for at in (0..bytes.len()).step_by(7) {
        let now = account(&layout, &bytes[..at]).expect("reads");
        assert!(now[0] >= last[0] && now[1] + 1 >= last[1], "{at}");
        last = now;
    }
}

/// What stands before the damage of a packed file is given out, then the damage is told.
#[test]
fn a_damaged_archive_gives_its_sound_part_and_then_the_error() {
    let layout = event_layout(&shipped("cmcc-s6a"));
    let packed = zstd::encode_all(&*records("unified_dpi_s1u_s6a").repeat(300), 1).expect("memory");
    let cut = &packed[..packed.len() - 5];
    let mut read = 0;
    let mut ends = Vec::new();
    for batch in event_reader(&layout, cut, &event_options(), 0).expect("opens") {
        match batch {
            Ok(batch) => read += batch.read(),
            Err(e) => ends.push(e.to_string()),
        }
    }
    assert!(read > 4_000, "{read}");
    assert_eq!(ends.len(), 1);
    assert!(ends[0].contains("is a broken zstd file"), "{}", ends[0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_are_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..500), which in 0usize..7) {
        let _read_or_refused = account(&event_layout(&shipped(SHIPPED[which].1)), &bytes).is_ok();
    }

    /// Real rows with cells exchanged for odd ones.
    #[test]
    fn odd_cells_never_panic(
        which in 0usize..7,
        edits in prop::collection::vec((0usize..40, 0usize..110, "[-+0-9a-fxX. :天\u{a0}|,\t]{0,20}"), 1..10),
    ) {
        let (table, layout) = SHIPPED[which];
        let layout = event_layout(&shipped(layout));
        let delimiter = layout.file.delimiter.clone();
        let text = String::from_utf8_lossy(&records(table)).into_owned();
        let mut rows: Vec<Vec<String>> =
            text.lines().map(|l| l.split(delimiter.as_str()).map(str::to_owned).collect()).collect();
        for (row, column, cell) in edits {
            let n = rows.len();
            let row = &mut rows[row % n];
            let at = column % row.len();
            row[at] = cell;
        }
        let bytes: String = rows.iter().map(|r| r.join(&delimiter) + "\n").collect();
        let [read, ..] = account(&layout, bytes.as_bytes()).expect("text");
        prop_assert!(read >= 30);
    }

    #[test]
    fn any_text_is_an_event_layout_or_a_list_of_faults(
        text in "(id|file|event|\\[event\\]|\\[\\[event.rule\\]\\]|when|number|time|from|format|cell|form|fields|sum|const|ignore|moved|call_ended|names|[a-z]|=|\"|'|\\[|\\]|\\{|\\}|\\.|,|1|\n| |年){0,60}",
    ) {
        if let Err(e) = EventLayout::parse(&text, "x.toml", &EventCatalog::standard()) {
            prop_assert!(!e.faults.is_empty() && !e.to_string().is_empty());
        }
    }
}
