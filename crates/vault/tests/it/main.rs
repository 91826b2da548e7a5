//! The vault on a simulated disk: stories, crashes, damage and erasure.

#![allow(clippy::unwrap_used)]

mod crash;
mod damage;
mod erase;
mod stories;

use kairos_model::{Dialled, Msisdn, SubscriberId, TenantId, Timestamp, disk::Disk, mem_disk::MemDisk};
use kairos_vault::{
    Assignment, MasterKey, RawRow, SecretRow, SeededEntropy, SuppressRow, SuppressionCause, Vault, VaultError,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub const DIR: &str = "/data/vault";

pub fn master() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}
pub fn open_as(disk: &MemDisk, master: &MasterKey, tenant: u16, seed: u64) -> Result<Vault, VaultError> {
    let entropy = Arc::new(SeededEntropy::new(seed));
    Vault::open(Arc::new(disk.clone()), entropy, Path::new(DIR), master, TenantId(tenant))
}
pub fn open(disk: &MemDisk) -> Result<Vault, VaultError> {
    open_as(disk, &master(), 1, disk.calls())
}
pub fn number(i: u64) -> Msisdn {
    Msisdn::from_e164(8_613_800_000_000 + i * 7_919).unwrap()
}
pub fn day(n: i64) -> Timestamp {
    Timestamp::from_secs(n * 86_400)
}
pub fn assignment(sub: SubscriberId, n: u64, from: Timestamp, to: Timestamp) -> Assignment {
    Assignment { subscriber: sub, number: number(n), from, to }
}
pub fn files(disk: &MemDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(DIR);
    disk.list(dir).unwrap().into_iter().map(|n| (dir.join(&n), disk.read(&dir.join(n)).unwrap())).collect()
}
/// Names of the files that hold these bytes.
pub fn holding(disk: &MemDisk, needle: &[u8]) -> Vec<String> {
    let hit = |bytes: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
    let name = |p: PathBuf| p.file_name().unwrap().to_string_lossy().into_owned();
    files(disk).into_iter().filter(|(_, b)| hit(b)).map(|(p, _)| name(p)).collect()
}
pub fn suppress_row(n: u64, at: Timestamp) -> SuppressRow {
    SuppressRow { number: number(n), at, cause: SuppressionCause::Reply }
}

/// A little operator: two holders of one number, a foreign past, names, rows.
pub fn populated(disk: &MemDisk) -> (Vault, [SubscriberId; 3]) {
    let vault = open(disk).unwrap();
    let text = |n: u64| number(n).reveal().to_string();
    let keys = [text(1), text(2), "key-of-c".to_owned()];
    let subs = vault.ensure_subscribers(&keys.each_ref().map(String::as_str)).unwrap();
    let [a, b, c] = subs[..] else { panic!() };
    vault.ensure_parties(&[(Dialled::Number(number(1)), day(0)), (Dialled::Number(number(9)), day(0))]).unwrap();
    let assignments = [
        assignment(a, 1, day(10), Timestamp::MAX),
        assignment(b, 1, day(20), Timestamp::MAX),
        assignment(b, 2, day(1), day(5)),
        assignment(b, 2, day(1), day(6)),
        assignment(c, 3, day(1), Timestamp::MAX),
    ];
    vault.assign(&assignments).unwrap();
    let row = |subscriber, text| SecretRow { subscriber, field: "name", text };
    vault.put_secrets(&[row(a, "Anna Alder"), row(b, "Berta Birch"), row(c, "Carla Cedar")]).unwrap();
    let raw = format!("{};Berta Birch;oops", text(1));
    vault.put_raw_rows(&[RawRow { subscriber: Some(b), bytes: raw.as_bytes() }]).unwrap();
    vault.put_raw_rows(&[RawRow { subscriber: None, bytes: raw.as_bytes() }]).unwrap();
    vault.suppress(&[suppress_row(2, day(2))]).unwrap();
    (vault, [a, b, c])
}
