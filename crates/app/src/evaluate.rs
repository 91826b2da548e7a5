//! What a campaign was worth: all whom the decision chose to send against the controls recorded at the same step.

use crate::{
    app::{App, catalog_error},
    error::{AppError, Context, Kind, Result},
};
use kairos_catalog::{Actor, Campaign, CampaignDef, CampaignState};
use kairos_engine::{Sums, Trail};
use kairos_insight::{Account, Confidence, Design, Evaluation, Observed, Proportion, account, benefit, evaluate};
use kairos_model::{
    CampaignId, Channel, ContactId, ContactState, Disposition, Money, Span, SubscriberId, Timestamp, Verdict, WaveNo,
    hash::FixedMap,
};
use std::collections::BTreeMap;

/// Members whose states are read under one lock of the engine.
const MEMBERS_AT_ONCE: usize = 10_000;
/// Segments shown in a report at most: the largest ones.
const SEGMENTS_MAX: usize = 20;

/// The tag by which a report is divided unless another is asked for.
const SEGMENT: &str = "brand";

/// One chosen or control member, at the instant of the decision.
#[derive(Clone, Copy, Debug)]
struct Decided {
    subscriber: SubscriberId,
    contact: ContactId,
    wave: WaveNo,
    channel: Channel,
    at: Timestamp,
    chosen: bool,
    sent: bool,
    delivered: bool,
    replied: bool,
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
    /// Of the chosen: what the ledger says became of them.
    pub sent: u64,
    pub delivered: u64,
    pub replied: u64,
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
    /// Evaluates a campaign as far as it has come, with a part for each value of the tag `by`; `None` in `parts` until
    /// somebody was decided.
    pub async fn report(&self, slug: &str, by: Option<&str>) -> Result<Report> {
        let by = match by {
            Some(tag) if self.tags().def(tag).is_none() => return Err(self.unknown_tag(tag)),
            Some(tag) => tag,
            None => SEGMENT,
        };
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
        let segments = self.segments(slug, by, &decided).await?;
        // whoever is in several waves counts once in the whole, from the first decision on
        let mut known: FixedMap<u32, ()> = FixedMap::default();
        let once: Vec<Decided> =
            decided.iter().filter(|d| known.insert(d.subscriber.0, ()).is_none()).copied().collect();
        let mut parts = vec![part("all".to_owned(), once.iter(), &success, &design)?];
        if waves.len() > 1 {
            for (wave, _) in &waves {
                let of = decided.iter().filter(|d| d.wave == *wave);
                parts.push(part(format!("wave {}", wave.0), of, &success, &design)?);
            }
        }
        parts.push(part(
            format!("channel {}", def.channel),
            once.iter().filter(|d| d.channel == def.channel),
            &success,
            &design,
        )?);
        for (name, members) in &segments {
            let of = once.iter().filter(|d| members.contains_key(&d.subscriber.0));
            parts.push(part(format!("{by} {name}"), of, &success, &design)?);
        }
        let delivered = delivered_success(&once, &success)?;
        let account = money(&def, &parts[0], &total)?;
        let complete_at = decided.iter().map(|d| d.at).max().map(|last| last.plus(window));
        let state = self.keep_evaluation(&campaign, &parts[0], complete_at, now).await?;
        Ok(Report {
            campaign: slug.to_owned(),
            id: campaign.id,
            def,
            state,
            at: now,
            waves,
            total,
            complete_at,
            parts,
            delivered_success: delivered,
            account,
            chosen: once.iter().filter(|d| d.chosen).map(|d| d.subscriber).collect(),
        })
    }

