//! An event meets the triggers: timers that are due, place and power, what ends a waiting, what matches.

use crate::{
    facts::Facts,
    judge::{Judgement, When, judge_campaign},
    matcher::ends_by_leaving,
    playbook::{Campaign, Playbook},
    state::{Entry, Mark, Progress, Timer},
    states::States,
    step::{Action, Actions, Arm, Moment, Request, Waiting, Withheld, arm_of, order_key, order_salt, treatment_of},
    trigger::{Earlier, Then, Trigger},
};
use kairos_model::{
    CampaignId, CampaignVersion, CellId, ContactId, DecisionRecord, Event, EventType, PartyId, Reason, ReasonSet,
    SubscriberId, Timestamp, Verdict, WaveNo,
};

/// What an event says about power: a phone that is seen in a cell is on, unless it says goodbye.
const fn power_of(e: &Event) -> Option<bool> {
    match e.kind {
        EventType::POWER_OFF => Some(false),
        EventType::POWER_ON => Some(true),
        _ if e.cell.0 != CellId::NONE.0 => Some(true),
        _ => None,
    }
}

#[inline]
#[allow(clippy::too_many_arguments)]
pub(crate) fn on_event<F: Facts + ?Sized>(
    states: &mut States,
    e: &Event,
    any: bool,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
    actions: &mut Actions,
) {
    if states.hot_mut(e.subscriber).has_live() {
        fire_due(states, e.subscriber, now, facts, book, actions);
    }
    // nothing has happened in the future
    let at = e.at.min(now);
    let hot = states.hot_mut(e.subscriber);
    let noted = States::note(hot, at, e.cell, power_of(e));
    if hot.has_live() {
        end_waiting(states, e, (at, noted), facts, book, now, actions);
    }
    let late = now.since(at);
    if late > book.tenant.fresh_for {
        actions.stale += 1;
        if late <= book.tenant.late_max {
            feed(states, e, at, book, &[]);
        }
        return;
    }
    if any {
        look(states, e, at, facts, book, now, actions);
    } else if !book.matcher().feeds(e.kind).is_empty() {
        feed(states, e, at, book, &[]);
    }
}

#[inline(never)]
fn look<F: Facts + ?Sized>(
    states: &mut States,
    e: &Event,
    at: Timestamp,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
    actions: &mut Actions,
) {
    let mut found = std::mem::take(&mut actions.found);
    found.clear();
    book.matcher().candidates(e, || actions.minute(book, now), &mut found);
    let mut used = 0;
    if !found.is_empty() {
        used = meet(states, e, at, &mut found, facts, book, now, actions);
    }
    if !book.matcher().feeds(e.kind).is_empty() {
        feed(states, e, at, book, &found[..used]);
    }
    actions.found = found;
}

/// Walks the candidates by (priority, id) until one asks for a contact. Those that have used up what was counted for them
/// are moved to the front of the list; returns how many.
#[inline(never)]
#[allow(clippy::too_many_arguments)]
fn meet<F: Facts + ?Sized>(
    states: &mut States,
    e: &Event,
    at: Timestamp,
    found: &mut [u32],
    facts: &F,
    book: &Playbook,
    now: Timestamp,
    actions: &mut Actions,
) -> usize {
    let campaigns = book.campaigns();
    found.sort_unstable_by_key(|&i| (campaigns[i as usize].priority, i));
    let mut used = 0;
    for k in 0..found.len() {
        let c = &campaigns[found[k] as usize];
        let Some(trigger) = &c.trigger else { continue };
        if !trigger.on.lets_fields(e) || !came_before(states, e.subscriber, c.id, trigger, at) {
            continue;
        }
        if trigger.earlier.is_some() {
            use_up(states, e.subscriber, c.id);
            found.swap(used, k);
            used += 1;
        }
        if states.get(e.subscriber).timers().iter().any(|t| t.campaign == c.id) {
            actions.list.push(Action::Merged(c.id));
            continue;
        }
        let moment = Moment { occurrence: now, fired: false };
        let when = if trigger.then.delay().is_some() { When::Later } else { When::Now };
        let j = judge_moment(states, e.subscriber, c, moment, facts, book, (now, when));
        if !j.all.is_empty() {
            actions.list.push(withheld(e.subscriber, c.id, c.version, moment, &j, facts, book, now));
            continue;
        }
        match trigger.then.delay() {
            None => {
                ask(states, e.subscriber, c, moment, facts, now, actions);
                break;
            }
            Some(delay) => {
                let due = now.plus(delay);
                let timer = Timer { due, campaign: c.id, version: c.version, occurrence: now, since: at };
                states.put_timer(e.subscriber, timer);
                actions.list.push(Action::Waiting(Waiting { due, campaign: c.id, subscriber: e.subscriber }));
            }
        }
    }
    used
}

