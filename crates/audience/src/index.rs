//! An index over its bytes.

use crate::{
    column::{FlagBlock, NumberBlock, WordBlock, rows_of},
    error::IndexError,
    form::BITS,
    format::{self, Column, Head, Kind},
    words::Words,
};
use kairos_model::{TenantId, hash::FixedMap};
use kairos_rules::TagType;

/// An index: bytes (a mapped file, a `Vec`) whose header and directory were checked. The blocks are checked by
/// [`Index::verify`]; a block that is damaged and was not verified gives an error or a wrong answer, never a panic.
pub struct Index<B> {
    bytes: B,
    meta: Meta,
}

/// What is known of an index besides its blocks.
pub(crate) struct Meta {
    head: Head,
    columns: Vec<Column>,
    places: FixedMap<String, usize>,
}

impl<B: AsRef<[u8]>> Index<B> {
    /// Reads and checks header, footer and directory.
    ///
    /// Errors: not an index, a newer format, another tenant's, cut short, a checksum that does not match.
    pub fn open(bytes: B, tenant: TenantId) -> Result<Self, IndexError> {
        let head = Head::read(bytes.as_ref(), tenant)?;
        let (columns, _) = format::read_directory(bytes.as_ref(), head.rows)?;
        let places = columns.iter().enumerate().map(|(i, c)| (c.id.clone(), i)).collect::<FixedMap<_, _>>();
        if places.len() != columns.len() {
            return Err(IndexError::damaged("the directory", "a column is there twice"));
        }
        Ok(Self { bytes, meta: Meta { head, columns, places } })
    }

    /// Checks every block against its checksum and its own structure; afterwards no question can find damage, unless
    /// the bytes change underneath.
    ///
    /// Errors: the first piece that is not as it was written.
    pub fn verify(&self) -> Result<(), IndexError> {
        let view = self.view();
        (0..view.columns().len()).try_for_each(|c| view.verify_column(c))
    }

    pub fn head(&self) -> &Head {
        &self.meta.head
    }
    /// The tags' columns, in the order in which they were built.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.meta.columns.iter().filter(|c| !c.id.is_empty())
    }
    pub fn column(&self, id: &str) -> Option<&Column> {
        self.columns().find(|c| c.id == id)
    }
    /// The words of a text, enum or set by their codes; empty for other columns.
    pub fn vocabulary(&self, id: &str) -> Result<Vec<String>, IndexError> {
        let view = self.view();
        match view.column(id) {
            Some(c) if format::has_words(&view.columns()[c].ty) => {
                let words = view.words_of(id)?;
                Ok((0..words.len() as u32).map(|c| words.word(c).to_owned()).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
    /// Of the whole file.
    pub fn bytes(&self) -> usize {
        self.bytes.as_ref().len()
    }
    /// The index without its owner's type, for asking.
    pub fn view(&self) -> View<'_> {
        View { bytes: self.bytes.as_ref(), meta: &self.meta }
    }
}

/// A borrowed index: cheap to copy, free to share between threads.
#[derive(Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
    meta: &'a Meta,
}

impl<'a> View<'a> {
    pub fn head(&self) -> &'a Head {
        &self.meta.head
    }
    pub(crate) fn columns(&self) -> &'a [Column] {
        &self.meta.columns
    }
    /// The place of a column.
    pub(crate) fn column(&self, id: &str) -> Option<usize> {
        self.meta.places.get(id).copied()
    }
    /// The column that says who exists; `None`: everyone.
    pub(crate) fn universe(&self) -> Option<usize> {
        self.column("")
    }
    /// Blocks of 65,536 rows; a question may be answered by parts of them.
    pub fn blocks(&self) -> usize {
        (self.meta.head.rows as usize).div_ceil(BITS)
    }
    pub(crate) fn rows_of(&self, b: usize) -> usize {
        rows_of(b, self.meta.head.rows)
    }
    #[inline]
    pub(crate) fn block(&self, column: usize, b: usize) -> Result<&'a [u8], IndexError> {
        let piece = self.meta.columns.get(column).and_then(|c| c.pieces.get(b));
        let bytes = piece.and_then(|p| {
            let from = usize::try_from(p.offset).ok()?;
            self.bytes.get(from..from.checked_add(p.len as usize)?)
        });
        bytes.ok_or_else(|| self.broken(column, b))
    }
    /// That a block does not parse.
    #[cold]
    pub(crate) fn broken(&self, column: usize, b: usize) -> IndexError {
        let id = self.meta.columns.get(column).map_or("", |c| c.id.as_str());
        IndexError::damaged(format!("column `{id}`, block {b}"), "it does not parse")
    }
    pub(crate) fn dictionary(&self, column: usize) -> Result<Words<'a>, IndexError> {
        let b = self.blocks();
        Words::new(self.block(column, b)?).ok_or_else(|| self.broken(column, b))
    }
    pub(crate) fn words_of(&self, id: &str) -> Result<Words<'a>, IndexError> {
        self.dictionary(self.column(id).unwrap_or(usize::MAX))
    }
    /// A block whose checksum was looked at.
    pub(crate) fn checked_block(&self, id: &str, b: usize) -> Result<&'a [u8], IndexError> {
        let column = self.column(id).unwrap_or(usize::MAX);
        let bytes = self.block(column, b)?;
        let crc = self.meta.columns.get(column).and_then(|c| c.pieces.get(b)).map(|p| p.crc);
        if crc != Some(crc32c::crc32c(bytes)) {
            let place = format!("column `{id}`, block {b}");
            return Err(IndexError::damaged(place, "its checksum does not match"));
        }
        Ok(bytes)
    }

    fn verify_column(&self, c: usize) -> Result<(), IndexError> {
        let column = &self.meta.columns[c];
        for b in 0..column.pieces.len() {
            let bytes = self.checked_block(&column.id, b)?;
            let rows = self.rows_of(b);
            if b == self.blocks() {
                self.dictionary(c)?.check()?;
                continue;
            }
            let sound = match format::kind_of(&column.ty) {
                Kind::Flag => FlagBlock::sound(bytes, rows),
                Kind::Number => NumberBlock::sound(bytes, rows),
                Kind::Word => WordBlock::sound(bytes, rows),
            };
            if !sound {
                return Err(self.broken(c, b));
            }
        }
        Ok(())
    }

    /// The type of a tag with its vocabulary, as conditions speak of it.
    pub fn tag_type(&self, id: &str) -> Result<Option<TagType>, IndexError> {
        let Some(c) = self.column(id).filter(|_| !id.is_empty()) else { return Ok(None) };
        let all = |w: Words<'_>| (0..w.len() as u32).map(|c| w.word(c).to_owned()).collect::<Vec<_>>();
        Ok(Some(match &self.columns()[c].ty {
            TagType::Enum { .. } => TagType::enumeration(all(self.dictionary(c)?)),
            TagType::Set { .. } => TagType::set(all(self.dictionary(c)?)),
            other => other.clone(),
        }))
    }
}
