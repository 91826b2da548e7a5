//! Numbers: which subscriber holds which number when, both ways, without a table.
//!
//! A *slot* is a place in the province's four blocks of 10^8 numbers; slots are spread over the blocks by an affine
//! permutation, so that neighbours in the province are not neighbours in the number plan, and the permutation has an
//! inverse. Slot i belongs to subscriber i, slot `SUBSCRIBERS_MAX` + i is the number that i took later.

use crate::{
    draw::{Draws, Stream},
    province::{Index, Province, SUBSCRIBERS_MAX},
    subscriber::NEVER,
};
use kairos_model::{Msisdn, Timestamp};

/// Leading digits of our own numbers, each with eight free digits.
pub const OWN_PREFIXES: [u64; 4] = [139, 138, 136, 135];
const BLOCK: u64 = 100_000_000;
const SLOTS: u64 = BLOCK * OWN_PREFIXES.len() as u64;
/// Share of the pairs (i, i + 64) between which a number changes hands.
const HAND_OVER_PPM: u32 = 12_000;
/// Share of the subscribers who never had a number of ours.
const NO_NUMBER_PPM: u32 = 1_000;

/// The affine permutation `slot → slot × a + b (mod SLOTS)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberSpace {
    a: u64,
    a_inverse: u64,
    b: u64,
}

impl NumberSpace {
    pub(crate) fn new(seed: u64) -> Self {
        let mut d = Draws::new(seed, Stream::Number, 0);
        // odd and no multiple of 5 = coprime to SLOTS = 2^10 × 5^8; near the golden section, so that blocks fill evenly
        let mut a = 247_213_595 + 2 * d.below(1_000_000);
        while a.is_multiple_of(5) {
            a += 2;
        }
        Self { a, a_inverse: inverse(a), b: d.below(SLOTS) }
    }
    /// The national number (11 digits) of a slot.
    pub(crate) fn national(&self, slot: u64) -> u64 {
        let x = ((u128::from(slot) * u128::from(self.a) + u128::from(self.b)) % u128::from(SLOTS)) as u64;
        OWN_PREFIXES[(x / BLOCK) as usize] * BLOCK + x % BLOCK
    }
    /// The slot of a national number; `None` if it is in none of our blocks.
    pub(crate) fn slot(&self, national: u64) -> Option<u64> {
        let block = OWN_PREFIXES.iter().position(|&p| p == national / BLOCK)? as u64;
        let x = block * BLOCK + national % BLOCK;
        let shifted = (x + SLOTS - self.b) % SLOTS;
        Some(((u128::from(shifted) * u128::from(self.a_inverse)) % u128::from(SLOTS)) as u64)
    }
}

/// Inverse modulo SLOTS by the extended Euclidean algorithm; `a` is coprime to SLOTS.
fn inverse(a: u64) -> u64 {
    let (mut r0, mut r1) = (SLOTS as i128, i128::from(a));
    let (mut t0, mut t1) = (0i128, 1i128);
    while r1 != 0 {
        let q = r0 / r1;
        (r0, r1) = (r1, r0 - q * r1);
        (t0, t1) = (t1, t0 - q * t1);
    }
    t0.rem_euclid(SLOTS as i128) as u64
}

/// A number held over `[since, until)`, in seconds from the start of the data; `until` = [`NEVER`] while it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub national: u64,
    pub since: i64,
    pub until: i64,
}

/// The numbers of one subscriber, in order of time; at most two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    held: [Option<Held>; 2],
}

impl Numbers {
    pub(crate) fn none() -> Self {
        Self::default()
    }
    pub(crate) fn one(h: Held) -> Self {
        Self { held: [Some(h), None] }
    }
    pub(crate) fn two(a: Held, b: Held) -> Self {
        Self { held: [Some(a), Some(b)] }
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = Held> + '_ {
        self.held.iter().flatten().copied()
    }
    #[inline]
    pub(crate) fn at(&self, second: i64) -> Option<u64> {
        self.iter().find(|h| h.since <= second && second < h.until).map(|h| h.national)
    }
}

/// A number that changes hands: `from` loses its first number at `lost`, `to` gets it at `got` > `lost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandOver {
    pub from: Index,
    pub to: Index,
    pub lost: i64,
    pub got: i64,
    /// The former holder left us and the next one is new here; otherwise both stay and change their numbers.
    pub leaves: bool,
}

impl Province {
    /// The hand-over that a subscriber takes part in.
    pub(crate) fn hand_over(&self, i: Index) -> Option<HandOver> {
        let (low, high) = (i.0 & !64, i.0 | 64);
        if high >= self.subscribers() {
            return None;
        }
        let mut d = Draws::new(self.seed(), Stream::HandOver, low.into());
        if !kairos_model::hash::below_ppm(d.bits(), HAND_OVER_PPM) {
            return None;
        }
        let (from, to) = if d.chance(0.5) { (low, high) } else { (high, low) };
        let length = u64::from(self.length_s());
        let lost = length / 10 + d.below(length * 2 / 5);
        let got = lost + length / 10 + d.below(length / 5);
        Some(HandOver { from: Index(from), to: Index(to), lost: lost as i64, got: got as i64, leaves: d.chance(0.7) })
    }

