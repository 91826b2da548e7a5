//! The record files of real tables, read by the layouts that ship, give the events that were written down beside them.

use crate::event_kit::{event_layout, event_options, event_reader, outcomes, shipped};
use kairos_connect::{
    event::{EventBatch, parse_events},
    layout::EventOptions,
};
use kairos_model::{EventCatalog, FieldDef};
use std::{fs, path::PathBuf};

const TABLES: [(&str, &str); 7] = [
    ("a_interface_call", "ctcc-a-call"),
    ("a_interface_mobility", "ctcc-a-mobility"),
    ("unified_dpi_s1_mme", "cmcc-s1-mme"),
    ("unified_dpi_s1u_http", "cmcc-s1u-http"),
    ("unified_dpi_gn_http", "cmcc-gn-http"),
    ("unified_dpi_s1u_s6a", "cmcc-s6a"),
    ("unified_dpi_s1u_sgs", "cmcc-sgs"),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/xdr")
}

#[test]
fn every_table_gives_the_events_that_were_written_down() {
    for (table, layout) in TABLES {
        let bytes = fs::read(folder().join(format!("{table}.txt"))).expect("the record file");
        let want = fs::read_to_string(folder().join(format!("{table}.expected"))).expect("the expected events");
        let got = outcomes(&event_layout(&shipped(layout)), &bytes);
        let (got, want): (Vec<&str>, Vec<&str>) = (got.lines().collect(), want.lines().collect());
        for (g, w) in got.iter().zip(&want) {
            assert_eq!(g, w, "{table}");
        }
        assert_eq!(got.len(), want.len(), "{table}");
        assert!(got.len() >= 30, "{table}");
    }
}

/// Wherever a reading is broken off and taken up again, the same events come out, once, with the same identity.
#[test]
fn a_reading_that_is_taken_up_again_loses_and_repeats_nothing() {
    for (table, layout) in TABLES {
        let (layout, options) = (event_layout(&shipped(layout)), event_options());
        let bytes = fs::read(folder().join(format!("{table}.txt"))).expect("the record file");
        let all = |options: &EventOptions, from| -> Vec<EventBatch> {
            event_reader(&layout, &bytes, options, from).expect("opens").map(|b| b.expect("reads")).collect()
        };
        let events = |batches: &[EventBatch]| -> Vec<_> {
            let each = |b: &EventBatch| b.events.iter().map(|e| (*e, b.tail(e).to_vec())).collect::<Vec<_>>();
            let key = |(mut e, tail): (kairos_connect::event::Decoded, Vec<u8>)| {
                e.key = 0;
                (e.offset, e.at, e.who, e.aux, tail)
            };
            batches.iter().flat_map(each).map(key).collect()
        };
        let whole = all(&options, 0);
        let want = events(&whole);
        for size in [1, 7] {
            let options = EventOptions { batch_records: size, ..options.clone() };
            assert_eq!(events(&all(&options, 0)), want, "{table}");
            for from in 0..=whole[0].read() {
                let rest = all(&options, from);
                let expected: Vec<_> = want.iter().filter(|e| e.0 >= from).cloned().collect();
                assert_eq!(events(&rest), expected, "{table} from {from}");
                assert_eq!(rest.first().map_or(from, |b| b.first), from);
            }
        }
    }
}

/// `docs/reference/events.md` lists every built-in type as the catalogue has it, and its example is read.
#[test]
fn the_reference_lists_every_type() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/events.md");
    let text = fs::read_to_string(&page).expect("the reference is there");
    for t in EventCatalog::standard().types() {
        let needs = if t.needs_cell { "needed" } else { "may be" };
        let peer = if t.has_peer { "may be" } else { "–" };
        let field = |f: &FieldDef| {
            let needed = if f.required { ", needed" } else { "" };
            format!("`{}` ({}{needed}) {} / {}", f.name, f.kind.name(), f.zh, f.en)
        };
        let fields = t.fields.iter().map(field).collect::<Vec<_>>().join("; ");
        let fields = if fields.is_empty() { "–" } else { &fields };
        let row = format!("| {} | `{}` | {} | {} | {needs} | {peer} | {fields} |", t.code.0, t.name, t.zh, t.en);
        assert!(text.contains(&row), "missing: {row}");
    }
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let config = parse_events(example, &page).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((config.catalog.types().len(), config.circles.list().len()), (20, 1));
}
