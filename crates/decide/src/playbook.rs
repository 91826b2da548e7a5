//! The playbook: everything that campaigns and tenant have decided beforehand, as plain data.

use crate::{
    matcher::Matcher,
    matrix::{Layout, Matrix},
    state::HISTORY_KEEP,
    trigger::Trigger,
    window::{Calendar, QuietHours},
};
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, Channel, LocalDay, Money, PlaybookId, Reason, Span, Timestamp, Zone,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A family of creatives that say the same: the unit of the same-message rule. Numbered by the catalog.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FamilyId(pub u32);

/// A fixed part of all subscribers: `hash::salted(salt, subscriber)` below `ppm` millionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    pub ppm: u32,
    /// Made once and never changed, so that a raised share only adds people.
    pub salt: u64,
}

impl Share {
    pub const NONE: Self = Self { ppm: 0, salt: 0 };
}

/// How far a campaign is. The order is the order of severity: a swapped playbook never softens it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum RunState {
    /// Approved, not started: may hold its audience already.
    Approved = 0,
    Running = 1,
    /// Decides nothing and sends nothing until resumed; still holds its audience.
    Paused = 2,
    Stopped = 3,
}

impl RunState {
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Approved),
            1 => Some(Self::Running),
            2 => Some(Self::Paused),
            3 => Some(Self::Stopped),
            _ => None,
        }
    }
}

/// What an unknown consent means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UnknownConsent {
    #[default]
    Deny,
    Allow,
}

/// The contact policy of one campaign, after the tenant's defaults, its class and its own overrides.
/// Suppression has no switch: it always applies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactPolicy {
    /// No message of the same family within this span; zero switches the rule off.
    pub same_message: Span,
    /// No contact of any other campaign within this span; zero switches the rule off.
    pub other_campaign: Span,
    pub quiet: QuietHours,
    /// Whether the tenant's holidays are closed.
    pub holidays: bool,
    pub do_not_disturb: bool,
    pub unknown_consent: UnknownConsent,
}

impl Default for ContactPolicy {
    /// 30 and 7 times 86,400 s, no quiet hours, everything else applies, unknown consent denies.
    fn default() -> Self {
        Self {
            same_message: Span::days(30),
            other_campaign: Span::days(7),
            quiet: QuietHours::none(),
            holidays: true,
            do_not_disturb: true,
            unknown_consent: UnknownConsent::Deny,
        }
    }
}

/// One campaign, compiled.
#[derive(Clone, PartialEq, Debug)]
pub struct Campaign {
    pub id: CampaignId,
    pub version: CampaignVersion,
    pub class: CampaignClass,
    /// The smaller goes first; equal priorities by campaign id.
    pub priority: u32,
    pub family: FamilyId,
    pub channel: Channel,
    /// Number of treatments (offer, creative, channel), at least 1; the one of a subscriber is a fixed hash.
    pub treatments: u8,
    /// Keeps its audience from campaigns of lower priority until it has decided about each.
    pub hold: bool,
    pub control: Share,
    /// The tenant's holdout of the period, where it applies to this campaign.
    pub holdout: Option<Share>,
    pub start: Timestamp,
    /// At this instant the campaign is over.
    pub end: Timestamp,
    /// What one contact costs.
    pub cost: Money,
    /// `None`: no limit.
    pub budget: Option<Money>,
    pub policy: ContactPolicy,
    pub run: RunState,
    /// What on the network makes it act. `None`: waves only.
    pub trigger: Option<Arc<Trigger>>,
}

/// What a channel can carry; `None`: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChannelCapacity {
    /// Contacts in one whole second of UTC.
    pub per_second: Option<u32>,
    /// Contacts in one day of the tenant's zone.
    pub per_day: Option<u32>,
}

/// What holds for all campaigns of the tenant.
#[derive(Clone, PartialEq, Debug)]
pub struct TenantPolicy {
    pub zone: Zone,
    pub holidays: BTreeSet<LocalDay>,
    /// A channel that is not named has no limit.
    pub channels: BTreeMap<Channel, ChannelCapacity>,
    /// An event that is older than this when it arrives triggers nothing.
    pub fresh_for: Span,
    /// And one older than this is not counted either.
    pub late_max: Span,
}

impl TenantPolicy {
    /// No holidays, no limits; events are fresh for 10 minutes and counted for an hour.
    pub fn new(zone: Zone) -> Self {
        let (fresh_for, late_max) = (Span::mins(10), Span::hours(1));
        Self { zone, holidays: BTreeSet::new(), channels: BTreeMap::new(), fresh_for, late_max }
    }
    pub fn capacity(&self, channel: Channel) -> ChannelCapacity {
        self.channels.get(&channel).copied().unwrap_or(ChannelCapacity { per_second: None, per_day: None })
    }
    pub(crate) fn calendar<'a>(&'a self, policy: &'a ContactPolicy) -> Calendar<'a> {
        Calendar { zone: &self.zone, quiet: &policy.quiet, holidays: policy.holidays.then_some(&self.holidays) }
    }
}

/// Why a playbook is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    #[error("playbook {book}: campaign {campaign} appears twice")]
    Twice { book: PlaybookId, campaign: CampaignId },
    #[error("playbook {book}, campaign {campaign}: {what}")]
    Campaign { book: PlaybookId, campaign: CampaignId, what: String },
}

