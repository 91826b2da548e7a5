//! Dates and times in text. The common forms are read byte by byte; anything else, and whatever the short way does not
//! take, goes through the library, so that the short way can only ever agree with it.

use super::{number, reject::RejectReason};
use jiff::{civil, fmt::strtime::BrokenDownTime};
use kairos_model::{LocalDay, Timestamp, Zone};

/// How a layout says a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2026-03-01`, with `T` or a blank and a time, with or without offset. The default.
    Iso,
    /// Seconds since 1970 in UTC, with at most six decimals.
    EpochS,
    /// Milliseconds since 1970 in UTC.
    EpochMs,
    /// Date, time and offset.
    Rfc3339,
    /// A strptime pattern.
    Pattern(String),
}

impl TimeFormat {
    /// A pattern must name a day that it can read back.
    pub(crate) fn pattern(pattern: &str) -> Result<Self, String> {
        let sample = civil::date(2026, 11, 23).at(15, 46, 57, 0);
        let zoned = sample.to_zoned(jiff::tz::TimeZone::UTC).map_err(|e| e.to_string())?;
        let text = jiff::fmt::strtime::format(pattern, &zoned).map_err(|e| format!("`{pattern}`: {e}"))?;
        let back = broken_down(pattern, &text).and_then(|tm| tm.to_date().ok());
        let fits = back.is_some_and(|d| (d.year(), d.month()) == (2026, 11) && (d.day() == 23 || d.day() == 1));
        if !fits {
            return Err(format!(
                "`{pattern}` does not say which day it is; use e.g. \"%Y-%m-%d %H:%M:%S\", \"%d/%m/%Y\", \"epoch_s\""
            ));
        }
        Ok(Self::Pattern(pattern.to_owned()))
    }

    /// Whether the text may be local time, so that a zone must be known.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Iso | Self::Pattern(_))
    }
}

/// Pieces of a pattern that is read byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Literal(u8),
}

/// What a text said: a place on some zone's calendar, or an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Local { day: i32, micros: i64 },
    Instant(i64),
}

const DAY_US: i64 = 86_400_000_000;
/// Days remembered per column: more than a quarter of a year, so that a file of one bill cycle misses once a day.
const DAYS_KEPT: usize = 256;

/// Reads one column's dates or times.
pub(crate) struct WhenReader {
    format: TimeFormat,
    pieces: Option<Vec<Piece>>,
    zone: Zone,
    /// By `day % DAYS_KEPT`: (day, offset that holds all day). Local time − offset = UTC, in microseconds.
    offsets: Vec<(i32, i64)>,
}

impl WhenReader {
    pub fn new(format: TimeFormat, zone: Zone) -> Self {
        let pieces = match &format {
            TimeFormat::Pattern(p) => pieces(p),
            _ => None,
        };
        Self { format, pieces, zone, offsets: vec![(i32::MIN, 0); DAYS_KEPT] }
    }

    pub fn time(&mut self, text: &str) -> Result<Timestamp, RejectReason> {
        match self.read(text).ok_or(RejectReason::NotATime)? {
            When::Instant(us) => Ok(Timestamp(us)),
            When::Local { day, micros } => self.instant(day, micros).ok_or(RejectReason::NotATime),
        }
    }

    pub fn date(&mut self, text: &str) -> Result<LocalDay, RejectReason> {
        match self.read(text).ok_or(RejectReason::NotADate)? {
            When::Local { day, .. } => Ok(LocalDay(day)),
            When::Instant(us) => Ok(self.zone.day(Timestamp(us))),
        }
    }

    fn read(&self, text: &str) -> Option<When> {
        let bytes = text.as_bytes();
        match &self.format {
            TimeFormat::Iso | TimeFormat::Rfc3339 => {
                let local_allowed = self.format == TimeFormat::Iso;
                iso(bytes, local_allowed).or_else(|| iso_by_library(text, local_allowed))
            }
            TimeFormat::EpochS => {
                let us = number::micros(bytes, number::Scale { num: 1, den: 1, round: number::Round::Exact }).ok()?;
                in_range(us)
            }
            TimeFormat::EpochMs => {
                let ms = number::int(bytes, number::Scale { num: 1, den: 1, round: number::Round::Exact }).ok()?;
                in_range(ms.checked_mul(1_000)?)
            }
            TimeFormat::Pattern(pattern) => {
                let fast = self.pieces.as_ref().and_then(|p| by_pieces(p, bytes));
                fast.or_else(|| by_pattern(pattern, text))
            }
        }
    }

