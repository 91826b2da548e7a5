//! `soak [SEEDS] [START]`: many worlds. `SEED=n soak`: one world, replayed with its trace (`TRACE=all`: from its beginning,
//! `TRACE=live`: as it happens).

use kairos_sim::{Counts, LIVE, Outcome, run_seed, soak};
use std::{process::ExitCode, time::Instant};

/// Lines of a trace that are printed unless `TRACE=all`.
const TAIL: usize = 60;

fn number(text: Option<String>, default: u64) -> u64 {
    text.and_then(|t| t.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if let (Ok(seed), None) = (std::env::var("SEED"), args.peek()) {
        return replay(number(Some(seed), 1));
    }
    let (seeds, first) = (number(args.next(), 1_000), number(args.next(), 1));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (begun, mut failed) = (Instant::now(), false);
    let failures = number(std::env::var("FAILURES").ok(), 5);
    let total = soak(first, seeds, threads, failures as usize);
    let wall = begun.elapsed().as_secs_f64();
    println!("{:<48} {}", "seeds", total.seeds);
    for (name, n) in total.counts.list() {
        println!("{name:<48} {n}");
    }
    let speed = total.simulated / total.cpu.max(1e-9);
    println!("{:<48} {:.0} days", "simulated", total.simulated / 86_400.0);
    println!("{:<48} {wall:.0} s on {threads} threads, {:.1} CPU-s", "took", total.cpu);
    println!("{:<48} {speed:.0} × real", "speed");
    if total.seeds >= 100 {
        for kind in total.counts.missing() {
            println!("FAULT THAT NEVER HAPPENED: {kind}");
            failed = true;
        }
    }
    if !total.small.is_empty() {
        println!("TOO SMALL TO COUNT: {:?}", total.small);
        failed = true;
    }
    for o in &total.failed {
        failed = true;
        println!("SEED={} FAILED: {}", o.seed, why(o));
    }
    if let Some(first) = total.failed.first() {
        tell(&run_seed(first.seed, true));
    }
    println!(
        "{{\"bench\":\"soak\",\"metrics\":{{\"seeds\":{},\"steps\":{},\"crashes\":{},\"cpu_s\":{:.1},\"sim_speed\":{speed:.0}}}}}",
        total.seeds, total.counts.steps, total.counts.crashes, total.cpu
    );
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn why(o: &Outcome) -> String {
    match (&o.violation, &o.panic) {
        (Some(v), _) => format!("{}: {}", v.check, v.told),
        (None, Some(p)) => format!("PANIC: {p}"),
        (None, None) => "nothing".to_owned(),
    }
}

fn replay(seed: u64) -> ExitCode {
    LIVE.store(std::env::var("TRACE").is_ok_and(|t| t == "live"), std::sync::atomic::Ordering::Relaxed);
    let outcome = run_seed(seed, true);
    tell(&outcome);
    let counts: Counts = outcome.counts;
    for (name, n) in counts.list().into_iter().filter(|c| c.1 > 0) {
        println!("{name:<48} {n}");
    }
    if outcome.is_good() {
        println!("SEED={seed}: nothing is wrong");
        return ExitCode::SUCCESS;
    }
    println!("SEED={seed} FAILED: {}", why(&outcome));
    ExitCode::FAILURE
}

fn tell(o: &Outcome) {
    let all = std::env::var("TRACE").is_ok_and(|t| t == "all");
    let from = if all { 0 } else { o.trace.len().saturating_sub(TAIL) };
    if from > 0 {
        println!("… {from} lines before (TRACE=all prints them)");
    }
    o.trace[from..].iter().for_each(|line| println!("{line}"));
}
