//! The partitioned durable event log, and the disk that it is given.
//!
//! A [`Journal`] has a fixed number of partitions; each is a chain of segment files of groups of records. Records are
//! appended to memory and become durable together in [`Journal::commit`]: one write and one fdatasync a dirty partition.
//!
//! Invariants held here:
//! - one commit of a partition is one group, and a group is there whole or not at all, whatever the disk tore;
//! - what was committed is never dropped: only a damaged *last* group of a partition can be a torn write, and then
//!   [`Opened`] reports it; damage anywhere else is an error that names file and offset;
//! - a failed write or fdatasync poisons the journal for ever: what the disk holds is no longer known, so the caller
//!   ends the process and recovers by opening again;
//! - files of another tenant, another partition count or a newer format are refused;
//! - the disk is an argument: [`RealDisk`] or, in tests, a [`MemDisk`] that forgets and tears what was not synced.
//!
//! `open` takes no lock: whoever owns the data directory does.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod disk;
mod error;
mod format;
mod log;
mod partition;
mod reader;
mod segment;

pub use disk::RealDisk;
pub use error::{CommitFailed, JournalError};
pub use format::{FORMAT_VERSION, Position, RECORD_LIMIT};
pub use kairos_model::{
    disk::{Disk, DiskFile, DiskReader},
    mem_disk::{Fault, MemDisk},
};
pub use log::{Journal, JournalConfig, Opened};
pub use partition::{OpenedPartition, PartitionLog, Torn};
pub use reader::{Reader, Record, RecordRef};
