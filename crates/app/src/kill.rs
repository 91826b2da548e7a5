//! The kill switch: nothing is decided, offered or written while it is on.

use crate::{
    app::{App, catalog_error},
    error::{AppError, Result},
};
use kairos_catalog::Actor;
use kairos_engine::{ContactView, Input};
use serde_json::json;

/// Where the switch stands, and what it cannot call back.
#[derive(Clone, Debug)]
pub struct KillSwitch {
    pub on: bool,
    /// Written to a centre and not answered yet: they may still arrive.
    pub in_flight: Vec<ContactView>,
    /// Lists that were handed out and not recalled.
    pub lists_out: u64,
}

impl App {
    /// In force in the engine, and so in the gate, before it returns; audited.
    pub async fn set_kill_switch(&self, actor: &Actor, on: bool, reason: &str) -> Result<KillSwitch> {
        if reason.trim().is_empty() {
            return Err(AppError::invalid("reason", "say why, with --reason: it stands in the audit log"));
        }
        // the engine first: an emergency does not wait for a catalog
        self.runner().handle(vec![Input::KillSwitch(on)]).await?;
        let value = json!({ "on": on, "reason": reason });
        self.catalog.set_setting(actor, "kill-switch", &value, self.now()).await.map_err(catalog_error)?;
        Ok(self.kill_switch())
    }

    pub fn kill_switch(&self) -> KillSwitch {
        let (on, in_flight) = {
            let engine = self.runner().engine();
            (engine.killed(), engine.in_flight())
        };
        let lists = self.exported().unwrap_or_else(|e| {
            tracing::warn!(error = %e, "the outbox cannot be read");
            Vec::new()
        });
        KillSwitch { on, in_flight, lists_out: lists.iter().filter(|l| !l.recalled).count() as u64 }
    }
}
