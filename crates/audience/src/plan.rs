//! From a typed condition to a tree over bitmaps that are *true* where the condition is.
//!
//! NOT is pushed to the clauses (De Morgan holds in Kleene's logic), and a clause or its negation becomes an AND of
//! "known" and of what is asked; so nothing unknown is left, and a tree of plain ANDs and ORs remains.

use crate::{contrast::Slot, error::AskError, format::type_name, index::View, members::Members, words::Words};
use kairos_model::CellId;
use kairos_rules::{Cmp, Condition, HasMode, Leaf, Literal as Value, Node, TagLeaf, TagType, Test, limits};
use std::collections::BTreeMap;

/// The lists and areas that conditions name.
pub trait Sets {
    fn list(&self, id: &str) -> Option<&Members>;
    fn area(&self, id: &str) -> Option<&[CellId]>;
}

/// Lists and areas in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySets {
    pub lists: BTreeMap<String, Members>,
    pub areas: BTreeMap<String, Vec<CellId>>,
}

impl Sets for MemorySets {
    fn list(&self, id: &str) -> Option<&Members> {
        self.lists.get(id)
    }
    fn area(&self, id: &str) -> Option<&[CellId]> {
        self.areas.get(id).map(Vec::as_slice)
    }
}

/// AND or OR of literals and groups; without any it is true or false.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) and: bool,
    /// Literals that are bitmaps of the group itself.
    pub(crate) direct: Vec<Literal<'a>>,
    /// Literals that need a step of their own.
    pub(crate) apart: Vec<Literal<'a>>,
    pub(crate) groups: Vec<Group<'a>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal<'a> {
    pub(crate) what: What<'a>,
    pub(crate) negated: bool,
}

/// A bitmap, by what it says. Columns are places in the index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What<'a> {
    /// Who exists.
    Exists,
    Yes(usize),
    No(usize),
    Known(usize),
    /// Any of the words (or cells), codes ascending.
    Words(usize, Vec<u32>),
    /// A number from … to, both included.
    Range(usize, i64, i64),
    /// A number of these, ascending.
    OneOf(usize, Vec<i64>),
    List(&'a Members),
}

/// A tree in the making.
enum Part<'a> {
    Literal(Literal<'a>),
    Group(Group<'a>),
}

fn yes<'a>(what: What<'a>) -> Part<'a> {
    Part::Literal(Literal { what, negated: false })
}
fn no<'a>(what: What<'a>) -> Part<'a> {
    Part::Literal(Literal { what, negated: true })
}
fn constant<'a>(value: bool) -> Part<'a> {
    group(value, [])
}

/// A group of its members: groups of the same kind are taken apart, equal literals count once, ranges of one number
/// under AND become one.
fn group<'a>(and: bool, members: impl IntoIterator<Item = Part<'a>>) -> Part<'a> {
    let mut made = Group { and, direct: Vec::new(), apart: Vec::new(), groups: Vec::new() };
    for m in members {
        match m {
            Part::Literal(l) => made.add(l),
            Part::Group(g) if g.and == and => {
                g.direct.into_iter().chain(g.apart).for_each(|l| made.add(l));
                made.groups.extend(g.groups);
            }
            Part::Group(g) => made.groups.push(g),
        }
    }
    match (made.direct.len() + made.apart.len(), made.groups.len()) {
        (0, 1) => Part::Group(made.groups.remove(0)),
        _ => Part::Group(made),
    }
}

impl<'a> Group<'a> {
    fn add(&mut self, l: Literal<'a>) {
        let direct = match &l.what {
            // several words are an OR of their bitmaps: of this very group, or a step of their own
            What::Words(_, codes) => codes.len() == 1 || self.and == l.negated,
            What::Range(..) | What::OneOf(..) => false,
            _ => true,
        };
        if direct {
            if !self.direct.contains(&l) {
                self.direct.push(l);
            }
            return;
        }
        if let (true, false, What::Range(column, low, high)) = (self.and, l.negated, &l.what) {
            for other in &mut self.apart {
                if let (What::Range(c, from, to), false) = (&mut other.what, other.negated)
                    && c == column
                {
                    (*from, *to) = ((*from).max(*low), (*to).min(*high));
                    return;
                }
            }
        }
        self.apart.push(l);
    }
}

