//! Taking a file's rows in: written at once, judged at commit, visible by one rename or never.

use crate::{
    error::{LakeError, Result},
    keys::{Entry, RowKey, Runs},
    lake::{Inner, Lake, known},
    manifest::{Counts, Mode},
    schema,
    write::ParquetOut,
};
use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt64Array},
    datatypes::{Field, Schema, SchemaRef, TimestampMicrosecondType},
};
use kairos_model::{
    Timestamp,
    hash::mix,
    table::{Batch, Column, ColumnType, TableDef, Values},
};
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

/// Rejects written at once.
const REJECTS: usize = 8_192;
/// Longest reason kept, in characters: a reason names a fault, it does not quote a row.
const REASON_MAX: usize = 400;

pub(crate) const KEY_HIGH: &str = "_key_hi";
pub(crate) const KEY_LOW: &str = "_key_lo";
pub(crate) const AS_OF: &str = "_as_of";
pub(crate) const SEQ: &str = "_seq";

/// What is imported.
#[derive(Clone, Debug)]
pub struct ImportMeta {
    /// Last part of the file's path.
    pub file_name: String,
    /// BLAKE3 of the raw bytes, in hexadecimal.
    pub content_hash: String,
    /// Id of the layout.
    pub layout: String,
    pub table: String,
    pub mode: Mode,
    pub as_of: Timestamp,
    pub imported_at: Timestamp,
}

/// A row that was not taken. Neither field nor reason holds a value of the row.
#[derive(Clone, Debug)]
pub struct Reject {
    /// 1-based row of the source.
    pub row: u64,
    pub field: Option<String>,
    pub reason: String,
    /// The raw row's number in the vault.
    pub raw: Option<u64>,
}

/// An import under way. Dropped without [`Import::commit`] it leaves nothing. Several may be open at once, also into
/// one table: whether a row is new is judged at commit, one commit after another.
pub struct Import {
    pub(crate) inner: Arc<Inner>,
    pub(crate) meta: ImportMeta,
    pub(crate) def: &'static TableDef,
    /// Number of the import, given at its beginning: later wins among equal `as_of`.
    pub(crate) seq: u64,
    pub(crate) stem: String,
    pub(crate) data: Option<Data>,
    pub(crate) quarantine: Option<ParquetOut>,
    pub(crate) runs: Runs,
    pub(crate) pushed: u64,
    pub(crate) columns: BTreeMap<String, ColumnType>,
    rejects: Vec<Reject>,
    last_reject: Option<u64>,
    pub(crate) quarantined: u64,
}

/// The Parquet file of the rows, as they came.
pub(crate) struct Data {
    pub out: ParquetOut,
    pub schema: SchemaRef,
    pub stats: Stats,
}

/// Ends of the time columns.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Stats {
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub last_moment: Option<i64>,
}

impl Stats {
    pub fn add(&mut self, def: &TableDef, batch: &RecordBatch) {
        for (f, a) in batch.schema().fields().iter().zip(batch.columns()) {
            let Some(t) = a.as_primitive_opt::<TimestampMicrosecondType>() else { continue };
            if f.name().starts_with('_') {
                continue;
            }
            let most = datafusion::arrow::compute::max(t);
            self.last_moment = self.last_moment.max(most);
            if def.time == Some(f.name().as_str()) {
                self.last = self.last.max(most);
                let least = datafusion::arrow::compute::min(t);
                self.first = match (self.first, least) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
        }
    }
}

impl Lake {
    /// Begins an import.
    ///
    /// Errors: unknown table, a folder in the file name, or the same content already imported by this layout
    /// ([`LakeError::AlreadyImported`]; ask [`Lake::known_file`] first).
    pub fn begin_import(&self, meta: ImportMeta) -> Result<Import> {
        let def = schema::table(&meta.table)?;
        if meta.file_name.contains(['/', '\\']) {
            return Err(LakeError::FileName { name: meta.file_name });
        }
        let manifest = self.inner.manifest();
        if known(&manifest, &meta).is_some() {
            return Err(LakeError::AlreadyImported { file: meta.file_name, layout: meta.layout });
        }
        let dir = self.inner.table_dir(def.name)?;
        let seq = self.inner.take_seq();
        let stem = format!("i{seq:08}");
        let runs = Runs::new(dir.join(&stem), self.inner.options.import_keys.max(1));
        Ok(Import {
            inner: self.inner.clone(),
            meta,
            def,
            seq,
            stem,
            data: None,
            quarantine: None,
            runs,
            pushed: 0,
            columns: BTreeMap::new(),
            rejects: Vec::new(),
            last_reject: None,
            quarantined: 0,
        })
    }
}

impl Import {
    pub fn meta(&self) -> &ImportMeta {
        &self.meta
    }