    /// Once a campaign has ended and its success window is over, its evaluation is kept; it is evaluated then.
    async fn keep_evaluation(
        &self,
        campaign: &Campaign,
        all: &Part,
        complete_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<String> {
        if !matches!(campaign.state, CampaignState::Ended { .. }) || complete_at.is_none_or(|t| t > now) {
            return Ok(campaign.state.to_string());
        }
        let uplift = all.evaluation.uplift;
        let result = serde_json::json!({
            "chosen": all.chosen.n(), "chosen_ordered": all.chosen.successes(),
            "control": all.control.n(), "control_ordered": all.control.successes(),
            "uplift": uplift.map(|u| u.estimate), "low": uplift.map(|u| u.low), "high": uplift.map(|u| u.high),
            "sample_ratio_p": all.evaluation.ratio.p,
        });
        let (campaign, _) =
            self.catalog.evaluate(&Actor::system(), &campaign.slug, &result, now).await.map_err(catalog_error)?;
        Ok(campaign.state.to_string())
    }

    /// Waves with their sums, and the first send or control decision of each member, from the journal.
    fn decided(&self, campaign: CampaignId) -> Result<Decisions> {
        let fail = |e: kairos_engine::EngineError| AppError::unavailable("journal", "cannot read the trail").because(e);
        // the journal is read without the engine: a pause must not wait for a report
        let (waves, lines) = {
            let engine = self.runner().engine();
            let waves: Vec<(WaveNo, Sums)> =
                engine.waves().into_iter().filter(|w| w.campaign == campaign).map(|w| (w.wave, w.sums)).collect();
            let moments = engine.sums(campaign, WaveNo::MOMENT).map(|s| (WaveNo::MOMENT, s));
            let waves: Vec<(WaveNo, Sums)> = waves.into_iter().chain(moments).collect();
            (waves, engine.trail_from(engine.trail_ends().0).map_err(fail)?)
        };
        let mut first: FixedMap<(u16, u32), Decided> = FixedMap::default();
        for line in lines {
            let (_, trail) = line.map_err(fail)?;
            let Trail::Decision { record, channel, contact } = trail else { continue };
            let chosen = match record.verdict {
                Verdict::Send => true,
                Verdict::Control | Verdict::Holdout => false,
                Verdict::Defer { .. } | Verdict::Withheld { .. } => continue,
            };
            if record.campaign == campaign {
                first.entry((record.wave.0, record.subscriber.0)).or_insert(Decided {
                    subscriber: record.subscriber,
                    contact,
                    wave: record.wave,
                    channel,
                    at: record.stamp,
                    chosen,
                    sent: false,
                    delivered: false,
                    replied: false,
                });
            }
        }
        let mut decided: Vec<Decided> = first.into_values().collect();
        decided.sort_by_key(|d| (d.wave, d.at, d.subscriber));
        for piece in decided.chunks_mut(MEMBERS_AT_ONCE) {
            let engine = self.runner().engine();
            for d in piece.iter_mut().filter(|d| d.chosen) {
                if let Some(m) = engine.contact(d.contact) {
                    d.sent = m.state == ContactState::Sent;
                    d.delivered = d.sent && m.seen.has(Disposition::Delivered);
                    d.replied = d.sent && m.seen.has(Disposition::Replied);
                }
            }
        }
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

    /// Subscribers by a tag as it was when the first wave was launched, the largest first; who had none is in no segment.
    async fn segments(&self, slug: &str, by: &str, decided: &[Decided]) -> Result<Vec<(String, FixedMap<u32, ()>)>> {
        let waves = self.catalog.waves(slug).await.map_err(catalog_error)?;
        // of a campaign with a trigger there is no wave: its people are as they are now
        let newest = || self.snapshot().ok().map(|(id, _)| id);
        let Some(snapshot) = waves.first().map(|w| w.start.snapshot).or_else(newest) else { return Ok(Vec::new()) };
        if self.tags().def(by).is_none() || decided.is_empty() {
            return Ok(Vec::new());
        }
        let members = decided.iter().map(|d| d.subscriber.0).collect();
        if self.lake.snapshot(snapshot).is_ok_and(|s| s.tag(by).is_err()) {
            if by == SEGMENT {
                return Ok(Vec::new());
            }
            let message = format!("the tag `{by}` is not in snapshot {}, by which the first wave was made", snapshot.0);
            return Err(AppError::invalid("tag_later", message));
        }
        let values = self.texts(snapshot, by, Some(&members))?;
        let mut by_value: BTreeMap<String, FixedMap<u32, ()>> = BTreeMap::new();
        for (subscriber, value) in values {
            by_value.entry(value).or_default().insert(subscriber.0, ());
        }
        let mut segments: Vec<_> = by_value.into_iter().collect();
        segments.sort_by_key(|(name, members)| (std::cmp::Reverse(members.len()), name.clone()));
        segments.truncate(SEGMENTS_MAX);
        Ok(segments)
    }
}

/// Orders within the window among the delivered.
fn delivered_success(decided: &[Decided], success: &dyn Fn(&Decided) -> bool) -> Result<Proportion> {
    let delivered = decided.iter().filter(|d| d.delivered);
    let (n, successes) = delivered.fold((0, 0), |(n, k), d| (n + 1, k + u64::from(success(d))));
    proportion(successes, n)
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

#[derive(Default)]
struct Counted {
    sent: u64,
    delivered: u64,
    replied: u64,
}

fn part<'a>(
    name: String,
    members: impl Iterator<Item = &'a Decided>,
    success: &dyn Fn(&Decided) -> bool,
    design: &Design,
) -> Result<Part> {
    let (mut chosen, mut control) = ((0, 0), (0, 0));
    let mut counted = Counted::default();
    for d in members {
        let group = if d.chosen { &mut chosen } else { &mut control };
        group.1 += 1;
        group.0 += u64::from(success(d));
        counted.sent += u64::from(d.sent);
        counted.delivered += u64::from(d.delivered);
        counted.replied += u64::from(d.replied);
    }
    let Counted { sent, delivered, replied } = counted;
    let (chosen, control) = (proportion(chosen.0, chosen.1)?, proportion(control.0, control.1)?);
    let evaluation = evaluate(Observed { chosen, control }, design);
    Ok(Part { name, chosen, control, sent, delivered, replied, evaluation })
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
