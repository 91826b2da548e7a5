//! The engine's face. (The bodies follow; the signatures are final.)

use crate::{
    config::EngineConfig,
    error::EngineError,
    input::Input,
    library::Library,
    output::{ContactView, Member, Offered, Output, Recovered, Sums, Waterfall, WaveView},
};
use kairos_decide::{Facts, Judgement, Playbook};
use kairos_journal::Journal;
use kairos_model::{CampaignId, Channel, ContactId, PlaybookId, Reason, SnapshotId, SubscriberId, Timestamp, WaveNo};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// See the crate. One engine owns its journal and checkpoint directory; calls take it by `&mut`.
pub struct Engine {
    config: EngineConfig,
    journal: Journal,
    library: Arc<dyn Library>,
}

impl Engine {
    /// Loads the newest whole checkpoint and replays the journal behind it.
    pub fn open(
        config: EngineConfig,
        journal: Journal,
        library: Arc<dyn Library>,
    ) -> Result<(Self, Recovered), EngineError> {
        let found = Recovered { last: None, replayed: 0, unknown: Vec::new(), notes: Vec::new() };
        Ok((Self { config, journal, library }, found))
    }
    /// Applies the inputs and whatever is due at `now`, in one group commit. Outputs are durable.
    pub fn handle(&mut self, _now: Timestamp, _inputs: &[Input]) -> Result<Vec<Output>, EngineError> {
        Err(EngineError::Poisoned)
    }
    /// Contacts to send now, at most `max` and at most what the channel's window leaves; durable as offered.
    /// The outputs are what else became durable on the way (decisions, cancellations).
    pub fn offer(
        &mut self,
        _now: Timestamp,
        _channel: Channel,
        _max: usize,
    ) -> Result<(Vec<Offered>, Vec<Output>), EngineError> {
        Err(EngineError::Poisoned)
    }
    /// When time alone makes something due; `None`: nothing but an input can.
    pub fn next_due(&self) -> Option<Timestamp> {
        None
    }
    /// Writes a checkpoint now. Otherwise one follows every `checkpoint_every` records.
    pub fn checkpoint(&mut self) -> Result<(), EngineError> {
        self.config.disk.create_dir_all(&self.config.checkpoint_dir).map_err(|cause| EngineError::Checkpoint {
            what: "make directory",
            path: self.config.checkpoint_dir.clone(),
            cause,
        })
    }
    /// What the Gate must know of the engine right before a socket write: pause, stop, kill switch, end, lateness, opt-out,
    /// and that the contact is offered and not answered.
    pub fn gate(&self, _now: Timestamp, _contact: ContactId) -> Result<(), Reason> {
        Err(Reason::Unreadable)
    }
    pub fn sums(&self, _campaign: CampaignId, _wave: WaveNo) -> Option<Sums> {
        None
    }
    /// All waves, in the order in which they were started.
    pub fn waves(&self) -> Vec<WaveView> {
        Vec::new()
    }
    /// The members of a wave in the order of its cursor.
    pub fn members(&self, _campaign: CampaignId, _wave: WaveNo) -> impl Iterator<Item = Member> + '_ {
        std::iter::empty()
    }
    /// Where a subscriber stands in every wave of a campaign that has them.
    pub fn state_of(&self, _subscriber: SubscriberId, _campaign: CampaignId) -> Vec<(WaveNo, Member)> {
        Vec::new()
    }
    pub fn contact(&self, _id: ContactId) -> Option<ContactView> {
        None
    }
    /// Contacts of one subscriber, oldest wave first.
    pub fn contacts_of(&self, _subscriber: SubscriberId) -> Vec<ContactView> {
        Vec::new()
    }
    /// Unknown contacts, by id.
    pub fn unknowns(&self) -> Vec<ContactView> {
        Vec::new()
    }
    /// Offered and not answered: what a kill switch could not recall.
    pub fn in_flight(&self) -> Vec<ContactView> {
        Vec::new()
    }
    /// What speaks against a contact of this campaign at `now`; `None` before the first playbook and facts.
    pub fn judge(&self, _now: Timestamp, _subscriber: SubscriberId, _campaign: CampaignId) -> Option<Judgement> {
        None
    }
    /// Judges every member as a wave would, with the live contact history but any playbook and facts, budget included,
    /// capacities apart. Changes nothing.
    pub fn simulate(
        &self,
        _now: Timestamp,
        _book: &Playbook,
        _facts: &dyn Facts,
        _campaign: CampaignId,
        _members: &RoaringBitmap,
    ) -> Waterfall {
        Waterfall::default()
    }
    /// The playbook and snapshot in force.
    pub fn in_force(&self) -> (Option<PlaybookId>, Option<SnapshotId>) {
        (None, None)
    }
    /// Millionths that a campaign has spent or reserved.
    pub fn spent(&self, _campaign: CampaignId) -> i64 {
        0
    }
    /// The journal, to read the trail from; see `engine::trail`.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
    /// The library it was opened with.
    pub fn library(&self) -> &Arc<dyn Library> {
        &self.library
    }
}
