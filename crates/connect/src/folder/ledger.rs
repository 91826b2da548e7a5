//! What the folder remembers: one small file, replaced as a whole.
//!
//! Form, version 1: a line of JSON, and a line with the BLAKE3 of the first.

use super::{FolderError, io};
use kairos_model::disk::Disk;
use serde::{Deserialize, Serialize};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

const FILE: &str = "folder.json";
const VERSION: u32 = 1;

/// A file by name and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub name: String,
    pub id: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Offset of the first record of the current file, or of the next one.
    pub base: u64,
    /// The file that is being read.
    pub current: Option<Named>,
    /// The file that was last read, and is on its way to `done`, or (true) to `aside`.
    pub finished: Option<(Named, bool)>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    version: u32,
    base: u64,
    current: Option<Named>,
    finished: Option<(Named, bool)>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

impl Ledger {
    /// `None`: there is none yet.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, FolderError> {
        let path = path(dir);
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(io("read", &path)(cause)),
        };
        let damaged = |what| FolderError::Damaged { path: path.clone(), what };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is no text"))?;
        let (line, hash) = text.split_once('\n').ok_or_else(|| damaged("it ends early"))?;
        if hash.trim_end() != blake3::hash(line.as_bytes()).to_hex().as_str() {
            return Err(damaged("its checksum is wrong"));
        }
        let line: Line = serde_json::from_str(line).map_err(|_| damaged("it is not of this form"))?;
        if line.version != VERSION {
            return Err(damaged("its version is not known"));
        }
        let Line { base, current, finished, .. } = line;
        Ok(Some(Self { base, current, finished }))
    }

    /// Durable when it returns.
    pub fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), FolderError> {
        let path = path(dir);
        let Self { base, current, finished } = self.clone();
        let written = serde_json::to_string(&Line { version: VERSION, base, current, finished });
        let line = written.map_err(|e| io("write", &path)(e.into()))?;
        let text = format!("{line}\n{}\n", blake3::hash(line.as_bytes()).to_hex());
        disk.write_whole(&path, text.as_bytes()).map_err(io("write", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_model::mem_disk::MemDisk;

    #[test]
    fn it_reads_back_and_a_flipped_bit_is_noticed() {
        let (disk, dir) = (MemDisk::new(), Path::new("/state"));
        disk.create_dir_all(dir).expect("memory");
        assert_eq!(Ledger::load(&disk, dir).expect("none"), None);
        let file = Named { name: "a\n~b".to_owned(), id: u64::MAX };
        let ledger = Ledger { base: 7, current: None, finished: Some((file, true)) };
        ledger.store(&disk, dir).expect("memory");
        assert_eq!(Ledger::load(&disk, dir).expect("there"), Some(ledger));
        disk.flip_bit(&path(dir), 80).expect("there");
        let said = Ledger::load(&disk, dir).expect_err("damaged").to_string();
        assert!(said.contains("its checksum is wrong"), "{said}");
    }

    /// The bytes of version 1 stay readable.
    #[test]
    fn version_1_is_read() {
        let (disk, dir) = (MemDisk::new(), Path::new("/state"));
        disk.create_dir_all(dir).expect("memory");
        let line = r#"{"version":1,"base":12,"current":{"name":"x.txt","id":5},"finished":null}"#;
        let text = format!("{line}\n{}\n", blake3::hash(line.as_bytes()).to_hex());
        disk.write_whole(&path(dir), text.as_bytes()).expect("memory");
        let current = Some(Named { name: "x.txt".to_owned(), id: 5 });
        assert_eq!(Ledger::load(&disk, dir).expect("there"), Some(Ledger { base: 12, current, finished: None }));
    }
}
