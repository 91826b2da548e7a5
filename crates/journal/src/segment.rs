//! One segment file: its name, its header against what is expected, and the scan that finds its sound end.

use crate::{
    error::JournalError,
    format::{FORMAT_VERSION, GROUP_HEADER_LEN, Group, HEADER_LEN, Header, HeaderFault, Position, group_at, record_at},
    partition::Limits,
};
use kairos_model::{Timestamp, disk::Disk};
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".seg";

/// A segment whose header was checked.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub path: PathBuf,
    pub first: Position,
    pub previous: Option<Position>,
    pub align: usize,
    /// Start value of the checksums of its groups.
    pub seed: u32,
    /// Bytes that are sound and committed.
    pub bytes: u64,
}

pub(crate) fn path_of(dir: &Path, first: Position) -> PathBuf {
    dir.join(format!("{:016x}{SUFFIX}", first.0))
}

/// The first position that a file name says; `None` for files that are no segments.
pub(crate) fn position_of(name: &str) -> Option<Position> {
    let hex = name.strip_suffix(SUFFIX)?;
    if hex.len() != 16 {
        return None;
    }
    u64::from_str_radix(hex, 16).ok().map(Position)
}

impl Segment {
    /// Checks the header against the name and the configuration.
    pub fn load(
        disk: &dyn Disk,
        dir: &Path,
        first: Position,
        partition: u16,
        limits: &Limits,
    ) -> Result<Self, JournalError> {
        let path = path_of(dir, first);
        let head = disk.read_at(&path, 0, HEADER_LEN).map_err(JournalError::io("read", &path))?;
        let bytes = disk.len(&path).map_err(JournalError::io("read the length of", &path))?;
        let corrupt = |why| JournalError::Corrupt { path: path.clone(), offset: 0, why };
        let (header, seed) = Header::decode(&head).map_err(|fault| match fault {
            HeaderFault::Newer(found) => JournalError::NewerFormat { path: path.clone(), found, known: FORMAT_VERSION },
            // a header is synced before its file gets its name, so this is never a torn write
            HeaderFault::Short => corrupt("the header is cut short"),
            HeaderFault::Magic => corrupt("this is no journal segment"),
            HeaderFault::Checksum => corrupt("the checksum of the header does not match"),
            HeaderFault::Alignment => corrupt("the alignment in the header is impossible"),
        })?;
        let checks = [
            ("tenant", u64::from(header.tenant.0), u64::from(limits.tenant.0)),
            ("partition", header.partition.into(), partition.into()),
            ("a journal whose number of partitions is", header.partitions.into(), limits.partitions.into()),
            ("position", header.first.0, first.0),
        ];
        for (what, found, wanted) in checks {
            if found != wanted {
                return Err(JournalError::Stranger { path, what, found, wanted });
            }
        }
        Ok(Self { path, first, previous: header.previous, align: header.align, seed, bytes })
    }

    /// The group at `at`, checked to be the one that begins with record `expected`.
    pub fn group(&self, file: &[u8], at: usize, expected: Position) -> Result<Group, JournalError> {
        let group = group_at(file, at, self.align, self.seed).map_err(|why| self.corrupt(at, why))?;
        if group.first != expected {
            return Err(self.corrupt(at, "groups are missing before this one"));
        }
        Ok(group)
    }

    pub fn corrupt(&self, at: usize, why: &'static str) -> JournalError {
        JournalError::Corrupt { path: self.path.clone(), offset: at as u64, why }
    }
}

/// What a scan of a partition's last segment found.
pub(crate) struct Scan {
    /// Where the sound part ends; less than the file's length after a torn write.
    pub sound: usize,
    pub end: Position,
    pub last_stamp: Option<Timestamp>,
    pub fault: Option<&'static str>,
}

/// Walks the groups. A fault is a torn write only where no whole group of this file follows it.
pub(crate) fn scan(segment: &Segment, file: &[u8]) -> Result<Scan, JournalError> {
    let mut at = HEADER_LEN;
    let mut scan = Scan { sound: at, end: segment.first, last_stamp: None, fault: None };
    while at < file.len() {
        match group_at(file, at, segment.align, segment.seed) {
            Ok(_) => {
                let group = segment.group(file, at, scan.end)?;
                scan.last_stamp = Some(last_stamp(segment, file, at, &group)?);
                scan.end = scan.end.plus(group.count.into());
                at = group.next;
                scan.sound = at;
            }
            Err(why) => {
                let mut later = at + segment.align;
                while later + GROUP_HEADER_LEN <= file.len() {
                    if group_at(file, later, segment.align, segment.seed).is_ok() {
                        return Err(segment.corrupt(at, why));
                    }
                    later += segment.align;
                }
                scan.fault = Some(why);
                break;
            }
        }
    }
    Ok(scan)
}

fn last_stamp(segment: &Segment, file: &[u8], at: usize, group: &Group) -> Result<Timestamp, JournalError> {
    let body = &file[group.body.clone()];
    let (mut offset, mut count, mut stamp) = (0, 0, group.base);
    while offset < body.len() {
        let record = record_at(body, offset, group.base)
            .ok_or_else(|| segment.corrupt(group.body.start + offset, "a record is longer than its group"))?;
        stamp = record.stamp;
        offset = record.end;
        count += 1;
    }
    if count != group.count || count == 0 {
        return Err(segment.corrupt(at, "a group holds another number of records than it says"));
    }
    Ok(stamp)
}
