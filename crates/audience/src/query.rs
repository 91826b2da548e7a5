//! A planned condition over an index: count, extract, keep.

use crate::{
    emit::Outcome,
    error::AskError,
    form::{BITS, WORDS, Words},
    index::View,
    members::Members,
    plan::{Group, Sets, plan},
    program::{Counted, Kept, Listed, Machine},
    simd::Level,
};
use kairos_rules::{Condition, Node};
use std::ops::Range;

/// A condition made ready for one index. Every answer is of those who exist and for whom the condition is *true*.
pub struct Query<'a> {
    view: View<'a>,
    root: Group<'a>,
    level: Level,
}

impl<'a> View<'a> {
    /// Plans a condition. `sets`: the lists and areas that it may name.
    ///
    /// Errors: a tag that the index lacks or has in another type, a list or area that is not there, more than
    /// [`kairos_rules::limits::CLAUSES_MAX`] clauses, damage.
    pub fn query(self, condition: &Condition, sets: &'a dyn Sets) -> Result<Query<'a>, AskError> {
        Ok(Query { view: self, root: plan(self, condition, sets)?, level: Level::best() })
    }
    pub(crate) fn query_node(self, node: &Node, sets: &'a dyn Sets) -> Result<Query<'a>, AskError> {
        Ok(Query { view: self, root: crate::plan::plan_node(self, node, sets)?, level: Level::best() })
    }
    /// Who has a value of a column.
    pub(crate) fn of_slot(self, column: usize, slot: crate::contrast::Slot) -> Query<'a> {
        Query { view: self, root: crate::plan::of_slot(self, column, slot), level: Level::best() }
    }
    /// Everyone who exists.
    pub fn everyone(self) -> Result<Members, AskError> {
        const NOBODY: &crate::plan::MemorySets = &crate::plan::MemorySets {
            lists: std::collections::BTreeMap::new(),
            areas: std::collections::BTreeMap::new(),
        };
        self.query(&Condition::everyone(), NOBODY)?.members()
    }
}

impl<'a> Query<'a> {
    pub fn view(&self) -> View<'a> {
        self.view
    }
    /// Runs at a level that the processor has, for comparing them.
    #[cfg(test)]
    pub(crate) fn at(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// How many.
    pub fn count(&self) -> Result<u64, AskError> {
        self.count_in(0..self.view.blocks())
    }

    /// How many in some of the [`View::blocks`]: the parts of an answer may be counted by several threads.
    pub fn count_in(&self, blocks: Range<usize>) -> Result<u64, AskError> {
        let (mut machine, mut counted, mut whole) = (Machine::default(), Counted::default(), 0u64);
        for b in blocks {
            machine.clear();
            match machine.emit(self.view, &self.root, b)? {
                Outcome::Always(false) => {}
                Outcome::Always(true) => whole += self.view.rows_of(b) as u64,
                Outcome::Code => machine.run_at(self.level, &mut counted),
            }
        }
        Ok(whole + counted.sum())
    }

    /// The ordinals, ascending; `out` is overwritten, its room used again.
    pub fn extract_into(&self, out: &mut Vec<u32>) -> Result<(), AskError> {
        let mut machine = Machine::default();
        let mut listed = Listed { out, n: 0, first: 0 };
        for b in 0..self.view.blocks() {
            machine.clear();
            listed.first = (b * BITS) as u32;
            match machine.emit(self.view, &self.root, b)? {
                Outcome::Always(false) => {}
                Outcome::Always(true) => {
                    let rows = self.view.rows_of(b);
                    let to = listed.n + rows;
                    if listed.out.len() < to {
                        listed.out.resize(to, 0);
                    }
                    listed.out[listed.n..to].iter_mut().zip(listed.first..).for_each(|(o, x)| *o = x);
                    listed.n = to;
                }
                Outcome::Code => machine.run_at(self.level, &mut listed),
            }
        }
        let n = listed.n;
        out.truncate(n);
        Ok(())
    }

    /// The ordinals, ascending.
    pub fn extract(&self) -> Result<Vec<u32>, AskError> {
        let mut out = Vec::new();
        self.extract_into(&mut out)?;
        Ok(out)
    }

    /// The answer as a set: to freeze, to overlap, to ask about. [`Members::to_roaring`] is what `lake` freezes.
    pub fn members(&self) -> Result<Members, AskError> {
        let mut made = Members::default();
        self.each_block(0..self.view.blocks(), |b, words| made.set(b, words))?;
        Ok(made)
    }

    /// Visits the blocks in which there is somebody.
    pub(crate) fn each_block(
        &self,
        blocks: Range<usize>,
        mut visit: impl FnMut(usize, &Words),
    ) -> Result<(), AskError> {
        let (mut machine, mut words) = (Machine::default(), Box::new([0u64; WORDS]));
        for b in blocks {
            if self.block(&mut machine, b, &mut words)? {
                visit(b, &words);
            }
        }
        Ok(())
    }

    /// The answer within one block; false (and all zeros) if it is surely nobody.
    pub(crate) fn block(&self, machine: &mut Machine<'a>, b: usize, words: &mut Words) -> Result<bool, AskError> {
        machine.clear();
        Ok(match machine.emit(self.view, &self.root, b)? {
            Outcome::Always(false) => {
                words.fill(0);
                false
            }
            // only a whole block is without a bitmap of who exists
            Outcome::Always(true) => {
                words.fill(u64::MAX);
                true
            }
            Outcome::Code => {
                machine.run_at(self.level, &mut Kept(words));
                true
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Head, Index, MemorySets, Values};
    use kairos_model::{LocalDay, SnapshotId, TenantId, Timestamp, hash};
    use kairos_rules::{MemoryCatalogue, TagInfo, TagType};

    #[test]
    fn every_processor_gives_the_same_answer() {
        let rows = 150_001u32;
        let head = Head { tenant: TenantId(1), snapshot: SnapshotId(1), as_of: Timestamp(0), day: LocalDay(0), rows };
        let mut b = Builder::begin(Vec::new(), head).unwrap();
        for (k, share) in [(0, 60_000u64), (1, 20_000), (2, 300), (3, 9_000)] {
            let mut c = b.column(&format!("t{k}"), &TagType::Bool, "").unwrap();
            let draw = |i: u32| hash::salted2(5, k, u64::from(i)) & 0xFFFF;
            let values: Vec<bool> = (0..rows).map(|i| draw(i) < share).collect();
            let valid: Vec<bool> = (0..rows).map(|i| draw(i + rows) > 3_000).collect();
            c.push(&Values::Bools(&values), (k % 2 == 0).then_some(&valid[..])).unwrap();
            c.finish().unwrap();
        }
        let mut c = b.column("n", &TagType::Int, "").unwrap();
        let values: Vec<i64> = (0..rows).map(|i| (hash::salted(6, u64::from(i)) % 1_000) as i64 - 300).collect();
        c.push(&Values::Numbers(&values), None).unwrap();
        c.finish().unwrap();
        let index = Index::open(b.finish().unwrap().0, TenantId(1)).unwrap();
        let tag = |id: &str| TagInfo::new(id, "", "", if id == "n" { TagType::Int } else { TagType::Bool });
        let catalogue = MemoryCatalogue::new(["t0", "t1", "t2", "t3", "n"].map(tag).into(), vec![], vec![]);
        let sets = MemorySets::default();
        for text in [
            "t0 = true and t1 = false and t2 = false",
            "t2 = true or t3 = true and n < 5",
            "not (t0 = true or n between 17 and 400) or t2 = true",
            "t0 = true or t1 = true or t2 = false or t3 = true or n in (1, 5, 7)",
            "n >= -300 and t0 = false",
            "everyone",
        ] {
            let condition = Condition::parse(text, &catalogue).unwrap();
            let ask = |level| {
                let q = index.view().query(&condition, &sets).unwrap().at(level);
                (q.count().unwrap(), q.extract().unwrap(), q.members().unwrap())
            };
            let plain = ask(Level::Plain);
            assert_eq!((plain.0, &plain.1), (plain.1.len() as u64, &plain.2.to_vec()), "{text}");
            for level in Level::all() {
                assert_eq!(ask(level), plain, "{text} at {level:?}");
            }
        }
    }
}
