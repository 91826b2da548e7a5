//! Numbers, names, other texts and raw quarantined rows, each under a key per subscriber (a number or row that is
//! nobody's: under the tenant's); dated assignments of numbers; suppression; erasure.
//!
//! The only place of the data directory that holds a number, name or text, and it holds none in clear: values are sealed
//! with ChaCha20-Poly1305, numbers and source keys are found by keyed SipHash-128. Why it is built so is told in
//! `docs/adr/0004-vault.md`.
//!
//! Invariants held here:
//! - a subscriber's ordinal is dense, durable before it is returned and never reused, also after erasure;
//! - who held a number is asked at a time; a later assignment ends the former one where it begins;
//! - suppression belongs to the number, is durable and in the Gate's memory before the call returns, and outlives
//!   erasure;
//! - erasure overwrites the subscriber's key, assignments and source key in place, so that afterwards not even the
//!   master key yields them; a crash in between is made good at the next open, before anything is read;
//! - a batch is there whole or not at all in steps of [`BATCH_ROWS`] rows, and doing it again changes nothing;
//! - a failed write or sync poisons the vault: the caller ends the process;
//! - disk and randomness are arguments. `open` takes no lock: whoever owns the data directory does.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod assign;
mod enrol;
mod erase;
mod error;
mod keys;
mod memory;
mod slots;
mod store;
mod suppress;
mod table;
mod texts;
mod vault;
mod verify;

pub use assign::{AssignCounts, Assignment};
pub use erase::ErasedData;
pub use error::VaultError;
pub use keys::{Entropy, KeyError, MasterKey, SeededEntropy, SystemEntropy};
pub use memory::{Suppressed, SuppressionCause};
pub use store::FORMAT_VERSION;
pub use suppress::SuppressRow;
pub use texts::{RawRow, RawRowId, SecretRow};
pub use vault::{BATCH_ROWS, Stats, Vault, View};
