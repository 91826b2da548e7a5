//! One campaign: a province of its own, an earlier campaign that uses up contacts of the likeliest buyers, the wave,
//! and what the evaluation makes of it.

use kairos_decide::{
    Action, Actions, Allocator, Arm, Campaign, Consent, ContactPolicy, Entry, Facts, FamilyId, Grant, Listed, Mark,
    Playbook, Request, RunState, Share, States, TenantPolicy, step, wave_event,
};
use kairos_insight::{Confidence, Design, Evaluation, Observed, Proportion, evaluate};
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, Channel, Currency, Money, PlaybookId, SnapshotId, Span, SubscriberId,
    Timestamp, WaveNo, Zone, hash,
};
use kairos_synth::{Index, Product, Province, Responses, Status, SynthConfig, Truth, response};

/// Mean rates of the audience when left alone, and means of what a delivered message adds.
pub const BASELINES: [f64; 4] = [0.005, 0.01, 0.02, 0.05];
pub const UPLIFTS: [f64; 4] = [0.0, 0.01, 0.03, 0.06];
const OFFERS: [Product; 4] = [Product::RingBackTone, Product::MissedCall, Product::Data50m, Product::MobileNewspaper];
/// Control shares in millionths.
const SHARES: [u32; 3] = [100_000, 200_000, 500_000];
/// Members of an audience at least.
pub const AUDIENCE_MIN: usize = 5_000;

const EARLIER: CampaignId = CampaignId(1);
const WAVE: CampaignId = CampaignId(2);
const NOW: Timestamp = Timestamp::from_secs(1_772_440_200);

/// What came of a campaign.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub number: u64,
    /// Places in [`BASELINES`] and [`UPLIFTS`].
    pub cell: (usize, usize),
    pub audience: usize,
    pub chosen: u64,
    pub control: u64,
    /// Members of the audience whom an earlier contact kept from this one, in the upper and lower half by baseline.
    pub capped: (usize, usize),
    pub truth: Truth,
    pub evaluation: Evaluation,
}

/// What policy reads: lists and consents drawn from the campaign's own seed, as they are in the province's files.
struct Snapshot<'a> {
    province: &'a Province,
    seed: u64,
    do_not_disturb: Vec<bool>,
}

impl Snapshot<'_> {
    fn below(&self, what: u64, s: SubscriberId, ppm: u32) -> bool {
        hash::below_ppm(hash::salted2(self.seed, what, s.0.into()), ppm)
    }
}

impl Facts for Snapshot<'_> {
    fn snapshot(&self) -> SnapshotId {
        SnapshotId(1)
    }
    fn address(&self, s: SubscriberId, _: Channel) -> bool {
        self.province.number(Index(s.0), NOW).is_some()
    }
    fn suppressed(&self, s: SubscriberId) -> Listed {
        if self.below(1, s, 14_000) { Listed::Yes } else { Listed::No }
    }
    fn do_not_disturb(&self, s: SubscriberId) -> Listed {
        if self.do_not_disturb[s.0 as usize] { Listed::Yes } else { Listed::No }
    }
    fn consent(&self, s: SubscriberId, _: CampaignClass, _: Channel) -> Consent {
        match (self.below(2, s, 900_000), self.below(3, s, 600_000)) {
            (true, _) => Consent::Granted,
            (false, true) => Consent::Denied,
            (false, false) => Consent::Unknown,
        }
    }
    fn in_audience(&self, _: CampaignId, _: SubscriberId) -> bool {
        false
    }
}

/// Runs campaign `number` of `seed`.
pub fn run(seed: u64, number: u64) -> Outcome {
    let own = hash::salted2(0x7472_7574_6800_0001, seed, number);
    let cells = (BASELINES.len() * UPLIFTS.len()) as u64;
    let cell = ((number % cells) as usize / UPLIFTS.len(), (number % cells) as usize % UPLIFTS.len());
    let offer = OFFERS[(hash::salted(own, 1) >> 62) as usize];
    let share = SHARES[(hash::salted(own, 2) % SHARES.len() as u64) as usize];
    // half of the campaigns cannot pay for everyone
    let budget = (hash::salted(own, 3) & 1 == 1).then(|| 50_000_000 + (hash::salted(own, 4) % 100_000_000) as i64);
    let size = 10_000 + (hash::salted(own, 5) % 8_000) as u32;
    let config = SynthConfig::china(own, size);
    // the sizes above are within the province's limits
    let province = Province::new(config).unwrap_or_else(|e| unreachable!("{e}"));

    let all: Vec<_> = province.indices().map(|i| province.subscriber(i)).collect();
    let plain = Responses::new(&province);
    let audience: Vec<(Index, f64)> = all
        .iter()
        .filter(|s| s.status == Status::Active)
        .map(|s| (s.index, plain.baseline(s.index, offer)))
        .filter(|(_, b)| *b > 0.0)
        .collect();
    let mean = plain.truth(audience.iter().map(|a| a.0), offer);
    let responses = Responses::scaled(&province, BASELINES[cell.0] / mean.baseline, UPLIFTS[cell.1] / mean.uplift);

    let facts =
        Snapshot { province: &province, seed: own, do_not_disturb: all.iter().map(|s| s.do_not_disturb).collect() };
    let book = playbook(own, share, budget);
    let mut states = States::default();
    let (likely, middle) = likely(&audience, own);
    let before = NOW.minus(Span::days(3));
    for r in granted(EARLIER, &likely, &mut states, &facts, &book, before) {
        if r.arm == Arm::Send {
            states.add(r.subscriber, Entry::new(before, EARLIER, FamilyId(1), r.contact, Mark::Sent));
        }
    }
    let capped = |upper: bool| {
        let met = |a: &&(Index, f64)| (a.1 >= middle) == upper && !states.get(SubscriberId(a.0.0)).history().is_empty();
        audience.iter().filter(met).count()
    };
    let capped = (capped(true), capped(false));
    let members: Vec<Index> = audience.iter().map(|a| a.0).collect();
    let requests = granted(WAVE, &members, &mut states, &facts, &book, NOW);
    let (observed, chosen) = observe(&requests, &responses, offer, own);
    let design = Design::new(share, 0.01, Confidence::usual()).unwrap_or_else(|e| unreachable!("{e}"));
    Outcome {
        number,
        cell,
        audience: members.len(),
        chosen: observed.chosen.n(),
        control: observed.control.n(),
        capped,
        truth: responses.truth(chosen, offer),
        evaluation: evaluate(observed, &design),
    }
}

