//! Phone numbers: masked wherever they print, parsed once at the door, planned by configuration.

use crate::id::ShortCode;
use std::fmt;

/// A phone number in E.164 digits (country code first, no `+`), at most 15 digits.
///
/// `Debug` and `Display` show only the country code's and subscriber number's edges: `861****5678`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Msisdn(u64);

/// What somebody dialled or was called by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Dialled {
    Number(Msisdn),
    Short(ShortCode),
}

/// Why a text is no number. It never repeats the digits it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("the number is empty")]
    Empty,
    #[error(
        "no phone number: {len} characters that no number plan knows; expected e.g. 138…, +86 138…, or a configured short code"
    )]
    NotANumber { len: usize },
    #[error("a phone number of {len} digits is not valid in its country")]
    Invalid { len: usize },
    #[error("the number plan is wrong: {0}")]
    Plan(PlanError),
}

/// A fault of the configured plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("country code must be 1–3 digits")]
    Country,
    #[error("a mobile prefix must be 2–4 digits")]
    Prefix,
    #[error("national length must be 5–12 digits")]
    Length,
    #[error("a short code must be 3–12 digits")]
    ShortCode,
}

impl Msisdn {
    /// From E.164 digits already known to be a number, e.g. out of the vault. `None` outside 5–15 digits.
    pub const fn from_e164(digits: u64) -> Option<Self> {
        if digits >= 10_000 && digits < 1_000_000_000_000_000 { Some(Self(digits)) } else { None }
    }
    /// The digits. Call only at the vault and at the last step to a channel; never log the result.
    pub const fn reveal(self) -> u64 {
        self.0
    }
}
impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let tail = if text.len() > 8 { &text[text.len() - 4..] } else { "" };
        write!(f, "{}****{tail}", &text[..3.min(text.len() / 2)])
    }
}
impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The configured number plan as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPlanConfig {
    /// E.164 country code, e.g. 86.
    pub country: u16,
    /// ISO 3166 letters for the library, e.g. "CN".
    pub region: String,
    /// Digits of a national mobile number, e.g. 11.
    pub national_len: u8,
    /// Leading digits of national mobile numbers, e.g. "13", "1749".
    pub mobile_prefixes: Vec<String>,
    /// Short codes and special access numbers that are parties but no subscriber, e.g. "10086".
    pub short_codes: Vec<String>,
}

/// A compiled number plan. Normalised digits cost one table look-up; anything else goes through the library.
pub struct NumberPlan {
    country: u64,
    region: Option<phonenumber::country::Id>,
    national_len: usize,
    /// 10^national_len.
    shift: u64,
    country_len: usize,
    /// Bit p: national mobile numbers may start with the four digits p.
    mobile: Box<[u64; 157]>,
    short: Vec<(Box<str>, ShortCode)>,
}

impl NumberPlan {
    /// China's mobile numbers and the operators' service codes.
    pub fn china() -> Self {
        let prefixes = [
            "13", "14", "15", "162", "165", "166", "167", "170", "171", "172", "173", "174", "175", "176", "177",
            "178", "18", "190", "191", "192", "193", "195", "196", "197", "198", "199",
        ]
        .map(str::to_owned)
        .to_vec();
        let short = ["10086", "10010", "10000", "12580", "12530", "110", "119", "120", "122", "12345"];
        let config = NumberPlanConfig {
            country: 86,
            region: "CN".to_owned(),
            national_len: 11,
            mobile_prefixes: prefixes,
            short_codes: short.map(str::to_owned).to_vec(),
        };
        // the constants above are within the limits that `new` checks; a test holds it
        Self::new(&config).unwrap_or_else(|e| unreachable!("{e}"))
    }

    pub fn new(config: &NumberPlanConfig) -> Result<Self, NumberError> {
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if config.country == 0 || config.country > 999 {
            return Err(NumberError::Plan(PlanError::Country));
        }
        let national_len = config.national_len as usize;
        let country_len = config.country.to_string().len();
        if !(5..=12).contains(&national_len) {
            return Err(NumberError::Plan(PlanError::Length));
        }
        let mut mobile = Box::new([0u64; 157]);
        for prefix in &config.mobile_prefixes {
            let free = match prefix.len() {
                2..=4 if digits(prefix) => 10usize.pow(4 - prefix.len() as u32),
                _ => return Err(NumberError::Plan(PlanError::Prefix)),
            };
            let first = prefix.parse::<usize>().map_err(|_| NumberError::Plan(PlanError::Prefix))? * free;
            (first..first + free).for_each(|p| mobile[p / 64] |= 1 << (p % 64));
        }
        let mut short = Vec::with_capacity(config.short_codes.len());
        for (i, code) in config.short_codes.iter().enumerate() {
            if !(3..=12).contains(&code.len()) || !digits(code) {
                return Err(NumberError::Plan(PlanError::ShortCode));
            }
            short.push((code.clone().into_boxed_str(), ShortCode(i as u32)));
        }
        short.sort();
        Ok(Self {
            country: u64::from(config.country),
            region: config.region.parse().ok(),
            national_len,
            shift: 10u64.pow(config.national_len.into()),
            country_len,
            mobile,
            short,
        })
    }

