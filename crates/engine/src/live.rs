//! Inputs: checked against the state, then recorded.

use crate::{
    engine::{Engine, RECORD_LINES},
    error::{EngineError, Item, Refusal},
    input::{Input, Outcome, StartWave},
    ledger::{Contact, Home, Phase},
    output::{Output, Seen},
    record::{Change, OutcomeRec, Rec, WaveRec},
};
use kairos_decide::{Mark, RunState, order_salt};
use kairos_model::{
    CampaignClass, CampaignId, ContactId, ContactState, Disposition, Event, PlaybookId, Reason, SnapshotId,
    SubscriberId, Timestamp,
};

/// What checking an input gives: records to make, or a refusal.
type Checked<T> = Result<T, Refusal>;

impl Engine {
    pub(crate) fn input(
        &mut self,
        stamp: Timestamp,
        i: usize,
        input: &Input,
        out: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        if let Input::Events(batch) = input {
            return self.events(stamp, i, batch, out);
        }
        self.tick(stamp, out)?;
        let checked = match *input {
            Input::SwapPlaybook(id) => self.swap_playbook(id),
            Input::SwapFacts(id) => self.swap_facts(id),
            Input::StartWave(start) => self.start_wave(&start),
            Input::Pause(c) => self.set_run(c, RunState::Paused),
            Input::Resume(c) => self.set_run(c, RunState::Running),
            Input::Stop(c) => self.set_run(c, RunState::Stopped),
            Input::KillSwitch(on) => Ok((self.core.kill != on).then_some(Rec::Kill(on))),
            Input::OptOut { subscriber, class } => self.opt(subscriber, class, true),
            Input::OptIn { subscriber, class } => self.opt(subscriber, class, false),
            Input::Event(event) => self.event(stamp, event),
            Input::Past(ref list) => {
                // a record holds so many; in one commit all the same
                for part in list.chunks(RECORD_LINES) {
                    let within = part.iter().try_for_each(|c| self.within(c.subscriber));
                    match within {
                        Ok(()) => self.record(stamp, &Rec::Past(part.to_vec()), out)?,
                        Err(why) => out.push(Output::Refused { input: i, why }),
                    }
                }
                return Ok(());
            }
            Input::Events(_) | Input::Tick => Ok(None),
            Input::Outcome { contact, outcome } => {
                match self.change(stamp, contact, outcome) {
                    Some(rec) => self.record(stamp, &Rec::Outcome(rec), out)?,
                    None => out.push(Output::Ignored { input: i, contact }),
                }
                return Ok(());
            }
        };
        match checked {
            Ok(Some(rec)) => self.record(stamp, &rec, out)?,
            Ok(None) => {}
            Err(why) => out.push(Output::Refused { input: i, why }),
        }
        if let Input::OptOut { subscriber, .. } = *input {
            self.cancel_opted_out(stamp, subscriber, out)?;
        }
        Ok(())
    }

    fn swap_playbook(&mut self, id: PlaybookId) -> Checked<Option<Rec>> {
        if let Some(current) = self.core.base.as_ref().map(|b| b.id) {
            if current == id {
                return Ok(None);
            }
            if id < current {
                return Err(Refusal::OlderPlaybook { book: id, current });
            }
        }
        let book = self.shelf.book(id).map_err(refusal)?;
        self.shelf.book = Some(book);
        Ok(Some(Rec::Book(id)))
    }
    fn swap_facts(&mut self, id: SnapshotId) -> Checked<Option<Rec>> {
        if self.core.facts.as_ref().is_some_and(|f| f.snapshot() == id) {
            return Ok(None);
        }
        let facts = self.shelf.facts(id).map_err(refusal)?;
        self.shelf.facts = Some(facts);
        Ok(Some(Rec::Facts(id)))
    }
    fn start_wave(&mut self, x: &StartWave) -> Checked<Option<Rec>> {
        let book = self.core.book.clone().ok_or(Refusal::NoPlaybook)?;
        if self.core.facts.is_none() {
            return Err(Refusal::NoFacts);
        }
        let campaign = book.campaign(x.campaign).ok_or(Refusal::NoCampaign(x.campaign))?;
        if campaign.version != x.version {
            return Err(Refusal::Version { campaign: x.campaign, asked: x.version, book: campaign.version });
        }
        if campaign.run == RunState::Stopped {
            return Err(Refusal::Stopped(x.campaign));
        }
        if x.wave.0 == 0 {
            return Err(Refusal::WaveZero);
        }
        if self.core.wave_at(x.campaign, x.wave).is_some() {
            return Err(Refusal::SecondLaunch { campaign: x.campaign, wave: x.wave });
        }
        if self.core.waves.len() >= self.config.waves_max {
            return Err(Refusal::TooManyWaves { limit: self.config.waves_max });
        }
        let audience = self.shelf.audience(x.audience).map_err(refusal)?;
        let Some(highest) = audience.max() else {
            return Err(Refusal::EmptyAudience);
        };
        self.within(SubscriberId(highest))?;
        // ordinals are below the limit, so they fit
        let members = audience.len() as u32;
        self.shelf.audience = Some((x.audience, audience));
        Ok(Some(Rec::Wave(WaveRec {
            campaign: x.campaign,
            version: x.version,
            wave: x.wave,
            audience: x.audience,
            not_after: x.not_after,
            members,
            order_salt: order_salt(campaign),
            class: campaign.class,
            channel: campaign.channel,
        })))
    }
    fn within(&self, subscriber: SubscriberId) -> Checked<()> {
        let limit = self.config.subscribers_max;
        if subscriber.0 < limit { Ok(()) } else { Err(Refusal::TooManySubscribers { subscriber, limit }) }
    }
    fn set_run(&mut self, campaign: CampaignId, run: RunState) -> Checked<Option<Rec>> {
        let Some(&now) = self.core.runs.get(&campaign) else {
            return Err(Refusal::NoCampaign(campaign));
        };
        match (now, run) {
            (RunState::Stopped, RunState::Stopped) => Ok(None),
            (RunState::Stopped, _) => Err(Refusal::Stopped(campaign)),
            (RunState::Approved, RunState::Running) => Err(Refusal::NotPaused(campaign)),
            (a, b) if a == b => Ok(None),
            _ => Ok(Some(Rec::Run { campaign, run })),
        }
    }
    fn opt(&self, subscriber: SubscriberId, class: Option<CampaignClass>, out: bool) -> Checked<Option<Rec>> {
        self.within(subscriber)?;
        Ok(Some(Rec::Opt { subscriber, class, out }))
    }
    fn event(&self, stamp: Timestamp, event: Event) -> Checked<Option<Rec>> {
        if self.core.book.is_none() {
            return Err(Refusal::NoPlaybook);
        }
        if self.core.facts.is_none() {
            return Err(Refusal::NoFacts);
        }
        self.within(event.subscriber)?;
        Ok(Some(Rec::Event(Event { arrived: stamp, ..event })))
    }

