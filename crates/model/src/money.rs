//! Money is exact: integer millionths of a currency.

use std::fmt;

/// ISO 4217 letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// An amount: millionths of `currency`. Sums of different currencies are an error, never a guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    pub micros: i64,
    pub currency: Currency,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("`{0}` is no currency; use three capital letters such as CNY")]
    Currency(String),
    #[error("`{0}` is no amount; use digits with at most six decimals, such as 12.50")]
    Amount(String),
    #[error("the amount is past ±9.2 × 10^12 {0}")]
    Overflow(Currency),
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
}

impl Currency {
    pub const CNY: Self = Self(*b"CNY");
    pub const USD: Self = Self(*b"USD");
    pub fn code(&self) -> &str {
        // only ASCII letters get in, see `from_str`
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}
impl std::str::FromStr for Currency {
    type Err = MoneyError;
    fn from_str(s: &str) -> Result<Self, MoneyError> {
        match s.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::Currency(s.to_owned())),
        }
    }
}
impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Money {
    pub const SCALE: i64 = 1_000_000;
    pub const fn micros(micros: i64, currency: Currency) -> Self {
        Self { micros, currency }
    }
    pub const fn zero(currency: Currency) -> Self {
        Self::micros(0, currency)
    }
    /// Parses a decimal amount exactly; more than six decimals is an error, not a rounding.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, MoneyError> {
        Ok(Self { micros: parse_micros(amount).ok_or_else(|| MoneyError::Amount(amount.to_owned()))?, currency })
    }
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        let micros = self.micros.checked_add(other.micros).ok_or(MoneyError::Overflow(self.currency))?;
        Ok(Self { micros, ..self })
    }
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        let micros = self.micros.checked_sub(other.micros).ok_or(MoneyError::Overflow(self.currency))?;
        Ok(Self { micros, ..self })
    }
    pub fn checked_mul(self, n: i64) -> Result<Self, MoneyError> {
        let micros = self.micros.checked_mul(n).ok_or(MoneyError::Overflow(self.currency))?;
        Ok(Self { micros, ..self })
    }
    fn same(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::Mixed(self.currency, other.currency)) }
    }
    /// The number without the currency, at least two decimals: `12.50`, `-0.000001`.
    pub fn amount(self) -> String {
        let (sign, abs) = (if self.micros < 0 { "-" } else { "" }, self.micros.unsigned_abs());
        let mut frac = format!("{:06}", abs % 1_000_000);
        while frac.len() > 2 && frac.ends_with('0') {
            frac.pop();
        }
        format!("{sign}{}.{frac}", abs / 1_000_000)
    }
}

/// Millionths of a plain decimal (`-12.5`, `+3`, `.5`); `None` if malformed, past six decimals or past i64.
pub fn parse_micros(s: &str) -> Option<i64> {
    let (negative, digits) = match s.as_bytes() {
        [b'-', ..] => (true, &s[1..]),
        [b'+', ..] => (false, &s[1..]),
        _ => (false, s),
    };
    let (whole, frac) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |x: &str| x.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && frac.is_empty()) || !all_digits(whole) || !all_digits(frac) {
        return None;
    }
    let frac = frac.trim_end_matches('0');
    if frac.len() > 6 || whole.len() > 19 {
        return None;
    }
    let mut micros: i128 = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? * 1_000_000 };
    if !frac.is_empty() {
        micros += frac.parse::<i128>().ok()? * 10i128.pow(6 - frac.len() as u32);
    }
    i64::try_from(if negative { -micros } else { micros }).ok()
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency)
    }
}
impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_parse_exactly_or_not_at_all() {
        let table = [
            ("0.1", Some(100_000)),
            ("-12.345678", Some(-12_345_678)),
            (".5", Some(500_000)),
            ("7.", Some(7_000_000)),
            ("9223372036854.775807", Some(i64::MAX)),
            ("-9223372036854.775808", Some(i64::MIN)),
            ("9223372036854.775808", None),
            ("0.0000001", None),
            ("1.5000000000", Some(1_500_000)),
            ("", None),
            (".", None),
            ("-", None),
            ("1e3", None),
            ("1,000", None),
            ("--1", None),
        ];
        for (text, want) in table {
            assert_eq!(parse_micros(text), want, "{text}");
        }
    }

    #[test]
    fn currencies_do_not_mix_and_sums_do_not_wrap() {
        let (a, b) = (Money::micros(1, Currency::CNY), Money::micros(1, Currency::USD));
        assert_eq!(a.checked_add(b), Err(MoneyError::Mixed(Currency::CNY, Currency::USD)));
        assert!(Money::micros(i64::MAX, Currency::CNY).checked_add(a).is_err());
        assert!("yuan".parse::<Currency>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(micros: i64) {
            let m = Money::micros(micros, Currency::CNY);
            prop_assert_eq!(Money::parse(&m.amount(), Currency::CNY), Ok(m));
        }
    }
}
