//! Chinese phrases.

use super::{Lang, Speaker};
use crate::{
    date::{Anchor, DateUnit, Relative},
    number::duration_parts,
    tree::{Cmp, HasMode, Leaf, Literal, TagLeaf, Test},
};
use kairos_model::LocalDay;

pub(super) fn leaf(leaf: &Leaf, s: &Speaker<'_>) -> String {
    match leaf {
        Leaf::InList { list, negated } => {
            format!("{}在名单“{}”内", if *negated { "不" } else { "" }, s.list(list, Lang::Zh))
        }
        Leaf::Tag(t) => tag(t, s),
    }
}

fn tag(t: &TagLeaf, s: &Speaker<'_>) -> String {
    let name = s.name(&t.tag, Lang::Zh);
    let value = |v: &Literal| s.value(&t.tag, v, Lang::Zh);
    let no = |negated: &bool| if *negated { "不" } else { "" };
    match &t.test {
        Test::Known => format!("{name}已知"),
        Test::Unknown => format!("{name}未知"),
        Test::Compare(cmp, Literal::Bool(b)) => yes(t, s, *b == (*cmp == Cmp::Eq)),
        Test::Compare(cmp, v) => compare(name, *cmp, v, &value(v)),
        Test::Between { low, high, negated } => {
            format!("{name}{}在{}到{}之间（含两端）", no(negated), value(low), value(high))
        }
        Test::In { values, negated } if values.is_empty() => {
            let always = if *negated { "恒成立" } else { "恒不成立" };
            format!("{name}{}属于空的取值范围（{always}）", no(negated))
        }
        Test::In { values, negated } => one_of(name, &values.iter().map(value).collect::<Vec<_>>(), *negated),
        Test::StartsWith { prefix, negated } => format!("{name}{}以“{prefix}”开头", no(negated)),
        Test::Contains { part, negated } => format!("{name}{}含有“{part}”", no(negated)),
        Test::Has { mode, values, negated } => {
            let words: Vec<&str> = values.iter().map(|v| s.label(&t.tag, v, Lang::Zh)).collect();
            has(name, *mode, &words, *negated)
        }
        Test::InArea { area, negated } => format!("{name}{}在区域“{}”内", no(negated), s.area(area, Lang::Zh)),
    }
}

fn yes(t: &TagLeaf, s: &Speaker<'_>, yes: bool) -> String {
    match s.own_label(&t.tag, if yes { "true" } else { "false" }, Lang::Zh) {
        Some(label) => label.to_owned(),
        None => format!("{}{}", if yes { "有" } else { "没有" }, s.name(&t.tag, Lang::Zh)),
    }
}

fn compare(name: &str, cmp: Cmp, v: &Literal, said: &str) -> String {
    if let Literal::Text(_) = v {
        match cmp {
            Cmp::Lt => return format!("{name}按字符顺序在{said}之前"),
            Cmp::Le => return format!("{name}按字符顺序不在{said}之后"),
            Cmp::Gt => return format!("{name}按字符顺序在{said}之后"),
            Cmp::Ge => return format!("{name}按字符顺序不在{said}之前"),
            Cmp::Eq | Cmp::Ne => {}
        }
    }
    let [lt, le, gt, ge] = match v {
        Literal::Date(_) => ["早于", "不晚于", "晚于", "不早于"],
        Literal::Duration(_) => ["短于", "不长于", "长于", "不短于"],
        _ => ["低于", "不高于", "高于", "不低于"],
    };
    let verb = match cmp {
        Cmp::Eq => "为",
        Cmp::Ne => "不为",
        Cmp::Lt => lt,
        Cmp::Le => le,
        Cmp::Gt => gt,
        Cmp::Ge => ge,
    };
    format!("{name}{verb}{said}")
}

fn one_of(name: &str, values: &[String], negated: bool) -> String {
    match (values, negated) {
        ([one], false) => format!("{name}为{one}"),
        ([one], true) => format!("{name}不为{one}"),
        ([first @ .., last], false) => format!("{name}为{}或{last}", first.join("、")),
        (all, _) => format!("{name}不为{}中的任何一个", all.join("、")),
    }
}

fn has(name: &str, mode: HasMode, words: &[&str], negated: bool) -> String {
    let all = words.join("、");
    match (mode, words, negated) {
        (HasMode::Any, [], false) | (HasMode::All, [], true) => format!("{name}包含空的取值范围（恒不成立）"),
        (HasMode::All, [], false) | (HasMode::Any, [], true) => format!("{name}包含空的取值范围（恒成立）"),
        (_, [one], false) => format!("{name}包含{one}"),
        (_, [one], true) => format!("{name}不包含{one}"),
        (HasMode::Any, _, false) => format!("{name}包含{all}中的至少一项"),
        (HasMode::Any, _, true) => format!("{name}不包含{all}中的任何一项"),
        (HasMode::All, _, false) => format!("{name}同时包含{all}"),
        (HasMode::All, _, true) => format!("{name}未同时包含{all}"),
    }
}

pub(super) fn duration(seconds: i64) -> String {
    let (n, unit) = duration_parts(seconds);
    let unit = match unit {
        "d" => "天",
        "h" => "小时",
        "min" => "分钟",
        _ => "秒",
    };
    format!("{n}{unit}")
}

pub(super) fn day(d: LocalDay) -> String {
    match d.date() {
        Some(d) => format!("{}年{}月{}日", d.year(), d.month(), d.day()),
        None => d.to_string(),
    }
}

pub(super) fn relative(r: Relative) -> String {
    let anchor = match r.anchor {
        Anchor::Today => "今天",
        Anchor::StartOfWeek => "本周一",
        Anchor::StartOfMonth => "本月1日",
        Anchor::StartOfQuarter => "本季度首日",
        Anchor::StartOfYear => "今年1月1日",
    };
    if r.n == 0 {
        return anchor.to_owned();
    }
    let unit = match r.unit {
        DateUnit::Day => "天",
        DateUnit::Week => "周",
        DateUnit::Month => "个月",
        DateUnit::Year => "年",
    };
    let (n, way) = (r.n.unsigned_abs(), if r.n < 0 { "前" } else { "后" });
    match r.anchor {
        Anchor::Today => format!("{n}{unit}{way}"),
        _ => format!("{anchor}的{n}{unit}{way}"),
    }
}
