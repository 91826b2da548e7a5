//! What an operator may want to know of a bind, readable at any time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Running counters of one bind. All count since the start of `run`.
#[derive(Default, Debug)]
pub struct Monitor {
    pub(super) bound: AtomicBool,
    pub(super) binds: AtomicU64,
    pub(super) lost_connections: AtomicU64,
    pub(super) submits: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) receipts: AtomicU64,
    pub(super) messages: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) stray: AtomicU64,
}

/// The counters at one instant. Submits, accepted, … count segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status {
    pub bound: bool,
    pub binds: u64,
    pub lost_connections: u64,
    pub submits: u64,
    pub accepted: u64,
    /// Answered 0x58 or 0x14, and repeated after a wait.
    pub throttled: u64,
    pub refused: u64,
    pub cancelled: u64,
    pub unknown: u64,
    pub receipts: u64,
    pub messages: u64,
    /// deliver_sm that were acknowledged and dropped because no phone number or no field could be read.
    pub unreadable: u64,
    /// Answers to nothing that was open.
    pub stray: u64,
}

impl Monitor {
    pub fn status(&self) -> Status {
        let n = |x: &AtomicU64| x.load(Relaxed);
        Status {
            bound: self.bound.load(Relaxed),
            binds: n(&self.binds),
            lost_connections: n(&self.lost_connections),
            submits: n(&self.submits),
            accepted: n(&self.accepted),
            throttled: n(&self.throttled),
            refused: n(&self.refused),
            cancelled: n(&self.cancelled),
            unknown: n(&self.unknown),
            receipts: n(&self.receipts),
            messages: n(&self.messages),
            unreadable: n(&self.unreadable),
            stray: n(&self.stray),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Relaxed);
}
