//! What each clause of a condition removes: in order, alone, and by itself only.

use crate::{
    error::AskError,
    form::{WORDS, Words},
    index::View,
    plan::Sets,
    program::Machine,
    query::Query,
};
use kairos_rules::{Condition, Node};

/// One clause of the outermost AND; a condition that is no AND is one clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many satisfy this clause alone.
    pub alone: u64,
    /// How many are left after it and all before it.
    pub left: u64,
    /// How many it takes from those left before it.
    pub removed: u64,
    /// How many satisfy every other clause and not this one: what dropping it would add.
    pub only: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funnel {
    /// Who exists.
    pub everyone: u64,
    /// In the order of the clauses; none for `everyone`.
    pub steps: Vec<Step>,
    /// Who satisfies all.
    pub count: u64,
}

impl<'a> View<'a> {
    /// The clauses of a condition one by one, in one pass over the blocks.
    ///
    /// Errors: those of [`View::query`].
    pub fn funnel(self, condition: &Condition, sets: &'a dyn Sets) -> Result<Funnel, AskError> {
        let whole = std::slice::from_ref(condition.root());
        let clauses: &[Node] = if let Node::And(all) = condition.root() { all } else { whole };
        let everyone = self.query_node(&Node::And(Vec::new()), sets)?;
        let queries = clauses.iter().map(|n| self.query_node(n, sets)).collect::<Result<Vec<_>, _>>()?;
        let mut f = Funnel {
            everyone: 0,
            steps: vec![Step { alone: 0, left: 0, removed: 0, only: 0 }; clauses.len()],
            count: 0,
        };
        let mut pass = Pass::new(clauses.len());
        for b in 0..self.blocks() {
            pass.block(&everyone, &queries, b, &mut f)?;
        }
        let mut before = f.everyone;
        for s in &mut f.steps {
            s.removed = before - s.left;
            before = s.left;
        }
        f.count = before;
        Ok(f)
    }
}

/// Room for the answers of all clauses within one block.
struct Pass<'a> {
    machine: Machine<'a>,
    all: Box<Words>,
    clauses: Vec<Words>,
    /// `after[i]`: who satisfies the clauses from `i` on.
    after: Vec<Words>,
}

impl<'a> Pass<'a> {
    fn new(clauses: usize) -> Self {
        Self {
            machine: Machine::default(),
            all: Box::new([0; WORDS]),
            clauses: vec![[0; WORDS]; clauses],
            after: vec![[0; WORDS]; clauses + 1],
        }
    }

    fn block(&mut self, everyone: &Query<'a>, queries: &[Query<'a>], b: usize, f: &mut Funnel) -> Result<(), AskError> {
        if !everyone.block(&mut self.machine, b, &mut self.all)? {
            return Ok(());
        }
        f.everyone += count(&self.all);
        for ((q, words), step) in queries.iter().zip(&mut self.clauses).zip(&mut f.steps) {
            q.block(&mut self.machine, b, words)?;
            step.alone += count(words);
        }
        let n = queries.len();
        self.after[n] = *self.all;
        for i in (0..n).rev() {
            let (head, tail) = self.after.split_at_mut(i + 1);
            head[i] = tail[0];
            head[i].iter_mut().zip(&self.clauses[i]).for_each(|(a, c)| *a &= c);
        }
        // from here on `all` is who is left
        for i in 0..n {
            let (clause, rest) = (&self.clauses[i], &self.after[i + 1]);
            let mut only = 0u64;
            for ((left, c), r) in self.all.iter_mut().zip(clause).zip(rest) {
                only += u64::from((*left & !c & r).count_ones());
                *left &= c;
            }
            f.steps[i].only += only;
            f.steps[i].left += count(&self.all);
        }
        Ok(())
    }
}

pub(crate) fn count(words: &Words) -> u64 {
    words.iter().map(|w| u64::from(w.count_ones())).sum()
}
