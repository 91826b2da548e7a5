//! Reverse query: 450 tags, a list of one in fifty in which 20 tags are planted; the planted must come first.

use crate::workload::{lane, parts, threshold};
use kairos_audience::{Builder, Contrast, Finding, Head, Index, Members, Values, tags_apart};
use kairos_model::{LocalDay, SnapshotId, TenantId, Timestamp, hash::mix};
use kairos_rules::TagType;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

const BOOLEANS: u64 = 300;
const ENUMS: u64 = 100;
const NUMBERS: u64 = 50;
/// The first stream of the tags; those of the planting come behind.
const STREAM: u64 = 1_024;
const WORDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

pub struct Reverse {
    /// Seconds by the clock, two threads.
    pub wall_s: f64,
    /// CPU-seconds on one thread.
    pub cpu_s: f64,
    pub bytes: u64,
}

/// One of each fifty.
fn in_list(i: u64) -> bool {
    i % 50 == mix(i / 50) % 50
}

/// Ten booleans, five enums and five numbers, spread over all.
fn is_planted(k: u64) -> bool {
    match k {
        0..300 => k % 30 == 17,
        300..400 => (k - BOOLEANS) % 20 == 7,
        _ => (k - BOOLEANS - ENUMS) % 10 == 3,
    }
}

/// Whether the planting speaks instead of the draw: for one in twenty of the list.
fn planted(k: u64, i: u64) -> bool {
    is_planted(k) && in_list(i) && lane(1, STREAM + 500 + k, i) < 3_277
}

fn build(rows: u32) -> Index<Vec<u8>> {
    let tenant = TenantId(1);
    let head = Head { tenant, snapshot: SnapshotId(1), as_of: Timestamp(0), day: LocalDay(0), rows };
    // room for all, so that growing does not copy gigabytes; pages that are not used are not taken
    let room = rows as usize * 240;
    let mut b = Builder::begin(Vec::with_capacity(room), head).expect("fewer rows than ordinals");
    for k in 0..BOOLEANS + ENUMS + NUMBERS {
        let draw = |i: u64| lane(1, STREAM + k, i);
        let (ty, id) = match k {
            0..300 => (TagType::Bool, format!("b{k}")),
            300..400 => (TagType::enumeration(WORDS), format!("w{k}")),
            _ => (TagType::Int, format!("n{k}")),
        };
        let mut c = b.column(&id, &ty, "").expect("a new column");
        for part in parts(rows) {
            let pushed = match ty {
                TagType::Bool => {
                    let th = threshold(k as usize);
                    let v: Vec<bool> = part.map(|i| draw(i) < th || planted(k, i)).collect();
                    c.push(&Values::Bools(&v), None)
                }
                TagType::Enum { .. } => {
                    let v: Vec<u32> = part.map(|i| if planted(k, i) { 3 } else { (draw(i) >> 13) as u32 }).collect();
                    c.push(&Values::Codes(&v), None)
                }
                _ => {
                    let value = |x: u64| ((x * x * 1000) >> 32) as i64;
                    let v: Vec<i64> = part.map(|i| if planted(k, i) { 950 } else { value(draw(i)) }).collect();
                    c.push(&Values::Numbers(&v), None)
                }
            };
            pushed.expect("values of the column");
        }
        c.finish().expect("a whole column");
    }
    Index::open(b.finish().expect("memory").0, tenant).expect("what was just built")
}

/// Counts by parts of ten columns, taken by whoever is free.
fn by_threads(index: &Index<Vec<u8>>, list: &Members, threads: usize) -> Result<Vec<Finding>, String> {
    let view = index.view();
    let everyone = view.everyone().map_err(|e| e.to_string())?;
    let contrast = Contrast::new(view, list, &everyone).map_err(|e| e.to_string())?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut mine = Vec::new();
        loop {
            let from = next.fetch_add(10, Ordering::Relaxed);
            if from >= contrast.columns() {
                return Ok(mine);
            }
            mine.extend(contrast.tally(from..(from + 10).min(contrast.columns()))?);
        }
    };
    let tallies = std::thread::scope(|s| {
        let workers: Vec<_> = (0..threads).map(|_| s.spawn(work)).collect();
        let parts = workers.into_iter().map(|w| w.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        parts.collect::<Result<Vec<_>, kairos_audience::AskError>>()
    });
    let tallies = tallies.map_err(|e| e.to_string())?.into_iter().flatten().collect();
    contrast.rank(tallies).map_err(|e| e.to_string())
}

pub fn run(rows: u32) -> Result<Reverse, String> {
    let index = build(rows);
    let bytes: u64 = index.bytes() as u64;
    let list = Members::from_ascending((0..rows).filter(|i| in_list(u64::from(*i))));
    let (mut wall_s, mut found) = (f64::MAX, Vec::new());
    for _ in 0..3 {
        let from = Instant::now();
        found = by_threads(&index, &list, 2)?;
        wall_s = wall_s.min(from.elapsed().as_secs_f64());
    }
    let mut cpu_s = f64::MAX;
    for _ in 0..3 {
        let (s, done) = crate::timed(|| {
            let everyone = index.view().everyone()?;
            Contrast::new(index.view(), &list, &everyone)?.findings()
        });
        let same = done.map_err(|e| e.to_string())? == found;
        crate::same("findings by one thread and by two are equal", same, true)?;
        cpu_s = cpu_s.min(s);
    }
    let want: BTreeSet<u64> = (0..BOOLEANS + ENUMS + NUMBERS).filter(|k| is_planted(*k)).collect();
    let first: BTreeSet<u64> =
        tags_apart(&found).iter().take(20).map(|f| f.tag[1..].parse().unwrap_or(u64::MAX)).collect();
    crate::same("the twenty tags that come first", first, want)?;
    let believed = found.iter().filter(|f| f.q < 0.01).map(|f| f.tag.as_str()).collect::<BTreeSet<_>>().len();
    println!(
        "reverse query, {rows} x 450 tags ({:.0} MB), list of {}: {wall_s:.3} s with two threads, {cpu_s:.3} CPU-s with \
         one; the 20 planted come first, {believed} tags below a false-discovery rate of 0.01",
        bytes as f64 / 1e6,
        list.len()
    );
    Ok(Reverse { wall_s, cpu_s, bytes })
}