    /// UTC of a local time. One zone look-up a day: a day whose first and last microsecond lie 24 h apart has one offset.
    fn instant(&mut self, day: i32, micros: i64) -> Option<Timestamp> {
        let slot = day.rem_euclid(DAYS_KEPT as i32) as usize;
        let local = i64::from(day) * DAY_US + micros;
        let (kept, offset) = self.offsets[slot];
        if kept == day {
            return Some(Timestamp(local - offset));
        }
        let first = self.slow(day, 0)?;
        let last = self.slow(day, DAY_US - 1)?;
        if last.0 - first.0 == DAY_US - 1 {
            self.offsets[slot] = (day, i64::from(day) * DAY_US - first.0);
        }
        self.slow(day, micros)
    }

    fn slow(&self, day: i32, micros: i64) -> Option<Timestamp> {
        let seconds = micros / 1_000_000;
        let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let time = civil::Time::new(h as i8, m as i8, s as i8, (micros % 1_000_000 * 1_000) as i32).ok()?;
        self.zone.instant(LocalDay(day).date()?.to_datetime(time))
    }
}

/// RFC 3339 with an offset.
pub(crate) fn rfc3339(text: &str) -> Option<Timestamp> {
    match iso(text.as_bytes(), false).or_else(|| iso_by_library(text, false))? {
        When::Instant(us) => Some(Timestamp(us)),
        When::Local { .. } => None,
    }
}

/// `YYYY-MM-DD`.
pub(crate) fn iso_day(text: &str) -> Option<LocalDay> {
    match iso(text.as_bytes(), true)? {
        When::Local { day, .. } if text.len() == 10 => Some(LocalDay(day)),
        _ => None,
    }
}

fn in_range(us: i64) -> Option<When> {
    jiff::Timestamp::from_microsecond(us).ok()?;
    Some(When::Instant(us))
}

/// A pattern of fixed-width digits and literals; `None` sends every text to the library.
fn pieces(pattern: &str) -> Option<Vec<Piece>> {
    use Piece::{Day, Hour, Literal, Minute, Month, Second, Year};
    let mut out = Vec::new();
    let mut bytes = pattern.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(Literal(b));
            continue;
        }
        match bytes.next()? {
            b'Y' => out.push(Year),
            b'm' => out.push(Month),
            b'd' => out.push(Day),
            b'H' => out.push(Hour),
            b'M' => out.push(Minute),
            b'S' => out.push(Second),
            b'F' => out.extend([Year, Literal(b'-'), Month, Literal(b'-'), Day]),
            b'T' => out.extend([Hour, Literal(b':'), Minute, Literal(b':'), Second]),
            b'R' => out.extend([Hour, Literal(b':'), Minute]),
            _ => return None,
        }
    }
    let once = |p: Piece| out.iter().filter(|x| **x == p).count() == 1;
    (once(Year) && once(Month) && once(Day)).then_some(out)
}

fn by_pieces(pieces: &[Piece], mut text: &[u8]) -> Option<When> {
    let (mut year, mut month, mut day, mut hour, mut minute, mut second) = (0, 0, 0, 0, 0, 0);
    for piece in pieces {
        match piece {
            Piece::Literal(b) => {
                let (first, rest) = text.split_first()?;
                if first != b {
                    return None;
                }
                text = rest;
            }
            Piece::Year => {
                year = two(text)? * 100 + two(text.get(2..)?)?;
                text = &text[4..];
            }
            two_digits => {
                let n = two(text)?;
                text = &text[2..];
                match two_digits {
                    Piece::Month => month = n,
                    Piece::Day => day = n,
                    Piece::Hour => hour = n,
                    Piece::Minute => minute = n,
                    _ => second = n,
                }
            }
        }
    }
    if !text.is_empty() {
        return None;
    }
    Some(When::Local { day: days(year, month, day)?, micros: clock(hour, minute, second)? })
}

