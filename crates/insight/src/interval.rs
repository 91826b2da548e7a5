//! Intervals for one rate and for the difference of two.

use statrs::distribution::{ContinuousCDF, Normal};

/// So many successes in so many trials; never more successes than trials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proportion {
    successes: u64,
    n: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{successes} successes in {n} trials: count each member at most once")]
pub struct CountError {
    pub successes: u64,
    pub n: u64,
}

impl Proportion {
    pub const fn new(successes: u64, n: u64) -> Result<Self, CountError> {
        if successes > n { Err(CountError { successes, n }) } else { Ok(Self { successes, n }) }
    }
    pub const fn successes(self) -> u64 {
        self.successes
    }
    pub const fn n(self) -> u64 {
        self.n
    }
    /// `None` without trials.
    pub fn rate(self) -> Option<f64> {
        (self.n > 0).then(|| self.successes as f64 / self.n as f64)
    }
    /// The rate that a design should reckon with: (successes + ½) ÷ (n + 1), the mean under Jeffreys' prior, so that a
    /// small group without a success does not promise a rate of 0.
    pub fn expected_rate(self) -> f64 {
        (self.successes as f64 + 0.5) / (self.n as f64 + 1.0)
    }
}

/// Two-sided confidence, e.g. 0.95, with its normal quantile.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Confidence {
    level: f64,
    z: f64,
}

impl Confidence {
    /// `None` outside 0.5 … 0.9999: below it an interval says nothing, above it the normal quantile is no guide.
    pub fn new(level: f64) -> Option<Self> {
        (0.5..=0.9999).contains(&level).then(|| Self { level, z: quantile(0.5 + level / 2.0) })
    }
    /// 95 %.
    pub fn usual() -> Self {
        Self { level: 0.95, z: quantile(0.975) }
    }
    pub const fn level(self) -> f64 {
        self.level
    }
    pub const fn z(self) -> f64 {
        self.z
    }
}

/// Quantile of the standard normal distribution, `p` in 0…1.
pub(crate) fn quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}
/// Its distribution function.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

/// An estimate with its interval; for rates and differences of rates, as fractions (0.05 = 5 points).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// 0 is inside, ends included.
    pub fn crosses_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
    pub fn covers(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }
}

/// Wilson's score interval for one rate, without continuity correction.
///
/// E. B. Wilson 1927; method 3 in R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics
/// in Medicine 17 (1998) 857–872. Without trials: estimate ½, interval 0…1.
pub fn wilson(p: Proportion, confidence: Confidence) -> Interval {
    let Some(rate) = p.rate() else { return Interval { estimate: 0.5, low: 0.0, high: 1.0 } };
    let (n, z) = (p.n as f64, confidence.z);
    let middle = 2.0 * n * rate + z * z;
    let half = z * (z * z + 4.0 * n * rate * (1.0 - rate)).sqrt();
    let whole = 2.0 * (n + z * z);
    // at 0 and n the ends are 0 and 1 exactly, not a rounding error beside them
    let low = if p.successes == 0 { 0.0 } else { (middle - half) / whole };
    let high = if p.successes == p.n { 1.0 } else { (middle + half) / whole };
    Interval { estimate: rate, low, high }
}

/// Newcombe's hybrid score interval for the difference `a − b` of two independent rates, without continuity correction.
///
/// Method 10 in R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of
/// eleven methods", Statistics in Medicine 17 (1998) 873–890. `None` if either has no trials.
pub fn newcombe(a: Proportion, b: Proportion, confidence: Confidence) -> Option<Interval> {
    let (pa, pb) = (a.rate()?, b.rate()?);
    let (wa, wb) = (wilson(a, confidence), wilson(b, confidence));
    let estimate = pa - pb;
    let below = ((pa - wa.low).powi(2) + (wb.high - pb).powi(2)).sqrt();
    let above = ((wa.high - pa).powi(2) + (pb - wb.low).powi(2)).sqrt();
    Some(Interval { estimate, low: (estimate - below).max(-1.0), high: (estimate + above).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(successes: u64, n: u64) -> Proportion {
        Proportion::new(successes, n).unwrap()
    }
    fn shown(i: Interval) -> String {
        format!("{:.4} {:.4}", i.low, i.high)
    }

    #[test]
    fn wilson_gives_the_published_values() {
        // Newcombe 1998 (Statistics in Medicine 17, 857–872), table I, method 3
        for (r, n, want) in
            [(81, 263, "0.2553 0.3662"), (15, 148, "0.0624 0.1605"), (0, 20, "0.0000 0.1611"), (1, 29, "0.0061 0.1718")]
        {
            assert_eq!(shown(wilson(p(r, n), Confidence::usual())), want, "{r}/{n}");
        }
    }

    #[test]
    fn newcombe_gives_the_published_values() {
        // Newcombe 1998 (Statistics in Medicine 17, 873–890), table II, method 10
        for (a, b, want) in [
            ((56, 70), (48, 80), "0.0524 0.3339"),
            ((9, 10), (3, 10), "0.1705 0.8090"),
            ((6, 7), (2, 7), "0.0582 0.8062"),
            ((5, 56), (0, 29), "-0.0381 0.1926"),
            ((0, 10), (0, 20), "-0.1611 0.2775"),
            ((0, 10), (0, 10), "-0.2775 0.2775"),
            ((10, 10), (0, 20), "0.6791 1.0000"),
            ((10, 10), (0, 10), "0.6075 1.0000"),
        ] {
            let i = newcombe(p(a.0, a.1), p(b.0, b.1), Confidence::usual()).unwrap();
            assert_eq!(shown(i), want, "{a:?} {b:?}");
        }
    }

    #[test]
    fn the_edges_stay_inside() {
        let c = Confidence::usual();
        assert_eq!(wilson(p(0, 0), c), Interval { estimate: 0.5, low: 0.0, high: 1.0 });
        assert_eq!((wilson(p(7, 7), c).high, wilson(p(0, 7), c).low), (1.0, 0.0));
        assert_eq!(newcombe(p(0, 0), p(1, 2), c), None);
        assert_eq!(newcombe(p(1, 2), p(0, 0), c), None);
        assert_eq!(Proportion::new(3, 2), Err(CountError { successes: 3, n: 2 }));
        assert!(Confidence::new(1.0).is_none() && Confidence::new(f64::NAN).is_none());
        let billion = newcombe(p(0, 1 << 40), p(1 << 40, 1 << 40), c).unwrap();
        assert!(billion.low >= -1.0 && billion.covers(-1.0), "{billion:?}");
    }

    proptest! {
        #[test]
        fn the_estimate_is_inside_and_sides_mirror((n, x, m, y) in (1u64..5_000, 0u64..5_000, 1u64..5_000, 0u64..5_000)) {
            let (a, b) = (p(x.min(n), n), p(y.min(m), m));
            let c = Confidence::usual();
            let (i, j) = (newcombe(a, b, c).unwrap(), newcombe(b, a, c).unwrap());
            prop_assert!(i.covers(i.estimate) && i.low >= -1.0 && i.high <= 1.0);
            prop_assert!((i.low + j.high).abs() < 1e-12 && (i.high + j.low).abs() < 1e-12);
            let wide = newcombe(a, b, Confidence::new(0.99).unwrap()).unwrap();
            prop_assert!(wide.low <= i.low + 1e-12 && wide.high >= i.high - 1e-12);
        }
    }
}
