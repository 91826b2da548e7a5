//! The contact ledger: every contact that was ever intended, the queues of those to be offered, those in flight.

use crate::wave::Status;
use kairos_model::{CampaignId, CampaignVersion, Channel, ContactId, SubscriberId, Timestamp, hash::FixedMap};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    Intended = 1,
    Offered = 2,
    /// Answered, cancelled or unknown: the member's status says which.
    Settled = 3,
}

impl Phase {
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Intended),
            2 => Some(Self::Offered),
            3 => Some(Self::Settled),
            _ => None,
        }
    }
}

/// Whose contact it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// Place of the wave, and the member's rank in it: the wave knows where the member stands.
    Wave { wave: u32, rank: u32 },
    /// An occurrence of a trigger, by the arrival stamp of its event.
    Moment { subscriber: SubscriberId, campaign: CampaignId, occurrence: Timestamp, status: Status },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contact {
    pub home: Home,
    pub version: CampaignVersion,
    pub treatment: u8,
    pub channel: Channel,
    pub phase: Phase,
    /// Millionths reserved from the budget.
    pub cost: i64,
    pub intended: Timestamp,
    /// [`Timestamp::MIN`]: not yet. So for `settled`.
    pub offered: Timestamp,
    pub settled: Timestamp,
}

impl Contact {
    /// Intended now; the rest is for the caller to fill in.
    pub const fn intended(home: Home, stamp: Timestamp) -> Self {
        Self {
            home,
            version: CampaignVersion(0),
            treatment: 0,
            channel: Channel::Sms,
            phase: Phase::Intended,
            cost: 0,
            intended: stamp,
            offered: Timestamp::MIN,
            settled: Timestamp::MIN,
        }
    }
}

#[derive(Default)]
pub struct Ledger {
    pub contacts: FixedMap<ContactId, Contact>,
    /// Intended contacts by channel, in the order of their grants.
    pub queues: BTreeMap<Channel, VecDeque<ContactId>>,
    /// Offered without an answer, by the instant of the offer.
    pub in_flight: BTreeSet<(Timestamp, ContactId)>,
    flying: BTreeMap<Channel, u32>,
    /// Offers in the latest whole second in which the channel was offered any.
    pace: BTreeMap<Channel, (i64, u32)>,
}

impl Ledger {
    pub fn get(&self, id: ContactId) -> Option<&Contact> {
        self.contacts.get(&id)
    }
    pub fn flying(&self, channel: Channel) -> u32 {
        self.flying.get(&channel).copied().unwrap_or(0)
    }
    /// How many contacts the channel was offered in the whole second of `stamp`.
    pub fn offered_in_second(&self, channel: Channel, stamp: Timestamp) -> u32 {
        self.pace.get(&channel).filter(|p| p.0 == stamp.secs()).map_or(0, |p| p.1)
    }
    fn count_offer(&mut self, channel: Channel, stamp: Timestamp) {
        let pace = self.pace.entry(channel).or_insert((stamp.secs(), 0));
        if pace.0 < stamp.secs() {
            *pace = (stamp.secs(), 0);
        }
        if pace.0 == stamp.secs() {
            pace.1 += 1;
        }
    }
    /// Enters a contact of a checkpoint.
    pub fn restore(&mut self, id: ContactId, contact: Contact) {
        if contact.offered > Timestamp::MIN {
            self.count_offer(contact.channel, contact.offered);
        }
        if contact.phase == Phase::Offered {
            self.fly(id, contact.channel, contact.offered);
        }
        self.contacts.insert(id, contact);
    }
    pub fn intend(&mut self, id: ContactId, contact: Contact) {
        self.queues.entry(contact.channel).or_default().push_back(id);
        self.contacts.insert(id, contact);
    }
    fn unqueue(&mut self, id: ContactId, channel: Channel) {
        if let Some(queue) = self.queues.get_mut(&channel)
            && let Some(at) = queue.iter().position(|&x| x == id)
        {
            queue.remove(at);
        }
    }
    fn land(&mut self, id: ContactId, contact: &Contact) {
        if self.in_flight.remove(&(contact.offered, id))
            && let Some(n) = self.flying.get_mut(&contact.channel)
        {
            *n = n.saturating_sub(1);
        }
    }
    fn fly(&mut self, id: ContactId, channel: Channel, offered: Timestamp) {
        if self.in_flight.insert((offered, id)) {
            *self.flying.entry(channel).or_default() += 1;
        }
    }
    /// Moves a contact into a phase, out of its queue or flight; returns it as it was before.
    pub fn shift(&mut self, id: ContactId, phase: Phase, stamp: Timestamp) -> Option<Contact> {
        let before = *self.contacts.get(&id)?;
        match before.phase {
            Phase::Intended => self.unqueue(id, before.channel),
            Phase::Offered => self.land(id, &before),
            Phase::Settled => {}
        }
        let mut after = Contact { phase, ..before };
        match phase {
            Phase::Intended => {
                (after.offered, after.settled) = (Timestamp::MIN, Timestamp::MIN);
                // it was granted before those that wait behind it
                self.queues.entry(before.channel).or_default().push_front(id);
            }
            Phase::Offered => {
                after.offered = stamp;
                self.fly(id, before.channel, stamp);
                self.count_offer(before.channel, stamp);
            }
            Phase::Settled => after.settled = stamp,
        }
        self.contacts.insert(id, after);
        Some(before)
    }
    /// Where a trigger's contact stands.
    pub fn set_status(&mut self, id: ContactId, to: Status) {
        if let Some(Contact { home: Home::Moment { status, .. }, .. }) = self.contacts.get_mut(&id) {
            *status = to;
        }
    }
    /// Forgets a contact whose reservation was released before it was offered for good: it will be decided anew.
    pub fn forget(&mut self, id: ContactId) {
        self.contacts.remove(&id);
    }
}
