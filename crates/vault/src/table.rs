//! An open-addressing table from a keyed hash to an ordinal, 16 bytes a slot, at most three quarters full.
//!
//! 96 bits of the 128-bit hash are kept: among 10^8 entries two share them with probability 10^-13.

/// The part of a keyed hash that memory keeps. Keyed and uniform, so it is its own place in the table.
pub(crate) type Tag = [u32; 3];

#[inline]
pub(crate) fn tag_of(hash: &[u8]) -> Tag {
    let word = |at: usize| u32::from_le_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]);
    [word(0), word(4), word(8)]
}

const EMPTY: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Slot {
    tag: Tag,
    /// Never [`EMPTY`] in a used slot.
    value: u32,
}

const FREE: Slot = Slot { tag: [0; 3], value: EMPTY };

pub(crate) struct Table {
    /// A power of two of them.
    slots: Vec<Slot>,
    len: usize,
}

impl Table {
    pub fn with_capacity(entries: usize) -> Self {
        let slots = (entries * 4 / 3 + 1).next_power_of_two().max(16);
        Self { slots: vec![FREE; slots], len: 0 }
    }
    pub fn len(&self) -> usize {
        self.len
    }
    pub fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }
    #[inline]
    fn home(&self, tag: &Tag) -> usize {
        (u64::from(tag[0]) | u64::from(tag[1]) << 32) as usize & (self.slots.len() - 1)
    }
    /// Brings the places of these tags into the cache: bare loads overlap, whole look-ups hardly do.
    #[inline]
    pub fn touch(&self, tags: &[Tag]) {
        std::hint::black_box(tags.iter().fold(0, |all, tag| all ^ self.slots[self.home(tag)].value));
    }
    #[inline]
    fn find(&self, tag: &Tag) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.home(tag);
        while self.slots[at].value != EMPTY && self.slots[at].tag != *tag {
            at = (at + 1) & mask;
        }
        at
    }
    #[inline]
    pub fn get(&self, tag: &Tag) -> Option<u32> {
        Some(self.slots[self.find(tag)].value).filter(|&v| v != EMPTY)
    }
    /// Sets the value, which is below `u32::MAX`; the former one is replaced.
    pub fn insert(&mut self, tag: Tag, value: u32) {
        debug_assert!(value != EMPTY);
        let mut at = self.find(&tag);
        if self.slots[at].value == EMPTY {
            if (self.len + 1) * 4 > self.slots.len() * 3 {
                self.grow();
                at = self.find(&tag);
            }
            self.len += 1;
        }
        self.slots[at] = Slot { tag, value };
    }
    fn grow(&mut self) {
        let wider = vec![FREE; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, wider);
        for slot in old.into_iter().filter(|s| s.value != EMPTY) {
            let at = self.find(&slot.tag);
            self.slots[at] = slot;
        }
    }
    /// Removes the entry and closes the gap behind it.
    pub fn remove(&mut self, tag: &Tag) {
        let mask = self.slots.len() - 1;
        let mut gap = self.find(tag);
        if self.slots[gap].value == EMPTY {
            return;
        }
        self.len -= 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.value == EMPTY {
                break;
            }
            // it may move back to the gap unless its home lies behind the gap
            if (at.wrapping_sub(self.home(&slot.tag)) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = FREE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_model::hash::{self, FixedMap};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_does_what_a_map_does(ops in proptest::collection::vec((any::<bool>(), 0..60u64, 0..1000u32), 0..400)) {
            let mut table = Table::with_capacity(0);
            let mut model = FixedMap::default();
            for (insert, key, value) in ops {
                // few homes, so that runs and gaps are long
                let tag = [(hash::mix(key) % 7) as u32, 0, key as u32];
                if insert {
                    table.insert(tag, value);
                    model.insert(tag, value);
                } else {
                    table.remove(&tag);
                    model.remove(&tag);
                }
            }
            prop_assert_eq!(table.len(), model.len());
            for key in 0..60u64 {
                let tag = [(hash::mix(key) % 7) as u32, 0, key as u32];
                prop_assert_eq!(table.get(&tag), model.get(&tag).copied());
            }
        }
    }
}
