//! Rows of text cells → columns of a batch. The splitter feeds it from text files, the lake from Parquet.

use super::{
    cell::{self, Conv},
    number::Unit,
    reject::{Flaw, RejectReason},
    spec::{ColumnKind, ColumnSpec, Layout, MapOther, Origin},
};
use kairos_model::{
    Currency, NumberPlan,
    hash::FixedMap,
    near::hint,
    table::{Batch, Column},
};
use std::sync::Arc;

/// What reading needs besides the layout.
#[derive(Clone)]
pub struct ReadOptions {
    /// Decides what is a number and what a short code.
    pub plan: Arc<NumberPlan>,
    /// The tenant's currency: a layout in another one is refused.
    pub currency: Currency,
    /// Keys the row hashes, which are stored in clear, so that nobody can find a number by trying them all.
    pub key_secret: [u8; 32],
    /// Rows read, good and bad, in one chunk at most.
    pub chunk_rows: usize,
    /// Bytes of records in one chunk at most: bounds memory whatever the rows' length.
    pub chunk_bytes: usize,
}

impl ReadOptions {
    pub fn new(plan: Arc<NumberPlan>, currency: Currency, key_secret: [u8; 32]) -> Self {
        Self { plan, currency, key_secret, chunk_rows: 65_536, chunk_bytes: 32 << 20 }
    }

    /// Rows and bytes of a chunk, within what the 32-bit ends of a batch's texts can hold: a column has at most the bytes
    /// of its records, or a word of the layout (≤ 1 KiB) a row, so 1 GiB either way.
    pub(crate) fn limits(&self) -> (usize, usize) {
        (self.chunk_rows.clamp(1, 1 << 20), self.chunk_bytes.clamp(1, 1 << 30))
    }
}

/// Why a layout does not fit the columns of a file or the tenant. Column names only, never cells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("{}; the header is: {header}{remedy}", missing.join("; "))]
    Missing {
        /// One line a column: "no column `x`; did you mean `y`?".
        missing: Vec<String>,
        header: String,
        remedy: String,
    },
    #[error(
        "the header has column `{name}` {times} times and the layout reads it; rename one, or give `from` as a position"
    )]
    Repeated { name: String, times: usize },
    #[error("the layout reads column {position}, but there are {fields} columns")]
    Position { position: usize, fields: usize },
    #[error(
        "column `{column}` is in {unit} and the tenant's currency is {currency}; a `type = \"decimal\"` column keeps it as a plain figure"
    )]
    Currency { column: String, unit: Currency, currency: Currency },
    #[error("the constant of column `{column}` is no number: {reason}")]
    Constant { column: String, reason: RejectReason },
}

/// Where a cell is found.
pub(crate) enum At {
    Field(usize),
    Const(Box<str>),
}

/// One column's way from cell to value.
struct Step {
    name: String,
    at: At,
    /// Index in the batch; `None` for a key-only column.
    slot: Option<usize>,
    conv: Conv,
    required: bool,
    in_key: bool,
    nulls: Vec<String>,
    map: Option<(FixedMap<String, String>, MapOther)>,
}

/// A layout bound to the columns of one file.
pub struct Mapper {
    /// Columns of the key first, in the key's order: the hash does not depend on the order of the layout's columns.
    steps: Vec<Step>,
    columns: Vec<Column>,
    plan: Arc<NumberPlan>,
    key_secret: [u8; 32],
    line_max: usize,
    key: Vec<u8>,
}

/// Mapped rows on their way to a batch.
pub struct Builder {
    columns: Vec<Column>,
    source_rows: Vec<u64>,
    keys: Vec<u128>,
}

/// Cells of one row by position. A position past the end is NULL.
pub(crate) trait Cells {
    fn cell(&self, i: usize) -> Option<&str>;
}

impl Cells for [Option<&str>] {
    #[inline]
    fn cell(&self, i: usize) -> Option<&str> {
        self.get(i).copied().flatten()
    }
}

