//! Files of fixed slots that grow together: what counts is what the last commit says.
//!
//! A batch appends slots to some files, syncs them, then appends one commit with the new counts and syncs that. Slots
//! behind the committed count are of a batch that never was, and are cut off at open. Slots are changed in place only to
//! destroy them.
//!
//! ```text
//! every file, 64 bytes   0 magic "KAIROS-V"   8 u16 version   10 u16 tenant   12 u16 kind   14 u16 slot bytes
//!                       16 vault id   32 zeros   48 first 16 bytes of BLAKE3 of bytes 0–47
//! commit, twice          0 u32 magic "KVC1"   4 u32 files   8 u64 number   16 u64 slots of each file   then 8 bytes check
//! ```

use crate::error::VaultError;
use kairos_model::{
    TenantId,
    disk::{Disk, DiskFile, DiskReader},
};
use siphasher::sip::SipHasher13;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Version that this program writes; it reads this and older ones.
pub const FORMAT_VERSION: u16 = 1;
pub(crate) const MAGIC: &[u8; 8] = b"KAIROS-V";
pub(crate) const HEADER: usize = 64;
pub(crate) type VaultId = [u8; 16];

const COMMIT_MAGIC: u32 = u32::from_le_bytes(*b"KVC1");
/// A longer file of commits is rewritten at open to its last one.
const COMMITS_MAX: usize = 1 << 20;
const BLOCK: usize = 1 << 20;

/// A file of slots; `kind` is fixed for ever, it is in headers and checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileSpec {
    pub name: &'static str,
    pub kind: u16,
    pub slot: usize,
}

struct SlotFile {
    spec: FileSpec,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    reader: Arc<dyn DiskReader>,
    committed: u64,
    appended: u64,
}

/// Where a store lies and what its headers say.
#[derive(Clone)]
pub(crate) struct Place {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub tenant: TenantId,
    pub id: VaultId,
    pub check: SipHasher13,
}

pub(crate) struct Store {
    place: Place,
    files: Vec<SlotFile>,
    commits: Box<dyn DiskFile>,
    commits_path: PathBuf,
    number: u64,
    poisoned: bool,
}

/// Bytes of a file that holds no slot yet.
pub(crate) fn empty_len(files: &[FileSpec], commits: bool) -> u64 {
    (HEADER + if commits { 2 * commit_len(files.len()) } else { 0 }) as u64
}
const fn commit_len(files: usize) -> usize {
    24 + files * 8
}

/// Keyed check of `bytes` as the `index`-th slot of a kind of file.
pub(crate) fn check(key: &SipHasher13, kind: u16, index: u64, bytes: &[u8]) -> [u8; 8] {
    let mut text = [0; 10 + 96];
    text[..2].copy_from_slice(&kind.to_le_bytes());
    text[2..10].copy_from_slice(&index.to_le_bytes());
    text[10..10 + bytes.len()].copy_from_slice(bytes);
    key.hash(&text[..10 + bytes.len()]).to_le_bytes()
}

impl Place {
    fn header(&self, kind: u16, slot: usize) -> [u8; HEADER] {
        let mut b = [0; HEADER];
        b[..8].copy_from_slice(MAGIC);
        b[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        b[10..12].copy_from_slice(&self.tenant.0.to_le_bytes());
        b[12..14].copy_from_slice(&kind.to_le_bytes());
        b[14..16].copy_from_slice(&(slot as u16).to_le_bytes());
        b[16..32].copy_from_slice(&self.id);
        let sum = blake3::hash(&b[..48]);
        b[48..].copy_from_slice(&sum.as_bytes()[..16]);
        b
    }

    fn check_header(&self, path: &Path, head: &[u8], kind: u16, slot: usize) -> Result<(), VaultError> {
        let corrupt = |why| Err(VaultError::Corrupt { path: path.to_owned(), offset: 0, why });
        if head.len() < 16 || &head[..8] != MAGIC {
            return corrupt("this is no vault file");
        }
        let found = u16::from_le_bytes([head[8], head[9]]);
        if found > FORMAT_VERSION {
            return Err(VaultError::NewerFormat { path: path.to_owned(), found, known: FORMAT_VERSION });
        }
        if head.len() < HEADER || blake3::hash(&head[..48]).as_bytes()[..16] != head[48..HEADER] {
            return corrupt("the checksum of the header does not match");
        }
        if head[..HEADER] != self.header(kind, slot) {
            return corrupt("the header is of another file or another vault");
        }
        Ok(())
    }

    fn open_slots(&self, spec: FileSpec, committed: u64) -> Result<SlotFile, VaultError> {
        let path = self.dir.join(spec.name);
        let head = self.disk.read_at(&path, 0, HEADER).map_err(VaultError::io("read", &path))?;
        self.check_header(&path, &head, spec.kind, spec.slot)?;
        let len = self.disk.len(&path).map_err(VaultError::io("read the length of", &path))?;
        let wanted = HEADER as u64 + committed * spec.slot as u64;
        if len < wanted {
            return Err(VaultError::Corrupt { path, offset: len, why: "the file is shorter than what was committed" });
        }
        if len > wanted {
            tracing::info!(file = %path.display(), bytes = len - wanted, "vault: rest of an interrupted batch cut off");
            self.disk.truncate(&path, wanted).map_err(VaultError::io("cut", &path))?;
        }
        let mut file = self.disk.open_append(&path).map_err(VaultError::io("open", &path))?;
        // what an earlier process wrote and did not live to sync counts from here on: it must not vanish any more
        file.sync_data().map_err(VaultError::io("sync", &path))?;
        let reader = self.disk.open_read(&path).map_err(VaultError::io("open", &path))?.into();
        Ok(SlotFile { spec, path, file, reader, committed, appended: committed })
    }
}

impl Store {
    /// Makes empty files, in place of any that an interrupted making left.
    pub fn create(place: Place, specs: &[FileSpec], commits: FileSpec) -> Result<Self, VaultError> {
        for spec in specs {
            let path = place.dir.join(spec.name);
            let header = place.header(spec.kind, spec.slot);
            place.disk.write_whole(&path, &header).map_err(VaultError::io("create", &path))?;
        }
        write_commits(&place, &place.dir.join(commits.name), commits.kind, 0, &vec![0; specs.len()])?;
        Self::open(place, specs, commits)
    }

