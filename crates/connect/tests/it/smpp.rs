//! Our client against the simulated centre, over real sockets and in simulated time.

#![allow(clippy::unwrap_used)]

use crate::smpp_desk::{Desk, Running, START, Town, config, dispatch, number};
use kairos_connect::{
    channel::{Dispatch, ReceiptState, RefusalStatus, SubmitOutcome, id_form},
    smpp::{SmppConfig, Status},
};
use kairos_model::{Reason, Span, Timestamp, clock::SharedClock, sms};
use kairos_smsc::{Counts, ReceiptStyle, SimClock, Smsc, SmscConfig};
use std::{collections::BTreeSet, sync::Arc};

/// Short and long, Latin, Chinese and beyond.
fn texts(n: u64) -> Vec<Dispatch> {
    let text = |i: u64| match i % 6 {
        0 => format!("Offer {i}: 10% off {{today}} @ €5"),
        1 => format!("尊敬的客户，彩铃{i}号业务首月免费，回复Y开通，退订回复TD。"),
        2 => format!("{i} {}", "All work and no play [makes] Jack a dull boy. ".repeat(6)),
        3 => format!("{i}{}", "这是一条很长的短信，用来试验分段与重组。".repeat(8)),
        4 => format!("🎵{i}{}", "🎶".repeat(34)),
        _ => String::new(),
    };
    (1..=n).map(|i| dispatch(i, &text(i))).collect()
}

struct World {
    desk: Arc<Desk>,
    town: Arc<Town>,
    smsc: Smsc,
    binds: Vec<Running>,
}

impl World {
    async fn new(
        contacts: Vec<Dispatch>,
        centre: impl FnOnce(&mut SmscConfig),
        client: impl FnOnce(&mut SmppConfig),
    ) -> Self {
        Self::gated(contacts, |_, _, _| Ok(()), centre, client, 1).await
    }

    async fn gated(
        contacts: Vec<Dispatch>,
        gate: impl Fn(&Dispatch, u8, Timestamp) -> Result<(), Reason> + Send + Sync + 'static,
        centre: impl FnOnce(&mut SmscConfig),
        client: impl FnOnce(&mut SmppConfig),
        binds: usize,
    ) -> Self {
        let clock: SharedClock = Arc::new(SimClock::new(START));
        let awake = clock.begin();
        let mut settings = SmscConfig::new(clock.clone(), 1);
        settings.users = vec![("kairos".to_owned(), "secret".to_owned())];
        settings.latency = Span::millis(20);
        centre(&mut settings);
        let town = Arc::new(Town::default());
        let smsc = Smsc::start(settings, town.clone()).await.unwrap();
        let desk = Desk::gated(clock.clone(), contacts, gate);
        let mut settings = config(smsc.addr());
        client(&mut settings);
        let binds = (0..binds).map(|_| Running::start(settings.clone(), &desk, &clock)).collect();
        drop(awake);
        Self { desk, town, smsc, binds }
    }

    /// Unbinds, stops the centre, and says what both counted.
    async fn end(self) -> (Vec<Status>, Counts) {
        let mut all = Vec::new();
        for bind in self.binds {
            all.push(bind.stop().await);
        }
        let counts = self.smsc.counts();
        self.smsc.stop().await;
        (all, counts)
    }
}

fn segments_of(contacts: &[Dispatch]) -> usize {
    contacts.iter().map(|d| sms::segments(&d.text)).sum()
}

