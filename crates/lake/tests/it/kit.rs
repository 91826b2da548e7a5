//! Small hand-made rows, and answers as text.

use kairos_lake::{Counts, ImportMeta, KeyHasher, Lake, LakeOptions, Mode, Reject, to_text};
use kairos_model::{
    PartyId, TenantId, Timestamp, Zone,
    table::{Batch, Column, ColumnType, Texts, Values},
};

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn zone() -> Zone {
    Zone::named("Asia/Shanghai").unwrap()
}

pub fn open(dir: &std::path::Path) -> Lake {
    Lake::open(dir, TenantId(1), zone(), LakeOptions::default()).unwrap()
}

/// A column from text cells: `-` is NULL.
pub fn column(name: &str, kind: ColumnType, cells: &[&str]) -> Column {
    let valid: Vec<bool> = cells.iter().map(|c| *c != "-").collect();
    let cell = |c: &&str, filler: &'static str| if *c == "-" { filler.to_owned() } else { (*c).to_owned() };
    let values = match kind {
        ColumnType::Bool => Values::Bool(cells.iter().map(|c| *c == "true").collect()),
        ColumnType::Int => Values::Int(cells.iter().map(|c| cell(c, "0").parse().unwrap()).collect()),
        ColumnType::Decimal | ColumnType::Money => {
            Values::Micros(cells.iter().map(|c| kairos_model::money::parse_micros(&cell(c, "0")).unwrap()).collect())
        }
        ColumnType::Text => {
            let mut t = Texts::default();
            cells.iter().for_each(|c| t.push(&cell(c, "")));
            Values::Text(t)
        }
        ColumnType::Date => Values::Date(cells.iter().map(|c| cell(c, "1970-01-01").parse().unwrap()).collect()),
        ColumnType::Time => Values::Time(cells.iter().map(|c| at(&cell(c, "1970-01-01T00:00:00Z"))).collect()),
        ColumnType::Subscriber | ColumnType::Party | ColumnType::SubscriberNumber => {
            Values::Party(cells.iter().map(|c| PartyId(cell(c, "0").parse().unwrap())).collect())
        }
        ColumnType::OwnNumber | ColumnType::Secret => panic!("not in the lake"),
    };
    Column { name: name.to_owned(), kind, values, valid }
}

/// Rows written as a little table: the first line is `name:type …`, then one line a row.
pub fn rows(text: &str) -> Batch {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let heads: Vec<(&str, ColumnType)> = lines
        .next()
        .unwrap()
        .split_whitespace()
        .map(|h| {
            let (name, kind) = h.split_once(':').unwrap();
            (name, ColumnType::ALL.into_iter().find(|t| t.name() == kind).unwrap())
        })
        .collect();
    let cells: Vec<Vec<&str>> = lines.map(|l| l.split_whitespace().collect()).collect();
    let columns = heads
        .iter()
        .enumerate()
        .map(|(i, (name, kind))| column(name, *kind, &cells.iter().map(|r| r[i]).collect::<Vec<_>>()))
        .collect();
    Batch { columns, source_rows: (2..2 + cells.len() as u64).collect() }
}

/// What is imported in a story.
pub struct File<'a> {
    pub name: &'a str,
    pub table: &'a str,
    pub mode: Mode,
    pub as_of: &'a str,
    pub keys: &'a [&'a str],
    pub rows: &'a str,
}

pub fn meta(f: &File) -> ImportMeta {
    ImportMeta {
        file_name: f.name.to_owned(),
        content_hash: format!("hash of {}", f.name),
        layout: format!("{}-layout", f.table),
        table: f.table.to_owned(),
        mode: f.mode,
        as_of: at(f.as_of),
        imported_at: at("2026-03-02T00:30:00Z"),
    }
}

/// Keys of the rows; none where the file has none.
pub fn keys(batch: &Batch, names: &[&str]) -> Vec<kairos_lake::RowKey> {
    if names.is_empty() {
        return Vec::new();
    }
    let columns: Vec<&Column> = names.iter().map(|n| batch.column(n).unwrap()).collect();
    KeyHasher::new([7; 32]).keys(&columns, batch.rows())
}

pub fn import(lake: &Lake, f: &File, rejects: &[u64]) -> Counts {
    let mut i = lake.begin_import(meta(f)).unwrap();
    let batch = rows(f.rows);
    i.push(&batch, &keys(&batch, f.keys)).unwrap();
    for &row in rejects {
        i.reject(Reject { row, field: Some("at".to_owned()), reason: "no date".to_owned(), raw: Some(row) }).unwrap();
    }
    i.commit().unwrap()
}

pub async fn ask(lake: &Lake, as_of: &str, sql: &str) -> String {
    let a = lake.sql(at(as_of), sql, Default::default()).await.unwrap();
    to_text(&a.batches).unwrap()
}

/// Every file below a directory, relative, sorted.
pub fn files(dir: &std::path::Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(d) = todo.pop() {
        for e in std::fs::read_dir(&d).unwrap() {
            let p = e.unwrap().path();
            if p.is_dir() { todo.push(p) } else { all.push(p.strip_prefix(dir).unwrap().display().to_string()) }
        }
    }
    all.sort();
    all
}
