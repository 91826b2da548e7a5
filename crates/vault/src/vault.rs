//! The vault: opening it, and what is asked of it.

use crate::{
    error::VaultError,
    keys::{Bound, Entropy, KEY_SLOT, Key32, MasterKey, OWN, ROOT_NAME, Root, Secrets},
    memory::{Memory, NOBODY, NONE, Suppressed, SuppressionCause},
    slots::{
        ASSIGNED, ASSIGNED_SLOT, DESTROYED, FOREIGN, FOREIGN_SLOT, KEYS, MAIN, MAIN_COMMITS, SOURCES, SUPPRESSION,
        SUPPRESSION_COMMITS, TEXTS, i64_at, u32_at, u64_at,
    },
    store::{Place, Slots, Store, check, empty_len},
    table::{Tag, tag_of},
    texts,
};
use kairos_model::{
    Dialled, ForeignId, Msisdn, Party, PartyId, SubscriberId, TenantId, Timestamp,
    disk::{Disk, TEMPORARY_SUFFIX},
    hash::FixedSet,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Rows of a batch that are made durable as one: it bounds the memory of a batch and the wait of others for the lock.
pub const BATCH_ROWS: usize = 65_536;
pub(crate) const DAMAGED_KEY: &str = "the check of a subscriber's key does not match";
/// Look-ups whose cache misses overlap.
const LANES: usize = 32;

/// Numbers, names and texts of one tenant. Methods take `&self`; look-ups run while an import writes.
pub struct Vault {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) secrets: Secrets,
    root: Mutex<Root>,
    memory: RwLock<Memory>,
    /// Taken before `memory`, never after.
    main: Mutex<Store>,
    /// Apart from `main`: an opt-out never waits for an import.
    suppression: Mutex<Store>,
    slots: Vec<Slots>,
}

/// What a vault holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Ordinals given so far, erased ones too.
    pub subscribers: u32,
    pub erased: u32,
    pub foreign: u32,
    /// Distinct numbers that are or were assigned.
    pub numbers: u64,
    pub suppressed: u64,
    pub memory_bytes: u64,
}

impl Vault {
    /// Opens the vault in `dir`, or makes it where the directory is empty or absent.
    ///
    /// Finishes erasures that a crash interrupted, and checks every slot that it loads.
    pub fn open(
        disk: Arc<dyn Disk>,
        entropy: Arc<dyn Entropy>,
        dir: &Path,
        master: &MasterKey,
        tenant: TenantId,
    ) -> Result<Self, VaultError> {
        disk.create_dir_all(dir).map_err(VaultError::io("make directory", dir))?;
        let names = disk.list(dir).map_err(VaultError::io("list", dir))?;
        let known = [&MAIN[..], &SUPPRESSION, &[MAIN_COMMITS, SUPPRESSION_COMMITS]].concat();
        for name in names.iter().filter(|n| n.ends_with(TEMPORARY_SUFFIX)) {
            let path = dir.join(name);
            disk.remove(&path).map_err(VaultError::io("remove", &path))?;
        }
        // the root is written last, so where it is, everything is
        let made = names.iter().any(|n| n == ROOT_NAME);
        let root = match made {
            true => Root::open(&*disk, dir, master, tenant)?,
            false => Root::random(&*entropy, dir, tenant)?,
        };
        let secrets = root.secrets();
        let place = Place { disk: Arc::clone(&disk), dir: dir.to_owned(), tenant, id: root.id, check: secrets.check };
        let (mut main, suppression) = if made {
            if let Some(missing) = known.iter().find(|spec| !names.iter().any(|n| n == spec.name)) {
                return Err(VaultError::Missing { path: dir.join(missing.name) });
            }
            (Store::open(place.clone(), &MAIN, MAIN_COMMITS)?, Store::open(place, &SUPPRESSION, SUPPRESSION_COMMITS)?)
        } else {
            check_unused(&*disk, dir, &names)?;
            let stores = (
                Store::create(place.clone(), &MAIN, MAIN_COMMITS)?,
                Store::create(place, &SUPPRESSION, SUPPRESSION_COMMITS)?,
            );
            root.write(&*disk, &*entropy, master)?;
            stores
        };
        let memory = load(&mut main, &suppression, &secrets)?;
        let slots = (0..MAIN.len()).map(|file| main.slots(file)).collect();
        Ok(Self {
            disk,
            entropy,
            secrets,
            root: Mutex::new(root),
            memory: RwLock::new(memory),
            main: Mutex::new(main),
            suppression: Mutex::new(suppression),
            slots,
        })
    }

