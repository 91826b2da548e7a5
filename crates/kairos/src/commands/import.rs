//! `kairos import`

use super::{Context, time};
use crate::{
    args::Import,
    out::{Output, grouped, table},
};
use kairos_app::{App, Imported, Result, absolute};
use serde_json::json;

pub fn run(app: &App, args: &Import, context: &Context<'_>) -> Result<Output> {
    let name = match app.layout(&args.layout) {
        Ok(layout) => Ok(layout),
        // a path is the caller's, not this process's
        Err(e) if e.code == "layout" && e.kind == kairos_app::error::Kind::NotFound => {
            app.layout(&absolute(&context.folder, args.layout.as_ref()).to_string_lossy()).map_err(|_| e)
        }
        Err(e) => Err(e),
    };
    let layout = name?;
    let as_of = args.as_of.as_deref().map(|t| time(t, &app.zone)).transpose()?;
    let mut done = Vec::with_capacity(args.files.len());
    for file in &args.files {
        done.push(app.import(&layout, &absolute(&context.folder, file), as_of, context.progress)?);
    }
    Ok(Output::either(context.json, || json!({ "imports": done.iter().map(view).collect::<Vec<_>>() }), || text(&done)))
}

fn view(i: &Imported) -> serde_json::Value {
    json!({
        "file": i.file, "table": i.table, "known": i.known, "seconds": i.seconds,
        "read": i.counts.read, "accepted": i.counts.accepted,
        "duplicate": i.counts.duplicate, "quarantined": i.counts.quarantined,
    })
}

fn text(done: &[Imported]) -> String {
    let rows: Vec<Vec<String>> = done
        .iter()
        .map(|i| {
            let rate = if i.seconds > 0.0 { (i.counts.read as f64 / i.seconds) as u64 } else { 0 };
            vec![
                i.file.clone(),
                i.table.clone(),
                grouped(i.counts.read),
                grouped(i.counts.accepted),
                grouped(i.counts.duplicate),
                grouped(i.counts.quarantined),
                if i.known { "known file".to_owned() } else { grouped(rate) },
            ]
        })
        .collect();
    table(&["file", "table", "read", "accepted", "duplicate", "quarantined", "rows/s"], &rows)
}