/// Plans a condition: who exists and satisfies it.
///
/// Errors: more clauses than [`limits::CLAUSES_MAX`], a tag that the index lacks or has in another type, a list or area
/// that is not there, damage.
pub(crate) fn plan<'a>(view: View<'a>, condition: &Condition, sets: &'a dyn Sets) -> Result<Group<'a>, AskError> {
    plan_node(view, condition.root(), sets)
}

pub(crate) fn plan_node<'a>(view: View<'a>, root: &Node, sets: &'a dyn Sets) -> Result<Group<'a>, AskError> {
    let mut clauses = 0usize;
    root.leaves(&mut |_| clauses += 1);
    if clauses > limits::CLAUSES_MAX || root.depth() > limits::DEPTH_MAX {
        let what = format!(
            "the condition has {clauses} clauses, {} deep; at most {} and {}: put values into one `in (…)`, or \
             subscribers into a list",
            root.depth(),
            limits::CLAUSES_MAX,
            limits::DEPTH_MAX
        );
        return Err(AskError::Limit { what });
    }
    let part = Planner { view, sets }.node(root, false)?;
    Ok(rooted(part))
}

struct Planner<'a> {
    view: View<'a>,
    sets: &'a dyn Sets,
}

impl<'a> Planner<'a> {
    fn node(&self, n: &Node, negated: bool) -> Result<Part<'a>, AskError> {
        Ok(match n {
            Node::Not(n) => self.node(n, !negated)?,
            Node::And(all) | Node::Or(all) => {
                let and = matches!(n, Node::And(_)) != negated;
                let members = all.iter().map(|n| self.node(n, negated)).collect::<Result<Vec<_>, _>>()?;
                group(and, members)
            }
            Node::Leaf(Leaf::InList { list, negated: turned }) => {
                let members = self.sets.list(list).ok_or_else(|| missing("list", list))?;
                Part::Literal(Literal { what: What::List(members), negated: *turned != negated })
            }
            Node::Leaf(Leaf::Tag(t)) => self.tag(t, negated)?,
        })
    }

    fn tag(&self, t: &TagLeaf, negated: bool) -> Result<Part<'a>, AskError> {
        let snapshot = self.view.head().snapshot;
        let unknown = || AskError::UnknownTag { tag: t.tag.clone(), snapshot };
        let column = self.view.column(&t.tag).ok_or_else(unknown)?;
        let (found, wanted) = (type_name(&self.view.columns()[column].ty), type_name(&t.ty));
        if found != wanted {
            return Err(AskError::TypeChanged { tag: t.tag.clone(), found, wanted, snapshot });
        }
        Ok(match &t.test {
            Test::Known | Test::Unknown => {
                let known = matches!(t.test, Test::Known) != negated;
                if matches!(t.ty, TagType::Bool) {
                    match known {
                        true => group(false, [yes(What::Yes(column)), yes(What::No(column))]),
                        false => group(true, [no(What::Yes(column)), no(What::No(column))]),
                    }
                } else if known {
                    yes(What::Known(column))
                } else {
                    no(What::Known(column))
                }
            }
            Test::Compare(cmp, Value::Bool(b)) => {
                let wanted = (*b == (*cmp == Cmp::Eq)) != negated;
                yes(if wanted { What::Yes(column) } else { What::No(column) })
            }
            Test::Compare(cmp, value) => self.compare(column, t, *cmp, value, negated)?,
            Test::Between { low, high, negated: turned } => self.between(column, low, high, *turned != negated)?,
            // a list without members is decided without looking at the value
            Test::In { values, negated: turned } if values.is_empty() => constant(*turned != negated),
            Test::In { values, negated: turned } => self.one_of(column, t, values, *turned != negated)?,
            Test::StartsWith { prefix, negated: turned } => {
                let words = self.view.dictionary(column)?;
                let codes =
                    words.between(|w| w < prefix.as_str(), |w| w > prefix.as_str() && !w.starts_with(&**prefix));
                of_words(column, codes, *turned != negated)
            }
            Test::Contains { part, negated: turned } => {
                let codes = self.view.dictionary(column)?.filter(|w| w.contains(&**part));
                of_words(column, codes, *turned != negated)
            }
            Test::Has { mode, values, negated: turned } if values.is_empty() => {
                constant((*mode == HasMode::All) != (*turned != negated))
            }
            Test::Has { mode, values, negated: turned } => {
                has(column, self.view.dictionary(column)?, *mode, values, *turned != negated)
            }
            Test::InArea { area, negated: turned } => {
                let cells = self.sets.area(area).ok_or_else(|| missing("area", area))?;
                of_words(column, sorted(cells.iter().map(|c| c.0)), *turned != negated)
            }
        })
    }

    fn compare(
        &self,
        column: usize,
        t: &TagLeaf,
        cmp: Cmp,
        value: &Value,
        negated: bool,
    ) -> Result<Part<'a>, AskError> {
        if let Value::Text(text) = value {
            let (words, text) = (self.view.dictionary(column)?, text.as_str());
            let all = |_: &str| false;
            let codes = match cmp {
                Cmp::Eq | Cmp::Ne => words.code(text).into_iter().collect(),
                Cmp::Lt | Cmp::Ge => words.between(all, |w| w >= text),
                Cmp::Le | Cmp::Gt => words.between(all, |w| w > text),
            };
            let turned = matches!(cmp, Cmp::Ne | Cmp::Ge | Cmp::Gt);
            return Ok(of_words(column, codes, turned != negated));
        }
        if matches!(t.ty, TagType::Enum { .. } | TagType::Cell) {
            let codes = self.codes(column, std::slice::from_ref(value))?;
            return Ok(of_words(column, codes, (cmp == Cmp::Ne) != negated));
        }
        let n = self.number(value);
        let (low, high, turned) = match cmp {
            Cmp::Eq => (n, n, false),
            Cmp::Ne => (n, n, true),
            Cmp::Le => (i64::MIN, n, false),
            Cmp::Gt => (i64::MIN, n, true),
            Cmp::Ge => (n, i64::MAX, false),
            Cmp::Lt => (n, i64::MAX, true),
        };
        Ok(range(column, low, high, turned != negated))
    }

    fn between(&self, column: usize, low: &Value, high: &Value, negated: bool) -> Result<Part<'a>, AskError> {
        if let (Value::Text(low), Value::Text(high)) = (low, high) {
            let words = self.view.dictionary(column)?;
            let codes = words.between(|w| w < low.as_str(), |w| w > high.as_str());
            return Ok(of_words(column, codes, negated));
        }
        Ok(range(column, self.number(low), self.number(high), negated))
    }

    fn one_of(&self, column: usize, t: &TagLeaf, values: &[Value], negated: bool) -> Result<Part<'a>, AskError> {
        if matches!(t.ty, TagType::Text | TagType::Enum { .. } | TagType::Cell) {
            return Ok(of_words(column, self.codes(column, values)?, negated));
        }
        let mut all: Vec<i64> = values.iter().map(|v| self.number(v)).collect();
        all.sort_unstable();
        all.dedup();
        Ok(known_and(column, Literal { what: What::OneOf(column, all), negated }))
    }

    fn number(&self, v: &Value) -> i64 {
        match v {
            Value::Int(n) | Value::Decimal(n) | Value::Duration(n) => *n,
            Value::Money(m) => m.micros,
            Value::Date(d) => i64::from(d.resolve(self.view.head().day).0),
            Value::Bool(_) | Value::Text(_) | Value::Enum(_) | Value::Cell(_) => 0,
        }
    }

    fn codes(&self, column: usize, values: &[Value]) -> Result<Vec<u32>, AskError> {
        if values.iter().all(|v| matches!(v, Value::Cell(_))) {
            return Ok(sorted(values.iter().map(|v| if let Value::Cell(c) = v { c.0 } else { 0 })));
        }
        let words = self.view.dictionary(column)?;
        Ok(sorted(values.iter().filter_map(|v| match v {
            Value::Text(w) | Value::Enum(w) => words.code(w),
            _ => None,
        })))
    }
}