/// Immutable once made; swapped whole. Campaigns are sorted by id.
#[derive(Clone, Debug)]
pub struct Playbook {
    pub id: PlaybookId,
    pub tenant: TenantPolicy,
    /// The emergency stop: nothing is decided or sent while it is on.
    pub kill: bool,
    campaigns: Vec<Campaign>,
    /// Places in `campaigns` of those that hold their audience, by (priority, id).
    holders: Vec<u32>,
    matcher: Arc<Matcher>,
}

impl PartialEq for Playbook {
    /// What was decided beforehand; not which snapshot it is bound to.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.tenant == other.tenant
            && self.kill == other.kill
            && self.campaigns == other.campaigns
    }
}

impl Playbook {
    /// Checks every campaign: shares at most 1,000,000 ppm, end after start, at least one treatment, windows from 0 to
    /// [`HISTORY_KEEP`], cost not negative, budget in the currency of the cost, quiet hours that leave some of the day, a
    /// trigger that makes sense.
    pub fn new(id: PlaybookId, tenant: TenantPolicy, mut campaigns: Vec<Campaign>) -> Result<Self, BookError> {
        campaigns.sort_by_key(|c| c.id);
        if let Some(w) = campaigns.windows(2).find(|w| w[0].id == w[1].id) {
            return Err(BookError::Twice { book: id, campaign: w[0].id });
        }
        for c in &campaigns {
            check(c).map_err(|what| BookError::Campaign { book: id, campaign: c.id, what })?;
        }
        let mut holders: Vec<u32> = (0..campaigns.len() as u32).filter(|&i| campaigns[i as usize].hold).collect();
        holders.sort_by_key(|&i| (campaigns[i as usize].priority, campaigns[i as usize].id));
        let matcher = Arc::new(Matcher::compile(&campaigns, None));
        Ok(Self { id, tenant, kill: false, campaigns, holders, matcher })
    }
    /// The layout that a matrix for this book has.
    pub fn layout(&self) -> Layout {
        Layout::of(&self.campaigns)
    }
    /// Compiles the triggers for the static bits of a snapshot. Campaigns that need a bit and have none in it, or one of
    /// another version, do not match: [`Playbook::unmatched`].
    pub fn bind(&mut self, matrix: Option<&Arc<Matrix>>) {
        self.matcher = Arc::new(Matcher::compile(&self.campaigns, matrix));
    }
    /// Campaigns with a trigger that cannot match because the snapshot has no bit for them.
    pub fn unmatched(&self) -> &[CampaignId] {
        self.matcher.unmatched()
    }
    pub(crate) fn matcher(&self) -> &Matcher {
        &self.matcher
    }
    /// Asks the processor for the static bits that an event of this subscriber will read.
    #[inline]
    pub fn prefetch(&self, subscriber: kairos_model::SubscriberId) {
        self.matcher.prefetch(subscriber);
    }
    pub(crate) fn place(&self, id: CampaignId) -> Option<usize> {
        self.campaigns.binary_search_by_key(&id, |c| c.id).ok()
    }
    pub fn campaign(&self, id: CampaignId) -> Option<&Campaign> {
        self.campaigns.binary_search_by_key(&id, |c| c.id).ok().map(|i| &self.campaigns[i])
    }
    pub fn campaigns(&self) -> &[Campaign] {
        &self.campaigns
    }
    /// Campaigns that hold their audience, most important first.
    pub fn holders(&self) -> impl Iterator<Item = &Campaign> {
        self.holders.iter().map(|&i| &self.campaigns[i as usize])
    }
    /// Changes how far a campaign is; `false` if the book does not have it.
    pub fn set_run(&mut self, id: CampaignId, run: RunState) -> bool {
        match self.campaigns.binary_search_by_key(&id, |c| c.id) {
            Ok(i) => {
                self.campaigns[i].run = run;
                true
            }
            Err(_) => false,
        }
    }
    /// If quiet hours or a holiday are on at `now` for this campaign: which, and the next allowed instant.
    pub fn closed_until(&self, campaign: &Campaign, now: Timestamp) -> Option<(Reason, Timestamp)> {
        self.tenant.calendar(&campaign.policy).closed_until(now)
    }
}

fn check(c: &Campaign) -> Result<(), String> {
    for (name, share) in [("control", Some(c.control)), ("holdout", c.holdout)] {
        if share.is_some_and(|s| s.ppm > 1_000_000) {
            return Err(format!("the {name} share is above 1,000,000 millionths"));
        }
    }
    if c.end <= c.start {
        return Err(format!("it ends at {} and starts at {}; the end must be later", c.end, c.start));
    }
    if c.treatments == 0 {
        return Err("it has no treatment; give at least one".to_owned());
    }
    for (name, span) in [("same_message", c.policy.same_message), ("other_campaign", c.policy.other_campaign)] {
        if span < Span::ZERO || span > HISTORY_KEEP {
            return Err(format!("the window {name} must be 0 to {} days", HISTORY_KEEP.as_secs() / 86_400));
        }
    }
    if c.cost.micros < 0 {
        return Err(format!("a contact costs {}; the cost cannot be negative", c.cost));
    }
    if let Some(budget) = c.budget
        && budget.currency != c.cost.currency
    {
        return Err(format!("the budget is in {}, the cost in {}", budget.currency, c.cost.currency));
    }
    if let Some(trigger) = &c.trigger {
        trigger.check()?;
    }
    if c.policy.quiet.covers_the_day() {
        return Err("the quiet hours cover the whole day; leave some of it".to_owned());
    }
    Ok(())
}
