//! Sample-ratio check: do the numbers of chosen and control fit the stated share? If not, something beside the hash
//! decided who became a control, and no comparison of the two is to be trusted.

use statrs::{
    distribution::{Binomial, DiscreteCDF},
    function::erf::erfc,
};

/// Result of the check.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RatioCheck {
    /// Controls that the share promises.
    pub expected: f64,
    pub control: u64,
    pub chosen: u64,
    /// Two-sided probability of a split at least this uneven.
    pub p: f64,
}

/// From here on the normal approximation of the count's distribution is good to the digits that matter at 0.001.
const EXACT_BELOW: f64 = 50.0;

/// Tests `control` of `control + chosen` against a share of `share_ppm` millionths.
///
/// Pearson's chi-square with one degree of freedom where both expected counts are at least 50; below that the exact
/// binomial, twice the smaller tail. Without members p = 1.
pub fn sample_ratio(chosen: u64, control: u64, share_ppm: u32) -> RatioCheck {
    let share = f64::from(share_ppm.min(1_000_000)) / 1e6;
    let n = chosen.saturating_add(control);
    let expected = n as f64 * share;
    let rest = n as f64 - expected;
    let p = if n == 0 {
        1.0
    } else if share_ppm == 0 || share_ppm >= 1_000_000 {
        // no chance is left to explain a member on the wrong side
        f64::from(u8::from(if share_ppm == 0 { control == 0 } else { chosen == 0 }))
    } else if expected.min(rest) >= EXACT_BELOW {
        let chi2 = (control as f64 - expected).powi(2) * (1.0 / expected + 1.0 / rest);
        erfc((chi2 / 2.0).sqrt())
    } else {
        exact(control, n, share)
    };
    RatioCheck { expected, control, chosen, p: p.clamp(0.0, 1.0) }
}

fn exact(x: u64, n: u64, share: f64) -> f64 {
    // `share` is inside 0…1 here, so the distribution exists
    let Ok(d) = Binomial::new(share, n) else { return 0.0 };
    let (up_to, from) = (d.cdf(x), if x == 0 { 1.0 } else { d.sf(x - 1) });
    (2.0 * up_to.min(from)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // chi-square = 10²/50 + 10²/50 = 4 with one degree of freedom: p = 0.0455
        assert_eq!(format!("{:.4}", sample_ratio(40, 60, 500_000).p), "0.0455");
        // exact binomial: 2 × P(X ≤ 1 of 10, ½) = 22/1024
        assert!((sample_ratio(9, 1, 500_000).p - 22.0 / 1024.0).abs() < 1e-12);
        // 821,588 against 815,482 at one half: a case that everyone who runs experiments knows; p = 1.8e-6
        let p = sample_ratio(815_482, 821_588, 500_000).p;
        assert!((1.7e-6..1.9e-6).contains(&p), "{p}");
    }

    #[test]
    fn the_edges() {
        for (chosen, control, ppm, p) in [
            (0, 0, 100_000, 1.0),
            (10, 0, 0, 1.0),
            (10, 1, 0, 0.0),
            (0, 10, 1_000_000, 1.0),
            (1, 10, 1_000_000, 0.0),
            (5, 5, 500_000, 1.0),
        ] {
            assert_eq!(sample_ratio(chosen, control, ppm).p, p, "{chosen} {control} {ppm}");
        }
        assert!(sample_ratio(1_000, 0, 100_000).p < 1e-20);
        assert!(sample_ratio(100, 0, 100_000).p < 1e-4);
    }

    #[test]
    fn both_ways_agree_where_they_meet() {
        for control in [70, 85, 100, 115, 130] {
            let (n, share) = (1_000, 0.1);
            let (a, b) = (sample_ratio(n - control, control, 100_000).p, exact(control, n, share));
            assert!((a - b).abs() < 0.06, "{control}: {a} {b}");
        }
    }
}
