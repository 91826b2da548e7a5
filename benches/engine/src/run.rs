//! The whole engine on W1: journal and ledger on real files, checkpoints on, events handed over in batches.

use crate::{
    compile::{BOOK, SNAPSHOT, Shelf, campaign_id, event, stamp},
    machine::{cpu, resident, sha256},
    w1::{T_END, T0, World, mix},
};
use kairos_decide::FamilyId;
use kairos_engine::{
    Engine, EngineConfig, EngineError, EventBatch, Input, Library, Origin, Output, PastContact, Sums, Trail,
};
use kairos_journal::{Journal, JournalConfig, Position, RealDisk};
use kairos_model::{CampaignId, ContactState, DecisionRecord, Event, SubscriberId, TenantId, Timestamp, Verdict};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// Events in one batch: what stays in the processor's cache from the intake to the journal's buffer.
const BATCH: usize = 4_096;
/// Batches in one call: a group of a MiB.
const BATCHES: usize = 8;

pub struct Settings {
    pub world: World,
    pub dir: PathBuf,
    pub partitions: u16,
    pub checkpoint_events: u64,
    /// After so many events the process kills itself.
    pub kill_at: Option<u64>,
    pub out: Option<PathBuf>,
    /// Between loading and the first event.
    pub wait: Duration,
    /// Events are made as they are handed over, so that what is resident at the end is the engine alone.
    pub lazy: bool,
}

/// What a run found.
pub struct Report {
    pub cpu: Duration,
    pub wall: Duration,
    pub events: u64,
    pub sent: u64,
    pub control: u64,
    pub timers: [u64; 4],
    pub state: u64,
    pub sha256: String,
    pub checkpoints: u64,
    pub resident: u64,
    pub peer_bytes: u64,
    pub state_bytes: [usize; 3],
    pub loaded: Duration,
    pub recovery: Duration,
    pub withheld: BTreeMap<&'static str, u64>,
}

impl Report {
    /// One line for whoever started the run.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "events": self.events,
            "cpu_s": self.cpu.as_secs_f64(),
            "wall_s": self.wall.as_secs_f64(),
            "loaded_s": self.loaded.as_secs_f64(),
            "opened_s": self.recovery.as_secs_f64(),
            "sent": self.sent,
            "control": self.control,
            "matched": self.timers[3],
            "waiting": self.timers[0],
            "merged": self.timers[2],
            "withheld": self.withheld,
            "checkpoints": self.checkpoints,
            "resident": self.resident,
            "peer_bytes": self.peer_bytes,
            "state_bytes": self.state_bytes,
            "state": format!("{:016x}", self.state),
            "sha256": self.sha256,
        })
    }
}

fn open(s: &Settings, shelf: &Arc<Shelf>) -> Result<Engine, EngineError> {
    let mut journal = JournalConfig::new(TenantId(1), 1);
    (journal.segment_bytes, journal.record_max, journal.align) = (256 << 20, 2 << 20, 4096);
    let (journal, _) = Journal::open(Arc::new(RealDisk), &s.dir.join("journal"), journal)?;
    let mut config = EngineConfig::new(TenantId(1), Arc::new(RealDisk), s.dir.join("checkpoint"));
    (config.partitions, config.checkpoint_events) = (s.partitions, s.checkpoint_events);
    // what was imported is one record of 10,000 contacts each, and is followed by a checkpoint of its own
    config.checkpoint_every = u64::MAX;
    let library: Arc<dyn Library> = shelf.clone();
    Engine::open(config, journal, library).map(|(engine, _)| engine)
}

/// The contacts before the run, and the book and facts.
fn prepare(engine: &mut Engine, w: &World) -> Result<(), EngineError> {
    let before = stamp(T0 - 1);
    engine.handle(before, &[Input::SwapFacts(SNAPSHOT), Input::SwapPlaybook(BOOK)])?;
    let mut list = Vec::new();
    for s in 0..w.subs {
        list.extend(w.first_contacts(s).into_iter().map(|(ms, c)| PastContact {
            subscriber: SubscriberId(s as u32),
            campaign: campaign_id(c),
            family: FamilyId(c as u32 + 1),
            stamp: stamp(ms),
        }));
        if list.len() > 100_000 || s + 1 == w.subs {
            engine.handle(before, &[Input::Past(Arc::new(std::mem::take(&mut list)))])?;
        }
    }
    engine.checkpoint()
}

type Line = (i64, u32, u32, bool);

fn line(r: &DecisionRecord) -> Option<Line> {
    let control = match r.verdict {
        Verdict::Send => false,
        Verdict::Control => true,
        _ => return None,
    };
    Some((r.stamp.0, r.subscriber.0, r.campaign.0 - 1, control))
}

fn collect(out: &[Output], lines: &mut Vec<Line>) {
    for o in out {
        if let Output::Trail(Trail::Decision { record, .. }) = o {
            lines.extend(line(record));
        }
    }
}

/// The events of one call.
fn call(w: &World, from: u64) -> Vec<Input> {
    let to = (from + (BATCH * BATCHES) as u64).min(w.events);
    let batch = |at: u64| {
        let to = (at + BATCH as u64).min(to);
        let events: Vec<Event> = (at..to).map(|i| event(w, i)).collect();
        let origin = Origin::Offsets { source: 1, partition: 0, from: at, to, each: Vec::new() };
        Input::Events(Arc::new(EventBatch { origin, events }))
    };
    (from..to).step_by(BATCH).map(batch).collect()
}
fn calls(w: &World, from: u64) -> Vec<Vec<Input>> {
    (from..w.events).step_by(BATCH * BATCHES).map(|at| call(w, at)).collect()
}
/// How many events, and when the last of them arrived.
fn size_of(inputs: &[Input]) -> (u64, Timestamp) {
    inputs.iter().fold((0, stamp(T0)), |(n, t), i| match i {
        Input::Events(b) => (n + b.events.len() as u64, b.events.last().map_or(t, |e| e.arrived)),
        _ => (n, t),
    })
}

