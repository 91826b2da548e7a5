//! Static conditions as bits: one a campaign and subscriber, one a campaign and party.

use crate::playbook::Campaign;
use kairos_model::{CampaignId, CampaignVersion, EventType, Party, PartyId, SubscriberId};

/// Whose a bit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    pub own: bool,
    pub peer: bool,
}

/// Which bit of a row belongs to which campaign. The same campaigns give the same layout.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// 64 a word; `None`: not used.
    slots: Vec<Option<Slot>>,
    /// For each word of a row: the word of a party's row, if any of its campaigns asks for the peer.
    peer_word: Vec<Option<u16>>,
    peer_words: usize,
}

impl Layout {
    /// Of the campaigns that have a trigger. Those of one event type share as few words as can be, so that an event
    /// reads few; in a word they stand by (type, priority, id).
    pub fn of(campaigns: &[Campaign]) -> Self {
        let mut by_kind: Vec<(EventType, Vec<&Campaign>)> = Vec::new();
        for c in campaigns {
            let Some(t) = &c.trigger else { continue };
            match by_kind.iter_mut().find(|(k, _)| *k == t.on.kind) {
                Some((_, list)) => list.push(c),
                None => by_kind.push((t.on.kind, vec![c])),
            }
        }
        let peered = |list: &[&Campaign]| list.iter().any(|c| c.trigger.as_ref().is_some_and(|t| t.peer));
        // first fit, those with peers and then the largest first; more than a word's worth begins in a fresh one
        by_kind.sort_by_key(|(kind, list)| (!peered(list), std::cmp::Reverse(list.len() % 64), *kind));
        let mut words: Vec<Vec<Slot>> = Vec::new();
        for (_, list) in &mut by_kind {
            list.sort_by_key(|c| (c.priority, c.id));
            for part in list.chunks(64) {
                let fits = words.iter().position(|w| w.len() + part.len() <= 64);
                let at = fits.unwrap_or_else(|| {
                    words.push(Vec::new());
                    words.len() - 1
                });
                words[at].extend(part.iter().map(|c| Slot {
                    campaign: c.id,
                    version: c.version,
                    own: c.trigger.as_ref().is_some_and(|t| t.own),
                    peer: c.trigger.as_ref().is_some_and(|t| t.peer),
                }));
            }
        }
        Self::from_words(words)
    }
    fn from_words(words: Vec<Vec<Slot>>) -> Self {
        let mut layout = Self::default();
        for word in words {
            let peered = word.iter().any(|s| s.peer);
            layout.peer_word.push(peered.then_some(layout.peer_words as u16));
            layout.peer_words += usize::from(peered);
            let used = word.len();
            layout.slots.extend(word.into_iter().map(Some));
            layout.slots.extend(std::iter::repeat_n(None, 64 - used));
        }
        layout
    }
    /// As it was written: one slot a bit, 64 a word.
    pub fn from_slots(slots: Vec<Option<Slot>>) -> Self {
        Self::from_words(slots.chunks(64).map(|w| w.iter().map_while(|s| *s).collect()).collect())
    }
    pub fn slots(&self) -> &[Option<Slot>] {
        &self.slots
    }
    /// 64-bit words of a subscriber's row.
    pub fn words(&self) -> usize {
        self.peer_word.len()
    }
    /// 64-bit words of a party's row.
    pub fn peer_words(&self) -> usize {
        self.peer_words
    }
    pub(crate) fn peer_word(&self, word: usize) -> Option<usize> {
        self.peer_word.get(word).copied().flatten().map(usize::from)
    }
    /// The word of a party's row that holds a bit; `None`: no campaign of that word asks for the peer.
    pub fn peer_word_of(&self, slot: usize) -> Option<usize> {
        self.peer_word(slot / 64)
    }
    /// The bit of a campaign, of any version.
    pub fn slot_of(&self, campaign: CampaignId) -> Option<usize> {
        self.slots.iter().position(|s| s.is_some_and(|s| s.campaign == campaign))
    }
}

