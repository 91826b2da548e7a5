//! Waves: pace, quiet hours, pause, stop, budget, lists, priorities.

use crate::world::{Lists, Rig, at, campaign, t0, wave_of};
use expect_test::expect;
use kairos_decide::{Campaign, ChannelCapacity, ContactPolicy, MinuteRange, QuietHours, RunState, Share};
use kairos_engine::{Input, Output, Refusal};
use kairos_model::{
    CampaignId, Channel, Currency, LocalDay, Money, PlaybookId, Reason, SnapshotId, Span, SubscriberId, Timestamp,
};
use std::collections::BTreeSet;

const FREE: ChannelCapacity = ChannelCapacity { per_second: None, per_day: None };
const fn pace(per_second: u32) -> ChannelCapacity {
    ChannelCapacity { per_second: Some(per_second), per_day: None }
}

#[test]
fn a_wave_keeps_to_the_rate_and_nothing_is_written_ahead() {
    let mut rig = Rig::with(vec![campaign(1)], pace(10));
    rig.start(1, 1, 0..45);
    assert_eq!(rig.told(1, 1), "not_reached 35, pending 10");
    // nobody takes them: nobody further is decided about, however late it gets
    rig.now = at(100);
    rig.tell(&[Input::Tick]);
    assert_eq!(rig.told(1, 1), "not_reached 35, pending 10");
    let offered = rig.offer(4);
    assert_eq!((offered.len(), rig.told(1, 1)), (4, "not_reached 31, pending 14".into()));
    rig.accept(&offered);
    assert_eq!(rig.told(1, 1), "not_reached 31, pending 10, sent 4");
    rig.run_until(at(110));
    assert_eq!(rig.told(1, 1), "sent 45");
    assert!(matches!(rig.outputs.last(), Some(Output::WaveSettled { .. })), "{:?}", rig.outputs.last());
    assert_eq!(rig.engine.next_due(), None);
}

#[test]
fn the_order_of_service_is_fixed_and_shared_by_all_paces() {
    let sent = |capacity| {
        let mut rig = Rig::with(vec![campaign(1)], capacity);
        rig.start(1, 1, 0..30);
        let mut order = Vec::new();
        while order.len() < 30 {
            let offered = rig.offer(7);
            rig.accept(&offered);
            order.extend(offered.iter().map(|o| o.subscriber.0));
            rig.now = rig.now.plus(Span::secs(1));
        }
        order
    };
    let all = sent(FREE);
    assert_eq!(sent(pace(1)), all);
    assert_eq!(sent(pace(9)), all);
    assert_ne!(all, (0..30).collect::<Vec<_>>());
}

#[test]
fn the_day_of_a_channel_is_local_and_the_wave_goes_on_the_next() {
    let mut rig = Rig::with(vec![campaign(1)], ChannelCapacity { per_second: None, per_day: Some(20) });
    rig.start(1, 1, 0..50);
    rig.run_until(at(3_600));
    assert_eq!(rig.told(1, 1), "not_reached 30, sent 20");
    let midnight: Timestamp = "2026-03-02T16:00:00Z".parse().unwrap();
    assert_eq!(rig.engine.waves()[0].waits, Some((Reason::DayCapacity, midnight)));
    assert_eq!(rig.engine.next_due(), Some(midnight));
    rig.run_until(midnight.minus(Span(1)));
    assert_eq!(rig.told(1, 1), "not_reached 30, sent 20");
    rig.run_until(midnight);
    assert_eq!(rig.told(1, 1), "not_reached 10, sent 40");
    rig.run_until(midnight.plus(Span::days(1)));
    assert_eq!(rig.told(1, 1), "sent 50");
}

