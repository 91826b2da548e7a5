//! Blocks of a column as they are read.

use crate::{
    build::{number, word},
    form::{
        self, ALIGN, BITS, BYTES, DESC, Form, WORDS, ascending, dense_at, members, sparse_at, tail_is_zero, u32_at,
        u64_at,
    },
};

/// True and false.
pub(crate) struct FlagBlock<'a> {
    pub(crate) yes: Form<'a>,
    pub(crate) no: Form<'a>,
}

impl<'a> FlagBlock<'a> {
    #[inline]
    pub(crate) fn read(block: &'a [u8]) -> Option<Self> {
        Some(Self { yes: Form::read(block, 0)?, no: Form::read(block, DESC)? })
    }
    pub(crate) fn sound(block: &'a [u8], rows: usize) -> bool {
        Self::read(block).is_some_and(|b| {
            !matches!(b.yes, Form::Complement) && b.yes.sound(block, 0, rows) && b.no.sound(block, DESC, rows)
        })
    }
}

/// Numbers by their binary digits.
pub(crate) struct NumberBlock<'a> {
    pub(crate) known: Form<'a>,
    pub(crate) least: i64,
    /// Never 0.
    pub(crate) step: u64,
    pub(crate) digits: usize,
    block: &'a [u8],
}

impl<'a> NumberBlock<'a> {
    #[inline]
    pub(crate) fn read(block: &'a [u8]) -> Option<Self> {
        let known = Form::read(block, 0)?;
        let least = u64_at(block, number::LEAST)? as i64;
        let (step, digits) = (u64_at(block, number::STEP)?, u32_at(block, number::DIGITS)? as usize);
        (step > 0 && digits <= 64).then_some(Self { known, least, step, digits, block })
    }
    /// The bitmap of digit `i`, the lowest is 0.
    #[inline]
    pub(crate) fn digit(&self, i: usize) -> Option<Form<'a>> {
        Form::read(self.block, number::HEAD + i * DESC)
    }
    /// Quotients `(value − least) ÷ step` of the values from `low` to `high`, both included; `None` if there is none.
    pub(crate) fn quotients(&self, low: i64, high: i64) -> Option<(u64, u64)> {
        if high < self.least || low > high {
            return None;
        }
        // a difference of two i64 of which the first is not less fits a u64
        let above = |x: i64| x.wrapping_sub(self.least) as u64;
        let top = if self.digits == 64 { u64::MAX } else { (1 << self.digits) - 1 };
        let from = if low <= self.least { 0 } else { above(low).div_ceil(self.step) };
        let to = (above(high) / self.step).min(top);
        (from <= to).then_some((from, to))
    }
    /// Visits the known rows with their values, in order.
    pub(crate) fn values(&self, mut visit: impl FnMut(u16, i64)) {
        let planes: Vec<_> = (0..self.digits).map(|i| spread(self.digit(i).unwrap_or(Form::Empty))).collect();
        let known = spread(self.known);
        let mut rows = [0u64; 64];
        for w in 0..WORDS {
            let mut k = known[w];
            if k == 0 {
                continue;
            }
            rows.fill(0);
            rows.iter_mut().zip(&planes).for_each(|(r, p)| *r = p[w]);
            number::transpose(&mut rows);
            while k != 0 {
                let i = k.trailing_zeros() as usize;
                visit((64 * w + i) as u16, self.least.wrapping_add(rows[i].wrapping_mul(self.step) as i64));
                k &= k - 1;
            }
        }
    }
    pub(crate) fn sound(block: &'a [u8], rows: usize) -> bool {
        let Some(b) = Self::read(block) else { return false };
        let plain = |f: Form<'_>, at: usize| !matches!(f, Form::Complement) && f.sound(block, at, rows);
        plain(b.known, 0) && (0..b.digits).all(|i| b.digit(i).is_some_and(|f| plain(f, number::HEAD + i * DESC)))
    }
}

/// A bitmap as words.
pub(crate) fn spread(form: Form<'_>) -> Box<form::Words> {
    let mut words = Box::new([0u64; WORDS]);
    match form {
        Form::Empty | Form::Complement => {}
        Form::Full => words.fill(u64::MAX),
        Form::Sparse(all) => all.iter().for_each(|p| {
            let p = usize::from(u16::from_le_bytes(*p));
            words[p / 64] |= 1 << (p % 64);
        }),
        Form::Dense(from) => words.iter_mut().zip(from).for_each(|(w, b)| *w = u64::from_le_bytes(*b)),
    }
    words
}

