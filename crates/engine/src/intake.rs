//! Events come in: taken once, stamped so that stamps never decrease, in one record a batch.

use crate::{
    engine::Engine,
    error::{EngineError, Refusal},
    input::{EventBatch, Origin},
    output::Output,
    record::Mark,
    rows,
};
use kairos_model::{
    Event, Timestamp,
    hash::{FixedMap, FixedSet},
};
use std::collections::VecDeque;

/// What has been taken.
#[derive(Default)]
pub struct Taken {
    /// By source and partition: everything below has been taken.
    pub offsets: FixedMap<(u32, u32), u64>,
    /// Oldest first.
    order: VecDeque<u64>,
    ids: FixedSet<u64>,
    ids_max: usize,
}

impl Taken {
    pub fn new(ids_max: usize) -> Self {
        Self { ids_max, ..Self::default() }
    }
    pub fn enter(&mut self, mark: &Mark) {
        match mark {
            Mark::None => {}
            &Mark::Offset { source, partition, to } => {
                let known = self.offsets.entry((source, partition)).or_default();
                *known = to.max(*known);
            }
            Mark::Ids(ids) => ids.iter().for_each(|&id| self.enter_id(id)),
        }
    }
    fn enter_id(&mut self, id: u64) {
        if self.ids.insert(id) {
            self.order.push_back(id);
            if self.order.len() > self.ids_max
                && let Some(oldest) = self.order.pop_front()
            {
                self.ids.remove(&oldest);
            }
        }
    }
    /// As a checkpoint held them, oldest first.
    pub fn restore_ids(&mut self, ids: Vec<u64>) {
        ids.into_iter().for_each(|id| self.enter_id(id));
    }
    pub fn ids(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.order.iter().copied()
    }
}

/// What is left of a batch, in the engine's own memory.
#[derive(Default)]
pub struct Staged {
    pub events: Vec<Event>,
    pub mark: Mark,
}

impl Engine {
    /// Where a source's partition goes on: everything below has been taken and is durable.
    pub fn taken(&self, source: u32, partition: u32) -> u64 {
        self.core.taken.offsets.get(&(source, partition)).copied().unwrap_or(0)
    }
    /// Events that one batch may hold: what one journal record holds.
    pub fn batch_max(&self) -> usize {
        (self.journal.record_max().saturating_sub(rows::HEAD_MAX)) / rows::EVENT_MAX
    }

    pub(crate) fn events(
        &mut self,
        stamp: Timestamp,
        i: usize,
        batch: &EventBatch,
        out: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        let mut staged = std::mem::take(&mut self.staged);
        staged.events.clear();
        let checked = self.stage(stamp, batch, &mut staged);
        let result = match checked {
            Err(why) => {
                out.push(Output::Refused { input: i, why });
                Ok(())
            }
            Ok(()) if staged.events.is_empty() && matches!(staged.mark, Mark::None | Mark::Ids(_)) => Ok(()),
            Ok(()) => self.record_events(&staged, out),
        };
        self.staged = staged;
        result
    }

    /// Copies what is new, with stamps that do not decrease.
    fn stage(&mut self, stamp: Timestamp, batch: &EventBatch, staged: &mut Staged) -> Result<(), Refusal> {
        if self.core.book.is_none() {
            return Err(Refusal::NoPlaybook);
        }
        if self.core.facts.is_none() {
            return Err(Refusal::NoFacts);
        }
        let (events, limit) = (batch.events.len(), self.batch_max());
        if events > limit {
            return Err(Refusal::LongBatch { events, limit });
        }
        let marks = |n: usize| if n == events { Ok(()) } else { Err(Refusal::Marks { events, marks: n }) };
        staged.mark = Mark::None;
        let mut last = self.core.last;
        let mut take = |e: &Event| {
            last = e.arrived.clamp(last, stamp.max(last));
            staged.events.push(Event { arrived: last, ..*e });
        };
        match &batch.origin {
            Origin::None => batch.events.iter().for_each(take),
            Origin::Offsets { source, partition, from, to, each } => {
                let known = self.taken(*source, *partition);
                if !each.is_empty() {
                    marks(each.len())?;
                }
                if *to <= known {
                    self.core.intake.duplicates += events as u64;
                    return Ok(());
                }
                if known <= *from {
                    batch.events.iter().for_each(take);
                } else if !each.is_empty() {
                    batch.events.iter().zip(each).filter(|&(_, at)| *at >= known).for_each(|(e, _)| take(e));
                } else if to - from == events as u64 {
                    batch.events.iter().skip((known - from) as usize).for_each(take);
                } else {
                    return Err(Refusal::Overlap { from: *from, to: *to, known });
                }
                staged.mark = Mark::Offset { source: *source, partition: *partition, to: *to };
            }
            Origin::Ids(ids) => {
                marks(ids.len())?;
                let mut fresh = FixedSet::default();
                for (e, id) in batch.events.iter().zip(ids) {
                    if !self.core.taken.ids.contains(id) && fresh.insert(*id) {
                        take(e);
                    }
                }
                let mut kept: Vec<u64> = Vec::with_capacity(fresh.len());
                kept.extend(ids.iter().filter(|id| fresh.remove(*id)));
                staged.mark = Mark::Ids(kept);
            }
        }
        self.core.intake.duplicates += (events - staged.events.len()) as u64;
        self.drop_unknown(staged);
        Ok(())
    }

    /// Ordinals past the limit would ask for memory that is not there.
    fn drop_unknown(&mut self, staged: &mut Staged) {
        let limit = self.config.subscribers_max;
        if staged.events.iter().all(|e| e.subscriber.0 < limit) {
            return;
        }
        let before = staged.events.len();
        if let Mark::Ids(ids) = &mut staged.mark {
            let mut keep = staged.events.iter().map(|e| e.subscriber.0 < limit);
            ids.retain(|_| keep.next().unwrap_or(false));
        }
        staged.events.retain(|e| e.subscriber.0 < limit);
        self.core.intake.refused += (before - staged.events.len()) as u64;
    }
}
