//! One subscriber's record: contacts that may still matter, opt-outs, last cell and power.

use crate::playbook::FamilyId;
use kairos_model::{CampaignClass, CampaignId, CellId, ContactId, Span, Timestamp};

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
    /// From its parts as a checkpoint holds them; `None` if `mark` is no mark.
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

/// The record of one subscriber. 40 bytes where there is no history.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct State {
    history: Vec<Entry>,
    /// Last cell.
    pub cell: CellId,
    flags: u16,
}

const _: () = assert!(size_of::<State>() <= 40);

const OPTED_OUT: u16 = 0b111;
const POWER_OFF: u16 = 1 << 3;

const fn class_bit(class: CampaignClass) -> u16 {
    1 << (class.code() - 1)
}

impl State {
    pub fn opted_out(&self, class: CampaignClass) -> bool {
        self.flags & class_bit(class) != 0
    }
    /// `None`: every class.
    pub fn set_opted_out(&mut self, class: Option<CampaignClass>, out: bool) {
        let bits = class.map_or(OPTED_OUT, class_bit);
        self.flags = if out { self.flags | bits } else { self.flags & !bits };
    }
    pub const fn powered_on(&self) -> bool {
        self.flags & POWER_OFF == 0
    }
    pub fn set_power(&mut self, on: bool) {
        self.flags = if on { self.flags & !POWER_OFF } else { self.flags | POWER_OFF };
    }
    /// Opt-outs and power as a checkpoint holds them.
    pub const fn flags(&self) -> u16 {
        self.flags
    }
    /// A record as a checkpoint held it.
    pub fn restore(cell: CellId, flags: u16, history: Vec<Entry>) -> Self {
        Self { history, cell, flags }
    }
    pub fn is_default(&self) -> bool {
        self.flags == 0 && self.cell.0 == 0 && self.history.is_empty()
    }

    /// Contacts, controls and decisions that may still matter, in the order in which they were added.
    pub fn history(&self) -> &[Entry] {
        &self.history
    }
    /// Adds an entry; drops those that no window can reach any more.
    pub fn add(&mut self, entry: Entry) {
        let oldest = entry.stamp().minus(HISTORY_KEEP);
        let past = |e: &Entry| e.stamp() <= oldest && !matches!(e.mark(), Mark::Pending | Mark::Unknown);
        if self.history.iter().any(past) {
            self.history.retain(|e| !past(e));
        }
        if self.history.len() == self.history.capacity() {
            // one at a time: most subscribers have few, and memory is counted per subscriber
            self.history.reserve_exact(1);
        }
        self.history.push(entry);
    }
    /// Changes what an entry stands for, and its stamp if one is given; `false` if there is no such entry.
    pub fn remark(&mut self, campaign: CampaignId, contact: ContactId, mark: Mark, stamp: Option<Timestamp>) -> bool {
        match self.history.iter_mut().rev().find(|e| e.is(campaign, contact)) {
            Some(e) => {
                e.words = Entry::pack(stamp.unwrap_or_else(|| e.stamp()), mark);
                true
            }
            None => false,
        }
    }
    /// Takes an entry back (a released reservation); `false` if there is no such entry.
    pub fn release(&mut self, campaign: CampaignId, contact: ContactId) -> bool {
        match self.history.iter().rposition(|e| e.is(campaign, contact)) {
            Some(i) => {
                self.history.remove(i);
                true
            }
            None => false,
        }
    }
    /// Whether the campaign has decided about this subscriber, either way, within [`HISTORY_KEEP`] before `now`: older
    /// decisions may have been dropped, so none of them counts.
    pub fn decided_by(&self, campaign: CampaignId, now: Timestamp) -> bool {
        self.history.iter().any(|e| e.campaign() == campaign && now < e.stamp().plus(HISTORY_KEEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, c: u32, mark: Mark) -> Entry {
        Entry::new(Timestamp::from_secs(at), CampaignId(c), FamilyId(c), ContactId(u64::from(c)), mark)
    }

    #[test]
    fn an_entry_keeps_stamp_and_mark_to_the_microsecond() {
        for at in [0, 1, -1, 1_773_108_000_123_456, -(1 << 55), (1 << 55) - 1] {
            for code in 1..=5 {
                let mark = Mark::from_code(code).unwrap();
                let e = Entry::new(Timestamp(at), CampaignId(7), FamilyId(u32::MAX), ContactId(1 << 40 | 9), mark);
                assert_eq!((e.stamp().0, e.mark(), e.campaign().0, e.family().0, e.key()), (at, mark, 7, u32::MAX, 9));
            }
        }
        assert_eq!(entry(i64::MAX / 1_000_000, 1, Mark::Sent).stamp().0, (1 << 55) - 1);
    }

    #[test]
    fn history_is_not_limited_to_four_and_drops_only_what_no_window_reaches() {
        let mut s = State::default();
        for i in 0..100 {
            s.add(entry(i, i as u32, Mark::Sent));
        }
        s.add(entry(0, 900, Mark::Unknown));
        assert_eq!(s.history().len(), 101);
        // second 50 is exactly the window away, so it cannot matter; second 51 still can
        s.add(entry(50 + HISTORY_KEEP.as_secs(), 901, Mark::Sent));
        let first = s.history()[0];
        assert_eq!((s.history().len(), first.stamp().secs()), (51, 51));
        assert!(!s.decided_by(CampaignId(900), Timestamp::from_secs(HISTORY_KEEP.as_secs())));
        assert!(s.decided_by(CampaignId(901), Timestamp::from_secs(60 + HISTORY_KEEP.as_secs())));
    }

    #[test]
    fn a_reservation_is_confirmed_or_taken_back() {
        let mut s = State::default();
        s.add(entry(10, 1, Mark::Pending));
        s.add(entry(10, 2, Mark::Pending));
        assert!(s.remark(CampaignId(1), ContactId(1), Mark::Sent, Some(Timestamp::from_secs(12))));
        assert!(s.release(CampaignId(2), ContactId(2)));
        assert!(!s.release(CampaignId(2), ContactId(2)));
        assert_eq!(s.history(), [entry(12, 1, Mark::Sent)]);
    }

    #[test]
    fn opt_outs_are_per_class_and_leave_power_alone() {
        let mut s = State::default();
        s.set_power(false);
        s.set_opted_out(Some(CampaignClass::Marketing), true);
        assert!(s.opted_out(CampaignClass::Marketing) && !s.opted_out(CampaignClass::Care) && !s.powered_on());
        s.set_opted_out(None, true);
        s.set_opted_out(Some(CampaignClass::Marketing), false);
        assert!(!s.opted_out(CampaignClass::Marketing) && s.opted_out(CampaignClass::PublicInterest));
    }
}
