//! One cell of text → one value of a typed column, and its bytes in the row's key.

use super::{
    number::{self, Round, Scale},
    reject::RejectReason,
    spec::{ColumnKind, ColumnSpec, Truth},
    when::WhenReader,
};
use kairos_model::{
    Dialled, LocalDay, NumberPlan, Timestamp, Zone,
    table::{ColumnType, Texts, Values},
};

/// Reads the cells of one column.
pub(crate) enum Conv {
    Bool(Truth),
    Int(Scale),
    Micros(Scale),
    /// Words, source keys and secrets: the text as it is.
    Text,
    Date(WhenReader),
    Time(WhenReader),
    /// A number; short codes only where the other side may be one.
    Number {
        short_codes: bool,
    },
}

/// Marks in a key's bytes, so that no two lists of values have the same bytes.
mod mark {
    pub const NULL: u8 = 0;
    pub const EIGHT: u8 = 1;
    pub const TEXT: u8 = 2;
    pub const MSISDN: u8 = 3;
    pub const SHORT: u8 = 4;
}

impl Conv {
    pub fn new(column: &ColumnSpec, file_zone: Option<&Zone>) -> Self {
        let scale = match column.unit {
            Some(unit) => unit.scale(column.round),
            None => Scale { num: 1, den: 1, round: column.round },
        };
        let when = || {
            // a layout whose times need a zone has one: the parser sees to it
            let zone = column.zone.clone().or_else(|| file_zone.cloned()).unwrap_or_else(Zone::utc);
            WhenReader::new(column.format.clone(), zone)
        };
        let ColumnKind::Stored(kind) = column.kind else { return Self::Text };
        match kind {
            ColumnType::Bool => Self::Bool(column.truth.clone()),
            ColumnType::Int => Self::Int(scale),
            ColumnType::Decimal | ColumnType::Money => Self::Micros(scale),
            ColumnType::Text | ColumnType::Subscriber | ColumnType::Secret => Self::Text,
            ColumnType::Date => Self::Date(when()),
            ColumnType::Time => Self::Time(when()),
            ColumnType::Party => Self::Number { short_codes: true },
            ColumnType::OwnNumber | ColumnType::SubscriberNumber => Self::Number { short_codes: false },
        }
    }

    /// Appends the value of a cell that is not blank to `values` (`None`: a key-only column) and its bytes to `key`
    /// (`None`: not part of the key).
    #[inline]
    pub fn push(
        &mut self,
        text: &str,
        values: Option<&mut Values>,
        key: Option<&mut Vec<u8>>,
        plan: &NumberPlan,
    ) -> Result<(), RejectReason> {
        match (self, values) {
            (Self::Text, values) => {
                if let Some(Values::Text(t) | Values::Key(t)) = values {
                    t.push(text);
                }
                if let Some(key) = key {
                    text_into(key, mark::TEXT, text);
                }
            }
            (Self::Int(scale), Some(Values::Int(v))) => {
                let n = number::int(text.as_bytes(), *scale)?;
                v.push(n);
                eight_into(key, n);
            }
            (Self::Micros(scale), Some(Values::Micros(v))) => {
                let n = number::micros(text.as_bytes(), *scale)?;
                v.push(n);
                eight_into(key, n);
            }
            (Self::Time(reader), Some(Values::Time(v))) => {
                let t = reader.time(text)?;
                v.push(t);
                eight_into(key, t.0);
            }
            (Self::Date(reader), Some(Values::Date(v))) => {
                let d = reader.date(text)?;
                v.push(d);
                eight_into(key, i64::from(d.0));
            }
            (Self::Bool(truth), Some(Values::Bool(v))) => {
                let b = truth_of(truth, text)?;
                v.push(b);
                eight_into(key, i64::from(b));
            }
            (Self::Number { short_codes }, Some(Values::Number(v))) => {
                let dialled = match plan.parse(text).map_err(RejectReason::Number)? {
                    Dialled::Short(_) if !*short_codes => return Err(RejectReason::ShortCode),
                    dialled => dialled,
                };
                v.push(Some(dialled));
                match (dialled, key) {
                    (Dialled::Number(m), Some(key)) => {
                        key.push(mark::MSISDN);
                        key.extend_from_slice(&m.reveal().to_le_bytes());
                    }
                    // the digits, since a code's place in the plan changes with the configuration
                    (Dialled::Short(_), Some(key)) => text_into(key, mark::SHORT, text),
                    (_, None) => {}
                }
            }
            // cannot be: `empty` pairs each conversion with its column
            (_, _) => {}
        }
        Ok(())
    }
}

