//! Judging which rows of an import are new, and making them visible.

use crate::{
    error::{LakeError, Result},
    import::{Import, Stats},
    keys::{Entry, KeyReader, KeyWriter, Version},
    lake::{Inner, known},
    manifest::{Counts, DataFile, ImportRecord, KeyFile, Manifest, Mode, TableState, sync_dir},
    schema,
    write::{ParquetOut, Written},
};
use datafusion::arrow::{array::BooleanArray, compute::filter_record_batch};
use kairos_model::table::TableDef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::RoaringTreemap;
use std::{fs::File, path::Path};

/// Rows read at once when a file is written again without its duplicates.
pub(crate) const BATCH: usize = 65_536;

/// What the keys say.
#[derive(Default)]
struct Judged {
    dropped: RoaringTreemap,
    /// The table's key files from now on, if they change.
    keys: Option<Vec<KeyFile>>,
    /// A key got a second version.
    versions: bool,
}

impl Import {
    /// Makes the accepted rows visible, all at once, durably.
    ///
    /// A row is a duplicate if its key is there already (append), if it says what the table says already (upsert), or
    /// if another row of the file has its key: the first one counts in append and snapshot files, the last one in
    /// upsert files.
    pub fn commit(mut self) -> Result<Counts> {
        self.flush_rejects()?;
        if self.data.is_none() && self.meta.mode == Mode::Snapshot {
            // nobody is a state too
            self.begin_empty()?;
        }
        let data = self.data.take();
        let quarantine = self.quarantine.take();
        let mut counts = self.so_far();
        let written = match data {
            Some(d) => Some((d.out.finish()?, d.stats)),
            None => None,
        };
        let quarantine = quarantine.map(ParquetOut::finish).transpose()?;
        let inner = self.inner.clone();
        let held = inner.commit_lock();
        let manifest = inner.manifest();
        if known(&manifest, &self.meta).is_some() {
            counts.duplicate = self.pushed;
            return Ok(counts);
        }
        let mut next = Manifest::clone(&manifest);
        let mut table = Inner::table_state(&manifest, self.def.name);
        self.adopt_columns(&mut table)?;
        let judged = self.judge(&table)?;
        counts.duplicate = judged.dropped.len();
        counts.accepted = self.pushed - counts.duplicate;
        if let Some((written, stats)) = written {
            table.files.extend(self.keep(written, stats, &judged.dropped)?);
        }
        if let Some(keys) = judged.keys {
            table.keys = keys;
        }
        table.versions |= judged.versions;
        next.tables.insert(self.def.name.to_owned(), table);
        if let Some(q) = quarantine {
            let state = next.tables.entry(schema::QUARANTINE.name.to_owned()).or_default();
            state.files.push(self.quarantine_file(q));
            sync_dir(&inner.dir.join(schema::QUARANTINE.name))?;
        }
        sync_dir(&inner.dir.join(self.def.name))?;
        next.imports.push(self.record(counts));
        inner.publish(&held, next)?;
        Ok(counts)
    }

    fn record(&self, counts: Counts) -> ImportRecord {
        ImportRecord {
            file_name: self.meta.file_name.clone(),
            content_hash: self.meta.content_hash.clone(),
            layout: self.meta.layout.clone(),
            table: self.meta.table.clone(),
            mode: self.meta.mode,
            as_of: self.meta.as_of.0,
            imported_at: self.meta.imported_at.0,
            seq: self.seq,
            counts,
        }
    }

    /// Notes the columns that this file adds to the table.
    fn adopt_columns(&self, table: &mut TableState) -> Result<()> {
        for (name, &kind) in &self.columns {
            schema::check_column(self.def, &table.extra, name, kind)?;
            if self.def.column(name).is_none() {
                table.extra.entry(name.clone()).or_insert_with(|| kind.name().to_owned());
            }
        }
        Ok(())
    }

