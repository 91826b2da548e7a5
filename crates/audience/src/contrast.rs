//! Reverse query (反向查询): which tags and values set a list apart from a base.

use crate::{
    column::{FlagBlock, NumberBlock, WordBlock, spread},
    error::{AskError, IndexError},
    form::{Form, Words},
    format::{self, Kind},
    funnel::count,
    index::View,
    members::Members,
    program::Machine,
    simd::{self, Level},
    stats,
};
use kairos_model::{CellId, hash::FixedMap};
use kairos_rules::TagType;
use std::ops::Range;

/// Values that fewer of the base have are not looked at: nothing could be said of them, and a tag may have millions.
pub const SUPPORT_MIN: u64 = 20;

/// What a tag can say of somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TagValue {
    Bool(bool),
    /// Of a text, enum or set.
    Word(String),
    Cell(CellId),
    /// A bin of numbers: from the first (`None`: the least) to before the second (`None`: the greatest, included).
    Bin(Option<i64>, Option<i64>),
    Unknown,
}

/// A value of a tag, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    column: usize,
    slot: Slot,
    in_set: u64,
    in_base: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    Yes,
    No,
    Unknown,
    Code(u32),
    Bin(usize),
}

/// A value that sets the list apart, or would if it were significant.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub tag: String,
    pub value: TagValue,
    /// How many of the list and of the base have the value.
    pub in_set: u64,
    pub in_base: u64,
    pub share_in_set: f64,
    pub share_in_base: f64,
    /// Share in the list ÷ share in the base.
    pub lift: f64,
    /// Natural logarithm of the two-sided p-value of list against the rest of the base.
    pub ln_p: f64,
    /// The false-discovery rate of all findings up to this one.
    pub q: f64,
    pub(crate) column: usize,
    pub(crate) slot: Slot,
}

/// A list against a base, ready to be counted by ranges of columns (by several threads, if the caller likes).
pub struct Contrast<'a> {
    view: View<'a>,
    set: Vec<Words>,
    base: Vec<Words>,
    sizes: Pair,
}

/// How many of the list, and of the base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) set: u64,
    pub(crate) base: u64,
}

impl Pair {
    fn add(&mut self, o: Self) {
        self.set += o.set;
        self.base += o.base;
    }
    fn less(self, o: Self) -> Self {
        Self { set: self.set.saturating_sub(o.set), base: self.base.saturating_sub(o.base) }
    }
}

impl<'a> Contrast<'a> {
    /// Of the list only members of the base count.
    ///
    /// Errors: a list of which nobody or everybody is the base.
    pub fn new(view: View<'a>, set: &Members, base: &Members) -> Result<Self, AskError> {
        let mut c = Self { view, set: Vec::new(), base: Vec::new(), sizes: Pair::default() };
        for b in 0..view.blocks() {
            let (mut s, base) = (*spread(set.form(b)), *spread(base.form(b)));
            s.iter_mut().zip(&base).for_each(|(s, b)| *s &= b);
            c.sizes.add(Pair { set: count(&s), base: count(&base) });
            c.set.push(s);
            c.base.push(base);
        }
        match c.sizes {
            Pair { set: 0, .. } => Err(AskError::Limit { what: "nobody of the list is in the base".into() }),
            Pair { set, base } if set == base => Err(AskError::Limit {
                what: "the list is the whole base: nothing sets it apart; widen the base".into(),
            }),
            _ => Ok(c),
        }
    }
    /// Of the list that is in the base, and of the base.
    pub fn sizes(&self) -> (u64, u64) {
        (self.sizes.set, self.sizes.base)
    }
    /// Columns that can be counted; [`Contrast::tally`] takes any part of them.
    pub fn columns(&self) -> usize {
        self.view.columns().len()
    }

    /// Counts every value of some columns.
    pub fn tally(&self, columns: Range<usize>) -> Result<Vec<Tally>, AskError> {
        let (mut all, level) = (Vec::new(), Level::best());
        for column in columns {
            let Some(c) = self.view.columns().get(column).filter(|c| !c.id.is_empty()) else { continue };
            let counted = match format::kind_of(&c.ty) {
                Kind::Flag => self.flags(column, level)?,
                Kind::Number => self.numbers(column, &c.bins, level)?,
                Kind::Word => self.words(column, level)?,
            };
            let known = counted.into_iter().filter(|(_, p)| p.base >= SUPPORT_MIN);
            all.extend(known.map(|(slot, p)| Tally { column, slot, in_set: p.set, in_base: p.base }));
        }
        Ok(all)
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, &Words, &Words)> {
        self.set.iter().zip(&self.base).enumerate().map(|(b, (s, base))| (b, s, base))
    }

    fn flags(&self, column: usize, level: Level) -> Result<Vec<(Slot, Pair)>, IndexError> {
        let (mut yes, mut no) = (Pair::default(), Pair::default());
        for (b, set, base) in self.blocks() {
            let block = self.view.block(column, b)?;
            let block = FlagBlock::read(block).ok_or_else(|| self.view.broken(column, b))?;
            let here = pair(level, block.yes, set, base);
            yes.add(here);
            no.add(match block.no {
                Form::Complement => Pair { set: count(set), base: count(base) }.less(here),
                form => pair(level, form, set, base),
            });
        }
        let unknown = self.sizes.less(yes).less(no);
        let mut all = vec![(Slot::Yes, yes)];
        if unknown.base > 0 {
            // else "no" says the same as "yes"
            all.extend([(Slot::No, no), (Slot::Unknown, unknown)]);
        }
        Ok(all)
    }

