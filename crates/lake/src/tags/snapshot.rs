//! What a snapshot is: its number, its subscribers, and for each tag where its column lies and what is known of it.

use super::catalogue::{Aspect, Refresh};
use crate::{
    error::{LakeError, Result},
    lake::{Inner, Lake},
    manifest::SnapshotEntry,
};
use kairos_model::{Currency, SnapshotId, Timestamp};
use kairos_rules::TagType;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fs, path::PathBuf};

pub(super) const FORMAT: u32 = 1;

/// A numbered, immutable tag snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub(super) format: u32,
    pub(super) id: u32,
    pub(super) tenant: u16,
    pub(super) as_of: i64,
    pub(super) computed_at: i64,
    pub(super) subscribers: u64,
    /// The Parquet file of its subscribers, ascending.
    pub(super) universe: FileRef,
    /// In catalogue order.
    pub tags: Vec<SnapshotTag>,
    /// Tags whose column was made for this snapshot.
    pub computed: usize,
    /// Tags whose column was there already.
    pub reused: usize,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FileRef {
    /// Relative to the lake's directory.
    pub path: String,
    pub blake3: String,
}

/// A tag of a snapshot, with lineage, coverage and freshness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotTag {
    pub id: String,
    /// Name of the type; see [`SnapshotTag::tag_type`].
    #[serde(rename = "type")]
    pub ty: String,
    pub currency: Option<String>,
    /// The vocabulary of an enum or set.
    pub values: Vec<String>,
    pub zh: String,
    pub en: String,
    pub aspect: Aspect,
    pub category: String,
    pub refresh: Refresh,
    /// Hash of the definition.
    pub definition: String,
    /// Hash of definition, inputs up to `as_of`, and `as_of` itself as far as the definition looks at it.
    pub(crate) key: String,
    pub(super) file: FileRef,
    pub(super) default: Option<serde_json::Value>,
    /// The snapshot's subscribers with a value.
    pub known: u64,
    /// The snapshot's subscribers.
    pub of: u64,
    /// Whether all values are equal.
    pub constant: bool,
    /// Values left out because the vocabulary does not have them.
    pub unlisted: u64,
    pub tables: Vec<String>,
    pub source: Option<String>,
    pub reads: Vec<String>,
    /// Microseconds UTC of the newest input.
    pub freshness: Option<i64>,
    /// The snapshot for which the column was made.
    pub computed_in: u32,
    pub computed_at: i64,
}

/// What [`Lake::compute_tags`] did.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    pub snapshot: Snapshot,
    /// False where the latest snapshot says the same already: no new number was taken.
    pub new: bool,
    /// Ids of the tags whose column was computed now; empty if nothing changed.
    pub computed: Vec<String>,
    /// Passes over the data: sources and own queries that ran.
    pub passes: Vec<Pass>,
}

/// One query that ran for some tags.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Source, or tag with a query of its own.
    pub source: String,
    pub tags: usize,
    /// Subscribers of whom it says something.
    pub rows: usize,
    pub took: std::time::Duration,
}

impl Snapshot {
    pub fn id(&self) -> SnapshotId {
        SnapshotId(self.id)
    }
    pub fn as_of(&self) -> Timestamp {
        Timestamp(self.as_of)
    }
    pub fn computed_at(&self) -> Timestamp {
        Timestamp(self.computed_at)
    }
    /// Subscribers that exist as of then.
    pub fn subscribers(&self) -> u64 {
        self.subscribers
    }
    pub fn tag(&self, id: &str) -> Result<&SnapshotTag> {
        self.tags
            .iter()
            .find(|t| t.id == id)
            .ok_or_else(|| LakeError::UnknownTag { snapshot: self.id().to_string(), tag: id.to_owned() })
    }
    pub(super) fn files(&self) -> BTreeSet<&FileRef> {
        self.tags.iter().map(|t| &t.file).chain([&self.universe]).collect()
    }
}

impl SnapshotTag {
    /// Share of the snapshot's subscribers with a value; 0 where there is no subscriber.
    pub fn coverage(&self) -> f64 {
        if self.of == 0 { 0.0 } else { self.known as f64 / self.of as f64 }
    }
    /// The type in the form that conditions speak of; a type that a newer program wrote reads as text.
    pub fn tag_type(&self) -> TagType {
        match self.ty.as_str() {
            "bool" => TagType::Bool,
            "int" => TagType::Int,
            "decimal" => TagType::Decimal,
            "money" => {
                let code = self.currency.as_deref().and_then(|c| c.parse().ok());
                TagType::Money(code.unwrap_or(Currency::CNY))
            }
            "enum" => TagType::enumeration(self.values.iter().cloned()),
            "set" => TagType::set(self.values.iter().cloned()),
            "date" => TagType::Date,
            "duration" => TagType::Duration,
            "cell" => TagType::Cell,
            _ => TagType::Text,
        }
    }
}

impl Lake {
    /// Numbers of all snapshots, oldest first.
    pub fn snapshots(&self) -> Vec<SnapshotId> {
        self.inner.manifest().snapshots.iter().map(|s| SnapshotId(s.id)).collect()
    }

    /// A snapshot by its number.
    pub fn snapshot(&self, id: SnapshotId) -> Result<Snapshot> {
        let manifest = self.inner.manifest();
        let entry = manifest.snapshots.iter().find(|s| s.id == id.0);
        let entry = entry.ok_or_else(|| LakeError::UnknownSnapshot { id: id.to_string() })?;
        self.inner.read_snapshot(entry)
    }

    /// Of the snapshots whose `as_of` is at or before the given time, the one with the latest `as_of`, then the newest.
    pub fn latest_snapshot(&self, as_of: Timestamp) -> Result<Option<Snapshot>> {
        self.inner.latest_snapshot(as_of)
    }
}

impl Inner {
    pub(crate) fn latest_snapshot(&self, as_of: Timestamp) -> Result<Option<Snapshot>> {
        let manifest = self.manifest();
        let known = manifest.snapshots.iter().filter(|s| s.as_of <= as_of.0);
        known.max_by_key(|s| (s.as_of, s.id)).map(|s| self.read_snapshot(s)).transpose()
    }

    pub(super) fn read_snapshot(&self, entry: &SnapshotEntry) -> Result<Snapshot> {
        let path: PathBuf = self.dir.join(&entry.path);
        let bytes = fs::read(&path).map_err(LakeError::io("read", &path))?;
        if blake3::hash(&bytes).to_hex().as_str() != entry.blake3 {
            return Err(LakeError::damaged(&path, "its checksum does not match"));
        }
        let found: Snapshot =
            serde_json::from_slice(&bytes).map_err(|e| LakeError::damaged(&path, format!("it does not parse: {e}")))?;
        if found.format > FORMAT {
            return Err(LakeError::Newer { path, found: found.format, known: FORMAT });
        }
        Ok(found)
    }
}
