//! A wave: its frozen members in the order of service, a cursor, and where each member stands.

use crate::{
    library::AudienceHash,
    output::{Member, Seen, Sums},
    record::WaveRec,
};
use kairos_decide::order_key;
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, Channel, ContactState, Reason, SubscriberId, Timestamp, WaveNo,
};
use roaring::RoaringBitmap;
use std::collections::BTreeMap;

/// State, reason, holdout and dispositions of a member in 16 bits: 4 + 5 + 1 + 6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(pub u16);

impl Status {
    pub const NOT_REACHED: Self = Self(0);
    const HOLDOUT: u16 = 1 << 9;

    pub const fn new(state: ContactState) -> Self {
        Self(state as u16)
    }
    pub const fn because(state: ContactState, reason: Reason) -> Self {
        Self(state as u16 | (reason as u16) << 4)
    }
    pub const fn holdout() -> Self {
        Self(ContactState::Control as u16 | Self::HOLDOUT)
    }
    pub fn state(self) -> ContactState {
        // only states are packed; a checkpoint's bytes are checked when it is read
        ContactState::from_code((self.0 & 15) as u8).unwrap_or(ContactState::Unknown)
    }
    pub fn is_valid(self) -> bool {
        ContactState::from_code((self.0 & 15) as u8).is_some() && Reason::from_code((self.0 >> 4 & 31) as u8).is_some()
    }
    fn raw_reason(self) -> usize {
        usize::from(self.0 >> 4 & 31)
    }
    pub fn reason(self) -> Option<Reason> {
        use ContactState::{Cancelled, Deferred, Withheld};
        matches!(self.state(), Withheld | Deferred | Cancelled)
            .then(|| Reason::from_code((self.0 >> 4 & 31) as u8))
            .flatten()
    }
    pub const fn is_holdout(self) -> bool {
        self.0 & Self::HOLDOUT != 0
    }
    pub const fn seen(self) -> Seen {
        Seen((self.0 >> 10) as u8)
    }
    /// The same dispositions in another state.
    pub const fn with_seen_of(self, old: Self) -> Self {
        Self(self.0 | old.0 & 0xfc00)
    }
    pub const fn with_seen(self, bit: u8) -> Self {
        Self(self.0 | (bit as u16) << 10)
    }
}

pub struct Wave {
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    pub wave: WaveNo,
    pub audience: AudienceHash,
    pub order_salt: u64,
    pub class: CampaignClass,
    pub channel: Channel,
    pub started: Timestamp,
    pub not_after: Timestamp,
    /// Members by (order key, ordinal).
    order: Vec<u32>,
    status: Vec<Status>,
    /// Members before it have been judged.
    pub cursor: usize,
    /// Ranks to be judged again, and when at the earliest.
    pub deferred: BTreeMap<u32, Timestamp>,
    /// Contacts intended and not offered.
    pub intended: u32,
    pub closed: Option<Reason>,
    sums: Sums,
    /// Why it waits: what the last pump found. Not durable, nothing depends on it but `next_due`.
    pub waits: Option<(Reason, Timestamp)>,
    /// Whether `WaveSettled` has been told.
    pub told: bool,
}

