//! `kairos demo`: the loop on a synthetic province, its report, then the API.

use crate::{
    args::Demo as Args,
    bars::Bars,
    commands,
    config::Config,
    out::{grouped, table},
    report, serve,
};
use kairos_app::{
    AppError, Definitions, Result,
    demo::{self, Demo, DemoOptions},
};
use kairos_model::{ContactState, Disposition};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

pub async fn run(args: &Args, config: &Config, json: bool, quiet: bool) -> Result<()> {
    let started = std::time::Instant::now();
    let definitions = Definitions::load(config.path("definitions").as_deref())?;
    let own = !config.given("data");
    let folder = if own { temporary()? } else { config.path("data").unwrap_or_default() };
    let options = DemoOptions { folder: folder.clone(), subscribers: args.subscribers, seed: args.seed, definitions };
    let bars = Bars::new(quiet || json);
    let outcome = demo::run(options, &bars).await;
    let demo = match outcome {
        Ok(demo) => demo,
        Err(e) => {
            if own {
                remove(&folder);
            }
            return Err(e);
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    if json {
        println!("{:#}", view(&demo, seconds));
    } else {
        print!("{}", text(&demo, seconds));
    }
    if args.once {
        if own {
            remove(&folder);
        }
        return Ok(());
    }
    let listener = serve::bind(&args.listen).await?;
    let address = listener.local_addr().map_err(|e| AppError::unavailable("listen", "no address").because(e))?;
    crate::proxy::listen(demo.app.clone()).await?;
    if !quiet {
        eprintln!("\nAPI      http://{address}/v1/campaigns   (Ctrl-C ends it)");
        eprintln!("token    {}   (the planner's, shown once)", demo.token);
        eprintln!("token    {}   (the approver's, shown once)", demo.approver_token);
        eprintln!("try      bin/kairos --data {} explain s42 --lang zh", demo.folder.join("data").display());
        eprintln!("try      curl -H 'Authorization: Bearer {}' http://{address}/v1/campaigns", demo.token);
    }
    serve::serve_api(demo.app.clone(), listener, CancellationToken::new()).await?;
    if own {
        remove(&folder);
    }
    Ok(())
}

fn temporary() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("kairos-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .map_err(|e| AppError::unavailable("demo_folder", format!("cannot make `{}`", folder.display())).because(e))?;
    Ok(folder)
}

fn remove(folder: &std::path::Path) {
    if let Err(e) = std::fs::remove_dir_all(folder) {
        eprintln!("cannot remove `{}`: {e}", folder.display());
    }
}

/// Highest resident memory of this process, from the kernel's account of it.
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

fn text(d: &Demo, seconds: f64) -> String {
    let rows_per_s = |rows: u64, s: f64| if s > 0.0 { grouped((rows as f64 / s) as u64) } else { "-".to_owned() };
    let mut out = String::from("\nintake\n");
    let intake: Vec<Vec<String>> = d
        .imported
        .iter()
        .map(|i| {
            vec![
                i.file.clone(),
                grouped(i.counts.read),
                grouped(i.counts.accepted),
                grouped(i.counts.quarantined),
                rows_per_s(i.counts.read, i.seconds),
            ]
        })
        .collect();
    out.push_str(&table(&["file", "read", "accepted", "quarantined", "rows/s"], &intake));
    out.push_str(&format!("\n{}", commands::simulation_text(&d.app, &d.simulation)));
    out.push_str(&format!("\n{}", report::text(&d.report, &d.app.zone)));
    out.push_str(&format!("the synthetic truth of the same members: {:+.2} points\n", d.truth * 100.0));
    let steps: Vec<String> = d.seconds.iter().map(|(name, s)| format!("{name} {s:.1} s")).collect();
    out.push_str(&format!(
        "\n{} subscribers, {} rows, {} rows/s over all; {}\n{:.1} s in all, peak memory {} MiB\n",
        grouped(d.subscribers),
        grouped(d.rows),
        rows_per_s(d.rows, seconds),
        steps.join(", "),
        seconds,
        grouped(peak_rss_bytes() >> 20)
    ));
    out
}

fn view(d: &Demo, seconds: f64) -> Value {
    let t = &d.report.total;
    let n = |s: ContactState| t.of(s);
    let withheld: Map<String, Value> = t.withheld_by().map(|(r, n)| (r.name().to_owned(), n.into())).collect();
    let uplift = d.report.parts.first().and_then(|p| p.evaluation.uplift);
    json!({
        "subscribers": d.subscribers, "rows": d.rows, "seconds": seconds, "peak_rss_bytes": peak_rss_bytes(),
        "audience": t.members, "not_reached": n(ContactState::NotReached), "withheld": withheld,
        "deferred": n(ContactState::Deferred), "control": n(ContactState::Control), "holdout": t.holdout,
        "pending": n(ContactState::Pending), "sent": n(ContactState::Sent), "failed": n(ContactState::Failed),
        "cancelled": n(ContactState::Cancelled), "unknown": n(ContactState::Unknown),
        "delivered": t.seen(Disposition::Delivered), "replied": t.seen(Disposition::Replied),
        "opted_out": t.seen(Disposition::OptedOut),
        "uplift": {"estimate": uplift.map(|u| u.estimate), "low": uplift.map(|u| u.low), "high": uplift.map(|u| u.high),
            "truth": d.truth},
        "steps": d.seconds.iter().map(|(name, s)| (name.to_string(), json!(s))).collect::<Map<String, Value>>(),
        "centre": {"submits": d.centre.submits, "accepted": d.centre.accepted, "delivered": d.centre.delivered,
            "receipts": d.centre.receipts, "replies": d.centre.replies},
    })
}
