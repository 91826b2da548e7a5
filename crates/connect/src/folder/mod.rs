//! A folder that record files come into: read in order, once, and resumed after a crash exactly where it stood.
//!
//! A file is complete when its name is none of a writer's ([`is_unfinished`]) and its size has not changed for
//! `stable_for`. Complete files are read one at a time in the order of their names. The records of all files have dense
//! offsets, one behind the other, in partition 0: the consumer commits [`EventBatch::next`] together with what it made of
//! the batch, and that one number is the whole position. Which file holds it is the source's own, synced before the
//! first of the file's events is handed out.
//!
//! Invariants:
//! - a file leaves the inbox only when the consumer has committed the offset behind its last record;
//! - an event gets the same offset after any crash; none is left out, and none before the committed offset comes again;
//! - a file that does not fit its layout, is damaged, was read before or changes while it is read is set aside with a
//!   report that holds no cell of it; the folder goes on with the next;
//! - nothing is deleted: the inbox's `done` and `aside` are the operator's to clear. `done` is also the memory of what was
//!   read: a file that is cleared from it would be read again.

mod ledger;

use crate::{
    event::EventBatch,
    layout::{EventLayout, EventOptions, EventReader, ReadError},
};
use kairos_model::{
    Span, Timestamp,
    disk::{Disk, DiskReader},
    hash::FixedSet,
};
use ledger::{Ledger, Named};
use std::{
    collections::BTreeMap,
    error::Error,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where and how a folder is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderConfig {
    /// Files come in here; `done` and `aside` are made in it.
    pub inbox: PathBuf,
    /// The source's own directory inside the data directory.
    pub state: PathBuf,
    /// Only names that end so are taken; empty: all.
    pub suffixes: Vec<String>,
    /// A size that has not changed for so long is final. Zero: writers rename when they are done.
    pub stable_for: Span,
}

/// Why the folder cannot go on. A failed read may be tried again by the next [`FolderSource::poll`], which goes on where it
/// stood; a failed sync ends the process, as everywhere.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("cannot {attempt} `{path}`")]
    Io {
        attempt: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(
        "`{path}` is damaged: {what}; if the offset that the engine committed is right, remove it and move the file that was being read back into the inbox"
    )]
    Damaged { path: PathBuf, what: &'static str },
    #[error(
        "the engine has committed offset {committed} of the folder `{inbox}`, but files up to offset {base} are read and moved to `done`: it stands on an older state. Move those files back and remove `{state}`"
    )]
    Behind { inbox: PathBuf, state: PathBuf, committed: u64, base: u64 },
}

/// A file that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    pub name: String,
    /// Where it is now; `None`: it vanished.
    pub path: Option<PathBuf>,
    pub report: String,
}

/// What a look at the folder gave.
#[derive(Debug)]
pub enum Polled {
    Batch(EventBatch),
    /// Everything is read; the file's last batch is not yet committed.
    AwaitCommit {
        offset: u64,
    },
    Aside(Aside),
    /// Nothing is complete. Look again at the time, if one is known by then, else after the usual pause.
    Idle {
        again: Option<Timestamp>,
    },
}

/// A folder as a source of events.
pub struct FolderSource {
    disk: Arc<dyn Disk>,
    config: FolderConfig,
    layout: Arc<EventLayout>,
    options: EventOptions,
    ledger: Ledger,
    phase: Phase,
    committed: u64,
    /// Offset behind the last batch that was handed out.
    handed: u64,
    /// Size of each file of the inbox, and since when it has it.
    sizes: BTreeMap<String, (u64, Timestamp)>,
    /// Contents read before.
    done: FixedSet<u64>,
}

enum Phase {
    Idle,
    Reading(Box<Reading>),
    /// The disk failed to give it; it is opened again.
    Broken(Named),
    /// Read to its end, or as far as it goes: `report` sets it aside.
    Ended {
        file: Named,
        end: u64,
        report: Option<String>,
    },
}

struct Reading {
    file: Named,
    len: u64,
    reader: EventReader,
}

/// How the name of a file ends, or begins, that somebody is still writing.
pub fn is_unfinished(name: &str) -> bool {
    const ENDS: [&str; 6] = [".tmp", ".part", ".writing", ".filepart", ".crdownload", "~"];
    name.starts_with('.') || ENDS.iter().any(|end| name.ends_with(end))
}

