//! Seeded random conditions and rows, by which the back ends are held equal to each other (row, SQL, bitmap).
//!
//! The same seed gives the same condition and row in every process. Values in conditions and rows come from the same
//! small pools, so that equalities, range ends, the limits of i64, nulls and empty lists are all hit often.

use crate::{
    date::{Anchor, DateUnit, DateValue, Relative},
    eval::{Compiled, Facts, Members, Value},
    tree::{Cmp, Condition, HasMode, Leaf, Literal, Node, TagLeaf, Test},
    types::{Catalogue, MemoryCatalogue, Named, TagInfo, TagType},
};
use kairos_model::{CellId, Currency, LocalDay, Money, hash};
use std::collections::{BTreeMap, BTreeSet};

/// The day about which the pools of days lie: 2026-03-01.
pub const AS_OF: LocalDay = LocalDay(20_513);

const INTS: [i64; 9] = [i64::MIN, -500, -1, 0, 1, 2, 100, 500, i64::MAX];
/// Millionths; ±(10^18 − 1) are the ends of an 18-digit decimal column.
const MICROS: [i64; 12] = [
    i64::MIN,
    -999_999_999_999_999_999,
    -12_500_000,
    -1,
    0,
    1,
    500_000,
    80_000_000,
    80_000_001,
    120_000_000,
    999_999_999_999_999_999,
    i64::MAX,
];
const SECONDS: [i64; 9] = [i64::MIN, -60, 0, 1, 59, 300, 7_200, 86_400, i64::MAX];
const DAYS: [i32; 10] = [-20_513, -3_000, -90, -59, -31, -1, 0, 1, 31, 400];
const CELLS: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, u32::MAX];
const TEXTS: [&str; 13] =
    ["", "a", "A", "ab", "abc", "b", "天", "天气", "气", "O'Brien \"x\"", "50%_\\", "line\nbreak", "not"];
/// Members of a set whose vocabulary is open.
const WORDS: [&str; 4] = ["red", "blue", "绿", "not so"];

/// A catalogue with every type, areas (one without a cell) and lists (one without a subscriber).
pub fn catalogue() -> MemoryCatalogue {
    let ring = ["gotone", "easyown", "mzone"];
    let tags = vec![
        TagInfo::new("ring_back_tone", "彩铃", "ring-back tone", TagType::Bool),
        TagInfo::new("senior", "老年", "senior", TagType::Bool).label("true", "是老年客户", "is a senior").label(
            "false",
            "不是老年客户",
            "is not a senior",
        ),
        TagInfo::new("calls", "通话次数", "number of calls", TagType::Int),
        TagInfo::new("data_mb", "流量", "data volume", TagType::Decimal),
        TagInfo::new("arpu", "消费", "ARPU", TagType::Money(Currency::CNY)),
        TagInfo::new("roaming_fee", "漫游费", "roaming fee", TagType::Money(Currency::USD)),
        TagInfo::new("plan", "套餐", "plan", TagType::Text),
        TagInfo::new("brand", "品牌", "brand", TagType::enumeration(ring))
            .label("gotone", "全球通", "GoTone")
            .label("easyown", "神州行", "EasyOwn")
            .label("mzone", "动感地带", "M-Zone"),
        TagInfo::new("gender", "性别", "gender", TagType::enumeration(["M", "F", "not said", "today"])),
        TagInfo::new("interests", "兴趣", "interests", TagType::set(["music", "reading", "sport", "any"]))
            .label("music", "音乐", "music")
            .label("reading", "阅读", "reading"),
        TagInfo::new("colours", "颜色", "colours", TagType::set::<String>([])),
        TagInfo::new("joined", "入网日期", "join date", TagType::Date),
        TagInfo::new("call_length", "平均通话时长", "mean call length", TagType::Duration),
        TagInfo::new("home_cell", "居住小区", "home cell", TagType::Cell),
    ];
    let areas = [("campus", "校园"), ("airport", "机场"), ("nowhere", "无处")].map(|(id, zh)| Named::new(id, zh, id));
    let lists = [("owners", "彩铃用户"), ("no one", "无人")].map(|(id, zh)| Named::new(id, zh, id));
    MemoryCatalogue::new(tags, areas.into(), lists.into())
}

