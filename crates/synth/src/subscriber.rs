//! A subscriber's attributes: a pure function of (seed, index).

use crate::{
    circle::Community,
    draw::{Draws, Stream},
    number::Numbers,
    province::{Index, Province},
    vocab::{
        Brand, CELLS_PER_REGION, DEVICES, Device, Group, PLANS, Payment, Plan, REGIONS, Status, Trend, first_cell,
    },
};
use kairos_model::LocalDay;

/// An end that has not come, in seconds from the start of the data.
pub(crate) const NEVER: i64 = i64::MAX;
/// Share of the subscribers whom nobody may disturb.
const DO_NOT_DISTURB: f64 = 0.01;

/// Share of the subscribers who are written to in English.
const ENGLISH: f64 = 0.04;

/// Who a subscriber is at the end of the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subscriber {
    pub index: Index,
    pub group: Group,
    pub brand: Brand,
    pub plan: &'static Plan,
    pub payment: Payment,
    pub status: Status,
    pub male: bool,
    pub birth_year: i16,
    pub joined: LocalDay,
    /// Place in [`REGIONS`].
    pub region: u8,
    pub home_cell: u32,
    pub work_cell: u32,
    pub device: &'static Device,
    pub trend: Trend,
    pub do_not_disturb: bool,
    /// Is written to in English; everybody else in Chinese.
    pub english: bool,
    /// How much he calls, mean about 1.
    pub activity: f64,
    /// How much data he uses, mean about 1.
    pub data_use: f64,
    /// Seconds from the start of the data; negative before it.
    pub(crate) joined_s: i64,
    pub(crate) left_s: i64,
    pub(crate) numbers: Numbers,
}

impl Subscriber {
    /// Years of age in the year of the data's end.
    pub fn age(&self, year: i16) -> i16 {
        year - self.birth_year
    }
    /// What the trend makes of a month's use, from 0; declining: halved each month, the rental apart.
    pub fn trend_factor(&self, month: usize) -> f64 {
        match self.trend {
            Trend::Steady => 1.0,
            Trend::Growing => [0.8, 1.05, 1.35][month.min(2)],
            Trend::Declining => [1.9, 1.0, 0.5, 0.25][month.min(3)],
        }
    }
    /// The region's code.
    pub fn region_code(&self) -> &'static str {
        REGIONS[usize::from(self.region)].0
    }
}

/// Weights of groups when a member differs from his community, and of communities.
const GROUP_WEIGHTS: [u32; 10] = [14, 11, 11, 9, 10, 11, 14, 8, 6, 6];
/// Per group: youngest age, span of ages, share of gotone/easyown/mzone, activity ×100, data ×100.
const GROUPS: [(i16, u64, [u32; 3], u32, u32); 10] = [
    (17, 8, [4, 16, 80], 105, 160),
    (26, 30, [78, 20, 2], 150, 130),
    (28, 30, [14, 82, 4], 85, 60),
    (25, 40, [5, 94, 1], 65, 25),
    (58, 25, [18, 82, 0], 55, 15),
    (18, 16, [30, 30, 40], 120, 190),
    (22, 34, [20, 72, 8], 95, 80),
    (19, 30, [6, 86, 8], 110, 85),
    (25, 34, [55, 42, 3], 100, 90),
    (20, 45, [25, 65, 10], 90, 80),
];
/// Per group: cash, bank, online, card.
const PAYMENTS: [[u32; 4]; 10] = [
    [20, 10, 55, 15],
    [12, 58, 25, 5],
    [50, 15, 20, 15],
    [75, 5, 5, 15],
    [70, 20, 3, 7],
    [18, 12, 60, 10],
    [45, 20, 25, 10],
    [60, 5, 20, 15],
    [25, 50, 20, 5],
    [40, 20, 30, 10],
];

impl Province {
    /// All attributes of a subscriber. An index past the province gives what it would be in a larger one.
    pub fn subscriber(&self, index: Index) -> Subscriber {
        let community = self.community(index);
        let mut d = Draws::new(self.seed(), Stream::Who, index.0.into());
        let group = if d.chance(0.6) { community.group } else { Group::ALL[d.pick(&GROUP_WEIGHTS)] };
        let (youngest, span, brands, activity_pc, data_pc) = GROUPS[group as usize];
        let end_year = self.end_year();
        let birth_year = end_year - youngest - d.below(span) as i16;
        let brand = Brand::ALL[d.pick(&brands)];
        let u = d.unit();
        // skewed: many quiet, a few who call five times as much
        let activity = f64::from(activity_pc) / 100.0 * (0.45 + 0.45 * u + 1.9 * u * u * u * u * u * u);
        let plan = choose_plan(brand, activity, &mut d);
        let device = choose_device(group, activity, &mut d);
        let v = d.unit();
        let data_use =
            f64::from(data_pc) / 100.0 * [0.25, 0.9, 1.3, 1.6][usize::from(device.class)] * (0.4 + 1.8 * v * v);
        let region = if d.chance(0.85) { community.region } else { d.pick(&REGIONS.map(|r| r.1)) as u8 };
        let home_cell = first_cell(region) + (community.cell + d.below(6) as u32) % CELLS_PER_REGION;
        let work_region = if d.chance(0.75) { region } else { d.pick(&REGIONS.map(|r| r.1)) as u8 };
        let work_cell = first_cell(work_region) + d.below(CELLS_PER_REGION.into()) as u32;
        let payment = Payment::ALL[d.pick(&PAYMENTS[group as usize])];
        let trend = match d.below(100) {
            0..6 => Trend::Declining,
            6..10 => Trend::Growing,
            _ => Trend::Steady,
        };
        let (male, do_not_disturb) =
            (d.chance(if group == Group::Housewife { 0.03 } else { 0.54 }), d.chance(DO_NOT_DISTURB));
        let (joined_s, left_s, status) = self.life(index, trend, &mut d);
        Subscriber {
            index,
            group,
            brand,
            plan,
            payment,
            status,
            male,
            birth_year,
            joined: self.config.from.plus_days(joined_s.div_euclid(86_400) as i32),
            region,
            home_cell,
            work_cell,
            device,
            trend,
            do_not_disturb,
            // drawn last: what was drawn before it stays as it was
            english: d.chance(ENGLISH),
            activity,
            data_use,
            joined_s,
            left_s,
            numbers: self.numbers_between(index, joined_s, left_s),
        }
    }

