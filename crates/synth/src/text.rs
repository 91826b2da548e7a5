//! Rows as text: fields appended to a reusable byte buffer. Written, never parsed, and no word of the province holds a
//! comma, quote or line break, so nothing needs quoting; a test holds that.

use crate::province::{Index, Province};

const PAIRS: &[u8; 200] = b"00010203040506070809101112131415161718192021222324252627282930313233343536373839\
40414243444546474849505152535455565758596061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Days of the data and two months after it, as `YYYY-MM-DD`.
#[derive(Clone, Debug)]
pub(crate) struct Days(Vec<[u8; 10]>);

impl Days {
    pub(crate) fn new(first: kairos_model::LocalDay, n: u32) -> Self {
        Self((0..n).map(|i| day_text(first.plus_days(i as i32))).collect())
    }
}

fn day_text(day: kairos_model::LocalDay) -> [u8; 10] {
    let mut text = *b"0000-00-00";
    if let Some(date) = day.date() {
        let y = date.year().unsigned_abs() as usize;
        put_pair(&mut text[0..2], y / 100);
        put_pair(&mut text[2..4], y % 100);
        put_pair(&mut text[5..7], date.month() as usize);
        put_pair(&mut text[8..10], date.day() as usize);
    }
    text
}

#[inline]
fn put_pair(to: &mut [u8], x: usize) {
    let at = 2 * (x % 100);
    to.copy_from_slice(&PAIRS[at..at + 2]);
}

/// One row being written.
pub(crate) struct Row<'a> {
    out: &'a mut Vec<u8>,
    province: &'a Province,
}

impl<'a> Row<'a> {
    pub(crate) fn new(province: &'a Province, out: &'a mut Vec<u8>) -> Self {
        Self { out, province }
    }
    #[inline]
    pub(crate) fn text(&mut self, s: &str) -> &mut Self {
        self.out.extend_from_slice(s.as_bytes());
        self.empty()
    }
    /// The beginning of a field; what follows goes on with it.
    #[inline]
    pub(crate) fn part(&mut self, s: &str) -> &mut Self {
        self.out.extend_from_slice(s.as_bytes());
        self
    }
    #[inline]
    pub(crate) fn empty(&mut self) -> &mut Self {
        self.out.push(b',');
        self
    }
    #[inline]
    pub(crate) fn int(&mut self, n: u64) -> &mut Self {
        self.digits(n);
        self.empty()
    }
    /// Blank for `None`.
    #[inline]
    pub(crate) fn maybe(&mut self, n: Option<u64>) -> &mut Self {
        if let Some(n) = n {
            self.digits(n);
        }
        self.empty()
    }
    #[inline]
    pub(crate) fn flag(&mut self, b: bool) -> &mut Self {
        self.out.extend_from_slice(if b { b"1," } else { b"0," });
        self
    }
    #[inline]
    pub(crate) fn key(&mut self, i: Index) -> &mut Self {
        let mut text = *b"S000000000";
        let mut n = i.0 as usize;
        for at in [8, 6, 4, 2] {
            put_pair(&mut text[at..at + 2], n % 100);
            n /= 100;
        }
        text[1] = b'0' + (n % 10) as u8;
        self.out.extend_from_slice(&text);
        self.empty()
    }
    /// Zeros in front of digits: `00852…`, `0574…`; blank for digits 0.
    #[inline]
    pub(crate) fn dialled(&mut self, zeros: u8, digits: u64) -> &mut Self {
        if digits != 0 {
            self.out.extend_from_slice(&b"000"[..usize::from(zeros.min(3))]);
            self.digits(digits);
        }
        self.empty()
    }
    /// Millionths as an amount with two to six decimals.
    #[inline]
    pub(crate) fn money(&mut self, micros: i64) -> &mut Self {
        if micros < 0 {
            self.out.push(b'-');
        }
        let abs = micros.unsigned_abs();
        self.digits(abs / 1_000_000);
        let fraction = (abs % 1_000_000) as usize;
        let mut text = *b".000000";
        put_pair(&mut text[1..3], fraction / 10_000);
        put_pair(&mut text[3..5], fraction / 100);
        put_pair(&mut text[5..7], fraction);
        let mut len = 7;
        while len > 3 && text[len - 1] == b'0' {
            len -= 1;
        }
        self.out.extend_from_slice(&text[..len]);
        self.empty()
    }
    /// Seconds from the start of the data as `YYYY-MM-DD HH:MM:SS` local.
    #[inline]
    pub(crate) fn time(&mut self, second: i64) -> &mut Self {
        self.day_of(second);
        let s = second.rem_euclid(86_400) as usize;
        let mut text = *b" 00:00:00,";
        put_pair(&mut text[1..3], s / 3_600);
        put_pair(&mut text[4..6], s / 60 % 60);
        put_pair(&mut text[7..9], s % 60);
        self.out.extend_from_slice(&text);
        self
    }
    pub(crate) fn maybe_time(&mut self, second: Option<i64>) -> &mut Self {
        match second {
            Some(s) => self.time(s),
            None => self.empty(),
        }
    }
    pub(crate) fn day(&mut self, second: i64) -> &mut Self {
        self.day_of(second);
        self.empty()
    }
    #[inline]
    fn day_of(&mut self, second: i64) {
        let day = second.div_euclid(86_400);
        match usize::try_from(day).ok().and_then(|d| self.province.days.0.get(d)) {
            Some(text) => self.out.extend_from_slice(text),
            None => self.out.extend_from_slice(&day_text(self.province.config.from.plus_days(day as i32))),
        }
    }
    #[inline]
    fn digits(&mut self, mut n: u64) {
        let mut text = [0u8; 20];
        let mut at = 20;
        while n >= 100 {
            at -= 2;
            put_pair(&mut text[at..at + 2], (n % 100) as usize);
            n /= 100;
        }
        if n >= 10 {
            at -= 2;
            put_pair(&mut text[at..at + 2], n as usize);
        } else {
            at -= 1;
            text[at] = b'0' + n as u8;
        }
        self.out.extend_from_slice(&text[at..]);
    }
    /// Ends the row.
    #[inline]
    pub(crate) fn end(&mut self) {
        if let Some(last) = self.out.last_mut() {
            *last = b'\n';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SynthConfig;

    #[test]
    fn fields_read_as_they_should() {
        let p = Province::new(SynthConfig::china(1, 10)).unwrap();
        let mut out = Vec::new();
        let mut row = Row::new(&p, &mut out);
        row.key(Index(123_456_789)).int(0).int(10_086).int(u64::MAX).maybe(None).flag(true);
        row.money(1_500_000).money(-300).money(123_456_789).money(0);
        row.dialled(2, 85_291_234_567).dialled(0, 0).text("彩铃");
        row.time(0).time(-1).time(89 * 86_400 + 3_661).day(-86_400 * 366);
        row.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "S123456789,0,10086,18446744073709551615,,1,1.50,-0.0003,123.456789,0.00,0085291234567,,彩铃,\
             2025-12-01 00:00:00,2025-11-30 23:59:59,2026-02-28 01:01:01,2024-11-30\n"
        );
    }
}
