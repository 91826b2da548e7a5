//! The file: header, columns of blocks, directory, footer. All numbers little endian.
//!
//! ```text
//! header    64 bytes: KIDX, version u16, tenant u16, snapshot u32, rows u32, as_of i64, day i32, zeros, CRC-32C
//! columns   one after another; a column is its blocks of 65,536 rows, then its dictionary if it has one; each piece
//!           begins at a multiple of 64 bytes and is padded with zeros that its checksum covers
//! directory for each column: id, type, key, content hash, statistics, and for each piece offset u64, length u32, CRC-32C
//! footer    32 bytes: directory offset u64, length u64, CRC-32C of the directory, CRC-32C of the footer so far, KIDX-END
//! ```
//!
//! The footer is last, so that a file can be written as a stream and one that was cut short is known by its lack.

use crate::error::IndexError;
use kairos_model::{Currency, LocalDay, SnapshotId, TenantId, Timestamp};
use kairos_rules::TagType;

pub(crate) const MAGIC: &[u8; 4] = b"KIDX";
pub(crate) const END: &[u8; 8] = b"KIDX-END";
/// The newest format that this program writes and reads.
pub const VERSION: u16 = 1;
pub(crate) const HEADER: usize = 64;
pub(crate) const FOOTER: usize = 32;
pub(crate) const PIECE: usize = 16;
/// Columns of an index: a directory that is still read in a moment.
pub const COLUMNS_MAX: usize = 10_000;
/// Bytes of a column's id, key or word: far longer than any name, short enough for a u16 of length.
pub const NAME_MAX: usize = 4_096;
/// Words of one tag's vocabulary: its dictionary is in memory while the column is built.
pub const WORDS_MAX: usize = 4_000_000;
/// Bytes of all words of one tag: offsets are u32.
pub const WORD_BYTES_MAX: usize = 1 << 30;

/// What an index describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub tenant: TenantId,
    /// The tag snapshot from which it was made.
    pub snapshot: SnapshotId,
    /// The instant that the snapshot describes.
    pub as_of: Timestamp,
    /// That instant's day in the tenant's zone: relative days refer to it.
    pub day: LocalDay,
    /// The highest ordinal + 1; at most 2^31.
    pub rows: u32,
}

impl Head {
    pub(crate) fn write(&self) -> [u8; HEADER] {
        let mut b = [0u8; HEADER];
        b[..4].copy_from_slice(MAGIC);
        b[4..6].copy_from_slice(&VERSION.to_le_bytes());
        b[6..8].copy_from_slice(&self.tenant.0.to_le_bytes());
        b[8..12].copy_from_slice(&self.snapshot.0.to_le_bytes());
        b[12..16].copy_from_slice(&self.rows.to_le_bytes());
        b[16..24].copy_from_slice(&self.as_of.0.to_le_bytes());
        b[24..28].copy_from_slice(&self.day.0.to_le_bytes());
        let crc = crc32c::crc32c(&b[..60]);
        b[60..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Errors: not an index, another tenant's, a newer format, a checksum that does not match.
    pub(crate) fn read(bytes: &[u8], wanted: TenantId) -> Result<Self, IndexError> {
        if !bytes.starts_with(MAGIC) {
            return Err(IndexError::NotAnIndex);
        }
        let short = || IndexError::CutShort { what: "its header is incomplete".into() };
        let header = bytes.first_chunk::<HEADER>().ok_or_else(short)?;
        let mut r = Reader { bytes: &header[4..], at: 0 };
        let version = u16::from_le_bytes(r.take().ok_or_else(short)?);
        if version > VERSION {
            return Err(IndexError::Newer { found: version, known: VERSION });
        }
        let tenant = TenantId(u16::from_le_bytes(r.take().ok_or_else(short)?));
        let snapshot = SnapshotId(u32::from_le_bytes(r.take().ok_or_else(short)?));
        let rows = u32::from_le_bytes(r.take().ok_or_else(short)?);
        let as_of = Timestamp(i64::from_le_bytes(r.take().ok_or_else(short)?));
        let day = LocalDay(i32::from_le_bytes(r.take().ok_or_else(short)?));
        let crc = u32::from_le_bytes([header[60], header[61], header[62], header[63]]);
        if crc32c::crc32c(&header[..60]) != crc || version == 0 {
            return Err(IndexError::damaged("the header", "its checksum does not match"));
        }
        if tenant != wanted {
            return Err(IndexError::OtherTenant { found: tenant, wanted });
        }
        Ok(Self { tenant, snapshot, as_of, day, rows })
    }
}

/// How a column is laid out in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Two bitmaps: true, false.
    Flag,
    /// Known, and one bitmap a binary digit.
    Number,
    /// Known, and one bitmap a word.
    Word,
}

pub(crate) fn kind_of(ty: &TagType) -> Kind {
    match ty {
        TagType::Bool => Kind::Flag,
        TagType::Int | TagType::Decimal | TagType::Money(_) | TagType::Date | TagType::Duration => Kind::Number,
        TagType::Text | TagType::Enum { .. } | TagType::Set { .. } | TagType::Cell => Kind::Word,
    }
}
/// Whether the column has a dictionary: a cell is its own code.
pub(crate) fn has_words(ty: &TagType) -> bool {
    matches!(ty, TagType::Text | TagType::Enum { .. } | TagType::Set { .. })
}

/// A piece of a column: a block or its dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

/// A column as the directory describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The tag. Empty: the universe, who exists at all.
    pub id: String,
    /// Vocabularies are in the column's dictionary, not here.
    pub ty: TagType,
    /// What the maker says that the column depends on; equal key, equal values.
    pub key: String,
    /// BLAKE3 of the column's pieces.
    pub content: [u8; 32],
    /// Rows with a value.
    pub known: u64,
    /// Least and greatest value of a number.
    pub range: Option<(i64, i64)>,
    /// Ascending lower ends of the second and later bins of about equal size, of a number; from a fixed sample.
    pub bins: Vec<i64>,
    pub(crate) pieces: Vec<Piece>,
}

