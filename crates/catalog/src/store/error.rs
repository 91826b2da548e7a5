//! What can go wrong with the catalog, whose fault it is, and what to do.

use super::audit::Broken;
use crate::{check::Findings, state::Illegal};
use kairos_model::{CampaignVersion, TenantId, Timestamp};
use std::path::{Path, PathBuf};

/// Whose fault an error is: the command line's exit code and HTTP's status follow from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The request is wrong as it stands.
    Invalid,
    NotFound,
    Denied,
    /// Right as such, but not in this state.
    Conflict,
    /// Another time it may work.
    Unavailable,
    /// The stored data is damaged, or the program is wrong.
    Failure,
}

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("cannot open the catalog `{path}`: {why}")]
    Open {
        path: PathBuf,
        why: &'static str,
        kind: ErrorKind,
        #[source]
        cause: sqlx::Error,
    },
    #[error("the catalog `{path}` has schema {found}, newer than the {known} of this program; run the newer program")]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("cannot bring the catalog `{path}` to this program's schema; restore it from a backup")]
    Migrate {
        path: PathBuf,
        #[source]
        cause: Box<sqlx::migrate::MigrateError>,
    },
    #[error("the catalog `{path}` belongs to tenant {found}, not to {expected}; check the data directory")]
    OtherTenant { path: PathBuf, found: String, expected: TenantId },
    #[error("cannot {doing}: another process is writing to the catalog; try again")]
    Locked {
        doing: &'static str,
        #[source]
        cause: sqlx::Error,
    },
    #[error("cannot {doing}: {why}")]
    Store {
        doing: &'static str,
        why: &'static str,
        kind: ErrorKind,
        #[source]
        cause: sqlx::Error,
    },
    #[error("the catalog holds a damaged {what}: {why}; run `kairos audit verify`")]
    Damaged { what: String, why: String },
    #[error("{0}")]
    Broken(Broken),
    #[error("no campaign `{0}`")]
    NoCampaign(String),
    #[error("campaign `{slug}` has no version {version}")]
    NoVersion { slug: String, version: CampaignVersion },
    #[error("campaign `{0}` is there already; edit it, or choose another id")]
    Exists(String),
    #[error("`{given}` cannot become the definition of `{slug}`: a campaign's id never changes")]
    OtherId { slug: String, given: String },
    #[error("campaign `{slug}` is at version {found}, not {expected}; read it again and repeat the edit")]
    Stale { slug: String, found: CampaignVersion, expected: CampaignVersion },
    #[error("`{slug}` cannot be submitted:\n{findings}")]
    Findings { slug: String, findings: Findings },
    #[error(transparent)]
    Illegal(#[from] Illegal),
    #[error("cannot start wave {wave} of `{slug}`: {why}")]
    Wave { slug: String, wave: u16, why: String },
    #[error("no user `{0}`")]
    NoUser(String),
    #[error("user `{0}` is there already")]
    UserExists(String),
    #[error("user `{0}` is no longer active")]
    Inactive(String),
    #[error("`{actor}` may not {doing} of `{user}`; ask an administrator")]
    NotTheirs { actor: String, doing: &'static str, user: String },
    #[error("`{given}` is no {what}; {rule}")]
    Word { what: &'static str, given: String, rule: &'static str },
    #[error("the idempotency key was used for another request; use a new key")]
    KeyReused,
    #[error("the first request with this idempotency key is still running; ask again after {until}")]
    KeyBusy { until: Timestamp },
    #[error("`{0}` is no cursor of this list; begin without one")]
    Cursor(String),
}

impl CatalogError {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Findings { .. } | Self::OtherId { .. } | Self::Word { .. } | Self::Cursor(_) => ErrorKind::Invalid,
            Self::NoCampaign(_) | Self::NoVersion { .. } | Self::NoUser(_) => ErrorKind::NotFound,
            Self::Inactive(_)
            | Self::NotTheirs { .. }
            | Self::Illegal(Illegal::OwnWork { .. } | Illegal::System { .. }) => ErrorKind::Denied,
            Self::Illegal(Illegal::Reason { .. }) => ErrorKind::Invalid,
            Self::Exists(_)
            | Self::Stale { .. }
            | Self::Illegal(_)
            | Self::Wave { .. }
            | Self::UserExists(_)
            | Self::KeyReused
            | Self::KeyBusy { .. } => ErrorKind::Conflict,
            Self::Open { kind, .. } | Self::Store { kind, .. } => *kind,
            Self::Locked { .. } => ErrorKind::Unavailable,
            Self::Newer { .. }
            | Self::Migrate { .. }
            | Self::OtherTenant { .. }
            | Self::Damaged { .. }
            | Self::Broken(_) => ErrorKind::Failure,
        }
    }

    pub(super) fn opening(path: &Path, cause: sqlx::Error) -> Self {
        let (kind, why) = judge(&cause);
        Self::Open { path: path.to_owned(), why, kind, cause }
    }
    pub(super) fn store(doing: &'static str, cause: sqlx::Error) -> Self {
        if matches!(code(&cause), Some(5 | 6)) {
            return Self::Locked { doing, cause };
        }
        let (kind, why) = judge(&cause);
        Self::Store { doing, why, kind, cause }
    }
    pub(super) fn damaged(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Damaged { what: what.into(), why: why.to_string() }
    }
}

/// Whose fault SQLite's answer is, and what to do (https://sqlite.org/rescode.html).
fn judge(cause: &sqlx::Error) -> (ErrorKind, &'static str) {
    match code(cause) {
        Some(5 | 6) => (ErrorKind::Unavailable, "another process is writing to it; try again"),
        Some(8) => (ErrorKind::Unavailable, "it may not be written; check its owner and permissions"),
        Some(10) => (ErrorKind::Failure, "the disk reports an error; look at the system's log"),
        Some(11) => (ErrorKind::Failure, "the catalog's file is damaged; restore it from a backup"),
        Some(13) => (ErrorKind::Unavailable, "the disk is full; free some space"),
        Some(14) => {
            (ErrorKind::Unavailable, "it cannot be opened or made; check that its folder is there and may be written")
        }
        Some(26) => (ErrorKind::Failure, "it is not a catalog (no SQLite file); restore it from a backup"),
        _ => (ErrorKind::Unavailable, "SQLite refuses; the cause says why"),
    }
}

/// SQLite's primary result code, where the error carries one (the extended code's low byte).
fn code(e: &sqlx::Error) -> Option<u32> {
    e.as_database_error()?.code()?.parse::<u32>().ok().map(|c| c & 0xff)
}
