//! Numbers in text, exactly: integers, decimals, units and rounding. No float is ever made.

use super::reject::RejectReason;

/// What happens to a value between two representable ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Round {
    /// The row is quarantined.
    #[default]
    Exact,
    /// Toward plus infinity.
    Up,
    /// Toward minus infinity.
    Down,
    /// To the nearest, halves away from zero.
    Nearest,
}

/// Factor from the file's unit to the canonical one: `num / den`, then rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    pub num: i64,
    pub den: i64,
    pub round: Round,
}

impl Scale {
    fn is_identity(self) -> bool {
        self.num == self.den
    }
}

/// Fraction digits kept exactly; further ones only decide the rounding. Keeps every product within 128 bits.
const FRACTION_MAX: u32 = 12;

/// A whole number in the canonical unit.
pub(crate) fn int(text: &[u8], scale: Scale) -> Result<i64, RejectReason> {
    match short_int(text) {
        Some(n) if scale.is_identity() => Ok(n),
        _ => general(text, scale, 0),
    }
}

/// Millionths in the canonical unit.
pub(crate) fn micros(text: &[u8], scale: Scale) -> Result<i64, RejectReason> {
    match short_micros(text) {
        Some(n) if scale.is_identity() => Ok(n),
        _ => general(text, scale, 6),
    }
}

/// A plain figure in millionths; `None` for anything else or more than six decimals.
pub(crate) fn exact_micros(text: &str) -> Option<i64> {
    micros(text.as_bytes(), Scale { num: 1, den: 1, round: Round::Exact }).ok()
}

/// `n × num / den`, rounded; `None` when it does not fit or lies between two and `round` is exact.
pub(crate) fn scaled(n: i64, scale: Scale) -> Option<i64> {
    let product = i128::from(n) * i128::from(scale.num);
    let den = i128::from(scale.den);
    let (whole, rest) = (product.div_euclid(den), product.rem_euclid(den));
    let up = match scale.round {
        _ if rest == 0 => false,
        Round::Exact => return None,
        Round::Up => true,
        Round::Down => false,
        Round::Nearest => rest * 2 > den || (rest * 2 == den && n > 0),
    };
    i64::try_from(whole + i128::from(up)).ok()
}

/// At most 18 digits behind an optional sign; anything else takes the general way.
fn short_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = signed(text);
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut n = 0i64;
    for &b in digits {
        n = n * 10 + i64::from(digit(b)?);
    }
    Some(if negative { -n } else { n })
}

/// At most 12 digits, a point, and at most 6 digits.
fn short_micros(text: &[u8]) -> Option<i64> {
    let (negative, digits) = signed(text);
    if digits.is_empty() || digits.len() > 13 {
        return None;
    }
    let (mut n, mut seen) = (0i64, 0);
    let mut rest = digits.iter();
    for &b in rest.by_ref() {
        if b == b'.' {
            break;
        }
        n = n * 10 + i64::from(digit(b)?);
        seen += 1;
    }
    let fraction = rest.as_slice();
    if fraction.len() > 6 || seen > 12 || seen + fraction.len() == 0 {
        return None;
    }
    for &b in fraction {
        n = n * 10 + i64::from(digit(b)?);
    }
    const POWERS: [i64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    n *= POWERS[fraction.len()];
    Some(if negative { -n } else { n })
}

fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn digit(b: u8) -> Option<u8> {
    let d = b.wrapping_sub(b'0');
    (d <= 9).then_some(d)
}

/// `text × num / den` with `places` decimals kept as an integer.
fn general(text: &[u8], scale: Scale, places: u32) -> Result<i64, RejectReason> {
    let (negative, digits) = signed(text);
    let (whole, fraction) = match digits.iter().position(|b| *b == b'.') {
        Some(p) => (&digits[..p], &digits[p + 1..]),
        None => (digits, &[][..]),
    };
    if whole.len() + fraction.len() == 0 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(RejectReason::NotANumber);
    }
    let zeros = fraction.iter().rev().take_while(|b| **b == b'0').count();
    let fraction = &fraction[..fraction.len() - zeros];
    let kept = &fraction[..fraction.len().min(FRACTION_MAX as usize)];
    let sticky = kept.len() < fraction.len();
    let mut mantissa = 0i128;
    for &b in whole.iter().chain(kept) {
        let grown = mantissa.checked_mul(10).and_then(|m| m.checked_add(i128::from(b - b'0')));
        mantissa = grown.ok_or(RejectReason::OutOfRange)?;
    }
    let numerator = mantissa
        .checked_mul(i128::from(scale.num))
        .and_then(|m| m.checked_mul(10i128.pow(places)))
        .ok_or(RejectReason::OutOfRange)?;
    let denominator = 10i128.pow(kept.len() as u32) * i128::from(scale.den);
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    let away = match scale.round {
        _ if rest == 0 && !sticky => false,
        Round::Exact if places == 0 => return Err(RejectReason::NotWhole),
        Round::Exact => return Err(RejectReason::TooManyDecimals),
        Round::Up => !negative,
        Round::Down => negative,
        Round::Nearest => rest * 2 >= denominator,
    };
    let magnitude = whole + i128::from(away);
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| RejectReason::OutOfRange)
}

/// A unit of a quantity as a layout names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Time → seconds, as a fraction (numerator, denominator).
    Time(i64, i64),
    /// Data → bytes; K, M and G are powers of 1,024.
    Data(i64),
    /// Money → the currency's unit, as a fraction.
    Money { num: i64, den: i64, currency: kairos_model::Currency },
}

