//! Quiet hours and holidays: when contacts are allowed, and the next instant at which they are.

use kairos_model::{LocalDay, Reason, Span, Timestamp, Zone};
use std::collections::BTreeSet;

/// Minutes of the local day, 0–1439, from `from` up to but without `to`; `to` below `from` passes midnight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MinuteRange {
    pub from: u16,
    pub to: u16,
}

impl MinuteRange {
    pub const fn has(self, minute: u16) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

/// Remembers the local minute of the instants that were asked last: a look-up in a time zone costs more than an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minutes {
    from: i64,
    to: i64,
    minute: u16,
}

impl Default for Minutes {
    fn default() -> Self {
        Self { from: 1, to: 0, minute: 0 }
    }
}

impl Minutes {
    /// Minute of the local day, 0–1439. `zone` must be the same in every call until [`Minutes::forget`].
    #[inline]
    pub fn at(&mut self, zone: &Zone, t: Timestamp) -> u16 {
        if t.0 < self.from || t.0 >= self.to {
            self.look_up(zone, t);
        }
        self.minute
    }
    #[cold]
    fn look_up(&mut self, zone: &Zone, t: Timestamp) {
        const MINUTE: i64 = 60_000_000;
        let from = t.0.div_euclid(MINUTE).saturating_mul(MINUTE);
        self.minute = zone.minute_of_day(t);
        // zones change their offset on whole minutes of UTC and by whole minutes; where one did not, ask every time
        let begins = zone.civil(Timestamp(from));
        let whole = begins.second() == 0 && begins.hour() as u16 * 60 + begins.minute() as u16 == self.minute;
        (self.from, self.to) = if whole { (from, from.saturating_add(MINUTE)) } else { (1, 0) };
    }
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Ranges of the local day in which nobody is contacted (免打扰时段).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuietHours {
    ranges: Vec<MinuteRange>,
}

impl QuietHours {
    pub const fn none() -> Self {
        Self { ranges: Vec::new() }
    }
    /// `None` if a minute is past 1439 or a range is empty (`from` = `to`).
    pub fn new(ranges: Vec<MinuteRange>) -> Option<Self> {
        ranges.iter().all(|r| r.from < 1440 && r.to < 1440 && r.from != r.to).then_some(Self { ranges })
    }
    pub fn ranges(&self) -> &[MinuteRange] {
        &self.ranges
    }
    pub fn has(&self, minute: u16) -> bool {
        self.ranges.iter().any(|r| r.has(minute))
    }
    pub fn covers_the_day(&self) -> bool {
        (0..1440).all(|m| self.has(m))
    }
    /// Minutes from `minute` to the end of the unbroken quiet time around it, at most a day.
    fn minutes_left(&self, minute: u16) -> u16 {
        (0..1440).find(|&n| !self.has((minute + n) % 1440)).unwrap_or(1440)
    }
}

/// Quiet hours and holidays in a zone.
#[derive(Clone, Copy, Debug)]
pub struct Calendar<'a> {
    pub zone: &'a Zone,
    pub quiet: &'a QuietHours,
    /// `None`: holidays are days like others.
    pub holidays: Option<&'a BTreeSet<LocalDay>>,
}

/// Runs of closed time longer than this many holidays and quiet ranges are taken as "never": two years of holidays.
const HOPS_MAX: usize = 1_500;