    /// Puts the vault under a new master key; the former one no longer opens it. Rewrites one small file.
    pub fn rotate(&self, master: &MasterKey) -> Result<(), VaultError> {
        let root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        root.write(&*self.disk, &*self.entropy, master)
    }

    /// A key for a purpose outside the vault, such as the hashes of row keys: it never changes, and nothing in the data
    /// directory yields it without the master key.
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        self.secrets.lend(purpose)
    }

    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn main(&self) -> MutexGuard<'_, Store> {
        self.main.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn suppression_store(&self) -> MutexGuard<'_, Store> {
        self.suppression.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn slots(&self, file: usize) -> &Slots {
        &self.slots[file]
    }
    pub(crate) fn tag(&self, number: Msisdn) -> Tag {
        tag_of(&self.secrets.number_hash(number.reveal()))
    }

    /// Holds the memory for many look-ups in a row; writers wait meanwhile, so keep it for milliseconds.
    pub fn view(&self) -> View<'_> {
        View { memory: self.memory(), secrets: &self.secrets }
    }

    pub fn stats(&self) -> Stats {
        let m = self.memory();
        Stats {
            subscribers: m.subscribers(),
            erased: m.erased.len() as u32,
            foreign: m.foreign_count,
            numbers: m.numbers.len() as u64,
            suppressed: m.suppressed.len() as u64,
            memory_bytes: m.bytes() as u64,
        }
    }

    /// The subscriber that stands for a source key.
    pub fn ordinal(&self, source_key: &str) -> Option<SubscriberId> {
        self.view().ordinal(source_key)
    }
    /// [`Vault::ordinal`] of each; the look-ups overlap.
    pub fn ordinals(&self, source_keys: &[&str]) -> Vec<Option<SubscriberId>> {
        let memory = self.memory();
        let mut found = Vec::with_capacity(source_keys.len());
        for lane in source_keys.chunks(LANES) {
            let mut tags = [[0; 3]; LANES];
            for (tag, key) in tags.iter_mut().zip(lane) {
                *tag = tag_of(&self.secrets.source_hash(key));
            }
            memory.sources.touch(&tags[..lane.len()]);
            found.extend(tags[..lane.len()].iter().map(|tag| memory.sources.get(tag).map(SubscriberId)));
        }
        found
    }
    /// Who holds the number at a time.
    pub fn holder(&self, number: Msisdn, at: Timestamp) -> Option<SubscriberId> {
        self.view().holder(number, at)
    }
    /// The party behind what was dialled, at a time; `None` for a number never seen: see [`Vault::ensure_parties`].
    pub fn party(&self, dialled: Dialled, at: Timestamp) -> Option<PartyId> {
        self.view().party(dialled, at)
    }
    /// [`Vault::party`] of each; the look-ups overlap.
    pub fn parties(&self, batch: &[(Dialled, Timestamp)]) -> Vec<Option<PartyId>> {
        let view = self.view();
        let memory = &view.memory;
        let mut found = Vec::with_capacity(batch.len());
        for lane in batch.chunks(LANES) {
            let mut tags = [[0; 3]; LANES];
            let mut heads = [NONE; LANES];
            for (tag, (dialled, _)) in tags.iter_mut().zip(lane) {
                if let Dialled::Number(number) = dialled {
                    *tag = self.tag(*number);
                }
            }
            // short loops of loads, so that many misses are under way at once: both tables, then the facts
            memory.numbers.touch(&tags[..lane.len()]);
            memory.foreign.touch(&tags[..lane.len()]);
            let mut touched = 0;
            for (head, tag) in heads.iter_mut().zip(&tags[..lane.len()]) {
                *head = memory.numbers.get(tag).unwrap_or(NONE);
                touched ^= memory.facts.get(*head as usize).map_or(0, |f| f.to);
            }
            std::hint::black_box(touched);
            for ((tag, head), &(dialled, at)) in tags.iter().zip(heads).zip(lane) {
                found.push(match dialled {
                    Dialled::Short(code) => Some(Party::Short(code).into()),
                    Dialled::Number(_) => view.party_from(head, tag, at),
                });
            }
        }
        found
    }
    pub fn has_number(&self, subscriber: SubscriberId, at: Timestamp) -> bool {
        self.memory().current(subscriber.0, at).is_some()
    }
    pub fn is_erased(&self, subscriber: SubscriberId) -> bool {
        self.memory().erased.contains(&subscriber.0)
    }

    /// The subscriber's number at a time, of several the one assigned last. `None`: no number, unknown or erased.
    pub fn number_of(&self, subscriber: SubscriberId, at: Timestamp) -> Result<Option<Msisdn>, VaultError> {
        let Some(slot) = self.memory().current(subscriber.0, at).map(|(i, _)| i) else { return Ok(None) };
        let found = match self.subscriber_key(subscriber.0)? {
            Some(key) => self.open_number(subscriber.0, slot, &key).map(Some),
            None => return Ok(None),
        };
        // erased between the two reads
        if found.is_err() && self.is_erased(subscriber) { Ok(None) } else { found }
    }
    pub(crate) fn open_number(&self, sub: u32, slot: u32, key: &[u8; 32]) -> Result<Msisdn, VaultError> {
        let mut b = [0; ASSIGNED_SLOT];
        self.slots(ASSIGNED).read(slot.into(), &mut b)?;
        let (nonce, rest) = b[40..76].split_at_mut(12);
        let (digits, tag) = rest.split_at_mut(8);
        let bound = Bound::Number { sub, slot: slot.into() };
        let opened = self.secrets.unseal(key, nonce, bound, digits, tag);
        let number = opened.then(|| Msisdn::from_e164(u64_at(digits, 0))).flatten();
        number.ok_or_else(|| self.slots(ASSIGNED).corrupt(slot.into(), "a number does not open under its key"))
    }
    /// The number of a foreign party; `None`: unknown, or destroyed with a subscriber that held it.
    pub fn foreign_number(&self, foreign: ForeignId) -> Result<Option<Msisdn>, VaultError> {
        if foreign.0 >= self.memory().foreign_count {
            return Ok(None);
        }
        let mut b = [0; FOREIGN_SLOT];
        self.slots(FOREIGN).read(foreign.0.into(), &mut b)?;
        if b.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        let (nonce, rest) = b[16..52].split_at_mut(12);
        let (digits, tag) = rest.split_at_mut(8);
        let bound = Bound::Foreign { id: foreign.0 };
        let opened = self.secrets.unseal(&self.secrets.tenant_key, nonce, bound, digits, tag);
        let number = opened.then(|| Msisdn::from_e164(u64_at(digits, 0))).flatten();
        let corrupt = || self.slots(FOREIGN).corrupt(foreign.0.into(), "a number does not open under the tenant's key");
        number.map(Some).ok_or_else(corrupt)
    }

    /// The key of a subscriber; `None` where it was erased or never was.
    pub(crate) fn subscriber_key(&self, sub: u32) -> Result<Option<Key32>, VaultError> {
        let gone = |m: &Memory| sub >= m.subscribers() || m.erased.contains(&sub);
        if gone(&self.memory()) {
            return Ok(None);
        }
        let mut slot = [0; KEY_SLOT];
        self.slots(KEYS).read(sub.into(), &mut slot)?;
        match self.key_in(sub, &slot) {
            Some(key) => Ok(Some(key)),
            None if gone(&self.memory()) => Ok(None),
            None => Err(self.slots(KEYS).corrupt(sub.into(), DAMAGED_KEY)),
        }
    }
    /// The key that a slot yields, if the slot is sound.
    pub(crate) fn key_in(&self, sub: u32, slot: &[u8]) -> Option<Key32> {
        let sound = check(&self.secrets.check, MAIN[KEYS].kind, sub.into(), &slot[..OWN]) == slot[OWN..];
        sound.then(|| self.secrets.subscriber_key(sub, slot))
    }
    /// Fails for ordinals that were never given and for erased ones.
    pub(crate) fn known(memory: &Memory, subscriber: SubscriberId) -> Result<(), VaultError> {
        if subscriber.0 >= memory.subscribers() {
            return Err(VaultError::NoSubscriber { subscriber, count: memory.subscribers() });
        }
        if memory.erased.contains(&subscriber.0) {
            return Err(VaultError::Erased { subscriber });
        }
        Ok(())
    }
}

