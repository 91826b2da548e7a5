//! `kairos audit`

use super::{Context, shown};
use crate::{
    args::AuditCommand,
    out::{Output, table},
};
use kairos_app::{App, AppError, Result, catalog_error};
use kairos_catalog::Head;
use serde_json::json;

pub async fn run(app: &App, command: &AuditCommand, context: &Context<'_>) -> Result<Output> {
    match command {
        AuditCommand::Verify { head: None } => {
            let v = app.catalog.verify_audit().await.map_err(catalog_error)?;
            Ok(Output::either(
                context.json,
                || json!({"entries": v.entries, "head": v.head.to_string(), "sound": true}),
                || format!("the audit log is sound: {} entries, head {}:{}", v.entries, v.entries, v.head),
            ))
        }
        AuditCommand::Verify { head: Some(text) } if text.is_empty() => {
            let h = app.catalog.audit_head().await.map_err(catalog_error)?;
            Ok(Output::either(
                context.json,
                || json!({"entries": h.entries, "hash": h.hash.to_string(), "head": format!("{}:{}", h.entries, h.hash)}),
                || format!("{}:{}", h.entries, h.hash),
            ))
        }
        AuditCommand::Verify { head: Some(text) } => {
            let v = app.catalog.verify_audit_against(&head(text)?).await.map_err(catalog_error)?;
            Ok(Output::either(
                context.json,
                || json!({"entries": v.entries, "head": v.head.to_string(), "sound": true, "since": text}),
                || format!("the audit log is sound and goes on from {text}: {} entries", v.entries),
            ))
        }
        AuditCommand::List { limit } => list(app, *limit, context).await,
    }
}

fn head(text: &str) -> Result<Head> {
    let wrong = || AppError::invalid("head", "a head is `entries:hash`, as `kairos audit verify --head` prints it");
    let (entries, hash) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Head { entries: entries.parse().map_err(|_| wrong())?, hash: hash.parse().map_err(|_| wrong())? })
}

async fn list(app: &App, limit: u32, context: &Context<'_>) -> Result<Output> {
    let page = app.catalog.audit_entries(None, None, limit.clamp(1, 1000)).await.map_err(catalog_error)?;
    let value = || {
        let entries: Vec<_> = page
            .items
            .iter()
            .map(|e| json!({"seq": e.seq, "at": e.at.to_string(), "user": e.user_name, "action": e.action, "subject": e.subject}))
            .collect();
        json!({ "entries": entries })
    };
    let text = || {
        let rows: Vec<Vec<String>> = page
            .items
            .iter()
            .map(|e| {
                vec![
                    e.seq.to_string(),
                    shown(e.at, &app.zone),
                    e.user_name.clone(),
                    e.action.clone(),
                    e.subject.clone(),
                ]
            })
            .collect();
        table(&["entry", "at", "who", "what", "to"], &rows)
    };
    Ok(Output::either(context.json, value, text))
}
