//! The trail of decisions and contacts, read again from the journal.

use crate::{
    error::EngineError,
    output::{Trail, Which},
    record::{Change, FiredRec, OutcomeRec, Rec, WalkRec},
};
use kairos_journal::{Journal, Position};
use kairos_model::{ContactId, ContactState, DecisionRecord, Reason, Timestamp, WaveNo};
use std::collections::VecDeque;

/// The partition that holds the engine's records.
pub(crate) const PARTITION: u16 = 0;

/// What one record says, in order.
pub(crate) fn tell(stamp: Timestamp, rec: &Rec, out: &mut impl FnMut(Trail)) {
    match rec {
        Rec::Wave(x) => out(Trail::WaveStarted {
            stamp,
            campaign: x.campaign,
            version: x.version,
            wave: x.wave,
            members: x.members,
        }),
        Rec::Walk(x) => decisions(stamp, x, out),
        Rec::Offer(list) => list.iter().for_each(|&what| out(Trail::Offered { stamp, what })),
        Rec::Outcome(x) => changes(stamp, x, out),
        &Rec::Close { campaign, wave, reason, cancelled } => {
            out(Trail::WaveClosed { stamp, campaign, wave, reason, cancelled });
        }
        Rec::Recovered(list) => {
            list.iter().for_each(|&what| out(settled(stamp, what, ContactState::Unknown, None, None)));
        }
        &Rec::Opt { subscriber, out: true, .. } => out(Trail::OptedOut { stamp, subscriber }),
        Rec::Fired(x) => moments(x, out),
        // events are not told: what follows from them is
        Rec::Book(_)
        | Rec::Facts(_)
        | Rec::Run { .. }
        | Rec::Kill(_)
        | Rec::Opt { .. }
        | Rec::Event(_)
        | Rec::Events(_)
        | Rec::Tick
        | Rec::Past(_)
        | Rec::MomentsEnd { .. } => {}
    }
}

const fn settled(
    stamp: Timestamp,
    what: Which,
    state: ContactState,
    reason: Option<Reason>,
    status: Option<u32>,
) -> Trail {
    Trail::Settled { stamp, what, state, reason, status }
}

fn decisions(stamp: Timestamp, x: &WalkRec, out: &mut impl FnMut(Trail)) {
    for item in &x.items {
        let record = DecisionRecord {
            stamp,
            subscriber: item.subscriber,
            campaign: x.campaign,
            version: x.version,
            wave: x.wave,
            treatment: item.treatment,
            verdict: item.verdict,
            snapshot: x.snapshot,
            playbook: x.book,
        };
        let contact = ContactId::of_wave(x.campaign, x.wave, item.subscriber);
        out(Trail::Decision { record, contact, channel: x.channel });
    }
}

fn moments(x: &FiredRec, out: &mut impl FnMut(Trail)) {
    for item in &x.items {
        let record = DecisionRecord {
            stamp: item.stamp,
            subscriber: item.subscriber,
            campaign: item.campaign,
            version: item.version,
            wave: WaveNo::MOMENT,
            treatment: item.treatment,
            verdict: item.verdict,
            snapshot: x.snapshot,
            playbook: x.book,
        };
        out(Trail::Decision { record, contact: item.contact(), channel: item.channel });
    }
}

fn changes(stamp: Timestamp, x: &OutcomeRec, out: &mut impl FnMut(Trail)) {
    use ContactState::{Cancelled, Deferred, Failed, Pending, Sent, Unknown};
    let what = x.which;
    match x.change {
        Change::Accepted => out(settled(stamp, what, Sent, None, None)),
        Change::Refused { status } => out(settled(stamp, what, Failed, None, Some(status))),
        Change::Cancelled(reason) => out(settled(stamp, what, Cancelled, Some(reason), None)),
        Change::PutBack(reason) => out(settled(stamp, what, Pending, Some(reason), None)),
        Change::Deferred { reason, .. } => out(settled(stamp, what, Deferred, Some(reason), None)),
        Change::Unknown => out(settled(stamp, what, Unknown, None, None)),
        Change::Seen(disposition) => out(Trail::Seen { stamp, what, disposition }),
        Change::SeenSettles(disposition) => {
            out(settled(stamp, what, Sent, None, None));
            out(Trail::Seen { stamp, what, disposition });
        }
    }
}

/// The trail from a position of the journal on, with the position of the record behind each line: read on from the
/// position after the last one seen. Ends at what was committed when it was made; the first error ends it.
pub struct TrailReader {
    records: kairos_journal::Reader,
    ready: VecDeque<(Position, Trail)>,
}

impl TrailReader {
    pub(crate) fn new(journal: &Journal, from: Position) -> Result<Self, EngineError> {
        Ok(Self { records: journal.read_from(PARTITION, from)?, ready: VecDeque::new() })
    }
}

impl Iterator for TrailReader {
    type Item = Result<(Position, Trail), EngineError>;
    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let record = match self.records.next_ref()? {
                Ok(record) => record,
                Err(e) => return Some(Err(e.into())),
            };
            let position = record.position;
            match Rec::decode(record.kind, record.payload) {
                Ok(rec) => tell(record.stamp, &rec, &mut |t| self.ready.push_back((position, t))),
                Err(e) => return Some(Err(EngineError::Record { position, why: e.0 })),
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