/// Who has which word.
pub(crate) struct WordBlock<'a> {
    pub(crate) known: Form<'a>,
    codes: &'a [[u8; 4]],
    /// Positions before each code, and all.
    before: &'a [[u8; 4]],
    dense: &'a [[u8; 4]],
    positions: &'a [[u8; 2]],
    block: &'a [u8],
    /// Where the dense bitmaps begin.
    bitmaps: usize,
}

fn u32s(bytes: &[u8], at: usize, n: usize) -> Option<&[[u8; 4]]> {
    Some(bytes.get(at..at.checked_add(n.checked_mul(4)?)?)?.as_chunks::<4>().0)
}
fn number_of(b: &[u8; 4]) -> usize {
    u32::from_le_bytes(*b) as usize
}

impl<'a> WordBlock<'a> {
    pub(crate) fn read(block: &'a [u8]) -> Option<Self> {
        let known = Form::read(block, 0)?;
        let (n, m) = (u32_at(block, word::CODES)? as usize, u32_at(block, word::DENSE)? as usize);
        let codes = u32s(block, word::HEAD, n)?;
        let before = u32s(block, word::HEAD + 4 * n, n + 1)?;
        let dense = u32s(block, word::HEAD + 4 * (2 * n + 1), m)?;
        let at = word::HEAD + 4 * (2 * n + 1 + m);
        let total = number_of(before.last()?);
        let positions = sparse_at(block, at, total)?;
        Some(Self { known, codes, before, dense, positions, block, bitmaps: (at + 2 * total).next_multiple_of(ALIGN) })
    }
    /// How many codes somebody has.
    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }
    pub(crate) fn code(&self, place: usize) -> u32 {
        self.codes.get(place).map_or(u32::MAX, |c| u32::from_le_bytes(*c))
    }
    /// The bitmap of the code at a place; empty where the tables do not agree.
    pub(crate) fn form(&self, place: usize) -> Form<'a> {
        let (Some(from), Some(to)) = (self.before.get(place), self.before.get(place + 1)) else { return Form::Empty };
        let (from, to) = (number_of(from), number_of(to));
        if from < to {
            return self.positions.get(from..to).map_or(Form::Empty, Form::Sparse);
        }
        let k = self.dense.binary_search_by(|d| number_of(d).cmp(&place));
        k.ok().and_then(|k| dense_at(self.block, self.bitmaps + k * BYTES)).map_or(Form::Empty, Form::Dense)
    }
    fn find(&self, code: u32, from: usize) -> Result<usize, usize> {
        let found = self.codes[from..].binary_search_by(|c| u32::from_le_bytes(*c).cmp(&code));
        found.map(|i| i + from).map_err(|i| i + from)
    }
    /// Visits the bitmaps of those of `codes` (ascending) that somebody has.
    pub(crate) fn each(&self, codes: &[u32], mut visit: impl FnMut(Form<'a>)) {
        if codes.len() <= self.codes.len() {
            let mut from = 0;
            for &code in codes {
                match self.find(code, from) {
                    Ok(i) => {
                        visit(self.form(i));
                        from = i + 1;
                    }
                    Err(i) => from = i,
                }
            }
        } else {
            for i in 0..self.codes.len() {
                if codes.binary_search(&self.code(i)).is_ok() {
                    visit(self.form(i));
                }
            }
        }
    }
    pub(crate) fn sound(block: &'a [u8], rows: usize) -> bool {
        let Some(b) = Self::read(block) else { return false };
        let up = |all: &[[u8; 4]]| all.windows(2).all(|w| number_of(&w[0]) <= number_of(&w[1]));
        let strictly = |all: &[[u8; 4]]| all.windows(2).all(|w| number_of(&w[0]) < number_of(&w[1]));
        let forms = (0..b.len()).all(|i| match b.form(i) {
            Form::Sparse(p) => ascending(p, rows),
            Form::Dense(w) => members(w) > 0 && tail_is_zero(w, rows),
            _ => false,
        });
        !matches!(b.known, Form::Complement)
            && b.known.sound(block, 0, rows)
            && strictly(b.codes)
            && strictly(b.dense)
            && up(b.before)
            && b.before.first().is_some_and(|f| number_of(f) == 0)
            && forms
    }
}

/// Rows of block `b` of an index of `rows`.
pub(crate) fn rows_of(b: usize, rows: u32) -> usize {
    (rows as usize).saturating_sub(b * BITS).min(BITS)
}
