//! A naive oracle: it keeps every contact for ever and judges by scanning all of them, minute by minute where the
//! calendar is asked. Random lives of one subscriber among many campaigns, at times around the edges of the windows.

use crate::dice::Dice;
use crate::world::{Known, campaign};
use kairos_decide::{
    Campaign, Consent, ContactPolicy, Entry, FamilyId, Judgement, Listed, Mark, MinuteRange, Playbook, QuietHours,
    RunState, SendCheck, States, TenantPolicy, UnknownConsent, check_at_send, judge,
};
use kairos_model::{
    CampaignClass, CampaignId, ContactId, PlaybookId, Reason, ReasonSet, Span, SubscriberId, Timestamp, Verdict, Zone,
    hash,
};

const LIVES: u64 = 2_500;
const STEPS: u64 = 40;
const WHO: SubscriberId = SubscriberId(77);

/// What the oracle remembers of a contact. Nothing is ever removed; a released one is `Gone`.
#[derive(Clone, Copy)]
struct Remembered {
    id: ContactId,
    campaign: CampaignId,
    family: FamilyId,
    stamp: Timestamp,
    what: What,
}
#[derive(Clone, Copy, PartialEq)]
enum What {
    Pending,
    Sent,
    Unknown,
    Control,
    Decided,
    Gone,
}

fn random_book(dice: &mut Dice, base: Timestamp) -> Playbook {
    let days = [0, 1, 7, 30, 60, 366];
    let hours = [
        QuietHours::none(),
        QuietHours::new(vec![MinuteRange { from: 21 * 60, to: 8 * 60 }]).unwrap(),
        QuietHours::new(vec![MinuteRange { from: 0, to: 1 }, MinuteRange { from: 700, to: 830 }]).unwrap(),
    ];
    let campaigns = (1..=dice.below(7) as u32 + 2)
        .map(|id| {
            let end = base.plus(Span::days(dice.of(&[20, 45, 400])));
            Campaign {
                priority: dice.below(4) as u32,
                family: FamilyId(dice.below(4) as u32),
                class: dice.of(CampaignClass::ALL),
                hold: dice.one_in(3),
                start: base.plus(Span::days(dice.of(&[-9, -9, 3]))),
                end,
                run: dice.of(&[
                    RunState::Approved,
                    RunState::Running,
                    RunState::Running,
                    RunState::Paused,
                    RunState::Stopped,
                ]),
                policy: ContactPolicy {
                    same_message: Span::days(dice.of(&days)),
                    other_campaign: Span::days(dice.of(&days)),
                    quiet: hours[dice.below(3) as usize].clone(),
                    holidays: dice.one_in(2),
                    do_not_disturb: !dice.one_in(3),
                    unknown_consent: dice.of(&[UnknownConsent::Deny, UnknownConsent::Allow]),
                },
                ..campaign(id)
            }
        })
        .collect();
    let mut tenant = TenantPolicy::new(Zone::named(dice.of(&["Asia/Shanghai", "Europe/Berlin"])).unwrap());
    let first = tenant.zone.day(base);
    for _ in 0..dice.below(6) {
        tenant.holidays.insert(first.plus_days(dice.below(40) as i32));
    }
    let mut book = Playbook::new(PlaybookId(1), tenant, campaigns).unwrap();
    book.kill = dice.one_in(15);
    book
}

fn random_facts(dice: &mut Dice, book: &Playbook) -> Known {
    // two in three are somebody whom only caps and times can speak against
    if dice.below(3) > 0 {
        return Known {
            audiences: book.campaigns().iter().map(|c| c.id).filter(|_| dice.one_in(4)).collect(),
            ..Known::default()
        };
    }
    let listed = [Listed::No, Listed::No, Listed::Yes, Listed::Unreadable];
    Known {
        address: !dice.one_in(4),
        suppressed: dice.of(&listed),
        do_not_disturb: dice.of(&listed),
        consent: dice.of(&[Consent::Granted, Consent::Granted, Consent::Denied, Consent::Unknown, Consent::Unreadable]),
        audiences: book.campaigns().iter().map(|c| c.id).filter(|_| dice.one_in(2)).collect(),
    }
}

fn counts(r: &Remembered, among: &[What]) -> bool {
    among.contains(&r.what)
}

