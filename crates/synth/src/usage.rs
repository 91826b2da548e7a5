//! Call detail records: a month of one town, calls inside the base with both their sides.

use crate::{
    circle::TOWN,
    draw::{Draws, Stream},
    number::Numbers,
    province::{Index, Month, Province},
    rate::Charges,
    subscriber::Subscriber,
    vocab::{Group, Product, Status},
};
use kairos_model::hash;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    VoiceOut,
    VoiceIn,
    SmsOut,
    SmsIn,
    MmsOut,
    Data,
}
pub(crate) const KINDS: [&str; 6] = ["voice_out", "voice_in", "sms_out", "sms_in", "mms_out", "data"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Distance {
    Local,
    Long,
    International,
    Ip,
    /// Data has none.
    None,
}
pub(crate) const DISTANCES: [&str; 5] = ["local", "long_distance", "international", "ip", ""];
pub(crate) const ROAMINGS: [&str; 3] = ["home", "domestic", "international"];
/// The access code dialled before an IP call.
pub(crate) const IP_ACCESS: &str = "17951";

/// A number as dialled: zeros, then digits; digits 0 = nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Peer {
    pub zeros: u8,
    pub digits: u64,
}

/// One record of one subscriber.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cdr {
    /// Place in the town << 32 | second of the data: the order of the file.
    key: u64,
    pub peer: Peer,
    pub charge: i64,
    pub duration_s: u32,
    pub kb: u32,
    /// 0 abroad.
    pub cell: u32,
    pub kind: Kind,
    pub distance: Distance,
    /// Place in [`ROAMINGS`].
    pub roaming: u8,
    pub on_net: bool,
}

impl Cdr {
    pub(crate) fn who(&self) -> usize {
        (self.key >> 32) as usize
    }
    pub(crate) fn second(&self) -> i64 {
        (self.key & 0xFFFF_FFFF) as i64
    }
}

/// A member of the town in this month.
pub(crate) struct Member {
    pub sub: Subscriber,
    /// Activity with the month's trend; 0 for outgoing traffic of a suspended one.
    out: f64,
    inwards: f64,
    root: f64,
    pub free_kb: u64,
    /// Local days of the month spent elsewhere: first, end, and whether abroad.
    trip: (u8, u8, bool),
    hours: usize,
    /// The number all through the month, or 0 where it must be looked up.
    constant: u64,
}

/// Buffers of one town and month, used again for the next.
#[derive(Default)]
pub(crate) struct Town {
    pub members: Vec<Member>,
    pub cdrs: Vec<Cdr>,
    pub charges: Vec<Charges>,
}

/// Hours of the day in 64 parts: day people, evening people, early people.
pub(crate) const HOURS: [[u8; 64]; 3] = [
    hours([1, 0, 0, 0, 0, 0, 1, 2, 4, 5, 6, 6, 4, 4, 5, 5, 5, 4, 3, 3, 2, 2, 1, 1]),
    hours([3, 2, 1, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 3, 2, 2, 3, 4, 5, 6, 6, 6, 5, 3]),
    hours([0, 0, 0, 0, 0, 1, 3, 5, 6, 6, 5, 5, 4, 3, 4, 4, 4, 4, 4, 3, 2, 1, 0, 0]),
];

const fn hours(weights: [u8; 24]) -> [u8; 64] {
    let (mut out, mut at, mut h) = ([0u8; 64], 0, 0);
    while h < 24 {
        let mut k = 0;
        while k < weights[h] {
            out[at] = h as u8;
            at += 1;
            k += 1;
        }
        h += 1;
    }
    assert!(at == 64);
    out
}

// Means of a subscriber of activity 1 in a month; inside the base per direction of a friendship of strength 1.
const NET_CALLS: f64 = 0.5;
const NET_SMS: f64 = 0.2;
const FOREIGN_CALLS_OUT: f64 = 3.3;
const FOREIGN_CALLS_IN: f64 = 2.8;
const FOREIGN_SMS_OUT: f64 = 0.8;
const FOREIGN_SMS_IN: f64 = 1.0;
const SERVICE_CALLS: f64 = 0.35;
const NOTICES: f64 = 0.7;
const MMS: f64 = 0.2;
const SESSIONS: f64 = 5.4;

