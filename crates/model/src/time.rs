//! Time is UTC microseconds; a zone belongs to the tenant or the layout.

use jiff::{civil, tz::TimeZone};
use std::fmt;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A length of time in microseconds; may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

/// A calendar day in some zone: days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LocalDay(pub i32);

impl Span {
    pub const ZERO: Self = Self(0);
    pub const fn micros(n: i64) -> Self {
        Self(n)
    }
    pub const fn millis(n: i64) -> Self {
        Self(n * 1_000)
    }
    pub const fn secs(n: i64) -> Self {
        Self(n * 1_000_000)
    }
    pub const fn mins(n: i64) -> Self {
        Self::secs(n * 60)
    }
    pub const fn hours(n: i64) -> Self {
        Self::secs(n * 3_600)
    }
    /// `n` × 86,400 s: rolling days, not calendar days.
    pub const fn days(n: i64) -> Self {
        Self::secs(n * 86_400)
    }
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

impl Timestamp {
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);
    pub const fn from_secs(s: i64) -> Self {
        Self(s * 1_000_000)
    }
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms * 1_000)
    }
    /// Whole seconds, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
    /// Saturates at the ends of time, so that `MAX` means "never".
    pub const fn plus(self, d: Span) -> Self {
        Self(self.0.saturating_add(d.0))
    }
    pub const fn minus(self, d: Span) -> Self {
        Self(self.0.saturating_sub(d.0))
    }
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC; instants outside jiff's range (years −9999…9999) as microseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0 as f64 / 1e6)
    }
}
impl fmt::Display for LocalDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(d) => d.fmt(f),
            None => write!(f, "day{}", self.0),
        }
    }
}
impl fmt::Debug for LocalDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;
    /// RFC 3339 with an offset.
    fn from_str(s: &str) -> Result<Self, jiff::Error> {
        s.parse::<jiff::Timestamp>().map(|t| Self(t.as_microsecond()))
    }
}
impl std::str::FromStr for LocalDay {
    type Err = jiff::Error;
    /// `YYYY-MM-DD`.
    fn from_str(s: &str) -> Result<Self, jiff::Error> {
        s.parse::<civil::Date>().map(Self::from_date)
    }
}

impl LocalDay {
    const EPOCH: civil::Date = civil::date(1970, 1, 1);
    pub fn from_date(d: civil::Date) -> Self {
        let span = (d - Self::EPOCH).get_days();
        Self(span)
    }
    /// `None` outside the years −9999…9999.
    pub fn date(self) -> Option<civil::Date> {
        Self::EPOCH.checked_add(jiff::Span::new().try_days(self.0).ok()?).ok()
    }
    pub const fn plus_days(self, n: i32) -> Self {
        Self(self.0.saturating_add(n))
    }
}

/// A time zone by its IANA name, from the bundled database.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    tz: TimeZone,
}

/// The name is not in the bundled time-zone database.
#[derive(Debug, thiserror::Error)]
#[error("unknown time zone `{name}`; use an IANA name such as `Asia/Shanghai`")]
pub struct ZoneError {
    pub name: String,
    #[source]
    pub cause: jiff::Error,
}

impl Zone {
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        let tz = TimeZone::get(name).map_err(|cause| ZoneError { name: name.to_owned(), cause })?;
        Ok(Self { name: name.to_owned(), tz })
    }
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), tz: TimeZone::UTC }
    }
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Local date and time at `t`.
    pub fn civil(&self, t: Timestamp) -> civil::DateTime {
        let t = jiff::Timestamp::from_microsecond(t.0).unwrap_or(if t.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        self.tz.to_datetime(t)
    }
    pub fn day(&self, t: Timestamp) -> LocalDay {
        LocalDay::from_date(self.civil(t).date())
    }
    /// Minute of the local day, 0–1439.
    pub fn minute_of_day(&self, t: Timestamp) -> u16 {
        let c = self.civil(t);
        c.hour() as u16 * 60 + c.minute() as u16
    }
    /// The instant of a local date and time; a gap (clocks forward) resolves to the later side, a fold to the earlier.
    /// `None` outside the years −9999…9999.
    pub fn instant(&self, at: civil::DateTime) -> Option<Timestamp> {
        let z = at.to_zoned(self.tz.clone()).ok()?;
        Some(Timestamp(z.timestamp().as_microsecond()))
    }
    /// The instant at which a local day begins.
    pub fn start_of(&self, day: LocalDay) -> Option<Timestamp> {
        self.instant(day.date()?.at(0, 0, 0, 0))
    }
}
impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_in_shanghai_begins_at_sixteen_utc() {
        let z = Zone::named("Asia/Shanghai").expect("bundled");
        let day: LocalDay = "2026-03-10".parse().expect("date");
        let t = z.start_of(day).expect("in range");
        assert_eq!(t.to_string(), "2026-03-09T16:00:00Z");
        assert_eq!((z.day(t), z.minute_of_day(t.plus(Span::mins(601)))), (day, 601));
        assert_eq!(z.day(t.minus(Span::micros(1))), day.plus_days(-1));
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        let z = Zone::named("Asia/Shanghai").expect("bundled");
        for t in [Timestamp::MIN, Timestamp::MAX] {
            assert!(!t.to_string().is_empty());
            z.day(t);
        }
        assert_eq!(Timestamp::MAX.plus(Span::days(1)), Timestamp::MAX);
        assert!(LocalDay(i32::MAX).date().is_none());
    }
}
