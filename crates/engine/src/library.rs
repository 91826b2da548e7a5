//! Where the engine finds what its journal only names: playbooks, snapshots, frozen audiences.

use kairos_decide::{Facts, Playbook};
use kairos_model::{PlaybookId, SnapshotId};
use roaring::RoaringBitmap;
use std::{fmt, sync::Arc};

/// The content hash of a frozen audience (BLAKE3, by the lake).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AudienceHash(pub [u8; 32]);

impl fmt::Display for AudienceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}
impl fmt::Debug for AudienceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What went wrong inside a library, in its own words.
pub type LibraryError = Box<dyn std::error::Error + Send + Sync>;

/// Immutable things by name; the same name gives the same thing for as long as the journal names it.
/// `Ok(None)`: there is no such thing. The engine asks at a swap, at a wave's start and at recovery, never per decision.
pub trait Library: Send + Sync {
    fn playbook(&self, id: PlaybookId) -> Result<Option<Arc<Playbook>>, LibraryError>;
    fn facts(&self, id: SnapshotId) -> Result<Option<Arc<dyn Facts>>, LibraryError>;
    fn audience(&self, hash: &AudienceHash) -> Result<Option<Arc<RoaringBitmap>>, LibraryError>;
}