impl Town {
    /// Makes the records of town `town` in month `m`: `members`, `cdrs` in file order, and their `charges`.
    pub(crate) fn make(&mut self, p: &Province, town: u32, m: usize) {
        let month = p.months[m];
        let first = town * TOWN;
        let last = first.saturating_add(TOWN).min(p.subscribers());
        self.members.clear();
        self.cdrs.clear();
        self.members.extend((first..last).map(|i| member(p, Index(i), m, &month)));
        self.calls_inside(p, m, &month);
        for who in 0..self.members.len() {
            self.calls_outside(p, who, m, &month);
        }
        self.cdrs.sort_unstable_by_key(|c| (c.key, c.kind as u8, c.peer.digits, c.duration_s, c.kb));
        self.rate();
    }

    fn calls_inside(&mut self, p: &Province, m: usize, month: &Month) {
        for a in 0..self.members.len() {
            for b in a + 1..self.members.len() {
                let (ia, ib) = (self.members[a].sub.index, self.members[b].sub.index);
                let w = p.friendship(ia, ib);
                if w > 0.0 {
                    let key = (u64::from(ia.0) << 32 | u64::from(ib.0)) ^ (m as u64) << 60;
                    let mut d = Draws::new(p.seed(), Stream::Calls, key);
                    self.talk(&mut d, (a, b), w, month);
                    self.talk(&mut d, (b, a), w, month);
                }
            }
        }
    }

    /// Calls and messages from one friend to the other.
    fn talk(&mut self, d: &mut Draws, (from, to): (usize, usize), w: f64, month: &Month) {
        let (a, b) = (&self.members[from], &self.members[to]);
        let mean = w * a.out.min(1.0) * a.root * b.root;
        let (calls, messages) = (d.count(NET_CALLS * mean), d.count(NET_SMS * mean));
        for n in 0..calls + messages {
            let (a, b) = (&self.members[from], &self.members[to]);
            let at = a.when(d, month);
            let seconds = if n < calls { talk_time(d) } else { 0 };
            let (Some(na), Some(nb)) = (a.number(at), b.number(at)) else { continue };
            let kinds = if n < calls { (Kind::VoiceOut, Kind::VoiceIn) } else { (Kind::SmsOut, Kind::SmsIn) };
            let cdr = |who: usize, member: &Member, kind, peer, d: &mut Draws| Cdr {
                duration_s: seconds,
                on_net: true,
                distance: Distance::Local,
                ..member.cdr(who, at, kind, Peer { zeros: 0, digits: peer }, month, d)
            };
            let (out, into) = (cdr(from, a, kinds.0, nb, d), cdr(to, b, kinds.1, na, d));
            self.cdrs.extend([out, into]);
        }
    }

