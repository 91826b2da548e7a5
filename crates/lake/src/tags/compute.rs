//! Computing a snapshot: one pass a source, and only for tags whose definition or inputs changed.

use super::{
    catalogue::{Origin, TagCatalogue, TagDef, TagProblems},
    check::{self, plan},
    column::{convert, tag_field},
    inputs::Inputs,
    lineage::{LOOK_BACK, Lineage, earlier},
    load::{SUBSCRIBER, aligned, default_json, places},
    snapshot::{FORMAT, FileRef, Pass, Snapshot, SnapshotReport, SnapshotTag},
};
use crate::{
    error::{LakeError, Result},
    lake::{Inner, Lake},
    manifest::{Manifest, SnapshotEntry, sync_dir, write_durably},
    write::ParquetOut,
};
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
        compute::{cast, concat_batches, sort_to_indices, take},
        datatypes::{DataType, Field, Schema, UInt32Type},
        row::{RowConverter, SortField},
    },
    prelude::SessionContext,
};
use kairos_model::{Timestamp, hash::FixedMap};
use std::{fs, path::PathBuf, sync::Arc};

const DIR: &str = "snapshot";

impl Lake {
    /// Computes the catalogue's tags over the subscribers that exist as of `as_of`, into a new snapshot.
    ///
    /// A tag is computed again only if its definition, its inputs up to `as_of`, or the part of `as_of` that it looks at
    /// differ from every recent snapshot; if nothing differs at all, the latest snapshot is the answer. `now` is written
    /// down as the time of computing. The work is heavy: call it from a thread that may be busy.
    ///
    /// Errors: [`LakeError::Tags`] where a definition does not fit the tables; a source that names a subscriber twice; a
    /// number past its type's range. Nothing is left behind.
    pub async fn compute_tags(
        &self,
        catalogue: &TagCatalogue,
        as_of: Timestamp,
        now: Timestamp,
    ) -> Result<SnapshotReport> {
        let inner = &*self.inner;
        let manifest = inner.manifest();
        let ctx = inner.tables(&manifest, as_of).await?;
        inner.table_dir(DIR)?;
        let mut run = Run {
            inner,
            catalogue,
            ctx,
            as_of,
            now,
            inputs: Inputs::new(inner, &manifest, as_of),
            known: earlier(inner, &manifest)?,
            keys: FixedMap::default(),
            done: FixedMap::default(),
            made: Made::default(),
            seq: inner.take_seq(),
            passes: Vec::new(),
            computed: Vec::new(),
        };
        run.report(&manifest).await
    }
}

/// Files made by a run; removed unless published.
#[derive(Default)]
struct Made {
    paths: Vec<PathBuf>,
    published: bool,
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.paths.iter().filter(|_| !self.published) {
            if let Err(e) = fs::remove_file(path)
                && e.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), error = %e, "an unfinished file stays until next open");
            }
        }
    }
}

pub(super) struct Run<'a> {
    pub(super) inner: &'a Inner,
    pub(super) catalogue: &'a TagCatalogue,
    pub(super) ctx: SessionContext,
    pub(super) as_of: Timestamp,
    pub(super) now: Timestamp,
    pub(super) inputs: Inputs<'a>,
    pub(super) known: FixedMap<String, SnapshotTag>,
    /// Key and lineage of each tag.
    pub(super) keys: FixedMap<String, Lineage>,
    pub(super) done: FixedMap<String, SnapshotTag>,
    made: Made,
    pub(super) seq: u64,
    pub(super) passes: Vec<Pass>,
    pub(super) computed: Vec<String>,
}

impl<'a> Run<'a> {
    async fn report(&mut self, manifest: &Manifest) -> Result<SnapshotReport> {
        let universe = self.universe().await?;
        let whole = self.universe_file(&universe, manifest)?;
        for t in self.catalogue.defs() {
            let lineage = self.lineage(t, &whole).await?;
            if let Some(found) = self.known.get(&lineage.key).cloned() {
                self.done.insert(t.info.id.clone(), found);
            }
            self.keys.insert(t.info.id.clone(), lineage);
        }
        for s in self.catalogue.sources() {
            let mut tags = self.missing();
            tags.retain(|t| matches!(&t.origin, Origin::Source { source, .. } if *source == s.id));
            if !tags.is_empty() {
                self.source(&s.id, &s.sql, &tags).await?;
            }
        }
        for t in self.missing() {
            if let Origin::Sql(sql) = &t.origin {
                self.source(&t.info.id, sql, &[t]).await?;
            }
        }
        let mut snapshot = self.draft(&universe, whole)?;
        self.conditions(&mut snapshot, &universe)?;
        self.judge_columns(&mut snapshot, &universe)?;
        self.publish(snapshot)
    }

