//! Power of a comparison of two rates, and what follows from it: the smallest detectable effect, the size needed.
//!
//! Normal approximation with the pooled variance under "no effect" and the unpooled one under the effect, without
//! continuity correction: J. L. Fleiss, B. Levin, M. C. Paik, "Statistical Methods for Rates and Proportions", 3rd ed.
//! 2003, chapter 4, for groups of different size. It gives the values of R's `power.prop.test`.

use crate::interval::{Confidence, normal_cdf, quantile};

/// Probability that a two-sided test at `confidence` finds the effect `effect` (a fraction, either sign) over the base
/// rate `base`, with `chosen` and `control` members. 0 if a group is empty or `base + effect` is no rate.
pub fn power(chosen: f64, control: f64, base: f64, effect: f64, confidence: Confidence) -> f64 {
    let rate = base + effect;
    if chosen < 1.0 || control < 1.0 || !(0.0..=1.0).contains(&rate) || !(0.0..=1.0).contains(&base) || effect == 0.0 {
        return 0.0;
    }
    let pooled = (chosen * rate + control * base) / (chosen + control);
    let none = (pooled * (1.0 - pooled) * (1.0 / chosen + 1.0 / control)).sqrt();
    let there = (rate * (1.0 - rate) / chosen + base * (1.0 - base) / control).sqrt();
    if there == 0.0 { 1.0 } else { normal_cdf((effect.abs() - confidence.z() * none) / there) }
}

/// The smallest positive effect that is found with probability `wanted`; `None` if even a rise to 100 % is not.
pub fn detectable(chosen: f64, control: f64, base: f64, wanted: f64, confidence: Confidence) -> Option<f64> {
    let found = |effect: f64| power(chosen, control, base, effect, confidence) >= wanted;
    let (mut low, mut high) = (0.0, 1.0 - base);
    if !found(high) {
        return None;
    }
    // power rises with the effect; 60 halvings reach the last bit
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if found(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// Members in all (chosen and control together, `share` of them control) for finding `effect` over `base` with
/// probability `wanted`. `None` if the question has no answer: no effect, no rate, or a share of 0 or 1.
pub fn needed(share: f64, base: f64, effect: f64, wanted: f64, confidence: Confidence) -> Option<u64> {
    let rate = base + effect;
    let inside = |x: f64| (0.0..=1.0).contains(&x);
    if effect == 0.0 || !inside(base) || !inside(rate) || share <= 0.0 || share >= 1.0 || !(0.5..1.0).contains(&wanted)
    {
        return None;
    }
    let chosen = 1.0 - share;
    let pooled = chosen * rate + share * base;
    let none = (pooled * (1.0 - pooled) * (1.0 / chosen + 1.0 / share)).sqrt();
    let there = (rate * (1.0 - rate) / chosen + base * (1.0 - base) / share).sqrt();
    let n = ((confidence.z() * none + quantile(wanted) * there) / effect).powi(2);
    (n.is_finite() && n < 1e15).then(|| n.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_power_prop_test() {
        // the examples of R's documentation of power.prop.test
        let c = Confidence::usual();
        assert_eq!(format!("{:.3}", power(50.0, 50.0, 0.5, 0.25, c)), "0.740");
        assert_eq!(needed(0.5, 0.5, 0.25, 0.9, c), Some(154)); // n = 76.7 in each group
        let p2 = 0.5 + detectable(50.0, 50.0, 0.5, 0.9, c).unwrap();
        assert_eq!(format!("{p2:.4}"), "0.8026");
    }

    #[test]
    fn the_size_needed_has_the_power_asked_for() {
        let c = Confidence::usual();
        for (share, base, effect) in [(0.1, 0.02, 0.03), (0.2, 0.01, 0.01), (0.5, 0.3, -0.1), (0.05, 0.001, 0.002)] {
            let n = needed(share, base, effect, 0.8, c).unwrap() as f64;
            let got = power(n * (1.0 - share), n * share, base, effect, c);
            assert!((0.8..0.803).contains(&got), "{share} {base} {effect}: {n} {got}");
            let back = detectable(n * (1.0 - share), n * share, base, 0.8, c).unwrap();
            assert!(effect < 0.0 || (back - effect).abs() < effect * 0.01, "{back} {effect}");
        }
    }

    #[test]
    fn a_question_without_an_answer_gets_none() {
        let c = Confidence::usual();
        assert_eq!(power(0.0, 10.0, 0.1, 0.1, c), 0.0);
        assert_eq!(power(10.0, 10.0, 0.95, 0.1, c), 0.0);
        assert_eq!(detectable(2.0, 2.0, 0.5, 0.8, c), None);
        assert_eq!(needed(0.1, 0.1, 0.0, 0.8, c), None);
        assert_eq!(needed(0.0, 0.1, 0.1, 0.8, c), None);
        assert_eq!(needed(0.1, f64::NAN, 0.1, 0.8, c), None);
    }
}
