//! Days in a condition: absolute, or relative to the snapshot's `as_of`.

use jiff::civil::Date;
use kairos_model::LocalDay;
use std::fmt;

/// A day as written in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DateValue {
    On(LocalDay),
    Relative(Relative),
}

/// `anchor` moved by `n` units: first the anchor is found from `as_of`, then moved. Months and years keep the day of
/// the month or take the last one there is (31 March − 1 month = 28 or 29 February), as PostgreSQL's intervals do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Relative {
    pub anchor: Anchor,
    /// Negative = earlier. At most [`DateUnit::max`] either way.
    pub n: i32,
    /// `Day` where `n` is 0.
    pub unit: DateUnit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    Today,
    /// Monday.
    StartOfWeek,
    StartOfMonth,
    StartOfQuarter,
    StartOfYear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DateUnit {
    Day,
    Week,
    Month,
    Year,
}

impl DateUnit {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
    /// The longest move: 200 years, beyond any fact about a living customer, so that the calendar never overflows.
    pub const fn max(self) -> i32 {
        match self {
            Self::Day => 73_050,
            Self::Week => 10_435,
            Self::Month => 2_400,
            Self::Year => 200,
        }
    }
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "d" | "day" | "days" | "天" | "日" => Self::Day,
            "week" | "weeks" | "周" => Self::Week,
            "month" | "months" | "个月" | "月" => Self::Month,
            "year" | "years" | "年" => Self::Year,
            _ => return None,
        })
    }
}

impl Anchor {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::StartOfWeek => "start of week",
            Self::StartOfMonth => "start of month",
            Self::StartOfQuarter => "start of quarter",
            Self::StartOfYear => "start of year",
        }
    }
    /// The anchor of `start of WORD`.
    pub(crate) fn start_of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "week" => Self::StartOfWeek,
            "month" => Self::StartOfMonth,
            "quarter" => Self::StartOfQuarter,
            "year" => Self::StartOfYear,
            _ => return None,
        })
    }
    fn of(self, day: Date) -> Date {
        match self {
            Self::Today => day,
            Self::StartOfWeek => {
                day.saturating_sub(jiff::Span::new().days(i64::from(day.weekday().to_monday_zero_offset())))
            }
            Self::StartOfMonth => day.first_of_month(),
            Self::StartOfQuarter => {
                let month = day.month() - (day.month() - 1) % 3;
                Date::new(day.year(), month, 1).unwrap_or(day)
            }
            Self::StartOfYear => day.first_of_year(),
        }
    }
}

impl Relative {
    /// `None` past [`DateUnit::max`].
    pub fn new(anchor: Anchor, n: i32, unit: DateUnit) -> Option<Self> {
        let unit = if n == 0 { DateUnit::Day } else { unit };
        (n.unsigned_abs() <= unit.max().unsigned_abs()).then_some(Self { anchor, n, unit })
    }
    /// The day meant at `as_of`; an `as_of` outside jiff's calendar (years −9999…9999) stands for itself.
    pub fn resolve(self, as_of: LocalDay) -> LocalDay {
        let Some(day) = as_of.date() else { return as_of };
        let n = i64::from(self.n.clamp(-self.unit.max(), self.unit.max()));
        let span = jiff::Span::new();
        let span = match self.unit {
            DateUnit::Day => span.days(n),
            DateUnit::Week => span.weeks(n),
            DateUnit::Month => span.months(n),
            DateUnit::Year => span.years(n),
        };
        LocalDay::from_date(self.anchor.of(day).saturating_add(span))
    }
}

impl DateValue {
    pub const TODAY: Self = Self::Relative(Relative { anchor: Anchor::Today, n: 0, unit: DateUnit::Day });
    /// The day meant at `as_of`.
    #[inline]
    pub fn resolve(self, as_of: LocalDay) -> LocalDay {
        match self {
            Self::On(day) => day,
            Self::Relative(r) => r.resolve(as_of),
        }
    }
}

impl fmt::Display for DateValue {
    /// The canonical text of the language.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(day) => fmt::Display::fmt(day, f),
            Self::Relative(r) => fmt::Display::fmt(r, f),
        }
    }
}

impl fmt::Display for Relative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, unit) = (self.n.unsigned_abs(), self.unit.name());
        let s = if n == 1 { "" } else { "s" };
        match (self.n, self.anchor) {
            (0, anchor) => f.write_str(anchor.text()),
            (..0, Anchor::Today) => write!(f, "{n} {unit}{s} ago"),
            (_, Anchor::Today) => write!(f, "{n} {unit}{s} from now"),
            (..0, anchor) => write!(f, "{n} {unit}{s} before {}", anchor.text()),
            (_, anchor) => write!(f, "{n} {unit}{s} after {}", anchor.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_move_as_a_calendar_does() {
        let table = [
            (Anchor::Today, 0, DateUnit::Day, "2026-03-31"),
            (Anchor::Today, -30, DateUnit::Day, "2026-03-01"),
            (Anchor::Today, -1, DateUnit::Month, "2026-02-28"),
            (Anchor::Today, 2, DateUnit::Week, "2026-04-14"),
            (Anchor::Today, -2, DateUnit::Year, "2024-03-31"),
            (Anchor::StartOfWeek, 0, DateUnit::Day, "2026-03-30"),
            (Anchor::StartOfMonth, 0, DateUnit::Day, "2026-03-01"),
            (Anchor::StartOfMonth, -3, DateUnit::Month, "2025-12-01"),
            (Anchor::StartOfQuarter, 0, DateUnit::Day, "2026-01-01"),
            (Anchor::StartOfQuarter, 1, DateUnit::Day, "2026-01-02"),
            (Anchor::StartOfYear, -200, DateUnit::Year, "1826-01-01"),
        ];
        let as_of: LocalDay = "2026-03-31".parse().unwrap();
        for (anchor, n, unit, want) in table {
            let r = Relative::new(anchor, n, unit).unwrap();
            assert_eq!(r.resolve(as_of).to_string(), want, "{r}");
        }
        assert_eq!(Relative::new(Anchor::Today, 201, DateUnit::Year), None);
    }

    #[test]
    fn the_ends_of_the_calendar_do_not_panic() {
        for day in [i32::MIN, -4_371_587, 2_932_896, i32::MAX] {
            for n in [-200, 200] {
                let r = Relative::new(Anchor::StartOfWeek, n, DateUnit::Year).unwrap();
                r.resolve(LocalDay(day));
            }
        }
    }
}
