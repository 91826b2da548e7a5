//! Erasure: what is destroyed is overwritten in place, after the intent to do so is durable.

use crate::{
    assign::{Draft, publish},
    error::VaultError,
    keys::KEY_SLOT,
    memory::{Fact, NOBODY, NONE},
    slots::{
        ASSIGNED, ASSIGNED_SLOT, DESTROYED, DESTROYED_SLOT, FOREIGN, FOREIGN_SLOT, KEYS, SOURCE_SLOT, SOURCES, Slot,
        TEXTS,
    },
    store::Store,
    table::{Tag, tag_of},
    texts::RawRowId,
    vault::Vault,
};
use kairos_model::{SubscriberId, hash::FixedSet};

/// What an erasure destroyed beside the subscriber's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedData {
    /// Slots of assignments, superseded ones too.
    pub assignments: u32,
    /// Foreign numbers that were the subscriber's at another time.
    pub foreign: u32,
}

/// A place to be overwritten: file, slot, bytes.
type Place = (usize, u64, usize);

impl Vault {
    /// Destroys the subscriber's key, source key and assignments, and with the key all texts and raw rows. Afterwards the
    /// master key yields none of them. Suppression of the numbers stays; their former holders do not get them back.
    ///
    /// Done before it returns; a crash in between is made good at the next open. Erasing again does nothing.
    pub fn erase(&self, subscriber: SubscriberId) -> Result<ErasedData, VaultError> {
        let mut store = self.main();
        let facts: Vec<(u32, Fact)> = {
            let memory = self.memory();
            match Self::known(&memory, subscriber) {
                Err(VaultError::Erased { .. }) => return Ok(ErasedData::default()),
                known => known?,
            }
            memory.facts_of(subscriber.0).map(|(i, f)| (i, *f)).collect()
        };
        let mut places = vec![(KEYS, subscriber.0.into(), KEY_SLOT), (SOURCES, subscriber.0.into(), SOURCE_SLOT)];
        places.extend(facts.iter().map(|&(i, _)| (ASSIGNED, i.into(), ASSIGNED_SLOT)));
        let hashes = self.hashes_of(&facts)?;
        let foreign = self.foreign_of(&hashes);
        places.extend(foreign.iter().map(|&(_, id)| (FOREIGN, id.into(), FOREIGN_SLOT)));
        let (gaps, loose) = self.gaps(subscriber.0, &facts, &hashes);
        places.extend(loose.iter().map(|&(_, i)| (ASSIGNED, i.into(), ASSIGNED_SLOT)));
        let mut source = [0; SOURCE_SLOT];
        self.slots(SOURCES).read(subscriber.0.into(), &mut source)?;

        // the intent and the gaps are durable before anything is gone
        self.write_facts(&mut store, &gaps)?;
        note(&mut store, &places)?;
        store.commit()?;
        {
            let mut memory = self.memory_mut();
            publish(&mut memory, &gaps);
            memory.erased.insert(subscriber.0);
            memory.sources.remove(&tag_of(&source));
            for ((i, fact), hash) in facts.iter().zip(&hashes) {
                if !fact.is_dead() {
                    memory.unlink(&tag_of(hash), *i);
                }
            }
            loose.iter().for_each(|(tag, i)| memory.unlink(tag, *i));
            memory.facts_of[subscriber.0 as usize] = NONE;
            memory.texts_of[subscriber.0 as usize] = NONE;
            foreign.iter().for_each(|(tag, _)| memory.foreign.remove(tag));
        }
        for (file, slot, len) in places {
            store.destroy(file, slot, len)?;
        }
        Ok(ErasedData { assignments: facts.len() as u32, foreign: foreign.len() as u32 })
    }

    /// Destroys raw rows that are no longer needed: a row of nobody may hold anybody's number.
    pub fn destroy_raw_rows(&self, ids: &[RawRowId]) -> Result<(), VaultError> {
        let mut places = Vec::with_capacity(ids.len());
        for &id in ids {
            let (unit, len) = self.raw_row_place(id)?;
            places.push((TEXTS, unit, len));
        }
        let mut store = self.main();
        note(&mut store, &places)?;
        store.commit()?;
        places.into_iter().try_for_each(|(file, slot, len)| store.destroy(file, slot, len))
    }

    /// The keyed hashes of the numbers of facts, from their slots.
    fn hashes_of(&self, facts: &[(u32, Fact)]) -> Result<Vec<[u8; 16]>, VaultError> {
        let mut hashes = Vec::with_capacity(facts.len());
        for &(i, _) in facts {
            let mut hash = [0; 16];
            self.slots(ASSIGNED).read(i.into(), &mut hash)?;
            hashes.push(hash);
        }
        Ok(hashes)
    }

    /// The numbers of these hashes that are stored as foreign ones, each once.
    fn foreign_of(&self, hashes: &[[u8; 16]]) -> Vec<(Tag, u32)> {
        let memory = self.memory();
        let distinct: FixedSet<Tag> = hashes.iter().map(|h| tag_of(h)).collect();
        distinct.into_iter().filter_map(|tag| memory.foreign.get(&tag).map(|id| (tag, id))).collect()
    }

    /// What keeps the other holders of a number from getting it back: where one is left, each assignment of the erased
    /// subscriber becomes a gap, held by nobody. Where none is left the number is nobody's concern any more, and the gaps
    /// of earlier erasures go too (second part: number and slot).
    fn gaps(&self, sub: u32, facts: &[(u32, Fact)], hashes: &[[u8; 16]]) -> (Vec<Draft>, Vec<(Tag, u32)>) {
        let memory = self.memory();
        let (mut gaps, mut loose) = (Vec::new(), FixedSet::default());
        for ((_, fact), hash) in facts.iter().zip(hashes).filter(|((_, f), _)| !f.is_dead()) {
            let tag = tag_of(hash);
            if memory.chain(&tag).all(|(_, f)| f.sub() == sub || f.sub() == NOBODY) {
                loose.extend(memory.chain(&tag).filter(|(_, f)| f.sub() == NOBODY).map(|(i, _)| (tag, i)));
            } else if memory.until(fact) > fact.from {
                gaps.push(Draft { hash: *hash, sub: NOBODY, number: None, from: fact.from, to: i64::MAX });
            }
        }
        (gaps, loose.into_iter().collect())
    }
}

fn note(store: &mut Store, places: &[Place]) -> Result<(), VaultError> {
    let mut bytes = Vec::with_capacity(places.len() * DESTROYED_SLOT);
    let first = store.count(DESTROYED);
    for (i, &(file, slot, len)) in places.iter().enumerate() {
        let entry = Slot::<DESTROYED_SLOT>::new()
            .put(0, &(file as u32).to_le_bytes())
            .put(4, &(len as u32).to_le_bytes())
            .put(8, &slot.to_le_bytes());
        bytes.extend_from_slice(&entry.sealed(|body| store.check(DESTROYED, first + i as u64, body)));
    }
    store.append(DESTROYED, &bytes)
}
