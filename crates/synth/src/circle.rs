//! Who knows whom, and who holds what: circles are symmetric, and tastes run in circles.
//!
//! A *town* is 128 neighbouring indices, a *community* 32. Two members of a community are friends with probability
//! 1/4, two of a town with 1 %; calls inside the base run between friends only, so a town can be made alone.

use crate::{
    draw::{Draws, Stream, unit_of},
    province::{Index, Province},
    subscriber::{NEVER, Subscriber},
    vocab::{Brand, Group, Product, REGIONS},
};
use kairos_model::hash;

pub(crate) const TOWN: u32 = 128;
const COMMUNITY: u32 = 32;
const FRIENDS_IN_COMMUNITY_PPM: u32 = 250_000;
const FRIENDS_IN_TOWN_PPM: u32 = 10_000;

/// What the members of a community share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Community {
    pub group: Group,
    pub region: u8,
    pub cell: u32,
    /// Liking of ring-back tones and music, 0–1, with two humps.
    pub taste: f64,
    /// Some work in one firm: they share a closed group.
    pub firm: bool,
}

impl Community {
    pub(crate) fn of(seed: u64, index: Index) -> Self {
        let mut d = Draws::new(seed, Stream::Community, u64::from(index.0 / COMMUNITY));
        let group = Group::ALL[d.pick(&[14, 11, 11, 9, 10, 11, 14, 8, 6, 6])];
        let region = d.pick(&REGIONS.map(|r| r.1)) as u8;
        let cell = d.below(194) as u32;
        let liked = d.chance(0.45);
        let taste = if liked { 0.72 + 0.28 * d.unit() } else { 0.42 * d.unit() };
        Self { group, region, cell, taste, firm: d.chance(0.3) }
    }
}

/// A product held over `[since, until)`, seconds from the start of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub since: i64,
    pub until: i64,
}

impl Province {
    /// How much two subscribers talk: 0 for strangers, else about 0.3–3, the same from both sides.
    #[inline]
    pub(crate) fn friendship(&self, a: Index, b: Index) -> f64 {
        if a == b || a.0 / TOWN != b.0 / TOWN {
            return 0.0;
        }
        let h = hash::salted2(self.seed() ^ (Stream::Friends as u64) << 56, a.min(b).0.into(), a.max(b).0.into());
        let near = a.0 / COMMUNITY == b.0 / COMMUNITY;
        if !hash::below_ppm(h, if near { FRIENDS_IN_COMMUNITY_PPM } else { FRIENDS_IN_TOWN_PPM }) {
            return 0.0;
        }
        let u = hash::unit(hash::mix(h));
        0.3 + 0.6 * u + 2.0 * u * u * u * u
    }

