//! Campaigns as resources.

use super::{
    Name,
    definition::CampaignDefinition,
    state::{People, Signature, Standing, StateName},
    time,
};
use kairos_catalog as catalog;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A campaign in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CampaignSummary {
    #[schema(example = "ring-back-tone")]
    pub id: String,
    #[schema(example = "/v1/campaigns/ring-back-tone")]
    pub href: String,
    #[serde(rename = "@type")]
    #[schema(example = "Campaign")]
    pub kind: &'static str,
    /// The campaign's number, by which decisions and contacts name it.
    #[schema(example = "c1")]
    pub number: String,
    pub name: Name,
    #[schema(example = "marketing")]
    pub class: &'static str,
    #[schema(example = "sms")]
    pub channel: &'static str,
    pub state: StateName,
    pub priority: u16,
    /// Grows with every edit.
    pub version: u32,
    /// Grows with every change; the entity tag.
    pub revision: u64,
    /// What an approval binds to.
    pub content_hash: String,
    pub created: Signature,
    pub edited: Signature,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A campaign with its definition, its life so far and its waves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Campaign {
    #[serde(flatten)]
    pub summary: CampaignSummary,
    pub standing: Standing,
    #[schema(value_type = CampaignDefinition)]
    pub definition: Value,
    /// Launched ones.
    pub waves: Vec<Wave>,
}

/// A launched wave: its audience is frozen.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Wave {
    pub no: u16,
    pub version: u32,
    /// The frozen audience's hash.
    pub audience: String,
    pub members: u64,
    /// The tag snapshot that it was taken from, and the time which that describes.
    #[schema(example = "snap1")]
    pub snapshot: String,
    #[schema(format = DateTime)]
    pub as_of: String,
    pub started: Signature,
}

/// A started campaign and the wave that it launched.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Launched {
    pub campaign: Campaign,
    /// The number of the launched wave; null for a campaign with a trigger.
    pub wave: Option<u16>,
}

/// What the approver read.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// `content_hash` of the campaign as it was read; if it changed since, the approval is refused.
    pub content_hash: String,
}

/// Why.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// 1–200 characters.
    pub reason: String,
}

/// Nothing is needed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

impl CampaignSummary {
    pub fn of(c: &catalog::Campaign, people: &People) -> Self {
        Self {
            id: c.slug.clone(),
            href: href(&c.slug),
            kind: "Campaign",
            number: c.id.to_string(),
            name: (&c.def.name).into(),
            class: c.def.class.name(),
            channel: c.def.channel.name(),
            state: StateName::of(&c.state),
            priority: c.def.priority,
            version: c.version.0,
            revision: c.revision,
            content_hash: c.content.to_string(),
            created: people.signature(c.created_by, c.created_at),
            edited: people.signature(c.edited_by, c.edited_at),
            updated_at: time(c.updated_at),
        }
    }
}

impl Campaign {
    pub fn of(c: &catalog::Campaign, waves: &[catalog::WaveRecord], people: &People) -> Self {
        Self {
            summary: CampaignSummary::of(c, people),
            standing: Standing::of(&c.state, people),
            definition: c.def.to_json(),
            waves: waves.iter().map(|w| Wave::of(w, people)).collect(),
        }
    }
}

impl Wave {
    fn of(w: &catalog::WaveRecord, people: &People) -> Self {
        Self {
            no: w.start.wave.0,
            version: w.version.0,
            audience: w.start.audience.to_string(),
            members: w.start.members,
            snapshot: w.start.snapshot.to_string(),
            as_of: time(w.start.as_of),
            started: people.signature(w.started_by, w.started_at),
        }
    }
}

pub fn href(slug: &str) -> String {
    format!("/v1/campaigns/{slug}")
}

/// The entity tag of a revision.
pub fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}
