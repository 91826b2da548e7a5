//! `make bench-audience`: workload W2 (README.md beside this crate). In one run the bare probe, the index, CRoaring and
//! DuckDB answer the same conditions over 10 M subscribers, the index and the probe also over 100 M; every count must be
//! that of the definition. The index is asked from the condition's text.
//!
//! `kairos-bench-audience --scratch DIR [--python PROGRAM] [--rows ROWS] [--large ROWS] [--reverse ROWS]`. Without
//! `--python` the peers are left out, with 0 rows the large size or the reverse query. Prints tables and one JSON line; ends with 1 if a count is wrong or a bar is missed.

mod peers;
mod reverse;
mod workload;

use kairos_audience::Index;
use kairos_rules::MemoryCatalogue;
use peers::{Peers, Probe};
use reverse::Reverse;
use std::{path::PathBuf, process::ExitCode};

const ROUNDS: usize = 5;

/// CPU-seconds of this thread for one call, and its value.
pub fn timed<T>(f: impl FnOnce() -> T) -> (f64, T) {
    let now = || {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
    };
    let from = now();
    let value = std::hint::black_box(f());
    (now() - from, value)
}

struct Args {
    scratch: PathBuf,
    python: Option<PathBuf>,
    rows: u32,
    large: u32,
    reverse: u32,
}

fn args() -> Result<Args, String> {
    let mut a =
        Args { scratch: PathBuf::new(), python: None, rows: 10_000_000, large: 100_000_000, reverse: 10_000_000 };
    let mut all = std::env::args().skip(1);
    while let Some(name) = all.next() {
        let value = all.next().ok_or_else(|| format!("{name} needs a value"))?;
        let rows = || value.parse::<u32>().map_err(|e| format!("{name} {value}: {e}"));
        match name.as_str() {
            "--scratch" => a.scratch = value.into(),
            "--python" => a.python = Some(value.into()),
            "--rows" => a.rows = rows()?,
            "--large" => a.large = rows()?,
            "--reverse" => a.reverse = rows()?,
            _ => return Err(format!("unknown option {name}")),
        }
    }
    if a.scratch.as_os_str().is_empty() { Err("--scratch DIR is needed".into()) } else { Ok(a) }
}

/// The best time of each condition in milliseconds, and the counts.
struct Ours {
    ms: [f64; 15],
    counts: [u64; 15],
    extract_ms: f64,
    ids: (usize, u64),
    bytes: u64,
}

impl Ours {
    fn boolean(&self) -> f64 {
        self.ms[..10].iter().sum::<f64>() / 10.0
    }
    fn numeric(&self) -> f64 {
        self.ms[10..].iter().sum::<f64>() / 5.0
    }
}

fn ask(index: &Index<Vec<u8>>, catalogue: &MemoryCatalogue, bytes: u64) -> Result<Ours, String> {
    let texts = workload::CONDITIONS.map(workload::text);
    let mut ours = Ours { ms: [f64::MAX; 15], counts: [0; 15], extract_ms: f64::MAX, ids: (0, 0), bytes };
    let mut ids = Vec::new();
    for _ in 0..ROUNDS {
        for (i, text) in texts.iter().enumerate() {
            let (s, n) = timed(|| workload::count(index, catalogue, text));
            ours.ms[i] = ours.ms[i].min(s * 1e3);
            ours.counts[i] = n.map_err(|e| e.to_string())?;
        }
    }
    for _ in 0..ROUNDS {
        let (s, done) = timed(|| workload::extract(index, catalogue, &texts[1], &mut ids));
        done.map_err(|e| e.to_string())?;
        ours.extract_ms = ours.extract_ms.min(s * 1e3);
    }
    ours.ids = (ids.len(), ids.iter().map(|i| u64::from(*i)).sum());
    Ok(ours)
}

fn ours(rows: u32, seed: u64, catalogue: &MemoryCatalogue) -> Result<Ours, String> {
    let (index, built, s) = workload::build(rows, seed);
    let values = f64::from(rows) * (workload::TAGS + 2) as f64;
    println!(
        "index {rows} x {}, seed {seed}: {:.1} MB, built at {:.0} M values a CPU-second",
        workload::TAGS + 2,
        built.bytes as f64 / 1e6,
        values / s / 1e6
    );
    let (s, sound) = timed(|| index.verify());
    sound.map_err(|e| e.to_string())?;
    println!("  verified at {:.1} GB a CPU-second", built.bytes as f64 / s / 1e9);
    ask(&index, catalogue, built.bytes)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, want: T) -> Result<(), String> {
    if found == want { Ok(()) } else { Err(format!("{what}: {found:?}, and {want:?} is right")) }
}

fn counts_of(p: &Probe) -> [u64; 15] {
    std::array::from_fn(|i| {
        let name = if i < 10 { format!("e{i}") } else { format!("n{}", i - 10) };
        p.counts.get(&name).copied().unwrap_or(u64::MAX)
    })
}

