//! The province: its configuration, its months, and what names a subscriber.

use crate::{number::NumberSpace, text::Days};
use kairos_model::{LocalDay, Span, Timestamp};
use std::fmt;

/// Place of a subscriber in the province, from 0: not the ordinal that a data directory gives at import.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u32);

/// Length of a source key: `S` and nine digits.
pub const KEY_LEN: usize = 10;

impl Index {
    /// The source key of the operator's files: `S000000123`.
    pub fn key(self) -> String {
        self.to_string()
    }
    /// Back from a source key; `None` for anything that [`Index::key`] does not write.
    pub fn of_key(key: &str) -> Option<Self> {
        let digits = key.strip_prefix('S')?;
        if digits.len() != KEY_LEN - 1 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().map(Self)
    }
}
impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{:09}", self.0)
    }
}
impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What to make. Two equal configurations make the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynthConfig {
    pub seed: u64,
    pub subscribers: u32,
    /// First day of the first month.
    pub from: LocalDay,
    pub months: u8,
    /// Local time less UTC; the province has no summer time.
    pub utc_offset: Span,
}

impl SynthConfig {
    /// December 2025 to February 2026 in China's time.
    pub fn china(seed: u64, subscribers: u32) -> Self {
        // 2025-12-01, checked by a test
        Self { seed, subscribers, from: LocalDay(20_423), months: 3, utc_offset: Span::hours(8) }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SynthError {
    #[error("{given} subscribers: the province's number blocks hold 1 to {max}")]
    Subscribers { given: u32, max: u32 },
    #[error("the first day {given} is not the first of a month between 1990 and 2100")]
    From { given: LocalDay },
    #[error("{given} months of data: 1 to {max} can be made, so that an instant fits 32 bits of seconds")]
    Months { given: u8, max: u8 },
    #[error("an offset of {given:?} from UTC is past ±14 hours or no whole minute")]
    Offset { given: Span },
}

/// A calendar month of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    pub year: i16,
    /// 1–12.
    pub month: u8,
    pub first: LocalDay,
    pub days: u8,
    /// Seconds from the start of the data to the start of the month.
    pub offset_s: u32,
}

/// A synthetic operator: every fact about a subscriber is a pure function of the configuration and the index.
#[derive(Clone, Debug)]
pub struct Province {
    pub(crate) config: SynthConfig,
    pub(crate) months: Vec<Month>,
    pub(crate) numbers: NumberSpace,
    pub(crate) days: Days,
}

/// Half of the number blocks; the other half holds the numbers of those who changed theirs.
pub const SUBSCRIBERS_MAX: u32 = 200_000_000;
pub const MONTHS_MAX: u8 = 12;

impl Province {
    pub fn new(config: SynthConfig) -> Result<Self, SynthError> {
        if config.subscribers == 0 || config.subscribers > SUBSCRIBERS_MAX {
            return Err(SynthError::Subscribers { given: config.subscribers, max: SUBSCRIBERS_MAX });
        }
        if config.months == 0 || config.months > MONTHS_MAX {
            return Err(SynthError::Months { given: config.months, max: MONTHS_MAX });
        }
        if config.utc_offset.0.abs() > Span::hours(14).0 || config.utc_offset.0 % Span::mins(1).0 != 0 {
            return Err(SynthError::Offset { given: config.utc_offset });
        }
        let months = calendar(config.from, config.months).ok_or(SynthError::From { given: config.from })?;
        let days = Days::new(config.from, months.iter().map(|m| u32::from(m.days)).sum::<u32>() + 62);
        Ok(Self { config, months, numbers: NumberSpace::new(config.seed), days })
    }
    pub fn config(&self) -> &SynthConfig {
        &self.config
    }
    pub fn months(&self) -> &[Month] {
        &self.months
    }
    pub fn subscribers(&self) -> u32 {
        self.config.subscribers
    }
    pub fn indices(&self) -> impl Iterator<Item = Index> + use<> {
        (0..self.config.subscribers).map(Index)
    }
    pub fn contains(&self, index: Index) -> bool {
        index.0 < self.config.subscribers
    }
    pub(crate) fn seed(&self) -> u64 {
        self.config.seed
    }
    /// Length of the data in seconds.
    pub(crate) fn length_s(&self) -> u32 {
        self.months.iter().map(|m| u32::from(m.days) * 86_400).sum()
    }
    /// First instant of the data.
    pub fn start(&self) -> Timestamp {
        self.instant(0)
    }
    /// First instant after the data: when the files were extracted.
    pub fn end(&self) -> Timestamp {
        self.instant(i64::from(self.length_s()))
    }
    /// The first day after the data.
    pub fn end_day(&self) -> LocalDay {
        self.config.from.plus_days((self.length_s() / 86_400) as i32)
    }
    /// Seconds from the start of the data as an instant.
    pub(crate) fn instant(&self, seconds: i64) -> Timestamp {
        Timestamp::from_secs(i64::from(self.config.from.0) * 86_400 + seconds).minus(self.config.utc_offset)
    }
    /// An instant as seconds from the start of the data, rounded down.
    pub(crate) fn seconds(&self, at: Timestamp) -> i64 {
        at.plus(self.config.utc_offset).secs().saturating_sub(i64::from(self.config.from.0) * 86_400)
    }
}

fn calendar(from: LocalDay, months: u8) -> Option<Vec<Month>> {
    let mut first = from.date()?;
    if first.day() != 1 || !(1990..=2100).contains(&first.year()) {
        return None;
    }
    let (mut out, mut offset_s) = (Vec::with_capacity(months.into()), 0);
    for _ in 0..months {
        let days = first.days_in_month() as u8;
        let day = LocalDay::from_date(first);
        out.push(Month { year: first.year(), month: first.month() as u8, first: day, days, offset_s });
        offset_s += u32::from(days) * 86_400;
        first = day.plus_days(i32::from(days)).date()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_covers_three_months_to_the_first_of_march() {
        let p = Province::new(SynthConfig::china(1, 100)).unwrap();
        let shown: Vec<_> = p.months().iter().map(|m| (m.year, m.month, m.days, m.first.to_string())).collect();
        assert_eq!(shown[0], (2025, 12, 31, "2025-12-01".to_owned()));
        assert_eq!(shown[2], (2026, 2, 28, "2026-02-01".to_owned()));
        assert_eq!(
            (p.start().to_string(), p.end().to_string()),
            ("2025-11-30T16:00:00Z".into(), "2026-02-28T16:00:00Z".into())
        );
        assert_eq!((p.seconds(p.end()), p.end_day().to_string()), (i64::from(p.length_s()), "2026-03-01".to_owned()));
    }

    #[test]
    fn a_wrong_configuration_says_what_is_wrong() {
        let good = SynthConfig::china(1, 100);
        let told = |c: SynthConfig| Province::new(c).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told(SynthConfig { subscribers: 0, ..good }).starts_with("0 subscribers"));
        assert!(told(SynthConfig { months: 13, ..good }).starts_with("13 months"));
        assert!(told(SynthConfig { from: good.from.plus_days(1), ..good }).contains("2025-12-02 is not the first"));
        assert!(told(SynthConfig { utc_offset: Span::hours(15), ..good }).contains("±14 hours"));
    }

    #[test]
    fn keys_come_back() {
        assert_eq!(Index(123).key(), "S000000123");
        assert_eq!(Index::of_key("S000000123"), Some(Index(123)));
        for bad in ["", "S", "S12", "s000000123", "S00000012x", "S+00000123"] {
            assert_eq!(Index::of_key(bad), None, "{bad}");
        }
    }
}