    /// Adds rows; `keys` has one key a row (append without a key column: see [`Import::whole_row_keys`]; ignored by
    /// snapshot files without a key: give an empty slice).
    ///
    /// Errors: a batch whose columns differ in length, hold what its type does not allow, or differ from the batches
    /// before; a column that the table has under another type.
    pub fn push(&mut self, batch: &Batch, keys: &[RowKey]) -> Result<()> {
        let table = self.def.name;
        let rows = batch.rows();
        let keyless = keys.is_empty() && self.meta.mode == Mode::Snapshot;
        if keys.len() != rows && !keyless {
            let what = format!("{} keys for {rows} rows", keys.len());
            return Err(LakeError::Batch { table: table.to_owned(), what });
        }
        self.note_columns(batch)?;
        let mut rb = schema::record_batch(table, batch)?;
        if rows == 0 {
            return Ok(());
        }
        let content = (self.meta.mode == Mode::Upsert).then(|| contents(batch));
        if self.meta.mode == Mode::Upsert {
            rb = with_version(&rb, keys, self.meta.as_of, self.seq)?;
        }
        let data = match &mut self.data {
            Some(d) => d,
            none => {
                let path = self.inner.dir.join(table).join(format!("{}.parquet", self.stem));
                let out = ParquetOut::create(path, &rb.schema(), self.inner.tenant)?;
                none.insert(Data { out, schema: rb.schema(), stats: Stats::default() })
            }
        };
        if data.schema != rb.schema() {
            let what = "its columns differ from the batches before".to_owned();
            return Err(LakeError::Batch { table: table.to_owned(), what });
        }
        data.stats.add(self.def, &rb);
        data.out.write(&rb)?;
        for (i, key) in keys.iter().enumerate() {
            let content = content.as_ref().map_or(0, |c| c[i]);
            self.runs.push(Entry { key: key.0, row: self.pushed + i as u64, content })?;
        }
        self.pushed += rows as u64;
        Ok(())
    }

    /// A data file without rows.
    pub(crate) fn begin_empty(&mut self) -> Result<()> {
        let schema = schema::view_schema(self.def, &BTreeMap::new());
        let path = self.inner.dir.join(self.def.name).join(format!("{}.parquet", self.stem));
        let out = ParquetOut::create(path, &schema, self.inner.tenant)?;
        self.data = Some(Data { out, schema, stats: Stats::default() });
        Ok(())
    }

    /// Keys for files without a key of their own: every stored value counts.
    pub fn whole_row_keys(hasher: &crate::KeyHasher, batch: &Batch) -> Vec<RowKey> {
        let columns: Vec<&Column> = batch.columns.iter().collect();
        hasher.keys(&columns, batch.rows())
    }

    fn note_columns(&mut self, batch: &Batch) -> Result<()> {
        let manifest = self.inner.manifest();
        let none = BTreeMap::new();
        let extra = manifest.table(self.def.name).map_or(&none, |t| &t.extra);
        for c in batch.columns.iter().filter(|c| c.kind.in_lake()) {
            if self.columns.contains_key(&c.name) {
                continue;
            }
            if c.name.starts_with('_') {
                let what = format!("`{}` begins with `_`, which is kept for the lake's own columns", c.name);
                return Err(LakeError::Batch { table: self.def.name.to_owned(), what });
            }
            schema::check_column(self.def, extra, &c.name, c.kind)?;
            self.columns.insert(c.name.clone(), c.kind);
        }
        Ok(())
    }

    /// Notes a row that was not taken. Several rejects of one row count as one quarantined row; give them in row order.
    pub fn reject(&mut self, reject: Reject) -> Result<()> {
        if self.last_reject != Some(reject.row) {
            self.quarantined += 1;
        }
        self.last_reject = Some(reject.row);
        self.rejects.push(reject);
        if self.rejects.len() >= REJECTS { self.flush_rejects() } else { Ok(()) }
    }

    pub(crate) fn flush_rejects(&mut self) -> Result<()> {
        if self.rejects.is_empty() {
            return Ok(());
        }
        let rejects = std::mem::take(&mut self.rejects);
        let rb = schema::record_batch(schema::QUARANTINE.name, &quarantine_batch(&self.meta, &rejects))?;
        let out = match &mut self.quarantine {
            Some(q) => q,
            none => {
                let path = self.inner.table_dir(schema::QUARANTINE.name)?.join(format!("{}.parquet", self.stem));
                none.insert(ParquetOut::create(path, &rb.schema(), self.inner.tenant)?)
            }
        };
        out.write(&rb)
    }

