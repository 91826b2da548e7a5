//! Draws: streams of random-looking values that are pure functions of a key.
//!
//! Only integer arithmetic and the basic float operations of IEEE 754 are used (no `exp`, no `ln`), so that the same
//! seed gives the same bytes on every machine.

use kairos_model::hash;

/// What a stream of draws is for. Streams never share values, so that a new use changes no old one.
#[derive(Clone, Copy)]
#[repr(u64)]
pub enum Stream {
    Who = 1,
    Name = 2,
    Number = 3,
    HandOver = 4,
    Friends = 5,
    Holding = 6,
    Usage = 7,
    Calls = 8,
    Contacts = 9,
    Consent = 10,
    Suppression = 11,
    Bill = 12,
    Dirty = 13,
    Community = 14,
    Foreign = 15,
    Response = 16,
    Delivery = 17,
    Reply = 18,
    Order = 19,
    Trip = 20,
    Devices = 21,
    Content = 22,
    Web = 23,
    Pages = 24,
    Pay = 25,
}

/// SplitMix64 as a stream: the n-th value is `mix(start + n × golden)`.
#[derive(Clone, Copy)]
pub struct Draws(u64);

impl Draws {
    #[inline]
    pub fn new(seed: u64, stream: Stream, x: u64) -> Self {
        Self(hash::salted2(seed, stream as u64, x))
    }
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let z = hash::mix(self.0);
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z
    }
    /// In `0..n`; 0 for `n` = 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }
    /// In `0..1`.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        hash::unit(self.bits())
    }
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
    /// One of `weights`' places, in proportion; the last one if all weights are 0.
    #[inline]
    pub fn pick(&mut self, weights: &[u32]) -> usize {
        let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
        let mut x = self.below(total);
        for (i, &w) in weights.iter().enumerate() {
            if x < u64::from(w) {
                return i;
            }
            x -= u64::from(w);
        }
        weights.len().saturating_sub(1)
    }
    /// A whole number with mean `mean`: overdispersed by a factor drawn from {½, ½, 1, 2} (mean 1), then rounded at
    /// random to one of its two neighbours.
    #[inline]
    pub fn count(&mut self, mean: f64) -> u32 {
        let b = self.bits();
        let factor = [0.5, 0.5, 1.0, 2.0][(b & 3) as usize];
        let x = mean * factor;
        let whole = x as u32;
        whole + u32::from(hash::unit(b) < x - f64::from(whole))
    }
}

/// One hash as a draw in `0..1`.
#[inline]
pub fn unit_of(seed: u64, stream: Stream, a: u64, b: u64) -> f64 {
    hash::unit(hash::salted2(seed ^ (stream as u64) << 56, a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_keep_their_mean() {
        for mean in [0.1, 0.7, 3.3] {
            let mut d = Draws::new(1, Stream::Who, 9);
            let total: u64 = (0..100_000).map(|_| u64::from(d.count(mean))).sum();
            let got = total as f64 / 100_000.0;
            assert!((got / mean - 1.0).abs() < 0.03, "{mean} {got}");
        }
    }

    #[test]
    fn picks_follow_their_weights() {
        let mut d = Draws::new(1, Stream::Who, 9);
        let mut n = [0; 3];
        (0..40_000).for_each(|_| n[d.pick(&[1, 0, 3])] += 1);
        assert!((9_500..10_500).contains(&n[0]) && n[1] == 0, "{n:?}");
    }
}