/// Words of a line of the processor's cache.
const LINE: usize = 8;

/// Rows of bits by ordinal. They begin at a line, so that rows of 1, 2, 4 or 8 words lie in one.
#[derive(Debug, Default)]
pub struct Rows {
    words: usize,
    bits: Vec<u64>,
    start: usize,
    len: usize,
}

impl Rows {
    /// `rows` rows of zeros. Their memory is not touched yet.
    pub fn new(words: usize, rows: usize) -> Self {
        let len = words * rows;
        let bits = vec![0; len + LINE];
        let start = bits.as_ptr().align_offset(8 * LINE) % LINE;
        Self { words, bits, start, len }
    }
    /// As they were written; `None` if the bits are no whole number of rows.
    pub fn from_bits(words: usize, bits: &[u64]) -> Option<Self> {
        if !(if words == 0 { bits.is_empty() } else { bits.len().is_multiple_of(words) }) {
            return None;
        }
        let mut rows = Self::new(words, bits.len().checked_div(words).unwrap_or(0));
        rows.bits_mut().copy_from_slice(bits);
        Some(rows)
    }
    /// All rows, one after the other.
    pub fn bits(&self) -> &[u64] {
        &self.bits[self.start..self.start + self.len]
    }
    pub fn bits_mut(&mut self) -> &mut [u64] {
        &mut self.bits[self.start..self.start + self.len]
    }
    pub fn len(&self) -> usize {
        self.len.checked_div(self.words).unwrap_or(0)
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Empty where there is none.
    #[inline]
    pub fn row(&self, at: u32) -> &[u64] {
        let from = at as usize * self.words;
        if from + self.words > self.len {
            return &[];
        }
        &self.bits[self.start + from..self.start + from + self.words]
    }
    fn set(&mut self, at: u32, word: usize, bit: u32) {
        let at = at as usize * self.words + word;
        if at < self.len {
            self.bits[self.start + at] |= 1 << bit;
        }
    }
}

impl Clone for Rows {
    fn clone(&self) -> Self {
        let mut rows = Self::new(self.words, self.len());
        rows.bits_mut().copy_from_slice(self.bits());
        rows
    }
}
impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words && self.bits() == other.bits()
    }
}

/// The static bits of one snapshot. Made beside the engine, then only read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    layout: Layout,
    own: Rows,
    /// Parties that are subscribers, and those that are foreign numbers.
    peers: [Rows; 2],
    /// What holds for a party that has no row: short codes, and numbers newer than the snapshot.
    unknown_peer: Vec<u64>,
}

