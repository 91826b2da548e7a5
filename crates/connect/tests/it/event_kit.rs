//! Reads record files by an event layout and writes down what came of every record.

use kairos_connect::{
    event::{Decoded, EventBatch, Who},
    layout::{EventLayout, EventOptions, EventReader, ReadError},
};
use kairos_model::{
    Currency, Dialled, Event, EventCatalog, Money, NumberPlan, SourceId,
    event_tail::{self, FieldValue},
    event_type::Place,
};
use std::{fs, io::Cursor, path::Path, path::PathBuf, sync::Arc};

pub fn event_options() -> EventOptions {
    EventOptions::new(SourceId(1), Arc::new(NumberPlan::china()), Currency::CNY, [7; 16])
}

pub fn event_layout(text: &str) -> Arc<EventLayout> {
    Arc::new(EventLayout::parse(text, "test.toml", &EventCatalog::standard()).unwrap_or_else(|e| panic!("{e}")))
}

pub fn shipped(id: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../province/layouts/{id}.toml"));
    fs::read_to_string(path).expect("the layout ships")
}

pub fn event_reader(
    layout: &Arc<EventLayout>,
    bytes: &[u8],
    options: &EventOptions,
    from: u64,
) -> Result<EventReader, ReadError> {
    let bytes = Box::new(Cursor::new(bytes.to_vec()));
    EventReader::from_read(bytes, Path::new("test.txt"), layout, options, 0, from)
}

/// `EVENT [role] [long_distance] who [peer] time [cell] [field=value …]`.
pub fn event_line(catalog: &EventCatalog, batch: &EventBatch, e: &Decoded) -> String {
    let def = catalog.get(e.kind).expect("a known type");
    let mut out = def.name.clone();
    let flags = [(Event::CALLER, " caller"), (Event::CALLEE, " callee"), (Event::LONG_DISTANCE, " long_distance")];
    flags.iter().filter(|(bit, _)| e.flags & bit != 0).for_each(|(_, word)| out.push_str(word));
    match e.who {
        Who::Number(n) => out.push_str(&format!(" number {}", n.reveal())),
        Who::Imsi(i) => out.push_str(&format!(" imsi {}", i.reveal())),
    }
    match e.peer {
        Some(Dialled::Number(n)) => out.push_str(&format!(" peer {}", n.reveal())),
        // the plan's first short code
        Some(Dialled::Short(code)) if code.0 == 0 => out.push_str(" peer short 10086"),
        Some(Dialled::Short(code)) => out.push_str(&format!(" peer short {code}")),
        None => {}
    }
    out.push_str(&format!(" {}", e.at));
    e.cell.iter().for_each(|c| out.push_str(&format!(" cell {}", c.0)));
    for field in &def.fields {
        let value = match field.place {
            Place::Tail(i) => event_tail::get(batch.tail(e), usize::from(i)),
            Place::Aux { .. } => field.in_aux(e.aux).expect("in aux"),
        };
        let shown = match value {
            FieldValue::Null => continue,
            FieldValue::Int(0) if !["duration_s", "volume_kib"].contains(&field.name.as_str()) => continue,
            FieldValue::Int(n) => n.to_string(),
            FieldValue::Bool(b) => b.to_string(),
            FieldValue::Micros(n) => Money::micros(n, Currency::CNY).amount().to_string(),
            FieldValue::Text(t) => t.to_owned(),
            FieldValue::Date(d) => d.to_string(),
            FieldValue::Time(t) => t.to_string(),
        };
        out.push_str(&format!(" {}={shown}", field.name));
    }
    out
}

/// What came of every record, in the form of the `.expected` files. Ignored records have no line number of their own in
/// a batch: batches of one record give it.
pub fn outcomes(layout: &Arc<EventLayout>, bytes: &[u8]) -> String {
    let catalog = EventCatalog::standard();
    let options = EventOptions { batch_records: 1, ..event_options() };
    let lines = bytes.split(|b| *b == b'\n').enumerate();
    let rows: Vec<usize> = lines.filter(|(_, l)| !l.is_empty() && *l != b"\r").map(|(i, _)| i + 1).collect();
    let mut out = String::new();
    for batch in event_reader(layout, bytes, &options, 0).unwrap_or_else(|e| panic!("{e}")) {
        let batch = batch.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(batch.read(), batch.events.len() as u64 + batch.ignored() + batch.rejects.len() as u64);
        let row = rows[batch.first as usize];
        let mut said: Vec<String> = batch.events.iter().map(|e| event_line(&catalog, &batch, e)).collect();
        said.extend(batch.ignored.iter().map(|(name, _)| format!("ignored {name}")));
        said.extend(batch.rejects.iter().map(|r| {
            assert_eq!(r.row, row as u64);
            format!("rejected {} {}", r.field.as_deref().unwrap_or("-"), r.reason.code())
        }));
        out.push_str(&format!("{row} {}\n", said.concat()));
    }
    out
}
