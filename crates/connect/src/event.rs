//! Decoded events on their way from a source to the journal: who is still a number or an IMSI, which the vault resolves.
//!
//! Invariants:
//! - an event is told from every other by (source, partition, offset), or, over HTTP, by the hash of (source, id);
//! - read = events + ignored + quarantined, in every batch;
//! - `Debug` shows no number and no text.

use crate::layout::Reject;
use kairos_model::{CellId, Dialled, Event, EventType, Imsi, Msisdn, PartyId, SourceId, SubscriberId, Timestamp};
use std::sync::Arc;

mod recent;
mod types;

pub use recent::{Recent, event_key};
pub use types::{EventConfig, EventConfigErrors, parse_events};

/// The subscriber as the network named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Number(Msisdn),
    Imsi(Imsi),
}

/// One event with its identity within the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded {
    pub kind: EventType,
    pub flags: u16,
    pub who: Who,
    pub peer: Option<Dialled>,
    pub cell: Option<CellId>,
    pub at: Timestamp,
    pub aux: u64,
    /// Place in the batch's partition; over HTTP the place in the request.
    pub offset: u64,
    /// Over HTTP [`event_key`] of (source, id); 0 from files and streams, whose identity is the offset.
    pub key: u128,
    /// Bytes of the typed tail in [`EventBatch::tails`].
    tail: (u32, u32),
}

/// Events in the order in which they were read.
#[derive(Clone, Default, PartialEq)]
pub struct EventBatch {
    pub source: SourceId,
    pub partition: u32,
    pub events: Vec<Decoded>,
    /// Typed tails end to end ([`kairos_model::event_tail`]).
    pub tails: Vec<u8>,
    /// Offset of the first record that was read, and of the one after the last: what the consumer commits.
    pub first: u64,
    pub next: u64,
    /// Records that say nothing that is asked for, by rule.
    pub ignored: Vec<(Arc<str>, u64)>,
    pub rejects: Vec<Reject>,
    /// Events that lost a peer which is no number.
    pub peers_dropped: u64,
}

impl std::fmt::Debug for EventBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { source, partition, first, next, events, rejects, .. } = self;
        let ignored = self.ignored();
        let (events, rejects) = (events.len(), rejects.len());
        write!(
            f,
            "EventBatch {{ {source}/{partition} {first}..{next}, events {events}, ignored {ignored}, rejects {rejects} }}"
        )
    }
}

impl EventBatch {
    /// Records read.
    pub fn read(&self) -> u64 {
        self.next - self.first
    }
    pub fn ignored(&self) -> u64 {
        self.ignored.iter().map(|(_, n)| n).sum()
    }
    /// The typed tail of one of this batch's events.
    pub fn tail(&self, event: &Decoded) -> &[u8] {
        let (from, to) = event.tail;
        self.tails.get(from as usize..to as usize).unwrap_or_default()
    }

    pub(crate) fn ignore(&mut self, name: &Arc<str>) {
        match self.ignored.iter_mut().find(|(n, _)| n == name) {
            Some((_, n)) => *n += 1,
            None => self.ignored.push((name.clone(), 1)),
        }
    }

    /// Appends an event whose tail are the bytes that were pushed behind `tail_from`.
    pub(crate) fn push(&mut self, draft: Draft, tail_from: usize, offset: u64, key: u128) {
        let Draft { kind, flags, who, peer, cell, at, aux } = draft;
        // a batch has at most 65,536 events of at most 4.2 KB of tail: below 4 GiB
        let tail = (tail_from as u32, self.tails.len() as u32);
        self.events.push(Decoded { kind, flags, who, peer, cell, at, aux, offset, key, tail });
    }
}

/// An event before it has its identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Draft {
    pub kind: EventType,
    pub flags: u16,
    pub who: Who,
    pub peer: Option<Dialled>,
    pub cell: Option<CellId>,
    pub at: Timestamp,
    pub aux: u64,
}

impl Decoded {
    /// The event's header, once its parties are known. `arrived` is the intake's stamp; no cell is [`CellId::NONE`].
    pub fn header(&self, subscriber: SubscriberId, peer: PartyId, arrived: Timestamp) -> Event {
        let Self { kind, flags, cell, at, aux, .. } = *self;
        Event { kind, flags, subscriber, peer, cell: cell.unwrap_or(CellId::NONE), at, arrived, aux }
    }
}
