//! `step`: one event meets one subscriber's state.

use crate::{
    facts::Facts,
    judge::judge,
    moment,
    playbook::{Campaign, Playbook},
    states::States,
    window::Minutes,
};
use kairos_model::{
    CampaignId, CampaignVersion, CellId, Channel, ContactId, DecisionRecord, Event, EventType, Money, PartyId,
    PlaybookId, SubscriberId, Timestamp, Verdict, WaveNo, hash,
};

/// What happens to a request that is granted: fixed by hashes alone, before anybody is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arm {
    Send,
    Control,
    Holdout,
}

impl Arm {
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Send => Verdict::Send,
            Self::Control => Verdict::Control,
            Self::Holdout => Verdict::Holdout,
        }
    }
}

/// A contact that every rule allows; the allocator has the last word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    pub contact: ContactId,
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    /// [`WaveNo::MOMENT`]: a trigger's, see `moment`.
    pub wave: WaveNo,
    /// Of a trigger. Its reservation is in the state already: release it if the request is denied.
    pub moment: Option<Moment>,
    pub treatment: u8,
    pub arm: Arm,
    pub channel: Channel,
    pub cost: Money,
    pub priority: u32,
    /// [`order_key`]: who is served first within a priority.
    pub order: u64,
    pub stamp: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask the allocator; if granted, the arm is what happens.
    Request(Request),
    /// A wave's member is deferred or withheld.
    Decided(DecisionRecord),
    /// An occurrence is withheld, at its match or when it would have fired.
    Withheld(Withheld),
    /// An occurrence waits: the timer is in the state, and must be fired at its due time.
    Waiting(Waiting),
    /// A match while the same campaign already waits for the subscriber: neither restarts nor adds.
    Merged(CampaignId),
}

/// Which occurrence of a trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Arrival stamp of the event that matched.
    pub occurrence: Timestamp,
    /// It has waited.
    pub fired: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Withheld {
    pub record: DecisionRecord,
    pub moment: Moment,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    pub due: Timestamp,
    pub campaign: CampaignId,
    pub subscriber: SubscriberId,
}

/// What a step wants done, in order. Reused from step to step.
#[derive(Default, Debug)]
pub struct Actions {
    pub list: Vec<Action>,
    /// Events that were too old to trigger anything.
    pub stale: u64,
    pub(crate) minutes: Minutes,
    minutes_of: Option<PlaybookId>,
    pub(crate) found: Vec<u32>,
}

impl Actions {
    /// Minute of the local day in the zone of the book.
    #[inline]
    pub(crate) fn minute(&mut self, book: &Playbook, t: Timestamp) -> u16 {
        if self.minutes_of != Some(book.id) {
            self.minutes.forget();
            self.minutes_of = Some(book.id);
        }
        self.minutes.at(&book.tenant.zone, t)
    }
}

const STREAM_ORDER: u64 = 0x4f52_4445_5200_0001;
const STREAM_TREATMENT: u64 = 0x5452_4541_5400_0001;

/// The salt of a campaign's order of service, from its control salt: independent of who is control.
pub const fn order_salt(campaign: &Campaign) -> u64 {
    hash::salted2(STREAM_ORDER, campaign.id.0 as u64, campaign.control.salt)
}

/// The place of a subscriber in that order; equal keys go by ordinal. Independent of partitions.
pub const fn order_key(order_salt: u64, subscriber: SubscriberId) -> u64 {
    hash::salted(order_salt, subscriber.0 as u64)
}

/// Holdout before control: who is held out of everything is told apart within the control.
pub fn arm_of<F: Facts + ?Sized>(campaign: &Campaign, subscriber: SubscriberId, facts: &F) -> Arm {
    let below = |s: crate::Share| hash::below_ppm(hash::salted(s.salt, u64::from(subscriber.0)), s.ppm);
    if campaign.holdout.is_some_and(below) {
        Arm::Holdout
    } else if facts.listed_control(campaign.id, subscriber).unwrap_or_else(|| below(campaign.control)) {
        Arm::Control
    } else {
        Arm::Send
    }
}

