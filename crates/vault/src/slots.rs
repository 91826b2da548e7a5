//! The files of the vault and the bytes of their slots, version 1; little-endian.
//!
//! ```text
//! keys        40   0 random bytes from which the subscriber's key is derived   32 check
//! sources     24   0 hash of the source key   16 check
//! foreign     64   0 hash of the number   16 nonce   28 sealed number and tag   52 zeros   56 check
//! assigned    88   0 hash of the number   16 u32 subscriber   20 zeros   24 i64 from   32 i64 to (µs)
//!                  40 nonce   52 sealed number and tag (zeros in a gap, which nobody holds)   76 zeros   80 check
//! destroyed   24   0 u32 file   4 u32 bytes   8 u64 slot   16 check
//! texts       16   see `texts`: a record takes several slots
//! suppressed  40   0 hash of the number   16 i64 at (µs)   24 u8 cause, 0 = lifted   25 zeros   32 check
//! ```

use crate::store::FileSpec;

/// Places in [`MAIN`].
pub(crate) const KEYS: usize = 0;
pub(crate) const SOURCES: usize = 1;
pub(crate) const FOREIGN: usize = 2;
pub(crate) const ASSIGNED: usize = 3;
pub(crate) const TEXTS: usize = 4;
pub(crate) const DESTROYED: usize = 5;

pub(crate) const MAIN: [FileSpec; 6] = [
    FileSpec { name: "keys", kind: 1, slot: crate::keys::KEY_SLOT },
    FileSpec { name: "sources", kind: 2, slot: SOURCE_SLOT },
    FileSpec { name: "foreign", kind: 3, slot: FOREIGN_SLOT },
    FileSpec { name: "assigned", kind: 4, slot: ASSIGNED_SLOT },
    FileSpec { name: "texts", kind: 5, slot: UNIT },
    FileSpec { name: "destroyed", kind: 6, slot: DESTROYED_SLOT },
];
pub(crate) const MAIN_COMMITS: FileSpec = FileSpec { name: "commits", kind: 32, slot: 0 };
pub(crate) const SUPPRESSION: [FileSpec; 1] = [FileSpec { name: "suppressed", kind: 16, slot: SUPPRESSED_SLOT }];
pub(crate) const SUPPRESSION_COMMITS: FileSpec = FileSpec { name: "suppressed-commits", kind: 33, slot: 0 };

pub(crate) const SOURCE_SLOT: usize = 24;
pub(crate) const FOREIGN_SLOT: usize = 64;
pub(crate) const ASSIGNED_SLOT: usize = 88;
pub(crate) const DESTROYED_SLOT: usize = 24;
pub(crate) const SUPPRESSED_SLOT: usize = 40;
/// Texts are allocated in units of so many bytes, so that 32 bits reach 64 GiB.
pub(crate) const UNIT: usize = 16;

/// A slot under construction or taken apart; the last 8 bytes are the check.
pub(crate) struct Slot<const N: usize>(pub [u8; N]);

impl<const N: usize> Slot<N> {
    pub const BODY: usize = N - 8;
    pub fn new() -> Self {
        Self([0; N])
    }
    pub fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
    /// With the check that `sum` computes over the body.
    pub fn sealed(mut self, sum: impl FnOnce(&[u8]) -> [u8; 8]) -> [u8; N] {
        let check = sum(&self.0[..Self::BODY]);
        self.0[Self::BODY..].copy_from_slice(&check);
        self.0
    }
}

pub(crate) fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}
pub(crate) fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}
pub(crate) fn i64_at(b: &[u8], at: usize) -> i64 {
    u64_at(b, at) as i64
}