fn sorted(codes: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut all: Vec<u32> = codes.collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn missing(kind: &'static str, id: &str) -> AskError {
    AskError::Missing { kind, id: id.to_owned() }
}

fn known_and<'a>(column: usize, l: Literal<'a>) -> Part<'a> {
    group(true, [yes(What::Known(column)), Part::Literal(l)])
}

/// A word is only where the value is known; the lack of one says nothing where it is not.
fn of_words<'a>(column: usize, codes: Vec<u32>, negated: bool) -> Part<'a> {
    let none = codes.is_empty();
    let what = What::Words(column, codes);
    match (negated, none) {
        (false, true) => constant(false),
        (true, true) => yes(What::Known(column)),
        (false, false) => yes(what),
        (true, false) => known_and(column, Literal { what, negated: true }),
    }
}

/// `low ≤ value ≤ high`, or not, where the value is known. The negation is one range where it can be.
fn range<'a>(column: usize, low: i64, high: i64, negated: bool) -> Part<'a> {
    let (low, high, negated) = match (negated, low, high) {
        (true, i64::MIN, h) if h < i64::MAX => (h + 1, i64::MAX, false),
        (true, l, i64::MAX) if l > i64::MIN => (i64::MIN, l - 1, false),
        other => (other.1, other.2, other.0),
    };
    known_and(column, Literal { what: What::Range(column, low, high), negated })
}

