//! Triggers in the engine: intake, contacts in the one ledger, sums, partitions, and crashes at every boundary.

use crate::world::{Lists, Rig, Shelves, at, book, campaign, open, say, t0};
use expect_test::expect;
use kairos_decide::{Campaign, CellSet, ChannelCapacity, Filter, Matrix, Playbook, Share, Then, Trigger};
use kairos_engine::{Engine, EngineConfig, EngineError, EventBatch, Input, Origin, Outcome, Output, Refusal, Trail};
use kairos_journal::{Fault, MemDisk, Position};
use kairos_model::{
    CampaignId, CellId, Channel, ContactState, Currency, Disposition, Event, EventType, Money, PartyId, PlaybookId,
    Reason, SnapshotId, Span, SubscriberId, Timestamp, Verdict, WaveNo, hash,
};
use std::{collections::BTreeSet, sync::Arc};

const MOMENT: WaveNo = WaveNo::MOMENT;

fn on(id: u32, trigger: Trigger) -> Campaign {
    Campaign { trigger: Some(Arc::new(trigger)), ..campaign(id) }
}
fn now(id: u32) -> Campaign {
    on(id, Trigger { own: false, ..Trigger::on(EventType::MOVED) })
}
fn dwell(id: u32, mins: i64) -> Campaign {
    let area = Some(Arc::new(CellSet::new([CellId(7), CellId(8)])));
    let then = Then::Dwell { delay: Span::mins(mins), powered_on: true };
    let filter = Filter { area, ..Filter::of(EventType::MOVED) };
    on(id, Trigger { own: false, on: filter, then, ..Trigger::on(EventType::MOVED) })
}
fn event(s: u32, seconds: i64, cell: u32) -> Event {
    Event {
        kind: EventType::MOVED,
        flags: 0,
        subscriber: SubscriberId(s),
        peer: PartyId::NONE,
        cell: CellId(cell),
        at: at(seconds),
        arrived: at(seconds),
        aux: 0,
    }
}
fn batch(origin: Origin, events: Vec<Event>) -> Input {
    Input::Events(Arc::new(EventBatch { origin, events }))
}
fn moved(who: impl IntoIterator<Item = u32>, seconds: i64, cell: u32) -> Input {
    batch(Origin::None, who.into_iter().map(|s| event(s, seconds, cell)).collect())
}
fn told(engine: &Engine, c: u32) -> String {
    let sums = engine.sums(CampaignId(c), MOMENT).unwrap();
    assert!(sums.adds_up(), "{sums:?}");
    assert_eq!(engine.recount(CampaignId(c), MOMENT), Some(sums.clone()));
    say(&sums)
}

#[test]
fn a_moment_becomes_a_contact_of_the_one_ledger() {
    let mut rig = Rig::with(vec![now(1), now(2), campaign(3)], ChannelCapacity::default());
    rig.tell(&[moved(0..5, 0, 1)]);
    assert_eq!(told(&rig.engine, 1), "pending 5");
    assert!(rig.engine.sums(CampaignId(2), MOMENT).is_none(), "one event has one contact");
    // a wave an hour later meets the reservations
    rig.now = at(3_600);
    rig.start(3, 1, 0..7);
    let offered = rig.offer(100);
    let waves: Vec<u16> = offered.iter().map(|o| o.wave.0).collect();
    assert_eq!((waves, told(&rig.engine, 1)), (vec![1, 1], "cancelled 5 (too_late 5)".to_owned()));
    rig.tell(&[moved(10..13, 3_600, 1)]);
    let offered = rig.offer(100);
    assert_eq!(offered.len(), 3);
    assert!(offered.iter().all(|o| o.wave == MOMENT && o.not_after == at(3_600 + 600)));
    rig.accept(&offered[..1]);
    rig.answer(offered[1].contact, Outcome::Refused { status: 8 });
    rig.answer(offered[0].contact, Outcome::Seen(Disposition::Delivered));
    assert_eq!(told(&rig.engine, 1), "pending 1, sent 1, failed 1, cancelled 5 (too_late 5), [delivered 1]");
    let contact = rig.engine.contact(offered[0].contact).unwrap();
    assert_eq!((contact.campaign.0, contact.wave, contact.state), (1, MOMENT, ContactState::Sent));
    assert_eq!(rig.engine.contacts_of(offered[0].subscriber), [contact]);
    // the answer of the third is lost
    rig.now = at(3_600 + 120);
    rig.tell(&[Input::Tick]);
    assert_eq!(rig.engine.unknowns().len(), 3, "with two of the wave");
    let known = [offered[0].subscriber.0, offered[2].subscriber.0];
    // who was contacted is withheld, and told once a day
    let out = rig.tell(&[moved(known, 3_721, 1), moved(known, 3_722, 1)]);
    let named = out.iter().filter(|o| matches!(o, Output::Trail(Trail::Decision { .. }))).count();
    assert_eq!((named, rig.engine.sums(CampaignId(1), MOMENT).unwrap().withheld[Reason::SameMessage as usize]), (4, 4));
}

