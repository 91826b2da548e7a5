//! The typed tree that every back end reads.

use crate::{
    date::DateValue,
    limits,
    types::{Catalogue, TagType},
};
use kairos_model::{CellId, Money, hash::FixedHasher};
use std::hash::Hasher;

/// A condition that passed the type check. Two conditions with one canonical text are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    root: Node,
    tags: Vec<TagUse>,
    areas: Vec<String>,
    lists: Vec<String>,
    text: String,
}

/// A tag that a condition reads; its place in [`Condition::tags`] is its index in [`crate::Facts::value`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagUse {
    pub id: String,
    pub ty: TagType,
}

/// SQL's three-valued AND, OR, NOT. An empty `And` is true (`everyone`), an empty `Or` false (`nobody`); no group has
/// exactly one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
}

/// One clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    Tag(TagLeaf),
    /// `subscriber [not] in list NAME`: never unknown.
    InList {
        list: String,
        negated: bool,
    },
}

/// A test on one tag's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagLeaf {
    pub tag: String,
    pub ty: TagType,
    pub test: Test,
}

/// What is asked of a value. But for `Known` and `Unknown`, and lists without members, the answer for an unknown value
/// is unknown. `negated` turns true and false round and leaves unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The value is not NULL.
    Known,
    /// The value is NULL.
    Unknown,
    /// Bool, enum and cell only with `Eq` and `Ne`; text by code points. Never a set.
    Compare(Cmp, Literal),
    /// `low <= value <= high` for int, decimal, money, text, date, duration.
    Between { low: Literal, high: Literal, negated: bool },
    /// Every type but bool and set. Without members: false (negated: true), also for NULL.
    In { values: Vec<Literal>, negated: bool },
    /// Text: the first characters.
    StartsWith { prefix: String, negated: bool },
    /// Text: somewhere inside.
    Contains { part: String, negated: bool },
    /// Set. Without members `Any` is false and `All` true (negated: the opposite), also for NULL.
    Has { mode: HasMode, values: Vec<String>, negated: bool },
    /// Cell. Unknown for NULL, even where the area has no cell.
    InArea { area: String, negated: bool },
}

/// `has any (…)` or `has all (…)`. `has x` is `Any` of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HasMode {
    Any,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A value as written, in the tag's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    Bool(bool),
    Int(i64),
    /// Millionths.
    Decimal(i64),
    Money(Money),
    Text(String),
    /// A word of the tag's vocabulary.
    Enum(String),
    Date(DateValue),
    /// Seconds.
    Duration(i64),
    Cell(CellId),
}

impl Cmp {
    pub const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
    /// The comparison that is true where this one is false.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Ge => Self::Lt,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
        }
    }
    #[inline]
    pub const fn holds(self, o: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => o.is_eq(),
            Self::Ne => o.is_ne(),
            Self::Lt => o.is_lt(),
            Self::Le => o.is_le(),
            Self::Gt => o.is_gt(),
            Self::Ge => o.is_ge(),
        }
    }
}

impl Leaf {
    /// The same clause with true and false turned round (unknown stays).
    pub fn negate(&self) -> Self {
        match self {
            Self::InList { list, negated } => Self::InList { list: list.clone(), negated: !negated },
            Self::Tag(t) => {
                let mut t = t.clone();
                match &mut t.test {
                    Test::Known => t.test = Test::Unknown,
                    Test::Unknown => t.test = Test::Known,
                    Test::Compare(cmp, _) => *cmp = cmp.opposite(),
                    Test::Between { negated, .. }
                    | Test::In { negated, .. }
                    | Test::StartsWith { negated, .. }
                    | Test::Contains { negated, .. }
                    | Test::Has { negated, .. }
                    | Test::InArea { negated, .. } => *negated = !*negated,
                }
                Self::Tag(t)
            }
        }
    }
}

