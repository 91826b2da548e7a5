//! `kairos campaign`

use super::{Context, shown, time};
use crate::{
    args::CampaignCommand,
    out::{Output, grouped, table},
    report,
};
use kairos_app::{App, AppError, Checked, Result, Simulation, absolute, catalog_error};
use kairos_catalog::{Campaign, CampaignDef, ContentHash, Severity};
use kairos_model::Reason;
use serde_json::{Value, json};

pub async fn run(app: &App, command: &CampaignCommand, context: &Context<'_>) -> Result<Output> {
    let actor = || app.actor(context.token.as_deref());
    match command {
        CampaignCommand::List => list(app, context).await,
        CampaignCommand::Show { id } => {
            let c = app.catalog.campaign(id).await.map_err(catalog_error)?;
            Ok(Output::either(context.json, || view(&c), || format!("{:#}", view(&c))))
        }
        CampaignCommand::Check { file } => {
            let checked = app.check(definition(app, file, context)?).await?;
            Ok(checked_output(&checked, context))
        }
        CampaignCommand::Submit { file } => {
            let actor = actor().await?;
            let (c, checked) = app.submit(&actor, definition(app, file, context)?).await?;
            Ok(Output::either(
                context.json,
                || json!({"campaign": view(&c), "content": checked.content.to_string(), "members": checked.members}),
                || {
                    let reach = checked.members.map_or(String::new(), |n| format!(", {} members now", grouped(n)));
                    format!("{} version {} is {}{reach}\ncontent {}", c.slug, c.version.0, c.state, checked.content)
                },
            ))
        }
        CampaignCommand::Approve { id, content } => {
            let actor = actor().await?;
            let seen = content.as_deref().map(content_hash).transpose()?;
            changed(&app.approve(&actor, id, seen).await?, context)
        }
        CampaignCommand::Start { id } => {
            let actor = actor().await?;
            let (c, start) = app.start(&actor, id).await?;
            let Some(start) = start else {
                return Ok(Output::either(
                    context.json,
                    || json!({"campaign": view(&c)}),
                    || format!("{} runs: from here on its events count", c.slug),
                ));
            };
            Ok(Output::either(
                context.json,
                || json!({"campaign": view(&c), "wave": start.wave.0, "members": start.members, "audience": start.audience.to_string()}),
                || {
                    format!(
                        "{} wave {}: {} members, audience {}",
                        c.slug,
                        start.wave.0,
                        grouped(start.members),
                        start.audience
                    )
                },
            ))
        }
        CampaignCommand::Pause { id, reason } => {
            let actor = actor().await?;
            changed(&app.pause(&actor, id, reason).await?, context)
        }
        CampaignCommand::Reject { id, reason } => {
            let actor = actor().await?;
            changed(&app.reject(&actor, id, reason).await?, context)
        }
        CampaignCommand::Withdraw { id, reason } => {
            let actor = actor().await?;
            changed(&app.withdraw(&actor, id, reason).await?, context)
        }
        CampaignCommand::Resume { id } => {
            let actor = actor().await?;
            changed(&app.resume(&actor, id).await?, context)
        }
        CampaignCommand::Stop { id, reason } => {
            let actor = actor().await?;
            changed(&app.stop(&actor, id, reason).await?, context)
        }
        CampaignCommand::Simulate { campaign, at } => {
            let at = at.as_deref().map(|t| time(t, &app.zone)).transpose()?;
            let path = absolute(&context.folder, campaign.as_ref());
            let def = if path.is_file() {
                definition(app, &path, context)?
            } else {
                app.catalog.campaign(campaign).await.map_err(catalog_error)?.def
            };
            let s = app.simulate(def, at).await?;
            Ok(Output::either(context.json, || simulation_view(&s), || simulation_text(app, &s)))
        }
        CampaignCommand::Report { id, by } => {
            let r = app.report(id, by.as_deref()).await?;
            Ok(Output::either(context.json, || report::view(&r), || report::text(&r, &app.zone)))
        }
    }
}

fn content_hash(text: &str) -> Result<ContentHash> {
    text.parse().map_err(|_| {
        AppError::invalid("content", format!("`{text}` is no content hash; `kairos campaign show ID` prints it"))
    })
}

fn definition(app: &App, file: &std::path::Path, context: &Context<'_>) -> Result<CampaignDef> {
    let path = absolute(&context.folder, file);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        AppError::not_found("definition_file", format!("cannot read the campaign definition `{}`", path.display()))
            .because(e)
    })?;
    app.read_definition(&path.display().to_string(), &text)
}

fn view(c: &Campaign) -> Value {
    json!({
        "id": c.slug, "number": c.id.0, "version": c.version.0, "state": c.state.to_string(),
        "content": c.content.to_string(), "revision": c.revision, "definition": c.def.to_json(),
    })
}

