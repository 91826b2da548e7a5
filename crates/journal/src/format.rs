//! The bytes of a segment, version 1; everything is little-endian. Decided in `docs/adr/0003-journal-format.md`.
//!
//! ```text
//! header, 64 bytes     0 magic "KAIROS-J"   8 u16 version   10 u16 tenant   12 u16 partition   14 u16 partitions
//!                     16 u64 first position   24 u64 first position of the segment before (all ones: none)
//!                     32 u32 alignment of groups   36 zeros   60 u32 crc32c of bytes 0–59
//! group               0 u32 magic "KGR1"   4 u32 bytes of records   8 u64 position of its first record
//!                     16 i64 base stamp (µs)   24 u32 records   28 u32 crc32c of bytes 0–27 and the records, started
//!                     from the header's checksum   32 records   then zeros to the alignment
//! record              u32: low 24 bits length of the payload, high 8 bits kind   u32 stamp − base stamp in µs,
//!                     or all ones: an i64 stamp follows   payload
//! ```

use kairos_model::{TenantId, Timestamp};
use std::fmt;

/// Version that this program writes; it reads this and older ones.
pub const FORMAT_VERSION: u16 = 1;
/// Longest payload of a record that the format can hold: its length has 24 bits.
pub const RECORD_LIMIT: usize = (1 << 24) - 1;

pub(crate) const HEADER_LEN: usize = 64;
pub(crate) const GROUP_HEADER_LEN: usize = 32;
/// Most bytes that a record takes beside its payload.
pub(crate) const RECORD_OVERHEAD_MAX: usize = 16;
/// Large groups begin here in memory too, so that a disk can take them without a copy.
const PAGE: usize = 4096;

const MAGIC: &[u8; 8] = b"KAIROS-J";
const GROUP_MAGIC: u32 = u32::from_le_bytes(*b"KGR1");
const NO_SEGMENT: u64 = u64::MAX;
const WIDE_STAMP: u32 = u32::MAX;

/// The number of a record in its partition, from 0, without gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    pub const START: Self = Self(0);
    pub const fn plus(self, records: u64) -> Self {
        Self(self.0 + records)
    }
}
impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub tenant: TenantId,
    pub partition: u16,
    pub partitions: u16,
    pub first: Position,
    pub previous: Option<Position>,
    pub align: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Short,
    Magic,
    Newer(u16),
    Checksum,
    Alignment,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut b = [0; HEADER_LEN];
        b[0..8].copy_from_slice(MAGIC);
        b[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        b[10..12].copy_from_slice(&self.tenant.0.to_le_bytes());
        b[12..14].copy_from_slice(&self.partition.to_le_bytes());
        b[14..16].copy_from_slice(&self.partitions.to_le_bytes());
        b[16..24].copy_from_slice(&self.first.0.to_le_bytes());
        b[24..32].copy_from_slice(&self.previous.map_or(NO_SEGMENT, |p| p.0).to_le_bytes());
        b[32..36].copy_from_slice(&(self.align as u32).to_le_bytes());
        let crc = crc32c::crc32c(&b[..60]);
        b[60..64].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// The header and the start value of its groups' checksums.
    pub fn decode(b: &[u8]) -> Result<(Self, u32), HeaderFault> {
        if b.len() < HEADER_LEN {
            return Err(HeaderFault::Short);
        }
        if &b[..8] != MAGIC {
            return Err(HeaderFault::Magic);
        }
        // before the checksum: a newer version may keep its checksum elsewhere
        let version = u16_at(b, 8);
        if version > FORMAT_VERSION {
            return Err(HeaderFault::Newer(version));
        }
        let crc = u32_at(b, 60);
        if version == 0 || crc != crc32c::crc32c(&b[..60]) {
            return Err(HeaderFault::Checksum);
        }
        let align = u32_at(b, 32) as usize;
        if !align.is_power_of_two() || align > 1 << 16 {
            return Err(HeaderFault::Alignment);
        }
        let previous = Some(u64_at(b, 24)).filter(|&p| p != NO_SEGMENT).map(Position);
        let header = Self {
            tenant: TenantId(u16_at(b, 10)),
            partition: u16_at(b, 12),
            partitions: u16_at(b, 14),
            first: Position(u64_at(b, 16)),
            previous,
            align,
        };
        Ok((header, crc))
    }
}

/// Where a whole, checked group lies in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub first: Position,
    pub base: Timestamp,
    pub count: u32,
    pub body: std::ops::Range<usize>,
    /// Where the next group begins.
    pub next: usize,
}

/// Why there is no whole group at an offset.
pub(crate) type GroupFault = &'static str;