#[test]
fn those_who_waited_through_a_pause_take_their_place_in_the_new_day() {
    let mut rig = Rig::with(vec![campaign(1)], ChannelCapacity { per_second: Some(10), per_day: Some(20) });
    rig.start(1, 1, 0..50);
    rig.tell(&[Input::Pause(CampaignId(1))]);
    assert_eq!(rig.told(1, 1), "not_reached 40, pending 10");
    rig.now = at(86_400);
    rig.tell(&[Input::Resume(CampaignId(1))]);
    rig.run_until(at(90_000));
    assert_eq!(rig.told(1, 1), "not_reached 30, sent 20");
    rig.run_until(at(2 * 86_400));
    assert_eq!(rig.told(1, 1), "not_reached 10, sent 40");
}

fn nightly() -> ContactPolicy {
    ContactPolicy {
        quiet: QuietHours::new(vec![MinuteRange { from: 21 * 60, to: 9 * 60 }]).unwrap(),
        ..ContactPolicy::default()
    }
}

#[test]
fn quiet_hours_stop_the_wave_and_what_was_intended_and_it_goes_on_at_the_exact_instant() {
    let mut rig = Rig::with(vec![Campaign { policy: nightly(), ..campaign(1) }], pace(10));
    rig.now = "2026-03-02T12:59:58Z".parse().unwrap();
    rig.start(1, 1, 0..40);
    let first = rig.offer(10);
    rig.accept(&first);
    rig.now = "2026-03-02T12:59:59Z".parse().unwrap();
    rig.tell(&[Input::Tick]);
    assert_eq!(rig.told(1, 1), "not_reached 20, pending 10, sent 10");
    // nine o'clock in the evening: ten are decided, none of them may be offered any more
    rig.now = "2026-03-02T13:00:00Z".parse().unwrap();
    assert_eq!(rig.offer(10), []);
    assert_eq!(rig.told(1, 1), "not_reached 20, deferred 10, sent 10");
    assert_eq!(rig.engine.spent(CampaignId(1)), 500_000, "a deferred contact holds no budget");
    let nine: Timestamp = "2026-03-03T01:00:00Z".parse().unwrap();
    assert_eq!(rig.engine.next_due(), Some(nine));
    rig.run_until(nine.minus(Span(1)));
    assert_eq!(rig.told(1, 1), "not_reached 20, deferred 10, sent 10");
    // those put off come first
    rig.now = nine;
    let again: BTreeSet<SubscriberId> = rig.offer(10).iter().map(|o| o.subscriber).collect();
    let deferred: BTreeSet<SubscriberId> =
        rig.engine.members(CampaignId(1), kairos_model::WaveNo(1)).skip(10).take(10).map(|m| m.subscriber).collect();
    assert_eq!(again, deferred);
}

#[test]
fn holidays_and_the_start_of_the_campaign_are_waited_for() {
    let start: Timestamp = "2026-03-03T02:00:00Z".parse().unwrap();
    let mut rig = Rig::new(|_| {});
    let mut book = crate::world::book(1, vec![Campaign { start, policy: nightly(), ..campaign(1) }], FREE);
    book.tenant.holidays.insert("2026-03-03".parse::<LocalDay>().unwrap());
    rig.shelves.books.lock().unwrap().insert(PlaybookId(1), book.into());
    rig.lists(Lists { id: 1, ..Lists::default() });
    rig.tell(&[Input::SwapPlaybook(PlaybookId(1)), Input::SwapFacts(SnapshotId(1))]);
    rig.start(1, 1, 0..5);
    assert_eq!(rig.engine.next_due(), Some(start));
    rig.run_until(start);
    let open: Timestamp = "2026-03-04T01:00:00Z".parse().unwrap();
    assert_eq!(rig.engine.waves()[0].waits, Some((Reason::Holiday, open)));
    rig.run_until(open.minus(Span(1)));
    assert_eq!(rig.told(1, 1), "not_reached 5");
    rig.run_until(open);
    assert_eq!(rig.told(1, 1), "sent 5");
}

