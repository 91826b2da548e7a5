//! A campaign's report as text and as JSON.

use crate::out::{grouped, table};
use kairos_app::{Part, Report, Transport, transport};
use kairos_insight::{Proportion, Verdict};
use kairos_model::{ContactState, Disposition, Zone};
use serde_json::{Map, Value, json};

fn percent(p: Proportion) -> String {
    p.rate().map_or_else(|| "-".to_owned(), |r| format!("{:.2}%", r * 100.0))
}

fn points(x: f64) -> String {
    format!("{:+.2}", x * 100.0)
}

/// What may be said of a part, in one sentence; never "success" where the interval crosses 0.
fn sentence(part: &Part) -> String {
    match part.evaluation.verdict {
        Verdict::Positive => "uplift above 0".to_owned(),
        Verdict::Negative => "uplift below 0: the campaign put people off".to_owned(),
        Verdict::Inconclusive { more: Some(0) } => {
            "inconclusive: enough members, and an uplift of the stated size is unlikely".to_owned()
        }
        Verdict::Inconclusive { more: Some(n) } => {
            format!("inconclusive: {} more for 80 % power at the stated smallest worthwhile uplift", grouped(n))
        }
        Verdict::Inconclusive { more: None } => "inconclusive: no number of members would do".to_owned(),
        Verdict::Invalid { p } => {
            format!(
                "invalid: chosen and control do not fit the stated share (p = {p:.2e}); find out why before reading on"
            )
        }
    }
}

/// The ledger's states; they add up to the members.
pub fn states(r: &Report) -> Vec<(&'static str, u64)> {
    ContactState::ALL.iter().map(|&s| (s.name(), r.total.of(s))).collect()
}

/// What sent means on this campaign's channel: a file that was written is no message that was taken.
fn sent_word(r: &Report) -> &'static str {
    if transport(r.def.channel) == Some(Transport::File) { "exported" } else { ContactState::Sent.name() }
}

pub fn text(r: &Report, zone: &Zone) -> String {
    let t = &r.total;
    let mut out = format!("{} ({}) at {}\n", r.campaign, r.state, zone.civil(r.at).strftime("%Y-%m-%d %H:%M:%S"));
    let mut rows: Vec<Vec<String>> = states(r)
        .into_iter()
        .map(|(s, n)| vec![if s == ContactState::Sent.name() { sent_word(r) } else { s }.to_owned(), grouped(n)])
        .collect();
    rows.push(vec!["members".to_owned(), grouped(t.members)]);
    out.push_str(&format!(
        "\nledger{}\n{}",
        if t.adds_up() { "" } else { "  (DOES NOT ADD UP)" },
        table(&["state", "members"], &rows)
    ));
    let withheld: Vec<Vec<String>> = t.withheld_by().map(|(r, n)| vec![r.name().to_owned(), grouped(n)]).collect();
    if !withheld.is_empty() {
        out.push_str(&format!("\nwithheld, by primary reason\n{}", table(&["reason", "members"], &withheld)));
    }
    let cancelled: Vec<Vec<String>> = t.cancelled_by().map(|(r, n)| vec![r.name().to_owned(), grouped(n)]).collect();
    if !cancelled.is_empty() {
        out.push_str(&format!("\ncancelled, by reason\n{}", table(&["reason", "members"], &cancelled)));
    }
    let seen = [Disposition::Delivered, Disposition::Undelivered, Disposition::Replied, Disposition::OptedOut];
    let rows: Vec<Vec<String>> = seen.iter().map(|&d| vec![d.name().to_owned(), grouped(t.seen(d))]).collect();
    out.push_str(&format!("\nwithin {}\n{}", sent_word(r), table(&["what", "members"], &rows)));
    let parts: Vec<Vec<String>> = r.parts.iter().filter(|p| p.chosen.n() + p.control.n() > 0).map(row).collect();
    if parts.is_empty() {
        out.push_str("\nnobody has been decided yet\n");
        return out;
    }
    let header = [
        "part",
        "chosen",
        sent_word(r),
        "delivered",
        "replied",
        "ordered",
        "control",
        "ordered",
        "uplift (points)",
        "95 %",
        "verdict",
    ];
    out.push_str(&format!(
        "\norders within {} days of the decision\n{}",
        r.def.success_window_days,
        table(&header, &parts)
    ));
    let all = &r.parts[0].evaluation;
    out.push_str(&format!(
        "\nof the delivered {} ordered (a rate, no uplift: who is delivered to is not drawn by lot)\n",
        percent(r.delivered_success)
    ));
    if let Some(d) = all.detectable {
        out.push_str(&format!("smallest uplift that these numbers find with 80 % power: {} points\n", points(d)));
    }
    out.push_str(&format!("sample ratio: p = {:.3}\n", all.ratio.p));
    if let Some(a) = &r.account {
        out.push_str(&format!("cost {} of {}", a.cost, a.budget.map_or("no budget".to_owned(), |b| b.to_string())));
        if let Some(b) = &a.benefit {
            out.push_str(&format!("; benefit {} (95 %: {} to {})", b.estimate, b.low, b.high));
        }
        out.push('\n');
    }
    if r.complete_at.is_some_and(|t| t > r.at) {
        out.push_str("the success window is still open: later orders will count\n");
    }
    out
}

