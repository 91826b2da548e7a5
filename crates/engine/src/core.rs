//! The engine's state, and the one way in which it changes: applying a record.

use crate::{
    codec::Malformed,
    error::{EngineError, Item},
    intake::Taken,
    lanes::Lanes,
    ledger::{Contact, Home, Ledger, Phase},
    library::{AudienceHash, Library},
    moments::ByCampaign,
    output::{IntakeCounts, Seen, Which},
    record::{Change, OutcomeRec, Rec, WalkRec, WaveRec},
    replay::Replay,
    wave::{Status, Wave},
};
use kairos_decide::{Actions, Allocator, Entry, Facts, Mark, Playbook, Request, RunState, States, Withheld};
use kairos_journal::Position;
use kairos_model::{
    CampaignClass, CampaignId, ContactId, ContactState, Event, PlaybookId, Reason, SnapshotId, SubscriberId, Timestamp,
    Verdict, WaveNo,
};
use roaring::RoaringBitmap;
use std::{collections::BTreeMap, sync::Arc};

/// Why a record cannot be applied.
pub enum Fault {
    Engine(EngineError),
    Why(String),
}

impl Fault {
    pub fn at(self, position: Position) -> EngineError {
        match self {
            Self::Engine(e) => e,
            Self::Why(why) => EngineError::Record { position, why },
        }
    }
}
impl From<Malformed> for Fault {
    fn from(m: Malformed) -> Self {
        Self::Why(m.0)
    }
}
pub fn why<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Why(what.into()))
}

/// The library, with what a live input has just fetched from it laid out.
pub struct Shelf {
    pub library: Arc<dyn Library>,
    pub book: Option<Arc<Playbook>>,
    pub facts: Option<Arc<dyn Facts>>,
    pub audience: Option<(AudienceHash, Arc<RoaringBitmap>)>,
}

impl Shelf {
    pub fn new(library: Arc<dyn Library>) -> Self {
        Self { library, book: None, facts: None, audience: None }
    }
    fn found<T>(item: Item, got: Result<Option<T>, crate::LibraryError>) -> Result<T, EngineError> {
        match got {
            Ok(Some(x)) => Ok(x),
            Ok(None) => Err(EngineError::Missing { item }),
            Err(cause) => Err(EngineError::Library { item, cause }),
        }
    }
    pub fn book(&mut self, id: PlaybookId) -> Result<Arc<Playbook>, EngineError> {
        match self.book.take().filter(|b| b.id == id) {
            Some(book) => Ok(book),
            None => Self::found(Item::Playbook(id), self.library.playbook(id)),
        }
    }
    pub fn facts(&mut self, id: SnapshotId) -> Result<Arc<dyn Facts>, EngineError> {
        match self.facts.take().filter(|f| f.snapshot() == id) {
            Some(facts) => Ok(facts),
            None => Self::found(Item::Facts(id), self.library.facts(id)),
        }
    }
    pub fn audience(&mut self, hash: AudienceHash) -> Result<Arc<RoaringBitmap>, EngineError> {
        match self.audience.take().filter(|(h, _)| *h == hash) {
            Some((_, members)) => Ok(members),
            None => Self::found(Item::Audience(hash), self.library.audience(&hash)),
        }
    }
}

pub struct Core {
    /// As the library has it, bound to the static bits of the snapshot in force.
    pub base: Option<Arc<Playbook>>,
    /// With the engine's own pauses, stops and kill switch.
    pub book: Option<Arc<Playbook>>,
    pub facts: Option<Arc<dyn Facts>>,
    pub runs: BTreeMap<CampaignId, RunState>,
    pub kill: bool,
    pub states: States,
    pub waves: Vec<Wave>,
    pub by_wave: BTreeMap<(CampaignId, WaveNo), usize>,
    pub ledger: Ledger,
    pub allocator: Allocator,
    pub moments: ByCampaign,
    pub taken: Taken,
    pub intake: IntakeCounts,
    /// Highest stamp given.
    pub last: Timestamp,
    pub subscribers_max: u32,
    pub lanes: Lanes,
    /// Of events whose `Fired` record has not come yet.
    pub asked: Vec<Request>,
    pub refused: Vec<Withheld>,
    /// A campaign with a trigger may be over: look when the book has changed, or at this instant.
    pub ends_at: Option<Timestamp>,
    pub replay: Option<Replay>,
    pub(crate) replayed: Vec<Event>,
    /// Memory that large pages were asked for.
    pub(crate) advised: (usize, usize),
    pub(crate) actions: Actions,
}