    pub fn open(place: Place, specs: &[FileSpec], commits: FileSpec) -> Result<Self, VaultError> {
        let commits_path = place.dir.join(commits.name);
        let (number, counts) = read_commits(&place, &commits_path, commits.kind, specs.len())?;
        let mut files = Vec::with_capacity(specs.len());
        for (spec, &count) in specs.iter().zip(&counts) {
            files.push(place.open_slots(*spec, count)?);
        }
        let mut file = place.disk.open_append(&commits_path).map_err(VaultError::io("open", &commits_path))?;
        file.sync_data().map_err(VaultError::io("sync", &commits_path))?;
        place.disk.sync_dir(&place.dir).map_err(VaultError::io("sync directory", &place.dir))?;
        Ok(Self { place, files, commits: file, commits_path, number, poisoned: false })
    }

    /// Committed slots and those appended since.
    pub fn count(&self, file: usize) -> u64 {
        self.files[file].appended
    }
    pub fn slots(&self, file: usize) -> Slots {
        let f = &self.files[file];
        Slots { reader: Arc::clone(&f.reader), path: f.path.clone(), spec: f.spec }
    }
    pub fn check(&self, file: usize, index: u64, bytes: &[u8]) -> [u8; 8] {
        check(&self.place.check, self.files[file].spec.kind, index, bytes)
    }

    fn guard<T>(&mut self, outcome: Result<T, VaultError>) -> Result<T, VaultError> {
        self.poisoned |= outcome.is_err();
        outcome
    }
    fn sound(&self) -> Result<(), VaultError> {
        if self.poisoned { Err(VaultError::Poisoned) } else { Ok(()) }
    }

    /// Appends whole slots; durable and counted after the next [`Store::commit`].
    pub fn append(&mut self, file: usize, bytes: &[u8]) -> Result<(), VaultError> {
        self.sound()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let f = &mut self.files[file];
        debug_assert!(bytes.len().is_multiple_of(f.spec.slot));
        let outcome = f.file.append(bytes).map_err(VaultError::io("write", &f.path));
        f.appended += (bytes.len() / f.spec.slot) as u64;
        self.guard(outcome)
    }

    /// Makes everything appended durable, as one.
    pub fn commit(&mut self) -> Result<(), VaultError> {
        self.sound()?;
        let outcome = self.try_commit();
        self.guard(outcome)
    }
    fn try_commit(&mut self) -> Result<(), VaultError> {
        let dirty = |f: &&mut SlotFile| f.appended != f.committed;
        if self.files.iter_mut().filter(dirty).count() == 0 {
            return Ok(());
        }
        for f in self.files.iter_mut().filter(dirty) {
            f.file.sync_data().map_err(VaultError::io("sync", &f.path))?;
        }
        let counts: Vec<u64> = self.files.iter().map(|f| f.appended).collect();
        let bytes = encode_commit(&self.place.check, self.number + 1, &counts);
        self.commits.append(&bytes).map_err(VaultError::io("write", &self.commits_path))?;
        self.commits.sync_data().map_err(VaultError::io("sync", &self.commits_path))?;
        self.number += 1;
        for f in &mut self.files {
            f.committed = f.appended;
        }
        Ok(())
    }