const DONE: &str = "done";
const ASIDE: &str = "aside";

impl FolderSource {
    /// Opens the folder where it stood. `committed` is the offset that the consumer last committed; 0 for a new one.
    pub fn open(
        disk: Arc<dyn Disk>,
        config: FolderConfig,
        layout: Arc<EventLayout>,
        options: EventOptions,
        committed: u64,
    ) -> Result<Self, FolderError> {
        let (done, aside) = (config.inbox.join(DONE), config.inbox.join(ASIDE));
        for dir in [&config.inbox, &done, &aside, &config.state] {
            disk.create_dir_all(dir).map_err(io("make", dir))?;
        }
        let ledger = Ledger::load(&*disk, &config.state)?.unwrap_or(Ledger { base: committed, ..Ledger::default() });
        if committed < ledger.base {
            let FolderConfig { inbox, state, .. } = config;
            return Err(FolderError::Behind { inbox, state, committed, base: ledger.base });
        }
        let names = disk.list(&done).map_err(io("list", &done))?;
        let done = names.iter().filter_map(|n| id_in(n)).collect();
        let sizes = BTreeMap::new();
        let mut source = Self {
            disk,
            config,
            layout,
            options,
            ledger,
            phase: Phase::Idle,
            committed,
            handed: committed,
            sizes,
            done,
        };
        source.recover()?;
        Ok(source)
    }

    /// The consumer has made everything before `offset` durable.
    pub fn commit(&mut self, offset: u64) {
        self.committed = self.committed.max(offset);
    }

    /// Files that wait, and their bytes, as of the last look.
    pub fn waiting(&self) -> (usize, u64) {
        (self.sizes.len(), self.sizes.values().map(|(len, _)| len).sum())
    }

    /// The next batch, or why there is none. Call it again after each answer but `AwaitCommit` and `Idle`.
    pub fn poll(&mut self, now: Timestamp) -> Result<Polled, FolderError> {
        loop {
            match &mut self.phase {
                Phase::Idle => match self.next_file(now)? {
                    Some(name) => {
                        if let Some(aside) = self.begin(name)? {
                            return Ok(Polled::Aside(aside));
                        }
                    }
                    None => {
                        let due = self.sizes.values().map(|(_, since)| since.plus(self.config.stable_for));
                        return Ok(Polled::Idle { again: due.min() });
                    }
                },
                Phase::Reading(reading) => match reading.reader.next() {
                    Some(Ok(batch)) => {
                        self.handed = batch.next;
                        return Ok(Polled::Batch(batch));
                    }
                    Some(Err(e)) if by_disk(&e) => {
                        let file = reading.file.clone();
                        let path = self.config.inbox.join(&file.name);
                        self.phase = Phase::Broken(file);
                        return Err(io("read", &path)(io::Error::other(e)));
                    }
                    Some(Err(e)) => {
                        let report = format!(
                            "{}\n{} record(s) before it were taken in; records behind it were not.",
                            chain(&e),
                            reading.reader.offset() - self.ledger.base,
                        );
                        self.phase = reading.ended(Some(report));
                    }
                    None => {
                        let path = self.config.inbox.join(&reading.file.name);
                        let grown = self.disk.len(&path).is_ok_and(|len| len != reading.len);
                        let report = grown.then(|| {
                            format!(
                                "its size changed behind byte {} after it was taken for complete: what was added is not read. Let its writer rename it when it is done, or raise stable_for",
                                reading.len
                            )
                        });
                        self.phase = reading.ended(report);
                    }
                },
                Phase::Broken(file) => {
                    let file = file.clone();
                    self.resume(file)?;
                }
                Phase::Ended { end, .. } if self.committed < *end => return Ok(Polled::AwaitCommit { offset: *end }),
                Phase::Ended { file, end, report } => {
                    let (file, end, report) = (file.clone(), *end, report.clone());
                    let aside = self.finish(file, end, report)?;
                    self.phase = Phase::Idle;
                    if let Some(aside) = aside {
                        return Ok(Polled::Aside(aside));
                    }
                }
            }
        }
    }

