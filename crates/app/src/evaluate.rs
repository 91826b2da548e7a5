//! What a campaign was worth: all whom the decision chose to send against the controls recorded at the same step.

use crate::{
    app::{App, catalog_error},
    error::{AppError, Context, Kind, Result},
};
use kairos_catalog::CampaignDef;
use kairos_engine::{Sums, Trail};
use kairos_insight::{Account, Confidence, Design, Evaluation, Observed, Proportion, account, benefit, evaluate};
use kairos_model::{
    CampaignId, Channel, ContactState, Disposition, Money, Span, SubscriberId, Timestamp, Verdict, WaveNo,
    hash::FixedMap,
};
use std::collections::BTreeMap;

/// Segments shown in a report at most: the largest ones.
const SEGMENTS_MAX: usize = 20;

/// One chosen or control member, at the instant of the decision.
#[derive(Clone, Copy, Debug)]
struct Decided {
    subscriber: SubscriberId,
    wave: WaveNo,
    channel: Channel,
    at: Timestamp,
    chosen: bool,
}

/// Waves with their sums, and who was decided.
type Decisions = (Vec<(WaveNo, Sums)>, Vec<Decided>);

/// Rates and uplift of some part of a campaign.
#[derive(Clone, Debug)]
pub struct Part {
    /// `all`, `wave 1`, `channel sms`, `brand gotone`.
    pub name: String,
    pub chosen: Proportion,
    pub control: Proportion,
    pub evaluation: Evaluation,
}

/// A campaign's report: ledger, rates, uplift, account.
#[derive(Clone, Debug)]
pub struct Report {
    pub campaign: String,
    pub id: CampaignId,
    pub def: CampaignDef,
    pub state: String,
    pub at: Timestamp,
    pub waves: Vec<(WaveNo, Sums)>,
    pub total: Sums,
    /// The success window of the last decision has ended.
    pub complete_at: Option<Timestamp>,
    pub parts: Vec<Part>,
    /// Orders within the window among the delivered: a rate beside the uplift, never called so.
    pub delivered_success: Proportion,
    pub account: Option<Account>,
    /// Members chosen to send, in no particular order: for checks against a known truth.
    pub chosen: Vec<SubscriberId>,
}

impl App {
    /// Evaluates a campaign as far as it has come; `None` in `parts` until somebody was decided.
    pub async fn report(&self, slug: &str) -> Result<Report> {
        let campaign = self.catalog.campaign(slug).await.map_err(catalog_error)?;
        let now = self.now();
        let def = campaign.def.clone();
        let window = Span::days(i64::from(def.success_window_days));
        let (waves, decided) = self.decided(campaign.id)?;
        let mut total = Sums::default();
        waves.iter().for_each(|(_, s)| total.add(s));
        let orders = self.orders_of(&def, now).await?;
        let success = |d: &Decided| {
            orders.get(&d.subscriber.0).is_some_and(|times| times.iter().any(|&t| d.at <= t && t < d.at.plus(window)))
        };
        let design = design(&def, &self.tenant)?;
        let segments = self.segments(&decided)?;
        let mut parts = vec![part("all".to_owned(), decided.iter(), &success, &design)?];
        if waves.len() > 1 {
            for (wave, _) in &waves {
                let of = decided.iter().filter(|d| d.wave == *wave);
                parts.push(part(format!("wave {}", wave.0), of, &success, &design)?);
            }
        }
        parts.push(part(
            format!("channel {}", def.channel),
            decided.iter().filter(|d| d.channel == def.channel),
            &success,
            &design,
        )?);
        for (name, members) in &segments {
            let of = decided.iter().filter(|d| members.contains_key(&d.subscriber.0));
            parts.push(part(format!("brand {name}"), of, &success, &design)?);
        }
        let delivered = self.delivered_success(campaign.id, &decided, &success)?;
        let account = money(&def, &parts[0], &total)?;
        let complete_at = decided.iter().map(|d| d.at).max().map(|last| last.plus(window));
        Ok(Report {
            campaign: slug.to_owned(),
            id: campaign.id,
            def,
            state: campaign.state.to_string(),
            at: now,
            waves,
            total,
            complete_at,
            parts,
            delivered_success: delivered,
            account,
            chosen: decided.iter().filter(|d| d.chosen).map(|d| d.subscriber).collect(),
        })
    }

    /// Waves with their sums, and the first send or control decision of each member, from the journal.
    fn decided(&self, campaign: CampaignId) -> Result<Decisions> {
        let engine = self.runner().engine();
        let waves: Vec<(WaveNo, Sums)> =
            engine.waves().into_iter().filter(|w| w.campaign == campaign).map(|w| (w.wave, w.sums)).collect();
        let fail = |e: kairos_engine::EngineError| AppError::unavailable("journal", "cannot read the trail").because(e);
        let from = engine.trail_ends().0;
        let mut first: FixedMap<(u16, u32), Decided> = FixedMap::default();
        for line in engine.trail_from(from).map_err(fail)? {
            let (_, trail) = line.map_err(fail)?;
            let Trail::Decision { record, channel, .. } = trail else { continue };
            let chosen = match record.verdict {
                Verdict::Send => true,
                Verdict::Control | Verdict::Holdout => false,
                Verdict::Defer { .. } | Verdict::Withheld { .. } => continue,
            };
            if record.campaign == campaign {
                first.entry((record.wave.0, record.subscriber.0)).or_insert(Decided {
                    subscriber: record.subscriber,
                    wave: record.wave,
                    channel,
                    at: record.stamp,
                    chosen,
                });
            }
        }
        let mut decided: Vec<Decided> = first.into_values().collect();
        decided.sort_by_key(|d| (d.wave, d.at, d.subscriber));
        Ok((waves, decided))
    }

