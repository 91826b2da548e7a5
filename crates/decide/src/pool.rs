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

/// Entries of a segment: 20 MiB, so that growing never moves what is there. Memory that is not used is not touched.
const SEGMENT: usize = 1 << 20;
#[derive(Default, Debug)]
pub struct Pool {
    segments: Vec<Vec<Entry>>,
    /// Free blocks by their room.
    free: Vec<(u32, Vec<u32>)>,
}

/// Where a block lies: segment and place in it.
const fn split(block: u32) -> (usize, usize) {
    (block as usize / SEGMENT, block as usize % SEGMENT)
}

impl Pool {
    #[inline]
    pub fn get(&self, block: u32, len: u32) -> &[Entry] {
        let (segment, from) = split(block);
        self.segments.get(segment).and_then(|s| s.get(from..from + len as usize)).unwrap_or(&[])
    }
    pub fn get_mut(&mut self, block: u32, len: u32) -> &mut [Entry] {
        let (segment, from) = split(block);
        self.segments.get_mut(segment).and_then(|s| s.get_mut(from..from + len as usize)).unwrap_or(&mut [])
    }
    /// Entries in use or free for use again.
    pub fn bytes(&self) -> usize {
        size_of::<Entry>() * self.segments.iter().map(Vec::len).sum::<usize>()
    }
    /// Where the memory lies: begin and bytes of each segment.
    pub fn regions(&self) -> impl Iterator<Item = (*const u8, usize)> + '_ {
        self.segments.iter().map(|s| (s.as_ptr().cast(), size_of::<Entry>() * s.capacity()))
    }
    fn take(&mut self, room: u32) -> u32 {
        let found = self.free.binary_search_by_key(&room, |f| f.0);
        if let Some(block) = found.ok().and_then(|i| self.free[i].1.pop()) {
            return block;
        }
        if self.segments.last().is_none_or(|s| s.len() + room as usize > SEGMENT) {
            // a block of more than a segment takes the numbers of as many as it needs
            let rest = (room as usize).saturating_sub(1) / SEGMENT;
            self.segments.push(Vec::with_capacity(SEGMENT.max(room as usize)));
            self.segments.extend(std::iter::repeat_with(Vec::new).take(rest));
            if rest > 0 {
                let at = self.segments.len() - 1 - rest;
                self.segments[at].resize(room as usize, Entry::EMPTY);
                // the next block begins behind it
                self.segments.push(Vec::with_capacity(SEGMENT));
                return (at * SEGMENT) as u32;
            }
        }
        let last = self.segments.len() - 1;
        let from = self.segments[last].len();
        self.segments[last].resize(from + room as usize, Entry::EMPTY);
        // 2^32 entries of 20 bytes are past any memory that this runs on
        (last * SEGMENT + from) as u32
    }
    fn give(&mut self, block: u32, room: u32) {
        match self.free.binary_search_by_key(&room, |f| f.0) {
            Ok(i) => self.free[i].1.push(block),
            Err(i) => self.free.insert(i, (room, vec![block])),
        }
    }
    /// Moves `len` entries into a block for `want`.
    fn resize(&mut self, block: &mut u32, len: u32, want: u32) {
        let (have, room_wanted) = (room(len), room(want));
        if have == room_wanted {
            return;
        }
        let next = if room_wanted == 0 { 0 } else { self.take(room_wanted) };
        let kept = len.min(want);
        let ((a, from), (b, to)) = (split(*block), split(next));
        let n = kept as usize;
        match self.segments.get_disjoint_mut([a, b]) {
            Ok([old, new]) => new[to..to + n].copy_from_slice(&old[from..from + n]),
            // the same segment
            Err(_) if n > 0 => self.segments[a].copy_within(from..from + n, to),
            Err(_) => {}
        }
        if have > 0 {
            self.give(*block, have);
        }
        *block = next;
    }
    pub fn push(&mut self, block: &mut u32, len: &mut u32, entry: Entry) {
        self.resize(block, *len, *len + 1);
        *len += 1;
        if let Some(last) = self.get_mut(*block, *len).last_mut() {
            *last = entry;
        }
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

    #[test]
    fn a_block_may_be_larger_than_a_segment() {
        let mut pool = Pool::default();
        let (mut large, mut small) = ((0, 0), (0, 0));
        let many: Vec<Entry> = (0..SEGMENT as u64 * 2 + 5).map(entry).collect();
        pool.push(&mut small.0, &mut small.1, entry(1));
        pool.fill(&mut large.0, &mut large.1, &many);
        pool.push(&mut small.0, &mut small.1, entry(2));
        pool.push(&mut large.0, &mut large.1, entry(3));
        assert_eq!(pool.get(small.0, small.1), [entry(1), entry(2)]);
        let got = pool.get(large.0, large.1);
        assert!(got[..many.len()] == many && got[many.len()..] == [entry(3)]);
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
        assert!(pool.bytes() / 20 < 4 * want.iter().map(Vec::len).sum::<usize>() + 2_000);
    }
}
