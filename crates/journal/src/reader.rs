//! Reading committed records back, a segment in memory at a time.

use crate::{
    error::JournalError,
    format::{Group, HEADER_LEN, Position, record_at},
    segment::Segment,
};
use kairos_model::{Timestamp, disk::Disk};
use std::sync::Arc;

/// A record that owns its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub position: Position,
    pub stamp: Timestamp,
    pub kind: u8,
    pub payload: Vec<u8>,
}

/// A record in the reader's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    pub position: Position,
    pub stamp: Timestamp,
    pub kind: u8,
    pub payload: &'a [u8],
}

impl RecordRef<'_> {
    pub fn to_owned(&self) -> Record {
        Record { position: self.position, stamp: self.stamp, kind: self.kind, payload: self.payload.to_vec() }
    }
}

/// Committed records of one partition in order. [`Reader::next_ref`] copies nothing; the iterator copies payloads.
///
/// Every group's checksum is checked before its first record is given. The first error ends the reading.
pub struct Reader {
    disk: Arc<dyn Disk>,
    partition: u16,
    /// Still to be read, next one last.
    left: Vec<Segment>,
    current: Option<Segment>,
    file: Vec<u8>,
    /// Offset of the next group in `file`.
    at: usize,
    group: Option<Group>,
    /// Offset of the next record in the group's body.
    offset: usize,
    /// Records of the group that are still to come.
    in_group: u32,
    next: Position,
    /// Records before it are passed over: a group may begin before the position that was asked for.
    from: Position,
    end: Position,
    failed: bool,
}

impl Reader {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        partition: u16,
        mut segments: Vec<Segment>,
        from: Position,
        end: Position,
    ) -> Self {
        let next = segments.first().map_or(end, |s| s.first);
        segments.reverse();
        Self {
            disk,
            partition,
            left: segments,
            current: None,
            file: Vec::new(),
            at: 0,
            group: None,
            offset: 0,
            in_group: 0,
            next,
            from,
            end,
            failed: false,
        }
    }

    pub fn partition(&self) -> u16 {
        self.partition
    }

    /// The next record, borrowed until the next call.
    pub fn next_ref(&mut self) -> Option<Result<RecordRef<'_>, JournalError>> {
        if self.failed {
            return None;
        }
        match self.advance() {
            Ok(None) => None,
            Ok(Some((position, record, start))) => Some(Ok(RecordRef {
                position,
                stamp: record.stamp,
                kind: record.kind,
                payload: &self.file[start + record.start..start + record.end],
            })),
            Err(e) => {
                self.failed = true;
                Some(Err(e))
            }
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<(Position, crate::format::RawRecord, usize)>, JournalError> {
        loop {
            if self.in_group == 0 && !self.next_group()? {
                return Ok(None);
            }
            let (Some(group), Some(segment)) = (&self.group, &self.current) else { return Ok(None) };
            let body = &self.file[group.body.clone()];
            let record = record_at(body, self.offset, group.base)
                .ok_or_else(|| segment.corrupt(group.body.start + self.offset, "a record is longer than its group"))?;
            self.offset = record.end;
            self.in_group -= 1;
            if self.in_group == 0 && record.end != body.len() {
                return Err(segment
                    .corrupt(group.body.start + record.end, "a group holds another number of records than it says"));
            }
            let position = self.next;
            self.next = position.plus(1);
            if position >= self.from {
                return Ok(Some((position, record, group.body.start)));
            }
        }
    }

    /// Goes to the next group that has records at or behind `from`; `false` at the end.
    fn next_group(&mut self) -> Result<bool, JournalError> {
        loop {
            if self.next >= self.end {
                return Ok(false);
            }
            if self.current.as_ref().is_none_or(|s| self.at as u64 >= s.bytes) && !self.next_segment()? {
                return Ok(false);
            }
            let Some(segment) = &self.current else { return Ok(false) };
            if self.at as u64 >= segment.bytes {
                continue;
            }
            let group = segment.group(&self.file, self.at, self.next)?;
            self.at = group.next;
            let after = self.next.plus(group.count.into());
            if after <= self.from {
                self.next = after;
                continue;
            }
            self.offset = 0;
            self.in_group = group.count;
            self.group = Some(group);
            return Ok(true);
        }
    }

    fn next_segment(&mut self) -> Result<bool, JournalError> {
        let Some(segment) = self.left.pop() else {
            // the positions up to `end` were promised by the partition's own scan
            return match &self.current {
                Some(s) => Err(s.corrupt(self.at, "groups are missing at the end")),
                None => Ok(false),
            };
        };
        if segment.first != self.next {
            let before = self.current.as_ref().unwrap_or(&segment);
            return Err(before.corrupt(self.at, "groups are missing before the next segment"));
        }
        self.file = self.disk.read(&segment.path).map_err(JournalError::io("read", &segment.path))?;
        if (self.file.len() as u64) < segment.bytes {
            return Err(segment.corrupt(self.file.len(), "the file is shorter than what was committed to it"));
        }
        // behind the committed part a group may be in writing
        self.file.truncate(segment.bytes as usize);
        self.at = HEADER_LEN;
        self.current = Some(segment);
        Ok(true)
    }
}

impl Iterator for Reader {
    type Item = Result<Record, JournalError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|r| r.map(|r| r.to_owned()))
    }
}