/// All reasons, in whatever order.
fn scan(
    past: &[Remembered],
    own: Option<ContactId>,
    out: &[CampaignClass],
    c: &Campaign,
    f: &Known,
    b: &Playbook,
    now: Timestamp,
) -> ReasonSet {
    let mut all = ReasonSet::EMPTY;
    let mut add = |r, yes: bool| {
        if yes {
            all = all.with(r);
        }
    };
    for r in past.iter().filter(|r| Some(r.id) != own) {
        let age = now.0 - r.stamp.0;
        let family = counts(r, &[What::Pending, What::Sent, What::Unknown, What::Control]);
        let contact = counts(r, &[What::Pending, What::Sent, What::Unknown]);
        add(Reason::SameMessage, family && r.family == c.family && age < c.policy.same_message.0);
        add(Reason::OtherCampaign, contact && r.campaign != c.id && age < c.policy.other_campaign.0);
    }
    add(Reason::NoAddress, !f.address);
    add(Reason::Suppressed, f.suppressed == Listed::Yes);
    let disturb = if c.policy.do_not_disturb { f.do_not_disturb } else { Listed::No };
    add(Reason::DoNotDisturb, disturb == Listed::Yes);
    let denied = f.consent == Consent::Denied
        || (f.consent == Consent::Unknown && c.policy.unknown_consent == UnknownConsent::Deny);
    add(Reason::NoConsent, denied || out.contains(&c.class));
    let unreadable = [f.suppressed, disturb].contains(&Listed::Unreadable) || f.consent == Consent::Unreadable;
    add(Reason::Unreadable, unreadable);
    add(Reason::Ended, now >= c.end);
    add(Reason::Paused, now < c.start || c.run == RunState::Paused);
    add(Reason::Stopped, c.run == RunState::Stopped);
    add(Reason::KillSwitch, b.kill);
    let [quiet, holiday] = closed(c, b, now);
    add(Reason::QuietHours, quiet);
    add(Reason::Holiday, holiday);
    all
}

fn closed(c: &Campaign, b: &Playbook, t: Timestamp) -> [bool; 2] {
    let minute = b.tenant.zone.minute_of_day(t);
    let quiet = c
        .policy
        .quiet
        .ranges()
        .iter()
        .any(|r| if r.from < r.to { (r.from..r.to).contains(&minute) } else { !(r.to..r.from).contains(&minute) });
    [quiet, c.policy.holidays && b.tenant.holidays.contains(&b.tenant.zone.day(t))]
}

fn holder(past: &[Remembered], c: &Campaign, f: &Known, b: &Playbook, now: Timestamp) -> Option<CampaignId> {
    let holds = |h: &&Campaign| {
        h.hold && h.priority < c.priority && h.run != RunState::Stopped && now < h.end && f.audiences.contains(&h.id)
    };
    let undecided = |h: &&Campaign| {
        !past.iter().any(|r| r.campaign == h.id && r.what != What::Gone && now.0 - r.stamp.0 < 366 * 86_400_000_000)
    };
    b.campaigns().iter().filter(holds).filter(undecided).min_by_key(|h| (h.priority, h.id)).map(|h| h.id)
}

/// Minute by minute: quiet hours and days begin and end on whole minutes.
fn next_open(c: &Campaign, b: &Playbook, from: Timestamp) -> Timestamp {
    let mut t = from;
    while closed(c, b, t) != [false, false] {
        t = Timestamp((t.0.div_euclid(60_000_000) + 1) * 60_000_000);
    }
    t
}

fn verdict_of(all: ReasonSet) -> &'static str {
    match all.iter().next() {
        None => "clear",
        Some(Reason::QuietHours | Reason::Holiday | Reason::Paused) => "defer",
        Some(_) => "withheld",
    }
}

fn compare(got: &Judgement, all: ReasonSet, c: &Campaign, b: &Playbook, now: Timestamp, told: &str) {
    assert_eq!(got.all, all, "{told}");
    let verdict = got.verdict();
    assert_eq!(verdict.map_or("clear", |v| v.name()), verdict_of(all), "{told}");
    if let Some(Verdict::Defer { until, primary, .. }) = verdict {
        assert_eq!(Some(primary), all.iter().next(), "{told}");
        let from = now.max(c.start);
        let paused = now >= c.start && closed(c, b, now) == [false, false];
        assert_eq!(until, if paused { Timestamp::MAX } else { next_open(c, b, from) }, "{told}");
    }
}

/// A step in time: small ones, days, or exactly to an edge of a window of an earlier contact.
fn later(dice: &mut Dice, now: Timestamp, past: &[Remembered], book: &Playbook) -> Timestamp {
    let edges: Vec<i64> = past
        .iter()
        .flat_map(|r| book.campaigns().iter().map(move |c| (r, c)))
        .flat_map(|(r, c)| [r.stamp.plus(c.policy.same_message).0, r.stamp.plus(c.policy.other_campaign).0])
        .flat_map(|t| [t - 1, t, t + 1])
        .filter(|&t| t >= now.0)
        .collect();
    if !edges.is_empty() && dice.below(3) > 0 {
        return Timestamp(edges[dice.below(edges.len() as u64) as usize]);
    }
    now.plus(dice.of(&[Span(0), Span(1), Span::secs(1), Span::hours(5), Span::days(1), Span::days(6), Span::days(29)]))
}