impl Mapper {
    /// Binds `layout` to a file's columns: `header` holds their names, `None` where the file has none.
    pub fn new(layout: &Layout, header: Option<&[&str]>, options: &ReadOptions) -> Result<Self, Misfit> {
        let wanted = layout.columns.iter().map(|c| (c.to.as_str(), &c.source));
        let places = places(wanted, header)?;
        let mut slots = layout.columns.iter().scan(0, |next, c| {
            let slot = matches!(c.kind, ColumnKind::Stored(_)).then_some(*next);
            *next += usize::from(slot.is_some());
            Some(slot)
        });
        let mut steps = Vec::with_capacity(layout.columns.len());
        for (column, at) in layout.columns.iter().zip(places) {
            check_currency(column, options.currency)?;
            let step = step(layout, column, at, slots.next().flatten());
            check_constant(&step, &options.plan)?;
            steps.push(step);
        }
        let rank = |s: &Step| layout.key.iter().position(|k| *k == s.name).unwrap_or(usize::MAX);
        steps.sort_by_key(rank);
        let columns = layout.stored().map(|(name, kind)| Column {
            name: name.to_owned(),
            kind,
            values: cell::empty(kind),
            valid: Vec::new(),
        });
        let space = [b"kairos row key 1\0", layout.key_space.as_bytes()].concat();
        Ok(Self {
            steps,
            columns: columns.collect(),
            plan: options.plan.clone(),
            key_secret: *blake3::keyed_hash(&options.key_secret, &space).as_bytes(),
            line_max: layout.file.line_max,
            key: Vec::with_capacity(256),
        })
    }

    /// An empty builder with room for `rows`.
    pub fn builder(&self, rows: usize) -> Builder {
        let mut columns = self.columns.clone();
        columns.iter_mut().for_each(|c| c.valid.reserve(rows));
        Builder { columns, source_rows: Vec::with_capacity(rows), keys: Vec::with_capacity(rows) }
    }

    /// Maps one row of text cells, `None` = NULL; `row` names it in the quarantine. On a flaw the builder is as before.
    /// A builder takes a million rows at most: its texts end in 32 bits.
    pub fn map_record(&mut self, into: &mut Builder, row: u64, fields: &[Option<&str>]) -> Result<(), Flaw> {
        if fields.iter().flatten().map(|f| f.len()).sum::<usize>() > self.line_max {
            return Err(Flaw { field: None, reason: RejectReason::LineTooLong { max: self.line_max } });
        }
        self.map_cells(into, row, fields)
    }

    #[inline]
    pub(crate) fn map_cells<C: Cells + ?Sized>(&mut self, into: &mut Builder, row: u64, cells: &C) -> Result<(), Flaw> {
        let Self { steps, plan, key, key_secret, .. } = self;
        key.clear();
        for step in steps {
            if let Err(reason) = step.run(cells, &mut into.columns, key, plan) {
                into.take_back();
                return Err(Flaw { field: Some(step.name.clone()), reason });
            }
        }
        into.source_rows.push(row);
        into.keys.push(key_hash(key_secret, key));
        Ok(())
    }
}

impl Step {
    #[inline]
    fn run<C: Cells + ?Sized>(
        &mut self,
        cells: &C,
        columns: &mut [Column],
        key: &mut Vec<u8>,
        plan: &NumberPlan,
    ) -> Result<(), RejectReason> {
        let raw = match &self.at {
            At::Field(i) => cells.cell(*i),
            At::Const(text) => Some(&**text),
        };
        let text = raw.map(str::trim_ascii).filter(|t| !t.is_empty() && !self.nulls.iter().any(|n| n == t));
        let text = match (text, &self.map) {
            (Some(t), Some((words, other))) => match (words.get(t), other) {
                (Some(ours), _) => Some(ours.as_str()).filter(|t| !t.is_empty()),
                (None, MapOther::Keep) => Some(t),
                (None, MapOther::Null) => None,
                (None, MapOther::Quarantine) => return Err(RejectReason::NotInMap),
            },
            (text, _) => text,
        };
        let column = self.slot.map(|s| &mut columns[s]);
        let key = self.in_key.then_some(key);
        let (values, valid) = column.map(|c| (&mut c.values, &mut c.valid)).unzip();
        if let Some(valid) = valid {
            valid.push(text.is_some());
        }
        match text {
            Some(text) => self.conv.push(text, values, key, plan),
            None if self.required => Err(RejectReason::Missing),
            None => {
                cell::push_null(values, key);
                Ok(())
            }
        }
    }
}

impl Builder {
    pub fn rows(&self) -> usize {
        self.source_rows.len()
    }

    fn take_back(&mut self) {
        let rows = self.source_rows.len();
        for column in &mut self.columns {
            cell::truncate(&mut column.values, rows);
            column.valid.truncate(rows);
        }
    }

