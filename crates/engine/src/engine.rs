//! The engine's face: opening, one group commit a call, and the clock that never goes back.

use crate::{
    checkpoint::{self, Rolling},
    codec::Writer,
    config::EngineConfig,
    core::{Core, Shelf},
    error::EngineError,
    input::Input,
    intake::Staged,
    library::Library,
    output::{Output, Recovered},
    record::{Rec, kind},
    rows,
    settle::Told,
    trail::{self, PARTITION, TrailReader},
};
use kairos_journal::{Journal, JournalError, Position};
use kairos_model::{Reason, Timestamp};
use std::sync::Arc;

/// See the crate. One engine owns its journal and checkpoint directory; calls take it by `&mut`.
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) journal: Journal,
    pub(crate) shelf: Shelf,
    pub(crate) core: Core,
    /// When time alone makes something due, as of the last call.
    pub(crate) due: Option<Timestamp>,
    pub(crate) staged: Staged,
    pub(crate) told: Told,
    /// Payload of the record being written.
    payload: Writer,
    /// Control records, and events, since the newest checkpoint was begun.
    since: (u64, u64),
    rolling: Option<Rolling>,
    checkpoints: u64,
    failed: bool,
}

impl Engine {
    /// Loads the newest whole checkpoint and replays partition 0 of the journal behind it. Torn checkpoints are passed over and named in
    /// the notes; one of a newer program, of another tenant or ahead of the journal is an error, and so is a playbook,
    /// snapshot or audience that the journal names and the library lacks.
    pub fn open(
        config: EngineConfig,
        journal: Journal,
        library: Arc<dyn Library>,
    ) -> Result<(Self, Recovered), EngineError> {
        let mut shelf = Shelf::new(library);
        let ends = (journal.first(PARTITION), journal.end(PARTITION));
        let loaded = checkpoint::load(&config, ends, &mut shelf)?;
        let mut core = loaded.core;
        let (mut replayed, mut events) = (0, 0);
        let mut records = journal.read_from(PARTITION, loaded.from)?;
        let mut rest = loaded.rest;
        while let Some(record) = records.next_ref() {
            let record = record?;
            let at = record.position;
            if let Some(replay) = &mut core.replay {
                replay.at = at;
                if replay.takes_rest()
                    && let Some(rest) = rest.take()
                {
                    // from here on a record is new to everything
                    core.replay = None;
                    rest.restore(&mut core, &mut shelf)?;
                }
            }
            let before = core.intake.events;
            core.replay_one(record.stamp, record.kind, record.payload, &mut shelf).map_err(|e| e.at(at))?;
            events += core.intake.events - before;
            replayed += 1;
        }
        core.replay = None;
        if let Some(rest) = rest.take() {
            rest.restore(&mut core, &mut shelf)?;
        }
        for wave in &mut core.waves {
            wave.told = wave.sums().is_settled();
        }
        let last = core.last;
        let mut engine = Self {
            config,
            journal,
            shelf,
            core,
            due: None,
            staged: Staged::default(),
            told: Told::default(),
            payload: Writer::default(),
            since: (replayed, events),
            rolling: None,
            checkpoints: 0,
            failed: false,
        };
        let mut told = Vec::new();
        // a crash between events and what became of them
        engine.settle(&mut told)?;
        let lost: Vec<_> = engine.core.ledger.in_flight.iter().map(|&(_, id)| id).collect();
        let named: Vec<_> =
            lost.iter().filter_map(|id| Some(engine.core.which(*id, engine.core.ledger.get(*id)?))).collect();
        for part in named.chunks(RECORD_LINES) {
            engine.record(last, &Rec::Recovered(part.to_vec()), &mut told)?;
        }
        engine.journal.commit()?;
        engine.due = Some(last);
        let last = (last > Timestamp::MIN).then_some(last);
        Ok((engine, Recovered { last, replayed, unknown: lost, notes: loaded.notes }))
    }