impl Core {
    pub fn new(subscribers_max: u32, partitions: u16, ids_max: usize) -> Self {
        Self {
            base: None,
            book: None,
            facts: None,
            runs: BTreeMap::new(),
            kill: false,
            states: States::default(),
            waves: Vec::new(),
            by_wave: BTreeMap::new(),
            ledger: Ledger::default(),
            allocator: Allocator::default(),
            moments: ByCampaign::new(),
            taken: Taken::new(ids_max),
            intake: IntakeCounts::default(),
            last: Timestamp::MIN,
            subscribers_max,
            lanes: Lanes::new(partitions),
            asked: Vec::new(),
            refused: Vec::new(),
            ends_at: None,
            replay: None,
            replayed: Vec::new(),
            advised: (0, 0),
            actions: Actions::default(),
        }
    }
    pub fn wave_at(&self, campaign: CampaignId, wave: WaveNo) -> Option<usize> {
        self.by_wave.get(&(campaign, wave)).copied()
    }
    fn within(&self, subscriber: SubscriberId) -> Result<(), Fault> {
        if subscriber.0 >= self.subscribers_max {
            return why(format!("subscriber {subscriber} is past the limit of {}", self.subscribers_max));
        }
        Ok(())
    }
    /// The records of subscribers, to be changed for this one; `None` where a checkpoint's chunk already has the change.
    pub fn states_for(&mut self, subscriber: SubscriberId) -> Result<Option<&mut States>, Fault> {
        self.within(subscriber)?;
        let takes = self.replay.as_ref().is_none_or(|r| r.takes(subscriber));
        Ok(takes.then_some(&mut self.states))
    }
    /// Whether the record being applied is not yet in the ledger, the waves and everything else but the subscribers.
    pub fn takes_rest(&self) -> bool {
        self.replay.as_ref().is_none_or(Replay::takes_rest)
    }
    pub fn which(&self, id: ContactId, contact: &Contact) -> Which {
        match contact.home {
            Home::Wave { wave, rank } => {
                let w = &self.waves[wave as usize];
                let subscriber = w.subscriber(rank as usize);
                Which { contact: id, subscriber, campaign: w.campaign, wave: w.wave }
            }
            Home::Moment { subscriber, campaign, .. } => {
                Which { contact: id, subscriber, campaign, wave: WaveNo::MOMENT }
            }
        }
    }
    pub fn status(&self, contact: &Contact) -> Status {
        match contact.home {
            Home::Wave { wave, rank } => self.waves[wave as usize].status(rank as usize),
            Home::Moment { status, .. } => status,
        }
    }
    fn set_status(&mut self, id: ContactId, contact: &Contact, to: Status) {
        match contact.home {
            Home::Wave { wave, rank } => self.waves[wave as usize].set(rank as usize, to),
            Home::Moment { campaign, status, .. } => {
                self.ledger.set_status(id, to);
                self.moments.entry(campaign).or_default().shift(status, to);
            }
        }
    }
    fn intended_mut(&mut self, home: Home) -> &mut u32 {
        match home {
            Home::Wave { wave, .. } => &mut self.waves[wave as usize].intended,
            Home::Moment { campaign, .. } => &mut self.moments.entry(campaign).or_default().intended,
        }
    }
    /// `None`: the campaign is not in the book any more.
    pub fn class_of(&self, contact: &Contact) -> Option<CampaignClass> {
        match contact.home {
            Home::Wave { wave, .. } => Some(self.waves[wave as usize].class),
            Home::Moment { campaign, .. } => self.book.as_ref()?.campaign(campaign).map(|c| c.class),
        }
    }
    /// The playbook in force = the library's book with the engine's own run states on top.
    pub fn refresh_book(&mut self) {
        self.book = self.base.as_ref().map(|base| {
            let mut book = Playbook::clone(base);
            book.kill |= self.kill;
            for (&campaign, &run) in &self.runs {
                book.set_run(campaign, run);
            }
            Arc::new(book)
        });
        self.ends_at = Some(Timestamp::MIN);
    }
    /// Compiles the triggers for the static bits of the snapshot in force.
    pub fn bind(&mut self) {
        if let Some(base) = &self.base {
            let mut book = Playbook::clone(base);
            book.bind(self.facts.as_ref().and_then(|f| f.matrix()));
            self.base = Some(Arc::new(book));
        }
        if let Some(matrix) = self.facts.as_ref().and_then(|f| f.matrix()) {
            // that many will come: in one piece, and untouched until they do
            let subscribers = matrix.subscribers().min(self.subscribers_max as usize);
            self.states.make_room(subscribers);
            self.advise_new();
        }
        self.refresh_book();
    }

