//! `kairos audience`

use super::{Context, shown, time};
use crate::{
    args::{AudienceCommand, Condition},
    out::{Output, grouped, table},
};
use kairos_app::{App, AppError, Count, Result, absolute};
use kairos_model::Timestamp;
use serde_json::json;

pub fn run(app: &App, command: &AudienceCommand, context: &Context<'_>) -> Result<Output> {
    if let Some(answer) = super::question::run(app, command, context) {
        return answer;
    }
    match command {
        AudienceCommand::Count(c) => {
            let started = std::time::Instant::now();
            let count = app.count(&text_of(c, context)?, at(app, c)?, context.rules_lang())?;
            Ok(show(app, &count, started.elapsed().as_secs_f64(), context))
        }
        AudienceCommand::Extract { condition, limit } => extract(app, condition, *limit, context),
        AudienceCommand::Freeze(c) => {
            let condition = app.condition(&text_of(c, context)?)?;
            let frozen = app.freeze(&condition, at(app, c)?)?;
            let head = frozen.head;
            Ok(Output::either(
                context.json,
                || {
                    json!({"hash": head.hash, "members": head.members, "condition": head.condition, "snapshot": head.snapshot,
                    "as_of": kairos_model::Timestamp(head.as_of).to_string()})
                },
                || format!("{}  {} members, snapshot {}", head.hash, grouped(head.members), head.snapshot),
            ))
        }
        _ => Err(AppError::failure("internal", "this question has an answer of its own")),
    }
}

fn at(app: &App, c: &Condition) -> Result<Timestamp> {
    c.as_of.as_deref().map_or_else(|| Ok(app.now()), |t| time(t, &app.zone))
}

fn text_of(c: &Condition, context: &Context<'_>) -> Result<String> {
    match (&c.condition, &c.file) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(file)) => {
            let path = absolute(&context.folder, file);
            std::fs::read_to_string(&path).map_err(|e| {
                AppError::invalid("condition_file", format!("cannot read the condition `{}`", path.display()))
                    .because(e)
            })
        }
        (None, None) => Err(AppError::invalid(
            "condition",
            "give a condition, e.g. 'arpu_3m >= 80 yuan and not has_ring_back_tone', or --file",
        )),
    }
}

fn extract(app: &App, c: &Condition, limit: usize, context: &Context<'_>) -> Result<Output> {
    let condition = app.condition(&text_of(c, context)?)?;
    let (snapshot, _) = app.snapshot_at(at(app, c)?)?;
    let members = app.members(snapshot, &condition)?;
    let shown: Vec<u32> = members.iter().take(limit).collect();
    Ok(Output::either(
        context.json,
        || json!({"members": members.len(), "subscribers": shown.iter().map(|s| format!("s{s}")).collect::<Vec<_>>()}),
        || shown.iter().map(|s| format!("s{s}\n")).collect(),
    ))
}

fn show(app: &App, c: &Count, seconds: f64, context: &Context<'_>) -> Output {
    let value = || {
        json!({
            "condition": c.condition, "sentence": c.sentence, "snapshot": c.snapshot.0, "as_of": c.as_of.to_string(),
            "everyone": c.everyone, "count": c.count, "seconds": seconds,
            "funnel": c.funnel.iter().map(|s| json!({"clause": s.clause, "condition": s.text, "alone": s.alone, "left": s.left, "only": s.only}))
                .collect::<Vec<_>>(),
        })
    };
    let text = || {
        let mut rows = vec![vec!["everyone".to_owned(), String::new(), grouped(c.everyone), String::new()]];
        rows.extend(
            c.funnel.iter().map(|s| vec![s.clause.clone(), grouped(s.alone), grouped(s.left), grouped(s.only)]),
        );
        format!(
            "{}\n\n{}\n{} of {} subscribers, exact, snapshot {} as of {}, {:.1} ms\n",
            c.sentence,
            table(&["clause", "alone", "left", "only this removes"], &rows),
            grouped(c.count),
            grouped(c.everyone),
            c.snapshot.0,
            shown(c.as_of, &app.zone),
            seconds * 1e3
        )
    };
    Output::either(context.json, value, text)
}
