//! What a condition may speak of: tags with their types, areas, lists.

use kairos_model::Currency;
use std::sync::Arc;

/// The type of a tag's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagType {
    Bool,
    /// A 64-bit whole number.
    Int,
    /// Six exact decimals, held as millionths in an i64.
    Decimal,
    /// Millionths of the currency in an i64.
    Money(Currency),
    Text,
    /// One word of a closed vocabulary. The place of a value in `values` is its code in [`crate::Value::Code`].
    Enum {
        values: Arc<[String]>,
    },
    /// Any number of words of a vocabulary; with empty `values` any word is accepted.
    Set {
        values: Arc<[String]>,
    },
    /// A calendar day in the tenant's zone.
    Date,
    /// Whole seconds in an i64.
    Duration,
    /// A cell of the tenant's register; areas are sets of cells.
    Cell,
}

impl TagType {
    pub fn enumeration<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        Self::Enum { values: values.into_iter().map(Into::into).collect() }
    }
    pub fn set<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        Self::Set { values: values.into_iter().map(Into::into).collect() }
    }
    /// The name used in messages and in tag files: `money`, `enum` …
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Decimal => "decimal",
            Self::Money(_) => "money",
            Self::Text => "text",
            Self::Enum { .. } => "enum",
            Self::Set { .. } => "set",
            Self::Date => "date",
            Self::Duration => "duration",
            Self::Cell => "cell",
        }
    }
    /// Code of a word of the vocabulary; `None` for other types and words.
    pub fn code(&self, word: &str) -> Option<u32> {
        match self {
            Self::Enum { values } | Self::Set { values } => values.iter().position(|v| v == word).map(|i| i as u32),
            _ => None,
        }
    }
    /// Word of a code, see [`TagType::code`].
    pub fn word(&self, code: u32) -> Option<&str> {
        match self {
            Self::Enum { values } | Self::Set { values } => values.get(code as usize).map(String::as_str),
            _ => None,
        }
    }
}

/// How a value of a vocabulary is called. For a bool tag, `value` is `true` or `false` and the names are whole
/// predicates: `有彩铃` / `has a ring-back tone`, `没有彩铃` / `has no ring-back tone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueLabel {
    pub value: String,
    pub zh: String,
    pub en: String,
}

/// A tag as conditions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagInfo {
    /// See [`valid_id`].
    pub id: String,
    pub zh: String,
    pub en: String,
    pub ty: TagType,
    /// May name all, some or none of the values.
    pub labels: Vec<ValueLabel>,
}

impl TagInfo {
    /// A tag without labels.
    pub fn new(id: &str, zh: &str, en: &str, ty: TagType) -> Self {
        Self { id: id.to_owned(), zh: zh.to_owned(), en: en.to_owned(), ty, labels: Vec::new() }
    }
    /// The same tag with one more label.
    pub fn label(mut self, value: &str, zh: &str, en: &str) -> Self {
        self.labels.push(ValueLabel { value: value.to_owned(), zh: zh.to_owned(), en: en.to_owned() });
        self
    }
    pub(crate) fn label_of(&self, value: &str) -> Option<&ValueLabel> {
        self.labels.iter().find(|l| l.value == value)
    }
}

/// An area (a named set of cells) or a list (a named set of subscribers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub id: String,
    pub zh: String,
    pub en: String,
}

impl Named {
    pub fn new(id: &str, zh: &str, en: &str) -> Self {
        Self { id: id.to_owned(), zh: zh.to_owned(), en: en.to_owned() }
    }
}

/// What there is to speak of. The iterators serve suggestions, so they need not be quick.
pub trait Catalogue {
    fn tag(&self, id: &str) -> Option<&TagInfo>;
    fn tags(&self) -> Box<dyn Iterator<Item = &TagInfo> + '_>;
    fn area(&self, id: &str) -> Option<&Named>;
    fn areas(&self) -> Box<dyn Iterator<Item = &Named> + '_>;
    fn list(&self, id: &str) -> Option<&Named>;
    fn lists(&self) -> Box<dyn Iterator<Item = &Named> + '_>;
}

