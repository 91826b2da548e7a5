//! The rules by heart: what a decision must have been.

use super::{Contact, Entry, Meaning, Model, class_index, local};
use crate::shelves::bit;
use kairos_decide::{Campaign, RunState, Share, UnknownConsent};
use kairos_model::{CampaignId, Reason, ReasonSet, SubscriberId, Timestamp, hash};

/// What a decision must be, once nothing speaks against it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arm {
    Send,
    Control,
    Holdout,
}

fn within(share: Share, s: SubscriberId) -> bool {
    // the share of all 2^64 hashes, in millionths
    let h = hash::salted(share.salt, s.0.into());
    (u128::from(h) * 1_000_000 / (1u128 << 64)) < u128::from(share.ppm)
}

pub fn arm(c: &Campaign, s: SubscriberId) -> Arm {
    if c.holdout.is_some_and(|h| within(h, s)) {
        Arm::Holdout
    } else if within(c.control, s) {
        Arm::Control
    } else {
        Arm::Send
    }
}

impl Model {
    /// Reasons of the hour: quiet hours and holidays.
    pub fn closed(&self, c: &Campaign, at: Timestamp) -> [Option<Reason>; 2] {
        let (minute, day) = local(at);
        let inside = |from: i64, to: i64| {
            if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
        };
        let quiet = c.policy.quiet.ranges().iter().any(|r| inside(r.from.into(), r.to.into()));
        let holidays = self.book.as_ref().map(|b| &b.tenant.holidays);
        let holiday = c.policy.holidays && holidays.is_some_and(|h| h.iter().any(|d| i64::from(d.0) == day));
        [quiet.then_some(Reason::QuietHours), holiday.then_some(Reason::Holiday)]
    }

    /// Everything that speaks against a contact of `campaign` at this instant, budget and capacity apart.
    pub fn against(&self, s: SubscriberId, campaign: CampaignId, at: Timestamp) -> ReasonSet {
        let Some(c) = self.book.as_ref().and_then(|b| b.campaign(campaign)) else {
            return ReasonSet::EMPTY.with(Reason::NotEligible);
        };
        let person = &self.people[s.0 as usize];
        let has = |bit| self.lists_has(s, bit);
        let mut all = ReasonSet::EMPTY;
        let mut put = |reason, when: bool| {
            if when {
                all = all.with(reason);
            }
        };
        put(Reason::NoAddress, has(bit::NO_ADDRESS));
        put(Reason::Suppressed, has(bit::SUPPRESSED) && !has(bit::UNREADABLE));
        put(Reason::Unreadable, has(bit::UNREADABLE));
        put(Reason::DoNotDisturb, c.policy.do_not_disturb && has(bit::DO_NOT_DISTURB));
        let unknown = has(bit::CONSENT_UNKNOWN) && !has(bit::CONSENT_DENIED);
        let denied = has(bit::CONSENT_DENIED) || (unknown && c.policy.unknown_consent == UnknownConsent::Deny);
        put(Reason::NoConsent, denied || person.out[class_index(c.class)]);
        let unreadable = has(bit::CONSENT_UNREADABLE) && !has(bit::CONSENT_DENIED) && !has(bit::CONSENT_UNKNOWN);
        put(Reason::Unreadable, unreadable);
        let run = self.run_of(campaign);
        put(Reason::Ended, at >= c.end);
        put(Reason::Paused, run == RunState::Paused || at < c.start);
        put(Reason::Stopped, run == RunState::Stopped);
        put(Reason::KillSwitch, self.kill);
        for reason in self.closed(c, at).into_iter().flatten() {
            put(reason, true);
        }
        put(Reason::SameMessage, person.history.iter().any(|e| same_message(e, c, at)));
        put(Reason::OtherCampaign, person.history.iter().any(|e| other_campaign(e, c, at)));
        put(Reason::HeldFor, self.holder(s, c, at).is_some());
        all
    }

    /// A more important campaign that keeps this subscriber for itself.
    fn holder(&self, s: SubscriberId, c: &Campaign, at: Timestamp) -> Option<CampaignId> {
        let (book, facts) = (self.book.as_ref()?, self.facts.as_ref()?);
        let decided = |id: CampaignId| self.people[s.0 as usize].history.iter().any(|e| e.campaign == id);
        let holds = |h: &&Campaign| {
            h.hold
                && h.priority < c.priority
                && self.run_of(h.id) != RunState::Stopped
                && at < h.end
                && facts.holds(h.id, s)
                && !decided(h.id)
        };
        book.campaigns().iter().find(holds).map(|h| h.id)
    }

    /// Whether one more contact fits the budget in force.
    pub fn affordable(&self, c: &Campaign) -> bool {
        let spent = self.spent.get(&c.id).copied().unwrap_or(0);
        c.budget.is_none_or(|b| spent + c.cost.micros <= b.micros)
    }

    /// The campaign as it was when a contact was decided.
    pub fn decided_under(&self, contact: &Contact) -> Option<Campaign> {
        self.shelves.book(contact.book)?.campaign(contact.campaign).cloned()
    }
}

pub fn same_message(e: &Entry, c: &Campaign, at: Timestamp) -> bool {
    e.family == c.family && e.meaning != Meaning::Decided && at < e.at.plus(c.policy.same_message)
}

pub fn other_campaign(e: &Entry, c: &Campaign, at: Timestamp) -> bool {
    let contact = matches!(e.meaning, Meaning::Reserved | Meaning::Contacted);
    e.campaign != c.id && contact && at < e.at.plus(c.policy.other_campaign)
}
