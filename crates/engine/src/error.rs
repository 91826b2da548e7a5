//! What ends the engine, and what merely refuses an input.

use crate::library::{AudienceHash, LibraryError};
use kairos_journal::{CommitFailed, JournalError, Position};
use kairos_model::{CampaignId, CampaignVersion, PlaybookId, SnapshotId, SubscriberId, WaveNo};
use std::{io, path::PathBuf};

/// Something that the library must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    Playbook(PlaybookId),
    Facts(SnapshotId),
    Audience(AudienceHash),
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Playbook(id) => write!(f, "playbook {}", id.0),
            Self::Facts(id) => write!(f, "facts of snapshot {}", id.0),
            Self::Audience(hash) => write!(f, "audience {hash}"),
        }
    }
}

/// Fatal: the process ends, or does not start. What was committed stays.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Commit(#[from] CommitFailed),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{item} is missing, and the journal needs it; restore it beside the journal, then start again")]
    Missing { item: Item },
    #[error("cannot read {item}")]
    Library {
        item: Item,
        #[source]
        cause: LibraryError,
    },
    #[error("the journal begins at {first}: what was before it was released, and older states cannot be made again")]
    Forgotten { first: Position },
    #[error("journal record at {position} cannot be applied: {why}; the journal is from a newer program or damaged")]
    Record { position: Position, why: String },
    #[error("cannot {what} `{path}`")]
    Checkpoint {
        what: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("checkpoint `{path}` has format {found}, this program knows up to {known}: use the newer program")]
    NewerCheckpoint { path: PathBuf, found: u16, known: u16 },
    #[error("checkpoint `{path}` belongs to tenant {found}, not {wanted}: it was put into the wrong directory")]
    Stranger { path: PathBuf, found: u16, wanted: u16 },
    #[error(
        "checkpoint `{path}` is at {position}, the journal ends at {end}: the journal was replaced by an older one"
    )]
    Ahead { path: PathBuf, position: Position, end: Position },
    #[error("checkpoint `{path}` is whole but does not make sense: {why}; remove it to replay the journal instead")]
    Body { path: PathBuf, why: String },
    #[error(
        "no whole checkpoint reaches back to where the journal begins ({first}): restore `{dir}` from a backup ({tried})"
    )]
    NoCheckpoint { dir: PathBuf, first: Position, tried: String },
    #[error("the engine has failed before; end the process and open it again")]
    Poisoned,
}

/// Why one input was refused. Nothing of it was done; the other inputs of the call were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0} is missing from the library")]
    Missing(Item),
    #[error("{item} cannot be read: {why}")]
    Unreadable { item: Item, why: String },
    #[error("no playbook is in force yet; swap one in first")]
    NoPlaybook,
    #[error("no facts are in force yet; swap a snapshot in first")]
    NoFacts,
    #[error("playbook {book} is older than playbook {current}, which is in force")]
    OlderPlaybook { book: PlaybookId, current: PlaybookId },
    #[error("campaign {0} is not in the playbook in force")]
    NoCampaign(CampaignId),
    #[error(
        "campaign {campaign} is at version {book} in the playbook, not {asked}: approve and swap the playbook first"
    )]
    Version { campaign: CampaignId, asked: CampaignVersion, book: CampaignVersion },
    #[error("wave {} of campaign {campaign} has been started before", .wave.0)]
    SecondLaunch { campaign: CampaignId, wave: WaveNo },
    #[error("waves are numbered from 1")]
    WaveZero,
    #[error("the audience is empty; nobody would be reached")]
    EmptyAudience,
    #[error("subscriber {subscriber} is past the limit of {limit}; raise `subscribers_max`")]
    TooManySubscribers { subscriber: SubscriberId, limit: u32 },
    #[error("a batch of {events} events is longer than one record holds; at most {limit}")]
    LongBatch { events: usize, limit: usize },
    #[error(
        "a batch from offset {from} to {to} begins before {known}, which was taken, and does not say which event has which offset"
    )]
    Overlap { from: u64, to: u64, known: u64 },
    #[error("a batch of {events} events has {marks} offsets or ids")]
    Marks { events: usize, marks: usize },
    #[error("the engine keeps at most {limit} waves; raise `waves_max`")]
    TooManyWaves { limit: usize },
    #[error("campaign {0} has been stopped; a stop is for good")]
    Stopped(CampaignId),
    #[error("campaign {0} is not paused")]
    NotPaused(CampaignId),
}
