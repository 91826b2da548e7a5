//! Triggers in the engine's state: events step, timers fire, what was asked for becomes contacts.

use crate::{
    codec::Reader,
    core::Shelf,
    core::{Core, Fault, why},
    ledger::{Contact, Home},
    moments::WAITING,
    pages::advise_huge,
    record::{FiredItem, FiredRec, Mark, Rec, kind},
    rows,
    wave::Status,
};
use kairos_decide::{Action, Arm, Facts, Playbook, fire_due, glance, step, step_glanced};
use kairos_model::{
    CampaignId, ContactId, ContactState, DecisionRecord, Event, EventType, Reason, SubscriberId, Timestamp, Verdict,
    hash::FixedSet,
};
use std::sync::Arc;

/// How far ahead of an event the lines that it reads are asked for.
const AHEAD: usize = 32;
/// How far ahead of its step an event is looked at.
const LOOK: usize = 12;

/// Where an occurrence stands that was asked for.
const fn status_of(arm: Arm) -> Status {
    match arm {
        Arm::Send => Status::new(ContactState::Pending),
        Arm::Control => Status::new(ContactState::Control),
        Arm::Holdout => Status::holdout(),
    }
}

fn primary(record: &DecisionRecord) -> Reason {
    match record.verdict {
        Verdict::Withheld { primary, .. } | Verdict::Defer { primary, .. } => primary,
        _ => Reason::NotEligible,
    }
}

impl Core {
    fn ground(&self) -> Option<(Arc<Playbook>, Arc<dyn Facts>)> {
        Some((self.book.clone()?, self.facts.clone()?))
    }

    /// A record of the journal, in recovery. Events go through one piece of memory.
    pub fn replay_one(&mut self, stamp: Timestamp, kind: u8, payload: &[u8], shelf: &mut Shelf) -> Result<(), Fault> {
        if kind != kind::EVENTS {
            return self.apply(stamp, &Rec::decode(kind, payload)?, shelf);
        }
        let mut events = std::mem::take(&mut self.replayed);
        events.clear();
        let mut r = Reader::new(payload);
        let mark = rows::get_events(&mut r, &mut events)?;
        r.end()?;
        let result = self.events(&events);
        self.note_intake(&mark, events.len());
        self.replayed = events;
        result
    }

    /// Events in the order of their arrival, then every timer that is due by the last of them.
    pub fn events(&mut self, events: &[Event]) -> Result<(), Fault> {
        let Some((book, facts)) = self.ground() else {
            return why("an event before the first playbook and facts");
        };
        let Some(last) = events.last().map(|e| e.arrived) else { return Ok(()) };
        let highest = events.iter().map(|e| e.subscriber.0).max().unwrap_or(0);
        if highest >= self.subscribers_max {
            return why(format!("subscriber s{highest} is past the limit of {}", self.subscribers_max));
        }
        if highest as usize >= self.states.len() {
            self.states.make_room(highest as usize + 1);
            self.advise_new();
            self.states.reserve(highest as usize + 1);
        }
        self.last = self.last.max(last);
        self.advise_new();
        self.actions.list.clear();
        if self.lanes.count() == 1 && self.replay.is_none() {
            self.step_all(events, &book, &*facts);
        } else {
            for lane in 0..self.lanes.count() {
                for e in events {
                    let takes = self.replay.as_ref().is_none_or(|r| r.takes(e.subscriber));
                    if takes && self.lanes.of(e.subscriber) == lane {
                        step(&mut self.states, e, &*facts, &book, e.arrived, &mut self.actions);
                    }
                }
            }
        }
        self.note_actions();
        self.fire(last, &book, &*facts);
        Ok(())
    }
    /// Asks for large pages where records and contacts of subscribers lie, as soon as that memory is there.
    fn advise(&mut self) {
        for (from, len) in self.states.regions().skip(self.advised.1.saturating_sub(1)) {
            advise_huge(from, len);
        }
        let mut regions = self.states.regions();
        self.advised = (regions.next().map_or(0, |r| r.0 as usize), 1 + regions.count());
    }
    /// The same, if there is memory that was not there at the last call.
    pub fn advise_new(&mut self) {
        let mut regions = self.states.regions();
        let now = (regions.next().map_or(0, |r| r.0 as usize), 1 + regions.count());
        if now != self.advised {
            if now.0 != self.advised.0 {
                self.advised.1 = 0;
            }
            self.advise();
        }
    }
    /// Three stages, each some events behind the one before: ask for records and static bits; look whether anything can
    /// match, and ask for what that needs; step.
    fn step_all(&mut self, events: &[Event], book: &Playbook, facts: &dyn Facts) {
        let mut any = [false; LOOK];
        for (i, e) in events[..events.len().min(LOOK)].iter().enumerate() {
            any[i] = glance(&self.states, e, book);
        }
        for (i, e) in events.iter().enumerate() {
            if let Some(next) = events.get(i + AHEAD) {
                self.states.prefetch(next.subscriber);
                book.prefetch(next.subscriber);
            }
            let now = std::mem::replace(
                &mut any[i % LOOK],
                events.get(i + LOOK).is_some_and(|next| glance(&self.states, next, book)),
            );
            if e.kind == EventType::WAVE_REACHED {
                continue;
            }
            step_glanced(&mut self.states, e, now, facts, book, e.arrived, &mut self.actions);
        }
    }
    pub fn note_intake(&mut self, mark: &Mark, events: usize) {
        self.intake.events += events as u64;
        if self.takes_rest() {
            self.taken.enter(mark);
        }
    }

