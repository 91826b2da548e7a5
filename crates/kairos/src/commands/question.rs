//! `kairos audience overlap | cross | sample | apart | alike`

use super::{Context, shown, time};
use crate::{
    args::{Alike, Apart, AudienceCommand, Sample, Sets},
    out::{Output, grouped, table},
};
use kairos_app::{App, Asked, Result};
use kairos_model::Timestamp;
use serde_json::{Value, json};
use std::time::Instant;

fn at(app: &App, as_of: Option<&String>) -> Result<Timestamp> {
    as_of.map_or_else(|| Ok(app.now()), |t| time(t, &app.zone))
}

fn footer(app: &App, asked: &Asked, begun: Instant) -> String {
    format!(
        "\nsnapshot {} as of {}, {:.1} ms\n",
        asked.snapshot.0,
        shown(asked.as_of, &app.zone),
        begun.elapsed().as_secs_f64() * 1e3
    )
}

/// `None`: another command's.
pub fn run(app: &App, command: &AudienceCommand, context: &Context<'_>) -> Option<Result<Output>> {
    Some(match command {
        AudienceCommand::Overlap(args) => overlap(app, args, context),
        AudienceCommand::Cross(args) => cross(app, args, context),
        AudienceCommand::Sample(args) => sample(app, args, context),
        AudienceCommand::Apart(args) => apart(app, args, context),
        AudienceCommand::Alike(args) => alike(app, args, context),
        _ => return None,
    })
}

fn letters(mask: usize, n: usize) -> String {
    (0..n).filter(|i| mask >> i & 1 == 1).map(|i| char::from(b'A' + i as u8)).collect()
}

fn overlap(app: &App, args: &Sets, context: &Context<'_>) -> Result<Output> {
    let begun = Instant::now();
    let answer = app.overlap(&args.conditions, at(app, args.as_of.as_ref())?)?;
    let n = args.conditions.len();
    let regions: Vec<(usize, u64)> =
        answer.overlap.regions.iter().copied().enumerate().filter(|(mask, size)| *mask > 0 && *size > 0).collect();
    let value = || {
        let set = |mask: usize| (0..n).filter(|i| mask >> i & 1 == 1).collect::<Vec<_>>();
        json!({
            "sets": args.conditions.iter().zip(&answer.sizes).map(|(c, s)| json!({"condition": c, "members": s})).collect::<Vec<_>>(),
            "regions": regions.iter().map(|&(mask, size)| json!({"in_exactly": set(mask), "members": size})).collect::<Vec<_>>(),
            "any": answer.overlap.within_any((1 << n) - 1), "all": answer.overlap.within_all((1 << n) - 1),
            "snapshot": answer.asked.snapshot.0, "as_of": answer.asked.as_of.to_string(),
        })
    };
    let text = || {
        let sets: Vec<Vec<String>> = (args.conditions.iter().zip(&answer.sizes).enumerate())
            .map(|(i, (c, s))| vec![letters(1 << i, n), c.clone(), grouped(*s)])
            .collect();
        let rows: Vec<Vec<String>> =
            regions.iter().map(|&(mask, size)| vec![letters(mask, n), grouped(size)]).collect();
        format!(
            "{}\n{}{}",
            table(&["set", "condition", "members"], &sets),
            table(&["in exactly", "members"], &rows),
            footer(app, &answer.asked, begun)
        )
    };
    Ok(Output::either(context.json, value, text))
}

fn cross(app: &App, args: &Sets, context: &Context<'_>) -> Result<Output> {
    let begun = Instant::now();
    let (crossing, asked) = app.crossing(&args.conditions, at(app, args.as_of.as_ref())?)?;
    let n = args.conditions.len();
    let value = || {
        let pairs: Vec<Value> = (0..n)
            .flat_map(|i| (0..n).filter(move |j| *j != i).map(move |j| (i, j)))
            .map(|(i, j)| {
                json!({"of": i, "also": j, "both": crossing.counts[i][j], "share": crossing.share(i, j),
                    "lift": crossing.lift(i, j)})
            })
            .collect();
        json!({"conditions": args.conditions, "members": (0..n).map(|i| crossing.counts[i][i]).collect::<Vec<_>>(),
            "everyone": crossing.base, "pairs": pairs, "snapshot": asked.snapshot.0, "as_of": asked.as_of.to_string()})
    };
    let text = || {
        let mut rows = Vec::new();
        for i in 0..n {
            for j in (0..n).filter(|j| *j != i) {
                let share = crossing.share(i, j).map_or("-".to_owned(), |s| format!("{:.1}%", s * 100.0));
                let lift = crossing.lift(i, j).map_or("-".to_owned(), |l| format!("{l:.2}"));
                rows.push(vec![
                    args.conditions[i].clone(),
                    grouped(crossing.counts[i][i]),
                    args.conditions[j].clone(),
                    grouped(crossing.counts[i][j]),
                    share,
                    lift,
                ]);
            }
        }
        let header = ["of", "members", "also", "both", "share", "lift"];
        format!("{}{}", table(&header, &rows), footer(app, &asked, begun))
    };
    Ok(Output::either(context.json, value, text))
}