impl Calendar<'_> {
    /// Both reasons at `now`, as far as they hold.
    pub fn reasons(&self, now: Timestamp) -> [Option<Reason>; 2] {
        let quiet = !self.quiet.ranges.is_empty() && self.quiet.has(self.zone.minute_of_day(now));
        let holiday = self.holidays.is_some_and(|h| !h.is_empty() && h.contains(&self.zone.day(now)));
        [quiet.then_some(Reason::QuietHours), holiday.then_some(Reason::Holiday)]
    }
    /// `None` if contacts are allowed at `now`; else the first reason in the fixed order and the next allowed instant,
    /// [`Timestamp::MAX`] if there is none within two years.
    pub fn closed_until(&self, now: Timestamp) -> Option<(Reason, Timestamp)> {
        let reason = self.reasons(now).into_iter().flatten().next()?;
        let mut t = now;
        for _ in 0..HOPS_MAX {
            t = match self.reasons(t) {
                [None, None] => return Some((reason, t)),
                [_, Some(_)] => match self.zone.start_of(self.zone.day(t).plus_days(1)) {
                    Some(next) if next > t => next,
                    _ => break,
                },
                [Some(_), None] => self.quiet_end(t),
            };
        }
        Some((reason, Timestamp::MAX))
    }
    /// The end of the quiet time around `t`.
    fn quiet_end(&self, t: Timestamp) -> Timestamp {
        let minute_begins = Timestamp(t.0.div_euclid(60_000_000).saturating_mul(60_000_000));
        let left = self.quiet.minutes_left(self.zone.minute_of_day(t));
        let end = minute_begins.plus(Span::mins(i64::from(left)));
        let clock = |t| i64::from(self.zone.minute_of_day(t));
        if (clock(minute_begins) + i64::from(left)) % 1440 == clock(end) {
            return end;
        }
        // the zone's clocks are put forward or back in between: minute by minute, twice a year
        let mut t = minute_begins;
        for _ in 0..=i64::from(left) + 180 {
            t = t.plus(Span::mins(1));
            if !self.quiet.has(self.zone.minute_of_day(t)) {
                break;
            }
        }
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn quiet(ranges: &[(u16, u16)]) -> QuietHours {
        QuietHours::new(ranges.iter().map(|&(from, to)| MinuteRange { from, to }).collect()).unwrap()
    }

    #[test]
    fn the_next_allowed_instant_is_exact() {
        let night = quiet(&[(21 * 60, 8 * 60), (12 * 60, 13 * 60 + 30)]);
        let days: BTreeSet<LocalDay> = ["2026-05-01", "2026-05-02", "2026-05-03"].map(|d| d.parse().unwrap()).into();
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let calendar = Calendar { zone: &zone, quiet: &night, holidays: Some(&days) };
        let story: Vec<String> = [
            "2026-04-29T20:59:59.999999+08:00",
            "2026-04-29T21:00:00+08:00",
            "2026-04-30T07:59:59.999999+08:00",
            "2026-04-30T08:00:00+08:00",
            "2026-04-30T12:10:07.5+08:00",
            "2026-04-30T23:00:00+08:00",
            "2026-05-02T10:00:00+08:00",
            "2026-05-03T23:59:59+08:00",
        ]
        .iter()
        .map(|&at| match calendar.closed_until(at.parse().unwrap()) {
            None => format!("{at} open"),
            Some((why, until)) => format!("{at} {why} until {} local", zone.civil(until)),
        })
        .collect();
        expect![[r#"
            2026-04-29T20:59:59.999999+08:00 open
            2026-04-29T21:00:00+08:00 quiet_hours until 2026-04-30T08:00:00 local
            2026-04-30T07:59:59.999999+08:00 quiet_hours until 2026-04-30T08:00:00 local
            2026-04-30T08:00:00+08:00 open
            2026-04-30T12:10:07.5+08:00 quiet_hours until 2026-04-30T13:30:00 local
            2026-04-30T23:00:00+08:00 quiet_hours until 2026-05-04T08:00:00 local
            2026-05-02T10:00:00+08:00 holiday until 2026-05-04T08:00:00 local
            2026-05-03T23:59:59+08:00 quiet_hours until 2026-05-04T08:00:00 local"#]]
        .assert_eq(&story.join("\n"));
    }

    /// The same answer as looking at every minute, over both changes of the clocks in Berlin (2026-03-29, 2026-10-25),
    /// Apia's skipped day and a zone with half an hour of summer time.
    #[test]
    fn equal_to_looking_at_every_minute() {
        let tables = [
            ("Europe/Berlin", "2026-03-28T00:00:00Z"),
            ("Europe/Berlin", "2026-10-24T00:00:00Z"),
            ("Pacific/Apia", "2011-12-29T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
            ("Asia/Shanghai", "2026-03-01T00:00:00Z"),
        ];
        let sets = [quiet(&[(60, 150)]), quiet(&[(21 * 60, 8 * 60)]), quiet(&[(125, 130), (1439, 1), (140, 190)])];
        for (name, from) in tables {
            let (zone, from) = (Zone::named(name).unwrap(), from.parse::<Timestamp>().unwrap());
            let holidays: BTreeSet<LocalDay> = [zone.day(from).plus_days(1)].into();
            for set in &sets {
                let calendar = Calendar { zone: &zone, quiet: set, holidays: Some(&holidays) };
                let open = |t| calendar.reasons(t) == [None, None];
                let mut next = from.plus(Span::mins(4 * 1440));
                assert!(open(next.plus(Span::hours(10))) || open(next), "{name}");
                while !open(next) {
                    next = next.plus(Span::mins(1));
                }
                for back in 1..4 * 1440 {
                    let t = from.plus(Span::mins(4 * 1440 - back));
                    if open(t) {
                        assert_eq!(calendar.closed_until(t), None);
                        next = t;
                    } else {
                        let got = calendar.closed_until(t).map(|(_, until)| until);
                        assert_eq!(got, Some(next), "{name} {set:?} at {t}");
                    }
                }
            }
        }
    }

    #[test]
    fn endless_holidays_and_the_ends_of_time_do_not_hang() {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let holidays: BTreeSet<LocalDay> = (0..50_000).map(LocalDay).collect();
        let none = QuietHours::none();
        let calendar = Calendar { zone: &zone, quiet: &none, holidays: Some(&holidays) };
        assert_eq!(calendar.closed_until(Timestamp::from_secs(0)), Some((Reason::Holiday, Timestamp::MAX)));
        for t in [Timestamp::MIN, Timestamp::MAX] {
            Calendar { zone: &zone, quiet: &quiet(&[(0, 1439)]), holidays: None }.closed_until(t);
        }
        assert!(QuietHours::new(vec![MinuteRange { from: 5, to: 5 }]).is_none());
        assert!(QuietHours::new(vec![MinuteRange { from: 0, to: 1440 }]).is_none());
        assert!(quiet(&[(0, 720), (720, 0)]).covers_the_day());
    }
}
