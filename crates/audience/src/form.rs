//! One bitmap of one block: 65,536 subscribers in the form that takes least.
//!
//! A descriptor of 12 bytes (kind u32, members u32, offset u32 from the start of the block's bytes) names the data:
//! positions of two bytes each, ascending, or 1,024 words of eight bytes, all little endian.

/// Subscribers of a block: so many that a planned clause costs little against its data, so few that the data of one
/// bitmap (8 KiB) stays in the first-level cache.
pub(crate) const BITS: usize = 1 << 16;
pub(crate) const WORDS: usize = BITS / 64;
pub(crate) const BYTES: usize = BITS / 8;
/// Up to so many members a block is kept as positions: past it, setting them one by one costs more than reading 8 KiB.
pub(crate) const SPARSE_MAX: usize = 256;
pub(crate) const DESC: usize = 12;
/// Dense data begins at a multiple of this: a cache line, and the widest vector.
pub(crate) const ALIGN: usize = 64;

/// The words of a dense block as stored: little endian, of no alignment that the program could rely on.
pub(crate) type Block = [[u8; 8]; WORDS];
/// The words of a block in the making.
pub(crate) type Words = [u64; WORDS];

pub(crate) static ZEROS: Block = [[0; 8]; WORDS];
pub(crate) static ONES: Block = [[0xFF; 8]; WORDS];

const EMPTY: u32 = 0;
const FULL: u32 = 1;
const SPARSE: u32 = 2;
const DENSE: u32 = 3;
/// Only for "false": whoever is not in the bitmap before.
const COMPLEMENT: u32 = 4;

/// A bitmap of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form<'a> {
    Empty,
    Full,
    /// Ascending positions, little endian.
    Sparse(&'a [[u8; 2]]),
    Dense(&'a Block),
    /// Whoever is not in the bitmap before.
    Complement,
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|b| u32::from_le_bytes(*b))
}
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))
}

/// 1,024 words at an offset; `None` past the end.
pub(crate) fn dense_at(bytes: &[u8], at: usize) -> Option<&Block> {
    bytes.get(at..at.checked_add(BYTES)?)?.as_chunks::<8>().0.try_into().ok()
}
/// `n` positions at an offset; `None` past the end.
pub(crate) fn sparse_at(bytes: &[u8], at: usize, n: usize) -> Option<&[[u8; 2]]> {
    Some(bytes.get(at..at.checked_add(n.checked_mul(2)?)?)?.as_chunks::<2>().0)
}

impl<'a> Form<'a> {
    /// Reads the descriptor at `at`; `None` where it or its data lie outside of the block's bytes.
    #[inline]
    pub(crate) fn read(block: &'a [u8], at: usize) -> Option<Self> {
        let desc = block.get(at..)?.first_chunk::<DESC>()?;
        let number = |i: usize| u32::from_le_bytes([desc[i], desc[i + 1], desc[i + 2], desc[i + 3]]);
        let (kind, count, offset) = (number(0), number(4) as usize, number(8) as usize);
        Some(match kind {
            EMPTY => Self::Empty,
            FULL => Self::Full,
            SPARSE => Self::Sparse(sparse_at(block, offset, count)?),
            DENSE => Self::Dense(dense_at(block, offset)?),
            COMPLEMENT => Self::Complement,
            _ => return None,
        })
    }

    /// Whether the descriptor's count and the data agree and no member lies at or past `rows`.
    pub(crate) fn sound(&self, block: &[u8], at: usize, rows: usize) -> bool {
        let Some(count) = u32_at(block, at + 4) else { return false };
        let count = count as usize;
        match self {
            Self::Empty => count == 0,
            Self::Full => count == BITS && rows == BITS,
            // its count is that of the bitmap before
            Self::Complement => rows == BITS,
            Self::Sparse(all) => count == all.len() && ascending(all, rows),
            Self::Dense(words) => count == members(words) && tail_is_zero(words, rows),
        }
    }
}

pub(crate) fn ascending(all: &[[u8; 2]], rows: usize) -> bool {
    let mut next = 0usize;
    all.iter().all(|p| {
        let p = usize::from(u16::from_le_bytes(*p));
        let sound = p >= next && p < rows;
        next = p + 1;
        sound
    })
}

pub(crate) fn members(words: &Block) -> usize {
    words.iter().map(|w| u64::from_le_bytes(*w).count_ones() as usize).sum()
}

