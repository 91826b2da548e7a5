//! What on the network makes a campaign act, as its file says it. Names of events, fields and areas are checked by `app`,
//! which knows them.

use crate::forms::DayWindow;
use serde::{Deserialize, Serialize};

/// When: on an event, instead of in waves.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerDef {
    /// The event and what must hold of it.
    pub on: EventFilter,
    /// Only in these stretches of the tenant's local day, at the match and when it fires; none: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<DayWindow>,
    /// What must hold of the other side of a call or message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerDef>,
    /// What must have come before the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<EarlierDef>,
    /// What follows a match; at once without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<ThenDef>,
    /// A contact that is not written so long after it was decided is cancelled.
    #[serde(default = "default_valid_for")]
    pub valid_for: Lasting,
}

/// Which events are meant: all parts must hold.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFilter {
    /// Name of the event type, e.g. `call_ended`.
    pub event: String,
    /// The subscriber's side of a call or message; either without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Only long-distance calls, or only others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_distance: Option<bool>,
    /// Comparisons of fields with whole numbers, e.g. `duration_s >= 30`.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<String>,
    /// Name of the area in which it happens; anywhere without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The subscriber calls or sends.
    Caller,
    /// The subscriber is called or receives.
    Callee,
}

/// The other side: on a peer list, on none, and a condition over the tags of one who is a subscriber.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerDef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_list: Option<String>,
    /// As text; it must be true, so the peer is a subscriber.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// One of the two.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlierDef {
    /// With this event it is at least the n-th of its kind within the span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// These, in this order, came before it within the span.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequence: Vec<EventFilter>,
    pub within: Lasting,
}

/// Exactly one of the three.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThenDef {
    /// So long after the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Lasting>,
    /// So long after the event, if the subscriber did not leave the area of `on` meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwell: Option<Lasting>,
    /// So long after the event, unless this comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absence: Option<AbsenceDef>,
    /// And only if the phone is on then.
    #[serde(default)]
    pub powered_on: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbsenceDef {
    pub of: EventFilter,
    pub within: Lasting,
}

/// A span as people write it: `"90 s"`, `"5 min"`, `"48 h"`, `"3 d"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Lasting(pub kairos_model::Span);

const fn default_valid_for() -> Lasting {
    Lasting(kairos_model::Span::mins(10))
}

impl std::str::FromStr for Lasting {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no span; write a whole number and s, min, h or d, such as \"5 min\"");
        let text_trimmed = text.trim();
        let digits = text_trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
        let (n, unit) = text_trimmed.split_at(digits);
        let n: i64 = n.parse().map_err(|_| fault())?;
        let seconds = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(fault()),
        };
        // a century at most: no arithmetic on it overflows
        n.checked_mul(seconds)
            .filter(|s| (1..=3_155_760_000).contains(s))
            .map(kairos_model::Span::secs)
            .map(Self)
            .ok_or_else(fault)
    }
}

impl std::fmt::Display for Lasting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = self.0.as_secs();
        let (n, unit) = match s {
            s if s % 86_400 == 0 => (s / 86_400, "d"),
            s if s % 3_600 == 0 => (s / 3_600, "h"),
            s if s % 60 == 0 => (s / 60, "min"),
            s => (s, "s"),
        };
        write!(f, "{n} {unit}")
    }
}

impl Serialize for Lasting {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Lasting {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl EventFilter {
    pub fn of(event: &str) -> Self {
        Self { event: event.to_owned(), role: None, long_distance: None, tests: Vec::new(), area: None }
    }
}

impl TriggerDef {
    /// Every filter with its JSON pointer below the trigger.
    pub fn filters(&self) -> Vec<(String, &EventFilter)> {
        let mut all = vec![("/on".to_owned(), &self.on)];
        if let Some(e) = &self.earlier {
            all.extend(e.sequence.iter().enumerate().map(|(i, f)| (format!("/earlier/sequence/{i}"), f)));
        }
        if let Some(a) = self.then.as_ref().and_then(|t| t.absence.as_ref()) {
            all.push(("/then/absence/of".to_owned(), &a.of));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them_and_written_back() {
        for (text, seconds, again) in
            [("90 s", 90, "90 s"), ("5min", 300, "5 min"), ("48 h", 172_800, "2 d"), ("1 h", 3_600, "1 h")]
        {
            let span: Lasting = text.parse().unwrap();
            assert_eq!((span.0.as_secs(), span.to_string().as_str()), (seconds, again));
        }
        for wrong in ["", "5", "min", "5 minutes", "-1 s", "0 s", "99999999999 d", "1.5 h"] {
            assert!(wrong.parse::<Lasting>().is_err(), "{wrong}");
        }
    }
}
