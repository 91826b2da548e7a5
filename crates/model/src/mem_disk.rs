//! A simulated disk, for tests and simulation: memory only. It knows what was synced and what was not, forgets and tears
//! the rest in a crash, and fails on demand.
//!
//! What it models: bytes are durable after `sync_data`, names after `sync_dir`. In a crash each 512-byte sector of the
//! bytes that were not synced is kept, zeroed or filled with rubbish on its own, the file may be shorter, and each name
//! that changed since the last `sync_dir` is as it was or as it became, on its own (so effects are also reordered).
//! Directories themselves are durable at once. The death of the process alone ([`MemDisk::kill`]) loses nothing, but makes
//! nothing durable either: what it wrote and did not sync is there to be read, and gone after a later loss of power.

use crate::{
    disk::{Disk, DiskFile, DiskReader},
    hash,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const SECTOR: usize = 512;

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This call fails with EIO; an append may leave a part of its bytes, a sync makes nothing durable.
    Error,
    /// This call fails with ENOSPC after half of its bytes.
    Full,
    /// The machine stops: this call and all later ones fail until [`MemDisk::crash`].
    Halt,
}

/// What a crash did, for whoever counts the kinds of damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Files of which bytes that were not synced are gone.
    pub shortened: u64,
    /// Sectors that became zeros.
    pub zeroed: u64,
    /// Sectors that became rubbish.
    pub rubbish: u64,
    /// Sectors that were not synced and are there all the same.
    pub survived: u64,
    /// Names that are as they were before a change that was not synced.
    pub names: u64,
}

/// A file's bytes now, of which `live[..kept]` are synced.
#[derive(Clone, Default)]
struct Inode {
    live: Vec<u8>,
    kept: usize,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
    calls: u64,
    failed: u64,
    full: bool,
    fault: Option<(u64, Fault)>,
    halted: bool,
    /// Handles opened before the last crash are dead.
    epoch: u64,
    capacity: Option<u64>,
}

/// A simulated disk; clones share it.
#[derive(Clone, Default)]
pub struct MemDisk(Arc<Mutex<State>>);

struct MemReader {
    disk: MemDisk,
    inode: usize,
}

struct MemFile {
    disk: MemDisk,
    inode: usize,
    epoch: u64,
    len: u64,
}

fn eio(what: &str) -> io::Error {
    io::Error::other(format!("simulated: {what}"))
}
fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("simulated: no file `{}`", path.display()))
}

