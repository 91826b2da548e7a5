//! The files with a handful of rows a subscriber: subscribers, numbers, orders, products, consents, suppression.

use crate::{
    draw::{Draws, Stream},
    names,
    province::Province,
    subscriber::{NEVER, Subscriber},
    text::Row,
    vocab::Product,
};
use kairos_model::Channel;

pub(crate) const SUBSCRIBERS: &str = "subscriber_id,msisdn,name,brand,status,gender,birth_year,joined,region,home_cell,work_cell,tac,device_brand,device_os,screen_height,mms,five_g,plan,customer_group,payment,do_not_disturb,language\n";
pub(crate) const NUMBERS: &str = "subscriber_id,msisdn,since,until\n";
pub(crate) const ORDERS: &str = "order_id,subscriber_id,offer,ordered_at,channel,price_fen\n";
pub(crate) const PRODUCTS: &str = "subscriber_id,product,since,until,monthly_fen\n";
pub(crate) const CONSENTS: &str = "subscriber_id,purpose,channel,granted,at\n";
pub(crate) const SUPPRESSION: &str = "entry_id,msisdn,since,reason\n";

const MICROS_PER_FEN: i64 = 10_000;

fn current(s: &Subscriber) -> Option<u64> {
    s.numbers.iter().find(|h| h.until == NEVER).map(|h| h.national)
}

pub(crate) fn subscriber(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    Row::new(p, out).key(s.index).maybe(current(s));
    names::write(p.seed(), s.index.0, s.male, out);
    let mut r = Row::new(p, out);
    r.empty().text(s.brand.code()).text(s.status.code()).text(if s.male { "M" } else { "F" });
    r.int(s.birth_year.unsigned_abs().into()).day(s.joined_s).text(s.region_code());
    r.int(s.home_cell.into()).int(s.work_cell.into()).int(s.device.tac.into());
    r.text(s.device.brand).text(s.device.os).int(s.device.screen.into()).flag(s.device.mms).flag(s.device.five_g);
    r.text(s.plan.code).text(s.group.code()).text(s.payment.code()).flag(s.do_not_disturb);
    r.text(if s.english { "en" } else { "zh" }).end();
    1
}

pub(crate) fn number(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let mut rows = 0;
    for h in s.numbers.iter() {
        Row::new(p, out)
            .key(s.index)
            .int(h.national)
            .time(h.since)
            .maybe_time((h.until != NEVER).then_some(h.until))
            .end();
        rows += 1;
    }
    rows
}

pub(crate) fn product(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let mut rows = 0;
    for &product in Product::ALL {
        let Some(h) = p.holding(s, product) else { continue };
        let until = (h.until != NEVER).then_some(h.until);
        Row::new(p, out).key(s.index).text(product.code()).time(h.since).maybe_time(until).int(fen(product)).end();
        rows += 1;
    }
    rows
}

fn fen(product: Product) -> u64 {
    (product.price() / MICROS_PER_FEN).unsigned_abs()
}

/// An order for each product that was taken within the data.
pub(crate) fn order(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let mut rows = 0;
    for &product in Product::ALL {
        let Some(h) = p.holding(s, product).filter(|h| h.since >= 0) else { continue };
        let mut d = Draws::new(p.seed(), Stream::Holding, u64::from(s.index.0) << 8 | 0x80 | product as u64);
        let channel = [Channel::Sms, Channel::Counter, Channel::Web, Channel::App, Channel::Hotline]
            [d.pick(&[35, 20, 15, 20, 10])];
        let id = u64::from(s.index.0) * 16 + product as u64;
        Row::new(p, out)
            .int(id)
            .key(s.index)
            .text(product.code())
            .time(h.since)
            .text(channel.name())
            .int(fen(product))
            .end();
        rows += 1;
    }
    rows
}

/// (purpose, channel, granted, denied) in per cent; the rest never said.
const CONSENTS_GIVEN: [(&str, Channel, u64, u64); 5] = [
    ("marketing", Channel::Sms, 90, 6),
    ("marketing", Channel::Outbound, 45, 30),
    ("marketing", Channel::App, 50, 10),
    ("care", Channel::Sms, 95, 2),
    ("public_interest", Channel::Sms, 97, 1),
];

pub(crate) fn consent(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let mut rows = 0;
    let mut d = Draws::new(p.seed(), Stream::Consent, s.index.0.into());
    for (purpose, channel, granted, denied) in CONSENTS_GIVEN {
        let said = d.below(100);
        let (first, changed, at) = (s.joined_s + 600, d.chance(0.015), d.below(u64::from(p.length_s())) as i64);
        if said >= granted + denied {
            continue;
        }
        let mut write = |yes: bool, at: i64| {
            Row::new(p, out).key(s.index).text(purpose).text(channel.name()).flag(yes).time(at).end();
            rows += 1;
        };
        write(said < granted, first);
        if changed && at > first {
            write(said >= granted, at);
        }
    }
    rows
}

/// Share of the numbers on the list, and of the numbers that changed hands whose former holder put them there.
const SUPPRESSED: f64 = 0.014;
const SUPPRESSED_BEFORE: f64 = 0.25;

pub(crate) fn suppression(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let mut d = Draws::new(p.seed(), Stream::Suppression, s.index.0.into());
    let mut rows = 0;
    for (k, h) in s.numbers.iter().enumerate() {
        let share = if h.until == NEVER { SUPPRESSED } else { SUPPRESSED_BEFORE };
        let (listed, u, reason) = (d.chance(share), d.unit(), d.pick(&[55, 20, 15, 10]));
        let (from, to) = (h.since.max(-200 * 86_400) + 3_600, h.until.min(i64::from(p.length_s())) - 3_600);
        if !listed || from >= to {
            continue;
        }
        let since = from + (u * (to - from) as f64) as i64;
        let reason = ["request", "complaint", "regulator", "vip"][reason];
        Row::new(p, out).int(u64::from(s.index.0) * 2 + k as u64).int(h.national).time(since).text(reason).end();
        rows += 1;
    }
    rows
}
