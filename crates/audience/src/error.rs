//! What can be wrong with an index, with its making, and with a question.

use kairos_model::{SnapshotId, TenantId};

/// Why bytes are not an index that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    #[error("these bytes are no audience index: they do not begin with `KIDX`; build the index again")]
    NotAnIndex,
    #[error("the audience index is cut short: {what}; build it again from the snapshot, or use the previous file")]
    CutShort { what: String },
    #[error("the audience index is of format {found}, this program reads up to {known}; use the newer program")]
    Newer { found: u16, known: u16 },
    #[error("the audience index belongs to tenant {found}, not {wanted}; point to the tenant's own data directory")]
    OtherTenant { found: TenantId, wanted: TenantId },
    #[error("the audience index is damaged at {place}: {what}; build it again, or use the previous file")]
    Damaged { place: String, what: String },
}

impl IndexError {
    pub(crate) fn damaged(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { place: place.into(), what: what.into() }
    }
}

/// Why an index could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot write {what} of the audience index")]
    Write {
        what: String,
        #[source]
        cause: std::io::Error,
    },
    #[error("column `{column}`: {what}")]
    Column { column: String, what: String },
    #[error("the audience index cannot be built: {what}")]
    Limit { what: String },
    #[error("column `{column}` cannot be carried over")]
    Carry {
        column: String,
        #[source]
        cause: IndexError,
    },
}

impl BuildError {
    pub(crate) fn column(column: &str, what: impl Into<String>) -> Self {
        Self::Column { column: column.to_owned(), what: what.into() }
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("tag `{tag}` is not in the index of {snapshot}; compute the tags again, or take the clause out")]
    UnknownTag { tag: String, snapshot: SnapshotId },
    #[error("tag `{tag}` is {found} in the index of {snapshot} and {wanted} in the catalogue; compute the tags again")]
    TypeChanged { tag: String, found: String, wanted: String, snapshot: SnapshotId },
    #[error("there is no {kind} `{id}`; upload it, or name one that there is")]
    Missing { kind: &'static str, id: String },
    #[error("{what}")]
    Limit { what: String },
    #[error(transparent)]
    Index(#[from] IndexError),
}