    /// Rows seen so far, for a progress bar: {read, 0, 0, quarantined}.
    pub fn so_far(&self) -> Counts {
        Counts { read: self.pushed + self.quarantined, quarantined: self.quarantined, ..Counts::default() }
    }

    /// Every file that this import may have made; some do not exist.
    fn made(&self) -> Vec<PathBuf> {
        let dir = self.inner.dir.join(self.def.name);
        let names = [".parquet", ".kept.parquet", ".keys"].map(|end| dir.join(format!("{}{end}", self.stem)));
        let quarantine = self.inner.dir.join(schema::QUARANTINE.name).join(format!("{}.parquet", self.stem));
        names.into_iter().chain([quarantine]).chain(self.runs.files().map(PathBuf::from)).collect()
    }
}

impl Drop for Import {
    /// Removes what the manifest does not name. A failure here is made good when the lake is next opened.
    fn drop(&mut self) {
        let manifest = self.inner.manifest();
        let kept: std::collections::BTreeSet<PathBuf> = manifest.files().map(|f| self.inner.dir.join(f)).collect();
        for path in self.made().into_iter().filter(|p| !kept.contains(p)) {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    tracing::warn!(path = %path.display(), error = %e, "an unfinished file stays until next open")
                }
            }
        }
    }
}

/// A hash of each row's stored values, in the order of column names.
fn contents(batch: &Batch) -> Vec<u64> {
    let mut columns: Vec<&Column> = batch.columns.iter().filter(|c| c.kind.in_lake()).collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    let names = columns.iter().flat_map(|c| c.name.bytes()).fold(0u64, |h, b| mix(h ^ u64::from(b)));
    let mut seed = [0u8; 32];
    seed[..8].copy_from_slice(&names.to_le_bytes());
    crate::KeyHasher::new(seed).keys(&columns, batch.rows()).iter().map(|k| k.0 as u64).collect()
}

/// The rows with their key and version.
fn with_version(rb: &RecordBatch, keys: &[RowKey], as_of: Timestamp, seq: u64) -> Result<RecordBatch> {
    let n = rb.num_rows();
    let high = UInt64Array::from_iter_values(keys.iter().map(|k| (k.0 >> 64) as u64));
    let low = UInt64Array::from_iter_values(keys.iter().map(|k| k.0 as u64));
    let at = TimestampMicrosecondArray::from_value(as_of.0, n).with_timezone("+00:00");
    let seq = Int64Array::from_value(seq as i64, n);
    let more: [(&str, ArrayRef); 4] =
        [(KEY_HIGH, Arc::new(high)), (KEY_LOW, Arc::new(low)), (AS_OF, Arc::new(at)), (SEQ, Arc::new(seq))];
    let mut fields: Vec<Arc<Field>> = rb.schema().fields().iter().cloned().collect();
    let mut arrays = rb.columns().to_vec();
    for (name, a) in more {
        fields.push(Arc::new(Field::new(name, a.data_type().clone(), false)));
        arrays.push(a);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(LakeError::arrow("add versions to rows"))
}

fn quarantine_batch(meta: &ImportMeta, rejects: &[Reject]) -> Batch {
    let n = rejects.len();
    let text = |name: &str, get: &dyn Fn(&Reject) -> Option<String>| {
        let (mut texts, mut valid) = (kairos_model::table::Texts::default(), Vec::with_capacity(n));
        for r in rejects {
            let t = get(r);
            valid.push(t.is_some());
            texts.push(t.as_deref().unwrap_or_default());
        }
        Column { name: name.to_owned(), kind: ColumnType::Text, values: Values::Text(texts), valid }
    };
    let int = |name: &str, get: &dyn Fn(&Reject) -> Option<u64>| {
        let got: Vec<Option<u64>> = rejects.iter().map(get).collect();
        let valid = got.iter().map(Option::is_some).collect();
        let values = Values::Int(got.iter().map(|x| x.unwrap_or(0) as i64).collect());
        Column { name: name.to_owned(), kind: ColumnType::Int, values, valid }
    };
    let at = Values::Time(vec![meta.imported_at; n]);
    let columns = vec![
        text("file", &|_| Some(meta.file_name.clone())),
        text("content_hash", &|_| Some(meta.content_hash.clone())),
        text("layout", &|_| Some(meta.layout.clone())),
        text("source_table", &|_| Some(meta.table.clone())),
        int("row", &|r| Some(r.row)),
        text("field", &|r| r.field.clone()),
        text("reason", &|r| Some(r.reason.chars().take(REASON_MAX).collect())),
        int("raw", &|r| r.raw),
        Column { name: "at".to_owned(), kind: ColumnType::Time, values: at, valid: vec![true; n] },
    ];
    Batch { columns, source_rows: rejects.iter().map(|r| r.row).collect() }
}