    pub fn apply(&mut self, stamp: Timestamp, rec: &Rec, shelf: &mut Shelf) -> Result<(), Fault> {
        self.last = self.last.max(stamp);
        match rec {
            Rec::Book(id) => self.swap_book(shelf.book(*id).map_err(Fault::Engine)?),
            Rec::Facts(id) => {
                self.facts = Some(shelf.facts(*id).map_err(Fault::Engine)?);
                self.bind();
            }
            Rec::Wave(x) => {
                let audience = shelf.audience(x.audience).map_err(Fault::Engine)?;
                return self.start(stamp, x, &audience);
            }
            Rec::Run { campaign, run } => {
                self.runs.insert(*campaign, *run);
                self.refresh_book();
            }
            Rec::Kill(on) => {
                self.kill = *on;
                self.refresh_book();
            }
            Rec::Opt { subscriber, class, out } => {
                if let Some(states) = self.states_for(*subscriber)? {
                    states.set_opted_out(*subscriber, *class, *out);
                }
            }
            Rec::Walk(x) => return self.walk(stamp, x),
            Rec::Offer(list) => {
                return list.iter().try_for_each(|x| self.offer(stamp, x));
            }
            Rec::Outcome(x) => return self.outcome(stamp, x),
            Rec::Close { campaign, wave, reason, .. } => return self.close(stamp, *campaign, *wave, *reason),
            Rec::Recovered(list) => {
                return list
                    .iter()
                    .try_for_each(|&which| self.outcome(stamp, &OutcomeRec { which, change: Change::Unknown }));
            }
            Rec::Event(e) => return self.events(std::slice::from_ref(e)),
            Rec::Events(x) => {
                self.events(&x.events)?;
                self.note_intake(&x.mark, x.events.len());
            }
            Rec::Fired(x) => return self.fired(x),
            Rec::Past(list) => {
                self.advise_new();
                for c in list {
                    // no contact of this engine has the id: its occurrence lies before the engine's first stamp
                    let id = ContactId::of_occurrence(c.campaign, c.stamp.0 as u64, c.subscriber);
                    if let Some(states) = self.states_for(c.subscriber)? {
                        states.add(c.subscriber, Entry::new(c.stamp, c.campaign, c.family, id, Mark::Sent));
                    }
                }
            }
            Rec::Tick => return self.advance(stamp),
            Rec::MomentsEnd { campaign, reason } => self.end_moments(*campaign, *reason),
        }
        Ok(())
    }

    /// A new book never softens what the engine was told: paused and stopped stay so until resumed.
    fn swap_book(&mut self, base: Arc<Playbook>) {
        for c in base.campaigns() {
            let run = self.runs.entry(c.id).or_insert(c.run);
            *run = c.run.max(*run);
        }
        self.base = Some(base);
        self.bind();
    }

    fn start(&mut self, stamp: Timestamp, x: &WaveRec, audience: &RoaringBitmap) -> Result<(), Fault> {
        if !self.takes_rest() {
            return Ok(());
        }
        if audience.len() != u64::from(x.members) {
            return why(format!("audience {} has {} members, not {}", x.audience, audience.len(), x.members));
        }
        if self.by_wave.insert((x.campaign, x.wave), self.waves.len()).is_some() {
            return why(format!("wave {} of campaign {} starts twice", x.wave.0, x.campaign));
        }
        self.waves.push(Wave::new(x, stamp, audience));
        let run = self.runs.entry(x.campaign).or_insert(RunState::Running);
        if *run == RunState::Approved {
            *run = RunState::Running;
        }
        self.refresh_book();
        Ok(())
    }

