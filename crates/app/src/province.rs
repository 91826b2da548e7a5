//! The synthetic operator as files, written like anyone's.

use crate::{
    error::{Context, Kind, Result},
    progress::Progress,
};
use kairos_synth::{FileKind, Province};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
};

/// One written file.
#[derive(Clone, Debug)]
pub struct Written {
    pub path: PathBuf,
    /// Name of the layout that reads it.
    pub layout: &'static str,
    pub rows: u64,
    pub bytes: u64,
}

/// Chunks that may wait for their turn: bounds memory whatever the number of subscribers.
const CHUNKS_WAITING: u32 = 4;

/// Writes every file of the province into a folder, in the order in which they should be imported.
pub fn write_province(province: &Province, folder: &Path, progress: &dyn Progress) -> Result<Vec<Written>> {
    fs::create_dir_all(folder)
        .or_fail(Kind::Unavailable, "write_failed", || format!("cannot make `{}`", folder.display()))?;
    let files = province.files();
    let total: u64 = files.iter().map(|&f| u64::from(province.chunks(f))).sum();
    progress.begin("synthetic operator", total);
    let written = files
        .into_iter()
        .map(|file| write_file(province, file, &folder.join(province.file_name(file)), progress))
        .collect::<Result<Vec<_>>>()?;
    let rows: u64 = written.iter().map(|w| w.rows).sum();
    progress.end(&format!("{rows} rows in {} files", written.len()));
    Ok(written)
}

/// Chunks are made by two threads and written in their order.
fn write_file(province: &Province, file: FileKind, path: &Path, progress: &dyn Progress) -> Result<Written> {
    let attempt = || -> std::io::Result<(u64, u64)> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        out.write_all(file.header().as_bytes())?;
        let chunks = province.chunks(file);
        let next = AtomicU32::new(0);
        let turn = (Mutex::new(Turn { at: 0, rows: 0, bytes: 0, out, failed: None }), Condvar::new());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| make(province, file, chunks, &next, &turn, progress));
            }
        });
        let mut turn = turn.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(e) = turn.failed.take() {
            return Err(e);
        }
        turn.out.flush()?;
        Ok((turn.rows, turn.bytes))
    };
    let (rows, bytes) =
        attempt().or_fail(Kind::Unavailable, "write_failed", || format!("cannot write `{}`", path.display()))?;
    Ok(Written { path: path.to_owned(), layout: file.layout(), rows, bytes })
}

struct Turn {
    at: u32,
    rows: u64,
    bytes: u64,
    out: BufWriter<File>,
    failed: Option<std::io::Error>,
}

fn make(
    province: &Province,
    file: FileKind,
    chunks: u32,
    next: &AtomicU32,
    turn: &(Mutex<Turn>, Condvar),
    progress: &dyn Progress,
) {
    let mut buffer = Vec::new();
    loop {
        let n = next.fetch_add(1, Relaxed);
        if n >= chunks {
            return;
        }
        let mut now = turn.0.lock().unwrap_or_else(PoisonError::into_inner);
        while n >= now.at + CHUNKS_WAITING {
            now = turn.1.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        drop(now);
        buffer.clear();
        let rows = province.write_chunk(file, n, &mut buffer);
        let mut now = turn.0.lock().unwrap_or_else(PoisonError::into_inner);
        while now.at != n {
            now = turn.1.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        if now.failed.is_none()
            && let Err(e) = now.out.write_all(&buffer)
        {
            now.failed = Some(e);
        }
        now.rows += rows;
        now.bytes += buffer.len() as u64;
        now.at = n + 1;
        turn.1.notify_all();
        drop(now);
        progress.advance(1);
    }
}
