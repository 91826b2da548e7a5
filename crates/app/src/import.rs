//! Intake: a file through a layout into lake and vault. Numbers and names end at this door.

use crate::{
    app::App,
    error::{AppError, Context, Kind, Result},
    progress::Progress,
    resolve::Resolver,
};
use kairos_connect::layout::{self, Chunk, FileFormat, Layout, Mapper, ReadOptions, Reader};
use kairos_lake::{Counts, Import, ImportMeta, Mode, RowKey, source};
use kairos_model::{Timestamp, table::NUMBER_LIST};
use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

/// Chunks read ahead of the writer: one being made, one waiting, one being written.
pub(crate) const CHUNKS_AHEAD: usize = 1;

/// Most kinds of fault that are told apart in the answer to one import; the quarantine table has them all.
const FAULTS_MAX: usize = 20;

/// One kind of fault in a file: where it was first seen and how often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub field: Option<String>,
    pub reason: String,
    pub rows: u64,
    /// 1-based row of the file.
    pub first_row: u64,
}

/// What became of one file.
#[derive(Clone, Debug)]
pub struct Imported {
    pub file: String,
    pub table: String,
    pub counts: Counts,
    /// The same content had been imported before: nothing was done.
    pub known: bool,
    pub seconds: f64,
    /// Why rows were quarantined, in the order of their first row.
    pub faults: Vec<Fault>,
}

impl App {
    /// A layout by the name of an embedded or defined one, or by its file.
    pub fn layout(&self, name: &str) -> Result<Layout> {
        let inside = format!("layouts/{name}.toml");
        let (shown, text) = match self.definitions.text(&inside) {
            Some(text) => (self.definitions.shown(&inside), text.to_owned()),
            None => {
                let path = Path::new(name);
                if !path.is_file() {
                    let known: Vec<&str> = self
                        .definitions
                        .under("layouts/")
                        .filter_map(|(n, _)| n.strip_prefix("layouts/")?.strip_suffix(".toml"))
                        .collect();
                    return Err(AppError::not_found(
                        "layout",
                        format!(
                            "there is no layout file `{name}` and no layout of that name; known: {}",
                            known.join(", ")
                        ),
                    ));
                }
                let text = std::fs::read_to_string(path)
                    .or_fail(Kind::Invalid, "layout", || format!("cannot read the layout `{name}`"))?;
                (name.to_owned(), text)
            }
        };
        Layout::parse(&text, PathBuf::from(&shown))
            .or_fail(Kind::Invalid, "layout", || format!("the layout `{shown}` is not valid"))
    }

    /// Imports one file, whole or not at all. `as_of`: the state that an upsert or snapshot file describes; without it
    /// the layout's own, else now.
    pub fn import(
        &self,
        layout: &Layout,
        path: &Path,
        as_of: Option<Timestamp>,
        progress: &dyn Progress,
    ) -> Result<Imported> {
        let started = std::time::Instant::now();
        if layout.table.name == NUMBER_LIST.name {
            let message = "a list of numbers belongs to no table; load it with `kairos list load ID FILE`";
            return Err(AppError::invalid("import_layout", message));
        }
        let file_name =
            path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        let hash = layout::content_hash(path)
            .or_fail(Kind::Invalid, "import_file", || format!("cannot read `{}`", path.display()))?;
        let size = std::fs::metadata(path).map_or(0, |m| m.len());
        let now = self.now();
        let meta = ImportMeta {
            file_name: file_name.clone(),
            content_hash: identity(hash, layout),
            layout: layout.id.clone(),
            table: layout.table.name.to_owned(),
            mode: mode(layout.mode),
            as_of: as_of.or(layout.as_of).unwrap_or(now),
            imported_at: now,
        };
        let done = |counts, known, faults| Imported {
            file: file_name.clone(),
            table: layout.table.name.to_owned(),
            counts,
            known,
            seconds: started.elapsed().as_secs_f64(),
            faults,
        };
        if let Some(record) = self.lake.known_file(&meta) {
            let read = record.counts.read;
            return Ok(done(Counts { read, accepted: 0, duplicate: read, quarantined: 0 }, true, Vec::new()));
        }
        progress.begin(&format!("import {file_name}"), size);
        let as_of = meta.as_of;
        let lake_error =
            |e| AppError::new(Kind::Failure, "import", format!("cannot import `{}`", path.display())).because(e);
        let mut import = self.lake.begin_import(meta).map_err(lake_error)?;
        let options = ReadOptions::new(self.plan.clone(), self.currency, self.vault.derived_key("row keys"));
        let mut resolver = Resolver::new(self, layout.table, as_of);
        let (mut read, mut faults) = (0, Vec::new());
        let (sender, chunks) = mpsc::sync_channel(CHUNKS_AHEAD);
        thread::scope(|scope| -> Result<()> {
            let reader = scope.spawn(move || match layout.file.format {
                FileFormat::Parquet => read_parquet(path, layout, &options, &sender),
                FileFormat::Csv => read_text(path, layout, &options, hash, &sender),
            });
            let mut at = 0;
            // the receiver ends with the loop: a reader that is ahead must not wait for a writer that gave up
            for chunk in chunks {
                progress.advance(chunk.bytes_read.saturating_sub(at));
                at = chunk.bytes_read;
                read += chunk.read;
                push(&mut import, &mut resolver, chunk, &mut faults)
                    .inspect_err(|_| tracing::debug!("import given up"))?;
            }
            match reader.join() {
                Ok(outcome) => outcome,
                Err(_) => Err(AppError::failure("internal", format!("reading `{}` ended in a panic", path.display()))),
            }
        })?;
        if read == 0 && (size == 0 || layout.mode == layout::Mode::Snapshot) {
            // a snapshot without rows would empty its table
            return Err(AppError::invalid(
                "import_file",
                format!("`{}` holds no row; nothing was imported, fetch it again", path.display()),
            ));
        }
        let counts = import.commit().map_err(lake_error)?;
        let mut done = done(counts, false, faults);
        done.faults.sort_by_key(|f| f.first_row);
        progress.end(&format!(
            "{}: {} read, {} accepted, {} duplicate, {} quarantined",
            done.file, counts.read, counts.accepted, counts.duplicate, counts.quarantined
        ));
        Ok(done)
    }
}