impl Matrix {
    /// Nobody has a bit yet. `foreign`: foreign numbers with a row; 0 if no campaign asks for the peer.
    pub fn new(layout: Layout, subscribers: u32, foreign: u32) -> Self {
        let (own, peer) = (layout.words(), layout.peer_words());
        Self {
            own: Rows::new(own, subscribers as usize),
            peers: [Rows::new(peer, subscribers as usize), Rows::new(peer, foreign as usize)],
            unknown_peer: vec![0; peer],
            layout,
        }
    }
    /// As it was written; `None` if the rows do not fit the layout.
    pub fn from_parts(layout: Layout, own: Rows, peers: [Rows; 2], unknown_peer: Vec<u64>) -> Option<Self> {
        let peer = layout.peer_words();
        let fits = own.words == layout.words() && peers.iter().all(|r| r.words == peer) && unknown_peer.len() == peer;
        fits.then_some(Self { layout, own, peers, unknown_peer })
    }
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
    /// Subscribers with a row.
    pub fn subscribers(&self) -> usize {
        self.own.len()
    }
    pub fn own_rows(&self) -> &Rows {
        &self.own
    }
    pub fn peer_rows(&self) -> (&[Rows; 2], &[u64]) {
        (&self.peers, &self.unknown_peer)
    }
    /// Bytes in memory: subscribers' rows, parties' rows.
    pub fn bytes(&self) -> (usize, usize) {
        (8 * self.own.len, 8 * (self.peers[0].len + self.peers[1].len))
    }
    /// The campaign's static condition holds for these (true, not unknown), its own lists included.
    pub fn set_own(&mut self, slot: usize, subscribers: impl IntoIterator<Item = SubscriberId>) {
        subscribers.into_iter().for_each(|s| self.own.set(s.0, slot / 64, (slot % 64) as u32));
    }
    /// The campaign's condition on the peer holds for these, its peer lists included.
    pub fn set_peer(&mut self, slot: usize, parties: impl IntoIterator<Item = PartyId>) {
        let Some(word) = self.layout.peer_word(slot / 64) else { return };
        for p in parties {
            match p.party() {
                Some(Party::Subscriber(s)) => self.peers[0].set(s.0, word, (slot % 64) as u32),
                Some(Party::Foreign(f)) => self.peers[1].set(f.0, word, (slot % 64) as u32),
                _ => {}
            }
        }
    }
    /// The campaign lets a peer of whom nothing is known: deny lists do, everything else does not.
    pub fn set_unknown_peer(&mut self, slot: usize) {
        if let Some(word) = self.layout.peer_word(slot / 64) {
            self.unknown_peer[word] |= 1 << (slot % 64);
        }
    }
    #[inline]
    pub fn own(&self, subscriber: SubscriberId) -> &[u64] {
        self.own.row(subscriber.0)
    }
    /// Empty if there is no peer.
    #[inline]
    pub fn peer(&self, peer: PartyId) -> &[u64] {
        if peer == PartyId::NONE {
            return &[];
        }
        let row = match peer.party() {
            Some(Party::Subscriber(s)) => self.peers[0].row(s.0),
            Some(Party::Foreign(f)) => self.peers[1].row(f.0),
            _ => &[],
        };
        if row.is_empty() { &self.unknown_peer } else { row }
    }
    /// The subscriber's bit of a slot.
    pub fn has(&self, slot: usize, subscriber: SubscriberId) -> bool {
        self.own(subscriber).get(slot / 64).is_some_and(|w| w >> (slot % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_model::{ForeignId, ShortCode};

    fn slot(c: u32, peer: bool) -> Option<Slot> {
        Some(Slot { campaign: CampaignId(c), version: CampaignVersion(1), own: true, peer })
    }

    #[test]
    fn bits_of_subscribers_and_parties_stand_apart() {
        let mut slots = vec![None; 128];
        (slots[0], slots[64]) = (slot(1, false), slot(2, true));
        let layout = Layout::from_slots(slots);
        assert_eq!((layout.words(), layout.peer_words(), layout.slot_of(CampaignId(2))), (2, 1, Some(64)));
        let mut m = Matrix::new(layout, 10, 10);
        m.set_own(64, [SubscriberId(3), SubscriberId(99)]);
        let foreign = |n| PartyId::from(Party::Foreign(ForeignId(n)));
        m.set_peer(64, [PartyId::from(SubscriberId(4)), foreign(9)]);
        m.set_peer(0, [PartyId::from(SubscriberId(5))]);
        assert!(m.has(64, SubscriberId(3)) && !m.has(0, SubscriberId(3)) && !m.has(64, SubscriberId(99)));
        let peer = |p: PartyId| m.peer(p).first().copied();
        assert_eq!(peer(SubscriberId(4).into()), Some(1));
        assert_eq!((peer(foreign(9)), peer(foreign(8))), (Some(1), Some(0)));
        assert_eq!((peer(foreign(10)), peer(PartyId::NONE)), (Some(0), None));
        m.set_unknown_peer(64);
        assert_eq!(m.peer(Party::Short(ShortCode(1)).into()), [1]);
        assert_eq!((m.peer(foreign(10)), m.peer(SubscriberId(6).into())), (&[1][..], &[0][..]));
    }
}
