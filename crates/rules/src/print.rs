//! The canonical text of a tree.

use crate::{
    number::{duration_text, micros_text, money_name},
    tree::{Cmp, HasMode, Leaf, Literal, Node, TagLeaf, Test},
    types::{NO_BARE, is_word},
};

pub(crate) fn text(root: &Node) -> String {
    let mut out = String::new();
    node(&mut out, root, true);
    out
}

fn node(out: &mut String, n: &Node, root: bool) {
    let (members, joint) = match n {
        Node::Leaf(l) => return write_leaf(out, l),
        Node::Not(inner) => {
            out.push_str("not ");
            return node(out, inner, false);
        }
        Node::And(all) if all.is_empty() => return out.push_str("everyone"),
        Node::Or(all) if all.is_empty() => return out.push_str("nobody"),
        Node::And(all) => (all, " and "),
        Node::Or(all) => (all, " or "),
    };
    // a group of one has no form of its own: parentheses alone would vanish
    if !root {
        out.push('(');
    }
    for (i, m) in members.iter().enumerate() {
        if i > 0 {
            out.push_str(joint);
        }
        node(out, m, false);
    }
    if !root {
        out.push(')');
    }
}

fn write_leaf(out: &mut String, leaf: &Leaf) {
    match leaf {
        Leaf::InList { list, negated } => {
            out.push_str(if *negated { "subscriber not in list " } else { "subscriber in list " });
            out.push_str(&word(list));
        }
        Leaf::Tag(t) => tag_leaf(out, t),
    }
}

fn tag_leaf(out: &mut String, t: &TagLeaf) {
    out.push_str(&t.tag);
    let not = |negated: &bool| if *negated { " not" } else { "" };
    let rest = match &t.test {
        Test::Known => " is known".to_owned(),
        Test::Unknown => " is unknown".to_owned(),
        Test::Compare(Cmp::Eq, Literal::Bool(true)) => String::new(),
        Test::Compare(cmp, value) => format!(" {} {}", operator(*cmp, value), literal(value)),
        Test::Between { low, high, negated } => {
            format!("{} between {} and {}", not(negated), literal(low), literal(high))
        }
        Test::In { values, negated } => format!("{} in ({})", not(negated), commas(values.iter().map(literal))),
        Test::StartsWith { prefix, negated } => format!("{} starts with {}", not(negated), quoted(prefix)),
        Test::Contains { part, negated } => format!("{} contains {}", not(negated), quoted(part)),
        Test::Has { mode, values, negated } => has(*mode, values, *negated),
        Test::InArea { area, negated } => format!("{} in area {}", not(negated), word(area)),
    };
    out.push_str(&rest);
}

fn has(mode: HasMode, values: &[String], negated: bool) -> String {
    match (mode, values, negated) {
        (HasMode::Any, [one], false) => format!(" has {}", word(one)),
        (HasMode::Any, _, false) => format!(" has any ({})", commas(values.iter().map(|v| word(v)))),
        (HasMode::Any, _, true) => format!(" has none ({})", commas(values.iter().map(|v| word(v)))),
        (HasMode::All, _, false) => format!(" has all ({})", commas(values.iter().map(|v| word(v)))),
        (HasMode::All, _, true) => format!(" not has all ({})", commas(values.iter().map(|v| word(v)))),
    }
}

fn operator(cmp: Cmp, value: &Literal) -> &'static str {
    match (value, cmp) {
        (Literal::Date(_), Cmp::Lt) => "before",
        (Literal::Date(_), Cmp::Gt) => "after",
        (Literal::Date(_), Cmp::Eq) => "on",
        (_, cmp) => cmp.symbol(),
    }
}

fn commas(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// A value in canonical text.
pub(crate) fn literal(value: &Literal) -> String {
    match value {
        Literal::Bool(b) => b.to_string(),
        Literal::Int(n) => n.to_string(),
        Literal::Decimal(micros) => micros_text(*micros),
        Literal::Money(m) => format!("{} {}", micros_text(m.micros), money_name(m.currency)),
        Literal::Text(t) => quoted(t),
        Literal::Enum(w) => word(w),
        Literal::Date(d) => d.to_string(),
        Literal::Duration(s) => duration_text(*s),
        Literal::Cell(c) => c.0.to_string(),
    }
}

/// A word bare where it can be, else quoted.
pub(crate) fn word(w: &str) -> String {
    if is_word(w) && !NO_BARE.contains(&w.to_ascii_lowercase().as_str()) { w.to_owned() } else { quoted(w) }
}

/// A text in double quotes; `"`, `\` and control characters escaped.
pub(crate) fn quoted(t: &str) -> String {
    let mut out = String::with_capacity(t.len() + 2);
    out.push('"');
    for c in t.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// At most 40 characters, for messages.
pub(crate) fn shortened(s: &str) -> String {
    match s.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &s[..at]),
        None => s.to_owned(),
    }
}
