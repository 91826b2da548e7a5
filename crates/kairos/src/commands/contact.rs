//! `kairos contact`

use super::{Context, shown};
use crate::{
    args::{ContactCommand, SettledAs},
    out::{Output, grouped, table},
};
use kairos_app::{App, AppError, Result};
use kairos_model::{Channel, ContactId};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub async fn run(app: &Arc<App>, command: &ContactCommand, context: &Context<'_>) -> Result<Output> {
    match command {
        ContactCommand::Export { channel } => export(app, channel, context).await,
        ContactCommand::Lists => lists(app, context),
        ContactCommand::Recall { name } => {
            let actor = app.actor(context.token.as_deref()).await?;
            let contacts = app.recall(&actor, name).await?;
            let ids: Vec<String> = contacts.iter().map(ToString::to_string).collect();
            Ok(Output::either(
                context.json,
                || json!({ "list": name, "contacts": ids }),
                || {
                    let n = grouped(ids.len() as u64);
                    format!("{name} is called back; tell the callers: {n} contacts\n{}", ids.join("\n"))
                },
            ))
        }
        ContactCommand::Unknown { limit } => unknown(app, *limit, context).await,
        ContactCommand::Settle { contact, outcome, reason } => {
            let actor = app.actor(context.token.as_deref()).await?;
            let id: ContactId = contact.parse().map_err(|_| {
                AppError::invalid("contact", format!("`{contact}` is no contact; `kairos contact unknown` lists them"))
            })?;
            let c = app.settle(&actor, id, *outcome == SettledAs::Sent, reason).await?;
            Ok(Output::either(
                context.json,
                || json!({ "contact": c.contact.to_string(), "state": c.state.name() }),
                || format!("{} is {}", c.contact, c.state.name()),
            ))
        }
    }
}

async fn export(app: &Arc<App>, channel: &str, context: &Context<'_>) -> Result<Output> {
    let actor = app.actor(context.token.as_deref()).await?;
    let channel: Channel = channel.parse().map_err(|e| AppError::invalid("channel", format!("{e}")))?;
    let done = app.export(&actor, channel).await?;
    let cancelled: Map<String, Value> =
        done.cancelled.iter().map(|(r, n)| (r.name().to_owned(), (*n).into())).collect();
    let value = || {
        let lists = done.lists.iter().map(|l| json!({ "path": l.path, "contacts": l.contacts })).collect::<Vec<_>>();
        json!({ "lists": lists, "cancelled": cancelled })
    };
    let text = || {
        let mut text = String::new();
        for l in &done.lists {
            text.push_str(&format!("{}  {} contacts\n", l.path.display(), grouped(l.contacts)));
        }
        if done.lists.is_empty() {
            text.push_str("nothing may go out now\n");
        }
        for (reason, n) in &done.cancelled {
            text.push_str(&format!("{} not written: {reason}\n", grouped(*n)));
        }
        text
    };
    Ok(Output::either(context.json, value, text))
}

fn lists(app: &App, context: &Context<'_>) -> Result<Output> {
    let lists = app.exported()?;
    let value = || {
        json!({ "lists": lists.iter().map(|l| json!({ "name": l.name, "path": l.path, "contacts": l.contacts,
            "recalled": l.recalled })).collect::<Vec<_>>() })
    };
    let text = || {
        if lists.is_empty() {
            return "no list yet: kairos contact export outbound".to_owned();
        }
        let row = |l: &kairos_connect::file_channel::Listed| {
            let state = if l.recalled { "called back" } else { "out" };
            let contacts = l.contacts.map_or_else(|| "changed by somebody".to_owned(), |n| grouped(n as u64));
            vec![l.name.clone(), contacts, state.to_owned()]
        };
        table(&["list", "contacts", "state"], &lists.iter().map(row).collect::<Vec<_>>())
    };
    Ok(Output::either(context.json, value, text))
}

async fn unknown(app: &App, limit: usize, context: &Context<'_>) -> Result<Output> {
    let all = app.unknowns().await?;
    let value = || {
        json!({ "total": all.len(), "unknown": all.iter().take(limit).map(|c| json!({
            "contact": c.contact.to_string(), "subscriber": c.subscriber.to_string(), "campaign": c.campaign.0,
            "wave": c.wave.0, "channel": c.channel.name(), "intended": c.intended.to_string(),
            "offered": c.offered.map(|t| t.to_string()), "given_up": c.settled.map(|t| t.to_string()),
            "seen": c.seen.iter().map(|d| d.name()).collect::<Vec<_>>(),
        })).collect::<Vec<_>>() })
    };
    let text = || {
        if all.is_empty() {
            return "no contact is unknown".to_owned();
        }
        let at = |t: Option<kairos_model::Timestamp>| t.map_or_else(String::new, |t| shown(t, &app.zone));
        let rows: Vec<Vec<String>> = all
            .iter()
            .take(limit)
            .map(|c| {
                vec![
                    c.contact.to_string(),
                    c.subscriber.to_string(),
                    c.campaign.0.to_string(),
                    c.channel.to_string(),
                    at(c.offered),
                    at(c.settled),
                ]
            })
            .collect();
        format!(
            "{}\n{} contacts were offered and their answer is lost; a receipt settles them, or: kairos contact settle\n",
            table(&["contact", "subscriber", "campaign", "channel", "offered", "given up"], &rows),
            grouped(all.len() as u64)
        )
    };
    Ok(Output::either(context.json, value, text))
}
