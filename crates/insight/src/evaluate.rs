//! The evaluation of a campaign: chosen against control, and a verdict that does not flatter.

use crate::{
    interval::{Confidence, Interval, Proportion, newcombe, wilson},
    power::{detectable, needed, power},
    ratio::{RatioCheck, sample_ratio},
};

/// Below this probability the split of chosen and control is taken for broken. Low, because it is looked at often.
pub const RATIO_ALARM: f64 = 0.001;
/// The power that a design is held to.
const POWER: f64 = 0.8;

/// What was stated before the campaign ran.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Design {
    control_share_ppm: u32,
    smallest_worthwhile: f64,
    confidence: Confidence,
}

#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DesignError {
    #[error("a control share of {0} millionths: give 1 to 999,999, so that both groups have members")]
    Share(u32),
    #[error("a smallest worthwhile uplift of {0}: give a fraction above 0 and at most 1, such as 0.01 for one point")]
    Worthwhile(f64),
}

impl Design {
    /// `smallest_worthwhile` is a fraction: 0.01 = one point.
    pub fn new(control_share_ppm: u32, smallest_worthwhile: f64, confidence: Confidence) -> Result<Self, DesignError> {
        if control_share_ppm == 0 || control_share_ppm >= 1_000_000 {
            return Err(DesignError::Share(control_share_ppm));
        }
        if !(smallest_worthwhile > 0.0 && smallest_worthwhile <= 1.0) {
            return Err(DesignError::Worthwhile(smallest_worthwhile));
        }
        Ok(Self { control_share_ppm, smallest_worthwhile, confidence })
    }
    fn share(&self) -> f64 {
        f64::from(self.control_share_ppm) / 1e6
    }
}

/// What was counted: of all whom the decision chose to send, and of the controls recorded at the same step, how many
/// succeeded within the success window from the instant of the decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observed {
    pub chosen: Proportion,
    pub control: Proportion,
}

/// What may be said about the uplift.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// The interval lies above 0.
    Positive,
    /// The interval lies below 0: the campaign put people off.
    Negative,
    /// The interval crosses 0. `more`: members still to be decided (chosen and control together, at the stated share)
    /// for 80 % power at the smallest worthwhile uplift; 0 = that power is reached, an uplift of that size is unlikely;
    /// `None`: no number of members would do.
    Inconclusive { more: Option<u64> },
    /// The numbers of chosen and control do not fit the stated share (p below [`RATIO_ALARM`]): nothing may be said.
    Invalid { p: f64 },
}

/// The evaluation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Evaluation {
    pub chosen: Interval,
    pub control: Interval,
    /// `None` without chosen or without controls.
    pub uplift: Option<Interval>,
    pub ratio: RatioCheck,
    /// The smallest uplift that these numbers find with 80 % power at the controls' rate.
    pub detectable: Option<f64>,
    /// Power of these numbers at the smallest worthwhile uplift.
    pub power: f64,
    pub verdict: Verdict,
}

/// Evaluates counts against a design. Total: every input has an answer.
pub fn evaluate(seen: Observed, design: &Design) -> Evaluation {
    let Observed { chosen, control } = seen;
    let c = design.confidence;
    let uplift = newcombe(chosen, control, c);
    let ratio = sample_ratio(chosen.n(), control.n(), design.control_share_ppm);
    let (n, m, base) = (chosen.n() as f64, control.n() as f64, control.expected_rate());
    let verdict = match uplift {
        _ if ratio.p < RATIO_ALARM => Verdict::Invalid { p: ratio.p },
        Some(u) if u.low > 0.0 => Verdict::Positive,
        Some(u) if u.high < 0.0 => Verdict::Negative,
        _ => {
            let total = needed(design.share(), base, design.smallest_worthwhile, POWER, c);
            Verdict::Inconclusive { more: total.map(|t| t.saturating_sub(chosen.n().saturating_add(control.n()))) }
        }
    };
    Evaluation {
        chosen: wilson(chosen, c),
        control: wilson(control, c),
        uplift,
        ratio,
        detectable: detectable(n, m, base, POWER, c),
        power: power(n, m, base, design.smallest_worthwhile, c),
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(successes: u64, n: u64) -> Proportion {
        Proportion::new(successes, n).unwrap()
    }
    fn tenth() -> Design {
        Design::new(100_000, 0.01, Confidence::usual()).unwrap()
    }
    fn verdict(chosen: (u64, u64), control: (u64, u64)) -> Verdict {
        evaluate(Observed { chosen: p(chosen.0, chosen.1), control: p(control.0, control.1) }, &tenth()).verdict
    }

    #[test]
    fn a_verdict_is_no_better_than_its_numbers() {
        assert_eq!(verdict((540, 9_000), (15, 1_000)), Verdict::Positive);
        assert_eq!(verdict((90, 9_000), (40, 1_000)), Verdict::Negative);
        // the same rates over a tenth of the members
        let Verdict::Inconclusive { more: Some(more) } = verdict((18, 900), (1, 100)) else { panic!() };
        assert!((8_000..40_000).contains(&more), "{more}");
        // a splendid uplift, but the controls are too few for the share
        assert!(matches!(verdict((540, 9_000), (5, 400)), Verdict::Invalid { p } if p < 1e-6));
        // nobody at all, or no control yet
        assert!(matches!(verdict((0, 0), (0, 0)), Verdict::Inconclusive { more: Some(_) }));
        assert!(matches!(verdict((3, 20), (0, 0)), Verdict::Inconclusive { more: Some(_) }));
    }

    #[test]
    fn enough_members_without_an_effect_need_no_more() {
        let seen = Observed { chosen: p(1_800, 90_000), control: p(200, 10_000) };
        let e = evaluate(seen, &tenth());
        assert_eq!(e.verdict, Verdict::Inconclusive { more: Some(0) });
        assert!(e.power > 0.99 && e.detectable.is_some_and(|d| d < 0.005), "{e:?}");
    }

    #[test]
    fn a_design_without_sense_is_refused() {
        let c = Confidence::usual();
        assert_eq!(Design::new(0, 0.01, c), Err(DesignError::Share(0)));
        assert_eq!(Design::new(1_000_000, 0.01, c), Err(DesignError::Share(1_000_000)));
        assert!(matches!(Design::new(1, f64::NAN, c), Err(DesignError::Worthwhile(_))));
        assert!(matches!(Design::new(1, 0.0, c), Err(DesignError::Worthwhile(_))));
    }

    proptest! {
        #[test]
        fn success_is_never_claimed_across_zero_or_a_broken_split(
            (n, x, m, y) in (0u64..20_000, 0u64..20_000, 0u64..3_000, 0u64..3_000)
        ) {
            let e = evaluate(Observed { chosen: p(x.min(n), n), control: p(y.min(m), m) }, &tenth());
            let clear = e.uplift.is_some_and(|u| !u.crosses_zero());
            match e.verdict {
                Verdict::Positive | Verdict::Negative => prop_assert!(clear && e.ratio.p >= RATIO_ALARM),
                Verdict::Inconclusive { .. } => prop_assert!(!clear && e.ratio.p >= RATIO_ALARM),
                Verdict::Invalid { p } => prop_assert!(p < RATIO_ALARM),
            }
        }
    }
}
