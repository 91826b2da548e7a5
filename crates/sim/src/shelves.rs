//! Playbooks, snapshots and audiences by name: what `app` keeps beside the journal. Immutable, and never lost here.

use kairos_decide::{Consent, Facts, Listed, Playbook};
use kairos_engine::{AudienceHash, Library, LibraryError};
use kairos_model::{CampaignClass, CampaignId, Channel, PlaybookId, SnapshotId, SubscriberId};
use roaring::RoaringBitmap;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a snapshot says of each subscriber: a set of the bits of [`bit`].
#[derive(Clone, Debug, Default)]
pub struct Lists {
    pub id: u32,
    pub bits: Vec<u16>,
}

/// Bits of [`Lists`].
pub mod bit {
    pub const SUPPRESSED: u16 = 1;
    pub const NO_ADDRESS: u16 = 2;
    pub const DO_NOT_DISTURB: u16 = 4;
    /// The suppression list cannot be read for this subscriber.
    pub const UNREADABLE: u16 = 8;
    pub const CONSENT_DENIED: u16 = 16;
    pub const CONSENT_UNKNOWN: u16 = 32;
    pub const CONSENT_UNREADABLE: u16 = 64;
    /// In the audience that campaign 1 holds; the following bits are of campaigns 2, 3, …
    pub const AUDIENCE: u16 = 256;
}

impl Lists {
    pub fn has(&self, s: SubscriberId, bit: u16) -> bool {
        self.bits.get(s.0 as usize).is_some_and(|b| b & bit != 0)
    }
    pub fn holds(&self, campaign: CampaignId, s: SubscriberId) -> bool {
        (1..=8).contains(&campaign.0) && self.has(s, bit::AUDIENCE << (campaign.0 - 1))
    }
}

impl Facts for Lists {
    fn snapshot(&self) -> SnapshotId {
        SnapshotId(self.id)
    }
    fn address(&self, s: SubscriberId, _: Channel) -> bool {
        !self.has(s, bit::NO_ADDRESS)
    }
    fn suppressed(&self, s: SubscriberId) -> Listed {
        match (self.has(s, bit::UNREADABLE), self.has(s, bit::SUPPRESSED)) {
            (true, _) => Listed::Unreadable,
            (_, true) => Listed::Yes,
            _ => Listed::No,
        }
    }
    fn do_not_disturb(&self, s: SubscriberId) -> Listed {
        if self.has(s, bit::DO_NOT_DISTURB) { Listed::Yes } else { Listed::No }
    }
    fn consent(&self, s: SubscriberId, _: CampaignClass, _: Channel) -> Consent {
        if self.has(s, bit::CONSENT_DENIED) {
            Consent::Denied
        } else if self.has(s, bit::CONSENT_UNKNOWN) {
            Consent::Unknown
        } else if self.has(s, bit::CONSENT_UNREADABLE) {
            Consent::Unreadable
        } else {
            Consent::Granted
        }
    }
    fn in_audience(&self, campaign: CampaignId, s: SubscriberId) -> bool {
        self.holds(campaign, s)
    }
}

#[derive(Default)]
struct Kept {
    books: BTreeMap<PlaybookId, Arc<Playbook>>,
    facts: BTreeMap<SnapshotId, Arc<Lists>>,
    audiences: BTreeMap<AudienceHash, Arc<RoaringBitmap>>,
}

#[derive(Default)]
pub struct Shelves(Mutex<Kept>);

impl Shelves {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn put_book(&self, book: Playbook) -> Arc<Playbook> {
        let book = Arc::new(book);
        self.kept().books.insert(book.id, book.clone());
        book
    }
    pub fn put_lists(&self, lists: Lists) -> Arc<Lists> {
        let lists = Arc::new(lists);
        self.kept().facts.insert(SnapshotId(lists.id), lists.clone());
        lists
    }
    pub fn put_audience(&self, hash: AudienceHash, members: RoaringBitmap) -> Arc<RoaringBitmap> {
        let members = Arc::new(members);
        self.kept().audiences.insert(hash, members.clone());
        members
    }
    pub fn book(&self, id: PlaybookId) -> Option<Arc<Playbook>> {
        self.kept().books.get(&id).cloned()
    }
    pub fn lists(&self, id: SnapshotId) -> Option<Arc<Lists>> {
        self.kept().facts.get(&id).cloned()
    }
    pub fn members(&self, hash: &AudienceHash) -> Option<Arc<RoaringBitmap>> {
        self.kept().audiences.get(hash).cloned()
    }
}

impl Library for Shelves {
    fn playbook(&self, id: PlaybookId) -> Result<Option<Arc<Playbook>>, LibraryError> {
        Ok(self.book(id))
    }
    fn facts(&self, id: SnapshotId) -> Result<Option<Arc<dyn Facts>>, LibraryError> {
        Ok(self.lists(id).map(|f| f as Arc<dyn Facts>))
    }
    fn audience(&self, hash: &AudienceHash) -> Result<Option<Arc<RoaringBitmap>>, LibraryError> {
        Ok(self.members(hash))
    }
}
