//! Opening everything once, to know that it can be opened.

use crate::{
    assign::KeyRing,
    error::VaultError,
    memory::NOBODY,
    slots::{ASSIGNED, FOREIGN, SOURCES, SUPPRESSION, TEXTS, u32_at},
    store::check,
    texts,
    vault::Vault,
};
use kairos_model::ForeignId;

impl Vault {
    /// Reads every slot again, checks it and opens what is sealed in it. Writers wait meanwhile.
    pub fn verify(&self) -> Result<(), VaultError> {
        let store = self.main();
        let (erased, subscribers) = {
            let memory = self.memory();
            (memory.erased.clone(), memory.subscribers())
        };
        let mut keys = KeyRing::new(self);
        for sub in (0..subscribers).filter(|sub| !erased.contains(sub)) {
            keys.get(sub)?;
        }
        for file in [SOURCES, FOREIGN, ASSIGNED] {
            let slots = self.slots(file);
            slots.each(store.count(file), |i, b| {
                if b.iter().all(|&b| b == 0) {
                    // open refused zeros that no erasure wrote
                    return Ok(());
                }
                if store.check(file, i, &b[..b.len() - 8]) != b[b.len() - 8..] {
                    return Err(slots.corrupt(i, "the check of a slot does not match"));
                }
                let number = match file {
                    ASSIGNED if u32_at(b, 16) == NOBODY => return Ok(()),
                    FOREIGN => self.foreign_number(ForeignId(i as u32))?,
                    ASSIGNED => Some(self.open_number(u32_at(b, 16), i as u32, &*keys.get(u32_at(b, 16))?)?),
                    _ => return Ok(()),
                };
                match number {
                    Some(n) if self.secrets.number_hash(n.reveal()) == b[..16] => Ok(()),
                    _ => Err(slots.corrupt(i, "a number does not match its hash")),
                }
            })?;
        }
        texts::verify(self.slots(TEXTS), &self.secrets, store.count(TEXTS), |sub| match erased.contains(&sub) {
            true => Ok(None),
            false => keys.get(sub).map(Some),
        })?;
        drop(store);
        let store = self.suppression_store();
        let slots = store.slots(0);
        slots.each(store.count(0), |i, b| {
            match check(&self.secrets.check, SUPPRESSION[0].kind, i, &b[..32]) == b[32..] {
                true => Ok(()),
                false => Err(slots.corrupt(i, "the check of a slot does not match")),
            }
        })
    }
}
