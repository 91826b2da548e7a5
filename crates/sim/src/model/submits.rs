//! What passed the socket, and what came back through it.

use super::{Check, Contact, Model, Segment, Stage, ensure, fail, judge::Arm, judge::arm};
use crate::{pdu::Submit, shelves::bit};
use kairos_decide::RunState;
use kairos_engine::Which;
use kairos_model::{ContactId, ContactState, Timestamp};

/// What the text of a segment says: the contact, which segment, of how many. The texts are the simulation's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    pub contact: ContactId,
    pub segment: u8,
    pub of: u8,
}

/// Length of the label at the beginning of each segment.
pub const LABEL: usize = 19;
/// Characters of a segment of a long text in the default alphabet.
const SEGMENT: usize = 153;

impl Label {
    /// The text of a contact in one or two segments, with a label at the beginning of each.
    pub fn text(contact: ContactId, of: u8) -> String {
        let label = |segment: u8| format!("{:016x} {segment}{of}", contact.0);
        if of == 1 {
            return label(1);
        }
        format!("{:-<width$}{}", label(1), label(2), width = SEGMENT)
    }
    pub fn read(s: &Submit) -> Option<Self> {
        let octets = if s.esm_class & 0x40 != 0 { s.octets.get(6..)? } else { &s.octets };
        let text = std::str::from_utf8(octets.get(..LABEL)?).ok()?;
        let contact = ContactId(u64::from_str_radix(&text[..16], 16).ok()?);
        let digit = |at: usize| text.as_bytes()[at].checked_sub(b'0');
        Some(Self { contact, segment: digit(17)?, of: digit(18)? })
    }
}

impl Model {
    /// The first octet of a submit passed the socket at `now`, by the machine's clock.
    pub fn submitted(&mut self, s: &Submit, label: Label, now: Timestamp) -> Check {
        self.submits += 1;
        let Some(k) = self.contacts.get(&label.contact).cloned() else {
            return fail("submitted only after it was offered", format!("{label:?}"));
        };
        let told = format!("{label:?} of {} for {} at {now}", k.subscriber, k.campaign);
        self.once(&k, label, &told)?;
        ensure!(k.stage == Stage::Offered, "submitted only after it was offered", "{told}: {:?}", k.stage);
        self.wanted(&k, s, now, &told)?;
        self.in_time(&k, s, now, &told)?;
        self.caps(&k, label, now, &told)?;
        let of_decision = self.decided_under(&k);
        let sent_to = of_decision.as_ref().map(|c| arm(c, k.subscriber));
        ensure!(sent_to == Some(Arm::Send), "control group and holdout hold", "{told}: {sent_to:?}");
        if let Some(k) = self.contacts.get_mut(&label.contact) {
            k.of = label.of;
            k.segments.resize(k.segments.len().max(label.segment.into()), Segment::No);
            k.segments[usize::from(label.segment) - 1] = Segment::Open;
            let submits = &mut self.people[k.subscriber.0 as usize].submits;
            if !submits.contains(&label.contact) {
                submits.push(label.contact);
            }
        }
        Ok(())
    }

    fn once(&self, k: &Contact, label: Label, told: &str) -> Check {
        let before = k.segments.get(usize::from(label.segment) - 1);
        let again = matches!(before, Some(Segment::Open | Segment::Accepted));
        ensure!(!again, "one submit per contact", "{told}, and was {before:?}");
        let first = usize::from(label.segment) - 1;
        let in_order = k.segments[..first.min(k.segments.len())].iter().all(|s| *s == Segment::Accepted);
        ensure!(in_order, "segments go one after the other", "{told}: {:?}", k.segments);
        Ok(())
    }

    fn wanted(&self, k: &Contact, s: &Submit, now: Timestamp, told: &str) -> Check {
        let book = self.book.as_ref();
        let Some(c) = book.and_then(|b| b.campaign(k.campaign)) else {
            return fail("halted: nothing is sent", format!("{told}: no such campaign"));
        };
        let run = self.run_of(k.campaign);
        let halted = self.kill || matches!(run, RunState::Paused | RunState::Stopped);
        ensure!(!halted, "halted: nothing is sent", "{told}: {run:?}, kill switch {}", self.kill);
        let out = self.opted_out(k.subscriber, c.class);
        ensure!(!out, "none after an acknowledged opt-out", "{told}");
        ensure!(!self.suppressed.contains(&s.to), "suppression holds", "{told}: the number is suppressed");
        let listed = bit::SUPPRESSED | bit::UNREADABLE | bit::CONSENT_DENIED | bit::NO_ADDRESS;
        ensure!(!self.lists_has(k.subscriber, listed), "suppression holds", "{told}: by the snapshot");
        let holder = self.holder_of(s.to, now);
        ensure!(holder == Some(k.subscriber), "a contact goes to its subscriber's number", "{told}: {holder:?}");
        Ok(())
    }