/// `YYYY-MM-DD[( |T)HH:MM:SS[.ffffff][Z|±HH:MM]]`.
fn iso(b: &[u8], local_allowed: bool) -> Option<When> {
    if b.len() < 10 || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let day = days(two(b)? * 100 + two(&b[2..])?, two(&b[5..])?, two(&b[8..])?)?;
    if b.len() == 10 {
        return local_allowed.then_some(When::Local { day, micros: 0 });
    }
    if b.len() < 19 || !matches!(b[10], b' ' | b'T') || b[13] != b':' || b[16] != b':' {
        return None;
    }
    let mut micros = clock(two(&b[11..])?, two(&b[14..])?, two(&b[17..])?)?;
    let mut rest = &b[19..];
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 6 {
            return None;
        }
        let mut n = 0i64;
        for i in 0..6 {
            n = n * 10 + fraction.get(i).filter(|_| i < digits).map_or(0, |b| i64::from(b - b'0'));
        }
        micros += n;
        rest = &fraction[digits..];
    }
    let offset_us = match rest {
        [] if local_allowed => return Some(When::Local { day, micros }),
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (h, m) = (two(&rest[1..])?, two(&rest[4..])?);
            if h > 23 || m > 59 {
                return None;
            }
            i64::from(h * 60 + m) * 60_000_000 * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    Some(When::Instant(i64::from(day) * DAY_US + micros - offset_us))
}

fn iso_by_library(text: &str, local_allowed: bool) -> Option<When> {
    if let Ok(t) = text.parse::<jiff::Timestamp>() {
        return Some(When::Instant(t.as_microsecond()));
    }
    local_allowed.then(|| text.parse::<civil::DateTime>().ok().and_then(local)).flatten()
}

fn by_pattern(pattern: &str, text: &str) -> Option<When> {
    let tm = broken_down(pattern, text)?;
    if tm.offset().is_some() || tm.timestamp().is_some() {
        return Some(When::Instant(tm.to_timestamp().ok()?.as_microsecond()));
    }
    local(tm.to_datetime().ok()?)
}

/// A month without a day is its first day.
fn broken_down(pattern: &str, text: &str) -> Option<BrokenDownTime> {
    let mut tm = BrokenDownTime::parse(pattern, text).ok()?;
    if tm.year().is_some() && tm.month().is_some() && tm.day().is_none() {
        tm.set_day(Some(1)).ok()?;
    }
    Some(tm)
}

/// A two-digit year read as the first century is a mistake of the layout, never a date.
fn local(at: civil::DateTime) -> Option<When> {
    if at.year() < 1_000 {
        return None;
    }
    let t = at.time();
    let seconds = i64::from(t.hour()) * 3_600 + i64::from(t.minute()) * 60 + i64::from(t.second());
    let micros = seconds * 1_000_000 + i64::from(t.subsec_nanosecond()) / 1_000;
    Some(When::Local { day: LocalDay::from_date(at.date()).0, micros })
}

fn two(b: &[u8]) -> Option<i32> {
    match b {
        [a, b, ..] => {
            let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
            (a <= 9 && b <= 9).then_some(i32::from(a) * 10 + i32::from(b))
        }
        _ => None,
    }
}

fn clock(hour: i32, minute: i32, second: i32) -> Option<i64> {
    let valid = hour < 24 && minute < 60 && second < 60;
    valid.then_some(i64::from(hour * 3_600 + minute * 60 + second) * 1_000_000)
}

