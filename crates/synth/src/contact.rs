//! The contact log of every kind (C2): who came to us or was approached, where, for what, with what result.

use crate::{
    draw::{Draws, Stream},
    province::Province,
    subscriber::Subscriber,
    text::Row,
    vocab::{Group, Product, Trend},
};
use kairos_model::{Channel, ContactKind};

pub(crate) const HEADER: &str = "contact_id,subscriber_id,kind,channel,time,service,outcome,level,satisfaction,department,duration,campaign,response,note\n";

/// Weights of contact, care, consultation, complaint, transaction, query, marketing.
const KINDS: [u32; 7] = [8, 8, 18, 6, 28, 20, 22];
/// Channels that subscribers come by.
const OWN: [Channel; 9] = [
    Channel::Counter,
    Channel::Hotline,
    Channel::Web,
    Channel::Sms,
    Channel::App,
    Channel::SelfService,
    Channel::Ivr,
    Channel::Wap,
    Channel::UssdMenu,
];
const SERVICES: [&str; 5] = ["payment", "balance", "network", "billing", "plan_change"];
const DEPARTMENTS: [&str; 4] = ["billing", "network", "counter", "products"];
const NOTES: [&str; 6] = ["对账单有疑问", "家中信号弱", "咨询套餐资费", "办理手续慢", "收到短信过多", "漫游费用过高"];

/// Weights of [`OWN`] by group.
fn channels(g: Group) -> [u32; 9] {
    match g {
        Group::Student | Group::Trend => [5, 8, 22, 15, 30, 4, 4, 10, 2],
        Group::Business | Group::Civil => [8, 30, 25, 8, 15, 3, 5, 4, 2],
        Group::Senior | Group::Farmer => [55, 25, 1, 4, 1, 8, 4, 1, 1],
        Group::Migrant => [25, 20, 5, 20, 10, 8, 4, 6, 2],
        _ => [28, 22, 14, 12, 12, 5, 3, 2, 2],
    }
}

/// How many contacts in the data: most a few, one in eight ten or more.
fn count(d: &mut Draws) -> u64 {
    let u = d.unit();
    let v = u * u * u * u;
    d.below(3) + (v * v * 30.0) as u64
}

/// Appends a subscriber's contacts; returns the rows.
pub(crate) fn write(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let mut d = Draws::new(p.seed(), Stream::Contacts, s.index.0.into());
    let n = count(&mut d);
    let weights = channels(s.group);
    let favourite = d.pick(&weights);
    let second = d.pick(&weights);
    let (from, to) = (s.joined_s.max(0), s.left_s.min(i64::from(p.length_s())));
    if to - from < 86_400 * 2 {
        return 0;
    }
    for k in 0..n {
        let kind = ContactKind::ALL[d.pick(&KINDS)];
        let day = from / 86_400 + 1 + d.below(((to - from) / 86_400 - 1) as u64) as i64;
        let at = day * 86_400 - 86_400 + 30_600 + d.below(36_000) as i64;
        // a fading subscriber complains twice as often as others
        let angry = s.trend == Trend::Declining && d.chance(0.2);
        let kind = if angry { ContactKind::Complaint } else { kind };
        let mut r = Row::new(p, out);
        r.int(u64::from(s.index.0) * 64 + k).key(s.index).text(kind.name());
        let own = match d.below(100) {
            0..62 => OWN[favourite],
            62..82 => OWN[second],
            _ => OWN[d.pick(&weights)],
        };
        let channel = match kind {
            ContactKind::Care => [Channel::Outbound, Channel::Manager, Channel::Sms]
                [d.pick(&[30, if s.group == Group::Business { 60 } else { 10 }, 40])],
            ContactKind::Marketing => [Channel::Sms, Channel::Outbound, Channel::Counter][d.pick(&[75, 18, 7])],
            ContactKind::Complaint if own == Channel::UssdMenu || own == Channel::Ivr => Channel::Hotline,
            _ => own,
        };
        r.text(channel.name()).time(at);
        details(&mut r, &mut d, kind, channel);
        r.end();
    }
    n
}

/// service, outcome, level, satisfaction, department, duration, campaign, response, note
fn details(r: &mut Row<'_>, d: &mut Draws, kind: ContactKind, channel: Channel) {
    let offer = Product::ALL[d.below(12) as usize].code();
    let service = SERVICES[d.pick(&[35, 30, 12, 13, 10])];
    let spoken = matches!(channel, Channel::Hotline | Channel::Outbound | Channel::Manager);
    let duration = spoken.then(|| 30 + d.below(600));
    let ok = d.below(100);
    let outcome = if ok < 91 { "ok" } else { "failed" };
    match kind {
        ContactKind::Complaint => {
            let open = d.chance(0.12);
            let department = d.pick(&[40, 30, 15, 15]);
            r.text(["billing", "network", "payment", "plan_change"][department]);
            r.text(if open { "pending" } else { outcome }).int(1 + d.pick(&[60, 30, 10]) as u64);
            r.int(1 + d.pick(&[25, 30, 25, 15, 5]) as u64).text(DEPARTMENTS[department]).maybe(duration);
            r.empty().empty().text(NOTES[d.below(6) as usize]);
        }
        ContactKind::Care => {
            r.empty().text(outcome).empty().int(1 + d.pick(&[2, 5, 18, 40, 35]) as u64).empty().maybe(duration);
            r.empty().text(if ok < 80 { "accepted" } else { "refused" }).empty();
        }
        ContactKind::Marketing => {
            r.text(offer).text(outcome).empty().empty().empty().maybe(duration);
            r.text(["2025-q4-data", "2025-q4-music", "2026-q1-news"][d.below(3) as usize]);
            r.text(["accepted", "refused", "none"][d.pick(&[6, 20, 74])]).empty();
        }
        ContactKind::Transaction | ContactKind::Query | ContactKind::Consultation | ContactKind::Contact => {
            let about = if d.chance(0.3) { offer } else { service };
            r.text(if kind == ContactKind::Query { ["balance", "billing"][d.below(2) as usize] } else { about });
            r.text(outcome).empty().empty().empty().maybe(duration).empty().empty();
            if kind == ContactKind::Consultation && d.chance(0.2) {
                r.text(NOTES[d.below(6) as usize]);
            } else {
                r.empty();
            }
        }
    }
}
