//! The records of all subscribers: 24 bytes each, contacts in one pool, timers and counts apart for those who have any.

use crate::{
    pool::Pool,
    state::{Entry, HISTORY_KEEP, Mark, Progress, Timer},
};
use kairos_model::{CampaignClass, CampaignId, CellId, ContactId, SubscriberId, Timestamp};

const OPTED_OUT: u8 = 0b111;
const POWER_OFF: u8 = 1 << 3;
const NO_LIVE: u32 = u32::MAX;

const fn class_bit(class: CampaignClass) -> u8 {
    1 << (class.code() - 1)
}

/// The part of a record that every event reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    /// When the newest event happened that said where or whether the phone is on: µs in the upper 56 bits; flags below.
    when: i64,
    cell: u32,
    /// Place and number of the contacts in the pool.
    block: u32,
    len: u32,
    live: u32,
}

const _: () = assert!(size_of::<Hot>() == 24);

const BLANK: Hot = Hot { when: NEVER << 8, cell: 0, block: 0, len: 0, live: NO_LIVE };
/// The lowest instant that fits.
const NEVER: i64 = -(1 << 55);

impl Hot {
    fn flags(&self) -> u8 {
        self.when as u8
    }
    fn set_flags(&mut self, flags: u8) {
        self.when = self.when & !0xff | i64::from(flags);
    }
    pub fn at(&self) -> Timestamp {
        Timestamp(self.when >> 8)
    }
    pub fn has_live(&self) -> bool {
        self.live != NO_LIVE
    }
}

/// Timers and counts of one subscriber.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Live {
    /// By (due, campaign).
    pub timers: Vec<Timer>,
    pub progress: Vec<Progress>,
}

/// One subscriber's record, to be read.
#[derive(Clone, Copy)]
pub struct State<'a> {
    hot: Hot,
    history: &'a [Entry],
    live: Option<&'a Live>,
}

impl std::fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("cell", &self.cell())
            .field("on", &self.powered_on())
            .field("history", &self.history)
            .field("live", &self.live)
            .finish()
    }
}

impl<'a> State<'a> {
    /// Of somebody of whom nothing is known.
    pub const BLANK: State<'static> = State { hot: BLANK, history: &[], live: None };

    pub fn opted_out(&self, class: CampaignClass) -> bool {
        self.hot.flags() & class_bit(class) != 0
    }
    pub fn powered_on(&self) -> bool {
        self.hot.flags() & POWER_OFF == 0
    }
    pub fn cell(&self) -> CellId {
        CellId(self.hot.cell)
    }
    /// When the newest event happened that said where the subscriber is or whether the phone is on; far in the past: none.
    pub fn seen_at(&self) -> Timestamp {
        self.hot.at()
    }
    /// Opt-outs and power as a checkpoint holds them.
    pub fn flags(&self) -> u8 {
        self.hot.flags()
    }
    /// Contacts, controls and decisions that may still matter, in the order in which they were added.
    pub fn history(&self) -> &'a [Entry] {
        self.history
    }
    /// Matches that wait, by (due, campaign).
    pub fn timers(&self) -> &'a [Timer] {
        self.live.map_or(&[], |l| &l.timers)
    }
    /// What has been counted for campaigns that ask for earlier events.
    pub fn progress(&self) -> &'a [Progress] {
        self.live.map_or(&[], |l| &l.progress)
    }
    pub fn is_default(&self) -> bool {
        self.hot.when == BLANK.when && self.hot.cell == 0 && self.history.is_empty() && self.live.is_none()
    }
    /// Whether the campaign has decided about this subscriber, either way, within [`HISTORY_KEEP`] before `now`: older
    /// decisions may have been dropped, so none of them counts.
    pub fn decided_by(&self, campaign: CampaignId, now: Timestamp) -> bool {
        self.history.iter().any(|e| e.campaign() == campaign && now < e.stamp().plus(HISTORY_KEEP))
    }
}

/// A record as a checkpoint held it.
pub struct Saved<'a> {
    pub seen_at: Timestamp,
    pub cell: CellId,
    pub flags: u8,
    pub history: &'a [Entry],
    pub timers: Vec<Timer>,
    pub progress: Vec<Progress>,
}

/// The records of all subscribers, by ordinal. Reading somebody unknown gives a blank record.
#[derive(Default, Debug)]
pub struct States {
    pub(crate) hot: Vec<Hot>,
    pool: Pool,
    lives: Vec<Live>,
    free: Vec<u32>,
}