async fn everything(binds: usize) -> ([usize; 5], Counts, BTreeSet<(u64, String)>, BTreeSet<(u64, String)>) {
    let contacts = texts(3_000);
    let segments = segments_of(&contacts);
    let w = World::gated(contacts.clone(), |_, _, _| Ok(()), |_| {}, |_| {}, binds).await;
    w.desk.until_ended(3_000).await;
    // a reply to each text of …13, and two parts of one to each of …31
    let (opt_outs, long) = (30, 30);
    w.desk.until_received(segments, opt_outs + 2 * long).await;
    let seen = w.town.seen.lock().unwrap().iter().map(|(to, text)| (to.reveal(), text.clone())).collect();
    let wrote = w.desk.messages().into_iter().map(|m| (m.from.reveal(), m.text)).collect();
    let receipts = w.desk.receipts();
    let off = receipts.iter().filter(|r| r.state == ReceiptState::Undeliverable).count();
    let of_off = contacts.iter().filter(|d| d.to.reveal() % 10 == 7).map(|d| sms::segments(&d.text)).sum::<usize>();
    assert_eq!((receipts.len(), off), (segments, of_off));
    for r in &receipts {
        let n = r.from.reveal() - number(0).reveal();
        assert_eq!((r.reference, r.to.as_str()), (Some(n as u16), "10086"));
        let ids: Vec<_> = w.desk.report(n).iter().map(id_of).collect();
        assert!(ids.contains(&r.message_ids[0]), "{ids:?} {r:?}");
        assert_eq!(r.submitted.map(|s| s.date()), Some("2026-03-02".parse().unwrap()));
    }
    assert!(w.desk.open_max() <= 50 * binds);
    let kinds = w.desk.kinds();
    let (status, counts) = w.end().await;
    let sum = |f: fn(&Status) -> u64| status.iter().map(f).sum::<u64>();
    assert_eq!((sum(|s| s.submits), sum(|s| s.accepted)), (segments as u64, segments as u64));
    assert_eq!((sum(|s| s.unreadable), sum(|s| s.stray), sum(|s| s.lost_connections)), (0, 0, 0));
    assert_eq!(counts.acknowledged, counts.receipts + (opt_outs + 2 * long) as u64);
    (kinds, counts, seen, wrote)
}

