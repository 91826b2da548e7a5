//! `kairos event`

use super::Context;
use crate::{
    args::{EventCommand, Lang},
    out::{Output, grouped, table},
};
use kairos_app::{App, AppError, EVENTS_BYTES_MAX, Result, absolute};
use serde_json::json;
use std::{io::Read, path::Path};

pub async fn run(app: &App, command: &EventCommand, context: &Context<'_>) -> Result<Output> {
    match command {
        EventCommand::Inject { file } => inject(app, file, context).await,
        EventCommand::Types => Ok(types(app, context)),
    }
}

async fn inject(app: &App, file: &Path, context: &Context<'_>) -> Result<Output> {
    let fail = |e: std::io::Error| {
        AppError::not_found("events_file", format!("cannot read the events `{}`", file.display())).because(e)
    };
    let mut body = Vec::new();
    // one byte past the limit says that it is past it
    let most = EVENTS_BYTES_MAX as u64 + 1;
    if file.as_os_str() == "-" {
        std::io::stdin().take(most).read_to_end(&mut body).map_err(fail)?;
    } else {
        let path = absolute(&context.folder, file);
        std::fs::File::open(path).and_then(|f| f.take(most).read_to_end(&mut body)).map_err(fail)?;
    }
    let many = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    let kind = if many { "application/cloudevents-batch+json" } else { "application/cloudevents+json" };
    let taken = app.take_cloudevents(&body, kind, &|_| None).await?;
    let value = || {
        json!({
            "read": taken.read, "taken": taken.taken, "unknown": taken.unknown, "ignored": taken.ignored,
            "problems": taken.problems.iter().map(|p| json!({"index": p.index, "pointer": p.pointer, "code": p.code,
                "detail": p.detail})).collect::<Vec<_>>(),
        })
    };
    let text = || {
        let mut text = format!(
            "{} events read, {} taken, {} of unknown numbers, {} ignored, {} not readable\n",
            grouped(taken.read),
            grouped(taken.taken),
            grouped(taken.unknown),
            grouped(taken.ignored),
            grouped(taken.problems.len() as u64)
        );
        let rows: Vec<Vec<String>> =
            taken.problems.iter().map(|p| vec![p.pointer.clone(), p.code.to_owned(), p.detail.clone()]).collect();
        if !rows.is_empty() {
            text.push_str(&table(&["where", "code", "why"], &rows));
        }
        text
    };
    let mut out = Output::either(context.json, value, text);
    if taken.taken == 0 && !taken.problems.is_empty() {
        out.exit = crate::out::FAILURE;
    }
    Ok(out)
}

fn types(app: &App, context: &Context<'_>) -> Output {
    let all = app.events.catalog.types();
    let value = || {
        json!({ "types": all.iter().map(|t| json!({
            "name": t.name, "code": t.code.0, "zh": t.zh, "en": t.en, "needs_cell": t.needs_cell, "has_peer": t.has_peer,
            "fields": t.fields.iter().map(|f| json!({"name": f.name, "type": f.kind.name(), "required": f.required,
                "zh": f.zh, "en": f.en})).collect::<Vec<_>>(),
        })).collect::<Vec<_>>() })
    };
    let text = || {
        let row = |t: &kairos_model::EventTypeDef| {
            let fields: Vec<&str> = t.fields.iter().map(|f| f.name.as_str()).collect();
            let said = if context.lang == Lang::Zh { &t.zh } else { &t.en };
            vec![t.name.clone(), said.clone(), fields.join(", ")]
        };
        table(&["event", "meaning", "fields"], &all.iter().map(row).collect::<Vec<_>>())
    };
    Output::either(context.json, value, text)
}
