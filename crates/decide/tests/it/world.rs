//! One subscriber's facts, and campaigns by the dozen.

use kairos_decide::{
    Campaign, Consent, ContactPolicy, Facts, FamilyId, Listed, Playbook, RunState, Share, TenantPolicy,
};
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, Channel, Currency, Money, PlaybookId, SnapshotId, SubscriberId,
    Timestamp, Zone,
};
use std::collections::BTreeSet;

pub struct Known {
    pub address: bool,
    pub suppressed: Listed,
    pub do_not_disturb: Listed,
    pub consent: Consent,
    pub audiences: BTreeSet<CampaignId>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            address: true,
            suppressed: Listed::No,
            do_not_disturb: Listed::No,
            consent: Consent::Granted,
            audiences: BTreeSet::new(),
        }
    }
}

impl Facts for Known {
    fn snapshot(&self) -> SnapshotId {
        SnapshotId(5)
    }
    fn address(&self, _: SubscriberId, _: Channel) -> bool {
        self.address
    }
    fn suppressed(&self, _: SubscriberId) -> Listed {
        self.suppressed
    }
    fn do_not_disturb(&self, _: SubscriberId) -> Listed {
        self.do_not_disturb
    }
    fn consent(&self, _: SubscriberId, _: CampaignClass, _: Channel) -> Consent {
        self.consent
    }
    fn in_audience(&self, campaign: CampaignId, _: SubscriberId) -> bool {
        self.audiences.contains(&campaign)
    }
}

pub fn campaign(id: u32) -> Campaign {
    Campaign {
        id: CampaignId(id),
        version: CampaignVersion(1),
        class: CampaignClass::Marketing,
        priority: id,
        family: FamilyId(id),
        channel: Channel::Sms,
        treatments: 1,
        hold: false,
        control: Share::NONE,
        holdout: None,
        start: Timestamp::from_secs(0),
        end: Timestamp::MAX,
        cost: Money::micros(50_000, Currency::CNY),
        budget: None,
        policy: ContactPolicy::default(),
        run: RunState::Running,
        trigger: None,
    }
}

pub fn book(campaigns: Vec<Campaign>) -> Playbook {
    book_in("Asia/Shanghai", campaigns)
}

pub fn book_in(zone: &str, campaigns: Vec<Campaign>) -> Playbook {
    Playbook::new(PlaybookId(9), TenantPolicy::new(Zone::named(zone).unwrap()), campaigns).unwrap()
}