#[test]
fn a_pause_takes_effect_in_its_own_call_and_loses_nobody() {
    let mut rig = Rig::with(vec![campaign(1), campaign(2)], pace(10));
    rig.start(1, 1, 0..30);
    let offered = rig.offer(3);
    rig.tell(&[Input::Pause(CampaignId(1))]);
    assert_eq!(rig.offer(10), []);
    // what is in flight is asked at the Gate, and comes back
    assert_eq!(rig.engine.gate(rig.now, offered[0].contact), Err(Reason::Paused));
    rig.answer(offered[0].contact, kairos_engine::Outcome::Cancelled { reason: Reason::Paused });
    rig.accept(&offered[1..]);
    rig.run_until(at(600));
    assert_eq!(rig.told(1, 1), "not_reached 20, pending 8, sent 2");
    // another campaign is not held up by those who wait
    rig.start(2, 1, 100..120);
    rig.run_until(at(610));
    assert_eq!(rig.told(2, 1), "sent 20");
    rig.tell(&[Input::Resume(CampaignId(1))]);
    let next = rig.offer(1);
    assert_eq!(next[0].contact, offered[0].contact, "put back in front");
    rig.accept(&next);
    rig.run_until(at(700));
    assert_eq!(rig.told(1, 1), "sent 30");
    let refused = rig.tell(&[Input::Resume(CampaignId(9)), Input::Stop(CampaignId(1)), Input::Resume(CampaignId(1))]);
    assert_eq!(
        refused,
        [
            Output::Refused { input: 0, why: Refusal::NoCampaign(CampaignId(9)) },
            Output::Refused { input: 2, why: Refusal::Stopped(CampaignId(1)) },
        ]
    );
}

#[test]
fn the_kill_switch_holds_everything_and_says_what_is_out() {
    let mut rig = Rig::with(vec![campaign(1)], pace(10));
    rig.start(1, 1, 0..30);
    let offered = rig.offer(3);
    rig.tell(&[Input::KillSwitch(true)]);
    assert_eq!(rig.offer(10), []);
    assert_eq!(rig.engine.in_flight().len(), 3);
    assert_eq!(rig.engine.gate(rig.now, offered[0].contact), Err(Reason::KillSwitch));
    rig.now = at(50);
    rig.crash(1);
    rig.tell(&[Input::Tick]);
    assert_eq!((rig.offer(10), rig.told(1, 1)), (vec![], "not_reached 20, pending 7, unknown 3".into()));
    rig.tell(&[Input::KillSwitch(false)]);
    rig.run_until(at(60));
    assert_eq!(rig.told(1, 1), "sent 27, unknown 3");
}

#[test]
fn after_a_stop_nobody_is_open_but_who_is_in_flight() {
    let mut rig = Rig::with(vec![campaign(1)], pace(10));
    rig.start(1, 1, 0..30);
    let offered = rig.offer(4);
    let out = rig.tell(&[Input::Stop(CampaignId(1))]);
    assert!(
        matches!(out.last(), Some(Output::Trail(kairos_engine::Trail::WaveClosed { cancelled: 26, .. }))),
        "{out:?}"
    );
    assert_eq!(rig.told(1, 1), "pending 4, cancelled 26 (stopped 26)");
    assert_eq!(rig.engine.spent(CampaignId(1)), 200_000);
    assert_eq!(rig.engine.gate(rig.now, offered[0].contact), Err(Reason::Stopped));
    rig.answer(offered[0].contact, kairos_engine::Outcome::Cancelled { reason: Reason::Stopped });
    rig.answer(offered[1].contact, kairos_engine::Outcome::Cancelled { reason: Reason::Paused });
    rig.accept(&offered[2..3]);
    rig.run_until(at(3_600));
    assert_eq!(rig.told(1, 1), "sent 1, cancelled 28 (stopped 28), unknown 1");
    assert!(rig.sums(1, 1).is_settled());
}

