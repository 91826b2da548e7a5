//! Logistic regression of yes or no on at most 64 yes-or-no features, exact and repeatable.

/// Features of one model: a row of them is one word.
pub(crate) const FEATURES_MAX: usize = 64;
/// Newton steps: each about doubles the right digits, so that ten are plenty where there is an answer at all.
const STEPS_MAX: usize = 50;
/// What counts as no more change of a weight.
const STILL: f64 = 1e-9;

/// Equal rows: their features, how many there are, how many of them are users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rows {
    pub(crate) mask: u64,
    pub(crate) all: f64,
    pub(crate) users: f64,
}

/// A weight a feature, and the intercept last.
///
/// Maximises the log-likelihood less half of `ridge` times the squared weights (not the intercept) by Newton's method
/// with step halving (Hastie, Tibshirani, Friedman 2009, 4.4.1). The penalty makes the answer finite and unique, also for
/// features that always come together.
pub(crate) fn fit(rows: &[Rows], features: usize, ridge: f64) -> Vec<f64> {
    let n = features + 1;
    let mut w = vec![0.0; n];
    let mut value = likelihood(rows, &w, ridge);
    for _ in 0..STEPS_MAX {
        let (gradient, curvature) = derivatives(rows, &w, ridge);
        let Some(step) = solve(curvature, gradient, n) else { break };
        let mut scale = 1.0;
        let moved = loop {
            let next: Vec<f64> = w.iter().zip(&step).map(|(w, s)| w + scale * s).collect();
            let v = likelihood(rows, &next, ridge);
            if v >= value {
                (w, value) = (next, v);
                break true;
            }
            scale /= 2.0;
            if scale < 1e-6 {
                break false;
            }
        };
        if !moved || step.iter().all(|s| s.abs() < STILL) {
            break;
        }
    }
    w
}

/// Sum of the weights of a row's features and the intercept.
pub(crate) fn score(w: &[f64], mask: u64) -> f64 {
    let mut sum = w.last().copied().unwrap_or(0.0);
    each(mask, |i| sum += w[i]);
    sum
}

/// The chance that a score stands for.
pub(crate) fn chance(score: f64) -> f64 {
    if score >= 0.0 { 1.0 / (1.0 + (-score).exp()) } else { score.exp() / (1.0 + score.exp()) }
}

fn each(mask: u64, mut visit: impl FnMut(usize)) {
    let mut m = mask;
    while m != 0 {
        visit(m.trailing_zeros() as usize);
        m &= m - 1;
    }
}

fn likelihood(rows: &[Rows], w: &[f64], ridge: f64) -> f64 {
    let fit: f64 = rows
        .iter()
        .map(|r| {
            let s = score(w, r.mask);
            // ln(1 + e^s) without overflow
            let soft = s.max(0.0) + (-s.abs()).exp().ln_1p();
            r.users * s - r.all * soft
        })
        .sum();
    let features = w.len() - 1;
    fit - ridge / 2.0 * w[..features].iter().map(|w| w * w).sum::<f64>()
}

/// Gradient and negative Hessian (lower half, row by row in a square).
fn derivatives(rows: &[Rows], w: &[f64], ridge: f64) -> (Vec<f64>, Vec<f64>) {
    let n = w.len();
    let (mut g, mut h) = (vec![0.0; n], vec![0.0; n * n]);
    let mut places = Vec::with_capacity(n);
    for r in rows {
        let p = chance(score(w, r.mask));
        let (error, weight) = (r.users - r.all * p, r.all * p * (1.0 - p));
        places.clear();
        each(r.mask, |i| places.push(i));
        places.push(n - 1);
        for (k, &i) in places.iter().enumerate() {
            g[i] += error;
            places[..=k].iter().for_each(|&j| h[i * n + j] += weight);
        }
    }
    for i in 0..n - 1 {
        g[i] -= ridge * w[i];
        h[i * n + i] += ridge;
    }
    (g, h)
}

/// Solves `a x = b` of a symmetric positive matrix by Cholesky; `None` if it is none.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - sum;
            if i == j {
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                a[i * n + i] = rest.sqrt();
            } else {
                a[i * n + j] = rest / a[j * n + j];
            }
        }
    }
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_feature_gives_the_log_odds() {
        // without the feature 10 of 100, with it 30 of 50: odds 1/9 and 3/2
        let rows = [Rows { mask: 0, all: 100.0, users: 10.0 }, Rows { mask: 1, all: 50.0, users: 30.0 }];
        let w = fit(&rows, 1, 1e-9);
        assert!((w[1] - (1.0f64 / 9.0).ln()).abs() < 1e-6 && (w[0] - 13.5f64.ln()).abs() < 1e-6, "{w:?}");
        assert!((chance(score(&w, 1)) - 0.6).abs() < 1e-6);
    }

    #[test]
    fn what_separates_perfectly_or_comes_together_stays_finite() {
        let rows = [Rows { mask: 0, all: 100.0, users: 0.0 }, Rows { mask: 3, all: 50.0, users: 50.0 }];
        let w = fit(&rows, 2, 1.0);
        assert!(w.iter().all(|w| w.is_finite()) && (w[0] - w[1]).abs() < 1e-9 && w[0] > 1.0, "{w:?}");
        assert_eq!((chance(1e4), chance(-1e4)), (1.0, 0.0));
    }
}
