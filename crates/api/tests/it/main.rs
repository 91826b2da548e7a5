//! The real router over a real data directory, asked through tower.

#![allow(clippy::unwrap_used)]

mod campaigns;
mod contract;
mod guard;
mod idempotency;
mod socket;
mod support;
