//! What the engine says, and only when it is durable.

use crate::{
    codec::{Parsed, Reader, Writer, malformed},
    error::Refusal,
};
use kairos_model::{
    CampaignId, CampaignVersion, Channel, ContactId, ContactState, DecisionRecord, Disposition, Reason, SubscriberId,
    Timestamp, WaveNo,
};

/// One line of the trail of decisions and contacts: told live as it becomes durable, and read again from the journal
/// with [`crate::Engine::trail_from`]. Ordinals and ids only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trail {
    /// A send (then `contact` is intended, with its cap reservation), a control, a withholding or a deferral.
    Decision {
        record: DecisionRecord,
        contact: ContactId,
        channel: Channel,
    },
    /// Handed to the channel.
    Offered {
        stamp: Timestamp,
        what: Which,
    },
    /// The contact's state changed. `Pending`: it has been put back to be offered later; `reason` says why.
    Settled {
        stamp: Timestamp,
        what: Which,
        state: ContactState,
        reason: Option<Reason>,
        status: Option<u32>,
    },
    /// A disposition that was not known before.
    Seen {
        stamp: Timestamp,
        what: Which,
        disposition: Disposition,
    },
    WaveStarted {
        stamp: Timestamp,
        campaign: CampaignId,
        version: CampaignVersion,
        wave: WaveNo,
        members: u32,
    },
    /// Members not reached, deferred or not yet offered were cancelled.
    WaveClosed {
        stamp: Timestamp,
        campaign: CampaignId,
        wave: WaveNo,
        reason: Reason,
        cancelled: u32,
    },
    OptedOut {
        stamp: Timestamp,
        subscriber: SubscriberId,
    },
}

/// A contact by all its names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Which {
    pub contact: ContactId,
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub wave: WaveNo,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    Trail(Trail),
    /// The input at this place of the call was refused.
    Refused {
        input: usize,
        why: Refusal,
    },
    /// An outcome for a contact that the engine does not know, or that says nothing new.
    Ignored {
        input: usize,
        contact: ContactId,
    },
    /// Nothing of the wave is open any more: not reached, deferred and pending are 0.
    WaveSettled {
        campaign: CampaignId,
        wave: WaveNo,
    },
}

/// A contact to be sent now; durable as offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offered {
    pub contact: ContactId,
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    pub wave: WaveNo,
    pub treatment: u8,
    pub not_after: Timestamp,
}

/// Dispositions seen of a contact.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Seen(pub(crate) u8);

impl Seen {
    const LIST: [Disposition; 6] = [
        Disposition::Delivered,
        Disposition::Undelivered,
        Disposition::Expired,
        Disposition::Replied,
        Disposition::OptedOut,
        Disposition::Ordered,
    ];
    /// `None` for dispositions that are states of the contact itself (accepted, refused, exported).
    pub(crate) fn bit(d: Disposition) -> Option<u8> {
        Self::LIST.iter().position(|&x| x == d).map(|i| 1 << i)
    }
    pub fn has(self, d: Disposition) -> bool {
        Self::bit(d).is_some_and(|b| self.0 & b != 0)
    }
    pub fn iter(self) -> impl Iterator<Item = Disposition> {
        Self::LIST.into_iter().filter(move |&d| self.has(d))
    }
}

/// The states of all members of a wave, or of all occurrences of a campaign's trigger (invariant 13). The terms of `by_state` add up to `members` at every instant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// Of a trigger: events that matched.
    pub members: u64,
    /// Index: `ContactState as usize`.
    pub by_state: [u64; 9],
    /// Within `control`.
    pub holdout: u64,
    /// `withheld` by primary reason; index: `Reason as usize`.
    pub withheld: [u64; Reason::COUNT],
    /// `cancelled` by reason.
    pub cancelled: [u64; Reason::COUNT],
    /// Within `sent`, by disposition: [`Sums::seen`].
    pub(crate) seen: [u64; 6],
}

