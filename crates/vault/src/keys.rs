//! The master key, the root key that it wraps, and what is derived from the root.
//!
//! Only the root depends on the master key, so that a new master key rewrites one small file.

use crate::{
    error::VaultError,
    store::{FORMAT_VERSION, MAGIC, VaultId},
};
use chacha20poly1305::{
    ChaCha20Poly1305, Key, Nonce, Tag,
    aead::{AeadInOut, KeyInit},
};
use kairos_model::{TenantId, disk::Disk, hash};
use siphasher::{sip::SipHasher13, sip128::SipHasher24};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};
use zeroize::Zeroizing;

pub(crate) const NONCE: usize = 12;
pub(crate) const TAG: usize = 16;
pub(crate) type Key32 = Zeroizing<[u8; 32]>;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot {what} key file `{path}`")]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("key file `{path}` is readable by others (mode {mode:03o}): chmod 600 it")]
    Open { path: PathBuf, mode: u32 },
    #[error("a master key is 64 hexadecimal digits; this text has {len} characters or other signs in it")]
    Form { len: usize },
    #[error("the system gives no randomness")]
    Entropy(#[source] io::Error),
}

/// Where keys and nonces come from.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), KeyError>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), KeyError> {
        getrandom::fill(bytes).map_err(|e| KeyError::Entropy(e.into()))
    }
}

/// A stream that follows from a seed: for tests and simulation only.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<u64>, u64);

impl SeededEntropy {
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(0), seed)
    }
}
impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), KeyError> {
        let mut n = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            *n += 1;
            chunk.copy_from_slice(&hash::salted(self.1, *n).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// The key outside the data directory. Overwritten in memory when dropped; never printed.
pub struct MasterKey(Key32);

impl MasterKey {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// 64 hexadecimal digits, as in the key file or an environment variable; blanks around them are ignored.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let form = || KeyError::Form { len: text.len() };
        if text.len() != 64 || !text.is_ascii() {
            return Err(form());
        }
        let mut key = Zeroizing::new([0; 32]);
        for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |b: u8| char::from(b).to_digit(16).ok_or_else(form);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(key))
    }

    /// Reads a key file; refuses one that others may read.
    pub fn read_file(path: &Path) -> Result<Self, KeyError> {
        let fault = |what| move |cause| KeyError::File { what, path: path.to_owned(), cause };
        let mode = std::fs::metadata(path).map_err(fault("look at"))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(fault("read"))?);
        Self::from_hex(&text)
    }

    /// Makes a new key and its file, readable by the owner only; never replaces one.
    pub fn create_file(path: &Path, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let fault = |what| move |cause| KeyError::File { what, path: path.to_owned(), cause };
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *key)?;
        let mut text = Zeroizing::new(String::with_capacity(65));
        for byte in key.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fault("create"))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fault("write"))?;
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(fault("sync the directory of"))?;
        Ok(Self(key))
    }
}
impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// What a sealed value is bound to: it opens only as the record that it was written as.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    Number { sub: u32, slot: u64 },
    Foreign { id: u32 },
    Text { sub: u32, unit: u64, kind: u32 },
}

/// Everything derived from the root key.
pub(crate) struct Secrets {
    tenant: TenantId,
    number: SipHasher24,
    source: SipHasher24,
    pub check: SipHasher13,
    subscribers: Key32,
    /// For what is nobody's.
    pub tenant_key: Key32,
    /// Root of keys for other crates.
    lent: Key32,
}

impl Secrets {
    fn derive(tenant: TenantId, root: &[u8; 32]) -> Self {
        let key = |purpose: &str| Zeroizing::new(blake3::derive_key(&format!("kairos vault 1 {purpose}"), root));
        let half = |purpose: &str| {
            let mut half = [0; 16];
            half.copy_from_slice(&key(purpose)[..16]);
            half
        };
        Self {
            tenant,
            number: SipHasher24::new_with_key(&half("number index")),
            source: SipHasher24::new_with_key(&half("source key index")),
            check: SipHasher13::new_with_key(&half("slot check")),
            subscribers: key("subscriber keys"),
            tenant_key: key("tenant"),
            lent: key("lent"),
        }
    }
    /// A key for a purpose outside the vault: the same for the vault's whole life, also under another master key.
    pub fn lend(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(&format!("kairos vault 1 lent {purpose}"), &*self.lent)
    }
    #[inline]
    pub fn number_hash(&self, e164: u64) -> [u8; 16] {
        self.number.hash(&e164.to_le_bytes()).as_bytes()
    }
    #[inline]
    pub fn source_hash(&self, source_key: &str) -> [u8; 16] {
        self.source.hash(source_key.as_bytes()).as_bytes()
    }

