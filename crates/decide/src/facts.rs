//! What a decision may read about a subscriber: an immutable, versioned snapshot.

use crate::matrix::Matrix;
use kairos_model::{CampaignClass, CampaignId, Channel, SnapshotId, SubscriberId};
use std::sync::Arc;

/// Whether somebody is on a list. A list that cannot be read is never taken for an empty one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed {
    No,
    Yes,
    Unreadable,
}

/// Consent of one subscriber for one purpose on one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    Granted,
    Denied,
    /// Never asked: the tenant's setting decides, and ships as deny.
    Unknown,
    Unreadable,
}

/// One snapshot: whoever holds it reads the same answers for ever. No call reads a disk.
pub trait Facts: Send + Sync {
    /// The version that decisions name.
    fn snapshot(&self) -> SnapshotId;
    /// Whether the subscriber can be reached on the channel at all (has a number, an address).
    fn address(&self, subscriber: SubscriberId, channel: Channel) -> bool;
    /// The tenant's global suppression list, by the subscriber's present number.
    fn suppressed(&self, subscriber: SubscriberId) -> Listed;
    fn do_not_disturb(&self, subscriber: SubscriberId) -> Listed;
    fn consent(&self, subscriber: SubscriberId, class: CampaignClass, channel: Channel) -> Consent;
    /// Whether the subscriber is in the frozen audience of a campaign that holds it. Asked only for holding campaigns.
    fn in_audience(&self, campaign: CampaignId, subscriber: SubscriberId) -> bool;
    /// The static bits of the campaigns that have a trigger. Asked at a swap, not per event.
    fn matrix(&self) -> Option<&Arc<Matrix>> {
        None
    }
    /// Whether the subscriber is in a control group that the campaign brings with it, as a list; `None`: it brings none,
    /// and its share decides. Must not change over the campaign's life.
    fn listed_control(&self, _campaign: CampaignId, _subscriber: SubscriberId) -> Option<bool> {
        None
    }
}
