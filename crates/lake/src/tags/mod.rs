//! Tags: a catalogue in TOML files, computed into numbered snapshots of one column a tag.
//!
//! A tag's column is kept with the subscribers that its source named, not with those of the snapshot: new subscribers do
//! not touch it, and several snapshots share it. What a snapshot adds is the list of its subscribers and, for each tag,
//! where its column lies; missing subscribers read as NULL or as the tag's default.

mod catalogue;
mod check;
mod column;
mod compute;
mod conditions;
mod definition;
mod inputs;
mod lineage;
mod load;
mod snapshot;
mod table;

pub use catalogue::{
    Aspect, DefaultValue, Origin, Refresh, Sets, SourceDef, TagCatalogue, TagDef, TagProblem, TagProblems,
};
pub use load::TagColumns;
pub use snapshot::{Pass, Snapshot, SnapshotReport, SnapshotTag};
pub(crate) use table::SnapshotTable;

/// The Arrow type of a set's column.
pub(crate) fn set_type() -> datafusion::arrow::datatypes::DataType {
    column::tag_arrow(&kairos_rules::TagType::set::<String>([]))
}
