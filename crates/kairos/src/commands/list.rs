//! `kairos list`

use super::{Context, import, shown, time};
use crate::{
    args::{ListCommand, ListKind as Kind, LoadList as Args},
    out::{Output, grouped, table},
};
use kairos_app::{App, AppError, ListCounts, ListHead, ListKind, LoadList, Result, absolute, catalog_error};
use kairos_catalog::Actor;
use serde_json::{Value, json};

pub async fn run(app: &App, command: &ListCommand, context: &Context<'_>) -> Result<Output> {
    match command {
        ListCommand::Load(args) => load(app, args, context).await,
        ListCommand::Show => {
            let lists = app.lists()?;
            let value = || {
                let one = |l: &std::result::Result<ListHead, (String, AppError)>| match l {
                    Ok(head) => view(head),
                    Err((id, e)) => json!({ "id": id, "error": e.to_string() }),
                };
                json!({ "lists": lists.iter().map(one).collect::<Vec<_>>() })
            };
            Ok(Output::either(context.json, value, || show(app, &lists)))
        }
        ListCommand::Drop { id } => {
            let actor = app.actor(context.token.as_deref()).await?;
            note(app, &actor, id, "list.drop", json!({})).await?;
            let last = app.drop_list(id)?;
            Ok(Output::either(
                context.json,
                || json!({ "id": id, "last_version": last }),
                || format!("{id} is gone with all its versions, the last was {last}"),
            ))
        }
    }
}

/// What is about to be done stands in the log before it is done.
async fn note(app: &App, actor: &Actor, id: &str, action: &str, detail: Value) -> Result<()> {
    app.catalog.note(actor, &format!("list:{id}"), action, detail, app.now()).await.map_err(catalog_error)
}

async fn load(app: &App, args: &Args, context: &Context<'_>) -> Result<Output> {
    let actor = app.actor(context.token.as_deref()).await?;
    let layout = app.layout(&args.layout)?;
    let what = LoadList {
        id: args.id.clone(),
        zh: args.zh.clone(),
        en: args.en.clone(),
        kind: if args.kind == Kind::Own { ListKind::Own } else { ListKind::Peer },
        expires: args.expires.as_deref().map(|t| time(t, &app.zone)).transpose()?,
    };
    let path = absolute(&context.folder, &args.file);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
    note(app, &actor, &what.id, "list.load", json!({ "file": name })).await?;
    let loaded = tokio::task::block_in_place(|| app.load_list(what, &layout, &path, context.progress))?;
    let head = &loaded.head;
    Ok(Output::either(
        context.json,
        || {
            let mut v = view(head);
            v["seconds"] = loaded.seconds.into();
            v["faults"] = import::faults_view(&loaded.faults);
            v
        },
        || {
            let ListCounts { lines, members, duplicate, foreign, bad } = head.counts;
            let what = if head.kind == ListKind::Own { "no subscriber's, left out" } else { "no subscriber's, kept" };
            let mut text = format!(
                "{} version {}: {} members of {} lines in {:.1} s ({} duplicate, {} {what}, {} bad)\n",
                head.id,
                head.version,
                grouped(members),
                grouped(lines),
                loaded.seconds,
                grouped(duplicate),
                grouped(foreign),
                grouped(bad)
            );
            text.push_str(&import::faults_text(&loaded.faults));
            text
        },
    ))
}

fn view(h: &ListHead) -> Value {
    let ListCounts { lines, members, duplicate, foreign, bad } = h.counts;
    json!({
        "id": h.id, "name": { "zh": h.zh, "en": h.en }, "kind": if h.kind == ListKind::Own { "own" } else { "peer" },
        "version": h.version, "file": h.file, "loaded": h.loaded.to_string(), "expires": h.expires.map(|t| t.to_string()),
        "lines": lines, "members": members, "duplicate": duplicate, "foreign": foreign, "bad": bad,
    })
}

fn show(app: &App, lists: &[std::result::Result<ListHead, (String, AppError)>]) -> String {
    if lists.is_empty() {
        return "no list yet: kairos list load ID FILE".to_owned();
    }
    let rows: Vec<Vec<String>> = lists
        .iter()
        .map(|l| {
            let h = match l {
                Ok(h) => h,
                Err((id, e)) => return [vec![id.clone(), e.message.clone()], vec![String::new(); 7]].concat(),
            };
            vec![
                h.id.clone(),
                if h.kind == ListKind::Own { "own" } else { "peer" }.to_owned(),
                h.version.to_string(),
                grouped(h.counts.members),
                grouped(h.counts.duplicate),
                grouped(h.counts.foreign),
                grouped(h.counts.bad),
                shown(h.loaded, &app.zone),
                h.expires.map_or_else(|| "-".to_owned(), |t| shown(t, &app.zone)),
            ]
        })
        .collect();
    table(&["list", "kind", "version", "members", "duplicate", "foreign", "bad", "loaded", "expires"], &rows)
}