    fn walk(&mut self, stamp: Timestamp, x: &WalkRec) -> Result<(), Fault> {
        for item in &x.items {
            let mark = match item.verdict {
                Verdict::Send => Mark::Pending,
                Verdict::Control | Verdict::Holdout => Mark::Control,
                Verdict::Withheld { .. } if x.hold => Mark::Decided,
                Verdict::Withheld { .. } | Verdict::Defer { .. } => continue,
            };
            let contact = ContactId::of_wave(x.campaign, x.wave, item.subscriber);
            if let Some(states) = self.states_for(item.subscriber)? {
                states.add(item.subscriber, Entry::new(stamp, x.campaign, x.family, contact, mark));
            }
        }
        if !self.takes_rest() {
            return Ok(());
        }
        let (Some(at), Some(book)) = (self.wave_at(x.campaign, x.wave), self.book.clone()) else {
            return why(format!("wave {} of campaign {} was never started", x.wave.0, x.campaign));
        };
        let mut next = self.waves[at].cursor;
        for item in &x.items {
            let wave = &mut self.waves[at];
            let rank = if next < wave.len() && wave.subscriber(next) == item.subscriber {
                next += 1;
                next - 1
            } else {
                match wave.rank_of(item.subscriber) {
                    Some(rank) => rank,
                    None => return why(format!("subscriber {} is not in the audience", item.subscriber)),
                }
            };
            wave.deferred.remove(&(rank as u32));
            let status = match item.verdict {
                Verdict::Send => {
                    wave.intended += 1;
                    self.allocator.take(&book, x.channel, x.campaign, x.cost, stamp);
                    let home = Home::Wave { wave: at as u32, rank: rank as u32 };
                    let id = ContactId::of_wave(x.campaign, x.wave, item.subscriber);
                    let contact = Contact {
                        version: x.version,
                        treatment: item.treatment,
                        channel: x.channel,
                        cost: x.cost,
                        ..Contact::intended(home, stamp)
                    };
                    self.ledger.intend(id, contact);
                    Status::new(ContactState::Pending)
                }
                Verdict::Control => Status::new(ContactState::Control),
                Verdict::Holdout => Status::holdout(),
                Verdict::Withheld { primary, .. } => Status::because(ContactState::Withheld, primary),
                Verdict::Defer { until, primary, .. } => {
                    wave.deferred.insert(rank as u32, until);
                    Status::because(ContactState::Deferred, primary)
                }
            };
            wave.set(rank, status);
        }
        if let Some(place) = x.cursor {
            self.waves[at].pass(place);
        }
        Ok(())
    }

    fn offer(&mut self, stamp: Timestamp, x: &Which) -> Result<(), Fault> {
        // the windows of the caps count from the last instant before the send
        if let Some(states) = self.states_for(x.subscriber)? {
            states.remark(x.subscriber, x.campaign, x.contact, Mark::Pending, Some(stamp));
        }
        if !self.takes_rest() {
            return Ok(());
        }
        let Some(before) = self.ledger.shift(x.contact, Phase::Offered, stamp) else {
            return why(format!("contact {} was never intended", x.contact));
        };
        if before.phase != Phase::Intended {
            return why(format!("contact {} is offered twice", x.contact));
        }
        let intended = self.intended_mut(before.home);
        *intended = intended.saturating_sub(1);
        Ok(())
    }

