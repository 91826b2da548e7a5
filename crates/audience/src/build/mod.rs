//! Building an index as a stream: a column at a time, a block of it in memory.

mod flag;
pub(crate) mod number;
pub(crate) mod word;

use crate::{
    error::BuildError,
    form::{self, BITS, WORDS},
    format::{self, COLUMNS_MAX, Column, Head, Kind, NAME_MAX, Piece},
    index::Index,
    words::WordMaker,
};
use kairos_model::PartyId;
use kairos_rules::{TagType, valid_id};
use std::io::Write;

/// The values of consecutive rows.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    Bools(&'a [bool]),
    /// Ints; millionths of decimals and money; days since 1970-01-01 of dates; seconds of durations.
    Numbers(&'a [i64]),
    Cells(&'a [u32]),
    /// Texts, and words of enums.
    Texts(&'a [&'a str]),
    /// Places in the vocabulary of an enum.
    Codes(&'a [u32]),
    /// Sets: the members of row `i` are `words[ends[i - 1]..ends[i]]`.
    Sets {
        ends: &'a [u32],
        words: &'a [&'a str],
    },
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Bools(v) => v.len(),
            Self::Numbers(v) => v.len(),
            Self::Cells(v) | Self::Codes(v) => v.len(),
            Self::Texts(v) => v.len(),
            Self::Sets { ends, .. } => ends.len(),
        }
    }
}

/// Writes an index: [`Builder::begin`], columns, [`Builder::finish`].
pub struct Builder<W: Write> {
    out: W,
    at: u64,
    head: Head,
    columns: Vec<Column>,
    carried: usize,
    /// The column that was begun and not finished.
    open: Option<String>,
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Of the whole file.
    pub bytes: u64,
    pub columns: usize,
    /// Columns of which whole blocks were taken from another index.
    pub carried: usize,
}

impl<W: Write> Builder<W> {
    /// Writes the header.
    ///
    /// Errors: more rows than there can be ordinals (2^31); the sink.
    pub fn begin(out: W, head: Head) -> Result<Self, BuildError> {
        if head.rows > PartyId::SUBSCRIBERS_MAX {
            return Err(BuildError::Limit { what: format!("{} rows, and ordinals end at 2^31", head.rows) });
        }
        let mut b = Self { out, at: 0, head, columns: Vec::new(), carried: 0, open: None };
        b.write(&head.write(), "the header")?;
        Ok(b)
    }

    fn write(&mut self, bytes: &[u8], what: &str) -> Result<(), BuildError> {
        self.out.write_all(bytes).map_err(|cause| BuildError::Write { what: what.to_owned(), cause })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Says who exists, by ascending ordinals; without it all rows do. Nobody else is ever selected.
    ///
    /// Errors: ordinals that do not ascend or are past the rows.
    pub fn universe(&mut self, ordinals: impl IntoIterator<Item = u32>) -> Result<(), BuildError> {
        let rows = self.head.rows;
        let mut column = self.start(String::new(), TagType::Bool, String::new())?;
        let mut next = 0u32;
        for o in ordinals {
            if o < next || o >= rows {
                return Err(BuildError::Limit { what: format!("subscriber {o} is out of order or past {rows} rows") });
            }
            column.skip(u64::from(o - next))?;
            column.push(&Values::Bools(&[true]), None)?;
            next = o + 1;
        }
        column.finish()
    }

    /// Begins the column of a tag. `key` says what its values depend on, see [`Column::key`].
    ///
    /// Errors: no id of a tag, an id that is there already, a vocabulary with a word twice, a limit.
    pub fn column(&mut self, id: &str, ty: &TagType, key: &str) -> Result<ColumnWriter<'_, W>, BuildError> {
        if !valid_id(id) {
            return Err(BuildError::column(id, "that is no id of a tag"));
        }
        self.start(id.to_owned(), ty.clone(), key.to_owned())
    }