    pub(crate) fn has_no_number(&self, i: Index) -> bool {
        let mut d = Draws::new(self.seed(), Stream::Number, u64::from(i.0) + 1);
        kairos_model::hash::below_ppm(d.bits(), NO_NUMBER_PPM) && self.hand_over(i).is_none()
    }

    /// Every number a subscriber held, given when he came and went (seconds from the start of the data).
    pub(crate) fn numbers_between(&self, i: Index, joined: i64, left: i64) -> Numbers {
        let own = self.numbers.national(i.0.into());
        let spare = self.numbers.national(u64::from(i.0) + u64::from(SUBSCRIBERS_MAX));
        match self.hand_over(i) {
            None if self.has_no_number(i) => Numbers::none(),
            None => Numbers::one(Held { national: own, since: joined, until: left }),
            Some(h) if h.from == i => {
                let first = Held { national: own, since: joined, until: h.lost };
                if h.leaves {
                    Numbers::one(first)
                } else {
                    Numbers::two(first, Held { national: spare, since: h.lost, until: left })
                }
            }
            Some(h) => {
                let passed = self.numbers.national(h.from.0.into());
                let next = Held { national: passed, since: h.got, until: left };
                if h.leaves {
                    Numbers::one(next)
                } else {
                    Numbers::two(Held { national: own, since: joined, until: h.got }, next)
                }
            }
        }
    }

    /// The number of a subscriber at an instant; `None` if he has none then.
    pub fn number(&self, i: Index, at: Timestamp) -> Option<Msisdn> {
        let second = self.seconds(at);
        self.contains(i).then(|| self.subscriber(i).numbers.at(second)).flatten().and_then(china)
    }

    /// Who holds a number at an instant; `None` for a foreign, free or not yet given number. Costs a few subscribers'
    /// attributes and no memory.
    pub fn holder(&self, number: Msisdn, at: Timestamp) -> Option<Index> {
        let national = number.reveal().checked_sub(COUNTRY)?;
        let slot = self.numbers.slot(national)?;
        let first = Index(u32::try_from(slot % u64::from(SUBSCRIBERS_MAX)).ok()?);
        let second = self.seconds(at);
        let candidates = [first, Index(first.0 ^ 64)];
        candidates.into_iter().find(|&i| {
            self.contains(i)
                && self
                    .subscriber(i)
                    .numbers
                    .iter()
                    .any(|h| h.national == national && h.since <= second && second < h.until)
        })
    }
}

/// 86 in front of 11 digits.
const COUNTRY: u64 = 8_600_000_000_000;

fn china(national: u64) -> Option<Msisdn> {
    Msisdn::from_e164(COUNTRY + national)
}

const _: () = assert!(NEVER > u32::MAX as i64 && SLOTS == 2 * SUBSCRIBERS_MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SynthConfig;
    use kairos_model::{NumberPlan, Span};

    #[test]
    fn slots_and_numbers_are_a_bijection() {
        let plan = NumberPlan::china();
        for seed in 0..20 {
            let space = NumberSpace::new(seed);
            for slot in (0..SLOTS).step_by(7_654_321).chain([0, SLOTS - 1]) {
                let n = space.national(slot);
                assert_eq!(space.slot(n), Some(slot));
                assert!(plan.parse_normalised(n.to_string().as_bytes()).is_some(), "{n}");
            }
            assert_eq!(space.slot(13_012_345_678), None);
        }
    }

    #[test]
    fn a_number_changes_hands_without_overlap_and_is_found_at_any_time() {
        let p = Province::new(SynthConfig::china(5, 20_000)).unwrap();
        let (mut over, mut stay) = (0, 0);
        for i in p.indices() {
            let Some(h) = p.hand_over(i) else { continue };
            if h.from != i {
                continue;
            }
            over += 1;
            stay += u32::from(!h.leaves);
            let (a, b) = (p.subscriber(h.from), p.subscriber(h.to));
            let number = a.numbers.iter().next().unwrap();
            let next = b.numbers.iter().last().unwrap();
            assert_eq!(number.national, next.national);
            assert!(number.since < number.until && number.until < next.since && next.until == NEVER, "{h:?}");
            let m = china(number.national).unwrap();
            let day = Span::days(1);
            assert_eq!(p.holder(m, p.instant(h.lost).minus(day)), Some(h.from));
            assert_eq!(p.holder(m, p.instant(h.lost)), None);
            assert_eq!(p.holder(m, p.instant(h.got)), Some(h.to));
            assert_eq!(p.number(h.to, p.end()), Some(m));
            assert_eq!(p.number(h.from, p.end()).is_none(), h.leaves);
        }
        assert!((80..160).contains(&over) && stay > 10, "{over} {stay}");
    }

    #[test]
    fn every_current_number_finds_its_holder_and_nobody_elses() {
        let p = Province::new(SynthConfig::china(9, 5_000)).unwrap();
        let (mut seen, mut none) = (std::collections::BTreeSet::new(), 0);
        for i in p.indices() {
            match p.number(i, p.end()) {
                Some(m) => {
                    assert_eq!(p.holder(m, p.end()), Some(i));
                    assert!(seen.insert(m));
                }
                None => none += 1,
            }
        }
        assert!((30..250).contains(&none), "{none}");
    }
}
