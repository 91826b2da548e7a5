//! Each durable line of the trail, held against what it may say.

use super::{Check, Contact, Entry, Meaning, Member, Model, Stage, Wave, ensure, fail, judge::Arm, judge::arm, local};
use kairos_engine::{Trail, Which};
use kairos_model::{
    CampaignId, ContactId, ContactState, DecisionRecord, Reason, ReasonSet, SubscriberId, Timestamp, Verdict, WaveNo,
};

impl Model {
    /// One line, told live or found after a crash.
    pub fn line(&mut self, line: &Trail) -> Check {
        let stamp = stamp_of(line);
        ensure!(stamp >= self.durable, "stamps never decrease", "{line:?} after {}", self.durable);
        self.durable = stamp;
        self.high = self.high.max(stamp);
        self.told.push(*line);
        match *line {
            Trail::Decision { ref record, contact, .. } => self.decision(record, contact),
            Trail::Offered { stamp, what } => self.offered(stamp, what),
            Trail::Settled { stamp, what, state, reason, .. } => self.settled(stamp, what, state, reason),
            Trail::Seen { what, disposition, .. } => {
                let bit = 1 << disposition.code();
                self.change(what, |m| m.seen |= bit)
            }
            Trail::WaveStarted { campaign, wave, .. } => self.started(campaign, wave),
            Trail::WaveClosed { campaign, wave, reason, cancelled, stamp } => {
                self.closed_wave(stamp, campaign, wave, reason, cancelled)
            }
            // the engine tells it where it stands among the outcomes of one call
            Trail::OptedOut { subscriber, .. } => {
                let asked = self.asked.inputs.iter().find_map(|i| match i {
                    kairos_engine::Input::OptOut { subscriber: s, class } if *s == subscriber => Some(*class),
                    _ => None,
                });
                match asked {
                    Some(class) => self.set_out(subscriber, class, true),
                    None => return fail("an opt-out that nobody asked for", format!("{line:?}")),
                }
                Ok(())
            }
            #[allow(unreachable_patterns)]
            _ => Ok(()),
        }
    }

    fn started(&mut self, campaign: CampaignId, wave: WaveNo) -> Check {
        let Some(&(hash, not_after)) = self.audiences.get(&(campaign, wave)) else {
            return fail("a wave that nobody started", format!("{campaign} {wave}"));
        };
        let Some(members) = self.shelves.members(&hash) else {
            return fail("a wave that nobody started", format!("no audience {hash}"));
        };
        let new = Member { state: ContactState::NotReached, reason: None, holdout: false, seen: 0 };
        let mut list = vec![None; self.people.len()];
        members.iter().for_each(|s| list[s as usize] = Some(new));
        let mut by_state = [0; 9];
        by_state[ContactState::NotReached as usize] = members.len();
        let at = self.waves.len();
        let twice = self.by_wave.insert((campaign, wave), at).is_some();
        ensure!(!twice, "a wave starts once", "{campaign} {wave}");
        self.waves.push(Wave {
            campaign,
            wave,
            not_after,
            members: list,
            size: members.len(),
            by_state,
            closed: false,
        });
        let run = self.runs.entry(campaign).or_insert(kairos_decide::RunState::Running);
        if *run == kairos_decide::RunState::Approved {
            *run = kairos_decide::RunState::Running;
        }
        Ok(())
    }

    fn member(&self, campaign: CampaignId, wave: WaveNo, s: SubscriberId) -> Option<&Member> {
        self.waves[*self.by_wave.get(&(campaign, wave))?].members.get(s.0 as usize)?.as_ref()
    }
    fn change(&mut self, what: Which, change: impl FnOnce(&mut Member)) -> Check {
        let found = self.by_wave.get(&(what.campaign, what.wave)).copied();
        let wave = found.and_then(|at| self.waves.get_mut(at));
        let Some(wave) = wave else { return fail("a member of no wave", format!("{what:?}")) };
        let Some(Some(m)) = wave.members.get_mut(what.subscriber.0 as usize) else {
            return fail("a member of no wave", format!("{what:?}"));
        };
        wave.by_state[m.state as usize] -= 1;
        change(m);
        wave.by_state[m.state as usize] += 1;
        Ok(())
    }

