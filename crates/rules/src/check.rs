//! The type check: names and values of a raw tree against the catalogue.

use crate::{
    limits,
    number::{DURATION_UNITS, MONEY_UNITS, Number, duration_unit, money_name, money_unit},
    parse,
    problem::{Code, Place, Problem},
    raw::{At, Lit, Op, RawLeaf, RawNode},
    suggest::{near, near_words},
    tree::{Cmp, HasMode, Leaf, Literal, Node, TagLeaf, Test},
    types::{Catalogue, Named, TagInfo, TagType},
};
use kairos_model::{CellId, Money};

/// A typed tree; meaningless where `problems` is not empty afterwards.
pub(crate) fn check(raw: RawNode, catalogue: &dyn Catalogue, problems: &mut Vec<Problem>) -> Node {
    let mut checker = Checker { catalogue, problems };
    let root = checker.node(raw);
    if checker.problems.is_empty()
        && let Some(p) = limits::of_tree(&root)
    {
        checker.problems.push(p);
    }
    root
}

struct Checker<'a> {
    catalogue: &'a dyn Catalogue,
    problems: &'a mut Vec<Problem>,
}

/// Which operators a type takes, for messages.
fn operators(ty: &TagType) -> &'static str {
    match ty {
        TagType::Bool => "the tag by itself, = true, = false, is known, is unknown",
        TagType::Int | TagType::Decimal | TagType::Money(_) | TagType::Duration => {
            "= != < <= > >=, between, in, is known, is unknown"
        }
        TagType::Text => "= != < <= > >=, between, in, starts with, contains, is known, is unknown",
        TagType::Enum { .. } => "= !=, in, is known, is unknown",
        TagType::Set { .. } => "has, has any, has all, has none, is known, is unknown",
        TagType::Date => "= != < <= > >=, on, before, after, since, between, in, is known, is unknown",
        TagType::Cell => "= !=, in, in area, is known, is unknown",
    }
}

/// An example of a value, for messages.
fn example(ty: &TagType) -> String {
    match ty {
        TagType::Bool => "true or false".into(),
        TagType::Int => "a whole number such as 100".into(),
        TagType::Decimal => "a number such as 0.5".into(),
        TagType::Money(c) => format!("an amount such as `80 {}`", money_name(*c)),
        TagType::Text => "a text in quotes".into(),
        TagType::Enum { values } | TagType::Set { values } => {
            let shown: Vec<String> = values.iter().take(8).map(|v| crate::print::word(v)).collect();
            let more = if values.len() > 8 { ", …" } else { "" };
            if values.is_empty() { "a word".into() } else { format!("one of {}{more}", shown.join(", ")) }
        }
        TagType::Date => "a day such as 2026-01-31, today, `30 days ago` or `start of month`".into(),
        TagType::Duration => "a duration such as `5 min` or `2 h`".into(),
        TagType::Cell => "a cell's number".into(),
    }
}

/// What one operator does not fit, the one that is meant.
fn meant(op: Op, ty: &TagType) -> Vec<String> {
    let words: &[&str] = match (op, ty) {
        (Op::Compare(Cmp::Eq) | Op::Contains { .. }, TagType::Set { .. }) => &["has"],
        (Op::In { negated: false }, TagType::Set { .. }) => &["has any"],
        (Op::In { negated: true } | Op::Compare(Cmp::Ne), TagType::Set { .. }) => &["has none"],
        (Op::Has { negated: false, .. }, TagType::Enum { .. } | TagType::Cell) => &["in"],
        (Op::Has { negated: false, .. } | Op::StartsWith { .. }, TagType::Text) => &["contains"],
        _ => &[],
    };
    words.iter().map(|w| (*w).to_owned()).collect()
}