pub(crate) fn treatment_of(campaign: &Campaign, subscriber: SubscriberId) -> u8 {
    let h = hash::salted2(STREAM_TREATMENT, campaign.control.salt, u64::from(subscriber.0));
    ((u128::from(h) * u128::from(campaign.treatments)) >> 64) as u8
}

/// The event that a wave's cursor reached a subscriber. Campaign ids are below 2^48, as `u32` they always are.
pub const fn wave_event(campaign: CampaignId, wave: WaveNo, subscriber: SubscriberId, now: Timestamp) -> Event {
    Event {
        kind: EventType::WAVE_REACHED,
        flags: 0,
        subscriber,
        peer: PartyId::NONE,
        cell: CellId(0),
        at: now,
        arrived: now,
        aux: (campaign.0 as u64) << 16 | wave.0 as u64,
    }
}

/// One event of one subscriber. Reads only its arguments; touches only that subscriber's record; adds to `actions`.
///
/// `WAVE_REACHED` judges the wave's campaign and leaves the state alone: a reservation is entered when it is granted.
/// Every other event first fires the timers that are due, notes place and power, and then meets the triggers; what a
/// trigger asks for is reserved at once.
#[inline]
pub fn step<F: Facts + ?Sized>(
    states: &mut States,
    event: &Event,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
    actions: &mut Actions,
) {
    if event.kind == EventType::WAVE_REACHED {
        let (campaign, wave) = (CampaignId((event.aux >> 16) as u32), WaveNo(event.aux as u16));
        actions.list.push(on_wave(states, event.subscriber, campaign, wave, facts, book, now));
    } else {
        moment::on_event(states, event, true, facts, book, now, actions);
    }
}

/// A look at an event some events before its step, when its record and static bits are near: asks for what else the step
/// will read, and tells whether any trigger can match. For [`step_glanced`], with the same book.
#[inline]
pub fn glance(states: &States, event: &Event, book: &Playbook) -> bool {
    let any = book.matcher().glance(event);
    if any {
        states.prefetch_history(event.subscriber);
    }
    any
}

/// As [`step`], for an event that is no wave's and of which a [`glance`] has told whether any trigger can match.
#[inline]
pub fn step_glanced<F: Facts + ?Sized>(
    states: &mut States,
    event: &Event,
    any: bool,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
    actions: &mut Actions,
) {
    moment::on_event(states, event, any, facts, book, now, actions);
}

fn on_wave<F: Facts + ?Sized>(
    states: &States,
    subscriber: SubscriberId,
    campaign: CampaignId,
    wave: WaveNo,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
) -> Action {
    let found = book.campaign(campaign);
    let version = found.map_or(CampaignVersion(0), |c| c.version);
    let treatment = found.map_or(0, |c| treatment_of(c, subscriber));
    match (judge(states.get(subscriber), subscriber, campaign, facts, book, now).verdict(), found) {
        (None, Some(c)) => Action::Request(Request {
            contact: ContactId::of_wave(campaign, wave, subscriber),
            subscriber,
            campaign,
            version,
            wave,
            moment: None,
            treatment,
            arm: arm_of(c, subscriber, facts),
            channel: c.channel,
            cost: c.cost,
            priority: c.priority,
            order: order_key(order_salt(c), subscriber),
            stamp: now,
        }),
        (verdict, _) => Action::Decided(DecisionRecord {
            stamp: now,
            subscriber,
            campaign,
            version,
            wave,
            treatment,
            // a campaign that is not in the book has been judged `NotEligible`
            verdict: verdict.unwrap_or(Verdict::Withheld {
                primary: kairos_model::Reason::NotEligible,
                all: kairos_model::ReasonSet::EMPTY.with(kairos_model::Reason::NotEligible),
                by: None,
            }),
            snapshot: facts.snapshot(),
            playbook: book.id,
        }),
    }
}