fn run() -> Result<bool, String> {
    let a = args()?;
    let catalogue = workload::catalogue();
    for seed in 1..=3 {
        let found = ours(1_000_000, seed, &catalogue)?;
        same(&format!("counts at 1 M, seed {seed}"), found.counts, workload::AT_1M[seed as usize - 1])?;
    }
    let program = peers::compile_probe(&a.scratch)?;
    let before = peers::probe(&program, a.rows, 1)?;
    let our = ours(a.rows, 1, &catalogue)?;
    let peer = a.python.as_ref().map(|p| peers::peers(p, a.rows, 1)).transpose()?;
    let probe = peers::probe(&program, a.rows, 1)?.best(&before);
    if a.rows == 10_000_000 {
        same("counts at 10 M", our.counts, workload::AT_10M)?;
        same("ids of e1 at 10 M", our.ids, workload::EXTRACT_10M)?;
    }
    same("counts of the probe", our.counts, counts_of(&probe))?;
    let large = if a.large > 0 {
        let large = ours(a.large, 1, &catalogue)?;
        same("counts at the large size", large.counts, counts_of(&peers::probe(&program, a.large, 1)?))?;
        Some(large)
    } else {
        None
    };
    let reverse = if a.reverse > 0 { Some(reverse::run(a.reverse)?) } else { None };
    table(&our, &probe);
    // the bars are of 10 M: below it, the condition's text is what takes the time
    Ok(report(&our, large.as_ref(), &probe, peer.as_ref(), reverse.as_ref()) || a.rows != 10_000_000)
}

fn table(our: &Ours, probe: &Probe) {
    println!("\n{:<8}{:>10}{:>10}{:>8}  condition", "", "probe ms", "ours ms", "ratio");
    for (i, condition) in workload::CONDITIONS.iter().enumerate() {
        let name = if i < 10 { format!("e{i}") } else { format!("n{}", i - 10) };
        let p = probe.ms.get(&name).copied().unwrap_or(f64::NAN);
        println!("{name:<8}{p:>10.3}{:>10.3}{:>8.2}  {condition}", our.ms[i], our.ms[i] / p);
    }
}

fn report(our: &Ours, large: Option<&Ours>, probe: &Probe, peer: Option<&Peers>, reverse: Option<&Reverse>) -> bool {
    let extract = probe.ms.get("extract").copied().unwrap_or(f64::NAN);
    let mut ratios = serde_json::Map::new();
    let mut kept = true;
    println!("\n{:<22}{:>10}{:>10}{:>10}{:>8}", "", "ours ms", "other ms", "ratio", "bar");
    // (name, ours, other, bar, how many times ours the other may be at least, or ours the other at most)
    let mut line = |name: &str, ours: f64, other: f64, bar: f64, peer: bool| {
        let ratio = if peer { other / ours } else { ours / other };
        kept &= if peer { ratio >= bar } else { ratio <= bar };
        println!("{name:<22}{ours:>10.3}{other:>10.3}{ratio:>10.2}{:>4}{bar:>4}", if peer { ">=" } else { "<=" });
        ratios.insert(name.into(), ((ratio * 1e3).round() / 1e3).into());
    };
    line("probe", our.boolean(), probe.mean('e'), 2.0, false);
    line("probe_numeric", our.numeric(), probe.mean('n'), 2.0, false);
    line("probe_extract", our.extract_ms, extract, 1.5, false);
    if let Some(p) = peer {
        line("croaring", our.boolean(), p.croaring, 3.5, true);
        line("duckdb", our.boolean(), p.duckdb, 150.0, true);
        line("duckdb_numeric", our.numeric(), p.duckdb_numeric, 15.0, true);
        line("croaring_extract", our.extract_ms, p.croaring_extract, 1.0, true);
        line("duckdb_extract", our.extract_ms, p.duckdb_extract, 25.0, true);
    }
    let round = |x: f64| (x * 1e4).round() / 1e4;
    let mut metrics = serde_json::json!({
        "count_ms_10m": round(our.boolean()),
        "numeric_ms_10m": round(our.numeric()),
        "extract_ms": round(our.extract_ms),
        "index_mb_10m": round(our.bytes as f64 / 1e6),
    });
    if let Some(l) = large {
        metrics["count_ms_100m"] = round(l.boolean()).into();
        metrics["numeric_ms_100m"] = round(l.numeric()).into();
    }
    if let Some(r) = reverse {
        metrics["reverse_s"] = round(r.wall_s).into();
        metrics["reverse_cpu_s"] = round(r.cpu_s).into();
        metrics["reverse_index_mb"] = round(r.bytes as f64 / 1e6).into();
        kept &= r.wall_s <= 1.0;
    }
    println!("\n{}", serde_json::json!({ "bench": "audience", "metrics": metrics, "ratios": ratios }));
    kept
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a bar is missed");
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
