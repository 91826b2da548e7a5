//! Tags, imports, the audit log.

use super::{Name, time};
use kairos_catalog::{AuditEntry as CatalogEntry, Verified};
use kairos_lake::{
    ImportRecord, Mode, SnapshotTag,
    tags::{Aspect, Origin, Refresh, TagDef},
};
use kairos_model::{SnapshotId, Timestamp};
use kairos_rules::TagType;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A tag of the catalogue, with what the newest snapshot knows of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Tag {
    #[schema(example = "arpu_3m")]
    pub id: String,
    pub href: String,
    #[serde(rename = "@type")]
    #[schema(example = "Tag")]
    pub kind: &'static str,
    pub name: Name,
    /// `basic`, `social`, `interest`, `communication`.
    pub aspect: &'static str,
    pub category: String,
    #[schema(example = "money")]
    pub value_type: &'static str,
    /// ISO 4217, of money.
    pub currency: Option<String>,
    /// The vocabulary of an enum or set.
    pub values: Vec<String>,
    pub description: String,
    pub owner: String,
    /// `daily` or `monthly`.
    pub refresh: &'static str,
    pub definition: TagDefinition,
    /// Null without a snapshot, or where the newest one lacks the tag.
    pub coverage: Option<TagCoverage>,
}

/// Where the values come from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TagDefinition {
    /// `source`, `sql`, `condition`.
    pub kind: &'static str,
    /// The source that several tags share.
    pub source: Option<String>,
    /// SQL, or the condition's text.
    pub text: String,
}

/// What a snapshot knows of a tag.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TagCoverage {
    #[schema(example = "snap1")]
    pub snapshot: String,
    /// The time which the snapshot describes.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// Subscribers with a value, exactly.
    pub known: u64,
    /// Their share of the snapshot's subscribers, 0…1.
    pub share: f64,
    /// Subscribers of the snapshot.
    pub subscribers: u64,
    /// All values are equal.
    pub constant: bool,
    /// Values left out because the vocabulary lacks them.
    pub unlisted: u64,
    /// Tables and tags that it reads.
    pub tables: Vec<String>,
    pub reads: Vec<String>,
    /// The newest input.
    #[schema(format = DateTime)]
    pub freshness: Option<String>,
    #[schema(format = DateTime)]
    pub computed_at: String,
}

/// A file that was imported: read = accepted + duplicate + quarantined.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Import {
    pub id: String,
    #[serde(rename = "@type")]
    #[schema(example = "Import")]
    pub kind: &'static str,
    pub file: String,
    /// BLAKE3 of the file's bytes.
    pub content_hash: String,
    pub layout: String,
    pub table: String,
    /// `append`, `upsert`, `snapshot`.
    pub mode: &'static str,
    /// The state which the file describes.
    #[schema(format = DateTime)]
    pub as_of: String,
    #[schema(format = DateTime)]
    pub imported_at: String,
    pub read: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

/// One entry of the hash-chained audit log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// From 1, without gaps.
    pub id: u64,
    #[serde(rename = "@type")]
    #[schema(example = "AuditEntry")]
    pub kind: &'static str,
    #[schema(format = DateTime)]
    pub at: String,
    /// The console user who acted.
    #[schema(example = "approver")]
    pub user: String,
    #[schema(example = "campaign.approve")]
    pub action: String,
    #[schema(example = "campaign:1")]
    pub subject: String,
    /// Fingerprints of the subject.
    pub before: Option<String>,
    pub after: Option<String>,
    #[schema(value_type = Object)]
    pub detail: Value,
    pub hash: String,
}

/// Whether the log holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditVerification {
    #[serde(rename = "@type")]
    #[schema(example = "AuditVerification")]
    pub kind: &'static str,
    pub holds: bool,
    /// Entries, if it holds.
    pub entries: Option<u64>,
    /// `entries:hash` of the end, if it holds: keep it elsewhere, and a cut tail shows.
    pub head: Option<String>,
    /// The first entry that does not hold.
    pub broken_at: Option<u64>,
    pub why: Option<String>,
    #[schema(format = DateTime)]
    pub as_of: String,
}

