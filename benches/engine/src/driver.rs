//! Runs the entrants one after the other, each in a process of its own on one processor, and prints what they said.

use crate::{arg, w1::World};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// The processor that every entrant gets; the others are free for the machine.
const PROCESSOR: &str = "0";

fn output(what: &str, mut command: Command) -> Result<String, String> {
    let done = command.stderr(Stdio::inherit()).output().map_err(|e| format!("cannot start {what}: {e}"))?;
    if !done.status.success() {
        return Err(format!("{what} ended with {}", done.status));
    }
    String::from_utf8(done.stdout).map_err(|e| format!("{what} does not print text: {e}"))
}
fn pinned(program: &Path) -> Command {
    let mut c = Command::new("taskset");
    c.arg("-c").arg(PROCESSOR).arg(program);
    c
}

fn engine(w: &World, dir: &Path, more: &[String]) -> Result<Value, String> {
    let me = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let mut c = pinned(&me);
    c.arg("entrant=engine").arg(format!("dir={}", dir.join("data").display()));
    c.arg(format!("events={}", w.events)).arg(format!("seed={}", w.seed)).arg(format!("subs={}", w.subs)).args(more);
    let text = output("the engine", c)?;
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|e| format!("the engine said `{line}`: {e}"))
}

/// Events a processor second and hash, from a line of the bare loop or of Flink.
fn said(line: &str) -> Option<(f64, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let rate = words.iter().position(|w| w.starts_with("events/CPU-s")).and_then(|i| words.get(i.checked_sub(2)?));
    let hash = words.iter().find_map(|w| w.strip_prefix("sha256="));
    Some((rate?.parse::<f64>().ok()? * 1e6, hash?.to_owned()))
}

fn probe(w: &World) -> Result<Option<(f64, String)>, String> {
    let Some(path) = arg("probe") else { return Ok(None) };
    let mut c = pinned(Path::new(&path));
    c.arg(format!("subs={}", w.subs)).arg(format!("events={}", w.events)).arg(format!("seed={}", w.seed));
    let text = output("the bare loop", c)?;
    let line = text.lines().last().unwrap_or_default();
    said(line).map(Some).ok_or_else(|| format!("the bare loop said `{line}`"))
}

/// Flink's better form: heap state, 10 s checkpoints, without the exchange between source and function.
fn flink(w: &World, dir: &Path) -> Result<Option<(f64, String)>, String> {
    let Some(path) = arg("flink") else { return Ok(None) };
    let mut best: Option<(f64, String)> = None;
    for chain in [false, true] {
        let mut c = pinned(Path::new(&path));
        c.env("WORK", dir.join("flink")).arg("-Dckpt=true").arg(format!("-Dchain={chain}"));
        c.arg(format!("-Dsubs={}", w.subs)).arg(format!("-Dn={}", w.events)).arg(format!("-Dseed={}", w.seed));
        let text = output("Flink", c)?;
        let found = text.lines().rev().find_map(said).ok_or("Flink gave no result")?;
        if best.as_ref().is_none_or(|b| b.0 < found.0) {
            best = Some(found);
        }
    }
    Ok(best)
}

/// Resident bytes a subscriber: the engine with all of them against one with 10,000 (peer lists apart), after a run.
fn bytes_per_subscriber(w: &World, dir: &Path) -> Result<f64, String> {
    let resident = |subs: u64| -> Result<f64, String> {
        let events = (w.events.min(19_200_000) * subs / w.subs).div_ceil(48) * 48;
        let small = World { subs, events, ..*w };
        let r = engine(&small, dir, &["lazy=1".to_owned()])?;
        let number = |k: &str| r[k].as_f64().ok_or_else(|| format!("the engine did not say `{k}`"));
        Ok(number("resident")? - number("peer_bytes")?)
    };
    const FEW: u64 = 10_016;
    Ok((resident(w.subs)? - resident(FEW)?) / w.subs as f64)
}

pub fn drive(w: &World, dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|e| format!("cannot make `{}`: {e}", dir.display()))?;
    let out = arg("out").map(|o| format!("out={o}"));
    let large = w.subs >= 1_000_000;
    let probe = probe(w)?;
    let ours = engine(w, dir, &out.into_iter().collect::<Vec<_>>())?;
    let flink = flink(w, dir)?;
    let bytes = if large { Some(bytes_per_subscriber(w, dir)?) } else { None };
    let rate = ours["events"].as_f64().unwrap_or(0.0) / ours["cpu_s"].as_f64().unwrap_or(f64::INFINITY);
    let hash = ours["sha256"].as_str().unwrap_or_default().to_owned();
    println!("{:<28}{:>16}  output", "W1, one processor", "events/CPU-s");
    let mut ratios = json!({});
    for (name, key, peer) in [("bare loop", "probe", &probe), ("Flink, heap, checkpoints", "flink", &flink)] {
        if let Some((r, h)) = peer {
            let same = if *h == hash { "equal" } else { "DIFFERENT" };
            println!("{name:<28}{r:>16.0}  {same}");
            ratios[key] = json!(rate / r);
        }
    }
    println!("{:<28}{rate:>16.0}  {hash}", "engine, durable");
    for (key, name) in [
        ("matched", "occurrences"),
        ("sent", "sent"),
        ("control", "control"),
        ("waiting", "waiting at the end"),
        ("checkpoints", "checkpoints in the run"),
        ("wall_s", "seconds on the wall"),
        ("loaded_s", "seconds to load"),
    ] {
        println!("{name:<28}{:>16}", ours[key].to_string());
    }
    println!("{:<28}{}", "withheld", ours["withheld"]);
    let mut metrics = json!({ "events_per_cpu_s": rate.round() });
    if let Some(b) = bytes {
        println!("{:<28}{b:>16.1}", "bytes a subscriber");
        metrics["bytes_per_subscriber"] = json!(b.round());
    }
    println!("{}", json!({ "bench": "engine", "metrics": metrics, "ratios": ratios, "hash": hash }));
    let differs = [&probe, &flink].into_iter().flatten().any(|p| p.1 != hash);
    if differs { Err("the entrants do not agree".to_owned()) } else { Ok(()) }
}