    /// Timers that are due at or before `to` fire.
    pub fn advance(&mut self, to: Timestamp) -> Result<(), Fault> {
        if let Some((book, facts)) = self.ground() {
            self.actions.list.clear();
            self.fire(to, &book, &*facts);
        }
        Ok(())
    }
    fn fire(&mut self, to: Timestamp, book: &Playbook, facts: &dyn Facts) {
        for lane in 0..self.lanes.count() {
            while let Some((due, subscriber)) = self.lanes.wheel(lane).pop(to) {
                fire_due(&mut self.states, subscriber, due, facts, book, &mut self.actions);
            }
        }
        self.note_actions();
    }

    /// Enters what steps did into wheels and sums; keeps what is to be granted or told.
    fn note_actions(&mut self) {
        let rest = self.takes_rest();
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.list.drain(..) {
            match action {
                Action::Waiting(w) => {
                    let occurrence = self.last.min(w.due);
                    let lane = self.lanes.of(w.subscriber);
                    self.lanes.wheel(lane).insert(occurrence, w.due, w.campaign, w.subscriber);
                    if rest {
                        self.moments.entry(w.campaign).or_default().enter(WAITING);
                    }
                }
                _ if !rest => {}
                Action::Request(r) => {
                    let (moments, to) = (self.moments.entry(r.campaign).or_default(), status_of(r.arm));
                    match r.moment {
                        Some(m) if m.fired => moments.shift(WAITING, to),
                        _ => moments.enter(to),
                    }
                    moments.intended += u32::from(r.arm == Arm::Send);
                    self.asked.push(r);
                }
                Action::Withheld(w) => {
                    let to = Status::because(ContactState::Withheld, primary(&w.record));
                    let moments = self.moments.entry(w.record.campaign).or_default();
                    if w.moment.fired {
                        moments.shift(WAITING, to)
                    } else {
                        moments.enter(to)
                    }
                    self.refused.push(w);
                }
                Action::Merged(campaign) => self.moments.entry(campaign).or_default().merged += 1,
                // a wave's, which is judged outside of records
                Action::Decided(_) => {}
            }
        }
        self.intake.stale += std::mem::take(&mut actions.stale);
        self.actions = actions;
    }

    /// What was asked for is granted or not.
    pub fn fired(&mut self, x: &FiredRec) -> Result<(), Fault> {
        if !self.asked.is_empty() {
            // a replay: what is not answered here is answered by another record
            let answered: FixedSet<ContactId> =
                x.items.iter().filter(|i| i.asked.is_some()).map(FiredItem::contact).collect();
            self.asked.retain(|r| !answered.contains(&r.contact));
        }
        self.refused.clear();
        for item in &x.items {
            let contact = item.contact();
            let denied = item.asked.filter(|_| matches!(item.verdict, Verdict::Withheld { .. }));
            if denied.is_some()
                && let Some(states) = self.states_for(item.subscriber)?
            {
                states.release(item.subscriber, item.campaign, contact);
            }
            if !self.takes_rest() {
                continue;
            }
            match (denied, item.verdict) {
                (Some(arm), Verdict::Withheld { primary, .. }) => {
                    let moments = self.moments.entry(item.campaign).or_default();
                    moments.shift(status_of(arm), Status::because(ContactState::Withheld, primary));
                    moments.intended = moments.intended.saturating_sub(u32::from(arm == Arm::Send));
                }
                (_, Verdict::Send) => {
                    let Some(book) = self.book.clone() else {
                        return why("a contact before the first playbook");
                    };
                    self.allocator.take(&book, item.channel, item.campaign, item.cost, item.stamp);
                    let home = Home::Moment {
                        subscriber: item.subscriber,
                        campaign: item.campaign,
                        occurrence: item.occurrence,
                        status: status_of(Arm::Send),
                    };
                    let of = Contact {
                        version: item.version,
                        treatment: item.treatment,
                        channel: item.channel,
                        cost: item.cost,
                        ..Contact::intended(home, item.stamp)
                    };
                    self.ledger.intend(contact, of);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Waiting matches of a campaign that is over are cancelled.
    pub fn end_moments(&mut self, campaign: CampaignId, reason: Reason) {
        let replay = self.replay.as_ref();
        let takes = |s: SubscriberId| replay.is_none_or(|r| r.takes(s));
        let gone = self.states.drop_timers(|s, t| t.campaign == campaign && takes(s));
        if self.takes_rest() {
            let moments = self.moments.entry(campaign).or_default();
            for _ in gone {
                moments.shift(WAITING, Status::because(ContactState::Cancelled, reason));
            }
        }
    }
}
