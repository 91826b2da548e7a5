//! A library in memory, a rig around one engine, and campaigns by the dozen.

use kairos_decide::{
    Campaign, ChannelCapacity, Consent, ContactPolicy, Facts, FamilyId, Listed, Matrix, Playbook, RunState, Share,
    TenantPolicy,
};
use kairos_engine::{
    AudienceHash, Engine, EngineConfig, EngineError, Input, Library, LibraryError, Offered, Outcome, Output, Recovered,
    StartWave, Sums,
};
use kairos_journal::{Journal, JournalConfig, MemDisk};
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, Channel, ContactId, ContactState, Currency, Disposition, Money,
    PlaybookId, SnapshotId, Span, SubscriberId, TenantId, Timestamp, WaveNo, Zone,
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
};

#[derive(Clone, Default)]
pub struct Lists {
    pub id: u32,
    pub suppressed: BTreeSet<u32>,
    pub no_address: BTreeSet<u32>,
    pub audiences: BTreeMap<CampaignId, RoaringBitmap>,
    pub matrix: Option<Arc<Matrix>>,
}

impl Facts for Lists {
    fn matrix(&self) -> Option<&Arc<Matrix>> {
        self.matrix.as_ref()
    }
    fn snapshot(&self) -> SnapshotId {
        SnapshotId(self.id)
    }
    fn address(&self, s: SubscriberId, _: Channel) -> bool {
        !self.no_address.contains(&s.0)
    }
    fn suppressed(&self, s: SubscriberId) -> Listed {
        if self.suppressed.contains(&s.0) { Listed::Yes } else { Listed::No }
    }
    fn do_not_disturb(&self, _: SubscriberId) -> Listed {
        Listed::No
    }
    fn consent(&self, _: SubscriberId, _: CampaignClass, _: Channel) -> Consent {
        Consent::Granted
    }
    fn in_audience(&self, campaign: CampaignId, s: SubscriberId) -> bool {
        self.audiences.get(&campaign).is_some_and(|a| a.contains(s.0))
    }
}

#[derive(Default)]
pub struct Shelves {
    pub books: Mutex<BTreeMap<PlaybookId, Arc<Playbook>>>,
    pub facts: Mutex<BTreeMap<SnapshotId, Arc<Lists>>>,
    pub audiences: Mutex<BTreeMap<AudienceHash, Arc<RoaringBitmap>>>,
}

impl Library for Shelves {
    fn playbook(&self, id: PlaybookId) -> Result<Option<Arc<Playbook>>, LibraryError> {
        Ok(self.books.lock().unwrap().get(&id).cloned())
    }
    fn facts(&self, id: SnapshotId) -> Result<Option<Arc<dyn Facts>>, LibraryError> {
        Ok(self.facts.lock().unwrap().get(&id).cloned().map(|f| f as Arc<dyn Facts>))
    }
    fn audience(&self, hash: &AudienceHash) -> Result<Option<Arc<RoaringBitmap>>, LibraryError> {
        Ok(self.audiences.lock().unwrap().get(hash).cloned())
    }
}

pub fn campaign(id: u32) -> Campaign {
    Campaign {
        id: CampaignId(id),
        version: CampaignVersion(1),
        class: CampaignClass::Marketing,
        priority: id,
        family: FamilyId(id),
        channel: Channel::Sms,
        treatments: 1,
        hold: false,
        control: Share::NONE,
        holdout: None,
        start: Timestamp::from_secs(0),
        end: t0().plus(Span::days(60)),
        cost: Money::micros(50_000, Currency::CNY),
        budget: None,
        policy: ContactPolicy::default(),
        run: RunState::Approved,
        trigger: None,
    }
}

/// Monday 2026-03-02, 10:00 in Shanghai.
pub fn t0() -> Timestamp {
    "2026-03-02T02:00:00Z".parse().unwrap()
}
pub fn at(seconds: i64) -> Timestamp {
    t0().plus(Span::secs(seconds))
}
pub fn hash(n: u8) -> AudienceHash {
    AudienceHash([n; 32])
}

pub struct Rig {
    pub disk: MemDisk,
    pub shelves: Arc<Shelves>,
    pub engine: Engine,
    pub now: Timestamp,
    pub outputs: Vec<Output>,
    tune: fn(&mut EngineConfig),
}

pub fn open(
    disk: &MemDisk,
    shelves: &Arc<Shelves>,
    tune: fn(&mut EngineConfig),
) -> Result<(Engine, Recovered), EngineError> {
    let mut journal_config = JournalConfig::new(TenantId(1), 1);
    (journal_config.segment_bytes, journal_config.record_max) = (512 << 10, 256 << 10);
    let (journal, _) = Journal::open(Arc::new(disk.clone()), Path::new("/d/journal"), journal_config)?;
    let mut config = EngineConfig::new(TenantId(1), Arc::new(disk.clone()), "/d/checkpoint");
    tune(&mut config);
    Engine::open(config, journal, shelves.clone())
}

