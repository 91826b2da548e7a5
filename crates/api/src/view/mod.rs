//! Wire shapes: what goes over HTTP, and how it comes from the use cases' types.
//!
//! In the style of TMF630: a resource has `id`, `href` and `@type`; a list is a page with an opaque cursor. Money is a
//! decimal string with its currency, an instant is RFC 3339 in UTC, a count is exact and stands beside its `as_of`.

pub mod audience;
pub mod campaign;
pub mod definition;
pub mod explain;
pub mod judged;
pub mod records;
pub mod report;
pub mod state;

use kairos_catalog::Name as CatalogName;
use kairos_model::{Reason, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A name in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Name {
    #[schema(example = "彩铃推荐")]
    pub zh: String,
    #[schema(example = "Ring-back tone")]
    pub en: String,
}

impl From<&CatalogName> for Name {
    fn from(n: &CatalogName) -> Self {
        Self { zh: n.zh.clone(), en: n.en.clone() }
    }
}

/// An exact amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Money {
    /// Decimal, at most six places.
    #[schema(example = "450.00")]
    pub amount: String,
    /// ISO 4217.
    #[schema(example = "CNY")]
    pub currency: String,
}

impl From<kairos_model::Money> for Money {
    fn from(m: kairos_model::Money) -> Self {
        Self { amount: m.amount(), currency: m.currency.to_string() }
    }
}

/// How many, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonCount {
    #[schema(example = "other_campaign")]
    pub reason: &'static str,
    #[schema(example = "其他活动七天内已接触")]
    pub zh: &'static str,
    pub count: u64,
}

impl ReasonCount {
    /// In the fixed order of judgement; reasons of nobody are left out.
    pub fn all(counts: &[u64]) -> Vec<Self> {
        let of = |r: Reason| counts.get(r as usize).copied().unwrap_or(0);
        Reason::ALL
            .iter()
            .filter(|&&r| of(r) > 0)
            .map(|&r| Self { reason: r.name(), zh: r.zh(), count: of(r) })
            .collect()
    }
}

/// A reason by its stable name, and the operators' word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonName {
    #[schema(example = "quiet_hours")]
    pub reason: &'static str,
    #[schema(example = "免打扰时段")]
    pub zh: &'static str,
}

impl From<Reason> for ReasonName {
    fn from(r: Reason) -> Self {
        Self { reason: r.name(), zh: r.zh() }
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// When this was read.
    #[schema(format = DateTime)]
    pub as_of: String,
}

/// An instant as text.
pub fn time(t: Timestamp) -> String {
    t.to_string()
}