/// The cells of an area of [`catalogue`]; none for other names.
pub fn area_cells(area: &str) -> &'static [CellId] {
    match area {
        "campus" => &[CellId(1), CellId(2), CellId(3)],
        "airport" => &[CellId(3), CellId(4), CellId(u32::MAX)],
        _ => &[],
    }
}

/// A value that owns its texts. Enums are words.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedValue {
    Null,
    Bool(bool),
    Int(i64),
    /// Decimal and money.
    Micros(i64),
    Seconds(i64),
    /// Text and enum.
    Text(String),
    Set(Vec<String>),
    Day(LocalDay),
    Cell(CellId),
}

impl OwnedValue {
    pub fn borrow(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(n) => Value::Int(*n),
            Self::Micros(n) => Value::Micros(*n),
            Self::Seconds(n) => Value::Seconds(*n),
            Self::Text(t) => Value::Text(t),
            Self::Set(all) => Value::Set(Members::Strings(all)),
            Self::Day(d) => Value::Day(*d),
            Self::Cell(c) => Value::Cell(*c),
        }
    }
}

/// One subscriber: a value for each tag of the catalogue and the lists that name them.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub values: BTreeMap<String, OwnedValue>,
    pub lists: BTreeSet<String>,
}

/// A [`Row`] seen through the indices of one compiled condition; areas are those of [`area_cells`].
pub struct RowFacts<'a> {
    values: Vec<Value<'a>>,
    lists: Vec<bool>,
    areas: Vec<&'static [CellId]>,
}

impl Row {
    pub fn facts(&self, compiled: &Compiled) -> RowFacts<'_> {
        let value = |id: &str| self.values.get(id).map_or(Value::Null, OwnedValue::borrow);
        RowFacts {
            values: compiled.tags().iter().map(|t| value(&t.id)).collect(),
            lists: compiled.lists().iter().map(|l| self.lists.contains(l)).collect(),
            areas: compiled.areas().iter().map(|a| area_cells(a)).collect(),
        }
    }
}

impl Facts for RowFacts<'_> {
    fn value(&self, tag: usize) -> Value<'_> {
        self.values.get(tag).copied().unwrap_or(Value::Null)
    }
    fn in_list(&self, list: usize) -> bool {
        self.lists.get(list).copied().unwrap_or(false)
    }
    fn in_area(&self, area: usize, cell: CellId) -> bool {
        self.areas.get(area).is_some_and(|cells| cells.contains(&cell))
    }
}

/// A stream of draws from one seed.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        hash::mix(self.0)
    }
    /// Uniform below `n`; 0 for `n` = 0.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A well-typed condition of 1 to `clauses_max` clauses over `catalogue`.
pub fn condition(seed: u64, clauses_max: usize, catalogue: &dyn Catalogue) -> Condition {
    let mut maker = Maker {
        draw: Draw(hash::salted(0x5255_4c45_5343_4f4e, seed)),
        tags: catalogue.tags().collect(),
        areas: catalogue.areas().map(|n| n.id.as_str()).collect(),
        lists: catalogue.lists().map(|n| n.id.as_str()).collect(),
    };
    let clauses = 1 + maker.draw.below(clauses_max.clamp(1, crate::limits::CLAUSES_MAX));
    let root = maker.node(clauses, 0);
    // every leaf is made from the catalogue's own names and types, and depth and clauses are bounded above
    Condition::from_node(&root, catalogue).expect("the generator makes well-typed conditions")
}

struct Maker<'a> {
    draw: Draw,
    tags: Vec<&'a TagInfo>,
    areas: Vec<&'a str>,
    lists: Vec<&'a str>,
}

