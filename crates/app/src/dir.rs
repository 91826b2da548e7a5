//! The data directory: one tenant, one process, one format.

use crate::error::{AppError, Context, Kind, Result};
use kairos_model::TenantId;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Format of the directory as this program writes it.
pub const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct Version {
    product: String,
    format: u32,
    tenant: u16,
    /// Grows with each opening by an engine: a process that lost its lock cannot write for a later one.
    epoch: u64,
    /// Stores that were there when the directory was last opened: one that is gone since is a loss, never a fresh start.
    #[serde(default)]
    stores: BTreeSet<String>,
}

/// What a directory holds once it is in use, each by a file or folder that tells it.
const STORES: [&str; 5] = ["catalog.sqlite", "journal", "lake/MANIFEST.json", "lists", "vault"];

/// An open, locked data directory. The lock ends with the value.
pub struct DataDir {
    root: PathBuf,
    tenant: TenantId,
    epoch: u64,
    stores: BTreeSet<String>,
    _lock: File,
}

impl DataDir {
    /// Opens or creates. `Unavailable` if another process holds it, `Failure` if its format is newer or broken.
    pub fn open(root: &Path, tenant: TenantId) -> Result<Self> {
        let shown = root.display();
        // owner only: the catalog holds who may do what
        DirBuilder::new().recursive(true).mode(0o700).create(root).or_fail(
            Kind::Unavailable,
            "data_directory",
            || format!("cannot create the data directory `{shown}`"),
        )?;
        // before the lock: somebody else's folder gets no file of ours
        Self::refuse_foreign(root)?;
        let lock_path = root.join("LOCK");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).or_fail(
            Kind::Unavailable,
            "data_directory",
            || format!("cannot open `{}`", lock_path.display()),
        )?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(AppError::unavailable(
                "data_directory_held",
                format!(
                    "another process holds the data directory `{shown}`; one engine a directory: stop that process, or let commands reach it through `{shown}/kairos.sock`"
                ),
            ));
        }
        let version = Self::read_version(root)?;
        let (tenant, epoch, stores) = match version {
            Some(v) => {
                if let Some(lost) = v.stores.iter().find(|s| !root.join(s).exists()) {
                    return Err(AppError::failure(
                        "data_directory_broken",
                        format!(
                            "`{}` is gone from the data directory; nothing was opened or made anew, restore it from a backup",
                            root.join(lost).display()
                        ),
                    ));
                }
                if v.tenant != tenant.0 {
                    return Err(AppError::conflict(
                        "other_tenant",
                        format!(
                            "`{shown}` belongs to tenant {}, the definitions are of tenant {}; give its own with --definitions",
                            v.tenant, tenant.0
                        ),
                    ));
                }
                (tenant, v.epoch + 1, v.stores)
            }
            None => (tenant, 1, BTreeSet::new()),
        };
        let dir = Self { root: root.to_owned(), tenant, epoch, stores, _lock: lock };
        dir.write_version()?;
        Ok(dir)
    }

    fn refuse_foreign(root: &Path) -> Result<()> {
        if Self::exists(root) {
            return Ok(());
        }
        let shown = root.display();
        let foreign = fs::read_dir(root)
            .or_fail(Kind::Unavailable, "data_directory", || format!("cannot list `{shown}`"))?
            .filter_map(std::result::Result::ok)
            .find(|e| e.file_name() != "LOCK" && e.file_name() != "VERSION.tmp");
        match foreign {
            None => Ok(()),
            Some(entry) => Err(AppError::invalid(
                "not_a_data_directory",
                format!(
                    "`{shown}` is not empty and no Kairos data directory (it holds `{}` but no VERSION); give an empty or new directory",
                    entry.file_name().to_string_lossy()
                ),
            )),
        }
    }

    /// Whether there is a data directory at `root` at all.
    pub fn exists(root: &Path) -> bool {
        root.join("VERSION").is_file()
    }

    fn read_version(root: &Path) -> Result<Option<Version>> {
        let path = root.join("VERSION");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                return Err(
                    AppError::unavailable("data_directory", format!("cannot read `{}`", path.display())).because(e)
                );
            }
        };
        let format = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|v| v.get("format")?.as_u64());
        if format.is_some_and(|f| f > u64::from(FORMAT)) {
            return Err(AppError::failure(
                "data_directory_newer",
                format!(
                    "`{}` has format {}, this program knows up to {FORMAT}; use the newer program that wrote it",
                    root.display(),
                    format.unwrap_or_default()
                ),
            ));
        }
        let version = serde_json::from_str(&text).or_fail(Kind::Failure, "data_directory_broken", || {
            format!("`{}` is damaged; restore it from a backup", path.display())
        })?;
        Ok(Some(version))
    }

    /// Notes which stores there are, so that one lost later is missed. Called when everything is open.
    pub fn note_stores(&mut self) -> Result<()> {
        let there: BTreeSet<String> =
            STORES.iter().filter(|s| self.root.join(s).exists()).map(|s| (*s).to_owned()).collect();
        if there != self.stores {
            self.stores = there;
            self.write_version()?;
        }
        Ok(())
    }

    fn write_version(&self) -> Result<()> {
        let version = Version {
            product: "kairos".to_owned(),
            format: FORMAT,
            tenant: self.tenant.0,
            epoch: self.epoch,
            stores: self.stores.clone(),
        };
        let text =
            serde_json::to_string_pretty(&version).or_fail(Kind::Failure, "internal", || "VERSION".to_owned())?;
        write_atomic(&self.root.join("VERSION"), text.as_bytes())
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
    /// The socket through which other commands reach the process that holds the directory.
    pub fn socket(root: &Path) -> PathBuf {
        root.join("kairos.sock")
    }
}

/// Writes a file whole or not at all: temporary name, sync, rename, sync of the folder.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let attempt = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    attempt().or_fail(Kind::Unavailable, "write_failed", || format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_a_directory_and_each_opening_a_new_epoch() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("data");
        let first = DataDir::open(&root, TenantId(1)).unwrap();
        assert_eq!(first.epoch(), 1);
        let second = DataDir::open(&root, TenantId(1)).err().unwrap();
        assert_eq!((second.kind, second.code), (Kind::Unavailable, "data_directory_held"));
        drop(first);
        assert_eq!(DataDir::open(&root, TenantId(1)).unwrap().epoch(), 2);
    }

    #[test]
    fn a_store_that_is_gone_is_missed() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("data");
        let mut dir = DataDir::open(&root, TenantId(1)).unwrap();
        fs::create_dir(root.join("vault")).unwrap();
        dir.note_stores().unwrap();
        drop(dir);
        drop(DataDir::open(&root, TenantId(1)).unwrap());
        fs::remove_dir(root.join("vault")).unwrap();
        let e = DataDir::open(&root, TenantId(1)).err().unwrap();
        assert_eq!((e.kind, e.code), (Kind::Failure, "data_directory_broken"));
        assert!(e.message.contains("vault` is gone from the data directory"), "{e}");
    }

    #[test]
    fn a_newer_format_and_a_foreign_folder_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("VERSION"), r#"{"product":"kairos","format":99,"tenant":1,"epoch":1,"more":true}"#)
            .unwrap();
        let e = DataDir::open(temp.path(), TenantId(1)).err().unwrap();
        assert_eq!(e.code, "data_directory_newer");
        assert!(e.message.contains("format 99, this program knows up to 1"), "{e}");
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("holiday.jpg"), "x").unwrap();
        assert_eq!(DataDir::open(other.path(), TenantId(1)).err().unwrap().code, "not_a_data_directory");
    }
}
