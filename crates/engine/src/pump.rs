//! What time and room allow now: waves walk, contacts are offered, unanswered ones lapse, waves close.

use crate::{
    engine::{Engine, JUDGED_OUT, RECORD_LINES},
    error::EngineError,
    ledger::{Contact, Home, Phase},
    output::{Offered, Output, Which},
    record::{Change, OutcomeRec, Rec, WalkItem, WalkRec},
    wave::Wave,
};
use kairos_decide::{
    Action, Actions, Allocator, Arm, Campaign, Facts, Grant, Playbook, RunState, SendCheck, States, check_at_send,
    step, wave_event,
};
use kairos_model::{Channel, ContactId, Reason, ReasonSet, Span, SubscriberId, Timestamp, Verdict};
use std::sync::Arc;

/// Members judged into one record, at most: bounds the record.
const CHUNK: usize = 2_000;

/// Why a walk came to its end, and until when.
type Stop = Option<(Reason, Timestamp)>;

impl Engine {
    /// Contacts to send now, at most `max` and at most what the channel's window leaves; durable as offered.
    /// The outputs are what else became durable on the way (decisions, cancellations). Empty: call again at
    /// [`Engine::next_due`], or after any input.
    pub fn offer(
        &mut self,
        now: Timestamp,
        channel: Channel,
        max: usize,
    ) -> Result<(Vec<Offered>, Vec<Output>), EngineError> {
        self.call(now, |engine, stamp, out| {
            engine.tick(stamp, out)?;
            engine.lapse(stamp, out)?;
            engine.pump(stamp, out)?;
            let mut taken = engine.take(stamp, channel, max, out)?;
            // what was taken, put off or cancelled makes room to decide about the next ones
            engine.pump(stamp, out)?;
            if taken.is_empty() {
                // nobody would call again for those that were decided just now
                taken = engine.take(stamp, channel, max, out)?;
                engine.pump(stamp, out)?;
            }
            Ok(taken)
        })
    }

    fn take(
        &mut self,
        stamp: Timestamp,
        channel: Channel,
        max: usize,
        out: &mut Vec<Output>,
    ) -> Result<Vec<Offered>, EngineError> {
        let window = self.config.window_of(channel).saturating_sub(self.core.ledger.flying(channel));
        let mut limit = max.min(window as usize).min(RECORD_LINES);
        let (Some(book), Some(facts)) = (self.core.book.clone(), self.core.facts.clone()) else {
            return Ok(Vec::new());
        };
        let capacity = book.tenant.capacity(channel);
        if let Some(rate) = capacity.per_second {
            // those that waited through a pause do not come on top of the rate
            let left = rate.saturating_sub(self.core.ledger.offered_in_second(channel, stamp));
            limit = limit.min(left as usize);
        }
        if book.kill || limit == 0 {
            return Ok(Vec::new());
        }
        let today = book.tenant.zone.day(stamp);
        let queue: Vec<ContactId> = self.core.ledger.queues.get(&channel).into_iter().flatten().copied().collect();
        let (mut taken, mut named) = (Vec::new(), Vec::new());
        for id in queue {
            if taken.len() == limit {
                break;
            }
            let Some(&contact) = self.core.ledger.get(id) else { continue };
            let which = self.core.which(id, &contact);
            if book.campaign(which.campaign).is_some_and(|c| c.run == RunState::Paused || stamp < c.start) {
                continue;
            }
            let in_wave = matches!(contact.home, Home::Wave { .. });
            if in_wave && capacity.per_day.is_some() && book.tenant.zone.day(contact.intended) != today {
                // granted out of a day that is over: this day has a capacity of its own
                let change = Change::Deferred { reason: Reason::DayCapacity, until: stamp };
                self.record(stamp, &Rec::Outcome(OutcomeRec { which, change }), out)?;
                continue;
            }
            let not_after = self.not_after(&contact, which.campaign, &book);
            let state = self.core.states.get(which.subscriber);
            let check = SendCheck { contact: id, subscriber: which.subscriber, campaign: which.campaign, not_after };
            match check_at_send(state, &check, &*facts, &book, stamp) {
                Ok(()) => {
                    taken.push(Offered {
                        contact: id,
                        subscriber: which.subscriber,
                        campaign: which.campaign,
                        version: contact.version,
                        wave: which.wave,
                        treatment: contact.treatment,
                        not_after,
                    });
                    named.push(which);
                }
                Err(against) => {
                    let reason = against.all.primary().unwrap_or(Reason::Unreadable);
                    let change = self.refused_intent(stamp, &contact, reason);
                    if !matches!(change, Change::PutBack(_)) {
                        self.record(stamp, &Rec::Outcome(OutcomeRec { which, change }), out)?;
                    }
                }
            }
        }
        if !named.is_empty() {
            self.record(stamp, &Rec::Offer(named), out)?;
        }
        Ok(taken)
    }