impl State {
    /// Counts a call that changes the disk, and says whether it fails.
    fn enter(&mut self) -> io::Result<Option<Fault>> {
        if self.halted {
            return Err(eio("the machine has stopped"));
        }
        self.calls += 1;
        if let Some((n, fault)) = self.fault
            && n == self.calls
        {
            self.failed += 1;
            self.full = fault == Fault::Full;
        }
        match self.fault {
            Some((n, fault)) if n == self.calls => {
                self.halted = fault == Fault::Halt;
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }
    fn check(&mut self, what: &str) -> io::Result<()> {
        match self.enter()? {
            Some(Fault::Full) => Err(io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left")),
            Some(_) => Err(eio(what)),
            None => Ok(()),
        }
    }
    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| not_found(path))
    }
    fn used(&self) -> u64 {
        self.names.values().map(|&i| self.inodes[i].live.len() as u64).sum()
    }
    fn children(&self, dir: &Path, paths: impl Iterator<Item = PathBuf>) -> io::Result<Vec<String>> {
        if !self.dirs.contains(dir) {
            return Err(not_found(dir));
        }
        let mut names: Vec<String> = paths
            .filter(|p| p.parent() == Some(dir))
            .filter_map(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        Ok(names)
    }
}

impl MemDisk {
    pub fn new() -> Self {
        Self::default()
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls so far that changed the disk or synced it.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }
    /// Calls so far that failed because they were made to, or found no space.
    pub fn failed(&self) -> u64 {
        self.state().failed
    }
    /// Whether the machine has stopped.
    pub fn is_halted(&self) -> bool {
        self.state().halted
    }
    /// Whether the last call that failed did so for want of space.
    pub fn is_full(&self) -> bool {
        self.state().full
    }
    /// Bytes in all files that have a name.
    pub fn used(&self) -> u64 {
        self.state().used()
    }
    /// Lets the `n`-th such call from now fail, counted from 1.
    pub fn fail_at(&self, n: u64, fault: Fault) {
        let mut s = self.state();
        s.fault = Some((s.calls + n, fault));
    }
    /// Takes the armed fault back.
    pub fn disarm(&self) {
        self.state().fault = None;
    }
    /// Bytes that fit; `None` = no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }
    /// Damages a stored byte, durably.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut s = self.state();
        let inode = s.inode(path)?;
        let byte = s.inodes[inode].live.get_mut((bit / 8) as usize).ok_or_else(|| eio("the file is shorter"))?;
        *byte ^= 1 << (bit % 8);
        Ok(())
    }

    /// The process dies and the machine lives on: open handles are dead, the rest is as it was.
    pub fn kill(&self) {
        let mut s = self.state();
        s.fault = None;
        s.halted = false;
        s.epoch += 1;
    }

    /// Power loss: what was not synced is forgotten or torn, as `seed` draws. Open handles are dead afterwards.
    pub fn crash(&self, seed: u64) -> Damage {
        let mut s = self.state();
        let mut damage = Damage::default();
        let mut draw = 0u64;
        let mut random = |below: u64| {
            draw += 1;
            hash::salted(seed, draw) % below
        };
        let mut names = BTreeMap::new();
        let all: BTreeSet<PathBuf> = s.names.keys().chain(s.durable_names.keys()).cloned().collect();
        for path in all {
            let (old, new) = (s.durable_names.get(&path), s.names.get(&path));
            let reverted = old != new && random(2) == 0;
            damage.names += u64::from(reverted);
            let kept = if reverted { old } else { new };
            if let Some(&inode) = kept {
                names.insert(path, inode);
            }
        }
        let named: BTreeSet<usize> = names.values().copied().collect();
        for (i, inode) in s.inodes.iter_mut().enumerate() {
            if !named.contains(&i) {
                *inode = Inode::default();
            } else if inode.kept < inode.live.len() {
                *inode = torn(inode, &mut random, &mut damage);
            }
            inode.kept = inode.live.len();
        }
        s.durable_names = names.clone();
        s.names = names;
        s.fault = None;
        s.halted = false;
        s.epoch += 1;
        damage
    }

    fn handle(&self, s: &State, inode: usize) -> Box<dyn DiskFile> {
        Box::new(MemFile { disk: self.clone(), inode, epoch: s.epoch, len: s.inodes[inode].live.len() as u64 })
    }
}

fn torn(inode: &Inode, random: &mut impl FnMut(u64) -> u64, damage: &mut Damage) -> Inode {
    // the length in the file's metadata: as synced, as it is now, or in between
    let unsynced = inode.live.len() - inode.kept;
    let len = inode.kept
        + match random(3) {
            0 => 0,
            1 => unsynced,
            _ => random(unsynced as u64 + 1) as usize,
        };
    damage.shortened += u64::from(len < inode.live.len());
    let mut live = inode.live[..len].to_vec();
    let mut at = inode.kept;
    while at < len {
        let stop = ((at / SECTOR + 1) * SECTOR).min(len);
        match random(4) {
            0 | 1 => damage.survived += 1,
            2 => {
                damage.zeroed += 1;
                live[at..stop].fill(0);
            }
            _ => {
                damage.rubbish += 1;
                live[at..stop].fill_with(|| random(256) as u8);
            }
        }
        at = stop;
    }
    Inode { live, ..Inode::default() }
}

impl Disk for MemDisk {
    fn create_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut s = self.state();
        s.check("create failed")?;
        if s.names.contains_key(path) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "simulated: the file exists"));
        }
        if !path.parent().is_some_and(|dir| s.dirs.contains(dir)) {
            return Err(not_found(path));
        }
        let inode = s.inodes.len();
        s.inodes.push(Inode::default());
        s.names.insert(path.to_owned(), inode);
        Ok(self.handle(&s, inode))
    }
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let s = self.state();
        let inode = s.inode(path)?;
        Ok(self.handle(&s, inode))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let s = self.state();
        Ok(s.inodes[s.inode(path)?].live.clone())
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskReader>> {
        let inode = self.state().inode(path)?;
        Ok(Box::new(MemReader { disk: self.clone(), inode }))
    }
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let s = self.state();
        let live = &s.inodes[s.inode(path)?].live;
        let start = (offset as usize).min(live.len());
        Ok(live[start..start.saturating_add(len).min(live.len())].to_vec())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut s = self.state();
        s.check("rename failed")?;
        let inode = s.inode(from)?;
        s.names.remove(from);
        s.names.insert(to.to_owned(), inode);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut s = self.state();
        s.inode(path)?;
        s.check("remove failed")?;
        s.names.remove(path);
        Ok(())
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let s = self.state();
        s.children(dir, s.names.keys().cloned())
    }
    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        let s = self.state();
        s.children(dir, s.dirs.iter().cloned())
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut s = self.state();
        s.dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut s = self.state();
        s.check("sync of a directory failed")?;
        let in_dir = |p: &PathBuf| p.parent() == Some(dir);
        let State { names, durable_names, .. } = &mut *s;
        durable_names.retain(|p, _| !in_dir(p));
        durable_names.extend(names.iter().filter(|(p, _)| in_dir(p)).map(|(p, &i)| (p.clone(), i)));
        Ok(())
    }
    fn len(&self, path: &Path) -> io::Result<u64> {
        let s = self.state();
        Ok(s.inodes[s.inode(path)?].live.len() as u64)
    }
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut s = self.state();
        let inode = s.inode(path)?;
        s.check("cut failed")?;
        let inode = &mut s.inodes[inode];
        inode.live.truncate(len as usize);
        inode.kept = inode.live.len();
        Ok(())
    }
    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut s = self.state();
        let inode = s.inode(path)?;
        let fate = s.check("write in place failed");
        let at = offset as usize;
        let Some(place) = s.inodes[inode].live.get_mut(at..at + bytes.len()) else {
            return Err(eio("the file is shorter"));
        };
        // a failed write in place leaves a part of the bytes
        let written = if fate.is_ok() { bytes.len() } else { bytes.len() / 2 };
        place[..written].copy_from_slice(&bytes[..written]);
        fate
    }
}

