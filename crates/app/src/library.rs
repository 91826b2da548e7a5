//! Playbooks, facts and audiences by the names that the journal uses.

use crate::{
    books::BookFile,
    error::{Context, Kind, Result},
    facts::SnapshotFacts,
};
use kairos_decide::{Facts, Playbook};
use kairos_engine::{AudienceHash, Library, LibraryError};
use kairos_lake::Lake;
use kairos_model::{PlaybookId, SnapshotId};
use roaring::RoaringBitmap;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Folders `books/` and `facts/`, and the lake's audiences.
pub struct DirLibrary {
    books: PathBuf,
    facts: PathBuf,
    lake: Lake,
}

impl DirLibrary {
    pub fn new(books: PathBuf, facts: PathBuf, lake: Lake) -> Self {
        Self { books, facts, lake }
    }
    pub fn books_folder(&self) -> &Path {
        &self.books
    }
    pub fn facts_folder(&self) -> &Path {
        &self.facts
    }
    /// A number that no book has had.
    pub fn next_book(&self) -> Result<PlaybookId> {
        Ok(PlaybookId(next(&self.books, "book")?))
    }
    /// A number that no facts file has had.
    pub fn next_facts(&self) -> Result<SnapshotId> {
        Ok(SnapshotId(next(&self.facts, "facts")?))
    }
    /// The sources of what the engine runs on.
    pub fn newest(
        &self,
        in_force: (Option<PlaybookId>, Option<SnapshotId>),
    ) -> Result<(Option<BookFile>, Option<SnapshotFacts>)> {
        let book = in_force.0.map(|id| BookFile::load(&self.books, id)).transpose()?;
        let facts = in_force.1.map(|id| SnapshotFacts::load(&self.facts, id)).transpose()?;
        Ok((book, facts))
    }
}

fn next(folder: &Path, extension: &str) -> Result<u32> {
    if !folder.exists() {
        return Ok(1);
    }
    let entries =
        fs::read_dir(folder).or_fail(Kind::Unavailable, "library", || format!("cannot list `{}`", folder.display()))?;
    let mut highest = 0;
    for entry in entries {
        let path =
            entry.or_fail(Kind::Unavailable, "library", || format!("cannot list `{}`", folder.display()))?.path();
        if path.extension().is_some_and(|e| e == extension)
            && let Some(n) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u32>().ok())
        {
            highest = highest.max(n);
        }
    }
    Ok(highest + 1)
}

impl Library for DirLibrary {
    fn playbook(&self, id: PlaybookId) -> Result<Option<Arc<Playbook>>, LibraryError> {
        if !self.books.join(BookFile::file_name(id)).exists() {
            return Ok(None);
        }
        Ok(Some(Arc::new(BookFile::load(&self.books, id)?.compile()?)))
    }
    fn facts(&self, id: SnapshotId) -> Result<Option<Arc<dyn Facts>>, LibraryError> {
        if !self.facts.join(SnapshotFacts::file_name(id)).exists() {
            return Ok(None);
        }
        Ok(Some(Arc::new(SnapshotFacts::load(&self.facts, id)?)))
    }
    fn audience(&self, hash: &AudienceHash) -> Result<Option<Arc<RoaringBitmap>>, LibraryError> {
        Ok(Some(Arc::new(self.lake.audience(&hash.to_string())?.members)))
    }
}