fn has<'a>(column: usize, words: Words<'_>, mode: HasMode, values: &[String], negated: bool) -> Part<'a> {
    if mode == HasMode::Any {
        return of_words(column, sorted(values.iter().filter_map(|w| words.code(w))), negated);
    }
    let codes: Vec<Option<u32>> = values.iter().map(|w| words.code(w)).collect();
    if codes.contains(&None) {
        // nobody has a word that nobody has
        return if negated { yes(What::Known(column)) } else { constant(false) };
    }
    let each =
        codes.into_iter().flatten().map(|c| Part::Literal(Literal { what: What::Words(column, vec![c]), negated }));
    if negated { group(true, [yes(What::Known(column)), group(false, each)]) } else { group(true, each) }
}

/// Who exists and has a value of a column.
pub(crate) fn of_slot<'a>(view: View<'a>, column: usize, slot: Slot) -> Group<'a> {
    let bins = view.columns().get(column).map_or(&[][..], |c| &c.bins);
    let flag = view.columns().get(column).is_some_and(|c| c.ty == TagType::Bool);
    let part = match slot {
        Slot::Yes => yes(What::Yes(column)),
        Slot::No => yes(What::No(column)),
        Slot::Unknown if flag => group(true, [no(What::Yes(column)), no(What::No(column))]),
        Slot::Unknown => no(What::Known(column)),
        Slot::Code(code) => of_words(column, vec![code], false),
        Slot::Bin(i) => {
            let low = i.checked_sub(1).and_then(|i| bins.get(i)).copied().unwrap_or(i64::MIN);
            let high = bins.get(i).map_or(i64::MAX, |e| e.saturating_sub(1));
            range(column, low, high, false)
        }
    };
    rooted(part)
}

/// Of those who exist.
fn rooted(part: Part<'_>) -> Group<'_> {
    match group(true, [yes(What::Exists), part]) {
        Part::Group(g) => g,
        Part::Literal(l) => {
            let mut g = Group { and: true, direct: Vec::new(), apart: Vec::new(), groups: Vec::new() };
            g.add(l);
            g
        }
    }
}
