//! Exact numbers with units, to and from text.

use kairos_model::Currency;

/// A plain decimal: `mantissa` / 10^`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    mantissa: i128,
    scale: u32,
}

impl Number {
    /// `-?digits(.digits)?` with at most 30 significant digits; `None` past that.
    pub(crate) fn parse(s: &str) -> Option<Self> {
        let (sign, digits) = match s.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, s),
        };
        let (whole, frac) = digits.split_once('.').unwrap_or((digits, ""));
        let frac = frac.trim_end_matches('0');
        let whole = whole.trim_start_matches('0');
        if whole.len() + frac.len() > 30 || !whole.bytes().chain(frac.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut mantissa = 0i128;
        for b in whole.bytes().chain(frac.bytes()) {
            mantissa = mantissa * 10 + i128::from(b - b'0');
        }
        Some(Self { mantissa: sign * mantissa, scale: frac.len() as u32 })
    }
    /// The number × `factor`, if that is whole and fits.
    pub(crate) fn times(self, factor: i64) -> Option<i64> {
        let product = self.mantissa.checked_mul(i128::from(factor))?;
        let scale = 10i128.pow(self.scale);
        if product % scale != 0 {
            return None;
        }
        i64::try_from(product / scale).ok()
    }
}

/// Millionths as the shortest decimal: `80`, `12.5`, `-0.000001`.
pub(crate) fn micros_text(micros: i64) -> String {
    let (sign, abs) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let (whole, frac) = (abs / 1_000_000, abs % 1_000_000);
    if frac == 0 {
        return format!("{sign}{whole}");
    }
    let frac = format!("{frac:06}");
    format!("{sign}{whole}.{}", frac.trim_end_matches('0'))
}

/// Currency and millionths of one unit of money.
pub(crate) fn money_unit(unit: &str) -> Option<(Currency, i64)> {
    Some(match unit.to_lowercase().as_str() {
        "yuan" | "元" => (Currency::CNY, 1_000_000),
        "jiao" | "角" => (Currency::CNY, 100_000),
        "fen" | "分" => (Currency::CNY, 10_000),
        "li" | "厘" => (Currency::CNY, 1_000),
        _ => (unit.parse().ok()?, 1_000_000),
    })
}

/// The canonical name of a currency's main unit.
pub(crate) fn money_name(currency: Currency) -> String {
    if currency == Currency::CNY { "yuan".to_owned() } else { currency.code().to_owned() }
}

/// Seconds of one unit of duration.
pub(crate) fn duration_unit(unit: &str) -> Option<i64> {
    Some(match unit.to_lowercase().as_str() {
        "s" | "sec" | "second" | "seconds" | "秒" => 1,
        "min" | "minute" | "minutes" | "分钟" => 60,
        "h" | "hour" | "hours" | "小时" => 3_600,
        "d" | "day" | "days" | "天" => 86_400,
        "week" | "weeks" | "周" => 604_800,
        _ => return None,
    })
}

/// Units by name, for suggestions.
pub(crate) const MONEY_UNITS: [&str; 4] = ["yuan", "jiao", "fen", "li"];
pub(crate) const DURATION_UNITS: [&str; 9] = ["s", "min", "h", "d", "seconds", "minutes", "hours", "days", "weeks"];

/// Seconds in the largest unit that divides them: `5 min`, `36 h`, `2 d`, `0 s`.
pub(crate) fn duration_text(seconds: i64) -> String {
    let (n, unit) = duration_parts(seconds);
    format!("{n} {unit}")
}

/// A number and one of `s`, `min`, `h`, `d`.
pub(crate) fn duration_parts(seconds: i64) -> (i64, &'static str) {
    for (size, unit) in [(86_400, "d"), (3_600, "h"), (60, "min")] {
        if seconds != 0 && seconds % size == 0 {
            return (seconds / size, unit);
        }
    }
    (seconds, "s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        let micros = |s: &str| Number::parse(s).and_then(|n| n.times(1_000_000));
        assert_eq!(micros("0.000001"), Some(1));
        assert_eq!(micros("-9223372036854.775808"), Some(i64::MIN));
        assert_eq!(micros("9223372036854.775808"), None);
        assert_eq!(micros("0.0000001"), None);
        assert_eq!(micros("1.50000000000000000000000000000000000000000"), Some(1_500_000));
        assert_eq!(micros(&"9".repeat(31)), None);
        assert_eq!(Number::parse("0.5").and_then(|n| n.times(3_600)), Some(1_800));
        assert_eq!(Number::parse("0.0001").and_then(|n| n.times(10_000)), Some(1));
    }

    #[test]
    fn texts_are_the_shortest() {
        let micros = [0, 1, -1, 80_000_000, -12_500_000, i64::MIN].map(micros_text);
        assert_eq!(micros, ["0", "0.000001", "-0.000001", "80", "-12.5", "-9223372036854.775808"]);
        assert_eq!([0, 300, 5_400, 172_800, -61].map(duration_text), ["0 s", "5 min", "90 min", "2 d", "-61 s"]);
    }
}