impl Unit {
    pub const NAMES: &'static str = "s ms min h (time), B KB MB GB (data), yuan fen li or a currency's letters (money)";

    /// `None` for an unknown name.
    pub fn named(name: &str) -> Option<Self> {
        use kairos_model::Currency;
        let money = |den, currency| Some(Self::Money { num: 1, den, currency });
        match name {
            "s" => Some(Self::Time(1, 1)),
            "ms" => Some(Self::Time(1, 1_000)),
            "min" => Some(Self::Time(60, 1)),
            "h" => Some(Self::Time(3_600, 1)),
            "B" => Some(Self::Data(1)),
            "KB" => Some(Self::Data(1 << 10)),
            "MB" => Some(Self::Data(1 << 20)),
            "GB" => Some(Self::Data(1 << 30)),
            "yuan" => money(1, Currency::CNY),
            "fen" => money(100, Currency::CNY),
            "li" => money(1_000, Currency::CNY),
            _ => money(1, name.to_ascii_uppercase().parse().ok()?),
        }
    }

    pub(crate) fn scale(self, round: Round) -> Scale {
        let (num, den) = match self {
            Self::Time(num, den) | Self::Money { num, den, .. } => (num, den),
            Self::Data(num) => (num, 1),
        };
        Scale { num, den, round }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RejectReason::{NotANumber, NotWhole, OutOfRange, TooManyDecimals};

    fn scale(unit: &str, round: Round) -> Scale {
        Unit::named(unit).expect("known").scale(round)
    }

    #[test]
    fn whole_numbers_come_out_exactly_or_say_why_not() {
        let one = Scale { num: 1, den: 1, round: Round::Exact };
        let table = [
            ("0", Ok(0)),
            ("-12", Ok(-12)),
            ("+7", Ok(7)),
            ("45.000", Ok(45)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(OutOfRange)),
            ("45.5", Err(NotWhole)),
            ("1e3", Err(NotANumber)),
            ("1,000", Err(NotANumber)),
            ("--1", Err(NotANumber)),
            ("-", Err(NotANumber)),
            (".", Err(NotANumber)),
            ("1.2.3", Err(NotANumber)),
        ];
        for (text, want) in table {
            assert_eq!(int(text.as_bytes(), one), want, "{text}");
        }
        assert_eq!(int("9".repeat(60).as_bytes(), one), Err(OutOfRange));
    }

    #[test]
    fn units_and_rounding_are_exact() {
        let table = [
            ("8.52", "min", Round::Nearest, Ok(511)),
            ("8.52", "min", Round::Up, Ok(512)),
            ("8.52", "min", Round::Down, Ok(511)),
            ("8.52", "min", Round::Exact, Err(NotWhole)),
            ("8.55", "min", Round::Exact, Ok(513)),
            ("-0.5", "s", Round::Nearest, Ok(-1)),
            ("-0.5", "s", Round::Up, Ok(0)),
            ("-0.5", "s", Round::Down, Ok(-1)),
            ("1500", "ms", Round::Down, Ok(1)),
            ("0.0000000000001", "s", Round::Up, Ok(1)),
            ("1.5", "KB", Round::Exact, Ok(1_536)),
            ("2", "GB", Round::Exact, Ok(2_147_483_648)),
        ];
        for (text, unit, round, want) in table {
            assert_eq!(int(text.as_bytes(), scale(unit, round)), want, "{text} {unit} {round:?}");
        }
    }

    #[test]
    fn a_number_is_scaled_as_its_text_would_be() {
        for round in [Round::Exact, Round::Up, Round::Down, Round::Nearest] {
            for den in [1, 2, 7, 1_024] {
                let scale = Scale { num: 3, den, round };
                for n in [-2_049, -1_025, -3, -1, 0, 1, 2, 5, 1_023, 1_024, 123_457] {
                    assert_eq!(scaled(n, scale), int(n.to_string().as_bytes(), scale).ok(), "{n} {scale:?}");
                }
            }
        }
        assert_eq!(scaled(i64::MAX, Scale { num: 60, den: 1, round: Round::Up }), None);
    }

    #[test]
    fn amounts_are_millionths() {
        let table = [
            ("12.50", "yuan", Ok(12_500_000)),
            ("1250", "fen", Ok(12_500_000)),
            ("1", "li", Ok(1_000)),
            ("0.0001", "li", Err(TooManyDecimals)),
            ("0.1234567", "usd", Err(TooManyDecimals)),
            (".5", "usd", Ok(500_000)),
            ("7.", "usd", Ok(7_000_000)),
            ("9223372036854.775808", "usd", Err(OutOfRange)),
        ];
        for (text, unit, want) in table {
            assert_eq!(micros(text.as_bytes(), scale(unit, Round::Exact)), want, "{text} {unit}");
        }
    }

    #[test]
    fn the_short_way_equals_the_general_way() {
        let one = Scale { num: 1, den: 1, round: Round::Exact };
        for i in 0..200_000u64 {
            let h = kairos_model::hash::mix(i);
            let whole = h % 10u64.pow((h >> 60) as u32 % 13);
            let text =
                format!("{}{whole}.{:0w$}", if h & 1 == 0 { "-" } else { "" }, h >> 40 & 7, w = (h >> 50) as usize % 7);
            assert_eq!(micros(text.as_bytes(), one), general(text.as_bytes(), one, 6), "{text}");
            assert_eq!(kairos_model::money::parse_micros(&text), micros(text.as_bytes(), one).ok(), "{text}");
        }
    }
}