fn id_of(outcome: &SubmitOutcome) -> String {
    match outcome {
        SubmitOutcome::Accepted { message_id, .. } => id_form(message_id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_in_every_alphabet_arrive_as_written_and_two_runs_agree() {
    let (kinds, counts, seen, wrote) = everything(1).await;
    let sent: BTreeSet<_> =
        texts(3_000).into_iter().filter(|d| d.to.reveal() % 10 != 7).map(|d| (d.to.reveal(), d.text)).collect();
    assert_eq!(seen, sent);
    let long = "What is this, and why do you write to me? ".repeat(5);
    for (from, text) in &wrote {
        assert!(if from % 100 == 13 { text == "退订" } else { long.contains(text.as_str()) }, "{text}");
    }
    assert_eq!((counts.delivered, counts.failed, counts.replies, counts.submits), (2_700, 300, 60, kinds[0] as u64));
    assert_eq!(everything(1).await, (kinds, counts, seen.clone(), wrote.clone()));
    // three binds share the work, and nothing else changes but the binds
    let (of_three, with_three, seen_by_three, wrote_to_three) = everything(3).await;
    assert_eq!((of_three, seen_by_three, wrote_to_three), (kinds, seen, wrote));
    assert_eq!(with_three, Counts { binds: 3, ..counts });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_throttled_is_repeated_until_it_is_accepted_once() {
    let contacts = texts(1_200);
    let segments = segments_of(&contacts) as u64;
    let run = || async {
        let w = World::new(contacts.clone(), |c| c.rate_max = Some(100), |c| c.window = 200).await;
        w.desk.until_ended(1_200).await;
        let took = w.desk.ended_at().since(START);
        w.desk.until_received(segments as usize, 36).await; // 12 opt out, 12 write two parts
        let (status, counts) = w.end().await;
        (took, status[0].throttled, counts)
    };
    let (took, throttled, counts) = run().await;
    assert_eq!((counts.accepted, counts.delivered + counts.failed, counts.rejected), (segments, 1_200, 0));
    assert!(throttled > 100 && counts.throttled == throttled, "{throttled}");
    // 100 a second after a first second's worth at once
    let least = Span::secs((segments as i64 - 100) / 100);
    assert!(took >= least && took < Span(least.0 * 3), "{took:?} {least:?}");
    assert_eq!(run().await, (took, throttled, counts));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_is_waited_for() {
    let contacts: Vec<_> = (1..=300).map(|n| dispatch(n, "hello")).collect();
    let w = World::new(contacts, |c| c.queue_max = 10, |_| {}).await;
    w.desk.until_ended(300).await;
    let (status, counts) = w.end().await;
    assert!(counts.queue_full > 0 && status[0].throttled == counts.queue_full, "{counts:?}");
    assert_eq!(counts.accepted, 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_unknown_and_never_sent_again() {
    let contacts: Vec<_> = (1..=2_000).map(|n| dispatch(n, "RBT: 彩铃首月免费")).collect();
    let w = World::new(contacts, |c| c.lose_one_in = Some(40), |_| {}).await;
    w.desk.until_ended(2_000).await;
    w.desk.until_received(2_000, 0).await;
    let [accepted, refused, cancelled, unknown, returned] = w.desk.kinds();
    assert!((20..90).contains(&unknown), "{unknown}");
    assert_eq!((accepted + unknown, refused, cancelled, returned), (2_000, 0, 0, 0));
    // its receipt still tells what became of it, by reference
    for r in w.desk.receipts() {
        let n = u64::from(r.reference.unwrap());
        assert_eq!((w.desk.report(n).len(), r.from), (1, number(n)));
    }
    let (status, counts) = w.end().await;
    assert_eq!((counts.submits, counts.unanswered, status[0].unknown), (2_000, unknown as u64, unknown as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_inside_a_pdu_loses_only_what_was_open() {
    let contacts: Vec<_> = (1..=2_000).map(|n| dispatch(n, "hello")).collect();
    let w = World::new(contacts, |c| c.cut_one_in = Some(200), |_| {}).await;
    w.desk.until_ended(2_000).await;
    // everything that the centre took comes back as a receipt, over whichever connection is up
    let [accepted, refused, cancelled, unknown, returned] = w.desk.kinds();
    let taken = w.smsc.counts().accepted as usize;
    w.desk.until_received(taken, 0).await;
    let (status, counts) = w.end().await;
    // two answers that are cut in one burst share a connection
    let (cuts, lost) = (counts.unanswered, status[0].lost_connections);
    assert!(lost >= 3 && lost <= cuts && cuts <= unknown as u64, "{cuts} {lost} {unknown}");
    assert_eq!((accepted + unknown, refused, cancelled, returned), (2_000, 0, 0, 0));
    assert_eq!((counts.binds, status[0].binds), (lost + 1, lost + 1));
    assert!(counts.submits <= 2_000 && counts.accepted == counts.submits, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_is_asked_before_each_segment() {
    let two = "你".repeat(100);
    let mut contacts = vec![dispatch(1, "a"), dispatch(2, "b"), dispatch(3, &two), dispatch(4, &two), dispatch(5, "c")];
    contacts[4].not_after = START;
    contacts.push(dispatch(6, &"你".repeat(400)));
    contacts.push(Dispatch { from: "no address: far too long".to_owned(), ..dispatch(7, "d") });
    let gate = |d: &Dispatch, passed: u8, _: Timestamp| match (d.contact.0, passed) {
        (2, _) => Err(Reason::Suppressed),
        (4, 1) => Err(Reason::Paused),
        _ => Ok(()),
    };
    let w = World::gated(contacts, gate, |_| {}, |_| {}, 1).await;
    w.desk.until_ended(7).await;
    let accepted =
        |segment, segments, id: &str| SubmitOutcome::Accepted { segment, segments, message_id: id.to_owned() };
    assert_eq!(w.desk.report(1), [accepted(1, 1, "1")]);
    assert_eq!(w.desk.report(2), [SubmitOutcome::Cancelled { segment: 1, reason: Reason::Suppressed }]);
    assert_eq!(w.desk.report(3), [accepted(1, 2, "2"), accepted(2, 2, "4")]);
    let paused = SubmitOutcome::Cancelled { segment: 2, reason: Reason::Paused };
    assert_eq!(w.desk.report(4), [accepted(1, 2, "3"), paused]);
    assert_eq!(w.desk.report(5), [SubmitOutcome::Cancelled { segment: 1, reason: Reason::TooLate }]);
    let status = RefusalStatus::TooLong { needed: 6, max: 4 };
    assert_eq!(w.desk.report(6), [SubmitOutcome::Refused { segment: 1, status }]);
    assert_eq!(w.desk.report(7), [SubmitOutcome::Refused { segment: 1, status: RefusalStatus::BadSource }]);
    let (_, counts) = w.end().await;
    assert_eq!(counts.submits, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_of_either_radix_with_and_without_parameters_match() {
    for (tlvs, decimal_ids) in [(false, false), (false, true), (true, true)] {
        let style = ReceiptStyle { tlvs, decimal_ids, echo_reference: false };
        let contacts: Vec<_> = (1..=500).map(|n| dispatch(n, "hello")).collect();
        let w = World::new(contacts, |c| c.receipts = style, |_| {}).await;
        w.desk.until_received(500, 0).await;
        w.desk.until_ended(500).await;
        for r in w.desk.receipts() {
            let n = r.from.reveal() - number(0).reveal();
            let id = id_of(&w.desk.report(n)[0]);
            assert!(r.message_ids.contains(&id), "{style:?} {id} {r:?}");
            let delivered = if n % 10 == 7 { ReceiptState::Undeliverable } else { ReceiptState::Delivered };
            assert_eq!((r.reference, r.state), (None, delivered));
        }
        w.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validity_ends_where_the_contact_does() {
    let mut contacts: Vec<_> = (1..=20).map(|n| dispatch(n, "hello")).collect();
    // handset …7 would be given up after 9 s, the others reached within 1.2 s: both too late for 1 s, rounded up
    contacts.iter_mut().for_each(|d| d.not_after = START.plus(Span::millis(1_020)));
    let w = World::new(contacts, |_| {}, |_| {}).await;
    w.desk.until_received(20, 0).await;
    let expired = w.desk.receipts().iter().filter(|r| r.state == ReceiptState::Expired).count();
    let (_, counts) = w.end().await;
    assert_eq!((expired, counts.expired, counts.delivered), (6, 6, 14));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_rate_is_never_exceeded() {
    let contacts: Vec<_> = (1..=500).map(|n| dispatch(n, "hello")).collect();
    let w = World::new(contacts, |_| {}, |c| c.rate_max = Some(50)).await;
    w.desk.until_ended(500).await;
    let took = w.desk.ended_at().since(START);
    w.end().await;
    assert!((Span::millis(9_900)..Span::millis(10_200)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_gives_back_what_is_not_begun() {
    let contacts: Vec<_> = (1..=300).map(|n| dispatch(n, "hello")).collect();
    let w = World::new(contacts, |_| {}, |c| (c.rate_max, c.window) = (Some(10), 100)).await;
    w.desk.until_ended(20).await;
    let desk = w.desk.clone();
    let (status, counts) = w.end().await;
    let [accepted, refused, cancelled, unknown, returned] = desk.kinds();
    assert!(accepted >= 20 && returned > 0, "{accepted} {returned}");
    assert_eq!((refused, cancelled, unknown), (0, 0, 0));
    assert_eq!((status[0].accepted, counts.accepted, status[0].bound), (accepted as u64, accepted as u64, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_sends_nothing() {
    let w = World::new(texts(10), |c| c.users[0].1 = "other".to_owned(), |_| {}).await;
    w.desk.until_ended(0).await;
    while w.smsc.counts().refused_binds < 3 {
        tokio::task::yield_now().await;
    }
    let desk = w.desk.clone();
    let (status, counts) = w.end().await;
    assert_eq!((counts.binds, counts.submits, status[0].binds, desk.kinds()), (0, 0, 0, [0; 5]));
}
