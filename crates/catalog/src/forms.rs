//! The small exact forms of a definition: amounts, shares, local times, names. Each is a string in TOML and JSON.

use jiff::civil;
use kairos_model::near::hint_or_all;
use kairos_model::{CampaignClass, Channel, Currency, LocalDay, Money, Timestamp, Zone, money::parse_micros};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// An exact amount of the definition's or tenant's currency, in millionths; written as a string such as `"0.05"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub i64);

/// A share in parts per million; written as a percentage with at most four decimals: `"20%"`, `"0.5%"`.
/// As a difference of two shares (an uplift) the same form means percentage points.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(u32);

/// A date and time in the tenant's zone: `2026-03-02T09:00` (seconds optional).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(pub civil::DateTime);

/// A time of the local day in whole minutes, 0–1440: `09:00`; `24:00` is the end of the day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayTime(u16);

/// A stretch of every local day, `from` inclusive, `to` exclusive; `from > to` runs over midnight.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayWindow {
    pub from: DayTime,
    pub to: DayTime,
}

/// A name in both languages of the console.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    pub zh: String,
    pub en: String,
}

/// The language of a creative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lang {
    Zh,
    En,
}

/// Why a small form does not read; the message says what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormError(String);

impl Amount {
    /// As money of `currency`.
    pub const fn money(self, currency: Currency) -> Money {
        Money::micros(self.0, currency)
    }
}
impl FromStr for Amount {
    type Err = FormError;
    fn from_str(s: &str) -> Result<Self, FormError> {
        parse_micros(s).map(Self).ok_or_else(|| {
            FormError(format!("`{s}` is no amount; use digits with at most six decimals, such as 12.50"))
        })
    }
}
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.money(Currency::CNY).amount())
    }
}

impl Share {
    pub const ZERO: Self = Self(0);
    pub const ALL: Self = Self(1_000_000);
    /// `None` above one million.
    pub const fn from_ppm(ppm: u32) -> Option<Self> {
        if ppm <= 1_000_000 { Some(Self(ppm)) } else { None }
    }
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { 1_000_000 } else { percent as u32 * 10_000 })
    }
    pub const fn ppm(self) -> u32 {
        self.0
    }
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}
impl FromStr for Share {
    type Err = FormError;
    fn from_str(s: &str) -> Result<Self, FormError> {
        let wrong = || {
            FormError(format!(
                "`{s}` is no share; write 0% to 100% with at most four decimals, such as \"20%\" or \"0.5%\""
            ))
        };
        let number = s.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let micros = parse_micros(number).ok_or_else(wrong)?;
        // a percent is 10,000 ppm and 1,000,000 micros: one ppm is 100 micros of a percent
        if micros % 100 != 0 || number.starts_with(['-', '+']) {
            return Err(wrong());
        }
        u32::try_from(micros / 100).ok().and_then(Self::from_ppm).ok_or_else(wrong)
    }
}
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frac = format!("{:04}", self.0 % 10_000);
        let frac = frac.trim_end_matches('0');
        write!(f, "{}{}{frac}%", self.0 / 10_000, if frac.is_empty() { "" } else { "." })
    }
}

impl LocalTime {
    /// The instant in `zone`; `None` outside the calendar's range.
    pub fn instant(self, zone: &Zone) -> Option<Timestamp> {
        zone.instant(self.0)
    }
    pub fn day(self) -> LocalDay {
        LocalDay::from_date(self.0.date())
    }
    pub fn day_time(self) -> DayTime {
        DayTime(self.0.hour() as u16 * 60 + self.0.minute() as u16)
    }
}
impl FromStr for LocalTime {
    type Err = FormError;
    fn from_str(s: &str) -> Result<Self, FormError> {
        let wrong = || FormError(format!("`{s}` is no local date and time; write 2026-03-02T09:00 without an offset"));
        // jiff would drop an offset in silence; a local time must not carry one
        let time = s.get(10..).ok_or_else(wrong)?;
        if !time.starts_with(['T', ' ']) || time.contains(['Z', 'z', '+', '-', '[']) {
            return Err(wrong());
        }
        s.parse::<civil::DateTime>().map(Self).map_err(|_| wrong())
    }
}
impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl DayTime {
    pub const START: Self = Self(0);
    pub const END: Self = Self(1440);
    /// `None` past 1440.
    pub const fn from_minutes(m: u16) -> Option<Self> {
        if m <= 1440 { Some(Self(m)) } else { None }
    }
    pub const fn minutes(self) -> u16 {
        self.0
    }
}
impl FromStr for DayTime {
    type Err = FormError;
    fn from_str(s: &str) -> Result<Self, FormError> {
        let wrong =
            || FormError(format!("`{s}` is no time of day; write hours and minutes such as 09:00, up to 24:00"));
        let (h, m) = s.split_once(':').ok_or_else(wrong)?;
        let two =
            |x: &str| if x.len() == 2 && x.bytes().all(|b| b.is_ascii_digit()) { x.parse::<u16>().ok() } else { None };
        match (two(h), two(m)) {
            (Some(h), Some(m)) if m < 60 && h * 60 + m <= 1440 => Ok(Self(h * 60 + m)),
            _ => Err(wrong()),
        }
    }
}
impl fmt::Display for DayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl DayWindow {
    /// Whether minute `m` (0–1439) of the local day lies in the window. `from == to` is empty, `00:00`–`24:00` is all day.
    pub const fn contains(self, m: u16) -> bool {
        let (from, to) = (self.from.0, self.to.0);
        if from <= to { from <= m && m < to } else { m >= from || m < to }
    }
}
impl fmt::Display for DayWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.from, self.to)
    }
}