impl Sums {
    /// Adds another wave's members.
    pub fn add(&mut self, other: &Self) {
        fn each<const N: usize>(a: &mut [u64; N], b: &[u64; N]) {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        }
        self.members += other.members;
        self.holdout += other.holdout;
        each(&mut self.by_state, &other.by_state);
        each(&mut self.withheld, &other.withheld);
        each(&mut self.cancelled, &other.cancelled);
        each(&mut self.seen, &other.seen);
    }
    pub(crate) fn put(&self, w: &mut Writer) {
        w.u64(self.members).u64(self.holdout);
        // reasons may become more: their number is written
        w.u8(Reason::COUNT as u8);
        let all = self.by_state.iter().chain(&self.withheld).chain(&self.cancelled).chain(&self.seen);
        all.for_each(|&n| {
            w.u64(n);
        });
    }
    pub(crate) fn get(r: &mut Reader<'_>) -> Parsed<Self> {
        let mut sums = Self { members: r.u64()?, holdout: r.u64()?, ..Self::default() };
        let reasons = usize::from(r.u8()?);
        if reasons > Reason::COUNT {
            return malformed(format!("{reasons} reasons, more than the {} that there are", Reason::COUNT));
        }
        for n in &mut sums.by_state {
            *n = r.u64()?;
        }
        for n in sums.withheld.iter_mut().take(reasons) {
            *n = r.u64()?;
        }
        for n in sums.cancelled.iter_mut().take(reasons) {
            *n = r.u64()?;
        }
        for n in &mut sums.seen {
            *n = r.u64()?;
        }
        Ok(sums)
    }
    pub fn of(&self, state: ContactState) -> u64 {
        self.by_state[state as usize]
    }
    /// Sent contacts with this disposition: delivered, undelivered, expired, replied, opted out, ordered.
    pub fn seen(&self, d: Disposition) -> u64 {
        Seen::bit(d).map_or(0, |b| self.seen[b.trailing_zeros() as usize])
    }
    pub fn withheld_by(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().map(|&r| (r, self.withheld[r as usize])).filter(|&(_, n)| n > 0)
    }
    pub fn cancelled_by(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().map(|&r| (r, self.cancelled[r as usize])).filter(|&(_, n)| n > 0)
    }
    pub fn adds_up(&self) -> bool {
        self.by_state.iter().sum::<u64>() == self.members
            && self.withheld.iter().sum::<u64>() == self.of(ContactState::Withheld)
            && self.cancelled.iter().sum::<u64>() == self.of(ContactState::Cancelled)
            && self.holdout <= self.of(ContactState::Control)
            && self.seen.iter().all(|&n| n <= self.of(ContactState::Sent))
    }
    /// Whether nothing is open any more.
    pub fn is_settled(&self) -> bool {
        use ContactState::{Deferred, NotReached, Pending};
        [NotReached, Deferred, Pending].iter().all(|&s| self.of(s) == 0)
    }
}

/// Where one member of a wave stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    pub subscriber: SubscriberId,
    pub state: ContactState,
    /// Why it is withheld, deferred or cancelled.
    pub reason: Option<Reason>,
    pub holdout: bool,
    pub seen: Seen,
}

/// One contact of the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContactView {
    pub contact: ContactId,
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    pub wave: WaveNo,
    pub treatment: u8,
    pub channel: Channel,
    pub state: ContactState,
    pub reason: Option<Reason>,
    pub seen: Seen,
    /// When it was decided.
    pub intended: Timestamp,
    pub offered: Option<Timestamp>,
    /// When it was answered, cancelled or given up as unknown.
    pub settled: Option<Timestamp>,
}

/// One wave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaveView {
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    pub wave: WaveNo,
    pub audience: crate::AudienceHash,
    pub started: Timestamp,
    pub not_after: Timestamp,
    /// Why it was closed before all were reached or offered.
    pub closed: Option<Reason>,
    /// Why it waits, and until when, as of the last call.
    pub waits: Option<(Reason, Timestamp)>,
    pub sums: Sums,
}

/// What a wave would do if every capacity were free: contacts nobody, changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Waterfall {
    pub members: u64,
    /// By primary reason.
    pub withheld: [u64; Reason::COUNT],
    /// Deferred by primary reason.
    pub deferred: [u64; Reason::COUNT],
    pub control: u64,
    /// Not within `control` here: a term of its own.
    pub holdout: u64,
    pub sent: u64,
}

/// What the intake of events has counted since the engine was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IntakeCounts {
    /// Taken: journalled and decided.
    pub events: u64,
    /// Not taken again: below the offset of their source, or of a known id.
    pub duplicates: u64,
    /// Not taken: subscriber past the limit.
    pub refused: u64,
    /// Taken, and too old to trigger anything.
    pub stale: u64,
}

/// What opening found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Stamp that the engine will not go behind.
    pub last: Option<Timestamp>,
    /// Records replayed behind the checkpoint.
    pub replayed: u64,
    /// Offered without an outcome: now unknown, to be settled by receipts only.
    pub unknown: Vec<ContactId>,
    /// What an operator should read: torn checkpoints that were passed over.
    pub notes: Vec<String>,
}