/// Days since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil), years 1000–9999.
fn days(year: i32, month: i32, day: i32) -> Option<i32> {
    const LENGTHS: [i32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if year < 1_000 || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if day > LENGTHS[month as usize - 1] + i32::from(leap && month == 2) {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let era = y / 400;
    let year_of_era = y - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(format: &str, zone: &str) -> WhenReader {
        let format = match format {
            "iso" => TimeFormat::Iso,
            "rfc3339" => TimeFormat::Rfc3339,
            "epoch_s" => TimeFormat::EpochS,
            "epoch_ms" => TimeFormat::EpochMs,
            p => TimeFormat::pattern(p).expect("valid"),
        };
        WhenReader::new(format, Zone::named(zone).expect("bundled"))
    }

    #[test]
    fn times_are_read_in_their_zone() {
        let table = [
            ("iso", "2026-03-02 08:30:00", "2026-03-02T00:30:00Z"),
            ("iso", "2026-03-02", "2026-03-01T16:00:00Z"),
            ("iso", "2026-03-02T08:30:00.25", "2026-03-02T00:30:00.25Z"),
            ("iso", "2026-03-02T08:30:00Z", "2026-03-02T08:30:00Z"),
            ("iso", "2026-03-02T08:30", "2026-03-02T00:30:00Z"),
            ("rfc3339", "2026-03-02T08:30:00.123456+01:00", "2026-03-02T07:30:00.123456Z"),
            ("rfc3339", "2026-03-02T08:30:00.123456789-01:00", "2026-03-02T09:30:00.123456Z"),
            ("epoch_s", "1772411400.5", "2026-03-02T00:30:00.5Z"),
            ("epoch_ms", "1772411400500", "2026-03-02T00:30:00.5Z"),
            ("%d/%m/%Y", "02/03/2026", "2026-03-01T16:00:00Z"),
            ("%d/%m/%Y", "2/3/2026", "2026-03-01T16:00:00Z"),
            ("%Y%m%d%H%M%S", "20260302083000", "2026-03-02T00:30:00Z"),
            ("%Y-%m-%d %H:%M:%S%.f", "2026-03-02 08:30:00.5", "2026-03-02T00:30:00.5Z"),
            ("%Y年%m月%d日", "2026年03月02日", "2026-03-01T16:00:00Z"),
            ("%d %b %Y %H:%M %z", "02 Mar 2026 08:30 +0000", "2026-03-02T08:30:00Z"),
        ];
        for (format, text, want) in table {
            let got = reader(format, "Asia/Shanghai").time(text).map(|t| t.to_string());
            assert_eq!(got.as_deref(), Ok(want), "{format} {text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let table = [
            ("iso", "2026-02-29"),
            ("iso", "2026-13-01 00:00:00"),
            ("iso", "2026-03-02 24:00:00"),
            ("iso", "02/03/2026"),
            ("rfc3339", "2026-03-02T08:30:00"),
            ("epoch_s", "99999999999999"),
            ("epoch_ms", "9223372036854775807"),
            ("%d/%m/%Y", "02/03/26"),
            ("%d/%m/%Y", "31/04/2026"),
            ("%d/%m/%Y", "02/03/2026 "),
            ("%Y-%m-%d", "年年年年年"),
        ];
        for (format, text) in table {
            assert_eq!(reader(format, "Asia/Shanghai").time(text), Err(RejectReason::NotATime), "{format} {text}");
        }
    }

    #[test]
    fn a_month_is_its_first_day_and_a_date_drops_its_time() {
        let day = |format, text| reader(format, "Asia/Shanghai").date(text).map(|d| d.to_string());
        assert_eq!(day("%Y-%m", "2026-02").as_deref(), Ok("2026-02-01"));
        assert_eq!(day("iso", "2026-02-03 23:59:59").as_deref(), Ok("2026-02-03"));
        assert_eq!(day("epoch_s", "1772411400").as_deref(), Ok("2026-03-02"));
    }

    #[test]
    fn the_short_way_equals_the_library() {
        let patterns = ["%Y-%m-%d %H:%M:%S", "%d/%m/%Y", "%Y%m%d%H%M%S", "%FT%T"];
        for i in 0..20_000u64 {
            let h = kairos_model::hash::mix(i);
            let (y, m, d) = (1_000 + h % 9_000, h >> 16 & 15, h >> 20 & 31);
            let (hh, mm, ss) = ((h >> 25) % 25, (h >> 30) % 61, (h >> 36) % 61);
            let texts = [
                format!("{y:04}-{m:02}-{d:02} {hh:02}:{mm:02}:{ss:02}"),
                format!("{d:02}/{m:02}/{y:04}"),
                format!("{y:04}{m:02}{d:02}{hh:02}{mm:02}{ss:02}"),
                format!("{y:04}-{m:02}-{d:02}T{hh:02}:{mm:02}:{ss:02}"),
            ];
            for (pattern, text) in patterns.iter().zip(&texts) {
                let fast = pieces(pattern).and_then(|p| by_pieces(&p, text.as_bytes()));
                assert!(fast.is_none() || fast == by_pattern(pattern, text), "{pattern} {text}");
            }
            let fast = iso(texts[0].as_bytes(), true);
            assert!(fast.is_none() || fast == iso_by_library(&texts[0], true), "{}", texts[0]);
        }
    }

    #[test]
    fn remembered_days_equal_the_zone_also_where_clocks_change() {
        for zone in ["America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Shanghai"] {
            let (zone, mut reader) = (Zone::named(zone).expect("bundled"), reader("iso", zone));
            for minutes in 0..(2 * 366 * 24 * 2) {
                let day = 17_532 + minutes / 48;
                let micros = i64::from(minutes % 48) * 1_800_000_000 + 1;
                let (h, m) = (minutes % 48 / 2, minutes % 2 * 30);
                let at = LocalDay(day).date().expect("in range").at(h as i8, m as i8, 0, 1_000);
                assert_eq!(reader.instant(day, micros), zone.instant(at), "{zone:?} {at}");
            }
        }
    }
}
