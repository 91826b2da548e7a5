//! What the durable parts ask of a disk, and the real one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
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

/// The disk of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile {
    file: File,
    len: u64,
}

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
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
        Ok(Box::new(RealFile { file, len: 0 }))
    }
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().append(true).open(path)?;
        let len = file.metadata()?.len();
        Ok(Box::new(RealFile { file, len }))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
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
}
