//! Opening a lake, its state, and its one lock.

use crate::{
    error::{LakeError, Result},
    import::ImportMeta,
    index::OpenIndexes,
    manifest::{ImportRecord, Manifest, Mode, TableState},
    schema,
};
use datafusion::execution::{
    memory_pool::{FairSpillPool, TrackConsumersPool},
    runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
};
use kairos_model::{TenantId, Timestamp, Zone};
use std::{
    collections::BTreeSet,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// How much of the machine the lake may use.
#[derive(Clone, Copy, Debug)]
pub struct LakeOptions {
    /// Cores that a query uses.
    pub target_partitions: usize,
    /// Bytes that running queries may hold together; past it they spill to disk or fail with a clear error.
    pub memory_bytes: usize,
    /// Row keys that an import holds in memory before it sorts and spills them; 32 bytes each.
    pub import_keys: usize,
    /// Key files of a table before a commit merges them into one.
    pub key_files: usize,
    /// Small files of a mirrored table before a commit merges them into one.
    pub mirror_files: usize,
}

impl Default for LakeOptions {
    fn default() -> Self {
        Self { target_partitions: 2, memory_bytes: 2 << 30, import_keys: 1 << 21, key_files: 8, mirror_files: 64 }
    }
}

/// The analytical store of one tenant. Cheap to clone; clones share state. One process at a time: the data directory's
/// lock is the caller's.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub dir: PathBuf,
    pub tenant: TenantId,
    pub zone: Zone,
    pub options: LakeOptions,
    pub runtime: Arc<RuntimeEnv>,
    manifest: RwLock<Arc<Manifest>>,
    /// Held from judging what is new until the manifest says so: commits happen one after another.
    committing: Mutex<()>,
    next_seq: AtomicU64,
    pub indexes: Mutex<OpenIndexes>,
}

impl Lake {
    /// Opens the lake in `dir`, which is made if absent, and sweeps what an earlier process left unfinished.
    ///
    /// Errors: unreadable directory, damaged manifest, newer format, other tenant or zone.
    pub fn open(dir: impl Into<PathBuf>, tenant: TenantId, zone: Zone, options: LakeOptions) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(LakeError::io("create", &dir))?;
        let dir = dir.canonicalize().map_err(LakeError::io("find", &dir))?;
        let manifest = Manifest::load(&dir, tenant, &zone)?;
        let spill = dir.join("spill");
        if spill.exists() {
            fs::remove_dir_all(&spill).map_err(LakeError::io("sweep", &spill))?;
        }
        sweep(&dir, &manifest)?;
        let pool = FairSpillPool::new(options.memory_bytes);
        let top = NonZeroUsize::new(3).unwrap_or(NonZeroUsize::MIN);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, top)))
            .with_temp_file_path(&spill)
            .build_arc()
            .map_err(LakeError::query("make the query runtime"))?;
        let next_seq = AtomicU64::new(manifest.next_seq);
        let inner = Inner {
            dir,
            tenant,
            zone,
            options,
            runtime,
            manifest: RwLock::new(Arc::new(manifest)),
            committing: Mutex::new(()),
            next_seq,
            indexes: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }
    pub fn tenant(&self) -> TenantId {
        self.inner.tenant
    }
    pub fn zone(&self) -> &Zone {
        &self.inner.zone
    }
    /// Grows by one with every change.
    pub fn generation(&self) -> u64 {
        self.inner.manifest().generation
    }
    /// Every import, oldest first.
    pub fn imports(&self) -> Vec<ImportRecord> {
        self.inner.manifest().imports.clone()
    }
    /// Rows of a table as stored, versions included.
    pub fn rows(&self, table: &str) -> Result<u64> {
        schema::table(table)?;
        Ok(self.inner.manifest().table(table).map_or(0, |t| t.files.iter().map(|f| f.rows).sum()))
    }
    /// The earlier import of the same content by the same layout, if importing it again would change nothing.
    ///
    /// Append and upsert files are known for ever. A snapshot file is known while it is still the layout's latest
    /// state, or at its own `as_of`.
    pub fn known_file(&self, meta: &ImportMeta) -> Option<ImportRecord> {
        known(&self.inner.manifest(), meta)
    }
    /// Where a mirrored stream stands: rows up to this journal position are in the table. 0 = none.
    pub fn position(&self, table: &str, stream: &str) -> u64 {
        self.inner.manifest().table(table).and_then(|t| t.streams.get(stream).copied()).unwrap_or(0)
    }
    /// Greatest `as_of` or event time that the table holds.
    pub fn newest(&self, table: &str) -> Option<Timestamp> {
        let m = self.inner.manifest();
        let files = m.table(table)?.files.iter();
        files.map(|f| Timestamp(f.last.unwrap_or(f.as_of))).max()
    }
}