/// Look-ups over one state of the memory.
pub struct View<'a> {
    memory: RwLockReadGuard<'a, Memory>,
    secrets: &'a Secrets,
}

impl View<'_> {
    pub fn ordinal(&self, source_key: &str) -> Option<SubscriberId> {
        self.memory.sources.get(&tag_of(&self.secrets.source_hash(source_key))).map(SubscriberId)
    }
    pub fn holder(&self, number: Msisdn, at: Timestamp) -> Option<SubscriberId> {
        self.memory.holder(&self.tag(number), at)
    }
    pub fn party(&self, dialled: Dialled, at: Timestamp) -> Option<PartyId> {
        match dialled {
            Dialled::Short(code) => Some(Party::Short(code).into()),
            Dialled::Number(number) => {
                let tag = self.tag(number);
                self.party_from(self.memory.numbers.get(&tag).unwrap_or(NONE), &tag, at)
            }
        }
    }
    pub fn suppression(&self, number: Msisdn) -> Option<Suppressed> {
        self.memory.suppression(&self.tag(number))
    }

    fn tag(&self, number: Msisdn) -> Tag {
        tag_of(&self.secrets.number_hash(number.reveal()))
    }
    /// `head` is the number's newest fact.
    #[inline]
    fn party_from(&self, head: u32, tag: &Tag, at: Timestamp) -> Option<PartyId> {
        match self.memory.holder_from(head, at) {
            Some(subscriber) => Some(subscriber.into()),
            None => self.memory.foreign.get(tag).map(|f| Party::Foreign(ForeignId(f)).into()),
        }
    }
}