    fn decision(&mut self, r: &DecisionRecord, contact: ContactId) -> Check {
        let (s, c, stamp) = (r.subscriber, r.campaign, r.stamp);
        let Some(book) = self.book.clone() else { return fail("decisions follow the book in force", format!("{r:?}")) };
        ensure!(
            r.playbook == book.id && Some(r.snapshot) == self.snapshot(),
            "decisions follow the book in force",
            "{r:?}, in force {:?} {:?}",
            book.id,
            self.snapshot()
        );
        let right = contact == ContactId::of_wave(c, r.wave, s);
        ensure!(right, "a contact has one name", "{contact} for {r:?}");
        let Some(m) = self.member(c, r.wave, s).copied() else { return fail("a member of no wave", format!("{r:?}")) };
        let open = matches!(m.state, ContactState::NotReached | ContactState::Deferred);
        ensure!(open, "a member is decided once", "{r:?}, and was {:?}", m.state);
        ensure!(!self.kill, "halted: nothing is decided", "{r:?} while the kill switch is on");
        let Some(campaign) = book.campaign(c).cloned() else {
            return fail("decisions follow the book in force", format!("no campaign for {r:?}"));
        };
        let against = self.against(s, c, stamp);
        let wanted = if !against.is_empty() {
            Err(against)
        } else if !self.affordable(&campaign) {
            Err(ReasonSet::EMPTY.with(Reason::Budget))
        } else {
            Ok(arm(&campaign, s))
        };
        let got = match r.verdict {
            Verdict::Send => Ok(Arm::Send),
            Verdict::Control => Ok(Arm::Control),
            Verdict::Holdout => Ok(Arm::Holdout),
            Verdict::Withheld { all, .. } | Verdict::Defer { all, .. } => Err(all),
        };
        if got != wanted {
            let check = match (got, wanted) {
                (Ok(Arm::Send), Ok(_)) => "control group and holdout hold",
                (Ok(_), Err(_)) => "a decision follows the rules: somebody slips through",
                _ => "a decision follows the rules",
            };
            let history = &self.people[s.0 as usize].history;
            return fail(check, format!("{r:?}: must be {wanted:?}; history {history:?}"));
        }
        self.apply(r, contact, &campaign)
    }

    fn apply(&mut self, r: &DecisionRecord, contact: ContactId, c: &kairos_decide::Campaign) -> Check {
        let what = Which { contact, subscriber: r.subscriber, campaign: r.campaign, wave: r.wave };
        let (state, reason, meaning) = match r.verdict {
            Verdict::Send => (ContactState::Pending, None, Some(Meaning::Reserved)),
            Verdict::Control | Verdict::Holdout => (ContactState::Control, None, Some(Meaning::Control)),
            Verdict::Withheld { primary, .. } => {
                (ContactState::Withheld, Some(primary), c.hold.then_some(Meaning::Decided))
            }
            Verdict::Defer { primary, .. } => (ContactState::Deferred, Some(primary), None),
        };
        let holdout = r.verdict == Verdict::Holdout;
        self.change(what, |m| *m = Member { state, reason, holdout, seen: m.seen })?;
        if let Some(meaning) = meaning {
            let entry = Entry { contact, campaign: r.campaign, family: c.family, at: r.stamp, meaning };
            self.people[r.subscriber.0 as usize].history.push(entry);
        }
        if r.verdict == Verdict::Send {
            self.grant(r, contact, c)?;
        }
        Ok(())
    }

    fn grant(&mut self, r: &DecisionRecord, contact: ContactId, c: &kairos_decide::Campaign) -> Check {
        let second = r.stamp.secs();
        if self.granted_in_second.0 != second {
            self.granted_in_second = (second, 0);
        }
        self.granted_in_second.1 += 1;
        let day = self.granted_in_day.entry(local(r.stamp).1).or_default();
        *day += 1;
        let limit = self.book.as_ref().map(|b| b.tenant.capacity(c.channel)).unwrap_or_default();
        let n = self.granted_in_second.1;
        ensure!(limit.per_second.is_none_or(|max| n <= max), "capacity: the rate holds", "{n} grants: {r:?}");
        ensure!(limit.per_day.is_none_or(|max| *day <= max.into()), "capacity: the day holds", "{day} grants: {r:?}");
        *self.spent.entry(c.id).or_default() += c.cost.micros;
        let new = Contact {
            subscriber: r.subscriber,
            campaign: r.campaign,
            wave: r.wave,
            family: c.family,
            book: r.playbook,
            cost: c.cost.micros,
            granted: r.stamp,
            offered: Timestamp::MIN,
            until: Timestamp::MIN,
            stage: Stage::Intended,
            segments: self.contacts.get(&contact).map(|k| k.segments.clone()).unwrap_or_default(),
            of: 0,
        };
        self.contacts.insert(contact, new);
        Ok(())
    }

