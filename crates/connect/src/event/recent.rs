//! A bounded memory of what was seen: duplicates by (source, id) over HTTP, and by id within a file.

use kairos_model::hash::FixedSet;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::{collections::VecDeque, hash::Hasher};

/// The identity of an event by its texts, e.g. (source, id): 128 bits of SipHash-1-3 under a key of the tenant, so that
/// nobody can choose an id that collides with somebody else's.
pub fn event_key<'a>(secret: &[u8; 16], parts: impl IntoIterator<Item = &'a str>) -> u128 {
    let mut hasher = SipHasher13::new_with_key(secret);
    for part in parts {
        hasher.write(&(part.len() as u32).to_le_bytes());
        hasher.write(part.as_bytes());
    }
    hasher.finish128().as_u128()
}

/// The latest `capacity` keys. An older duplicate is taken for new: the consumer states the window.
pub struct Recent {
    capacity: usize,
    seen: FixedSet<u128>,
    order: VecDeque<u128>,
}

impl Recent {
    /// What the HTTP door remembers: senders repeat what was not acknowledged at once, and this is a thousand of the largest
    /// batches.
    pub const HTTP: usize = 1_000_000;
    /// What one file remembers: probes repeat a record at once or within minutes.
    pub const FILE: usize = 65_536;

    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), seen: FixedSet::default(), order: VecDeque::new() }
    }

    /// True if the key was not in the window; it is now.
    pub fn insert(&mut self, key: u128) -> bool {
        if !self.seen.insert(key) {
            return false;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(key);
        true
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_forgets_the_oldest_only() {
        let mut recent = Recent::new(3);
        assert_eq!([1, 2, 3, 1, 4, 2, 1].map(|k| recent.insert(k)), [true, true, true, false, true, false, true]);
        assert_eq!(recent.len(), 3);
    }

    #[test]
    fn a_key_does_not_depend_on_where_its_parts_end() {
        let key = |parts: &[&str]| event_key(&[7; 16], parts.iter().copied());
        assert_eq!(key(&["a", "bc"]), key(&["a", "bc"]));
        assert_ne!(key(&["a", "bc"]), key(&["ab", "c"]));
        assert_ne!(key(&["a"]), event_key(&[8; 16], ["a"]));
    }
}
