//! What several logs share: when somebody is at it, and by which network.

use crate::{
    draw::Draws,
    province::Province,
    subscriber::Subscriber,
    usage::HOURS,
    vocab::{Group, Trend},
};

/// Days of the data on which a subscriber was here: first, end; `None` for less than two days.
pub(crate) fn days(p: &Province, s: &Subscriber) -> Option<(i64, i64)> {
    let (from, to) = (s.joined_s.max(0), s.left_s.min(i64::from(p.length_s())));
    let (first, end) = (from.div_euclid(86_400) + 1, to.div_euclid(86_400));
    (first + 2 <= end).then_some((first, end))
}

/// A recurring habit: an hour of the day that is preferred, and whether it is one of working days.
#[derive(Clone, Copy)]
pub(crate) struct Habit {
    hours: usize,
    own_hour: i64,
    strength: f64,
    trend: Trend,
}

impl Habit {
    pub(crate) fn new(s: &Subscriber, d: &mut Draws) -> Self {
        let hours = match s.group {
            Group::Student | Group::Trend => 1,
            Group::Farmer | Group::Senior => 2,
            _ => 0,
        };
        let own_hour = [7, 8, 12, 13, 18, 20, 21, 22, 23][d.pick(&[10, 14, 18, 8, 12, 14, 12, 8, 4])];
        let strength = [0.25, 0.5, 0.75][d.pick(&[40, 35, 25])];
        Self { hours, own_hour, strength, trend: s.trend }
    }
    /// Second of the data within the days given; more of them early for who fades, late for who grows.
    pub(crate) fn when(&self, d: &mut Draws, (first, end): (i64, i64)) -> i64 {
        let u = d.unit();
        let u = match self.trend {
            Trend::Declining => u * u,
            Trend::Growing => 1.0 - (1.0 - u) * (1.0 - u),
            Trend::Steady => u,
        };
        let day = first + (u * (end - first) as f64) as i64;
        let b = d.bits();
        let hour =
            if d.chance(self.strength) { self.own_hour } else { i64::from(HOURS[self.hours][(b & 63) as usize]) };
        day * 86_400 + hour * 3_600 + (b >> 8 & 0xFFFF) as i64 * 3_600 / 65_536
    }
}

/// The access of one use.
pub(crate) fn network(s: &Subscriber, d: &mut Draws) -> &'static str {
    let b = d.below(100);
    match (s.device.class, s.device.five_g) {
        (0, _) => "2g",
        (_, true) => ["5g", "4g", "wlan"][if b < 45 { 0 } else { 1 + usize::from(b >= 70) }],
        _ => ["4g", "3g", "wlan"][if b < 55 { 0 } else { 1 + usize::from(b >= 75) }],
    }
}