pub(crate) fn known(m: &Manifest, meta: &ImportMeta) -> Option<ImportRecord> {
    let of_layout = || m.imports.iter().filter(|i| i.layout == meta.layout && i.table == meta.table);
    let found = of_layout().rfind(|i| i.content_hash == meta.content_hash)?;
    if meta.mode == Mode::Snapshot && found.as_of != meta.as_of.0 {
        let latest = of_layout().max_by_key(|i| (i.as_of, i.seq))?;
        if latest.content_hash != meta.content_hash {
            return None;
        }
    }
    Some(found.clone())
}

impl Inner {
    pub fn manifest(&self) -> Arc<Manifest> {
        self.manifest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// The right to judge and publish. A panic of an earlier holder left nothing half-done: the manifest is one rename.
    pub fn commit_lock(&self) -> MutexGuard<'_, ()> {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// A number for an import or a mirrored batch.
    pub fn take_seq(&self) -> u64 {
        self.next_seq.fetch_add(1, Ordering::SeqCst)
    }
    /// Publishes the next manifest; call with the commit lock held.
    pub fn publish(&self, _held: &MutexGuard<'_, ()>, mut next: Manifest) -> Result<()> {
        next.generation += 1;
        next.next_seq = self.next_seq.load(Ordering::SeqCst);
        next.publish(&self.dir)?;
        // from here on the disk may say so: the files that it names stay, even if the last sync fails
        *self.manifest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        crate::manifest::sync_dir(&self.dir)
    }
    /// The folder of a table, made durable before a manifest names a file in it.
    pub fn table_dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        if !path.exists() {
            fs::create_dir_all(&path).map_err(LakeError::io("create", &path))?;
            crate::manifest::sync_dir(&self.dir)?;
        }
        Ok(path)
    }
    pub fn table_state(m: &Manifest, name: &str) -> TableState {
        m.table(name).cloned().unwrap_or_default()
    }
}

/// Removes files that the manifest does not name. Only folders that the lake makes are looked into; audiences name
/// themselves by their content and are no part of the manifest.
fn sweep(dir: &Path, manifest: &Manifest) -> Result<()> {
    let keep: BTreeSet<PathBuf> = manifest.files().map(|f| dir.join(f)).collect();
    let folders =
        schema::tables().map(|t| dir.join(t.name)).chain(["snapshot", "audience", "index"].map(|f| dir.join(f)));
    for folder in folders.chain([dir.to_owned()]) {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(LakeError::Io { doing: "list", path: folder, cause }),
        };
        for entry in entries {
            let path = entry.map_err(LakeError::io("list", &folder))?.path();
            let unfinished = path.extension().is_some_and(|e| e == "tmp");
            let by_itself = folder.file_name().is_some_and(|f| f == "audience" || f == "index");
            let ours = unfinished || (folder != *dir && !by_itself);
            if ours && path.is_file() && !keep.contains(&path) {
                tracing::info!(path = %path.display(), "sweeping an unfinished file");
                fs::remove_file(&path).map_err(LakeError::io("sweep", &path))?;
            }
        }
    }
    Ok(())
}