    fn judge(&mut self, table: &TableState) -> Result<Judged> {
        if self.pushed == 0 {
            return Ok(Judged::default());
        }
        if self.meta.mode == Mode::Snapshot {
            return self.judge_alone();
        }
        let (dir, tenant, mode) = (self.inner.dir.clone(), self.inner.tenant, self.meta.mode);
        let (same, other): (Vec<_>, Vec<_>) = table.keys.iter().cloned().partition(|k| k.mode == mode);
        let readers = same.iter().map(|k| KeyReader::open(&dir, k, tenant)).collect::<Result<Vec<_>>>()?;
        let whole = same.len() + 1 > self.inner.options.key_files;
        let name = format!("{}/{}.keys", self.def.name, self.stem);
        let writer = KeyWriter::create(dir.join(&name), mode, tenant)?;
        let mut judge =
            Judge { readers, writer, whole, judged: Judged::default(), as_of: self.meta.as_of.0, seq: self.seq };
        let mut runs = std::mem::replace(&mut self.runs, crate::keys::Runs::new(dir.join(&self.stem), 1));
        let mut pending: Option<Entry> = None;
        let result = runs.merged(|e| {
            match pending.replace(e) {
                // append keeps the first of a file's equal keys, upsert the last
                Some(before) if before.key == e.key && mode == Mode::Append => {
                    pending = Some(before);
                    judge.judged.dropped.insert(e.row);
                }
                Some(before) if before.key == e.key => {
                    judge.judged.dropped.insert(before.row);
                }
                Some(before) => judge.one(before)?,
                None => {}
            }
            Ok(())
        });
        self.runs = runs;
        result?;
        if let Some(last) = pending {
            judge.one(last)?;
        }
        let (mut judged, added) = judge.finish(name)?;
        let mut keys = other;
        if !whole {
            keys.extend(same);
        }
        keys.extend((added.entries > 0).then_some(added));
        judged.keys = Some(keys);
        Ok(judged)
    }

    /// A snapshot file is judged against itself only.
    fn judge_alone(&mut self) -> Result<Judged> {
        let mut judged = Judged::default();
        let mut before = None;
        self.runs.merged(|e| {
            if before == Some(e.key) {
                judged.dropped.insert(e.row);
            }
            before = Some(e.key);
            Ok(())
        })?;
        Ok(judged)
    }

    /// The data file without its duplicates; `None` where nothing is left. An empty snapshot is a state too and stays.
    fn keep(&self, written: Written, stats: Stats, dropped: &RoaringTreemap) -> Result<Option<DataFile>> {
        let name = format!("{}/{}.parquet", self.def.name, self.stem);
        if dropped.is_empty() {
            return Ok(Some(self.data_file(name, written, stats)));
        }
        if dropped.len() == written.rows && self.meta.mode != Mode::Snapshot {
            return Ok(None);
        }
        let kept = format!("{}/{}.kept.parquet", self.def.name, self.stem);
        let (written, stats) = without(&self.inner, self.def, &name, &kept, dropped)?;
        Ok(Some(self.data_file(kept, written, stats)))
    }

    fn data_file(&self, path: String, w: Written, stats: Stats) -> DataFile {
        DataFile {
            path,
            blake3: w.blake3,
            bytes: w.bytes,
            rows: w.rows,
            mode: self.meta.mode,
            layout: self.meta.layout.clone(),
            as_of: self.meta.as_of.0,
            seq: self.seq,
            first: stats.first,
            last: stats.last,
            last_moment: stats.last_moment,
            columns: self.columns.keys().cloned().collect(),
        }
    }

    fn quarantine_file(&self, w: Written) -> DataFile {
        let at = Some(self.meta.imported_at.0);
        let stats = Stats { first: at, last: at, last_moment: at };
        let path = format!("{}/{}.parquet", schema::QUARANTINE.name, self.stem);
        let columns = schema::QUARANTINE.columns.iter().map(|c| c.name.to_owned()).collect();
        DataFile { mode: Mode::Append, as_of: self.meta.imported_at.0, columns, ..self.data_file(path, w, stats) }
    }
}