    /// Everything that has no second side in the base.
    fn calls_outside(&mut self, p: &Province, who: usize, m: usize, month: &Month) {
        let member = &self.members[who];
        let i = member.sub.index;
        let mut d = Draws::new(p.seed(), Stream::Usage, u64::from(i.0) << 8 | m as u64);
        let far = match member.sub.group {
            Group::Migrant => 0.5,
            Group::Student => 0.35,
            Group::Business => 0.3,
            _ => 0.12,
        };
        let uses_ip = p.whim(i, Stream::Usage, 1) < 0.2;
        let data_factor = if member.out > 0.0 { member.sub.data_use.max(0.15) } else { 0.0 };
        let plan = [
            (Kind::VoiceOut, FOREIGN_CALLS_OUT * member.out, false),
            (Kind::VoiceIn, FOREIGN_CALLS_IN * member.inwards, false),
            (Kind::SmsOut, FOREIGN_SMS_OUT * member.out, false),
            (Kind::SmsIn, FOREIGN_SMS_IN * member.inwards, false),
            (Kind::MmsOut, if member.sub.device.mms { MMS * member.out } else { 0.0 }, false),
            (Kind::VoiceOut, SERVICE_CALLS * member.out, true),
            (Kind::SmsIn, NOTICES, true),
            (Kind::Data, SESSIONS * data_factor.min(3.0), false),
        ];
        for (kind, mean, service) in plan {
            for _ in 0..d.count(mean) {
                let at = member.when(&mut d, month);
                let bits = d.bits();
                if member.number(at).is_none() {
                    continue;
                }
                let mut cdr = member.cdr(who, at, kind, Peer::default(), month, &mut d);
                match kind {
                    Kind::Data => {
                        let u = hash::unit(bits);
                        cdr.kb = 20 + (u * u * u * u * 9_000.0 * data_factor.max(0.4)) as u32;
                        cdr.duration_s = 30 + (u * 1_800.0) as u32;
                        cdr.distance = Distance::None;
                    }
                    _ if service => cdr.peer = Peer { zeros: 0, digits: SERVICE_NUMBERS[(bits >> 61) as usize] },
                    _ => (cdr.peer, cdr.distance) = foreign(p, i, bits, far),
                }
                if matches!(kind, Kind::VoiceOut | Kind::VoiceIn) {
                    cdr.duration_s = talk_time(&mut d);
                }
                if kind == Kind::VoiceOut && cdr.distance == Distance::Long && uses_ip {
                    cdr.distance = Distance::Ip;
                }
                self.cdrs.push(cdr);
            }
        }
    }
}

/// Short codes with their weights, by repetition.
pub(crate) const SERVICE_NUMBERS: [u64; 8] = [10_086, 10_086, 10_086, 10_086, 10_086, 12_580, 12_580, 12_530];

fn talk_time(d: &mut Draws) -> u32 {
    let u = d.unit();
    4 + (u * u * u * 620.0) as u32 + (u * 90.0) as u32
}

fn member(p: &Province, i: Index, m: usize, month: &Month) -> Member {
    let sub = p.subscriber(i);
    let mut d = Draws::new(p.seed(), Stream::Trip, u64::from(i.0) << 8 | m as u64);
    let travels = match sub.group {
        Group::Business => 0.45,
        Group::Migrant | Group::Student => 0.2,
        Group::Farmer | Group::Senior => 0.03,
        _ => 0.1,
    };
    let trip = if d.chance(travels) {
        let first = d.below(u64::from(month.days)) as u8;
        (first, first + 1 + d.below(6) as u8, d.chance(0.12))
    } else {
        (0, 0, false)
    };
    let holds = |x: Product| {
        let end = i64::from(month.offset_s) + i64::from(month.days) * 86_400;
        p.holding(&sub, x).is_some_and(|h| h.since < end && h.until > i64::from(month.offset_s))
    };
    let packs = [Product::Data10m, Product::Data50m, Product::Data500m, Product::Wlan];
    let free_kb = sub.plan.free_kb + packs.into_iter().filter(|&x| holds(x)).map(Product::data_kb).sum::<u64>();
    let factor = sub.trend_factor(m);
    let cut = sub.status == Status::Suspended && m + 1 == p.months.len();
    let hours = match sub.group {
        Group::Student | Group::Trend => 1,
        Group::Farmer | Group::Senior => 2,
        _ => 0,
    };
    let inwards = sub.activity * factor;
    let (start, end) = (i64::from(month.offset_s), i64::from(month.offset_s) + i64::from(month.days) * 86_400);
    let constant = sub.numbers.iter().find(|h| h.since <= start && h.until >= end).map_or(0, |h| h.national);
    let out = if cut { 0.0 } else { inwards };
    Member { sub, out, inwards, root: inwards.sqrt(), free_kb, trip, hours, constant }
}

