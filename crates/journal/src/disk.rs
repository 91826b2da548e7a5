//! The disk of the machine.

use kairos_model::disk::{Disk, DiskFile, DiskReader};
use rustix::fs::OFlags;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The disk of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// Writes of whole pages of at least this size go past the page cache: copying them there costs more than all the rest of
/// a commit.
const DIRECT_MIN: usize = 64 << 10;
const PAGE: usize = 4096;

/// The file once more, opened past the page cache.
enum Direct {
    NotYet,
    Open(File),
    /// The file system does not do it.
    Never,
}

struct RealFile {
    file: File,
    path: PathBuf,
    len: u64,
    direct: Direct,
    /// Page-aligned copy of bytes that are not.
    copy: Vec<u8>,
}

impl RealFile {
    fn new(file: File, path: &Path, len: u64) -> Self {
        Self { file, path: path.to_owned(), len, direct: Direct::NotYet, copy: Vec::new() }
    }
    /// Whether the bytes were written past the page cache.
    fn append_direct(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if bytes.len() < DIRECT_MIN || !bytes.len().is_multiple_of(PAGE) || !self.len.is_multiple_of(PAGE as u64) {
            return Ok(false);
        }
        if matches!(self.direct, Direct::NotYet) {
            let flags = OFlags::DIRECT.bits() as i32;
            let opened = OpenOptions::new().write(true).custom_flags(flags).open(&self.path);
            self.direct = opened.map_or(Direct::Never, Direct::Open);
        }
        let Direct::Open(file) = &self.direct else { return Ok(false) };
        if bytes.as_ptr().align_offset(PAGE) == 0 {
            file.write_all_at(bytes, self.len)?;
            return Ok(true);
        }
        if self.copy.capacity() < bytes.len() + PAGE {
            self.copy = Vec::with_capacity(bytes.len() + PAGE);
        }
        self.copy.clear();
        let start = self.copy.as_ptr().align_offset(PAGE) % PAGE;
        self.copy.resize(start, 0);
        self.copy.extend_from_slice(bytes);
        file.write_all_at(&self.copy[start..], self.len)?;
        Ok(true)
    }
}

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.append_direct(bytes)? {
            self.file.write_all(bytes)?;
        }
        self.len += bytes.len() as u64;
        Ok(())
    }
    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn len(&self) -> u64 {
        self.len
    }
}

struct RealReader(File);

impl DiskReader for RealReader {
    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }
}

impl RealDisk {
    fn names(dir: &Path, directories: bool) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() == directories {
                let name = entry.file_name().into_string().map_err(|name| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("file name {name:?} is not UTF-8"))
                })?;
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

impl Disk for RealDisk {
    fn create_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile::new(file, path, 0)))
    }
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().append(true).open(path)?;
        let len = file.metadata()?.len();
        Ok(Box::new(RealFile::new(file, path, len)))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskReader>> {
        Ok(Box::new(RealReader(File::open(path)?)))
    }
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let left = file.metadata()?.len().saturating_sub(offset);
        let mut bytes = vec![0; len.min(usize::try_from(left).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Self::names(dir, false)
    }
    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        Self::names(dir, true)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.len())
    }
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }
    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.write_all_at(bytes, offset)?;
        file.sync_data()
    }
}