    fn offered(&mut self, stamp: Timestamp, what: Which) -> Check {
        let Some(k) = self.contacts.get_mut(&what.contact) else {
            return fail("offered only after it was intended", format!("{what:?}"));
        };
        ensure!(k.stage == Stage::Intended, "offered only after it was intended", "{what:?} is {:?}", k.stage);
        ensure!(k.subscriber == what.subscriber, "a contact has one name", "{what:?} {k:?}");
        ensure!(
            !k.segments.iter().any(|s| matches!(s, super::Segment::Open | super::Segment::Accepted)),
            "an unknown is never offered again",
            "{what:?} {k:?}"
        );
        (k.stage, k.offered) = (Stage::Offered, stamp);
        let end = self.book.as_ref().and_then(|b| b.campaign(what.campaign)).map_or(Timestamp::MIN, |c| c.end);
        let late = self.by_wave.get(&(what.campaign, what.wave)).map(|&w| self.waves[w].not_after);
        k.until = end.min(late.unwrap_or(Timestamp::MAX));
        let second = stamp.secs();
        if self.offered_in_second.0 != second {
            self.offered_in_second = (second, 0);
        }
        self.offered_in_second.1 += 1;
        let limit = self.book.as_ref().map(|b| b.tenant.capacity(kairos_model::Channel::Sms)).unwrap_or_default();
        let n = self.offered_in_second.1;
        ensure!(limit.per_second.is_none_or(|max| n <= max), "capacity: the rate holds", "{n} offers: {what:?}");
        let (granted, today) = (local(k.granted).1, local(stamp).1);
        let same_day = limit.per_day.is_none() || granted == today;
        ensure!(same_day, "capacity: the day holds", "{what:?} is of day {granted}");
        let flying = self.contacts.values().filter(|k| k.stage == Stage::Offered).count();
        ensure!(flying <= self.window as usize, "at most one window ahead", "{flying} in flight: {what:?}");
        self.mark(what, Meaning::Reserved, Some(stamp))
    }

    fn mark(&mut self, what: Which, meaning: Meaning, at: Option<Timestamp>) -> Check {
        let history = &mut self.people[what.subscriber.0 as usize].history;
        let found = history.iter_mut().rev().find(|e| e.contact == what.contact);
        let Some(e) = found else { return fail("a reservation is there while its contact lives", format!("{what:?}")) };
        e.meaning = meaning;
        e.at = at.unwrap_or(e.at);
        Ok(())
    }

