//! The life of a contact: answers, lost answers, receipts, opt-outs, and the trail that tells of them.

use crate::world::{Rig, at, campaign, t0};
use expect_test::expect;
use kairos_decide::ChannelCapacity;
use kairos_engine::{Input, Outcome, Output, Trail};
use kairos_journal::Position;
use kairos_model::{
    CampaignClass, CampaignId, ContactId, ContactState, Disposition, Reason, Span, SubscriberId, Verdict, WaveNo,
};

const FREE: ChannelCapacity = ChannelCapacity { per_second: None, per_day: None };

fn rig(members: u32) -> (Rig, Vec<ContactId>) {
    let mut rig = Rig::with(vec![campaign(1), campaign(2)], FREE);
    rig.start(1, 1, 0..members);
    let offered = rig.offer(members as usize);
    (rig, offered.into_iter().map(|o| o.contact).collect())
}

#[test]
fn answers_receipts_and_replies_settle_a_contact_once() {
    use Disposition::{Delivered, Ordered, Replied, Undelivered};
    let (mut rig, k) = rig(6);
    let ignored = |out: Vec<Output>| out.iter().any(|o| matches!(o, Output::Ignored { .. }));
    assert!(!ignored(rig.answer(k[0], Outcome::Accepted)));
    assert!(ignored(rig.answer(k[0], Outcome::Accepted)), "nothing new");
    assert!(ignored(rig.answer(k[0], Outcome::Refused { status: 8 })), "it was taken");
    assert!(!ignored(rig.answer(k[0], Outcome::Seen(Delivered))));
    assert!(ignored(rig.answer(k[0], Outcome::Seen(Delivered))), "a receipt that came twice");
    rig.answer(k[0], Outcome::Seen(Replied));
    rig.answer(k[0], Outcome::Seen(Ordered));
    // a receipt that overtakes the answer proves that it was taken
    rig.answer(k[1], Outcome::Seen(Undelivered));
    assert!(ignored(rig.answer(k[1], Outcome::Accepted)));
    rig.answer(k[2], Outcome::Refused { status: 11 });
    rig.answer(k[3], Outcome::Unknown);
    assert!(ignored(rig.answer(ContactId(5), Outcome::Accepted)), "nobody's contact");
    assert_eq!(
        rig.told(1, 1),
        "pending 2, sent 2, failed 1, unknown 1 [delivered 1] [undelivered 1] [replied 1]".replace(" [", ", [")
    );
    let view = rig.engine.contact(k[0]).unwrap();
    assert_eq!(
        (view.state, view.intended, view.offered, view.settled),
        (ContactState::Sent, t0(), Some(t0()), Some(t0()))
    );
    assert_eq!(view.seen.iter().collect::<Vec<_>>(), [Delivered, Replied, Ordered]);
}

#[test]
fn an_unanswered_contact_is_unknown_keeps_its_reservation_and_only_a_receipt_settles_it() {
    let (mut rig, k) = rig(2);
    rig.now = at(120).minus(Span(1));
    rig.tell(&[Input::Tick]);
    assert_eq!((rig.told(1, 1), rig.engine.next_due()), ("pending 2".into(), Some(at(120))));
    rig.now = at(120);
    rig.tell(&[Input::Tick]);
    assert_eq!(rig.told(1, 1), "unknown 2");
    assert_eq!(rig.engine.unknowns().len(), 2);
    assert_eq!(rig.engine.gate(rig.now, k[0]), Err(Reason::TooLate), "never to be written any more");
    // they count for other campaigns, and nobody offers them again
    rig.start(2, 1, 0..2);
    assert_eq!((rig.told(2, 1), rig.offer(10).len()), ("withheld 2 (other_campaign 2)".into(), 0));
    rig.answer(k[0], Outcome::Seen(Disposition::Delivered));
    rig.answer(k[1], Outcome::Refused { status: 69 });
    assert_eq!(rig.told(1, 1), "sent 1, failed 1, [delivered 1]");
    // the refused one holds no reservation any more
    let who = rig.engine.contact(k[1]).unwrap().subscriber;
    let judged = rig.engine.judge(rig.now, who, CampaignId(2)).unwrap();
    assert!(judged.all.is_empty(), "{judged:?}");
}

#[test]
fn no_more_than_the_window_is_ever_out() {
    let mut rig = Rig::with(vec![campaign(1)], FREE);
    rig.start(1, 1, 0..200);
    let first = rig.offer(1_000);
    assert_eq!((first.len(), rig.offer(1_000).len()), (64, 0));
    rig.accept(&first[..10]);
    assert_eq!(rig.offer(1_000).len(), 10);
    let recovered = rig.crash(3);
    assert_eq!((recovered.unknown.len(), rig.told(1, 1)), (64, "pending 126, sent 10, unknown 64".into()));
}

#[test]
fn caps_count_from_the_offer_not_from_the_decision() {
    let mut rig = Rig::with(vec![campaign(1), campaign(2)], FREE);
    rig.start(1, 1, [7]);
    rig.tell(&[Input::Pause(CampaignId(1))]);
    rig.now = at(86_400);
    rig.tell(&[Input::Resume(CampaignId(1))]);
    let offered = rig.offer(1);
    rig.accept(&offered);
    let judge = |rig: &Rig, s| rig.engine.judge(at(s), SubscriberId(7), CampaignId(2)).unwrap();
    assert_eq!(judge(&rig, 8 * 86_400 - 1).all.primary(), Some(Reason::OtherCampaign));
    assert_eq!(judge(&rig, 8 * 86_400 - 1).free_at, Some(at(8 * 86_400)));
    assert!(judge(&rig, 8 * 86_400).all.is_empty());
}

