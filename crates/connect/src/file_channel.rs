//! Lists for outbound callers: one CSV file a batch, in a directory *outside* the data directory.
//!
//! Invariants:
//! - a file has its name only when it is complete and synced; a contact counts as exported from then on;
//! - the gate is asked for each row as it is written;
//! - no field can be taken for a formula by a spreadsheet (CWE-1236);
//! - only the owner may read a file: a caller needs the number in clear.

use crate::channel::{Deliveries, Dispatch};
use kairos_model::{ContactId, Reason, Timestamp};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Rows of one file: what a team of callers can work off, and what a spreadsheet opens.
pub const ROWS_MAX: usize = 100_000;
/// The first line of every file.
pub const HEADER: [&str; 5] = ["contact", "number", "from", "not_after", "text"];
const EXTENSION: &str = "csv";
const RECALLED: &str = "recalled";

/// Why a file could not be written, listed or recalled.
#[derive(Debug, thiserror::Error)]
pub enum FileChannelError {
    #[error("cannot {attempt} `{path}`")]
    Io {
        attempt: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(
        "the outbox `{outbox}` lies inside the data directory `{data}`; it holds numbers in clear: set another path"
    )]
    Inside { outbox: PathBuf, data: PathBuf },
    #[error("`{name}` is no file name for a list: use letters, digits, `-` and `_`, at most 100 of them")]
    Name { name: String },
    #[error("{given} rows are more than the {ROWS_MAX} of one file; split the list")]
    TooMany { given: usize },
    #[error("`{path}` exists already; a list is written once")]
    Exists { path: PathBuf },
    #[error("`{path}` is not among the exported lists")]
    Unknown { path: PathBuf },
    #[error("`{path}` does not read as a list that we wrote")]
    Damaged {
        path: PathBuf,
        #[source]
        cause: csv::Error,
    },
}

/// What became of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// `None`: the gate refused every row, and no file was made.
    pub path: Option<PathBuf>,
    pub exported: Vec<ContactId>,
    pub cancelled: Vec<(ContactId, Reason)>,
}

/// A list in the outbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub name: String,
    pub path: PathBuf,
    /// `None`: it does not read as a list that we wrote any more.
    pub contacts: Option<usize>,
    /// Somebody asked for it back.
    pub recalled: bool,
}

/// The outbox directory.
pub struct FileChannel {
    outbox: PathBuf,
}

impl FileChannel {
    /// Opens `outbox`, making it (mode 0700) if it is not there. `data` is the data directory, which it must not be in.
    pub fn open(outbox: &Path, data: &Path) -> Result<Self, FileChannelError> {
        let data = fs::canonicalize(data).map_err(io_error("find", data))?;
        let inside = |outbox: &Path| outbox.starts_with(&data);
        let whole = whole(outbox)?;
        if inside(&whole) {
            return Err(FileChannelError::Inside { outbox: whole, data });
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&whole).map_err(io_error("make the outbox", &whole))?;
        let outbox = fs::canonicalize(&whole).map_err(io_error("find", &whole))?;
        // a link may lead anywhere
        if inside(&outbox) {
            return Err(FileChannelError::Inside { outbox, data });
        }
        let found = Self { outbox };
        found.sweep()?;
        Ok(found)
    }