    /// The friends of a subscriber, in order.
    pub fn friends(&self, i: Index) -> impl Iterator<Item = Index> + '_ {
        let first = i.0 - i.0 % TOWN;
        let last = first.saturating_add(TOWN).min(self.subscribers());
        (first..last).map(Index).filter(move |&j| self.friendship(i, j) > 0.0)
    }

    /// Whether a subscriber holds a product at the end of the data.
    pub fn holds(&self, i: Index, product: Product) -> bool {
        self.holding(&self.subscriber(i), product).is_some_and(|h| h.until == NEVER)
    }

    /// The share of a subscriber's friends who hold a product at the end of the data; 0 without friends.
    pub fn circle_share(&self, i: Index, product: Product) -> f64 {
        let (mut friends, mut own) = (0u32, 0u32);
        for j in self.friends(i) {
            friends += 1;
            own += u32::from(self.holds(j, product));
        }
        if friends == 0 { 0.0 } else { f64::from(own) / f64::from(friends) }
    }

    /// The last time that a subscriber took a product.
    pub(crate) fn holding(&self, s: &Subscriber, product: Product) -> Option<Holding> {
        let mut d = Draws::new(self.seed(), Stream::Holding, u64::from(s.index.0) << 8 | product as u64);
        if d.unit() >= self.liking(s, product) {
            return None;
        }
        let length = i64::from(self.length_s());
        let (recent, ends, u, v) = (d.chance(0.25), d.chance(0.12), d.unit(), d.unit());
        let earliest = s.joined_s.max(-700 * 86_400) + 3_600;
        let latest = s.left_s.min(length) - 7_200;
        let from = if recent { earliest.max(0) } else { earliest };
        if from >= latest {
            return None;
        }
        let since = from + (u * (latest - from) as f64) as i64;
        let until = if ends { since + 3_600 + (v * (latest - since) as f64) as i64 } else { s.left_s };
        // an end before the data is no news to it
        (until > 0).then_some(Holding { since, until: if until >= length { NEVER } else { until } })
    }

    /// Probability that a subscriber ever took a product.
    fn liking(&self, s: &Subscriber, product: Product) -> f64 {
        use Group::{Business, Civil, Farmer, Housewife, Migrant, Senior, Student, Trend, Worker};
        let community = self.community(s.index);
        let smart = f64::from(s.device.class);
        let p = match product {
            Product::RingBackTone => {
                let base = match s.group {
                    Student | Trend => 1.0,
                    Senior | Farmer => 0.35,
                    _ => 0.8,
                };
                let long = if s.activity > 1.2 { 1.1 } else { 1.0 };
                base * long * (0.10 + 0.88 * community.taste * community.taste)
            }
            Product::MusicClub => 0.02 + 0.25 * community.taste * community.taste,
            Product::MobileNewspaper if !s.device.mms => 0.0,
            Product::MobileNewspaper => match s.group {
                Business | Civil => 0.32,
                Senior => 0.15,
                _ => 0.08,
            },
            Product::Data10m => 0.03 + 0.05 * smart,
            Product::Data50m => (0.02 + 0.06 * smart) * if s.data_use > 1.0 { 1.6 } else { 0.6 },
            Product::Data500m => 0.025 * smart * s.data_use.min(3.0),
            Product::Messenger => match s.group {
                Student => 0.6,
                Trend => 0.5,
                Worker | Migrant => 0.2,
                _ => 0.06,
            },
            Product::Reading => match s.group {
                Student | Migrant | Trend => 0.16,
                _ => 0.05,
            },
            Product::MmsPack if !s.device.mms => 0.0,
            Product::MmsPack => {
                if s.group == Trend {
                    0.15
                } else {
                    0.03
                }
            }
            Product::MissedCall => match s.group {
                Migrant | Worker => 0.3,
                Housewife => 0.2,
                _ => 0.12,
            },
            Product::Vpmn if community.firm => {
                if s.brand == Brand::Gotone {
                    0.75
                } else {
                    0.55
                }
            }
            Product::Vpmn => 0.02,
            Product::Wlan => smart * if matches!(s.group, Student | Business) { 0.06 } else { 0.01 },
        };
        p.min(0.95)
    }

    /// A stable trait in `0..1` that correlates with nothing else.
    pub(crate) fn whim(&self, i: Index, stream: Stream, what: u64) -> f64 {
        unit_of(self.seed(), stream, i.0.into(), what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SynthConfig;

    #[test]
    fn circles_are_symmetric_and_of_a_human_size() {
        let p = Province::new(SynthConfig::china(2, 1_000)).unwrap();
        let mut total = 0;
        for i in p.indices() {
            for j in p.friends(i) {
                assert_eq!(p.friendship(i, j), p.friendship(j, i));
                assert!(p.friends(j).any(|x| x == i));
                total += 1;
            }
        }
        assert!((7_000..10_500).contains(&total), "{total}");
    }

    #[test]
    fn ring_back_runs_in_circles() {
        let p = Province::new(SynthConfig::china(2, 10_000)).unwrap();
        let (mut owners, mut near, mut far, mut near_n, mut far_n, mut mostly) = (0.0, 0.0, 0.0, 0.0, 0.0, 0);
        for i in p.indices() {
            let (own, share) = (p.holds(i, Product::RingBackTone), p.circle_share(i, Product::RingBackTone));
            owners += f64::from(u8::from(own));
            if own {
                near += share;
                near_n += 1.0;
            } else {
                far += share;
                far_n += 1.0;
                mostly += u32::from(share >= 0.5);
            }
        }
        let (near, far) = (near / near_n, far / far_n);
        assert!((0.22..0.42).contains(&(owners / 10_000.0)), "{owners}");
        assert!(near > far + 0.2, "{near} {far}");
        assert!(mostly > 800, "{mostly}");
    }
}
