//! The rules themselves: all reasons against a contact, at the decision and again right before the send.

use crate::{
    facts::{Consent, Facts, Listed},
    playbook::{Campaign, Playbook, RunState, UnknownConsent},
    state::Mark,
    states::State,
};
use kairos_model::{CampaignId, ContactId, Reason, ReasonSet, SubscriberId, Timestamp, Verdict};

/// Everything that speaks against a contact at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    pub all: ReasonSet,
    /// The campaign behind the primary reason, where it is another campaign or an earlier contact.
    pub by: Option<CampaignId>,
    /// When quiet hours, holidays and a start that is still to come are over, if one of them is a reason.
    pub open_at: Option<Timestamp>,
    /// When the two caps allow the contact again, if one of them is a reason.
    pub free_at: Option<Timestamp>,
}

impl Judgement {
    pub const CLEAR: Self = Self { all: ReasonSet::EMPTY, by: None, open_at: None, free_at: None };

    /// Whether this reason only puts a contact off.
    pub const fn defers(reason: Reason) -> bool {
        use Reason::{DayCapacity, Holiday, Paused, QuietHours, RateCapacity, Waiting};
        matches!(reason, QuietHours | Holiday | DayCapacity | RateCapacity | Paused | Waiting)
    }
    /// `None` if nothing speaks against it. The primary reason decides between "later" and "no".
    pub const fn verdict(&self) -> Option<Verdict> {
        let all = self.all;
        match all.primary() {
            None => None,
            Some(primary) if Self::defers(primary) => {
                let until = match self.open_at {
                    Some(t) => t,
                    None => Timestamp::MAX,
                };
                Some(Verdict::Defer { until, primary, all })
            }
            Some(primary) => Some(Verdict::Withheld { primary, all, by: self.by }),
        }
    }
}

/// Judges every rule but capacity and budget, which are granted afterwards.
///
/// A campaign that the book does not have is `NotEligible`.
pub fn judge<F: Facts + ?Sized>(
    state: State<'_>,
    subscriber: SubscriberId,
    campaign: CampaignId,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
) -> Judgement {
    match book.campaign(campaign) {
        None => Judgement { all: ReasonSet::EMPTY.with(Reason::NotEligible), ..Judgement::CLEAR },
        Some(c) => judge_campaign(state, subscriber, c, facts, book, (now, When::Now)),
    }
}

/// Whether the contact would be made at the instant of the judgement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    /// After a delay: quiet hours and holidays of this instant do not matter.
    Later,
}

pub(crate) fn judge_campaign<F: Facts + ?Sized>(
    state: State<'_>,
    subscriber: SubscriberId,
    c: &Campaign,
    facts: &F,
    book: &Playbook,
    (now, when): (Timestamp, When),
) -> Judgement {
    let mut j = standing(state, subscriber, c, facts, book, (now, when));
    let capped = caps(state, c, None, now, &mut j);
    let holder = held_for(state, subscriber, c, facts, book, now);
    if holder.is_some() {
        j.all = j.all.with(Reason::HeldFor);
    }
    j.by = match j.all.primary() {
        Some(Reason::HeldFor) => holder,
        Some(Reason::SameMessage | Reason::OtherCampaign) => capped,
        _ => None,
    };
    j
}

/// A contact that is about to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendCheck {
    pub contact: ContactId,
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub not_after: Timestamp,
}

/// The second check, right before the send: the same rules as [`judge`], but the contact's own reservation is no contact,
/// and a campaign that began to hold its audience since does not take back what was decided before.
pub fn check_at_send<F: Facts + ?Sized>(
    state: State<'_>,
    what: &SendCheck,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
) -> Result<(), Judgement> {
    let Some(c) = book.campaign(what.campaign) else {
        return Err(Judgement { all: ReasonSet::EMPTY.with(Reason::Ended), ..Judgement::CLEAR });
    };
    let mut j = standing(state, what.subscriber, c, facts, book, (now, When::Now));
    let capped = caps(state, c, Some(what.contact), now, &mut j);
    if now > what.not_after {
        j.all = j.all.with(Reason::TooLate);
    }
    if j.all.is_empty() {
        return Ok(());
    }
    if matches!(j.all.primary(), Some(Reason::SameMessage | Reason::OtherCampaign)) {
        j.by = capped;
    }
    Err(j)
}

