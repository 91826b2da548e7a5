//! A set of subscribers: an answer, a list, an audience.

use crate::form::{BITS, BYTES, Block, Form, SPARSE_MAX, WORDS};
use kairos_model::SubscriberId;
use roaring::RoaringBitmap;

/// A set of ordinals in blocks like those of an index, so that it takes part in a condition at the speed of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    parts: Vec<Part>,
    len: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Empty,
    /// Ascending positions, little endian.
    Sparse(Box<[[u8; 2]]>),
    Dense(Box<Block>),
}

impl Members {
    /// Of ordinals in ascending order; one that is not above the one before is passed over.
    pub fn from_ascending(ordinals: impl IntoIterator<Item = u32>) -> Self {
        let mut made = Self::default();
        let mut block = vec![0u64; WORDS];
        let (mut at, mut next) = (0usize, 0u64);
        for o in ordinals {
            if u64::from(o) < next {
                continue;
            }
            next = u64::from(o) + 1;
            let b = o as usize / BITS;
            if b != at {
                made.set(at, &block);
                block.fill(0);
                at = b;
            }
            let i = o as usize % BITS;
            block[i / 64] |= 1 << (i % 64);
        }
        made.set(at, &block);
        made
    }

    /// Of ordinals in any order, with repetitions.
    pub fn from_unsorted(mut ordinals: Vec<u32>) -> Self {
        ordinals.sort_unstable();
        Self::from_ascending(ordinals)
    }

    /// Adds the block after all that are there; blocks between stay empty.
    pub(crate) fn set(&mut self, b: usize, words: &[u64]) {
        let count: usize = words.iter().map(|w| w.count_ones() as usize).sum();
        if count == 0 || b < self.parts.len() || words.len() != WORDS {
            return;
        }
        self.parts.resize(b, Part::Empty);
        self.len += count as u64;
        self.parts.push(if count <= SPARSE_MAX {
            let mut all = Vec::with_capacity(count);
            for (i, w) in words.iter().enumerate() {
                let mut w = *w;
                while w != 0 {
                    all.push(((64 * i) as u16 + w.trailing_zeros() as u16).to_le_bytes());
                    w &= w - 1;
                }
            }
            Part::Sparse(all.into())
        } else {
            let mut block = Box::new([[0u8; 8]; WORDS]);
            block.iter_mut().zip(words).for_each(|(b, w)| *b = w.to_le_bytes());
            Part::Dense(block)
        });
    }

    pub fn len(&self) -> u64 {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// The highest ordinal's block + 1.
    pub fn blocks(&self) -> usize {
        self.parts.len()
    }
    pub fn contains(&self, s: SubscriberId) -> bool {
        let (b, i) = (s.0 as usize / BITS, s.0 as usize % BITS);
        match self.parts.get(b) {
            Some(Part::Sparse(all)) => all.binary_search_by_key(&(i as u16), |p| u16::from_le_bytes(*p)).is_ok(),
            Some(Part::Dense(words)) => u64::from_le_bytes(words[i / 64]) >> (i % 64) & 1 == 1,
            _ => false,
        }
    }
    pub(crate) fn form(&self, b: usize) -> Form<'_> {
        match self.parts.get(b) {
            None | Some(Part::Empty) => Form::Empty,
            Some(Part::Sparse(all)) => Form::Sparse(all),
            Some(Part::Dense(words)) => Form::Dense(words),
        }
    }
    /// Visits the ordinals, ascending.
    pub fn for_each(&self, mut visit: impl FnMut(u32)) {
        for (b, part) in self.parts.iter().enumerate() {
            let first = (b * BITS) as u32;
            match part {
                Part::Empty => {}
                Part::Sparse(all) => all.iter().for_each(|p| visit(first + u32::from(u16::from_le_bytes(*p)))),
                Part::Dense(words) => {
                    for (i, w) in words.iter().enumerate() {
                        let mut w = u64::from_le_bytes(*w);
                        while w != 0 {
                            visit(first + 64 * i as u32 + w.trailing_zeros());
                            w &= w - 1;
                        }
                    }
                }
            }
        }
    }
    /// The ordinals, ascending.
    pub fn to_vec(&self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.len as usize);
        self.for_each(|o| all.push(o));
        all
    }
    /// The form in which an audience is frozen and lists are kept.
    pub fn to_roaring(&self) -> RoaringBitmap {
        let mut made = RoaringBitmap::new();
        for (b, part) in self.parts.iter().enumerate() {
            let first = (b * BITS) as u32;
            match part {
                Part::Empty => {}
                Part::Sparse(all) => made.extend(all.iter().map(|p| first + u32::from(u16::from_le_bytes(*p)))),
                Part::Dense(words) => made |= RoaringBitmap::from_lsb0_bytes(first, words.as_flattened()),
            }
        }
        made
    }
    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        let of = |p: &Part| match p {
            Part::Empty => 0,
            Part::Sparse(all) => 2 * all.len(),
            Part::Dense(_) => BYTES,
        };
        self.parts.iter().map(|p| size_of::<Part>() + of(p)).sum()
    }
}

impl From<&RoaringBitmap> for Members {
    fn from(all: &RoaringBitmap) -> Self {
        Self::from_ascending(all)
    }
}
impl FromIterator<SubscriberId> for Members {
    fn from_iter<I: IntoIterator<Item = SubscriberId>>(all: I) -> Self {
        Self::from_unsorted(all.into_iter().map(|s| s.0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_same_in_every_form() {
        let sets: [Vec<u32>; 5] = [
            vec![],
            vec![0, 65_535, 65_536, 1 << 30],
            (0..200_000).collect(),
            (0..2_000_000).filter(|i| i % 3 == 0).collect(),
            (3_000_000..3_000_512).collect(),
        ];
        for all in sets {
            let m = Members::from_ascending(all.iter().copied());
            assert_eq!((m.len(), m.to_vec()), (all.len() as u64, all.clone()));
            let roaring = m.to_roaring();
            assert_eq!(roaring, all.iter().copied().collect::<RoaringBitmap>());
            assert_eq!(Members::from(&roaring), m);
            assert!(all.iter().step_by(97).all(|&o| m.contains(SubscriberId(o))));
            assert!(!m.contains(SubscriberId(4_000_000)));
        }
        assert_eq!(Members::from_unsorted(vec![5, 1, 5]).to_vec(), [1, 5]);
    }
}
