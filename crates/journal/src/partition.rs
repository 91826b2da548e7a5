//! One partition: a chain of segments, the last one open for writing, and the group that is being filled.

use crate::{
    error::{CommitFailed, JournalError},
    format::{GroupBuffer, HEADER_LEN, Header, Position, RECORD_OVERHEAD_MAX},
    reader::Reader,
    segment::{Scan, Segment, path_of, position_of, scan},
};
use kairos_model::{
    TenantId, Timestamp,
    disk::{Disk, DiskFile},
};
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub tenant: TenantId,
    pub partitions: u16,
    pub segment_bytes: usize,
    /// Most bytes of an unwritten group: it must fit into a fresh segment.
    pub pending_max: usize,
    pub record_max: usize,
    pub align: usize,
}

/// Shared by the partitions of a journal: one failed write or sync ends them all.
#[derive(Clone, Default)]
pub(crate) struct Poison(Arc<AtomicBool>);

impl Poison {
    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
    #[inline]
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A last group that was not whole, cut off at open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    pub path: PathBuf,
    /// Where the file was cut.
    pub offset: u64,
    /// Bytes that were cut off.
    pub bytes: u64,
    pub why: &'static str,
}

/// What opening found in one partition.
#[derive(Clone, Debug)]
pub struct OpenedPartition {
    /// Oldest record that is kept.
    pub first: Position,
    /// Behind the last committed record. A checkpoint that stands behind this proves that committed records are lost.
    pub end: Position,
    pub segments: usize,
    /// Stamp of the last record.
    pub last_stamp: Option<Timestamp>,
    pub torn: Option<Torn>,
}

/// One partition of a journal; a loop on a thread of its own may own it.
pub struct PartitionLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    partition: u16,
    limits: Limits,
    poison: Poison,
    /// In order; the last one is open in `file`.
    segments: Vec<Segment>,
    file: Box<dyn DiskFile>,
    end: Position,
    pending: GroupBuffer,
    /// A group was written and waits for its sync.
    written: bool,
}

impl PartitionLog {
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        partition: u16,
        limits: Limits,
        poison: Poison,
    ) -> Result<(Self, OpenedPartition), JournalError> {
        let mut segments = load_chain(&*disk, &dir, partition, &limits)?;
        if segments.is_empty() {
            let start = Position::START;
            segments.push(
                create(&*disk, &dir, partition, &limits, start, None)
                    .map_err(JournalError::io("create", path_of(&dir, start)))?,
            );
        }
        let (scan, torn) = mend_tail(&*disk, &mut segments)?;
        let mut last_stamp = scan.last_stamp;
        if let (None, [.., before, _]) = (last_stamp, segments.as_slice()) {
            last_stamp = scan_file(&*disk, before)?.0.last_stamp;
        }
        let (first, last) = match (segments.first(), segments.last()) {
            (Some(first), Some(last)) => (first.first, last.path.clone()),
            _ => unreachable!("a partition has a segment: one was made above"),
        };
        let mut file = disk.open_append(&last).map_err(JournalError::io("open", &last))?;
        // what an earlier process wrote and did not live to sync was read as committed: it must not vanish any more
        file.sync_data().map_err(JournalError::io("sync", &last))?;
        disk.sync_dir(&dir).map_err(JournalError::io("sync directory", &dir))?;
        let opened = OpenedPartition { first, end: scan.end, segments: segments.len(), last_stamp, torn };
        let log = Self {
            disk,
            dir,
            partition,
            limits,
            poison,
            segments,
            file,
            end: scan.end,
            pending: GroupBuffer::default(),
            written: false,
        };
        Ok((log, opened))
    }

    /// Buffers a record in memory; it is durable after the next commit. Returns its position.
    #[inline]
    pub fn append(&mut self, stamp: Timestamp, kind: u8, payload: &[u8]) -> Result<Position, JournalError> {
        // a written group whose sync is outstanding must not be mixed with the next one
        if self.written || self.poison.is_set() {
            return Err(JournalError::Poisoned);
        }
        if payload.len() > self.limits.record_max {
            let (len, max) = (payload.len(), self.limits.record_max);
            return Err(JournalError::RecordTooLong { partition: self.partition, len, max });
        }
        let pending = self.pending.len();
        if pending + payload.len() + RECORD_OVERHEAD_MAX > self.limits.pending_max && pending > 0 {
            return Err(JournalError::Full { partition: self.partition, pending, max: self.limits.pending_max });
        }
        let at = self.end.plus(self.pending.count().into());
        self.pending.push(stamp, kind, payload);
        Ok(at)
    }

    /// Makes the buffered group durable. An error poisons the whole journal: end the process.
    pub fn commit(&mut self) -> Result<(), CommitFailed> {
        self.write()?;
        self.sync()
    }

    pub(crate) fn write(&mut self) -> Result<(), CommitFailed> {
        if self.poison.is_set() {
            return Err(self.failed("write", io::Error::other("an earlier write or sync failed")));
        }
        if self.pending.count() == 0 {
            return Ok(());
        }
        let used = self.file.len() as usize;
        let end = (used + self.pending.len()).next_multiple_of(self.active().align);
        if used > HEADER_LEN && end > self.limits.segment_bytes {
            self.roll().map_err(|cause| self.failed("begin a segment after", cause))?;
        }
        let (seed, align) = (self.active().seed, self.active().align);
        let padded = (self.file.len() as usize + self.pending.len()).next_multiple_of(align) - self.file.len() as usize;
        let bytes = self.pending.seal(self.end, seed, padded);
        let outcome = self.file.append(bytes);
        outcome.map_err(|cause| self.failed("write", cause))?;
        self.written = true;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), CommitFailed> {
        if !self.written {
            return Ok(());
        }
        if self.poison.is_set() {
            return Err(self.failed("sync", io::Error::other("an earlier write or sync failed")));
        }
        let outcome = self.file.sync_data();
        outcome.map_err(|cause| self.failed("sync", cause))?;
        self.written = false;
        self.end = self.end.plus(self.pending.count().into());
        self.pending.clear();
        let bytes = self.file.len();
        if let Some(active) = self.segments.last_mut() {
            active.bytes = bytes;
        }
        Ok(())
    }

    /// Everything in the segment before is synced: a new one begins only at the start of a commit.
    fn roll(&mut self) -> io::Result<()> {
        let previous = Some(self.active().first);
        let next = create(&*self.disk, &self.dir, self.partition, &self.limits, self.end, previous)?;
        self.file = self.disk.open_append(&next.path)?;
        self.segments.push(next);
        Ok(())
    }

    fn failed(&self, what: &'static str, cause: io::Error) -> CommitFailed {
        self.poison.set();
        CommitFailed { partition: self.partition, what, path: self.active().path.clone(), cause }
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("open made or found one, and release keeps the last")
    }

    /// Committed records from `from` on, up to the end as it is now.
    pub fn read_from(&self, from: Position) -> Result<Reader, JournalError> {
        if from < self.first() || from > self.end {
            return Err(JournalError::OutOfRange {
                partition: self.partition,
                wanted: from,
                first: self.first(),
                end: self.end,
            });
        }
        let skip = self.segments.partition_point(|s| s.first <= from).saturating_sub(1);
        Ok(Reader::new(Arc::clone(&self.disk), self.partition, self.segments[skip..].to_vec(), from, self.end))
    }

    /// Removes the segments that hold only records before `keep`, oldest first and each durably, so that a crash in
    /// between leaves no hole in the chain.
    pub fn release_before(&mut self, keep: Position) -> Result<(), JournalError> {
        while self.segments.len() > 1 && self.segments[1].first <= keep {
            let path = self.segments[0].path.clone();
            self.disk.remove(&path).map_err(JournalError::io("remove", &path))?;
            self.disk.sync_dir(&self.dir).map_err(JournalError::io("sync directory", &self.dir))?;
            self.segments.remove(0);
        }
        Ok(())
    }

    /// Position behind the last committed record.
    pub fn end(&self) -> Position {
        self.end
    }
    /// Position of the oldest record that is kept.
    pub fn first(&self) -> Position {
        self.segments.first().map_or(self.end, |s| s.first)
    }
    /// Bytes that wait for a commit.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }
    /// Bytes of one payload, at most.
    pub fn record_max(&self) -> usize {
        self.limits.record_max
    }
    pub fn number(&self) -> u16 {
        self.partition
    }
    /// Whether an earlier commit, of this partition or another, failed.
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }
}

