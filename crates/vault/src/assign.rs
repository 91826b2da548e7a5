//! Dated assignments of numbers to subscribers.

use crate::{
    error::VaultError,
    keys::{Bound, KEY_SLOT, Key32, NONCE},
    memory::Memory,
    slots::{ASSIGNED, ASSIGNED_SLOT, KEYS, Slot},
    store::Store,
    table::{Tag, tag_of},
    vault::{BATCH_ROWS, DAMAGED_KEY, Vault},
};
use kairos_model::{Msisdn, SubscriberId, Timestamp, hash::FixedMap};

/// Assignments of one number: more come only from a wrong column, and each look-up walks them.
const HOLDERS_MAX: usize = 1_000;
/// Key slots that are read at once: one page.
const KEYS_A_READ: u64 = 64;

/// `subscriber` holds `number` from `from` until before `to`; [`Timestamp::MAX`] = no end known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub subscriber: SubscriberId,
    pub number: Msisdn,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssignCounts {
    pub new: u64,
    /// Already known, or within what is known.
    pub same: u64,
    /// Another end of a known assignment.
    pub changed: u64,
}

/// A fact to be written.
pub(crate) struct Draft {
    pub hash: [u8; 16],
    pub sub: u32,
    /// `None` for a gap, which needs none.
    pub number: Option<Msisdn>,
    pub from: i64,
    pub to: i64,
}

/// Subscribers' keys in bulk: neighbours come with one read.
pub(crate) struct KeyRing<'a> {
    vault: &'a Vault,
    first: u64,
    page: Vec<u8>,
    count: u64,
}

impl<'a> KeyRing<'a> {
    pub fn new(vault: &'a Vault) -> Self {
        let count = vault.memory().subscribers().into();
        Self { vault, first: 0, page: Vec::new(), count }
    }
    /// The key of a subscriber that exists and is not erased.
    pub fn get(&mut self, sub: u32) -> Result<Key32, VaultError> {
        let slots = self.vault.slots(KEYS);
        let held = (self.page.len() / KEY_SLOT) as u64;
        let index = u64::from(sub);
        if index < self.first || index >= self.first + held {
            self.first = index - index % KEYS_A_READ;
            let len = KEYS_A_READ.min(self.count.saturating_sub(self.first)) as usize * KEY_SLOT;
            self.page.resize(len, 0);
            slots.read(self.first, &mut self.page)?;
        }
        let at = (index - self.first) as usize * KEY_SLOT;
        let key = self.page.get(at..at + KEY_SLOT).and_then(|slot| self.vault.key_in(sub, slot));
        key.ok_or_else(|| slots.corrupt(index, DAMAGED_KEY))
    }
}

impl Vault {
    /// Records who holds which number when. A later `from` ends the former assignment of that number; a row with a
    /// known number, subscriber and `from` replaces its `to`. Durable before it returns, in steps of [`BATCH_ROWS`]; the
    /// same batch again changes nothing.
    pub fn assign(&self, batch: &[Assignment]) -> Result<AssignCounts, VaultError> {
        if let Some(row) = batch.iter().position(|a| a.from >= a.to) {
            return Err(VaultError::Period { row });
        }
        {
            let memory = self.memory();
            batch.iter().try_for_each(|a| Self::known(&memory, a.subscriber))?;
        }
        let mut counts = AssignCounts::default();
        for (i, chunk) in batch.chunks(BATCH_ROWS).enumerate() {
            let mut store = self.main();
            let drafts = self.draft(chunk, i * BATCH_ROWS, &mut counts)?;
            self.write_facts(&mut store, &drafts)?;
            store.commit()?;
            publish(&mut self.memory_mut(), &drafts);
        }
        Ok(counts)
    }

