//! Names and other texts of subscribers, and raw rows that an import could not use.
//!
//! ```text
//! record   0 u32 sealed bytes   4 u32 subscriber, all ones: nobody's   8 u32 unit of the same subscriber's record before,
//!          all ones: none   12 u16 field   14 u8 kind   15 zero   16 nonce   28 first 4 bytes of the check   32 sealed text
//!          and tag, then zeros to the unit
//! ```
//! The records of a subscriber form a chain from the last written back; memory keeps where it begins. A field's name is
//! itself a record, so that a text says in 16 bits which field it is.

use crate::{
    assign::KeyRing,
    error::VaultError,
    keys::{Bound, Key32, NONCE, Secrets, TAG},
    memory::{Memory, NONE},
    slots::{MAIN, TEXTS, UNIT, u32_at},
    store::{Slots, check},
    vault::{BATCH_ROWS, Vault},
};
use kairos_model::SubscriberId;
use std::fmt;
use zeroize::Zeroizing;

const HEAD: usize = 32;
/// Bytes of a text: names, addresses, rendered messages.
const TEXT_MAX: usize = 16 << 10;
/// Bytes of a raw row; a longer one is given shortened.
const RAW_ROW_MAX: usize = 128 << 10;
/// Fields: each is a column of some layout.
const FIELDS_MAX: usize = 4_096;
const FIELD_NAME_MAX: usize = 64;

/// A text of a subscriber under the name of its field.
#[derive(Clone, Copy)]
pub struct SecretRow<'a> {
    pub subscriber: SubscriberId,
    pub field: &'a str,
    pub text: &'a str,
}

/// A row as it stood in its file, under the key of its subscriber where that is known, else under the tenant's.
#[derive(Clone, Copy)]
pub struct RawRow<'a> {
    pub subscriber: Option<SubscriberId>,
    pub bytes: &'a [u8],
}

/// Where a raw row lies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawRowId(pub u32);
impl fmt::Debug for RawRowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raw{}", self.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    RawRow,
    FieldName,
}

impl Kind {
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Text),
            1 => Some(Self::RawRow),
            2 => Some(Self::FieldName),
            _ => None,
        }
    }
}

/// The head of a record.
#[derive(Clone, Copy)]
struct Head {
    sealed: u32,
    sub: u32,
    before: u32,
    field: u16,
    kind: Kind,
    nonce: [u8; NONCE],
}

impl Head {
    fn encode(&self, secrets: &Secrets, unit: u64) -> [u8; HEAD] {
        let mut b = [0; HEAD];
        b[..4].copy_from_slice(&self.sealed.to_le_bytes());
        b[4..8].copy_from_slice(&self.sub.to_le_bytes());
        b[8..12].copy_from_slice(&self.before.to_le_bytes());
        b[12..14].copy_from_slice(&self.field.to_le_bytes());
        b[14] = self.kind as u8;
        b[16..28].copy_from_slice(&self.nonce);
        let sum = check(&secrets.check, MAIN[TEXTS].kind, unit, &b[..28]);
        b[28..].copy_from_slice(&sum[..4]);
        b
    }
    fn decode(secrets: &Secrets, unit: u64, b: &[u8; HEAD]) -> Option<Self> {
        if check(&secrets.check, MAIN[TEXTS].kind, unit, &b[..28])[..4] != b[28..] {
            return None;
        }
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&b[16..28]);
        Some(Self {
            sealed: u32_at(b, 0),
            sub: u32_at(b, 4),
            before: u32_at(b, 8),
            field: u16::from_le_bytes([b[12], b[13]]),
            kind: Kind::from_code(b[14])?,
            nonce,
        })
    }
    /// Units of the whole record.
    fn units(&self) -> u64 {
        (HEAD + self.sealed as usize).div_ceil(UNIT) as u64
    }
    fn bound(&self, unit: u64) -> Bound {
        Bound::Text { sub: self.sub, unit, kind: u32::from(self.field) | (self.kind as u32) << 16 }
    }
}

/// Units from the start of a record to its sealed text.
const HEAD_UNITS: u64 = (HEAD / UNIT) as u64;

