//! The last question before a socket or an export file is written.

use kairos_model::{CampaignClass, CampaignId, Channel, ContactId, Reason, SubscriberId, Timestamp};

/// What is about to be written, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GateQuestion {
    pub contact: ContactId,
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub class: CampaignClass,
    pub channel: Channel,
    pub not_after: Timestamp,
    pub now: Timestamp,
}

/// Asked immediately before each write: suppression, consent, pause, kill switch, end, `not_after`.
///
/// `Err` cancels the contact for that reason. What cannot be read is an `Err(Reason::Unreadable)`, never an `Ok`.
pub trait Gate: Send + Sync {
    fn ask(&self, question: &GateQuestion) -> Result<(), Reason>;
}