impl DiskReader for MemReader {
    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let s = self.disk.state();
        let at = offset as usize;
        let from = s.inodes[self.inode].live.get(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(from);
        Ok(())
    }
}

impl DiskFile for MemFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut s = self.disk.state();
        if s.epoch != self.epoch {
            return Err(eio("this handle is from before the crash"));
        }
        let full = s.capacity.is_some_and(|max| s.used() + bytes.len() as u64 > max);
        let fault = s.enter()?.or(full.then_some(Fault::Full));
        s.failed += u64::from(full);
        s.full |= full;
        let live = &mut s.inodes[self.inode].live;
        match fault {
            None => live.extend_from_slice(bytes),
            Some(_) => live.extend_from_slice(&bytes[..bytes.len() / 2]),
        }
        self.len = live.len() as u64;
        match fault {
            None => Ok(()),
            Some(Fault::Full) => Err(io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left")),
            Some(_) => Err(eio("write failed")),
        }
    }
    fn sync_data(&mut self) -> io::Result<()> {
        let mut s = self.disk.state();
        if s.epoch != self.epoch {
            return Err(eio("this handle is from before the crash"));
        }
        s.check("sync failed")?;
        let inode = &mut s.inodes[self.inode];
        inode.kept = inode.live.len();
        Ok(())
    }
    fn len(&self) -> u64 {
        self.len
    }
}
