//! Everything of a world but the channel's own futures, which call back into it.

use crate::{
    centre::Centre,
    clock::{Moment, SimClock},
    counts::Counts,
    dice::Dice,
    line::Line,
    model::{Check, Label, Model, Violation},
    plan::Plan,
    shelves::Shelves,
};
use kairos_connect::receipts::Ids;
use kairos_engine::{Engine, EngineError, Input, Offered, Output};
use kairos_journal::MemDisk;
use kairos_model::{Channel, Clock, SubscriberId, Timestamp};
use kairos_vault::{Vault, VaultError};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// What is to happen, and when.
#[derive(Debug)]
pub enum Happening {
    /// Bytes reach the centre, or us.
    ToCentre(u32, Vec<u8>),
    ToUs(u32, Vec<u8>),
    /// The end of a stream reaches the centre, or us.
    GoneAtCentre(u32),
    GoneAtUs(u32),
    /// The centre answers a submit.
    Answer {
        line: u32,
        seq: u32,
        status: u32,
        id: u64,
        label: Label,
    },
    Receipt(u64),
    Reply {
        from: u64,
        text: &'static str,
    },
    Operator(crate::operate::Order),
    Fault(crate::faults::Fault),
    Restart,
    Network,
}

/// What is to happen, in order.
#[derive(Default)]
pub struct Agenda {
    list: BTreeMap<(Moment, u64), Happening>,
    made: u64,
}

impl Agenda {
    pub fn put(&mut self, at: Moment, what: Happening) {
        self.made += 1;
        self.list.insert((at, self.made), what);
    }
    pub fn first(&self) -> Option<Moment> {
        self.list.first_key_value().map(|(k, _)| k.0)
    }
    pub fn take(&mut self, now: Moment) -> Option<Happening> {
        let first = self.list.first_entry().filter(|e| e.key().0 <= now)?;
        Some(first.remove())
    }
    /// Takes out what matches; returns how many.
    pub fn forget(&mut self, matches: impl Fn(&Happening) -> bool) -> usize {
        let before = self.list.len();
        self.list.retain(|_, h| !matches(h));
        before - self.list.len()
    }
}

/// The process: what dies in a crash.
pub struct Node {
    pub engine: Engine,
    pub vault: Vault,
    pub ids: Ids,
}

pub struct Scene {
    pub clock: Arc<SimClock>,
    pub disk: MemDisk,
    pub shelves: Arc<Shelves>,
    pub plan: Plan,
    pub dice: Dice,
    pub node: Option<Node>,
    /// Why the process must end now; from here on nothing of it runs.
    pub dead: Option<String>,
    pub model: Model,
    pub agenda: Agenda,
    pub lines: BTreeMap<u32, Line>,
    pub made_lines: u32,
    pub centre: Centre,
    pub counts: Counts,
    pub trace: Option<Vec<String>>,
    pub violation: Option<Violation>,
    /// True microseconds that each call of the disk takes.
    pub slow: Moment,
    pub next_snapshot: u32,
    pub newest_book: u32,
}

/// Whether traces are also printed as they are made: for worlds that do not come to an end.
pub static LIVE: AtomicBool = AtomicBool::new(false);

/// How the channel and the streams reach it. One thread only ever asks.
#[derive(Clone)]
pub struct Stage(Arc<Mutex<Scene>>);

impl Stage {
    pub fn new(scene: Scene) -> Self {
        Self(Arc::new(Mutex::new(scene)))
    }
    pub fn scene(&self) -> MutexGuard<'_, Scene> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scene {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
    pub fn moment(&self) -> Moment {
        self.clock.moment()
    }
    /// A line of the trace, made only where one is wanted.
    pub fn say(&mut self, told: impl FnOnce() -> String) {
        if self.trace.is_some() {
            let (moment, now) = (self.moment(), self.now());
            let line = format!("{:>12.6} {now}  {}", moment as f64 / 1e6, told());
            if LIVE.load(Ordering::Relaxed) {
                println!("{line}");
            }
            self.trace.iter_mut().for_each(|t| t.push(line.clone()));
        }
    }
    /// Keeps the first violation.
    pub fn check(&mut self, check: Check) {
        if let Err(v) = check
            && self.violation.is_none()
        {
            self.say(|| format!("VIOLATION {}: {}", v.check, v.told));
            self.violation = Some(v);
        }
    }
    pub fn after(&mut self, span: Moment, what: Happening) {
        self.agenda.put(self.clock.moment() + span, what);
    }
    pub fn alive(&self) -> bool {
        self.node.is_some() && self.dead.is_none()
    }
    fn ends(&mut self, why: String) {
        self.say(|| format!("the process ends: {why}"));
        self.dead = Some(why);
    }

