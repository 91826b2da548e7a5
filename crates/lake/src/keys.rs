//! Row keys: 128-bit hashes, and the sorted key files that tell a new row from one that is there already.
//!
//! A key file is a 16-byte header {`KKEY`, version, mode, tenant} and entries in ascending order of key. For append
//! tables an entry is the key (16 bytes, little-endian); for upsert tables key, `as_of`, `seq` and the hash of the
//! row's content (40 bytes). The manifest holds its number of entries and its BLAKE3.

use crate::{
    error::{LakeError, Result},
    manifest::{KeyFile, Mode},
};
use kairos_model::{
    TenantId,
    hash::mix,
    table::{Column, Values},
};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

const MAGIC: [u8; 4] = *b"KKEY";
const VERSION: u16 = 1;
const BUFFER: usize = 1 << 18;

/// The key of a row: a hash of its key values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct RowKey(pub u128);

/// Hashes key values to [`RowKey`]s with a seed that must be the same for all imports of a data directory. A secret
/// seed, kept outside the lake, makes keys that are numbers unguessable.
#[derive(Clone, Copy)]
pub struct KeyHasher {
    seeds: [u64; 4],
}

impl KeyHasher {
    pub fn new(seed: [u8; 32]) -> Self {
        let mut seeds = [0u64; 4];
        for (s, chunk) in seeds.iter_mut().zip(seed.chunks_exact(8)) {
            let mut word = [0u8; 8];
            word.copy_from_slice(chunk);
            *s = u64::from_le_bytes(word);
        }
        Self { seeds }
    }

    /// The keys of all rows: a hash of the columns' values in the order given. A null is a value of its own.
    pub fn keys(&self, columns: &[&Column], rows: usize) -> Vec<RowKey> {
        let mut a = vec![mix(self.seeds[0]); rows];
        let mut b = vec![mix(self.seeds[1] ^ 0x6b61_6972_6f73); rows];
        for c in columns {
            let mut fold = |i: usize, x: u64, more: u64| {
                let flag = u64::from(c.valid.get(i).copied().unwrap_or(false));
                let (x, more) = if flag == 1 { (x, more) } else { (0, 0) };
                a[i] = mix(mix(a[i] ^ x ^ self.seeds[2]).wrapping_add(more ^ flag << 63));
                b[i] = mix(mix(b[i].wrapping_add(x)).rotate_left(23) ^ more.wrapping_add(self.seeds[3]) ^ flag);
            };
            each(&c.values, rows, &mut fold);
        }
        a.into_iter().zip(b).map(|(a, b)| RowKey(u128::from(a) << 64 | u128::from(b))).collect()
    }
}

/// Calls `fold(row, value, length or kind)` for every row.
fn each(values: &Values, rows: usize, fold: &mut impl FnMut(usize, u64, u64)) {
    match values {
        Values::Bool(v) => v.iter().take(rows).enumerate().for_each(|(i, &x)| fold(i, u64::from(x), 1)),
        Values::Int(v) => v.iter().take(rows).enumerate().for_each(|(i, &x)| fold(i, x as u64, 2)),
        Values::Micros(v) => v.iter().take(rows).enumerate().for_each(|(i, &x)| fold(i, x as u64, 3)),
        Values::Date(v) => v.iter().take(rows).enumerate().for_each(|(i, x)| fold(i, x.0 as u64, 4)),
        Values::Time(v) => v.iter().take(rows).enumerate().for_each(|(i, x)| fold(i, x.0 as u64, 5)),
        Values::Party(v) => v.iter().take(rows).enumerate().for_each(|(i, x)| fold(i, u64::from(x.0), 6)),
        Values::Text(t) | Values::Key(t) => (0..t.len().min(rows)).for_each(|i| text(t.get(i), i, fold)),
        Values::Number(v) => v.iter().take(rows).enumerate().for_each(|(i, x)| match x {
            Some(kairos_model::Dialled::Number(m)) => fold(i, m.reveal(), 7),
            Some(kairos_model::Dialled::Short(s)) => fold(i, u64::from(s.0), 8),
            None => fold(i, 0, 10),
        }),
    }
}

/// Eight bytes at a time; the length closes the text, so that `ab`,`c` and `a`,`bc` differ.
fn text(s: &str, row: usize, fold: &mut impl FnMut(usize, u64, u64)) {
    let word = |b: &[u8]| {
        let mut w = [0u8; 8];
        w[..b.len()].copy_from_slice(b);
        u64::from_le_bytes(w)
    };
    let bytes = s.as_bytes();
    let mut rest = bytes;
    while rest.len() > 8 {
        let (now, later) = rest.split_at(8);
        fold(row, word(now), 9);
        rest = later;
    }
    fold(row, word(rest), 16 + bytes.len() as u64);
}

/// One row of an import on its way through the merge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Entry {
    pub key: u128,
    /// Row of the import, from 0.
    pub row: u64,
    /// Hash of the stored values; 0 in append tables.
    pub content: u64,
}

/// A stored version of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    pub key: u128,
    pub as_of: i64,
    pub seq: u64,
    pub content: u64,
}