impl Rig {
    pub fn new(tune: fn(&mut EngineConfig)) -> Self {
        let (disk, shelves) = (MemDisk::new(), Arc::new(Shelves::default()));
        let (engine, _) = open(&disk, &shelves, tune).unwrap();
        Self { disk, shelves, engine, now: t0(), outputs: Vec::new(), tune }
    }
    /// A rig with a book of these campaigns and empty lists in force.
    pub fn with(campaigns: Vec<Campaign>, capacity: ChannelCapacity) -> Self {
        let mut rig = Self::new(|_| {});
        rig.shelve(1, campaigns, capacity);
        rig.lists(Lists { id: 1, ..Lists::default() });
        rig.tell(&[Input::SwapPlaybook(PlaybookId(1)), Input::SwapFacts(SnapshotId(1))]);
        rig
    }
    pub fn shelve(&mut self, id: u32, campaigns: Vec<Campaign>, capacity: ChannelCapacity) {
        self.shelves.books.lock().unwrap().insert(PlaybookId(id), Arc::new(book(id, campaigns, capacity)));
    }
    pub fn lists(&mut self, lists: Lists) {
        self.shelves.facts.lock().unwrap().insert(SnapshotId(lists.id), Arc::new(lists));
    }
    pub fn start(&mut self, c: u32, wave: u16, members: impl IntoIterator<Item = u32>) {
        let audience: RoaringBitmap = members.into_iter().collect();
        let name = hash((c * 16 + u32::from(wave)) as u8);
        self.shelves.audiences.lock().unwrap().insert(name, Arc::new(audience));
        let out = self.tell(&[Input::StartWave(wave_of(c, wave))]);
        assert!(!out.iter().any(|o| matches!(o, Output::Refused { .. })), "{out:?}");
    }
    pub fn tell(&mut self, inputs: &[Input]) -> Vec<Output> {
        let out = self.engine.handle(self.now, inputs).unwrap();
        self.check();
        self.outputs.extend(out.iter().cloned());
        out
    }
    pub fn offer(&mut self, max: usize) -> Vec<Offered> {
        let (offered, out) = self.engine.offer(self.now, Channel::Sms, max).unwrap();
        self.check();
        self.outputs.extend(out);
        offered
    }
    pub fn answer(&mut self, contact: ContactId, outcome: Outcome) -> Vec<Output> {
        self.tell(&[Input::Outcome { contact, outcome }])
    }
    pub fn accept(&mut self, list: &[Offered]) {
        let inputs: Vec<Input> =
            list.iter().map(|o| Input::Outcome { contact: o.contact, outcome: Outcome::Accepted }).collect();
        self.tell(&inputs);
    }
    /// Power loss between two calls, and opening again.
    pub fn crash(&mut self, seed: u64) -> Recovered {
        self.disk.crash(seed);
        let (engine, recovered) = open(&self.disk, &self.shelves, self.tune).unwrap();
        self.engine = engine;
        self.check();
        recovered
    }
    /// The sums add up, and counting gives the same.
    pub fn check(&self) {
        check(&self.engine);
    }
    pub fn sums(&self, c: u32, wave: u16) -> Sums {
        self.engine.sums(CampaignId(c), WaveNo(wave)).unwrap()
    }
    /// The sums that are not 0, in words.
    pub fn told(&self, c: u32, wave: u16) -> String {
        say(&self.sums(c, wave))
    }
    /// Sends and accepts everything that is due until `end`, moving from one due instant to the next.
    pub fn run_until(&mut self, end: Timestamp) {
        loop {
            loop {
                let offered = self.offer(1_000);
                if offered.is_empty() {
                    break;
                }
                self.accept(&offered);
            }
            match self.engine.next_due() {
                Some(due) if due <= end => self.now = due.max(self.now),
                _ => break,
            }
        }
        self.now = end.max(self.now);
        self.tell(&[Input::Tick]);
    }
}

pub fn wave_of(c: u32, wave: u16) -> StartWave {
    StartWave {
        campaign: CampaignId(c),
        version: CampaignVersion(1),
        wave: WaveNo(wave),
        audience: hash((c * 16 + u32::from(wave)) as u8),
        not_after: Timestamp::MAX,
    }
}

pub fn book(id: u32, campaigns: Vec<Campaign>, capacity: ChannelCapacity) -> Playbook {
    let mut tenant = TenantPolicy::new(Zone::named("Asia/Shanghai").unwrap());
    tenant.channels.insert(Channel::Sms, capacity);
    Playbook::new(PlaybookId(id), tenant, campaigns).unwrap()
}

pub fn check(engine: &Engine) {
    for w in engine.waves() {
        assert!(w.sums.adds_up(), "{:?}", w.sums);
        assert_eq!(engine.recount(w.campaign, w.wave).as_ref(), Some(&w.sums));
    }
}

pub fn say(s: &Sums) -> String {
    let mut parts: Vec<String> = ContactState::ALL
        .iter()
        .filter(|&&x| s.of(x) > 0)
        .map(|&x| match x {
            ContactState::Withheld => {
                let by: Vec<String> = s.withheld_by().map(|(r, n)| format!("{r} {n}")).collect();
                format!("withheld {} ({})", s.of(x), by.join(", "))
            }
            ContactState::Cancelled => {
                let by: Vec<String> = s.cancelled_by().map(|(r, n)| format!("{r} {n}")).collect();
                format!("cancelled {} ({})", s.of(x), by.join(", "))
            }
            ContactState::Control if s.holdout > 0 => format!("control {} ({} held out)", s.of(x), s.holdout),
            x => format!("{x} {}", s.of(x)),
        })
        .collect();
    for d in [Disposition::Delivered, Disposition::Undelivered, Disposition::Replied, Disposition::OptedOut] {
        if s.seen(d) > 0 {
            parts.push(format!("[{d} {}]", s.seen(d)));
        }
    }
    parts.join(", ")
}
