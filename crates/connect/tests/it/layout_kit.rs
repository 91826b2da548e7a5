//! Reads bytes by a layout and writes down what came of every row.

use kairos_connect::layout::{Layout, ReadError, ReadOptions, Reader};
use kairos_model::{
    Currency, Money, NumberPlan,
    table::{Batch, Values},
};
use std::{fmt::Write as _, io::Cursor, path::Path, sync::Arc};

pub fn options() -> ReadOptions {
    ReadOptions::new(Arc::new(NumberPlan::china()), Currency::CNY, [7; 32])
}

pub fn layout(text: &str) -> Layout {
    Layout::parse(text, "test.toml").unwrap_or_else(|e| panic!("{e}"))
}

/// A layout over `subscriber`, `at`, `bytes` and `note`, with `file` in its `[file]`.
pub fn plain(file: &str) -> Layout {
    layout(&format!(
        r#"
        id = "plain"
        table = "usage"
        mode = "append"
        key = ["subscriber", "at"]
        [file]
        zone = "Asia/Shanghai"
        {file}
        [[column]]
        to = "subscriber"
        [[column]]
        to = "at"
        [[column]]
        to = "kind"
        const = "data"
        [[column]]
        to = "bytes"
        unit = "KB"
        [[column]]
        to = "note"
        type = "text"
        "#
    ))
}

pub fn reader(layout: &Layout, bytes: &[u8], options: &ReadOptions) -> Result<Reader, ReadError> {
    Reader::from_read(Box::new(Cursor::new(bytes.to_vec())), Path::new("test.csv"), layout, options)
}

/// One line a mapped row and one a reject, in the order of the file; or the error.
pub fn read(layout: &Layout, bytes: &[u8]) -> String {
    match try_read(layout, bytes, &options()) {
        Ok(lines) => lines,
        Err(e) => e.to_string(),
    }
}

pub fn try_read(layout: &Layout, bytes: &[u8], options: &ReadOptions) -> Result<String, ReadError> {
    let mut lines = Vec::new();
    for chunk in reader(layout, bytes, options)? {
        let chunk = chunk?;
        assert_eq!(chunk.read, (chunk.batch.rows() + chunk.rejects.len()) as u64, "read = mapped + rejected");
        assert_eq!(chunk.keys.len(), chunk.batch.rows());
        for row in 0..chunk.batch.rows() {
            lines.push((
                chunk.batch.source_rows[row],
                format!("{}: {}", chunk.batch.source_rows[row], cells(&chunk.batch, row)),
            ));
        }
        lines.extend(chunk.rejects.iter().map(|r| (r.row, format!("{r:?}"))));
    }
    lines.sort();
    Ok(lines.into_iter().fold(String::new(), |mut out, (_, line)| {
        out.push_str(&line);
        out.push('\n');
        out
    }))
}

pub fn cells(batch: &Batch, row: usize) -> String {
    let mut out = String::new();
    for column in &batch.columns {
        if !column.valid[row] {
            out.push_str("· ");
            continue;
        }
        match &column.values {
            Values::Bool(v) => write!(out, "{} ", v[row]),
            Values::Int(v) => write!(out, "{} ", v[row]),
            Values::Micros(v) => write!(out, "{} ", Money::micros(v[row], Currency::CNY).amount()),
            Values::Text(t) | Values::Key(t) => write!(out, "{} ", t.get(row)),
            Values::Date(v) => write!(out, "{} ", v[row]),
            Values::Time(v) => write!(out, "{} ", v[row]),
            Values::Number(v) => write!(out, "{:?} ", v[row].expect("valid")),
            Values::Party(v) => write!(out, "{:?} ", v[row]),
        }
        .expect("memory");
    }
    out.trim_end().to_owned()
}
