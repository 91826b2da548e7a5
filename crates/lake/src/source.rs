//! Parquet sources: someone else's Parquet file as rows of text cells, for the one layout reader.
//!
//! Dates and times come as ISO 8601 and RFC 3339, decimals with all their digits, binary as hexadecimal, NULL as no
//! text. Columns of lists, structures and maps are left out and named.

use crate::error::{LakeError, Result};
use datafusion::arrow::{
    array::{Array, ArrayRef},
    compute::cast,
    datatypes::{DataType, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use kairos_model::table::Texts;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};
use std::{
    fmt::Write,
    fs::File,
    path::{Path, PathBuf},
};

/// Rows of a chunk.
pub const CHUNK: usize = 8_192;

/// Cells of one column of a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextColumn {
    pub texts: Texts,
    /// One flag a row; false = NULL.
    pub valid: Vec<bool>,
}

impl TextColumn {
    pub fn get(&self, row: usize) -> Option<&str> {
        if self.valid.get(row).copied().unwrap_or(false) { Some(self.texts.get(row)) } else { None }
    }
}

/// Some rows of the file, in file order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextChunk {
    /// 1-based row of the file at which the chunk begins.
    pub first_row: u64,
    pub rows: usize,
    /// As many as [`ParquetRows::names`].
    pub columns: Vec<TextColumn>,
}

/// A Parquet file being read.
pub struct ParquetRows {
    path: PathBuf,
    names: Vec<String>,
    skipped: Vec<String>,
    total: u64,
    next_row: u64,
    reader: ParquetRecordBatchReader,
}

/// Opens a Parquet file.
///
/// Errors: no such file; not Parquet, cut short, or with a codec that is not supported.
pub fn parquet_rows(path: impl AsRef<Path>) -> Result<ParquetRows> {
    let path = path.as_ref().to_owned();
    let file = File::open(&path).map_err(LakeError::io("open", &path))?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(LakeError::parquet("read as Parquet", &path))?;
    let (mut names, mut skipped, mut roots) = (Vec::new(), Vec::new(), Vec::new());
    for (i, f) in builder.schema().fields().iter().enumerate() {
        if f.data_type().is_nested() {
            skipped.push(f.name().clone());
        } else {
            names.push(f.name().clone());
            roots.push(i);
        }
    }
    let total = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(CHUNK)
        .build()
        .map_err(LakeError::parquet("read as Parquet", &path))?;
    Ok(ParquetRows { path, names, skipped, total, next_row: 1, reader })
}

impl ParquetRows {
    /// Column names in file order.
    pub fn names(&self) -> &[String] {
        &self.names
    }
    /// Nested columns, which are left out.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
    /// Rows of the whole file, for a progress bar.
    pub fn total(&self) -> u64 {
        self.total
    }
    /// The next rows; `None` at the end. An error names the row at which the file stopped being readable.
    pub fn next_chunk(&mut self) -> Result<Option<TextChunk>> {
        let first_row = self.next_row;
        let damaged = |e: &dyn std::fmt::Display| {
            LakeError::damaged(&self.path, format!("from row {first_row} on it cannot be read ({e})"))
        };
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|e| damaged(&e))?;
        let columns = batch.columns().iter().map(texts).collect::<Result<_, _>>().map_err(|e| damaged(&e))?;
        self.next_row += batch.num_rows() as u64;
        Ok(Some(TextChunk { first_row, rows: batch.num_rows(), columns }))
    }
}

type ArrowResult<T> = Result<T, datafusion::arrow::error::ArrowError>;

fn texts(a: &ArrayRef) -> ArrowResult<TextColumn> {
    let a = match a.data_type() {
        DataType::Dictionary(_, inner) => cast(a, inner)?,
        // instants are printed in UTC whatever zone the file names
        DataType::Timestamp(unit, Some(_)) => cast(a, &DataType::Timestamp(unit.to_owned(), Some("+00:00".into())))?,
        DataType::Date64 => cast(a, &DataType::Timestamp(TimeUnit::Millisecond, None))?,
        _ => a.clone(),
    };
    let options = FormatOptions::default();
    let format = ArrayFormatter::try_new(&a, &options)?;
    let mut column = TextColumn::default();
    for i in 0..a.len() {
        column.valid.push(a.is_valid(i));
        if a.is_valid(i) {
            write!(column.texts.bytes, "{}", format.value(i))
                .map_err(|_| datafusion::arrow::error::ArrowError::CastError("a cell cannot be printed".to_owned()))?;
        }
        column.texts.ends.push(column.texts.bytes.len() as u32);
    }
    Ok(column)
}

/// The first rows as text, for previews.
pub fn preview(path: impl AsRef<Path>, rows: usize) -> Result<Vec<Vec<Option<String>>>> {
    let mut source = parquet_rows(path)?;
    let mut out = Vec::new();
    while let Some(chunk) = source.next_chunk()? {
        for r in 0..chunk.rows.min(rows - out.len()) {
            out.push(chunk.columns.iter().map(|c| c.get(r).map(str::to_owned)).collect());
        }
        if out.len() >= rows {
            break;
        }
    }
    Ok(out)
}
