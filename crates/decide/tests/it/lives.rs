//! A naive oracle for triggers: it keeps every event, every timer and every contact for ever and answers each question
//! by scanning them, without masks, bits, lists in order or dropped entries. Random lives of one subscriber.

use crate::dice::Dice;
use crate::{
    moments::{WHO, area, bound, say, t0, with},
    world::Known,
};
use kairos_decide::{
    Action, Actions, Arm, Campaign, Cmp, ContactPolicy, Earlier, Field, Filter, Listed, MinuteRange, Playbook, Share,
    States, Test, Then, Trigger, arm_of, fire_due, step,
};
use kairos_model::{CampaignId, CellId, Event, EventType, PartyId, Reason, Span, SubscriberId, Timestamp};
use std::collections::BTreeMap;

const LIVES: u64 = 5_000;
const EVENTS: u64 = 60;

const KINDS: [EventType; 4] = [EventType::CALL_ENDED, EventType::MOVED, EventType::TOP_UP, EventType::POWER_OFF];

fn filter(dice: &mut Dice) -> Filter {
    let test = Test { field: Field::LOW, cmp: dice.of(&[Cmp::More, Cmp::AtMost, Cmp::NotEqual]), value: 2 };
    Filter {
        flags_all: dice.of(&[0, 0, 1]),
        flags_none: dice.of(&[0, 0, 2]),
        tests: if dice.one_in(3) { vec![test] } else { Vec::new() },
        area: dice.of(&[None, area(&[1, 2]), area(&[2, 3, 4]), area(&[5])]),
        ..Filter::of(dice.of(&KINDS))
    }
}

fn trigger(dice: &mut Dice) -> Trigger {
    let on = filter(dice);
    let (delay, powered_on) = (Span::mins(dice.of(&[1, 5, 5, 20, 60])), dice.one_in(2));
    let within = Span::mins(dice.of(&[7, 30]));
    Trigger {
        window: dice.of(&[
            vec![],
            vec![],
            vec![MinuteRange { from: 610, to: 640 }],
            vec![MinuteRange { from: 1430, to: 605 }, MinuteRange { from: 620, to: 700 }],
        ]),
        own: !dice.one_in(4),
        peer: dice.one_in(3),
        earlier: match dice.below(5) {
            0 => Some(Earlier::Count { n: dice.of(&[2, 3]), of: filter(dice), within }),
            1 => Some(Earlier::Count { n: 2, of: on.clone(), within }),
            2 => {
                let steps = (0..=dice.below(2)).map(|_| filter(dice)).collect();
                Some(Earlier::Sequence { steps, within })
            }
            _ => None,
        },
        then: match dice.below(4) {
            0 => Then::Now,
            1 => Then::Wait { delay, powered_on },
            2 => Then::Dwell { delay, powered_on },
            _ => Then::Absence { of: filter(dice), within: delay, powered_on },
        },
        on,
        valid_for: Span::mins(10),
    }
}

fn campaigns(dice: &mut Dice) -> Vec<Campaign> {
    (1..=dice.below(6) as u32 + 3)
        .map(|id| Campaign {
            priority: dice.below(3) as u32,
            family: kairos_decide::FamilyId(dice.below(4) as u32),
            control: Share { ppm: dice.of(&[0, 300_000]), salt: dice.below(1 << 40) },
            policy: ContactPolicy {
                same_message: Span::mins(dice.of(&[0, 3, 30])),
                other_campaign: Span::mins(dice.of(&[0, 0, 2])),
                ..ContactPolicy::default()
            },
            ..with(id, trigger(dice))
        })
        .collect()
}

/// Everything that ever happened.
struct Naive<'a> {
    book: &'a Playbook,
    facts: &'a Known,
    seen: Vec<Event>,
    /// (due, campaign, arrival and own time of the event that matched, when it ended).
    timers: Vec<(Timestamp, CampaignId, Timestamp, Timestamp, Option<Timestamp>)>,
    /// (stamp, campaign, sent, occurrence).
    contacts: Vec<(Timestamp, CampaignId, bool, Timestamp)>,
    /// When a match used up what was counted for a campaign: by the number of events seen, the match included.
    used: BTreeMap<CampaignId, usize>,
    out: Vec<String>,
}