    fn aad(&self, bound: Bound) -> [u8; 19] {
        let (domain, a, b, c) = match bound {
            Bound::Number { sub, slot } => (1, sub, slot, 0),
            Bound::Foreign { id } => (2, id, 0, 0),
            Bound::Text { sub, unit, kind } => (3, sub, unit, kind),
        };
        let mut aad = [0; 19];
        aad[0] = domain;
        aad[1..3].copy_from_slice(&self.tenant.0.to_le_bytes());
        aad[3..7].copy_from_slice(&a.to_le_bytes());
        aad[7..15].copy_from_slice(&b.to_le_bytes());
        aad[15..].copy_from_slice(&c.to_le_bytes());
        aad
    }
    /// Seals `text` in place.
    pub fn seal(&self, key: &[u8; 32], nonce: &[u8; NONCE], bound: Bound, text: &mut [u8]) -> [u8; TAG] {
        seal(key, nonce, &self.aad(bound), text)
    }
    /// Opens `text` in place; `false` where it is not what was sealed under this key for this record.
    #[must_use]
    pub fn unseal(&self, key: &[u8; 32], nonce: &[u8], bound: Bound, text: &mut [u8], tag: &[u8]) -> bool {
        unseal(key, nonce, &self.aad(bound), text, tag)
    }
}

fn seal(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    let tag = cipher.encrypt_inout_detached(&Nonce::from(*nonce), aad, text.into());
    tag.expect("only texts of 256 GiB are refused").into()
}
fn unseal(key: &[u8; 32], nonce: &[u8], aad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
    let (Ok(nonce), Ok(tag)) = (Nonce::try_from(nonce), Tag::try_from(tag)) else { return false };
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    cipher.decrypt_inout_detached(&nonce, aad, text.into(), &tag).is_ok()
}

const ROOT_LEN: usize = 128;
pub(crate) const ROOT_NAME: &str = "root";