    /// The rows, and for each the hash of its key.
    pub fn finish(self) -> (Batch, Vec<u128>) {
        (Batch { columns: self.columns, source_rows: self.source_rows }, self.keys)
    }
}

/// 128 bits of keyed BLAKE3 over the key's values.
fn key_hash(secret: &[u8; 32], key: &[u8]) -> u128 {
    let hash = blake3::keyed_hash(secret, key);
    let mut low = [0; 16];
    low.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(low)
}

fn step(layout: &Layout, column: &ColumnSpec, at: At, slot: Option<usize>) -> Step {
    let words = column.map.as_ref().map(|m| (m.words.iter().cloned().collect(), m.other));
    let nulls = column.null.as_ref().unwrap_or(&layout.file.null);
    Step {
        name: column.to.clone(),
        at,
        slot,
        conv: Conv::new(column, layout.file.zone.as_ref()),
        required: column.required,
        in_key: layout.key.contains(&column.to) || (layout.key.is_empty() && slot.is_some()),
        nulls: nulls.iter().map(|n| n.trim_ascii().to_owned()).filter(|n| !n.is_empty()).collect(),
        map: words,
    }
}

fn check_currency(column: &ColumnSpec, tenant: Currency) -> Result<(), Misfit> {
    match column.unit {
        Some(Unit::Money { currency, .. }) if currency != tenant => {
            Err(Misfit::Currency { column: column.to.clone(), unit: currency, currency: tenant })
        }
        _ => Ok(()),
    }
}

fn check_constant(step: &Step, plan: &NumberPlan) -> Result<(), Misfit> {
    let (At::Const(text), Conv::Number { .. }) = (&step.at, &step.conv) else { return Ok(()) };
    match plan.parse(text) {
        Err(e) if !text.trim_ascii().is_empty() => {
            Err(Misfit::Constant { column: step.name.clone(), reason: RejectReason::Number(e) })
        }
        _ => Ok(()),
    }
}

/// The place of each of the layout's columns, given with what it is for; every missing one is told at once.
pub(crate) fn places<'a>(
    columns: impl Iterator<Item = (&'a str, &'a Origin)> + Clone,
    header: Option<&[&str]>,
) -> Result<Vec<At>, Misfit> {
    let names = header.unwrap_or_default();
    let read = columns.clone().filter_map(|(_, source)| match source {
        Origin::Name(name) => Some(name.as_str()),
        _ => None,
    });
    let mut missing = Vec::new();
    let mut out = Vec::new();
    for (to, source) in columns {
        out.push(match source {
            Origin::Const(text) => At::Const(text.as_str().into()),
            Origin::Position(p) if header.is_some() && *p > names.len() => {
                return Err(Misfit::Position { position: *p, fields: names.len() });
            }
            Origin::Position(p) => At::Field(p - 1),
            Origin::Name(name) => {
                let mut found = names.iter().enumerate().filter(|(_, n)| *n == name).map(|(i, _)| i);
                match (found.next(), found.count()) {
                    (Some(i), 0) => At::Field(i),
                    (Some(_), more) => return Err(Misfit::Repeated { name: name.clone(), times: more + 1 }),
                    (None, _) => {
                        let unused = names.iter().copied().filter(|n| read.clone().all(|read| read != *n));
                        let near = hint(name, unused);
                        missing.push(format!("no column `{name}` (for `{to}`){near}"));
                        At::Field(0)
                    }
                }
            }
        });
    }
    if missing.is_empty() {
        return Ok(out);
    }
    // a file without header shows a data row here, and errors hold no cells
    if names.iter().any(|n| n.bytes().filter(u8::is_ascii_digit).count() >= 5) {
        let header = format!("{} fields that look like data", names.len());
        let remedy = "; does the file lack a header? Then set header = false and give positions".to_owned();
        let missing = missing.iter().map(|m| m.split(';').next().unwrap_or(m).to_owned()).collect();
        return Err(Misfit::Missing { missing, header, remedy });
    }
    let shown = names.iter().take(40).map(|n| n.chars().take(40).collect::<String>());
    let mut header = shown.collect::<Vec<_>>().join(", ");
    if names.len() > 40 {
        header.push_str(&format!(", … {} more", names.len() - 40));
    }
    Err(Misfit::Missing { missing, header, remedy: String::new() })
}
