//! Giving ordinals: to source keys, and to foreign numbers.

use crate::{
    error::VaultError,
    keys::{Bound, KEY_SLOT, NONCE, OWN},
    memory::{Memory, NOBODY, NONE},
    slots::{FOREIGN, FOREIGN_SLOT, KEYS, SOURCE_SLOT, SOURCES, Slot},
    table::{Tag, tag_of},
    vault::{BATCH_ROWS, Vault},
};
use kairos_model::{Dialled, ForeignId, Msisdn, Party, PartyId, SubscriberId, Timestamp, hash::FixedMap};
use zeroize::Zeroizing;

/// Bytes of a source key; operators' customer numbers are far shorter.
const SOURCE_KEY_MAX: usize = 256;
/// Foreign numbers that a [`PartyId`] can name.
const FOREIGN_MAX: u32 = 1 << 30;

impl Vault {
    /// The ordinals of these source keys; new keys get the next ones in the order of their first appearance. Durable
    /// before it returns, in steps of [`BATCH_ROWS`]; the same call again gives the same ordinals.
    pub fn ensure_subscribers(&self, source_keys: &[&str]) -> Result<Vec<SubscriberId>, VaultError> {
        let bad = |k: &&str| k.is_empty() || k.len() > SOURCE_KEY_MAX;
        if let Some(row) = source_keys.iter().position(bad) {
            return Err(VaultError::SourceKey { row, len: source_keys[row].len(), max: SOURCE_KEY_MAX });
        }
        let mut ordinals = Vec::with_capacity(source_keys.len());
        for chunk in source_keys.chunks(BATCH_ROWS) {
            let known = self.ordinals(chunk);
            match known.iter().copied().collect::<Option<Vec<_>>>() {
                Some(all) => ordinals.extend(all),
                None => ordinals.extend(self.enrol(chunk, known)?),
            }
        }
        Ok(ordinals)
    }

    fn enrol(&self, keys: &[&str], known: Vec<Option<SubscriberId>>) -> Result<Vec<SubscriberId>, VaultError> {
        let mut store = self.main();
        let first = self.memory().subscribers();
        let mut fresh: Vec<[u8; 16]> = Vec::new();
        let mut given: FixedMap<Tag, u32> = FixedMap::default();
        let mut ordinals = Vec::with_capacity(keys.len());
        {
            let memory = self.memory();
            for (key, known) in keys.iter().zip(known) {
                let ordinal = known.unwrap_or_else(|| {
                    let hash = self.secrets.source_hash(key);
                    let tag = tag_of(&hash);
                    // another import may have come first
                    let found = memory.sources.get(&tag).or_else(|| given.get(&tag).copied());
                    SubscriberId(found.unwrap_or_else(|| {
                        let next = first + fresh.len() as u32;
                        given.insert(tag, next);
                        fresh.push(hash);
                        next
                    }))
                });
                ordinals.push(ordinal);
            }
        }
        if u64::from(first) + fresh.len() as u64 > NOBODY.into() {
            return Err(VaultError::Full { what: "subscribers", max: NOBODY.into() });
        }
        let mut random = Zeroizing::new(vec![0; fresh.len() * OWN]);
        self.entropy.fill(&mut random)?;
        let mut key_slots = Zeroizing::new(Vec::with_capacity(fresh.len() * KEY_SLOT));
        let mut source_slots = Vec::with_capacity(fresh.len() * SOURCE_SLOT);
        for (i, (hash, own)) in fresh.iter().zip(random.chunks_exact(OWN)).enumerate() {
            let ordinal = u64::from(first) + i as u64;
            let key = Slot::<KEY_SLOT>::new().put(0, own);
            key_slots.extend_from_slice(&key.sealed(|body| store.check(KEYS, ordinal, body)));
            let source = Slot::<SOURCE_SLOT>::new().put(0, hash);
            source_slots.extend_from_slice(&source.sealed(|body| store.check(SOURCES, ordinal, body)));
        }
        store.append(KEYS, &key_slots)?;
        store.append(SOURCES, &source_slots)?;
        store.commit()?;
        let mut memory = self.memory_mut();
        for (i, hash) in fresh.iter().enumerate() {
            memory.sources.insert(tag_of(hash), first + i as u32);
            memory.facts_of.push(NONE);
            memory.texts_of.push(NONE);
        }
        Ok(ordinals)
    }

    /// The parties behind what was dialled, each at its time; a number never seen becomes a foreign party. Durable
    /// before it returns, in steps of [`BATCH_ROWS`].
    pub fn ensure_parties(&self, batch: &[(Dialled, Timestamp)]) -> Result<Vec<PartyId>, VaultError> {
        let mut parties = Vec::with_capacity(batch.len());
        for chunk in batch.chunks(BATCH_ROWS) {
            let mut known = self.parties(chunk);
            if known.iter().any(Option::is_none) {
                self.add_foreign(chunk, &mut known)?;
            }
            parties.extend(known.into_iter().map(|p| p.unwrap_or(PartyId::NONE)));
        }
        Ok(parties)
    }

    /// Fills the gaps of `known`.
    fn add_foreign(&self, batch: &[(Dialled, Timestamp)], known: &mut [Option<PartyId>]) -> Result<(), VaultError> {
        let mut store = self.main();
        let mut fresh: Vec<(Msisdn, [u8; 16])> = Vec::new();
        let first = self.memory().foreign_count;
        {
            let view = self.view();
            let mut given: FixedMap<Tag, u32> = FixedMap::default();
            for (&(dialled, at), party) in batch.iter().zip(known.iter_mut()).filter(|(_, p)| p.is_none()) {
                let Dialled::Number(number) = dialled else { continue };
                *party = view.party(dialled, at).or_else(|| {
                    let hash = self.secrets.number_hash(number.reveal());
                    let id = *given.entry(tag_of(&hash)).or_insert_with(|| {
                        fresh.push((number, hash));
                        first + fresh.len() as u32 - 1
                    });
                    (id < FOREIGN_MAX).then(|| Party::Foreign(ForeignId(id)).into())
                });
            }
        }
        if u64::from(first) + fresh.len() as u64 > FOREIGN_MAX.into() {
            return Err(VaultError::Full { what: "foreign numbers", max: FOREIGN_MAX.into() });
        }
        let mut nonces = vec![0; fresh.len() * NONCE];
        self.entropy.fill(&mut nonces)?;
        let mut slots = Vec::with_capacity(fresh.len() * FOREIGN_SLOT);
        for (i, (number, hash)) in fresh.iter().enumerate() {
            let id = first + i as u32;
            let mut nonce = [0; NONCE];
            nonce.copy_from_slice(&nonces[i * NONCE..][..NONCE]);
            let mut digits = number.reveal().to_le_bytes();
            let tag = self.secrets.seal(&self.secrets.tenant_key, &nonce, Bound::Foreign { id }, &mut digits);
            let slot = Slot::<FOREIGN_SLOT>::new().put(0, hash).put(16, &nonce).put(28, &digits).put(36, &tag);
            slots.extend_from_slice(&slot.sealed(|body| store.check(FOREIGN, id.into(), body)));
        }
        store.append(FOREIGN, &slots)?;
        store.commit()?;
        publish_foreign(&mut self.memory_mut(), first, &fresh);
        Ok(())
    }
}

fn publish_foreign(memory: &mut Memory, first: u32, fresh: &[(Msisdn, [u8; 16])]) {
    for (i, (_, hash)) in fresh.iter().enumerate() {
        memory.foreign.insert(tag_of(hash), first + i as u32);
    }
    memory.foreign_count = first + fresh.len() as u32;
}