    /// One call of the engine: what it says is learnt, and the time of a slow disk passes.
    fn engine<T>(
        &mut self,
        inputs: &[Input],
        call: impl FnOnce(&mut Engine, Timestamp) -> Result<(T, Vec<Output>), EngineError>,
    ) -> Option<(T, Vec<Output>)> {
        if self.dead.is_some() {
            return None;
        }
        let (now, before) = (self.now(), self.disk.calls());
        let node = self.node.as_mut()?;
        self.model.asked.inputs = inputs.to_vec();
        self.model.high = self.model.high.max(now);
        let done = call(&mut node.engine, now);
        self.pass(before);
        match done {
            Ok((answer, outputs)) => {
                self.learn(inputs, &outputs);
                Some((answer, outputs))
            }
            Err(e) => {
                self.ends(format!("{e}"));
                None
            }
        }
    }
    fn pass(&mut self, calls_before: u64) {
        if self.slow > 0 {
            let calls = (self.disk.calls() - calls_before) as Moment;
            self.counts.slow += calls as u64;
            self.clock.advance_to(self.clock.moment() + calls * self.slow);
        }
    }
    fn learn(&mut self, inputs: &[Input], outputs: &[Output]) {
        let refused = |i: usize| outputs.iter().any(|o| matches!(o, Output::Refused { input, .. } if *input == i));
        for (i, input) in inputs.iter().enumerate() {
            // an opt-out has a line of its own, in its place
            if !refused(i) && !matches!(input, Input::OptOut { .. }) {
                self.model.in_force(input);
            }
        }
        for o in outputs {
            match o {
                Output::Trail(line) => {
                    self.say(|| format!("  {line:?}"));
                    let check = self.model.line(line);
                    self.check(check);
                }
                Output::Refused { why, .. } => {
                    self.counts.refused_orders += 1;
                    self.say(|| format!("  refused: {why}"));
                }
                _ => {}
            }
        }
        self.model.asked.inputs.clear();
    }

    pub fn tell(&mut self, inputs: Vec<Input>) -> Option<Vec<Output>> {
        self.engine(&inputs, |e, now| Ok(((), e.handle(now, &inputs)?))).map(|(_, out)| out)
    }
    pub fn offer(&mut self, max: usize) -> Option<Vec<Offered>> {
        self.engine(&[], |e, now| e.offer(now, Channel::Sms, max)).map(|(offered, _)| offered)
    }
    /// A checkpoint out of turn, and perhaps the journal cut behind the oldest.
    pub fn tidy(&mut self, cut: bool) {
        if self.dead.is_some() {
            return;
        }
        let Some(node) = self.node.as_mut() else { return };
        let mirrored = self.model.mirror(&node.engine);
        let mut done = node.engine.checkpoint();
        if cut && done.is_ok() {
            done = node.engine.release_journal(kairos_journal::Position(u64::MAX));
        }
        self.check(mirrored);
        if let Err(e) = done {
            self.ends(format!("{e}"));
        }
    }

    /// One call of the vault.
    pub fn vault<T>(&mut self, call: impl FnOnce(&Vault, Timestamp) -> Result<T, VaultError>) -> Option<T> {
        if self.dead.is_some() {
            return None;
        }
        let (now, before) = (self.now(), self.disk.calls());
        let done = call(&self.node.as_ref()?.vault, now);
        self.pass(before);
        match done {
            Ok(answer) => Some(answer),
            Err(e) => {
                self.ends(format!("vault: {e}"));
                None
            }
        }
    }
    /// Suppresses a number: known to the model once it is said to be durable.
    pub fn suppress(&mut self, number: u64, at: Timestamp, cause: kairos_vault::SuppressionCause) -> Option<()> {
        let msisdn = kairos_model::Msisdn::from_e164(number)?;
        self.model.asked.suppress.push(number);
        self.vault(|v, _| v.suppress(&[kairos_vault::SuppressRow { number: msisdn, at, cause }]))?;
        self.model.asked.suppress.clear();
        self.model.suppressed.insert(number);
        Some(())
    }
    pub fn person_count(&self) -> u32 {
        self.model.people.len() as u32
    }
    pub fn anybody(&mut self) -> SubscriberId {
        let n = self.person_count();
        SubscriberId(self.dice.below(n.into()) as u32)
    }
}
