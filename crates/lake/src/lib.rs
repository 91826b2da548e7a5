//! Files to Parquet, tags, SQL: the analytical store of one tenant, and the only crate that links DataFusion.
//!
//! Invariants held here:
//! - a file that the manifest does not name does not exist: an import, a mirror of the trail or a tag snapshot appears
//!   by one rename or not at all, and what was left behind is swept when the lake is opened;
//! - a row is known by its key, a file by its content: importing again changes nothing, and
//!   `read = accepted + duplicate + quarantined`;
//! - everything is read *as of* a time: later rows, later versions and later ends never show in an earlier view;
//! - money is integer millionths from file to answer;
//! - a snapshot and a frozen audience are never changed once they have a number.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audience;
mod columns;
mod commit;
pub mod condition;
mod error;
mod import;
mod index;
mod keys;
mod lake;
mod manifest;
mod map;
mod render;
mod schema;
mod select;
pub mod source;
mod sql;
pub mod tags;
mod trail;
mod udf;
mod view;
mod write;

pub use audience::{Audience, AudienceHead};
pub use error::{LakeError, Result};
pub use import::{Import, ImportMeta, Reject};
pub use index::SnapshotIndex;
pub use kairos_audience::{self as questions, Funnel, Step};
pub use keys::{KeyHasher, RowKey};
pub use lake::{Lake, LakeOptions};
pub use manifest::{Counts, ImportRecord, Mode};
pub use render::{to_json, to_text};
pub use schema::{DECISION, OUTCOME, OWN_TABLES, QUARANTINE, TYPE_KEY, arrow_type, table, tables, view_schema};
pub use select::{TagValue, TagValues};
pub use sql::{SqlAnswer, SqlLimits};
pub use tags::{Sets, Snapshot, SnapshotReport, SnapshotTag, TagCatalogue, TagProblems};
pub use trail::decision_batch;

/// For callers that speak of record batches without linking DataFusion themselves.
pub use datafusion::{arrow::array::RecordBatch, prelude::SessionContext};
