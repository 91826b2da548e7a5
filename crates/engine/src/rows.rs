//! Bytes of a batch of events: rows of one width, so that they are written and read without looking at each other.
//!
//! `u8` form, mark, `i64` stamp of the first arrival, `u32` count, rows. A row of form 0 (32 bytes): type, flags, subscriber,
//! peer, cell, µs since the first arrival (`u32`), µs from happening to arrival (`i32`), aux. Form 1 (40 bytes), for batches
//! that do not fit: both instants in full.

use crate::{
    codec::{Parsed, Reader, Writer, malformed},
    record::Mark,
};
use kairos_model::{CellId, Event, EventType, PartyId, SubscriberId, Timestamp};

const NARROW: usize = 32;
const WIDE: usize = 40;
/// Bytes beside the rows and ids, at most.
pub const HEAD_MAX: usize = 40;
/// Bytes of an event with its id, at most.
pub const EVENT_MAX: usize = WIDE + 8;

/// Writes a batch behind what is there.
pub fn put_events(w: &mut Writer, mark: &Mark, events: &[Event]) {
    let base = events.first().map_or(0, |e| e.arrived.0);
    let form = w.0.len();
    w.u8(0);
    match mark {
        Mark::None => {
            w.u8(0);
        }
        Mark::Offset { source, partition, to } => {
            w.u8(1).u32(*source).u32(*partition).u64(*to);
        }
        Mark::Ids(ids) => {
            w.u8(2).count(ids.len());
            ids.iter().for_each(|&id| {
                w.u64(id);
            });
        }
    }
    w.i64(base).count(events.len());
    let rows = w.0.len();
    w.0.resize(rows + NARROW * events.len(), 0);
    // 31 and 32 bits: what is left over of any row that does not fit
    let mut over = 0u64;
    for (row, e) in w.0[rows..].chunks_exact_mut(NARROW).zip(events) {
        let since = e.arrived.0.wrapping_sub(base);
        let late = e.arrived.0.wrapping_sub(e.at.0);
        over |= (since as u64) >> 32 | ((late.wrapping_add(1 << 31)) as u64) >> 32;
        put_head(row, e);
        row[16..20].copy_from_slice(&(since as u32).to_le_bytes());
        row[20..24].copy_from_slice(&(late as i32).to_le_bytes());
        row[24..32].copy_from_slice(&e.aux.to_le_bytes());
    }
    if over != 0 {
        w.0[form] = 1;
        w.0.resize(rows + WIDE * events.len(), 0);
        for (row, e) in w.0[rows..].chunks_exact_mut(WIDE).zip(events) {
            put_head(row, e);
            row[16..24].copy_from_slice(&e.arrived.0.to_le_bytes());
            row[24..32].copy_from_slice(&e.at.0.to_le_bytes());
            row[32..40].copy_from_slice(&e.aux.to_le_bytes());
        }
    }
}
#[inline]
fn put_head(row: &mut [u8], e: &Event) {
    row[0..2].copy_from_slice(&e.kind.0.to_le_bytes());
    row[2..4].copy_from_slice(&e.flags.to_le_bytes());
    row[4..8].copy_from_slice(&e.subscriber.0.to_le_bytes());
    row[8..12].copy_from_slice(&e.peer.0.to_le_bytes());
    row[12..16].copy_from_slice(&e.cell.0.to_le_bytes());
}

/// Reads a batch behind the events that are there.
pub fn get_events(r: &mut Reader<'_>, events: &mut Vec<Event>) -> Parsed<Mark> {
    let form = r.u8()?;
    let mark = match r.u8()? {
        0 => Mark::None,
        1 => Mark::Offset { source: r.u32()?, partition: r.u32()?, to: r.u64()? },
        2 => Mark::Ids((0..r.count(8)?).map(|_| r.u64()).collect::<Parsed<_>>()?),
        other => return malformed(format!("{other} is no origin of events")),
    };
    let base = r.i64()?;
    let width = match form {
        0 => NARROW,
        1 => WIDE,
        other => return malformed(format!("{other} is no form of events")),
    };
    let count = r.count(width)?;
    let rows = r.take(count * width)?;
    events.reserve(count);
    for row in rows.chunks_exact(width) {
        let (arrived, at, aux) = if form == 0 {
            let arrived = base.wrapping_add(i64::from(u32_at(row, 16)));
            (arrived, arrived.wrapping_sub(i64::from(u32_at(row, 20) as i32)), u64_at(row, 24))
        } else {
            (u64_at(row, 16) as i64, u64_at(row, 24) as i64, u64_at(row, 32))
        };
        events.push(Event {
            kind: EventType(u32_at(row, 0) as u16),
            flags: (u32_at(row, 0) >> 16) as u16,
            subscriber: SubscriberId(u32_at(row, 4)),
            peer: PartyId(u32_at(row, 8)),
            cell: CellId(u32_at(row, 12)),
            at: Timestamp(at),
            arrived: Timestamp(arrived),
            aux,
        });
    }
    Ok(mark)
}
#[inline]
fn u32_at(row: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&row[at..at + 4]);
    u32::from_le_bytes(word)
}
#[inline]
fn u64_at(row: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&row[at..at + 8]);
    u64::from_le_bytes(word)
}