    /// The first complete file by name.
    fn next_file(&mut self, now: Timestamp) -> Result<Option<String>, FolderError> {
        let inbox = &self.config.inbox;
        let mut sizes = BTreeMap::new();
        for name in self.disk.list(inbox).map_err(io("list", inbox))? {
            let ours =
                self.config.suffixes.is_empty() || self.config.suffixes.iter().any(|s| name.ends_with(s.as_str()));
            if !ours || is_unfinished(&name) {
                continue;
            }
            let len = match self.disk.len(&inbox.join(&name)) {
                Ok(len) => len,
                // gone again: its writer renamed it
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(io("look at", &inbox.join(&name))(cause)),
            };
            // a clock that jumped back does not make a file wait longer than `stable_for`
            let since = match self.sizes.get(&name) {
                Some((before, since)) if *before == len => (*since).min(now),
                _ => now,
            };
            sizes.insert(name, (len, since));
        }
        self.sizes = sizes;
        let complete = |(_, (_, since)): &(&String, &(u64, Timestamp))| now.since(*since) >= self.config.stable_for;
        Ok(self.sizes.iter().find(complete).map(|(name, _)| name.clone()))
    }

    /// Begins to read a file of the inbox, or sets it aside at once.
    fn begin(&mut self, name: String) -> Result<Option<Aside>, FolderError> {
        let path = self.config.inbox.join(&name);
        let (id, len) = match identity(&*self.disk, &path) {
            Ok(found) => found,
            // gone again between the look and now
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(io("read", &path)(cause)),
        };
        self.sizes.remove(&name);
        let file = Named { name, id };
        // empty files are all the same and hold nothing to repeat
        if len > 0 && self.done.contains(&id) {
            let report =
                "the same content was read before (a file in `done` has its mark): it is not read again".to_owned();
            return self.finish(file, self.ledger.base, Some(report));
        }
        self.ledger = Ledger { base: self.ledger.base, current: Some(file.clone()), finished: None };
        self.ledger.store(&*self.disk, &self.config.state)?;
        self.start(file, len)?;
        Ok(None)
    }

    /// Opens the current file behind what was handed out.
    fn start(&mut self, file: Named, len: u64) -> Result<(), FolderError> {
        let path = self.config.inbox.join(&file.name);
        let reader = self.disk.open_read(&path).map_err(io("open", &path))?;
        let bytes = Box::new(DiskBytes { reader, at: 0, len });
        let base = self.ledger.base;
        let opened = EventReader::from_read(bytes, &path, &self.layout, &self.options, base, self.handed);
        self.phase = match opened {
            Ok(reader) => Phase::Reading(Box::new(Reading { file, len, reader })),
            Err(e) if by_disk(&e) => {
                self.phase = Phase::Broken(file);
                return Err(io("read", &path)(io::Error::other(e)));
            }
            Err(e) => Phase::Ended { file, end: self.handed.max(base), report: Some(chain(&e)) },
        };
        Ok(())
    }

    /// Moves a file out of the inbox. First the intention is synced, so that after a crash it is only completed.
    fn finish(&mut self, file: Named, end: u64, report: Option<String>) -> Result<Option<Aside>, FolderError> {
        // of a file that vanished or was cut the offsets that were committed stay used
        let base = end.max(self.committed);
        let aside = report.is_some();
        self.ledger = Ledger { base, current: None, finished: Some((file.clone(), aside)) };
        self.ledger.store(&*self.disk, &self.config.state)?;
        if let Some(report) = &report {
            // before the move, so that a file set aside never lacks its reason
            let why = self.config.inbox.join(ASIDE).join(format!("{}.why", marked(&file)));
            self.disk.write_whole(&why, format!("{report}\n").as_bytes()).map_err(io("write", &why))?;
        }
        let path = self.move_out(&file, aside)?;
        if !aside {
            self.done.insert(file.id);
        }
        Ok(report.map(|report| Aside { name: file.name, path, report }))
    }