impl Checker<'_> {
    fn report(&mut self, code: Code, place: &Place, message: String, expected: impl Into<String>) {
        self.suggest(code, place, message, expected, Vec::new());
    }
    fn suggest(
        &mut self,
        code: Code,
        place: &Place,
        message: String,
        expected: impl Into<String>,
        suggestions: Vec<String>,
    ) {
        self.problems.push(Problem::new(code, place.clone(), message, expected).suggest(suggestions));
    }

    fn node(&mut self, raw: RawNode) -> Node {
        match raw {
            RawNode::And(all) => Node::group(true, all.into_iter().map(|n| self.node(n)).collect()),
            RawNode::Or(all) => Node::group(false, all.into_iter().map(|n| self.node(n)).collect()),
            RawNode::Not(n) => Node::Not(Box::new(self.node(*n))),
            RawNode::Everyone => Node::And(Vec::new()),
            RawNode::Nobody | RawNode::Hole => Node::Or(Vec::new()),
            RawNode::Leaf(leaf) => self.leaf(&leaf).map_or(Node::Or(Vec::new()), Node::Leaf),
        }
    }

    fn leaf(&mut self, raw: &RawLeaf) -> Option<Leaf> {
        if raw.subject.it == "subscriber" {
            let Op::InList { negated } = raw.op.it else {
                let message = format!("`{}` does not fit `subscriber`", raw.op.it.text());
                self.report(Code::WrongOperator, &raw.op.place, message, "in list NAME, not in list NAME");
                return None;
            };
            let list = self.list(raw.args.first()?)?;
            return Some(Leaf::InList { list, negated });
        }
        let Some(tag) = self.catalogue.tag(&raw.subject.it) else {
            let word = &raw.subject.it;
            let all = self.catalogue.tags().map(|t| (t.id.as_str(), vec![t.zh.as_str(), t.en.as_str()]));
            let mut found = near(word, all);
            if found.is_empty() {
                found = near_words(word, &["subscriber", "everyone", "nobody", "not"]);
            }
            let message = format!("unknown tag `{}`", crate::print::shortened(word));
            self.suggest(Code::UnknownTag, &raw.subject.place, message, "", found);
            return None;
        };
        if !crate::types::valid_id(&tag.id) {
            let message = format!("the tag `{}` cannot be written in a condition", crate::print::shortened(&tag.id));
            self.report(Code::UnknownTag, &raw.subject.place, message, "an id of letters, digits and `_`");
            return None;
        }
        let test = self.test(tag, raw)?;
        Some(Leaf::Tag(TagLeaf { tag: tag.id.clone(), ty: tag.ty.clone(), test }))
    }

    fn test(&mut self, tag: &TagInfo, raw: &RawLeaf) -> Option<Test> {
        use TagType as T;
        let args = &raw.args;
        let number = matches!(tag.ty, T::Int | T::Decimal | T::Money(_) | T::Duration | T::Date);
        match (raw.op.it, &tag.ty) {
            (Op::Known, _) => Some(Test::Known),
            (Op::Unknown, _) => Some(Test::Unknown),
            (Op::Truth, T::Bool) => Some(Test::Compare(Cmp::Eq, Literal::Bool(true))),
            (Op::Truth, ty) => {
                let message = format!("`{}` is {}, which is neither true nor false by itself", tag.id, a(ty));
                self.report(Code::WrongType, &raw.op.place, message, format!("an operator: {}", operators(ty)));
                None
            }
            (Op::Compare(cmp), T::Bool | T::Enum { .. } | T::Cell) if !matches!(cmp, Cmp::Eq | Cmp::Ne) => {
                self.wrong_operator(tag, raw)
            }
            (Op::Compare(_), T::Set { .. }) => self.wrong_operator(tag, raw),
            (Op::Day(cmp), T::Date) | (Op::Compare(cmp), _) => {
                Some(Test::Compare(cmp, self.value(tag, args.first()?, None)?))
            }
            (Op::Between { negated }, ty) if number || *ty == T::Text => self.between(tag, args, negated),
            (Op::In { negated }, ty) if !matches!(ty, T::Bool | T::Set { .. }) => {
                let values: Vec<_> = args.iter().map(|v| self.value(tag, v, None)).collect();
                Some(Test::In { values: values.into_iter().collect::<Option<_>>()?, negated })
            }
            (Op::StartsWith { negated }, T::Text) => {
                Some(Test::StartsWith { prefix: self.text(tag, args.first()?)?, negated })
            }
            (Op::Contains { negated }, T::Text) => {
                Some(Test::Contains { part: self.text(tag, args.first()?)?, negated })
            }
            (Op::Has { mode, negated }, T::Set { .. }) => {
                let values: Vec<_> = args.iter().map(|v| self.word(tag, v)).collect();
                let values = values.into_iter().collect::<Option<Vec<_>>>()?;
                // one member: any and all are one question
                let mode = if values.len() == 1 { HasMode::Any } else { mode };
                Some(Test::Has { mode, values, negated })
            }
            (Op::InArea { negated }, T::Cell) => Some(Test::InArea { area: self.area(args.first()?)?, negated }),
            (Op::InList { .. }, _) => {
                let message = format!("`{}` cannot be in a list", tag.id);
                let place = &raw.op.place;
                self.suggest(Code::WrongOperator, place, message, "", vec!["subscriber in list …".into()]);
                None
            }
            _ => self.wrong_operator(tag, raw),
        }
    }
    fn wrong_operator(&mut self, tag: &TagInfo, raw: &RawLeaf) -> Option<Test> {
        let message = format!("`{}` does not fit `{}`, which is {}", raw.op.it.text(), tag.id, a(&tag.ty));
        let near = meant(raw.op.it, &tag.ty);
        self.suggest(Code::WrongOperator, &raw.op.place, message, operators(&tag.ty), near);
        None
    }
    fn between(&mut self, tag: &TagInfo, args: &[At<Lit>], negated: bool) -> Option<Test> {
        let [low, high] = args else { return None };
        // `between 80 and 120 yuan`: one unit serves both
        let unit = match &high.it {
            Lit::Quantity { unit, .. } => Some(unit.as_str()),
            _ => None,
        };
        let (low, high) = (self.value(tag, low, unit), self.value(tag, high, None));
        Some(Test::Between { low: low?, high: high?, negated })
    }

    fn text(&mut self, tag: &TagInfo, lit: &At<Lit>) -> Option<String> {
        match self.value(tag, lit, None)? {
            Literal::Text(t) => Some(t),
            _ => None,
        }
    }

    /// A value in the tag's type; `unit` serves a number that has none.
    fn value(&mut self, tag: &TagInfo, lit: &At<Lit>, unit: Option<&str>) -> Option<Literal> {
        let wanted_word = matches!(tag.ty, TagType::Text | TagType::Enum { .. } | TagType::Set { .. });
        let parsed;
        let it = match &lit.it {
            Lit::Loose(s) if !wanted_word => match parse::literal(s) {
                Some(Lit::Text(_)) | None => return self.wrong_value(tag, lit),
                Some(it) => {
                    parsed = it;
                    &parsed
                }
            },
            it => it,
        };
        match (&tag.ty, it) {
            (TagType::Bool, Lit::Bool(b)) => Some(Literal::Bool(*b)),
            (TagType::Text, Lit::Text(t) | Lit::Loose(t) | Lit::Word(t)) => Some(Literal::Text(t.clone())),
            (TagType::Enum { .. }, _) => self.word(tag, lit).map(Literal::Enum),
            (TagType::Date, Lit::Date(d)) => Some(Literal::Date(*d)),
            (TagType::Int, Lit::Number(n)) => self.exact(tag, lit, n, 1).map(Literal::Int),
            (TagType::Decimal, Lit::Number(n)) => self.exact(tag, lit, n, 1_000_000).map(Literal::Decimal),
            (TagType::Cell, Lit::Number(n)) => {
                let cell = Number::parse(n).and_then(|n| n.times(1)).and_then(|n| u32::try_from(n).ok());
                if cell.is_none() {
                    self.out_of_range(tag, lit);
                }
                Some(Literal::Cell(CellId(cell?)))
            }
            (TagType::Money(_) | TagType::Duration, Lit::Quantity { number, unit }) => {
                self.quantity(tag, lit, number, unit)
            }
            (TagType::Money(_) | TagType::Duration, Lit::Number(number)) => match unit {
                Some(unit) => self.quantity(tag, lit, number, unit),
                None => self.without_unit(tag, lit, number),
            },
            _ => self.wrong_value(tag, lit),
        }
    }
    fn without_unit(&mut self, tag: &TagInfo, lit: &At<Lit>, number: &str) -> Option<Literal> {
        let units = match tag.ty {
            TagType::Money(c) => vec![format!("{number} {}", money_name(c))],
            _ => vec![format!("{number} s"), format!("{number} min"), format!("{number} h")],
        };
        let message = format!("`{number}` has no unit, and `{}` is {}", tag.id, a(&tag.ty));
        self.suggest(Code::WrongType, &lit.place, message, example(&tag.ty), units);
        None
    }
    fn quantity(&mut self, tag: &TagInfo, lit: &At<Lit>, number: &str, unit: &str) -> Option<Literal> {
        match tag.ty {
            TagType::Money(currency) => match money_unit(unit) {
                Some((c, size)) if c == currency => {
                    self.exact(tag, lit, number, size).map(|m| Literal::Money(Money::micros(m, currency)))
                }
                Some((c, _)) => {
                    let message = format!("`{}` is in {currency}, not in {c}", tag.id);
                    self.report(Code::WrongType, &lit.place, message, example(&tag.ty));
                    None
                }
                None => self.unknown_unit(tag, lit, (number, unit), &MONEY_UNITS),
            },
            _ => match duration_unit(unit) {
                Some(size) => self.exact(tag, lit, number, size).map(Literal::Duration),
                None => self.unknown_unit(tag, lit, (number, unit), &DURATION_UNITS),
            },
        }
    }
    fn unknown_unit(
        &mut self,
        tag: &TagInfo,
        lit: &At<Lit>,
        (number, unit): (&str, &str),
        units: &[&str],
    ) -> Option<Literal> {
        let message = format!("unknown unit `{}`", crate::print::shortened(unit));
        let near = near_words(unit, units).into_iter().map(|unit| format!("{number} {unit}")).collect();
        self.suggest(Code::UnknownUnit, &lit.place, message, example(&tag.ty), near);
        None
    }
    fn exact(&mut self, tag: &TagInfo, lit: &At<Lit>, number: &str, factor: i64) -> Option<i64> {
        let exact = Number::parse(number).and_then(|n| n.times(factor));
        if exact.is_none() {
            self.out_of_range(tag, lit);
        }
        exact
    }
    fn out_of_range(&mut self, tag: &TagInfo, lit: &At<Lit>) {
        let expected = match tag.ty {
            TagType::Int => "a whole number of at most 64 bits",
            TagType::Cell => "a whole number from 0 to 4294967295",
            TagType::Duration => "whole seconds of at most 64 bits",
            _ => "at most six decimals, between ±9223372036854.775807",
        };
        let message = format!("`{}` does not fit `{}` exactly", lit.it.shown(), tag.id);
        self.report(Code::OutOfRange, &lit.place, message, expected);
    }
    fn wrong_value(&mut self, tag: &TagInfo, lit: &At<Lit>) -> Option<Literal> {
        let message = format!("`{}` does not fit `{}`, which is {}", lit.it.shown(), tag.id, a(&tag.ty));
        let near = match (&tag.ty, &lit.it) {
            (TagType::Bool, Lit::Word(w) | Lit::Text(w) | Lit::Loose(w)) => match w.to_ascii_lowercase().as_str() {
                "yes" | "y" | "是" => vec!["true".into()],
                "no" | "n" | "否" => vec!["false".into()],
                _ => near_words(w, &["true", "false"]),
            },
            // the next clause taken for a unit
            (TagType::Int | TagType::Decimal | TagType::Cell, Lit::Quantity { number, .. }) => vec![number.clone()],
            (TagType::Date, Lit::Word(w)) => near_words(w, &["today", "yesterday", "tomorrow"]),
            (TagType::Text, Lit::Number(n)) => vec![crate::print::quoted(n)],
            _ => Vec::new(),
        };
        self.suggest(Code::WrongType, &lit.place, message, example(&tag.ty), near);
        None
    }

    /// A word of the tag's vocabulary.
    fn word(&mut self, tag: &TagInfo, lit: &At<Lit>) -> Option<String> {
        let (TagType::Enum { values } | TagType::Set { values }) = &tag.ty else { return None };
        let word = match &lit.it {
            Lit::Word(w) | Lit::Text(w) | Lit::Loose(w) => w.clone(),
            // a word that is also a keyword or a number: say how to write it
            Lit::Bool(_) | Lit::Number(_) | Lit::Quantity { .. } | Lit::Date(_) => {
                let shown = lit.it.shown();
                let close = shown.replace(' ', "");
                let quoted = values.iter().find(|v| **v == close).map(|v| crate::print::quoted(v));
                let message = format!("`{shown}` does not fit `{}`, which is {}", tag.id, a(&tag.ty));
                self.suggest(Code::WrongType, &lit.place, message, example(&tag.ty), quoted.into_iter().collect());
                return None;
            }
        };
        let open = values.is_empty() && matches!(tag.ty, TagType::Set { .. });
        if open || values.contains(&word) {
            return Some(word);
        }
        let labels = |v: &str| tag.label_of(v).map(|l| vec![l.zh.as_str(), l.en.as_str()]).unwrap_or_default();
        let near = near(&word, values.iter().map(|v| (v.as_str(), labels(v))));
        let near = near.iter().map(|v| crate::print::word(v)).collect();
        let message = format!("`{}` has no value `{}`", tag.id, crate::print::shortened(&word));
        self.suggest(Code::UnknownValue, &lit.place, message, example(&tag.ty), near);
        None
    }

    fn area(&mut self, lit: &At<Lit>) -> Option<String> {
        let id = name(&lit.it)?;
        if self.catalogue.area(&id).is_none() {
            let found = near_named(&id, self.catalogue.areas());
            let message = format!("unknown area `{}`", crate::print::shortened(&id));
            self.suggest(Code::UnknownArea, &lit.place, message, "", found);
            return None;
        }
        Some(id)
    }
    fn list(&mut self, lit: &At<Lit>) -> Option<String> {
        let id = name(&lit.it)?;
        if self.catalogue.list(&id).is_none() {
            let found = near_named(&id, self.catalogue.lists());
            let message = format!("unknown list `{}`", crate::print::shortened(&id));
            self.suggest(Code::UnknownList, &lit.place, message, "", found);
            return None;
        }
        Some(id)
    }
}

fn name(lit: &Lit) -> Option<String> {
    match lit {
        Lit::Word(w) | Lit::Text(w) | Lit::Loose(w) => Some(w.clone()),
        other => Some(other.shown()),
    }
}

fn near_named<'a>(id: &str, all: impl Iterator<Item = &'a Named>) -> Vec<String> {
    near(id, all.map(|n| (n.id.as_str(), vec![n.zh.as_str(), n.en.as_str()])))
}

/// The type with its article.
fn a(ty: &TagType) -> String {
    match ty {
        TagType::Int => "a whole number".into(),
        TagType::Decimal => "a decimal number".into(),
        TagType::Money(c) => format!("money in {c}"),
        TagType::Text => "text".into(),
        TagType::Enum { .. } => "an enum".into(),
        TagType::Bool | TagType::Set { .. } | TagType::Date | TagType::Duration | TagType::Cell => {
            format!("a {}", ty.name())
        }
    }
}