#[test]
fn who_waits_is_deferred_until_it_fires_and_the_clock_alone_makes_it_fire() {
    let mut rig = Rig::with(vec![dwell(1, 20)], ChannelCapacity::default());
    rig.tell(&[moved(0..4, 0, 7), moved([1], 60, 9), moved([2], 61, 8)]);
    // stamps of the future are held at the call's own
    assert_eq!(
        (told(&rig.engine, 1), rig.engine.next_due()),
        ("withheld 1 (left_area 1), deferred 3".into(), Some(at(1200)))
    );
    rig.now = at(1_199);
    rig.tell(&[Input::Tick]);
    assert_eq!(told(&rig.engine, 1), "withheld 1 (left_area 1), deferred 3");
    rig.now = at(1_200);
    assert_eq!(rig.offer(10).len(), 3, "an offer sees what is due");
    let mut rig = Rig::with(vec![dwell(1, 20)], ChannelCapacity::default());
    rig.tell(&[moved(0..3, 0, 7)]);
    // a power-off of minute 20 comes after the timer, one of minute 19 before
    let off = |s, seconds| Event { kind: EventType::POWER_OFF, cell: CellId(0), ..event(s, seconds, 0) };
    rig.now = at(1_300);
    rig.tell(&[batch(Origin::None, vec![off(0, 1_199), off(1, 1_200)])]);
    assert_eq!(told(&rig.engine, 1), "withheld 1 (powered_off 1), pending 2");
}

#[test]
fn after_stop_end_or_opt_out_nothing_is_open() {
    let ends = |id| Campaign { end: at(900), ..now(id) };
    let mut rig = Rig::with(vec![dwell(1, 20), Campaign { priority: 9, ..ends(2) }], ChannelCapacity::default());
    rig.tell(&[moved(0..6, 0, 7), Input::OptOut { subscriber: SubscriberId(4), class: None }]);
    assert_eq!(
        (told(&rig.engine, 1), told(&rig.engine, 2)),
        ("deferred 6".into(), "pending 5, cancelled 1 (no_consent 1)".into())
    );
    rig.tell(&[Input::Stop(CampaignId(1))]);
    assert_eq!(told(&rig.engine, 1), "cancelled 6 (stopped 6)");
    assert_eq!(rig.engine.next_due(), Some(at(900)));
    rig.now = at(900);
    rig.tell(&[Input::Tick, moved(10..12, 900, 7)]);
    let sums = rig.engine.sums(CampaignId(2), MOMENT).unwrap();
    assert!(sums.is_settled());
    assert_eq!(told(&rig.engine, 2), "withheld 2 (ended 2), cancelled 6 (no_consent 1, ended 5)");
}

#[test]
fn budget_and_day_withhold_a_moment_and_a_rate_makes_it_wait() {
    let costs = Campaign { budget: Some(Money::micros(150_000, Currency::CNY)), ..now(1) };
    let mut rig = Rig::with(vec![costs], ChannelCapacity::default());
    rig.tell(&[moved(0..5, 0, 1)]);
    assert_eq!(told(&rig.engine, 1), "withheld 2 (budget 2), pending 3");
    // the reservation of who was denied is given back
    let free = (0..5).filter(|&s| rig.engine.state(SubscriberId(s)).unwrap().history().is_empty()).count();
    assert_eq!(free, 2);
    let capacity = ChannelCapacity { per_second: Some(2), per_day: Some(4) };
    let mut rig = Rig::with(vec![now(1)], capacity);
    rig.tell(&[moved(0..6, 0, 1)]);
    assert_eq!(told(&rig.engine, 1), "withheld 2 (day_capacity 2), pending 4");
    assert_eq!((rig.offer(10).len(), rig.offer(10).len(), rig.engine.next_due()), (2, 0, Some(at(1))));
    rig.now = at(1);
    assert_eq!(rig.offer(10).len(), 2);
}