impl Node {
    /// Visits the leaves from left to right.
    pub fn leaves<'a>(&'a self, visit: &mut dyn FnMut(&'a Leaf)) {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().for_each(|n| n.leaves(visit)),
            Self::Not(n) => n.leaves(visit),
            Self::Leaf(l) => visit(l),
        }
    }
    /// Groups and NOTs above the deepest leaf.
    pub fn depth(&self) -> usize {
        match self {
            Self::And(all) | Self::Or(all) => 1 + all.iter().map(Self::depth).max().unwrap_or(0),
            Self::Not(n) => 1 + n.depth(),
            Self::Leaf(_) => 0,
        }
    }
    /// A group, or its only member.
    pub(crate) fn group(and: bool, mut members: Vec<Self>) -> Self {
        match members.len() {
            1 => members.remove(0),
            _ if and => Self::And(members),
            _ => Self::Or(members),
        }
    }
    /// Clauses, `everyone` and `nobody` counted too.
    pub(crate) fn clauses(&self) -> usize {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().map(Self::clauses).sum::<usize>().max(1),
            Self::Not(n) => n.clauses(),
            Self::Leaf(_) => 1,
        }
    }
}

impl Condition {
    /// Everyone: no restriction.
    pub fn everyone() -> Self {
        Self::of(Node::And(Vec::new()))
    }
    /// A condition from a checked tree.
    pub(crate) fn of(root: Node) -> Self {
        let (mut tags, mut areas, mut lists) = (Vec::<TagUse>::new(), Vec::<String>::new(), Vec::<String>::new());
        root.leaves(&mut |leaf| match leaf {
            Leaf::InList { list, .. } => {
                if !lists.contains(list) {
                    lists.push(list.clone());
                }
            }
            Leaf::Tag(t) => {
                if !tags.iter().any(|u| u.id == t.tag) {
                    tags.push(TagUse { id: t.tag.clone(), ty: t.ty.clone() });
                }
                if let Test::InArea { area, .. } = &t.test
                    && !areas.contains(area)
                {
                    areas.push(area.clone());
                }
            }
        });
        let text = crate::print::text(&root);
        Self { root, tags, areas, lists, text }
    }
    pub fn root(&self) -> &Node {
        &self.root
    }
    /// Tags in order of first use.
    pub fn tags(&self) -> &[TagUse] {
        &self.tags
    }
    /// Areas in order of first use.
    pub fn areas(&self) -> &[String] {
        &self.areas
    }
    /// Lists in order of first use.
    pub fn lists(&self) -> &[String] {
        &self.lists
    }
    /// The canonical text: reading it gives this condition again.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// A hash of the canonical text, equal in every process and version.
    pub fn hash(&self) -> u64 {
        let mut h = FixedHasher::default();
        h.write_u64(0x434f_4e44_4954_0001);
        h.write(self.text.as_bytes());
        h.finish()
    }
    /// The tree in the shape of react-querybuilder; reading it gives this condition again.
    pub fn to_json(&self) -> serde_json::Value {
        crate::json::write(&self.root)
    }
    /// Reads and checks the text form.
    pub fn parse(text: &str, catalogue: &dyn Catalogue) -> Result<Self, crate::Problems> {
        let (raw, mut problems) = crate::parse::parse(text);
        let root = crate::check::check(raw, catalogue, &mut problems);
        Self::finish(root, problems, Some(text))
    }
    /// Reads and checks the JSON form.
    pub fn from_json(json: &serde_json::Value, catalogue: &dyn Catalogue) -> Result<Self, crate::Problems> {
        let (raw, mut problems) = crate::json::read(json);
        let root = crate::check::check(raw, catalogue, &mut problems);
        Self::finish(root, problems, None)
    }
    /// A condition from a tree that a program made; the same checks as for text.
    pub fn from_node(root: &Node, catalogue: &dyn Catalogue) -> Result<Self, crate::Problems> {
        if let Some(p) = limits::of_tree(root) {
            return Err(crate::Problems::new(vec![p], None));
        }
        Self::from_json(&crate::json::write(root), catalogue)
    }
    fn finish(root: Node, problems: Vec<crate::Problem>, text: Option<&str>) -> Result<Self, crate::Problems> {
        if problems.is_empty() { Ok(Self::of(root)) } else { Err(crate::Problems::new(problems, text)) }
    }
}
