//! Capacity and budget: who is served, in which order, and what it costs.

use crate::world::{Known, book_in, campaign};
use kairos_decide::{
    Allocator, Arm, Campaign, ChannelCapacity, Grant, Playbook, Request, Share, arm_of, order_key, order_salt,
};
use kairos_model::{
    CampaignId, Channel, ContactId, Currency, Money, Reason, Span, SubscriberId, Timestamp, WaveNo, hash,
};

fn limited(per_second: Option<u32>, per_day: Option<u32>, campaigns: Vec<Campaign>) -> Playbook {
    let mut book = book_in("Asia/Shanghai", campaigns);
    book.tenant.channels.insert(Channel::Sms, ChannelCapacity { per_second, per_day });
    book
}
fn request(c: &Campaign, s: u32, stamp: Timestamp) -> Request {
    let subscriber = SubscriberId(s);
    Request {
        contact: ContactId::of_wave(c.id, WaveNo(1), subscriber),
        subscriber,
        campaign: c.id,
        version: c.version,
        wave: WaveNo(1),
        treatment: 0,
        moment: None,
        arm: arm_of(c, subscriber, &Known::default()),
        channel: c.channel,
        cost: c.cost,
        priority: c.priority,
        order: order_key(order_salt(c), subscriber),
        stamp,
    }
}
fn noon() -> Timestamp {
    "2026-03-02T04:00:00Z".parse().unwrap()
}
fn granted(list: &[(Request, Grant)]) -> Vec<(u32, u32)> {
    list.iter().filter(|(_, g)| *g == Grant::Granted).map(|(r, _)| (r.campaign.0, r.subscriber.0)).collect()
}

#[test]
fn who_is_served_depends_on_priority_and_hash_and_not_on_the_order_of_asking() {
    let (first, second) = (campaign(1), campaign(2));
    let book = limited(Some(25), None, vec![first.clone(), second.clone()]);
    let mut asked: Vec<Request> =
        (0..20).flat_map(|s| [request(&second, s, noon()), request(&first, s, noon())]).collect();
    let want = granted(&Allocator::default().allocate(&book, asked.clone()));
    assert_eq!(want.iter().filter(|w| w.0 == 1).count(), 20, "the more important one first");
    assert_eq!(want.len(), 25);
    for seed in 0..20 {
        asked.sort_by_key(|r| hash::salted2(seed, r.campaign.0.into(), r.subscriber.0.into()));
        assert_eq!(granted(&Allocator::default().allocate(&book, asked.clone())), want);
    }
}

#[test]
fn a_rate_is_per_second_and_a_day_is_local() {
    let c = campaign(1);
    let book = limited(Some(2), Some(5), vec![c.clone()]);
    let mut a = Allocator::default();
    let mut ask = |s, t: Timestamp| match a.grant(&book, &request(&c, s, t)) {
        Grant::Granted => "granted",
        Grant::Denied(r) => r.name(),
    };
    // 23:59:58 in Shanghai
    let late: Timestamp = "2026-03-02T15:59:58Z".parse().unwrap();
    let at = |s: i64, us: i64| late.plus(Span::secs(s)).plus(Span(us));
    let story = [
        ask(1, at(0, 0)),
        ask(2, at(0, 999_999)),
        ask(3, at(0, 999_999)),
        ask(3, at(1, 0)),
        ask(4, at(1, 0)),
        ask(5, at(2, 0)),
        ask(6, at(2, 0)),
        ask(7, at(2, 0)),
        ask(8, at(3, 0)),
        ask(9, at(4, 0)),
        ask(10, at(4, 0)),
        ask(11, at(5, 0)),
    ];
    let want = [
        "granted",
        "granted",
        "rate_capacity",
        "granted",
        "granted", // the day's four
        "granted",
        "granted",
        "rate_capacity",
        "granted",
        "granted",
        "granted",
        "day_capacity",
    ];
    assert_eq!(story, want);
}

#[test]
fn controls_take_nothing_but_are_judged_at_their_place() {
    let c = Campaign {
        control: Share { ppm: 300_000, salt: 4 },
        budget: Some(Money::micros(10 * 50_000 + 49_999, Currency::CNY)),
        ..campaign(1)
    };
    let book = limited(None, None, vec![c.clone()]);
    let mut a = Allocator::default();
    let all = a.allocate(&book, (0..60).map(|s| request(&c, s, noon())).collect());
    let sent = all.iter().filter(|(r, g)| r.arm == Arm::Send && *g == Grant::Granted).count();
    assert_eq!((sent, a.spent_by(c.id)), (10, 500_000));
    // after the tenth send nobody is granted, controls neither
    let last = all.iter().rposition(|(r, g)| r.arm == Arm::Send && *g == Grant::Granted).unwrap();
    assert!(all[..=last].iter().all(|(_, g)| *g == Grant::Granted));
    assert!(all[last + 1..].iter().all(|(_, g)| *g == Grant::Denied(Reason::Budget)));
    assert!(
        all[..last].iter().any(|(r, _)| r.arm == Arm::Control)
            && all[last..].iter().any(|(r, _)| r.arm == Arm::Control)
    );
}

#[test]
fn what_is_released_can_be_spent_again_and_only_an_unsent_contact_frees_its_day() {
    let c = Campaign { budget: Some(Money::micros(100_000, Currency::CNY)), ..campaign(1) };
    let book = limited(None, Some(3), vec![c.clone()]);
    let mut a = Allocator::default();
    let ask = |a: &mut Allocator, s| a.grant(&book, &request(&c, s, noon()));
    assert_eq!((ask(&mut a, 1), ask(&mut a, 2)), (Grant::Granted, Grant::Granted));
    assert_eq!(ask(&mut a, 3), Grant::Denied(Reason::Budget));
    a.release(&book, c.channel, c.id, c.cost.micros, None);
    assert_eq!((ask(&mut a, 3), ask(&mut a, 4)), (Grant::Granted, Grant::Denied(Reason::DayCapacity)));
    a.release(&book, c.channel, c.id, c.cost.micros, Some(noon()));
    assert_eq!((ask(&mut a, 4), a.spent_by(CampaignId(1))), (Grant::Granted, 100_000));
    // a place in a day that is over is not given back to the next
    let tomorrow = Request { stamp: noon().plus(Span::days(1)), ..request(&c, 5, noon()) };
    a.release(&book, c.channel, c.id, c.cost.micros, None);
    assert_eq!(a.grant(&book, &tomorrow), Grant::Granted);
    a.release(&book, c.channel, c.id, c.cost.micros, Some(noon()));
    assert_eq!(a.channels()[&Channel::Sms].in_day, 1);
}
