//! The disk is an argument: what the durable parts ask of one. The machine's own is `journal::RealDisk`; the simulated
//! one is [`crate::mem_disk::MemDisk`].

use std::{
    io,
    path::{Path, PathBuf},
};

/// A disk. Names become durable with [`Disk::sync_dir`] of their directory, bytes with [`DiskFile::sync_data`].
pub trait Disk: Send + Sync {
    /// A new, empty file; fails where the path exists.
    fn create_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file, to write behind its end.
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// An existing file, to read at any place, also what is appended later.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskReader>>;
    /// At most `len` bytes from `offset`; fewer only at the end of the file.
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Atomic on one file system; durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Names of the files in a directory, sorted; directories are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Names of the directories in a directory, sorted.
    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Cuts a file and syncs it.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Writes over existing bytes in place and syncs them. After an error or a crash any part of them may be new.
    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Replaces or makes a small file so that after a crash it is wholly old or wholly new:
    /// temporary file, sync, rename, sync of the directory.
    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temp = temporary(path);
        match self.remove(&temp) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = self.create_append(&temp)?;
        file.append(bytes)?;
        file.sync_data()?;
        drop(file);
        self.rename(&temp, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

/// Where [`Disk::write_whole`] writes before its rename; a file of this suffix found at start is left over from a crash.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

/// An open file that only grows.
pub trait DiskFile: Send {
    /// Writes all bytes behind the end; after an error an unknown part of them is there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// fdatasync: after it returned, everything appended survives a crash. After an error nothing is known.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Bytes in the file, synced or not.
    fn len(&self) -> u64;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An open file that is only read; `&self`, so that many threads may.
pub trait DiskReader: Send + Sync {
    /// Fills `bytes` from `offset`; fails where the file ends before.
    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
}