    pub(crate) fn end_year(&self) -> i16 {
        self.months.last().map_or(0, |m| m.year)
    }

    pub(crate) fn community(&self, index: Index) -> Community {
        Community::of(self.seed(), index)
    }

    /// When he came and went, and his status at the end of the data.
    fn life(&self, index: Index, trend: Trend, d: &mut Draws) -> (i64, i64, Status) {
        let length = i64::from(self.length_s());
        let day = |s: i64| s - s.rem_euclid(86_400) + 36_000;
        // up to 13 years, half of them under four
        let u = d.unit();
        let before = -(1 + (u * u * 4_700.0) as i64) * 86_400 + 36_000;
        let (new, leaves, suspended) =
            (d.chance(0.015), d.chance(if trend == Trend::Declining { 0.07 } else { 0.012 }), d.chance(0.02));
        let (came, went) =
            (d.below(length as u64) as i64, d.below(length as u64 - length as u64 / 8) as i64 + length / 8);
        if let Some(h) = self.hand_over(index) {
            return match (h.from == index, h.leaves) {
                (true, true) => (before, h.lost, Status::Closed),
                (false, true) => (h.got, NEVER, Status::Active),
                _ => (before, NEVER, Status::Active),
            };
        }
        let joined = if new { day(came / 2) } else { before };
        if leaves {
            (joined, went.max(joined + 86_400), Status::Closed)
        } else {
            (joined, NEVER, if suspended { Status::Suspended } else { Status::Active })
        }
    }
}

fn choose_plan(brand: Brand, activity: f64, d: &mut Draws) -> &'static Plan {
    // heavier callers buy more minutes, most of the time
    let level = activity + 0.5 * d.unit();
    let i = match brand {
        Brand::Easyown => usize::from(level > 1.0),
        Brand::Mzone => 5 + usize::from(level > 1.25),
        Brand::Gotone => match level {
            x if x < 1.15 => 2,
            x if x < 1.8 => 3,
            x if x < 3.4 => 4,
            _ => 7,
        },
    };
    &PLANS[i]
}

fn choose_device(group: Group, activity: f64, d: &mut Draws) -> &'static Device {
    let class = match group {
        Group::Farmer | Group::Senior => d.pick(&[62, 30, 7, 1]),
        Group::Business | Group::Trend => d.pick(&[4, 22, 38, 36]),
        Group::Student => d.pick(&[6, 44, 36, 14]),
        _ if activity > 1.5 => d.pick(&[10, 40, 32, 18]),
        _ => d.pick(&[24, 46, 23, 7]),
    };
    let of_class = |x: &&Device| usize::from(x.class) == class;
    let n = DEVICES.iter().filter(of_class).count();
    DEVICES.iter().filter(of_class).nth(d.below(n as u64) as usize).unwrap_or(&DEVICES[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SynthConfig;

    #[test]
    fn attributes_depend_on_nothing_but_seed_and_index() {
        let (small, large) = (SynthConfig::china(3, 1_000), SynthConfig::china(3, 1_000_000));
        let (small, large) = (Province::new(small).unwrap(), Province::new(large).unwrap());
        // the last 64 may gain a partner for a hand-over in the larger one
        for i in (0..900).map(Index) {
            assert_eq!(small.subscriber(i), large.subscriber(i));
        }
        let other = Province::new(SynthConfig::china(4, 1_000)).unwrap();
        assert_ne!(small.subscriber(Index(1)), other.subscriber(Index(1)));
    }

    #[test]
    fn shares_are_what_the_province_promises() {
        let p = Province::new(SynthConfig::china(1, 20_000)).unwrap();
        let all: Vec<_> = p.indices().map(|i| p.subscriber(i)).collect();
        let share = |f: &dyn Fn(&Subscriber) -> bool| all.iter().filter(|s| f(s)).count() as f64 / all.len() as f64;
        let mean = all.iter().map(|s| s.activity).sum::<f64>() / all.len() as f64;
        assert!((0.85..1.15).contains(&mean), "activity {mean}");
        for (what, got, range) in [
            ("dnd", share(&|s| s.do_not_disturb), 0.007..0.013),
            ("english", share(&|s| s.english), 0.03..0.05),
            ("declining", share(&|s| s.trend == Trend::Declining), 0.05..0.07),
            ("active", share(&|s| s.status == Status::Active), 0.94..0.98),
            ("gotone", share(&|s| s.brand == Brand::Gotone), 0.2..0.4),
            ("five g", share(&|s| s.device.five_g), 0.2..0.5),
            ("male", share(&|s| s.male), 0.4..0.56),
        ] {
            assert!(range.contains(&got), "{what} {got}");
        }
        for s in &all {
            assert_eq!(s.brand, s.plan.brand);
            assert!((15..90).contains(&s.age(2026)), "{s:?}");
            assert!(s.joined_s < s.left_s);
        }
    }
}