    /// Removes what a crash left of lists that never got their name.
    fn sweep(&self) -> Result<(), FileChannelError> {
        let entries = fs::read_dir(&self.outbox).map_err(io_error("list", &self.outbox))?;
        for entry in entries {
            let path = entry.map_err(io_error("list", &self.outbox))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name.starts_with('.') && name.ends_with(".part") {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Whether a list of that name was ever written.
    pub fn has(&self, name: &str) -> Result<bool, FileChannelError> {
        Ok(self.path(name)?.exists() || self.recall_mark(name).exists())
    }

    /// The contacts of a list.
    pub fn contacts(&self, name: &str) -> Result<Vec<ContactId>, FileChannelError> {
        let path = self.path(name)?;
        if !path.exists() {
            return Err(FileChannelError::Unknown { path });
        }
        contacts_of(&path)
    }

    /// Writes the rows that the gate lets through, at the time that `now` gives for each, to `NAME.csv`.
    ///
    /// Nothing bears that name before it is whole and synced. After an error no contact of it is exported.
    pub fn export(
        &self,
        name: &str,
        contacts: &[Dispatch],
        deliveries: &dyn Deliveries,
        now: impl Fn() -> Timestamp,
    ) -> Result<Export, FileChannelError> {
        let path = self.path(name)?;
        if contacts.len() > ROWS_MAX {
            return Err(FileChannelError::TooMany { given: contacts.len() });
        }
        if self.has(name)? {
            return Err(FileChannelError::Exists { path });
        }
        let temporary = self.outbox.join(format!(".{name}.part"));
        let written = self.write(&temporary, contacts, deliveries, now);
        let mut export = match written {
            Ok(export) => export,
            Err(e) => {
                drop_part(&temporary);
                return Err(e);
            }
        };
        if export.exported.is_empty() {
            drop_part(&temporary);
            return Ok(export);
        }
        if let Err(e) = fs::rename(&temporary, &path).map_err(io_error("rename to", &path)) {
            drop_part(&temporary);
            return Err(e);
        }
        if let Err(e) = self.sync_outbox() {
            // the list has its name and may be read by anybody: its contacts are out, whatever a power cut does to it
            tracing::error!(path = %path.display(), error = %e, "the outbox could not be synced");
        }
        export.path = Some(path);
        Ok(export)
    }

    fn write(
        &self,
        temporary: &Path,
        contacts: &[Dispatch],
        deliveries: &dyn Deliveries,
        now: impl Fn() -> Timestamp,
    ) -> Result<Export, FileChannelError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(temporary).map_err(io_error("create", temporary))?;
        // an older part may have had other permissions
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io_error("protect", temporary))?;
        let mut out = BufWriter::new(file);
        let failed = |e: csv::Error| FileChannelError::Io {
            attempt: "write",
            path: temporary.to_owned(),
            cause: io::Error::other(e),
        };
        // a byte order mark: without it spreadsheets misread Chinese
        out.write_all("\u{feff}".as_bytes()).map_err(io_error("write", temporary))?;
        let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        rows.write_record(HEADER).map_err(failed)?;
        let mut export = Export { path: None, exported: Vec::new(), cancelled: Vec::new() };
        for d in contacts {
            let now = now();
            let late = if d.not_after <= now { Err(Reason::TooLate) } else { Ok(()) };
            if let Err(reason) = late.and_then(|()| deliveries.gate(d, now)) {
                export.cancelled.push((d.contact, reason));
                continue;
            }
            let not_after = if d.not_after == Timestamp::MAX { String::new() } else { d.not_after.to_string() };
            let row = [d.contact.to_string(), d.to.reveal().to_string(), d.from.clone(), not_after, d.text.clone()];
            rows.write_record(row.map(harmless)).map_err(failed)?;
            export.exported.push(d.contact);
        }
        let out = rows.into_inner().map_err(|e| failed(e.into_error().into()))?;
        let file = out.into_inner().map_err(|e| io_error("write", temporary)(e.into_error()))?;
        file.sync_all().map_err(io_error("sync", temporary))?;
        Ok(export)
    }

    /// The lists that were exported, by name, with how many contacts each has; `None`: the file was changed by somebody.
    pub fn list(&self) -> Result<Vec<Listed>, FileChannelError> {
        let entries = fs::read_dir(&self.outbox).map_err(io_error("list", &self.outbox))?;
        let mut lists = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error("list", &self.outbox))?.path();
            let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            if path.extension().is_none_or(|e| e != EXTENSION) || name.starts_with('.') {
                continue;
            }
            let recalled = self.recall_mark(&name).exists();
            lists.push(Listed { contacts: contacts_of(&path).ok().map(|c| c.len()), name, path, recalled });
        }
        lists.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(lists)
    }

    /// Marks a list as called back and says whose contacts it holds: a person must tell the callers, the file is theirs.
    pub fn recall(&self, name: &str) -> Result<Vec<ContactId>, FileChannelError> {
        let path = self.path(name)?;
        if !path.exists() {
            return Err(FileChannelError::Unknown { path });
        }
        let contacts = contacts_of(&path)?;
        let mark = self.recall_mark(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&mark).map_err(io_error("mark as recalled", &mark))?;
        file.sync_all().map_err(io_error("sync", &mark))?;
        self.sync_outbox()?;
        Ok(contacts)
    }

    fn path(&self, name: &str) -> Result<PathBuf, FileChannelError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || name.len() > 100 || !name.bytes().all(plain) {
            return Err(FileChannelError::Name { name: name.to_owned() });
        }
        Ok(self.outbox.join(name).with_extension(EXTENSION))
    }

    fn recall_mark(&self, name: &str) -> PathBuf {
        self.outbox.join(name).with_extension(RECALLED)
    }

    fn sync_outbox(&self) -> Result<(), FileChannelError> {
        File::open(&self.outbox).and_then(|d| d.sync_all()).map_err(io_error("sync", &self.outbox))
    }
}

/// A path from the root on, with the links of what exists of it followed.
fn whole(path: &Path) -> Result<PathBuf, FileChannelError> {
    let path = std::path::absolute(path).map_err(io_error("find", path))?;
    let mut known = path.as_path();
    let mut rest = Vec::new();
    loop {
        match (fs::canonicalize(known), known.parent(), known.file_name()) {
            (Ok(real), _, _) => return Ok(rest.iter().rev().fold(real, |p, name| p.join(name))),
            (Err(_), Some(parent), Some(name)) => {
                rest.push(name);
                known = parent;
            }
            (Err(cause), _, _) => return Err(io_error("find", &path)(cause)),
        }
    }
}

fn io_error<'a>(attempt: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileChannelError + use<'a> {
    move |cause| FileChannelError::Io { attempt, path: path.to_owned(), cause }
}

fn drop_part(temporary: &Path) {
    if let Err(cause) = fs::remove_file(temporary) {
        tracing::warn!(path = %temporary.display(), %cause, "an unfinished list could not be removed");
    }
}

/// The contacts of a list, read back from the file.
fn contacts_of(path: &Path) -> Result<Vec<ContactId>, FileChannelError> {
    let damaged = |cause| FileChannelError::Damaged { path: path.to_owned(), cause };
    let mut rows = csv::Reader::from_path(path).map_err(damaged)?;
    let mut contacts = Vec::new();
    for row in rows.records() {
        let row = row.map_err(damaged)?;
        let contact = row.get(0).and_then(|c| c.parse().ok());
        contacts.push(contact.ok_or_else(|| damaged(io::Error::from(io::ErrorKind::InvalidData).into()))?);
    }
    Ok(contacts)
}

/// A field that starts like a formula gets an apostrophe before it.
fn harmless(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}
