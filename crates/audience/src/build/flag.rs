//! A block of true and false: two bitmaps.

use super::mark;
use crate::{
    form::{BITS, DESC, Draft, Form, WORDS, Words, u32_at},
    format::Column,
};

/// Bytes before the data: two descriptors.
const HEAD: usize = 2 * DESC;

pub(super) struct Flags {
    yes: Words,
    known: Words,
}

impl Default for Flags {
    fn default() -> Self {
        Self { yes: [0; WORDS], known: [0; WORDS] }
    }
}

impl Flags {
    pub(super) fn fill(&mut self, place: usize, values: &[bool], valid: Option<&[bool]>) {
        mark(&mut self.known, place, values.len(), valid);
        mark(&mut self.yes, place, values.len(), Some(values));
    }

    pub(super) fn take(&mut self, whole: bool, column: &mut Column) -> Vec<u8> {
        let (mut yes, mut no) = (self.yes, self.known);
        for (y, k) in yes.iter_mut().zip(&mut no) {
            *y &= *k;
            *k &= !*y;
        }
        let known: u64 = self.known.iter().map(|w| u64::from(w.count_ones())).sum();
        let mut d = Draft::new(HEAD);
        d.put(0, &yes, whole);
        if whole && known == BITS as u64 {
            d.put_complement(DESC);
        } else {
            d.put(DESC, &no, whole);
        }
        column.known += known;
        *self = Self::default();
        d.finish()
    }
}

/// Counts the known of a block that is carried over.
pub(super) fn absorb(bytes: &[u8], column: &mut Column) -> Option<()> {
    column.known += match Form::read(bytes, DESC)? {
        Form::Complement => BITS as u64,
        _ => u64::from(u32_at(bytes, 4)?) + u64::from(u32_at(bytes, DESC + 4)?),
    };
    Some(())
}
