//! Payments: top-ups, debits, gifts and refunds, with channel and balance.

use crate::{
    draw::{Draws, Stream},
    habit,
    province::Province,
    subscriber::Subscriber,
    text::Row,
    vocab::{Payment, Trend},
};

pub(crate) const HEADER: &str = "payment_id,subscriber_id,paid_at,kind,channel,method,amount_yuan,balance_yuan\n";

const AMOUNTS: [i64; 7] = [10, 20, 30, 50, 100, 200, 300];
const MICROS: i64 = 1_000_000;

/// Channels by method, with weights.
fn channels(method: Payment) -> (&'static [&'static str], &'static [u32]) {
    match method {
        Payment::Cash => (&["counter", "agent", "self_service"], &[55, 30, 15]),
        Payment::Bank => (&["bank"], &[1]),
        Payment::Online => (&["app", "web", "wap", "third_party"], &[45, 15, 8, 32]),
        Payment::Card => (&["ivr", "sms", "ussd"], &[50, 35, 15]),
    }
}

/// Appends a subscriber's payments; returns the rows.
pub(crate) fn write(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let Some((first, end)) = habit::days(p, s) else { return 0 };
    let mut d = Draws::new(p.seed(), Stream::Pay, s.index.0.into());
    let spend = s.plan.rental / MICROS + (30.0 * s.activity.min(6.0)) as i64;
    // the usual amount: about a month's spend for most, less for who pays by need
    let by_need = d.chance(0.35);
    let wanted = if by_need { spend / 3 } else { spend };
    let usual = AMOUNTS.iter().position(|&a| a >= wanted).unwrap_or(AMOUNTS.len() - 1);
    let day_of_month = d.below(28) as i64;
    let hour = 8 + d.below(13) as i64;
    let mut rows = 0;
    for month in &p.months {
        let start = i64::from(month.offset_s) / 86_400;
        let debit = s.payment == Payment::Bank;
        let times = if debit { 1 } else { d.count(spend as f64 / AMOUNTS[usual] as f64 * 1.1).clamp(0, 8) };
        for _ in 0..times {
            let near = d.chance(if by_need { 0.2 } else { 0.7 });
            let day = if near { day_of_month + d.below(3) as i64 } else { d.below(28) as i64 };
            let at = (start + day) * 86_400 + hour * 3_600 + d.below(7_200) as i64;
            let (other, pick, small) = (d.chance(0.1), d.bits(), d.unit());
            if start + day < first || start + day >= end {
                continue;
            }
            let method = if other && !debit { Payment::ALL[[0, 2, 3][(pick >> 40) as usize % 3]] } else { s.payment };
            let step = if debit { 0 } else { (pick >> 50) as usize % 8 };
            let amount = match step {
                0 if debit => spend,
                0 => AMOUNTS[usual.saturating_sub(1)],
                1 => AMOUNTS[(usual + 1).min(AMOUNTS.len() - 1)],
                _ => AMOUNTS[usual],
            };
            let left = (small * small * if s.trend == Trend::Declining { 6.0 } else { 30.0 }) as i64;
            let (names, weights) = channels(method);
            // the habit of a person: the same channel three times of four
            let own = Draws::new(p.seed(), Stream::Pay, u64::from(s.index.0) << 8 | 0x80 | method as u64).pick(weights);
            let channel = if pick & 3 == 0 { d.pick(weights) } else { own };
            let mut r = Row::new(p, out);
            r.int(u64::from(s.index.0) * 128 + rows).key(s.index).time(at);
            r.text(if debit { "debit" } else { "top_up" }).text(names[channel]).text(method.code());
            r.money(amount * MICROS).money((amount + left) * MICROS).end();
            rows += 1;
        }
        let (gift, refund, after) = (d.chance(0.05), d.chance(0.01), d.below(28) as i64 + start);
        if (gift || refund) && after >= first && after < end {
            let amount = if gift { 20 } else { 5 } * MICROS;
            let mut r = Row::new(p, out);
            r.int(u64::from(s.index.0) * 128 + rows).key(s.index).time(after * 86_400 + 36_000);
            r.text(if gift { "gift" } else { "refund" }).text("counter").empty();
            r.money(amount).money(amount + 10 * MICROS).end();
            rows += 1;
        }
    }
    rows
}
