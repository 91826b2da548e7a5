//! Every command over an open application: the same function whether it runs here or in the process that holds the
//! directory.

mod audience;
mod audit;
mod campaign;
mod contact;
mod event;
mod explain;
mod import;
mod kill;
mod list;
mod question;
mod sql;
mod tag;
mod user;

pub use campaign::simulation_text;

use crate::{
    args::{Command, Lang},
    out::Output,
};
use kairos_app::{App, AppError, Progress, Result};
use kairos_model::{Timestamp, Zone};
use std::{path::PathBuf, sync::Arc};

/// What a command runs with besides its own arguments.
pub struct Context<'a> {
    pub json: bool,
    pub lang: Lang,
    pub token: Option<String>,
    /// Folder of the caller: relative paths are his.
    pub folder: PathBuf,
    pub progress: &'a dyn Progress,
}

impl Context<'_> {
    pub fn rules_lang(&self) -> kairos_rules::Lang {
        match self.lang {
            Lang::Zh => kairos_rules::Lang::Zh,
            Lang::En => kairos_rules::Lang::En,
        }
    }
}

/// Runs a command that needs the data directory.
pub async fn run(app: &Arc<App>, command: &Command, context: &Context<'_>) -> Result<Output> {
    match command {
        Command::Import(args) => import::run(app, args, context).await,
        Command::Tag(args) => tag::run(app, args, context).await,
        // counting is work for a thread, not for a runtime that also serves
        Command::Audience(args) => tokio::task::block_in_place(|| audience::run(app, args, context)),
        Command::Campaign(args) => campaign::run(app, args, context).await,
        Command::List(args) => list::run(app, args, context).await,
        Command::Event(args) => event::run(app, args, context).await,
        Command::Contact(args) => contact::run(app, args, context).await,
        Command::KillSwitch(args) => kill::run(app, args, context).await,
        Command::Explain(args) => explain::run(app, args, context).await,
        Command::Sql(args) => sql::run(app, args, context).await,
        Command::Audit(args) => audit::run(app, args, context).await,
        Command::User(args) => user::run(app, args, context).await,
        _ => Err(AppError::failure("internal", "this command does not work on a data directory")),
    }
}

/// A local time of the tenant (`2026-03-02T09:00`, seconds optional), or RFC 3339 with an offset.
pub fn time(text: &str, zone: &Zone) -> Result<Timestamp> {
    if let Ok(t) = text.parse::<Timestamp>() {
        return Ok(t);
    }
    let civil = text.parse::<jiff::civil::DateTime>().map_err(|e| {
        AppError::invalid(
            "time",
            format!("`{text}` is no time; write 2026-03-02T09:00 ({}) or add an offset", zone.name()),
        )
        .because(e)
    })?;
    zone.instant(civil).ok_or_else(|| AppError::invalid("time", format!("`{text}` is outside the calendar")))
}

/// A time as the tenant reads it.
pub fn shown(t: Timestamp, zone: &Zone) -> String {
    format!("{}", zone.civil(t).strftime("%Y-%m-%d %H:%M:%S"))
}