impl Lang {
    pub const ALL: [Self; 2] = [Self::Zh, Self::En];
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }
}
impl FromStr for Lang {
    type Err = FormError;
    fn from_str(s: &str) -> Result<Self, FormError> {
        Self::ALL
            .into_iter()
            .find(|l| l.name() == s)
            .ok_or_else(|| FormError(format!("`{s}` is no language of a creative; one of zh, en")))
    }
}
impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! as_text {
    ($($t:ty, $what:literal;)*) => {$(
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_str(TextOnly($what))?.parse().map_err(D::Error::custom)
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

as_text!(
    Amount, "an amount in quotes, such as \"12.50\" (a bare number could be rounded)";
    Share, "a share in quotes, such as \"20%\"";
    LocalTime, "a local date and time, such as \"2026-03-02T09:00\"";
    DayTime, "a time of day in quotes, such as \"09:00\"";
);
impl Serialize for Lang {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Lang {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(TextOnly("zh or en"))?.parse().map_err(D::Error::custom)
    }
}

/// Takes a string and nothing else, saying what kind of string was expected.
struct TextOnly(&'static str);
impl serde::de::Visitor<'_> for TextOnly {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<E: serde::de::Error>(self, s: &str) -> Result<String, E> {
        Ok(s.to_owned())
    }
}

/// A closed list of `model` by its stable name.
pub trait Listed: Copy + 'static {
    const WHAT: &'static str;
    fn all() -> &'static [Self];
    fn word(self) -> &'static str;
}
impl Listed for Channel {
    const WHAT: &'static str = "channel";
    fn all() -> &'static [Self] {
        Self::ALL
    }
    fn word(self) -> &'static str {
        self.name()
    }
}
impl Listed for CampaignClass {
    const WHAT: &'static str = "class";
    fn all() -> &'static [Self] {
        Self::ALL
    }
    fn word(self) -> &'static str {
        self.name()
    }
}

/// `#[serde(with = "listed")]` for the closed lists of `model`.
pub mod listed {
    use super::*;
    pub fn serialize<T: Listed, S: Serializer>(x: &T, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(x.word())
    }
    pub fn deserialize<'de, T: Listed, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
        let given = d.deserialize_str(TextOnly(T::WHAT))?;
        T::all().iter().copied().find(|x| x.word() == given).ok_or_else(|| {
            let words: Vec<_> = T::all().iter().map(|x| x.word()).collect();
            D::Error::custom(format!("unknown {} `{given}`{}", T::WHAT, hint_or_all(&given, &words)))
        })
    }
}

/// `#[serde(with = "text")]` for a type of `model` that has `FromStr` and `Display` but no serde form: currency, day.
pub mod text {
    use super::*;
    pub fn serialize<T: fmt::Display, S: Serializer>(x: &T, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(x)
    }
    pub fn deserialize<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
        d.deserialize_str(TextOnly("a string"))?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_and_print_back() {
        for (text, ppm) in
            [("20%", 200_000), ("0.5%", 5_000), ("100%", 1_000_000), ("0%", 0), ("0.0001%", 1), ("12.34 %", 123_400)]
        {
            let share: Share = text.parse().expect(text);
            assert_eq!(share.ppm(), ppm);
            assert_eq!(share.to_string().parse(), Ok(share));
        }
        for text in ["20", "101%", "-1%", "0.00001%", "%", "a%", "100.0001%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn local_times_take_no_offset() {
        let t: LocalTime = "2026-03-02T09:00".parse().expect("valid");
        assert_eq!((t.to_string().as_str(), t.day_time().to_string().as_str()), ("2026-03-02T09:00:00", "09:00"));
        for text in [
            "2026-03-02T09:00Z",
            "2026-03-02T09:00+08:00",
            "2026-03-02",
            "09:00",
            "2026-02-30T09:00",
            "二〇二六年三月二日九点",
        ] {
            assert!(text.parse::<LocalTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_over_midnight_holds_both_sides() {
        let night = DayWindow { from: "20:00".parse().expect("valid"), to: "09:00".parse().expect("valid") };
        assert_eq!([1199, 1200, 0, 539, 540].map(|m| night.contains(m)), [false, true, true, true, false]);
        assert_eq!(
            "24:01".parse::<DayTime>().map_err(|e| e.to_string()).err().as_deref().map(|e| &e[..7]),
            Some("`24:01`")
        );
    }
}
