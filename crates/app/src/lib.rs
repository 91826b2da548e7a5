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
mod explain;
mod facts;
mod import;
mod keys;
mod library;
mod mirror;
mod opt_out;
pub mod progress;
mod province;
mod render;
mod resolve;
mod revise;
mod runner;
mod suggest;
mod values;

pub use app::{App, Options, TagsComputed, absolute, catalog_error, load_tags};
pub use audience::{Count, FunnelStep, condition_error};
pub use campaigns::{Checked, Simulation};
pub use clock::SystemClock;
pub use definitions::Definitions;
pub use deliveries::ChannelSide;
pub use dir::DataDir;
pub use error::{AppError, Result};
pub use evaluate::{Part, Report};
pub use explain::{Explained, Standing};
pub use import::Imported;
pub use keys::random;
pub use progress::Progress;
pub use province::{Written, write_province};
pub use render::{Template, WorstCase};
pub use runner::Runner;