#[test]
fn who_is_not_offered_in_time_is_cancelled_as_too_late_or_ended() {
    let end = at(7_200);
    let mut rig = Rig::with(vec![Campaign { end, ..campaign(1) }], pace(1));
    rig.shelves.audiences.lock().unwrap().insert(crate::world::hash(17), std::sync::Arc::new((0..20).collect()));
    let mut wave = wave_of(1, 1);
    wave.not_after = at(4);
    rig.tell(&[Input::StartWave(wave)]);
    rig.run_until(at(4));
    assert_eq!(rig.told(1, 1), "not_reached 15, sent 5");
    assert_eq!(rig.engine.next_due(), Some(at(4).plus(Span(1))));
    rig.run_until(at(5));
    assert_eq!(rig.told(1, 1), "sent 5, cancelled 15 (too_late 15)");
    rig.start(1, 2, 100..10_000);
    rig.run_until(end.minus(Span(1)));
    assert_eq!(rig.sums(1, 2).of(kairos_model::ContactState::Sent), 7_195);
    rig.run_until(end);
    assert_eq!(rig.told(1, 2), "sent 7195, cancelled 2705 (ended 2705)");
}

#[test]
fn an_exhausted_budget_withholds_and_a_definite_refusal_gives_it_back() {
    let budget = Some(Money::micros(12 * 50_000, Currency::CNY));
    let control = Share { ppm: 200_000, salt: 7 };
    let mut rig = Rig::with(vec![Campaign { budget, control, ..campaign(1) }], pace(10));
    rig.start(1, 1, 0..40);
    let offered = rig.offer(2);
    rig.answer(offered[0].contact, kairos_engine::Outcome::Refused { status: 11 });
    rig.accept(&offered[1..]);
    rig.run_until(at(60));
    assert_eq!(rig.told(1, 1), "withheld 22 (budget 22), control 5, sent 12, failed 1");
    assert_eq!(rig.engine.spent(CampaignId(1)), 600_000);
}

#[test]
fn lists_withhold_controls_are_recorded_and_caps_hold_across_campaigns() {
    let control = Share { ppm: 250_000, salt: 3 };
    let holdout = Some(Share { ppm: 100_000, salt: 4 });
    let mut rig = Rig::with(vec![Campaign { control, holdout, ..campaign(1) }, campaign(2)], FREE);
    rig.lists(Lists { id: 2, suppressed: (0..10).collect(), no_address: (5..15).collect(), ..Lists::default() });
    rig.tell(&[Input::SwapFacts(SnapshotId(2))]);
    rig.start(1, 1, 0..100);
    rig.run_until(at(10));
    expect!["withheld 15 (no_address 10, suppressed 5), control 19 (6 held out), sent 66"].assert_eq(&rig.told(1, 1));
    // a control is no contact for the other campaign, a sent one is
    rig.start(2, 1, 0..100);
    rig.run_until(at(20));
    expect!["withheld 81 (no_address 10, suppressed 5, other_campaign 66), sent 19"].assert_eq(&rig.told(2, 1));
    // the second wave meets its own words: everybody decided upon, controls too
    rig.start(1, 2, 0..100);
    rig.run_until(at(30));
    expect!["withheld 100 (no_address 10, suppressed 5, same_message 85)"].assert_eq(&rig.told(1, 2));
}

#[test]
fn a_holding_wave_keeps_its_audience_until_it_has_decided_about_each() {
    let holding = Campaign { hold: true, priority: 1, channel: Channel::Mms, ..campaign(1) };
    let mut rig = Rig::with(vec![holding, campaign(2)], FREE);
    let audiences = [(CampaignId(1), (0..50).collect())].into();
    rig.lists(Lists { id: 2, suppressed: (0..10).collect(), audiences, ..Lists::default() });
    rig.tell(&[Input::SwapFacts(SnapshotId(2))]);
    rig.start(2, 1, 20..70);
    rig.run_until(at(10));
    expect!["withheld 30 (held_for 30), sent 20"].assert_eq(&rig.told(2, 1));
    // it has started: who is suppressed is withheld, and no longer held
    rig.start(1, 1, 0..50);
    rig.lists(Lists { id: 3, audiences: [(CampaignId(1), (0..50).collect())].into(), ..Lists::default() });
    rig.tell(&[Input::SwapFacts(SnapshotId(3))]);
    rig.start(2, 2, 0..20);
    rig.run_until(at(20));
    expect!["withheld 10 (other_campaign 10), sent 10"].assert_eq(&rig.told(2, 2));
}

