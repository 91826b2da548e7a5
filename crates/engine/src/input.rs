//! What the engine is told.

use crate::library::AudienceHash;
use kairos_decide::FamilyId;
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, ContactId, Disposition, Event, PlaybookId, Reason, SnapshotId,
    SubscriberId, Timestamp, WaveNo,
};
use std::sync::Arc;

/// A wave: one record, and a cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartWave {
    pub campaign: CampaignId,
    /// Must be the version in the playbook.
    pub version: CampaignVersion,
    /// From 1.
    pub wave: WaveNo,
    pub audience: AudienceHash,
    /// Whoever has not been offered by then is `cancelled(too_late)`. [`Timestamp::MAX`]: until the campaign ends.
    pub not_after: Timestamp,
}

/// What became of an offered contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The centre has taken it: all segments of a long message. File channel: in a closed and synced file.
    Accepted,
    /// A definite no, with the channel's own status code, and no retry is left.
    Refused { status: u32 },
    /// It has certainly not been written: the Gate, or the channel itself, refused. Pause, kill switch, quiet hours and
    /// holidays put it back, to be offered later; every other reason cancels it.
    Cancelled { reason: Reason },
    /// The answer is lost, or some of the segments have none.
    Unknown,
    /// A receipt, a reply, an order. Receipts (`Delivered`, `Undelivered`, `Expired`) prove that the centre had taken it
    /// and settle an unknown.
    Seen(Disposition),
}

/// Events with where they came from, so that each is taken once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EventBatch {
    pub origin: Origin,
    /// `arrived` is the stamp of the intake. One that is below the stamp before, or [`Timestamp::MIN`], is raised to it;
    /// one after the call's `now` is lowered to that.
    pub events: Vec<Event>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Origin {
    /// Nothing is known: taken as often as it comes.
    #[default]
    None,
    /// A file or a stream: what lies from offset `from` up to `to`. Offsets below the highest `to` so far are not taken
    /// again. `each`: the offset of each event, ascending; empty: one event an offset.
    Offsets { source: u32, partition: u32, from: u64, to: u64, each: Vec<u64> },
    /// A hash of (source, id) for each event. One that is among the last `ids_max` is not taken again.
    Ids(Vec<u64>),
}

/// A contact that was sent before this engine knew the subscriber.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PastContact {
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub family: FamilyId,
    pub stamp: Timestamp,
}

/// Stamped once when it is handed over.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    SwapPlaybook(PlaybookId),
    SwapFacts(SnapshotId),
    StartWave(StartWave),
    Pause(CampaignId),
    Resume(CampaignId),
    /// For good: not reached, deferred and not yet offered members become `cancelled(stopped)`.
    Stop(CampaignId),
    /// On: nothing is decided or offered until it is off again. Nobody is cancelled by it.
    KillSwitch(bool),
    /// `class: None` = every class. In force before `handle` returns; contacts not yet offered are cancelled.
    OptOut {
        subscriber: SubscriberId,
        class: Option<CampaignClass>,
    },
    /// A later consent: takes an opt-out back.
    OptIn {
        subscriber: SubscriberId,
        class: Option<CampaignClass>,
    },
    Outcome {
        contact: ContactId,
        outcome: Outcome,
    },
    /// What happened on the network. `arrived` is overwritten with the stamp.
    Event(Event),
    /// What happened on the network, stamped at its intake. One record: all or nothing of it is taken.
    Events(Arc<EventBatch>),
    /// Contacts that another system made before: they count for the caps like sent ones. Taken as often as it is given.
    Past(Arc<Vec<PastContact>>),
    /// Nothing but time.
    Tick,
}