#[test]
fn an_event_is_taken_once() {
    let mut rig = Rig::with(vec![now(1)], ChannelCapacity::default());
    let from = |from, to| Origin::Offsets { source: 3, partition: 1, from, to, each: vec![] };
    let of = |who: std::ops::Range<u32>| who.map(|s| event(s, 0, 1)).collect::<Vec<_>>();
    rig.tell(&[batch(from(0, 4), of(0..4)), batch(from(0, 4), of(0..4)), batch(from(2, 6), of(2..6))]);
    assert_eq!((rig.engine.taken(3, 1), rig.engine.taken(3, 0), told(&rig.engine, 1)), (6, 0, "pending 6".into()));
    // a file whose rows are more than one byte each says where each is
    let each = Origin::Offsets { source: 3, partition: 1, from: 0, to: 100, each: vec![0, 5, 50] };
    rig.tell(&[batch(each, of(6..9))]);
    assert_eq!((told(&rig.engine, 1), rig.engine.taken(3, 1)), ("pending 7".into(), 100));
    let out = rig.tell(&[batch(from(90, 200), of(9..12))]);
    assert!(matches!(out[..], [Output::Refused { why: Refusal::Overlap { known: 100, .. }, .. }]), "{out:?}");
    let ids = |ids: &[u64]| Origin::Ids(ids.to_vec());
    rig.tell(&[batch(ids(&[7, 8, 7]), of(20..23)), batch(ids(&[8, 9]), of(23..25))]);
    assert_eq!(told(&rig.engine, 1), "pending 10");
    let n = rig.engine.intake();
    assert_eq!((n.events, n.duplicates, n.refused, n.stale), (10, 10, 0, 0));
    // beyond a crash, and the oldest of a bounded window is forgotten
    let recovered = rig.crash(3);
    assert_eq!((recovered.notes.len(), rig.engine.taken(3, 1)), (0, 100));
    rig.tell(&[batch(ids(&[7, 9]), of(30..32)), batch(from(50, 99), vec![])]);
    assert_eq!(told(&rig.engine, 1), "pending 10");
    rig.engine.checkpoint().unwrap();
    rig.crash(4);
    rig.tell(&[batch(ids(&[9]), of(30..31))]);
    assert_eq!((told(&rig.engine, 1), rig.engine.taken(3, 1)), ("pending 10".into(), 100));
    // what is wrong is refused or counted, and does nothing
    let limit = rig.engine.batch_max();
    let out = rig.tell(&[batch(Origin::None, of(0..limit as u32 + 1)), batch(ids(&[1]), of(0..2))]);
    assert!(matches!(out[0], Output::Refused { why: Refusal::LongBatch { .. }, .. }), "{out:?}");
    assert!(matches!(out[1], Output::Refused { why: Refusal::Marks { events: 2, marks: 1 }, .. }), "{out:?}");
    rig.tell(&[moved([u32::MAX - 1], 0, 1)]);
    assert_eq!((rig.engine.intake().refused, told(&rig.engine, 1)), (1, "pending 10".into()));
}

#[test]
fn stamps_never_decrease_whatever_the_batches_say() {
    let mut rig = Rig::with(vec![dwell(1, 1)], ChannelCapacity::default());
    rig.now = at(100);
    let unset = Event { arrived: Timestamp::MIN, ..event(2, 50, 7) };
    rig.tell(&[batch(Origin::None, vec![event(0, 50, 7), event(1, 40, 7), unset, event(3, 500, 7)])]);
    let due: Vec<i64> =
        (0..4).map(|s| rig.engine.state(SubscriberId(s)).unwrap().timers()[0].due.since(t0()).as_secs()).collect();
    assert_eq!(due, [110, 110, 110, 160]);
    // a pause of the same call is at its stamp: what comes behind it is not before it
    rig.now = at(105);
    rig.tell(&[Input::Pause(CampaignId(1)), moved([4], 101, 7)]);
    assert_eq!(told(&rig.engine, 1), "withheld 1 (paused 1), deferred 4");
}

fn tune(c: &mut EngineConfig) {
    c.checkpoint_events = 40;
    c.checkpoint_every = 60;
    c.window_default = 3;
    c.response_timeout = Span::secs(50);
}
fn tune_2(c: &mut EngineConfig) {
    tune(c);
    c.partitions = 2;
}
fn tune_4(c: &mut EngineConfig) {
    tune(c);
    c.partitions = 4;
}

