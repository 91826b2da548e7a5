//! Layout files: TOML in, a checked [`Layout`] out, or every fault at once.

use super::{
    number::{Round, Unit},
    parse_file::{origin, read_file, read_zone},
    spec::{ColumnKind, ColumnSpec, FileSpec, Layout, MapOther, Mode, Origin, Truth, WordMap},
    walk::{Faults, LayoutErrors, Walk, read_document, scalar},
    when::{TimeFormat, WhenReader},
};
use kairos_model::{
    Timestamp, Zone,
    near::hint,
    table::{self, ColumnType, TableDef},
};
use std::{ops::Range, path::Path};
use toml::de::{DeTable, DeValue};

const TOP: &[&str] = &["id", "table", "mode", "key", "key_space", "as_of", "file", "column"];
const COLUMN: &[&str] = &[
    "to",
    "from",
    "const",
    "type",
    "unit",
    "round",
    "format",
    "zone",
    "map",
    "map_other",
    "null",
    "true",
    "false",
    "required",
];
/// A word of the layout stands in up to a million rows of a batch.
const WORD_MAX: usize = 1_024;
/// A key-only column: part of the key, not stored.
const KEY_ONLY: &str = "key";

impl Layout {
    /// Reads and checks a layout. `path` is only named in messages.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self, LayoutErrors> {
        let path = path.as_ref();
        read_document(text, path, |top, faults| read(top, path, faults))
    }
}

fn read(top: &Walk<'_, '_>, path: &Path, faults: &mut Faults<'_>) -> Option<Layout> {
    if let Some(event) = top.get("event") {
        let message = "this is an event layout: a source reads it, `kairos import` does not";
        faults.add(&event.span(), &top.place, message);
        return None;
    }
    top.known(TOP, faults);
    let id = read_id(top, faults);
    let table = read_table(top, faults);
    let modes = Mode::ALL.map(|m| (m.name(), m));
    let mode = top.one_of("mode", &modes, faults);
    if top.get("mode").is_none() {
        faults.add(&top.span, &top.place, "`mode` is missing: append, upsert or snapshot");
    }
    let empty = DeTable::default();
    let file_walk = top.table("file", faults).unwrap_or_else(|| Walk::new(&empty, top.span.clone(), "[file]"));
    let file = read_file(&file_walk, faults);
    let columns = read_columns(top, table, &file, faults);
    let key = read_key(top, mode, &columns, faults);
    let as_of = read_as_of(top, &file, faults);
    if let (Some(_), Some(Mode::Append)) = (as_of, mode) {
        faults.add(
            &top.span,
            &top.place,
            "`as_of` is of upsert and snapshot; rows of an append table carry their own time",
        );
    }
    let (id, table, mode) = (id?, table?, mode?);
    let key_space = match top.str("key_space", faults) {
        Some((space, _)) => space.to_owned(),
        // one subscriber is one row of `subscriber` whatever file it came from; ids of two logs mean nothing to each other
        None if mode == Mode::Upsert => table.name.to_owned(),
        None => id.clone(),
    };
    Some(Layout { id, table, mode, key, key_space, as_of, file, columns, path: path.to_path_buf() })
}

pub(super) fn read_id(top: &Walk<'_, '_>, faults: &mut Faults<'_>) -> Option<String> {
    let id = required(top, "id", "a name for this layout, e.g. id = \"crm-subscribers\"", faults);
    if let Some(id) = &id
        && (id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)))
    {
        faults.add(&top.span, &top.place, "`id` must be letters, digits, `-`, `_` and `.`");
    }
    id
}

fn required(w: &Walk<'_, '_>, key: &str, remedy: &str, faults: &mut Faults<'_>) -> Option<String> {
    if w.get(key).is_none() {
        faults.add(&w.span, &w.place, format!("`{key}` is missing: {remedy}"));
    }
    w.str(key, faults).map(|(s, _)| s.to_owned())
}

