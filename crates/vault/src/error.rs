//! What can go wrong. No message holds a number, key or text.

use crate::{keys::KeyError, texts::RawRowId};
use kairos_model::{Msisdn, SubscriberId};
use std::{
    io,
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("cannot {what} `{path}`")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("vault file `{path}` is damaged at byte {offset}: {why}; restore the vault from a backup")]
    Corrupt { path: PathBuf, offset: u64, why: &'static str },
    #[error("vault file `{path}` is missing, though others of this vault are there; restore the vault from a backup")]
    Missing { path: PathBuf },
    #[error("vault file `{path}` has format {found}, this program knows up to {known}: use the newer program")]
    NewerFormat { path: PathBuf, found: u16, known: u16 },
    #[error("vault file `{path}` belongs to {what} {found}, not {wanted}: it was put into the wrong directory")]
    Stranger { path: PathBuf, what: &'static str, found: u64, wanted: u64 },
    #[error("the master key does not open the vault `{path}`: give the key that this vault was made with")]
    WrongKey { path: PathBuf },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("no subscriber {subscriber}: the vault knows {count}")]
    NoSubscriber { subscriber: SubscriberId, count: u32 },
    #[error("subscriber {subscriber} was erased; a source key that is imported again becomes a new subscriber")]
    Erased { subscriber: SubscriberId },
    #[error("row {row} of the batch: a source key of {len} bytes; it must have 1 to {max}")]
    SourceKey { row: usize, len: usize, max: usize },
    #[error("row {row} of the batch: the assignment ends before it begins")]
    Period { row: usize },
    #[error(
        "row {row} of the batch: number {number} would have more than {max} assignments; is the number column right?"
    )]
    TooManyHolders { row: usize, number: Msisdn, max: usize },
    #[error("row {row} of the batch: {what} of {len} bytes; the limit is {max}")]
    TooLong { row: usize, what: &'static str, len: usize, max: usize },
    #[error("the vault holds no more than {max} {what}")]
    Full { what: &'static str, max: u64 },
    #[error("no raw row {0:?} in this vault")]
    NoRow(RawRowId),
    #[error("the vault takes no more changes: an earlier write or sync failed; end the process and open it again")]
    Poisoned,
}

impl VaultError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { what, path: path.to_owned(), cause }
    }
}