    fn missing(&self) -> Vec<&'a TagDef> {
        self.catalogue.defs().iter().filter(|t| !self.done.contains_key(&t.info.id)).collect()
    }

    /// Subscribers as of then, ascending, each once.
    async fn universe(&self) -> Result<UInt32Array> {
        let failed = || LakeError::query("list the subscribers");
        let sql = "select distinct subscriber from subscriber where subscriber is not null";
        let batches = self.ctx.sql(sql).await.map_err(failed())?.collect().await.map_err(failed())?;
        let mut all: Vec<u32> = Vec::new();
        for b in &batches {
            all.extend(b.column(0).as_primitive::<UInt32Type>().values());
        }
        all.sort_unstable();
        Ok(all.into())
    }

    /// The file of the subscribers; the latest snapshot's where it is the same.
    fn universe_file(&mut self, universe: &UInt32Array, manifest: &Manifest) -> Result<FileRef> {
        for entry in manifest.snapshots.iter().rev().take(LOOK_BACK) {
            let earlier = self.inner.read_snapshot(entry)?;
            if earlier.subscribers == universe.len() as u64
                && self.inner.universe(&earlier)?.values() == universe.values()
            {
                return Ok(earlier.universe);
            }
        }
        self.write("subscribers", universe, vec![])
    }

    /// Runs one query for some tags and keeps their columns in one file.
    async fn source(&mut self, id: &str, sql: &str, tags: &[&TagDef]) -> Result<()> {
        let started = std::time::Instant::now();
        let values = tags.iter().map(|t| match &t.origin {
            Origin::Source { value, .. } => format!("({value}) as \"{}\"", t.info.id),
            _ => format!("value as \"{}\"", t.info.id),
        });
        let list = values.collect::<Vec<_>>().join(", ");
        let query = format!("select subscriber as subscriber, {list} from ({sql}) as source");
        let df = match plan(&self.ctx, &query).await {
            Ok(df) => df,
            Err(e) => return Err(self.blame(id, tags, e).await),
        };
        let failed = || LakeError::query(format!("compute source `{id}`"));
        let schema = Arc::new(df.schema().as_arrow().clone());
        let batches = df.collect().await.map_err(failed())?;
        // what runs may give another form of text than what was planned
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        let all = concat_batches(&schema, &batches).map_err(LakeError::arrow(format!("gather source `{id}`")))?;
        drop(batches);
        let (subscribers, order) = self.ordered(id, &all)?;
        let mut columns = Vec::new();
        for (i, t) in tags.iter().enumerate() {
            let (column, unlisted) = convert(&t.info.id, &t.info.ty, all.column(i + 1))?;
            let sorted = take(&column, &order, None).map_err(LakeError::arrow(format!("sort tag `{}`", t.info.id)))?;
            columns.push((*t, sorted, unlisted));
        }
        let rows = subscribers.len();
        let fields = columns.iter().map(|(t, c, _)| (tag_field(&t.info.id, &t.info.ty), c.clone())).collect();
        let file = self.write(id, &subscribers, fields)?;
        for (t, _, unlisted) in columns {
            self.finish(t, file.clone(), unlisted);
        }
        let took = started.elapsed();
        tracing::debug!(source = id, tags = tags.len(), rows, ms = took.as_millis() as u64, "computed");
        self.passes.push(Pass { source: id.to_owned(), tags: tags.len(), rows, took });
        Ok(())
    }

    /// A precise report of the fault that a joint plan met.
    async fn blame(&self, id: &str, tags: &[&TagDef], e: datafusion::error::DataFusionError) -> LakeError {
        let mut problems = Vec::new();
        for t in tags {
            problems.extend(check::tag(&self.ctx, self.catalogue, t).await);
        }
        if problems.is_empty() {
            return LakeError::query(format!("plan source `{id}`"))(e);
        }
        LakeError::Tags(TagProblems(problems))
    }

    /// The subscribers of a result in ascending order, and the order that makes them so.
    fn ordered(&self, id: &str, all: &RecordBatch) -> Result<(UInt32Array, UInt32Array)> {
        let failed = || LakeError::arrow(format!("read the subscribers of source `{id}`"));
        let subscribers = cast(all.column(0), &DataType::UInt32).map_err(failed())?;
        let order = sort_to_indices(&subscribers, None, None).map_err(failed())?;
        let sorted = take(&subscribers, &order, None).map_err(failed())?;
        let nulls = sorted.null_count();
        if nulls > 0 {
            tracing::warn!(source = id, rows = nulls, "rows without a subscriber are left out");
        }
        // NULLs sort first
        let (sorted, order) = (sorted.slice(nulls, sorted.len() - nulls), order.slice(nulls, order.len() - nulls));
        let sorted = sorted.as_primitive::<UInt32Type>().clone();
        if let Some(twice) = sorted.values().windows(2).find(|w| w[0] == w[1]) {
            let what = format!(
                "source `{id}` gives subscriber s{} more than one row; group by subscriber in its query",
                twice[0]
            );
            return Err(LakeError::Limit { what });
        }
        Ok((UInt32Array::new(sorted.values().clone(), None), order))
    }

    fn write(&mut self, name: &str, subscribers: &UInt32Array, columns: Vec<(Field, ArrayRef)>) -> Result<FileRef> {
        let path = format!("{DIR}/t{:08}-{name}.parquet", self.seq);
        let full = self.inner.dir.join(&path);
        let mut fields = vec![Field::new(SUBSCRIBER, DataType::UInt32, false)];
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(subscribers.clone())];
        for (f, a) in columns {
            fields.push(f);
            arrays.push(a);
        }
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(LakeError::arrow("keep tags"))?;
        self.made.paths.push(full.clone());
        let mut out = ParquetOut::create(full, &schema, self.inner.tenant)?;
        out.write(&batch)?;
        Ok(FileRef { path, blake3: out.finish()?.blake3 })
    }

    fn finish(&mut self, t: &TagDef, file: FileRef, unlisted: u64) {
        let mut tag = self.describe(t, file);
        tag.unlisted = unlisted;
        self.computed.push(t.info.id.clone());
        self.done.insert(t.info.id.clone(), tag);
    }

    fn describe(&self, t: &TagDef, file: FileRef) -> SnapshotTag {
        let lineage = self.keys.get(&t.info.id).cloned();
        let (key, definition, tables, freshness) =
            lineage.map(|l| (l.key, l.definition, l.tables, l.freshness)).unwrap_or_default();
        let values = match &t.info.ty {
            kairos_rules::TagType::Enum { values } | kairos_rules::TagType::Set { values } => values.to_vec(),
            _ => Vec::new(),
        };
        let currency = match t.info.ty {
            kairos_rules::TagType::Money(c) => Some(c.code().to_owned()),
            _ => None,
        };
        SnapshotTag {
            id: t.info.id.clone(),
            ty: t.info.ty.name().to_owned(),
            currency,
            values,
            zh: t.info.zh.clone(),
            en: t.info.en.clone(),
            aspect: t.aspect,
            category: t.category.clone(),
            refresh: t.refresh,
            definition,
            key,
            file,
            default: t.default.as_ref().map(default_json),
            known: 0,
            of: 0,
            constant: false,
            unlisted: 0,
            tables,
            source: match &t.origin {
                Origin::Source { source, .. } => Some(source.clone()),
                _ => None,
            },
            reads: match &t.origin {
                Origin::Condition(c) => c.tags().iter().map(|u| u.id.clone()).collect(),
                _ => Vec::new(),
            },
            freshness,
            computed_in: 0,
            computed_at: self.now.0,
        }
    }

    /// The snapshot with every tag but the conditions that are still missing.
    fn draft(&self, universe: &UInt32Array, whole: FileRef) -> Result<Snapshot> {
        let tags = self.catalogue.defs().iter().filter_map(|t| {
            let found = self.done.get(&t.info.id)?;
            // the file, its count of unlisted words and its birth are the column's; the rest is today's definition
            let today = self.describe(t, found.file.clone());
            let (unlisted, computed_in, computed_at) = (found.unlisted, found.computed_in, found.computed_at);
            Some(SnapshotTag { unlisted, computed_in, computed_at, ..today })
        });
        Ok(Snapshot {
            format: FORMAT,
            id: 0,
            tenant: self.inner.tenant.0,
            as_of: self.as_of.0,
            computed_at: self.now.0,
            subscribers: universe.len() as u64,
            universe: whole,
            tags: tags.collect(),
            computed: 0,
            reused: 0,
        })
    }

    /// Condition tags, in order of dependency, over the columns that are there.
    fn conditions(&mut self, snapshot: &mut Snapshot, universe: &UInt32Array) -> Result<()> {
        for t in self.catalogue.defs() {
            let Origin::Condition(c) = &t.origin else { continue };
            if self.done.contains_key(&t.info.id) {
                continue;
            }
            let ids: Vec<&str> = c.tags().iter().map(|u| u.id.as_str()).collect();
            let columns = self.inner.tag_columns(snapshot, &ids)?;
            let answer = self.inner.judge(&columns, c, self.as_of, self.catalogue.sets())?;
            let field = tag_field(&t.info.id, &t.info.ty);
            let file = self.write(&t.info.id, universe, vec![(field, Arc::new(answer))])?;
            self.finish(t, file, 0);
            snapshot.tags.extend(self.done.get(&t.info.id).cloned());
        }
        Ok(())
    }

    /// Coverage and constancy among the snapshot's subscribers.
    fn judge_columns(&self, snapshot: &mut Snapshot, universe: &UInt32Array) -> Result<()> {
        let mut by_file: FixedMap<FileRef, Vec<usize>> = FixedMap::default();
        for (i, t) in snapshot.tags.iter().enumerate() {
            by_file.entry(t.file.clone()).or_default().push(i);
        }
        for (file, which) in by_file {
            let ids: Vec<&str> = which.iter().map(|&i| snapshot.tags[i].id.as_str()).collect();
            let (subscribers, columns) = self.inner.columns_of(&file, &ids)?;
            let places = places(universe, &subscribers);
            for (i, c) in which.into_iter().zip(columns) {
                let column = aligned(&snapshot.tags[i], &c, places.as_ref())?;
                let t = &mut snapshot.tags[i];
                t.known = (column.len() - column.null_count()) as u64;
                t.of = column.len() as u64;
                t.constant = constant(&column)?;
            }
        }
        Ok(())
    }

    fn publish(&mut self, mut snapshot: Snapshot) -> Result<SnapshotReport> {
        let inner = self.inner;
        snapshot.computed = self.computed.len();
        snapshot.reused = snapshot.tags.len() - snapshot.computed;
        let held = inner.commit_lock();
        let mut next = Manifest::clone(&inner.manifest());
        if let Some(entry) = next.snapshots.last() {
            let latest = inner.read_snapshot(entry)?;
            if says_the_same(&latest, &snapshot) {
                let (new, computed, passes) = (false, Vec::new(), std::mem::take(&mut self.passes));
                return Ok(SnapshotReport { snapshot: latest, new, computed, passes });
            }
        }
        snapshot.id = next.next_snapshot;
        for t in snapshot.tags.iter_mut().filter(|t| t.computed_in == 0) {
            t.computed_in = snapshot.id;
        }
        let path = format!("{DIR}/s{:06}.json", snapshot.id);
        let json = serde_json::to_vec_pretty(&snapshot)
            .map_err(|e| LakeError::damaged(&path, format!("it cannot be written: {e}")))?;
        write_durably(&inner.dir.join(&path), &json)?;
        sync_dir(&inner.dir.join(DIR))?;
        next.next_snapshot += 1;
        next.snapshots.push(SnapshotEntry {
            id: snapshot.id,
            as_of: snapshot.as_of,
            files: snapshot.files().into_iter().map(|f| f.path.clone()).collect(),
            path,
            blake3: blake3::hash(&json).to_hex().to_string(),
        });
        // a failure after the rename leaves files that the manifest names: they stay, and others go at the next open
        self.made.published = true;
        inner.publish(&held, next)?;
        Ok(SnapshotReport {
            snapshot,
            new: true,
            computed: std::mem::take(&mut self.computed),
            passes: std::mem::take(&mut self.passes),
        })
    }
}

/// Same `as_of`, subscribers, definitions and columns.
fn says_the_same(a: &Snapshot, b: &Snapshot) -> bool {
    let tag = |t: &SnapshotTag| SnapshotTag { computed_in: 0, computed_at: 0, ..t.clone() };
    // a condition tag that was just computed stands elsewhere in the list than one that was kept
    let sorted = |s: &Snapshot| {
        let mut tags: Vec<SnapshotTag> = s.tags.iter().map(tag).collect();
        tags.sort_by(|a, b| a.id.cmp(&b.id));
        tags
    };
    (a.as_of, &a.universe) == (b.as_of, &b.universe) && sorted(a) == sorted(b)
}

/// Whether all values that are known are equal; true where none is.
fn constant(column: &ArrayRef) -> Result<bool> {
    let failed = || LakeError::arrow("compare the values of a tag");
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())]).map_err(failed())?;
    let rows = converter.convert_columns(std::slice::from_ref(column)).map_err(failed())?;
    let mut known = (0..column.len()).filter(|&i| column.is_valid(i)).map(|i| rows.row(i));
    let Some(first) = known.next() else { return Ok(true) };
    Ok(known.all(|r| r == first))
}
