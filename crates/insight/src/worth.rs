//! Cost and benefit of a campaign against its budget, in exact money.

use crate::interval::{Interval, Proportion};
use kairos_model::{Money, MoneyError};

/// What the campaign brought beyond what would have come anyway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Benefit {
    /// (successes of the chosen − rate of the controls × chosen) × value, rounded once to the millionth.
    pub estimate: Money,
    /// The ends of the uplift's interval × chosen × value, each rounded once to the millionth.
    pub low: Money,
    pub high: Money,
}

/// Final account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    pub cost: Money,
    /// `None`: the campaign had no budget.
    pub budget: Option<Money>,
    /// Budget less cost; negative if it was overdrawn.
    pub left: Option<Money>,
    pub benefit: Option<Benefit>,
    /// Benefit's estimate less cost.
    pub net: Option<Money>,
    pub net_low: Option<Money>,
}

/// Values the uplift. `None` without controls or chosen. `value` is the worth of one success.
pub fn benefit(
    chosen: Proportion,
    control: Proportion,
    uplift: Interval,
    value: Money,
) -> Option<Result<Benefit, MoneyError>> {
    if chosen.n() == 0 || control.n() == 0 {
        return None;
    }
    let overflow = || MoneyError::Overflow(value.currency);
    // value × (s₁ n₂ − s₂ n₁) ÷ n₂ in whole numbers
    let exact = || {
        let extra = i128::from(chosen.successes()) * i128::from(control.n())
            - i128::from(control.successes()) * i128::from(chosen.n());
        let scaled = extra.checked_mul(value.micros.into())?;
        i64::try_from(rounded(scaled, control.n().into())).ok()
    };
    let bound = |rate: f64| {
        let x = (rate * chosen.n() as f64 * value.micros as f64).round();
        (x.abs() < 9.2e18).then(|| Money::micros(x as i64, value.currency)).ok_or_else(overflow)
    };
    let all = || {
        let estimate = Money::micros(exact().ok_or_else(overflow)?, value.currency);
        Ok(Benefit { estimate, low: bound(uplift.low)?, high: bound(uplift.high)? })
    };
    Some(all())
}

/// Division rounded half away from zero; `n` > 0.
fn rounded(x: i128, n: i128) -> i128 {
    let (q, r) = (x / n, x % n);
    if 2 * r.abs() >= n { q + x.signum() } else { q }
}

/// The account of `contacts` at `each`, with the benefit if it could be told.
pub fn account(
    contacts: u64,
    each: Money,
    budget: Option<Money>,
    benefit: Option<Benefit>,
) -> Result<Account, MoneyError> {
    let n = i64::try_from(contacts).map_err(|_| MoneyError::Overflow(each.currency))?;
    let cost = each.checked_mul(n)?;
    let net = |b: Option<Money>| b.map(|b| b.checked_sub(cost)).transpose();
    Ok(Account {
        cost,
        budget,
        left: budget.map(|b| b.checked_sub(cost)).transpose()?,
        benefit,
        net: net(benefit.map(|b| b.estimate))?,
        net_low: net(benefit.map(|b| b.low))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::{Confidence, newcombe};
    use kairos_model::Currency;

    fn yuan(text: &str) -> Money {
        Money::parse(text, Currency::CNY).unwrap()
    }
    fn p(successes: u64, n: u64) -> Proportion {
        Proportion::new(successes, n).unwrap()
    }

    #[test]
    fn a_campaign_pays_or_it_does_not() {
        let (chosen, control) = (p(540, 9_000), p(15, 1_000));
        let uplift = newcombe(chosen, control, Confidence::usual()).unwrap();
        let b = benefit(chosen, control, uplift, yuan("60")).unwrap().unwrap();
        // 540 − 1.5 % of 9,000 = 405 more orders
        assert_eq!(b.estimate, yuan("24300"));
        assert!(b.low.micros > 0 && b.low.micros < b.estimate.micros && b.estimate.micros < b.high.micros);
        let a = account(9_000, yuan("0.05"), Some(yuan("400")), Some(b)).unwrap();
        assert_eq!((a.cost, a.left, a.net), (yuan("450"), Some(yuan("-50")), Some(yuan("23850"))));
    }

    #[test]
    fn thirds_are_rounded_once_and_currencies_do_not_mix() {
        let (chosen, control) = (p(1, 1), p(1, 3));
        let b = benefit(chosen, control, Interval { estimate: 2.0 / 3.0, low: 0.0, high: 1.0 }, yuan("1"))
            .unwrap()
            .unwrap();
        assert_eq!(b.estimate, yuan("0.666667"));
        let usd = Money::micros(1, Currency::USD);
        assert!(matches!(account(1, yuan("1"), Some(usd), None), Err(MoneyError::Mixed(..))));
        assert!(matches!(account(u64::MAX, yuan("1"), None, None), Err(MoneyError::Overflow(_))));
        assert_eq!(benefit(p(0, 0), control, Interval { estimate: 0.0, low: 0.0, high: 0.0 }, yuan("1")), None);
    }
}
