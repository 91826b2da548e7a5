//! What is known in memory: hashes, ordinals and dates; no number, key or text.

use crate::table::{Table, Tag};
use kairos_model::{SubscriberId, Timestamp, hash::FixedSet};

pub(crate) const NONE: u32 = u32::MAX;
const SUPPRESSED: u32 = 1 << 31;
/// Holds a number where the holder was erased: those before do not get it back.
pub(crate) const NOBODY: u32 = SUPPRESSED - 1;

/// One assignment of a number, 32 bytes; its place is that of its slot in the file `assigned`.
///
/// The facts of one number are chained by falling `from`, among equals the last written first: it ends, at its own
/// `from`, those behind it.
#[derive(Clone, Copy)]
pub(crate) struct Fact {
    pub from: i64,
    pub to: i64,
    /// Ordinal; the high bit says that the number is suppressed.
    sub: u32,
    pub older: u32,
    pub newer: u32,
    /// The next fact of the same subscriber, superseded ones too.
    pub next_of_sub: u32,
}

impl Fact {
    /// A superseded or erased fact keeps its place and its subscriber, and covers no time.
    const DEAD_FROM: i64 = i64::MAX;
    /// The holder; perhaps [`NOBODY`].
    pub fn sub(&self) -> u32 {
        self.sub & !SUPPRESSED
    }
    pub fn is_dead(&self) -> bool {
        self.from == Self::DEAD_FROM
    }
    pub fn is_suppressed(&self) -> bool {
        self.sub & SUPPRESSED != 0
    }
}

/// Why a number must not be contacted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SuppressionCause {
    /// A reply word such as "TD" or "STOP".
    Reply,
    /// A person asked, by hotline or API.
    Request,
    /// A list of the operator or the regulator, imported as a file.
    List,
    /// A complaint.
    Complaint,
}

impl SuppressionCause {
    /// As stored; 0 stands for a lifted suppression.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Reply => 1,
            Self::Request => 2,
            Self::List => 3,
            Self::Complaint => 4,
        }
    }
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Reply),
            2 => Some(Self::Request),
            3 => Some(Self::List),
            4 => Some(Self::Complaint),
            _ => None,
        }
    }
}

/// Since when and why a number is suppressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suppressed {
    pub at: Timestamp,
    pub cause: SuppressionCause,
}

pub(crate) struct Memory {
    pub sources: Table,
    pub foreign: Table,
    /// Number → its newest fact.
    pub numbers: Table,
    pub facts: Vec<Fact>,
    /// Subscriber → its last written fact.
    pub facts_of: Vec<u32>,
    /// Subscriber → unit of its last written text.
    pub texts_of: Vec<u32>,
    pub suppressed: Table,
    pub suppressions: Vec<Suppressed>,
    pub erased: FixedSet<u32>,
    pub foreign_count: u32,
    /// Units of texts that are committed.
    pub text_units: u64,
    pub fields: Vec<String>,
}

impl Memory {
    pub fn with_capacity(subscribers: usize, foreign: usize, facts: usize) -> Self {
        Self {
            sources: Table::with_capacity(subscribers),
            foreign: Table::with_capacity(foreign),
            numbers: Table::with_capacity(facts),
            facts: Vec::with_capacity(facts),
            facts_of: vec![NONE; subscribers],
            texts_of: vec![NONE; subscribers],
            suppressed: Table::with_capacity(0),
            suppressions: Vec::new(),
            erased: FixedSet::default(),
            foreign_count: foreign as u32,
            text_units: 0,
            fields: Vec::new(),
        }
    }
    pub fn subscribers(&self) -> u32 {
        self.facts_of.len() as u32
    }
    pub fn bytes(&self) -> usize {
        let tables = [&self.sources, &self.foreign, &self.numbers, &self.suppressed];
        tables.iter().map(|t| t.bytes()).sum::<usize>()
            + self.facts.capacity() * size_of::<Fact>()
            + (self.facts_of.capacity() + self.texts_of.capacity()) * 4
            + self.suppressions.capacity() * size_of::<Suppressed>()
    }

    #[inline]
    pub fn holder(&self, tag: &Tag, at: Timestamp) -> Option<SubscriberId> {
        self.holder_from(self.numbers.get(tag)?, at)
    }
    /// Who holds a number at a time; `head` is its newest fact or [`NONE`].
    #[inline]
    pub fn holder_from(&self, head: u32, at: Timestamp) -> Option<SubscriberId> {
        let mut i = head;
        while let Some(fact) = self.facts.get(i as usize) {
            if fact.from <= at.0 {
                return (at.0 < fact.to && fact.sub() != NOBODY).then(|| SubscriberId(fact.sub()));
            }
            i = fact.older;
        }
        None
    }

    /// Facts of a number, newest first.
    pub fn chain(&self, tag: &Tag) -> impl Iterator<Item = (u32, &Fact)> {
        let link = |i: u32| (i != NONE).then(|| (i, &self.facts[i as usize]));
        std::iter::successors(self.numbers.get(tag).and_then(link), move |(_, f)| link(f.older))
    }
    /// All facts of a subscriber, last written first, dead ones too.
    pub fn facts_of(&self, sub: u32) -> impl Iterator<Item = (u32, &Fact)> {
        let link = |i: u32| (i != NONE).then(|| (i, &self.facts[i as usize]));
        let head = self.facts_of.get(sub as usize).copied().unwrap_or(NONE);
        std::iter::successors(link(head), move |(_, f)| link(f.next_of_sub))
    }
    /// When the assignment really ends: by itself or by the next one of its number.
    pub fn until(&self, fact: &Fact) -> i64 {
        match fact.newer {
            NONE => fact.to,
            newer => fact.to.min(self.facts[newer as usize].from),
        }
    }
    /// The subscriber's number at a time: of several the one assigned last.
    pub fn current(&self, sub: u32, at: Timestamp) -> Option<(u32, &Fact)> {
        self.facts_of(sub)
            .filter(|(_, f)| !f.is_dead() && f.from <= at.0 && at.0 < self.until(f))
            .max_by_key(|(i, f)| (f.from, *i))
    }

