//! `make bench-truth`: seeded campaigns through control assignment, contact policy and allocation (`kairos_decide`),
//! the response model (`kairos_synth`) and the evaluation (`kairos_insight`); how often does the 95 % interval cover
//! the mean, over those chosen, of P(order | chosen) − P(order | left alone)?
//!
//! `kairos-bench-truth [campaigns] [seed]`. Prints a table by baseline × uplift and one JSON line; ends with 1 if the
//! overall coverage is outside 93–97 % or an audience is too small.

mod campaign;
mod report;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut next = |default: u64| args.next().map_or(Ok(default), |a| a.parse::<u64>());
    let (campaigns, seed) = match (next(1_000), next(1)) {
        (Ok(campaigns), Ok(seed)) if (1..=1_000_000).contains(&campaigns) => (campaigns, seed),
        _ => {
            eprintln!("usage: kairos-bench-truth [campaigns 1..1000000, default 1000] [seed, default 1]");
            return ExitCode::from(2);
        }
    };
    let results = run(campaigns, seed);
    let coverage = report::print(&results, seed);
    let large = results.iter().all(|o| o.audience >= campaign::AUDIENCE_MIN);
    if large && (0.93..=0.97).contains(&coverage) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every campaign is a pure function of (seed, number), so the threads change nothing.
fn run(campaigns: u64, seed: u64) -> Vec<campaign::Outcome> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let part = |t: u64| {
            move || (t..campaigns).step_by(threads as usize).map(|k| campaign::run(seed, k)).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..threads).map(|t| scope.spawn(part(t))).collect();
        workers.into_iter().flat_map(|w| w.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    all.sort_by_key(|o| o.number);
    all
}
