//! The one layout reader: a file of somebody's columns → typed rows of one of our tables, and a reason for every row
//! that is none.
//!
//! open → decompress (gzip, zstd) → decode (UTF-8, GBK, GB18030) → split → map → [`Chunk`]s of rows, by a [`Layout`], or
//! [`crate::event::EventBatch`]es of events, by an [`EventLayout`]. Both are TOML files; `docs/reference/layouts.md` lists
//! their fields.
//!
//! Invariants:
//! - rows read = rows mapped + [`Reject`]s, in every chunk, for any bytes whatsoever; blank lines are no rows;
//! - a bad row costs that row, a bad file (truncated, wrongly delimited or encoded, without a column) is an error and
//!   nothing of it may be kept;
//! - memory is bounded by `line_max` and the chunk, whatever the file;
//! - no reason and no error holds a cell of the file; the raw bytes of a bad row stand apart, for the vault;
//! - values are exact: no float is made on the way.

mod cell;
mod event_cell;
mod event_map;
mod event_parse;
mod event_parts;
mod event_reader;
mod event_spec;
mod map;
mod number;
mod parse;
mod parse_file;
mod reader;
mod records;
mod reject;
mod source;
mod spec;
mod split;
mod walk;
mod when;

pub use event_reader::{EventOptions, EventReader};
pub use event_spec::{
    BadPeer, CellForm, CellSpec, Col, EventLayout, FieldFrom, FieldSpec, IGNORED_DUPLICATE, IGNORED_UNKNOWN, Is,
    Recipe, Rule, Test, Then, TimeSpec, Unknown, WhoKind,
};
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

pub(crate) use event_cell::number as cell_number;
pub(crate) use kairos_model::near::hint;
pub(crate) use number::exact_micros;
pub(crate) use walk::{Faults, Walk, read_document, scalar};
pub(crate) use when::{iso_day, rfc3339};
