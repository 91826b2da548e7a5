//! The vault's master key and the system's random bytes.

use crate::error::{AppError, Context, Kind, Result};
use kairos_vault::{MasterKey, SystemEntropy};
use std::path::{Path, PathBuf};

/// `<directory>.key`, beside the data directory and never in it.
pub fn beside(data: &Path) -> PathBuf {
    sibling(data, "key")
}

/// `<directory>.<extension>`, beside the data directory.
pub fn sibling(data: &Path, extension: &str) -> PathBuf {
    // `.` and `..` have no name of their own
    let whole = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let mut name = whole.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    whole.with_file_name(name)
}

/// Reads the key; makes one (file mode 0600) where there is no vault yet.
pub fn read_or_create(path: &Path, vault_exists: bool) -> Result<MasterKey> {
    if !path.exists() && vault_exists {
        return Err(AppError::unavailable(
            "master_key",
            format!(
                "the master key `{}` is missing, and the vault cannot be read without it; restore the file, or name another with --key-file",
                path.display()
            ),
        ));
    }
    let key = if path.exists() { MasterKey::read_file(path) } else { MasterKey::create_file(path, &SystemEntropy) };
    key.or_fail(Kind::Unavailable, "master_key", || format!("cannot use the master key `{}`", path.display()))
}

/// Random bytes of the system. A system without them cannot run this program.
pub fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap_or_else(|e| panic!("the system gives no random bytes: {e}"));
}
