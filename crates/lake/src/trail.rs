//! Mirrors of the journal: decisions and outcomes as tables, each row exactly once by its journal position.

use crate::{
    commit,
    error::{LakeError, Result},
    import::Stats,
    lake::{Inner, Lake},
    manifest::{DataFile, Manifest, Mode, TableState, sync_dir},
    schema,
    write::{ParquetOut, Written},
};
use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use kairos_model::{
    DecisionRecord, PartyId, Timestamp, Verdict,
    table::{Batch, Column, ColumnType, TableDef, Texts, Values},
};
use std::{collections::BTreeMap, sync::Arc};

/// Layout name of mirrored files.
const MIRROR: &str = "@mirror";
/// A mirrored file of at most this many bytes is merged with others.
const SMALL: u64 = 8 << 20;

impl Lake {
    /// Appends rows that stand for the journal positions `after + 1 ..= upto` of a stream (a partition of the journal).
    /// Returns false, and does nothing, where the table is at `upto` or beyond already. Rows may be none: the position
    /// moves nevertheless.
    ///
    /// Errors: [`LakeError::Position`] where the table stands between or before the two: read on from
    /// [`Lake::position`].
    pub fn append_rows(&self, table: &str, stream: &str, after: u64, upto: u64, batch: &Batch) -> Result<bool> {
        let def = schema::table(table)?;
        let inner = &self.inner;
        let held = inner.commit_lock();
        let manifest = inner.manifest();
        let mut state = Inner::table_state(&manifest, def.name);
        let have = state.streams.get(stream).copied().unwrap_or(0);
        if have >= upto {
            return Ok(false);
        }
        if have != after {
            return Err(LakeError::Position { table: table.to_owned(), stream: stream.to_owned(), have, given: after });
        }
        for c in batch.columns.iter().filter(|c| c.kind.in_lake()) {
            schema::check_column(def, &state.extra, &c.name, c.kind)?;
            if def.column(&c.name).is_none() {
                state.extra.entry(c.name.clone()).or_insert_with(|| c.kind.name().to_owned());
            }
        }
        if batch.rows() > 0 {
            let rb = schema::record_batch(def.name, batch)?;
            inner.table_dir(def.name)?;
            let file = inner.mirror_file(def, &rb.schema(), [Ok(rb)].into_iter())?;
            state.files.push(file);
            if let Some(merged) = inner.merge_small(def, &state)? {
                state.files = merged;
            }
            sync_dir(&inner.dir.join(def.name))?;
        }
        state.streams.insert(stream.to_owned(), upto);
        let mut next = Manifest::clone(&manifest);
        next.tables.insert(def.name.to_owned(), state);
        inner.publish(&held, next)?;
        Ok(true)
    }
}

