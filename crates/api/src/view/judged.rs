//! Judgements that keep nothing: checks of a definition, simulations.

use super::{ReasonCount, campaign, time};
use kairos_app::{Checked, Simulation as Simulated};
use kairos_catalog::Severity as CatalogSeverity;
use kairos_model::{Timestamp, sms::Alphabet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A definition judged; nothing was kept.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CampaignCheck {
    #[serde(rename = "@type")]
    #[schema(example = "CampaignCheck")]
    pub kind: &'static str,
    /// The campaign that was judged.
    pub campaign: String,
    /// Whether it could be submitted: no finding is an error.
    pub sound: bool,
    pub content_hash: String,
    /// All at once, in the order of the definition.
    pub findings: Vec<Finding>,
    /// Members by the newest snapshot, exactly; null without a snapshot or a sound condition.
    pub members: Option<u64>,
    /// The time which that snapshot describes.
    #[schema(format = DateTime)]
    pub as_of: Option<String>,
    pub creatives: Vec<CreativeCheck>,
}

/// `error` stops a submission; `warning` is for the approver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// One finding at one field.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Finding {
    pub severity: Severity,
    /// JSON pointer into the definition.
    #[schema(example = "/control/reason")]
    pub pointer: String,
    pub message: String,
}

/// What a creative costs at most.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreativeCheck {
    pub lang: String,
    /// `gsm7` or `ucs2`, in the worst case.
    pub alphabet: &'static str,
    /// Segments, in the worst case.
    pub segments: usize,
}

/// When to simulate.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulationRequest {
    /// RFC 3339; now if absent.
    #[schema(format = DateTime)]
    pub at: Option<String>,
}

/// What would happen to a campaign's audience; nobody was contacted. `matched` = withheld + deferred + control +
/// holdout + sent, exactly.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Simulation {
    #[serde(rename = "@type")]
    #[schema(example = "CampaignSimulation")]
    pub kind: &'static str,
    pub campaign: String,
    pub href: String,
    /// The instant judged.
    #[schema(format = DateTime)]
    pub at: String,
    /// All subscribers of the newest snapshot.
    pub everyone: u64,
    pub matched: u64,
    /// By primary reason, in the order of judgement.
    pub withheld: Vec<ReasonCount>,
    pub deferred: Vec<ReasonCount>,
    pub control: u64,
    pub holdout: u64,
    pub sent: u64,
    /// Quiet hours or a holiday are on.
    pub closed: Option<Closed>,
}

/// Why nothing is sent now, and until when.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Closed {
    pub reason: &'static str,
    #[schema(format = DateTime)]
    pub until: String,
}

impl CampaignCheck {
    pub fn of(c: &Checked, as_of: Option<Timestamp>) -> Self {
        let finding = |f: &kairos_catalog::Finding| Finding {
            severity: match f.severity {
                CatalogSeverity::Error => Severity::Error,
                CatalogSeverity::Warning => Severity::Warning,
            },
            pointer: f.pointer.clone(),
            message: f.message.clone(),
        };
        let creative = |(lang, worst): &(String, kairos_app::WorstCase)| CreativeCheck {
            lang: lang.clone(),
            alphabet: match worst.alphabet {
                Alphabet::Gsm7 => "gsm7",
                Alphabet::Ucs2 => "ucs2",
            },
            segments: worst.segments,
        };
        Self {
            kind: "CampaignCheck",
            campaign: c.def.id.clone(),
            sound: !c.findings.has_errors(),
            content_hash: c.content.to_string(),
            findings: c.findings.0.iter().map(finding).collect(),
            members: c.members,
            as_of: c.members.and(as_of).map(time),
            creatives: c.creatives.iter().map(creative).collect(),
        }
    }
}

impl Simulation {
    pub fn of(s: &Simulated) -> Self {
        Self {
            kind: "CampaignSimulation",
            campaign: s.campaign.clone(),
            href: campaign::href(&s.campaign),
            at: time(s.at),
            everyone: s.everyone,
            matched: s.matched,
            withheld: ReasonCount::all(&s.waterfall.withheld),
            deferred: ReasonCount::all(&s.waterfall.deferred),
            control: s.waterfall.control,
            holdout: s.waterfall.holdout,
            sent: s.waterfall.sent,
            closed: s.closed.map(|(reason, until)| Closed { reason: reason.name(), until: time(until) }),
        }
    }
}
