//! The rules as stories: what happened, and what each campaign may do at which second.

use crate::world::{Known, book, campaign};
use expect_test::{Expect, expect};
use kairos_decide::{
    Action, Actions, BookError, Campaign, Consent, ContactPolicy, Entry, FamilyId, Listed, Mark, MinuteRange, Playbook,
    QuietHours, RunState, Share, State, States, TenantPolicy, arm_of, judge, step, wave_event,
};
use kairos_model::{
    CampaignId, CellId, ContactId, Event, EventType, LocalDay, PartyId, PlaybookId, Reason, Span, SubscriberId,
    Timestamp, Verdict, WaveNo, Zone,
};

const DAY: i64 = 86_400;
const WHO: SubscriberId = SubscriberId(1);
/// Monday 2026-03-02, 10:00 in Shanghai.
const T0: &str = "2026-03-02T02:00:00Z";

fn t0() -> Timestamp {
    T0.parse().unwrap()
}
fn entry(c: u32, family: u32, mark: Mark, at: Timestamp) -> Entry {
    Entry::new(at, CampaignId(c), FamilyId(family), ContactId(u64::from(c) << 8), mark)
}
fn say(v: Option<Verdict>) -> String {
    match v {
        None => "clear".into(),
        Some(Verdict::Defer { until, primary, all }) => format!("defer {primary} until {until} {all:?}"),
        Some(Verdict::Withheld { primary, all, by }) => {
            format!("withheld {primary}{} {all:?}", by.map_or(String::new(), |c| format!(" by {c}")))
        }
        Some(other) => other.name().into(),
    }
}

/// At each offset in seconds from `t0`: what speaks against campaign `c`.
fn check(history: &[Entry], facts: &Known, campaigns: Vec<Campaign>, c: u32, at: &[i64], want: Expect) {
    let mut state = States::default();
    history.iter().for_each(|&e| state.add(WHO, e));
    let book = book(campaigns);
    let lines: Vec<String> = at
        .iter()
        .map(|&s| {
            let j = judge(state.get(WHO), WHO, CampaignId(c), facts, &book, t0().plus(Span::secs(s)));
            let free = j.free_at.map_or(String::new(), |t| format!(", free {}s", t.since(t0()).as_secs()));
            format!("{s}s {}{free}", say(j.verdict()))
        })
        .collect();
    want.assert_eq(&lines.join("\n"));
}