impl Inner {
    fn mirror_file(
        &self,
        def: &TableDef,
        schema: &SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<DataFile> {
        let seq = self.take_seq();
        let path = format!("{}/i{seq:08}.parquet", def.name);
        let mut out = ParquetOut::create(self.dir.join(&path), schema, self.tenant)?;
        let mut stats = Stats::default();
        for b in batches {
            let b = b?;
            stats.add(def, &b);
            out.write(&b)?;
        }
        let Written { blake3, bytes, rows } = out.finish()?;
        let columns = schema.fields().iter().map(|f| f.name().clone()).collect();
        let Stats { first, last, last_moment } = stats;
        let as_of = last.unwrap_or(i64::MIN);
        let (mode, layout) = (Mode::Append, MIRROR.to_owned());
        Ok(DataFile { path, blake3, bytes, rows, mode, layout, as_of, seq, first, last, last_moment, columns })
    }

    /// Makes one file of many small ones of the same columns. Readers of an earlier view keep the old files until the
    /// lake is next opened.
    fn merge_small(&self, def: &TableDef, state: &TableState) -> Result<Option<Vec<DataFile>>> {
        let small = |f: &DataFile| f.layout == MIRROR && f.bytes <= SMALL;
        let mut by_columns: BTreeMap<&[String], Vec<&DataFile>> = BTreeMap::new();
        for f in state.files.iter().filter(|f| small(f)) {
            by_columns.entry(&f.columns).or_default().push(f);
        }
        let Some((_, files)) = by_columns.into_iter().find(|(_, f)| f.len() >= self.options.mirror_files.max(2)) else {
            return Ok(None);
        };
        let mut schema: Option<SchemaRef> = None;
        let mut readers = Vec::new();
        for f in &files {
            let path = self.dir.join(&f.path);
            let (s, r) = commit::read(&path)?;
            schema.get_or_insert(s);
            readers.push((path, r));
        }
        let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
        let batches = readers.into_iter().flat_map(|(path, r)| {
            r.map(move |b| b.map_err(LakeError::arrow(format!("read `{}` again", path.display()))))
        });
        let merged = self.mirror_file(def, &schema, batches)?;
        let gone: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
        let kept = state.files.iter().filter(|f| !gone.contains(&f.path.as_str())).cloned();
        Ok(Some(kept.chain([merged]).collect()))
    }
}

/// Rows of the `decision` table.
pub fn decision_batch(records: &[DecisionRecord]) -> Batch {
    let int = |name: &str, get: &dyn Fn(&DecisionRecord) -> Option<i64>| {
        let got: Vec<Option<i64>> = records.iter().map(get).collect();
        Column {
            name: name.to_owned(),
            kind: ColumnType::Int,
            valid: got.iter().map(Option::is_some).collect(),
            values: Values::Int(got.into_iter().map(Option::unwrap_or_default).collect()),
        }
    };
    let time = |name: &str, get: &dyn Fn(&DecisionRecord) -> Option<Timestamp>| {
        let got: Vec<Option<Timestamp>> = records.iter().map(get).collect();
        Column {
            name: name.to_owned(),
            kind: ColumnType::Time,
            valid: got.iter().map(Option::is_some).collect(),
            values: Values::Time(got.into_iter().map(Option::unwrap_or_default).collect()),
        }
    };
    let text = |name: &str, get: &dyn Fn(&DecisionRecord) -> Option<&'static str>| {
        let (mut texts, mut valid) = (Texts::default(), Vec::new());
        for r in records {
            let t = get(r);
            valid.push(t.is_some());
            texts.push(t.unwrap_or_default());
        }
        Column { name: name.to_owned(), kind: ColumnType::Text, values: Values::Text(texts), valid }
    };
    let reasons = |r: &DecisionRecord| match r.verdict {
        Verdict::Defer { primary, all, .. } | Verdict::Withheld { primary, all, .. } => Some((primary, all)),
        _ => None,
    };
    let subscribers = Values::Party(records.iter().map(|r| PartyId::from(r.subscriber)).collect());
    let columns = vec![
        time("stamp", &|r| Some(r.stamp)),
        Column {
            name: "subscriber".to_owned(),
            kind: ColumnType::Subscriber,
            values: subscribers,
            valid: vec![true; records.len()],
        },
        int("campaign", &|r| Some(r.campaign.0.into())),
        int("version", &|r| Some(r.version.0.into())),
        int("wave", &|r| Some(r.wave.0.into())),
        int("treatment", &|r| Some(r.treatment.into())),
        text("verdict", &|r| Some(r.verdict.name())),
        text("reason", &|r| reasons(r).map(|(p, _)| p.name())),
        int("reasons", &|r| Some(reasons(r).map_or(0, |(_, all)| all.0.into()))),
        time("until", &|r| match r.verdict {
            Verdict::Defer { until, .. } => Some(until),
            _ => None,
        }),
        int("held_by", &|r| match r.verdict {
            Verdict::Withheld { by, .. } => by.map(|c| c.0.into()),
            _ => None,
        }),
        int("snapshot", &|r| Some(r.snapshot.0.into())),
        int("playbook", &|r| Some(r.playbook.0.into())),
    ];
    Batch { columns, source_rows: (1..=records.len() as u64).collect() }
}
