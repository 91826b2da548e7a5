//! A condition as a sentence, in Chinese or English, with the catalogue's names.
//!
//! NOT is pushed down to the clauses (which keeps three-valued logic as it is), so that a sentence says "is below ¥80"
//! and never "it is not the case that …".

mod en;
mod zh;

use crate::{
    date::DateValue,
    eval::{Members, Value},
    number::micros_text,
    tree::{Condition, Leaf, Literal, Node},
    types::{Catalogue, TagInfo, TagType},
};
use kairos_model::{CellId, Currency, LocalDay, Money};

/// Language of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    Zh,
    En,
}

/// The whole condition as one sentence: `消费不低于80元，且没有彩铃。` / `ARPU is at least ¥80 and has no ring-back tone.`
pub fn explain(condition: &Condition, catalogue: &dyn Catalogue, lang: Lang) -> String {
    let said = say(condition.root(), &Speaker { catalogue, as_of: None }, lang, false, None);
    match lang {
        Lang::Zh => format!("{said}。"),
        Lang::En => {
            let mut chars = said.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(chars).chain(['.']).collect()
        }
    }
}

/// One clause without its place in the tree: `消费不低于80元` / `ARPU is at least ¥80`. With `as_of`, relative days are
/// followed by the day that they mean.
pub fn explain_clause(leaf: &Leaf, catalogue: &dyn Catalogue, lang: Lang, as_of: Option<LocalDay>) -> String {
    clause(leaf, &Speaker { catalogue, as_of }, lang)
}

/// Where names come from.
struct Speaker<'a> {
    catalogue: &'a dyn Catalogue,
    as_of: Option<LocalDay>,
}

fn clause(leaf: &Leaf, speaker: &Speaker<'_>, lang: Lang) -> String {
    match lang {
        Lang::Zh => zh::leaf(leaf, speaker),
        Lang::En => en::leaf(leaf, speaker),
    }
}

/// `outer`: the joint around this node, true = AND; a group with the same joint needs no parentheses.
fn say(n: &Node, speaker: &Speaker<'_>, lang: Lang, negated: bool, outer: Option<bool>) -> String {
    let (members, and) = match n {
        Node::Leaf(l) if negated => return clause(&l.negate(), speaker, lang),
        Node::Leaf(l) => return clause(l, speaker, lang),
        Node::Not(inner) => return say(inner, speaker, lang, !negated, outer),
        // De Morgan
        Node::And(all) => (all, !negated),
        Node::Or(all) => (all, negated),
    };
    let joint = match (lang, and) {
        (Lang::Zh, _) if members.is_empty() => return if and { "所有客户" } else { "没有客户" }.into(),
        (Lang::En, _) if members.is_empty() => return if and { "everyone" } else { "nobody" }.into(),
        (Lang::Zh, true) => "，且",
        (Lang::Zh, false) => "，或",
        (Lang::En, true) => " and ",
        (Lang::En, false) => " or ",
    };
    let said: Vec<String> = members.iter().map(|m| say(m, speaker, lang, negated, Some(and))).collect();
    let said = said.join(joint);
    match lang {
        _ if outer.is_none_or(|o| o == and) => said,
        Lang::Zh => format!("（{said}）"),
        Lang::En => format!("({said})"),
    }
}

