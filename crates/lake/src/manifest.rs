//! The manifest: which files are the lake. One rename publishes a new one; a file that it does not name does not exist.

use crate::error::{LakeError, Result};
use kairos_model::{TenantId, Zone};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

pub(crate) const FORMAT: u32 = 1;
const NAME: &str = "MANIFEST.json";
const BODY: &str = ",\n\"body\":";

/// How a file adds to its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Rows are facts; a row whose key is there already is a duplicate.
    Append,
    /// Rows are states of a key; the newest `as_of` wins.
    Upsert,
    /// The file is the whole state of its layout at its `as_of`.
    Snapshot,
}

/// One Parquet file of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DataFile {
    /// Relative to the lake's directory.
    pub path: String,
    pub blake3: String,
    pub bytes: u64,
    pub rows: u64,
    pub mode: Mode,
    pub layout: String,
    pub as_of: i64,
    /// Number of the import: later wins among equal `as_of`.
    pub seq: u64,
    /// Least and greatest value of the table's time column.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// Greatest value of any time column.
    pub last_moment: Option<i64>,
    pub columns: Vec<String>,
}

/// Sorted keys of a table's rows, see `keys`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeyFile {
    pub path: String,
    pub blake3: String,
    pub entries: u64,
    pub mode: Mode,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableState {
    /// Columns beyond the canonical ones, with their `ColumnType` names.
    pub extra: BTreeMap<String, String>,
    pub files: Vec<DataFile>,
    pub keys: Vec<KeyFile>,
    /// Whether any key of an upsert table has a second version.
    pub versions: bool,
    /// Journal positions up to which rows were mirrored, by stream.
    pub streams: BTreeMap<String, u64>,
}

/// What became of the rows of a file: `read = accepted + duplicate + quarantined`, always.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

/// A file that was imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportRecord {
    pub file_name: String,
    /// BLAKE3 of the raw bytes, in hexadecimal.
    pub content_hash: String,
    pub layout: String,
    pub table: String,
    pub mode: Mode,
    /// Microseconds UTC.
    pub as_of: i64,
    /// Microseconds UTC.
    pub imported_at: i64,
    pub seq: u64,
    pub counts: Counts,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SnapshotEntry {
    pub id: u32,
    pub as_of: i64,
    /// Parquet files that it reads, shared with other snapshots.
    pub files: Vec<String>,
    /// JSON description, relative to the lake's directory.
    pub path: String,
    pub blake3: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub tenant: u16,
    pub zone: String,
    pub generation: u64,
    pub next_seq: u64,
    pub tables: BTreeMap<String, TableState>,
    pub imports: Vec<ImportRecord>,
    pub snapshots: Vec<SnapshotEntry>,
    pub next_snapshot: u32,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
    checksum: String,
}

impl Manifest {
    fn new(tenant: TenantId, zone: &Zone) -> Self {
        Self {
            tenant: tenant.0,
            zone: zone.name().to_owned(),
            generation: 0,
            next_seq: 1,
            tables: BTreeMap::new(),
            imports: Vec::new(),
            snapshots: Vec::new(),
            next_snapshot: 1,
        }
    }

    /// The manifest of `dir`, or an empty one where there is none.
    pub fn load(dir: &Path, tenant: TenantId, zone: &Zone) -> Result<Self> {
        let path = dir.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::new(tenant, zone)),
            Err(cause) => return Err(LakeError::Io { doing: "read", path, cause }),
        };
        let (head, rest) = text
            .split_once(BODY)
            .ok_or_else(|| LakeError::damaged(&path, "it has no line that begins with \"body\""))?;
        let head: Head = serde_json::from_str(&format!("{head}}}"))
            .map_err(|e| LakeError::damaged(&path, format!("its first line does not parse: {e}")))?;
        if head.format > FORMAT {
            return Err(LakeError::Newer { path, found: head.format, known: FORMAT });
        }
        let body = rest.strip_suffix("}\n").ok_or_else(|| LakeError::damaged(&path, "its end is missing"))?;
        if blake3::hash(body.as_bytes()).to_hex().as_str() != head.checksum {
            return Err(LakeError::damaged(&path, "its checksum does not match"));
        }
        let found: Self = serde_json::from_str(body)
            .map_err(|e| LakeError::damaged(&path, format!("its body does not parse: {e}")))?;
        if found.tenant != tenant.0 {
            let (found, wanted) = (TenantId(found.tenant).to_string(), tenant.to_string());
            return Err(LakeError::OtherTenant { path, found, wanted });
        }
        if found.zone != zone.name() {
            let (found, wanted) = (format!("zone {}", found.zone), format!("zone {}", zone.name()));
            return Err(LakeError::OtherTenant { path, found, wanted });
        }
        Ok(found)
    }

    /// Makes this the manifest of `dir`: written beside, synced, renamed. The caller syncs the directory: until then the
    /// old manifest may come back after a crash, so nothing that either of the two names may go.
    pub fn publish(&self, dir: &Path) -> Result<()> {
        let path = dir.join(NAME);
        let body =
            serde_json::to_string(self).map_err(|e| LakeError::damaged(&path, format!("it cannot be written: {e}")))?;
        let sum = blake3::hash(body.as_bytes()).to_hex();
        let text = format!("{{\"format\":{FORMAT},\"checksum\":\"{sum}\"{BODY}{body}}}\n");
        put_in_place(&path, text.as_bytes())
    }

    pub fn table(&self, name: &str) -> Option<&TableState> {
        self.tables.get(name)
    }

    /// Every file that must stay, relative to the lake's directory.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let tables = self
            .tables
            .values()
            .flat_map(|t| t.files.iter().map(|f| f.path.as_str()).chain(t.keys.iter().map(|k| k.path.as_str())));
        let snapshots = self.snapshots.iter().flat_map(|s| s.files.iter().chain([&s.path]).map(String::as_str));
        tables.chain(snapshots)
    }
}

/// A file that is whole or absent, whatever happens.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    put_in_place(path, bytes)?;
    sync_dir(path.parent().unwrap_or(path))
}

fn put_in_place(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside).map_err(LakeError::io("create", &beside))?;
    file.write_all(bytes).map_err(LakeError::io("write", &beside))?;
    file.sync_all().map_err(LakeError::io("sync", &beside))?;
    fs::rename(&beside, path).map_err(LakeError::io("rename into place", path))
}

/// Makes names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(LakeError::io("sync", dir))
}