const TYPES: [&str; 10] = ["bool", "int", "decimal", "money", "text", "enum", "set", "date", "duration", "cell"];

/// The type as messages name it: `money in CNY`.
pub(crate) fn type_name(ty: &TagType) -> String {
    match ty {
        TagType::Money(c) => format!("money in {c}"),
        _ => ty.name().to_owned(),
    }
}

fn put_text(out: &mut Vec<u8>, s: &str) {
    out.extend_from_slice(&(s.len() as u16).to_le_bytes());
    out.extend_from_slice(s.as_bytes());
}

pub(crate) fn write_directory(columns: &[Column]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&(columns.len() as u32).to_le_bytes());
    for c in columns {
        put_text(&mut out, &c.id);
        out.push(TYPES.iter().position(|t| *t == c.ty.name()).unwrap_or(0) as u8);
        out.extend_from_slice(if let TagType::Money(m) = &c.ty { m.code().as_bytes() } else { b"---" });
        put_text(&mut out, &c.key);
        out.extend_from_slice(&c.content);
        out.extend_from_slice(&c.known.to_le_bytes());
        let (low, high) = c.range.unwrap_or((1, 0));
        out.extend_from_slice(&low.to_le_bytes());
        out.extend_from_slice(&high.to_le_bytes());
        out.extend_from_slice(&(c.bins.len() as u16).to_le_bytes());
        c.bins.iter().for_each(|b| out.extend_from_slice(&b.to_le_bytes()));
        out.extend_from_slice(&(c.pieces.len() as u32).to_le_bytes());
        for p in &c.pieces {
            out.extend_from_slice(&p.offset.to_le_bytes());
            out.extend_from_slice(&p.len.to_le_bytes());
            out.extend_from_slice(&p.crc.to_le_bytes());
        }
    }
    out
}

pub(crate) fn write_footer(offset: u64, directory: &[u8]) -> [u8; FOOTER] {
    let mut b = [0u8; FOOTER];
    b[..8].copy_from_slice(&offset.to_le_bytes());
    b[8..16].copy_from_slice(&(directory.len() as u64).to_le_bytes());
    b[16..20].copy_from_slice(&crc32c::crc32c(directory).to_le_bytes());
    let crc = crc32c::crc32c(&b[..20]);
    b[20..24].copy_from_slice(&crc.to_le_bytes());
    b[24..].copy_from_slice(END);
    b
}

