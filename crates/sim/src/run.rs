//! Running seeds: one, or many on several threads.

use crate::{counts::Counts, model::Violation, world::World};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// What a seed's world came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub counts: Counts,
    /// Simulated seconds.
    pub simulated: f64,
    pub people: u32,
    pub campaigns: u32,
    pub days: i64,
    /// The check that failed; a panic of the program is none of them.
    pub violation: Option<Violation>,
    pub panic: Option<String>,
    pub trace: Vec<String>,
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        self.violation.is_none() && self.panic.is_none()
    }
    /// Whether the world was large enough to count.
    pub fn counts_as_seed(&self) -> bool {
        self.people >= 500
            && self.campaigns >= 3
            && self.days >= 7
            && self.counts.steps >= 2_000
            && self.counts.crashes >= 3
    }
}

/// One world from beginning to end; with `tracing`, everything that happened in words.
pub fn run_seed(seed: u64, tracing: bool) -> Outcome {
    let mut outcome = Outcome {
        seed,
        counts: Counts::default(),
        simulated: 0.0,
        people: 0,
        campaigns: 0,
        days: 0,
        violation: None,
        panic: None,
        trace: Vec::new(),
    };
    let mut world = match World::new(seed, tracing) {
        Ok(world) => world,
        Err(v) => return Outcome { violation: Some(v), ..outcome },
    };
    match catch_unwind(AssertUnwindSafe(|| world.live())) {
        Ok(Ok(())) => {}
        Ok(Err(v)) => outcome.violation = Some(v),
        Err(cause) => {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            outcome.panic = Some(text.to_owned());
        }
    }
    let mut s = world.stage.scene();
    outcome.counts = s.counts;
    outcome.simulated = s.moment() as f64 / 1e6;
    (outcome.people, outcome.campaigns, outcome.days) = (s.plan.people, s.plan.campaigns, s.plan.days);
    outcome.trace = s.trace.take().unwrap_or_default();
    drop(s);
    outcome
}

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Total {
    pub seeds: u64,
    /// Seeds whose world was too small to count.
    pub small: Vec<u64>,
    pub counts: Counts,
    pub simulated: f64,
    pub cpu: f64,
    /// The failing seeds, lowest first.
    pub failed: Vec<Outcome>,
}

/// User and system seconds of this process.
pub fn cpu_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Seeds `first..first + seeds` on `threads` threads; stops early once `failures_max` have failed.
pub fn soak(first: u64, seeds: u64, threads: usize, failures_max: usize) -> Total {
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let before = cpu_seconds();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let outcome = run_seed(seed, false);
                    let mut t = total.lock().unwrap_or_else(PoisonError::into_inner);
                    t.seeds += 1;
                    t.counts.add(&outcome.counts);
                    t.simulated += outcome.simulated;
                    if !outcome.is_good() {
                        t.failed.push(outcome);
                    } else if !outcome.counts_as_seed() {
                        t.small.push(seed);
                    }
                    stop.fetch_or(t.failed.len() >= failures_max, Ordering::Relaxed);
                }
            });
        }
    });
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.cpu = cpu_seconds() - before;
    total.failed.sort_by_key(|o| o.seed);
    total.small.sort_unstable();
    total
}