fn judge_moment<F: Facts + ?Sized>(
    states: &States,
    subscriber: SubscriberId,
    c: &Campaign,
    moment: Moment,
    facts: &F,
    book: &Playbook,
    at: (Timestamp, When),
) -> Judgement {
    let state = states.get(subscriber);
    let mut j = judge_campaign(state, subscriber, c, facts, book, at);
    // two events of one stamp are one occurrence
    if state.history().iter().any(|x| x.is(c.id, contact(c.id, moment, subscriber))) {
        j.all = j.all.with(Reason::SameMessage);
    }
    j
}

const fn contact(campaign: CampaignId, moment: Moment, subscriber: SubscriberId) -> ContactId {
    ContactId::of_occurrence(campaign, moment.occurrence.0 as u64, subscriber)
}

/// Reserves the contact and asks for it.
fn ask<F: Facts + ?Sized>(
    states: &mut States,
    subscriber: SubscriberId,
    c: &Campaign,
    moment: Moment,
    facts: &F,
    now: Timestamp,
    actions: &mut Actions,
) {
    let (contact, arm) = (contact(c.id, moment, subscriber), arm_of(c, subscriber, facts));
    let mark = if arm == Arm::Send { Mark::Pending } else { Mark::Control };
    states.add(subscriber, Entry::new(now, c.id, c.family, contact, mark));
    actions.list.push(Action::Request(Request {
        contact,
        subscriber,
        campaign: c.id,
        version: c.version,
        wave: WaveNo::MOMENT,
        moment: Some(moment),
        treatment: if arm == Arm::Send { treatment_of(c, subscriber) } else { 0 },
        arm,
        channel: c.channel,
        cost: c.cost,
        priority: c.priority,
        order: order_key(order_salt(c), subscriber),
        stamp: now,
    }));
}

#[allow(clippy::too_many_arguments)]
fn withheld<F: Facts + ?Sized>(
    subscriber: SubscriberId,
    campaign: CampaignId,
    version: CampaignVersion,
    moment: Moment,
    j: &Judgement,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
) -> Action {
    let record = DecisionRecord {
        stamp: now,
        subscriber,
        campaign,
        version,
        wave: WaveNo::MOMENT,
        treatment: 0,
        verdict: Verdict::Withheld { primary: j.all.primary().unwrap_or(Reason::NotEligible), all: j.all, by: j.by },
        snapshot: facts.snapshot(),
        playbook: book.id,
    };
    Action::Withheld(Withheld { record, moment })
}

/// Fires the subscriber's timers that are due at or before `now`, each at its due time, by (due, campaign).
#[inline(never)]
pub fn fire_due<F: Facts + ?Sized>(
    states: &mut States,
    subscriber: SubscriberId,
    now: Timestamp,
    facts: &F,
    book: &Playbook,
    actions: &mut Actions,
) {
    while let Some(&timer) = states.get(subscriber).timers().first().filter(|t| t.due <= now) {
        states.take_timer(subscriber, timer.due, timer.campaign);
        fire_one(states, subscriber, &timer, facts, book, actions);
    }
}

