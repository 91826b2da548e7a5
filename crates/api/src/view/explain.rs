//! Why, or why not, a subscriber; and opt-outs.

use super::{ReasonName, time};
use kairos_app::{Explained, Standing};
use kairos_engine::ContactView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a subscriber was, or was not, contacted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The subscriber's ordinal; never a number.
    #[schema(example = "s42")]
    pub id: String,
    pub href: String,
    #[serde(rename = "@type")]
    #[schema(example = "Explanation")]
    pub kind: &'static str,
    /// The instant asked about.
    #[schema(format = DateTime)]
    pub at: String,
    /// Holds a number then.
    pub reachable: bool,
    /// That number is suppressed.
    pub suppressed: bool,
    pub campaigns: Vec<CampaignExplanation>,
}

/// Where the subscriber stands in one campaign.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CampaignExplanation {
    pub campaign: String,
    #[schema(example = "running")]
    pub state: String,
    /// The campaign's condition, a line a clause, with the value seen.
    pub condition: Vec<String>,
    /// Whether the condition is true; null where it is not known.
    pub selected: Option<bool>,
    pub waves: Vec<WaveStanding>,
    /// On record up to the instant asked about, oldest first.
    pub decisions: Vec<Decision>,
    pub contacts: Vec<Contact>,
    /// What would speak against a contact at that instant, the primary reason first; empty: nothing.
    pub against: Vec<ReasonName>,
    /// From when on the contact policy would allow one.
    #[schema(format = DateTime)]
    pub free_at: Option<String>,
}

/// In one wave.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WaveStanding {
    pub no: u16,
    #[schema(example = "withheld")]
    pub state: &'static str,
    pub reason: Option<ReasonName>,
}

/// One decision on record.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Decision {
    #[schema(format = DateTime)]
    pub at: String,
    /// `send`, `control`, `holdout`, `defer`, `withheld`.
    pub verdict: String,
    /// The primary one first.
    pub reasons: Vec<ReasonName>,
}

/// One contact of the ledger.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Contact {
    #[schema(example = "k00f1e2d3c4b5a697")]
    pub id: String,
    pub wave: u16,
    pub channel: &'static str,
    #[schema(example = "sent")]
    pub state: &'static str,
    pub reason: Option<ReasonName>,
    /// `delivered`, `replied`, …
    pub dispositions: Vec<&'static str>,
    #[schema(format = DateTime)]
    pub intended_at: String,
    #[schema(format = DateTime)]
    pub offered_at: Option<String>,
    #[schema(format = DateTime)]
    pub settled_at: Option<String>,
}

/// Somebody no longer wants to be contacted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OptOutRequest {
    /// The subscriber's ordinal.
    #[schema(example = "s42")]
    pub subscriber: String,
    /// `marketing`, `care` or `public_interest`; absent: all of them, and the number is suppressed.
    #[serde(default)]
    #[schema(example = "marketing")]
    pub class: Option<String>,
}

/// In force: durable, and known to the gate that is asked before every send.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OptOut {
    #[serde(rename = "@type")]
    #[schema(example = "OptOut")]
    pub kind: &'static str,
    pub subscriber: String,
    pub class: Option<&'static str>,
    /// Whether the number was suppressed too.
    pub number_suppressed: bool,
    #[schema(format = DateTime)]
    pub at: String,
}

impl Explanation {
    pub fn of(e: &Explained) -> Self {
        Self {
            id: e.subscriber.to_string(),
            href: format!("/v1/subscribers/{}/explanation", e.subscriber),
            kind: "Explanation",
            at: time(e.at),
            reachable: e.reachable,
            suppressed: e.suppressed,
            campaigns: e.standings.iter().map(CampaignExplanation::of).collect(),
        }
    }
}

impl CampaignExplanation {
    fn of(s: &Standing) -> Self {
        Self {
            campaign: s.campaign.clone(),
            state: s.state.clone(),
            condition: s.condition.clone(),
            selected: s.selected,
            waves: s
                .waves
                .iter()
                .map(|(no, state, reason)| WaveStanding {
                    no: no.0,
                    state: state.name(),
                    reason: reason.map(Into::into),
                })
                .collect(),
            decisions: s
                .decisions
                .iter()
                .map(|(at, verdict, reasons)| Decision {
                    at: time(*at),
                    verdict: verdict.clone(),
                    reasons: reasons.iter().map(|&r| r.into()).collect(),
                })
                .collect(),
            contacts: s.contacts.iter().map(Contact::of).collect(),
            against: s.now.iter().map(|&r| r.into()).collect(),
            free_at: s.free_at.map(time),
        }
    }
}

impl Contact {
    fn of(c: &ContactView) -> Self {
        Self {
            id: c.contact.to_string(),
            wave: c.wave.0,
            channel: c.channel.name(),
            state: c.state.name(),
            reason: c.reason.map(Into::into),
            dispositions: c.seen.iter().map(|d| d.name()).collect(),
            intended_at: time(c.intended),
            offered_at: c.offered.map(time),
            settled_at: c.settled.map(time),
        }
    }
}
