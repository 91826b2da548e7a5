//! Reading the engine: sums, members, contacts, what a contact would meet now.

use crate::{
    core::Core,
    engine::Engine,
    ledger::{Contact, Phase},
    output::{ContactView, Member, Sums, Waterfall, WaveView},
};
use kairos_decide::{Arm, Facts, Judgement, Playbook, State, arm_of, judge, order_key, order_salt};
use kairos_journal::Journal;
use kairos_model::{
    CampaignId, ContactId, ContactState, PlaybookId, Reason, SnapshotId, SubscriberId, Timestamp, Verdict, WaveNo,
};
use roaring::RoaringBitmap;

impl Engine {
    /// The states of a wave's members, right now.
    pub fn sums(&self, campaign: CampaignId, wave: WaveNo) -> Option<Sums> {
        self.core.wave_at(campaign, wave).map(|at| self.core.waves[at].sums().clone())
    }
    /// The same, counted from the members instead of kept along: for audits and tests.
    pub fn recount(&self, campaign: CampaignId, wave: WaveNo) -> Option<Sums> {
        self.core.wave_at(campaign, wave).map(|at| self.core.waves[at].recount())
    }
    /// All waves, in the order in which they were started.
    pub fn waves(&self) -> Vec<WaveView> {
        let view = |w: &crate::wave::Wave| WaveView {
            campaign: w.campaign,
            version: w.version,
            wave: w.wave,
            audience: w.audience,
            started: w.started,
            not_after: w.not_after,
            closed: w.closed,
            waits: w.waits,
            sums: w.sums().clone(),
        };
        self.core.waves.iter().map(view).collect()
    }
    /// The members of a wave in the order of its cursor.
    pub fn members(&self, campaign: CampaignId, wave: WaveNo) -> impl Iterator<Item = Member> + '_ {
        let found = self.core.wave_at(campaign, wave).map(|at| &self.core.waves[at]);
        found.into_iter().flat_map(|w| (0..w.len()).map(move |rank| w.member(rank)))
    }
    /// Where a subscriber stands in each wave of a campaign that has them, by wave.
    pub fn state_of(&self, subscriber: SubscriberId, campaign: CampaignId) -> Vec<(WaveNo, Member)> {
        self.core.state_of(subscriber, campaign)
    }
    pub fn contact(&self, id: ContactId) -> Option<ContactView> {
        self.core.contact(id)
    }
    /// Contacts of one subscriber, in the order in which their waves were started.
    pub fn contacts_of(&self, subscriber: SubscriberId) -> Vec<ContactView> {
        self.core.contacts_of(subscriber)
    }
    /// Unknown contacts, by id.
    pub fn unknowns(&self) -> Vec<ContactView> {
        self.settled_as(ContactState::Unknown)
    }
    fn settled_as(&self, state: ContactState) -> Vec<ContactView> {
        let all = self.core.ledger.contacts.iter();
        let mut found: Vec<ContactView> = all
            .filter(|(_, c)| c.phase == Phase::Settled && self.core.status(c).state() == state)
            .map(|(&id, c)| self.core.view(id, c))
            .collect();
        found.sort_unstable_by_key(|c| c.contact);
        found
    }
    /// Offered and not answered, oldest first: what a kill switch could not recall.
    pub fn in_flight(&self) -> Vec<ContactView> {
        let flying = self.core.ledger.in_flight.iter();
        flying.filter_map(|&(_, id)| self.contact(id)).collect()
    }
    /// What speaks against a contact of this campaign at `now`; `None` before the first playbook and facts.
    pub fn judge(&self, now: Timestamp, subscriber: SubscriberId, campaign: CampaignId) -> Option<Judgement> {
        self.core.judge(now, subscriber, campaign)
    }
    /// A subscriber's record; `None`: nothing is known of them.
    pub fn state(&self, subscriber: SubscriberId) -> Option<&State> {
        self.core.states.get(subscriber.0 as usize)
    }
    /// Judges every member as a wave would at `now`, with the live contact history but any playbook and facts, budget
    /// included, rate and day capacity apart. Changes nothing. `members` = withheld + deferred + control + holdout + sent.
    pub fn simulate(
        &self,
        now: Timestamp,
        book: &Playbook,
        facts: &dyn Facts,
        campaign: CampaignId,
        members: &RoaringBitmap,
    ) -> Waterfall {
        self.core.simulate(now, book, facts, campaign, members)
    }
    /// The playbook and snapshot in force.
    pub fn in_force(&self) -> (Option<PlaybookId>, Option<SnapshotId>) {
        (self.core.base.as_ref().map(|b| b.id), self.core.facts.as_ref().map(|f| f.snapshot()))
    }
    /// The playbook in force, with the engine's own pauses, stops and kill switch in it.
    pub fn book(&self) -> Option<&Playbook> {
        self.core.book.as_deref()
    }
    /// Whether the kill switch is on.
    pub fn killed(&self) -> bool {
        self.core.kill
    }
    /// Millionths that a campaign has spent or reserved.
    pub fn spent(&self, campaign: CampaignId) -> i64 {
        self.core.allocator.spent_by(campaign)
    }
    /// The highest stamp given so far.
    pub fn last_stamp(&self) -> Timestamp {
        self.core.last
    }
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