/// The group at `at`; `seed` is the checksum of the file's header.
pub(crate) fn group_at(file: &[u8], at: usize, align: usize, seed: u32) -> Result<Group, GroupFault> {
    let head = file.get(at..at + GROUP_HEADER_LEN).ok_or("the header of a group is cut short")?;
    if u32_at(head, 0) != GROUP_MAGIC {
        return Err("no group begins here");
    }
    let start = at + GROUP_HEADER_LEN;
    let end = start + u32_at(head, 4) as usize;
    let next = end.next_multiple_of(align);
    let body = file.get(start..end).ok_or("a group is cut short")?;
    let padding = file.get(end..next).ok_or("a group is cut short")?;
    if crc32c::crc32c_append(crc32c::crc32c_append(seed, &head[..28]), body) != u32_at(head, 28) {
        return Err("the checksum of a group does not match");
    }
    if padding.iter().any(|&b| b != 0) {
        return Err("the padding of a group is not zero");
    }
    Ok(Group {
        first: Position(u64_at(head, 8)),
        base: Timestamp(u64_at(head, 16) as i64),
        count: u32_at(head, 24),
        body: start..end,
        next,
    })
}

/// A group that is being filled in memory.
#[derive(Default)]
pub(crate) struct GroupBuffer {
    bytes: Vec<u8>,
    /// Where the group begins in `bytes`: at a page, unless the memory was moved while it grew.
    start: usize,
    base: i64,
    count: u32,
}

impl GroupBuffer {
    pub fn count(&self) -> u32 {
        self.count
    }
    /// Bytes of the group so far, header included.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.count = 0;
    }

    /// `payload` is at most [`RECORD_LIMIT`] long; the caller checks.
    #[inline]
    pub fn push(&mut self, stamp: Timestamp, kind: u8, payload: &[u8]) {
        if self.count == 0 {
            self.start = self.bytes.as_ptr().align_offset(PAGE) % PAGE;
            self.bytes.resize(self.start + GROUP_HEADER_LEN, 0);
            self.base = stamp.0;
        }
        let word = payload.len() as u32 | u32::from(kind) << 24;
        let mut head = [0; RECORD_OVERHEAD_MAX];
        head[..4].copy_from_slice(&word.to_le_bytes());
        match stamp.0.checked_sub(self.base).and_then(|d| u32::try_from(d).ok()).filter(|&d| d != WIDE_STAMP) {
            Some(delta) => {
                head[4..8].copy_from_slice(&delta.to_le_bytes());
                self.bytes.extend_from_slice(&head[..8]);
            }
            None => {
                head[4..8].copy_from_slice(&WIDE_STAMP.to_le_bytes());
                head[8..].copy_from_slice(&stamp.0.to_le_bytes());
                self.bytes.extend_from_slice(&head);
            }
        }
        self.bytes.extend_from_slice(payload);
        self.count += 1;
    }

    /// Fills in header and padding up to `padded` bytes: the bytes to write.
    pub fn seal(&mut self, first: Position, seed: u32, padded: usize) -> &[u8] {
        let group = &mut self.bytes[self.start..];
        let body = (group.len() - GROUP_HEADER_LEN) as u32;
        let head = &mut group[..GROUP_HEADER_LEN];
        head[0..4].copy_from_slice(&GROUP_MAGIC.to_le_bytes());
        head[4..8].copy_from_slice(&body.to_le_bytes());
        head[8..16].copy_from_slice(&first.0.to_le_bytes());
        head[16..24].copy_from_slice(&self.base.to_le_bytes());
        head[24..28].copy_from_slice(&self.count.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &group[..28]);
        let crc = crc32c::crc32c_append(crc, &group[GROUP_HEADER_LEN..]);
        group[28..32].copy_from_slice(&crc.to_le_bytes());
        self.bytes.resize(self.start + padded, 0);
        &self.bytes[self.start..]
    }
}

/// A record's header, and where in `body` its payload lies.
#[derive(Clone, Copy)]
pub(crate) struct RawRecord {
    pub stamp: Timestamp,
    pub kind: u8,
    pub start: usize,
    pub end: usize,
}

/// The record at `at` of a group's body; `None` where it does not fit.
#[inline]
pub(crate) fn record_at(body: &[u8], at: usize, base: Timestamp) -> Option<RawRecord> {
    let head = body.get(at..at + 8)?;
    let word = u32_at(head, 0);
    let delta = u32_at(head, 4);
    let (stamp, start) = if delta == WIDE_STAMP {
        (u64_at(body.get(at + 8..at + 16)?, 0) as i64, at + 16)
    } else {
        (base.0.wrapping_add(i64::from(delta)), at + 8)
    };
    let end = start + (word & 0x00ff_ffff) as usize;
    if end > body.len() {
        return None;
    }
    Some(RawRecord { stamp: Timestamp(stamp), kind: (word >> 24) as u8, start, end })
}