    fn start(&mut self, id: String, ty: TagType, key: String) -> Result<ColumnWriter<'_, W>, BuildError> {
        if let Some(open) = &self.open {
            return Err(BuildError::column(open, "it was begun and not finished"));
        }
        if self.columns.iter().any(|c| c.id == id) {
            return Err(BuildError::column(&id, "it is there already"));
        }
        if self.columns.len() >= COLUMNS_MAX || key.len() > NAME_MAX {
            return Err(BuildError::column(&id, format!("past {COLUMNS_MAX} columns or {NAME_MAX} bytes of its key")));
        }
        let words = match &ty {
            TagType::Text => Some(WordMaker::of(&id, [], true)?),
            TagType::Enum { values } => Some(WordMaker::of(&id, values.iter().map(String::as_str), false)?),
            TagType::Set { values } => Some(WordMaker::of(&id, values.iter().map(String::as_str), values.is_empty())?),
            _ => None,
        };
        let block = match format::kind_of(&ty) {
            Kind::Flag => Filling::Flag(Box::default()),
            Kind::Number => Filling::Number(Box::default()),
            Kind::Word => Filling::Word(Box::default()),
        };
        self.open = Some(id.clone());
        let column =
            Column { id, ty, key, content: [0; 32], known: 0, range: None, bins: Vec::new(), pieces: Vec::new() };
        Ok(ColumnWriter { column, words, block, rows: 0, hash: blake3::Hasher::new(), to: self })
    }

    /// Begins a column with the whole blocks of the same column of an older index of equal `key`, and says from which
    /// row on the caller must push: the last, unfinished block of the old one and whatever is new.
    ///
    /// Errors: no such column, another type or key, a vocabulary that is another, damage.
    pub fn carry<B: AsRef<[u8]>>(
        &mut self,
        old: &Index<B>,
        id: &str,
        ty: &TagType,
        key: &str,
    ) -> Result<(ColumnWriter<'_, W>, u32), BuildError> {
        let refuse = |what: &str| BuildError::column(id, format!("{what}; build it from its values"));
        let view = old.view();
        let from = view.column(id).map(|i| &view.columns()[i]).ok_or_else(|| refuse("the old index lacks it"))?;
        if from.key != key || format::type_name(&from.ty) != format::type_name(ty) {
            return Err(refuse("key or type differ from those of the old index"));
        }
        let damage = |cause| BuildError::Carry { column: id.to_owned(), cause };
        let mut to = self.column(id, ty, key)?;
        let whole = (view.head().rows.min(to.to.head.rows) as usize) / BITS;
        if let Some(mine) = &mut to.words {
            let theirs = view.words_of(id).map_err(damage)?;
            let known = mine.len();
            for code in 0..theirs.len() as u32 {
                if mine.code(id, theirs.word(code))? != code {
                    return Err(refuse("its vocabulary has another order than in the old index"));
                }
            }
            if known > theirs.len() {
                return Err(refuse("its vocabulary has grown"));
            }
        }
        for b in 0..whole {
            let block = view.checked_block(id, b).map_err(damage)?;
            to.absorb(block, b)?;
        }
        to.to.carried += usize::from(whole > 0);
        to.rows = (whole * BITS) as u64;
        let next = (whole * BITS) as u32;
        Ok((to, next))
    }

    /// Writes directory and footer and gives the sink back, flushed but not synced.
    pub fn finish(mut self) -> Result<(W, Built), BuildError> {
        if let Some(open) = &self.open {
            return Err(BuildError::column(open, "it was begun and not finished"));
        }
        let directory = format::write_directory(&self.columns);
        let footer = format::write_footer(self.at, &directory);
        self.write(&directory, "the directory")?;
        self.write(&footer, "the footer")?;
        self.out.flush().map_err(|cause| BuildError::Write { what: "the end".to_owned(), cause })?;
        Ok((self.out, Built { bytes: self.at, columns: self.columns.len(), carried: self.carried }))
    }
}

/// The block that is being filled.
enum Filling {
    Flag(Box<flag::Flags>),
    Number(Box<number::Numbers>),
    Word(Box<word::Postings>),
}

/// Takes the values of one column, row after row from 0.
pub struct ColumnWriter<'b, W: Write> {
    column: Column,
    words: Option<WordMaker>,
    block: Filling,
    /// Rows so far.
    rows: u64,
    hash: blake3::Hasher,
    to: &'b mut Builder<W>,
}