impl Speaker<'_> {
    fn tag(&self, id: &str) -> Option<&TagInfo> {
        self.catalogue.tag(id)
    }
    /// The tag's name; its id where the catalogue has none.
    fn name<'a>(&'a self, id: &'a str, lang: Lang) -> &'a str {
        let name = self.tag(id).map(|t| match lang {
            Lang::Zh => t.zh.as_str(),
            Lang::En => t.en.as_str(),
        });
        name.filter(|n| !n.is_empty()).unwrap_or(id)
    }
    /// The label of a value; the value itself where there is none.
    fn label<'a>(&'a self, id: &str, value: &'a str, lang: Lang) -> &'a str {
        self.own_label(id, value, lang).unwrap_or(value)
    }
    fn own_label(&self, id: &str, value: &str, lang: Lang) -> Option<&str> {
        let label = self.tag(id)?.label_of(value)?;
        let name = match lang {
            Lang::Zh => label.zh.as_str(),
            Lang::En => label.en.as_str(),
        };
        Some(name).filter(|n| !n.is_empty())
    }
    fn area<'a>(&'a self, id: &'a str, lang: Lang) -> &'a str {
        let name = self.catalogue.area(id).map(|n| if lang == Lang::Zh { n.zh.as_str() } else { n.en.as_str() });
        name.filter(|n| !n.is_empty()).unwrap_or(id)
    }
    fn list<'a>(&'a self, id: &'a str, lang: Lang) -> &'a str {
        let name = self.catalogue.list(id).map(|n| if lang == Lang::Zh { n.zh.as_str() } else { n.en.as_str() });
        name.filter(|n| !n.is_empty()).unwrap_or(id)
    }
    fn value(&self, tag: &str, v: &Literal, lang: Lang) -> String {
        match (v, lang) {
            (Literal::Bool(true), Lang::Zh) => "是".into(),
            (Literal::Bool(false), Lang::Zh) => "否".into(),
            (Literal::Bool(true), Lang::En) => "yes".into(),
            (Literal::Bool(false), Lang::En) => "no".into(),
            (Literal::Int(n), _) => n.to_string(),
            (Literal::Cell(CellId(n)), _) => n.to_string(),
            (Literal::Decimal(n), _) => micros_text(*n),
            (Literal::Money(m), _) => money(*m, lang),
            (Literal::Text(t), Lang::Zh) => format!("“{t}”"),
            (Literal::Text(t), Lang::En) => format!("“{t}”"),
            (Literal::Enum(w), _) => self.label(tag, w, lang).to_owned(),
            (Literal::Duration(s), Lang::Zh) => zh::duration(*s),
            (Literal::Duration(s), Lang::En) => en::duration(*s),
            (Literal::Date(d), _) => self.day(*d, lang),
        }
    }
    fn day(&self, d: DateValue, lang: Lang) -> String {
        let said = match (d, lang) {
            (DateValue::On(day), Lang::Zh) => zh::day(day),
            (DateValue::On(day), Lang::En) => day.to_string(),
            (DateValue::Relative(r), Lang::Zh) => zh::relative(r),
            (DateValue::Relative(r), Lang::En) => en::relative(r),
        };
        match (self.as_of, d, lang) {
            (Some(as_of), DateValue::Relative(r), Lang::Zh) => format!("{said}（{}）", zh::day(r.resolve(as_of))),
            (Some(as_of), DateValue::Relative(r), Lang::En) => format!("{said} ({})", r.resolve(as_of)),
            _ => said,
        }
    }
}

fn money(m: Money, lang: Lang) -> String {
    let amount = micros_text(m.micros);
    match (lang, m.currency == Currency::CNY) {
        (Lang::Zh, true) => format!("{amount}元"),
        (Lang::En, true) => match amount.strip_prefix('-') {
            Some(rest) => format!("-¥{rest}"),
            None => format!("¥{amount}"),
        },
        (_, false) => format!("{amount} {}", m.currency),
    }
}

/// A value seen on a subscriber, for a trace.
pub(crate) fn seen(tag: &str, ty: &TagType, v: Value<'_>, catalogue: &dyn Catalogue, lang: Lang) -> String {
    let speaker = Speaker { catalogue, as_of: None };
    let unknown = || if lang == Lang::Zh { "未知" } else { "unknown" }.to_owned();
    let literal = match (v, ty) {
        (Value::Bool(b), _) => Literal::Bool(b),
        (Value::Int(n), _) => Literal::Int(n),
        (Value::Micros(n), TagType::Money(c)) => Literal::Money(Money::micros(n, *c)),
        (Value::Micros(n), _) => Literal::Decimal(n),
        (Value::Seconds(n), _) => Literal::Duration(n),
        (Value::Text(t), TagType::Enum { .. }) => Literal::Enum(t.to_owned()),
        (Value::Text(t), _) => Literal::Text(t.to_owned()),
        (Value::Day(d), _) => Literal::Date(DateValue::On(d)),
        (Value::Cell(c), _) => Literal::Cell(c),
        (Value::Code(c), ty) => match ty.word(c) {
            Some(word) => Literal::Enum(word.to_owned()),
            None => return unknown(),
        },
        (Value::Set(members), ty) => return set(tag, ty, members, &speaker, lang),
        (Value::Null, _) => return unknown(),
    };
    speaker.value(tag, &literal, lang)
}

fn set(tag: &str, ty: &TagType, members: Members<'_>, speaker: &Speaker<'_>, lang: Lang) -> String {
    let words: Vec<&str> = match members {
        Members::Words(all) => all.to_vec(),
        Members::Strings(all) => all.iter().map(String::as_str).collect(),
        Members::Bits(bits) => {
            let codes = (0..bits.len() * 64).filter(|i| bits[i / 64] >> (i % 64) & 1 == 1);
            codes.filter_map(|i| ty.word(i as u32)).collect()
        }
    };
    if words.is_empty() {
        return if lang == Lang::Zh { "（空）" } else { "(empty)" }.into();
    }
    let said: Vec<&str> = words.iter().map(|w| speaker.label(tag, w, lang)).collect();
    said.join(if lang == Lang::Zh { "、" } else { ", " })
}
