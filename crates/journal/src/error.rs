//! What can go wrong, with the file, the offset and the remedy.

use crate::format::Position;
use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {what} `{path}`")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(
        "journal file `{path}` is damaged at byte {offset}: {why}; nothing was dropped: restore this file from a backup"
    )]
    Corrupt { path: PathBuf, offset: u64, why: &'static str },
    #[error("journal file `{path}` has format {found}, this program knows up to {known}: use the newer program")]
    NewerFormat { path: PathBuf, found: u16, known: u16 },
    #[error("journal file `{path}` belongs to {what} {found}, not {wanted}: it was put into the wrong directory")]
    Stranger { path: PathBuf, what: &'static str, found: u64, wanted: u64 },
    #[error("`{path}` belongs to a journal of more than {wanted} partitions: open it with its own number")]
    MorePartitions { path: PathBuf, wanted: u16 },
    #[error("journal file `{path}` is missing: `{needed_by}` follows it; restore it from a backup")]
    Missing { path: PathBuf, needed_by: PathBuf },
    #[error("a journal configuration of {what}: {found}; it must be {wanted}")]
    Config { what: &'static str, found: u64, wanted: &'static str },
    #[error("a record of {len} bytes for partition {partition} is longer than the limit of {max}")]
    RecordTooLong { partition: u16, len: usize, max: usize },
    #[error("partition {partition} holds {pending} uncommitted bytes and takes no more than {max}: commit first")]
    Full { partition: u16, pending: usize, max: usize },
    #[error("no partition {partition}: the journal has {partitions}")]
    NoPartition { partition: u16, partitions: u16 },
    #[error("position {wanted} of partition {partition} is outside what the journal keeps: {first} up to {end}")]
    OutOfRange { partition: u16, wanted: Position, first: Position, end: Position },
    #[error("the journal takes no more records: an earlier write or sync failed; end the process and open it again")]
    Poisoned,
}

impl JournalError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { what, path, cause }
    }
}

/// A write or sync failed, so what the disk holds is not known. The journal is poisoned; the caller ends the process.
#[derive(Debug, thiserror::Error)]
#[error("commit of journal partition {partition} failed: cannot {what} `{path}`; the process must end and recover")]
pub struct CommitFailed {
    pub partition: u16,
    pub what: &'static str,
    pub path: PathBuf,
    #[source]
    pub cause: io::Error,
}
