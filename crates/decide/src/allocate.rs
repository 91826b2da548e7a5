//! What subscribers share: channel rate, channel day and campaign budget, granted in one fixed order.

use crate::{
    playbook::{Campaign, Playbook},
    step::{Arm, Request},
};
use kairos_model::{CampaignId, Channel, LocalDay, Reason, Timestamp};
use std::collections::BTreeMap;

/// The allocator's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    Granted,
    /// [`Reason::DayCapacity`] and [`Reason::RateCapacity`] defer, [`Reason::Budget`] withholds.
    Denied(Reason),
}

/// What a channel has carried in the current second and local day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChannelUse {
    /// Whole seconds of UTC since 1970.
    pub second: i64,
    pub in_second: u32,
    pub day: LocalDay,
    pub in_day: u32,
}

/// The one keeper of capacities and budgets. Grants depend on requests, playbook and instant only.
///
/// A control takes neither capacity nor budget, but is one only if it would have been granted: it is judged at its place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Allocator {
    channels: BTreeMap<Channel, ChannelUse>,
    /// Millionths spent and reserved by each campaign.
    spent: BTreeMap<CampaignId, i64>,
}

impl Allocator {
    /// From its parts as a checkpoint holds them.
    pub fn restore(channels: BTreeMap<Channel, ChannelUse>, spent: BTreeMap<CampaignId, i64>) -> Self {
        Self { channels, spent }
    }
    pub fn channels(&self) -> &BTreeMap<Channel, ChannelUse> {
        &self.channels
    }
    pub fn spent(&self) -> &BTreeMap<CampaignId, i64> {
        &self.spent
    }
    /// Millionths of the budget's currency that the campaign has spent or reserved.
    pub fn spent_by(&self, campaign: CampaignId) -> i64 {
        self.spent.get(&campaign).copied().unwrap_or(0)
    }

    /// How many more contacts the channel carries at `now` (`None`: no limit), and which limit is the nearest.
    pub fn room(&self, book: &Playbook, channel: Channel, now: Timestamp) -> Option<(u32, Reason)> {
        let limit = book.tenant.capacity(channel);
        let used = self.used(book, channel, now);
        let day = limit.per_day.map(|n| (n.saturating_sub(used.in_day), Reason::DayCapacity));
        let rate = limit.per_second.map(|n| (n.saturating_sub(used.in_second), Reason::RateCapacity));
        [day, rate].into_iter().flatten().min_by_key(|&(left, _)| left)
    }
    fn used(&self, book: &Playbook, channel: Channel, now: Timestamp) -> ChannelUse {
        let (second, day) = (now.secs(), book.tenant.zone.day(now));
        let mut used = self.channels.get(&channel).copied().unwrap_or_default();
        if used.second != second {
            (used.second, used.in_second) = (second, 0);
        }
        if used.day != day {
            (used.day, used.in_day) = (day, 0);
        }
        used
    }

    /// Asks for one request, and takes what it needs if it is granted and to be sent.
    pub fn grant(&mut self, book: &Playbook, r: &Request) -> Grant {
        if let Some((0, reason)) = self.room(book, r.channel, r.stamp) {
            return Grant::Denied(reason);
        }
        if !book.campaign(r.campaign).is_some_and(|c| self.affordable(c)) {
            return Grant::Denied(Reason::Budget);
        }
        if r.arm == Arm::Send {
            self.take(book, r.channel, r.campaign, r.cost.micros, r.stamp);
        }
        Grant::Granted
    }
    /// As [`Allocator::grant`] for a trigger's request: budget and day. It waits for its place in a second in the queue.
    pub fn grant_moment(&mut self, book: &Playbook, r: &Request) -> Grant {
        let limit = book.tenant.capacity(r.channel);
        if limit.per_day.is_some_and(|n| self.used(book, r.channel, r.stamp).in_day >= n) {
            return Grant::Denied(Reason::DayCapacity);
        }
        if !book.campaign(r.campaign).is_some_and(|c| self.affordable(c)) {
            return Grant::Denied(Reason::Budget);
        }
        if r.arm == Arm::Send {
            self.take(book, r.channel, r.campaign, r.cost.micros, r.stamp);
        }
        Grant::Granted
    }
    /// Whether one more contact fits the budget.
    pub fn affordable(&self, c: &Campaign) -> bool {
        c.budget.is_none_or(|b| self.spent_by(c.id).checked_add(c.cost.micros).is_some_and(|sum| sum <= b.micros))
    }
    /// Enters one granted contact, as replay does.
    pub fn take(&mut self, book: &Playbook, channel: Channel, campaign: CampaignId, cost: i64, now: Timestamp) {
        let mut used = self.used(book, channel, now);
        used.in_second = used.in_second.saturating_add(1);
        used.in_day = used.in_day.saturating_add(1);
        self.channels.insert(channel, used);
        let spent = self.spent.entry(campaign).or_default();
        *spent = spent.saturating_add(cost);
    }
    /// Gives back the budget of a contact that will cost nothing, and its place in the day if it was never written to
    /// the channel (`unsent_of`: when it was granted). A second that is over is not given back.
    pub fn release(
        &mut self,
        book: &Playbook,
        channel: Channel,
        campaign: CampaignId,
        cost: i64,
        unsent_of: Option<Timestamp>,
    ) {
        if let Some(spent) = self.spent.get_mut(&campaign) {
            *spent = spent.saturating_sub(cost).max(0);
        }
        if let (Some(at), Some(used)) = (unsent_of, self.channels.get_mut(&channel))
            && used.day == book.tenant.zone.day(at)
        {
            used.in_day = used.in_day.saturating_sub(1);
        }
    }

    /// Grants in the order (priority, salted hash, campaign, subscriber), whatever the order in which requests came.
    pub fn allocate(&mut self, book: &Playbook, mut requests: Vec<Request>) -> Vec<(Request, Grant)> {
        requests.sort_by_key(|r| (r.priority, r.order, r.campaign, r.subscriber));
        requests.into_iter().map(|r| (r, self.grant(book, &r))).collect()
    }
}