/// Without a root, files may only be what an interrupted making left: empty.
fn check_unused(disk: &dyn Disk, dir: &Path, names: &[String]) -> Result<(), VaultError> {
    let empty = |name: &str| match name {
        _ if name == MAIN_COMMITS.name => Some(empty_len(&MAIN, true)),
        _ if name == SUPPRESSION_COMMITS.name => Some(empty_len(&SUPPRESSION, true)),
        _ => MAIN.iter().chain(&SUPPRESSION).any(|s| s.name == name).then(|| empty_len(&[], false)),
    };
    for name in names.iter().filter(|n| !n.ends_with(TEMPORARY_SUFFIX)) {
        let path = dir.join(name);
        let len = disk.len(&path).map_err(VaultError::io("read the length of", &path))?;
        if empty(name) != Some(len) {
            return Err(VaultError::Missing { path: dir.join(ROOT_NAME) });
        }
    }
    Ok(())
}

/// Destroyed slots, by file and slot.
type Destroyed = FixedSet<(usize, u64)>;

fn load(main: &mut Store, suppression: &Store, secrets: &Secrets) -> Result<Memory, VaultError> {
    let count = |file: usize| main.count(file);
    let mut memory = Memory::with_capacity(count(KEYS) as usize, count(FOREIGN) as usize, count(ASSIGNED) as usize);
    if count(SOURCES) != count(KEYS) {
        return Err(main.slots(KEYS).corrupt(count(KEYS), "there are more or fewer keys than source keys"));
    }
    load_suppression(suppression, secrets, &mut memory)?;
    let destroyed = load_destroyed(main, secrets, &mut memory)?;
    // a slot is sound, or all zeros because it was destroyed
    let sound = |slots: &Slots, file: usize, i: u64, b: &[u8]| -> Result<bool, VaultError> {
        let body = b.len() - 8;
        match check(&secrets.check, MAIN[file].kind, i, &b[..body]) == b[body..] {
            true => Ok(true),
            false if destroyed.contains(&(file, i)) => Ok(false),
            false => Err(slots.corrupt(i, "the check of a slot does not match")),
        }
    };
    let slots = main.slots(SOURCES);
    slots.each(main.count(SOURCES), |i, b| {
        if sound(&slots, SOURCES, i, b)? {
            memory.sources.insert(tag_of(b), i as u32);
        }
        Ok(())
    })?;
    let slots = main.slots(FOREIGN);
    slots.each(main.count(FOREIGN), |i, b| {
        if sound(&slots, FOREIGN, i, b)? {
            memory.foreign.insert(tag_of(b), i as u32);
        }
        Ok(())
    })?;
    let slots = main.slots(ASSIGNED);
    slots.each(main.count(ASSIGNED), |i, b| {
        if !sound(&slots, ASSIGNED, i, b)? {
            memory.push_dead();
        } else if u32_at(b, 16) >= memory.subscribers() && u32_at(b, 16) != NOBODY {
            return Err(slots.corrupt(i, "a number is assigned to a subscriber that does not exist"));
        } else {
            memory.link(tag_of(b), u32_at(b, 16), i64_at(b, 24), i64_at(b, 32));
        }
        Ok(())
    })?;
    texts::load(&main.slots(TEXTS), main.count(TEXTS), secrets, &mut memory)?;
    Ok(memory)
}

