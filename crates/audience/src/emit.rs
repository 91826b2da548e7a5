//! A plan and a block give a program: constants are folded by what the block says of itself.

use crate::{
    column::{FlagBlock, NumberBlock, WordBlock},
    error::IndexError,
    form::{BITS, Form},
    index::View,
    plan::{Group, Literal, What},
    program::{Machine, Meet, Op, Source},
};

/// What a group or literal comes to in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Always(bool),
    /// The program puts it on the stack.
    Code,
}

/// Where the members of a group gather.
struct Gather {
    and: bool,
    /// First source.
    from: usize,
    /// The bitmap in which positions that only add to the group meet.
    shared: Option<Source>,
}

impl<'a> Machine<'a> {
    /// Appends the program of a group for block `b`.
    pub(crate) fn emit(&mut self, view: View<'a>, g: &Group<'a>, b: usize) -> Result<Outcome, IndexError> {
        let (ops, sources, decides) = (self.ops.len(), self.sources.len(), !g.and);
        let outcome = self.members(view, g, b)?;
        if outcome == Outcome::Always(decides) {
            self.ops.truncate(ops);
            self.sources.truncate(sources);
        }
        Ok(outcome)
    }

    fn members(&mut self, view: View<'a>, g: &Group<'a>, b: usize) -> Result<Outcome, IndexError> {
        let decided = Outcome::Always(!g.and);
        let mut at = Gather { and: g.and, from: self.sources.len(), shared: None };
        for l in &g.direct {
            if self.direct(view, l, b, &mut at)? == Some(!g.and) {
                return Ok(decided);
            }
        }
        let mut meet = Meet::Push;
        let next = if g.and { Meet::And } else { Meet::Or };
        if self.sources.len() > at.from {
            self.ops.push(self.group_op(at.from, g.and, Meet::Push));
            meet = next;
        }
        for l in &g.apart {
            match self.apart(view, l, b, meet)? {
                Outcome::Code => meet = next,
                o if o == decided => return Ok(decided),
                Outcome::Always(_) => {}
            }
        }
        for inner in &g.groups {
            match self.emit(view, inner, b)? {
                Outcome::Code => {
                    if meet != Meet::Push {
                        self.ops.push(Op::Join { and: g.and });
                    }
                    meet = next;
                }
                o if o == decided => return Ok(decided),
                Outcome::Always(_) => {}
            }
        }
        Ok(if meet == Meet::Push { Outcome::Always(g.and) } else { Outcome::Code })
    }

    fn group_op(&self, from: usize, and: bool, meet: Meet) -> Op {
        Op::Group { from: from as u32, to: self.sources.len() as u32, and, meet }
    }

    /// Adds a bitmap to the group's sources; a value where it is constant in this block.
    fn add(&mut self, form: Form<'a>, negated: bool, at: &mut Gather) -> Option<bool> {
        let source = match form {
            Form::Empty | Form::Complement => return Some(negated),
            Form::Full => return Some(!negated),
            Form::Dense(block) => self.stored(block, negated),
            // what only takes from an AND, or adds to an OR, may meet in one bitmap
            Form::Sparse(positions) if at.and == negated => {
                let (source, new) = match at.shared {
                    Some(s) => (s, false),
                    None => (self.blank(negated), true),
                };
                self.mark(source, positions);
                at.shared = Some(source);
                if !new {
                    return None;
                }
                source
            }
            Form::Sparse(positions) => {
                let source = self.blank(negated);
                self.mark(source, positions);
                source
            }
        };
        self.sources.push(source);
        None
    }

    fn direct(
        &mut self,
        view: View<'a>,
        l: &Literal<'a>,
        b: usize,
        at: &mut Gather,
    ) -> Result<Option<bool>, IndexError> {
        Ok(match &l.what {
            What::Exists => match view.universe() {
                Some(column) => {
                    let block = FlagBlock::read(view.block(column, b)?).ok_or_else(|| view.broken(column, b))?;
                    self.add(block.yes, l.negated, at)
                }
                None if view.rows_of(b) == BITS => Some(!l.negated),
                None => {
                    let source = self.first_rows(view.rows_of(b), l.negated);
                    self.sources.push(source);
                    None
                }
            },
            What::Yes(column) | What::No(column) => {
                let block = FlagBlock::read(view.block(*column, b)?).ok_or_else(|| view.broken(*column, b))?;
                match (&l.what, block.no) {
                    (What::Yes(_), _) => self.add(block.yes, l.negated, at),
                    (_, Form::Complement) => self.add(block.yes, !l.negated, at),
                    (_, no) => self.add(no, l.negated, at),
                }
            }
            What::Known(column) => {
                // number and word blocks both begin with it
                let known = Form::read(view.block(*column, b)?, 0).ok_or_else(|| view.broken(*column, b))?;
                self.add(known, l.negated, at)
            }
            What::Words(column, codes) => {
                let block = WordBlock::read(view.block(*column, b)?).ok_or_else(|| view.broken(*column, b))?;
                let mut any = false;
                block.each(codes, |form| {
                    any = true;
                    self.add(form, l.negated, at);
                });
                // nobody in this block has any of them
                (!any).then_some(l.negated)
            }
            What::List(members) => self.add(members.form(b), l.negated, at),
            What::Range(..) | What::OneOf(..) => None,
        })
    }