    /// Applies the inputs, then whatever is due at `now`, in one group commit. Outputs are durable. An error is fatal.
    pub fn handle(&mut self, now: Timestamp, inputs: &[Input]) -> Result<Vec<Output>, EngineError> {
        self.call(now, |engine, stamp, out| {
            for (i, input) in inputs.iter().enumerate() {
                engine.input(stamp, i, input, out)?;
            }
            engine.tick(stamp, out)?;
            engine.lapse(stamp, out)?;
            engine.pump(stamp, out)
        })
        .map(|(_, out)| out)
    }

    /// One call from outside: a stamp, changes, one commit, perhaps a checkpoint.
    pub(crate) fn call<T>(
        &mut self,
        now: Timestamp,
        body: impl FnOnce(&mut Self, Timestamp, &mut Vec<Output>) -> Result<T, EngineError>,
    ) -> Result<(T, Vec<Output>), EngineError> {
        if self.failed {
            return Err(EngineError::Poisoned);
        }
        // until the end of a call that succeeded, state may be ahead of the disk: nobody may see it
        self.failed = true;
        let stamp = now.max(self.core.last);
        let mut out = Vec::new();
        let result = body(self, stamp, &mut out)?;
        self.core.last = stamp;
        self.tell_settled(&mut out);
        self.journal.commit()?;
        self.due = self.compute_due(stamp);
        self.keep_checkpoints()?;
        self.failed = false;
        Ok((result, out))
    }

    /// Journals a record, applies it and notes what it says.
    pub(crate) fn record(&mut self, stamp: Timestamp, rec: &Rec, out: &mut Vec<Output>) -> Result<(), EngineError> {
        self.payload.0.clear();
        let kind = rec.encode_into(&mut self.payload);
        let position = self.append(stamp, kind)?;
        self.core.apply(stamp, rec, &mut self.shelf).map_err(|e| e.at(position))?;
        self.since.0 += 1;
        trail::tell(stamp, rec, &mut |t| out.push(Output::Trail(t)));
        self.settle(out)
    }
    /// The same for events, which are not copied once more for it.
    pub(crate) fn record_events(&mut self, staged: &Staged, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let stamp = staged.events.last().map_or(self.core.last, |e| e.arrived);
        self.payload.0.clear();
        rows::put_events(&mut self.payload, &staged.mark, &staged.events);
        let position = self.append(stamp, kind::EVENTS)?;
        self.core.events(&staged.events).map_err(|e| e.at(position))?;
        self.core.note_intake(&staged.mark, staged.events.len());
        self.since.1 += staged.events.len() as u64;
        self.settle(out)
    }
    fn append(&mut self, stamp: Timestamp, kind: u8) -> Result<Position, EngineError> {
        match self.journal.append(PARTITION, stamp, kind, &self.payload.0) {
            // more than one group holds: the first ones become durable earlier than they must
            Err(JournalError::Full { .. }) => {
                self.journal.commit()?;
                Ok(self.journal.append(PARTITION, stamp, kind, &self.payload.0)?)
            }
            other => Ok(other?),
        }
    }
    /// Timers that are due fire, before anything else happens at this stamp.
    pub(crate) fn tick(&mut self, stamp: Timestamp, out: &mut Vec<Output>) -> Result<(), EngineError> {
        if self.core.book.is_some()
            && self.core.facts.is_some()
            && self.core.lanes.next_due().is_some_and(|d| d <= stamp)
        {
            self.record(stamp, &Rec::Tick, out)?;
        }
        Ok(())
    }

    fn tell_settled(&mut self, out: &mut Vec<Output>) {
        for wave in &mut self.core.waves {
            let settled = wave.sums().is_settled();
            if settled && !wave.told {
                out.push(Output::WaveSettled { campaign: wave.campaign, wave: wave.wave });
            }
            // a contact that was put back opens the wave again
            wave.told = settled;
        }
    }

