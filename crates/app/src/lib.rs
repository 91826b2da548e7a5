//! Use cases of Kairos over one data directory: intake, tags, audiences, campaigns, waves, evaluation.
//!
//! Carries rows from `connect` to `lake` and numbers to `vault`; compiles playbooks and facts; drives the engine; stands
//! behind the channels. It speaks no protocol and serves no socket.
//!
//! Invariants held here:
//! - one process a data directory, an epoch each time it is opened;
//! - a use case is whole or not at all: catalog first, then engine; what a crash left between them is made good at the
//!   next open;
//! - numbers, names and raw rows pass from a file to the vault within one chunk and are nowhere else;
//! - an opt-out is durable and in the gate before the message that carried it is acknowledged.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod app;
mod areas;
mod audience;
mod books;
mod campaigns;
mod clock;
mod definitions;
mod deliveries;
pub mod demo;
mod dir;
pub mod error;
mod evaluate;
mod events;
mod explain;
mod exports;
mod facts;
mod frame;
mod import;
mod keys;
mod kill;
mod library;
mod lists;
mod mirror;
mod opt_out;
pub mod progress;
mod province;
mod questions;
mod refresh;
mod render;
mod resolve;
mod revise;
mod runner;
mod tags;
mod triggers;
mod values;

pub use app::{App, Options, absolute, catalog_error};
pub use audience::{Count, FunnelStep, condition_error};
pub use campaigns::{Checked, Simulation, Transport, transport};
pub use clock::SystemClock;
pub use definitions::Definitions;
pub use deliveries::ChannelSide;
pub use dir::DataDir;
pub use error::{AppError, Result};
pub use evaluate::{Part, Report};
pub use events::TakenEvents;
pub use explain::{Explained, Standing};
pub use exports::{ExportedList, Exports};
pub use import::{Fault, Imported};
pub use kairos_connect::cloudevents::BODY_MAX as EVENTS_BYTES_MAX;
pub use keys::random;
pub use kill::KillSwitch;
pub use lists::{ListCounts, ListHead, ListKind, LoadList, Loaded};
pub use progress::Progress;
pub use province::{Written, write_province};
pub use questions::{Apart, Asked, LookAlike, OverlapAnswer};
pub use render::{Extremes, Template, WorstCase};
pub use runner::Runner;
pub use tags::{TagsComputed, load_tags};