/// Walks the records: where each subscriber's chain begins, and the names of the fields.
pub(crate) fn load(slots: &Slots, count: u64, secrets: &Secrets, memory: &mut Memory) -> Result<(), VaultError> {
    let mut head = [0; HEAD];
    let (mut start, mut next) = (0, 0);
    let mut names = Vec::new();
    slots.each(count, |unit, b| {
        if unit == next {
            start = unit;
            head[..UNIT].copy_from_slice(b);
        } else if unit == start + 1 {
            head[UNIT..].copy_from_slice(b);
            let bad = || slots.corrupt(start, "the head of a text does not match its check");
            let record = Head::decode(secrets, start, &head).ok_or_else(bad)?;
            next = start + record.units();
            if record.kind == Kind::FieldName {
                names.push((start, record));
            } else if record.sub != NONE {
                let chain = memory.texts_of.get_mut(record.sub as usize).ok_or_else(bad)?;
                *chain = start as u32;
            }
        }
        Ok(())
    })?;
    if next > count {
        return Err(slots.corrupt(start, "a text is longer than its file"));
    }
    memory.text_units = count;
    for (unit, record) in names {
        let text = open(slots, secrets, unit, &record, &secrets.tenant_key)?;
        let name = String::from_utf8(text.to_vec()).ok().filter(|_| usize::from(record.field) == memory.fields.len());
        memory.fields.push(name.ok_or_else(|| slots.corrupt(unit, "a field's name is not in its place"))?);
    }
    Ok(())
}

fn read_head(slots: &Slots, secrets: &Secrets, unit: u64) -> Result<Option<Head>, VaultError> {
    let mut b = [0; HEAD];
    slots.read(unit, &mut b)?;
    Ok(Head::decode(secrets, unit, &b))
}