/// A timer that was just taken out, at its due time.
fn fire_one<F: Facts + ?Sized>(
    states: &mut States,
    subscriber: SubscriberId,
    timer: &Timer,
    facts: &F,
    book: &Playbook,
    actions: &mut Actions,
) {
    let (now, moment) = (timer.due, Moment { occurrence: timer.occurrence, fired: true });
    let place = book.place(timer.campaign);
    let found = place.and_then(|i| Some((i, &book.campaigns()[i], book.campaigns()[i].trigger.as_ref()?)));
    let Some((place, c, trigger)) = found else {
        let j = Judgement { all: ReasonSet::EMPTY.with(Reason::Ended), ..Judgement::CLEAR };
        actions.list.push(withheld(subscriber, timer.campaign, timer.version, moment, &j, facts, book, now));
        return;
    };
    let mut j = judge_moment(states, subscriber, c, moment, facts, book, (now, When::Now));
    let mut also = |reason, when: bool| {
        if when {
            j.all = j.all.with(reason);
        }
    };
    also(Reason::NotEligible, !book.matcher().own(place, c, subscriber));
    also(Reason::OutOfWindow, !trigger.window.is_empty() && !trigger.in_window(actions.minute(book, now)));
    also(Reason::PoweredOff, trigger.then.powered_on() && !states.get(subscriber).powered_on());
    if j.all.is_empty() {
        ask(states, subscriber, c, moment, facts, now, actions);
    } else {
        actions.list.push(withheld(subscriber, c.id, c.version, moment, &j, facts, book, now));
    }
}

/// Ends waitings that this event ends: leaving the area, or what was to stay away has come.
#[inline(never)]
fn end_waiting<F: Facts + ?Sized>(
    states: &mut States,
    e: &Event,
    (at, noted): (Timestamp, bool),
    facts: &F,
    book: &Playbook,
    now: Timestamp,
    actions: &mut Actions,
) {
    let ends = |t: &Timer| {
        let c = book.campaign(t.campaign)?;
        if noted && e.cell != CellId::NONE && ends_by_leaving(c, e.cell) {
            return Some(Reason::LeftArea);
        }
        match &c.trigger.as_ref()?.then {
            Then::Absence { of, .. } if at >= t.since && of.lets(e) => Some(Reason::Happened),
            _ => None,
        }
    };
    let timers = states.get(e.subscriber).timers();
    let ended: Vec<(Timer, Reason)> = timers.iter().filter_map(|&t| Some((t, ends(&t)?))).collect();
    for (timer, reason) in ended {
        states.take_timer(e.subscriber, timer.due, timer.campaign);
        let j = Judgement { all: ReasonSet::EMPTY.with(reason), ..Judgement::CLEAR };
        let moment = Moment { occurrence: timer.occurrence, fired: true };
        actions.list.push(withheld(e.subscriber, timer.campaign, timer.version, moment, &j, facts, book, now));
    }
}

fn came_before(
    states: &States,
    subscriber: SubscriberId,
    campaign: CampaignId,
    trigger: &Trigger,
    at: Timestamp,
) -> bool {
    let Some(earlier) = &trigger.earlier else { return true };
    let counted = states.get(subscriber).progress().iter().find(|p| p.campaign == campaign);
    let stamps = counted.map_or(&[][..], |p| &p.stamps);
    match earlier {
        Earlier::Count { n, within, .. } => {
            stamps.iter().filter(|s| s.plus(*within) > at).count() + 1 >= usize::from(*n)
        }
        Earlier::Sequence { steps, within } => {
            let begun = stamps.get(steps.len() - 1).copied().unwrap_or(Timestamp::MIN);
            begun > Timestamp::MIN && begun.plus(*within) > at
        }
    }
}

fn use_up(states: &mut States, subscriber: SubscriberId, campaign: CampaignId) {
    if states.get(subscriber).progress().iter().any(|p| p.campaign == campaign) {
        states.live_mut(subscriber).progress.retain(|p| p.campaign != campaign);
        states.tidy(subscriber);
    }
}