#[test]
fn the_same_message_waits_thirty_days_to_the_second_whatever_the_campaign() {
    let (one, two) = (Campaign { family: FamilyId(7), ..campaign(1) }, Campaign { family: FamilyId(7), ..campaign(2) });
    let sent = [entry(1, 7, Mark::Sent, t0())];
    let at = [0, 7 * DAY, 30 * DAY - 1, 30 * DAY];
    check(
        &sent,
        &Known::default(),
        vec![one.clone(), two.clone()],
        2,
        &at,
        expect![[r#"
        0s withheld same_message by c1 {"same_message", "other_campaign"}, free 2592000s
        604800s withheld same_message by c1 {"same_message"}, free 2592000s
        2591999s withheld same_message by c1 {"same_message"}, free 2592000s
        2592000s clear"#]],
    );
    // a second wave of the same campaign says the same, and is not "another campaign"
    check(
        &sent,
        &Known::default(),
        vec![one],
        1,
        &[0, 30 * DAY],
        expect![[r#"
        0s withheld same_message by c1 {"same_message"}, free 2592000s
        2592000s clear"#]],
    );
}

#[test]
fn any_other_campaign_waits_seven_days_to_the_second() {
    for mark in [Mark::Sent, Mark::Pending, Mark::Unknown] {
        let history = [entry(1, 1, mark, t0())];
        let at = [0, 7 * DAY - 1, 7 * DAY];
        check(
            &history,
            &Known::default(),
            vec![campaign(1), campaign(2)],
            2,
            &at,
            expect![[r#"
            0s withheld other_campaign by c1 {"other_campaign"}, free 604800s
            604799s withheld other_campaign by c1 {"other_campaign"}, free 604800s
            604800s clear"#]],
        );
    }
}

#[test]
fn a_control_is_charged_to_its_own_family_and_is_no_contact_for_others() {
    let history = [entry(1, 1, Mark::Control, t0())];
    let other = campaign(2);
    let same_words = Campaign { family: FamilyId(1), ..campaign(3) };
    let all = vec![campaign(1), other, same_words];
    check(&history, &Known::default(), all.clone(), 2, &[0], expect!["0s clear"]);
    check(
        &history,
        &Known::default(),
        all.clone(),
        1,
        &[0, 30 * DAY],
        expect![[r#"
        0s withheld same_message by c1 {"same_message"}, free 2592000s
        2592000s clear"#]],
    );
    check(
        &history,
        &Known::default(),
        all,
        3,
        &[0],
        expect![[r#"0s withheld same_message by c1 {"same_message"}, free 2592000s"#]],
    );
}

#[test]
fn the_fifth_contact_back_still_counts() {
    let history: Vec<Entry> =
        (0..6).map(|i| entry(10 + i, i, Mark::Sent, t0().minus(Span::days(29 - i as i64)))).collect();
    let c = Campaign {
        family: FamilyId(0),
        policy: ContactPolicy { other_campaign: Span::ZERO, ..ContactPolicy::default() },
        ..campaign(1)
    };
    check(
        &history,
        &Known::default(),
        vec![c],
        1,
        &[0, DAY],
        expect![[r#"
        0s withheld same_message by c10 {"same_message"}, free 86400s
        86400s clear"#]],
    );
}

#[test]
fn all_reasons_are_judged_and_the_first_in_the_fixed_order_is_primary() {
    let facts = Known {
        address: false,
        suppressed: Listed::Yes,
        do_not_disturb: Listed::Yes,
        consent: Consent::Unknown,
        ..Known::default()
    };
    let night = QuietHours::new(vec![MinuteRange { from: 9 * 60, to: 11 * 60 }]).unwrap();
    let c = Campaign {
        policy: ContactPolicy { quiet: night, ..ContactPolicy::default() },
        run: RunState::Paused,
        ..campaign(2)
    };
    check(
        &[entry(1, 2, Mark::Sent, t0())],
        &facts,
        vec![c],
        2,
        &[0, 2 * 3600],
        expect![[r#"
        0s withheld no_address {"no_address", "suppressed", "do_not_disturb", "no_consent", "same_message", "other_campaign", "quiet_hours", "paused"}, free 2592000s
        7200s withheld no_address {"no_address", "suppressed", "do_not_disturb", "no_consent", "same_message", "other_campaign", "paused"}, free 2592000s"#]],
    );
}

#[test]
fn what_cannot_be_read_is_not_sent() {
    for facts in [
        Known { suppressed: Listed::Unreadable, ..Known::default() },
        Known { do_not_disturb: Listed::Unreadable, ..Known::default() },
        Known { consent: Consent::Unreadable, ..Known::default() },
    ] {
        check(&[], &facts, vec![campaign(1)], 1, &[0], expect![[r#"0s withheld unreadable {"unreadable"}"#]]);
    }
}

#[test]
fn quiet_hours_and_holidays_defer_and_do_not_kill() {
    let night = QuietHours::new(vec![MinuteRange { from: 20 * 60, to: 9 * 60 }]).unwrap();
    let c = Campaign { policy: ContactPolicy { quiet: night, ..ContactPolicy::default() }, ..campaign(1) };
    let mut tenant = TenantPolicy::new(Zone::named("Asia/Shanghai").unwrap());
    tenant.holidays.insert("2026-03-03".parse::<LocalDay>().unwrap());
    let book = Playbook::new(PlaybookId(1), tenant, vec![c]).unwrap();
    let at =
        |s| say(judge(State::BLANK, WHO, CampaignId(1), &Known::default(), &book, t0().plus(Span::secs(s))).verdict());
    assert_eq!(at(10 * 3600 - 1), "clear");
    assert_eq!(at(10 * 3600), r#"defer quiet_hours until 2026-03-04T01:00:00Z {"quiet_hours"}"#);
    assert_eq!(at(DAY), r#"defer holiday until 2026-03-04T01:00:00Z {"holiday"}"#);
    assert_eq!(at(2 * DAY - 3600), "clear");
}

#[test]
fn a_holding_campaign_keeps_its_audience_until_it_has_decided() {
    let facts = Known { audiences: [CampaignId(1)].into(), ..Known::default() };
    let holder = |run| Campaign { hold: true, run, end: t0().plus(Span::days(5)), ..campaign(1) };
    let with = |run| vec![holder(run), campaign(2)];
    let at = [0, 5 * DAY - 1, 5 * DAY];
    for run in [RunState::Approved, RunState::Running, RunState::Paused] {
        check(
            &[],
            &facts,
            with(run),
            2,
            &at,
            expect![[r#"
            0s withheld held_for by c1 {"held_for"}
            431999s withheld held_for by c1 {"held_for"}
            432000s clear"#]],
        );
    }
    check(&[], &facts, with(RunState::Stopped), 2, &[0], expect!["0s clear"]);
    check(&[], &Known::default(), with(RunState::Running), 2, &[0], expect!["0s clear"]);
    // it has decided: withheld, or control
    for mark in [Mark::Decided, Mark::Control] {
        check(&[entry(1, 1, mark, t0())], &facts, with(RunState::Running), 2, &[0], expect!["0s clear"]);
    }
    // only lower priorities are held off
    let equal = vec![holder(RunState::Running), Campaign { priority: 1, ..campaign(2) }];
    check(&[], &facts, equal, 2, &[0], expect!["0s clear"]);
}

#[test]
fn control_and_holdout_are_judged_last_and_a_raised_share_only_adds() {
    let share = |ppm| Share { ppm, salt: 99 };
    let with = |ppm, hold| Campaign { control: share(ppm), holdout: Some(Share { ppm: hold, salt: 5 }), ..campaign(1) };
    let arms = |c: &Campaign| {
        (0..20_000).fold([0; 3], |mut n, s| {
            n[arm_of(c, SubscriberId(s), &Known::default()) as usize] += 1;
            n
        })
    };
    let [send, control, holdout] = arms(&with(100_000, 50_000));
    assert_eq!((send, control, holdout), (17_138, 1_894, 968));
    for s in (0..20_000).map(SubscriberId) {
        if arm_of(&with(50_000, 0), s, &Known::default()) == kairos_decide::Arm::Control {
            assert_eq!(arm_of(&with(60_000, 0), s, &Known::default()), kairos_decide::Arm::Control);
        }
    }
    // somebody suppressed is withheld, control or not: a control is one who would have been sent
    let book = book(vec![with(1_000_000, 0)]);
    let mut actions = Actions::default();
    let (event, mut state) = (wave_event(CampaignId(1), WaveNo(1), WHO, t0()), States::default());
    let facts = Known { suppressed: Listed::Yes, ..Known::default() };
    step(&mut state, &event, &facts, &book, t0(), &mut actions);
    step(&mut state, &event, &Known::default(), &book, t0(), &mut actions);
    match actions.list[..] {
        [Action::Decided(d), Action::Request(r)] => {
            assert_eq!(say(Some(d.verdict)), r#"withheld suppressed {"suppressed"}"#);
            assert_eq!(
                (r.arm.verdict(), r.contact),
                (Verdict::Control, ContactId::of_wave(CampaignId(1), WaveNo(1), WHO))
            );
        }
        ref other => panic!("{other:?}"),
    }
    assert!(state.get(WHO).is_default(), "a wave's event leaves the state alone until it is granted");
}

#[test]
fn a_campaign_that_the_book_lacks_is_not_eligible() {
    check(
        &[],
        &Known::default(),
        vec![campaign(1)],
        9,
        &[0],
        expect![[r#"0s withheld not_eligible {"not_eligible"}"#]],
    );
}

#[test]
fn events_keep_last_cell_and_power() {
    let book = book(vec![]);
    let (mut state, mut actions) = (States::default(), Actions::default());
    let mut event = |kind, cell| {
        let e = Event {
            kind,
            flags: 0,
            subscriber: WHO,
            peer: PartyId::NONE,
            cell: CellId(cell),
            at: t0(),
            arrived: t0(),
            aux: 0,
        };
        step(&mut state, &e, &Known::default(), &book, t0(), &mut actions);
        (state.get(WHO).cell().0, state.get(WHO).powered_on())
    };
    assert_eq!(event(EventType::MOVED, 70_000), (70_000, true));
    assert_eq!(event(EventType::POWER_OFF, 5), (5, false));
    assert_eq!(event(EventType::CALL_ENDED, 6), (6, true));
}

#[test]
fn a_playbook_that_makes_no_sense_is_refused_with_the_reason() {
    let tenant = || TenantPolicy::new(Zone::utc());
    let refuse = |c: Campaign| match Playbook::new(PlaybookId(3), tenant(), vec![c]) {
        Err(e) => e.to_string(),
        Ok(_) => "accepted".into(),
    };
    let ok = campaign(4);
    let policy = |f: fn(&mut ContactPolicy)| {
        let mut p = ContactPolicy::default();
        f(&mut p);
        Campaign { policy: p, ..campaign(4) }
    };
    let lines = [
        refuse(Campaign { control: Share { ppm: 1_000_001, salt: 0 }, ..ok.clone() }),
        refuse(Campaign { end: ok.start, ..ok.clone() }),
        refuse(Campaign { treatments: 0, ..ok.clone() }),
        refuse(policy(|p| p.same_message = Span::days(367))),
        refuse(policy(|p| {
            p.quiet = QuietHours::new(vec![MinuteRange { from: 0, to: 720 }, MinuteRange { from: 700, to: 0 }]).unwrap()
        })),
        refuse(ok.clone()),
    ];
    expect![[r#"
        playbook book3, campaign c4: the control share is above 1,000,000 millionths
        playbook book3, campaign c4: it ends at 1970-01-01T00:00:00Z and starts at 1970-01-01T00:00:00Z; the end must be later
        playbook book3, campaign c4: it has no treatment; give at least one
        playbook book3, campaign c4: the window same_message must be 0 to 366 days
        playbook book3, campaign c4: the quiet hours cover the whole day; leave some of it
        accepted"#]]
    .assert_eq(&lines.join("\n"));
    let twice = Playbook::new(PlaybookId(3), tenant(), vec![ok.clone(), ok]);
    assert_eq!(twice, Err(BookError::Twice { book: PlaybookId(3), campaign: CampaignId(4) }));
}

#[test]
fn reasons_that_defer() {
    let list: Vec<&str> =
        Reason::ALL.iter().filter(|&&r| kairos_decide::Judgement::defers(r)).map(|r| r.name()).collect();
    assert_eq!(list, ["quiet_hours", "holiday", "day_capacity", "rate_capacity", "paused", "waiting"]);
}
