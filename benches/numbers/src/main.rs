//! `make bench-numbers`: normalised digits through the number plan's table against the library on the same numbers, in
//! the same run. Fixed seed; prints a table and one JSON line.

use kairos_model::{NumberPlan, hash::mix};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;

const NUMBERS: usize = 100_000;
const ROUNDS: usize = 20;
/// Most nanoseconds that a normalised number may take.
const BAR_NS: f64 = 50.0;

/// CPU nanoseconds of this thread.
fn cpu() -> i128 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec)
}

/// Best nanoseconds a number over the rounds, and how many were numbers.
fn measure(texts: &[String], rounds: usize, mut parse: impl FnMut(&str) -> bool) -> (f64, usize) {
    let (mut best, mut good) = (f64::MAX, 0);
    for _ in 0..rounds {
        let from = cpu();
        good = texts.iter().filter(|t| parse(black_box(t))).count();
        best = best.min((cpu() - from) as f64 / texts.len() as f64);
    }
    (best, good)
}

fn main() {
    let plan = NumberPlan::china();
    let texts: Vec<String> = (0..NUMBERS as u64).map(|i| (13_800_000_000 + mix(i) % 100_000_000).to_string()).collect();
    let (table, table_good) = measure(&texts, ROUNDS, |t| plan.parse_normalised(t.as_bytes()).is_some());
    let (library, library_good) = measure(&texts, 2, |t| phonenumber::parse(Some(phonenumber::country::CN), t).is_ok());
    println!("{:24} {:>10} {:>12}", "way", "ns/number", "numbers");
    println!("{:24} {table:>10.1} {table_good:>12}", "table look-up");
    println!("{:24} {library:>10.1} {library_good:>12}", "library");
    println!(
        "{{\"bench\":\"numbers\",\"metrics\":{{\"table_ns\":{table:.1}}},\"ratios\":{{\"library\":{:.1}}}}}",
        library / table
    );
    assert_eq!(table_good, library_good, "both read every number");
    if table > BAR_NS {
        eprintln!("the table takes {table:.1} ns a number; at most {BAR_NS} are allowed");
        std::process::exit(1);
    }
}