#[test]
fn judged_as_by_scanning_everything_ever_kept() {
    let (mut judged, mut by_reason, mut clear) = (0u64, [0u64; Reason::COUNT], 0u64);
    for life in 0..LIVES {
        let mut dice = Dice(0x6f72_6163_6c65 + life, 0);
        let mut now =
            "2026-03-02T00:30:00Z".parse::<Timestamp>().unwrap().plus(Span(dice.below(86_400_000_000) as i64));
        let book = random_book(&mut dice, now);
        let mut facts = random_facts(&mut dice, &book);
        let (mut state, mut past, mut out) = (States::default(), Vec::<Remembered>::new(), Vec::new());
        for turn in 0..STEPS {
            now = later(&mut dice, now, &past, &book);
            if dice.one_in(6) {
                facts = random_facts(&mut dice, &book);
            }
            act(&mut dice, now, life * STEPS + turn, &book, &mut state, &mut past, &mut out);
            for c in book.campaigns() {
                let told = format!("life {life} turn {turn} {} at {now}: {:?}", c.id, state.get(WHO).history());
                let got = judge(state.get(WHO), WHO, c.id, &facts, &book, now);
                let mut all = scan(&past, None, &out, c, &facts, &book, now);
                let held = holder(&past, c, &facts, &book, now);
                if held.is_some() {
                    all = all.with(Reason::HeldFor);
                }
                compare(&got, all, c, &book, now, &told);
                if all.primary() == Some(Reason::HeldFor) {
                    assert_eq!(got.by, held, "{told}");
                }
                judged += 1;
                clear += u64::from(all.is_empty());
                all.iter().for_each(|r| by_reason[r as usize] += 1);
                // every reservation of this campaign, checked as if it were sent now
                for r in past.iter().filter(|r| r.what == What::Pending && r.campaign == c.id) {
                    let not_after = dice.of(&[now.minus(Span(1)), now, Timestamp::MAX]);
                    let check = SendCheck { contact: r.id, subscriber: WHO, campaign: c.id, not_after };
                    let mut all = scan(&past, Some(r.id), &out, c, &facts, &book, now);
                    if not_after < now {
                        all = all.with(Reason::TooLate);
                    }
                    match check_at_send(state.get(WHO), &check, &facts, &book, now) {
                        Ok(()) => assert!(all.is_empty(), "{told}: {all:?}"),
                        Err(got) => compare(&got, all, c, &book, now, &told),
                    }
                }
            }
        }
    }
    // the lives must have met everything that a judgement can say
    let never = [
        Reason::NotEligible,
        Reason::Arbitration,
        Reason::DayCapacity,
        Reason::RateCapacity,
        Reason::Budget,
        Reason::TooLate,
        Reason::OutOfWindow,
        Reason::PoweredOff,
        Reason::LeftArea,
        Reason::Happened,
        Reason::Waiting,
    ];
    for &r in Reason::ALL.iter().filter(|r| !never.contains(r)) {
        assert!(by_reason[r as usize] > 1_000, "{r}: {}", by_reason[r as usize]);
    }
    assert!(judged > 300_000 && clear > 5_000, "{judged} {clear}");
}

/// Something happens to the subscriber: a new contact, a control, an answer, an opt-out.
fn act(
    dice: &mut Dice,
    now: Timestamp,
    serial: u64,
    book: &Playbook,
    state: &mut States,
    past: &mut Vec<Remembered>,
    out: &mut Vec<CampaignClass>,
) {
    let open: Vec<usize> = (0..past.len()).filter(|&i| counts(&past[i], &[What::Pending, What::Unknown])).collect();
    if !open.is_empty() && dice.one_in(2) {
        let r = &mut past[open[dice.below(open.len() as u64) as usize]];
        match dice.below(5) {
            0 if r.what == What::Pending => {
                // offered: counts from now
                r.stamp = now;
                assert!(state.remark(WHO, r.campaign, r.id, Mark::Pending, Some(now)));
            }
            0 | 1 => {
                r.what = What::Sent;
                assert!(state.remark(WHO, r.campaign, r.id, Mark::Sent, None));
            }
            2 => {
                r.what = What::Unknown;
                assert!(state.remark(WHO, r.campaign, r.id, Mark::Unknown, None));
            }
            3 => {
                r.what = What::Decided;
                assert!(state.remark(WHO, r.campaign, r.id, Mark::Decided, None));
            }
            _ => {
                r.what = What::Gone;
                assert!(state.release(WHO, r.campaign, r.id));
            }
        }
        return;
    }
    match dice.below(12) {
        0 => {
            let class = dice.of(CampaignClass::ALL);
            out.push(class);
            state.set_opted_out(WHO, Some(class), true);
        }
        1 => {
            out.clear();
            state.set_opted_out(WHO, None, false);
        }
        2..=5 => {}
        n => {
            let c = &book.campaigns()[dice.below(book.campaigns().len() as u64) as usize];
            let (what, mark) = match n {
                6 => (What::Control, Mark::Control),
                7 => (What::Decided, Mark::Decided),
                8 => (What::Sent, Mark::Sent),
                _ => (What::Pending, Mark::Pending),
            };
            let id = ContactId(hash::mix(serial));
            past.push(Remembered { id, campaign: c.id, family: c.family, stamp: now, what });
            state.add(WHO, Entry::new(now, c.id, c.family, id, mark));
        }
    }
}
