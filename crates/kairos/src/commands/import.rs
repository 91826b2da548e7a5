//! `kairos import`

use super::{Context, time};
use crate::{
    args::Import,
    out::{Output, grouped, table},
};
use kairos_app::{App, Fault, Imported, Result, absolute};
use serde_json::json;

pub async fn run(app: &App, args: &Import, context: &Context<'_>) -> Result<Output> {
    // a path is the caller's, not this process's
    let layout = match app.definitions.text(&format!("layouts/{}.toml", args.layout)) {
        Some(_) => app.layout(&args.layout)?,
        None => app.layout(&absolute(&context.folder, args.layout.as_ref()).to_string_lossy())?,
    };
    let as_of = args.as_of.as_deref().map(|t| time(t, &app.zone)).transpose()?;
    let mut done = Vec::with_capacity(args.files.len());
    let mut failed = None;
    for file in &args.files {
        let path = absolute(&context.folder, file);
        // minutes of work: other tasks of a serving process go on beside it
        match tokio::task::block_in_place(|| app.import(&layout, &path, as_of, context.progress)) {
            Ok(imported) => done.push(imported),
            Err(e) => {
                failed = Some(e);
                break;
            }
        }
    }
    // a withdrawn consent or a number that moved is in force before this command says that it is imported
    app.refresh_if_running().await?;
    if let Some(mut e) = failed {
        // each file is whole or not at all: say which are in
        e.details.extend(done.iter().map(|i| (i.file.clone(), format!("imported, {} rows", i.counts.read))));
        return Err(e);
    }
    Ok(Output::either(context.json, || json!({ "imports": done.iter().map(view).collect::<Vec<_>>() }), || text(&done)))
}

fn view(i: &Imported) -> serde_json::Value {
    json!({
        "file": i.file, "table": i.table, "known": i.known, "seconds": i.seconds,
        "read": i.counts.read, "accepted": i.counts.accepted,
        "duplicate": i.counts.duplicate, "quarantined": i.counts.quarantined,
        "faults": faults_view(&i.faults),
    })
}

/// Why rows were not taken.
pub fn faults_view(faults: &[Fault]) -> serde_json::Value {
    let one = |f: &Fault| json!({"field": f.field, "reason": f.reason, "rows": f.rows, "first_row": f.first_row});
    faults.iter().map(one).collect()
}

/// The same as a table; nothing where there is none.
pub fn faults_text(faults: &[Fault]) -> String {
    if faults.is_empty() {
        return String::new();
    }
    let row = |f: &Fault| {
        let field = f.field.clone().unwrap_or_else(|| "-".to_owned());
        vec![f.first_row.to_string(), field, grouped(f.rows), f.reason.clone()]
    };
    table(&["first row", "field", "rows", "why"], &faults.iter().map(row).collect::<Vec<_>>())
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
    let mut text = table(&["file", "table", "read", "accepted", "duplicate", "quarantined", "rows/s"], &rows);
    for i in done.iter().filter(|i| !i.faults.is_empty()) {
        text.push_str(&format!("\nquarantined of {}\n{}", i.file, faults_text(&i.faults)));
    }
    text
}
