//! The contacts in hand of one bind: what is ready, backing off or unanswered, how wide the window is, what is to be
//! reported. No socket, no clock: times are arguments.

use super::config::SmppConfig;
use crate::channel::{Dispatch, RefusalStatus, SubmitOutcome, Submitted};
use kairos_model::{ContactId, Reason, Span, Timestamp, hash, hash::FixedMap, sms};
use std::collections::{BTreeMap, VecDeque};

/// Statuses after which the same segment may be repeated: ESME_RTHROTTLED, ESME_RMSGQFUL.
const THROTTLED: [u32; 2] = [0x58, 0x14];
/// How many timed-out submits of a connection are remembered in case their answer comes late.
const LATE_MAX: usize = 4_096;

/// A contact in hand.
pub(super) struct Task {
    pub dispatch: Dispatch,
    pub text: sms::Encoded,
    /// The segment that is next or unanswered, from 1.
    pub segment: u8,
    throttled: u32,
}

impl Task {
    pub fn segments(&self) -> u8 {
        self.text.segments.len() as u8 // at most segments_max ≤ 255
    }
}

/// What an answer did, for the counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Accepted,
    Throttled,
    Refused,
    /// To nothing that is open.
    Stray,
}

pub(super) struct Flow {
    window: usize,
    segments_max: usize,
    response_timeout: Span,
    backoff: (Span, Span),
    /// Submits that may be unanswered now; halves when throttled, grows by one per `limit` accepted.
    limit: usize,
    credit: usize,
    ready: VecDeque<Task>,
    waiting: BTreeMap<(Timestamp, ContactId), Task>,
    open: FixedMap<u32, Task>,
    deadlines: VecDeque<(Timestamp, u32)>,
    /// Timed out on this connection: contact, segment, segments.
    late: VecDeque<(u32, ContactId, u8, u8)>,
    reports: Vec<Submitted>,
    /// Contacts whose end is reported and not yet durable, by the batch in flight and the next.
    ended: usize,
    ending: usize,
}

impl Flow {
    pub fn new(config: &SmppConfig) -> Self {
        Self {
            window: config.window.into(),
            segments_max: config.segments_max.into(),
            response_timeout: config.response_timeout,
            backoff: config.throttle_backoff,
            limit: config.window.into(),
            credit: 0,
            ready: VecDeque::new(),
            waiting: BTreeMap::new(),
            open: FixedMap::default(),
            deadlines: VecDeque::new(),
            late: VecDeque::new(),
            reports: Vec::new(),
            ended: 0,
            ending: 0,
        }
    }

    /// How many contacts more may be offered: one window in all, counting those whose end is not yet durable.
    pub fn room(&self) -> usize {
        let in_hand = self.ready.len() + self.waiting.len() + self.open.len() + self.ended + self.ending;
        self.window.saturating_sub(in_hand)
    }

    /// Takes contacts in hand; what cannot be sent at all is refused at once.
    pub fn offer(&mut self, contacts: Vec<Dispatch>, config: &SmppConfig) {
        for dispatch in contacts {
            let refused = match sms::encode_within(&dispatch.text, self.segments_max) {
                _ if config.source(&dispatch.from).is_none() => RefusalStatus::BadSource,
                Err(e) => RefusalStatus::TooLong { needed: e.needed, max: e.max },
                Ok(text) => {
                    self.ready.push_back(Task { dispatch, text, segment: 1, throttled: 0 });
                    continue;
                }
            };
            self.end(dispatch.contact, SubmitOutcome::Refused { segment: 1, status: refused });
        }
    }

    /// The next contact to write, if the window is open.
    pub fn pop(&mut self, now: Timestamp) -> Option<Task> {
        if self.open.len() >= self.limit {
            return None;
        }
        while let Some(first) = self.waiting.first_entry().filter(|e| e.key().0 <= now) {
            self.ready.push_back(first.remove());
        }
        self.ready.pop_front()
    }

    pub fn cancel(&mut self, task: &Task, reason: Reason) {
        self.end(task.dispatch.contact, SubmitOutcome::Cancelled { segment: task.segment, reason });
    }

    pub fn refuse(&mut self, task: &Task, status: RefusalStatus) {
        self.end(task.dispatch.contact, SubmitOutcome::Refused { segment: task.segment, status });
    }

    /// `task`'s segment is being written as `seq`.
    pub fn written(&mut self, seq: u32, task: Task, now: Timestamp) {
        self.deadlines.push_back((now.plus(self.response_timeout), seq));
        self.open.insert(seq, task);
    }

    /// Not one octet of `seq` left: it is ready again, before the others.
    pub fn unwritten(&mut self, seq: u32) {
        if let Some(task) = self.open.remove(&seq) {
            self.ready.push_front(task);
        }
        if self.deadlines.back().is_some_and(|d| d.1 == seq) {
            self.deadlines.pop_back();
        }
    }

