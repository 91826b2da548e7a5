//! The one form of our own small files: magic, length and JSON header, body, BLAKE3 of all before it.

use crate::{
    dir::write_atomic,
    error::{AppError, Context, Kind, Result},
};
use serde::{Serialize, de::DeserializeOwned};
use std::path::Path;

/// Writes the file whole or not at all.
pub fn save<H: Serialize>(path: &Path, magic: &[u8; 8], header: &H, body: &[u8]) -> Result<()> {
    let header = serde_json::to_vec(header).or_fail(Kind::Failure, "internal", || path.display().to_string())?;
    let mut bytes = Vec::with_capacity(magic.len() + 4 + header.len() + body.len() + blake3::OUT_LEN);
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(body);
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    write_atomic(path, &bytes)
}

/// Reads and checks the file: header and body. `what` names it in an error, e.g. `facts snapshot`; `code` is `facts`, and
/// with `_missing`, `_newer` or `_broken` behind it the error's.
pub fn load<H: DeserializeOwned>(
    path: &Path,
    magic: &[u8; 8],
    what: &str,
    codes: &'static Codes,
) -> Result<(H, Vec<u8>)> {
    let mut bytes = std::fs::read(path)
        .or_fail(Kind::Unavailable, codes.missing, || format!("cannot read the {what} `{}`", path.display()))?;
    let broken = || {
        AppError::failure(codes.broken, format!("the {what} `{}` is damaged; restore it from a backup", path.display()))
    };
    let body_end = bytes.len().checked_sub(blake3::OUT_LEN).ok_or_else(broken)?;
    if blake3::hash(&bytes[..body_end]).as_bytes() != &bytes[body_end..] {
        return Err(broken());
    }
    bytes.truncate(body_end);
    // the sum is right: another magic is another version, and no damage
    let found = bytes.first_chunk::<8>().ok_or_else(broken)?;
    if found != magic {
        let message = format!("the {what} `{}` is of another version of this program; use that one", path.display());
        return Err(AppError::failure(codes.newer, message));
    }
    let length = bytes.get(8..12).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).ok_or_else(broken)?;
    let header_end = (length as usize).checked_add(12).filter(|&end| end <= bytes.len()).ok_or_else(broken)?;
    let header = serde_json::from_slice(&bytes[12..header_end]).map_err(|e| broken().because(e))?;
    bytes.drain(..header_end);
    Ok((header, bytes))
}

/// Error codes of one kind of file.
pub struct Codes {
    pub missing: &'static str,
    pub broken: &'static str,
    pub newer: &'static str,
}