/// Merges an import's keys with the table's.
struct Judge {
    readers: Vec<KeyReader>,
    writer: KeyWriter,
    /// Whether the table's key files become one.
    whole: bool,
    judged: Judged,
    as_of: i64,
    seq: u64,
}

impl Judge {
    /// Judges a key; keys come in ascending order, each once.
    fn one(&mut self, e: Entry) -> Result<()> {
        self.pass(e.key)?;
        let mut base: Option<Version> = None;
        let mut found = false;
        for r in &mut self.readers {
            while let Some(v) = r.head.filter(|v| v.key == e.key) {
                found = true;
                if (v.as_of, v.seq) <= (self.as_of, self.seq)
                    && base.is_none_or(|b| (b.as_of, b.seq) < (v.as_of, v.seq))
                {
                    base = Some(v);
                }
                if self.whole {
                    self.writer.push(v)?;
                }
                r.advance()?;
            }
        }
        if base.is_some_and(|b| b.content == e.content) {
            self.judged.dropped.insert(e.row);
            return Ok(());
        }
        self.judged.versions |= found;
        self.writer.push(Version { key: e.key, as_of: self.as_of, seq: self.seq, content: e.content })
    }

    /// Passes the stored keys below `key`, copying them where the files become one.
    fn pass(&mut self, key: u128) -> Result<()> {
        if !self.whole {
            return self.readers.iter_mut().try_for_each(|r| r.seek(key));
        }
        loop {
            let least = self.readers.iter_mut().filter(|r| r.head.is_some_and(|h| h.key < key));
            let Some(r) = least.min_by_key(|r| r.head.map(|h| h.key)) else { return Ok(()) };
            if let Some(v) = r.head {
                self.writer.push(v)?;
            }
            r.advance()?;
        }
    }

    /// Reads the rest, so that every checksum was checked.
    fn finish(mut self, name: String) -> Result<(Judged, KeyFile)> {
        self.pass(u128::MAX)?;
        for r in &mut self.readers {
            while let Some(v) = r.head {
                if self.whole {
                    self.writer.push(v)?;
                }
                r.advance()?;
            }
        }
        Ok((self.judged, self.writer.finish(name)?))
    }
}

/// Writes `from` again as `to` without some rows.
fn without(inner: &Inner, def: &TableDef, from: &str, to: &str, dropped: &RoaringTreemap) -> Result<(Written, Stats)> {
    let path = inner.dir.join(from);
    let mut row = 0u64;
    let mut out: Option<ParquetOut> = None;
    let mut stats = Stats::default();
    let (schema, batches) = read(&path)?;
    for batch in batches {
        let batch = batch.map_err(LakeError::arrow(format!("read `{}` again", path.display())))?;
        let n = batch.num_rows() as u64;
        let keep: BooleanArray = (row..row + n).map(|r| Some(!dropped.contains(r))).collect();
        row += n;
        let batch = filter_record_batch(&batch, &keep).map_err(LakeError::arrow("leave out duplicate rows"))?;
        stats.add(def, &batch);
        let out = match &mut out {
            Some(out) => out,
            none => none.insert(ParquetOut::create(inner.dir.join(to), &schema, inner.tenant)?),
        };
        out.write(&batch)?;
    }
    let out = match out {
        Some(out) => out,
        None => ParquetOut::create(inner.dir.join(to), &schema, inner.tenant)?,
    };
    Ok((out.finish()?, stats))
}

type Batches = parquet::arrow::arrow_reader::ParquetRecordBatchReader;

/// A Parquet file of the lake as batches.
pub(crate) fn read(path: &Path) -> Result<(datafusion::arrow::datatypes::SchemaRef, Batches)> {
    let file = File::open(path).map_err(LakeError::io("open", path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(LakeError::parquet("read", path))?;
    // the file's own key-value metadata stays in the file
    let schema = reader.schema().clone();
    let plain = datafusion::arrow::datatypes::Schema::new_with_metadata(schema.fields().clone(), Default::default());
    let reader = reader.with_batch_size(BATCH).build().map_err(LakeError::parquet("read", path))?;
    Ok((plain.into(), reader))
}
