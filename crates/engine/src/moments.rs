//! Occurrences of triggers by campaign: where they stand, added up.

use crate::{
    output::Sums,
    wave::{Status, tally},
};
use kairos_model::{CampaignId, ContactState, Reason};
use std::collections::BTreeMap;

/// The occurrences of one campaign.
#[derive(Default)]
pub struct Moments {
    pub sums: Sums,
    /// Contacts intended and not offered.
    pub intended: u32,
    /// Matches while the campaign already waited for the subscriber: no occurrences of their own.
    pub merged: u64,
}

impl Moments {
    /// A new occurrence stands here.
    pub fn enter(&mut self, status: Status) {
        self.sums.members += 1;
        tally(&mut self.sums, status, |n| *n += 1);
    }
    /// One moves from here to there.
    pub fn shift(&mut self, from: Status, to: Status) {
        tally(&mut self.sums, from, |n| *n = n.saturating_sub(1));
        tally(&mut self.sums, to, |n| *n += 1);
    }
    /// Whether anybody waits or is not yet offered.
    pub fn is_open(&self) -> bool {
        self.intended > 0 || self.sums.of(ContactState::Deferred) > 0
    }
}

pub const WAITING: Status = Status::because(ContactState::Deferred, Reason::Waiting);

pub type ByCampaign = BTreeMap<CampaignId, Moments>;
