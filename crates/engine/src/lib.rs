//! The engine: waves, triggers, the contact ledger, checkpoint and recovery around the pure `decide::step`.
//!
//! It is driven from outside: no thread, no clock, no socket; the disk is an argument. [`Engine::handle`] takes inputs,
//! [`Engine::offer`] gives contacts to send, [`Engine::next_due`] says when to call again.
//!
//! Invariants held here:
//! - state changes only by applying a journal record, live and in recovery by the same code; what is said outside is
//!   durable first;
//! - stamps never decrease, whatever the clock does;
//! - a contact is intended (with its cap reservation), then offered, then answered, each durable before the next; after a
//!   crash only what was offered without an answer is unknown, and is never offered again;
//! - a wave is one record and a cursor in the order of a salted hash; the cursor is committed with its decisions;
//! - events, timers and waves meet the same step, policy and ledger; an event is taken once, in one record with its batch;
//! - a subscriber's timers fire at their due time before the record that follows it; partitions change nothing;
//! - each member of a wave, and each occurrence of a trigger, is in exactly one state, and [`Sums`] add up at every instant;
//! - every record and file holds ordinals and ids only.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod checkpoint;
mod chunk;
mod codec;
mod config;
mod core;
mod engine;
mod error;
mod fired;
mod input;
mod intake;
mod lanes;
mod ledger;
mod library;
mod live;
mod moments;
mod output;
mod pages;
mod past;
mod pump;
mod query;
mod record;
mod replay;
mod rows;
mod settle;
mod trail;
mod wave;
mod wheel;

pub use config::EngineConfig;
pub use engine::Engine;
pub use error::{EngineError, Item, Refusal};
pub use input::{EventBatch, Input, Origin, Outcome, PastContact, StartWave};
pub use library::{AudienceHash, Library, LibraryError};
pub use output::{
    ContactView, IntakeCounts, Member, Offered, Output, Recovered, Seen, Sums, Trail, Waterfall, WaveView, Which,
};
pub use pages::advise_huge;
pub use past::{Past, Replay};
pub use trail::TrailReader;
