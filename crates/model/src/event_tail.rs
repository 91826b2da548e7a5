//! The typed tail of an event: values of the fields that do not fit into the header, as bytes that are stored with it.
//!
//! Form, version 1: one value a tail field, in the order in which the type declares them. A value is a tag and, little
//! endian, 0 null · 1 false · 2 true · 3 integer (8) · 4 millionths (8) · 5 text (1 byte of length, UTF-8) · 6 day (4) ·
//! 7 time (8). A tail that ends early holds nulls from there on, so that a type may gain fields at its end.

use crate::time::{LocalDay, Timestamp};

/// Bytes of one text at most: a host name has 253; a longer text belongs into a table, not into an event.
pub const TEXT_MAX: usize = 255;

/// A value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Millionths: decimal and money.
    Micros(i64),
    Text(&'a str),
    Date(LocalDay),
    Time(Timestamp),
}

/// Appends a value. A text is cut at [`TEXT_MAX`] bytes, at a character; the doors refuse longer ones before.
pub fn push(tail: &mut Vec<u8>, value: FieldValue<'_>) {
    let mut wide = |tag: u8, bytes: &[u8]| {
        tail.push(tag);
        tail.extend_from_slice(bytes);
    };
    match value {
        FieldValue::Null => wide(0, &[]),
        FieldValue::Bool(b) => wide(1 + u8::from(b), &[]),
        FieldValue::Int(n) => wide(3, &n.to_le_bytes()),
        FieldValue::Micros(n) => wide(4, &n.to_le_bytes()),
        FieldValue::Text(text) => {
            let text = &text[..text.floor_char_boundary(TEXT_MAX)];
            tail.extend([5, text.len() as u8]);
            tail.extend_from_slice(text.as_bytes());
        }
        FieldValue::Date(d) => wide(6, &d.0.to_le_bytes()),
        FieldValue::Time(t) => wide(7, &t.0.to_le_bytes()),
    }
}

/// The values of a tail; stops at the first byte that is none of ours.
pub struct Values<'a>(&'a [u8]);

pub const fn values(tail: &[u8]) -> Values<'_> {
    Values(tail)
}

/// The `index`-th value; null behind the end.
pub fn get(tail: &[u8], index: usize) -> FieldValue<'_> {
    values(tail).nth(index).unwrap_or(FieldValue::Null)
}

impl<'a> Iterator for Values<'a> {
    type Item = FieldValue<'a>;
    fn next(&mut self) -> Option<FieldValue<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let eight = || rest.first_chunk::<8>().map(|b| i64::from_le_bytes(*b));
        let (value, used) = match tag {
            0 => (FieldValue::Null, 0),
            1 | 2 => (FieldValue::Bool(tag == 2), 0),
            3 => (FieldValue::Int(eight()?), 8),
            4 => (FieldValue::Micros(eight()?), 8),
            5 => {
                let len = usize::from(*rest.first()?);
                (FieldValue::Text(std::str::from_utf8(rest.get(1..=len)?).ok()?), len + 1)
            }
            6 => (FieldValue::Date(LocalDay(i32::from_le_bytes(*rest.first_chunk()?))), 4),
            7 => (FieldValue::Time(Timestamp(eight()?)), 8),
            _ => return None,
        };
        self.0 = &rest[used..];
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [FieldValue<'_>; 8] = [
        FieldValue::Null,
        FieldValue::Bool(false),
        FieldValue::Bool(true),
        FieldValue::Int(-2),
        FieldValue::Micros(1_500_000),
        FieldValue::Text("新闻"),
        FieldValue::Date(LocalDay(20_522)),
        FieldValue::Time(Timestamp(1_773_108_000_000_000)),
    ];

    #[test]
    fn values_come_back_and_their_bytes_stay_as_they_are() {
        let mut tail = Vec::new();
        ALL.into_iter().for_each(|v| push(&mut tail, v));
        assert_eq!(values(&tail).collect::<Vec<_>>(), ALL);
        assert_eq!((get(&tail, 5), get(&tail, 8)), (ALL[5], FieldValue::Null));
        let hex: String = tail.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "00010203feffffffffffffff0460e3160000000000\
             0506e696b0e997bb062a5000000700087de0a14c0600"
        );
    }

    #[test]
    fn whatever_the_bytes_reading_ends() {
        for seed in 0..2_000u64 {
            let bytes: Vec<u8> = (0..seed % 40).map(|i| (crate::hash::salted(seed, i) % 11) as u8).collect();
            assert!(values(&bytes).count() <= bytes.len());
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let mut tail = Vec::new();
        push(&mut tail, FieldValue::Text(&"天".repeat(100)));
        assert_eq!(get(&tail, 0), FieldValue::Text(&"天".repeat(85)));
    }
}
