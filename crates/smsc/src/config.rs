//! How a simulated centre behaves.

use kairos_model::{Span, clock::SharedClock};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Settings of a simulated centre. `Debug` is left out: it would show passwords.
#[derive(Clone)]
pub struct SmscConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    pub clock: SharedClock,
    /// Decides which answers are lost, by hash.
    pub seed: u64,
    /// Between a submit_sm and its answer.
    pub latency: Span,
    /// Submits a second over all connections; above it the answer is 0x58 (throttled). A second's worth may come at once.
    pub rate_max: Option<u32>,
    /// Messages under way to handsets; with more the answer is 0x14 (queue full).
    pub queue_max: usize,
    /// One submit in so many, chosen by a hash of source, destination and text, is accepted and never answered.
    pub lose_one_in: Option<u32>,
    /// One submit in so many, chosen likewise, is accepted; of its answer half is written, then the connection is closed.
    pub cut_one_in: Option<u32>,
    /// (system_id, password); none: anybody may bind.
    pub users: Vec<(String, String)>,
    pub receipts: ReceiptStyle,
    /// deliver_sm that may be unanswered at once on one connection.
    pub deliver_window: usize,
    /// Its own log, one JSON object a line, numbers and texts in clear.
    pub log: Option<PathBuf>,
}

/// What receipts look like: centres differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceiptStyle {
    /// receipted_message_id and message_state beside the text form.
    pub tlvs: bool,
    /// The id in the text form is decimal, as the standard says, while submit_sm_resp carries hex.
    pub decimal_ids: bool,
    /// user_message_reference of the submit_sm comes back.
    pub echo_reference: bool,
}

impl SmscConfig {
    /// A quick centre on a free loopback port that anybody may bind to.
    pub fn new(clock: SharedClock, seed: u64) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock,
            seed,
            latency: Span::ZERO,
            rate_max: None,
            queue_max: 1_000_000,
            lose_one_in: None,
            cut_one_in: None,
            users: Vec::new(),
            receipts: ReceiptStyle { tlvs: true, decimal_ids: false, echo_reference: true },
            deliver_window: 500,
            log: None,
        }
    }
}
