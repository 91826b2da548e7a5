//! Triggers as stories of one subscriber: what happened at which second, and what the campaigns did.

use crate::world::{Known, campaign};
use expect_test::{Expect, expect};
use kairos_decide::{
    Action, Actions, Arm, Campaign, CellSet, Cmp, ContactPolicy, Earlier, Entry, Failing, FamilyId, Field, Filter,
    Layout, Mark, Matrix, MinuteRange, Playbook, QuietHours, RunState, Share, States, TenantPolicy, Test, Then,
    Trigger, explain, fire_due, step,
};
use kairos_model::{
    CampaignId, CellId, ContactId, Event, EventType, Party, PartyId, PlaybookId, Reason, ShortCode, Span, SubscriberId,
    Timestamp, Verdict, Zone,
};
use std::sync::Arc;

pub const WHO: SubscriberId = SubscriberId(3);
pub const PEER: SubscriberId = SubscriberId(4);
const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

/// Monday 2026-03-02, 10:00 in Shanghai.
pub fn t0() -> Timestamp {
    "2026-03-02T02:00:00Z".parse().unwrap()
}
pub fn at(s: i64) -> Timestamp {
    t0().plus(Span::secs(s))
}

pub fn with(id: u32, trigger: Trigger) -> Campaign {
    Campaign { trigger: Some(Arc::new(trigger)), ..campaign(id) }
}
pub fn area(cells: &[u32]) -> Option<Arc<CellSet>> {
    Some(Arc::new(CellSet::new(cells.iter().map(|&c| CellId(c)))))
}

/// A book whose campaigns all let `WHO` through, and of peers only `PEER`.
pub fn bound(campaigns: Vec<Campaign>) -> Playbook {
    let mut book =
        Playbook::new(PlaybookId(9), TenantPolicy::new(Zone::named("Asia/Shanghai").unwrap()), campaigns).unwrap();
    let layout = Layout::of(book.campaigns());
    let slots: Vec<usize> = layout.slots().iter().enumerate().filter(|(_, s)| s.is_some()).map(|(i, _)| i).collect();
    let mut matrix = Matrix::new(layout, 10, 10);
    for slot in slots {
        matrix.set_own(slot, [WHO]);
        matrix.set_peer(slot, [PartyId::from(PEER)]);
    }
    book.bind(Some(&Arc::new(matrix)));
    assert!(book.unmatched().is_empty());
    book
}

pub fn event(kind: EventType, s: i64, cell: u32) -> Event {
    Event {
        kind,
        flags: 0,
        subscriber: WHO,
        peer: PartyId::NONE,
        cell: CellId(cell),
        at: at(s),
        arrived: at(s),
        aux: 0,
    }
}

pub fn say(a: &Action, since: Timestamp) -> String {
    let s = |t: Timestamp| t.since(since).0 as f64 / 1e6;
    match a {
        Action::Request(r) => {
            let arm = match r.arm {
                Arm::Send => "send",
                Arm::Control => "control",
                Arm::Holdout => "holdout",
            };
            let waited = if r.moment.unwrap().fired { " after waiting" } else { "" };
            format!("{}s {} {arm}{waited}", s(r.stamp), r.campaign)
        }
        Action::Withheld(w) => {
            let Verdict::Withheld { all, .. } = w.record.verdict else { panic!("{w:?}") };
            format!("{}s {} withheld {all:?}", s(w.record.stamp), w.record.campaign)
        }
        Action::Waiting(w) => format!("{} waits until {}s", w.campaign, s(w.due)),
        Action::Merged(c) => format!("{c} waits already"),
        Action::Decided(d) => panic!("{d:?}"),
    }
}

struct Story {
    states: States,
    book: Playbook,
    facts: Known,
    actions: Actions,
}

impl Story {
    fn of(campaigns: Vec<Campaign>) -> Self {
        Self { states: States::default(), book: bound(campaigns), facts: Known::default(), actions: Actions::default() }
    }
    fn event(&mut self, e: Event) -> &mut Self {
        step(&mut self.states, &e, &self.facts, &self.book, e.arrived, &mut self.actions);
        self
    }
    fn on(&mut self, kind: EventType, s: i64, cell: u32) -> &mut Self {
        self.event(event(kind, s, cell))
    }
    fn until(&mut self, s: i64) -> &mut Self {
        fire_due(&mut self.states, WHO, at(s), &self.facts, &self.book, &mut self.actions);
        self
    }
    fn told(&mut self, want: Expect) -> &mut Self {
        let lines: Vec<String> = self.actions.list.drain(..).map(|a| say(&a, t0())).collect();
        want.assert_eq(&lines.join("\n"));
        self
    }
}

