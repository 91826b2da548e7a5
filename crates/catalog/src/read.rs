//! One reader for TOML and JSON definitions: both become a JSON value, and one deserializer over it names the field by
//! its JSON pointer, the line where the file has lines, and the nearest known word where a word is unknown.

use kairos_model::near::hint_or_all;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor, value::StrDeserializer,
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Deepest nesting taken: three times that of a sensible condition tree, and far from the end of the stack.
const DEPTH_MAX: usize = 64;

/// A definition that does not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct ReadError {
    /// The file or request that was read.
    pub source_name: String,
    /// 1-based line, for TOML.
    pub line: Option<usize>,
    /// JSON pointer of the field; empty for the whole.
    pub pointer: String,
    pub message: String,
}

impl ReadError {
    fn sentence(&self) -> String {
        let line = self.line.map(|l| format!(" line {l}")).unwrap_or_default();
        let field = if self.pointer.is_empty() { String::new() } else { format!(", field {}", self.pointer) };
        format!("`{}`{line}{field}: {}", self.source_name, self.message)
    }
}

/// Reads TOML of at most `bytes_max` bytes.
pub fn from_toml<T: DeserializeOwned>(file: &str, text: &str, bytes_max: usize) -> Result<T, ReadError> {
    let error = |line, pointer: &str, message| ReadError {
        source_name: file.to_owned(),
        line,
        pointer: pointer.to_owned(),
        message,
    };
    small_enough(text, bytes_max).map_err(|m| error(None, "", m))?;
    let table = DeTable::parse(text)
        .map_err(|e| error(e.span().map(|s| line_of(text, s.start)), "", format!("not TOML: {}", e.message())))?;
    let mut lines = Lines { text, of: BTreeMap::new() };
    let value = lines.table(table.get_ref(), "", 0).map_err(|(p, m)| error(lines.line(&p), &p, m))?;
    T::deserialize(At(&value)).map_err(|fault| {
        let pointer = fault.pointer();
        error(lines.line(&pointer), &pointer, fault.message)
    })
}

/// Reads JSON of at most `bytes_max` bytes.
pub fn from_json<T: DeserializeOwned>(source: &str, text: &str, bytes_max: usize) -> Result<T, ReadError> {
    let error = |line, pointer, message| ReadError { source_name: source.to_owned(), line, pointer, message };
    small_enough(text, bytes_max).map_err(|m| error(None, String::new(), m))?;
    let value: Value =
        serde_json::from_str(text).map_err(|e| error(Some(e.line()), String::new(), format!("not JSON: {e}")))?;
    from_value(source, &value)
}

/// Reads a JSON value that is parsed already.
pub fn from_value<T: DeserializeOwned>(source: &str, value: &Value) -> Result<T, ReadError> {
    let shallow = if depth(value) > DEPTH_MAX {
        Err(de::Error::custom(format!("nested deeper than {DEPTH_MAX}")))
    } else {
        Ok(())
    };
    shallow.and_then(|()| T::deserialize(At(value))).map_err(|fault: Fault| ReadError {
        source_name: source.to_owned(),
        line: None,
        pointer: fault.pointer(),
        message: fault.message,
    })
}

fn small_enough(text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    Err(format!("{} bytes, more than the {bytes_max} that a definition may have", text.len()))
}

/// `serde_json` reads at most 128 levels, so this ends.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// Turns TOML into JSON and remembers where each field stood.
struct Lines<'t> {
    text: &'t str,
    of: BTreeMap<String, usize>,
}

