//! Power loss at every single operation of the disk, in the middle of two waves with a channel that answers badly.
//!
//! After each: nobody submitted twice by the channel's own log, the sums add up right after opening and ever after, caps
//! and rates hold, opt-outs that were acknowledged are obeyed, nobody is forgotten.

use crate::world::{Lists, Shelves, at, book, campaign, check, hash, open, t0, wave_of};
use kairos_decide::{Campaign, ChannelCapacity, Share};
use kairos_engine::{Engine, EngineConfig, EngineError, Input, Outcome, Trail};
use kairos_journal::{Fault, MemDisk, Position};
use kairos_model::{
    CampaignId, Channel, ContactId, ContactState, Disposition, PlaybookId, Reason, SnapshotId, Span, SubscriberId,
    Timestamp, Verdict, WaveNo, hash as mix,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const MEMBERS: u32 = 40;
const RATE: u32 = 7;
const WINDOW: u32 = 5;
const OPTED_OUT: SubscriberId = SubscriberId(25);

fn tune(c: &mut EngineConfig) {
    c.window_default = WINDOW;
    c.checkpoint_every = 9;
    c.response_timeout = Span::secs(20);
}

fn shelves() -> Arc<Shelves> {
    let shelves = Shelves::default();
    let control = Share { ppm: 150_000, salt: 11 };
    let campaigns = vec![Campaign { control, ..campaign(1) }, Campaign { control, ..campaign(2) }];
    let capacity = ChannelCapacity { per_second: Some(RATE), per_day: None };
    shelves.books.lock().unwrap().insert(PlaybookId(1), Arc::new(book(1, campaigns, capacity)));
    let lists = Lists { id: 1, suppressed: (0..4).collect(), ..Lists::default() };
    shelves.facts.lock().unwrap().insert(SnapshotId(1), Arc::new(lists));
    shelves.audiences.lock().unwrap().insert(hash(17), Arc::new((0..MEMBERS).collect()));
    shelves.audiences.lock().unwrap().insert(hash(33), Arc::new((10..MEMBERS + 20).collect()));
    Arc::new(shelves)
}

/// The outside world: it survives every crash.
#[derive(Default)]
struct World {
    now: Timestamp,
    /// What the channel wrote to the centre, in order.
    submitted: Vec<(ContactId, SubscriberId, Timestamp)>,
    /// When an opt-out was acknowledged.
    opted_out_at: Option<usize>,
    asked: usize,
}

/// What the centre does with a contact is a fixed hash: taken, refused, or silent (taken or not).
fn answer(k: ContactId) -> Option<Outcome> {
    match mix::salted(77, k.0) % 10 {
        0 => Some(Outcome::Refused { status: 8 }),
        1 => Some(Outcome::Unknown),
        2 => None,
        _ => Some(Outcome::Accepted),
    }
}

/// Asks for what is not yet in force: as an operator who lost the connection would.
fn prepare(engine: &mut Engine, world: &World) -> Result<(), EngineError> {
    let now = world.now;
    if engine.in_force() != (Some(PlaybookId(1)), Some(SnapshotId(1))) {
        engine.handle(now, &[Input::SwapPlaybook(PlaybookId(1)), Input::SwapFacts(SnapshotId(1))])?;
    }
    for c in [1, 2] {
        if engine.sums(CampaignId(c), WaveNo(1)).is_none() {
            engine.handle(now, &[Input::StartWave(wave_of(c, 1))])?;
        }
    }
    Ok(())
}

fn settled(engine: &Engine) -> bool {
    [1, 2].iter().all(|&c| engine.sums(CampaignId(c), WaveNo(1)).is_some_and(|s| s.is_settled()))
}

/// Runs until everything is settled, or the disk stops.
fn run(engine: &mut Engine, world: &mut World) -> Result<(), EngineError> {
    prepare(engine, world)?;
    while !settled(engine) {
        world.asked += 1;
        let (offered, _) = engine.offer(world.now, Channel::Sms, 4)?;
        check(engine);
        let mut outcomes = Vec::new();
        for o in &offered {
            if let Err(reason) = engine.gate(world.now, o.contact) {
                outcomes.push(Input::Outcome { contact: o.contact, outcome: Outcome::Cancelled { reason } });
                continue;
            }
            world.submitted.push((o.contact, o.subscriber, world.now));
            if let Some(outcome) = answer(o.contact) {
                outcomes.push(Input::Outcome { contact: o.contact, outcome });
            }
        }
        engine.handle(world.now, &outcomes)?;
        check(engine);
        if world.asked > 3 && world.opted_out_at.is_none() {
            engine.handle(world.now, &[Input::OptOut { subscriber: OPTED_OUT, class: None }])?;
            world.opted_out_at = Some(world.submitted.len());
        }
        if offered.is_empty() && !settled(engine) {
            world.now = engine.next_due().expect("something is open").max(world.now.plus(Span::millis(100)));
        }
    }
    Ok(())
}

/// What must be true of the outside world and of the ledger, at the end.
fn judge(engine: &Engine, world: &World, crashes: usize, told: &str) {
    let mut seen = BTreeSet::new();
    let mut contacted = BTreeSet::new();
    for (i, &(k, s, _)) in world.submitted.iter().enumerate() {
        assert!(seen.insert(k), "{told}: {k} submitted twice");
        // two campaigns within an hour: the caps allow one
        let refused_before =
            world.submitted[..i].iter().any(|x| x.1 == s && matches!(answer(x.0), Some(Outcome::Refused { .. })));
        assert!(contacted.insert(s) || refused_before, "{told}: {s} contacted twice");
        assert!(s.0 >= 4, "{told}: {s} is suppressed");
        let late = world.opted_out_at.is_some_and(|n| i >= n);
        assert!(!(late && s == OPTED_OUT), "{told}: sent after an acknowledged opt-out");
    }
    let mut per_second: BTreeMap<i64, u32> = BTreeMap::new();
    for line in engine.trail_from(Position::START).unwrap() {
        if let (_, Trail::Decision { record, .. }) = line.unwrap()
            && record.verdict == Verdict::Send
        {
            *per_second.entry(record.stamp.secs()).or_default() += 1;
        }
    }
    assert!(per_second.values().all(|&n| n <= RATE), "{told}: {per_second:?}");
    let mut unknown_by_crash = 0;
    for c in [1, 2] {
        for m in engine.members(CampaignId(c), WaveNo(1)) {
            let k = ContactId::of_wave(CampaignId(c), WaveNo(1), m.subscriber);
            let submitted = seen.contains(&k);
            match m.state {
                ContactState::Sent => assert_eq!((submitted, answer(k)), (true, Some(Outcome::Accepted)), "{told} {k}"),
                ContactState::Failed => assert!(submitted, "{told} {k}"),
                ContactState::Unknown => {
                    let silent = matches!(answer(k), None | Some(Outcome::Unknown));
                    unknown_by_crash += usize::from(!submitted || !silent);
                }
                ContactState::Cancelled => {
                    assert_eq!((m.reason, m.subscriber), (Some(Reason::NoConsent), OPTED_OUT), "{told}")
                }
                ContactState::Withheld | ContactState::Control => assert!(!submitted, "{told} {k} {:?}", m.state),
                open => panic!("{told}: {k} is still {open}"),
            }
        }
    }
    assert!(unknown_by_crash <= crashes * WINDOW as usize, "{told}: {unknown_by_crash} unknown by {crashes} crashes");
}

fn life(stops: &[u64], seed: u64) -> (u64, bool) {
    let (disk, shelves) = (MemDisk::new(), shelves());
    let mut world = World { now: t0(), ..World::default() };
    let mut crashes = 0;
    let told = format!("stops {stops:?} seed {seed}");
    let mut stops = stops.iter();
    loop {
        match stops.next() {
            Some(&n) => disk.fail_at(n, Fault::Halt),
            None => disk.fail_at(u64::MAX / 2, Fault::Halt),
        }
        let outcome = open(&disk, &shelves, tune).and_then(|(mut engine, _)| {
            check(&engine);
            run(&mut engine, &mut world).map(|()| engine)
        });
        match outcome {
            Ok(engine) => {
                judge(&engine, &world, crashes, &told);
                return (disk.calls(), crashes > 0);
            }
            Err(_) => {
                crashes += 1;
                disk.crash(mix::salted2(seed, crashes as u64, 1));
                // the machine was away for a moment, and its clock may have gone back
                world.now = world.now.plus(Span::secs(if crashes % 2 == 0 { 3 } else { -2 }));
            }
        }
        assert!(crashes < 50, "{told}: never comes to an end");
    }
}

#[test]
fn power_loss_at_every_operation_of_the_disk() {
    let (calls, _) = life(&[], 0);
    assert!((100..3_000).contains(&calls), "{calls}");
    let mut crashed = 0;
    for n in 1..=calls {
        let (_, hit) = life(&[n], n);
        crashed += u64::from(hit);
    }
    assert_eq!(crashed, calls, "each of them was hit");
}

#[test]
fn power_loss_again_and_again() {
    for seed in 0..150 {
        let stops: Vec<u64> = (0..12).map(|i| 1 + mix::salted2(5, seed, i) % 60).collect();
        life(&stops, seed);
    }
}

#[test]
fn a_disk_that_fails_a_call_ends_the_engine_and_what_was_committed_stays() {
    for n in 1..60 {
        for fault in [Fault::Error, Fault::Full] {
            let (disk, shelves) = (MemDisk::new(), shelves());
            let mut world = World { now: t0(), ..World::default() };
            let Ok((mut engine, _)) = open(&disk, &shelves, tune) else { panic!("opens") };
            disk.fail_at(n, fault);
            if run(&mut engine, &mut world).is_err() {
                // poisoned: it says so for ever and writes nothing more
                let again = engine.handle(at(9), &[Input::KillSwitch(true)]);
                assert!(matches!(again, Err(EngineError::Poisoned)), "{fault:?} at {n}");
                drop(engine);
                disk.crash(n);
            }
            let (mut engine, _) = open(&disk, &shelves, tune).unwrap();
            run(&mut engine, &mut world).unwrap();
            judge(&engine, &world, 1, &format!("fault {fault:?} at {n}"));
        }
    }
}

#[test]
fn a_late_receipt_settles_what_a_crash_left_unknown() {
    let (disk, shelves) = (MemDisk::new(), shelves());
    let (mut engine, _) = open(&disk, &shelves, tune).unwrap();
    let world = World { now: t0(), ..World::default() };
    prepare(&mut engine, &world).unwrap();
    let (offered, _) = engine.offer(t0(), Channel::Sms, 4).unwrap();
    drop(engine);
    disk.crash(1);
    let (mut engine, recovered) = open(&disk, &shelves, tune).unwrap();
    let mut lost: Vec<ContactId> = offered.iter().map(|o| o.contact).collect();
    assert_eq!(recovered.unknown.iter().collect::<BTreeSet<_>>(), lost.iter().collect());
    let receipts: Vec<Input> = lost
        .drain(1..)
        .map(|contact| Input::Outcome { contact, outcome: Outcome::Seen(Disposition::Delivered) })
        .collect();
    engine.handle(at(5), &receipts).unwrap();
    let s = engine.sums(CampaignId(1), WaveNo(1)).unwrap();
    assert_eq!((s.of(ContactState::Unknown), s.of(ContactState::Sent), s.seen(Disposition::Delivered)), (1, 3, 3));
    assert_eq!(engine.unknowns()[0].contact, lost[0]);
}
