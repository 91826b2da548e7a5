//! `kairos kill-switch`

use super::{Context, shown};
use crate::{
    args::{KillState, KillSwitch as Args},
    out::{Output, grouped, table},
};
use kairos_app::{App, Result};
use serde_json::json;

/// In-flight contacts that the text names one by one.
const SHOWN_MAX: usize = 20;

pub async fn run(app: &App, args: &Args, context: &Context<'_>) -> Result<Output> {
    let switch = match args.state {
        KillState::Show => app.kill_switch(),
        state => {
            let actor = app.actor(context.token.as_deref()).await?;
            let reason = args.reason.as_deref().unwrap_or_default();
            app.set_kill_switch(&actor, state == KillState::On, reason).await?
        }
    };
    let value = || {
        json!({
            "on": switch.on, "audited": switch.audited, "lists_out": switch.lists_out, "in_flight": switch.in_flight.iter().map(|c| json!({
                "contact": c.contact.to_string(), "subscriber": c.subscriber.to_string(), "campaign": c.campaign.0,
                "channel": c.channel.name(), "offered": c.offered.map(|t| t.to_string()),
            })).collect::<Vec<_>>(),
        })
    };
    let text = || {
        let mut text =
            format!("the kill switch is {}\n", if switch.on { "on: nothing is decided or sent" } else { "off" });
        if !switch.audited {
            text.push_str("the catalog could not keep it in the audit log: write down who and why\n");
        }
        if switch.on {
            text.push_str(&format!(
                "may not be called back: {} contacts handed over and not answered, {} lists handed out\n",
                grouped(switch.in_flight.len() as u64),
                switch.lists_out.map_or_else(|| "unreadable:".to_owned(), grouped)
            ));
            let rows: Vec<Vec<String>> = switch
                .in_flight
                .iter()
                .take(SHOWN_MAX)
                .map(|c| {
                    let offered = c.offered.map_or_else(String::new, |t| shown(t, &app.zone));
                    vec![c.contact.to_string(), c.subscriber.to_string(), c.channel.to_string(), offered]
                })
                .collect();
            if !rows.is_empty() {
                text.push_str(&table(&["contact", "subscriber", "channel", "offered"], &rows));
            }
        }
        text
    };
    Ok(Output::either(context.json, value, text))
}
