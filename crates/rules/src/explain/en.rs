//! English phrases.

use super::{Lang, Speaker};
use crate::{
    date::{Anchor, Relative},
    number::duration_parts,
    tree::{Cmp, HasMode, Leaf, Literal, TagLeaf, Test},
};

pub(super) fn leaf(leaf: &Leaf, s: &Speaker<'_>) -> String {
    match leaf {
        Leaf::InList { list, negated } => {
            format!("is {}on the list “{}”", if *negated { "not " } else { "" }, s.list(list, Lang::En))
        }
        Leaf::Tag(t) => tag(t, s),
    }
}

fn tag(t: &TagLeaf, s: &Speaker<'_>) -> String {
    let name = s.name(&t.tag, Lang::En);
    let value = |v: &Literal| s.value(&t.tag, v, Lang::En);
    let is = |negated: &bool| if *negated { "is not" } else { "is" };
    match &t.test {
        Test::Known => format!("{name} is known"),
        Test::Unknown => format!("{name} is unknown"),
        Test::Compare(cmp, Literal::Bool(b)) => yes(t, s, *b == (*cmp == Cmp::Eq)),
        Test::Compare(cmp, v) => format!("{name} {} {}", compare(*cmp, v), value(v)),
        Test::Between { low, high, negated } => {
            format!("{name} {} between {} and {}", is(negated), value(low), value(high))
        }
        Test::In { values, negated } if values.is_empty() => {
            let always = if *negated { "which always holds" } else { "which never holds" };
            format!("{name} {} one of no values ({always})", is(negated))
        }
        Test::In { values, negated } => one_of(name, &values.iter().map(value).collect::<Vec<_>>(), *negated),
        Test::StartsWith { prefix, negated: false } => format!("{name} starts with “{prefix}”"),
        Test::StartsWith { prefix, negated: true } => format!("{name} does not start with “{prefix}”"),
        Test::Contains { part, negated: false } => format!("{name} contains “{part}”"),
        Test::Contains { part, negated: true } => format!("{name} does not contain “{part}”"),
        Test::Has { mode, values, negated } => {
            let words: Vec<&str> = values.iter().map(|v| s.label(&t.tag, v, Lang::En)).collect();
            has(name, *mode, &words, *negated)
        }
        Test::InArea { area, negated } => format!("{name} {} in the area “{}”", is(negated), s.area(area, Lang::En)),
    }
}

fn yes(t: &TagLeaf, s: &Speaker<'_>, yes: bool) -> String {
    match s.own_label(&t.tag, if yes { "true" } else { "false" }, Lang::En) {
        Some(label) => label.to_owned(),
        None => format!("{} {}", if yes { "has" } else { "has no" }, s.name(&t.tag, Lang::En)),
    }
}

fn compare(cmp: Cmp, v: &Literal) -> &'static str {
    let [lt, le, gt, ge] = match v {
        Literal::Date(_) => ["is before", "is no later than", "is after", "is no earlier than"],
        Literal::Duration(_) => ["is shorter than", "is at most", "is longer than", "is at least"],
        Literal::Text(_) => ["sorts before", "does not sort after", "sorts after", "does not sort before"],
        _ => ["is below", "is at most", "is above", "is at least"],
    };
    match cmp {
        Cmp::Eq => "is",
        Cmp::Ne => "is not",
        Cmp::Lt => lt,
        Cmp::Le => le,
        Cmp::Gt => gt,
        Cmp::Ge => ge,
    }
}

fn one_of(name: &str, values: &[String], negated: bool) -> String {
    match (values, negated) {
        ([one], false) => format!("{name} is {one}"),
        ([one], true) => format!("{name} is not {one}"),
        ([first @ .., last], false) => format!("{name} is {} or {last}", first.join(", ")),
        (all, _) => format!("{name} is none of {}", all.join(", ")),
    }
}

fn has(name: &str, mode: HasMode, words: &[&str], negated: bool) -> String {
    let all = words.join(", ");
    match (mode, words, negated) {
        (HasMode::Any, [], false) | (HasMode::All, [], true) => {
            format!("has one of no values among {name} (which never holds)")
        }
        (HasMode::All, [], false) | (HasMode::Any, [], true) => {
            format!("has all of no values among {name} (which always holds)")
        }
        (_, [one], false) => format!("has {one} among {name}"),
        (_, [one], true) => format!("does not have {one} among {name}"),
        (HasMode::Any, _, false) => format!("has at least one of {all} among {name}"),
        (HasMode::Any, _, true) => format!("has none of {all} among {name}"),
        (HasMode::All, _, false) => format!("has all of {all} among {name}"),
        (HasMode::All, _, true) => format!("lacks at least one of {all} among {name}"),
    }
}

pub(super) fn duration(seconds: i64) -> String {
    let (n, unit) = duration_parts(seconds);
    let unit = match unit {
        "d" => "day",
        "h" => "hour",
        "min" => "minute",
        _ => "second",
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

pub(super) fn relative(r: Relative) -> String {
    let anchor = match r.anchor {
        Anchor::Today => return r.to_string(),
        Anchor::StartOfWeek => "the start of this week",
        Anchor::StartOfMonth => "the start of this month",
        Anchor::StartOfQuarter => "the start of this quarter",
        Anchor::StartOfYear => "the start of this year",
    };
    let (n, unit) = (r.n.unsigned_abs(), r.unit.name());
    let s = if n == 1 { "" } else { "s" };
    match r.n {
        0 => anchor.to_owned(),
        ..0 => format!("{n} {unit}{s} before {anchor}"),
        _ => format!("{n} {unit}{s} after {anchor}"),
    }
}
