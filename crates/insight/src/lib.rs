#![cfg_attr(test, allow(clippy::unwrap_used))]
//! What a campaign was worth: experiment statistics over counts of chosen and control.
//!
//! Floor 2, pure: counts in, estimates and a verdict out. Models of churn, propensity and preference will live here too.
//!
//! Invariants:
//! - uplift is the rate of *all whom the decision chose to send* less the rate of the controls of the same step; rates
//!   of the delivered are never called uplift;
//! - a verdict is positive only where the interval lies above 0 *and* the numbers of chosen and control fit the stated
//!   share;
//! - an amount of money is exact; where an interval bounds it, the bound is rounded once and says so.

mod evaluate;
mod interval;
mod power;
mod ratio;
mod worth;

pub use evaluate::{Design, DesignError, Evaluation, Observed, RATIO_ALARM, Verdict, evaluate};
pub use interval::{Confidence, CountError, Interval, Proportion, newcombe, wilson};
pub use power::{detectable, needed, power};
pub use ratio::{RatioCheck, sample_ratio};
pub use worth::{Account, Benefit, account, benefit};