    /// What the Gate must know of the engine right before a socket write: pause, stop, kill switch, end, lateness,
    /// opt-out and policy, and that the contact is offered and not answered (else [`Reason::TooLate`]).
    pub fn gate(&self, now: Timestamp, contact: ContactId) -> Result<(), Reason> {
        let (Some(book), Some(facts)) = (&self.core.book, &self.core.facts) else {
            return Err(Reason::Unreadable);
        };
        let Some(found) = self.core.ledger.get(contact) else {
            return Err(Reason::NotEligible);
        };
        if found.phase != Phase::Offered {
            return Err(self.core.status(found).reason().unwrap_or(Reason::TooLate));
        }
        if book.kill {
            return Err(Reason::KillSwitch);
        }
        let which = self.core.which(contact, found);
        if book.campaign(which.campaign).is_some_and(|c| c.run == RunState::Paused) {
            return Err(Reason::Paused);
        }
        let state = self.core.states.get(which.subscriber);
        let (subscriber, campaign) = (which.subscriber, which.campaign);
        let check = SendCheck { contact, subscriber, campaign, not_after: self.not_after(found, campaign, book) };
        check_at_send(state, &check, &**facts, book, now.max(self.core.last))
            .map_err(|j| j.all.primary().unwrap_or(Reason::Unreadable))
    }

    /// Offered contacts without an answer for too long are unknown.
    pub(crate) fn lapse(&mut self, stamp: Timestamp, out: &mut Vec<Output>) -> Result<(), EngineError> {
        while let Some(&(offered, id)) = self.core.ledger.in_flight.first() {
            if offered.plus(self.config.response_timeout) > stamp {
                break;
            }
            let Some(&contact) = self.core.ledger.get(id) else { break };
            let which = self.core.which(id, &contact);
            self.record(stamp, &Rec::Outcome(OutcomeRec { which, change: Change::Unknown }), out)?;
        }
        Ok(())
    }

    /// Closes waves that are over, then lets the others decide about as many members as there is room for, the most
    /// important campaign first.
    pub(crate) fn pump(&mut self, stamp: Timestamp, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let (Some(book), Some(facts)) = (self.core.book.clone(), self.core.facts.clone()) else {
            return Ok(());
        };
        self.end_moments(stamp, &book, out)?;
        let mut open = Vec::new();
        for at in 0..self.core.waves.len() {
            let wave = &mut self.core.waves[at];
            wave.waits = None;
            if !wave.is_open() {
                continue;
            }
            if let Some(reason) = over(wave, &book, stamp) {
                let (campaign, no) = (wave.campaign, wave.wave);
                let cancelled = (wave.len() - wave.cursor + wave.deferred.len()) as u32 + wave.intended;
                let intended = self.core.intended_of(at);
                self.cancel(stamp, intended, reason, out)?;
                self.record(stamp, &Rec::Close { campaign, wave: no, reason, cancelled }, out)?;
            } else if wave.has_unjudged()
                && let Some(c) = book.campaign(wave.campaign)
            {
                open.push((c.priority, c.id, wave.wave, at));
            }
        }
        open.sort_unstable();
        let mut left = self.config.judged_max as usize;
        for (_, id, _, at) in open {
            if let Some(campaign) = book.campaign(id) {
                let stop = self.walk(at, stamp, campaign, &book, &facts, &mut left, out)?;
                self.core.waves[at].waits = stop;
            }
        }
        Ok(())
    }