    fn in_time(&self, k: &Contact, s: &Submit, now: Timestamp, told: &str) -> Check {
        let at = now.max(self.high);
        let Some(c) = self.book.as_ref().and_then(|b| b.campaign(k.campaign)) else { return Ok(()) };
        let [quiet, holiday] = self.closed(c, at);
        ensure!(quiet.is_none(), "none in quiet hours", "{told}");
        ensure!(holiday.is_none(), "none on a holiday", "{told}");
        let late = self.by_wave.get(&(k.campaign, k.wave)).map(|&w| self.waves[w].not_after);
        let last = late.unwrap_or(Timestamp::MAX);
        ensure!(at < c.end && at <= last, "none after the end", "{told}: ends {}, {last}", c.end);
        // 000000hhmmss000R: years, months, days, hours, minutes, seconds from now
        let two = |at: usize| s.validity.get(at..at + 2).and_then(|t| t.parse::<i64>().ok());
        let (Some(d), Some(h), Some(m), Some(sec)) = (two(4), two(6), two(8), two(10)) else {
            return fail("validity ends with the delivery window", format!("{told}: `{}`", s.validity));
        };
        let valid = now.plus(kairos_model::Span::secs(d * 86_400 + h * 3_600 + m * 60 + sec));
        let short = valid <= now.plus(kairos_model::Span::secs(1));
        let window = k.until;
        ensure!(short || valid <= window, "validity ends with the delivery window", "{told}: {valid} past {window}");
        Ok(())
    }

    /// Rolling windows over everything that reached the socket and was not refused, whatever the marks say.
    fn caps(&self, k: &Contact, label: Label, now: Timestamp, told: &str) -> Check {
        let at = now.max(self.high);
        let Some(c) = self.book.as_ref().and_then(|b| b.campaign(k.campaign)) else { return Ok(()) };
        for id in &self.people[k.subscriber.0 as usize].submits {
            let Some(x) = self.contacts.get(id).filter(|_| *id != label.contact) else { continue };
            if !x.segments.iter().any(|s| *s != Segment::No) {
                continue;
            }
            let same = x.family != c.family || at >= x.offered.plus(c.policy.same_message);
            ensure!(same, "caps hold: the same message", "{told}: {id} at {}", x.offered);
            let other = x.campaign == c.id || at >= x.offered.plus(c.policy.other_campaign);
            ensure!(other, "caps hold: another campaign", "{told}: {id} at {}", x.offered);
        }
        Ok(())
    }

    /// The process read the centre's answer.
    pub fn answered(&mut self, label: Label, status: u32) {
        if let Some(k) = self.contacts.get_mut(&label.contact)
            && let Some(s) = k.segments.get_mut(usize::from(label.segment) - 1)
            && *s == Segment::Open
        {
            *s = if status == 0 { Segment::Accepted } else { Segment::No };
        }
    }

    /// What the ledger says of a contact is what happened to it.
    pub fn truthful(&self, what: Which, k: &Contact, state: ContactState) -> Check {
        let reached = k.segments.iter().any(|s| *s != Segment::No);
        match state {
            ContactState::Sent => {
                let taken = (1..=k.of.max(1)).all(|n| self.taken.contains(&(what.contact, n)));
                ensure!(taken, "sent is what the centre took", "{what:?} {k:?}");
            }
            ContactState::Failed => {
                let refused = !reached && !k.segments.is_empty();
                ensure!(refused, "failed is what the centre refused", "{what:?} {k:?}");
            }
            ContactState::Cancelled | ContactState::Deferred | ContactState::Pending => {
                ensure!(!reached, "what was written is not released", "{what:?} to {state}: {k:?}");
            }
            _ => {}
        }
        Ok(())
    }

    /// The first octet of the acknowledgement of a reply passed the socket.
    pub fn reply_acknowledged(&self, from: u64, at: Timestamp) -> Check {
        if self.lifted.contains(&from) {
            return Ok(());
        }
        let known = self.suppressed.contains(&from);
        ensure!(known, "an opt-out is durable before it is acknowledged", "{from} at {at}: not suppressed");
        // whoever held the number when it was said, by any clock that the machine showed since
        let holder = self.holder_of(from, at);
        let out = holder.is_none_or(|s| self.people[s.0 as usize].out == [true; 3] || self.people[s.0 as usize].erased);
        let moved = self.holders.get(&from).is_some_and(|h| h.len() > 1);
        ensure!(out || moved, "an opt-out is durable before it is acknowledged", "{from} of {holder:?} at {at}");
        Ok(())
    }

    /// The first octet of the acknowledgement of a final receipt passed the socket.
    pub fn receipt_acknowledged(&self, contact: ContactId, delivered: bool) -> Check {
        let Some(k) = self.contacts.get(&contact) else { return Ok(()) };
        let person = &self.people[k.subscriber.0 as usize];
        // whose number changed hands, or who is erased, cannot be found by it
        let moved = person.numbers.len() > 1
            || person.erased
            || person.numbers.iter().any(|n| self.holders.get(&n.1).is_some_and(|h| h.len() > 1));
        if k.of != 1 || moved {
            return Ok(());
        }
        let wave = self.by_wave.get(&(k.campaign, k.wave)).map(|&w| &self.waves[w]);
        let Some(Some(m)) = wave.map(|w| w.members[k.subscriber.0 as usize]) else { return Ok(()) };
        let bit = if delivered {
            1 << kairos_model::Disposition::Delivered.code()
        } else {
            1 << kairos_model::Disposition::Undelivered.code()
        };
        let kept = m.state == ContactState::Sent && m.seen & bit != 0;
        ensure!(kept, "a receipt is durable before it is acknowledged", "{contact}: {m:?}");
        Ok(())
    }

    /// Whether anything of a contact may have reached somebody.
    pub fn reached(&self, contact: ContactId) -> bool {
        self.contacts.get(&contact).is_some_and(|k| k.segments.iter().any(|s| *s != Segment::No))
    }
}