impl States {
    /// One more than the highest ordinal that has a record.
    pub fn len(&self) -> usize {
        self.hot.len()
    }
    pub fn is_empty(&self) -> bool {
        self.hot.is_empty()
    }
    /// Gets memory for `subscribers` records, without touching it.
    pub fn make_room(&mut self, subscribers: usize) {
        let (len, more) = (self.hot.len(), subscribers.saturating_sub(self.hot.len()));
        if subscribers > self.hot.capacity() {
            // an eighth more: doubling would leave half of the memory unused
            self.hot.reserve_exact(more.max(len / 8));
        }
    }
    /// Makes `subscribers` records, blank ones where there are none.
    pub fn reserve(&mut self, subscribers: usize) {
        self.make_room(subscribers);
        if subscribers > self.hot.len() {
            self.hot.resize(subscribers, BLANK);
        }
    }
    /// Where the memory of records and contacts lies: begin and bytes.
    pub fn regions(&self) -> impl Iterator<Item = (*const u8, usize)> + '_ {
        std::iter::once((self.hot.as_ptr().cast(), size_of::<Hot>() * self.hot.capacity())).chain(self.pool.regions())
    }
    /// Asks the processor for the contacts of a record whose line is there.
    #[inline]
    pub fn prefetch_history(&self, subscriber: SubscriberId) {
        if let Some(hot) = self.hot.get(subscriber.0 as usize)
            && let [first, .., last] | [first @ last] = self.pool.get(hot.block, hot.len)
        {
            crate::prefetch::read(first);
            crate::prefetch::read(last);
        }
    }
    #[inline]
    pub fn get(&self, subscriber: SubscriberId) -> State<'_> {
        match self.hot.get(subscriber.0 as usize) {
            None => State::BLANK,
            Some(&hot) => State { hot, history: self.pool.get(hot.block, hot.len), live: self.live(&hot) },
        }
    }
    fn live(&self, hot: &Hot) -> Option<&Live> {
        self.lives.get(hot.live as usize)
    }
    /// Asks the processor for the record's line.
    #[inline]
    pub fn prefetch(&self, subscriber: SubscriberId) {
        if let Some(hot) = self.hot.get(subscriber.0 as usize) {
            crate::prefetch::read(hot);
        }
    }
    #[inline]
    pub(crate) fn hot_mut(&mut self, subscriber: SubscriberId) -> &mut Hot {
        let i = subscriber.0 as usize;
        if i >= self.hot.len() {
            self.grow(i);
        }
        &mut self.hot[i]
    }
    #[cold]
    fn grow(&mut self, i: usize) {
        self.reserve(i + 1);
    }

    /// `class: None` = every class.
    pub fn set_opted_out(&mut self, subscriber: SubscriberId, class: Option<CampaignClass>, out: bool) {
        let hot = self.hot_mut(subscriber);
        let bits = class.map_or(OPTED_OUT, class_bit);
        hot.set_flags(if out { hot.flags() | bits } else { hot.flags() & !bits });
    }
    /// Notes what an event says of place and power, unless something newer is known. Returns whether it was noted.
    #[inline]
    pub(crate) fn note(hot: &mut Hot, at: Timestamp, cell: CellId, power: Option<bool>) -> bool {
        let at = at.0.clamp(NEVER, (1 << 55) - 1);
        if at < hot.when >> 8 || (cell == CellId::NONE && power.is_none()) {
            return false;
        }
        let mut flags = hot.flags();
        match power {
            Some(true) => flags &= !POWER_OFF,
            Some(false) => flags |= POWER_OFF,
            None => {}
        }
        hot.when = at << 8 | i64::from(flags);
        if cell != CellId::NONE {
            hot.cell = cell.0;
        }
        true
    }

    /// Adds an entry; drops those that no window can reach any more.
    pub fn add(&mut self, subscriber: SubscriberId, entry: Entry) {
        let mut hot = *self.hot_mut(subscriber);
        let oldest = entry.stamp().minus(HISTORY_KEEP);
        let past = |e: &Entry| e.stamp() <= oldest && !matches!(e.mark(), Mark::Pending | Mark::Unknown);
        while let Some(i) = self.pool.get(hot.block, hot.len).iter().position(past) {
            self.pool.remove(&mut hot.block, &mut hot.len, i);
        }
        self.pool.push(&mut hot.block, &mut hot.len, entry);
        self.hot[subscriber.0 as usize] = hot;
    }
    fn find(&self, subscriber: SubscriberId, campaign: CampaignId, contact: ContactId) -> Option<usize> {
        self.get(subscriber).history.iter().rposition(|e| e.is(campaign, contact))
    }
    /// Changes what an entry stands for, and its stamp if one is given; `false` if there is no such entry.
    pub fn remark(
        &mut self,
        subscriber: SubscriberId,
        campaign: CampaignId,
        contact: ContactId,
        mark: Mark,
        stamp: Option<Timestamp>,
    ) -> bool {
        let Some(i) = self.find(subscriber, campaign, contact) else { return false };
        let hot = self.hot[subscriber.0 as usize];
        self.pool.get_mut(hot.block, hot.len)[i].remark(mark, stamp);
        true
    }
    /// Takes an entry back (a released reservation); `false` if there is no such entry.
    pub fn release(&mut self, subscriber: SubscriberId, campaign: CampaignId, contact: ContactId) -> bool {
        let Some(i) = self.find(subscriber, campaign, contact) else { return false };
        let hot = &mut self.hot[subscriber.0 as usize];
        self.pool.remove(&mut hot.block, &mut hot.len, i);
        true
    }

    pub(crate) fn live_of(&self, subscriber: SubscriberId) -> Option<&Live> {
        self.lives.get(self.hot.get(subscriber.0 as usize)?.live as usize)
    }
    /// Made where there is none; give it to [`States::tidy`] after taking something out.
    pub(crate) fn live_mut(&mut self, subscriber: SubscriberId) -> &mut Live {
        if !self.hot_mut(subscriber).has_live() {
            let at = self.free.pop().unwrap_or_else(|| {
                self.lives.push(Live::default());
                self.lives.len() as u32 - 1
            });
            self.hot[subscriber.0 as usize].live = at;
        }
        &mut self.lives[self.hot[subscriber.0 as usize].live as usize]
    }
    /// Gives the room back if nothing is left in it.
    pub(crate) fn tidy(&mut self, subscriber: SubscriberId) {
        let Some(hot) = self.hot.get_mut(subscriber.0 as usize) else { return };
        if let Some(live) = self.lives.get_mut(hot.live as usize)
            && live.timers.is_empty()
            && live.progress.is_empty()
        {
            // an emptied vector keeps its room for the next subscriber that needs one
            if live.timers.capacity() > 8 || live.progress.capacity() > 8 {
                *live = Live::default();
            }
            self.free.push(hot.live);
            hot.live = NO_LIVE;
        }
    }
    /// Takes a timer out; `None` if it is not there (any more).
    pub(crate) fn take_timer(
        &mut self,
        subscriber: SubscriberId,
        due: Timestamp,
        campaign: CampaignId,
    ) -> Option<Timer> {
        let live = self.lives.get_mut(self.hot.get(subscriber.0 as usize)?.live as usize)?;
        let at = live.timers.iter().position(|t| t.due == due && t.campaign == campaign)?;
        let timer = live.timers.remove(at);
        self.tidy(subscriber);
        Some(timer)
    }
    pub(crate) fn put_timer(&mut self, subscriber: SubscriberId, timer: Timer) {
        let timers = &mut self.live_mut(subscriber).timers;
        let at = timers.partition_point(|t| (t.due, t.campaign) < (timer.due, timer.campaign));
        if timers.capacity() == 0 {
            timers.reserve_exact(1);
        }
        timers.insert(at, timer);
    }

    /// Takes out every timer that `which` names, in the order of ordinals.
    pub fn drop_timers(&mut self, which: impl Fn(SubscriberId, &Timer) -> bool) -> Vec<(SubscriberId, Timer)> {
        let mut gone = Vec::new();
        for s in (0..self.hot.len() as u32).map(SubscriberId) {
            if self.live_of(s).is_none_or(|l| !l.timers.iter().any(|t| which(s, t))) {
                continue;
            }
            let live = self.live_mut(s);
            gone.extend(live.timers.iter().filter(|t| which(s, t)).map(|&t| (s, t)));
            live.timers.retain(|t| !which(s, t));
            self.tidy(s);
        }
        gone
    }
    /// Every timer there is.
    pub fn timers(&self) -> impl Iterator<Item = (SubscriberId, &Timer)> {
        let of = |(s, hot): (usize, &Hot)| {
            let timers = self.live(hot).map_or(&[][..], |l| &l.timers);
            timers.iter().map(move |t| (SubscriberId(s as u32), t)).collect::<Vec<_>>()
        };
        self.hot.iter().enumerate().filter(|(_, h)| h.has_live()).flat_map(of)
    }

    /// A record of a checkpoint, into a place that has none yet.
    pub fn restore(&mut self, subscriber: SubscriberId, saved: Saved<'_>) {
        let at = saved.seen_at.0.clamp(NEVER, (1 << 55) - 1);
        let (mut block, mut len) = (0, 0);
        self.pool.fill(&mut block, &mut len, saved.history);
        *self.hot_mut(subscriber) =
            Hot { when: at << 8 | i64::from(saved.flags), cell: saved.cell.0, block, len, live: NO_LIVE };
        if !saved.timers.is_empty() || !saved.progress.is_empty() {
            *self.live_mut(subscriber) = Live { timers: saved.timers, progress: saved.progress };
        }
    }
    /// Bytes in memory: records, contacts, timers and counts.
    pub fn bytes(&self) -> [usize; 3] {
        let live = |l: &Live| size_of::<Timer>() * l.timers.capacity() + size_of::<Progress>() * l.progress.capacity();
        [
            size_of::<Hot>() * self.hot.capacity(),
            self.pool.bytes(),
            size_of::<Live>() * self.lives.capacity() + self.lives.iter().map(live).sum::<usize>(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::FamilyId;

    const WHO: SubscriberId = SubscriberId(3);

    fn entry(at: i64, c: u32, mark: Mark) -> Entry {
        Entry::new(Timestamp::from_secs(at), CampaignId(c), FamilyId(c), ContactId(u64::from(c)), mark)
    }

    #[test]
    fn history_is_not_limited_to_four_and_drops_only_what_no_window_reaches() {
        let mut s = States::default();
        for i in 0..100 {
            s.add(WHO, entry(i, i as u32, Mark::Sent));
        }
        s.add(WHO, entry(0, 900, Mark::Unknown));
        assert_eq!(s.get(WHO).history().len(), 101);
        // second 50 is exactly the window away, so it cannot matter; second 51 still can
        s.add(WHO, entry(50 + HISTORY_KEEP.as_secs(), 901, Mark::Sent));
        let state = s.get(WHO);
        assert_eq!((state.history().len(), state.history()[0].stamp().secs()), (51, 51));
        assert!(!state.decided_by(CampaignId(900), Timestamp::from_secs(HISTORY_KEEP.as_secs())));
        assert!(state.decided_by(CampaignId(901), Timestamp::from_secs(60 + HISTORY_KEEP.as_secs())));
    }

    #[test]
    fn a_reservation_is_confirmed_or_taken_back() {
        let mut s = States::default();
        s.add(WHO, entry(10, 1, Mark::Pending));
        s.add(WHO, entry(10, 2, Mark::Pending));
        assert!(s.remark(WHO, CampaignId(1), ContactId(1), Mark::Sent, Some(Timestamp::from_secs(12))));
        assert!(s.release(WHO, CampaignId(2), ContactId(2)));
        assert!(!s.release(WHO, CampaignId(2), ContactId(2)));
        assert_eq!(s.get(WHO).history(), [entry(12, 1, Mark::Sent)]);
        assert!(s.get(SubscriberId(99)).is_default());
    }

    #[test]
    fn opt_outs_are_per_class_and_leave_power_and_place_alone() {
        let mut s = States::default();
        let noted = States::note(s.hot_mut(WHO), Timestamp(5), CellId(7), Some(false));
        s.set_opted_out(WHO, Some(CampaignClass::Marketing), true);
        let state = s.get(WHO);
        assert!(noted && state.opted_out(CampaignClass::Marketing) && !state.opted_out(CampaignClass::Care));
        assert_eq!((state.powered_on(), state.cell(), state.seen_at()), (false, CellId(7), Timestamp(5)));
        s.set_opted_out(WHO, None, true);
        s.set_opted_out(WHO, Some(CampaignClass::Marketing), false);
        let state = s.get(WHO);
        assert!(!state.opted_out(CampaignClass::Marketing) && state.opted_out(CampaignClass::PublicInterest));
    }

    #[test]
    fn an_older_event_moves_nothing() {
        let mut s = States::default();
        assert!(States::note(s.hot_mut(WHO), Timestamp(10), CellId(7), Some(true)));
        assert!(!States::note(s.hot_mut(WHO), Timestamp(9), CellId(8), Some(false)));
        assert!(!States::note(s.hot_mut(WHO), Timestamp(11), CellId::NONE, None));
        assert!(States::note(s.hot_mut(WHO), Timestamp(10), CellId::NONE, Some(false)));
        assert_eq!((s.get(WHO).cell(), s.get(WHO).powered_on()), (CellId(7), false));
    }
}
