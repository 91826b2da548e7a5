//! How a bind is set up, and what is wrong with a setting.

use kairos_model::Span;
use std::fmt;

/// A password that prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How `not_after` is told to the centre (`validity_period`, SMPP 3.4 §7.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validity {
    /// `000000hhmmss000R` counted from the centre's receipt of the message: right even where the clocks differ.
    Relative,
    /// `YYMMDDhhmmss000+` in UTC.
    Absolute,
}

/// Type of number and numbering plan of our source address (SMPP 3.4 §5.2.5, §5.2.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressType {
    pub ton: u8,
    pub npi: u8,
}

/// One bind to one message centre.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmppConfig {
    pub host: String,
    pub port: u16,
    pub system_id: String,
    pub password: Secret,
    pub system_type: String,
    /// Source address of contacts that bring none of their own.
    pub source_addr: String,
    /// `None`: digits travel as unknown/ISDN (0, 1), anything else as alphanumeric (5, 0).
    pub source_type: Option<AddressType>,
    /// Submits that may be unanswered at once; also how many contacts are offered ahead. 1–1,000: every one of them
    /// becomes unknown when the process dies.
    pub window: u16,
    /// After this an unanswered submit is unknown, and an unanswered bind or enquire_link ends the connection.
    pub response_timeout: Span,
    /// enquire_link after so long without a PDU from the centre.
    pub enquire_link: Span,
    /// First and longest wait before a throttled segment (0x58, 0x14) is repeated; it doubles each time.
    pub throttle_backoff: (Span, Span),
    /// First and longest wait before the next attempt to connect and bind; it doubles each time.
    pub reconnect_backoff: (Span, Span),
    /// Texts that need more segments are refused before anything is written.
    pub segments_max: u8,
    /// Submits a second that we never exceed.
    pub rate_max: Option<u32>,
    pub validity: Validity,
}

/// A setting outside its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SMPP setting `{field}`: {problem}")]
pub struct ConfigError {
    pub field: &'static str,
    pub problem: String,
}

impl SmppConfig {
    /// Defaults that suit a centre on a local network: window 50, 30 s timeouts, no rate limit.
    pub fn new(host: impl Into<String>, port: u16, system_id: impl Into<String>, password: Secret) -> Self {
        Self {
            host: host.into(),
            port,
            system_id: system_id.into(),
            password,
            system_type: String::new(),
            source_addr: String::new(),
            source_type: None,
            window: 50,
            response_timeout: Span::secs(30),
            enquire_link: Span::secs(30),
            throttle_backoff: (Span::millis(200), Span::secs(10)),
            reconnect_backoff: (Span::millis(500), Span::secs(30)),
            segments_max: 4,
            rate_max: None,
            validity: Validity::Relative,
        }
    }

    /// Checks every limit; the lengths are those of SMPP 3.4 §4.1.1 and §5.2.
    pub fn check(&self) -> Result<(), ConfigError> {
        let text = |field, value: &str, max: usize| {
            if value.len() <= max && value.is_ascii() && !value.contains('\0') {
                return Ok(());
            }
            Err(ConfigError { field, problem: format!("must be ASCII and at most {max} characters") })
        };
        text("system_id", &self.system_id, 15)?;
        text("password", self.password.reveal(), 8)?;
        text("system_type", &self.system_type, 12)?;
        text("source_addr", &self.source_addr, 20)?;
        let range = |field, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            Err(ConfigError { field, problem: format!("{value} is outside {min}–{max}") })
        };
        range("window", self.window.into(), 1, 1_000)?;
        range("segments_max", self.segments_max.into(), 1, 255)?;
        range("rate_max", self.rate_max.unwrap_or(1).into(), 1, 1_000_000)?;
        let span = |field, value: Span| {
            if value >= Span::millis(1) && value <= Span::days(1) {
                return Ok(());
            }
            Err(ConfigError { field, problem: format!("{value:?} is outside 1 ms–1 day") })
        };
        span("response_timeout", self.response_timeout)?;
        span("enquire_link", self.enquire_link)?;
        for (field, (first, longest)) in
            [("throttle_backoff", self.throttle_backoff), ("reconnect_backoff", self.reconnect_backoff)]
        {
            span(field, first)?;
            span(field, longest)?;
            if first > longest {
                return Err(ConfigError { field, problem: "the first wait is longer than the longest".to_owned() });
            }
        }
        Ok(())
    }

    /// The source address of a contact and how it is typed; `None` if it is no address.
    pub(super) fn source<'a>(&'a self, own: &'a str) -> Option<(&'a str, AddressType)> {
        let addr = if own.is_empty() { &self.source_addr } else { own };
        if addr.len() > 20 || !addr.is_ascii() || addr.contains('\0') {
            return None;
        }
        let digits = addr.bytes().all(|b| b.is_ascii_digit());
        let guessed = if digits { AddressType { ton: 0, npi: 1 } } else { AddressType { ton: 5, npi: 0 } };
        Some((addr, self.source_type.unwrap_or(guessed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_and_the_password_is_not() {
        let mut c = SmppConfig::new("127.0.0.1", 2775, "kairos", Secret::new("hunter2x"));
        assert_eq!(c.check(), Ok(()));
        assert!(!format!("{c:?}").contains("hunter2x"));
        c.window = 0;
        assert_eq!(c.check().expect_err("window").to_string(), "SMPP setting `window`: 0 is outside 1–1000");
        c.window = 1;
        c.password = Secret::new("longer than eight");
        let e = c.check().expect_err("password").to_string();
        assert_eq!(e, "SMPP setting `password`: must be ASCII and at most 8 characters");
    }
}
