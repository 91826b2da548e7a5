//! How surprising a share is, and how many surprises are to be believed.

use statrs::function::{erf::erfc, gamma::ln_gamma};

/// Below so many expected members the normal approximation is not trusted and the exact tail is summed.
const EXPECTED_MIN: f64 = 10.0;
/// Terms of an exact tail: past it the rest adds nothing that a double could hold.
const TERMS_MAX: usize = 10_000;

/// Natural logarithm of the two-sided p-value of `a` of `n` in the set having what `b` of `m` in the base have, the set
/// being a part of the base: the pooled two-proportion z-test of the set against the rest (Fleiss, Levin, Paik 2003,
/// 2.3), or where fewer than ten are expected twice the smaller hypergeometric tail. 0 where nothing can be said.
pub(crate) fn ln_p(a: u64, n: u64, b: u64, m: u64) -> f64 {
    if n == 0 || n >= m || b == 0 || b == m || a > n || b > m {
        return 0.0;
    }
    let expected = b as f64 * n as f64 / m as f64;
    if expected < EXPECTED_MIN {
        return exact(a, n, b, m);
    }
    if n as f64 - expected < EXPECTED_MIN {
        // seen from those who lack it
        return exact(n - a, n, m - b, m);
    }
    let (p, rest) = (b as f64 / m as f64, (m - n) as f64);
    let error = (p * (1.0 - p) * (1.0 / n as f64 + 1.0 / rest)).sqrt();
    let z = (a as f64 / n as f64 - b.saturating_sub(a) as f64 / rest) / error;
    ln_erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// `ln erfc(x)`, by its asymptotic series (Abramowitz and Stegun 7.1.23) where `erfc` itself is no double any more.
fn ln_erfc(x: f64) -> f64 {
    if x < 20.0 {
        return erfc(x).ln();
    }
    let s = 1.0 / (x * x);
    -x * x - (x * std::f64::consts::PI.sqrt()).ln() + (1.0 - s / 2.0 + 0.75 * s * s).ln()
}

fn ln_choose(n: f64, k: f64) -> f64 {
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// Twice the tail of the hypergeometric distribution from `a` outwards, at most 1, as a logarithm.
fn exact(a: u64, n: u64, b: u64, m: u64) -> f64 {
    let (nf, bf, mf) = (n as f64, b as f64, m as f64);
    let up = a as f64 >= nf * bf / mf;
    let (low, high) = ((n + b).saturating_sub(m) as f64, n.min(b) as f64);
    let mut k = a as f64;
    if k < low || k > high {
        return 0.0;
    }
    let first = ln_choose(bf, k) + ln_choose(mf - bf, nf - k) - ln_choose(mf, nf);
    let (mut term, mut sum) = (1.0, 1.0);
    for _ in 0..TERMS_MAX {
        if (up && k >= high) || (!up && k <= low) {
            break;
        }
        term *= if up {
            (bf - k) * (nf - k) / ((k + 1.0) * (mf - bf - nf + k + 1.0))
        } else {
            k * (mf - bf - nf + k) / ((bf - k + 1.0) * (nf - k + 1.0))
        };
        k += if up { 1.0 } else { -1.0 };
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    (first + sum.ln() + std::f64::consts::LN_2).min(0.0)
}

/// The smallest false-discovery rate at which each of these would be kept (Benjamini and Hochberg 1995), in their order;
/// `ln_p` ascends.
pub(crate) fn false_discovery(ln_p: &[f64]) -> Vec<f64> {
    let tests = ln_p.len() as f64;
    let mut q = vec![1.0; ln_p.len()];
    let mut least = 0.0f64;
    for (i, p) in ln_p.iter().enumerate().rev() {
        least = least.min(p + tests.ln() - ((i + 1) as f64).ln());
        q[i] = least.exp();
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, want: f64) {
        assert!((found - want).abs() < 1e-6 * want.abs().max(1e-9), "{found} and not {want}");
    }

    #[test]
    fn p_values_are_those_of_the_textbook() {
        // z = 1.96 has p = 0.05
        near(ln_erfc(1.959_963_984_540_054 / std::f64::consts::SQRT_2), 0.05f64.ln());
        // both branches meet
        near(ln_erfc(19.999_999), erfc(19.999_999).ln());
        near(ln_erfc(20.0), erfc(20.0).ln());
        // 3 of 4 white balls drawn from 4 white among 8: P(≥ 3) = (16 + 1) / 70
        near(exact(3, 4, 4, 8), (2.0 * 17.0f64 / 70.0).ln());
        near(exact(0, 4, 4, 8), (2.0f64 / 70.0).ln());
        // the whole distribution is 1
        near(exact(2, 4, 4, 8).exp(), 1.0);
        assert_eq!(ln_p(0, 0, 5, 10), 0.0);
        assert_eq!(ln_p(5, 10, 5, 10), 0.0);
        assert!(ln_p(200_000, 200_000, 300_000, 10_000_000) < -1e5);
    }

    #[test]
    fn false_discoveries_are_bounded_from_the_largest_down() {
        let q = false_discovery(&[0.01f64.ln(), 0.02f64.ln(), 0.021f64.ln(), 0.9f64.ln()]);
        [0.028, 0.028, 0.028, 0.9].iter().zip(&q).for_each(|(want, q)| near(*q, *want));
    }
}