pub(crate) fn tail_is_zero(words: &Block, rows: usize) -> bool {
    words.iter().enumerate().skip(rows / 64).all(|(i, w)| {
        let w = u64::from_le_bytes(*w);
        if i == rows / 64 { w >> (rows % 64) == 0 } else { w == 0 }
    })
}

/// The bytes of one block in the making: descriptors at the head, data behind.
pub(crate) struct Draft {
    pub(crate) bytes: Vec<u8>,
}

impl Draft {
    /// With `head` bytes of zeros for descriptors.
    pub(crate) fn new(head: usize) -> Self {
        Self { bytes: vec![0; head] }
    }
    pub(crate) fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
    }
    pub(crate) fn put_u32(&mut self, at: usize, x: u32) {
        self.bytes[at..at + 4].copy_from_slice(&x.to_le_bytes());
    }
    pub(crate) fn put_u64(&mut self, at: usize, x: u64) {
        self.bytes[at..at + 8].copy_from_slice(&x.to_le_bytes());
    }
    fn describe(&mut self, at: usize, kind: u32, count: usize, offset: usize) {
        self.put_u32(at, kind);
        self.put_u32(at + 4, count as u32);
        self.put_u32(at + 8, offset as u32);
    }
    /// Stores a bitmap in its smallest form. `whole`: all 65,536 rows exist (else nobody outside may ever seem a member).
    pub(crate) fn put(&mut self, at: usize, words: &Words, whole: bool) {
        let count: usize = words.iter().map(|w| w.count_ones() as usize).sum();
        match count {
            0 => self.describe(at, EMPTY, 0, 0),
            BITS if whole => self.describe(at, FULL, count, 0),
            1..=SPARSE_MAX => {
                let offset = self.bytes.len();
                self.describe(at, SPARSE, count, offset);
                each(words, |p| self.bytes.extend_from_slice(&p.to_le_bytes()));
            }
            _ => {
                self.align();
                let offset = self.bytes.len();
                self.describe(at, DENSE, count, offset);
                self.put_dense(words);
            }
        }
    }
    pub(crate) fn put_complement(&mut self, at: usize) {
        self.describe(at, COMPLEMENT, 0, 0);
    }
    pub(crate) fn put_dense(&mut self, words: &Words) {
        self.bytes.reserve(BYTES);
        words.iter().for_each(|w| self.bytes.extend_from_slice(&w.to_le_bytes()));
    }
    /// Padded to the alignment, so that the next block begins there.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }
}

/// Visits the members in order.
pub(crate) fn each(words: &Words, mut visit: impl FnMut(u16)) {
    for (i, &w) in words.iter().enumerate() {
        let mut w = w;
        while w != 0 {
            visit((i as u32 * 64 + w.trailing_zeros()) as u16);
            w &= w - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(of: impl Fn(usize) -> bool) -> Words {
        let mut w = [0u64; WORDS];
        (0..BITS).filter(|&i| of(i)).for_each(|i| w[i / 64] |= 1 << (i % 64));
        w
    }
    fn read_back(form: Form<'_>) -> usize {
        match form {
            Form::Empty => 0,
            Form::Full => BITS,
            Form::Sparse(all) => all.len(),
            Form::Dense(w) => members(w),
            Form::Complement => unreachable!("not written here"),
        }
    }

    #[test]
    fn a_bitmap_is_kept_in_its_smallest_form() {
        for (of, bytes) in [
            (&(|_| false) as &dyn Fn(usize) -> bool, 64),
            (&|_| true, 64),
            (&|i| i % 1000 == 0, 64 + 192),
            (&|i| i % 256 == 0, 64 + 2 * 256),
            (&|i| i % 255 == 0, 64 + BYTES),
        ] {
            let w = words(of);
            let mut d = Draft::new(64);
            d.put(0, &w, true);
            let stored = d.finish();
            let form = Form::read(&stored, 0).unwrap();
            assert_eq!((stored.len(), read_back(form)), (bytes, (0..BITS).filter(|&i| of(i)).count()));
            assert!(form.sound(&stored, 0, BITS));
        }
    }

    #[test]
    fn a_short_last_block_is_never_full() {
        let w = words(|i| i < 1000);
        let mut d = Draft::new(64);
        d.put(0, &w, false);
        let stored = d.finish();
        let form = Form::read(&stored, 0).unwrap();
        assert!(form.sound(&stored, 0, 1000) && !form.sound(&stored, 0, 999));
    }
}
