//! Who is due next: a hierarchical wheel over a small heap. It may hold timers that are gone; the record of the
//! subscriber is the truth.

use kairos_model::{CampaignId, SubscriberId, Timestamp};
use std::{cmp::Reverse, collections::BinaryHeap};

/// (due, campaign, subscriber): the order of firing.
type Key = (i64, u32, u32);

/// Width of a slot in powers of two of microseconds (1.05 s, 4.5 min, 19 h), and how many there are.
const LEVELS: [(u32, usize); 3] = [(20, 256), (28, 256), (36, 512)];

pub struct Wheel {
    /// What is due before `near_end`.
    near: BinaryHeap<Reverse<Key>>,
    /// A whole number of the narrowest slots.
    near_end: i64,
    levels: [Vec<Vec<Key>>; 3],
    /// In the slots of each level.
    held: [usize; 3],
}

impl Default for Wheel {
    fn default() -> Self {
        let levels = LEVELS.map(|(_, slots)| vec![Vec::new(); slots]);
        Self { near: BinaryHeap::new(), near_end: 0, levels, held: [0; 3] }
    }
}

impl Wheel {
    /// `now` is not after `due`, and never decreases.
    pub fn insert(&mut self, now: Timestamp, due: Timestamp, campaign: CampaignId, subscriber: SubscriberId) {
        if self.held == [0; 3] && self.near.is_empty() {
            self.near_end = now.0 >> LEVELS[0].0 << LEVELS[0].0;
        }
        self.place((due.0, campaign.0, subscriber.0));
    }
    fn place(&mut self, key: Key) {
        if key.0 < self.near_end {
            self.near.push(Reverse(key));
            return;
        }
        for (level, (shift, slots)) in LEVELS.into_iter().enumerate() {
            let ahead = (key.0 >> shift) - (self.near_end >> shift);
            if (ahead as usize) < slots {
                self.held[level] += 1;
                self.levels[level][(key.0 >> shift) as usize % slots].push(key);
                return;
            }
        }
        // more than a year ahead: at the far end, to be placed again from there
        let (shift, slots) = LEVELS[2];
        let last = (self.near_end >> shift) + slots as i64 - 1;
        self.held[2] += 1;
        self.levels[2][last as usize % slots].push(key);
    }

    /// The next one that is due at or before `to`, by (due, campaign, subscriber).
    #[inline]
    pub fn pop(&mut self, to: Timestamp) -> Option<(Timestamp, SubscriberId)> {
        loop {
            if let Some(&Reverse((due, _, subscriber))) = self.near.peek()
                && due <= to.0
            {
                self.near.pop();
                return Some((Timestamp(due), SubscriberId(subscriber)));
            }
            if self.near_end > to.0 {
                return None;
            }
            self.turn((to.0 >> LEVELS[0].0).saturating_add(1) << LEVELS[0].0);
        }
    }
    /// Spreads wider slots that begin here; then brings the narrowest one into the heap, or passes over empty ones, as far
    /// as `end`.
    fn turn(&mut self, end: i64) {
        if self.held == [0; 3] {
            self.near_end = end;
            return;
        }
        for (level, (shift, slots)) in LEVELS.into_iter().enumerate().skip(1).rev() {
            if self.near_end & ((1 << shift) - 1) == 0 {
                let slot = (self.near_end >> shift) as usize % slots;
                let keys = std::mem::take(&mut self.levels[level][slot]);
                self.held[level] -= keys.len();
                keys.into_iter().for_each(|k| self.place(k));
            }
        }
        if self.held[0] == 0 {
            let shift = if self.held[1] == 0 { LEVELS[2].0 } else { LEVELS[1].0 };
            self.near_end = end.min(((self.near_end >> shift) + 1) << shift);
            return;
        }
        let (shift, slots) = LEVELS[0];
        let slot = (self.near_end >> shift) as usize % slots;
        self.held[0] -= self.levels[0][slot].len();
        self.near.extend(self.levels[0][slot].drain(..).map(Reverse));
        self.near_end += 1 << shift;
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        let near = self.near.peek().map(|k| k.0.0);
        if self.held == [0; 3] {
            return near.map(Timestamp);
        }
        let mut due = near;
        for (level, (shift, slots)) in LEVELS.into_iter().enumerate() {
            let begin = (self.near_end >> shift) as usize;
            let first = (0..slots).map(|k| &self.levels[level][(begin + k) % slots]).find(|s| !s.is_empty());
            let least = first.and_then(|s| s.iter().map(|k| k.0).min());
            due = [due, least].into_iter().flatten().min();
        }
        due.map(Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_model::{Span, hash};

    /// As a sorted list, whatever the delays and steps in time, microseconds to more than a year.
    #[test]
    fn equal_to_a_sorted_list() {
        for seed in 0..60u64 {
            let mut draw = {
                let mut n = 0;
                move |below: i64| {
                    n += 1;
                    (hash::salted(seed, n) % below as u64) as i64
                }
            };
            let mut wheel = Wheel::default();
            let mut list: Vec<Key> = Vec::new();
            let mut now = Timestamp(1_773_108_000_000_000 + draw(1 << 40));
            let reach = [1i64 << 8, 1 << 20, 1 << 24, 1 << 30, 1 << 37, 400 * 86_400_000_000];
            for _ in 0..600 {
                for _ in 0..draw(4) {
                    let far = reach[draw(6) as usize];
                    let due = now.plus(Span(1 + draw(far)));
                    let (c, s) = (draw(3) as u32, draw(1_000) as u32);
                    wheel.insert(now, due, CampaignId(c), SubscriberId(s));
                    list.push((due.0, c, s));
                }
                list.sort_unstable();
                assert_eq!(wheel.next_due().map(|t| t.0), list.first().map(|k| k.0), "seed {seed}");
                let exact = draw(3) == 0 && !list.is_empty();
                let to = if exact { list[draw(list.len() as i64) as usize % 3 % list.len()].0 } else { now.0 };
                let far = reach[draw(5) as usize];
                now = Timestamp(to.max(now.0 + draw(far) * i64::from(!exact)));
                let due = list.partition_point(|k| k.0 <= now.0);
                let want: Vec<Key> = list.drain(..due).collect();
                let mut got = Vec::new();
                while let Some((due, s)) = wheel.pop(now) {
                    got.push((due.0, s.0));
                }
                assert_eq!(got, want.iter().map(|k| (k.0, k.2)).collect::<Vec<_>>(), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_decade_without_timers_is_crossed_at_once() {
        let mut wheel = Wheel::default();
        assert_eq!(wheel.pop(Timestamp(1 << 55)), None);
        wheel.insert(Timestamp(1 << 55), Timestamp((1 << 55) + 5), CampaignId(1), SubscriberId(2));
        assert_eq!(wheel.pop(Timestamp::MAX), Some((Timestamp((1 << 55) + 5), SubscriberId(2))));
    }
}
