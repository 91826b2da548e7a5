//! The journal: its partitions under one directory.

use crate::{
    error::{CommitFailed, JournalError},
    format::{GROUP_HEADER_LEN, HEADER_LEN, Position, RECORD_LIMIT, RECORD_OVERHEAD_MAX},
    partition::{Limits, OpenedPartition, PartitionLog, Poison, Torn},
    reader::Reader,
};
use kairos_model::{
    TenantId, Timestamp,
    disk::{Disk, TEMPORARY_SUFFIX},
};
use std::{path::Path, sync::Arc};

/// Shape and limits of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    pub tenant: TenantId,
    /// Fixed for the life of the directory: which shard lies where depends on it. 1–4096.
    pub partitions: u16,
    /// Bytes of one segment file, at most 1 GiB because a reader holds one in memory; a commit of one partition fits
    /// into one segment, so this also bounds what may wait uncommitted.
    pub segment_bytes: usize,
    /// Bytes of one payload; at most [`RECORD_LIMIT`].
    pub record_max: usize,
    /// Groups of new segments begin at multiples of it: a power of two from 8 to 65,536. 4,096 lets [`crate::RealDisk`]
    /// write large groups past the page cache, at the price of 2 KiB a group.
    pub align: usize,
}

impl JournalConfig {
    /// 64 MiB segments: recovery reads at most one whole segment a partition more than it needs. 1 MiB records, groups at
    /// multiples of 8.
    pub const fn new(tenant: TenantId, partitions: u16) -> Self {
        Self { tenant, partitions, segment_bytes: 64 << 20, record_max: 1 << 20, align: 8 }
    }

    fn check(&self) -> Result<Limits, JournalError> {
        let fault = |what, found, wanted| Err(JournalError::Config { what, found, wanted });
        if !(1..=4096).contains(&self.partitions) {
            return fault("partitions", self.partitions.into(), "1 to 4096");
        }
        if self.segment_bytes > 1 << 30 {
            return fault("segment_bytes", self.segment_bytes as u64, "at most 1 GiB");
        }
        if self.record_max > RECORD_LIMIT {
            return fault("record_max", self.record_max as u64, "at most 16 MiB − 1: a length has 24 bits");
        }
        if !self.align.is_power_of_two() || !(8..=1 << 16).contains(&self.align) {
            return fault("align", self.align as u64, "a power of two from 8 to 65,536");
        }
        let least = self.record_max + RECORD_OVERHEAD_MAX + HEADER_LEN + GROUP_HEADER_LEN + self.align;
        if self.segment_bytes < least {
            return fault("segment_bytes", self.segment_bytes as u64, "enough for one record of record_max");
        }
        Ok(Limits {
            tenant: self.tenant,
            partitions: self.partitions,
            segment_bytes: self.segment_bytes,
            pending_max: self.segment_bytes - HEADER_LEN - self.align,
            record_max: self.record_max,
            align: self.align,
        })
    }
}

/// What opening found.
#[derive(Debug)]
pub struct Opened {
    /// By partition.
    pub partitions: Vec<OpenedPartition>,
    /// Temporary files of an interrupted write that were removed.
    pub swept: usize,
}

impl Opened {
    /// Torn last groups that were cut off: never acknowledged as committed, unless the file was damaged at rest.
    pub fn torn(&self) -> impl Iterator<Item = &Torn> {
        self.partitions.iter().filter_map(|p| p.torn.as_ref())
    }
    /// The highest stamp of a last group: the clock must not start before it.
    pub fn last_stamp(&self) -> Option<Timestamp> {
        self.partitions.iter().filter_map(|p| p.last_stamp).max()
    }
}

/// The journal of one tenant. See the crate's invariants.
pub struct Journal {
    partitions: Vec<PartitionLog>,
}

