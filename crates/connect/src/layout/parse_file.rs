//! The `[file]` part of a layout, and columns by name or position.

use super::{
    spec::{Encoding, FileFormat, FileSpec, Origin},
    walk::{Faults, Walk, whole},
};
use kairos_model::{Zone, near::hint};
use std::ops::Range;
use toml::{Spanned, de::DeValue};

const FILE: &[&str] =
    &["format", "delimiter", "encoding", "header", "quote", "null", "zone", "line_max", "fields", "names"];
/// No record within line_max needs more columns, and a wrong figure shows at once.
const COLUMNS_MAX: usize = 4_096;

pub(super) fn read_file(w: &Walk<'_, '_>, faults: &mut Faults<'_>) -> FileSpec {
    w.known(FILE, faults);
    let formats = [("csv", FileFormat::Csv), ("parquet", FileFormat::Parquet)];
    let encodings = Encoding::ALL.map(|e| (e.name(), e));
    let encoding = w.one_of("encoding", &encodings, faults).unwrap_or(Encoding::Utf8);
    let quote = match w.str("quote", faults) {
        None => Some(b'"'),
        Some(("", _)) => None,
        Some(("\"", _)) => Some(b'"'),
        Some(("'", _)) => Some(b'\''),
        Some((_, span)) => {
            faults.add(&span, &w.place, "`quote` must be \"\\\"\", \"'\", or \"\" for none");
            None
        }
    };
    let delimiter = w.str("delimiter", faults).map_or((",", w.span.clone()), |found| found);
    let clash = quote.is_some_and(|q| delimiter.0.as_bytes().contains(&q));
    if delimiter.0.is_empty() || delimiter.0.len() > 16 || delimiter.0.contains(['\n', '\r']) || clash {
        let message =
            "`delimiter` must be 1–16 bytes without line ends and without the quote; set quote = \"\" if needed";
        faults.add(&delimiter.1, &w.place, message);
    }
    let line_max = w.usize("line_max", faults).unwrap_or((FileSpec::LINE_MAX, w.span.clone()));
    if !(64..=FileSpec::LINE_MAX_LIMIT).contains(&line_max.0) {
        let message =
            format!("`line_max` must be 64 … {} bytes: one record is held in memory", FileSpec::LINE_MAX_LIMIT);
        faults.add(&line_max.1, &w.place, message);
    }
    let header = w.bool("header", faults).unwrap_or(true);
    let fields = w.usize("fields", faults);
    if let (Some((_, span)), true) = (&fields, header) {
        faults.add(span, &w.place, "`fields` is for files without header; with one, the header counts the fields");
    }
    let names = read_names(w, header, fields.as_ref().map(|(n, _)| *n), faults);
    FileSpec {
        format: w.one_of("format", &formats, faults).unwrap_or(FileFormat::Csv),
        delimiter: delimiter.0.to_owned(),
        encoding,
        header,
        quote,
        null: w.strings("null", faults).map_or_else(|| vec![String::new()], |(list, _)| list),
        zone: read_zone(w, faults),
        line_max: line_max.0,
        fields: fields.map(|(n, _)| n),
        names,
    }
}

fn read_names(w: &Walk<'_, '_>, header: bool, fields: Option<usize>, faults: &mut Faults<'_>) -> Option<Vec<String>> {
    let (names, span) = w.strings("names", faults)?;
    let names: Vec<String> = names.iter().map(|n| n.trim().to_owned()).collect();
    if header {
        faults.add(&span, &w.place, "`names` is for files without header; with one, the header names the columns");
    }
    if names.is_empty() || names.len() > COLUMNS_MAX {
        faults.add(&span, &w.place, format!("`names` must name 1 … {COLUMNS_MAX} columns"));
    }
    if fields.is_some_and(|n| n != names.len()) {
        faults.add(&span, &w.place, "`fields` and `names` count differently");
    }
    Some(names)
}

pub(super) fn read_zone(w: &Walk<'_, '_>, faults: &mut Faults<'_>) -> Option<Zone> {
    let (name, span) = w.str("zone", faults)?;
    Zone::named(name).map_err(|e| faults.add(&span, &w.place, e.to_string())).ok()
}

/// A column by its name or its position.
pub(super) fn origin(from: &Spanned<DeValue<'_>>, place: &str, file: &FileSpec, faults: &mut Faults<'_>) -> Origin {
    match (from.get_ref(), whole(from.get_ref())) {
        (DeValue::String(name), _) => named(name.trim(), &from.span(), place, file, faults),
        (_, Some(p)) if (1..=COLUMNS_MAX).contains(&p) => Origin::Position(p),
        _ => {
            let message = format!("`from` must be a name of the header or a position 1 … {COLUMNS_MAX}");
            faults.add(&from.span(), place, message);
            Origin::Position(1)
        }
    }
}

/// A column by its name.
pub(super) fn named(name: &str, span: &Range<usize>, place: &str, file: &FileSpec, faults: &mut Faults<'_>) -> Origin {
    let message = match &file.names {
        _ if file.header => return Origin::Name(name.to_owned()),
        Some(names) if names.iter().any(|n| n == name) => return Origin::Name(name.to_owned()),
        Some(names) => {
            let near = hint(name, names.iter().map(String::as_str));
            format!("`{name}` is not among the `names` of [file]{near}")
        }
        None => "the file has no header: `from` must be a position from 1, or give `names` in [file]".to_owned(),
    };
    faults.add(span, place, message);
    Origin::Position(1)
}