pub fn run(s: &Settings) -> Result<Report, EngineError> {
    let w = &s.world;
    let (t, c) = (Instant::now(), cpu());
    let shelf = Arc::new(Shelf::new(w));
    let fresh = !s.dir.join("journal").exists();
    let opening = Instant::now();
    let mut engine = open(s, &shelf)?;
    let recovery = opening.elapsed();
    if fresh {
        prepare(&mut engine, w)?;
    }
    let loaded = t.elapsed();
    let from = engine.taken(1, 0);
    let all = if s.lazy { Vec::new() } else { calls(w, from) };
    eprintln!("loaded in {loaded:.1?}, {:.1?} of processor time; {from} events taken before", cpu() - c);
    // time for a profiler to attach
    std::thread::sleep(s.wait);
    let mut lines: Vec<Line> = Vec::new();
    let (wall, start) = (Instant::now(), cpu());
    let (mut done, mut made, published) = (from, all.iter(), engine.checkpoints());
    while done < w.events {
        let lazy;
        let inputs = match made.next() {
            Some(inputs) => inputs,
            None => {
                lazy = call(w, done);
                &lazy
            }
        };
        let (events, now) = size_of(inputs);
        let out = engine.handle(now, inputs)?;
        collect(&out, &mut lines);
        done += events;
        if s.kill_at.is_some_and(|n| done >= n) {
            kill();
        }
    }
    let out = engine.handle(stamp(T_END), &[Input::Tick])?;
    collect(&out, &mut lines);
    let (cpu, wall) = (cpu() - start, wall.elapsed());
    eprintln!("done in {wall:.2?}, {cpu:.2?} of processor time");
    std::thread::sleep(s.wait);
    drop(all);
    if from > 0 {
        lines = from_trail(&engine)?;
    }
    let text = text_of(&mut lines);
    if let Some(out) = &s.out {
        std::fs::write(out, &text).unwrap_or_else(|e| fail(out, &e));
    }
    Ok(report(s, &engine, &shelf, &lines, &text, (cpu, wall), (loaded, recovery), w.events - from, published))
}

fn fail(path: &Path, e: &std::io::Error) -> ! {
    eprintln!("cannot write `{}`: {e}", path.display());
    std::process::exit(1)
}

/// As kill -9 from outside: nothing is written or dropped on the way.
fn kill() -> ! {
    let me = rustix::process::getpid();
    match rustix::process::kill_process(me, rustix::process::Signal::KILL) {
        Ok(()) => loop {
            std::thread::park();
        },
        Err(e) => unreachable!("a process may kill itself: {e}"),
    }
}

/// Every outcome since the beginning, as the journal has it.
fn from_trail(engine: &Engine) -> Result<Vec<Line>, EngineError> {
    let mut lines = Vec::new();
    for t in engine.trail_from(Position::START)? {
        if let (_, Trail::Decision { record, .. }) = t? {
            lines.extend(line(&record));
        }
    }
    Ok(lines)
}

fn text_of(lines: &mut [Line]) -> String {
    lines.sort_unstable();
    let mut text = String::new();
    for (us, s, c, control) in lines {
        let kind = if *control { "control" } else { "sent" };
        text.push_str(&format!("{} {s} {c} {kind}\n", *us / 1000));
    }
    text
}

#[allow(clippy::too_many_arguments)]
fn report(
    s: &Settings,
    engine: &Engine,
    shelf: &Shelf,
    lines: &[Line],
    text: &str,
    (cpu, wall): (Duration, Duration),
    (loaded, recovery): (Duration, Duration),
    events: u64,
    published: u64,
) -> Report {
    let w = &s.world;
    let mut seen = vec![false; w.subs as usize];
    (0..w.events).for_each(|i| seen[w.event(i).sub as usize] = true);
    let state = (0..w.subs).filter(|&i| seen[i as usize]).fold(0, |x, i| match engine.state(SubscriberId(i as u32)) {
        Some(r) => x ^ mix((i << 32).wrapping_add(2 * (u64::from(r.cell().0) - 1) + u64::from(r.powered_on()))),
        None => x,
    });
    let mut all = Sums::default();
    engine.moments().for_each(|(_, sums, _)| all.add(sums));
    assert!(all.adds_up(), "{all:?}");
    let withheld = all.withheld_by().map(|(r, n)| (r.name(), n)).collect();
    let control = lines.iter().filter(|l| l.3).count() as u64;
    let sent = lines.len() as u64 - control;
    assert_eq!(all.of(ContactState::Pending), sent, "each sent outcome is a contact of the ledger");
    assert_eq!(all.of(ContactState::Control), control);
    Report {
        cpu,
        wall,
        events,
        sent,
        control,
        timers: timers(engine, &all),
        state,
        sha256: sha256(text.as_bytes()),
        checkpoints: engine.checkpoints() - published,
        resident: resident(),
        peer_bytes: shelf.facts.matrix().bytes().1 as u64,
        state_bytes: engine.state_bytes(),
        loaded,
        recovery,
        withheld,
    }
}

/// Waiting still, left the area, and how often a campaign matched while it waited; last: occurrences.
fn timers(engine: &Engine, all: &Sums) -> [u64; 4] {
    let merged = engine.moments().map(|(_, _, merged): (CampaignId, &Sums, u64)| merged).sum();
    let left = all.withheld[kairos_model::Reason::LeftArea as usize];
    [all.of(ContactState::Deferred), left, merged, all.members]
}