/// The header is durable before the file has its name: a segment without a sound header is never a torn write.
fn create(
    disk: &dyn Disk,
    dir: &std::path::Path,
    partition: u16,
    limits: &Limits,
    first: Position,
    previous: Option<Position>,
) -> io::Result<Segment> {
    let path = path_of(dir, first);
    let align = limits.align;
    let header = Header { tenant: limits.tenant, partition, partitions: limits.partitions, first, previous, align };
    let bytes = header.encode();
    disk.write_whole(&path, &bytes)?;
    let seed = crate::format::u32_at(&bytes, HEADER_LEN - 4);
    Ok(Segment { path, first, previous, align, seed, bytes: HEADER_LEN as u64 })
}

fn load_chain(
    disk: &dyn Disk,
    dir: &std::path::Path,
    partition: u16,
    limits: &Limits,
) -> Result<Vec<Segment>, JournalError> {
    let names = disk.list(dir).map_err(JournalError::io("list", dir))?;
    let mut segments: Vec<Segment> = Vec::new();
    for first in names.iter().filter_map(|n| position_of(n)) {
        let segment = Segment::load(disk, dir, first, partition, limits)?;
        if let Some(before) = segments.last()
            && segment.previous != Some(before.first)
        {
            let missing = segment.previous.unwrap_or(Position::START);
            return Err(JournalError::Missing { path: path_of(dir, missing), needed_by: segment.path });
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn scan_file(disk: &dyn Disk, segment: &Segment) -> Result<(Scan, usize), JournalError> {
    let file = disk.read(&segment.path).map_err(JournalError::io("read", &segment.path))?;
    Ok((scan(segment, &file)?, file.len()))
}

/// Cuts a torn last group off, so that the next one is written behind a sound one.
fn mend_tail(disk: &dyn Disk, segments: &mut [Segment]) -> Result<(Scan, Option<Torn>), JournalError> {
    let last = segments.last_mut().expect("the caller made one where there was none");
    let (scan, len) = scan_file(disk, last)?;
    let torn = scan.fault.map(|why| Torn {
        path: last.path.clone(),
        offset: scan.sound as u64,
        bytes: (len - scan.sound) as u64,
        why,
    });
    if torn.is_some() {
        disk.truncate(&last.path, scan.sound as u64).map_err(JournalError::io("cut", &last.path))?;
    }
    last.bytes = scan.sound as u64;
    Ok((scan, torn))
}