impl Member {
    /// When in the month, in seconds of the data.
    #[inline]
    fn when(&self, d: &mut Draws, month: &Month) -> u32 {
        let b = d.bits();
        let days = u64::from(month.days);
        let mut day = ((b >> 32) * days) >> 32;
        // business calls move off the weekend, half of the time
        if self.sub.group == Group::Business && b & 1 == 0 && weekend(month, day as u32) {
            day = (day + 2) % days;
        }
        let hour = u32::from(HOURS[self.hours][(b >> 8 & 63) as usize]);
        month.offset_s + day as u32 * 86_400 + hour * 3_600 + (((b >> 14 & 0xFFFF) * 3_600) >> 16) as u32
    }
    #[inline]
    fn number(&self, at: u32) -> Option<u64> {
        if self.constant != 0 { Some(self.constant) } else { self.numbers().at(at.into()) }
    }
    pub(crate) fn numbers(&self) -> &Numbers {
        &self.sub.numbers
    }
    /// A record with where he is; the caller fills in the rest.
    #[inline]
    fn cdr(&self, who: usize, at: u32, kind: Kind, peer: Peer, month: &Month, d: &mut Draws) -> Cdr {
        let second = at - month.offset_s;
        let (day, hour) = ((second / 86_400) as u8, second / 3_600 % 24);
        let b = d.bits();
        let away = self.trip.0 <= day && day < self.trip.1;
        let (cell, roaming) = if away {
            if self.trip.2 { (0, 2) } else { (90_000 + (b >> 55) as u32, 1) }
        } else if b & 7 == 0 {
            (self.sub.home_cell / 1_000 * 1_000 + (b >> 40) as u32 % 200, 0)
        } else if (9..18).contains(&hour) && !weekend(month, day.into()) {
            (self.sub.work_cell, 0)
        } else {
            (self.sub.home_cell, 0)
        };
        let key = (who as u64) << 32 | u64::from(at);
        Cdr {
            key,
            peer,
            charge: 0,
            duration_s: 0,
            kb: 0,
            cell,
            kind,
            distance: Distance::Local,
            roaming,
            on_net: false,
        }
    }
}

/// Saturday or Sunday; 1970-01-01 was a Thursday.
fn weekend(month: &Month, day: u32) -> bool {
    (month.first.0 + day as i32 + 3).rem_euclid(7) >= 5
}

/// Leading digits of competitors' mobile numbers.
const COMPETITORS: [u64; 8] = [130, 131, 132, 186, 133, 153, 180, 189];