/// The audience of the earlier campaign: the likelier to order, the likelier to be in it. And the median baseline.
fn likely(audience: &[(Index, f64)], seed: u64) -> (Vec<Index>, f64) {
    let mut baselines: Vec<f64> = audience.iter().map(|a| a.1).collect();
    baselines.sort_unstable_by(f64::total_cmp);
    let n = baselines.len().max(1) as f64;
    let rank = |b: f64| baselines.partition_point(|x| *x < b) as f64 / n;
    let drawn = |i: Index| hash::unit(hash::salted2(seed, 6, i.0.into()));
    let chosen = audience.iter().filter(|(i, b)| drawn(*i) < 0.05 + 0.6 * rank(*b)).map(|a| a.0).collect();
    (chosen, baselines.get(baselines.len() / 2).copied().unwrap_or(0.0))
}

/// What the real step and the real allocator let through.
fn granted(
    campaign: CampaignId,
    audience: &[Index],
    states: &mut States,
    facts: &Snapshot<'_>,
    book: &Playbook,
    now: Timestamp,
) -> Vec<Request> {
    let mut actions = Actions::default();
    for i in audience {
        let event = wave_event(campaign, WaveNo(1), SubscriberId(i.0), now);
        step(states, &event, facts, book, now, &mut actions);
    }
    let asked = |a| match a {
        Action::Request(r) => Some(r),
        _ => None,
    };
    let requests = actions.list.into_iter().filter_map(asked).collect();
    let answers = Allocator::default().allocate(book, requests);
    answers.into_iter().filter(|(_, g)| *g == Grant::Granted).map(|(r, _)| r).collect()
}

/// Deliveries and orders of chosen and control; orders arise in both.
fn observe(requests: &[Request], r: &Responses<'_>, offer: Product, seed: u64) -> (Observed, Vec<Index>) {
    let message = response::message(&format!("{} {seed}", offer.keywords()[0]));
    let (mut chosen, mut control, mut who) = ((0, 0), (0, 0), Vec::with_capacity(requests.len()));
    for request in requests {
        let i = Index(request.subscriber.0);
        let sent = request.arm == Arm::Send;
        let delivered = sent && r.delivers(i, message);
        let group = if sent { &mut chosen } else { &mut control };
        group.0 += u64::from(r.order(i, offer, delivered).is_some());
        group.1 += 1;
        if sent {
            who.push(i);
        }
    }
    // each member is counted once, so there are never more successes than members
    let rate = |(successes, n)| Proportion::new(successes, n).unwrap_or_else(|e| unreachable!("{e}"));
    (Observed { chosen: rate(chosen), control: rate(control) }, who)
}

fn playbook(seed: u64, share_ppm: u32, budget: Option<i64>) -> Playbook {
    let money = |micros| Money::micros(micros, Currency::CNY);
    let campaign = |id: CampaignId, budget: Option<i64>| Campaign {
        id,
        version: CampaignVersion(1),
        class: CampaignClass::Marketing,
        priority: id.0,
        family: FamilyId(id.0),
        channel: Channel::Sms,
        treatments: 1,
        hold: false,
        control: Share { ppm: share_ppm, salt: hash::salted2(seed, 7, id.0.into()) },
        holdout: None,
        start: NOW.minus(Span::days(10)),
        end: NOW.plus(Span::days(10)),
        cost: money(50_000),
        budget: budget.map(money),
        policy: ContactPolicy::default(),
        run: RunState::Running,
        trigger: None,
    };
    let tenant = TenantPolicy::new(Zone::utc());
    let campaigns = vec![campaign(EARLIER, None), campaign(WAVE, budget)];
    // plain campaigns with the default policy, as the checks of `Playbook::new` want them
    Playbook::new(PlaybookId(1), tenant, campaigns).unwrap_or_else(|e| unreachable!("{e}"))
}