    /// `None`: the file is not there any more.
    fn move_out(&self, file: &Named, aside: bool) -> Result<Option<PathBuf>, FolderError> {
        let (inbox, dir) = (&self.config.inbox, self.config.inbox.join(if aside { ASIDE } else { DONE }));
        let (from, to) = (inbox.join(&file.name), dir.join(marked(file)));
        match self.disk.rename(&from, &to) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // moved before a crash, or taken away by somebody
                return Ok(self.disk.len(&to).is_ok().then_some(to));
            }
            Err(cause) => return Err(io("move aside", &from)(cause)),
        }
        // the new name first: a crash in between shows the file twice, never not at all
        for dir in [dir.as_path(), inbox.as_path()] {
            self.disk.sync_dir(dir).map_err(io("sync", dir))?;
        }
        Ok(Some(to))
    }

    /// Completes what a crash broke off.
    fn recover(&mut self) -> Result<(), FolderError> {
        if let Some((file, aside)) = self.ledger.finished.clone() {
            // another file may have come in by the same name
            let path = self.config.inbox.join(&file.name);
            if identity(&*self.disk, &path).is_ok_and(|(id, _)| id == file.id) {
                self.move_out(&file, aside)?;
                self.done.insert(file.id);
            }
        }
        match self.ledger.current.clone() {
            Some(file) => self.resume(file),
            None => Ok(()),
        }
    }

    /// Goes on with a file that was begun.
    fn resume(&mut self, file: Named) -> Result<(), FolderError> {
        let path = self.config.inbox.join(&file.name);
        let (file, report) = match identity(&*self.disk, &path) {
            Ok((id, len)) if id == file.id => return self.start(file, len),
            Ok((id, _)) => {
                let report =
                    "its content changed while it was read: what was read before stays taken in, the rest is not read";
                (Named { id, ..file }, report)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                (file, "it vanished from the inbox while it was read: the rest of it is not read")
            }
            Err(cause) => return Err(io("read", &path)(cause)),
        };
        self.phase = Phase::Ended { file, end: self.handed, report: Some(report.to_owned()) };
        Ok(())
    }
}

impl Reading {
    fn ended(&self, report: Option<String>) -> Phase {
        Phase::Ended { file: self.file.clone(), end: self.reader.offset(), report }
    }
}

fn io<'p>(attempt: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> FolderError + 'p {
    move |cause| FolderError::Io { attempt, path: path.to_path_buf(), cause }
}

/// Whether the disk failed, which may pass, and not the file.
fn by_disk(error: &ReadError) -> bool {
    match error {
        ReadError::Read { cause, .. } | ReadError::Packed { cause, .. } => cause.raw_os_error().is_some(),
        _ => false,
    }
}

/// An error with its causes.
fn chain(error: &ReadError) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // a misfit stands in its error's own words already
        if !out.contains(&text) {
            out.push_str(&format!(": {text}"));
        }
        next = cause.source();
    }
    out
}

/// `NAME~ID`: the mark is the content's, and tells it again under any name.
fn marked(file: &Named) -> String {
    format!("{}~{:016x}", file.name, file.id)
}

fn id_in(name: &str) -> Option<u64> {
    let (_, id) = name.rsplit_once('~')?;
    (id.len() == 16).then(|| u64::from_str_radix(id, 16).ok()).flatten()
}

/// Bytes of the head and of the tail that go into an identity: with the length they tell any two record files apart.
const SAMPLE: u64 = 64 * 1024;

/// 64 bits of BLAKE3 over length, head and tail; and the length.
fn identity(disk: &dyn Disk, path: &Path) -> io::Result<(u64, u64)> {
    let len = disk.len(path)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&len.to_le_bytes());
    hasher.update(&disk.read_at(path, 0, SAMPLE as usize)?);
    hasher.update(&disk.read_at(path, len.saturating_sub(SAMPLE), SAMPLE as usize)?);
    let mut low = [0; 8];
    low.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Ok((u64::from_le_bytes(low), len))
}

/// A file of a [`Disk`] from its start, as long as it was when it was opened.
struct DiskBytes {
    reader: Box<dyn DiskReader>,
    at: u64,
    len: u64,
}

impl Read for DiskBytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = (out.len() as u64).min(self.len - self.at) as usize;
        self.reader.read_exact_at(self.at, &mut out[..n])?;
        self.at += n as u64;
        Ok(n)
    }
}