fn row(p: &Part) -> Vec<String> {
    let e = &p.evaluation;
    let (estimate, interval) = e.uplift.map_or_else(
        || ("-".to_owned(), "-".to_owned()),
        |u| (points(u.estimate), format!("{} to {}", points(u.low), points(u.high))),
    );
    vec![
        p.name.clone(),
        grouped(p.chosen.n()),
        grouped(p.sent),
        grouped(p.delivered),
        grouped(p.replied),
        percent(p.chosen),
        grouped(p.control.n()),
        percent(p.control),
        estimate,
        interval,
        sentence(p),
    ]
}

pub fn view(r: &Report) -> Value {
    let t = &r.total;
    let by_state: Map<String, Value> = states(r).into_iter().map(|(s, n)| (s.to_owned(), n.into())).collect();
    let withheld: Map<String, Value> = t.withheld_by().map(|(r, n)| (r.name().to_owned(), n.into())).collect();
    let cancelled: Map<String, Value> = t.cancelled_by().map(|(r, n)| (r.name().to_owned(), n.into())).collect();
    json!({
        "campaign": r.campaign, "state": r.state, "at": r.at.to_string(), "members": t.members, "adds_up": t.adds_up(),
        "states": by_state, "sent_is": sent_word(r), "withheld": withheld, "cancelled": cancelled, "holdout": t.holdout,
        "delivered": t.seen(Disposition::Delivered), "undelivered": t.seen(Disposition::Undelivered),
        "replied": t.seen(Disposition::Replied), "opted_out": t.seen(Disposition::OptedOut),
        "waves": r.waves.iter().map(|(w, s)| json!({"wave": w.0, "members": s.members,
            "sent": s.of(ContactState::Sent), "control": s.of(ContactState::Control)})).collect::<Vec<_>>(),
        "parts": r.parts.iter().map(part_view).collect::<Vec<_>>(),
        "delivered_success_rate": r.delivered_success.rate(),
        "window_days": r.def.success_window_days,
        "complete": r.complete_at.is_some_and(|t| t <= r.at),
        "cost": r.account.as_ref().map(|a| a.cost.to_string()),
        "benefit": r.account.as_ref().and_then(|a| a.benefit).map(|b| json!({"estimate": b.estimate.to_string(),
            "low": b.low.to_string(), "high": b.high.to_string()})),
    })
}

fn part_view(p: &Part) -> Value {
    let e = &p.evaluation;
    json!({
        "part": p.name, "sent": p.sent, "delivered": p.delivered, "replied": p.replied, "chosen": p.chosen.n(), "chosen_ordered": p.chosen.successes(),
        "control": p.control.n(), "control_ordered": p.control.successes(),
        "uplift": e.uplift.map(|u| json!({"estimate": u.estimate, "low": u.low, "high": u.high})),
        "sample_ratio_p": e.ratio.p, "detectable": e.detectable, "power": e.power, "verdict": sentence(p),
    })
}