/// The same of any state: the live one, or one made again of the journal.
impl Core {
    pub(crate) fn state_of(&self, subscriber: SubscriberId, campaign: CampaignId) -> Vec<(WaveNo, Member)> {
        let waves = self.by_wave.range((campaign, WaveNo(0))..=(campaign, WaveNo(u16::MAX)));
        waves
            .filter_map(|(&(_, no), &at)| {
                let wave = &self.waves[at];
                Some((no, wave.member(wave.rank_of(subscriber)?)))
            })
            .collect()
    }
    pub(crate) fn contact(&self, id: ContactId) -> Option<ContactView> {
        self.ledger.get(id).map(|c| self.view(id, c))
    }
    pub(crate) fn view(&self, id: ContactId, c: &Contact) -> ContactView {
        let wave = &self.waves[c.wave as usize];
        let member = wave.member(c.rank as usize);
        let known = |t: Timestamp| (t > Timestamp::MIN).then_some(t);
        ContactView {
            contact: id,
            subscriber: member.subscriber,
            campaign: wave.campaign,
            version: c.version,
            wave: wave.wave,
            treatment: c.treatment,
            channel: c.channel,
            state: member.state,
            reason: member.reason,
            seen: member.seen,
            intended: c.intended,
            offered: known(c.offered),
            settled: known(c.settled),
        }
    }
    pub(crate) fn contacts_of(&self, subscriber: SubscriberId) -> Vec<ContactView> {
        let ids = self.waves.iter().map(|w| ContactId::of_wave(w.campaign, w.wave, subscriber));
        ids.filter_map(|id| self.contact(id)).collect()
    }
    pub(crate) fn judge(&self, now: Timestamp, subscriber: SubscriberId, campaign: CampaignId) -> Option<Judgement> {
        let (book, facts) = (self.book.as_ref()?, self.facts.as_ref()?);
        let no_state = State::default();
        let state = self.states.get(subscriber.0 as usize).unwrap_or(&no_state);
        Some(judge(state, subscriber, campaign, &**facts, book, now))
    }
    pub(crate) fn simulate(
        &self,
        now: Timestamp,
        book: &Playbook,
        facts: &dyn Facts,
        campaign: CampaignId,
        members: &RoaringBitmap,
    ) -> Waterfall {
        let mut fall = Waterfall { members: members.len(), ..Waterfall::default() };
        let found = book.campaign(campaign);
        let salt = found.map_or(0, order_salt);
        let mut order: Vec<(u64, u32)> = members.iter().map(|s| (order_key(salt, SubscriberId(s)), s)).collect();
        order.sort_unstable();
        let mut tally = self.allocator.clone();
        let no_state = State::default();
        for (_, s) in order {
            let subscriber = SubscriberId(s);
            let state = self.states.get(s as usize).unwrap_or(&no_state);
            match (judge(state, subscriber, campaign, facts, book, now).verdict(), found) {
                (Some(Verdict::Defer { primary, .. }), _) => fall.deferred[primary as usize] += 1,
                (Some(Verdict::Withheld { primary, .. }), _) => fall.withheld[primary as usize] += 1,
                (_, Some(c)) if !tally.affordable(c) => fall.withheld[Reason::Budget as usize] += 1,
                (_, Some(c)) => match arm_of(c, subscriber) {
                    Arm::Control => fall.control += 1,
                    Arm::Holdout => fall.holdout += 1,
                    Arm::Send => {
                        tally.take(book, c.channel, c.id, c.cost.micros, now);
                        fall.sent += 1;
                    }
                },
                (_, None) => fall.withheld[Reason::NotEligible as usize] += 1,
            }
        }
        fall
    }
}
