//! Row evaluation: a compiled condition over the facts of one subscriber, without allocation.

use crate::{
    date::DateValue,
    tree::{Cmp, Condition, HasMode, Leaf, Literal, Node, TagLeaf, TagUse, Test},
    types::TagType,
};
use kairos_model::{CellId, LocalDay};

/// What one subscriber's tags, lists and areas say. Indices are places in [`Condition::tags`], [`Condition::lists`]
/// and [`Condition::areas`] (the same in [`Compiled`]).
pub trait Facts {
    /// The tag's value in the form that [`Value`] names for its type. A value of another form counts as unknown (but
    /// `is known` asks only whether it is `Null`).
    fn value(&self, tag: usize) -> Value<'_>;
    /// Whether the subscriber is in the list.
    fn in_list(&self, list: usize) -> bool;
    /// Whether the cell belongs to the area.
    fn in_area(&self, area: usize, cell: CellId) -> bool;
}

/// A value of a tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Unknown, whatever the type.
    Null,
    /// Bool.
    Bool(bool),
    /// Int.
    Int(i64),
    /// Decimal and money: millionths.
    Micros(i64),
    /// Duration.
    Seconds(i64),
    /// Text and enum.
    Text(&'a str),
    /// Enum: place in the type's `values`.
    Code(u32),
    /// Set.
    Set(Members<'a>),
    /// Date.
    Day(LocalDay),
    /// Cell.
    Cell(CellId),
}

/// The members of a set; never NULL themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Members<'a> {
    Words(&'a [&'a str]),
    Strings(&'a [String]),
    /// Bit `i % 64` of word `i / 64` = the type's `values[i]`; words that are missing are 0.
    Bits(&'a [u64]),
}

/// A condition made ready for rows.
#[derive(Clone, Debug)]
pub struct Compiled {
    root: Step,
    tags: Vec<TagUse>,
    areas: Vec<String>,
    lists: Vec<String>,
}

#[derive(Clone, Debug)]
enum Step {
    And(Box<[Step]>),
    Or(Box<[Step]>),
    Not(Box<Step>),
    Leaf(Probe),
}

/// Numbers that compare as i64, told apart so that one is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Int,
    Micros,
    Seconds,
    Cell,
}

/// One clause in the form in which it is tested.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    tag: usize,
    ask: Ask,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Ask {
    Always,
    Known,
    Bool(bool),
    /// `low ≤ value ≤ high`; every comparison of whole numbers is such a range, or its negation.
    Range(Number, i64, i64),
    /// Sorted.
    Numbers(Number, Box<[i64]>),
    Day(Cmp, DateValue),
    DayBetween(DateValue, DateValue),
    Days(Box<[DateValue]>),
    Text(Cmp, Box<str>),
    TextBetween(Box<str>, Box<str>),
    /// Sorted.
    Texts(Box<[Box<str>]>),
    Prefix(Box<str>),
    Part(Box<str>),
    Enum(Box<[Member]>),
    Has(HasMode, Box<[Member]>),
    Area(usize),
    List(usize),
}

#[derive(Clone, Debug)]
struct Member {
    word: Box<str>,
    code: Option<u32>,
}

impl Compiled {
    pub fn new(condition: &Condition) -> Self {
        Self {
            root: step(condition.root(), condition),
            tags: condition.tags().to_vec(),
            areas: condition.areas().to_vec(),
            lists: condition.lists().to_vec(),
        }
    }
    /// The same with relative days fixed at `as_of`, so that [`Compiled::eval`] does no calendar work.
    pub fn bound(mut self, as_of: LocalDay) -> Self {
        bind(&mut self.root, as_of);
        self
    }
    pub fn tags(&self) -> &[TagUse] {
        &self.tags
    }
    pub fn areas(&self) -> &[String] {
        &self.areas
    }
    pub fn lists(&self) -> &[String] {
        &self.lists
    }
    /// True, false or unknown by SQL's three-valued logic; a subscriber is selected only where it is `Some(true)`.
    /// `as_of`: the snapshot's local day, for relative days.
    pub fn eval<F: Facts + ?Sized>(&self, facts: &F, as_of: LocalDay) -> Option<bool> {
        self.root.eval(facts, as_of)
    }
}

impl Condition {
    /// Made ready for rows.
    pub fn compile(&self) -> Compiled {
        Compiled::new(self)
    }
}

impl Step {
    fn eval<F: Facts + ?Sized>(&self, facts: &F, as_of: LocalDay) -> Option<bool> {
        match self {
            Self::Leaf(p) => p.eval(facts, as_of),
            Self::Not(s) => s.eval(facts, as_of).map(|b| !b),
            Self::And(all) => fold(all, facts, as_of, false),
            Self::Or(all) => fold(all, facts, as_of, true),
        }
    }
}

