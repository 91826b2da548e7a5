//! `kairos tag`

use super::{Context, shown, time};
use crate::{
    args::{Lang, TagCommand},
    out::{Output, grouped, table},
};
use kairos_app::{App, AppError, Result};
use kairos_lake::tags::{Origin, TagDef};
use serde_json::{Value, json};

pub async fn run(app: &App, command: &TagCommand, context: &Context<'_>) -> Result<Output> {
    match command {
        TagCommand::List { category } => list(app, category.as_deref(), context),
        TagCommand::Show { id } => show(app, id, context),
        TagCommand::Compute { as_of } => compute(app, as_of.as_deref(), context).await,
        TagCommand::Check => check(app, context).await,
    }
}

fn name(def: &TagDef, lang: Lang) -> &str {
    match lang {
        Lang::Zh => &def.info.zh,
        Lang::En => &def.info.en,
    }
}

fn list(app: &App, category: Option<&str>, context: &Context<'_>) -> Result<Output> {
    let snapshot = app.newest_snapshot()?;
    let tags = app.tags();
    let defs: Vec<&TagDef> = tags.defs().iter().filter(|d| category.is_none_or(|c| d.category == c)).collect();
    if defs.is_empty() {
        return Err(AppError::not_found(
            "category",
            format!("no tag is in the category `{}`", category.unwrap_or_default()),
        ));
    }
    let coverage = |d: &TagDef| snapshot.as_ref().and_then(|s| s.tag(&d.info.id).ok().map(|t| t.coverage()));
    let value = || {
        let tags: Vec<Value> = defs
            .iter()
            .map(|d| {
                json!({"id": d.info.id, "zh": d.info.zh, "en": d.info.en, "category": d.category,
                    "aspect": d.aspect, "type": d.info.ty.name(), "coverage": coverage(d)})
            })
            .collect();
        json!({ "tags": tags, "as_of": snapshot.as_ref().map(|s| s.as_of().to_string()) })
    };
    let text = || {
        let rows: Vec<Vec<String>> = defs
            .iter()
            .map(|d| {
                vec![
                    d.info.id.clone(),
                    name(d, context.lang).to_owned(),
                    d.category.clone(),
                    d.info.ty.name().to_owned(),
                    coverage(d).map_or_else(|| "-".to_owned(), |c| format!("{:.1}%", c * 100.0)),
                ]
            })
            .collect();
        let mut text = table(&["tag", "name", "category", "type", "coverage"], &rows);
        match &snapshot {
            Some(s) => text.push_str(&format!(
                "\n{} tags, snapshot {} as of {}\n",
                rows.len(),
                s.id().0,
                shown(s.as_of(), &app.zone)
            )),
            None => text.push_str(&format!("\n{} tags, no snapshot yet: kairos tag compute\n", rows.len())),
        }
        text
    };
    Ok(Output::either(context.json, value, text))
}

fn show(app: &App, id: &str, context: &Context<'_>) -> Result<Output> {
    let tags = app.tags();
    let def = tags.def(id).ok_or_else(|| app.unknown_tag(id))?;
    let snapshot = app.newest_snapshot()?;
    let seen = snapshot.as_ref().and_then(|s| s.tag(id).ok());
    let definition = match &def.origin {
        Origin::Source { source, value } => format!("{value}  from source {source}"),
        Origin::Sql(sql) => sql.trim().to_owned(),
        Origin::Condition(c) => c.text().to_owned(),
    };
    let value = || {
        json!({
            "id": def.info.id, "zh": def.info.zh, "en": def.info.en, "aspect": def.aspect, "category": def.category,
            "type": def.info.ty.name(), "owner": def.owner, "refresh": def.refresh, "description": def.description,
            "file": def.file, "definition": definition,
            "coverage": seen.map(|t| t.coverage()), "tables": seen.map(|t| t.tables.clone()),
            "source": seen.and_then(|t| t.source.clone()), "reads": seen.map(|t| t.reads.clone()),
            "freshness": seen.and_then(|t| t.freshness).map(|t| kairos_model::Timestamp(t).to_string()),
            "computed_in": seen.map(|t| t.computed_in),
        })
    };
    let text = || {
        let mut lines = vec![
            format!("{}  {} / {}", def.info.id, def.info.zh, def.info.en),
            format!("  {}", def.description),
            format!("  type        {}", def.info.ty.name()),
            format!("  category    {} ({:?})", def.category, def.aspect),
            format!("  owner       {}, refreshed {:?}", def.owner, def.refresh),
            format!("  defined in  {}", def.file),
            format!("  definition  {}", definition.replace('\n', "\n              ")),
        ];
        match seen {
            Some(t) => {
                lines.push(format!("  coverage    {:.1}%", t.coverage() * 100.0));
                lines.push(format!("  lineage     {}", [t.tables.join(", "), t.reads.join(", ")].join(" ").trim()));
                if let Some(fresh) = t.freshness {
                    lines.push(format!("  fresh to    {}", shown(kairos_model::Timestamp(fresh), &app.zone)));
                }
                lines.push(format!("  computed    in snapshot {}", t.computed_in));
            }
            None => lines.push("  not computed yet: kairos tag compute".to_owned()),
        }
        lines.join("\n")
    };
    Ok(Output::either(context.json, value, text))
}

async fn compute(app: &App, as_of: Option<&str>, context: &Context<'_>) -> Result<Output> {
    let as_of = as_of.map(|t| time(t, &app.zone)).transpose()?.unwrap_or_else(|| app.now());
    let started = std::time::Instant::now();
    context.progress.begin("tags", 0);
    let report = app.compute_tags(as_of).await?;
    let seconds = started.elapsed().as_secs_f64();
    context.progress.end("tags computed");
    let value = || {
        json!({"snapshot": report.snapshot, "as_of": report.as_of.to_string(), "new": report.new,
            "computed": report.computed, "reused": report.reused, "subscribers": report.subscribers, "seconds": seconds})
    };
    let text = || {
        format!(
            "snapshot {} as of {}: {} subscribers, {} tags computed, {} reused, {:.1} s{}",
            report.snapshot,
            shown(report.as_of, &app.zone),
            grouped(report.subscribers),
            report.computed,
            report.reused,
            seconds,
            if report.new { "" } else { " (nothing changed: the former snapshot stands)" }
        )
    };
    Ok(Output::either(context.json, value, text))
}

async fn check(app: &App, context: &Context<'_>) -> Result<Output> {
    // names, types and cycles are judged when the catalogue is loaded; here each definition is planned on the tables
    app.check_tags().await?;
    let catalogue = app.tags();
    let mut categories: Vec<&str> = catalogue.defs().iter().map(|d| d.category.as_str()).collect();
    categories.sort_unstable();
    categories.dedup();
    let (tags, sources) = (catalogue.defs().len(), catalogue.sources().len());
    Ok(Output::either(
        context.json,
        || json!({"tags": tags, "categories": categories.len(), "sources": sources, "problems": []}),
        || {
            format!(
                "{tags} tags in {} categories over {sources} sources: types, names, cycles and inputs are in order",
                categories.len()
            )
        },
    ))
}