#[test]
fn the_more_important_campaign_is_served_first() {
    let (small, big) = (Campaign { priority: 9, ..campaign(1) }, Campaign { priority: 2, ..campaign(2) });
    let mut rig = Rig::with(vec![small, big], pace(5));
    rig.tell(&[Input::KillSwitch(true)]);
    rig.start(1, 1, 0..20);
    rig.start(2, 1, 10..22);
    rig.tell(&[Input::KillSwitch(false)]);
    rig.run_until(at(2));
    assert_eq!(
        (rig.told(1, 1), rig.told(2, 1)),
        ("not_reached 15, withheld 2 (other_campaign 2), sent 3".into(), "sent 12".into())
    );
    rig.run_until(at(10));
    assert_eq!(rig.told(1, 1), "withheld 10 (other_campaign 10), sent 10");
}

#[test]
fn what_makes_no_sense_is_refused_and_the_rest_of_the_call_is_done() {
    let mut rig = Rig::new(|c| {
        c.subscribers_max = 1_000;
        c.waves_max = 1;
    });
    let refusals = |out: Vec<Output>| -> Vec<String> {
        out.into_iter()
            .map(|o| match o {
                Output::Refused { input, why } => format!("{input}: {why}"),
                other => format!("{other:?}"),
            })
            .collect()
    };
    let out = rig.tell(&[
        Input::StartWave(wave_of(1, 1)),
        Input::SwapPlaybook(PlaybookId(1)),
        Input::SwapFacts(SnapshotId(1)),
    ]);
    let mut lines = refusals(out);
    rig.shelve(1, vec![campaign(1), Campaign { run: RunState::Stopped, ..campaign(2) }], FREE);
    rig.shelve(2, vec![campaign(1), Campaign { run: RunState::Running, ..campaign(2) }], FREE);
    rig.lists(Lists { id: 1, ..Lists::default() });
    for (n, members) in [(17, vec![]), (18, vec![5, 1_000]), (19, vec![1])] {
        rig.shelves
            .audiences
            .lock()
            .unwrap()
            .insert(crate::world::hash(n), std::sync::Arc::new(members.into_iter().collect()));
    }
    let mut old = wave_of(1, 3);
    old.version = kairos_model::CampaignVersion(7);
    let out = rig.tell(&[
        Input::SwapPlaybook(PlaybookId(1)),
        Input::SwapPlaybook(PlaybookId(2)),
        Input::SwapPlaybook(PlaybookId(1)),
        Input::SwapFacts(SnapshotId(1)),
        Input::StartWave(wave_of(3, 1)),
        Input::StartWave(old),
        Input::StartWave(wave_of(2, 1)),
        Input::StartWave(wave_of(1, 0)),
        Input::StartWave(wave_of(1, 1)),
        Input::StartWave(wave_of(1, 2)),
        Input::StartWave(wave_of(1, 4)),
        Input::OptOut { subscriber: SubscriberId(4_000), class: None },
    ]);
    lines.extend(refusals(out));
    rig.tell(&[Input::StartWave(wave_of(1, 3))]);
    lines.extend(refusals(
        rig.engine.handle(t0(), &[Input::StartWave(wave_of(1, 3)), Input::StartWave(wave_of(1, 5))]).unwrap(),
    ));
    expect![[r#"
        0: no playbook is in force yet; swap one in first
        1: playbook 1 is missing from the library
        2: facts of snapshot 1 is missing from the library
        2: playbook book1 is older than playbook book2, which is in force
        4: campaign c3 is not in the playbook in force
        5: campaign c1 is at version v1 in the playbook, not v7: approve and swap the playbook first
        6: campaign c2 has been stopped; a stop is for good
        7: waves are numbered from 1
        8: the audience is empty; nobody would be reached
        9: subscriber s1000 is past the limit of 1000; raise `subscribers_max`
        10: audience 1414141414141414141414141414141414141414141414141414141414141414 is missing from the library
        11: subscriber s4000 is past the limit of 1000; raise `subscribers_max`
        0: wave 3 of campaign c1 has been started before
        1: the engine keeps at most 1 waves; raise `waves_max`"#]]
    .assert_eq(&lines.join("\n"));
    assert_eq!(rig.told(1, 3), "pending 1");
}

#[test]
fn one_call_judges_only_so_many_and_asks_to_be_called_again_a_moment_later() {
    let mut rig = Rig::new(|c| c.judged_max = 100);
    rig.shelve(1, vec![Campaign { budget: Some(Money::micros(0, Currency::CNY)), ..campaign(1) }], FREE);
    rig.lists(Lists { id: 1, ..Lists::default() });
    rig.tell(&[Input::SwapPlaybook(PlaybookId(1)), Input::SwapFacts(SnapshotId(1))]);
    rig.start(1, 1, 0..250);
    let mut story = Vec::new();
    while let Some(due) = rig.engine.next_due().filter(|d| *d < at(9)) {
        story.push(format!("{} then after {:?}", rig.told(1, 1), due.since(rig.now)));
        rig.now = due;
        rig.tell(&[Input::Tick]);
    }
    story.push(rig.told(1, 1));
    expect![[r#"
        not_reached 150, withheld 100 (budget 100) then after 0.001s
        not_reached 50, withheld 200 (budget 200) then after 0.001s
        withheld 250 (budget 250)"#]]
    .assert_eq(&story.join("\n"));
}

#[test]
fn a_new_playbook_never_softens_a_pause() {
    let mut rig = Rig::with(vec![campaign(1)], FREE);
    rig.start(1, 1, 0..5);
    rig.tell(&[Input::Pause(CampaignId(1))]);
    rig.shelve(2, vec![Campaign { run: RunState::Running, ..campaign(1) }], FREE);
    rig.tell(&[Input::SwapPlaybook(PlaybookId(2))]);
    assert_eq!(rig.offer(9), []);
    rig.tell(&[Input::Resume(CampaignId(1))]);
    assert_eq!(rig.offer(9).len(), 5);
    // a book without the campaign ends its waves
    rig.shelve(3, vec![], FREE);
    rig.start(1, 2, 10..15);
    rig.tell(&[Input::SwapPlaybook(PlaybookId(3))]);
    assert_eq!(rig.told(1, 2), "cancelled 5 (ended 5)");
}

#[test]
fn a_simulation_says_what_the_wave_then_does_and_contacts_nobody() {
    let budget = Some(Money::micros(30 * 50_000, Currency::CNY));
    let c = Campaign {
        control: Share { ppm: 250_000, salt: 3 },
        holdout: Some(Share { ppm: 100_000, salt: 4 }),
        budget,
        ..campaign(1)
    };
    let mut rig = Rig::with(vec![c, campaign(2)], FREE);
    rig.start(2, 1, 80..90);
    rig.run_until(at(1));
    let lists = Lists { id: 2, suppressed: (0..10).collect(), ..Lists::default() };
    rig.lists(lists.clone());
    rig.tell(&[Input::SwapFacts(SnapshotId(2))]);
    let calls = rig.disk.calls();
    let fall = rig.engine.simulate(rig.now, rig.engine.book().unwrap(), &lists, CampaignId(1), &(0..100).collect());
    assert_eq!(rig.disk.calls(), calls);
    rig.start(1, 1, 0..100);
    rig.run_until(at(10));
    let s = rig.sums(1, 1);
    assert_eq!(
        (fall.members, fall.withheld, fall.control + fall.holdout, fall.holdout),
        (100, s.withheld, s.by_state[3], s.holdout)
    );
    assert_eq!(fall.sent, s.by_state[5]);
    expect!["withheld 60 (suppressed 10, other_campaign 10, budget 40), control 10 (3 held out), sent 30"]
        .assert_eq(&rig.told(1, 1));
}