/// Appends NULL: a filler, to be marked invalid by the caller.
pub(crate) fn push_null(values: Option<&mut Values>, key: Option<&mut Vec<u8>>) {
    match values {
        Some(Values::Bool(v)) => v.push(false),
        Some(Values::Int(v) | Values::Micros(v)) => v.push(0),
        Some(Values::Text(t) | Values::Key(t)) => t.push(""),
        Some(Values::Date(v)) => v.push(LocalDay::default()),
        Some(Values::Time(v)) => v.push(Timestamp::default()),
        Some(Values::Number(v)) => v.push(None),
        Some(Values::Party(v)) => v.push(kairos_model::PartyId::NONE),
        None => {}
    }
    if let Some(key) = key {
        key.push(mark::NULL);
    }
}

/// An empty column for values of `kind`, before numbers and keys become ordinals.
pub(crate) fn empty(kind: ColumnType) -> Values {
    match kind {
        ColumnType::Bool => Values::Bool(Vec::new()),
        ColumnType::Int => Values::Int(Vec::new()),
        ColumnType::Decimal | ColumnType::Money => Values::Micros(Vec::new()),
        ColumnType::Text => Values::Text(Texts::default()),
        ColumnType::Date => Values::Date(Vec::new()),
        ColumnType::Time => Values::Time(Vec::new()),
        ColumnType::Subscriber | ColumnType::Secret => Values::Key(Texts::default()),
        ColumnType::OwnNumber | ColumnType::Party | ColumnType::SubscriberNumber => Values::Number(Vec::new()),
    }
}

/// Takes back what stands behind `rows`.
pub(crate) fn truncate(values: &mut Values, rows: usize) {
    match values {
        Values::Bool(v) => v.truncate(rows),
        Values::Int(v) | Values::Micros(v) => v.truncate(rows),
        Values::Text(t) | Values::Key(t) => {
            t.ends.truncate(rows);
            t.bytes.truncate(t.ends.last().map_or(0, |e| *e as usize));
        }
        Values::Date(v) => v.truncate(rows),
        Values::Time(v) => v.truncate(rows),
        Values::Number(v) => v.truncate(rows),
        Values::Party(v) => v.truncate(rows),
    }
}

/// Whether a word of the layout itself is a value of its column; numbers are judged when the plan is known.
pub(crate) fn trial(column: &ColumnSpec, text: &str) -> Result<(), RejectReason> {
    let text = text.trim_ascii();
    let ColumnKind::Stored(kind) = column.kind else { return Ok(()) };
    let mut conv = Conv::new(column, None);
    if text.is_empty() || matches!(conv, Conv::Number { .. }) {
        return Ok(());
    }
    if let Conv::Int(scale) | Conv::Micros(scale) = &mut conv
        && scale.round != Round::Exact
    {
        return Ok(());
    }
    conv.push(text, Some(&mut empty(kind)), None, &NumberPlan::china())
}

fn truth_of(truth: &Truth, text: &str) -> Result<bool, RejectReason> {
    let listed = |list: &[String]| list.iter().any(|w| w == text);
    let usual = |list: &[&str]| list.iter().any(|w| w.eq_ignore_ascii_case(text));
    let yes = if truth.yes.is_empty() { usual(&["1", "true", "t", "yes", "y"]) } else { listed(&truth.yes) };
    let no = if truth.no.is_empty() { usual(&["0", "false", "f", "no", "n"]) } else { listed(&truth.no) };
    match (yes, no) {
        (true, _) => Ok(true),
        (false, true) => Ok(false),
        (false, false) => Err(RejectReason::NotABool),
    }
}

fn eight_into(key: Option<&mut Vec<u8>>, n: i64) {
    if let Some(key) = key {
        key.push(mark::EIGHT);
        key.extend_from_slice(&n.to_le_bytes());
    }
}

fn text_into(key: &mut Vec<u8>, mark: u8, text: &str) {
    key.push(mark);
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}