    /// Order times of the campaign's offer, by subscriber.
    async fn orders_of(&self, def: &CampaignDef, now: Timestamp) -> Result<FixedMap<u32, Vec<Timestamp>>> {
        let offer = def.offer.code.replace('\'', "''");
        let rows = self
            .lake
            .subscriber_times(now, &format!("SELECT subscriber, at FROM orders WHERE offer = '{offer}'"))
            .await
            .or_fail(Kind::Failure, "orders", || "cannot read the orders".to_owned())?;
        let mut orders: FixedMap<u32, Vec<Timestamp>> = FixedMap::default();
        for (subscriber, at) in rows {
            orders.entry(subscriber.0).or_default().push(at);
        }
        Ok(orders)
    }

    /// Subscribers by brand, the largest first.
    fn segments(&self, decided: &[Decided]) -> Result<Vec<(String, FixedMap<u32, ()>)>> {
        let Ok((snapshot, _)) = self.snapshot() else { return Ok(Vec::new()) };
        if self.tags.def("brand").is_none() || decided.is_empty() {
            return Ok(Vec::new());
        }
        let members = decided.iter().map(|d| d.subscriber.0).collect();
        let values = self.texts(snapshot, "brand", Some(&members))?;
        let mut by_value: BTreeMap<String, FixedMap<u32, ()>> = BTreeMap::new();
        for (subscriber, value) in values {
            by_value.entry(value).or_default().insert(subscriber.0, ());
        }
        let mut segments: Vec<_> = by_value.into_iter().collect();
        segments.sort_by_key(|(name, members)| (std::cmp::Reverse(members.len()), name.clone()));
        segments.truncate(SEGMENTS_MAX);
        Ok(segments)
    }

    fn delivered_success(
        &self,
        campaign: CampaignId,
        decided: &[Decided],
        success: &dyn Fn(&Decided) -> bool,
    ) -> Result<Proportion> {
        let engine = self.runner().engine();
        let (mut n, mut successes) = (0, 0);
        for d in decided.iter().filter(|d| d.chosen) {
            let delivered = engine
                .state_of(d.subscriber, campaign)
                .iter()
                .any(|(w, m)| *w == d.wave && m.state == ContactState::Sent && m.seen.has(Disposition::Delivered));
            if delivered {
                n += 1;
                successes += u64::from(success(d));
            }
        }
        proportion(successes, n)
    }
}

fn proportion(successes: u64, n: u64) -> Result<Proportion> {
    Proportion::new(successes, n).or_fail(Kind::Failure, "internal", || "counts do not fit".to_owned())
}

/// The share of control and holdout together, as decided one after the other.
fn design(def: &CampaignDef, tenant: &kairos_catalog::TenantConfig) -> Result<Design> {
    let control = u64::from(def.control_share().ppm());
    let holdout = if def.holdout { u64::from(tenant.holdout.share.ppm()) } else { 0 };
    let share = control + holdout - control * holdout / 1_000_000;
    Design::new(
        u32::try_from(share).unwrap_or(u32::MAX).clamp(1, 999_999),
        def.smallest_worthwhile_uplift.fraction(),
        Confidence::usual(),
    )
    .or_fail(Kind::Invalid, "design", || format!("campaign `{}` cannot be evaluated", def.id))
}

fn part<'a>(
    name: String,
    members: impl Iterator<Item = &'a Decided>,
    success: &dyn Fn(&Decided) -> bool,
    design: &Design,
) -> Result<Part> {
    let (mut chosen, mut control) = ((0, 0), (0, 0));
    for d in members {
        let group = if d.chosen { &mut chosen } else { &mut control };
        group.1 += 1;
        group.0 += u64::from(success(d));
    }
    let (chosen, control) = (proportion(chosen.0, chosen.1)?, proportion(control.0, control.1)?);
    let evaluation = evaluate(Observed { chosen, control }, design);
    Ok(Part { name, chosen, control, evaluation })
}

/// Cost of what was sent or may have been, and the benefit of the orders that would not have come anyway.
fn money(def: &CampaignDef, all: &Part, total: &Sums) -> Result<Option<Account>> {
    let currency = def.budget.currency;
    let contacts = total.of(ContactState::Sent) + total.of(ContactState::Unknown) + total.of(ContactState::Pending);
    let each = def.budget.cost_per_contact.money(currency);
    let budget = Some(Money::micros(def.budget.amount.0, currency));
    let worth = all
        .evaluation
        .uplift
        .and_then(|u| benefit(all.chosen, all.control, u, def.offer.margin.money(currency)))
        .transpose()
        .or_fail(Kind::Failure, "money", || "the benefit is past the limits of money".to_owned())?;
    account(contacts, each, budget, worth)
        .map(Some)
        .or_fail(Kind::Failure, "money", || "the account is past the limits of money".to_owned())
}
