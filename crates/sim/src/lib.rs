//! Deterministic simulation: the real journal, engine, vault and SMPP channel on a simulated disk, clock, network and
//! message centre, from one seed, against a naive model that keeps the whole history and is asked after every step.
//!
//! For development only: nothing links it. What is simulated, and how a seed is replayed, is told in
//! `docs/reference/simulation.md`.
//!
//! Invariants held here:
//! - a world depends on its seed alone: one thread, no clock, no socket, no random hash state;
//! - the model shares no rule with what it checks; it reads data (playbooks, lists) and durable output only;
//! - a check that fails is a [`Violation`] with a fixed name; a panic is never taken for one.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod centre;
mod clock;
mod counts;
mod dice;
mod faults;
mod host;
mod line;
mod model;
mod operate;
mod pdu;
mod plan;
mod run;
mod scene;
mod shelves;
mod world;

pub use counts::Counts;
pub use model::Violation;
pub use run::{Outcome, Total, cpu_seconds, run_seed, soak};
pub use scene::LIVE;