fn free() -> ContactPolicy {
    ContactPolicy { same_message: Span::ZERO, other_campaign: Span::ZERO, ..ContactPolicy::default() }
}

#[test]
fn after_hang_up_plus_five_minutes_and_every_reason_why_not() {
    let hang_up = Trigger {
        on: Filter {
            flags_all: Event::CALLER,
            tests: vec![Test { field: Field::LOW, cmp: Cmp::AtLeast, value: 30 }],
            area: area(&[7, 8]),
            ..Filter::of(EventType::CALL_ENDED)
        },
        window: vec![MinuteRange { from: 9 * 60, to: 21 * 60 }],
        peer: true,
        then: Then::Wait { delay: Span::mins(5), powered_on: true },
        ..Trigger::on(EventType::CALL_ENDED)
    };
    let call =
        |s, cell| Event { flags: Event::CALLER, peer: PEER.into(), aux: 285, ..event(EventType::CALL_ENDED, s, cell) };
    let one = || Story::of(vec![with(1, hang_up.clone())]);
    one().event(call(0, 7)).until(5 * MINUTE).told(expect![[r#"
        c1 waits until 300s
        300s c1 send after waiting"#]]);
    // the callee hung up; too short; off campus; the peer is not on the list, or nobody
    let nothing = |e: Event| {
        one().event(e).until(DAY).told(expect![""]);
    };
    nothing(Event { flags: Event::CALLEE, ..call(0, 7) });
    nothing(Event { aux: 29, ..call(0, 7) });
    nothing(Event { cell: CellId(9), ..call(0, 7) });
    nothing(Event { peer: SubscriberId(5).into(), ..call(0, 7) });
    nothing(Event { peer: Party::Short(ShortCode(1)).into(), ..call(0, 7) });
    nothing(Event { peer: PartyId::NONE, ..call(0, 7) });
    nothing(Event { subscriber: SubscriberId(5), ..call(0, 7) });
    // in the last minute of the window; then the firing is outside
    one().event(call(11 * 3600 - 1, 7)).until(DAY).told(expect![[r#"
        c1 waits until 39899s
        39899s c1 withheld {"out_of_window"}"#]]);
    nothing(call(11 * 3600, 7));
    // the phone is off when it fires
    one().event(call(0, 7)).on(EventType::POWER_OFF, 299, 0).until(DAY).told(expect![[r#"
        c1 waits until 300s
        300s c1 withheld {"powered_off"}"#]]);
    // a second call neither restarts nor adds; one at the due time comes after the firing
    one().event(call(0, 7)).event(call(100, 8)).event(call(300, 7)).told(expect![[r#"
        c1 waits until 300s
        c1 waits already
        300s c1 send after waiting
        300s c1 withheld {"same_message"}"#]]);
}

#[test]
fn who_leaves_the_airport_at_minute_nineteen_gets_nothing() {
    let enters = Trigger {
        on: Filter { area: area(&[70, 71]), ..Filter::of(EventType::MOVED) },
        then: Then::Dwell { delay: Span::mins(20), powered_on: true },
        ..Trigger::on(EventType::MOVED)
    };
    let one = || Story::of(vec![with(1, enters.clone())]);
    one().on(EventType::MOVED, 0, 70).on(EventType::MOVED, 600, 71).until(DAY).told(expect![[r#"
        c1 waits until 1200s
        c1 waits already
        1200s c1 send after waiting"#]]);
    one().on(EventType::MOVED, 0, 70).on(EventType::CALL_ENDED, 19 * MINUTE, 5).until(DAY).told(expect![[r#"
        c1 waits until 1200s
        1140s c1 withheld {"left_area"}"#]]);
    // coming back begins anew; what says nothing about the place does not end it
    one().on(EventType::MOVED, 0, 70).on(EventType::MOVED, 60, 5).on(EventType::MOVED, 120, 70).told(expect![[r#"
        c1 waits until 1200s
        60s c1 withheld {"left_area"}
        c1 waits until 1320s"#]]);
    one().on(EventType::MOVED, 0, 70).on(EventType::TOP_UP, 60, 0).on(EventType::POWER_OFF, 1200, 70).until(DAY).told(
        // the phone went off at minute 20: the timer of minute 20 was first
        expect![[r#"
            c1 waits until 1200s
            1200s c1 send after waiting"#]],
    );
    // a late report of an older place moves nothing
    let late = Event { arrived: at(500), ..event(EventType::MOVED, -60, 5) };
    one().on(EventType::MOVED, 0, 70).event(late).until(DAY).told(expect![[r#"
        c1 waits until 1200s
        1200s c1 send after waiting"#]]);
}

#[test]
fn balance_low_and_no_top_up_in_two_days() {
    let low = Trigger {
        then: Then::Absence { of: Filter::of(EventType::TOP_UP), within: Span::hours(48), powered_on: false },
        ..Trigger::on(EventType::BALANCE_LOW)
    };
    let one = || Story::of(vec![with(1, low.clone())]);
    one().on(EventType::BALANCE_LOW, 0, 0).until(2 * DAY - 1).told(expect!["c1 waits until 172800s"]);
    one().on(EventType::BALANCE_LOW, 0, 0).until(2 * DAY).told(expect![[r#"
        c1 waits until 172800s
        172800s c1 send after waiting"#]]);
    one().on(EventType::BALANCE_LOW, 0, 0).on(EventType::TOP_UP, 2 * DAY - 1, 0).until(3 * DAY).told(expect![[r#"
        c1 waits until 172800s
        172799s c1 withheld {"happened"}"#]]);
    // due at the very stamp of the top-up: the timer was first
    one().on(EventType::BALANCE_LOW, 0, 0).on(EventType::TOP_UP, 2 * DAY, 0).told(expect![[r#"
        c1 waits until 172800s
        172800s c1 send after waiting"#]]);
    // a top-up from before, reported late, is none in these two days
    let before = Event { arrived: at(300), ..event(EventType::TOP_UP, -1, 0) };
    one().on(EventType::BALANCE_LOW, 0, 0).event(before).until(2 * DAY).told(expect![[r#"
        c1 waits until 172800s
        172800s c1 send after waiting"#]]);
}

#[test]
fn the_second_international_call_in_a_day() {
    const ABROAD: u16 = 1 << 4;
    let abroad = Filter { flags_all: ABROAD, ..Filter::of(EventType::CALL_STARTED) };
    let second = Trigger {
        on: abroad.clone(),
        earlier: Some(Earlier::Count { n: 2, of: abroad, within: Span::days(1) }),
        ..Trigger::on(EventType::CALL_STARTED)
    };
    let one = || Story::of(vec![Campaign { policy: free(), ..with(1, second.clone()) }]);
    let call = |s| Event { flags: ABROAD, ..event(EventType::CALL_STARTED, s, 1) };
    one().event(call(0)).on(EventType::CALL_STARTED, 5, 1).event(call(DAY - 1)).told(expect!["86399s c1 send"]);
    one().event(call(0)).event(call(DAY)).told(expect![""]);
    // a match uses the count up: the third begins anew, the fourth is the second again
    one().event(call(0)).event(call(1)).event(call(2)).event(call(3)).told(expect![[r#"
        1s c1 send
        3s c1 send"#]]);
    // a late one counts at its own time, for an hour; and triggers only while it is fresh
    let late = |s, by| Event { arrived: at(s + by), ..call(s) };
    one().event(late(0, 3600)).event(call(3601)).told(expect!["3601s c1 send"]);
    one().event(late(0, 3601)).event(call(3602)).told(expect![""]);
    one().event(call(0)).event(late(10, 600)).told(expect!["610s c1 send"]);
    one().event(call(0)).event(late(10, 601)).event(call(700)).told(expect!["700s c1 send"]);
}

#[test]
fn a_sequence_in_its_order_and_window() {
    let steps = vec![Filter::of(EventType::PAGE_VIEWED), Filter::of(EventType::PRODUCT_USED)];
    let story = Trigger {
        earlier: Some(Earlier::Sequence { steps, within: Span::hours(1) }),
        ..Trigger::on(EventType::BALANCE_LOW)
    };
    let one = || Story::of(vec![Campaign { policy: free(), ..with(1, story.clone()) }]);
    let (a, b, c) = (EventType::PAGE_VIEWED, EventType::PRODUCT_USED, EventType::BALANCE_LOW);
    one().on(a, 0, 0).on(b, 10, 0).on(c, 3599, 0).told(expect!["3599s c1 send"]);
    one().on(a, 0, 0).on(b, 10, 0).on(c, 3600, 0).told(expect![""]);
    one().on(b, 0, 0).on(a, 10, 0).on(c, 20, 0).told(expect![""]);
    // the latest beginning counts
    one()
        .on(a, 0, 0)
        .on(b, 10, 0)
        .on(a, 20, 0)
        .on(b, 30, 0)
        .on(c, 3610, 0)
        .on(c, 3611, 0)
        .told(expect!["3610s c1 send"]);
}

#[test]
fn one_event_has_one_contact_by_priority_then_id_and_timers_are_no_contact() {
    let now = |id: u32, priority| Campaign { priority, ..with(id, Trigger::on(EventType::MOVED)) };
    let wait = |id: u32, priority, mins| Campaign {
        priority,
        ..with(
            id,
            Trigger {
                then: Then::Wait { delay: Span::mins(mins), powered_on: false },
                ..Trigger::on(EventType::MOVED)
            },
        )
    };
    Story::of(vec![now(1, 5), wait(2, 1, 10), now(3, 2), now(4, 2), wait(5, 9, 1)])
        .on(EventType::MOVED, 0, 1)
        .until(DAY)
        .told(expect![[r#"
            c2 waits until 600s
            0s c3 send
            600s c2 withheld {"other_campaign"}"#]]);
    // equal due times by campaign, not by priority
    Story::of(vec![wait(1, 9, 5), wait(2, 1, 5)]).on(EventType::MOVED, 0, 1).until(DAY).told(expect![[r#"
        c2 waits until 300s
        c1 waits until 300s
        300s c1 send after waiting
        300s c2 withheld {"other_campaign"}"#]]);
}

#[test]
fn more_than_sixty_four_timers_and_none_is_dropped() {
    let many: Vec<Campaign> = (1..=150)
        .map(|id| {
            let delay = Span::mins(i64::from(id * 7 % 150) + 1);
            let then = Then::Wait { delay, powered_on: false };
            Campaign { policy: free(), ..with(id, Trigger { then, ..Trigger::on(EventType::MOVED) }) }
        })
        .collect();
    let mut story = Story::of(many);
    story.on(EventType::MOVED, 0, 1);
    assert_eq!(story.states.get(WHO).timers().len(), 150);
    story.actions.list.clear();
    story.until(DAY);
    let fired: Vec<(i64, u32)> = story
        .actions
        .list
        .iter()
        .map(|a| match a {
            Action::Request(r) => (r.stamp.since(t0()).as_secs(), r.campaign.0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(fired.len(), 150);
    assert!(fired.is_sorted());
    assert!(story.states.get(WHO).timers().is_empty());
}

#[test]
fn exactly_seven_and_thirty_days_later_is_allowed_and_the_fifth_contact_counts() {
    for (days, campaign_before, mark, allowed) in
        [(30, 1, Mark::Sent, 1), (30, 1, Mark::Control, 1), (7, 2, Mark::Sent, 1), (0, 2, Mark::Control, 0)]
    {
        for late in [-1, 0] {
            let mut story = Story::of(vec![with(1, Trigger::on(EventType::MOVED))]);
            // older ones that do not matter any more, so that the one that does is the fifth
            for old in 0..4 {
                let stamp = at(-40 * DAY);
                story.states.add(WHO, Entry::new(stamp, CampaignId(9), FamilyId(9), ContactId(old), Mark::Sent));
            }
            let stamp = at(-days * DAY - late);
            let (c, f) = (CampaignId(campaign_before), FamilyId(campaign_before));
            story.states.add(WHO, Entry::new(stamp, c, f, ContactId(77), mark));
            story.on(EventType::MOVED, 0, 1);
            let sent = matches!(story.actions.list[..], [Action::Request(_)]);
            assert_eq!(sent, allowed == 0 || late == 0, "{days} {mark:?} {late}");
        }
    }
}

#[test]
fn what_defers_a_wave_withholds_a_moment_and_quiet_hours_matter_when_it_fires() {
    let night = QuietHours::new(vec![MinuteRange { from: 9 * 60, to: 10 * 60 + 5 }]).unwrap();
    let policy = ContactPolicy { quiet: night, ..ContactPolicy::default() };
    let now = Campaign { policy: policy.clone(), ..with(1, Trigger::on(EventType::MOVED)) };
    Story::of(vec![now.clone()]).on(EventType::MOVED, 0, 1).told(expect![[r#"0s c1 withheld {"quiet_hours"}"#]]);
    let then = |mins| Then::Wait { delay: Span::mins(mins), powered_on: false };
    let wait = |mins| Campaign {
        policy: policy.clone(),
        ..with(1, Trigger { then: then(mins), ..Trigger::on(EventType::MOVED) })
    };
    Story::of(vec![wait(4)]).on(EventType::MOVED, 0, 1).until(DAY).told(expect![[r#"
        c1 waits until 240s
        240s c1 withheld {"quiet_hours"}"#]]);
    Story::of(vec![wait(5)]).on(EventType::MOVED, 0, 1).until(DAY).told(expect![[r#"
        c1 waits until 300s
        300s c1 send after waiting"#]]);
    let paused = Campaign { run: RunState::Paused, ..with(1, Trigger::on(EventType::MOVED)) };
    Story::of(vec![paused]).on(EventType::MOVED, 0, 1).told(expect![[r#"0s c1 withheld {"paused"}"#]]);
    let control = Campaign { control: Share { ppm: 1_000_000, salt: 1 }, ..with(1, Trigger::on(EventType::MOVED)) };
    // a control is no contact for others
    Story::of(vec![control, with(2, Trigger::on(EventType::TOP_UP))])
        .on(EventType::MOVED, 0, 1)
        .on(EventType::MOVED, 1, 1)
        .on(EventType::TOP_UP, 2, 1)
        .told(expect![[r#"
            0s c1 control
            1s c1 withheld {"same_message"}
            2s c2 send"#]]);
}

#[test]
fn a_timer_is_judged_by_the_book_in_force_when_it_fires() {
    let then = Then::Wait { delay: Span::mins(5), powered_on: false };
    let wait = with(1, Trigger { then, ..Trigger::on(EventType::MOVED) });
    let fires = |next: Vec<Campaign>, want: Expect| {
        let mut story = Story::of(vec![wait.clone()]);
        story.on(EventType::MOVED, 0, 1).told(expect!["c1 waits until 300s"]);
        story.book = bound(next);
        story.until(DAY).told(want);
    };
    fires(vec![], expect![[r#"300s c1 withheld {"ended"}"#]]);
    fires(vec![Campaign { run: RunState::Stopped, ..wait.clone() }], expect![[r#"300s c1 withheld {"stopped"}"#]]);
    let window = vec![MinuteRange { from: 11 * 60, to: 12 * 60 }];
    fires(
        vec![with(1, Trigger { window, ..Trigger::on(EventType::MOVED) })],
        expect![[r#"300s c1 withheld {"out_of_window"}"#]],
    );
    // a snapshot in which the condition does not hold any more
    let mut story = Story::of(vec![wait.clone()]);
    story.on(EventType::MOVED, 0, 1);
    story.book.bind(Some(&Arc::new(Matrix::new(story.book.layout(), 10, 0))));
    story.actions.list.clear();
    story.until(DAY).told(expect![[r#"300s c1 withheld {"not_eligible"}"#]]);
}

#[test]
fn a_campaign_without_a_bit_does_not_match_and_is_named() {
    let needs = with(1, Trigger::on(EventType::MOVED));
    let asks_nobody = with(2, Trigger { own: false, ..Trigger::on(EventType::MOVED) });
    let mut book = Playbook::new(PlaybookId(9), TenantPolicy::new(Zone::utc()), vec![needs, asks_nobody]).unwrap();
    assert_eq!(book.unmatched(), [CampaignId(1)]);
    let mut other = Playbook::clone(&book).campaigns().to_vec();
    other[0].version = kairos_model::CampaignVersion(2);
    let mut matrix = Matrix::new(Layout::of(&other), 10, 0);
    matrix.set_own(0, [WHO]);
    book.bind(Some(&Arc::new(matrix)));
    assert_eq!(book.unmatched(), [CampaignId(1)], "a bit of another version is none");
    let mut story = Story { book, ..Story::of(vec![]) };
    story.on(EventType::MOVED, 0, 1).told(expect!["0s c2 send"]);
}

#[test]
fn every_failing_check_is_named_in_order() {
    let trigger = Trigger {
        on: Filter { flags_all: 1, area: area(&[7]), ..Filter::of(EventType::MOVED) },
        window: vec![MinuteRange { from: 0, to: 60 }],
        peer: true,
        earlier: Some(Earlier::Count { n: 2, of: Filter::of(EventType::MOVED), within: Span::days(1) }),
        ..Trigger::on(EventType::MOVED)
    };
    let book = bound(vec![with(1, trigger)]);
    let states = States::default();
    let e = Event { subscriber: SubscriberId(5), at: at(-601), ..event(EventType::TOP_UP, 0, 1) };
    let facts = Known { address: false, ..Known::default() };
    let got = explain(&states, &e, CampaignId(1), &facts, &book, t0());
    let policy = |f: &Failing| matches!(f, Failing::Policy(j) if j.all.has(Reason::NoAddress));
    assert!(policy(got.last().unwrap()));
    assert_eq!(
        got[..got.len() - 1],
        [
            Failing::Type,
            Failing::Stale,
            Failing::Area,
            Failing::Window,
            Failing::Own,
            Failing::Peer,
            Failing::Fields,
            Failing::Earlier
        ]
    );
    assert_eq!(explain(&states, &e, CampaignId(8), &facts, &book, t0()), [Failing::NoTrigger]);
    let fine = bound(vec![with(1, Trigger::on(EventType::TOP_UP))]);
    let e = event(EventType::TOP_UP, 0, 1);
    assert_eq!(explain(&states, &e, CampaignId(1), &Known::default(), &fine, t0()), []);
}

#[test]
fn triggers_that_make_no_sense_are_refused() {
    let refuse = |t: Trigger| {
        let tenant = TenantPolicy::new(Zone::utc());
        match Playbook::new(PlaybookId(3), tenant, vec![with(4, t)]) {
            Err(e) => e.to_string().replace("playbook book3, campaign c4: ", ""),
            Ok(_) => "accepted".into(),
        }
    };
    let base = || Trigger::on(EventType::MOVED);
    let wait = |delay| Trigger { then: Then::Wait { delay, powered_on: true }, ..base() };
    let count = |n| {
        let of = Filter::of(EventType::MOVED);
        Trigger { earlier: Some(Earlier::Count { n, of, within: Span::days(1) }), ..base() }
    };
    let field = Field { shift: 60, bits: 8 };
    let test = Test { field, cmp: Cmp::Equal, value: 1 };
    let lines = [
        refuse(Trigger::on(EventType::WAVE_REACHED)),
        refuse(Trigger { on: Filter { area: area(&[]), ..Filter::of(EventType::MOVED) }, ..base() }),
        refuse(Trigger { on: Filter { tests: vec![test], ..Filter::of(EventType::MOVED) }, ..base() }),
        refuse(wait(Span::ZERO)),
        refuse(wait(Span::days(367))),
        refuse(Trigger { window: vec![MinuteRange { from: 5, to: 5 }], ..base() }),
        refuse(count(1)),
        refuse(Trigger { valid_for: Span::ZERO, ..base() }),
        refuse(wait(Span::days(366))),
    ];
    expect![[r#"
        a wave is no trigger
        an area of the trigger has no cell
        a trigger compares bits that an event does not have
        the trigger's delay must be above 0 and at most 366 days
        the trigger's delay must be above 0 and at most 366 days
        a window of the trigger is no range of a day
        the trigger counts to 2 at least and 1,000 at most
        the trigger's valid_for must be above 0 and at most 366 days
        accepted"#]]
    .assert_eq(&lines.join("\n"));
}