fn width(mode: Mode) -> usize {
    if mode == Mode::Upsert { 40 } else { 16 }
}

/// Reads a key file from end to end and then checks its hash.
pub(crate) struct KeyReader {
    path: PathBuf,
    file: BufReader<File>,
    hasher: blake3::Hasher,
    left: u64,
    /// The hash that the whole file must have; taken once it was checked.
    want: Option<String>,
    mode: Mode,
    pub head: Option<Version>,
}

impl KeyReader {
    pub fn open(dir: &Path, entry: &KeyFile, tenant: TenantId) -> Result<Self> {
        let path = dir.join(&entry.path);
        let file = File::open(&path).map_err(LakeError::io("open", &path))?;
        let mut file = BufReader::with_capacity(BUFFER, file);
        let mut header = [0u8; 16];
        file.read_exact(&mut header).map_err(LakeError::io("read", &path))?;
        if header[..4] != MAGIC || header[8..10] != tenant.0.to_le_bytes() {
            return Err(LakeError::damaged(&path, "it is no key file of this tenant"));
        }
        let version = u16::from_le_bytes([header[4], header[5]]);
        if version > VERSION {
            return Err(LakeError::Newer { path, found: version.into(), known: VERSION.into() });
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header);
        let mut reader = Self {
            path,
            file,
            hasher,
            left: entry.entries,
            want: Some(entry.blake3.clone()),
            mode: entry.mode,
            head: None,
        };
        reader.advance()?;
        Ok(reader)
    }

    /// Moves `head` to the next entry; at the end checks the hash.
    pub fn advance(&mut self) -> Result<()> {
        if self.left == 0 {
            self.head = None;
            return match self.want.take() {
                Some(want) if self.hasher.finalize().to_hex().as_str() != want => {
                    Err(LakeError::damaged(&self.path, "its checksum does not match"))
                }
                _ => Ok(()),
            };
        }
        self.left -= 1;
        let mut bytes = [0u8; 40];
        let bytes = &mut bytes[..width(self.mode)];
        self.file.read_exact(bytes).map_err(LakeError::io("read", &self.path))?;
        self.hasher.update(bytes);
        self.head = Some(decode(bytes));
        Ok(())
    }

    /// Moves to the first entry at or after `key`.
    pub fn seek(&mut self, key: u128) -> Result<()> {
        while self.head.is_some_and(|h| h.key < key) {
            self.advance()?;
        }
        Ok(())
    }
}

fn decode(b: &[u8]) -> Version {
    let word = |at: usize| {
        let mut w = [0u8; 8];
        if let Some(x) = b.get(at..at + 8) {
            w.copy_from_slice(x);
        }
        u64::from_le_bytes(w)
    };
    Version {
        key: u128::from(word(0)) | u128::from(word(8)) << 64,
        as_of: word(16) as i64,
        seq: word(24),
        content: word(32),
    }
}

/// Writes a key file in ascending order.
pub(crate) struct KeyWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    entries: u64,
    mode: Mode,
}

impl KeyWriter {
    pub fn create(path: PathBuf, mode: Mode, tenant: TenantId) -> Result<Self> {
        let file = File::create(&path).map_err(LakeError::io("create", &path))?;
        let mut header = [0u8; 16];
        header[..4].copy_from_slice(&MAGIC);
        header[4..6].copy_from_slice(&VERSION.to_le_bytes());
        header[6] = u8::from(mode == Mode::Upsert);
        header[8..10].copy_from_slice(&tenant.0.to_le_bytes());
        let mut w = Self {
            path,
            file: BufWriter::with_capacity(BUFFER, file),
            hasher: blake3::Hasher::new(),
            entries: 0,
            mode,
        };
        w.bytes(&header)?;
        Ok(w)
    }

    fn bytes(&mut self, b: &[u8]) -> Result<()> {
        self.hasher.update(b);
        self.file.write_all(b).map_err(LakeError::io("write", &self.path))
    }

    pub fn push(&mut self, v: Version) -> Result<()> {
        let mut b = [0u8; 40];
        b[..16].copy_from_slice(&v.key.to_le_bytes());
        b[16..24].copy_from_slice(&v.as_of.to_le_bytes());
        b[24..32].copy_from_slice(&v.seq.to_le_bytes());
        b[32..40].copy_from_slice(&v.content.to_le_bytes());
        self.entries += 1;
        self.bytes(&b[..width(self.mode)])
    }

    pub fn finish(self, name: String) -> Result<KeyFile> {
        let file = self.file.into_inner().map_err(|e| LakeError::io("write", &self.path)(e.into_error()))?;
        file.sync_all().map_err(LakeError::io("sync", &self.path))?;
        Ok(KeyFile {
            path: name,
            blake3: self.hasher.finalize().to_hex().to_string(),
            entries: self.entries,
            mode: self.mode,
        })
    }
}

/// Runs of sorted entries that did not fit in memory, and the last one that does.
pub(crate) struct Runs {
    /// Entries kept in memory at most: 2,097,152 × 32 bytes = 64 MiB.
    limit: usize,
    now: Vec<Entry>,
    spilled: Vec<(PathBuf, u64)>,
    stem: PathBuf,
}