/// A province of 40 subscribers in five chunks of a checkpoint, campaigns of every kind, a budget and a second book.
fn shelves() -> Arc<Shelves> {
    let shelves = Shelves::default();
    let control = Share { ppm: 150_000, salt: 11 };
    let wait =
        Trigger { then: Then::Wait { delay: Span::secs(90), powered_on: true }, ..Trigger::on(EventType::CALL_ENDED) };
    let absence = Trigger {
        own: false,
        then: Then::Absence { of: Filter::of(EventType::TOP_UP), within: Span::secs(200), powered_on: false },
        ..Trigger::on(EventType::BALANCE_LOW)
    };
    let count = Trigger {
        own: false,
        earlier: Some(kairos_decide::Earlier::Count {
            n: 2,
            of: Filter::of(EventType::CALL_ENDED),
            within: Span::mins(5),
        }),
        ..Trigger::on(EventType::CALL_ENDED)
    };
    let mut all = vec![
        Campaign { control, ..dwell(1, 2) },
        on(2, wait),
        on(3, absence),
        on(4, count),
        Campaign { budget: Some(Money::micros(600_000, Currency::CNY)), ..now(5) },
    ];
    for c in &mut all {
        // minutes instead of days, so that caps hold and expire
        (c.policy.same_message, c.policy.other_campaign) = (Span::mins(6), Span::secs(100));
        c.policy.quiet = kairos_decide::QuietHours::none();
    }
    let books = [(1, all.clone()), (2, all[1..].to_vec())];
    for (id, campaigns) in books {
        shelves.books.lock().unwrap().insert(PlaybookId(id), Arc::new(book(id, campaigns, ChannelCapacity::default())));
    }
    let facts = |id| Lists { id, suppressed: [who(3)].into(), ..Lists::default() };
    for id in [1, 2] {
        let book: Arc<Playbook> = shelves.books.lock().unwrap()[&PlaybookId(1)].clone();
        let layout = book.layout();
        let slot = layout.slot_of(CampaignId(2)).unwrap();
        let mut matrix = Matrix::new(layout, 40_000, 0);
        matrix.set_own(slot, (0..40).filter(|s| s % (id + 1) == 0).map(|s| SubscriberId(who(s))));
        let lists = Lists { matrix: Some(Arc::new(matrix)), ..facts(id) };
        shelves.facts.lock().unwrap().insert(SnapshotId(id), Arc::new(lists));
    }
    Arc::new(shelves)
}
fn who(n: u32) -> u32 {
    n * 1_000
}

const EVENTS: u64 = 400;

fn stream(i: u64) -> Event {
    let h = hash::salted(77, i);
    let kinds =
        [EventType::MOVED, EventType::CALL_ENDED, EventType::BALANCE_LOW, EventType::TOP_UP, EventType::POWER_OFF];
    let seconds = (i * 3 / 2) as i64;
    let late = [0, 0, 0, 30, 700][(h >> 40) as usize % 5];
    Event {
        kind: kinds[(h >> 8) as usize % 5],
        at: at(seconds - late),
        ..event(who((h >> 16) as u32 % 40), seconds, (h >> 32) as u32 % 10)
    }
}

/// What an operator and the sources do, from wherever the engine stands.
fn run(engine: &mut Engine, offers: bool, submitted: &mut Vec<kairos_model::ContactId>) -> Result<(), EngineError> {
    if engine.in_force().0.is_none() {
        engine.handle(at(-1), &[Input::SwapFacts(SnapshotId(1)), Input::SwapPlaybook(PlaybookId(1))])?;
    }
    while engine.taken(1, 0) < EVENTS {
        let from = engine.taken(1, 0);
        let to = (from + 1 + hash::salted(5, from) % 17).min(EVENTS);
        let events: Vec<Event> = (from..to).map(stream).collect();
        let stamp = events.last().unwrap().arrived;
        if from >= 150 && engine.in_force().1 == Some(SnapshotId(1)) {
            engine.handle(stamp, &[Input::SwapFacts(SnapshotId(2))])?;
        }
        if from >= 250 && engine.in_force().0 == Some(PlaybookId(1)) {
            engine.handle(stamp, &[Input::SwapPlaybook(PlaybookId(2))])?;
        }
        let origin = Origin::Offsets { source: 1, partition: 0, from, to, each: vec![] };
        engine.handle(stamp, &[batch(origin, events)])?;
        check(engine);
        if offers {
            let (offered, _) = engine.offer(stamp, Channel::Sms, 3)?;
            submitted.extend(offered.iter().map(|o| o.contact));
            let answers: Vec<Input> = offered
                .iter()
                .filter(|o| o.contact.0 % 4 > 0)
                .map(|o| Input::Outcome { contact: o.contact, outcome: Outcome::Accepted })
                .collect();
            engine.handle(stamp, &answers)?;
            check(engine);
        }
    }
    engine.handle(at(3_600), &[Input::Tick])?;
    check(engine);
    Ok(())
}
fn check(engine: &Engine) {
    let all: Vec<CampaignId> = engine
        .moments()
        .map(|(id, sums, _)| {
            assert!(sums.adds_up(), "{sums:?}");
            id
        })
        .collect();
    for id in all {
        assert_eq!(engine.recount(id, MOMENT), engine.sums(id, MOMENT));
    }
}