fn load_suppression(store: &Store, secrets: &Secrets, memory: &mut Memory) -> Result<(), VaultError> {
    let slots = store.slots(0);
    slots.each(store.count(0), |i, b| {
        if check(&secrets.check, SUPPRESSION[0].kind, i, &b[..32]) != b[32..] {
            return Err(slots.corrupt(i, "the check of a slot does not match"));
        }
        let suppressed = match b[24] {
            0 => None,
            code => Some(Suppressed {
                at: Timestamp(i64_at(b, 16)),
                cause: SuppressionCause::from_code(code)
                    .ok_or_else(|| slots.corrupt(i, "a cause of suppression that this program does not know"))?,
            }),
        };
        memory.suppress(tag_of(b), suppressed);
        Ok(())
    })
}

/// Makes good what a crash left of an erasure: every slot on the list is zeros before anything is read.
fn load_destroyed(main: &mut Store, secrets: &Secrets, memory: &mut Memory) -> Result<Destroyed, VaultError> {
    let slots = main.slots(DESTROYED);
    let mut list = Vec::new();
    slots.each(main.count(DESTROYED), |i, b| {
        if check(&secrets.check, MAIN[DESTROYED].kind, i, &b[..16]) != b[16..] {
            return Err(slots.corrupt(i, "the check of a slot does not match"));
        }
        let (file, len, slot) = (u32_at(b, 0) as usize, u32_at(b, 4) as usize, u64_at(b, 8));
        if file >= MAIN.len() || slot >= main.count(file) {
            return Err(slots.corrupt(i, "a destroyed slot that does not exist"));
        }
        list.push((file, len, slot));
        Ok(())
    })?;
    for &(file, len, slot) in &list {
        let mut bytes = vec![0; len];
        main.slots(file).read(slot, &mut bytes)?;
        if bytes.iter().any(|&b| b != 0) {
            tracing::info!(file = MAIN[file].name, slot, "vault: interrupted erasure finished");
            main.destroy(file, slot, len)?;
        }
        if file == KEYS {
            memory.erased.insert(slot as u32);
        }
    }
    debug_assert!(memory.facts_of.iter().all(|&f| f == NONE));
    Ok(list.into_iter().map(|(file, _, slot)| (file, slot)).collect())
}