    /// Overwrites `len` bytes with zeros in place, from slot `index` on, and syncs them.
    pub fn destroy(&mut self, file: usize, index: u64, len: usize) -> Result<(), VaultError> {
        self.sound()?;
        let f = &self.files[file];
        let at = HEADER as u64 + index * f.spec.slot as u64;
        let outcome =
            self.place.disk.overwrite(&f.path, at, &vec![0; len]).map_err(VaultError::io("overwrite", &f.path));
        self.guard(outcome)
    }
}

/// Reading the slots of one file, by many threads.
#[derive(Clone)]
pub(crate) struct Slots {
    reader: Arc<dyn DiskReader>,
    path: PathBuf,
    spec: FileSpec,
}

impl Slots {
    /// `bytes.len()` bytes from slot `index` on.
    pub fn read(&self, index: u64, bytes: &mut [u8]) -> Result<(), VaultError> {
        let at = HEADER as u64 + index * self.spec.slot as u64;
        self.reader.read_exact_at(at, bytes).map_err(VaultError::io("read", &self.path))
    }
    pub fn corrupt(&self, index: u64, why: &'static str) -> VaultError {
        let offset = HEADER as u64 + index * self.spec.slot as u64;
        VaultError::Corrupt { path: self.path.clone(), offset, why }
    }
    /// Calls `each` with index and bytes of the slots `0..count`, in order.
    pub fn each(
        &self,
        count: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        let a_block = (BLOCK / self.spec.slot) as u64;
        let mut block = vec![0; (a_block.min(count) as usize) * self.spec.slot];
        let mut index = 0;
        while index < count {
            let slots = a_block.min(count - index) as usize;
            let bytes = &mut block[..slots * self.spec.slot];
            self.read(index, bytes)?;
            for slot in bytes.chunks_exact(self.spec.slot) {
                each(index, slot)?;
                index += 1;
            }
        }
        Ok(())
    }
}

fn encode_commit(key: &SipHasher13, number: u64, counts: &[u64]) -> Vec<u8> {
    let mut b = Vec::with_capacity(2 * commit_len(counts.len()));
    b.extend_from_slice(&COMMIT_MAGIC.to_le_bytes());
    b.extend_from_slice(&(counts.len() as u32).to_le_bytes());
    b.extend_from_slice(&number.to_le_bytes());
    counts.iter().for_each(|c| b.extend_from_slice(&c.to_le_bytes()));
    let sum = check(key, 0, 0, &b);
    b.extend_from_slice(&sum);
    // twice: a damaged copy of the last commit must not look like a batch that never was
    b.extend_from_within(..);
    b
}

fn decode_commit(key: &SipHasher13, b: &[u8], files: usize) -> Option<(u64, Vec<u64>)> {
    let (body, sum) = b.split_at(b.len() - 8);
    let word = |at: usize| body[at..at + 8].iter().rev().fold(0, |w, &b| w << 8 | u64::from(b));
    let good = body[..4] == COMMIT_MAGIC.to_le_bytes() && word(0) >> 32 == files as u64;
    (good && check(key, 0, 0, body) == sum).then(|| (word(8), (0..files).map(|i| word(16 + 8 * i)).collect()))
}

fn write_commits(place: &Place, path: &Path, kind: u16, number: u64, counts: &[u64]) -> Result<(), VaultError> {
    let mut bytes = place.header(kind, 0).to_vec();
    bytes.extend_from_slice(&encode_commit(&place.check, number, counts));
    place.disk.write_whole(path, &bytes).map_err(VaultError::io("write", path))
}

/// The last commit. An unreadable one at the very end is a commit that was never acknowledged.
fn read_commits(place: &Place, path: &Path, kind: u16, files: usize) -> Result<(u64, Vec<u64>), VaultError> {
    let bytes = place.disk.read(path).map_err(VaultError::io("read", path))?;
    place.check_header(path, &bytes, kind, 0)?;
    let copy = commit_len(files);
    let mut last: Option<(u64, Vec<u64>)> = None;
    let mut worn = bytes.len() > COMMITS_MAX;
    let pairs = bytes[HEADER..].chunks(2 * copy);
    let count = pairs.len();
    for (i, pair) in pairs.enumerate() {
        let copies: Vec<_> = pair.chunks_exact(copy).map(|c| decode_commit(&place.check, c, files)).collect();
        worn |= copies.len() != 2 || copies.iter().any(Option::is_none);
        let found = copies.into_iter().flatten().next();
        let offset = (HEADER + i * 2 * copy) as u64;
        let corrupt = |why| VaultError::Corrupt { path: path.to_owned(), offset, why };
        match (found, &last) {
            (Some((n, _)), Some((before, _))) if n != before + 1 => return Err(corrupt("commits are missing")),
            (Some(commit), _) => last = Some(commit),
            (None, Some(_)) if i + 1 == count => {}
            (None, _) => return Err(corrupt("both copies of a commit are unreadable")),
        }
    }
    let corrupt = || VaultError::Corrupt { path: path.to_owned(), offset: HEADER as u64, why: "there is no commit" };
    let (number, counts) = last.ok_or_else(corrupt)?;
    if worn {
        write_commits(place, path, kind, number, &counts)?;
    }
    Ok((number, counts))
}
