//! Files as memory.
#![allow(unsafe_code)]

use crate::error::{LakeError, Result};
use memmap2::Mmap;
use std::{fs::File, path::Path};

/// Maps a file that is never changed: written beside, renamed into place, replaced whole.
pub fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(LakeError::io("open", path))?;
    // SAFETY: the file bears its name only when it is whole, and nobody writes to it afterwards: the directory is this
    // process's by its lock, and a new index is a new file. A disk that fails under the map ends the process (SIGBUS),
    // as a failed sync does.
    unsafe { Mmap::map(&file) }.map_err(LakeError::io("map", path))
}