    fn outcome(&mut self, stamp: Timestamp, x: &OutcomeRec) -> Result<(), Fault> {
        self.remark(x)?;
        if !self.takes_rest() {
            return Ok(());
        }
        let Which { contact: id, campaign, .. } = x.which;
        let Some(&contact) = self.ledger.get(id) else {
            return why(format!("contact {id} was never intended"));
        };
        let old = self.status(&contact);
        let (status, phase) = match x.change {
            Change::Accepted | Change::SeenSettles(_) => (Status::new(ContactState::Sent), Phase::Settled),
            Change::Refused { .. } => (Status::new(ContactState::Failed), Phase::Settled),
            Change::Cancelled(r) => (Status::because(ContactState::Cancelled, r), Phase::Settled),
            Change::Unknown => (Status::new(ContactState::Unknown), Phase::Settled),
            Change::PutBack(_) => (Status::new(ContactState::Pending), Phase::Intended),
            Change::Deferred { reason, .. } => (Status::because(ContactState::Deferred, reason), Phase::Settled),
            Change::Seen(d) => {
                self.set_status(id, &contact, old.with_seen(Seen::bit(d).unwrap_or(0)));
                return Ok(());
            }
        };
        let mut status = status.with_seen_of(old);
        if let Change::SeenSettles(d) = x.change {
            status = status.with_seen(Seen::bit(d).unwrap_or(0));
        }
        let before = self.ledger.shift(id, phase, stamp).unwrap_or(contact);
        let intended = self.intended_mut(contact.home);
        if before.phase == Phase::Intended {
            *intended = intended.saturating_sub(1);
        }
        if phase == Phase::Intended {
            *intended += 1;
        }
        self.set_status(id, &contact, status);
        if let (Change::Deferred { until, .. }, Home::Wave { wave, rank }) = (x.change, contact.home) {
            self.waves[wave as usize].deferred.insert(rank, until);
            self.ledger.forget(id);
        }
        let released = match x.change {
            Change::Refused { .. } => Some(None),
            // never written to the channel
            Change::Cancelled(_) | Change::Deferred { .. } => Some(Some(contact.intended)),
            _ => None,
        };
        if let (Some(unsent_of), Some(book)) = (released, self.book.clone()) {
            self.allocator.release(&book, contact.channel, campaign, contact.cost, unsent_of);
        }
        Ok(())
    }
    /// What an outcome does to the subscriber's own record.
    fn remark(&mut self, x: &OutcomeRec) -> Result<(), Fault> {
        let Which { contact, subscriber, campaign, .. } = x.which;
        let mark = match x.change {
            Change::Accepted | Change::SeenSettles(_) => Some(Mark::Sent),
            Change::Refused { .. } | Change::Cancelled(_) => Some(Mark::Decided),
            Change::Unknown => Some(Mark::Unknown),
            Change::PutBack(_) => Some(Mark::Pending),
            Change::Deferred { .. } => None,
            Change::Seen(_) => return Ok(()),
        };
        if let Some(states) = self.states_for(subscriber)? {
            match mark {
                Some(mark) => states.remark(subscriber, campaign, contact, mark, None),
                None => states.release(subscriber, campaign, contact),
            };
        }
        Ok(())
    }

    fn close(&mut self, stamp: Timestamp, campaign: CampaignId, no: WaveNo, reason: Reason) -> Result<(), Fault> {
        if !self.takes_rest() {
            return Ok(());
        }
        let Some(at) = self.wave_at(campaign, no) else {
            return why(format!("wave {} of campaign {campaign} was never started", no.0));
        };
        // journals of before had no record of their own for these
        for which in self.intended_of(at) {
            self.outcome(stamp, &OutcomeRec { which, change: Change::Cancelled(reason) })?;
        }
        let wave = &mut self.waves[at];
        wave.cancel_unjudged(reason);
        wave.closed = Some(reason);
        Ok(())
    }

    /// Contacts of a wave that wait to be offered, in the order of their queues.
    pub fn intended_of(&self, at: usize) -> Vec<Which> {
        if self.waves[at].intended == 0 {
            return Vec::new();
        }
        self.queued(|_, c| matches!(c.home, Home::Wave { wave, .. } if wave as usize == at))
    }
    /// Contacts that wait to be offered and of which this holds, in the order of their queues.
    pub fn queued(&self, which: impl Fn(ContactId, &Contact) -> bool) -> Vec<Which> {
        let queued = self.ledger.queues.values().flatten();
        queued
            .filter_map(|&id| Some((id, self.ledger.get(id)?)))
            .filter(|&(id, c)| which(id, c))
            .map(|(id, c)| self.which(id, c))
            .collect()
    }
}
