//! A chunk of a checkpoint: the records of 8,192 subscribers.
//!
//! `u32` count, then each that is not blank: `u16` place in the chunk, `i64` newest instant of place and power, `u32` cell,
//! `u8` flags (bit 7: timers and counts follow), `u32` contacts, their 20 bytes each; then `u32` timers of 32 bytes and
//! `u32` counts of `u32` campaign, `u32` stamps, `i64` each.

use crate::{
    codec::{Parsed, Reader, malformed},
    replay::CHUNK_BITS,
};
use kairos_decide::{Entry, Progress, Saved, States, Timer};
use kairos_model::{CampaignId, CampaignVersion, CellId, SubscriberId};

const LIVE: u8 = 1 << 7;
const HEAD: usize = 19;

/// Writes a chunk behind what is there.
pub fn put(out: &mut Vec<u8>, states: &States, chunk: usize) {
    let from = chunk << CHUNK_BITS;
    let to = (from + (1 << CHUNK_BITS)).min(states.len());
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut count = 0u32;
    for at in from..to {
        let s = states.get(SubscriberId(at as u32));
        if s.is_default() {
            continue;
        }
        count += 1;
        let live = !s.timers().is_empty() || !s.progress().is_empty();
        let mut head = [0; HEAD];
        head[..2].copy_from_slice(&((at - from) as u16).to_le_bytes());
        head[2..10].copy_from_slice(&s.seen_at().0.to_le_bytes());
        head[10..14].copy_from_slice(&s.cell().0.to_le_bytes());
        head[14] = s.flags() | if live { LIVE } else { 0 };
        head[15..19].copy_from_slice(&(s.history().len() as u32).to_le_bytes());
        out.extend_from_slice(&head);
        for e in s.history() {
            let mut bytes = [0; 20];
            for (to, word) in bytes.chunks_exact_mut(4).zip(e.words()) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(&bytes);
        }
        if live {
            put_live(out, s.timers(), s.progress());
        }
    }
    out[begin..begin + 4].copy_from_slice(&count.to_le_bytes());
}

fn put_live(out: &mut Vec<u8>, timers: &[Timer], progress: &[Progress]) {
    out.extend_from_slice(&(timers.len() as u32).to_le_bytes());
    for t in timers {
        out.extend_from_slice(&t.due.0.to_le_bytes());
        out.extend_from_slice(&t.campaign.0.to_le_bytes());
        out.extend_from_slice(&t.version.0.to_le_bytes());
        out.extend_from_slice(&t.occurrence.0.to_le_bytes());
        out.extend_from_slice(&t.since.0.to_le_bytes());
    }
    out.extend_from_slice(&(progress.len() as u32).to_le_bytes());
    for p in progress {
        out.extend_from_slice(&p.campaign.0.to_le_bytes());
        out.extend_from_slice(&(p.stamps.len() as u32).to_le_bytes());
        p.stamps.iter().for_each(|s| out.extend_from_slice(&s.0.to_le_bytes()));
    }
}

/// Puts a chunk's records into their places.
pub fn get(bytes: &[u8], states: &mut States, chunk: usize, subscribers_max: u32) -> Parsed<()> {
    let mut r = Reader::new(bytes);
    let from = (chunk as u64) << CHUNK_BITS;
    let mut history = Vec::new();
    for _ in 0..r.count(HEAD)? {
        let place = u64::from(r.u16()?);
        let ordinal = from + place;
        if place >> CHUNK_BITS != 0 || ordinal >= u64::from(subscribers_max) {
            return malformed(format!("subscriber s{ordinal} is past the limit of {subscribers_max}"));
        }
        let (seen_at, cell, flags, contacts) = (r.at()?, CellId(r.u32()?), r.u8()?, r.count(20)?);
        history.clear();
        for bytes in r.take(20 * contacts)?.chunks_exact(20) {
            let word = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
            match Entry::from_words([word(0), word(4), word(8), word(12), word(16)]) {
                Some(e) => history.push(e),
                None => return malformed("an entry has no mark of a contact"),
            }
        }
        let (timers, progress) = if flags & LIVE == 0 { (Vec::new(), Vec::new()) } else { get_live(&mut r)? };
        let saved = Saved { seen_at, cell, flags: flags & !LIVE, history: &history, timers, progress };
        states.restore(SubscriberId(ordinal as u32), saved);
    }
    r.end()
}

fn get_live(r: &mut Reader<'_>) -> Parsed<(Vec<Timer>, Vec<Progress>)> {
    let timers = (0..r.count(32)?)
        .map(|_| {
            Ok(Timer {
                due: r.at()?,
                campaign: CampaignId(r.u32()?),
                version: CampaignVersion(r.u32()?),
                occurrence: r.at()?,
                since: r.at()?,
            })
        })
        .collect::<Parsed<_>>()?;
    let progress = (0..r.count(8)?)
        .map(|_| {
            let campaign = CampaignId(r.u32()?);
            let stamps = (0..r.count(8)?).map(|_| r.at()).collect::<Parsed<_>>()?;
            Ok(Progress { campaign, stamps })
        })
        .collect::<Parsed<_>>()?;
    Ok((timers, progress))
}