    fn apart(&mut self, view: View<'a>, l: &Literal<'a>, b: usize, meet: Meet) -> Result<Outcome, IndexError> {
        match &l.what {
            What::Range(column, low, high) => {
                let block = NumberBlock::read(view.block(*column, b)?).ok_or_else(|| view.broken(*column, b))?;
                let ranges = block.quotients(*low, *high);
                self.ranges(&block, ranges.as_slice(), l.negated, meet).ok_or_else(|| view.broken(*column, b))
            }
            What::OneOf(column, values) => {
                let block = NumberBlock::read(view.block(*column, b)?).ok_or_else(|| view.broken(*column, b))?;
                let mut ranges: Vec<(u64, u64)> = Vec::new();
                for (from, to) in values.iter().filter_map(|v| block.quotients(*v, *v)) {
                    match ranges.last_mut() {
                        Some(last) if last.1.checked_add(1) == Some(from) => last.1 = to,
                        _ => ranges.push((from, to)),
                    }
                }
                self.ranges(&block, &ranges, l.negated, meet).ok_or_else(|| view.broken(*column, b))
            }
            What::Words(column, codes) => {
                let block = WordBlock::read(view.block(*column, b)?).ok_or_else(|| view.broken(*column, b))?;
                let mut at = Gather { and: l.negated, from: self.sources.len(), shared: None };
                block.each(codes, |form| {
                    self.add(form, l.negated, &mut at);
                });
                if self.sources.len() == at.from {
                    return Ok(Outcome::Always(l.negated));
                }
                self.ops.push(self.group_op(at.from, at.and, meet));
                Ok(Outcome::Code)
            }
            // the plan puts no other literal here
            _ => Ok(Outcome::Always(l.negated)),
        }
    }

    /// Any of the ranges of quotients; `None` where the block does not parse.
    fn ranges(&mut self, block: &NumberBlock<'a>, ranges: &[(u64, u64)], negated: bool, meet: Meet) -> Option<Outcome> {
        let top = if block.digits == 64 { u64::MAX } else { (1 << block.digits) - 1 };
        if ranges.is_empty() {
            return Some(Outcome::Always(negated));
        }
        if ranges.contains(&(0, top)) {
            return Some(Outcome::Always(!negated));
        }
        let from = self.sources.len() as u32;
        self.digits(block)?;
        let to = self.sources.len() as u32;
        if let [(low, high)] = *ranges {
            self.ops.push(Op::Range { from, to, low, high, negated, meet });
            return Some(Outcome::Code);
        }
        // several: an OR of ranges, or an AND of their negations, then met with what is below
        let inner = if negated { Meet::And } else { Meet::Or };
        for (i, (low, high)) in ranges.iter().enumerate() {
            let meet = if i == 0 { Meet::Push } else { inner };
            self.ops.push(Op::Range { from, to, low: *low, high: *high, negated, meet });
        }
        if meet != Meet::Push {
            self.ops.push(Op::Join { and: meet == Meet::And });
        }
        Some(Outcome::Code)
    }

    /// Appends the digits of a number, the lowest first, to the sources.
    fn digits(&mut self, block: &NumberBlock<'a>) -> Option<()> {
        for i in 0..block.digits {
            let source = self.whole(block.digit(i)?);
            self.sources.push(source);
        }
        Some(())
    }

    /// The sources of a number without a program: who is known, then the digits.
    pub(crate) fn number(&mut self, block: &NumberBlock<'a>) -> Option<()> {
        let known = self.whole(block.known);
        self.sources.push(known);
        self.digits(block)
    }

    /// A bitmap of its own, whatever its form.
    fn whole(&mut self, form: Form<'a>) -> Source {
        match form {
            Form::Dense(d) => self.stored(d, false),
            Form::Sparse(positions) => {
                let source = self.blank(false);
                self.mark(source, positions);
                source
            }
            Form::Full => self.constant(true),
            Form::Empty | Form::Complement => self.constant(false),
        }
    }

    fn first_rows(&mut self, rows: usize, negated: bool) -> Source {
        let source = self.blank(negated);
        self.fill_first(source, rows);
        source
    }
}
