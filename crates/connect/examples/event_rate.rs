//! How many events are decoded in a CPU-second: CloudEvents in batches of 100, and records of two layouts.
//!
//! `make bench-events`: a table and one JSON line. Inputs are made here
//! from a fixed seed; times are CPU time of the one thread that decodes.

use kairos_connect::{
    cloudevents::{Circles, Decoder},
    layout::{EventLayout, EventOptions, EventReader},
};
use kairos_model::{Currency, EventCatalog, NumberPlan, SourceId, hash::mix};
use rustix::time::{ClockId, clock_gettime};
use std::{fmt::Write as _, hint::black_box, io::Cursor, path::Path, sync::Arc};

const EVENTS: usize = 200_000;
const ROUNDS: usize = 5;

fn cpu_s() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// The best of some rounds, in events and megabytes a CPU-second.
fn measure(bytes: usize, mut run: impl FnMut() -> usize) -> (f64, f64) {
    let mut best = f64::MAX;
    let mut events = 0;
    for _ in 0..ROUNDS {
        let from = cpu_s();
        events = black_box(run());
        best = best.min(cpu_s() - from);
    }
    (events as f64 / best, bytes as f64 / best / 1e6)
}

fn number(i: u64) -> u64 {
    13_800_000_000 + mix(i) % 100_000_000
}

fn batches() -> Vec<String> {
    let mut out = Vec::new();
    for batch in 0..EVENTS as u64 / 100 {
        let mut body = String::from("[");
        for i in batch * 100..batch * 100 + 100 {
            let (number, peer, cell) = (number(i), number(i + 1_000_000_007), mix(i) % 20_000);
            let comma = if i % 100 == 0 { "" } else { "," };
            write!(
                body,
                r#"{comma}{{"specversion":"1.0","id":"{i:016x}","source":"/probe/7","type":"kairos.call_ended","time":"2026-03-10T10:00:{:02}.{:03}+08:00","data":{{"number":"86{number}","peer":"86{peer}","role":"caller","cell":{cell},"duration_s":{},"cause":16}}}}"#,
                i / 1_000 % 60,
                i % 1_000,
                mix(i + 1) % 3_600,
            )
            .expect("memory");
        }
        body.push(']');
        out.push(body);
    }
    out
}

/// Rows of a shipped layout: `cells` gives the named ones, the others hold a short filler.
fn rows(layout: &EventLayout, mut cells: impl FnMut(u64, &str) -> Option<String>) -> Vec<u8> {
    let names = layout.file.names.as_deref().unwrap_or_default();
    let mut out = String::new();
    for i in 0..EVENTS as u64 {
        for (at, name) in names.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { &layout.file.delimiter });
            out.push_str(cells(i, name).as_deref().unwrap_or("10.1"));
        }
        out.push('\n');
    }
    out.into_bytes()
}

fn main() {
    let plan = Arc::new(NumberPlan::china());
    let catalog = Arc::new(EventCatalog::standard());
    println!("{:22} {:>16} {:>10} {:>12}", "what", "events/CPU-s", "MB/CPU-s", "bytes/event");
    let show = |what: &str, bytes: usize, (events, mb): (f64, f64)| {
        println!("{what:22} {events:>16.0} {mb:>10.0} {:>12}", bytes / EVENTS);
        events
    };

    let bodies = batches();
    let bytes = bodies.iter().map(String::len).sum();
    let circles = Circles::default();
    let decoder =
        Decoder { source: SourceId(1), catalog: catalog.clone(), circles, plan: plan.clone(), secret: [7; 16] };
    let http = measure(bytes, || {
        let decode = |b: &String| decoder.decode(b.as_bytes(), "application/cloudevents-batch+json", &|_| None);
        bodies.iter().map(|b| decode(b).expect("good").batch.events.len()).sum()
    });
    let http = show("CloudEvents, 100", bytes, http);

    let options = EventOptions::new(SourceId(1), plan, Currency::CNY, [7; 16]);
    let mut rates = Vec::new();
    for (id, text) in [
        ("cmcc-s1-mme", include_str!("../../../province/layouts/cmcc-s1-mme.toml")),
        ("ctcc-a-call", include_str!("../../../province/layouts/ctcc-a-call.toml")),
    ] {
        let layout = Arc::new(EventLayout::parse(text, id, &catalog).expect("ships"));
        let file = rows(&layout, |i, name| match name {
            "XDR_ID" | "CDR_ID" => Some(format!("{i:016X}")),
            "MSISDN" | "CALLING" | "CALLED" => Some(format!("86{}", number(i + name.len() as u64))),
            "IMSI" => Some(format!("46000{:010}", i)),
            "PROCEDURE_TYPE" => Some(["1", "5", "5", "6"][i as usize % 4].to_owned()),
            "PROCEDURE_STATUS" | "A_TYPE" => Some("0".to_owned()),
            "CALL_TYPE" => Some((i % 2).to_string()),
            "KEYWORD1" => Some("1".to_owned()),
            "PROCEDURE_STRAT_TIME" | "PROCEDURE_END_TIME" => Some((1_773_108_000_000 + i).to_string()),
            "START_TIME" => Some(format!("2026-03-10 10:{:02}:{:02}", i / 60 % 60, i % 60)),
            "TAC" | "END_LAC" | "START_LAC" => Some("5A2C".to_owned()),
            "CELL_ID" => Some(format!("{:07X}", mix(i) % 0x0fff_ffff)),
            "END_CI" | "START_CI" => Some(format!("{:04X}", mix(i) % 0xffff)),
            "TALK_TIME" | "SEIZE_TIME" => Some((mix(i) % 3_600).to_string()),
            "CLEAR_CAUSE" => Some("16".to_owned()),
            _ => None,
        });
        let file: Arc<[u8]> = file.into();
        let rate = measure(file.len(), || {
            let bytes = Box::new(Cursor::new(Arc::clone(&file)));
            let reader = EventReader::from_read(bytes, Path::new(id), &layout, &options, 0, 0).expect("opens");
            reader.map(|b| b.expect("reads").events.len()).sum()
        });
        rates.push(show(id, file.len(), rate));
    }
    println!(
        "{{\"bench\":\"event_rate\",\"metrics\":{{\"cloudevents_per_cpu_s\":{http:.0},\"s1_mme_per_cpu_s\":{:.0},\"a_call_per_cpu_s\":{:.0}}}}}",
        rates[0], rates[1]
    );
}