    fn cancel(
        &mut self,
        stamp: Timestamp,
        contacts: Vec<Which>,
        reason: Reason,
        out: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        contacts.into_iter().try_for_each(|which| {
            self.record(stamp, &Rec::Outcome(OutcomeRec { which, change: Change::Cancelled(reason) }), out)
        })
    }
    /// Cancels what waits or is not yet offered of triggers whose campaign is over.
    fn end_moments(&mut self, stamp: Timestamp, book: &Playbook, out: &mut Vec<Output>) -> Result<(), EngineError> {
        if self.core.ends_at.is_none_or(|t| t > stamp) {
            return Ok(());
        }
        let over = |id| over_by(book, id, stamp);
        let open = self.core.moments.iter().filter(|(_, m)| m.is_open());
        let ended: Vec<_> = open.filter_map(|(&id, _)| Some((id, over(id)?))).collect();
        for (campaign, reason) in ended {
            let mine = |c: &Contact| matches!(c.home, Home::Moment { campaign: x, .. } if x == campaign);
            let intended = self.core.queued(|_, c| mine(c));
            self.cancel(stamp, intended, reason, out)?;
            self.record(stamp, &Rec::MomentsEnd { campaign, reason }, out)?;
        }
        let ends = book.campaigns().iter().filter(|c| c.trigger.is_some() && c.end > stamp).map(|c| c.end);
        self.core.ends_at = ends.min();
        Ok(())
    }
    /// The last instant at which a contact may be written: its own limit, or just before the campaign's end.
    fn not_after(&self, contact: &Contact, campaign: kairos_model::CampaignId, book: &Playbook) -> Timestamp {
        let found = book.campaign(campaign);
        let end = found.map_or(Timestamp::MIN, |c| c.end).minus(Span::micros(1));
        let own = match contact.home {
            Home::Wave { wave, .. } => self.core.waves[wave as usize].not_after,
            Home::Moment { .. } => {
                let trigger = found.and_then(|c| c.trigger.as_ref());
                trigger.map_or(Timestamp::MIN, |t| contact.intended.plus(t.valid_for))
            }
        };
        own.min(end)
    }

    #[allow(clippy::too_many_arguments)]
    fn walk(
        &mut self,
        at: usize,
        stamp: Timestamp,
        campaign: &Campaign,
        book: &Arc<Playbook>,
        facts: &Arc<dyn Facts>,
        left: &mut usize,
        out: &mut Vec<Output>,
    ) -> Result<Stop, EngineError> {
        if book.kill || campaign.run == RunState::Paused {
            return Ok(None);
        }
        if stamp < campaign.start {
            return Ok(Some((Reason::Paused, campaign.start)));
        }
        if let Some(closed) = book.closed_until(campaign, stamp) {
            return Ok(Some(closed));
        }
        while self.core.waves[at].has_unjudged() {
            if *left == 0 {
                // inputs may come in between; later than now, so that a clock that stands still is moved on
                return Ok(Some((JUDGED_OUT, stamp.plus(Span::millis(1)))));
            }
            let ahead = self.ahead(campaign.channel, book);
            if ahead == 0 {
                // an offer, or an input, goes on from here
                return Ok(None);
            }
            let limits = (CHUNK.min(*left), ahead as usize);
            let (rec, stop) = self.judge_chunk(at, stamp, campaign, book, &**facts, limits);
            *left -= rec.items.len();
            let nothing = rec.items.is_empty();
            if !nothing {
                self.record(stamp, &Rec::Walk(rec), out)?;
            }
            if nothing || stop.is_some() {
                return Ok(stop);
            }
        }
        Ok(None)
    }

    /// How many more contacts may be intended ahead of the offers of a channel. Those of paused campaigns wait apart.
    fn ahead(&self, channel: Channel, book: &Playbook) -> u32 {
        let limit = book.tenant.capacity(channel).per_second.unwrap_or(self.config.ahead_max);
        let waiting =
            self.core.waves.iter().filter(|w| w.intended > 0).filter(|w| {
                book.campaign(w.campaign).is_some_and(|c| c.channel == channel && c.run != RunState::Paused)
            });
        limit.saturating_sub(waiting.map(|w| w.intended).sum())
    }