fn changed(c: &Campaign, context: &Context<'_>) -> Result<Output> {
    Ok(Output::either(context.json, || view(c), || format!("{} version {} is {}", c.slug, c.version.0, c.state)))
}

async fn list(app: &App, context: &Context<'_>) -> Result<Output> {
    let campaigns = app.campaigns().await?;
    let value = || json!({ "campaigns": campaigns.iter().map(view).collect::<Vec<_>>() });
    let text = || {
        if campaigns.is_empty() {
            return "no campaign yet: kairos campaign submit FILE".to_owned();
        }
        let rows: Vec<Vec<String>> = campaigns
            .iter()
            .map(|c| {
                vec![
                    c.slug.clone(),
                    c.def.name.en.clone(),
                    c.def.class.to_string(),
                    c.state.to_string(),
                    c.version.0.to_string(),
                ]
            })
            .collect();
        table(&["campaign", "name", "class", "state", "version"], &rows)
    };
    Ok(Output::either(context.json, value, text))
}

fn checked_output(checked: &Checked, context: &Context<'_>) -> Output {
    let errors = checked.findings.has_errors();
    let value = || {
        json!({
            "id": checked.def.id, "content": checked.content.to_string(), "sound": !errors, "members": checked.members,
            "findings": checked.findings.0.iter().map(|f| json!({"severity": format!("{:?}", f.severity).to_lowercase(),
                "pointer": f.pointer, "message": f.message})).collect::<Vec<_>>(),
            "creatives": checked.creatives.iter().map(|(lang, w)| json!({"lang": lang, "alphabet": format!("{:?}", w.alphabet),
                "segments": w.segments})).collect::<Vec<_>>(),
        })
    };
    let text = || {
        let mut lines = vec![format!("{} content {}", checked.def.id, checked.content)];
        for f in &checked.findings.0 {
            let word = if f.severity == Severity::Error { "error" } else { "warning" };
            lines.push(format!("  {word} {}: {}", f.pointer, f.message));
        }
        for (lang, w) in &checked.creatives {
            lines.push(format!("  creative {lang}: at most {} segment(s) of {:?}", w.segments, w.alphabet));
        }
        if let Some(n) = checked.members {
            lines.push(format!("  audience: {} members in the newest snapshot", grouped(n)));
        }
        lines.push(if errors { "  it cannot be submitted".to_owned() } else { "  sound".to_owned() });
        lines.join("\n")
    };
    let mut out = Output::either(context.json, value, text);
    out.exit = if errors { crate::out::FAILURE } else { crate::out::OK };
    out
}

fn reasons(counts: &[u64]) -> impl Iterator<Item = (Reason, u64)> + '_ {
    Reason::ALL.iter().map(|&r| (r, counts[r as usize])).filter(|(_, n)| *n > 0)
}

pub fn simulation_view(s: &Simulation) -> Value {
    let by = |counts: &[u64]| -> serde_json::Map<String, Value> {
        reasons(counts).map(|(r, n)| (r.name().to_owned(), n.into())).collect()
    };
    let w = &s.waterfall;
    json!({
        "campaign": s.campaign, "at": s.at.to_string(), "all": s.everyone, "matched": s.matched,
        "withheld": by(&w.withheld), "deferred": by(&w.deferred), "control": w.control, "holdout": w.holdout, "sent": w.sent,
    })
}

/// The waterfall all → matched → each reason → control → sent; the steps add up.
pub fn simulation_text(app: &App, s: &Simulation) -> String {
    let w = &s.waterfall;
    let mut rows = vec![
        vec!["all subscribers".to_owned(), String::new(), grouped(s.everyone)],
        vec!["condition".to_owned(), grouped(-(i128::from(s.everyone) - i128::from(s.matched))), grouped(s.matched)],
    ];
    let mut left = s.matched;
    let mut take = |name: String, n: u64, rows: &mut Vec<Vec<String>>| {
        left -= n;
        rows.push(vec![name, grouped(-i128::from(n)), grouped(left)]);
    };
    reasons(&w.withheld).for_each(|(r, n)| take(format!("withheld: {r}"), n, &mut rows));
    reasons(&w.deferred).for_each(|(r, n)| take(format!("deferred: {r}"), n, &mut rows));
    take("control group".to_owned(), w.control, &mut rows);
    take("global holdout".to_owned(), w.holdout, &mut rows);
    rows.push(vec!["would be sent".to_owned(), String::new(), grouped(w.sent)]);
    let mut text = format!(
        "{} as of {}; nobody is contacted\n\n{}",
        s.campaign,
        shown(s.at, &app.zone),
        table(&["step", "change", "left"], &rows)
    );
    if let Some((reason, until)) = s.closed {
        text.push_str(&format!("\n{reason} until {}: everyone would wait until then\n", shown(until, &app.zone)));
    }
    text
}
