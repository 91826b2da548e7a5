//! The naive model: what must be true, said by somebody who keeps the whole history, forgets nothing and shares no code
//! with what is checked. It learns what the engine said (durable lines of the trail), what operators were told, and what
//! passed the socket.

mod audit;
mod judge;
mod lines;
mod submits;

pub use submits::Label;

use crate::shelves::{Lists, Shelves};
use kairos_decide::{FamilyId, Playbook, RunState};
use kairos_engine::{AudienceHash, Input, Trail};
use kairos_journal::Position;
use kairos_model::{
    CampaignClass, CampaignId, CellId, ContactId, ContactState, EventType, PlaybookId, Reason, SnapshotId,
    SubscriberId, Timestamp, WaveNo,
    hash::{FixedMap, FixedSet},
};
use std::{collections::BTreeMap, sync::Arc};

/// A check that failed: the world is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check, in a few fixed words.
    pub check: &'static str,
    pub told: String,
}

pub type Check = Result<(), Violation>;

pub fn fail<T>(check: &'static str, told: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { check, told: told.into() })
}

/// Fails with a message that is only made where it is needed.
macro_rules! ensure {
    ($holds:expr, $check:literal, $($told:tt)+) => {
        if !$holds {
            return $crate::model::fail($check, format!($($told)+));
        }
    };
}
pub(crate) use ensure;

/// What an entry of a subscriber's history stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    Reserved,
    Contacted,
    Control,
    /// A decision against, which ends a hold and counts for no cap.
    Decided,
}

#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub contact: ContactId,
    pub campaign: CampaignId,
    pub family: FamilyId,
    pub at: Timestamp,
    pub meaning: Meaning,
}