fn read_table(top: &Walk<'_, '_>, faults: &mut Faults<'_>) -> Option<&'static TableDef> {
    let names = || table::readable().map(|t| t.name);
    let list = names().collect::<Vec<_>>().join(", ");
    let Some((name, span)) = top.str("table", faults) else {
        if top.get("table").is_none() {
            faults.add(&top.span, &top.place, format!("`table` is missing: one of {list}"));
        }
        return None;
    };
    let found = table::table(name);
    if found.is_none() {
        faults.add(&span, &top.place, format!("unknown table `{name}`{} (one of {list})", hint(name, names())));
    }
    found
}

fn read_columns(
    top: &Walk<'_, '_>,
    table: Option<&'static TableDef>,
    file: &FileSpec,
    faults: &mut Faults<'_>,
) -> Vec<ColumnSpec> {
    let mut columns: Vec<ColumnSpec> = Vec::new();
    let list = top.get("column").and_then(|v| v.get_ref().as_array());
    let Some(list) = list.filter(|l| !l.is_empty()) else {
        faults.add(&top.span, &top.place, "there is no [[column]]; give one for each column that is to be imported");
        return columns;
    };
    for (i, item) in list.iter().enumerate() {
        let Some(item_table) = item.get_ref().as_table() else {
            faults.add(&item.span(), &top.place, "`column` must be written as [[column]]");
            continue;
        };
        let mut w = Walk::new(item_table, item.span(), format!("column {}", i + 1));
        if let Some(column) = read_column(&mut w, table, file, faults) {
            if columns.iter().any(|c| c.to == column.to) {
                faults.add(&w.span, &w.place, "given twice");
            }
            columns.push(column);
        }
    }
    for wanted in table.into_iter().flat_map(|t| t.columns).filter(|c| c.required) {
        let tried = list.iter().filter_map(|v| v.get_ref().as_table()?.get("to")?.get_ref().as_str());
        if !tried.into_iter().any(|name| name == wanted.name) {
            let name = table.map_or("", |t| t.name);
            let message = format!("table {name} needs column `{0}`: add [[column]] with to = \"{0}\"", wanted.name);
            faults.add(&top.span, &top.place, message);
        }
    }
    columns
}

fn read_column(
    w: &mut Walk<'_, '_>,
    table: Option<&'static TableDef>,
    file: &FileSpec,
    faults: &mut Faults<'_>,
) -> Option<ColumnSpec> {
    w.known(COLUMN, faults);
    let to = required(w, "to", "the name of our column", faults)?;
    w.place = format!("column `{to}`");
    let source = read_origin(w, &to, file, faults);
    let kind = read_kind(w, &to, table, faults);
    let format = read_format(w, kind, faults);
    let unit = read_unit(w, &to, kind, table, faults);
    let rounds = [("exact", Round::Exact), ("up", Round::Up), ("down", Round::Down), ("nearest", Round::Nearest)];
    let round = w.one_of("round", &rounds, faults);
    let numeric =
        matches!(kind, None | Some(ColumnKind::Stored(ColumnType::Int | ColumnType::Decimal | ColumnType::Money)));
    if round.is_some() && !numeric {
        faults.add(&w.span, &w.place, "`round` is for int, decimal and money columns");
    }
    let zone = read_zone(w, faults);
    let timed = matches!(kind, Some(ColumnKind::Stored(ColumnType::Time | ColumnType::Date)));
    let needs_zone = match kind {
        Some(ColumnKind::Stored(ColumnType::Time)) => format.is_local(),
        Some(ColumnKind::Stored(ColumnType::Date)) => !matches!(format, TimeFormat::Pattern(_) | TimeFormat::Iso),
        _ => false,
    };
    if needs_zone && zone.is_none() && file.zone.is_none() && w.get("zone").is_none() {
        faults.add(&w.span, &w.place, "local times need a zone: set zone = \"Asia/Shanghai\" in [file] or here");
    }
    if zone.is_some() && !timed {
        faults.add(&w.span, &w.place, "`zone` is for time and date columns");
    }
    let column = ColumnSpec {
        source,
        kind: kind?,
        unit,
        round: round.unwrap_or_default(),
        format,
        zone,
        map: read_map(w, faults),
        null: w.strings("null", faults).map(|(list, _)| list),
        truth: read_truth(w, kind, faults),
        required: read_required(w, &to, kind, table, faults),
        to,
    };
    check_words(w, &column, faults);
    Some(column)
}

fn read_origin(w: &Walk<'_, '_>, to: &str, file: &FileSpec, faults: &mut Faults<'_>) -> Origin {
    if let Some(value) = w.get("const") {
        if w.get("from").is_some() {
            faults.add(&value.span(), &w.place, "has `from` and `const`; keep one");
        }
        return Origin::Const(scalar(value.get_ref()).unwrap_or_else(|| {
            faults.add(&value.span(), &w.place, "`const` must be a text, number or boolean");
            String::new()
        }));
    }
    let Some(from) = w.get("from") else {
        if !file.header && file.names.as_ref().is_none_or(|n| !n.iter().any(|x| x == to)) {
            faults.add(
                &w.span,
                &w.place,
                "`from` is missing: the file has no header, so give a position from 1 or a `const`",
            );
        }
        return Origin::Name(to.to_owned());
    };
    origin(from, &w.place, file, faults)
}

fn read_kind(
    w: &Walk<'_, '_>,
    to: &str,
    table: Option<&'static TableDef>,
    faults: &mut Faults<'_>,
) -> Option<ColumnKind> {
    let mut names: Vec<(&str, ColumnKind)> = ColumnType::ALL.map(|t| (t.name(), ColumnKind::Stored(t))).to_vec();
    names.push((KEY_ONLY, ColumnKind::KeyOnly));
    let given = w.one_of("type", &names, faults);
    let canonical = table.and_then(|t| t.column(to));
    match (canonical, given) {
        (Some(c), None) => Some(ColumnKind::Stored(c.kind)),
        (Some(c), Some(ColumnKind::Stored(t))) if t == c.kind => given,
        (Some(c), Some(ColumnKind::Stored(ColumnType::SubscriberNumber))) if c.kind == ColumnType::Subscriber => given,
        (Some(c), Some(_)) => {
            let message = format!("is {} in table {}; leave `type` out", c.kind.name(), table.map_or("", |t| t.name));
            faults.add(&w.span, &w.place, message);
            None
        }
        (None, Some(_)) => {
            let valid = to.starts_with(|c: char| c.is_ascii_lowercase())
                && to.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                && to.len() <= 64;
            if !valid {
                faults.add(
                    &w.span,
                    &w.place,
                    "a new column's name is a small letter, then small letters, digits and `_`",
                );
            }
            given
        }
        (None, None) => {
            if let Some(t) = table
                && w.get("type").is_none()
            {
                let near = hint(to, t.columns.iter().map(|c| c.name));
                let message = format!("is not in table {}{near}; or give it a `type` to add it", t.name);
                faults.add(&w.span, &w.place, message);
            }
            None
        }
    }
}

fn read_format(w: &Walk<'_, '_>, kind: Option<ColumnKind>, faults: &mut Faults<'_>) -> TimeFormat {
    let Some((text, span)) = w.str("format", faults) else { return TimeFormat::Iso };
    if !matches!(kind, None | Some(ColumnKind::Stored(ColumnType::Time | ColumnType::Date))) {
        faults.add(&span, &w.place, "`format` is for time and date columns");
    }
    time_format(text, &span, &w.place, faults)
}

pub(super) fn time_format(text: &str, span: &Range<usize>, place: &str, faults: &mut Faults<'_>) -> TimeFormat {
    match text {
        "iso" => TimeFormat::Iso,
        "epoch_s" => TimeFormat::EpochS,
        "epoch_ms" => TimeFormat::EpochMs,
        "rfc3339" => TimeFormat::Rfc3339,
        pattern => TimeFormat::pattern(pattern).unwrap_or_else(|message| {
            faults.add(span, place, message);
            TimeFormat::Iso
        }),
    }
}

fn read_unit(
    w: &Walk<'_, '_>,
    to: &str,
    kind: Option<ColumnKind>,
    table: Option<&'static TableDef>,
    faults: &mut Faults<'_>,
) -> Option<Unit> {
    let (name, span) = w.str("unit", faults)?;
    let Some(unit) = Unit::named(name) else {
        faults.add(&span, &w.place, format!("unknown unit `{name}`: {}", Unit::NAMES));
        return None;
    };
    let canonical = table.and_then(|t| t.column(to)).is_some();
    let fits = match (kind?, unit) {
        (ColumnKind::Stored(ColumnType::Money), Unit::Money { .. }) => true,
        (ColumnKind::Stored(ColumnType::Int), Unit::Time(..)) => !canonical || to.ends_with("_s"),
        (ColumnKind::Stored(ColumnType::Int), Unit::Data(_)) => !canonical || to == "bytes",
        (ColumnKind::Stored(ColumnType::Decimal), Unit::Time(..) | Unit::Data(_)) => !canonical,
        _ => false,
    };
    if !fits {
        let message = format!(
            "unit `{name}` does not fit: time units are for seconds (`duration_s`), data units for `bytes`, money units for money; a time written as a count takes format = \"epoch_s\" or \"epoch_ms\""
        );
        faults.add(&span, &w.place, message);
        return None;
    }
    Some(unit)
}

pub(super) fn read_map(w: &Walk<'_, '_>, faults: &mut Faults<'_>) -> Option<WordMap> {
    let others = [("quarantine", MapOther::Quarantine), ("keep", MapOther::Keep), ("null", MapOther::Null)];
    let other = w.one_of("map_other", &others, faults);
    let words = w.words("map", faults);
    if words.is_none() && other.is_some() {
        faults.add(&w.span, &w.place, "`map_other` without `map`");
    }
    words.map(|(words, _)| WordMap { words, other: other.unwrap_or(MapOther::Quarantine) })
}

fn read_truth(w: &Walk<'_, '_>, kind: Option<ColumnKind>, faults: &mut Faults<'_>) -> Truth {
    let yes = w.strings("true", faults);
    let no = w.strings("false", faults);
    if !matches!(kind, None | Some(ColumnKind::Stored(ColumnType::Bool)))
        && let Some((_, span)) = yes.as_ref().or(no.as_ref())
    {
        faults.add(span, &w.place, "`true` and `false` are for bool columns");
    }
    let words = |found: Option<(Vec<String>, _)>| found.map(|(list, _)| list).unwrap_or_default();
    Truth { yes: words(yes), no: words(no) }
}

fn read_required(
    w: &Walk<'_, '_>,
    to: &str,
    kind: Option<ColumnKind>,
    table: Option<&'static TableDef>,
    faults: &mut Faults<'_>,
) -> bool {
    let by_table = table.and_then(|t| t.column(to)).is_some_and(|c| c.required);
    let given = w.bool("required", faults);
    if given == Some(false) && by_table {
        faults.add(&w.span, &w.place, "the table requires this column; leave `required` out");
    }
    // a blank id would make all such rows duplicates of one another
    given.unwrap_or(false) || by_table || kind == Some(ColumnKind::KeyOnly)
}

/// Constants and mapped words must be values of their column, so that a slip shows here and not as a million bad rows.
fn check_words(w: &Walk<'_, '_>, column: &ColumnSpec, faults: &mut Faults<'_>) {
    let mapped = column.map.iter().flat_map(|m| &m.words).map(|(_, ours)| ours.as_str());
    let constant = if let Origin::Const(text) = &column.source { Some(text.as_str()) } else { None };
    for text in mapped.chain(constant.filter(|_| column.map.is_none())) {
        if text.len() > WORD_MAX {
            faults.add(&w.span, &w.place, format!("a word of `map` or `const` is longer than {WORD_MAX} bytes"));
        } else if let Err(reason) = super::cell::trial(column, text) {
            faults.add(&w.span, &w.place, format!("`{text}` of `map` or `const` is no value of this column: {reason}"));
        }
    }
}

fn read_key(top: &Walk<'_, '_>, mode: Option<Mode>, columns: &[ColumnSpec], faults: &mut Faults<'_>) -> Vec<String> {
    let Some((key, span)) = top.strings("key", faults) else {
        if let (Some(mode @ (Mode::Append | Mode::Upsert)), None) = (mode, top.get("key")) {
            let message = format!("mode {} needs `key`: the columns that tell one row from another", mode.name());
            faults.add(&top.span, &top.place, message);
        }
        return Vec::new();
    };
    if key.is_empty() {
        faults.add(&span, &top.place, "`key` is empty: name the columns that tell one row from another");
    }
    for (i, name) in key.iter().enumerate() {
        if key[..i].contains(name) {
            faults.add(&span, &top.place, format!("`key` names `{name}` twice"));
        }
        if !columns.iter().any(|c| c.to == *name) {
            let near = hint(name, columns.iter().map(|c| c.to.as_str()));
            let message = format!(
                "`key` names `{name}`, which is no column of this layout{near}; or add [[column]] with to = \"{name}\" and type = \"key\""
            );
            faults.add(&span, &top.place, message);
        }
    }
    for unused in columns.iter().filter(|c| c.kind == ColumnKind::KeyOnly && !key.contains(&c.to)) {
        let message = format!("column `{}` has type \"key\" but `key` does not name it", unused.to);
        faults.add(&span, &top.place, message);
    }
    key
}

fn read_as_of(top: &Walk<'_, '_>, file: &FileSpec, faults: &mut Faults<'_>) -> Option<Timestamp> {
    let value = top.get("as_of")?;
    let text = match value.get_ref() {
        DeValue::Datetime(d) => d.to_string(),
        DeValue::String(s) => s.to_string(),
        _ => {
            faults.add(&value.span(), &top.place, "`as_of` must be a time such as \"2026-03-01T00:00:00\"");
            return None;
        }
    };
    let has_offset = text.parse::<Timestamp>().is_ok();
    if file.zone.is_none() && !has_offset {
        faults.add(&value.span(), &top.place, "`as_of` without offset needs `zone` in [file]");
    }
    let zone = file.zone.clone().unwrap_or_else(Zone::utc);
    let read = WhenReader::new(TimeFormat::Iso, zone).time(&text);
    read.map_err(|e| faults.add(&value.span(), &top.place, format!("`as_of` is {e}"))).ok()
}