impl Naive<'_> {
    fn here(&self) -> (Option<CellId>, bool) {
        // the newest own time that says something; of equal ones the later arrival
        let place = self.seen.iter().filter(|e| e.cell != CellId::NONE || e.kind == EventType::POWER_OFF);
        let newest = place.clone().map(|e| e.at.min(e.arrived)).max();
        let latest = |f: &dyn Fn(&Event) -> bool| {
            // an event counts only if nothing newer was known when it arrived
            let mut known = Timestamp::MIN;
            let mut last = None;
            for e in place.clone() {
                let at = e.at.min(e.arrived);
                if at >= known {
                    known = at;
                    if f(e) {
                        last = Some(*e);
                    }
                }
            }
            last
        };
        let on = latest(&|_| true).is_none_or(|e| e.kind != EventType::POWER_OFF);
        let cell = latest(&|e| e.cell != CellId::NONE).map(|e| e.cell);
        assert!(newest.is_none() || latest(&|_| true).is_some());
        (cell, on)
    }
    fn reasons(&self, c: &Campaign, now: Timestamp, occurrence: Timestamp) -> Vec<Reason> {
        let mut all = Vec::new();
        let family = |id: CampaignId| self.book.campaign(id).unwrap().family;
        if self.facts.suppressed == Listed::Yes {
            all.push(Reason::Suppressed);
        }
        let window = c.policy.same_message.0;
        let same = self.contacts.iter().any(|x| family(x.1) == c.family && now.0 - x.0.0 < window);
        // two events of one stamp are one occurrence
        let again = self.contacts.iter().any(|x| x.1 == c.id && x.3 == occurrence);
        if same || again {
            all.push(Reason::SameMessage);
        }
        let window = c.policy.other_campaign.0;
        if self.contacts.iter().any(|x| x.2 && x.1 != c.id && now.0 - x.0.0 < window) {
            all.push(Reason::OtherCampaign);
        }
        all
    }
    fn contact(&mut self, c: &Campaign, now: Timestamp, occurrence: Timestamp, waited: bool) {
        let arm = arm_of(c, WHO, self.facts);
        self.contacts.push((now, c.id, arm == Arm::Send, occurrence));
        let word = if arm == Arm::Send { "send" } else { "control" };
        let after = if waited { " after waiting" } else { "" };
        self.tell(now, c, &format!("{word}{after}"));
    }
    fn tell(&mut self, now: Timestamp, c: &Campaign, what: &str) {
        self.out.push(format!("{}s {} {what}", now.since(t0()).0 as f64 / 1e6, c.id));
    }
    fn withheld(&mut self, now: Timestamp, c: &Campaign, reasons: &[Reason]) {
        let names: Vec<&str> = reasons.iter().map(|r| r.name()).collect();
        self.tell(
            now,
            c,
            &format!("withheld {{{}}}", names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ")),
        );
    }
    fn fire(&mut self, to: Timestamp) {
        loop {
            let open = self.timers.iter().enumerate().filter(|(_, t)| t.4.is_none() && t.0 <= to);
            let Some((i, &(due, id, occurrence, _, _))) = open.min_by_key(|(_, t)| (t.0, t.1)) else { return };
            self.timers[i].4 = Some(due);
            let c = self.book.campaign(id).unwrap().clone();
            let t = c.trigger.clone().unwrap();
            let mut all = self.reasons(&c, due, occurrence);
            let minute = self.book.tenant.zone.minute_of_day(due);
            if !t.window.is_empty() && !t.window.iter().any(|w| w.has(minute)) {
                all.push(Reason::OutOfWindow);
            }
            let needs = match t.then {
                Then::Wait { powered_on, .. } | Then::Dwell { powered_on, .. } | Then::Absence { powered_on, .. } => {
                    powered_on
                }
                Then::Now => false,
            };
            if needs && !self.here().1 {
                all.push(Reason::PoweredOff);
            }
            if all.is_empty() { self.contact(&c, due, occurrence, true) } else { self.withheld(due, &c, &all) }
        }
    }
    fn counted(&self, from: usize) -> Vec<(Event, Timestamp)> {
        let late = |e: &Event| e.arrived.since(e.at.min(e.arrived));
        let kept = self.seen[from..].iter().filter(|e| late(e) <= self.book.tenant.late_max);
        kept.map(|e| (*e, e.at.min(e.arrived))).collect()
    }
    fn came_before(&self, c: &Campaign, at: Timestamp) -> bool {
        let earlier = c.trigger.as_ref().unwrap().earlier.clone();
        let past = self.counted(self.used.get(&c.id).copied().unwrap_or(0));
        match earlier {
            None => true,
            Some(Earlier::Count { n, of, within }) => {
                // only the newest are kept, by their own time
                let mut stamps: Vec<Timestamp> = past.iter().filter(|(e, _)| of.lets(e)).map(|&(_, t)| t).collect();
                stamps.sort();
                let kept = stamps.iter().rev().take(usize::from(n) - 1);
                kept.filter(|s| s.0 + within.0 > at.0).count() + 1 >= usize::from(n)
            }
            Some(Earlier::Sequence { steps, within }) => {
                // every chain of events in the order of arrival that takes the steps one after the other
                let mut chains: Vec<Vec<Timestamp>> = vec![Vec::new(); steps.len()];
                for (e, t) in past {
                    for k in (0..steps.len()).rev().filter(|&k| steps[k].lets(&e)) {
                        let begun: Vec<Timestamp> = if k == 0 { vec![t] } else { chains[k - 1].clone() };
                        // a chain goes on from its latest beginning alone
                        let best = begun.into_iter().max().filter(|b| *b <= t && b.0 + within.0 > t.0);
                        chains[k].extend(best);
                    }
                }
                chains[steps.len() - 1].iter().max().is_some_and(|b| b.0 + within.0 > at.0)
            }
        }
    }
    fn event(&mut self, e: Event) {
        self.fire(e.arrived);
        let at = e.at.min(e.arrived);
        let says = e.cell != CellId::NONE || e.kind == EventType::POWER_OFF;
        let known = self.newest();
        let noted = says && at >= known;
        for i in 0..self.timers.len() {
            let (_, id, _, since, ended) = self.timers[i];
            let c = self.book.campaign(id).unwrap().clone();
            let t = c.trigger.clone().unwrap();
            if ended.is_some() {
                continue;
            }
            let outside = t.on.area.as_ref().is_some_and(|a| !a.cells().any(|x| x == e.cell));
            let reason = match &t.then {
                Then::Dwell { .. } if noted && e.cell != CellId::NONE && outside => Reason::LeftArea,
                Then::Absence { of, .. } if at >= since && of.lets(&e) => Reason::Happened,
                _ => continue,
            };
            // `ended` before its due time: it never fires
            self.timers[i].4 = Some(e.arrived.minus(Span(1)));
            self.out.push(format!("end {} {reason}", c.id));
        }
        let fresh = e.arrived.since(at) <= self.book.tenant.fresh_for;
        let used = if fresh { self.matches(&e, at) } else { Vec::new() };
        self.seen.push(e);
        for id in used {
            self.used.insert(id, self.seen.len());
        }
    }
    fn newest(&self) -> Timestamp {
        let says = |e: &&Event| e.cell != CellId::NONE || e.kind == EventType::POWER_OFF;
        self.seen.iter().filter(says).map(|e| e.at.min(e.arrived)).max().unwrap_or(Timestamp::MIN)
    }
    fn matches(&mut self, e: &Event, at: Timestamp) -> Vec<CampaignId> {
        let mut order: Vec<Campaign> = self.book.campaigns().to_vec();
        order.sort_by_key(|c| (c.priority, c.id));
        let mut used = Vec::new();
        for c in order {
            let t = c.trigger.clone().unwrap();
            let minute = self.book.tenant.zone.minute_of_day(e.arrived);
            let open = t.window.is_empty() || t.window.iter().any(|w| w.has(minute));
            let peer = !t.peer || e.peer == PartyId::from(SubscriberId(4));
            if !t.on.lets(e) || !open || !peer || !self.came_before(&c, at) {
                continue;
            }
            if t.earlier.is_some() {
                used.push(c.id);
            }
            if self.timers.iter().any(|x| x.1 == c.id && x.4.is_none()) {
                self.out.push(format!("{} waits already", c.id));
                continue;
            }
            let all = self.reasons(&c, e.arrived, e.arrived);
            if !all.is_empty() {
                self.withheld(e.arrived, &c, &all);
                continue;
            }
            match t.then.delay() {
                None => {
                    self.contact(&c, e.arrived, e.arrived, false);
                    break;
                }
                Some(delay) => {
                    let due = e.arrived.plus(delay);
                    self.timers.push((due, c.id, e.arrived, at, None));
                    self.out.push(format!("{} waits until {}s", c.id, due.since(t0()).0 as f64 / 1e6));
                }
            }
        }
        used
    }
}