/// The directory of an index, checked, and where it begins.
pub(crate) fn read_directory(bytes: &[u8], rows: u32) -> Result<(Vec<Column>, u64), IndexError> {
    let short = |what: &str| IndexError::CutShort { what: what.into() };
    let footer = bytes.last_chunk::<FOOTER>().filter(|f| f.ends_with(END));
    let footer = footer.ok_or_else(|| short("its end is missing"))?;
    let mut r = Reader { bytes: footer, at: 0 };
    let broken = || IndexError::damaged("the footer", "its checksum does not match");
    let offset = u64::from_le_bytes(r.take().ok_or_else(broken)?);
    let len = u64::from_le_bytes(r.take().ok_or_else(broken)?);
    let crc = u32::from_le_bytes(r.take().ok_or_else(broken)?);
    let own = u32::from_le_bytes(r.take().ok_or_else(broken)?);
    if crc32c::crc32c(&footer[..20]) != own {
        return Err(broken());
    }
    let end = offset.checked_add(len).filter(|e| *e == (bytes.len() - FOOTER) as u64);
    let end = end.ok_or_else(|| short("its directory is not where the footer says"))?;
    let directory = bytes.get(offset as usize..end as usize).ok_or_else(|| short("its directory is incomplete"))?;
    if crc32c::crc32c(directory) != crc {
        return Err(IndexError::damaged("the directory", "its checksum does not match"));
    }
    let mut r = Reader { bytes: directory, at: 0 };
    let columns = r.columns(rows).ok_or_else(|| IndexError::damaged("the directory", "it does not parse"))?;
    if r.at != directory.len() {
        return Err(IndexError::damaged("the directory", "it has a tail that nobody wrote"));
    }
    let mut next = HEADER as u64;
    for c in &columns {
        for p in &c.pieces {
            if p.offset != next || !p.len.is_multiple_of(crate::form::ALIGN as u32) {
                return Err(IndexError::damaged(format!("column `{}`", c.id), "its pieces do not follow each other"));
            }
            next += u64::from(p.len);
        }
    }
    if next != offset {
        return Err(IndexError::damaged("the directory", "there are bytes that belong to no column"));
    }
    Ok((columns, offset))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let found = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(found)
    }
    fn text(&mut self) -> Option<String> {
        let len = u16::from_le_bytes(self.take()?) as usize;
        let found = std::str::from_utf8(self.bytes.get(self.at..self.at + len)?).ok()?;
        self.at += len;
        Some(found.to_owned())
    }
    fn columns(&mut self, rows: u32) -> Option<Vec<Column>> {
        let n = u32::from_le_bytes(self.take()?) as usize;
        // no more than the bytes can hold, so that a wrong number reserves nothing
        let mut all = Vec::with_capacity(n.min(self.bytes.len() / 64));
        for _ in 0..n {
            all.push(self.column(rows)?);
        }
        Some(all)
    }
    fn column(&mut self, rows: u32) -> Option<Column> {
        let id = self.text()?;
        let ty = u8::from_le_bytes(self.take()?);
        let ty = type_of(TYPES.get(ty as usize)?, self.take()?)?;
        let key = self.text()?;
        let content = self.take()?;
        let known = u64::from_le_bytes(self.take()?);
        let (low, high) = (i64::from_le_bytes(self.take()?), i64::from_le_bytes(self.take()?));
        let mut bins = Vec::new();
        for _ in 0..u16::from_le_bytes(self.take()?) {
            bins.push(i64::from_le_bytes(self.take()?));
        }
        let n = u32::from_le_bytes(self.take()?) as usize;
        let blocks = (rows as usize).div_ceil(crate::form::BITS);
        if n != blocks + usize::from(has_words(&ty)) {
            return None;
        }
        let mut pieces = Vec::with_capacity(n.min(self.bytes.len() / PIECE));
        for _ in 0..n {
            let offset = u64::from_le_bytes(self.take()?);
            let (len, crc) = (u32::from_le_bytes(self.take()?), u32::from_le_bytes(self.take()?));
            pieces.push(Piece { offset, len, crc });
        }
        Some(Column { id, ty, key, content, known, range: (low <= high).then_some((low, high)), bins, pieces })
    }
}

fn type_of(name: &str, currency: [u8; 3]) -> Option<TagType> {
    Some(match name {
        "bool" => TagType::Bool,
        "int" => TagType::Int,
        "decimal" => TagType::Decimal,
        "money" => TagType::Money(std::str::from_utf8(&currency).ok()?.parse::<Currency>().ok()?),
        "text" => TagType::Text,
        "enum" => TagType::enumeration::<String>([]),
        "set" => TagType::set::<String>([]),
        "date" => TagType::Date,
        "duration" => TagType::Duration,
        "cell" => TagType::Cell,
        _ => return None,
    })
}
