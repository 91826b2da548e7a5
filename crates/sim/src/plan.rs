//! What a world is made of: its people, campaigns, lists and audiences, drawn from the seed.

use crate::{
    dice::Dice,
    model::Model,
    shelves::{Lists, bit},
};
use kairos_decide::{
    Campaign, ChannelCapacity, ContactPolicy, FamilyId, MinuteRange, Playbook, QuietHours, RunState, Share,
    TenantPolicy, UnknownConsent,
};
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, Channel, Currency, LocalDay, Money, PlaybookId, Span, SubscriberId,
    Timestamp, Zone,
};
use roaring::RoaringBitmap;
use std::collections::BTreeSet;

/// Monday 2026-03-02, 07:40 in Shanghai: just before the first quiet hours end.
pub const BEGIN: Timestamp = Timestamp::from_secs(1_772_408_400);
const COST: i64 = 50_000;

/// Sizes and settings of a world.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub people: u32,
    pub campaigns: u32,
    pub days: i64,
    pub waves: u32,
    pub binds: usize,
    /// Of one bind.
    pub window: u16,
    pub response_timeout: Span,
    pub enquire_link: Span,
    pub checkpoint_every: u64,
}

impl Plan {
    pub fn draw(dice: &mut Dice) -> Self {
        Self {
            people: 500 + dice.below(200) as u32,
            campaigns: 3 + dice.below(3) as u32,
            days: 7 + dice.below(2) as i64,
            waves: 9 + dice.below(8) as u32,
            binds: 1 + dice.below(2) as usize,
            window: 2 + dice.below(9) as u16,
            response_timeout: Span::secs(dice.between(5, 40)),
            enquire_link: Span::mins(dice.between(20, 120)),
            checkpoint_every: 40 + dice.below(400),
        }
    }
    pub fn windows(&self) -> u32 {
        u32::from(self.window) * self.binds as u32
    }
}

/// The number with which a subscriber begins.
pub fn number(s: u32) -> u64 {
    8_613_800_000_000 + u64::from(s)
}

/// Midnight to midnight, in the tenant's zone.
pub fn day_of(at: Timestamp) -> LocalDay {
    LocalDay(((at.secs() + 8 * 3_600).div_euclid(86_400)) as i32)
}

fn policy(dice: &mut Dice) -> ContactPolicy {
    let night = MinuteRange { from: 21 * 60, to: 8 * 60 + 30 };
    let noon = MinuteRange { from: 12 * 60, to: 13 * 60 + 30 };
    let ranges = match dice.below(5) {
        0 => Vec::new(),
        1 => vec![night, noon],
        _ => vec![night],
    };
    ContactPolicy {
        same_message: dice.pick(&[Span::days(3), Span::days(5), Span::hours(30)]),
        other_campaign: dice.pick(&[Span::days(1), Span::hours(20), Span::hours(8)]),
        quiet: QuietHours::new(ranges).unwrap_or_else(QuietHours::none),
        holidays: !dice.one_in(5),
        do_not_disturb: !dice.one_in(4),
        unknown_consent: dice.pick(&[UnknownConsent::Deny, UnknownConsent::Allow]),
    }
}

fn campaign(dice: &mut Dice, id: u32, plan: &Plan) -> Campaign {
    let late_start = dice.one_in(4);
    let budget = |dice: &mut Dice| Money::micros(COST * dice.between(20, 260), Currency::CNY);
    Campaign {
        id: CampaignId(id),
        version: CampaignVersion(1),
        class: dice.pick(&[CampaignClass::Marketing, CampaignClass::Marketing, CampaignClass::Care]),
        priority: dice.below(3) as u32,
        family: FamilyId(dice.below(3) as u32),
        channel: Channel::Sms,
        treatments: 1 + dice.below(3) as u8,
        hold: dice.one_in(3),
        control: Share { ppm: dice.pick(&[50_000, 100_000, 200_000]), salt: dice.next() },
        holdout: dice.one_in(2).then_some(Share { ppm: 40_000, salt: 9 }),
        start: if late_start { BEGIN.plus(Span::hours(dice.between(1, 30))) } else { BEGIN.minus(Span::days(1)) },
        end: BEGIN.plus(Span::hours(dice.between(60, 24 * (plan.days + 3)))),
        cost: Money::micros(COST, Currency::CNY),
        budget: dice.one_in(3).then(|| budget(dice)),
        policy: policy(dice),
        trigger: None,
        run: RunState::Approved,
    }
}

