//! `kairos user`: whoever may open the data directory on this machine sets up its operators; every step is audited.

use super::Context;
use crate::{
    args::UserCommand,
    out::{Output, table},
};
use kairos_app::{App, Result, catalog_error};
use kairos_catalog::Actor;
use serde_json::json;

pub async fn run(app: &App, command: &UserCommand, context: &Context<'_>) -> Result<Output> {
    match command {
        UserCommand::Add { name, role } => {
            let now = app.now();
            let system = Actor::system();
            app.catalog.create_user(&system, name, &[role.as_str()], now).await.map_err(catalog_error)?;
            let token = app
                .catalog
                .issue_token(&system, name, "first token", None, &mut kairos_app::random, now)
                .await
                .map_err(catalog_error)?;
            Ok(Output::either(
                context.json,
                || json!({"name": name, "role": role, "token": token.reveal()}),
                || format!("{name} ({role})\ntoken, shown once: {}", token.reveal()),
            ))
        }
        UserCommand::Token { name } => {
            let token = app
                .catalog
                .issue_token(&Actor::system(), name, "token", None, &mut kairos_app::random, app.now())
                .await
                .map_err(catalog_error)?;
            Ok(Output::either(
                context.json,
                || json!({"name": name, "token": token.reveal()}),
                || format!("{name}\ntoken, shown once: {}", token.reveal()),
            ))
        }
        UserCommand::Revoke { name } => {
            let n = app.catalog.revoke_tokens(&Actor::system(), name, app.now()).await.map_err(catalog_error)?;
            Ok(Output::either(
                context.json,
                || json!({"name": name, "revoked": n}),
                || format!("{n} token(s) of {name} are no longer good"),
            ))
        }
        UserCommand::List => {
            let users = app.catalog.users().await.map_err(catalog_error)?;
            let value = || json!({"users": users.iter().map(|u| json!({"name": u.name, "roles": u.roles, "active": u.active})).collect::<Vec<_>>()});
            let text = || {
                let rows: Vec<Vec<String>> = users
                    .iter()
                    .map(|u| {
                        vec![
                            u.name.clone(),
                            u.roles.join(", "),
                            if u.active { "active" } else { "inactive" }.to_owned(),
                        ]
                    })
                    .collect();
                table(&["user", "roles", "state"], &rows)
            };
            Ok(Output::either(context.json, value, text))
        }
    }
}
