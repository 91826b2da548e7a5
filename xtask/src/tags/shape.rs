//! The shape of a tag: its definition without constants, windows, services, names and cosmetic functions.
//!
//! Column names of a source are replaced by what they stand for, at every depth of its query, so that two tags cannot
//! differ by a name alone. Tables and what a query groups by stay: a count of calls and a count of orders are two kinds.

use super::{File, Tag};
use std::collections::BTreeMap;

/// A definition in pieces: small letters, `N` for a number, `S` for a text.
type Tokens = Vec<String>;

/// Names replaced at most so deep; queries nest three levels.
const DEPTH_MAX: usize = 8;
/// Longest shape, in pieces.
const TOKENS_MAX: usize = 4_000;
/// Columns of bills that are one service each, and measures of use that go with one.
const SERVICES: [&str; 5] = ["voice", "data", "messages", "services", "rental"];
const MEASURES: [&str; 2] = ["duration_s", "bytes"];
/// Functions that only tidy a value up, and types of casts.
const COSMETIC: [&str; 4] = ["round", "coalesce", "nullif", "cast"];
const TYPES: [&str; 5] = ["double", "bigint", "int", "date", "decimal"];
const WINDOWS: [&str; 3] = ["month_start", "month_date", "day_start"];

struct Query {
    /// What each column name stands for, outermost first.
    columns: Vec<(String, Tokens)>,
    /// Tables and columns grouped by.
    over: String,
}

pub(crate) struct Shapes<'a> {
    tags: BTreeMap<&'a str, &'a Tag>,
    sources: BTreeMap<&'a str, Query>,
}

impl<'a> Shapes<'a> {
    pub(crate) fn of(all: &'a File) -> Self {
        let sources = all.source.iter().map(|s| (s.id.as_str(), query(&tokens(&s.sql)))).collect();
        Self { tags: all.tag.iter().map(|t| (t.id.as_str(), t)).collect(), sources }
    }

    /// The shape of a tag; of one that does not exist its name.
    pub(crate) fn tag(&self, id: &str) -> String {
        self.deep(id, 0)
    }

    fn deep(&self, id: &str, depth: usize) -> String {
        let Some(t) = self.tags.get(id).filter(|_| depth < DEPTH_MAX) else { return id.to_owned() };
        match (&t.condition, &t.sql, &t.value, t.from.as_deref().and_then(|f| self.sources.get(f))) {
            (Some(c), ..) => self.condition(&tokens(c), depth),
            (_, Some(sql), ..) => normal(&tokens(sql)),
            (_, _, Some(value), Some(q)) => {
                format!("{} over {}", normal(&expanded(&tokens(value), &q.columns, 0)), q.over)
            }
            (_, _, value, _) => value.clone().unwrap_or_default(),
        }
    }

    /// A condition with each tag replaced by its own shape.
    fn condition(&self, all: &[String], depth: usize) -> String {
        let mut out: Tokens = Vec::new();
        let (mut i, mut list) = (0, false);
        while i < all.len() {
            let t = all[i].as_str();
            let before = out.last().map_or("", String::as_str);
            if list {
                list = t != ")";
            } else if matches!(before, "in" | "any" | "all" | "none") && t == "(" {
                list = true;
                out.push("S".into());
            } else if self.tags.contains_key(t) && !matches!(before, "=" | "has") {
                out.push(format!("{{{}}}", self.deep(t, depth + 1)));
            } else if matches!(before, "=" | "<>" | "has") && word(t) && !matches!(t, "any" | "all" | "none") {
                out.push("S".into());
            } else if before == "N" && word(t) && !matches!(t, "and" | "or") {
                // a unit
            } else {
                out.push(compared(t).to_owned());
            }
            i += 1;
        }
        out.join(" ")
    }
}

fn word(t: &str) -> bool {
    t.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}

fn compared(t: &str) -> &str {
    if matches!(t, "<" | "<=" | ">" | ">=") { "<" } else { t }
}