impl Maker<'_> {
    fn node(&mut self, clauses: usize, depth: usize) -> Node {
        let mut n = if clauses <= 1 { self.leaf() } else { self.group(clauses, depth) };
        while depth < 20 && self.draw.chance(4) {
            n = Node::Not(Box::new(n));
            if self.draw.chance(2) {
                break;
            }
        }
        n
    }
    fn group(&mut self, clauses: usize, depth: usize) -> Node {
        let members = 2 + self.draw.below(clauses.min(5) - 1);
        // past this depth a flat group, so that no chain of groups passes the limit
        let members = if depth >= 10 { clauses } else { members.min(clauses) };
        let mut sizes = vec![1usize; members];
        for _ in members..clauses {
            let i = self.draw.below(members);
            sizes[i] += 1;
        }
        let all = sizes.into_iter().map(|size| self.node(size, depth + 1)).collect();
        if self.draw.chance(2) { Node::And(all) } else { Node::Or(all) }
    }
    fn leaf(&mut self) -> Node {
        if self.tags.is_empty() || self.draw.chance(40) {
            return if self.draw.chance(2) { Node::And(Vec::new()) } else { Node::Or(Vec::new()) };
        }
        let negated = self.draw.chance(2);
        if !self.lists.is_empty() && self.draw.chance(14) {
            let list = self.draw.of(&self.lists).to_owned();
            return Node::Leaf(Leaf::InList { list, negated });
        }
        let tag = self.draw.of(&self.tags);
        let test = self.test(tag, negated);
        Node::Leaf(Leaf::Tag(TagLeaf { tag: tag.id.clone(), ty: tag.ty.clone(), test }))
    }
    fn test(&mut self, tag: &TagInfo, negated: bool) -> Test {
        if self.draw.chance(8) {
            return if negated { Test::Unknown } else { Test::Known };
        }
        let equal = if negated { Cmp::Ne } else { Cmp::Eq };
        match &tag.ty {
            TagType::Bool => Test::Compare(equal, Literal::Bool(self.draw.chance(2))),
            TagType::Set { .. } => {
                let values: Vec<String> = (0..self.draw.below(4)).map(|_| word(&mut self.draw, &tag.ty)).collect();
                let any = values.len() == 1 || self.draw.chance(2);
                Test::Has { mode: if any { HasMode::Any } else { HasMode::All }, values, negated }
            }
            ty => match self.draw.below(6) {
                0 if matches!(ty, TagType::Cell) && !self.areas.is_empty() => {
                    Test::InArea { area: self.draw.of(&self.areas).to_owned(), negated }
                }
                0 if *ty == TagType::Text => Test::StartsWith { prefix: self.draw.of(&TEXTS).to_owned(), negated },
                1 if *ty == TagType::Text => Test::Contains { part: self.draw.of(&TEXTS).to_owned(), negated },
                2 => {
                    let values = (0..self.draw.below(4)).map(|_| literal(&mut self.draw, ty)).collect();
                    Test::In { values, negated }
                }
                3 if !matches!(ty, TagType::Enum { .. } | TagType::Cell) => {
                    Test::Between { low: literal(&mut self.draw, ty), high: literal(&mut self.draw, ty), negated }
                }
                _ if matches!(ty, TagType::Enum { .. } | TagType::Cell) => {
                    Test::Compare(equal, literal(&mut self.draw, ty))
                }
                _ => Test::Compare(self.draw.of(&Cmp::ALL), literal(&mut self.draw, ty)),
            },
        }
    }
}

fn word(draw: &mut Draw, ty: &TagType) -> String {
    match ty {
        TagType::Enum { values } | TagType::Set { values } if !values.is_empty() => {
            values[draw.below(values.len())].clone()
        }
        _ => draw.of(&WORDS).to_owned(),
    }
}

