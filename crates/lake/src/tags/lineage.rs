//! Where a tag comes from, and the key by which its column is known again.

use super::{
    catalogue::{Origin, TagDef},
    compute::Run,
    inputs::{looks_at, tables_of},
    load::default_json,
    snapshot::{FileRef, SnapshotTag},
};
use crate::{
    condition,
    error::{LakeError, Result},
    lake::Inner,
    manifest::Manifest,
};
use kairos_model::hash::FixedMap;
use kairos_rules::TagType;
use std::collections::BTreeSet;

/// Earlier snapshots looked through for columns that can be used again.
pub(super) const LOOK_BACK: usize = 16;
/// Changed when a key of an earlier program must not match any more.
const KEY: &str = "kairos tag key 1";
#[derive(Clone)]
pub(super) struct Lineage {
    pub key: String,
    pub definition: String,
    pub tables: Vec<String>,
    pub freshness: Option<i64>,
}

/// Columns of recent snapshots by key, newest first.
pub(super) fn earlier(inner: &Inner, manifest: &Manifest) -> Result<FixedMap<String, SnapshotTag>> {
    let mut known = FixedMap::default();
    for entry in manifest.snapshots.iter().rev().take(LOOK_BACK) {
        for tag in inner.read_snapshot(entry)?.tags {
            known.entry(tag.key.clone()).or_insert(tag);
        }
    }
    Ok(known)
}

impl Run<'_> {
    pub(super) async fn lineage(&mut self, t: &TagDef, whole: &FileRef) -> Result<Lineage> {
        let mut h = blake3::Hasher::new();
        let mut add = |label: &str, text: &str| {
            h.update(&(label.len() as u32).to_le_bytes()).update(label.as_bytes());
            h.update(&(text.len() as u32).to_le_bytes()).update(text.as_bytes());
        };
        add(KEY, t.info.ty.name());
        if let TagType::Enum { values } | TagType::Set { values } = &t.info.ty {
            values.iter().for_each(|v| add("word", v));
        }
        if let TagType::Money(c) = t.info.ty {
            add("currency", c.code());
        }
        let (mut tables, mut freshness, mut more) = (Vec::new(), None, Vec::new());
        let text = match &t.origin {
            Origin::Source { source, value } => {
                let sql = self.catalogue.source(source).map_or("", |s| s.sql.as_str());
                add("sql", sql);
                add("value", value);
                tables = self.tables(t, sql)?;
                format!("{sql}\n{value}")
            }
            Origin::Sql(sql) => {
                add("sql", sql);
                tables = self.tables(t, sql)?;
                sql.clone()
            }
            Origin::Condition(c) => {
                add("condition", c.text());
                more.push(whole.blake3.clone());
                for u in c.tags() {
                    if let Some(l) = self.keys.get(&u.id) {
                        more.push(l.key.clone());
                        let default = self.catalogue.def(&u.id).and_then(|d| d.default.as_ref());
                        more.push(default.map_or(String::new(), |d| default_json(d).to_string()));
                        tables.extend(l.tables.iter().cloned());
                        freshness = freshness.max(l.freshness);
                    }
                }
                more.extend(condition::sets_state(c, self.catalogue.sets()));
                // relative days are days of the calendar
                "as_of_date".to_owned()
            }
        };
        let definition = h.finalize().to_hex().to_string();
        if !matches!(t.origin, Origin::Condition(_)) {
            for table in &tables {
                more.push(self.inputs.state(table)?);
                freshness = freshness.max(self.inputs.freshness(&self.ctx, table).await?);
            }
        }
        h.update(looks_at(&text, self.as_of, &self.inner.zone).as_bytes());
        more.iter().for_each(|m| {
            h.update(m.as_bytes());
        });
        let tables = tables.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        Ok(Lineage { key: h.finalize().to_hex().to_string(), definition, tables, freshness })
    }

    fn tables(&self, t: &TagDef, sql: &str) -> Result<Vec<String>> {
        tables_of(&self.ctx, sql).map_err(LakeError::query(format!("read the query of tag `{}`", t.info.id)))
    }
}