/// What an import is known by: the file's bytes and the reading of them. A layout that was mended reads the file anew,
/// and rows that were taken before are duplicates by their keys.
fn identity(content: [u8; 32], layout: &Layout) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&content);
    hasher.update(format!("{:?}", (&layout.key, &layout.key_space, &layout.file, &layout.columns)).as_bytes());
    hasher.finalize().to_hex().to_string()
}

fn mode(m: layout::Mode) -> Mode {
    match m {
        layout::Mode::Append => Mode::Append,
        layout::Mode::Upsert => Mode::Upsert,
        layout::Mode::Snapshot => Mode::Snapshot,
    }
}

fn push(import: &mut Import, resolver: &mut Resolver<'_>, chunk: Chunk, faults: &mut Vec<Fault>) -> Result<()> {
    let resolved = resolver.resolve(chunk)?;
    let keys: Vec<RowKey> = resolved.keys.into_iter().map(RowKey).collect();
    let fail = |e| AppError::new(Kind::Failure, "import", "cannot write to the lake").because(e);
    import.push(&resolved.batch, &keys).map_err(fail)?;
    for reject in resolved.rejects {
        count(faults, reject.field.as_deref(), &reject.reason, reject.row);
        import.reject(reject).map_err(fail)?;
    }
    Ok(())
}

/// Counts a bad row by field and reason.
pub(crate) fn count(faults: &mut Vec<Fault>, field: Option<&str>, reason: &str, row: u64) {
    if let Some(fault) = faults.iter_mut().find(|f| f.field.as_deref() == field && f.reason == reason) {
        fault.rows += 1;
        fault.first_row = fault.first_row.min(row);
    } else if faults.len() < FAULTS_MAX {
        faults.push(Fault { field: field.map(str::to_owned), reason: reason.to_owned(), rows: 1, first_row: row });
    }
}

pub(crate) type Sender = mpsc::SyncSender<Chunk>;

pub(crate) fn read_text(
    path: &Path,
    layout: &Layout,
    options: &ReadOptions,
    hash: [u8; 32],
    out: &Sender,
) -> Result<()> {
    let fail = |e: layout::ReadError| AppError::invalid("import_file", e.to_string()).because(e);
    let mut reader = Reader::open(path, layout, options).map_err(fail)?;
    for chunk in reader.by_ref() {
        if out.send(chunk.map_err(fail)?).is_err() {
            // the writer gave up and says why
            return Ok(());
        }
    }
    match reader.content_hash() {
        Some(seen) if seen != hash => Err(AppError::conflict(
            "import_file",
            format!("`{}` changed while it was read; nothing was imported, import it again", path.display()),
        )),
        _ => Ok(()),
    }
}

fn read_parquet(path: &Path, layout: &Layout, options: &ReadOptions, out: &Sender) -> Result<()> {
    let fail = |e: kairos_lake::LakeError| AppError::invalid("import_file", e.to_string()).because(e);
    let mut rows = source::parquet_rows(path).map_err(fail)?;
    let names: Vec<String> = rows.names().to_vec();
    let header: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut mapper = Mapper::new(layout, Some(&header), options).map_err(|e| {
        AppError::invalid("import_file", format!("`{}` does not fit layout `{}`: {e}", path.display(), layout.id))
    })?;
    let mut read_before = 0;
    while let Some(chunk) = rows.next_chunk().map_err(fail)? {
        let mut builder = mapper.builder(chunk.rows);
        let mut rejects = Vec::new();
        for row in 0..chunk.rows {
            let fields: Vec<Option<&str>> = chunk.columns.iter().map(|c| c.get(row)).collect();
            let number = chunk.first_row + row as u64;
            if let Err(flaw) = mapper.map_record(&mut builder, number, &fields) {
                let raw = fields.iter().map(|f| f.unwrap_or_default()).collect::<Vec<_>>().join(",").into_bytes();
                rejects.push(layout::Reject { row: number, field: flaw.field, reason: flaw.reason, raw });
            }
        }
        let (batch, keys) = builder.finish();
        read_before += chunk.rows as u64;
        let chunk = Chunk { batch, keys, rejects, read: chunk.rows as u64, bytes_read: read_before };
        if out.send(chunk).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