fn day(draw: &mut Draw) -> LocalDay {
    AS_OF.plus_days(draw.of(&DAYS))
}

fn literal(draw: &mut Draw, ty: &TagType) -> Literal {
    match ty {
        TagType::Bool => Literal::Bool(draw.chance(2)),
        TagType::Int => Literal::Int(draw.of(&INTS)),
        TagType::Decimal => Literal::Decimal(draw.of(&MICROS)),
        TagType::Money(currency) => Literal::Money(Money::micros(draw.of(&MICROS), *currency)),
        TagType::Text => Literal::Text(draw.of(&TEXTS).to_owned()),
        TagType::Enum { .. } | TagType::Set { .. } => Literal::Enum(word(draw, ty)),
        TagType::Duration => Literal::Duration(draw.of(&SECONDS)),
        TagType::Cell => Literal::Cell(CellId(draw.of(&CELLS))),
        TagType::Date if draw.chance(2) => Literal::Date(DateValue::On(day(draw))),
        TagType::Date => {
            let anchors = [
                Anchor::Today,
                Anchor::Today,
                Anchor::StartOfWeek,
                Anchor::StartOfMonth,
                Anchor::StartOfQuarter,
                Anchor::StartOfYear,
            ];
            let unit = draw.of(&[DateUnit::Day, DateUnit::Week, DateUnit::Month, DateUnit::Year]);
            let n = draw.of(&[0, 0, -1, 1, -2, -30, 31, unit.max(), -unit.max()]);
            let made = Relative::new(draw.of(&anchors), n.clamp(-unit.max(), unit.max()), unit);
            Literal::Date(made.map_or(DateValue::TODAY, DateValue::Relative))
        }
    }
}

/// A value for every tag of the catalogue, one in five NULL, decimals and money within ±`micros_max` (a column of 18
/// digits holds 999,999,999,999,999,999), and any of its lists but `no one`.
pub fn row(seed: u64, micros_max: i64, catalogue: &dyn Catalogue) -> Row {
    let mut draw = Draw(hash::salted(0x5255_4c45_5352_4f57, seed));
    let values = catalogue.tags().map(|t| (t.id.clone(), value(&mut draw, micros_max, &t.ty))).collect();
    let lists = catalogue.lists().map(|n| n.id.clone());
    let lists = lists.filter(|id| id != "no one" && draw.chance(2)).collect();
    Row { values, lists }
}

fn value(draw: &mut Draw, micros_max: i64, ty: &TagType) -> OwnedValue {
    if draw.chance(5) {
        return OwnedValue::Null;
    }
    match ty {
        TagType::Bool => OwnedValue::Bool(draw.chance(2)),
        TagType::Int => OwnedValue::Int(draw.of(&INTS)),
        TagType::Decimal | TagType::Money(_) => {
            let n = draw.of(&MICROS);
            OwnedValue::Micros(if n.unsigned_abs() > micros_max.unsigned_abs() { n.signum() * micros_max } else { n })
        }
        TagType::Text => OwnedValue::Text(draw.of(&TEXTS).to_owned()),
        TagType::Enum { .. } => OwnedValue::Text(word(draw, ty)),
        TagType::Set { .. } => {
            let all: BTreeSet<String> = (0..draw.below(4)).map(|_| word(draw, ty)).collect();
            OwnedValue::Set(all.into_iter().collect())
        }
        TagType::Date => OwnedValue::Day(day(draw)),
        TagType::Duration => OwnedValue::Seconds(draw.of(&SECONDS)),
        TagType::Cell => OwnedValue::Cell(CellId(draw.of(&CELLS))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let c = catalogue();
        assert_eq!(AS_OF.to_string(), "2026-03-01");
        assert_eq!(condition(7, 6, &c), condition(7, 6, &c));
        assert_eq!(row(7, i64::MAX, &c), row(7, i64::MAX, &c));
        assert_ne!(row(7, i64::MAX, &c), row(8, i64::MAX, &c));
    }
}