/// Someone outside: half of the time a person of his own, else one whom the town knows.
///
/// Few have a number that is not a mobile one in plain digits: a reader needs the library for those, not the table.
fn foreign(p: &Province, i: Index, bits: u64, far: f64) -> (Peer, Distance) {
    let mine = bits & 3 < 2;
    let who = if mine { u64::from(i.0) << 1 | 1 } else { u64::from(i.0 / TOWN) << 8 | (bits >> 2 & 63) << 1 };
    let h = hash::salted2(p.seed() ^ (Stream::Foreign as u64) << 56, who, u64::from(mine));
    let digits = h % 90_000_000 + 10_000_000;
    let mobile = Peer { zeros: 0, digits: COMPETITORS[(h >> 59) as usize & 7] * 100_000_000 + digits };
    let u = hash::unit(hash::mix(h));
    if u < 0.008 {
        // Hong Kong mobiles
        return (Peer { zeros: 2, digits: 85_298_000_000 + h % 200_000 }, Distance::International);
    }
    if u < 0.04 {
        // a fixed line in Ningbo
        return (Peer { zeros: 1, digits: 57_487_000_000 + h % 1_000_000 }, Distance::Local);
    }
    // whether someone lives far away is a trait of this acquaintance
    let distant = hash::unit(hash::salted(h, u64::from(i.0))) < far;
    if distant && u < 0.1 {
        // a fixed line in Shanghai
        return (Peer { zeros: 1, digits: 2_164_000_000 + h % 1_000_000 }, Distance::Long);
    }
    (mobile, if distant { Distance::Long } else { Distance::Local })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SynthConfig;
    use kairos_model::NumberPlan;

    #[test]
    fn at_least_twenty_records_a_subscriber_and_month() {
        let p = Province::new(SynthConfig::china(1, 12_800)).unwrap();
        let mut town = Town::default();
        for m in 0..3 {
            let n: usize = (0..100).map(|t| (town.make(&p, t, m), town.cdrs.len()).1).sum();
            let mean = n as f64 / 12_800.0;
            assert!((20.0..24.0).contains(&mean), "month {m}: {mean}");
        }
    }

    #[test]
    fn a_call_inside_has_both_sides_and_runs_between_friends() {
        let p = Province::new(SynthConfig::china(4, 1_000)).unwrap();
        let mut town = Town::default();
        let mut pairs = 0;
        for t in 0..8 {
            town.make(&p, t, 1);
            let side = |out: Kind| {
                let mut v: Vec<_> = town
                    .cdrs
                    .iter()
                    .filter(|c| c.on_net && c.kind == out)
                    .map(|c| {
                        let own = town.members[c.who()].number(c.second() as u32).unwrap();
                        let ends = if matches!(out, Kind::VoiceOut | Kind::SmsOut) {
                            (own, c.peer.digits)
                        } else {
                            (c.peer.digits, own)
                        };
                        (c.second(), ends, c.duration_s)
                    })
                    .collect();
                v.sort_unstable();
                v
            };
            assert_eq!(side(Kind::VoiceOut), side(Kind::VoiceIn));
            assert_eq!(side(Kind::SmsOut), side(Kind::SmsIn));
            pairs += side(Kind::VoiceOut).len();
        }
        assert!(pairs > 2_000, "{pairs}");
    }

    #[test]
    fn every_foreign_number_is_one_for_the_number_plan() {
        let (plan, p) = (NumberPlan::china(), Province::new(SynthConfig::china(4, 2_000)).unwrap());
        let mut seen = std::collections::BTreeSet::new();
        for k in 0..100_000 {
            let (peer, _) = foreign(&p, Index(k), hash::mix(k.into()), 0.5);
            seen.insert((peer.zeros, peer.digits));
        }
        for (zeros, digits) in seen {
            let text = format!("{}{digits}", "0".repeat(zeros.into()));
            assert!(plan.parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn spend_follows_group_and_trend() {
        let p = Province::new(SynthConfig::china(6, 12_800)).unwrap();
        let mut town = Town::default();
        let mut sums = [[0f64; 2]; 3];
        let (mut business, mut senior) = ((0f64, 0f64), (0f64, 0f64));
        let mut falls = (0, 0);
        let mut last = vec![0i64; 12_800];
        let mut down = vec![0; 12_800];
        for (m, sum) in sums.iter_mut().enumerate() {
            for t in 0..100 {
                town.make(&p, t, m);
                for (who, c) in town.charges.iter().enumerate() {
                    let (s, spend) = (&town.members[who].sub, c.voice + c.data + c.messages);
                    let declining = usize::from(s.trend == crate::vocab::Trend::Declining);
                    sum[declining] += spend as f64;
                    match s.group {
                        Group::Business => business = (business.0 + spend as f64, business.1 + 1.0),
                        Group::Senior => senior = (senior.0 + spend as f64, senior.1 + 1.0),
                        _ => {}
                    }
                    let i = s.index.0 as usize;
                    down[i] += usize::from(m > 0 && spend * 20 < last[i] * 17);
                    last[i] = spend;
                    if m == 2 && declining == 1 {
                        falls.1 += 1;
                        falls.0 += usize::from(down[i] == 2);
                    }
                }
            }
        }
        assert!(sums[1][1] < 0.8 * sums[0][1] && sums[2][1] < 0.8 * sums[1][1], "{sums:?}");
        assert!((sums[2][0] / sums[0][0] - 1.0).abs() < 0.2, "{sums:?}");
        assert!(business.0 / business.1 > 1.3 * senior.0 / senior.1, "{business:?} {senior:?}");
        assert!(falls.0 * 4 > falls.1, "{falls:?}");
    }
}
