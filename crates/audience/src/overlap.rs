//! How sets lie to each other: every region of up to ten, every pair of many (重合度), and a sample of one.

use crate::{
    column::spread,
    error::AskError,
    form::{Form, WORDS, Words},
    funnel::count,
    members::Members,
    simd::{Level, common},
};
use kairos_model::{SubscriberId, hash};
use std::collections::BinaryHeap;

/// Sets of which every region is counted: 1,023 regions are what a picture can still show.
pub const OVERLAP_MAX: usize = 10;
/// Sets of which every pair is counted: a page of 200 × 200.
pub const CROSSING_MAX: usize = 200;

/// Subscribers by the sets that they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// `regions[mask]`: who is in exactly the sets whose bits are in the mask; `regions[0]` is 0.
    pub regions: Vec<u64>,
}

impl Overlap {
    /// Counts every region.
    ///
    /// Errors: more than [`OVERLAP_MAX`] sets.
    pub fn of(sets: &[&Members]) -> Result<Self, AskError> {
        if sets.len() > OVERLAP_MAX {
            let what = format!("the overlap of {} sets was asked; at most {OVERLAP_MAX}", sets.len());
            return Err(AskError::Limit { what });
        }
        let mut regions = vec![0u64; 1 << sets.len()];
        let mut room = vec![[0u64; WORDS]; sets.len() + 1];
        for b in 0..sets.iter().map(|s| s.blocks()).max().unwrap_or(0) {
            let here: Vec<_> = sets.iter().map(|s| spread(s.form(b))).collect();
            let Some((all, rest)) = room.split_first_mut() else { break };
            all.fill(0);
            here.iter().for_each(|s| all.iter_mut().zip(s.iter()).for_each(|(a, w)| *a |= w));
            split(&here, 0, all, rest, &mut regions);
        }
        Ok(Self { regions })
    }
    /// Who is in all sets of the mask, whatever else they are in.
    pub fn within_all(&self, mask: usize) -> u64 {
        self.sum(|m| m & mask == mask && m != 0)
    }
    /// Who is in any set of the mask.
    pub fn within_any(&self, mask: usize) -> u64 {
        self.sum(|m| m & mask != 0)
    }
    fn sum(&self, of: impl Fn(usize) -> bool) -> u64 {
        self.regions.iter().enumerate().filter(|(m, _)| of(*m)).map(|(_, n)| n).sum()
    }
}

/// Splits those in `mask` so far by the sets from `at` on.
fn split(sets: &[Box<Words>], mask: usize, now: &Words, room: &mut [Words], regions: &mut [u64]) {
    let at = sets.len() - room.len();
    let Some((next, room)) = room.split_first_mut() else {
        regions[mask] += count(now);
        return;
    };
    if now.iter().all(|w| *w == 0) {
        return;
    }
    next.iter_mut().zip(now).zip(sets[at].iter()).for_each(|((n, w), s)| *n = w & s);
    split(sets, mask | 1 << at, next, room, regions);
    next.iter_mut().zip(now).zip(sets[at].iter()).for_each(|((n, w), s)| *n = w & !s);
    split(sets, mask, next, room, regions);
}

/// Every pair of many sets, such as the users of services.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// `counts[i][j]`: who is in both; the diagonal: in the set.
    pub counts: Vec<Vec<u64>>,
    /// Of whom the sets are parts.
    pub base: u64,
}

impl Crossing {
    /// Counts every pair. `base`: how many there are in all, for the lift.
    ///
    /// Errors: more than [`CROSSING_MAX`] sets, a base that is smaller than a set.
    pub fn of(sets: &[&Members], base: u64) -> Result<Self, AskError> {
        let n = sets.len();
        if n > CROSSING_MAX {
            let what = format!("every pair of {n} sets was asked; at most {CROSSING_MAX}");
            return Err(AskError::Limit { what });
        }
        if let Some(s) = sets.iter().find(|s| s.len() > base) {
            let what = format!("a set of {} is no part of a base of {base}", s.len());
            return Err(AskError::Limit { what });
        }
        let (mut counts, level) = (vec![vec![0u64; n]; n], Level::best());
        for b in 0..sets.iter().map(|s| s.blocks()).max().unwrap_or(0) {
            let here: Vec<_> = sets.iter().enumerate().filter(|(_, s)| !matches!(s.form(b), Form::Empty)).collect();
            let words: Vec<_> = here.iter().map(|(_, s)| spread(s.form(b))).collect();
            for (x, (i, _)) in here.iter().enumerate() {
                for (y, (j, _)) in here.iter().enumerate().skip(x) {
                    counts[*i][*j] += common(level, &words[x], &words[y]);
                }
            }
        }
        // the half below the diagonal is that above it
        let above = counts.clone();
        for (i, row) in counts.iter_mut().enumerate() {
            row.iter_mut().zip(&above).take(i).for_each(|(c, other)| *c = other[i]);
        }
        Ok(Self { counts, base })
    }
    /// Of those in set `of`, the share that is also in set `also`; `None` for an empty set.
    pub fn share(&self, of: usize, also: usize) -> Option<f64> {
        (self.counts[of][of] > 0).then(|| self.counts[of][also] as f64 / self.counts[of][of] as f64)
    }
    /// That share against the share of `also` in the base: 1 where the two have nothing to do with each other.
    pub fn lift(&self, of: usize, also: usize) -> Option<f64> {
        let expected = self.counts[also][also] as f64 / self.base as f64;
        self.share(of, also).filter(|_| expected > 0.0).map(|s| s / expected)
    }
}