impl Lines<'_> {
    /// The line of the field, or of the nearest thing around it.
    fn line(&self, pointer: &str) -> Option<usize> {
        let mut p = pointer;
        loop {
            if let Some(&offset) = self.of.get(p) {
                return Some(line_of(self.text, offset));
            }
            p = &p[..p.rfind('/')?];
        }
    }
    fn table(&mut self, table: &DeTable<'_>, at: &str, depth: usize) -> Result<Value, (String, String)> {
        let mut out = Map::new();
        for (key, value) in table.iter() {
            let pointer = format!("{at}/{}", escape(key.get_ref()));
            self.of.insert(pointer.clone(), key.span().start);
            out.insert(key.get_ref().to_string(), self.value(value, &pointer, depth + 1)?);
        }
        Ok(Value::Object(out))
    }
    fn value(&mut self, value: &Spanned<DeValue<'_>>, at: &str, depth: usize) -> Result<Value, (String, String)> {
        if depth > DEPTH_MAX {
            return Err((at.to_owned(), format!("nested deeper than {DEPTH_MAX}")));
        }
        let wrong = |m: String| (at.to_owned(), m);
        Ok(match value.get_ref() {
            DeValue::String(s) => Value::String(s.to_string()),
            DeValue::Boolean(b) => Value::Bool(*b),
            DeValue::Datetime(d) => Value::String(d.to_string()),
            DeValue::Integer(i) => {
                let n = i64::from_str_radix(i.as_str(), i.radix());
                Value::from(n.map_err(|_| wrong(format!("`{}` is past 64 bits", i.as_str())))?)
            }
            DeValue::Float(x) => {
                let n = x.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                Value::Number(n.ok_or_else(|| wrong(format!("`{}` is no finite number", x.as_str())))?)
            }
            DeValue::Array(items) => {
                let mut out = Vec::with_capacity(items.len());
                for (i, item) in items.iter().enumerate() {
                    let pointer = format!("{at}/{i}");
                    self.of.insert(pointer.clone(), item.span().start);
                    out.push(self.value(item, &pointer, depth + 1)?);
                }
                Value::Array(out)
            }
            DeValue::Table(t) => self.table(t, at, depth + 1)?,
        })
    }
}

/// A pointer segment (RFC 6901).
pub(crate) fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// What is wrong, and the way to it from the innermost field outwards.
#[derive(Debug)]
struct Fault {
    inside_out: Vec<String>,
    message: String,
}

impl Fault {
    fn under(mut self, segment: impl fmt::Display) -> Self {
        self.inside_out.push(escape(&segment.to_string()));
        self
    }
    fn pointer(&self) -> String {
        self.inside_out.iter().rev().map(|s| format!("/{s}")).collect()
    }
}
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer(), self.message)
    }
}
impl std::error::Error for Fault {}
impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { inside_out: Vec::new(), message: message.to_string() }
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("unknown field{}", hint_or_all(field, expected)))
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("unknown word `{variant}`{}", hint_or_all(variant, expected)))
    }
    fn missing_field(field: &'static str) -> Self {
        Self::custom("this field is missing").under(field)
    }
    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("found {found}; expected {expected}"))
    }
    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("found {found}; expected {expected}"))
    }
}

/// A deserializer over a JSON value that names the field of every fault.
struct At<'v>(&'v Value);

impl<'de> de::Deserializer<'de> for At<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
                (Some(u), ..) => visitor.visit_u64(u),
                (_, Some(i), _) => visitor.visit_i64(i),
                (.., Some(x)) => visitor.visit_f64(x),
                _ => Err(de::Error::custom(format!("`{n}` is no number of 64 bits"))),
            },
            Value::String(s) => visitor.visit_str(s),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Value::Object(map) => visitor.visit_map(Fields { fields: map.iter(), current: None }),
        }
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(s) => StrDeserializer::new(s).deserialize_enum(name, variants, visitor),
            _ => Err(de::Error::custom(format!("expected one of the words {}", variants.join(", ")))),
        }
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'v> {
    items: std::slice::Iter<'v, Value>,
    index: usize,
}
impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        self.index += 1;
        seed.deserialize(At(item)).map(Some).map_err(|f| f.under(self.index - 1))
    }
}

struct Fields<'v> {
    fields: serde_json::map::Iter<'v>,
    current: Option<(&'v String, &'v Value)>,
}
impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fault;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.fields.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        let key_text: StrDeserializer<'_, Fault> = key.as_str().into_deserializer();
        seed.deserialize(key_text).map(Some).map_err(|f| f.under(key))
    }
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        match self.current.take() {
            Some((key, value)) => seed.deserialize(At(value)).map_err(|f| f.under(key)),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}
