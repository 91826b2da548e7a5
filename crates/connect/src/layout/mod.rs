//! The one layout reader: a file of somebody's columns → typed rows of one of our tables, and a reason for every row
//! that is none.
//!
//! open → decompress (gzip, zstd) → decode (UTF-8, GBK, GB18030) → split → map → [`Chunk`]s. A [`Layout`] is a TOML file;
//! `docs/reference/layouts.md` lists its fields.
//!
//! Invariants:
//! - rows read = rows mapped + [`Reject`]s, in every chunk, for any bytes whatsoever; blank lines are no rows;
//! - a bad row costs that row, a bad file (truncated, wrongly delimited or encoded, without a column) is an error and
//!   nothing of it may be kept;
//! - memory is bounded by `line_max` and the chunk, whatever the file;
//! - no reason and no error holds a cell of the file; the raw bytes of a bad row stand apart, for the vault;
//! - values are exact: no float is made on the way.

mod cell;
mod map;
mod number;
mod parse;
mod reader;
mod records;
mod reject;
mod source;
mod spec;
mod split;
mod suggest;
mod walk;
mod when;

pub use map::{Builder, Mapper, Misfit, ReadOptions};
pub use number::{Round, Unit};
pub use reader::{Chunk, Reader};
pub use records::ReadError;
pub use reject::{Flaw, RAW_MAX, Reject, RejectReason};
pub use source::{Packing, content_hash};
pub use spec::{
    ColumnKind, ColumnSpec, Encoding, FileFormat, FileSpec, Layout, MapOther, Mode, Origin, Truth, WordMap,
};
pub use walk::{LayoutErrors, LayoutFault};
pub use when::TimeFormat;
