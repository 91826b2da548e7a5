//! `kairos sql`: read-only SQL over tables, quarantine, decisions and outcomes as of now.

use super::Context;
use crate::{args::Sql, out::Output};
use kairos_app::{App, AppError, Result};
use kairos_lake::{LakeError, SqlLimits, to_json, to_text};
use serde_json::json;

pub async fn run(app: &App, args: &Sql, context: &Context<'_>) -> Result<Output> {
    tokio::task::block_in_place(|| app.mirror())?;
    let limits = SqlLimits { rows: args.rows, seconds: args.seconds };
    let wrong = |e: LakeError| AppError::invalid("sql", "the query gives no answer").because(e);
    let answer = app.lake.sql(app.now(), &args.query, limits).await.map_err(wrong)?;
    if context.json {
        let rows = to_json(&answer.batches).map_err(wrong)?;
        return Ok(Output::json(&json!({"rows": rows, "truncated": answer.truncated})));
    }
    let mut text = to_text(&answer.batches).map_err(wrong)?;
    if answer.truncated {
        text.push_str(&format!("\ncut at {} rows; raise --rows\n", args.rows));
    }
    Ok(Output::text(text))
}