impl Journal {
    /// Opens or makes the journal in `dir`. Cuts torn last groups off, and reports them.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, config: JournalConfig) -> Result<(Self, Opened), JournalError> {
        let limits = config.check()?;
        let poison = Poison::default();
        disk.create_dir_all(dir).map_err(JournalError::io("make directory", dir))?;
        let mut opened = Opened { partitions: Vec::with_capacity(config.partitions.into()), swept: 0 };
        let names = disk.list_dirs(dir).map_err(JournalError::io("list", dir))?;
        for name in names.iter().filter(|n| partition_of(n).is_some_and(|p| p >= config.partitions)) {
            let path = dir.join(name);
            // an empty one may be left from an open that was refused
            if !disk.list(&path).map_err(JournalError::io("list", &path))?.is_empty() {
                return Err(JournalError::MorePartitions { path, wanted: config.partitions });
            }
        }
        for p in 0..config.partitions {
            let sub = dir.join(partition_name(p));
            disk.create_dir_all(&sub).map_err(JournalError::io("make directory", &sub))?;
        }
        disk.sync_dir(dir).map_err(JournalError::io("sync directory", dir))?;
        let mut partitions = Vec::with_capacity(config.partitions.into());
        for p in 0..config.partitions {
            let sub = dir.join(partition_name(p));
            for name in disk.list(&sub).map_err(JournalError::io("list", &sub))? {
                if name.ends_with(TEMPORARY_SUFFIX) {
                    let path = sub.join(name);
                    disk.remove(&path).map_err(JournalError::io("remove", &path))?;
                    opened.swept += 1;
                }
            }
            let (log, found) = PartitionLog::open(Arc::clone(&disk), sub, p, limits.clone(), poison.clone())?;
            if let Some(torn) = &found.torn {
                tracing::warn!(partition = p, file = %torn.path.display(), offset = torn.offset, bytes = torn.bytes,
                    "journal: torn last group cut off");
            }
            partitions.push(log);
            opened.partitions.push(found);
        }
        Ok((Self { partitions }, opened))
    }

    /// Buffers a record in memory; it is durable after the next [`Journal::commit`]. Returns its position.
    #[inline]
    pub fn append(
        &mut self,
        partition: u16,
        stamp: Timestamp,
        kind: u8,
        payload: &[u8],
    ) -> Result<Position, JournalError> {
        self.partition_mut(partition)?.append(stamp, kind, payload)
    }

    /// Makes everything appended durable: one write a dirty partition, then one fdatasync each.
    ///
    /// Atomic for each partition, not across them. An error poisons the journal: end the process.
    pub fn commit(&mut self) -> Result<(), CommitFailed> {
        for log in &mut self.partitions {
            log.write()?;
        }
        for log in &mut self.partitions {
            log.sync()?;
        }
        Ok(())
    }

    /// Committed records from `from` on; from [`Journal::first`] to [`Journal::end`] as they are now.
    pub fn read_from(&self, partition: u16, from: Position) -> Result<Reader, JournalError> {
        self.partition(partition)?.read_from(from)
    }

    /// Removes the segments that hold only records before `keep`. What stays may begin earlier than `keep`.
    pub fn release_before(&mut self, partition: u16, keep: Position) -> Result<(), JournalError> {
        self.partition_mut(partition)?.release_before(keep)
    }

    /// Position behind the last committed record. Panics where `partition` is none of the configured.
    pub fn end(&self, partition: u16) -> Position {
        self.partitions[usize::from(partition)].end()
    }
    /// Position of the oldest record that is kept. Panics where `partition` is none of the configured.
    pub fn first(&self, partition: u16) -> Position {
        self.partitions[usize::from(partition)].first()
    }
    /// Bytes that wait for a commit, over all partitions.
    pub fn pending_bytes(&self) -> usize {
        self.partitions.iter().map(PartitionLog::pending_bytes).sum()
    }
    /// Bytes of one payload, at most.
    pub fn record_max(&self) -> usize {
        self.partitions.first().map_or(0, PartitionLog::record_max)
    }
    pub fn partitions(&self) -> u16 {
        self.partitions.len() as u16
    }
    /// Whether an earlier commit failed.
    pub fn is_poisoned(&self) -> bool {
        self.partitions.iter().any(PartitionLog::is_poisoned)
    }

    pub fn partition(&self, partition: u16) -> Result<&PartitionLog, JournalError> {
        let partitions = self.partitions();
        self.partitions.get(usize::from(partition)).ok_or(JournalError::NoPartition { partition, partitions })
    }
    pub fn partition_mut(&mut self, partition: u16) -> Result<&mut PartitionLog, JournalError> {
        let partitions = self.partitions();
        self.partitions.get_mut(usize::from(partition)).ok_or(JournalError::NoPartition { partition, partitions })
    }
    /// The partitions by themselves, one for each loop on a thread of its own; the poison stays shared.
    pub fn into_partitions(self) -> Vec<PartitionLog> {
        self.partitions
    }

    /// Reads and checks every committed byte; returns the number of records.
    pub fn verify(&self) -> Result<u64, JournalError> {
        let mut records = 0;
        for log in &self.partitions {
            let mut reader = log.read_from(log.first())?;
            while let Some(record) = reader.next_ref() {
                record?;
                records += 1;
            }
        }
        Ok(records)
    }
}

fn partition_name(partition: u16) -> String {
    format!("p{partition:04}")
}
fn partition_of(name: &str) -> Option<u16> {
    name.strip_prefix('p')?.parse().ok()
}