fn sample(app: &App, args: &Sample, context: &Context<'_>) -> Result<Output> {
    let (of, sample, asked) = app.sample(&args.condition, args.n, args.seed, at(app, args.as_of.as_ref())?)?;
    let ids: Vec<String> = sample.iter().map(ToString::to_string).collect();
    Ok(Output::either(
        context.json,
        || json!({"members": of, "seed": args.seed, "subscribers": ids, "snapshot": asked.snapshot.0}),
        || ids.iter().map(|s| format!("{s}\n")).collect(),
    ))
}

fn apart(app: &App, args: &Apart, context: &Context<'_>) -> Result<Output> {
    let begun = Instant::now();
    let found = app.apart(&args.condition, args.base.as_deref(), at(app, args.as_of.as_ref())?)?;
    let lang = context.rules_lang();
    let value = || {
        json!({
            "members": found.set, "base": found.base, "found": found.findings.len(), "seconds": begun.elapsed().as_secs_f64(),
            "findings": found.findings.iter().take(args.limit).map(|f| json!({
                "tag": f.tag, "value": app.shown_value(&f.tag, &f.value, lang), "in_set": f.in_set, "in_base": f.in_base,
                "share_in_set": f.share_in_set, "share_in_base": f.share_in_base, "lift": f.lift, "q": f.q,
            })).collect::<Vec<_>>(),
            "snapshot": found.asked.snapshot.0, "as_of": found.asked.as_of.to_string(),
        })
    };
    let text = || {
        let rows: Vec<Vec<String>> = found
            .findings
            .iter()
            .take(args.limit)
            .map(|f| {
                vec![
                    f.tag.clone(),
                    app.shown_value(&f.tag, &f.value, lang),
                    format!("{:.1}%", f.share_in_set * 100.0),
                    format!("{:.1}%", f.share_in_base * 100.0),
                    format!("{:.2}", f.lift),
                    format!("{:.1e}", f.q),
                ]
            })
            .collect();
        format!(
            "{} of the list in a base of {}; {} values set it apart (false-discovery rate below 5 %)\n\n{}{}",
            grouped(found.set),
            grouped(found.base),
            grouped(found.findings.len() as u64),
            table(&["tag", "value", "in the list", "in the base", "lift", "q"], &rows),
            footer(app, &found.asked, begun)
        )
    };
    Ok(Output::either(context.json, value, text))
}

fn alike(app: &App, args: &Alike, context: &Context<'_>) -> Result<Output> {
    let begun = Instant::now();
    let found = app.look_alike(
        &args.users,
        args.base.as_deref(),
        args.among.as_deref(),
        &args.leave_out,
        (args.n, args.seed),
        at(app, args.as_of.as_ref())?,
    )?;
    let lang = context.rules_lang();
    let g = &found.gains;
    let value = || {
        json!({
            "users": found.users, "base": found.base, "auc": g.auc, "held_out": g.of,
            "features": found.features.iter().map(|f| json!({"tag": f.tag, "value": app.shown_value(&f.tag, &f.value, lang),
                "weight": f.weight, "lift": f.lift})).collect::<Vec<_>>(),
            "deciles": g.deciles.iter().map(|d| json!({"of": d.of, "users": d.users, "expected": d.expected, "lift": d.lift,
                "captured": d.captured})).collect::<Vec<_>>(),
            "best": found.best.iter().map(|(s, p)| json!({"subscriber": s.to_string(), "chance": p})).collect::<Vec<_>>(),
            "snapshot": found.asked.snapshot.0, "as_of": found.asked.as_of.to_string(),
        })
    };
    let text = || {
        let features: Vec<Vec<String>> = found
            .features
            .iter()
            .take(15)
            .map(|f| {
                let shown = app.shown_value(&f.tag, &f.value, lang);
                vec![f.tag.clone(), shown, format!("{:+.2}", f.weight), format!("{:.2}", f.lift)]
            })
            .collect();
        let deciles: Vec<Vec<String>> = (1..)
            .zip(&g.deciles)
            .map(|(i, d)| {
                vec![
                    format!("{i}"),
                    grouped(d.of),
                    grouped(d.users),
                    format!("{:.0}", d.expected),
                    format!("{:.2}", d.lift),
                    format!("{:.0}%", d.captured * 100.0),
                ]
            })
            .collect();
        let best: Vec<Vec<String>> =
            found.best.iter().take(10).map(|(s, p)| vec![s.to_string(), format!("{:.1}%", p * 100.0)]).collect();
        format!(
            "{} users in a base of {}\n\n{}\nheld out: {} ({} users), AUC {:.3}\n{}\nthe {} most alike, the first of them\n{}{}",
            grouped(found.users),
            grouped(found.base),
            table(&["tag", "value", "weight", "lift"], &features),
            grouped(g.of),
            grouped(g.users),
            g.auc,
            table(&["decile", "of", "users", "expected", "lift", "captured"], &deciles),
            grouped(found.best.len() as u64),
            table(&["subscriber", "chance"], &best),
            footer(app, &found.asked, begun)
        )
    };
    Ok(Output::either(context.json, value, text))
}