impl Runs {
    pub fn new(stem: PathBuf, limit: usize) -> Self {
        Self { limit, now: Vec::new(), spilled: Vec::new(), stem }
    }

    pub fn push(&mut self, e: Entry) -> Result<()> {
        if self.now.len() == self.limit {
            self.spill()?;
        }
        self.now.push(e);
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        self.now.sort_unstable();
        let mut path = self.stem.as_os_str().to_owned();
        path.push(format!(".run{}", self.spilled.len()));
        let path = PathBuf::from(path);
        self.spilled.push((path.clone(), self.now.len() as u64));
        let file = File::create(&path).map_err(LakeError::io("create", &path))?;
        let mut file = BufWriter::with_capacity(BUFFER, file);
        for e in self.now.drain(..) {
            let mut b = [0u8; 32];
            b[..16].copy_from_slice(&e.key.to_le_bytes());
            b[16..24].copy_from_slice(&e.row.to_le_bytes());
            b[24..].copy_from_slice(&e.content.to_le_bytes());
            file.write_all(&b).map_err(LakeError::io("write", &path))?;
        }
        file.flush().map_err(LakeError::io("write", &path))
    }

    /// Files of this object; the caller removes them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.spilled.iter().map(|(p, _)| p.as_path())
    }

    /// Calls `take` for every entry in the order (key, row).
    pub fn merged(&mut self, mut take: impl FnMut(Entry) -> Result<()>) -> Result<()> {
        self.now.sort_unstable();
        if self.spilled.is_empty() {
            return self.now.drain(..).try_for_each(take);
        }
        let mut readers = Vec::new();
        for (path, n) in &self.spilled {
            let file = File::open(path).map_err(LakeError::io("open", path))?;
            readers.push((BufReader::with_capacity(BUFFER, file), *n, path));
        }
        let mut now = std::mem::take(&mut self.now).into_iter();
        let mut heap = std::collections::BinaryHeap::new();
        let mut next = |i: usize| -> Result<Option<Entry>> {
            let Some((file, left, path)) = readers.get_mut(i) else { return Ok(now.next()) };
            if *left == 0 {
                return Ok(None);
            }
            *left -= 1;
            let mut b = [0u8; 40];
            file.read_exact(&mut b[..32]).map_err(LakeError::io("read", path.as_path()))?;
            let v = decode(&b);
            Ok(Some(Entry { key: v.key, row: v.as_of as u64, content: v.seq }))
        };
        for i in 0..=self.spilled.len() {
            heap.extend(next(i)?.map(|e| std::cmp::Reverse((e, i))));
        }
        while let Some(std::cmp::Reverse((e, i))) = heap.pop() {
            take(e)?;
            heap.extend(next(i)?.map(|e| std::cmp::Reverse((e, i))));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_model::table::{ColumnType, Texts};

    fn words(cells: &[Option<&str>]) -> Column {
        let mut t = Texts::default();
        cells.iter().for_each(|c| t.push(c.unwrap_or_default()));
        let valid = cells.iter().map(Option::is_some).collect();
        Column { name: "k".to_owned(), kind: ColumnType::Text, values: Values::Text(t), valid }
    }

    #[test]
    fn keys_tell_values_apart_and_repeat_themselves() {
        let a = words(&[Some("ab"), Some("a"), None, Some(""), Some("12345678"), Some("1234567812345678")]);
        let b = words(&[Some("c"), Some("bc"), Some("x"), Some("x"), Some(""), Some("")]);
        let h = KeyHasher::new([1; 32]);
        let keys = h.keys(&[&a, &b], 6);
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), 6);
        assert_eq!(h.keys(&[&a, &b], 6), keys);
        assert!(h.keys(&[&b, &a], 6).iter().all(|k| !distinct.contains(k)), "order matters");
        assert!(KeyHasher::new([2; 32]).keys(&[&a, &b], 6).iter().all(|k| !distinct.contains(k)), "the seed matters");
    }

    #[test]
    fn a_key_file_that_was_touched_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut w = KeyWriter::create(dir.path().join("k"), Mode::Upsert, TenantId(1)).unwrap();
        let all: Vec<Version> = (0..9).map(|n| Version { key: n << 100, as_of: 5, seq: 1, content: 7 }).collect();
        all.iter().for_each(|v| w.push(*v).unwrap());
        let file = w.finish("k".to_owned()).unwrap();
        let read = || -> Result<Vec<Version>> {
            let mut r = KeyReader::open(dir.path(), &file, TenantId(1))?;
            let mut seen = Vec::new();
            while let Some(v) = r.head {
                seen.push(v);
                r.advance()?;
            }
            Ok(seen)
        };
        assert_eq!(read().unwrap(), all);
        let bytes = std::fs::read(dir.path().join("k")).unwrap();
        for i in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[i] ^= 1;
            std::fs::write(dir.path().join("k"), &flipped).unwrap();
            assert!(read().is_err(), "byte {i}");
        }
        std::fs::write(dir.path().join("k"), &bytes[..bytes.len() - 1]).unwrap();
        assert!(read().is_err());
    }
}
