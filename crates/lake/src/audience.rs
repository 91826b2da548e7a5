//! Frozen audiences: a bitmap of ordinals that never changes, named by the hash of what it is.
//!
//! File `audience/<hash>.roar`: magic `KAUD`, version (u16), tenant (u16), length of the head (u32), head (JSON), bitmap
//! in the portable Roaring form, BLAKE3 of all before. The hash covers members, condition, snapshot and `as_of`.

use crate::{
    error::{LakeError, Result},
    lake::Lake,
    manifest::write_durably,
};
use kairos_model::{SnapshotId, Timestamp};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::{fs, path::PathBuf};

const MAGIC: &[u8; 4] = b"KAUD";
const VERSION: u16 = 1;

/// What an audience is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceHead {
    /// BLAKE3 in hexadecimal over members, condition hash, snapshot and `as_of`: the audience's name.
    pub hash: String,
    /// `Condition::hash`.
    pub condition_hash: u64,
    /// Canonical text of the condition.
    pub condition: String,
    pub snapshot: u32,
    /// Microseconds UTC.
    pub as_of: i64,
    pub members: u64,
}

/// A frozen audience.
#[derive(Clone, Debug, PartialEq)]
pub struct Audience {
    pub head: AudienceHead,
    /// Subscriber ordinals.
    pub members: RoaringBitmap,
}

impl Lake {
    fn audience_path(&self, hash: &str) -> PathBuf {
        self.inner.dir.join("audience").join(format!("{hash}.roar"))
    }

    /// Keeps an audience for ever. The same members, condition, snapshot and `as_of` give the same audience.
    pub fn freeze(
        &self,
        members: RoaringBitmap,
        condition: &kairos_rules::Condition,
        snapshot: SnapshotId,
        as_of: Timestamp,
    ) -> Result<Audience> {
        let mut bits = Vec::with_capacity(members.serialized_size());
        let dir = self.inner.table_dir("audience")?;
        members.serialize_into(&mut bits).map_err(LakeError::io("write", &dir))?;
        let head = AudienceHead {
            hash: name_of(&bits, condition.hash(), snapshot.0, as_of.0),
            condition_hash: condition.hash(),
            condition: condition.text().to_owned(),
            snapshot: snapshot.0,
            as_of: as_of.0,
            members: members.len(),
        };
        let path = self.audience_path(&head.hash);
        if !path.exists() {
            let json = serde_json::to_vec(&head)
                .map_err(|e| LakeError::damaged(&path, format!("its head cannot be written: {e}")))?;
            let mut bytes = Vec::with_capacity(bits.len() + json.len() + 44);
            bytes.extend_from_slice(MAGIC);
            bytes.extend_from_slice(&VERSION.to_le_bytes());
            bytes.extend_from_slice(&self.inner.tenant.0.to_le_bytes());
            bytes.extend_from_slice(&(json.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&json);
            bytes.extend_from_slice(&bits);
            let sum = blake3::hash(&bytes);
            bytes.extend_from_slice(sum.as_bytes());
            write_durably(&path, &bytes)?;
        }
        Ok(Audience { head, members })
    }

    /// A frozen audience by its hash.
    ///
    /// Errors: none of that hash, another tenant's, a newer format, a checksum that does not match.
    pub fn audience(&self, hash: &str) -> Result<Audience> {
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(LakeError::Limit { what: format!("`{hash}` is no audience; give its 64 hexadecimal digits") });
        }
        let path = self.audience_path(hash);
        let bytes = fs::read(&path).map_err(LakeError::io("read", &path))?;
        let damaged = |what: &str| LakeError::damaged(&path, what);
        let Some((body, sum)) = bytes.split_last_chunk::<32>() else { return Err(damaged("it is cut short")) };
        if blake3::hash(body) != blake3::Hash::from_bytes(*sum) {
            return Err(damaged("its checksum does not match"));
        }
        let (Some(fixed), Some(rest)) = (body.get(..12), body.get(12..)) else {
            return Err(damaged("it is cut short"));
        };
        if &fixed[..4] != MAGIC {
            return Err(damaged("it is no audience"));
        }
        let version = u16::from_le_bytes([fixed[4], fixed[5]]);
        if version > VERSION {
            return Err(LakeError::Newer { path, found: version.into(), known: VERSION.into() });
        }
        let tenant = kairos_model::TenantId(u16::from_le_bytes([fixed[6], fixed[7]]));
        if tenant != self.inner.tenant {
            let (found, wanted) = (tenant.to_string(), self.inner.tenant.to_string());
            return Err(LakeError::OtherTenant { path, found, wanted });
        }
        let len = u32::from_le_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]) as usize;
        let (Some(json), Some(bits)) = (rest.get(..len), rest.get(len..)) else {
            return Err(damaged("its head is cut short"));
        };
        let head: AudienceHead =
            serde_json::from_slice(json).map_err(|e| damaged(&format!("its head does not parse: {e}")))?;
        let members = RoaringBitmap::deserialize_from(bits).map_err(LakeError::io("read the bitmap of", &path))?;
        if head.hash != hash || head.hash != name_of(bits, head.condition_hash, head.snapshot, head.as_of) {
            return Err(damaged("it is not what its name says"));
        }
        Ok(Audience { head, members })
    }
}

fn name_of(bits: &[u8], condition: u64, snapshot: u32, as_of: i64) -> String {
    let mut h = blake3::Hasher::new();
    h.update(b"kairos audience 1");
    h.update(&condition.to_le_bytes()).update(&snapshot.to_le_bytes()).update(&as_of.to_le_bytes());
    h.update(bits).finalize().to_hex().to_string()
}