impl<W: Write> ColumnWriter<'_, W> {
    /// The row that the next value belongs to.
    pub fn row(&self) -> u64 {
        self.rows
    }

    /// The next `n` rows have no value.
    pub fn skip(&mut self, n: u64) -> Result<(), BuildError> {
        self.room(n)?;
        let end = self.rows + n;
        while self.rows < end {
            let step = (end - self.rows).min((BITS - self.rows as usize % BITS) as u64);
            self.rows += step;
            if (self.rows as usize).is_multiple_of(BITS) {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The values of the next rows; where `valid` is false there is none.
    ///
    /// Errors: more rows than the index has, values of another type, a word outside of the vocabulary, tables whose
    /// lengths differ.
    pub fn push(&mut self, values: &Values<'_>, valid: Option<&[bool]>) -> Result<(), BuildError> {
        let n = values.len();
        self.room(n as u64)?;
        if valid.is_some_and(|v| v.len() != n) {
            return Err(BuildError::column(&self.column.id, "values and validity differ in length"));
        }
        let mut done = 0;
        while done < n {
            let place = self.rows as usize % BITS;
            let step = (n - done).min(BITS - place);
            let part = done..done + step;
            self.fill(values, valid.map(|v| &v[part.clone()]), part, place)?;
            done += step;
            self.rows += step as u64;
            if (self.rows as usize).is_multiple_of(BITS) {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn fill(
        &mut self,
        values: &Values<'_>,
        valid: Option<&[bool]>,
        part: std::ops::Range<usize>,
        place: usize,
    ) -> Result<(), BuildError> {
        let id = &self.column.id;
        let ty = &self.column.ty;
        match (&mut self.block, values, &mut self.words) {
            (Filling::Flag(b), Values::Bools(v), _) => b.fill(place, &v[part], valid),
            (Filling::Number(b), Values::Numbers(v), _) => b.fill(place, &v[part], valid),
            (Filling::Word(b), Values::Cells(v), None) => b.codes(place, &v[part], valid),
            (Filling::Word(b), Values::Codes(v), Some(words)) if matches!(ty, TagType::Enum { .. }) => {
                if let Some(past) = v[part.clone()]
                    .iter()
                    .zip(0..)
                    .find(|(c, i)| **c as usize >= words.len() && valid.is_none_or(|v| v[*i as usize]))
                {
                    return Err(BuildError::column(id, format!("there is no word of code {}", past.0)));
                }
                b.codes(place, &v[part], valid);
            }
            (Filling::Word(b), Values::Texts(v), Some(words)) if !matches!(ty, TagType::Set { .. }) => {
                for (i, text) in v[part].iter().enumerate() {
                    if valid.is_none_or(|v| v[i]) {
                        b.add(place + i, Some(words.code(id, text)?));
                    }
                }
            }
            (Filling::Word(b), Values::Sets { ends, words: members }, Some(words))
                if matches!(ty, TagType::Set { .. }) =>
            {
                for i in part.clone() {
                    if valid.is_some_and(|v| !v[i - part.start]) {
                        continue;
                    }
                    let from = if i == 0 { 0 } else { ends[i - 1] as usize };
                    let row = members.get(from..ends[i] as usize);
                    let row =
                        row.ok_or_else(|| BuildError::column(id, "ends of sets do not ascend within the words"))?;
                    b.add(place + i - part.start, None);
                    for word in row {
                        b.add(place + i - part.start, Some(words.code(id, word)?));
                    }
                }
            }
            _ => return Err(BuildError::column(id, format!("these are no values of {}", ty.name()))),
        }
        Ok(())
    }

    fn room(&self, n: u64) -> Result<(), BuildError> {
        let rows = u64::from(self.to.head.rows);
        if self.rows.checked_add(n).is_none_or(|end| end > rows) {
            return Err(BuildError::column(&self.column.id, format!("more values than the index has rows ({rows})")));
        }
        Ok(())
    }

    /// Writes the block that has been filled.
    fn flush(&mut self) -> Result<(), BuildError> {
        let whole = (self.rows as usize).is_multiple_of(BITS);
        let bytes = match &mut self.block {
            Filling::Flag(b) => b.take(whole, &mut self.column),
            Filling::Number(b) => b.take(whole, &mut self.column),
            Filling::Word(b) => b.take(whole, &mut self.column),
        };
        self.piece(&bytes)
    }

    /// Takes a whole block of an older index as it is.
    fn absorb(&mut self, bytes: &[u8], b: usize) -> Result<(), BuildError> {
        let sound = match &mut self.block {
            Filling::Flag(_) => flag::absorb(bytes, &mut self.column),
            Filling::Number(n) => n.absorb(bytes, b, &mut self.column),
            Filling::Word(_) => word::absorb(bytes, &mut self.column),
        };
        if sound.is_none() {
            let cause = crate::error::IndexError::damaged(format!("block {b}"), "it does not parse");
            return Err(BuildError::Carry { column: self.column.id.clone(), cause });
        }
        self.piece(bytes)
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        let piece = Piece { offset: self.to.at, len: bytes.len() as u32, crc: crc32c::crc32c(bytes) };
        self.hash.update(bytes);
        self.column.pieces.push(piece);
        self.to.write(bytes, &format!("column `{}`", self.column.id))
    }

    /// Ends the column: rows that were not pushed have no value.
    pub fn finish(mut self) -> Result<(), BuildError> {
        let rows = u64::from(self.to.head.rows);
        self.skip(rows - self.rows)?;
        if !(rows as usize).is_multiple_of(BITS) {
            self.flush()?;
        }
        if let Some(words) = &self.words {
            let mut bytes = words.write();
            bytes.resize(bytes.len().next_multiple_of(form::ALIGN), 0);
            self.piece(&bytes)?;
        }
        if let Filling::Number(n) = &self.block {
            self.column.bins = n.bins();
        }
        self.column.content = *self.hash.finalize().as_bytes();
        self.to.open = None;
        // the vocabulary is in the dictionary
        match &mut self.column.ty {
            TagType::Enum { values } | TagType::Set { values } => *values = [].into(),
            _ => {}
        }
        self.to.columns.push(self.column);
        Ok(())
    }
}

/// Sets the rows of `place..` where a value is.
fn mark(known: &mut [u64; WORDS], place: usize, n: usize, valid: Option<&[bool]>) {
    let mut put = |i: usize, bits: u64| {
        known[i / 64] |= bits << (i % 64);
        // the part that does not fit into the first word
        if i % 64 > 56 && bits >> (64 - i % 64) != 0 {
            known[i / 64 + 1] |= bits >> (64 - i % 64);
        }
    };
    match valid {
        None => (0..n).step_by(8).for_each(|i| put(place + i, 0xFF >> (8 - (n - i).min(8)))),
        Some(v) => {
            let (eights, rest) = v.as_chunks::<8>();
            for (i, e) in eights.iter().enumerate() {
                // eight bytes of 0 or 1 gathered into one: the product brings each to its own bit of the highest byte
                put(place + 8 * i, u64::from_le_bytes(e.map(u8::from)).wrapping_mul(0x0102_0408_1020_4080) >> 56);
            }
            let from = place + 8 * eights.len();
            rest.iter().enumerate().for_each(|(i, ok)| put(from + i, u64::from(*ok)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_marked_wherever_they_begin() {
        for (place, n) in [(0, 64), (3, 130), (60, 9), (57, 7), (65_530, 6), (1, 1), (63, 200)] {
            let valid: Vec<bool> = (0..n).map(|i| kairos_model::hash::mix(i as u64) & 1 == 0).collect();
            let (mut some, mut all) = ([0u64; WORDS], [0u64; WORDS]);
            mark(&mut some, place, n, Some(&valid));
            mark(&mut all, place, n, None);
            for i in 0..BITS {
                let bit = |w: &[u64; WORDS]| w[i / 64] >> (i % 64) & 1 == 1;
                let within = i >= place && i < place + n;
                assert_eq!((bit(&all), bit(&some)), (within, within && valid[i - place]), "{place} {n} {i}");
            }
        }
    }
}