impl Members {
    /// `n` of them, or all if there are fewer, in the order of a salted hash: the same seed gives the same, and who
    /// stays in the set stays in the sample unless somebody with a lower hash comes.
    pub fn sample(&self, n: usize, seed: u64) -> Vec<SubscriberId> {
        const SALT: u64 = 0x4155_4453_414d_504c;
        let mut kept: BinaryHeap<(u64, u32)> = BinaryHeap::new();
        if n == 0 {
            return Vec::new();
        }
        self.for_each(|o| {
            let h = hash::salted2(SALT, seed, u64::from(o));
            if kept.len() < n {
                kept.push((h, o));
            } else if kept.peek().is_some_and(|worst| (h, o) < *worst) {
                kept.pop();
                kept.push((h, o));
            }
        });
        kept.into_sorted_vec().into_iter().map(|(_, o)| SubscriberId(o)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(step: usize) -> Members {
        Members::from_ascending((0..300_000).step_by(step))
    }

    #[test]
    fn regions_are_those_of_divisors() {
        let sets = [every(2), every(3), every(5)];
        let o = Overlap::of(&sets.each_ref()).unwrap();
        let region = |mask: usize| {
            (0..300_000)
                .filter(|i| [2, 3, 5].iter().enumerate().all(|(k, d)| (i % d == 0) == (mask >> k & 1 == 1)))
                .count()
        };
        assert_eq!(o.regions[0], 0);
        (1..8).for_each(|m| assert_eq!(o.regions[m], region(m) as u64, "{m:b}"));
        assert_eq!((o.within_all(0b011), o.within_any(0b111)), (50_000, 220_000));
        let ten: Vec<&Members> = std::iter::repeat_n(&sets[0], 10).collect();
        assert_eq!(Overlap::of(&ten).unwrap().regions[1023], 150_000);
        assert!(Overlap::of(&std::iter::repeat_n(&sets[0], 11).collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn pairs_have_share_and_lift() {
        let sets = [every(2), every(4), Members::default()];
        let c = Crossing::of(&sets.each_ref(), 300_000).unwrap();
        assert_eq!(c.counts, [[150_000, 75_000, 0], [75_000, 75_000, 0], [0, 0, 0]]);
        assert_eq!((c.share(1, 0), c.share(0, 1), c.share(2, 0)), (Some(1.0), Some(0.5), None));
        assert_eq!((c.lift(1, 0), c.lift(0, 0), c.lift(0, 2)), (Some(2.0), Some(2.0), None));
        assert!(Crossing::of(&sets.each_ref(), 10).is_err());
    }

    #[test]
    fn a_sample_is_seeded_and_stays() {
        let set = every(2);
        let sample = set.sample(1_000, 1);
        assert_eq!(sample.len(), 1_000);
        assert!(sample.iter().all(|s| set.contains(*s)));
        assert_eq!(sample, set.sample(1_000, 1));
        assert_ne!(sample, set.sample(1_000, 2));
        assert_eq!(sample[..10], set.sample(10, 1)[..]);
        let mean = sample.iter().map(|s| f64::from(s.0)).sum::<f64>() / 1_000.0;
        // four standard errors of the mean of 1,000 even draws
        assert!((mean - 150_000.0).abs() < 4.0 * 300_000.0 / 12f64.sqrt() / 1_000f64.sqrt(), "{mean}");
        assert_eq!((every(100_000).sample(10, 1).len(), set.sample(0, 1).len()), (3, 0));
    }
}
