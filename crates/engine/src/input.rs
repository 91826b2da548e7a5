//! What the engine is told.

use crate::library::AudienceHash;
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, ContactId, Disposition, Event, PlaybookId, Reason, SnapshotId,
    SubscriberId, Timestamp, WaveNo,
};

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

/// Stamped once when it is handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    /// Nothing but time.
    Tick,
}