/// Every send and control, and the sums.
fn picture(engine: &Engine) -> String {
    let mut lines = Vec::new();
    for t in engine.trail_from(Position::START).unwrap() {
        if let (_, Trail::Decision { record, .. }) = t.unwrap()
            && !matches!(record.verdict, Verdict::Withheld { .. })
        {
            let s = record.stamp.since(t0()).0;
            lines.push(format!("{s} {} {} {}", record.subscriber, record.campaign, record.verdict.name()));
        }
    }
    for (id, sums, merged) in engine.moments() {
        lines.push(format!("{id}: {} of {}, merged {merged}", say(sums), sums.members));
    }
    lines.join("\n")
}
fn life(tune: fn(&mut EngineConfig), stops: &[u64], offers: bool) -> (String, u64, usize, u64) {
    let (disk, shelves) = (MemDisk::new(), shelves());
    let (mut submitted, mut crashes, mut stops) = (Vec::new(), 0, stops.iter());
    let mut rolled = 0;
    loop {
        disk.fail_at(stops.next().copied().unwrap_or(u64::MAX / 2), Fault::Halt);
        let mut done = |engine: &mut Engine| {
            let result = run(engine, offers, &mut submitted);
            rolled += engine.checkpoints();
            result
        };
        let outcome = open(&disk, &shelves, tune).and_then(|(mut engine, _)| {
            check(&engine);
            done(&mut engine).map(|()| engine)
        });
        match outcome {
            Ok(engine) => {
                let once: BTreeSet<_> = submitted.iter().collect();
                assert_eq!(once.len(), submitted.len(), "nobody twice");
                let unknown = engine.unknowns();
                let by_crash = unknown.iter().filter(|c| c.contact.0 % 4 > 0).count();
                assert!(by_crash <= 3 * crashes, "{by_crash} unknown by {crashes} crashes");
                return (picture(&engine), disk.calls(), crashes, rolled);
            }
            Err(_) => {
                crashes += 1;
                disk.crash(hash::salted2(3, crashes as u64, 1));
            }
        }
        assert!(crashes < 80, "never comes to an end");
    }
}

#[test]
fn partitions_and_crashes_change_nothing_that_is_decided() {
    let (want, calls, _, rolled) = life(tune, &[], false);
    expect![[r#"
         withheld 4 (suppressed 1, other_campaign 1, left_area 2), control 1, cancelled 3 (ended 3) of 8, merged 0
        c2: withheld 16 (same_message 5, other_campaign 10, powered_off 1), pending 12 of 28, merged 4
        c3: withheld 32 (suppressed 3, same_message 6, other_campaign 13, happened 10), pending 19 of 51, merged 9
        c4: withheld 7 (same_message 2, other_campaign 5), pending 10 of 17, merged 0
        c5: withheld 55 (suppressed 1, same_message 16, other_campaign 8, budget 30), pending 12 of 67, merged 0"#]]
    .assert_eq(want.split_once("c1:").map_or("", |x| x.1));
    assert!(rolled >= 4, "{rolled} checkpoints");
    assert_eq!(life(tune_2, &[], false).0, want);
    assert_eq!(life(tune_4, &[], false).0, want);
    // power loss at every operation of the disk, and the other end with another number of partitions
    let mut crashed = 0;
    for n in 1..=calls {
        let (got, _, hit, _) = life([tune, tune_2, tune_4][n as usize % 3], &[n], false);
        assert_eq!(got, want, "stopped at {n}");
        crashed += hit;
    }
    assert_eq!(crashed as u64, calls);
    for seed in 0..40 {
        let stops: Vec<u64> = (0..12).map(|i| 1 + hash::salted2(5, seed, i) % 70).collect();
        assert_eq!(life(tune, &stops, false).0, want, "{stops:?}");
    }
}

#[test]
fn nobody_twice_through_crashes_with_a_channel() {
    let (_, calls, _, _) = life(tune, &[], true);
    for n in (1..=calls).step_by(3) {
        life(tune, &[n], true);
    }
    for seed in 0..40 {
        let stops: Vec<u64> = (0..12).map(|i| 1 + hash::salted2(6, seed, i) % 90).collect();
        life(tune_2, &stops, true);
    }
}
