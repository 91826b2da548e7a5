//! The engine as it was at an instant: its journal applied again up to there, beside the live state.

use crate::{
    core::{Core, Shelf},
    engine::Engine,
    error::EngineError,
    output::{ContactView, Member, Waterfall},
    trail::PARTITION,
};
use kairos_decide::{Facts, Judgement, Playbook};
use kairos_journal::{Position, Reader};
use kairos_model::{CampaignId, PlaybookId, SnapshotId, SubscriberId, Timestamp, WaveNo};
use roaring::RoaringBitmap;

/// What it takes to make a past state; needs no engine any more, so that nothing waits for it.
pub struct Replay {
    records: Reader,
    shelf: Shelf,
    empty: Core,
    /// Behind the last record when this was made.
    end: Position,
}

/// The state at an instant: everything stamped up to it is in.
pub struct Past {
    core: Core,
    pub at: Timestamp,
}

impl Engine {
    /// Prepares a replay from the journal's first record on. `Forgotten` if that is not the first ever: then older
    /// states cannot be made.
    pub fn replay(&self) -> Result<Replay, EngineError> {
        let (first, end) = self.trail_ends();
        if first > Position(0) {
            return Err(EngineError::Forgotten { first });
        }
        Ok(Replay {
            records: self.journal().read_from(PARTITION, first)?,
            shelf: Shelf::new(self.shelf.library.clone()),
            empty: Core::new(self.config.subscribers_max, self.config.partitions, self.config.ids_max),
            end,
        })
    }
}

impl Replay {
    /// Applies every record stamped up to `at`. Errors as in recovery: a record that does not read, a playbook, snapshot
    /// or audience that the library lacks.
    pub fn until(mut self, at: Timestamp) -> Result<Past, EngineError> {
        let mut core = self.empty;
        while let Some(record) = self.records.next_ref() {
            let record = record?;
            let position = record.position;
            if record.stamp > at || position >= self.end {
                break;
            }
            core.replay_one(record.stamp, record.kind, record.payload, &mut self.shelf).map_err(|e| e.at(position))?;
        }
        Ok(Past { core, at })
    }
}

impl Past {
    /// What spoke against a contact of this campaign then; `None` before the first playbook and facts.
    pub fn judge(&self, subscriber: SubscriberId, campaign: CampaignId) -> Option<Judgement> {
        self.core.judge(self.at, subscriber, campaign)
    }
    /// Where the subscriber stood in each wave of a campaign, by wave.
    pub fn state_of(&self, subscriber: SubscriberId, campaign: CampaignId) -> Vec<(WaveNo, Member)> {
        self.core.state_of(subscriber, campaign)
    }
    /// Contacts that the subscriber had, in the order in which their waves were started.
    pub fn contacts_of(&self, subscriber: SubscriberId) -> Vec<ContactView> {
        self.core.contacts_of(subscriber)
    }
    /// The playbook and snapshot that were in force.
    pub fn in_force(&self) -> (Option<PlaybookId>, Option<SnapshotId>) {
        (self.core.base.as_ref().map(|b| b.id), self.core.facts.as_ref().map(|f| f.snapshot()))
    }
    /// As [`Engine::simulate`], with the contact history of then.
    pub fn simulate(
        &self,
        book: &Playbook,
        facts: &dyn Facts,
        campaign: CampaignId,
        members: &RoaringBitmap,
    ) -> Waterfall {
        self.core.simulate(self.at, book, facts, campaign, members)
    }
}