impl Wave {
    /// A wave that has reached nobody yet.
    pub fn new(rec: &WaveRec, started: Timestamp, audience: &RoaringBitmap) -> Self {
        let mut keyed: Vec<(u64, u32)> =
            audience.iter().map(|s| (order_key(rec.order_salt, SubscriberId(s)), s)).collect();
        keyed.sort_unstable();
        let order: Vec<u32> = keyed.into_iter().map(|(_, s)| s).collect();
        let members = order.len() as u64;
        let mut sums = Sums { members, ..Sums::default() };
        sums.by_state[ContactState::NotReached as usize] = members;
        Self {
            campaign: rec.campaign,
            version: rec.version,
            wave: rec.wave,
            audience: rec.audience,
            order_salt: rec.order_salt,
            class: rec.class,
            channel: rec.channel,
            started,
            not_after: rec.not_after,
            status: vec![Status::NOT_REACHED; order.len()],
            order,
            cursor: 0,
            deferred: BTreeMap::new(),
            intended: 0,
            closed: None,
            sums,
            waits: None,
            told: false,
        }
    }
    pub fn len(&self) -> usize {
        self.order.len()
    }
    pub fn sums(&self) -> &Sums {
        &self.sums
    }
    pub fn subscriber(&self, rank: usize) -> SubscriberId {
        SubscriberId(self.order[rank])
    }
    pub fn status(&self, rank: usize) -> Status {
        self.status[rank]
    }
    pub fn statuses(&self) -> &[Status] {
        &self.status
    }
    pub fn key(&self, rank: usize) -> (u64, SubscriberId) {
        let s = self.subscriber(rank);
        (order_key(self.order_salt, s), s)
    }
    pub fn rank_of(&self, subscriber: SubscriberId) -> Option<usize> {
        let wanted = (order_key(self.order_salt, subscriber), subscriber);
        let rank = self.rank_from(wanted);
        (rank < self.len() && self.order[rank] == subscriber.0).then_some(rank)
    }
    /// The first rank at or behind a place in the order.
    pub fn rank_from(&self, place: (u64, SubscriberId)) -> usize {
        self.order.partition_point(|&s| (order_key(self.order_salt, SubscriberId(s)), SubscriberId(s)) < place)
    }
    /// Moves the cursor behind a place in the order.
    pub fn pass(&mut self, place: (u64, SubscriberId)) {
        let rank = self.rank_from(place);
        self.cursor = self.cursor.max((rank + 1).min(self.len()));
    }
    pub fn set(&mut self, rank: usize, status: Status) {
        let old = std::mem::replace(&mut self.status[rank], status);
        tally(&mut self.sums, old, |n| *n = n.saturating_sub(1));
        tally(&mut self.sums, status, |n| *n += 1);
    }
    /// Statuses as a checkpoint held them.
    pub fn restore_statuses(&mut self, status: Vec<Status>) {
        self.status = status;
        self.sums = self.recount();
    }
    /// The sums, counted from the members.
    pub fn recount(&self) -> Sums {
        let mut sums = Sums { members: self.len() as u64, ..Sums::default() };
        self.status.iter().for_each(|&s| tally(&mut sums, s, |n| *n += 1));
        sums
    }
    pub fn member(&self, rank: usize) -> Member {
        let s = self.status(rank);
        Member {
            subscriber: self.subscriber(rank),
            state: s.state(),
            reason: s.reason(),
            holdout: s.is_holdout(),
            seen: s.seen(),
        }
    }
    /// Whether anybody is still to be judged or offered.
    pub fn is_open(&self) -> bool {
        self.closed.is_none() && (self.cursor < self.len() || !self.deferred.is_empty() || self.intended > 0)
    }
    /// Whether anybody is still to be judged.
    pub fn has_unjudged(&self) -> bool {
        self.cursor < self.len() || !self.deferred.is_empty()
    }
    /// Cancels whoever is not reached or deferred. Intended contacts are cancelled one by one, with their reservations.
    pub fn cancel_unjudged(&mut self, reason: Reason) {
        let ranks: Vec<usize> =
            std::mem::take(&mut self.deferred).into_keys().map(|r| r as usize).chain(self.cursor..self.len()).collect();
        self.cursor = self.len();
        for rank in ranks {
            self.set(rank, Status::because(ContactState::Cancelled, reason));
        }
    }
}

/// Counts a member in or out of the sums.
pub fn tally(sums: &mut Sums, s: Status, change: impl Fn(&mut u64)) {
    let state = s.state();
    change(&mut sums.by_state[state as usize]);
    match state {
        ContactState::Withheld => change(&mut sums.withheld[s.raw_reason()]),
        ContactState::Cancelled => change(&mut sums.cancelled[s.raw_reason()]),
        ContactState::Control if s.is_holdout() => change(&mut sums.holdout),
        ContactState::Sent => {
            let seen = s.seen().0;
            (0..6).filter(|i| seen & 1 << i != 0).for_each(|i| change(&mut sums.seen[i]));
        }
        _ => {}
    }
}
