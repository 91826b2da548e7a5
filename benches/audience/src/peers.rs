//! The probe and the peers: programs of their own, run here and read by their output.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

/// Times of the probe in milliseconds, by name (`e0`, `extract e1`), and its counts.
#[derive(Debug, Default)]
pub struct Probe {
    pub ms: BTreeMap<String, f64>,
    pub counts: BTreeMap<String, u64>,
}

impl Probe {
    /// The mean of `e0`–`e9` or `n0`–`n4`.
    pub fn mean(&self, letter: char) -> f64 {
        let all: Vec<f64> =
            self.ms.iter().filter(|(n, _)| n.starts_with(letter) && n.len() == 2).map(|(_, m)| *m).collect();
        all.iter().sum::<f64>() / all.len() as f64
    }
    /// The better time of each of two runs.
    pub fn best(mut self, other: &Self) -> Self {
        for (name, ms) in &mut self.ms {
            *ms = other.ms.get(name).map_or(*ms, |o| ms.min(*o));
        }
        self
    }
}

fn output(program: &Path, args: &[String]) -> Result<String, String> {
    let run =
        Command::new(program).args(args).output().map_err(|e| format!("cannot run `{}`: {e}", program.display()))?;
    if !run.status.success() {
        let error = String::from_utf8_lossy(&run.stderr);
        return Err(format!("`{}` {}: {error}", program.display(), run.status));
    }
    String::from_utf8(run.stdout).map_err(|e| format!("`{}` prints no text: {e}", program.display()))
}

/// Compiles the probe for this processor, as its definition says.
pub fn compile_probe(into: &Path) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/w2_probe.rs");
    let program = into.join("w2_probe");
    let args = ["-O", "-C", "target-cpu=native", "-C", "panic=abort", "--cap-lints", "allow"].map(str::to_owned);
    let ends = [source.display().to_string(), "-o".into(), program.display().to_string()];
    output(Path::new("rustc"), &args.into_iter().chain(ends).collect::<Vec<_>>())?;
    Ok(program)
}

/// Lines `e0    0.036 ms       1143` and `extract e1 1.287 ms, 197730 ids, sum 988946350461`.
pub fn probe(program: &Path, rows: u32, seed: u64) -> Result<Probe, String> {
    let text = output(program, &[rows.to_string(), seed.to_string()])?;
    let mut p = Probe::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["extract", "e1", ms, ..] => {
                p.ms.insert("extract".into(), ms.parse().map_err(|e| format!("{line}: {e}"))?);
            }
            [name, ms, "ms", count] if name.len() == 2 => {
                p.ms.insert(name.into(), ms.parse().map_err(|e| format!("{line}: {e}"))?);
                p.counts.insert(name.into(), count.parse().map_err(|e| format!("{line}: {e}"))?);
            }
            _ => {}
        }
    }
    if p.ms.len() == 16 { Ok(p) } else { Err(format!("the probe printed {} times of 16", p.ms.len())) }
}

/// Mean milliseconds of the peers, by the line's beginning.
#[derive(Debug)]
pub struct Peers {
    pub croaring: f64,
    pub croaring_extract: f64,
    pub duckdb: f64,
    pub duckdb_numeric: f64,
    pub duckdb_extract: f64,
}

/// Runs the peers; they check their own counts against a plain three-valued evaluation.
pub fn peers(python: &Path, rows: u32, seed: u64) -> Result<Peers, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/w2_peers.py");
    let args = [
        script.display().to_string(),
        "--n".into(),
        rows.to_string(),
        "--seed".into(),
        seed.to_string(),
        "--only".into(),
        "counts,pyroaring,duckdb".into(),
    ];
    let text = output(python, &args)?;
    let number = |start: &str| {
        let line = text.lines().find(|l| l.starts_with(start)).ok_or_else(|| format!("the peers lack `{start}`"))?;
        let behind = line.split_once("mean ").map_or(&line[start.len()..], |(_, b)| b);
        behind.split_whitespace().next().and_then(|w| w.parse().ok()).ok_or_else(|| format!("no number in `{line}`"))
    };
    Ok(Peers {
        croaring: number("CRoaring best of both")?,
        croaring_extract: number("CRoaring extract")?,
        duckdb: number("DuckDB 1 thread boolean")?,
        duckdb_numeric: number("DuckDB 1 thread numeric")?,
        duckdb_extract: number("DuckDB extract")?,
    })
}