/// Counts the event for the campaigns that ask for earlier ones, but those that it has just completed.
#[inline(never)]
fn feed(states: &mut States, e: &Event, at: Timestamp, book: &Playbook, used: &[u32]) {
    for &i in book.matcher().feeds(e.kind) {
        let c = &book.campaigns()[i as usize];
        let Some(earlier) = c.trigger.as_ref().and_then(|t| t.earlier.as_ref()) else { continue };
        if used.contains(&i)
            || !earlier.filters().iter().any(|f| f.lets(e))
            || !book.matcher().own(i as usize, c, e.subscriber)
        {
            continue;
        }
        let progress = &mut states.live_mut(e.subscriber).progress;
        let k = progress.iter().position(|p| p.campaign == c.id).unwrap_or_else(|| {
            progress.push(Progress { campaign: c.id, stamps: Vec::new() });
            progress.len() - 1
        });
        advance(&mut progress[k].stamps, earlier, e, at);
        if progress[k].stamps.iter().all(|&s| s == Timestamp::MIN) {
            progress.swap_remove(k);
            states.tidy(e.subscriber);
        }
    }
}

fn advance(stamps: &mut Vec<Timestamp>, earlier: &Earlier, e: &Event, at: Timestamp) {
    match earlier {
        Earlier::Count { n, .. } => {
            let place = stamps.partition_point(|&s| s <= at);
            stamps.insert(place, at);
            if stamps.len() >= usize::from(*n) {
                stamps.remove(0);
            }
        }
        Earlier::Sequence { steps, within } => {
            stamps.resize(steps.len(), Timestamp::MIN);
            // from the last step on, so that one event is one step only
            for k in (0..steps.len()).rev().filter(|&k| steps[k].lets(e)) {
                let begun = if k == 0 { at } else { stamps[k - 1] };
                if begun > Timestamp::MIN && begun <= at && begun.plus(*within) > at {
                    stamps[k] = stamps[k].max(begun);
                }
            }
        }
    }
}

/// A check of a trigger that an event does not pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failing {
    /// The campaign has no trigger, or is not in the book.
    NoTrigger,
    Type,
    /// Too old when it arrived.
    Stale,
    /// Role or another flag, or a comparison.
    Fields,
    Area,
    Window,
    /// Static condition or own list; or the snapshot has no bit for this version of the campaign.
    Own,
    /// Peer's tags or peer list, or there is no peer.
    Peer,
    /// Not enough came before.
    Earlier,
    /// It waits already.
    Waiting,
    /// The contact policy, with all reasons and what is behind them.
    Policy(Judgement),
}

/// Every check that keeps this event from a contact of the campaign, in the order of judgement; empty: it matches.
/// Whether a more important campaign takes the event is not asked. The answer is of the state as it is given.
pub fn explain<F: Facts + ?Sized>(
    states: &States,
    e: &Event,
    campaign: CampaignId,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
) -> Vec<Failing> {
    let place = book.place(campaign);
    let Some((place, c, t)) =
        place.and_then(|i| Some((i, &book.campaigns()[i], book.campaigns()[i].trigger.as_ref()?)))
    else {
        return vec![Failing::NoTrigger];
    };
    let (mut failing, at) = (Vec::new(), e.at.min(now));
    let mut check = |holds: bool, f: Failing| {
        if !holds {
            failing.push(f);
        }
    };
    check(e.kind == t.on.kind, Failing::Type);
    check(now.since(at) <= book.tenant.fresh_for, Failing::Stale);
    check(t.on.area.as_ref().is_none_or(|a| a.has(e.cell)), Failing::Area);
    check(t.in_window(book.tenant.zone.minute_of_day(now)), Failing::Window);
    check(book.matcher().own(place, c, e.subscriber), Failing::Own);
    check(!t.peer || (e.peer != PartyId::NONE && book.matcher().peer(place, e.peer)), Failing::Peer);
    check(t.on.lets_fields(e), Failing::Fields);
    check(came_before(states, e.subscriber, c.id, t, at), Failing::Earlier);
    check(!states.get(e.subscriber).timers().iter().any(|x| x.campaign == c.id), Failing::Waiting);
    let when = if t.then.delay().is_some() { When::Later } else { When::Now };
    let moment = Moment { occurrence: now, fired: false };
    let j = judge_moment(states, e.subscriber, c, moment, facts, book, (now, when));
    check(j.all.is_empty(), Failing::Policy(j));
    failing
}