/// Lists, consent, times and the state of the campaign.
fn standing<F: Facts + ?Sized>(
    state: State<'_>,
    subscriber: SubscriberId,
    c: &Campaign,
    facts: &F,
    book: &Playbook,
    (now, when): (Timestamp, When),
) -> Judgement {
    let mut all = ReasonSet::EMPTY;
    let mut open_at = None;
    let mut put = |reason: Reason, when: bool| {
        if when {
            all = all.with(reason);
        }
    };
    put(Reason::NoAddress, !facts.address(subscriber, c.channel));
    let suppressed = facts.suppressed(subscriber);
    put(Reason::Suppressed, suppressed == Listed::Yes);
    put(Reason::Unreadable, suppressed == Listed::Unreadable);
    if c.policy.do_not_disturb {
        let listed = facts.do_not_disturb(subscriber);
        put(Reason::DoNotDisturb, listed == Listed::Yes);
        put(Reason::Unreadable, listed == Listed::Unreadable);
    }
    let consent = facts.consent(subscriber, c.class, c.channel);
    let denied = match consent {
        Consent::Denied => true,
        Consent::Unknown => c.policy.unknown_consent == UnknownConsent::Deny,
        Consent::Granted | Consent::Unreadable => false,
    };
    put(Reason::NoConsent, denied || state.opted_out(c.class));
    put(Reason::Unreadable, consent == Consent::Unreadable);
    put(Reason::Ended, now >= c.end);
    put(Reason::Paused, c.run == RunState::Paused || now < c.start);
    put(Reason::Stopped, c.run == RunState::Stopped);
    put(Reason::KillSwitch, book.kill);
    let calendar = book.tenant.calendar(&c.policy);
    let closed = if when == When::Now { calendar.reasons(now) } else { [None, None] };
    for reason in closed.into_iter().flatten() {
        put(reason, true);
        open_at = calendar.closed_until(now).map(|(_, until)| until);
    }
    if now < c.start {
        open_at = Some(calendar.closed_until(c.start).map_or(c.start, |(_, until)| until));
    }
    Judgement { all, by: None, open_at, free_at: None }
}

/// The two caps over the history; returns the campaign of the latest contact behind the first of them that holds.
fn caps(
    state: State<'_>,
    c: &Campaign,
    own: Option<ContactId>,
    now: Timestamp,
    j: &mut Judgement,
) -> Option<CampaignId> {
    let (mut same, mut other) = (None::<(Timestamp, CampaignId)>, None::<(Timestamp, CampaignId)>);
    for e in state.history() {
        if own.is_some_and(|k| e.is(c.id, k)) {
            continue;
        }
        let mark: Mark = e.mark();
        if e.family() == c.family && mark.counts_for_family() && now < e.stamp().plus(c.policy.same_message) {
            same = same.max(Some((e.stamp(), e.campaign())));
        }
        if e.campaign() != c.id && mark.counts_for_others() && now < e.stamp().plus(c.policy.other_campaign) {
            other = other.max(Some((e.stamp(), e.campaign())));
        }
    }
    let mut free = |hit: Option<(Timestamp, CampaignId)>, reason, window| {
        if let Some((stamp, _)) = hit {
            j.all = j.all.with(reason);
            j.free_at = j.free_at.max(Some(stamp.plus(window)));
        }
    };
    free(same, Reason::SameMessage, c.policy.same_message);
    free(other, Reason::OtherCampaign, c.policy.other_campaign);
    same.or(other).map(|(_, campaign)| campaign)
}

/// The most important campaign that keeps this subscriber for itself.
fn held_for<F: Facts + ?Sized>(
    state: State<'_>,
    subscriber: SubscriberId,
    c: &Campaign,
    facts: &F,
    book: &Playbook,
    now: Timestamp,
) -> Option<CampaignId> {
    book.holders()
        .take_while(|h| h.priority < c.priority)
        .find(|h| {
            h.id != c.id
                && h.run != RunState::Stopped
                && now < h.end
                && !state.decided_by(h.id, now)
                && facts.in_audience(h.id, subscriber)
        })
        .map(|h| h.id)
}