    /// A number as somebody wrote it: `13800001111`, `+86 138-0000-1111`, `10086`.
    pub fn parse(&self, text: &str) -> Result<Dialled, NumberError> {
        match self.parse_normalised(text.as_bytes()) {
            Some(m) => Ok(Dialled::Number(m)),
            None => self.parse_free(text),
        }
    }

    /// Only a number of a person or line, not a short code.
    pub fn parse_msisdn(&self, text: &str) -> Result<Msisdn, NumberError> {
        match self.parse(text)? {
            Dialled::Number(m) => Ok(m),
            Dialled::Short(_) => Err(NumberError::NotANumber { len: text.len() }),
        }
    }

    /// The table path: exactly the national digits, or these behind the country code; `None` sends to the library.
    #[inline]
    pub fn parse_normalised(&self, text: &[u8]) -> Option<Msisdn> {
        if text.len() != self.national_len && text.len() != self.national_len + self.country_len {
            return None;
        }
        let mut n = 0u64;
        for &b in text {
            let d = b.wrapping_sub(b'0');
            if d > 9 {
                return None;
            }
            n = n * 10 + u64::from(d);
        }
        let national = if text.len() == self.national_len {
            n
        } else if n / self.shift == self.country {
            n % self.shift
        } else {
            return None;
        };
        let p = (national / (self.shift / 10_000)) as usize;
        if self.mobile[p / 64] >> (p % 64) & 1 == 0 {
            return None;
        }
        Some(Msisdn(self.country * self.shift + national))
    }

    fn parse_free(&self, text: &str) -> Result<Dialled, NumberError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NumberError::Empty);
        }
        if text.len() > 64 {
            return Err(NumberError::NotANumber { len: text.len() });
        }
        if let Ok(i) = self.short.binary_search_by(|(code, _)| (**code).cmp(text)) {
            return Ok(Dialled::Short(self.short[i].1));
        }
        let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '\u{a0}' | '.')).collect();
        let bare = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00")).unwrap_or(&bare);
        if let Some(m) = self.parse_normalised(bare.as_bytes()) {
            return Ok(Dialled::Number(m));
        }
        let parsed = phonenumber::parse(self.region, text).map_err(|_| NumberError::NotANumber { len: text.len() })?;
        let e164 = parsed.code().value() as u64;
        let national = parsed.national().value();
        let len = national.to_string().len();
        if !parsed.is_valid() {
            return Err(NumberError::Invalid { len });
        }
        let zeros = parsed.national().zeros();
        let whole = format!("{e164}{}{national}", "0".repeat(zeros as usize));
        let digits = whole.parse().ok().and_then(Msisdn::from_e164).ok_or(NumberError::Invalid { len })?;
        Ok(Dialled::Number(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn however_it_is_written_it_is_the_same_number() {
        let plan = NumberPlan::china();
        let want = Msisdn::from_e164(8_613_800_001_111);
        for text in [
            "13800001111",
            "8613800001111",
            "+86 138 0000 1111",
            "138-0000-1111",
            " 008613800001111 ",
            "(+86)13800001111",
        ] {
            assert_eq!(plan.parse_msisdn(text).ok(), want, "{text}");
        }
        assert!(matches!(plan.parse("10086"), Ok(Dialled::Short(_))));
    }

    #[test]
    fn what_is_no_number_says_so_without_repeating_it() {
        let plan = NumberPlan::china();
        for text in ["", "  ", "hello", "1234", "99999999999999999999", "12800001111"] {
            let e = plan.parse(text).expect_err(text).to_string();
            assert!(text.trim().is_empty() || !e.contains(text.trim()), "{e}");
        }
    }

    #[test]
    fn a_number_prints_masked() {
        let m = NumberPlan::china().parse_msisdn("13812345678").expect("valid");
        assert_eq!((format!("{m}"), format!("{m:?}")), ("861****5678".to_owned(), "861****5678".to_owned()));
    }

    proptest! {
        #[test]
        fn table_and_library_agree(n in 13_000_000_000u64..20_000_000_000) {
            let plan = NumberPlan::china();
            let text = n.to_string();
            let fast = plan.parse_normalised(text.as_bytes());
            let slow = phonenumber::parse(Some(phonenumber::country::CN), &text).ok().map(|p| p.code().value() as u64 * 100_000_000_000 + p.national().value());
            if let Some(m) = fast {
                prop_assert_eq!(Some(m.reveal()), slow);
            }
        }
    }
}