/// AND with `decides` = false, OR with true: the deciding value ends it, an unknown taints what is left.
fn fold<F: Facts + ?Sized>(all: &[Step], facts: &F, as_of: LocalDay, decides: bool) -> Option<bool> {
    let mut result = Some(!decides);
    for s in all {
        match s.eval(facts, as_of) {
            Some(b) if b == decides => return Some(decides),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

impl Probe {
    pub(crate) fn eval<F: Facts + ?Sized>(&self, facts: &F, as_of: LocalDay) -> Option<bool> {
        self.plain(facts, as_of).map(|b| b != self.negated)
    }
    fn plain<F: Facts + ?Sized>(&self, facts: &F, as_of: LocalDay) -> Option<bool> {
        match &self.ask {
            Ask::Always => return Some(true),
            Ask::List(list) => return Some(facts.in_list(*list)),
            _ => {}
        }
        let value = facts.value(self.tag);
        match (&self.ask, value) {
            (Ask::Known, v) => Some(v != Value::Null),
            (_, Value::Null) => None,
            (Ask::Bool(want), Value::Bool(b)) => Some(b == *want),
            (Ask::Range(kind, low, high), v) => number(*kind, v).map(|n| *low <= n && n <= *high),
            (Ask::Numbers(kind, all), v) => number(*kind, v).map(|n| all.binary_search(&n).is_ok()),
            (Ask::Day(cmp, day), Value::Day(d)) => Some(cmp.holds(d.cmp(&day.resolve(as_of)))),
            (Ask::DayBetween(low, high), Value::Day(d)) => Some(low.resolve(as_of) <= d && d <= high.resolve(as_of)),
            (Ask::Days(all), Value::Day(d)) => Some(all.iter().any(|x| x.resolve(as_of) == d)),
            (Ask::Text(cmp, text), Value::Text(t)) => Some(cmp.holds(t.cmp(text))),
            (Ask::TextBetween(low, high), Value::Text(t)) => Some(&**low <= t && t <= &**high),
            (Ask::Texts(all), Value::Text(t)) => Some(all.binary_search_by(|x| (**x).cmp(t)).is_ok()),
            (Ask::Prefix(prefix), Value::Text(t)) => Some(t.starts_with(&**prefix)),
            (Ask::Part(part), Value::Text(t)) => Some(t.contains(&**part)),
            (Ask::Enum(all), Value::Text(t)) => Some(all.iter().any(|m| *m.word == *t)),
            (Ask::Enum(all), Value::Code(c)) => Some(all.iter().any(|m| m.code == Some(c))),
            (Ask::Has(HasMode::Any, all), Value::Set(s)) => Some(all.iter().any(|m| s.has(m))),
            (Ask::Has(HasMode::All, all), Value::Set(s)) => Some(all.iter().all(|m| s.has(m))),
            (Ask::Area(area), Value::Cell(c)) => Some(facts.in_area(*area, c)),
            _ => None,
        }
    }
}

#[inline]
fn number(kind: Number, value: Value<'_>) -> Option<i64> {
    match (kind, value) {
        (Number::Int, Value::Int(n)) | (Number::Micros, Value::Micros(n)) | (Number::Seconds, Value::Seconds(n)) => {
            Some(n)
        }
        (Number::Cell, Value::Cell(c)) => Some(i64::from(c.0)),
        _ => None,
    }
}

impl Members<'_> {
    fn has(&self, m: &Member) -> bool {
        match self {
            Self::Words(all) => all.contains(&&*m.word),
            Self::Strings(all) => all.iter().any(|w| **w == *m.word),
            Self::Bits(words) => {
                m.code.is_some_and(|c| words.get(c as usize / 64).is_some_and(|w| w >> (c % 64) & 1 == 1))
            }
        }
    }
}

fn step(n: &Node, c: &Condition) -> Step {
    match n {
        Node::And(all) => Step::And(all.iter().map(|n| step(n, c)).collect()),
        Node::Or(all) => Step::Or(all.iter().map(|n| step(n, c)).collect()),
        Node::Not(n) => Step::Not(Box::new(step(n, c))),
        Node::Leaf(l) => Step::Leaf(probe(l, c)),
    }
}

/// Where `id` stands in the condition's own table, which [`Condition::of`] filled from the same leaves.
fn place<T>(all: &[T], is: impl Fn(&T) -> bool) -> usize {
    all.iter().position(is).unwrap_or(usize::MAX)
}

pub(crate) fn probe(leaf: &Leaf, c: &Condition) -> Probe {
    match leaf {
        Leaf::InList { list, negated } => {
            Probe { tag: 0, ask: Ask::List(place(c.lists(), |l| l == list)), negated: *negated }
        }
        Leaf::Tag(t) => {
            let (ask, negated) = ask(t, c);
            Probe { tag: place(c.tags(), |u| u.id == t.tag), ask, negated }
        }
    }
}

fn ask(t: &TagLeaf, c: &Condition) -> (Ask, bool) {
    let member = |w: &str| Member { word: w.into(), code: t.ty.code(w) };
    match &t.test {
        Test::Known => (Ask::Known, false),
        Test::Unknown => (Ask::Known, true),
        Test::Compare(cmp, value) => compare(*cmp, value, &t.ty),
        Test::Between { low, high, negated } => (between(low, high), *negated),
        // a list without members is decided without looking at the value
        Test::In { values, negated } if values.is_empty() => (Ask::Always, !negated),
        Test::In { values, negated } => (one_of(values, &t.ty), *negated),
        Test::StartsWith { prefix, negated } => (Ask::Prefix(prefix.as_str().into()), *negated),
        Test::Contains { part, negated } => (Ask::Part(part.as_str().into()), *negated),
        Test::Has { mode, values, negated } if values.is_empty() => (Ask::Always, *negated != (*mode == HasMode::Any)),
        Test::Has { mode, values, negated } => (Ask::Has(*mode, values.iter().map(|w| member(w)).collect()), *negated),
        Test::InArea { area, negated } => (Ask::Area(place(c.areas(), |a| a == area)), *negated),
    }
}

fn compare(cmp: Cmp, value: &Literal, ty: &TagType) -> (Ask, bool) {
    match value {
        Literal::Bool(b) => (Ask::Bool(*b), cmp == Cmp::Ne),
        Literal::Date(d) => (Ask::Day(cmp, *d), false),
        Literal::Text(t) => (Ask::Text(cmp, t.as_str().into()), false),
        Literal::Enum(w) => {
            let member = Member { word: w.as_str().into(), code: ty.code(w) };
            (Ask::Enum(Box::new([member])), cmp == Cmp::Ne)
        }
        Literal::Int(_) | Literal::Decimal(_) | Literal::Money(_) | Literal::Duration(_) | Literal::Cell(_) => {
            let (kind, n) = whole(value);
            match cmp {
                Cmp::Eq => (Ask::Range(kind, n, n), false),
                Cmp::Ne => (Ask::Range(kind, n, n), true),
                Cmp::Le => (Ask::Range(kind, i64::MIN, n), false),
                Cmp::Gt => (Ask::Range(kind, i64::MIN, n), true),
                Cmp::Ge => (Ask::Range(kind, n, i64::MAX), false),
                Cmp::Lt => (Ask::Range(kind, n, i64::MAX), true),
            }
        }
    }
}

/// A number in the unit of its kind; 0 for what is no number, which the type check never lets here.
fn whole(value: &Literal) -> (Number, i64) {
    match value {
        Literal::Int(n) => (Number::Int, *n),
        Literal::Decimal(n) => (Number::Micros, *n),
        Literal::Money(m) => (Number::Micros, m.micros),
        Literal::Duration(n) => (Number::Seconds, *n),
        Literal::Cell(c) => (Number::Cell, i64::from(c.0)),
        Literal::Bool(_) | Literal::Text(_) | Literal::Enum(_) | Literal::Date(_) => (Number::Int, 0),
    }
}

fn between(low: &Literal, high: &Literal) -> Ask {
    match (low, high) {
        (Literal::Date(low), Literal::Date(high)) => Ask::DayBetween(*low, *high),
        (Literal::Text(low), Literal::Text(high)) => Ask::TextBetween(low.as_str().into(), high.as_str().into()),
        (low, high) => {
            let ((kind, low), (_, high)) = (whole(low), whole(high));
            Ask::Range(kind, low, high)
        }
    }
}

fn one_of(values: &[Literal], ty: &TagType) -> Ask {
    match ty {
        TagType::Date => {
            let day = |v: &Literal| if let Literal::Date(d) = v { Some(*d) } else { None };
            Ask::Days(values.iter().filter_map(day).collect())
        }
        TagType::Text => {
            let text = |v: &Literal| if let Literal::Text(t) = v { Some(t.as_str().into()) } else { None };
            let mut all: Vec<Box<str>> = values.iter().filter_map(text).collect();
            all.sort_unstable();
            Ask::Texts(all.into())
        }
        TagType::Enum { .. } => {
            let word = |v: &Literal| match v {
                Literal::Enum(w) => Some(Member { word: w.as_str().into(), code: ty.code(w) }),
                _ => None,
            };
            Ask::Enum(values.iter().filter_map(word).collect())
        }
        _ => {
            let kind = values.first().map_or(Number::Int, |v| whole(v).0);
            let mut all: Vec<i64> = values.iter().map(|v| whole(v).1).collect();
            all.sort_unstable();
            Ask::Numbers(kind, all.into())
        }
    }
}

fn bind(s: &mut Step, as_of: LocalDay) {
    let fix = |d: &mut DateValue| *d = DateValue::On(d.resolve(as_of));
    match s {
        Step::And(all) | Step::Or(all) => all.iter_mut().for_each(|s| bind(s, as_of)),
        Step::Not(s) => bind(s, as_of),
        Step::Leaf(p) => match &mut p.ask {
            Ask::Day(_, d) => fix(d),
            Ask::DayBetween(low, high) => {
                fix(low);
                fix(high);
            }
            Ask::Days(all) => all.iter_mut().for_each(fix),
            _ => {}
        },
    }
}