/// The newest snapshot as far as tags need it.
#[derive(Clone, Copy)]
pub struct SnapshotHead {
    pub id: SnapshotId,
    pub as_of: Timestamp,
}

impl Tag {
    pub fn of(d: &TagDef, found: Option<(&SnapshotTag, SnapshotHead)>) -> Self {
        let (currency, values) = match &d.info.ty {
            TagType::Money(c) => (Some(c.to_string()), Vec::new()),
            TagType::Enum { values } | TagType::Set { values } => (None, values.to_vec()),
            _ => (None, Vec::new()),
        };
        let definition = match &d.origin {
            Origin::Source { source, value } => {
                TagDefinition { kind: "source", source: Some(source.clone()), text: value.clone() }
            }
            Origin::Sql(sql) => TagDefinition { kind: "sql", source: None, text: sql.clone() },
            Origin::Condition(c) => TagDefinition { kind: "condition", source: None, text: c.text().to_owned() },
        };
        Self {
            id: d.info.id.clone(),
            href: format!("/v1/tags/{}", d.info.id),
            kind: "Tag",
            name: Name { zh: d.info.zh.clone(), en: d.info.en.clone() },
            aspect: match d.aspect {
                Aspect::Basic => "basic",
                Aspect::Social => "social",
                Aspect::Interest => "interest",
                Aspect::Communication => "communication",
            },
            category: d.category.clone(),
            value_type: d.info.ty.name(),
            currency,
            values,
            description: d.description.clone(),
            owner: d.owner.clone(),
            refresh: match d.refresh {
                Refresh::Daily => "daily",
                Refresh::Monthly => "monthly",
            },
            definition,
            coverage: found.map(|(t, head)| TagCoverage {
                snapshot: head.id.to_string(),
                as_of: time(head.as_of),
                known: t.known,
                share: t.coverage(),
                subscribers: t.of,
                constant: t.constant,
                unlisted: t.unlisted,
                tables: t.tables.clone(),
                reads: t.reads.clone(),
                freshness: t.freshness.map(|f| time(Timestamp(f))),
                computed_at: time(Timestamp(t.computed_at)),
            }),
        }
    }
}

impl Import {
    pub fn of(r: &ImportRecord) -> Self {
        Self {
            id: format!("import{}", r.seq),
            kind: "Import",
            file: r.file_name.clone(),
            content_hash: r.content_hash.clone(),
            layout: r.layout.clone(),
            table: r.table.clone(),
            mode: match r.mode {
                Mode::Append => "append",
                Mode::Upsert => "upsert",
                Mode::Snapshot => "snapshot",
            },
            as_of: time(Timestamp(r.as_of)),
            imported_at: time(Timestamp(r.imported_at)),
            read: r.counts.read,
            accepted: r.counts.accepted,
            duplicate: r.counts.duplicate,
            quarantined: r.counts.quarantined,
        }
    }
}

impl AuditEntry {
    pub fn of(e: &CatalogEntry) -> Self {
        Self {
            id: e.seq,
            kind: "AuditEntry",
            at: time(e.at),
            user: e.user_name.clone(),
            action: e.action.clone(),
            subject: e.subject.clone(),
            before: e.before.map(|h| h.to_string()),
            after: e.after.map(|h| h.to_string()),
            detail: e.detail.clone(),
            hash: e.hash.to_string(),
        }
    }
}

impl AuditVerification {
    pub fn holds(v: &Verified, as_of: Timestamp) -> Self {
        Self {
            kind: "AuditVerification",
            holds: true,
            entries: Some(v.entries),
            head: Some(format!("{}:{}", v.entries, v.head)),
            broken_at: None,
            why: None,
            as_of: time(as_of),
        }
    }
    pub fn broken(b: &kairos_catalog::Broken, as_of: Timestamp) -> Self {
        Self {
            kind: "AuditVerification",
            holds: false,
            entries: None,
            head: None,
            broken_at: Some(b.at),
            why: Some(b.why.clone()),
            as_of: time(as_of),
        }
    }
}
