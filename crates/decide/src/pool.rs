//! Contacts of all subscribers in one piece of memory: each subscriber's lie together, in a block that is as large as
//! they are many, or little larger.

use crate::state::Entry;

/// Entries that a block for `n` holds: every size up to 8, then four sizes a doubling.
fn room(n: u32) -> u32 {
    if n <= 8 {
        return n;
    }
    let step = (n - 1).ilog2() - 2;
    n.next_multiple_of(1 << step)
}

#[derive(Default, Debug)]
pub struct Pool {
    entries: Vec<Entry>,
    /// Free blocks by their room.
    free: Vec<(u32, Vec<u32>)>,
}

impl Pool {
    #[inline]
    pub fn get(&self, block: u32, len: u32) -> &[Entry] {
        let from = block as usize;
        self.entries.get(from..from + len as usize).unwrap_or(&[])
    }
    pub fn get_mut(&mut self, block: u32, len: u32) -> &mut [Entry] {
        let from = block as usize;
        self.entries.get_mut(from..from + len as usize).unwrap_or(&mut [])
    }
    pub fn bytes(&self) -> usize {
        size_of::<Entry>() * self.entries.capacity()
    }
    fn take(&mut self, room: u32) -> u32 {
        let found = self.free.binary_search_by_key(&room, |f| f.0);
        if let Some(block) = found.ok().and_then(|i| self.free[i].1.pop()) {
            return block;
        }
        let block = self.entries.len();
        if block + room as usize > self.entries.capacity() {
            // an eighth more: doubling would leave half of the memory unused
            self.entries.reserve_exact((block / 8).max(room as usize).max(1024));
        }
        self.entries.resize(block + room as usize, Entry::EMPTY);
        // 2^32 entries of 20 bytes are past any memory that this runs on
        block as u32
    }
    fn give(&mut self, block: u32, room: u32) {
        match self.free.binary_search_by_key(&room, |f| f.0) {
            Ok(i) => self.free[i].1.push(block),
            Err(i) => self.free.insert(i, (room, vec![block])),
        }
    }
    /// Moves `len` entries into a block for `want`.
    fn resize(&mut self, block: &mut u32, len: u32, want: u32) {
        let (have, want) = (room(len), room(want));
        if have == want {
            return;
        }
        let next = if want == 0 { 0 } else { self.take(want) };
        let from = *block as usize;
        self.entries.copy_within(from..from + len.min(want) as usize, next as usize);
        if have > 0 {
            self.give(*block, have);
        }
        *block = next;
    }
    pub fn push(&mut self, block: &mut u32, len: &mut u32, entry: Entry) {
        self.resize(block, *len, *len + 1);
        self.entries[(*block + *len) as usize] = entry;
        *len += 1;
    }
    pub fn remove(&mut self, block: &mut u32, len: &mut u32, at: usize) {
        self.get_mut(*block, *len)[at..].rotate_left(1);
        self.resize(block, *len, *len - 1);
        *len -= 1;
    }
    /// Puts entries where there are none.
    pub fn fill(&mut self, block: &mut u32, len: &mut u32, entries: &[Entry]) {
        *len = entries.len() as u32;
        *block = if entries.is_empty() { 0 } else { self.take(room(*len)) };
        self.get_mut(*block, *len).copy_from_slice(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{playbook::FamilyId, state::Mark};
    use kairos_model::{CampaignId, ContactId, Timestamp, hash};

    fn entry(n: u64) -> Entry {
        Entry::new(Timestamp(n as i64), CampaignId(n as u32), FamilyId(0), ContactId(n), Mark::Sent)
    }

    #[test]
    fn blocks_grow_little_and_hold_what_is_asked() {
        let mut sizes: Vec<u32> = (1..=40).map(room).collect();
        sizes.dedup();
        assert_eq!(sizes, [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40]);
        assert!((1..100_000).all(|n| room(n) >= n && room(n) <= n + n / 4));
    }

    /// As many vectors, through pushes and removals.
    #[test]
    fn equal_to_vectors() {
        let mut pool = Pool::default();
        let mut places = vec![(0u32, 0u32); 50];
        let mut want: Vec<Vec<Entry>> = vec![Vec::new(); 50];
        for n in 0..60_000 {
            let h = hash::mix(n);
            let who = (h % 50) as usize;
            let (block, len) = &mut places[who];
            if h >> 32 & 7 < 4 || want[who].is_empty() {
                pool.push(block, len, entry(n));
                want[who].push(entry(n));
            } else {
                let at = (h >> 40) as usize % want[who].len();
                pool.remove(block, len, at);
                want[who].remove(at);
            }
            assert_eq!(pool.get(*block, *len), want[who]);
        }
        for (&(block, len), want) in places.iter().zip(&want) {
            assert_eq!(pool.get(block, len), want);
        }
        assert!(pool.entries.len() < 4 * want.iter().map(Vec::len).sum::<usize>() + 2_000);
    }
}
