//! A campaign's report: where its members stand, rates, uplift, account.

use super::{Money, ReasonCount, campaign, time};
use kairos_app as app;
use kairos_engine::Sums;
use kairos_insight as insight;
use kairos_model::{ContactState, Disposition};
use serde::Serialize;
use utoipa::ToSchema;

/// Ledger, rates and uplift of a campaign.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    pub id: String,
    pub href: String,
    #[serde(rename = "@type")]
    #[schema(example = "CampaignReport")]
    pub kind: &'static str,
    #[schema(example = "running")]
    pub state: String,
    /// When this was counted.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// When the success window of the last decision ends; null before any decision.
    #[schema(format = DateTime)]
    pub complete_at: Option<String>,
    /// Whether that time has come: before it, successes are still to be expected.
    pub complete: bool,
    pub total: Ledger,
    pub waves: Vec<WaveLedger>,
    /// The whole first, then waves, channel, segments.
    pub parts: Vec<Part>,
    /// Orders within the window among the delivered. Stands beside the uplift and is none.
    pub delivered_success: Rate,
    pub account: Option<Account>,
}

/// Where the members stand: not_reached + withheld + deferred + control + pending + sent + failed + cancelled + unknown
/// = members, at every instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ledger {
    pub members: u64,
    pub not_reached: u64,
    pub withheld: u64,
    pub deferred: u64,
    pub control: u64,
    pub pending: u64,
    pub sent: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub unknown: u64,
    /// Within `control`.
    pub holdout: u64,
    /// `withheld` by primary reason.
    pub withheld_by: Vec<ReasonCount>,
    pub cancelled_by: Vec<ReasonCount>,
    /// Within `sent`: counts, not terms.
    pub delivered: u64,
    pub undelivered: u64,
    pub expired: u64,
    pub replied: u64,
    pub opted_out: u64,
    pub ordered: u64,
}

/// One wave's ledger.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WaveLedger {
    pub no: u16,
    pub ledger: Ledger,
}

/// Successes of so many.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rate {
    pub of: u64,
    pub successes: u64,
    /// A fraction; null of nobody.
    pub rate: Option<f64>,
}

/// An estimate and its interval, as fractions: 0.05 = 5 points.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Interval {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// Whether chosen and control are as many as the share promises.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SampleRatio {
    pub expected_control: f64,
    pub control: u64,
    pub chosen: u64,
    /// Below 0.001 nothing may be said.
    pub p: f64,
}

/// What may be said about the uplift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictName {
    Positive,
    Negative,
    /// The interval crosses 0.
    Inconclusive,
    /// The numbers of chosen and control do not fit the share.
    Invalid,
}

/// Rates and uplift of the whole or a part.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Part {
    #[schema(example = "all")]
    pub name: String,
    /// All whom the decision chose to send, whatever became of them.
    pub chosen: Rate,
    /// Who would have been sent at the same step and was kept back.
    pub control: Rate,
    /// Null without chosen or controls.
    pub uplift: Option<Interval>,
    pub verdict: VerdictName,
    /// Inconclusive: members still needed for 80 % power; null if no number would do.
    pub more_needed: Option<u64>,
    pub sample_ratio: SampleRatio,
    /// The smallest uplift that these numbers find with 80 % power.
    pub detectable: Option<f64>,
    pub power: f64,
}

/// Cost and benefit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Account {
    pub cost: Money,
    pub budget: Option<Money>,
    pub left: Option<Money>,
    /// Orders that would not have come anyway, times the offer's margin.
    pub benefit: Option<Money>,
    pub benefit_low: Option<Money>,
    pub benefit_high: Option<Money>,
    pub net: Option<Money>,
    pub net_low: Option<Money>,
}

impl Report {
    pub fn of(r: &app::Report) -> Self {
        Self {
            id: r.campaign.clone(),
            href: format!("{}/report", campaign::href(&r.campaign)),
            kind: "CampaignReport",
            state: r.state.clone(),
            as_of: time(r.at),
            complete_at: r.complete_at.map(time),
            complete: r.complete_at.is_some_and(|t| t <= r.at),
            total: Ledger::of(&r.total),
            waves: r.waves.iter().map(|(no, s)| WaveLedger { no: no.0, ledger: Ledger::of(s) }).collect(),
            parts: r.parts.iter().map(Part::of).collect(),
            delivered_success: r.delivered_success.into(),
            account: r.account.map(Account::of),
        }
    }
}

impl Ledger {
    pub fn of(s: &Sums) -> Self {
        Self {
            members: s.members,
            not_reached: s.of(ContactState::NotReached),
            withheld: s.of(ContactState::Withheld),
            deferred: s.of(ContactState::Deferred),
            control: s.of(ContactState::Control),
            pending: s.of(ContactState::Pending),
            sent: s.of(ContactState::Sent),
            failed: s.of(ContactState::Failed),
            cancelled: s.of(ContactState::Cancelled),
            unknown: s.of(ContactState::Unknown),
            holdout: s.holdout,
            withheld_by: ReasonCount::all(&s.withheld),
            cancelled_by: ReasonCount::all(&s.cancelled),
            delivered: s.seen(Disposition::Delivered),
            undelivered: s.seen(Disposition::Undelivered),
            expired: s.seen(Disposition::Expired),
            replied: s.seen(Disposition::Replied),
            opted_out: s.seen(Disposition::OptedOut),
            ordered: s.seen(Disposition::Ordered),
        }
    }
}

impl From<insight::Proportion> for Rate {
    fn from(p: insight::Proportion) -> Self {
        Self { of: p.n(), successes: p.successes(), rate: p.rate() }
    }
}

impl Part {
    fn of(p: &app::Part) -> Self {
        let e = &p.evaluation;
        let (verdict, more_needed) = match e.verdict {
            insight::Verdict::Positive => (VerdictName::Positive, None),
            insight::Verdict::Negative => (VerdictName::Negative, None),
            insight::Verdict::Inconclusive { more } => (VerdictName::Inconclusive, more),
            insight::Verdict::Invalid { .. } => (VerdictName::Invalid, None),
        };
        Self {
            name: p.name.clone(),
            chosen: p.chosen.into(),
            control: p.control.into(),
            uplift: e.uplift.map(|u| Interval { estimate: u.estimate, low: u.low, high: u.high }),
            verdict,
            more_needed,
            sample_ratio: SampleRatio {
                expected_control: e.ratio.expected,
                control: e.ratio.control,
                chosen: e.ratio.chosen,
                p: e.ratio.p,
            },
            detectable: e.detectable,
            power: e.power,
        }
    }
}

impl Account {
    fn of(a: insight::Account) -> Self {
        let benefit = |of: fn(insight::Benefit) -> kairos_model::Money| a.benefit.map(|b| of(b).into());
        Self {
            cost: a.cost.into(),
            budget: a.budget.map(Into::into),
            left: a.left.map(Into::into),
            benefit: benefit(|b| b.estimate),
            benefit_low: benefit(|b| b.low),
            benefit_high: benefit(|b| b.high),
            net: a.net.map(Into::into),
            net_low: a.net_low.map(Into::into),
        }
    }
}
