//! The engine's state, and the one way in which it changes: applying a record.

use crate::{
    codec::Malformed,
    error::{EngineError, Item},
    ledger::{Contact, Ledger, Phase},
    library::{AudienceHash, Library},
    output::{Seen, Which},
    record::{Change, OutcomeRec, Rec, WalkRec, WaveRec},
    wave::{Status, Wave},
};
use kairos_decide::{Actions, Allocator, Entry, Facts, Mark, Playbook, RunState, State, step};
use kairos_journal::Position;
use kairos_model::{
    CampaignId, ContactId, ContactState, PlaybookId, Reason, SnapshotId, SubscriberId, Timestamp, Verdict, WaveNo,
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
fn why<T>(what: impl Into<String>) -> Result<T, Fault> {
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
    /// As the library has it.
    pub base: Option<Arc<Playbook>>,
    /// With the engine's own pauses, stops and kill switch.
    pub book: Option<Arc<Playbook>>,
    pub facts: Option<Arc<dyn Facts>>,
    pub runs: BTreeMap<CampaignId, RunState>,
    pub kill: bool,
    /// By ordinal.
    pub states: Vec<State>,
    pub waves: Vec<Wave>,
    pub by_wave: BTreeMap<(CampaignId, WaveNo), usize>,
    pub ledger: Ledger,
    pub allocator: Allocator,
    /// Highest stamp given.
    pub last: Timestamp,
    pub subscribers_max: u32,
    actions: Actions,
}

impl Core {
    pub fn new(subscribers_max: u32) -> Self {
        Self {
            base: None,
            book: None,
            facts: None,
            runs: BTreeMap::new(),
            kill: false,
            states: Vec::new(),
            waves: Vec::new(),
            by_wave: BTreeMap::new(),
            ledger: Ledger::default(),
            allocator: Allocator::default(),
            last: Timestamp::MIN,
            subscribers_max,
            actions: Actions::default(),
        }
    }
    pub fn wave_at(&self, campaign: CampaignId, wave: WaveNo) -> Option<usize> {
        self.by_wave.get(&(campaign, wave)).copied()
    }
    pub fn state_mut(&mut self, subscriber: SubscriberId) -> Result<&mut State, Fault> {
        if subscriber.0 >= self.subscribers_max {
            return why(format!("subscriber {subscriber} is past the limit of {}", self.subscribers_max));
        }
        let i = subscriber.0 as usize;
        if i >= self.states.len() {
            self.states.resize_with(i + 1, State::default);
        }
        Ok(&mut self.states[i])
    }
    pub fn which(&self, id: ContactId, contact: &Contact) -> Which {
        let w = &self.waves[contact.wave as usize];
        let subscriber = w.subscriber(contact.rank as usize);
        Which { contact: id, subscriber, campaign: w.campaign, wave: w.wave }
    }
    pub fn status(&self, contact: &Contact) -> Status {
        self.waves[contact.wave as usize].status(contact.rank as usize)
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
    }

    pub fn apply(&mut self, stamp: Timestamp, rec: &Rec, shelf: &mut Shelf) -> Result<(), Fault> {
        self.last = self.last.max(stamp);
        match rec {
            Rec::Book(id) => self.swap_book(shelf.book(*id).map_err(Fault::Engine)?),
            Rec::Facts(id) => self.facts = Some(shelf.facts(*id).map_err(Fault::Engine)?),
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
            Rec::Opt { subscriber, class, out } => self.state_mut(*subscriber)?.set_opted_out(*class, *out),
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
            Rec::Event(e) => {
                let (Some(book), Some(facts)) = (self.book.clone(), self.facts.clone()) else {
                    return why("an event before the first playbook and facts");
                };
                let mut actions = std::mem::take(&mut self.actions);
                actions.list.clear();
                step(self.state_mut(e.subscriber)?, e, &*facts, &book, stamp, &mut actions);
                self.actions = actions;
            }
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
        self.refresh_book();
    }

    fn start(&mut self, stamp: Timestamp, x: &WaveRec, audience: &RoaringBitmap) -> Result<(), Fault> {
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
            let contact = wave.contact(rank);
            let mut mark = None;
            let status = match item.verdict {
                Verdict::Send => {
                    mark = Some(Mark::Pending);
                    wave.intended += 1;
                    self.allocator.take(&book, x.channel, x.campaign, x.cost, stamp);
                    let contact_of_member = Contact {
                        wave: at as u32,
                        rank: rank as u32,
                        version: x.version,
                        treatment: item.treatment,
                        channel: x.channel,
                        phase: Phase::Intended,
                        cost: x.cost,
                        intended: stamp,
                        offered: Timestamp::MIN,
                        settled: Timestamp::MIN,
                    };
                    self.ledger.intend(contact, contact_of_member);
                    Status::new(ContactState::Pending)
                }
                Verdict::Control => {
                    mark = Some(Mark::Control);
                    Status::new(ContactState::Control)
                }
                Verdict::Holdout => {
                    mark = Some(Mark::Control);
                    Status::holdout()
                }
                Verdict::Withheld { primary, .. } => {
                    mark = x.hold.then_some(Mark::Decided);
                    Status::because(ContactState::Withheld, primary)
                }
                Verdict::Defer { until, primary, .. } => {
                    wave.deferred.insert(rank as u32, until);
                    Status::because(ContactState::Deferred, primary)
                }
            };
            wave.set(rank, status);
            if let Some(mark) = mark {
                let entry = Entry::new(stamp, x.campaign, x.family, contact, mark);
                self.state_mut(item.subscriber)?.add(entry);
            }
        }
        if let Some(place) = x.cursor {
            self.waves[at].pass(place);
        }
        Ok(())
    }

    fn offer(&mut self, stamp: Timestamp, x: &Which) -> Result<(), Fault> {
        let Some(before) = self.ledger.shift(x.contact, Phase::Offered, stamp) else {
            return why(format!("contact {} was never intended", x.contact));
        };
        if before.phase != Phase::Intended {
            return why(format!("contact {} is offered twice", x.contact));
        }
        let wave = &mut self.waves[before.wave as usize];
        wave.intended = wave.intended.saturating_sub(1);
        // the windows of the caps count from the last instant before the send
        self.state_mut(x.subscriber)?.remark(x.campaign, x.contact, Mark::Pending, Some(stamp));
        Ok(())
    }

    fn outcome(&mut self, stamp: Timestamp, x: &OutcomeRec) -> Result<(), Fault> {
        let Which { contact: id, subscriber, campaign, .. } = x.which;
        let Some(&contact) = self.ledger.get(id) else {
            return why(format!("contact {id} was never intended"));
        };
        let (at, rank) = (contact.wave as usize, contact.rank as usize);
        let old = self.waves[at].status(rank);
        let settle = |state: Status, mark| (state, Phase::Settled, mark);
        let (status, phase, mark) = match x.change {
            Change::Accepted => settle(Status::new(ContactState::Sent), Some(Mark::Sent)),
            Change::SeenSettles(_) => settle(Status::new(ContactState::Sent), Some(Mark::Sent)),
            Change::Refused { .. } => settle(Status::new(ContactState::Failed), Some(Mark::Decided)),
            Change::Cancelled(r) => settle(Status::because(ContactState::Cancelled, r), Some(Mark::Decided)),
            Change::Unknown => settle(Status::new(ContactState::Unknown), Some(Mark::Unknown)),
            Change::PutBack(_) => (Status::new(ContactState::Pending), Phase::Intended, Some(Mark::Pending)),
            Change::Deferred { reason, .. } => settle(Status::because(ContactState::Deferred, reason), None),
            Change::Seen(d) => {
                let status = old.with_seen(Seen::bit(d).unwrap_or(0));
                self.waves[at].set(rank, status);
                return Ok(());
            }
        };
        let mut status = status.with_seen_of(old);
        if let Change::SeenSettles(d) = x.change {
            status = status.with_seen(Seen::bit(d).unwrap_or(0));
        }
        let before = self.ledger.shift(id, phase, stamp).unwrap_or(contact);
        let wave = &mut self.waves[at];
        if before.phase == Phase::Intended {
            wave.intended = wave.intended.saturating_sub(1);
        }
        if phase == Phase::Intended {
            wave.intended += 1;
        }
        wave.set(rank, status);
        if let Change::Deferred { until, .. } = x.change {
            wave.deferred.insert(rank as u32, until);
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
        let state = self.state_mut(subscriber)?;
        match mark {
            Some(mark) => state.remark(campaign, id, mark, None),
            None => state.release(campaign, id),
        };
        Ok(())
    }

    fn close(&mut self, stamp: Timestamp, campaign: CampaignId, no: WaveNo, reason: Reason) -> Result<(), Fault> {
        let Some(at) = self.wave_at(campaign, no) else {
            return why(format!("wave {} of campaign {campaign} was never started", no.0));
        };
        for which in self.intended_of(at) {
            self.outcome(stamp, &OutcomeRec { which, change: Change::Cancelled(reason) })?;
        }
        let wave = &mut self.waves[at];
        wave.cancel_unjudged(reason);
        wave.closed = Some(reason);
        Ok(())
    }

    /// Contacts of a wave that wait to be offered, in the order of their queues.
    pub fn intended_of(&self, wave: usize) -> Vec<Which> {
        if self.waves[wave].intended == 0 {
            return Vec::new();
        }
        let queued = self.ledger.queues.values().flatten();
        queued
            .filter_map(|&id| Some((id, self.ledger.get(id)?)))
            .filter(|(_, c)| c.wave as usize == wave)
            .map(|(id, c)| self.which(id, c))
            .collect()
    }
}