    fn draft(
        &self,
        chunk: &[Assignment],
        first_row: usize,
        counts: &mut AssignCounts,
    ) -> Result<Vec<Draft>, VaultError> {
        let memory = self.memory();
        let mut drafts: Vec<Draft> = Vec::with_capacity(chunk.len());
        // what this chunk says already, which is not in memory yet
        let mut said: FixedMap<(Tag, u32, i64), i64> = FixedMap::default();
        let mut holders: FixedMap<Tag, usize> = FixedMap::default();
        for (row, a) in chunk.iter().enumerate() {
            Self::known(&memory, a.subscriber)?;
            let hash = self.secrets.number_hash(a.number.reveal());
            let tag = tag_of(&hash);
            let (sub, from, to) = (a.subscriber.0, a.from.0, a.to.0);
            let before = match said.get(&(tag, sub, from)) {
                Some(&said) => Before::Until(said),
                None if holders.contains_key(&tag) => Before::of(&memory, &tag, sub, from, to, false),
                None => Before::of(&memory, &tag, sub, from, to, true),
            };
            match before {
                Before::Covered => counts.same += 1,
                Before::Until(until) if until == to => counts.same += 1,
                found => {
                    let held = holders.entry(tag).or_insert_with(|| memory.chain(&tag).count());
                    *held += 1;
                    if *held > HOLDERS_MAX {
                        let row = first_row + row;
                        return Err(VaultError::TooManyHolders { row, number: a.number, max: HOLDERS_MAX });
                    }
                    match found {
                        Before::Until(_) => counts.changed += 1,
                        _ => counts.new += 1,
                    }
                    said.insert((tag, sub, from), to);
                    drafts.push(Draft { hash, sub, number: Some(a.number), from, to });
                }
            }
        }
        Ok(drafts)
    }

    /// Seals and appends; the caller commits and publishes.
    pub(crate) fn write_facts(&self, store: &mut Store, drafts: &[Draft]) -> Result<(), VaultError> {
        let mut nonces = vec![0; drafts.len() * NONCE];
        self.entropy.fill(&mut nonces)?;
        let first = store.count(ASSIGNED);
        if first + drafts.len() as u64 > u32::MAX.into() {
            return Err(VaultError::Full { what: "assignments", max: u32::MAX.into() });
        }
        let mut keys = KeyRing::new(self);
        let mut slots = Vec::with_capacity(drafts.len() * ASSIGNED_SLOT);
        for (i, d) in drafts.iter().enumerate() {
            let index = first + i as u64;
            let mut slot = Slot::<ASSIGNED_SLOT>::new()
                .put(0, &d.hash)
                .put(16, &d.sub.to_le_bytes())
                .put(24, &d.from.to_le_bytes())
                .put(32, &d.to.to_le_bytes());
            if let Some(number) = d.number {
                let mut nonce = [0; NONCE];
                nonce.copy_from_slice(&nonces[i * NONCE..][..NONCE]);
                let mut digits = number.reveal().to_le_bytes();
                let key = keys.get(d.sub)?;
                let tag = self.secrets.seal(&key, &nonce, Bound::Number { sub: d.sub, slot: index }, &mut digits);
                slot = slot.put(40, &nonce).put(52, &digits).put(60, &tag);
            }
            slots.extend_from_slice(&slot.sealed(|body| store.check(ASSIGNED, index, body)));
        }
        store.append(ASSIGNED, &slots)
    }
}

/// What is known of an assignment before a row.
enum Before {
    Nothing,
    /// The same number, subscriber and `from`, with this end.
    Until(i64),
    /// The subscriber already holds the number through all of the row's time.
    Covered,
}

impl Before {
    fn of(memory: &Memory, tag: &Tag, sub: u32, from: i64, to: i64, whole: bool) -> Self {
        if let Some((_, fact)) = memory.chain(tag).find(|(_, f)| f.from == from && f.sub() == sub) {
            return Self::Until(fact.to);
        }
        // `whole`: the chain in memory is all that is known of the number
        match memory.chain(tag).find(|(_, f)| f.from <= from) {
            Some((_, f)) if whole && f.sub() == sub && to <= memory.until(f) => Self::Covered,
            _ => Self::Nothing,
        }
    }
}

pub(crate) fn publish(memory: &mut Memory, drafts: &[Draft]) {
    for d in drafts {
        memory.link(tag_of(&d.hash), d.sub, d.from, d.to);
    }
}