    /// The centre answered `seq`.
    pub fn answered(&mut self, seq: u32, status: u32, message_id: String, now: Timestamp) -> Answer {
        let Some(mut task) = self.open.remove(&seq) else { return self.late(seq, status, message_id) };
        let contact = task.dispatch.contact;
        if status == 0 {
            let (segment, segments) = (task.segment, task.segments());
            let outcome = SubmitOutcome::Accepted { segment, segments, message_id };
            if segment == segments {
                self.end(contact, outcome);
            } else {
                self.reports.push(Submitted { contact, outcome });
                task.segment += 1;
                task.throttled = 0;
                self.ready.push_front(task);
            }
            self.credit += 1;
            if self.credit >= self.limit && self.limit < self.window {
                (self.limit, self.credit) = (self.limit + 1, 0);
            }
            return Answer::Accepted;
        }
        if THROTTLED.contains(&status) {
            let due = now.plus(self.wait(&task));
            task.throttled = task.throttled.saturating_add(1);
            self.waiting.insert((due, contact), task);
            (self.limit, self.credit) = ((self.limit / 2).max(1), 0);
            return Answer::Throttled;
        }
        self.refuse(&task, RefusalStatus::Centre(status));
        Answer::Refused
    }

    /// An answer after its time: it settles what was reported unknown, if it ends the contact.
    fn late(&mut self, seq: u32, status: u32, message_id: String) -> Answer {
        let Some(at) = self.late.iter().position(|l| l.0 == seq) else { return Answer::Stray };
        let Some((_, contact, segment, segments)) = self.late.remove(at) else { return Answer::Stray };
        let (outcome, answer) = if status != 0 {
            (SubmitOutcome::Refused { segment, status: RefusalStatus::Centre(status) }, Answer::Refused)
        } else if segment == segments {
            (SubmitOutcome::Accepted { segment, segments, message_id }, Answer::Accepted)
        } else {
            return Answer::Stray;
        };
        self.reports.push(Submitted { contact, outcome });
        answer
    }

    /// Back-off of a throttled segment: doubled each time, with a jitter that is the contact's own.
    fn wait(&self, task: &Task) -> Span {
        let (first, longest) = self.backoff;
        let doubled = first.0.saturating_mul(1 << task.throttled.min(30)).min(longest.0);
        let jitter = hash::unit(hash::salted2(0x4241_434b_4f46_4601, task.dispatch.contact.0, task.throttled.into()));
        Span((doubled as f64 * (0.5 + jitter / 2.0)) as i64)
    }

    /// What has waited too long for its answer is unknown. Returns how many.
    pub fn expire(&mut self, now: Timestamp) -> usize {
        let mut n = 0;
        while let Some(&(due, seq)) = self.deadlines.front() {
            match self.open.get(&seq) {
                Some(_) if due > now => break,
                Some(_) => {
                    n += 1;
                    self.unknown(seq, true);
                }
                None => {}
            }
            self.deadlines.pop_front();
        }
        n
    }

    /// The connection is gone: every unanswered submit is unknown, in the order of writing. Returns how many.
    pub fn lost(&mut self) -> usize {
        let n = self.open.len();
        for (_, seq) in std::mem::take(&mut self.deadlines) {
            self.unknown(seq, false);
        }
        self.late.clear();
        n
    }

    fn unknown(&mut self, seq: u32, may_come: bool) {
        let Some(task) = self.open.remove(&seq) else { return };
        if may_come {
            if self.late.len() == LATE_MAX {
                self.late.pop_front();
            }
            self.late.push_back((seq, task.dispatch.contact, task.segment, task.segments()));
        }
        self.end(task.dispatch.contact, SubmitOutcome::Unknown { segment: task.segment });
    }

    /// Gives back what is not begun; with `all`, also cuts short the long texts that are.
    pub fn give_back(&mut self, all: bool) {
        let waiting = std::mem::take(&mut self.waiting);
        let mut kept_waiting = BTreeMap::new();
        let mut kept = VecDeque::new();
        let ready = std::mem::take(&mut self.ready);
        for (key, task) in ready.into_iter().map(|t| (None, t)).chain(waiting.into_iter().map(|(k, t)| (Some(k), t))) {
            match (task.segment, key) {
                (1, _) => self.end(task.dispatch.contact, SubmitOutcome::Returned),
                _ if all => self.cancel(&task, Reason::Stopped),
                (_, Some(key)) => {
                    kept_waiting.insert(key, task);
                }
                (_, None) => kept.push_back(task),
            }
        }
        (self.ready, self.waiting) = (kept, kept_waiting);
    }

    fn end(&mut self, contact: ContactId, outcome: SubmitOutcome) {
        self.ended += 1;
        self.reports.push(Submitted { contact, outcome });
    }

    /// The reports so far, to be handed over; call [`Flow::handed_over`] when they are durable.
    pub fn take_reports(&mut self) -> Vec<Submitted> {
        self.ending = std::mem::take(&mut self.ended);
        std::mem::take(&mut self.reports)
    }

    pub fn handed_over(&mut self) {
        self.ending = 0;
    }

    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Nothing to write, nothing unanswered.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty() && self.open.is_empty()
    }

    /// Something could be written at once but for the pace.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty() && self.open.len() < self.limit
    }

    /// When something here falls due: an answer's time, or (the window being open, and the line `writable`) a back-off.
    pub fn due(&mut self, writable: bool) -> Option<Timestamp> {
        while self.deadlines.front().is_some_and(|d| !self.open.contains_key(&d.1)) {
            self.deadlines.pop_front();
        }
        let answer = self.deadlines.front().map(|d| d.0);
        let again =
            self.waiting.first_key_value().map(|(k, _)| k.0).filter(|_| writable && self.open.len() < self.limit);
        answer.into_iter().chain(again).min()
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