    fn numbers(&self, column: usize, bins: &[i64], level: Level) -> Result<Vec<(Slot, Pair)>, IndexError> {
        // who is known, and who is at or past the lower end of each bin but the first
        let mut past = vec![Pair::default(); bins.len() + 1];
        let mut machine = Machine::default();
        for (b, set, base) in self.blocks() {
            let block = self.view.block(column, b)?;
            let block = NumberBlock::read(block).ok_or_else(|| self.view.broken(column, b))?;
            let ends: Vec<Option<u64>> =
                bins.iter().map(|e| block.quotients(*e, i64::MAX).map(|(from, _)| from)).collect();
            machine.clear();
            machine.number(&block).ok_or_else(|| self.view.broken(column, b))?;
            simd::bins(level, &machine, &ends, set, base, &mut past);
        }
        let mut all = vec![(Slot::Unknown, self.sizes.less(past[0]))];
        for (i, p) in past.iter().enumerate() {
            let next = past.get(i + 1).copied().unwrap_or_default();
            all.push((Slot::Bin(i), p.less(next)));
        }
        Ok(all)
    }

    fn words(&self, column: usize, level: Level) -> Result<Vec<(Slot, Pair)>, IndexError> {
        let mut known = Pair::default();
        let mut by_code: FixedMap<u32, Pair> = FixedMap::default();
        for (b, set, base) in self.blocks() {
            let block = self.view.block(column, b)?;
            let block = WordBlock::read(block).ok_or_else(|| self.view.broken(column, b))?;
            known.add(pair(level, block.known, set, base));
            for i in 0..block.len() {
                by_code.entry(block.code(i)).or_default().add(pair(level, block.form(i), set, base));
            }
        }
        let mut all: Vec<(Slot, Pair)> = by_code.into_iter().map(|(c, p)| (Slot::Code(c), p)).collect();
        all.sort_unstable_by_key(|(slot, _)| *slot);
        all.push((Slot::Unknown, self.sizes.less(known)));
        Ok(all)
    }

    /// All that was counted as findings, the most surprising first: by p-value, then by the names.
    ///
    /// Errors: a damaged dictionary.
    pub fn rank(&self, tallies: Vec<Tally>) -> Result<Vec<Finding>, AskError> {
        let (n, m) = (self.sizes.set, self.sizes.base);
        let mut all = Vec::with_capacity(tallies.len());
        for t in tallies {
            let (here, there) = (t.in_set as f64 / n as f64, t.in_base as f64 / m as f64);
            all.push(Finding {
                tag: self.view.columns().get(t.column).map(|c| c.id.clone()).unwrap_or_default(),
                value: value_of(self.view, t.column, t.slot)?,
                in_set: t.in_set,
                in_base: t.in_base,
                share_in_set: here,
                share_in_base: there,
                lift: here / there,
                ln_p: stats::ln_p(t.in_set, n, t.in_base, m),
                q: 1.0,
                column: t.column,
                slot: t.slot,
            });
        }
        all.sort_by(|a, b| {
            a.ln_p.total_cmp(&b.ln_p).then_with(|| a.tag.cmp(&b.tag)).then_with(|| a.value.cmp(&b.value))
        });
        let q = stats::false_discovery(&all.iter().map(|f| f.ln_p).collect::<Vec<_>>());
        all.iter_mut().zip(q).for_each(|(f, q)| f.q = q);
        Ok(all)
    }

    /// Counts and ranks all columns on this thread.
    pub fn findings(&self) -> Result<Vec<Finding>, AskError> {
        self.rank(self.tally(0..self.columns())?)
    }
}

/// Each tag by its most surprising value, in the order of `findings`.
pub fn tags_apart(findings: &[Finding]) -> Vec<&Finding> {
    let mut seen = std::collections::BTreeSet::new();
    findings.iter().filter(|f| seen.insert(f.tag.as_str())).collect()
}

pub(crate) fn value_of(view: View<'_>, column: usize, slot: Slot) -> Result<TagValue, IndexError> {
    let Some(c) = view.columns().get(column) else { return Ok(TagValue::Unknown) };
    Ok(match slot {
        Slot::Yes => TagValue::Bool(true),
        Slot::No => TagValue::Bool(false),
        Slot::Unknown => TagValue::Unknown,
        Slot::Code(code) if c.ty == TagType::Cell => TagValue::Cell(CellId(code)),
        Slot::Code(code) => TagValue::Word(view.dictionary(column)?.word(code).to_owned()),
        Slot::Bin(i) => TagValue::Bin(i.checked_sub(1).and_then(|i| c.bins.get(i)).copied(), c.bins.get(i).copied()),
    })
}

/// How many of the list and of the base are in a bitmap.
fn pair(level: Level, form: Form<'_>, set: &Words, base: &Words) -> Pair {
    match form {
        Form::Empty | Form::Complement => Pair::default(),
        Form::Full => Pair { set: count(set), base: count(base) },
        Form::Sparse(positions) => {
            let mut p = Pair::default();
            for at in positions {
                let at = usize::from(u16::from_le_bytes(*at));
                p.set += set[at / 64] >> (at % 64) & 1;
                p.base += base[at / 64] >> (at % 64) & 1;
            }
            p
        }
        Form::Dense(words) => simd::pair(level, words, set, base),
    }
}