#[derive(Clone, Default, Debug)]
pub struct Person {
    pub cell: CellId,
    pub power_off: bool,
    /// When the newest event that said so happened.
    pub known_at: Timestamp,
    /// Opted out, by class code − 1.
    pub out: [bool; 3],
    pub erased: bool,
    /// Never shortened but by a released reservation.
    pub history: Vec<Entry>,
    /// Contacts of this subscriber that passed the socket.
    pub submits: Vec<ContactId>,
    /// Numbers and since when; the last is the present one.
    pub numbers: Vec<(Timestamp, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Intended,
    Offered,
    Settled,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment {
    /// Written, and no answer has reached us.
    Open,
    Accepted,
    /// Throttled or refused: nothing reached anybody.
    No,
}

#[derive(Clone, Debug)]
pub struct Contact {
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub wave: WaveNo,
    pub family: FamilyId,
    /// The book under which it was decided.
    pub book: PlaybookId,
    pub cost: i64,
    pub granted: Timestamp,
    pub offered: Timestamp,
    /// The end of its delivery window as it was when it was offered.
    pub until: Timestamp,
    pub stage: Stage,
    /// By segment, as far as written.
    pub segments: Vec<Segment>,
    pub of: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    pub state: ContactState,
    pub reason: Option<Reason>,
    pub holdout: bool,
    /// A bit for each disposition, by its code.
    pub seen: u16,
}

pub struct Wave {
    pub campaign: CampaignId,
    pub wave: WaveNo,
    pub not_after: Timestamp,
    /// By ordinal.
    pub members: Vec<Option<Member>>,
    pub size: u64,
    pub by_state: [u64; 9],
    pub closed: bool,
}

/// What has been asked of the engine and is not answered yet: after a crash it may be in force, or not.
#[derive(Default)]
pub struct Asked {
    pub inputs: Vec<Input>,
    pub suppress: Vec<u64>,
    pub unsuppress: Vec<u64>,
    pub erase: Vec<SubscriberId>,
    pub assign: Vec<(SubscriberId, u64, Timestamp)>,
}

pub struct Model {
    pub shelves: Arc<Shelves>,
    pub book: Option<Arc<Playbook>>,
    pub facts: Option<Arc<Lists>>,
    pub runs: BTreeMap<CampaignId, RunState>,
    pub kill: bool,
    pub people: Vec<Person>,
    pub waves: Vec<Wave>,
    pub by_wave: BTreeMap<(CampaignId, WaveNo), usize>,
    pub audiences: BTreeMap<(CampaignId, WaveNo), (AudienceHash, Timestamp)>,
    pub contacts: FixedMap<ContactId, Contact>,
    /// Millionths, by campaign.
    pub spent: BTreeMap<CampaignId, i64>,
    /// Grants by whole second and by local day; offers by whole second.
    pub granted_in_second: (i64, u32),
    pub granted_in_day: BTreeMap<i64, i64>,
    pub offered_in_second: (i64, u32),
    /// The highest stamp: no later one may be below it.
    pub high: Timestamp,
    /// Stamp of the last thing of which the engine said that it is durable.
    pub durable: Timestamp,
    /// Every line of the trail that was told, and where the first of them stand in the journal.
    pub told: Vec<Trail>,
    pub positions: Vec<Position>,
    pub asked: Asked,
    pub suppressed: FixedSet<u64>,
    /// Segments that the centre took.
    pub taken: FixedSet<(ContactId, u8)>,
    /// Who held a number first and since when, latest last.
    pub holders: FixedMap<u64, Vec<(Timestamp, SubscriberId)>>,
    /// Sum of the windows of all binds.
    pub window: u32,
    /// Numbers whose suppression was ever lifted.
    pub lifted: FixedSet<u64>,
    pub submits: u64,
    /// Contacts that were cancelled before they were offered, at one stamp: a wave that closes counts them.
    pub withdrawn: (Timestamp, Vec<(CampaignId, WaveNo, Reason)>),
}

/// Minutes of the local day and the day's number: the tenant lives in China, where clocks are never changed.
pub fn local(at: Timestamp) -> (i64, i64) {
    let secs = at.secs() + 8 * 3_600;
    (secs.rem_euclid(86_400) / 60, secs.div_euclid(86_400))
}

pub fn class_index(class: CampaignClass) -> usize {
    usize::from(class.code()) - 1
}

impl Model {
    pub fn new(shelves: Arc<Shelves>, people: usize, window: u32) -> Self {
        Self {
            shelves,
            book: None,
            facts: None,
            runs: BTreeMap::new(),
            kill: false,
            people: vec![Person::default(); people],
            waves: Vec::new(),
            by_wave: BTreeMap::new(),
            audiences: BTreeMap::new(),
            contacts: FixedMap::default(),
            spent: BTreeMap::new(),
            granted_in_second: (0, 0),
            granted_in_day: BTreeMap::new(),
            offered_in_second: (0, 0),
            high: Timestamp::MIN,
            durable: Timestamp::MIN,
            told: Vec::new(),
            positions: Vec::new(),
            asked: Asked::default(),
            suppressed: FixedSet::default(),
            taken: FixedSet::default(),
            holders: FixedMap::default(),
            window,
            lifted: FixedSet::default(),
            withdrawn: (Timestamp::MIN, Vec::new()),
            submits: 0,
        }
    }

    pub fn run_of(&self, campaign: CampaignId) -> RunState {
        self.runs.get(&campaign).copied().unwrap_or(RunState::Approved)
    }
    pub fn opted_out(&self, s: SubscriberId, class: CampaignClass) -> bool {
        self.people[s.0 as usize].out[class_index(class)]
    }
    pub fn lists_has(&self, s: SubscriberId, bit: u16) -> bool {
        self.facts.as_ref().is_some_and(|f| f.has(s, bit))
    }
    /// The number of a subscriber at a time, and who holds a number.
    pub fn number_of(&self, s: SubscriberId, at: Timestamp) -> Option<u64> {
        let mine = self.people[s.0 as usize].numbers.iter().filter(|n| n.0 <= at);
        let held = mine.filter(|n| self.holder_of(n.1, at) == Some(s));
        held.max_by_key(|n| n.0).map(|n| n.1)
    }
    pub fn holder_of(&self, number: u64, at: Timestamp) -> Option<SubscriberId> {
        let begun = self.holders.get(&number)?.iter().filter(|h| h.0 <= at);
        let holder = begun.max_by_key(|h| h.0)?.1;
        (!self.people[holder.0 as usize].erased).then_some(holder)
    }
    pub fn give_number(&mut self, s: SubscriberId, number: u64, from: Timestamp) {
        self.holders.entry(number).or_default().push((from, s));
        self.people[s.0 as usize].numbers.push((from, number));
    }

    /// An order of an operator, or an event, that the engine has said is in force.
    pub fn in_force(&mut self, input: &Input) {
        match *input {
            Input::SwapPlaybook(id) => self.swap_book(id),
            Input::SwapFacts(id) => self.facts = self.shelves.lists(id),
            Input::Pause(c) => drop(self.runs.insert(c, RunState::Paused)),
            Input::Resume(c) => drop(self.runs.insert(c, RunState::Running)),
            Input::Stop(c) => drop(self.runs.insert(c, RunState::Stopped)),
            Input::KillSwitch(on) => self.kill = on,
            Input::OptOut { subscriber, class } => self.set_out(subscriber, class, true),
            Input::OptIn { subscriber, class } => self.set_out(subscriber, class, false),
            Input::Event(e) => {
                let p = &mut self.people[e.subscriber.0 as usize];
                // an older event never moves a subscriber back
                if e.at >= p.known_at {
                    (p.known_at, p.cell, p.power_off) = (e.at, e.cell, e.kind == EventType::POWER_OFF);
                }
            }
            // no world sends batches or a past yet
            Input::StartWave(_) | Input::Outcome { .. } | Input::Events(_) | Input::Past(_) | Input::Tick => {}
        }
    }
    fn swap_book(&mut self, id: PlaybookId) {
        self.book = self.shelves.book(id);
        for c in self.book.iter().flat_map(|b| b.campaigns()) {
            // what was stopped or paused stays so until resumed, whatever a new book says
            let run = self.runs.entry(c.id).or_insert(c.run);
            *run = (*run).max(c.run);
        }
    }
    pub fn set_out(&mut self, s: SubscriberId, class: Option<CampaignClass>, out: bool) {
        let all = CampaignClass::ALL.iter().copied().filter(|&c| class.is_none_or(|x| x == c));
        for c in all {
            self.people[s.0 as usize].out[class_index(c)] = out;
        }
    }
    pub fn snapshot(&self) -> Option<SnapshotId> {
        self.facts.as_ref().map(|f| SnapshotId(f.id))
    }
}