/// The file `root`: 0 magic, 8 u16 version, 10 u16 tenant, 12 zeros, 16 vault id, 32 nonce, 44 zeros, 48 wrapped root
/// key and tag, 96 BLAKE3 of bytes 0–95.
fn encode_root(
    master: &MasterKey,
    tenant: TenantId,
    id: VaultId,
    root: &[u8; 32],
    nonce: &[u8; NONCE],
) -> [u8; ROOT_LEN] {
    let mut b = [0; ROOT_LEN];
    b[..8].copy_from_slice(MAGIC);
    b[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    b[10..12].copy_from_slice(&tenant.0.to_le_bytes());
    b[16..32].copy_from_slice(&id);
    b[32..44].copy_from_slice(nonce);
    let mut wrapped = Zeroizing::new(*root);
    let tag = seal(&master.0, nonce, &b[..32], &mut *wrapped);
    b[48..80].copy_from_slice(&*wrapped);
    b[80..96].copy_from_slice(&tag);
    let sum = blake3::hash(&b[..96]);
    b[96..].copy_from_slice(sum.as_bytes());
    b
}

fn decode_root(b: &[u8], path: &Path, master: &MasterKey, tenant: TenantId) -> Result<(VaultId, Key32), VaultError> {
    let corrupt = |why| VaultError::Corrupt { path: path.to_owned(), offset: 0, why };
    if b.len() < 10 || &b[..8] != MAGIC {
        return Err(corrupt("this is no vault"));
    }
    let version = u16::from_le_bytes([b[8], b[9]]);
    if version > FORMAT_VERSION {
        return Err(VaultError::NewerFormat { path: path.to_owned(), found: version, known: FORMAT_VERSION });
    }
    if b.len() != ROOT_LEN || blake3::hash(&b[..96]).as_bytes()[..] != b[96..] {
        return Err(corrupt("the checksum does not match"));
    }
    let found = u16::from_le_bytes([b[10], b[11]]);
    if found != tenant.0 {
        let (found, wanted) = (found.into(), tenant.0.into());
        return Err(VaultError::Stranger { path: path.to_owned(), what: "tenant", found, wanted });
    }
    let mut id = VaultId::default();
    id.copy_from_slice(&b[16..32]);
    let mut root = Zeroizing::new([0; 32]);
    root.copy_from_slice(&b[48..80]);
    if !unseal(&master.0, &b[32..44], &b[..32], &mut *root, &b[80..96]) {
        return Err(VaultError::WrongKey { path: path.to_owned() });
    }
    Ok((id, root))
}

/// The root file, opened.
pub(crate) struct Root {
    path: PathBuf,
    tenant: TenantId,
    pub id: VaultId,
    root: Key32,
}

impl Root {
    pub fn open(disk: &dyn Disk, dir: &Path, master: &MasterKey, tenant: TenantId) -> Result<Self, VaultError> {
        let path = dir.join(ROOT_NAME);
        let bytes = disk.read(&path).map_err(VaultError::io("read", &path))?;
        let (id, root) = decode_root(&bytes, &path, master, tenant)?;
        Ok(Self { path, tenant, id, root })
    }
    /// A new root, not yet written.
    pub fn random(entropy: &dyn Entropy, dir: &Path, tenant: TenantId) -> Result<Self, VaultError> {
        let mut id = VaultId::default();
        let mut root = Zeroizing::new([0; 32]);
        entropy.fill(&mut id)?;
        entropy.fill(&mut *root)?;
        Ok(Self { path: dir.join(ROOT_NAME), tenant, id, root })
    }
    /// Writes the root key under `master`, in place of the former master key.
    pub fn write(&self, disk: &dyn Disk, entropy: &dyn Entropy, master: &MasterKey) -> Result<(), VaultError> {
        let mut nonce = [0; NONCE];
        entropy.fill(&mut nonce)?;
        let bytes = encode_root(master, self.tenant, self.id, &self.root, &nonce);
        disk.write_whole(&self.path, &bytes).map_err(VaultError::io("write", &self.path))
    }
    pub fn secrets(&self) -> Secrets {
        Secrets::derive(self.tenant, &self.root)
    }
}

/// Random bytes of a subscriber, in the slot of 40 bytes: 0 random, 32 check.
pub(crate) const OWN: usize = 32;
pub(crate) const KEY_SLOT: usize = OWN + 8;

impl Secrets {
    /// The key of a subscriber: BLAKE3, keyed from the root, of tenant, ordinal and the subscriber's own random bytes.
    /// Without these, 256 bits that were never anywhere else, nobody derives it again.
    pub fn subscriber_key(&self, sub: u32, own: &[u8]) -> Key32 {
        let mut text = Zeroizing::new([0; 6 + OWN]);
        text[..2].copy_from_slice(&self.tenant.0.to_le_bytes());
        text[2..6].copy_from_slice(&sub.to_le_bytes());
        text[6..].copy_from_slice(&own[..OWN]);
        Zeroizing::new(*blake3::keyed_hash(&self.subscribers, &*text).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.key");
        let made = MasterKey::create_file(&path, &SystemEntropy).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(*MasterKey::read_file(&path).unwrap().0 == *made.0);
        assert!(matches!(MasterKey::create_file(&path, &SystemEntropy), Err(KeyError::File { what: "create", .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let e = MasterKey::read_file(&path).unwrap_err().to_string();
        assert!(e.contains("readable by others (mode 644): chmod 600 it"), "{e}");
        assert_eq!(format!("{made:?}"), "MasterKey(…)");
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        for text in ["", "abc", &"g".repeat(64), &"ab".repeat(33), &"é".repeat(32)] {
            let e = MasterKey::from_hex(text).unwrap_err().to_string();
            assert!(e.starts_with("a master key is 64 hexadecimal digits"), "{e}");
        }
        assert!(MasterKey::from_hex(&format!(" {}\n", "0f".repeat(32))).is_ok());
    }
}