    /// Judges the next members in the order of service, those put off before first. Changes nothing by itself.
    fn judge_chunk(
        &mut self,
        at: usize,
        stamp: Timestamp,
        campaign: &Campaign,
        book: &Playbook,
        facts: &dyn Facts,
        (most, sends): (usize, usize),
    ) -> (WalkRec, Stop) {
        let mut tally = self.core.allocator.clone();
        let wave = &self.core.waves[at];
        let again: Vec<usize> =
            wave.deferred.iter().filter(|&(_, &until)| until <= stamp).map(|(&rank, _)| rank as usize).collect();
        let (mut items, mut cursor, mut stop, mut sent) = (Vec::new(), None, None, 0);
        let mut actions = Actions::default();
        for (rank, is_new) in again.into_iter().map(|r| (r, false)).chain((wave.cursor..wave.len()).map(|r| (r, true)))
        {
            if items.len() == most || sent == sends {
                break;
            }
            if let Some((0, reason)) = tally.room(book, campaign.channel, stamp) {
                stop = Some((reason, room_at(reason, book, stamp)));
                break;
            }
            let subscriber = wave.subscriber(rank);
            let item = judge_one(&mut self.core.states, subscriber, wave, facts, book, stamp, &mut tally, &mut actions);
            sent += usize::from(item.verdict == Verdict::Send);
            items.push(item);
            if is_new {
                cursor = Some(wave.key(rank));
            }
        }
        if items.is_empty() && stop.is_none() {
            // only deferred members are left, and none is due yet
            stop = wave.deferred.values().min().map(|&until| (Reason::QuietHours, until));
        }
        let rec = WalkRec {
            campaign: campaign.id,
            wave: wave.wave,
            version: campaign.version,
            book: book.id,
            snapshot: facts.snapshot(),
            channel: campaign.channel,
            family: campaign.family,
            cost: campaign.cost.micros,
            hold: campaign.hold,
            cursor,
            items,
        };
        (rec, stop)
    }
}

#[allow(clippy::too_many_arguments)]
fn judge_one(
    states: &mut States,
    subscriber: SubscriberId,
    wave: &Wave,
    facts: &dyn Facts,
    book: &Playbook,
    stamp: Timestamp,
    tally: &mut Allocator,
    actions: &mut Actions,
) -> WalkItem {
    actions.list.clear();
    let event = wave_event(wave.campaign, wave.wave, subscriber, stamp);
    step(states, &event, facts, book, stamp, actions);
    match actions.list.first() {
        Some(Action::Request(r)) => {
            let verdict = match tally.grant(book, r) {
                Grant::Granted => r.arm.verdict(),
                // room was there a moment ago, so this is the budget
                Grant::Denied(reason) => withheld(reason),
            };
            WalkItem { subscriber, treatment: if r.arm == Arm::Send { r.treatment } else { 0 }, verdict }
        }
        Some(Action::Decided(d)) => WalkItem { subscriber, treatment: 0, verdict: d.verdict },
        _ => WalkItem { subscriber, treatment: 0, verdict: withheld(Reason::NotEligible) },
    }
}

const fn withheld(reason: Reason) -> Verdict {
    Verdict::Withheld { primary: reason, all: ReasonSet::EMPTY.with(reason), by: None }
}

/// When an exhausted capacity is there again.
fn room_at(reason: Reason, book: &Playbook, stamp: Timestamp) -> Timestamp {
    let zone = &book.tenant.zone;
    match reason {
        Reason::DayCapacity => zone.start_of(zone.day(stamp).plus_days(1)).unwrap_or(Timestamp::MAX),
        _ => Timestamp::from_secs(stamp.secs().saturating_add(1)),
    }
}

/// Why a wave is over for those who are not offered yet.
fn over(wave: &Wave, book: &Playbook, stamp: Timestamp) -> Option<Reason> {
    over_by(book, wave.campaign, stamp).or((stamp > wave.not_after).then_some(Reason::TooLate))
}

/// Why a campaign is over.
fn over_by(book: &Playbook, campaign: kairos_model::CampaignId, stamp: Timestamp) -> Option<Reason> {
    match book.campaign(campaign) {
        Some(c) if c.run == RunState::Stopped => Some(Reason::Stopped),
        Some(c) if stamp < c.end => None,
        _ => Some(Reason::Ended),
    }
}