fn open(
    slots: &Slots,
    secrets: &Secrets,
    unit: u64,
    head: &Head,
    key: &[u8; 32],
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let mut bytes = Zeroizing::new(vec![0; head.sealed as usize]);
    slots.read(unit + HEAD_UNITS, &mut bytes)?;
    let len = bytes.len().saturating_sub(TAG);
    let (text, tag) = bytes.split_at_mut(len);
    if !secrets.unseal(key, &head.nonce, head.bound(unit), text, tag) {
        return Err(slots.corrupt(unit, "a text does not open under its key"));
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// Records of a batch, sealed and waiting for one append.
struct Writer<'a> {
    vault: &'a Vault,
    first: u64,
    bytes: Vec<u8>,
    /// New beginnings of chains, in order.
    chains: Vec<(u32, u32)>,
    nonces: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(vault: &'a Vault, first: u64, records: usize) -> Result<Self, VaultError> {
        let mut nonces = vec![0; records * NONCE];
        vault.entropy.fill(&mut nonces)?;
        Ok(Self { vault, first, bytes: Vec::new(), chains: Vec::new(), nonces })
    }
    /// Returns the unit of the record.
    fn push(
        &mut self,
        sub: u32,
        before: u32,
        field: u16,
        kind: Kind,
        text: &[u8],
        key: &Key32,
    ) -> Result<u32, VaultError> {
        let unit = self.first + (self.bytes.len() / UNIT) as u64;
        let full = || VaultError::Full { what: "bytes of texts", max: u64::from(NONE) * UNIT as u64 };
        let place = u32::try_from(unit).ok().filter(|&u| u < NONE).ok_or_else(full)?;
        let mut nonce = [0; NONCE];
        let rest = self.nonces.len().checked_sub(NONCE).ok_or_else(full)?;
        nonce.copy_from_slice(&self.nonces[rest..]);
        self.nonces.truncate(rest);
        let head = Head { sealed: (text.len() + TAG) as u32, sub, before, field, kind, nonce };
        self.bytes.extend_from_slice(&head.encode(&self.vault.secrets, unit));
        let at = self.bytes.len();
        self.bytes.extend_from_slice(text);
        let tag = self.vault.secrets.seal(key, &nonce, head.bound(unit), &mut self.bytes[at..]);
        self.bytes.extend_from_slice(&tag);
        self.bytes.resize(self.bytes.len().next_multiple_of(UNIT), 0);
        if sub != NONE {
            self.chains.push((sub, place));
        }
        Ok(place)
    }
}

/// Opens every text of a file once; `key` gives the key of a subscriber, `None` for an erased one.
pub(crate) fn verify(
    slots: &Slots,
    secrets: &Secrets,
    count: u64,
    mut key: impl FnMut(u32) -> Result<Option<Key32>, VaultError>,
) -> Result<(), VaultError> {
    let mut unit = 0;
    while unit < count {
        let head = read_head(slots, secrets, unit)?;
        let head = head.ok_or_else(|| slots.corrupt(unit, "the head of a text does not match its check"))?;
        let key = match head.sub {
            NONE => Some(secrets.tenant_key.clone()),
            sub => key(sub)?,
        };
        if let Some(key) = key
            && let Err(damage) = open(slots, secrets, unit, &head, &key)
            && !is_destroyed(slots, unit, &head)?
        {
            return Err(damage);
        }
        unit += head.units();
    }
    Ok(())
}

/// Whether the sealed bytes were overwritten.
fn is_destroyed(slots: &Slots, unit: u64, head: &Head) -> Result<bool, VaultError> {
    let mut bytes = vec![0; head.sealed as usize];
    slots.read(unit + HEAD_UNITS, &mut bytes)?;
    Ok(head.kind == Kind::RawRow && bytes.iter().all(|&b| b == 0))
}

impl Vault {
    /// Stores texts under their subscribers' keys; the last one of a field counts, an equal one is not written again.
    /// Durable before it returns, in steps of [`BATCH_ROWS`].
    pub fn put_secrets(&self, batch: &[SecretRow<'_>]) -> Result<(), VaultError> {
        for (row, s) in batch.iter().enumerate() {
            for (what, len, max) in [("text", s.text.len(), TEXT_MAX), ("field name", s.field.len(), FIELD_NAME_MAX)] {
                if len > max {
                    return Err(VaultError::TooLong { row, what, len, max });
                }
            }
        }
        for chunk in batch.chunks(BATCH_ROWS) {
            self.put_chunk(chunk)?;
        }
        Ok(())
    }

    fn put_chunk(&self, chunk: &[SecretRow<'_>]) -> Result<(), VaultError> {
        let mut store = self.main();
        let mut fields = self.memory().fields.clone();
        let known_fields = fields.len();
        let mut writer = Writer::new(self, store.count(TEXTS), chunk.len() * 2)?;
        let mut keys = KeyRing::new(self);
        let mut begun = kairos_model::hash::FixedMap::<u32, u32>::default();
        for s in chunk {
            let sub = s.subscriber.0;
            let chain = {
                let memory = self.memory();
                Self::known(&memory, s.subscriber)?;
                memory.texts_of[sub as usize]
            };
            let key = keys.get(sub)?;
            let field = match fields.iter().position(|f| f == s.field) {
                Some(field) => field as u16,
                None if fields.len() == FIELDS_MAX => {
                    return Err(VaultError::Full { what: "fields", max: FIELDS_MAX as u64 });
                }
                None => {
                    let field = fields.len() as u16;
                    let name = s.field.as_bytes();
                    writer.push(NONE, NONE, field, Kind::FieldName, name, &self.secrets.tenant_key)?;
                    fields.push(s.field.to_owned());
                    field
                }
            };
            let before = match begun.get(&sub) {
                // what this chunk says of the subscriber is not on disk yet: written again, the last one counts
                Some(&unit) => unit,
                None => match self.find_text(chain, field, &key)? {
                    Some(text) if *text == s.text.as_bytes() => continue,
                    _ => chain,
                },
            };
            let unit = writer.push(sub, before, field, Kind::Text, s.text.as_bytes(), &key)?;
            begun.insert(sub, unit);
        }
        store.append(TEXTS, &writer.bytes)?;
        store.commit()?;
        let mut memory = self.memory_mut();
        memory.link_texts(&writer.chains, store.count(TEXTS));
        if fields.len() > known_fields {
            memory.fields = fields;
        }
        Ok(())
    }

    /// The last text of a field in a chain.
    fn find_text(&self, mut unit: u32, field: u16, key: &[u8; 32]) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let slots = self.slots(TEXTS);
        while unit != NONE {
            let head = self.chained(unit)?;
            if head.kind == Kind::Text && head.field == field {
                return open(slots, &self.secrets, unit.into(), &head, key).map(Some);
            }
            unit = head.before;
        }
        Ok(None)
    }
    fn chained(&self, unit: u32) -> Result<Head, VaultError> {
        let slots = self.slots(TEXTS);
        let head = read_head(slots, &self.secrets, unit.into())?;
        // a chain goes back only, so it ends
        let good = head.filter(|h| h.before == NONE || h.before < unit);
        good.ok_or_else(|| slots.corrupt(unit.into(), "a chain of texts is broken"))
    }

    /// The text of a field; `None`: never stored, no such subscriber, or erased.
    pub fn secret(&self, subscriber: SubscriberId, field: &str) -> Result<Option<String>, VaultError> {
        let (chain, field) = {
            let memory = self.memory();
            let field = memory.fields.iter().position(|f| f == field);
            match (memory.texts_of.get(subscriber.0 as usize), field) {
                (Some(&chain), Some(field)) => (chain, field as u16),
                _ => return Ok(None),
            }
        };
        let Some(key) = self.subscriber_key(subscriber.0)? else { return Ok(None) };
        self.find_text(chain, field, &key)?.map(|text| self.utf8(chain, &text)).transpose()
    }

    /// All texts of a subscriber, by the names of their fields.
    pub fn secrets(&self, subscriber: SubscriberId) -> Result<Vec<(String, String)>, VaultError> {
        let (mut unit, fields) = {
            let memory = self.memory();
            let Some(&chain) = memory.texts_of.get(subscriber.0 as usize) else { return Ok(Vec::new()) };
            (chain, memory.fields.clone())
        };
        let Some(key) = self.subscriber_key(subscriber.0)? else { return Ok(Vec::new()) };
        let mut found = std::collections::BTreeMap::new();
        while unit != NONE {
            let head = self.chained(unit)?;
            if head.kind == Kind::Text && !found.contains_key(&head.field) {
                let text = open(self.slots(TEXTS), &self.secrets, unit.into(), &head, &key)?;
                found.insert(head.field, self.utf8(unit, &text)?);
            }
            unit = head.before;
        }
        let name = |field: u16| fields.get(usize::from(field)).cloned().unwrap_or_else(|| format!("field {field}"));
        Ok(found.into_iter().map(|(field, text)| (name(field), text)).collect())
    }
    fn utf8(&self, unit: u32, text: &[u8]) -> Result<String, VaultError> {
        String::from_utf8(text.to_vec())
            .map_err(|_| self.slots(TEXTS).corrupt(unit.into(), "a text is not UTF-8, though its key opened it"))
    }

    /// Stores raw rows; durable before it returns, in steps of [`BATCH_ROWS`].
    pub fn put_raw_rows(&self, batch: &[RawRow<'_>]) -> Result<Vec<RawRowId>, VaultError> {
        if let Some(row) = batch.iter().position(|r| r.bytes.len() > RAW_ROW_MAX) {
            let len = batch[row].bytes.len();
            return Err(VaultError::TooLong { row, what: "a raw row", len, max: RAW_ROW_MAX });
        }
        let mut ids = Vec::with_capacity(batch.len());
        for chunk in batch.chunks(BATCH_ROWS) {
            let mut store = self.main();
            let mut writer = Writer::new(self, store.count(TEXTS), chunk.len())?;
            let mut keys = KeyRing::new(self);
            let mut begun = kairos_model::hash::FixedMap::<u32, u32>::default();
            for r in chunk {
                let unit = match r.subscriber {
                    None => writer.push(NONE, NONE, 0, Kind::RawRow, r.bytes, &self.secrets.tenant_key)?,
                    Some(subscriber) => {
                        let chain = {
                            let memory = self.memory();
                            Self::known(&memory, subscriber)?;
                            memory.texts_of[subscriber.0 as usize]
                        };
                        let before = begun.get(&subscriber.0).copied().unwrap_or(chain);
                        let key = keys.get(subscriber.0)?;
                        let unit = writer.push(subscriber.0, before, 0, Kind::RawRow, r.bytes, &key)?;
                        begun.insert(subscriber.0, unit);
                        unit
                    }
                };
                ids.push(RawRowId(unit));
            }
            store.append(TEXTS, &writer.bytes)?;
            store.commit()?;
            self.memory_mut().link_texts(&writer.chains, store.count(TEXTS));
        }
        Ok(ids)
    }

    /// A raw row; `None` where it was destroyed or its subscriber erased.
    pub fn raw_row(&self, id: RawRowId) -> Result<Option<Vec<u8>>, VaultError> {
        let Some(head) = self.raw_head(id)? else { return Err(VaultError::NoRow(id)) };
        let key = match head.sub {
            NONE => self.secrets.tenant_key.clone(),
            sub => match self.subscriber_key(sub)? {
                Some(key) => key,
                None => return Ok(None),
            },
        };
        let slots = self.slots(TEXTS);
        match open(slots, &self.secrets, id.0.into(), &head, &key) {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(_) if is_destroyed(slots, id.0.into(), &head)? => Ok(None),
            Err(damage) => Err(damage),
        }
    }
    fn raw_head(&self, id: RawRowId) -> Result<Option<Head>, VaultError> {
        let count = self.memory().text_units;
        if u64::from(id.0) + HEAD_UNITS > count {
            return Ok(None);
        }
        let head = read_head(self.slots(TEXTS), &self.secrets, id.0.into())?;
        Ok(head.filter(|h| h.kind == Kind::RawRow))
    }

    /// Where the sealed bytes of a raw row lie: unit and length.
    pub(crate) fn raw_row_place(&self, id: RawRowId) -> Result<(u64, usize), VaultError> {
        let head = self.raw_head(id)?.ok_or(VaultError::NoRow(id))?;
        Ok((u64::from(id.0) + HEAD_UNITS, head.sealed as usize))
    }
}