#[test]
fn an_opt_out_is_in_force_when_the_call_returns_and_survives() {
    let mut rig = Rig::with(vec![campaign(1), campaign(2)], ChannelCapacity { per_second: Some(10), per_day: None });
    rig.start(1, 1, 0..20);
    let offered = rig.offer(2);
    let in_flight = offered[0].subscriber;
    let order: Vec<SubscriberId> = rig.engine.members(CampaignId(1), WaveNo(1)).map(|m| m.subscriber).collect();
    let (waiting, later) = (order[3], order[15]);
    let opt = |subscriber| Input::OptOut { subscriber, class: Some(CampaignClass::Marketing) };
    rig.tell(&[opt(in_flight), opt(waiting), opt(later)]);
    // decided and not offered: cancelled at once; in flight: the Gate says no; not reached: withheld when reached
    assert_eq!(rig.told(1, 1), "not_reached 10, pending 9, cancelled 1 (no_consent 1)");
    assert_eq!(rig.engine.gate(rig.now, offered[0].contact), Err(Reason::NoConsent));
    rig.crash(9);
    rig.run_until(at(20));
    assert_eq!(rig.told(1, 1), "withheld 1 (no_consent 1), sent 16, cancelled 1 (no_consent 1), unknown 2");
    rig.tell(&[Input::OptIn { subscriber: later, class: None }]);
    assert!(rig.engine.judge(rig.now, later, CampaignId(2)).unwrap().all.is_empty());
}

#[test]
fn stamps_never_go_back() {
    let (mut rig, k) = rig(2);
    rig.now = at(50);
    rig.answer(k[0], Outcome::Accepted);
    rig.now = at(-1_000_000);
    rig.answer(k[1], Outcome::Accepted);
    assert_eq!(rig.engine.contact(k[1]).unwrap().settled, Some(at(50)));
    rig.crash(4);
    rig.tell(&[Input::KillSwitch(true)]);
    assert_eq!(rig.engine.last_stamp(), at(50));
}

#[test]
fn the_trail_in_the_journal_is_what_was_told_live() {
    let (mut rig, k) = rig(5);
    rig.answer(k[0], Outcome::Accepted);
    rig.answer(k[0], Outcome::Seen(Disposition::Delivered));
    rig.answer(k[1], Outcome::Refused { status: 88 });
    rig.answer(k[2], Outcome::Cancelled { reason: Reason::Suppressed });
    rig.answer(k[3], Outcome::Cancelled { reason: Reason::Paused });
    rig.tell(&[Input::OptOut { subscriber: SubscriberId(3), class: None }, Input::Stop(CampaignId(1))]);
    let read: Vec<Trail> = rig.engine.trail_from(Position::START).unwrap().map(|t| t.unwrap().1).collect();
    let live: Vec<Trail> =
        rig.outputs.iter().filter_map(|o| if let Output::Trail(t) = o { Some(*t) } else { None }).collect();
    assert_eq!(read, live);
    let words: Vec<String> = read
        .iter()
        .map(|t| match t {
            Trail::Decision { record, .. } => format!("decision {} {}", record.verdict.name(), record.snapshot),
            Trail::Offered { .. } => "offered".into(),
            Trail::Settled { state, reason, status, .. } => format!("settled {state} {reason:?} {status:?}"),
            Trail::Seen { disposition, .. } => format!("seen {disposition}"),
            Trail::WaveStarted { members, .. } => format!("wave of {members}"),
            Trail::WaveClosed { reason, cancelled, .. } => format!("closed {reason}, {cancelled} cancelled"),
            Trail::OptedOut { subscriber, .. } => format!("opted out {subscriber}"),
        })
        .collect();
    expect![[r#"
        wave of 5
        decision send snap1
        decision send snap1
        decision send snap1
        decision send snap1
        decision send snap1
        offered
        offered
        offered
        offered
        offered
        settled sent None None
        seen delivered
        settled failed None Some(88)
        settled cancelled Some(Suppressed) None
        settled pending Some(Paused) None
        opted out s3
        settled cancelled Some(Stopped) None
        closed stopped, 1 cancelled"#]]
    .assert_eq(&words.join("\n"));
    // read on from behind any line
    let (_, end) = rig.engine.trail_ends();
    assert_eq!(rig.engine.trail_from(end).unwrap().count(), 0);
}

#[test]
fn the_state_of_a_subscriber_is_told_for_every_wave() {
    let (rig, k) = rig(3);
    let who = rig.engine.contact(k[1]).unwrap().subscriber;
    let states = rig.engine.state_of(who, CampaignId(1));
    assert_eq!(states.iter().map(|(w, m)| (w.0, m.state)).collect::<Vec<_>>(), [(1, ContactState::Pending)]);
    assert_eq!(rig.engine.state_of(SubscriberId(99), CampaignId(1)), []);
    assert_eq!(rig.engine.contacts_of(who).iter().map(|c| c.contact).collect::<Vec<_>>(), [k[1]]);
    let judged = rig.engine.judge(rig.now, who, CampaignId(2)).unwrap();
    assert!(
        matches!(
            judged.verdict(),
            Some(Verdict::Withheld { primary: Reason::OtherCampaign, by: Some(CampaignId(1)), .. })
        ),
        "{judged:?}"
    );
}
