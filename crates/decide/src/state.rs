//! What a subscriber's record is made of: contacts that may still matter, timers, counts.

use crate::playbook::FamilyId;
use kairos_model::{CampaignId, CampaignVersion, ContactId, Span, Timestamp};

/// Contacts are remembered this long at least: the longest window that a playbook may ask for. Beyond it nothing can
/// matter, so the record stays bounded; pending and unknown contacts are never dropped.
pub const HISTORY_KEEP: Span = Span::days(366);

/// What an entry of the history stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Mark {
    /// Intended or offered: a reservation.
    Pending = 1,
    Sent = 2,
    /// Offered, the answer is lost: keeps its reservation.
    Unknown = 3,
    /// Kept back to measure against: nobody contacted them.
    Control = 4,
    /// A holding campaign decided against a contact: it holds no longer. Counts for no cap.
    Decided = 5,
}

impl Mark {
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Pending),
            2 => Some(Self::Sent),
            3 => Some(Self::Unknown),
            4 => Some(Self::Control),
            5 => Some(Self::Decided),
            _ => None,
        }
    }
    /// Whether it counts for the same-message rule.
    pub const fn counts_for_family(self) -> bool {
        !matches!(self, Self::Decided)
    }
    /// Whether it counts as a contact for other campaigns.
    pub const fn counts_for_others(self) -> bool {
        matches!(self, Self::Pending | Self::Sent | Self::Unknown)
    }
}

/// One contact in 20 bytes: stamp in microseconds and mark share the first 64 bits (55 bits reach ±1,141 years); the
/// contact is known by its campaign and the low 32 bits of its id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    words: [u32; 2],
    campaign: u32,
    family: u32,
    key: u32,
}

const _: () = assert!(size_of::<Entry>() == 20);

impl Entry {
    pub(crate) const EMPTY: Self = Self { words: [0; 2], campaign: 0, family: 0, key: 0 };
    pub(crate) fn remark(&mut self, mark: Mark, stamp: Option<Timestamp>) {
        self.words = Self::pack(stamp.unwrap_or_else(|| self.stamp()), mark);
    }
    /// Stamps outside ±1,141 years of 1970 are held at that limit.
    pub fn new(stamp: Timestamp, campaign: CampaignId, family: FamilyId, contact: ContactId, mark: Mark) -> Self {
        let (campaign, family, key) = (campaign.0, family.0, contact.0 as u32);
        Self { words: Self::pack(stamp, mark), campaign, family, key }
    }
    fn pack(stamp: Timestamp, mark: Mark) -> [u32; 2] {
        let held = stamp.0.clamp(-(1 << 55), (1 << 55) - 1);
        let x = (held as u64) << 8 | mark as u64;
        [x as u32, (x >> 32) as u32]
    }
    fn word(&self) -> u64 {
        u64::from(self.words[0]) | u64::from(self.words[1]) << 32
    }
    pub fn stamp(&self) -> Timestamp {
        Timestamp(self.word() as i64 >> 8)
    }
    pub fn mark(&self) -> Mark {
        // only `pack` writes the byte
        Mark::from_code(self.word() as u8).unwrap_or(Mark::Unknown)
    }
    pub const fn campaign(&self) -> CampaignId {
        CampaignId(self.campaign)
    }
    pub const fn family(&self) -> FamilyId {
        FamilyId(self.family)
    }
    /// The low 32 bits of the contact's id.
    pub const fn key(&self) -> u32 {
        self.key
    }
    pub fn is(&self, campaign: CampaignId, contact: ContactId) -> bool {
        self.campaign == campaign.0 && self.key == contact.0 as u32
    }
    /// Its bytes in a checkpoint.
    pub const fn words(&self) -> [u32; 5] {
        [self.words[0], self.words[1], self.campaign, self.family, self.key]
    }
    /// From [`Entry::words`]; `None` if there is no mark in them.
    pub const fn from_words(w: [u32; 5]) -> Option<Self> {
        match Mark::from_code(w[0] as u8) {
            Some(_) => Some(Self { words: [w[0], w[1]], campaign: w[2], family: w[3], key: w[4] }),
            None => None,
        }
    }
    /// From its parts as a checkpoint of format 1 holds them; `None` if `mark` is no mark.
    pub fn from_parts(stamp: i64, campaign: u32, family: u32, key: u32, mark: u8) -> Option<Self> {
        let words = Self::pack(Timestamp(stamp), Mark::from_code(mark)?);
        Some(Self { words, campaign, family, key })
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {} f{} at {}", self.mark(), self.campaign(), self.family, self.stamp())
    }
}

/// A match that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer {
    pub due: Timestamp,
    pub campaign: CampaignId,
    /// When it matched; the book in force at the firing judges.
    pub version: CampaignVersion,
    /// Arrival stamp of the event that matched.
    pub occurrence: Timestamp,
    /// When that event happened.
    pub since: Timestamp,
}

/// What has been counted for a campaign's `Earlier`: for a count the newest stamps, ascending; for a sequence the latest
/// beginning of a chain that has reached each step ([`Timestamp::MIN`]: none).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    pub campaign: CampaignId,
    pub stamps: Vec<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_stamp_and_mark_to_the_microsecond() {
        for at in [0, 1, -1, 1_773_108_000_123_456, -(1 << 55), (1 << 55) - 1] {
            for code in 1..=5 {
                let mark = Mark::from_code(code).unwrap();
                let e = Entry::new(Timestamp(at), CampaignId(7), FamilyId(u32::MAX), ContactId(1 << 40 | 9), mark);
                assert_eq!((e.stamp().0, e.mark(), e.campaign().0, e.family().0, e.key()), (at, mark, 7, u32::MAX, 9));
            }
        }
        let late = Entry::new(Timestamp::MAX, CampaignId(1), FamilyId(1), ContactId(1), Mark::Sent);
        assert_eq!(late.stamp().0, (1 << 55) - 1);
    }
}