    /// When time alone makes something due, as of the last call; `None`: only an input can. After opening: at once.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due
    }

    fn compute_due(&self, stamp: Timestamp) -> Option<Timestamp> {
        let mut due: Option<Timestamp> = None;
        let mut at = |t: Timestamp| {
            if t != Timestamp::MAX {
                due = Some(due.map_or(t, |d| d.min(t)).max(stamp));
            }
        };
        if let Some(&(offered, _)) = self.core.ledger.in_flight.first() {
            at(offered.plus(self.config.response_timeout));
        }
        for (&channel, queue) in &self.core.ledger.queues {
            let rate = self.core.book.as_ref().and_then(|b| b.tenant.capacity(channel).per_second);
            if !queue.is_empty() && rate.is_some_and(|n| n <= self.core.ledger.offered_in_second(channel, stamp)) {
                at(Timestamp::from_secs(stamp.secs().saturating_add(1)));
            }
        }
        if let Some(t) = self.core.lanes.next_due() {
            at(t);
        }
        if self.core.moments.values().any(|m| m.is_open())
            && let Some(t) = self.core.ends_at
        {
            at(t);
        }
        for wave in self.core.waves.iter().filter(|w| w.is_open()) {
            at(wave.not_after.plus(kairos_model::Span::micros(1)));
            if let Some(c) = self.core.book.as_ref().and_then(|b| b.campaign(wave.campaign)) {
                at(c.end);
            }
            if let Some((_, until)) = wave.waits {
                at(until);
            }
        }
        due
    }

    /// Writes a whole checkpoint now. Otherwise one is begun every `checkpoint_every` records or `checkpoint_events`
    /// events, and goes on by itself.
    pub fn checkpoint(&mut self) -> Result<(), EngineError> {
        if self.failed {
            return Err(EngineError::Poisoned);
        }
        self.failed = true;
        self.rolling = None;
        self.begin_checkpoint()?;
        self.roll(usize::MAX)?;
        self.failed = false;
        Ok(())
    }
    fn keep_checkpoints(&mut self) -> Result<(), EngineError> {
        let (records, events) = self.since;
        if self.rolling.is_none()
            && (records >= self.config.checkpoint_every || events >= self.config.checkpoint_events)
        {
            self.begin_checkpoint()?;
        }
        let Some(rolling) = &self.rolling else { return Ok(()) };
        // all chunks in half of the events until the next one; at least one a call
        let whole = (self.config.checkpoint_events / 2).max(1);
        let due = (u128::from(self.since.1) * rolling.count(&self.core) as u128 / u128::from(whole)) as usize + 1;
        let behind = due.saturating_sub(rolling.done());
        self.roll(behind.max(1))
    }
    fn begin_checkpoint(&mut self) -> Result<(), EngineError> {
        self.rolling = Some(Rolling::begin(&self.config, self.journal.end(PARTITION), &self.core)?);
        self.since = (0, 0);
        Ok(())
    }
    fn roll(&mut self, chunks: usize) -> Result<(), EngineError> {
        let Some(rolling) = &mut self.rolling else { return Ok(()) };
        if rolling.go_on(&self.config, self.journal.end(PARTITION), &self.core, chunks)? {
            self.checkpoints += 1;
            self.rolling = None;
        }
        Ok(())
    }
    /// Checkpoints published since the engine was opened.
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints
    }

    /// Drops journal segments that end before `keep` and before the oldest checkpoint that is kept. The trail in them is
    /// gone afterwards: mirror it first.
    pub fn release_journal(&mut self, keep: Position) -> Result<(), EngineError> {
        match checkpoint::oldest(&self.config)? {
            Some(oldest) => Ok(self.journal.release_before(PARTITION, keep.min(oldest))?),
            None => Ok(()),
        }
    }

    /// The trail from a position on, as far as it is committed.
    pub fn trail_from(&self, from: Position) -> Result<TrailReader, EngineError> {
        TrailReader::new(&self.journal, from)
    }
    /// Oldest position of the trail that is kept, and the position behind the last committed record.
    pub fn trail_ends(&self) -> (Position, Position) {
        (self.journal.first(PARTITION), self.journal.end(PARTITION))
    }
}

/// Contacts in one record at most: far below the journal's limit of a record.
pub(crate) const RECORD_LINES: usize = 10_000;

/// Why a wave waits of which one call has judged as many members as it may.
pub(crate) const JUDGED_OUT: Reason = Reason::RateCapacity;
