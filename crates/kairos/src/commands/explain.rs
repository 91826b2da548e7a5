//! `kairos explain`

use super::{Context, shown, time};
use crate::{
    args::{Explain, Lang},
    out::Output,
};
use kairos_app::{App, Explained, Result, Standing};
use kairos_model::Reason;
use serde_json::{Value, json};

pub async fn run(app: &App, args: &Explain, context: &Context<'_>) -> Result<Output> {
    let subscriber = app.subscriber(&args.subscriber)?;
    let at = args.at.as_deref().map(|t| time(t, &app.zone)).transpose()?;
    let found = app.explain(subscriber, args.campaign.as_deref(), at, context.rules_lang()).await?;
    Ok(Output::either(context.json, || view(&found), || text(app, &found, context.lang)))
}

fn names(reasons: &[Reason], lang: Lang) -> Vec<&'static str> {
    reasons.iter().map(|r| if lang == Lang::Zh { r.zh() } else { r.name() }).collect()
}

fn view(e: &Explained) -> Value {
    let standing = |s: &Standing| {
        json!({
            "campaign": s.campaign, "state": s.state, "selected": s.selected, "condition": s.condition,
            "waves": s.waves.iter().map(|(w, state, reason)| json!({"wave": w.0, "state": state.name(), "reason": reason.map(Reason::name)}))
                .collect::<Vec<_>>(),
            "decisions": s.decisions.iter().map(|(at, verdict, reasons)| json!({"at": at.to_string(), "verdict": verdict,
                "primary": reasons.first().map(|r| r.name()), "reasons": names(reasons, Lang::En)})).collect::<Vec<_>>(),
            "contacts": s.contacts.iter().map(|c| json!({"contact": c.contact.to_string(), "state": c.state.name(),
                "intended": c.intended.to_string(), "offered": c.offered.map(|t| t.to_string()),
                "seen": c.seen.iter().map(|d| d.name()).collect::<Vec<_>>()})).collect::<Vec<_>>(),
            "now": names(&s.now, Lang::En), "free_at": s.free_at.map(|t| t.to_string()),
        })
    };
    json!({
        "subscriber": e.subscriber.to_string(), "at": e.at.to_string(), "reachable": e.reachable,
        "suppressed": e.suppressed, "campaigns": e.standings.iter().map(standing).collect::<Vec<_>>(),
    })
}

fn text(app: &App, e: &Explained, lang: Lang) -> String {
    let word = |zh: &'static str, en: &'static str| if lang == Lang::Zh { zh } else { en };
    let mut lines = vec![format!(
        "{} {}: {}{}",
        e.subscriber,
        shown(e.at, &app.zone),
        if e.reachable { word("有号码", "has a number") } else { word("没有号码", "has no number") },
        if e.suppressed { word("，在黑名单中", ", suppressed") } else { "" }
    )];
    for s in &e.standings {
        lines.push(format!("\n{} ({})", s.campaign, s.state));
        lines.extend(s.condition.iter().map(|c| format!("  {c}")));
        for (wave, state, reason) in &s.waves {
            let why = reason.map_or(String::new(), |r| format!(" ({})", names(&[r], lang)[0]));
            lines.push(format!("  {} {}: {}{why}", word("波次", "wave"), wave.0, state.name()));
        }
        for (at, verdict, reasons) in &s.decisions {
            let why = if reasons.is_empty() { String::new() } else { format!(": {}", names(reasons, lang).join(", ")) };
            lines.push(format!("  {} {} {verdict}{why}", word("决定", "decided"), shown(*at, &app.zone)));
        }
        for c in &s.contacts {
            let seen: Vec<_> = c.seen.iter().map(|d| if lang == Lang::Zh { d.zh() } else { d.name() }).collect();
            lines.push(
                format!("  {} {} {} {}", word("接触", "contact"), c.contact, c.state.name(), seen.join(", "))
                    .trim_end()
                    .to_owned(),
            );
        }
        if s.now.is_empty() {
            lines.push(word("  现在：可以接触", "  now: nothing speaks against a contact").to_owned());
        } else {
            let free = s.free_at.map_or(String::new(), |t| {
                format!("{}{}", word("；接触频次自此允许：", "; caps are free at "), shown(t, &app.zone))
            });
            let joined = names(&s.now, lang).join(word("、", ", "));
            lines.push(format!("  {}{joined}{free}", word("现在：", "now: ")));
        }
    }
    lines.join("\n")
}
