//! A campaign as its author writes it: one shape in TOML files and in the API's JSON.

use crate::{
    canonical::{self, ContentHash},
    forms::{Amount, DayWindow, Lang, LocalTime, Name, Share, listed, text},
    read::{self, ReadError},
    trigger::TriggerDef,
};
use kairos_model::{CampaignClass, Channel, Currency, WaveNo};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest definition taken, in bytes: sixteen times the longest of the examples, small enough to hash at every check.
pub const DEFINITION_BYTES_MAX: usize = 256 * 1024;

/// A campaign (营销活动). Times are local to the tenant's zone, amounts are of `budget.currency`.
///
/// The content hash is over the JSON of this type. A field that is added later must therefore stay out of the JSON while
/// it has its default (`skip_serializing_if`), or every stored hash and approval would change; a golden test holds it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignDef {
    /// The slug that files, URLs and people use; never changes and is never used again.
    pub id: String,
    pub name: Name,
    #[serde(with = "listed")]
    pub class: CampaignClass,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Name>,
    pub goal: Goal,
    pub budget: Budget,
    pub audience: Audience,
    pub offer: Offer,
    pub creatives: Vec<Creative>,
    #[serde(with = "listed")]
    pub channel: Channel,
    /// The sending short code, if not the channel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Most segments that the longest rendering of a creative may take.
    #[serde(default = "default_segments")]
    pub max_segments: u8,
    /// When, in passes over the audience. Empty for a campaign with a trigger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveDef>,
    /// When, on an event of somebody in the audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerDef>,
    #[serde(default)]
    pub control: Control,
    /// Whether the tenant's global holdout is left out of this campaign too.
    #[serde(default = "yes")]
    pub holdout: bool,
    /// The smallest uplift, in percentage points, for which the campaign is worth doing.
    pub smallest_worthwhile_uplift: Share,
    /// Days (of 86,400 s) from the instant of decision in which a success counts.
    pub success_window_days: u16,
    #[serde(default)]
    pub policy: PolicyOverrides,
    /// 0–1000; the higher is served first.
    #[serde(default = "default_priority")]
    pub priority: u16,
    /// Days (of 86,400 s) before a wave's start for which it keeps its audience from campaigns of lower priority.
    #[serde(default)]
    pub hold_days: u16,
    pub start: LocalTime,
    pub end: LocalTime,
}

/// What the campaign wants to reach.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    pub metric: GoalMetric,
    pub target: u64,
}

/// What counts as success.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoalMetric {
    /// Orders of the campaign's offer inside the success window.
    Orders,
}

/// What the campaign may cost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub amount: Amount,
    #[serde(with = "text")]
    pub currency: Currency,
    /// What one contact costs, whatever its number of segments.
    pub cost_per_contact: Amount,
}

/// Who: exactly one of the two.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// The name of a stored list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
}

/// A condition as readable text, or as the JSON tree of the condition language; `rules` reads both.
#[derive(Clone, PartialEq, Debug)]
pub enum Condition {
    Text(String),
    Tree(serde_json::Value),
}

/// What is offered (产品/营销案).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The code by which orders name it.
    pub code: String,
    pub name: Name,
    pub price: Amount,
    /// What one order earns, less its own cost.
    pub margin: Amount,
    /// The word with which a subscriber orders by reply; then every creative must contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
}

/// A text in one language. `{{ field }}` names a subscriber field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Creative {
    pub lang: Lang,
    pub text: String,
    /// What makes two messages "the same" for the contact policy, across languages and campaigns.
    pub family: String,
}

/// When: one pass over the audience.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveDef {
    /// From 1, unique in the campaign.
    pub no: u16,
    pub start: LocalTime,
    /// Nothing of this wave is sent at or after this time; without it, the campaign's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<LocalTime>,
    /// Only within this stretch of each day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<DayWindow>,
}

/// The control group (对照组): on unless somebody says why not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    #[serde(default = "default_control")]
    pub share: Share,
    /// Why there is none, when the share is 0 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where this campaign differs from its class's contact policy; what is absent follows the tenant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyOverrides {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_message_days: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_campaign_days: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<Vec<DayWindow>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_on_holidays: Option<bool>,
}

/// The share kept back where a definition names none: 10 %.
pub const CONTROL_SHARE_DEFAULT: Share = Share::percent(10);

const fn default_control() -> Share {
    CONTROL_SHARE_DEFAULT
}
const fn default_priority() -> u16 {
    100
}
const fn default_segments() -> u8 {
    2
}
const fn yes() -> bool {
    true
}

impl Default for Control {
    fn default() -> Self {
        Self { share: CONTROL_SHARE_DEFAULT, reason: None }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(t) => s.serialize_str(t),
            Self::Tree(v) => v.serialize(s),
        }
    }
}
impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(d)? {
            serde_json::Value::String(t) => Ok(Self::Text(t)),
            v @ serde_json::Value::Object(_) => Ok(Self::Tree(v)),
            _ => Err(D::Error::custom("a condition is a text such as \"arpu >= 80\", or a JSON tree")),
        }
    }
}

impl CampaignDef {
    /// Reads a definition file; `file` only names it in errors.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ReadError> {
        read::from_toml(file, text, DEFINITION_BYTES_MAX)
    }
    /// Reads the API's JSON; `source` only names it in errors.
    pub fn from_json(source: &str, text: &str) -> Result<Self, ReadError> {
        read::from_json(source, text, DEFINITION_BYTES_MAX)
    }
    /// As the API's JSON.
    pub fn to_json(&self) -> serde_json::Value {
        // every key is a string and every number finite, so this cannot fail; a test holds it
        serde_json::to_value(self).unwrap_or_else(|e| unreachable!("a definition is plain JSON: {e}"))
    }
    /// BLAKE3 over the canonical JSON, defaults filled in: what an approval binds to.
    pub fn content_hash(&self) -> ContentHash {
        canonical::hash("kairos campaign definition 1", &self.to_json())
    }
    pub fn wave(&self, no: WaveNo) -> Option<&WaveDef> {
        self.waves.iter().find(|w| w.no == no.0)
    }
    pub fn creative(&self, lang: Lang) -> Option<&Creative> {
        self.creatives.iter().find(|c| c.lang == lang)
    }
    /// When a wave's last message may leave: its own limit or the campaign's end, whichever is earlier.
    pub fn not_after(&self, wave: &WaveDef) -> LocalTime {
        wave.not_after.map_or(self.end, |t| t.min(self.end))
    }
    /// The control share (0 when switched off).
    pub const fn control_share(&self) -> Share {
        self.control.share
    }
}
