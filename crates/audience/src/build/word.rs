//! A block of words (or cells): who has which, as postings.
//!
//! `known` descriptor, codes n u32, dense codes m u32, the codes n × u32 ascending, the number of positions before each
//! code (n + 1) × u32, the places of the dense codes m × u32, all positions u16, then the dense bitmaps. A code without
//! positions is dense. The data of `known` is last. Only codes that someone has are there, so that 50,000 cells cost what their postings cost.

use super::mark;
use crate::{
    form::{BYTES, DESC, Draft, SPARSE_MAX, WORDS, Words, u32_at},
    format::Column,
};

pub(crate) const CODES: usize = DESC;
pub(crate) const DENSE: usize = DESC + 4;
pub(crate) const HEAD: usize = DESC + 8;

pub(super) struct Postings {
    /// (code, position), in order of position.
    all: Vec<(u32, u16)>,
    known: Words,
}

impl Default for Postings {
    fn default() -> Self {
        Self { all: Vec::new(), known: [0; WORDS] }
    }
}

impl Postings {
    /// The row is known and, if a code is given, has it.
    pub(super) fn add(&mut self, place: usize, code: Option<u32>) {
        self.known[place / 64] |= 1 << (place % 64);
        if let Some(code) = code {
            self.all.push((code, place as u16));
        }
    }
    pub(super) fn codes(&mut self, place: usize, codes: &[u32], valid: Option<&[bool]>) {
        mark(&mut self.known, place, codes.len(), valid);
        let rows = codes.iter().enumerate().filter(|(i, _)| valid.is_none_or(|v| v[*i]));
        self.all.extend(rows.map(|(i, c)| (*c, (place + i) as u16)));
    }

    pub(super) fn take(&mut self, whole: bool, column: &mut Column) -> Vec<u8> {
        by_code(&mut self.all);
        self.all.dedup();
        column.known += self.known.iter().map(|w| u64::from(w.count_ones())).sum::<u64>();
        let groups: Vec<&[(u32, u16)]> = self.all.chunk_by(|a, b| a.0 == b.0).collect();
        let dense: Vec<usize> = (0..groups.len()).filter(|i| groups[*i].len() > SPARSE_MAX).collect();
        let (n, m) = (groups.len(), dense.len());
        let mut d = Draft::new(HEAD + 4 * (2 * n + 1 + m));
        d.put_u32(CODES, n as u32);
        d.put_u32(DENSE, m as u32);
        let mut positions = 0u32;
        for (i, g) in groups.iter().enumerate() {
            d.put_u32(HEAD + 4 * i, g[0].0);
            d.put_u32(HEAD + 4 * (n + i), positions);
            if g.len() <= SPARSE_MAX {
                positions += g.len() as u32;
                g.iter().for_each(|(_, p)| d.bytes.extend_from_slice(&p.to_le_bytes()));
            }
        }
        d.put_u32(HEAD + 8 * n, positions);
        dense.iter().enumerate().for_each(|(k, i)| d.put_u32(HEAD + 4 * (2 * n + 1 + k), *i as u32));
        d.align();
        d.bytes.reserve(m * BYTES);
        for i in &dense {
            let mut words = [0u64; WORDS];
            groups[*i].iter().for_each(|(_, p)| words[usize::from(*p) / 64] |= 1 << (p % 64));
            d.put_dense(&words);
        }
        d.put(0, &self.known, whole);
        self.all.clear();
        self.known = [0; WORDS];
        d.finish()
    }
}

/// Codes up to here are sorted by counting.
const COUNTED_MAX: u32 = 1 << 17;

/// Sorts by code; positions, which ascend already, stay in order.
fn by_code(all: &mut Vec<(u32, u16)>) {
    let most = all.iter().map(|(c, _)| *c).max().unwrap_or(0);
    if most > COUNTED_MAX {
        return all.sort_unstable();
    }
    let mut next = vec![0u32; most as usize + 2];
    all.iter().for_each(|(c, _)| next[*c as usize + 1] += 1);
    for i in 1..next.len() {
        next[i] += next[i - 1];
    }
    let mut sorted = vec![(0, 0); all.len()];
    for &(c, p) in all.iter() {
        sorted[next[c as usize] as usize] = (c, p);
        next[c as usize] += 1;
    }
    *all = sorted;
}

/// Counts the known of a block that is carried over.
pub(super) fn absorb(bytes: &[u8], column: &mut Column) -> Option<()> {
    column.known += u64::from(u32_at(bytes, 4)?);
    Some(())
}
