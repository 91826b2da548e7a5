//! Worlds by the hundred: whatever disk, clock, network and centre do, no rule is broken and nobody is lost.

use kairos_sim::{run_seed, soak};

/// How many seeds a run of the tests takes; `make soak SEEDS=n` takes any number.
fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

#[test]
fn no_rule_is_broken_in_a_thousand_worlds() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let total = soak(1, seeds(), threads, 1);
    if let Some(o) = total.failed.first() {
        let trace = run_seed(o.seed, true).trace;
        let tail = trace[trace.len().saturating_sub(60)..].join("\n");
        panic!("{tail}\nSEED={} failed: {:?} {:?}\nreplay it with `SEED={0} make soak`", o.seed, o.violation, o.panic);
    }
    assert_eq!(total.seeds, seeds());
    assert_eq!(total.small, Vec::<u64>::new(), "worlds that are too small to count");
    assert_eq!(total.counts.missing(), Vec::<&str>::new(), "faults that never happened: {:?}", total.counts);
    println!("{} seeds, {:.0} CPU-s: {:?}", total.seeds, total.cpu, total.counts);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [1, 77] {
        let (a, b) = (run_seed(seed, true), run_seed(seed, true));
        assert!(a.trace.len() > 1_000);
        assert_eq!(a.trace, b.trace);
        assert_eq!((a.counts, a.violation), (run_seed(seed, false).counts, b.violation));
    }
}
