//! What a layout says, checked: the nouns of a layout file.

use super::number::{Round, Unit};
use super::when::TimeFormat;
use kairos_model::{
    Timestamp, Zone,
    table::{ColumnType, TableDef},
};
use std::path::PathBuf;

/// A checked layout: how the columns of someone's file become the columns of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub id: String,
    pub table: &'static TableDef,
    pub mode: Mode,
    /// Names of columns in `columns` that identify a row, in order. Empty only for a snapshot: then every column does.
    pub key: Vec<String>,
    /// Rows of layouts with the same space are duplicates of one another when their keys are equal.
    pub key_space: String,
    /// From when the rows of an upsert or a snapshot hold; `None`: the import says.
    pub as_of: Option<Timestamp>,
    pub file: FileSpec,
    pub columns: Vec<ColumnSpec>,
    /// Where the layout was read from, for messages.
    pub path: PathBuf,
}

/// How rows of several imports meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A row whose key is already in the table is a duplicate.
    Append,
    /// The newest `as_of` of a key wins.
    Upsert,
    /// A file is the whole state of its layout at its `as_of`.
    Snapshot,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Append, Self::Upsert, Self::Snapshot];
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Upsert => "upsert",
            Self::Snapshot => "snapshot",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// Text with a delimiter; CSV and TSV are two of them.
    Csv,
    /// Read by the lake, which hands its rows to [`super::Mapper`] as text cells.
    Parquet,
}

/// Encoding of a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Utf8,
    /// As in the WHATWG standard: decoded like GB18030, of which it is a part.
    Gbk,
    Gb18030,
}

impl Encoding {
    pub const ALL: [Self; 3] = [Self::Utf8, Self::Gbk, Self::Gb18030];
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gbk => "gbk",
            Self::Gb18030 => "gb18030",
        }
    }
    pub(crate) fn other(self) -> Option<&'static encoding_rs::Encoding> {
        match self {
            Self::Utf8 => None,
            Self::Gbk => Some(encoding_rs::GBK),
            Self::Gb18030 => Some(encoding_rs::GB18030),
        }
    }
}

/// The `[file]` part.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSpec {
    pub format: FileFormat,
    pub delimiter: String,
    pub encoding: Encoding,
    /// Whether the first record names the columns.
    pub header: bool,
    pub quote: Option<u8>,
    /// Texts that mean NULL.
    pub null: Vec<String>,
    /// Zone of times without offset.
    pub zone: Option<Zone>,
    /// Bytes of one record at most.
    pub line_max: usize,
    /// Fields of a record in a file without header; `None`: at least as many as the highest position.
    pub fields: Option<usize>,
    /// Names of the columns of a file without header, in order.
    pub names: Option<Vec<String>>,
}

impl FileSpec {
    /// A record of 64 KiB holds any operator's row; a longer one is a lost quote or no text.
    pub const LINE_MAX: usize = 65_536;
    /// Upper limit of `line_max`: the reader holds one record in memory.
    pub const LINE_MAX_LIMIT: usize = 16 << 20;

    /// Fields that a record of a file without header must have (exactly, or at least), if the layout reads up to
    /// `position_max`.
    pub(crate) fn width(&self, position_max: usize) -> (usize, bool) {
        self.fields.map_or((position_max, false), |n| (n, true))
    }
}

/// One `[[column]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Our name.
    pub to: String,
    pub source: Origin,
    pub kind: ColumnKind,
    pub unit: Option<Unit>,
    pub round: Round,
    pub format: TimeFormat,
    /// In place of the file's zone.
    pub zone: Option<Zone>,
    /// Words of the file → words of ours, before the type is read.
    pub map: Option<WordMap>,
    /// In place of the file's nulls.
    pub null: Option<Vec<String>>,
    pub truth: Truth,
    /// A blank cell quarantines the row.
    pub required: bool,
}

/// Where a column's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Column of that name in the header.
    Name(String),
    /// 1-based position.
    Position(usize),
    /// The same text in every row.
    Const(String),
}

impl Origin {
    /// 1-based position in a file without header, whose columns may have `names`; 0 if that is not known.
    pub(crate) fn position(&self, names: Option<&[String]>) -> usize {
        match self {
            Self::Position(p) => *p,
            Self::Name(name) => names.and_then(|n| n.iter().position(|x| x == name)).map_or(0, |p| p + 1),
            Self::Const(_) => 0,
        }
    }
}

/// What becomes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    Stored(ColumnType),
    /// Part of the key, hashed and not stored.
    KeyOnly,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordMap {
    pub words: Vec<(String, String)>,
    pub other: MapOther,
}

/// What becomes of a word that the map lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapOther {
    Quarantine,
    Keep,
    Null,
}

/// Words of a bool; empty lists mean 1/true/t/yes/y and 0/false/f/no/n in any case.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Truth {
    pub yes: Vec<String>,
    pub no: Vec<String>,
}

impl Layout {
    /// Columns that the reader's batches hold, in order.
    pub fn stored(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        self.columns.iter().filter_map(|c| match c.kind {
            ColumnKind::Stored(kind) => Some((c.to.as_str(), kind)),
            ColumnKind::KeyOnly => None,
        })
    }

    /// Names in the file's header that the layout reads.
    pub fn names_read(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|c| match &c.source {
            Origin::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The highest position that the layout reads in a file without header.
    pub fn position_max(&self) -> usize {
        self.columns.iter().map(|c| c.source.position(self.file.names.as_deref())).max().unwrap_or(0)
    }
}
