//! What a query reads, and a hash of the state of it up to `as_of`: equal hashes, equal answers.

use crate::{
    error::{LakeError, Result},
    lake::Inner,
    manifest::{DataFile, Manifest, Mode, TableState},
    schema, view,
};
use datafusion::{arrow::array::AsArray, arrow::datatypes::TimestampMicrosecondType, prelude::SessionContext};
use kairos_model::{Timestamp, Zone, table::TableDef};
use std::collections::{BTreeMap, BTreeSet};

/// Tables that a query names, in order of name.
pub(super) fn tables_of(ctx: &SessionContext, sql: &str) -> datafusion::error::Result<Vec<String>> {
    let state = ctx.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(sql, &dialect)?;
    let names: BTreeSet<String> =
        state.resolve_table_references(&statement)?.iter().map(|r| r.table().to_owned()).collect();
    Ok(names.into_iter().collect())
}

/// The part of `as_of` at which a definition looks: the day, the month, or the instant, as far as it asks for them.
pub(super) fn looks_at(definition: &str, as_of: Timestamp, zone: &Zone) -> String {
    let text = definition.to_ascii_lowercase();
    let day = zone.civil(as_of).date();
    let mut seen = String::new();
    if text.contains("as_of()") || text.contains("now()") || text.contains("current_timestamp") {
        seen.push_str(&format!("at {} ", as_of.0));
    }
    if ["as_of_date", "day_start", "current_date", "today"].iter().any(|f| text.contains(f)) {
        seen.push_str(&format!("day {day} "));
    }
    if text.contains("month_start") || text.contains("month_date") {
        seen.push_str(&format!("month {} ", day.first_of_month()));
    }
    seen
}

/// States of tables, each worked out once.
pub(super) struct Inputs<'a> {
    inner: &'a Inner,
    manifest: &'a Manifest,
    as_of: Timestamp,
    states: BTreeMap<String, String>,
    fresh: BTreeMap<String, Option<i64>>,
}

impl<'a> Inputs<'a> {
    pub fn new(inner: &'a Inner, manifest: &'a Manifest, as_of: Timestamp) -> Self {
        Self { inner, manifest, as_of, states: BTreeMap::new(), fresh: BTreeMap::new() }
    }

    /// A hash of what a reader at `as_of` sees of the table: its files, and the time itself where a file is cut by it.
    pub fn state(&mut self, table: &str) -> Result<String> {
        if let Some(known) = self.states.get(table) {
            return Ok(known.clone());
        }
        let def = schema::table(table)?;
        let none = TableState::default();
        let state = self.manifest.table(table).unwrap_or(&none);
        let mut h = blake3::Hasher::new();
        h.update(self.inner.zone.name().as_bytes());
        for f in files(state, def, self.as_of) {
            h.update(b"\0file ").update(f.blake3.as_bytes()).update(f.path.as_bytes());
            if f.last.max(f.last_moment).is_some_and(|t| t > self.as_of.0) {
                h.update(b" until ").update(&self.as_of.0.to_le_bytes());
            }
        }
        let hash = h.finalize().to_hex().to_string();
        self.states.insert(table.to_owned(), hash.clone());
        Ok(hash)
    }

    /// The newest input: the last event of append tables, the last extract of others.
    pub async fn freshness(&mut self, ctx: &SessionContext, table: &str) -> Result<Option<i64>> {
        if let Some(known) = self.fresh.get(table) {
            return Ok(*known);
        }
        let def = schema::table(table)?;
        let none = TableState::default();
        let state = self.manifest.table(table).unwrap_or(&none);
        let files = files(state, def, self.as_of);
        let of = |f: &&DataFile| if f.mode == Mode::Append { f.last.unwrap_or(f.as_of) } else { f.as_of };
        let cut = files.iter().any(|f| of(f) > self.as_of.0);
        let newest = match def.time {
            Some(time) if cut => {
                let failed = || LakeError::query(format!("find the newest row of `{table}`"));
                let sql = format!("select max(\"{time}\") as newest from \"{table}\"");
                let batches = ctx.sql(&sql).await.map_err(failed())?.collect().await.map_err(failed())?;
                let column = batches.iter().find(|b| b.num_rows() > 0).map(|b| b.column(0).clone());
                column.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>().and_then(|t| t.iter().next()?))
            }
            _ => files.iter().map(of).max(),
        };
        self.fresh.insert(table.to_owned(), newest);
        Ok(newest)
    }
}

fn files<'a>(state: &'a TableState, def: &TableDef, as_of: Timestamp) -> Vec<&'a DataFile> {
    let modes = [Mode::Append, Mode::Upsert, Mode::Snapshot];
    modes.into_iter().flat_map(|m| view::visible(state, m, def, as_of)).collect()
}
