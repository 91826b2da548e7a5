//! Canonical JSON and the hashes over it. Keys sorted by code point, no blanks, strings as `serde_json` escapes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// A BLAKE3 hash over canonical JSON; prints as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

/// The text is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no hash; expected 64 hexadecimal digits")]
pub struct NoHash(pub String);

impl ContentHash {
    pub const ZERO: Self = Self([0; 32]);
    /// The first twelve digits: enough to tell versions apart on a screen.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}
impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}
impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for ContentHash {
    type Err = NoHash;
    fn from_str(s: &str) -> Result<Self, NoHash> {
        let wrong = || NoHash(s.chars().take(80).collect());
        if s.len() != 64 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&s[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}
impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// The canonical text of `value`.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (i, (key, value)) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_value(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Hash of `value`'s canonical text; `purpose` keeps hashes of different things apart.
pub fn hash(purpose: &str, value: &Value) -> ContentHash {
    hash_text(purpose, &canonical(value))
}

/// Hash of a text that is canonical already.
pub(crate) fn hash_text(purpose: &str, text: &str) -> ContentHash {
    let mut h = blake3::Hasher::new();
    h.update(purpose.as_bytes()).update(&[0]).update(text.as_bytes());
    ContentHash(*h.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_blanks_do_not_matter() {
        let a: Value = serde_json::from_str(r#"{"b":[1,{"y":"\u00e9","x":null}],"a":true}"#).unwrap();
        let b: Value = serde_json::from_str(r#" {"a":true, "b":[1,{"x":null,"y":"é"}]}"#).unwrap();
        assert_eq!(canonical(&a), r#"{"a":true,"b":[1,{"x":null,"y":"é"}]}"#);
        assert_eq!(hash("t", &a), hash("t", &b));
        assert_ne!(hash("t", &a), hash("u", &a));
        assert_eq!(hash("t", &a).to_string().parse(), Ok(hash("t", &a)));
    }
}