    fn settled(&mut self, stamp: Timestamp, what: Which, state: ContactState, reason: Option<Reason>) -> Check {
        let Some(k) = self.contacts.get(&what.contact).cloned() else {
            return fail("settled only after it was intended", format!("{what:?} {state}"));
        };
        let before = match self.member(what.campaign, what.wave, what.subscriber) {
            Some(m) => m.state,
            None => return fail("a member of no wave", format!("{what:?}")),
        };
        let open = k.stage == Stage::Offered || before == ContactState::Unknown;
        let fits = match state {
            ContactState::Sent | ContactState::Failed | ContactState::Pending => open,
            ContactState::Unknown => k.stage == Stage::Offered,
            ContactState::Cancelled | ContactState::Deferred => open || k.stage == Stage::Intended,
            _ => false,
        };
        ensure!(fits, "a contact moves only forward", "{what:?} from {before} {:?} to {state}", k.stage);
        self.truthful(what, &k, state)?;
        if let (ContactState::Cancelled, Stage::Intended, Some(reason)) = (state, k.stage, reason) {
            if self.withdrawn.0 != stamp {
                self.withdrawn = (stamp, Vec::new());
            }
            self.withdrawn.1.push((what.campaign, what.wave, reason));
        }
        let reason = reason.filter(|_| state != ContactState::Pending);
        self.change(what, |m| *m = Member { state, reason, holdout: false, seen: m.seen })?;
        let stage = if state == ContactState::Pending { Stage::Intended } else { Stage::Settled };
        if let Some(k) = self.contacts.get_mut(&what.contact) {
            k.stage = stage;
            if state == ContactState::Pending {
                k.offered = Timestamp::MIN;
            }
        }
        match state {
            ContactState::Sent | ContactState::Unknown => self.mark(what, Meaning::Contacted, None),
            ContactState::Pending => self.mark(what, Meaning::Reserved, None),
            ContactState::Failed => {
                self.mark(what, Meaning::Decided, None)?;
                self.release(stamp, &k, false)
            }
            ContactState::Cancelled => {
                self.mark(what, Meaning::Decided, None)?;
                self.release(stamp, &k, true)
            }
            _ => {
                self.people[what.subscriber.0 as usize].history.retain(|e| e.contact != what.contact);
                self.release(stamp, &k, true)
            }
        }
    }

    fn release(&mut self, _: Timestamp, k: &Contact, unsent: bool) -> Check {
        let spent = self.spent.entry(k.campaign).or_default();
        *spent -= k.cost;
        ensure!(*spent >= 0, "budget is never negative", "{} has {spent}", k.campaign);
        if unsent {
            *self.granted_in_day.entry(local(k.granted).1).or_default() -= 1;
        }
        Ok(())
    }

    fn closed_wave(
        &mut self,
        at: Timestamp,
        campaign: CampaignId,
        no: WaveNo,
        reason: Reason,
        cancelled: u32,
    ) -> Check {
        let Some(&place) = self.by_wave.get(&(campaign, no)) else {
            return fail("a member of no wave", format!("{campaign} {no} closes"));
        };
        let late = self.waves[place].not_after;
        let ended = self.book.as_ref().and_then(|b| b.campaign(campaign)).is_none_or(|c| at >= c.end);
        let true_reason = match reason {
            Reason::Stopped => self.run_of(campaign) == kairos_decide::RunState::Stopped,
            Reason::Ended => ended,
            Reason::TooLate => at > late,
            _ => false,
        };
        ensure!(true_reason, "a wave closes for a true reason", "{campaign} {no} at {at}: {reason}");
        // those already told one by one are in its number, too
        let told = self.withdrawn.1.iter().filter(|w| **w == (campaign, no, reason));
        let mut n = if self.withdrawn.0 == at { told.count() as u32 } else { 0 };
        for i in 0..self.people.len() {
            let s = SubscriberId(i as u32);
            let Some(m) = self.waves[place].members[i] else { continue };
            let contact = ContactId::of_wave(campaign, no, s);
            let what = Which { contact, subscriber: s, campaign, wave: no };
            match m.state {
                ContactState::NotReached | ContactState::Deferred => {
                    n += 1;
                    let (state, reason) = (ContactState::Cancelled, Some(reason));
                    self.change(what, |m| *m = Member { state, reason, holdout: false, seen: m.seen })?;
                }
                ContactState::Pending if self.contacts.get(&contact).is_some_and(|k| k.stage == Stage::Intended) => {
                    n += 1;
                    self.settled(at, what, ContactState::Cancelled, Some(reason))?;
                }
                _ => {}
            }
        }
        self.waves[place].closed = true;
        ensure!(n == cancelled, "a wave says how many it cancels", "{campaign} {no}: {cancelled}, must be {n}");
        Ok(())
    }
}

pub fn stamp_of(line: &Trail) -> Timestamp {
    match *line {
        Trail::Decision { ref record, .. } => record.stamp,
        Trail::Offered { stamp, .. }
        | Trail::Settled { stamp, .. }
        | Trail::Seen { stamp, .. }
        | Trail::WaveStarted { stamp, .. }
        | Trail::WaveClosed { stamp, .. }
        | Trail::OptedOut { stamp, .. } => stamp,
    }
}
