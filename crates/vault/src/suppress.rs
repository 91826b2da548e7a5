//! Suppression: numbers that nobody contacts, whoever holds them.

use crate::{
    error::VaultError,
    memory::{Suppressed, SuppressionCause},
    slots::{SUPPRESSED_SLOT, Slot},
    table::tag_of,
    vault::{BATCH_ROWS, Vault},
};
use kairos_model::{Msisdn, SubscriberId, Timestamp, hash::FixedSet};

/// A number to be suppressed, since when and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuppressRow {
    pub number: Msisdn,
    pub at: Timestamp,
    pub cause: SuppressionCause,
}

impl Vault {
    /// Suppresses the numbers: durable and seen by every look-up before it returns, in steps of [`BATCH_ROWS`]. A number
    /// that is suppressed keeps its date and cause. Returns how many were not suppressed before.
    pub fn suppress(&self, batch: &[SuppressRow]) -> Result<u64, VaultError> {
        let mut new = 0;
        for chunk in batch.chunks(BATCH_ROWS) {
            let rows = chunk.iter().map(|r| (r.number, Some(Suppressed { at: r.at, cause: r.cause }), r.at));
            new += self.write_suppression(rows)?;
        }
        Ok(new)
    }

    /// Lifts the suppression of a number, durably. `false` where there was none.
    pub fn unsuppress(&self, number: Msisdn, at: Timestamp) -> Result<bool, VaultError> {
        Ok(self.write_suppression([(number, None, at)].into_iter())? > 0)
    }

    fn write_suppression(
        &self,
        rows: impl Iterator<Item = (Msisdn, Option<Suppressed>, Timestamp)>,
    ) -> Result<u64, VaultError> {
        let mut store = self.suppression_store();
        let first = store.count(0);
        let mut bytes = Vec::new();
        let mut changes = Vec::new();
        let mut said = FixedSet::default();
        {
            let memory = self.memory();
            for (number, suppressed, at) in rows {
                let hash = self.secrets.number_hash(number.reveal());
                let tag = tag_of(&hash);
                if memory.suppression(&tag).is_some() == suppressed.is_some() || !said.insert(tag) {
                    continue;
                }
                let slot = Slot::<SUPPRESSED_SLOT>::new()
                    .put(0, &hash)
                    .put(16, &at.0.to_le_bytes())
                    .put(24, &[suppressed.map_or(0, |s| s.cause.code())]);
                let index = first + changes.len() as u64;
                bytes.extend_from_slice(&slot.sealed(|body| store.check(0, index, body)));
                changes.push((tag, suppressed));
            }
        }
        if changes.is_empty() {
            return Ok(0);
        }
        store.append(0, &bytes)?;
        store.commit()?;
        let mut memory = self.memory_mut();
        for &(tag, suppressed) in &changes {
            memory.suppress(tag, suppressed);
        }
        Ok(changes.len() as u64)
    }

    pub fn is_suppressed(&self, number: Msisdn) -> bool {
        self.suppression(number).is_some()
    }
    pub fn suppression(&self, number: Msisdn) -> Option<Suppressed> {
        self.view().suppression(number)
    }
    /// Whether the number that the subscriber has at a time is suppressed; `false` also where there is none.
    pub fn is_suppressed_sub(&self, subscriber: SubscriberId, at: Timestamp) -> bool {
        self.memory().current(subscriber.0, at).is_some_and(|(_, f)| f.is_suppressed())
    }
}