    /// Contacts of somebody who opted out are not even offered.
    fn cancel_opted_out(
        &mut self,
        stamp: Timestamp,
        subscriber: SubscriberId,
        out: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let state = self.core.states.get(subscriber);
        let mut ids: Vec<ContactId> = self
            .core
            .waves
            .iter()
            .filter(|w| w.intended > 0 && state.opted_out(w.class) && w.rank_of(subscriber).is_some())
            .map(|w| ContactId::of_wave(w.campaign, w.wave, subscriber))
            .filter(|&id| self.core.ledger.get(id).is_some_and(|c| c.phase == Phase::Intended))
            .collect();
        // those of triggers are found in the queues, and only if the record says that there is one
        let is_mine = |c: &Contact| matches!(c.home, Home::Moment { subscriber: s, .. } if s == subscriber);
        let refuses = |c: &Contact| self.core.class_of(c).is_none_or(|class| state.opted_out(class));
        if state.history().iter().any(|e| e.mark() == Mark::Pending) {
            ids.extend(self.core.queued(|_, c| is_mine(c) && refuses(c)).into_iter().map(|w| w.contact));
        }
        for id in ids {
            if let Some(&contact) = self.core.ledger.get(id) {
                let which = self.core.which(id, &contact);
                let change = Change::Cancelled(Reason::NoConsent);
                self.record(stamp, &Rec::Outcome(OutcomeRec { which, change }), out)?;
            }
        }
        Ok(())
    }

    /// What an outcome does to a contact in its present state; `None`: nothing new.
    fn change(&self, stamp: Timestamp, id: ContactId, outcome: Outcome) -> Option<OutcomeRec> {
        let contact = self.core.ledger.get(id)?;
        let status = self.core.status(contact);
        let open = contact.phase == Phase::Offered
            || (contact.phase == Phase::Settled && status.state() == ContactState::Unknown);
        let change = match outcome {
            Outcome::Accepted | Outcome::Seen(Disposition::Accepted | Disposition::Exported) => {
                open.then_some(Change::Accepted)
            }
            Outcome::Refused { status } => open.then_some(Change::Refused { status }),
            Outcome::Cancelled { reason } if open => Some(self.refused_intent(stamp, contact, reason)),
            Outcome::Cancelled { .. } => None,
            Outcome::Unknown => (contact.phase == Phase::Offered).then_some(Change::Unknown),
            Outcome::Seen(d) => {
                let new = Seen::bit(d).is_some() && !status.seen().has(d);
                let receipt = matches!(d, Disposition::Delivered | Disposition::Undelivered | Disposition::Expired);
                match (receipt && open, new && (open || status.state() == ContactState::Sent)) {
                    (true, _) => Some(Change::SeenSettles(d)),
                    (false, true) => Some(Change::Seen(d)),
                    (false, false) => None,
                }
            }
        }?;
        Some(OutcomeRec { which: self.core.which(id, contact), change })
    }

    /// A contact that has certainly not been written, for this reason.
    pub(crate) fn refused_intent(&self, stamp: Timestamp, contact: &Contact, reason: Reason) -> Change {
        let Home::Wave { wave, .. } = contact.home else {
            // a moment does not wait for another hour or day; a pause or a full channel may be over in time
            return match reason {
                Reason::Paused | Reason::KillSwitch | Reason::RateCapacity => Change::PutBack(reason),
                reason => Change::Cancelled(reason),
            };
        };
        let wave = &self.core.waves[wave as usize];
        if let Some(closed) = wave.closed {
            return Change::Cancelled(closed);
        }
        match reason {
            Reason::Paused | Reason::KillSwitch => Change::PutBack(reason),
            Reason::QuietHours | Reason::Holiday | Reason::DayCapacity | Reason::RateCapacity => {
                let campaign = self.core.book.as_ref().and_then(|b| Some((b, b.campaign(wave.campaign)?)));
                let until = campaign.and_then(|(b, c)| b.closed_until(c, stamp)).map_or(stamp, |(_, until)| until);
                Change::Deferred { reason, until }
            }
            reason => Change::Cancelled(reason),
        }
    }
}

fn refusal(e: EngineError) -> Refusal {
    match e {
        EngineError::Missing { item } => Refusal::Missing(item),
        EngineError::Library { item, cause } => Refusal::Unreadable { item, why: cause.to_string() },
        // the shelf has no other errors
        other => Refusal::Unreadable { item: Item::Playbook(PlaybookId(0)), why: other.to_string() },
    }
}
