//! SMPP 3.4 transceiver client.
//!
//! One [`run`] is one bind: it connects, binds, pulls contacts up to its free window, submits, and reconnects until it
//! is stopped. Several may share one [`Deliveries`](crate::channel::Deliveries).
//!
//! Invariants:
//! - the gate is asked immediately before each write of each segment; a segment of which not an octet was taken by the
//!   socket is asked for again before the next attempt;
//! - per contact and segment at most one submit is accepted or left unanswered: only one that the centre answered with
//!   "throttled" or "queue full" is repeated;
//! - a contact holds its place in the window until its report is durable;
//! - a deliver_sm is acknowledged only after the hand-over returned;
//! - in simulated time it stands still by the rules of `kairos_model::clock`; the end of a stream counts as a message.

mod bind;
mod config;
mod flow;
mod frame;
mod inbound;
mod link;
mod monitor;
mod outbound;

pub use bind::{Connector, run, run_over};
pub use config::{AddressType, ConfigError, Secret, SmppConfig, Validity};
pub use link::Io;
pub use monitor::{Monitor, Status};
