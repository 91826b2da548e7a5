//! Random worlds: a week of several campaigns with nights, holidays, lists that change, operators who pause, resume, stop
//! and press the kill switch, people who opt out, answers that are lost or late, clocks that jump and power that fails.
//! A naive model watches every single submit.

use crate::world::{Lists, Shelves, book, campaign, check, hash, open, t0};
use kairos_decide::{Campaign, ChannelCapacity, ContactPolicy, FamilyId, MinuteRange, Playbook, QuietHours, Share};
use kairos_engine::{Engine, EngineConfig, Input, Outcome, Output, StartWave, Trail};
use kairos_journal::{MemDisk, Position};
use kairos_model::{
    CampaignId, CampaignVersion, Channel, ContactId, ContactState, Currency, Disposition, LocalDay, Money, PlaybookId,
    SnapshotId, Span, SubscriberId, Timestamp, Verdict, WaveNo, hash as mix,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const SEEDS: u64 = 120;
const PEOPLE: u64 = 120;
const RATE: u32 = 6;
const PER_DAY: u32 = 60;
const WINDOW: u32 = 8;

struct Dice(u64, u64);
impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.1 += 1;
        mix::salted(self.0, self.1) % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What the model knows of one submit.
#[derive(Clone, Copy)]
struct Submit {
    contact: ContactId,
    subscriber: SubscriberId,
    campaign: CampaignId,
    family: FamilyId,
    at: Timestamp,
    refused: bool,
}

struct World {
    dice: Dice,
    disk: MemDisk,
    shelves: Arc<Shelves>,
    engine: Engine,
    book: Arc<Playbook>,
    facts: Lists,
    now: Timestamp,
    submits: Vec<Submit>,
    flying: Vec<(ContactId, SubscriberId)>,
    paused: BTreeSet<CampaignId>,
    stopped: BTreeSet<CampaignId>,
    killed: bool,
    opted_out: BTreeSet<SubscriberId>,
    waves: u16,
    crashes: usize,
    seen: BTreeMap<&'static str, u64>,
}

fn tune(c: &mut EngineConfig) {
    c.window_default = WINDOW;
    c.checkpoint_every = 40;
    c.response_timeout = Span::secs(90);
}

fn random_book(dice: &mut Dice) -> Playbook {
    let night = QuietHours::new(vec![MinuteRange { from: 21 * 60, to: 8 * 60 + 30 }]).unwrap();
    let campaigns = (1..=4)
        .map(|id| Campaign {
            priority: dice.below(3) as u32,
            family: FamilyId(dice.below(3) as u32),
            control: Share { ppm: 150_000, salt: dice.below(u64::MAX) },
            holdout: dice.one_in(2).then_some(Share { ppm: 50_000, salt: 9 }),
            budget: dice.one_in(3).then(|| Money::micros(50_000 * dice.below(60) as i64, Currency::CNY)),
            hold: dice.one_in(3),
            end: t0().plus(Span::days(4 + dice.below(40) as i64)),
            policy: ContactPolicy {
                same_message: Span::days(3),
                other_campaign: Span::days(1),
                quiet: if dice.one_in(3) { QuietHours::none() } else { night.clone() },
                ..ContactPolicy::default()
            },
            ..campaign(id)
        })
        .collect();
    let mut book = book(1, campaigns, ChannelCapacity { per_second: Some(RATE), per_day: Some(PER_DAY) });
    let today = book.tenant.zone.day(t0());
    book.tenant.holidays = (0..2).map(|_| today.plus_days(dice.below(6) as i32)).collect::<BTreeSet<LocalDay>>();
    book
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(0x776f_726c_6473 ^ seed, 0);
        let (disk, shelves) = (MemDisk::new(), Arc::new(Shelves::default()));
        let book = Arc::new(random_book(&mut dice));
        shelves.books.lock().unwrap().insert(PlaybookId(1), book.clone());
        let (engine, _) = open(&disk, &shelves, tune).unwrap();
        let facts = Lists { id: 0, ..Lists::default() };
        let mut world = Self {
            dice,
            disk,
            shelves,
            engine,
            book,
            facts,
            now: t0(),
            submits: Vec::new(),
            flying: Vec::new(),
            paused: BTreeSet::new(),
            stopped: BTreeSet::new(),
            killed: false,
            opted_out: BTreeSet::new(),
            waves: 0,
            crashes: 0,
            seen: BTreeMap::new(),
        };
        world.tell(Input::SwapPlaybook(PlaybookId(1)));
        world.new_facts();
        world
    }
    fn tell(&mut self, input: Input) -> Vec<Output> {
        let out = self.engine.handle(self.now, &[input]).unwrap();
        check(&self.engine);
        out
    }
    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }
    fn new_facts(&mut self) {
        self.facts.id += 1;
        self.facts.suppressed = (0..6).map(|_| self.dice.below(PEOPLE) as u32).collect();
        let held = |dice: &mut Dice| (0..40).map(|_| dice.below(PEOPLE) as u32).collect();
        self.facts.audiences = (1..=4).map(|c| (CampaignId(c), held(&mut self.dice))).collect();
        self.shelves.facts.lock().unwrap().insert(SnapshotId(self.facts.id), Arc::new(self.facts.clone()));
        self.tell(Input::SwapFacts(SnapshotId(self.facts.id)));
    }
    fn new_wave(&mut self) {
        if self.waves == 12 {
            return;
        }
        self.waves += 1;
        let name = hash(self.waves as u8);
        let size = 5 + self.dice.below(70);
        let members = (0..size).map(|_| self.dice.below(PEOPLE) as u32).collect();
        self.shelves.audiences.lock().unwrap().insert(name, Arc::new(members));
        let late = self.dice.below(6) as i64;
        let not_after = if late == 0 { self.now.plus(Span::hours(5)) } else { Timestamp::MAX };
        let start = StartWave {
            campaign: CampaignId(1 + self.dice.below(4) as u32),
            version: CampaignVersion(1),
            wave: WaveNo(self.waves),
            audience: name,
            not_after,
        };
        self.tell(Input::StartWave(start));
    }
    fn crash(&mut self) {
        self.crashes += 1;
        self.count("crash");
        self.disk.crash(self.dice.below(u64::MAX));
        let (engine, recovered) = open(&self.disk, &self.shelves, tune).unwrap();
        self.engine = engine;
        check(&self.engine);
        assert!(recovered.unknown.len() <= WINDOW as usize);
        self.flying.clear();
        // the machine's clock may be anywhere
        self.now = match self.dice.below(4) {
            0 => self.now.minus(Span::hours(9)),
            1 => self.now.plus(Span::mins(7)),
            _ => self.now,
        };
    }
    fn send(&mut self, crash: bool) {
        let max = 1 + self.dice.below(9) as usize;
        let (offered, _) = self.engine.offer(self.now, Channel::Sms, max).unwrap();
        check(&self.engine);
        for o in &offered {
            if self.engine.gate(self.now, o.contact).is_ok() {
                self.watch(o.contact, o.subscriber, o.campaign, o.not_after);
                self.flying.push((o.contact, o.subscriber));
            }
        }
        if crash {
            self.crash();
        }
    }
    /// One submit, seen by somebody who keeps everything and knows the rules by heart.
    fn watch(&mut self, contact: ContactId, s: SubscriberId, c: CampaignId, not_after: Timestamp) {
        let at = self.now.max(self.engine.last_stamp());
        let found = self.book.campaign(c).unwrap();
        let told = format!("{contact} of {s} for {c} at {at}");
        assert!(!self.submits.iter().any(|x| x.contact == contact), "twice: {told}");
        assert!(!self.killed && !self.paused.contains(&c) && !self.stopped.contains(&c), "halted: {told}");
        assert!(at < found.end && at <= not_after, "late: {told}");
        assert!(!self.opted_out.contains(&s) && !self.facts.suppressed.contains(&s.0), "unwanted: {told}");
        let zone = &self.book.tenant.zone;
        assert!(!found.policy.quiet.has(zone.minute_of_day(at)), "at night: {told}");
        assert!(!self.book.tenant.holidays.contains(&zone.day(at)), "on a holiday: {told}");
        for x in self.submits.iter().filter(|x| x.subscriber == s && !x.refused) {
            let age = at.since(x.at);
            assert!(x.campaign == c || age >= found.policy.other_campaign, "{told}: other {} ago {age:?}", x.campaign);
            assert!(x.family != found.family || age >= found.policy.same_message, "{told}: same {age:?} ago");
        }
        let in_second = self.submits.iter().filter(|x| x.at.secs() == at.secs()).count();
        assert!(in_second < RATE as usize, "too fast: {told}");
        let in_day = self.submits.iter().filter(|x| zone.day(x.at) == zone.day(at)).count();
        assert!(in_day < PER_DAY as usize, "too many a day: {told}");
        self.submits.push(Submit { contact, subscriber: s, campaign: c, family: found.family, at, refused: false });
        self.count("submit");
    }
    fn answer(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let i = self.dice.below(self.flying.len() as u64) as usize;
        let (contact, _) = self.flying.swap_remove(i);
        let outcome = match self.dice.below(12) {
            0 => Outcome::Refused { status: 1 },
            1 => Outcome::Unknown,
            2 => return,
            3 => Outcome::Seen(Disposition::Delivered),
            _ => Outcome::Accepted,
        };
        if matches!(outcome, Outcome::Refused { .. }) {
            self.submits.iter_mut().filter(|x| x.contact == contact).for_each(|x| x.refused = true);
        }
        self.tell(Input::Outcome { contact, outcome });
    }
    fn operate(&mut self) {
        let c = CampaignId(1 + self.dice.below(4) as u32);
        match self.dice.below(14) {
            0..=2 if !self.stopped.contains(&c) => {
                self.paused.insert(c);
                self.tell(Input::Pause(c));
                self.count("pause");
            }
            3..=6 if self.paused.remove(&c) => drop(self.tell(Input::Resume(c))),
            7 if self.dice.one_in(6) => {
                self.paused.remove(&c);
                self.stopped.insert(c);
                self.tell(Input::Stop(c));
                self.count("stop");
            }
            8 => {
                self.killed = !self.killed;
                self.tell(Input::KillSwitch(self.killed));
            }
            9 => {
                let subscriber = SubscriberId(self.dice.below(PEOPLE) as u32);
                self.tell(Input::OptOut { subscriber, class: None });
                self.opted_out.insert(subscriber);
                self.count("opt-out");
            }
            10 => self.new_facts(),
            11 => self.new_wave(),
            _ => {}
        }
    }
    fn pass_time(&mut self) {
        self.now = match (self.dice.below(8), self.engine.next_due()) {
            (0, _) => self.now.plus(Span::hours(3)),
            (1, _) => self.now.minus(Span::mins(20)),
            (2, _) => self.now.plus(Span::millis(300)),
            (_, Some(due)) if due < self.now.plus(Span::days(2)) => due.max(self.now),
            _ => self.now.plus(Span::mins(11)),
        };
    }
    fn step(&mut self) {
        match self.dice.below(20) {
            0..=8 => self.send(false),
            9 if self.dice.one_in(6) => self.send(true),
            9..=14 => self.answer(),
            15 => self.operate(),
            _ => self.pass_time(),
        }
    }

    /// Nobody is forgotten: with everything resumed, what is open is decided and sent without any further push, and no
    /// wave waits longer than nights and holidays together.
    fn drain(&mut self, seed: u64) {
        self.killed = false;
        self.tell(Input::KillSwitch(false));
        for c in std::mem::take(&mut self.paused) {
            self.tell(Input::Resume(c));
        }
        self.now = self.now.max(self.engine.last_stamp());
        while !self.engine.waves().iter().all(|w| w.sums.is_settled()) {
            let (offered, _) = self.engine.offer(self.now, Channel::Sms, 100).unwrap();
            for o in &offered {
                self.watch(o.contact, o.subscriber, o.campaign, o.not_after);
                self.tell(Input::Outcome { contact: o.contact, outcome: Outcome::Accepted });
            }
            if offered.is_empty() && !self.engine.waves().iter().all(|w| w.sums.is_settled()) {
                let due = self.engine.next_due().expect("something is open");
                assert!(due > self.now && due <= self.now.plus(Span::days(4)), "seed {seed}: {due} at {}", self.now);
                self.now = due;
            }
        }
        self.count("drained");
    }
    /// Everything comes to an end: whatever was open is settled one way, and the ledger agrees with the model.
    fn finish(&mut self, seed: u64) {
        for c in (1..=4).map(CampaignId).filter(|c| !self.stopped.contains(c)).collect::<Vec<_>>() {
            self.tell(Input::Stop(c));
            self.stopped.insert(c);
        }
        self.now = self.now.max(self.engine.last_stamp()).plus(Span::secs(90));
        self.tell(Input::Tick);
        let submitted: BTreeMap<ContactId, Submit> = self.submits.iter().map(|x| (x.contact, *x)).collect();
        let mut unknown = 0;
        for w in self.engine.waves() {
            assert!(w.sums.is_settled(), "seed {seed}: {:?}", w.sums);
            for m in self.engine.members(w.campaign, w.wave) {
                let k = ContactId::of_wave(w.campaign, w.wave, m.subscriber);
                let found = submitted.get(&k);
                match m.state {
                    ContactState::Sent => assert!(found.is_some_and(|x| !x.refused), "seed {seed} {k}"),
                    ContactState::Failed => assert!(found.is_some_and(|x| x.refused), "seed {seed} {k}"),
                    ContactState::Unknown => unknown += 1,
                    state => assert!(found.is_none(), "seed {seed} {k} {state}"),
                }
            }
        }
        self.seen.insert("unknown", unknown);
        self.budgets(seed);
    }
    /// Money: what a campaign has spent is what it sent or may have sent, and within its budget.
    fn budgets(&mut self, seed: u64) {
        let mut spent: BTreeMap<CampaignId, i64> = BTreeMap::new();
        for w in self.engine.waves() {
            let n = w.sums.of(ContactState::Sent) + w.sums.of(ContactState::Unknown);
            *spent.entry(w.campaign).or_default() += 50_000 * n as i64;
        }
        for c in self.book.campaigns() {
            let n = spent.get(&c.id).copied().unwrap_or(0);
            assert_eq!(self.engine.spent(c.id), n, "seed {seed} {}", c.id);
            assert!(c.budget.is_none_or(|b| n <= b.micros), "seed {seed} {}", c.id);
        }
        let mut controls = 0;
        for line in self.engine.trail_from(Position::START).unwrap() {
            if let (_, Trail::Decision { record, .. }) = line.unwrap() {
                controls += u64::from(matches!(record.verdict, Verdict::Control | Verdict::Holdout));
            }
        }
        let counted: u64 = self.engine.waves().iter().map(|w| w.sums.of(ContactState::Control)).sum();
        assert_eq!(controls, counted, "seed {seed}");
    }
}

#[test]
fn no_rule_is_ever_broken_in_random_worlds() {
    let mut total: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.new_wave();
        world.new_wave();
        for _ in 0..700 {
            world.step();
        }
        if seed % 2 == 0 {
            world.drain(seed);
        }
        world.finish(seed);
        world.seen.iter().for_each(|(k, n)| *total.entry(k).or_default() += n);
    }
    for what in ["submit", "crash", "pause", "stop", "opt-out", "unknown", "drained"] {
        assert!(total.get(what).is_some_and(|&n| n > 30), "{total:?}");
    }
}
