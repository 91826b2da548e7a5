//! The table by cell and the JSON line.

use crate::campaign::{AUDIENCE_MIN, BASELINES, Outcome, UPLIFTS};
use kairos_insight::Verdict;

struct Cell {
    n: usize,
    covered: usize,
    truth: f64,
    estimate: f64,
    width: f64,
    positive: usize,
    negative: usize,
    invalid: usize,
}

fn covered(o: &Outcome) -> bool {
    o.evaluation.uplift.is_some_and(|u| u.covers(o.truth.uplift))
}

fn cell<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Cell {
    let mut c = Cell { n: 0, covered: 0, truth: 0.0, estimate: 0.0, width: 0.0, positive: 0, negative: 0, invalid: 0 };
    for o in outcomes {
        c.n += 1;
        c.covered += usize::from(covered(o));
        c.truth += o.truth.uplift;
        if let Some(u) = o.evaluation.uplift {
            c.estimate += u.estimate;
            c.width += u.high - u.low;
        }
        match o.evaluation.verdict {
            Verdict::Positive => c.positive += 1,
            Verdict::Negative => c.negative += 1,
            Verdict::Invalid { .. } => c.invalid += 1,
            Verdict::Inconclusive { .. } => {}
        }
    }
    c
}

/// Prints everything; returns the overall coverage.
pub fn print(outcomes: &[Outcome], seed: u64) -> f64 {
    println!("campaigns {}  seed {seed}  interval 95 % (Newcombe, method 10)", outcomes.len());
    println!(
        "{:>9} {:>7} {:>5} {:>9} {:>8} {:>9} {:>7} {:>8} {:>8} {:>7}",
        "baseline", "uplift", "n", "coverage", "truth", "estimate", "width", "positive", "negative", "invalid"
    );
    for (b, baseline) in BASELINES.iter().enumerate() {
        for (u, uplift) in UPLIFTS.iter().enumerate() {
            line(&pc(*baseline), &pc(*uplift), &cell(outcomes.iter().filter(|o| o.cell == (b, u))));
        }
    }
    let all = cell(outcomes.iter());
    line("all", "", &all);
    let n = all.n.max(1) as f64;
    let sum = |f: fn(&Outcome) -> u64| outcomes.iter().map(f).sum::<u64>() as f64;
    let smallest = outcomes.iter().map(|o| o.audience).min().unwrap_or(0);
    let (upper, lower) = (sum(|o| o.capped.0 as u64), sum(|o| o.capped.1 as u64));
    println!(
        "audiences of {smallest} or more (at least {AUDIENCE_MIN}), {:.0} chosen and {:.0} controls on average; earlier \
         contacts met {:.0} % of the likelier half and {:.0} % of the other",
        sum(|o| o.chosen) / n,
        sum(|o| o.control) / n,
        200.0 * upper / sum(|o| o.audience as u64).max(1.0),
        200.0 * lower / sum(|o| o.audience as u64).max(1.0),
    );
    let none = cell(outcomes.iter().filter(|o| o.cell.1 == 0));
    let coverage = all.covered as f64 / n;
    println!(
        "{{\"bench\":\"truth\",\"metrics\":{{\"coverage\":{coverage:.4},\"campaigns\":{},\"audience_min\":{smallest},\
         \"bias_points\":{:.4},\"false_positive\":{:.4},\"invalid\":{:.4}}}}}",
        all.n,
        100.0 * (all.estimate - all.truth) / n,
        none.positive as f64 / none.n.max(1) as f64,
        all.invalid as f64 / n,
    );
    coverage
}

fn pc(x: f64) -> String {
    format!("{:.1} %", 100.0 * x)
}

fn line(baseline: &str, uplift: &str, c: &Cell) {
    let n = c.n.max(1) as f64;
    println!(
        "{baseline:>9} {uplift:>7} {:>5} {:>9} {:>8.3} {:>9.3} {:>7.3} {:>8} {:>8} {:>7}",
        c.n,
        pc(c.covered as f64 / n),
        100.0 * c.truth / n,
        100.0 * c.estimate / n,
        100.0 * c.width / n,
        c.positive,
        c.negative,
        c.invalid
    );
}