/// Words, numbers as `N`, texts as `S`, and single signs; comparisons of two signs stay together.
fn tokens(text: &str) -> Tokens {
    let (text, mut out) = (text.to_lowercase(), Vec::new());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let run = |f: &dyn Fn(char) -> bool| rest.find(|c| !f(c)).unwrap_or(rest.len());
        let len = match c {
            c if c.is_whitespace() => c.len_utf8(),
            '\'' | '"' => {
                out.push("S".to_owned());
                rest[1..].find(c).map_or(rest.len(), |end| end + 2)
            }
            c if c.is_ascii_digit() => {
                out.push("N".to_owned());
                run(&|c| c.is_ascii_digit() || c == '.')
            }
            c if c.is_alphabetic() || c == '_' => {
                let n = run(&|c| c.is_alphanumeric() || c == '_');
                out.push(rest[..n].to_owned());
                n
            }
            _ => {
                let two = ["<=", ">=", "<>", "<<", "||", "!="].iter().any(|t| rest.starts_with(t));
                let n = if two { 2 } else { c.len_utf8() };
                out.push(rest[..n].to_owned());
                n
            }
        };
        rest = &rest[len..];
    }
    out
}

/// Every `expression as name` of every select list, the tables, and what is grouped by.
fn query(all: &[String]) -> Query {
    let (mut columns, mut over) = (Vec::new(), Vec::new());
    for (i, t) in all.iter().enumerate() {
        match t.as_str() {
            "select" => columns.extend(items(&all[i + 1..])),
            "from" | "join" => over.extend(all.get(i + 1).filter(|t| word(t)).cloned()),
            "by" if i > 0 && all[i - 1] == "group" => {
                let end = |t: &String| matches!(t.as_str(), ")" | "having" | "order");
                let names = all[i + 1..].iter().take_while(|t| !end(t));
                over.extend(names.filter(|t| word(t) && t.as_str() != "subscriber" && t.len() > 1).cloned());
            }
            _ => {}
        }
    }
    over.sort();
    over.dedup();
    Query { columns, over: over.join(",") }
}

/// The named items of a select list that begins here.
fn items(all: &[String]) -> Vec<(String, Tokens)> {
    let (mut out, mut depth, mut item): (Vec<_>, usize, Tokens) = (Vec::new(), 0, Vec::new());
    let mut close = |item: &mut Tokens| {
        if let [expression @ .., r#as, name] = item.as_slice()
            && r#as == "as"
            && word(name)
        {
            out.push((name.clone(), expression.to_vec()));
        }
        item.clear();
    };
    for t in all {
        match t.as_str() {
            "(" => depth += 1,
            ")" if depth == 0 => break,
            ")" => depth -= 1,
            "," if depth == 0 => {
                close(&mut item);
                continue;
            }
            "from" if depth == 0 => break,
            _ => {}
        }
        item.push(t.clone());
    }
    close(&mut item);
    out
}

/// Column names replaced by what they stand for.
fn expanded(all: &[String], columns: &[(String, Tokens)], depth: usize) -> Tokens {
    let mut out: Tokens = Vec::new();
    for (i, t) in all.iter().enumerate() {
        let next = all.get(i + 1).map_or("", String::as_str);
        if next == "." || t == "." {
            continue;
        }
        let meant = columns.iter().find(|(name, what)| name == t && !what.contains(t));
        match meant.filter(|_| word(t) && next != "(" && depth < DEPTH_MAX && out.len() < TOKENS_MAX) {
            Some((_, what)) => {
                out.push("(".into());
                out.extend(expanded(what, columns, depth + 1));
                out.push(")".into());
            }
            None => out.push(t.clone()),
        }
    }
    out
}

/// Without windows, constants, services, cosmetic functions and parentheses.
fn normal(all: &[String]) -> String {
    let at = |i: usize| all.get(i).map_or("", String::as_str);
    let mut out: Vec<&str> = Vec::new();
    let mut i = 0;
    while i < all.len() {
        let (t, next) = (at(i), at(i + 1));
        if WINDOWS.contains(&t) && next == "(" {
            out.push("W");
            i += 4;
            continue;
        }
        // a list of constants: `in (…)` is `=` with more of them
        if t == "in" && next == "(" {
            let end = all[i..].iter().position(|t| t == ")").map_or(all.len(), |n| i + n);
            out.extend(["=", "S"]);
            i = end + 1;
            continue;
        }
        if t == "as" && TYPES.contains(&next) {
            i += if next == "decimal" { 7 } else { 2 };
            continue;
        }
        if t == "," && matches!(next, "N") && at(i + 2) == ")" {
            i += 2;
            continue;
        }
        let kept = match t {
            "(" | ")" => None,
            t if COSMETIC.contains(&t) && next == "(" => None,
            t if SERVICES.contains(&t) => Some("service"),
            t if MEASURES.contains(&t) => Some("measure"),
            t => Some(compared(t)),
        };
        out.extend(kept);
        i += 1;
    }
    out.join(" ")
}
