//! The tree as read, before anyone looked at the catalogue. Text and JSON both become this.

use crate::{
    date::DateValue,
    problem::Place,
    tree::{Cmp, HasMode},
};

#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub place: Place,
    pub it: T,
}

#[derive(Clone, Debug)]
pub(crate) enum RawNode {
    And(Vec<RawNode>),
    Or(Vec<RawNode>),
    Not(Box<RawNode>),
    Everyone,
    Nobody,
    Leaf(RawLeaf),
    /// A clause that could not be read; its problem is reported already.
    Hole,
}

#[derive(Clone, Debug)]
pub(crate) struct RawLeaf {
    pub subject: At<String>,
    pub op: At<Op>,
    pub args: Vec<At<Lit>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A bool tag by itself.
    Truth,
    Known,
    Unknown,
    Compare(Cmp),
    /// `before`, `after`, `on`, `since`: comparisons of days only.
    Day(Cmp),
    Between {
        negated: bool,
    },
    In {
        negated: bool,
    },
    StartsWith {
        negated: bool,
    },
    Contains {
        negated: bool,
    },
    Has {
        mode: HasMode,
        negated: bool,
    },
    InArea {
        negated: bool,
    },
    InList {
        negated: bool,
    },
}

impl Op {
    /// The operator in the text form, for messages.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Truth => "a tag by itself",
            Self::Known => "is known",
            Self::Unknown => "is unknown",
            Self::Compare(c) => c.symbol(),
            Self::Day(Cmp::Lt) => "before",
            Self::Day(Cmp::Gt) => "after",
            Self::Day(Cmp::Ge) => "since",
            Self::Day(_) => "on",
            Self::Between { negated: false } => "between",
            Self::Between { negated: true } => "not between",
            Self::In { negated: false } => "in",
            Self::In { negated: true } => "not in",
            Self::StartsWith { negated: false } => "starts with",
            Self::StartsWith { negated: true } => "not starts with",
            Self::Contains { negated: false } => "contains",
            Self::Contains { negated: true } => "not contains",
            Self::Has { mode: HasMode::Any, negated: false } => "has",
            Self::Has { mode: HasMode::Any, negated: true } => "has none",
            Self::Has { mode: HasMode::All, negated: false } => "has all",
            Self::Has { mode: HasMode::All, negated: true } => "not has all",
            Self::InArea { negated: false } => "in area",
            Self::InArea { negated: true } => "not in area",
            Self::InList { negated: false } => "in list",
            Self::InList { negated: true } => "not in list",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lit {
    Bool(bool),
    /// A bare word.
    Word(String),
    /// A quoted text.
    Text(String),
    Number(String),
    Quantity {
        number: String,
        unit: String,
    },
    Date(DateValue),
    /// A string of the JSON form: means what the tag's type makes of it.
    Loose(String),
}

impl Lit {
    /// The value as a message quotes it.
    pub(crate) fn shown(&self) -> String {
        let long = match self {
            Self::Bool(b) => b.to_string(),
            Self::Word(w) => w.clone(),
            Self::Text(t) | Self::Loose(t) => crate::print::quoted(t),
            Self::Number(n) => n.clone(),
            Self::Quantity { number, unit } => format!("{number} {unit}"),
            Self::Date(d) => d.to_string(),
        };
        crate::print::shortened(&long)
    }
}