    /// Adds the fact of the next slot; one of the same number, subscriber and `from` is superseded.
    pub fn link(&mut self, tag: Tag, sub: u32, from: i64, to: i64) {
        let mut twin = self.numbers.get(&tag).unwrap_or(NONE);
        while twin != NONE && self.facts[twin as usize].from >= from {
            let fact = self.facts[twin as usize];
            if fact.from == from && fact.sub() == sub {
                self.unlink(&tag, twin);
                break;
            }
            twin = fact.older;
        }
        let (mut newer, mut older) = (NONE, self.numbers.get(&tag).unwrap_or(NONE));
        while older != NONE && self.facts[older as usize].from > from {
            newer = older;
            older = self.facts[older as usize].older;
        }
        let i = self.facts.len() as u32;
        let flag = if self.suppressed.get(&tag).is_some() { SUPPRESSED } else { 0 };
        // nobody has no chain
        let next_of_sub = self.facts_of.get_mut(sub as usize).map_or(NONE, |head| std::mem::replace(head, i));
        self.facts.push(Fact { from, to, sub: sub | flag, older, newer, next_of_sub });
        if older != NONE {
            self.facts[older as usize].newer = i;
        }
        match newer {
            NONE => self.numbers.insert(tag, i),
            _ => self.facts[newer as usize].older = i,
        }
    }
    /// The slot was destroyed: its place stays.
    pub fn push_dead(&mut self) {
        self.facts.push(Fact {
            from: Fact::DEAD_FROM,
            to: i64::MIN,
            sub: 0,
            older: NONE,
            newer: NONE,
            next_of_sub: NONE,
        });
    }
    /// Takes a fact out of its number's chain.
    pub fn unlink(&mut self, tag: &Tag, i: u32) {
        let Fact { older, newer, .. } = self.facts[i as usize];
        if older != NONE {
            self.facts[older as usize].newer = newer;
        }
        match (newer, older) {
            (NONE, NONE) => self.numbers.remove(tag),
            (NONE, older) => self.numbers.insert(*tag, older),
            (newer, older) => self.facts[newer as usize].older = older,
        }
        let fact = &mut self.facts[i as usize];
        *fact = Fact { from: Fact::DEAD_FROM, to: i64::MIN, older: NONE, newer: NONE, ..*fact };
    }

    /// A batch of texts is durable: new beginnings of chains, in order.
    pub fn link_texts(&mut self, chains: &[(u32, u32)], text_units: u64) {
        chains.iter().for_each(|&(sub, unit)| self.texts_of[sub as usize] = unit);
        self.text_units = text_units;
    }

    /// `None` lifts the suppression.
    pub fn suppress(&mut self, tag: Tag, suppressed: Option<Suppressed>) {
        match suppressed {
            Some(s) => {
                self.suppressed.insert(tag, self.suppressions.len() as u32);
                self.suppressions.push(s);
            }
            None => self.suppressed.remove(&tag),
        }
        let flag = if suppressed.is_some() { SUPPRESSED } else { 0 };
        let mut i = self.numbers.get(&tag).unwrap_or(NONE);
        while i != NONE {
            let fact = &mut self.facts[i as usize];
            fact.sub = fact.sub() | flag;
            i = fact.older;
        }
    }
    #[inline]
    pub fn suppression(&self, tag: &Tag) -> Option<Suppressed> {
        self.suppressed.get(tag).map(|i| self.suppressions[i as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule, plainly: the last written fact of (number, subscriber, from) counts; of those that began, the one that
    /// began last, among equals the last written, holds unless it ended.
    fn holder(facts: &[(u32, i64, i64)], at: i64) -> Option<u32> {
        let last = |i: usize| !facts[i + 1..].iter().any(|f| (f.0, f.1) == (facts[i].0, facts[i].1));
        let (_, fact) =
            facts.iter().enumerate().filter(|(i, f)| last(*i) && f.1 <= at).max_by_key(|(i, f)| (f.1, *i))?;
        (at < fact.2).then_some(fact.0)
    }

    proptest! {
        #[test]
        fn chains_follow_the_rule(
            facts in proptest::collection::vec((0..4u32, 0..12i64, 1..14i64), 0..14),
            erased in 0..5u32,
        ) {
            let facts: Vec<_> = facts.into_iter().map(|(s, from, len)| (s, from, from + len)).collect();
            let tag = [1, 2, 3];
            let mut memory = Memory::with_capacity(4, 0, 0);
            facts.iter().for_each(|&(s, from, to)| memory.link(tag, s, from, to));
            for at in -1..30 {
                let got = memory.holder(&tag, Timestamp(at)).map(|s| s.0);
                prop_assert_eq!(got, holder(&facts, at), "at {}", at);
                for sub in 0..4 {
                    prop_assert_eq!(memory.current(sub, Timestamp(at)).is_some(), got == Some(sub));
                }
            }
            let doomed: Vec<u32> =
                memory.facts_of(erased).filter(|(_, f)| !f.is_dead()).map(|(i, _)| i).collect();
            doomed.into_iter().for_each(|i| memory.unlink(&tag, i));
            let left: Vec<_> = facts.into_iter().filter(|f| f.0 != erased).collect();
            for at in -1..30 {
                prop_assert_eq!(memory.holder(&tag, Timestamp(at)).map(|s| s.0), holder(&left, at));
            }
        }
    }
}