/// A catalogue in memory, sorted by id.
#[derive(Clone, Debug, Default)]
pub struct MemoryCatalogue {
    tags: Vec<TagInfo>,
    areas: Vec<Named>,
    lists: Vec<Named>,
}

impl MemoryCatalogue {
    /// Of entries with the same id the first counts.
    pub fn new(mut tags: Vec<TagInfo>, mut areas: Vec<Named>, mut lists: Vec<Named>) -> Self {
        tags.sort_by(|a, b| a.id.cmp(&b.id));
        tags.dedup_by(|a, b| a.id == b.id);
        for named in [&mut areas, &mut lists] {
            named.sort_by(|a, b| a.id.cmp(&b.id));
            named.dedup_by(|a, b| a.id == b.id);
        }
        Self { tags, areas, lists }
    }
}

fn named<'a>(all: &'a [Named], id: &str) -> Option<&'a Named> {
    all.binary_search_by(|n| n.id.as_str().cmp(id)).ok().map(|i| &all[i])
}

impl Catalogue for MemoryCatalogue {
    fn tag(&self, id: &str) -> Option<&TagInfo> {
        self.tags.binary_search_by(|t| t.id.as_str().cmp(id)).ok().map(|i| &self.tags[i])
    }
    fn tags(&self) -> Box<dyn Iterator<Item = &TagInfo> + '_> {
        Box::new(self.tags.iter())
    }
    fn area(&self, id: &str) -> Option<&Named> {
        named(&self.areas, id)
    }
    fn areas(&self) -> Box<dyn Iterator<Item = &Named> + '_> {
        Box::new(self.areas.iter())
    }
    fn list(&self, id: &str) -> Option<&Named> {
        named(&self.lists, id)
    }
    fn lists(&self) -> Box<dyn Iterator<Item = &Named> + '_> {
        Box::new(self.lists.iter())
    }
}

/// Words that begin a clause with a meaning of their own, so that no tag may have them as its id.
pub(crate) const NO_TAG: [&str; 8] = ["and", "or", "not", "subscriber", "everyone", "nobody", "true", "false"];
/// Words that must be quoted to stand as a value.
pub(crate) const NO_BARE: [&str; 14] = [
    "and",
    "or",
    "not",
    "true",
    "false",
    "today",
    "yesterday",
    "tomorrow",
    "start",
    "any",
    "all",
    "none",
    "area",
    "list",
];

pub(crate) fn word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}
pub(crate) fn word_inner(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the text is one word: letters, digits and `_`, with single `.` or `-` inside, no digit first, ≤64 characters.
pub(crate) fn is_word(s: &str) -> bool {
    if s.chars().count() > 64 || !s.chars().next().is_some_and(word_start) {
        return false;
    }
    let mut joint = false;
    for c in s.chars() {
        match c {
            '.' | '-' if !joint => joint = true,
            c if word_inner(c) => joint = false,
            _ => return false,
        }
    }
    !joint
}

/// Whether a tag may have this id: one word (letters, digits, `_`, inner `.` and `-`, no digit first, at most 64
/// characters) that is no keyword.
pub fn valid_id(id: &str) -> bool {
    is_word(id) && !NO_TAG.contains(&id.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_words_and_no_keywords() {
        for good in ["arpu", "peer.arpu", "a-b", "消费", "_x1"] {
            assert!(valid_id(good), "{good}");
        }
        for bad in ["", "1a", "a b", "a.", "a..b", "-a", "and", "Not", "subscriber", "a\"", &"a".repeat(65)] {
            assert!(!valid_id(bad), "{bad}");
        }
    }

    #[test]
    fn the_catalogue_finds_what_it_holds() {
        let c = MemoryCatalogue::new(
            vec![TagInfo::new("b", "", "", TagType::Int), TagInfo::new("a", "", "", TagType::Bool)],
            vec![Named::new("campus", "校园", "campus")],
            vec![],
        );
        assert_eq!(c.tag("b").map(|t| t.ty.name()), Some("int"));
        assert!(c.tag("c").is_none() && c.area("campus").is_some() && c.list("campus").is_none());
    }
}