/// The first playbook.
pub fn first_book(dice: &mut Dice, plan: &Plan) -> Option<Playbook> {
    let campaigns = (1..=plan.campaigns).map(|id| campaign(dice, id, plan)).collect();
    let mut tenant = TenantPolicy::new(Zone::named("Asia/Shanghai").ok()?);
    let capacity =
        ChannelCapacity { per_second: Some(2 + dice.below(8) as u32), per_day: Some(90 + dice.below(200) as u32) };
    tenant.channels.insert(Channel::Sms, capacity);
    let today = day_of(BEGIN);
    tenant.holidays = (0..dice.below(2)).map(|_| today.plus_days(1 + dice.below(6) as i32)).collect::<BTreeSet<_>>();
    Playbook::new(PlaybookId(1), tenant, campaigns).ok()
}

/// An edit: some campaigns change, under the next number.
pub fn edited(dice: &mut Dice, old: &Playbook) -> Option<Playbook> {
    let mut campaigns: Vec<Campaign> = old.campaigns().to_vec();
    for c in &mut campaigns {
        if dice.one_in(2) {
            continue;
        }
        c.version.0 += 1;
        match dice.below(7) {
            0 => c.policy = policy(dice),
            // a raised share only adds people
            1 => c.control.ppm = (c.control.ppm + 60_000).min(500_000),
            2 => c.budget = Some(Money::micros(COST * dice.between(40, 400), Currency::CNY)),
            3 => c.priority = dice.below(3) as u32,
            4 => c.end = c.end.plus(Span::hours(dice.between(-20, 20))).max(c.start.plus(Span::hours(1))),
            5 => c.hold = !c.hold,
            _ => c.policy.same_message = dice.pick(&[Span::days(2), Span::days(6)]),
        }
    }
    let mut tenant = old.tenant.clone();
    if dice.one_in(3) {
        let capacity =
            ChannelCapacity { per_second: Some(2 + dice.below(8) as u32), per_day: Some(90 + dice.below(200) as u32) };
        tenant.channels.insert(Channel::Sms, capacity);
    }
    Playbook::new(PlaybookId(old.id.0 + 1), tenant, campaigns).ok()
}

/// A snapshot of the lists as they are now.
pub fn lists(dice: &mut Dice, id: u32, model: &Model, campaigns: u32, now: Timestamp) -> Lists {
    let mut bits = vec![0u16; model.people.len()];
    for (i, b) in bits.iter_mut().enumerate() {
        let s = SubscriberId(i as u32);
        let mut put = |bit: u16, when: bool| {
            if when {
                *b |= bit;
            }
        };
        let number = model.number_of(s, now);
        put(bit::NO_ADDRESS, number.is_none());
        put(bit::SUPPRESSED, number.is_some_and(|n| model.suppressed.contains(&n)) || dice.percent(2));
        put(bit::DO_NOT_DISTURB, dice.percent(4));
        put(bit::UNREADABLE, dice.percent(1));
        put(bit::CONSENT_DENIED, dice.percent(3));
        put(bit::CONSENT_UNKNOWN, dice.percent(5));
        put(bit::CONSENT_UNREADABLE, dice.percent(1));
        for c in 0..campaigns {
            put(bit::AUDIENCE << c, dice.percent(25));
        }
    }
    Lists { id, bits }
}

/// The members of a wave.
pub fn audience(dice: &mut Dice, plan: &Plan) -> RoaringBitmap {
    let share = dice.between(12, 70) as u64;
    let mut members: RoaringBitmap = (0..plan.people).filter(|_| dice.percent(share)).collect();
    members.insert(dice.below(plan.people.into()) as u32);
    members
}
