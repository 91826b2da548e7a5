//! The kill switch: nothing is decided, offered or written while it is on.

use crate::{app::App, error::Result};
use kairos_catalog::Actor;
use kairos_engine::{ContactView, Input};
use serde_json::json;

/// Where the switch stands, and what it may not be able to call back.
#[derive(Clone, Debug)]
pub struct KillSwitch {
    pub on: bool,
    /// Handed to a channel and not answered: those that were written to a centre may still arrive.
    pub in_flight: Vec<ContactView>,
    /// Lists that were handed out and not recalled; `None`: the outbox cannot be read.
    pub lists_out: Option<u64>,
    /// `false`: the switch is thrown, but the catalog could not keep who threw it and why.
    pub audited: bool,
}

impl App {
    /// In force in the engine, and so in the gate, before it returns.
    pub async fn set_kill_switch(&self, actor: &Actor, on: bool, reason: &str) -> Result<KillSwitch> {
        self.reason(reason)?;
        // the engine first: from here on nothing more goes out, whatever the catalog says
        self.runner().handle(vec![Input::KillSwitch(on)]).await?;
        let value = json!({ "on": on, "reason": reason });
        let kept = self.catalog.set_setting(actor, "kill-switch", &value, self.now()).await;
        if let Err(e) = &kept {
            tracing::error!(on, error = %e, "the kill switch is thrown, and the audit log does not say so");
        }
        Ok(KillSwitch { audited: kept.is_ok(), ..self.kill_switch() })
    }

    pub fn kill_switch(&self) -> KillSwitch {
        let (on, in_flight) = {
            let engine = self.runner().engine();
            (engine.killed(), engine.in_flight())
        };
        let lists = match self.exported() {
            Ok(lists) => Some(lists.iter().filter(|l| !l.recalled).count() as u64),
            Err(e) => {
                tracing::warn!(error = %e, "the outbox cannot be read");
                None
            }
        };
        KillSwitch { on, in_flight, lists_out: lists, audited: true }
    }
}