/// A line of the real step, with ended waitings told as the oracle tells them: in no order among each other.
fn told(a: &Action) -> String {
    if let Action::Withheld(w) = a
        && let kairos_model::Verdict::Withheld { primary: r @ (Reason::LeftArea | Reason::Happened), .. } =
            w.record.verdict
    {
        return format!("end {} {r}", w.record.campaign);
    }
    say(a, t0())
}

#[test]
fn decided_as_by_keeping_everything() {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for life in 0..LIVES {
        let mut dice = Dice(0x6c69_7665_7300 + life, 0);
        let book = bound(campaigns(&mut dice));
        let suppressed = if dice.one_in(12) { Listed::Yes } else { Listed::No };
        let facts = Known { suppressed, ..Known::default() };
        let mut naive = Naive {
            book: &book,
            facts: &facts,
            seen: Vec::new(),
            timers: Vec::new(),
            contacts: Vec::new(),
            used: BTreeMap::new(),
            out: Vec::new(),
        };
        let (mut states, mut actions, mut now) = (States::default(), Actions::default(), t0());
        for turn in 0..EVENTS {
            let steps = [Span::ZERO, Span(1), Span::secs(20), Span::mins(1), Span::mins(4), Span::mins(13)];
            now = now.plus(dice.of(&steps));
            // exactly when something is due, or a moment before
            if dice.one_in(3)
                && let Some(due) = naive.timers.iter().filter(|t| t.4.is_none()).map(|t| t.0).min()
            {
                now = now.max(due.minus(Span(dice.below(2) as i64)));
            }
            let late = dice.of(&[0, 0, 0, 0, 1, 60, 599, 600, 601, 3_600, 3_601, -50]);
            let e = Event {
                kind: dice.of(&KINDS),
                flags: dice.below(4) as u16,
                subscriber: WHO,
                peer: dice.of(&[PartyId::NONE, SubscriberId(4).into(), SubscriberId(5).into()]),
                cell: CellId(dice.below(7) as u32),
                at: now.minus(Span::secs(late)),
                arrived: now,
                aux: dice.below(5),
            };
            naive.event(e);
            step(&mut states, &e, &facts, &book, now, &mut actions);
            if dice.one_in(9) {
                now = now.plus(Span::mins(7));
                naive.fire(now);
                fire_due(&mut states, WHO, now, &facts, &book, &mut actions);
            }
            let got: Vec<String> = actions.list.drain(..).map(|a| told(&a)).collect();
            let (mut got, mut want) = (got, std::mem::take(&mut naive.out));
            // waitings that one event ends have no order
            let ends = |l: &String| l.starts_with("end ");
            let sorted = |list: &mut Vec<String>| {
                let from = list.iter().position(ends).unwrap_or(0);
                let to = from + list[from..].iter().take_while(|l| ends(l)).count();
                list[from..to].sort();
            };
            sorted(&mut got);
            sorted(&mut want);
            assert_eq!(got, want, "life {life} turn {turn}: {e:?}\n{:?}", book.campaigns());
            for line in got {
                let word = ["send", "control", "withheld", "waits until", "waits already", "left_area", "happened"]
                    .into_iter()
                    .find(|w| line.contains(w));
                *kinds.entry(word.unwrap()).or_default() += 1;
                for r in [Reason::PoweredOff, Reason::OutOfWindow, Reason::SameMessage, Reason::OtherCampaign] {
                    *kinds.entry(r.name()).or_default() += u64::from(line.contains(r.name()));
                }
            }
        }
        let (cell, on) = naive.here();
        let state = states.get(WHO);
        assert_eq!((state.cell(), state.powered_on()), (cell.unwrap_or(CellId::NONE), on), "life {life}");
    }
    // the lives must have met everything
    assert_eq!(kinds.len(), 11, "{kinds:?}");
    assert!(kinds.values().all(|&n| n > 100), "{kinds:?}");
}
