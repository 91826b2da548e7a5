//! Monthly bills: rental, the month's rated usage, services; exact money.

use crate::{
    draw::{Draws, Stream},
    province::{Month, Province},
    rate::Charges,
    subscriber::Subscriber,
    text::Row,
    usage::Town,
    vocab::{Payment, Product, Trend},
};

pub(crate) const HEADER: &str =
    "bill_id,subscriber_id,month,issued,total,rental,voice,data,messages,services,arrears,paid_at,payment\n";

/// Appends the bills of a town whose month was just made.
pub(crate) fn write(p: &Province, m: usize, town: &Town, out: &mut Vec<u8>) -> u64 {
    let month = &p.months[m];
    let (start, end) = span(month);
    let mut rows = 0;
    for (member, charges) in town.members.iter().zip(&town.charges) {
        let s = &member.sub;
        if s.joined_s >= end || s.left_s <= start {
            continue;
        }
        rows += 1;
        row(p, m, s, charges, out);
    }
    rows
}

fn span(month: &Month) -> (i64, i64) {
    let start = i64::from(month.offset_s);
    (start, start + i64::from(month.days) * 86_400)
}

fn row(p: &Province, m: usize, s: &Subscriber, c: &Charges, out: &mut Vec<u8>) {
    let (start, end) = span(&p.months[m]);
    let held = |x: &&Product| p.holding(s, **x).is_some_and(|h| h.since < end && h.until > start);
    let services: i64 = Product::ALL.iter().filter(held).map(|x| x.price()).sum();
    let total = s.plan.rental + c.voice + c.data + c.messages + services;
    let paid = paid_after(p, m, s).map(|d| end + d).filter(|&at| at < i64::from(p.length_s()));
    // due after fifteen days: what is still open then, at the extract
    let overdue = paid.is_none() && end + 15 * 86_400 < i64::from(p.length_s());
    let mut r = Row::new(p, out);
    r.int(u64::from(s.index.0) * 12 + m as u64).key(s.index).day(start).time(end + 7_200);
    r.money(total).money(s.plan.rental).money(c.voice).money(c.data).money(c.messages).money(services);
    r.money(if overdue { total } else { 0 }).maybe_time(paid).text(s.payment.code()).end();
}

/// Seconds from the end of the month to the payment; `None` = not paid.
fn paid_after(p: &Province, m: usize, s: &Subscriber) -> Option<i64> {
    let mut d = Draws::new(p.seed(), Stream::Bill, u64::from(s.index.0) << 8 | m as u64);
    let open = match (s.payment, s.trend) {
        (Payment::Bank, _) => 0.003,
        (_, Trend::Declining) => 0.15,
        (Payment::Cash, _) => 0.06,
        _ => 0.03,
    };
    let (first, days) = match s.payment {
        Payment::Bank => (3, 5),
        Payment::Online => (1, 12),
        Payment::Cash | Payment::Card => (2, 24),
    };
    let after = (first + d.below(days) as i64) * 86_400 + 28_800 + d.below(43_200) as i64;
    (!d.chance(open)).then_some(after)
}
