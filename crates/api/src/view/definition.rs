//! A campaign's definition as JSON. Bodies are read by the catalog's own reader, which names fields and near words;
//! these types say its shape, and a test holds the two equal.

use super::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A campaign as its author writes it; docs/reference/campaigns.md explains each field.
///
/// Times are local to the tenant's zone (`2026-03-02T09:00`), amounts decimal strings (`"0.05"`) of the budget's
/// currency, shares percentages (`"20%"`, `"0.5%"`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignDefinition {
    /// Names the campaign for ever: 1–64 of a–z, 0–9, `-`, `_`.
    #[schema(example = "ring-back-tone")]
    pub id: String,
    pub name: Name,
    #[schema(value_type = Class)]
    pub class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Name>,
    pub goal: Goal,
    pub budget: Budget,
    pub audience: Audience,
    pub offer: Offer,
    pub creatives: Vec<Creative>,
    /// A channel of the tenant.
    #[schema(example = "sms")]
    pub channel: String,
    /// The sending short code, if not the channel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Most segments of the longest rendering of a creative; 2 by default.
    #[schema(default = 2)]
    #[serde(default)]
    pub max_segments: Option<u8>,
    /// Empty, or absent, for a campaign with a trigger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveDefinition>,
    /// On an event of somebody in the audience; docs/reference/triggers.md says its fields.
    #[schema(value_type = Option<Object>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<serde_json::Value>,
    #[serde(default)]
    pub control: Option<Control>,
    /// Whether the tenant's global holdout is left out; true by default.
    #[schema(default = true)]
    #[serde(default)]
    pub holdout: Option<bool>,
    /// Percentage points below which the campaign is not worth doing.
    #[schema(example = "1%")]
    pub smallest_worthwhile_uplift: String,
    /// Days of 86,400 s from the instant of decision in which a success counts.
    pub success_window_days: u16,
    #[serde(default)]
    pub policy: Option<PolicyOverrides>,
    /// 0–1000, the higher is served first; 100 by default.
    #[schema(default = 100)]
    #[serde(default)]
    pub priority: Option<u16>,
    /// Days before a wave's start for which it keeps its audience from lower priorities; 0 by default.
    #[schema(default = 0)]
    #[serde(default)]
    pub hold_days: Option<u16>,
    #[schema(example = "2026-03-02T09:00")]
    pub start: String,
    #[schema(example = "2026-03-31T20:00")]
    pub end: String,
}

/// What a campaign is for; each class has a contact policy of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Marketing,
    Care,
    PublicInterest,
}

/// What the campaign wants to reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// `orders`: orders of the offer within the success window.
    #[schema(example = "orders")]
    pub metric: String,
    pub target: u64,
}

/// What it may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    #[schema(example = "3000.00")]
    pub amount: String,
    #[schema(example = "CNY")]
    pub currency: String,
    #[schema(example = "0.05")]
    pub cost_per_contact: String,
}

/// Who: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// A text of the condition language, or its JSON tree.
    #[schema(value_type = Option<Condition>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<serde_json::Value>,
    /// The name of a stored list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
}

/// A condition: readable text, or the JSON tree that react-querybuilder speaks; docs/reference/conditions.md.
#[derive(ToSchema)]
#[schema(as = Condition)]
#[serde(untagged)]
#[allow(dead_code, reason = "a schema; conditions are read by the condition language itself")]
#[derive(Serialize)]
pub enum Condition {
    Text(String),
    Tree(ConditionGroup),
}

/// A group of the JSON tree.
#[derive(Serialize, ToSchema)]
pub struct ConditionGroup {
    /// `and` or `or`.
    #[schema(example = "and")]
    pub combinator: String,
    /// Groups, and rules `{"field", "operator", "value"}`.
    #[schema(value_type = Vec<Object>)]
    pub rules: Vec<serde_json::Value>,
    #[serde(default)]
    pub not: Option<bool>,
}

/// What is offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The code by which orders name it.
    #[schema(example = "ring_back_tone")]
    pub code: String,
    pub name: Name,
    pub price: String,
    /// What one order earns.
    pub margin: String,
    /// The word with which a subscriber orders by reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
}

/// A text in one language; `{{ field }}` names a subscriber field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Creative {
    #[schema(example = "zh")]
    pub lang: String,
    pub text: String,
    /// What makes two messages the same for the contact policy.
    pub family: String,
}

/// One pass over the audience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaveDefinition {
    /// From 1.
    pub no: u16,
    pub start: String,
    /// Nothing of this wave is sent at or after this time; the campaign's end by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<DayWindow>,
}

/// A stretch of every local day; `from` included, `to` not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DayWindow {
    #[schema(example = "09:00")]
    pub from: String,
    #[schema(example = "20:00")]
    pub to: String,
}

/// The control group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// 10 % by default.
    #[schema(example = "10%")]
    #[serde(default)]
    pub share: Option<String>,
    /// Why there is none, when the share is 0 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where the campaign is stricter than its class's contact policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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
