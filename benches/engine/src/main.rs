//! `make bench-engine`: real-time decisions (W1). The bare loop, the whole engine and, if asked for, Flink on the same
//! stream, one after the other, each pinned to one processor. Prints a table and one JSON line.
//!
//! SIZE=small|full|long, SEED, OUT (our output, line for line the oracle's), FLINK=1 (fetches Flink from PyPI), DIR.

mod compile;
mod driver;
mod machine;
mod run;
mod w1;

use std::{path::PathBuf, process::ExitCode, time::Duration};

/// `name=value` of the command line.
fn arg(name: &str) -> Option<String> {
    std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).map(str::to_owned)).filter(|v| !v.is_empty())
}
fn number(name: &str) -> Result<Option<u64>, String> {
    arg(name).map(|v| v.parse().map_err(|_| format!("{name}={v}: a number is wanted"))).transpose()
}

fn world() -> Result<w1::World, String> {
    let (subs, events) = match arg("size").as_deref().unwrap_or("small") {
        "small" => (20_000, 480_000),
        "full" => (10_000_000, 19_200_000),
        "long" => (10_000_000, 96_000_000),
        other => return Err(format!("size={other}: small, full or long")),
    };
    let (subs, events) = (number("subs")?.unwrap_or(subs), number("events")?.unwrap_or(events));
    w1::World::new(subs, events, number("seed")?.unwrap_or(1))
}

/// The engine alone, in this process.
fn engine(world: w1::World, dir: PathBuf) -> Result<(), String> {
    if arg("resume").is_none() && dir.exists() {
        std::fs::remove_dir_all(&dir).map_err(|e| format!("cannot empty `{}`: {e}", dir.display()))?;
    }
    let settings = run::Settings {
        world,
        dir,
        partitions: number("partitions")?.unwrap_or(1) as u16,
        checkpoint_events: number("checkpoint")?.unwrap_or(32_000_000),
        kill_at: number("kill_at")?,
        out: arg("out").map(PathBuf::from),
        wait: Duration::from_secs(number("wait")?.unwrap_or(0)),
        lazy: arg("lazy").is_some(),
    };
    let report = run::run(&settings).map_err(|e| e.to_string())?;
    println!("{}", report.json());
    Ok(())
}

fn main() -> ExitCode {
    let dir = arg("dir").map_or_else(|| std::env::temp_dir().join("kairos-bench-engine"), PathBuf::from);
    let done = world().and_then(|w| match arg("entrant").as_deref() {
        Some("engine") => engine(w, dir),
        Some(other) => Err(format!("entrant={other}: engine")),
        None => driver::drive(&w, &dir),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
