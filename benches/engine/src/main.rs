//! Real-time decisions (W1): the whole engine, the bare loop and Flink on the same stream, one after the other.

mod compile;
mod machine;
mod run;
mod w1;

use std::{path::PathBuf, process::ExitCode};

fn arg(name: &str) -> Option<String> {
    std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).map(str::to_owned))
}
fn number(name: &str) -> Option<u64> {
    arg(name).map(|v| v.parse().unwrap_or_else(|_| panic!("{name}={v} is no number")))
}

fn main() -> ExitCode {
    let (subs, events) = match arg("size").as_deref().unwrap_or("small") {
        "small" => (20_000, 480_000),
        "full" => (10_000_000, 19_200_000),
        "long" => (10_000_000, 96_000_000),
        other => panic!("size={other}: small, full or long"),
    };
    let world =
        w1::World::new(number("subs").unwrap_or(subs), number("events").unwrap_or(events), number("seed").unwrap_or(1));
    let dir = PathBuf::from(arg("dir").unwrap_or_else(|| "/tmp/kairos-bench-engine".to_owned()));
    if arg("resume").is_none() && dir.exists() {
        std::fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("cannot empty `{}`: {e}", dir.display()));
    }
    let settings = run::Settings {
        world,
        dir,
        partitions: number("partitions").unwrap_or(1) as u16,
        checkpoint_events: number("checkpoint").unwrap_or(32_000_000),
        kill_at: number("kill_at"),
        out: arg("out").map(PathBuf::from),
        wait: std::time::Duration::from_secs(number("wait").unwrap_or(0)),
    };
    match run::run(&settings) {
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
        Ok(r) => {
            let rate = r.events as f64 / r.cpu.as_secs_f64() / 1e6;
            println!(
                "engine subs={} events={} seed={} {:.3} CPU-s {:.2} M events/CPU-s wall {:.2?} | sent {} control {} | waiting {} left {} merged {} matched {} | checkpoints {} | withheld {:?} | resident {} peers {} state {:?} | loaded {:.1?} recovery {:.2?} | state={:016x} sha256={}",
                world.subs,
                r.events,
                world.seed,
                r.cpu.as_secs_f64(),
                rate,
                r.wall,
                r.sent,
                r.control,
                r.timers[0],
                r.timers[1],
                r.timers[2],
                r.timers[3],
                r.checkpoints,
                r.withheld,
                r.resident,
                r.peer_bytes,
                r.state_bytes,
                r.loaded,
                r.recovery,
                r.state,
                r.sha256
            );
            ExitCode::SUCCESS
        }
    }
}
