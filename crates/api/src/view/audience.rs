//! Counts and frozen audiences.

use super::{definition::Condition, time};
use kairos_app::Count as Counted;
use kairos_lake::AudienceHead;
use kairos_model::{SnapshotId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A condition to be counted or frozen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudienceRequest {
    /// A text of the condition language, or its JSON tree.
    #[schema(value_type = Condition)]
    pub condition: Value,
    /// Ask the newest snapshot that describes a time up to this one (RFC 3339); now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub as_of: Option<String>,
}

/// How many, and what each clause does.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AudienceCount {
    #[serde(rename = "@type")]
    #[schema(example = "AudienceCount")]
    pub kind: &'static str,
    /// The condition in its canonical text.
    pub condition: String,
    /// The condition said in words.
    pub sentence: String,
    /// The tag snapshot that was asked.
    #[schema(example = "snap1")]
    pub snapshot: String,
    /// The time which it describes.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// All subscribers of the snapshot, exactly.
    pub everyone: u64,
    /// Those for whom the condition is true, exactly.
    pub count: u64,
    /// The clauses of the outermost `and`, in their order.
    pub funnel: Vec<FunnelStep>,
}

/// What one clause does.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FunnelStep {
    pub condition: String,
    pub sentence: String,
    /// How many satisfy this clause alone.
    pub alone: u64,
    /// How many satisfy every other clause and not this one: what dropping it would add.
    pub only: u64,
    /// How many are left after it and all before it.
    pub left: u64,
}

/// A frozen audience: it never changes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FrozenAudience {
    /// Hash over members, condition, snapshot and time.
    pub id: String,
    #[serde(rename = "@type")]
    #[schema(example = "Audience")]
    pub kind: &'static str,
    pub condition: String,
    pub members: u64,
    #[schema(example = "snap1")]
    pub snapshot: String,
    #[schema(format = DateTime)]
    pub as_of: String,
}

impl AudienceRequest {
    /// In the form that `App::condition` reads; `None` if it is neither a text nor a tree.
    pub fn text(&self) -> Option<String> {
        match &self.condition {
            Value::String(text) => Some(text.clone()),
            tree @ Value::Object(_) => Some(tree.to_string()),
            _ => None,
        }
    }
}

impl AudienceCount {
    pub fn of(c: &Counted) -> Self {
        Self {
            kind: "AudienceCount",
            condition: c.condition.clone(),
            sentence: c.sentence.clone(),
            snapshot: c.snapshot.to_string(),
            as_of: time(c.as_of),
            everyone: c.everyone,
            count: c.count,
            funnel: c
                .funnel
                .iter()
                .map(|s| FunnelStep {
                    condition: s.text.clone(),
                    sentence: s.clause.clone(),
                    alone: s.alone,
                    only: s.only,
                    left: s.left,
                })
                .collect(),
        }
    }
}

impl FrozenAudience {
    pub fn of(head: &AudienceHead) -> Self {
        Self {
            id: head.hash.clone(),
            kind: "Audience",
            condition: head.condition.clone(),
            members: head.members,
            snapshot: SnapshotId(head.snapshot).to_string(),
            as_of: time(Timestamp(head.as_of)),
        }
    }
}
