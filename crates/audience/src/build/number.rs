//! A block of numbers: least value, step, and the binary digits of (value − least) ÷ step as one bitmap each.
//!
//! `known` descriptor, least i64, step u64, digits u32, a descriptor for each digit, the lowest first. The step is the
//! greatest common divisor of the differences, so that whole yuan in millionths take ten digits and not thirty; a digit
//! that only few values have is kept as positions.

use super::mark;
use crate::{
    form::{BITS, DESC, Draft, WORDS, Words, u32_at},
    format::Column,
};
use kairos_model::hash;

/// Where the fields of a block lie, and its bytes before the digits' descriptors.
pub(crate) const LEAST: usize = DESC;
pub(crate) const STEP: usize = DESC + 8;
pub(crate) const DIGITS: usize = DESC + 16;
pub(crate) const HEAD: usize = DESC + 20;

/// Values kept to find the bins: error of a bin's share about 1 %.
const SAMPLE_MAX: usize = 8_192;
/// Bins of about equal size: deciles.
const BINS: usize = 10;
const SAMPLE_SALT: u64 = 0x4b49_4458_5341_4d50;

pub(super) struct Numbers {
    values: Vec<i64>,
    known: Words,
    blocks: u64,
    sample: Vec<(u64, i64)>,
    /// Rows whose hash is below it are sampled.
    below: u64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { values: vec![0; BITS], known: [0; WORDS], blocks: 0, sample: Vec::new(), below: u64::MAX }
    }
}

impl Numbers {
    pub(super) fn fill(&mut self, place: usize, values: &[i64], valid: Option<&[bool]>) {
        self.values[place..place + values.len()].copy_from_slice(values);
        mark(&mut self.known, place, values.len(), valid);
    }

    fn is_known(&self, i: usize) -> bool {
        self.known[i / 64] >> (i % 64) & 1 == 1
    }

    pub(super) fn take(&mut self, whole: bool, column: &mut Column) -> Vec<u8> {
        let (mut least, mut most, mut known) = (i64::MAX, i64::MIN, 0u64);
        for i in 0..BITS {
            if self.is_known(i) {
                let v = self.values[i];
                (least, most, known) = (least.min(v), most.max(v), known + 1);
            }
        }
        self.sample_block();
        column.known += known;
        if known == 0 {
            (least, most) = (0, 0);
        } else {
            widen(column, least, most);
        }
        let step = self.step(least);
        let digits = (64 - (most.wrapping_sub(least) as u64 / step).leading_zeros()) as usize;
        let mut d = Draft::new(HEAD + digits * DESC);
        d.put(0, &self.known, whole);
        d.put_u64(LEAST, least as u64);
        d.put_u64(STEP, step);
        d.put_u32(DIGITS, digits as u32);
        let mut planes = vec![[0u64; WORDS]; digits];
        for w in 0..WORDS {
            let mut rows = [0u64; 64];
            for (i, row) in rows.iter_mut().enumerate() {
                if self.known[w] >> i & 1 == 1 {
                    *row = self.values[64 * w + i].wrapping_sub(least) as u64 / step;
                }
            }
            transpose(&mut rows);
            planes.iter_mut().zip(&rows).for_each(|(plane, r)| plane[w] = *r);
        }
        planes.iter().enumerate().for_each(|(i, p)| d.put(HEAD + i * DESC, p, whole));
        self.known = [0; WORDS];
        d.finish()
    }

    /// The greatest common divisor of all differences to the least value; 1 where there is none.
    fn step(&self, least: i64) -> u64 {
        let mut step = 0u64;
        for i in 0..BITS {
            if self.is_known(i) {
                let (mut a, mut b) = (self.values[i].wrapping_sub(least) as u64, step);
                if b == 0 || !a.is_multiple_of(b) {
                    while b != 0 {
                        (a, b) = (b, a % b);
                    }
                    step = a;
                }
                if step == 1 {
                    break;
                }
            }
        }
        step.max(1)
    }

    fn sample_block(&mut self) {
        let first = self.blocks * BITS as u64;
        for i in 0..BITS {
            let h = hash::salted(SAMPLE_SALT, first + i as u64);
            if h < self.below && self.is_known(i) {
                self.keep(h, self.values[i]);
            }
        }
        self.blocks += 1;
    }
    fn keep(&mut self, h: u64, value: i64) {
        self.sample.push((h, value));
        while self.sample.len() > SAMPLE_MAX {
            self.below /= 2;
            self.sample.retain(|(h, _)| *h < self.below);
        }
    }

    /// Takes a block of an older index: its bytes say range and known, and its values are sampled like new ones.
    pub(super) fn absorb(&mut self, bytes: &[u8], b: usize, column: &mut Column) -> Option<()> {
        let block = crate::column::NumberBlock::read(bytes)?;
        let (first, mut range) = ((b * BITS) as u64, None::<(i64, i64)>);
        // the whole block is decoded once: a number's range and sample are of its values, not of its digits
        block.values(|i, v| {
            range = Some(range.map_or((v, v), |(l, h)| (l.min(v), h.max(v))));
            let h = hash::salted(SAMPLE_SALT, first + u64::from(i));
            if h < self.below {
                self.keep(h, v);
            }
        });
        if let Some((l, h)) = range {
            widen(column, l, h);
        }
        column.known += u64::from(u32_at(bytes, 4)?);
        self.blocks = b as u64 + 1;
        Some(())
    }

    /// Lower ends of the second and later bins, ascending, each once.
    pub(super) fn bins(&self) -> Vec<i64> {
        let mut all: Vec<i64> = self.sample.iter().map(|s| s.1).collect();
        all.sort_unstable();
        let mut ends: Vec<i64> = (1..BINS).filter_map(|k| all.get(all.len() * k / BINS).copied()).collect();
        ends.dedup();
        // a bin below the least value would be empty
        ends.retain(|e| all.first() != Some(e));
        ends
    }
}

fn widen(column: &mut Column, least: i64, most: i64) {
    column.range = Some(column.range.map_or((least, most), |(l, m)| (l.min(least), m.max(most))));
}

/// Turns 64 rows of 64 bits into 64 columns: bit `i` of row `k` becomes bit `k` of row `i`. Warren, "Hacker's Delight",
/// 2nd ed., 7-3, with the order of bits turned round.
pub(crate) fn transpose(rows: &mut [u64; 64]) {
    let (mut j, mut mask) = (32, 0x0000_0000_FFFF_FFFFu64);
    while j != 0 {
        let mut k = 0;
        while k < 64 {
            let t = ((rows[k] >> j) ^ rows[k + j]) & mask;
            rows[k] ^= t << j;
            rows[k + j] ^= t;
            k = (k + j + 1) & !j;
        }
        j >>= 1;
        mask ^= mask << j;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_turns_rows_into_digits() {
        let before: [u64; 64] = std::array::from_fn(|i| hash::mix(i as u64));
        let mut rows = before;
        transpose(&mut rows);
        for (i, row) in before.iter().enumerate() {
            for (k, column) in rows.iter().enumerate() {
                assert_eq!(row >> k & 1, column >> i & 1);
            }
        }
    }
}
