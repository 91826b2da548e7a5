//! Reading the engine: sums, members, contacts, what a contact would meet now.

use crate::{
    core::Core,
    engine::Engine,
    ledger::{Contact, Home, Phase},
    output::{ContactView, IntakeCounts, Member, Sums, Waterfall, WaveView},
    wave::{Status, tally},
};
use kairos_decide::{Arm, Facts, Failing, Judgement, Playbook, State, arm_of, explain, judge, order_key, order_salt};
use kairos_journal::Journal;
use kairos_model::{
    CampaignId, ContactId, ContactState, PlaybookId, Reason, SnapshotId, SubscriberId, Timestamp, Verdict, WaveNo,
};
use roaring::RoaringBitmap;

impl Engine {
    /// The states of a wave's members, right now. [`WaveNo::MOMENT`]: of the occurrences of the campaign's trigger;
    /// `None` if there was none yet.
    pub fn sums(&self, campaign: CampaignId, wave: WaveNo) -> Option<Sums> {
        if wave == WaveNo::MOMENT {
            return self.core.moments.get(&campaign).map(|m| m.sums.clone());
        }
        self.core.wave_at(campaign, wave).map(|at| self.core.waves[at].sums().clone())
    }
    /// The same, counted from the members instead of kept along: for audits and tests. Of a trigger what waits and the
    /// contacts are counted; what was withheld, controls and what was cancelled before it became a contact are not kept
    /// one by one, and stand as they were added up.
    pub fn recount(&self, campaign: CampaignId, wave: WaveNo) -> Option<Sums> {
        if wave == WaveNo::MOMENT {
            return self.recount_moments(campaign);
        }
        self.core.wave_at(campaign, wave).map(|at| self.core.waves[at].recount())
    }
    fn recount_moments(&self, campaign: CampaignId) -> Option<Sums> {
        use ContactState::{Deferred, Failed, Pending, Sent, Unknown};
        let kept = &self.core.moments.get(&campaign)?.sums;
        let mut counted = Sums::default();
        for c in self.core.ledger.contacts.values() {
            if let Home::Moment { campaign: of, status, .. } = c.home
                && of == campaign
            {
                tally(&mut counted, status, |n| *n += 1);
            }
        }
        let waiting = self.core.states.timers().filter(|(_, t)| t.campaign == campaign).count();
        counted.by_state[Deferred as usize] = waiting as u64;
        let mut sums = Sums { seen: counted.seen, ..kept.clone() };
        for state in [Deferred, Failed, Pending, Sent, Unknown] {
            sums.by_state[state as usize] = counted.by_state[state as usize];
        }
        Some(sums)
    }
    /// Campaigns whose trigger has matched: their sums, and how often they matched while waiting already.
    pub fn moments(&self) -> impl Iterator<Item = (CampaignId, &Sums, u64)> + '_ {
        self.core.moments.iter().map(|(&id, m)| (id, &m.sums, m.merged))
    }
    /// What the intake of events has counted.
    pub fn intake(&self) -> IntakeCounts {
        self.core.intake
    }
    /// Every check that keeps an event from a contact of the campaign at `now`, with the subscriber as they are.
    pub fn explain(&self, now: Timestamp, event: &kairos_model::Event, campaign: CampaignId) -> Option<Vec<Failing>> {
        let (book, facts) = (self.core.book.as_ref()?, self.core.facts.as_ref()?);
        Some(explain(&self.core.states, event, campaign, &**facts, book, now))
    }
    /// Bytes in memory: records of subscribers, their contacts, timers and counts.
    pub fn state_bytes(&self) -> [usize; 3] {
        self.core.states.bytes()
    }
    /// Subscribers with a record: one more than the highest ordinal.
    pub fn subscribers(&self) -> usize {
        self.core.states.len()
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
    /// Contacts of one subscriber, in the order in which their waves were started; then those of triggers, by time.
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
    pub fn state(&self, subscriber: SubscriberId) -> Option<State<'_>> {
        Some(self.core.states.get(subscriber)).filter(|s| !s.is_default())
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
        let (which, status) = (self.which(id, c), self.status(c));
        let known = |t: Timestamp| (t > Timestamp::MIN).then_some(t);
        ContactView {
            contact: id,
            subscriber: which.subscriber,
            campaign: which.campaign,
            version: c.version,
            wave: which.wave,
            treatment: c.treatment,
            channel: c.channel,
            state: status.state(),
            reason: Status::reason(status),
            seen: status.seen(),
            intended: c.intended,
            offered: known(c.offered),
            settled: known(c.settled),
        }
    }
    pub(crate) fn contacts_of(&self, subscriber: SubscriberId) -> Vec<ContactView> {
        let ids = self.waves.iter().map(|w| ContactId::of_wave(w.campaign, w.wave, subscriber));
        let mut found: Vec<ContactView> = ids.filter_map(|id| self.contact(id)).collect();
        // a person's question: the ledger has no index by subscriber
        let mine = |c: &Contact| matches!(c.home, Home::Moment { subscriber: s, .. } if s == subscriber);
        let all = self.ledger.contacts.iter();
        let mut moments: Vec<ContactView> = all.filter(|(_, c)| mine(c)).map(|(&id, c)| self.view(id, c)).collect();
        moments.sort_unstable_by_key(|c| (c.intended, c.campaign));
        found.append(&mut moments);
        found
    }
    pub(crate) fn judge(&self, now: Timestamp, subscriber: SubscriberId, campaign: CampaignId) -> Option<Judgement> {
        let (book, facts) = (self.book.as_ref()?, self.facts.as_ref()?);
        Some(judge(self.states.get(subscriber), subscriber, campaign, &**facts, book, now))
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
        for (_, s) in order {
            let subscriber = SubscriberId(s);
            match (judge(self.states.get(subscriber), subscriber, campaign, facts, book, now).verdict(), found) {
                (Some(Verdict::Defer { primary, .. }), _) => fall.deferred[primary as usize] += 1,
                (Some(Verdict::Withheld { primary, .. }), _) => fall.withheld[primary as usize] += 1,
                (_, Some(c)) if !tally.affordable(c) => fall.withheld[Reason::Budget as usize] += 1,
                (_, Some(c)) => match arm_of(c, subscriber, facts) {
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
