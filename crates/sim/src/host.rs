//! The engine's side of the channel, as `app` builds it over the same parts: offers rendered and addressed, the gate,
//! outcomes, receipts and replies. Texts are labels that name their contact.

use crate::{
    model::Label,
    scene::{Scene, Stage},
};
use kairos_connect::channel::{
    BoxFuture, Deliveries, Dispatch, Inbound, MessageIn, Offered, ReceiptIn, ReceiptState, SubmitOutcome, Submitted,
};
use kairos_engine::{ContactView, Input, Outcome};
use kairos_model::{Awake, ContactId, ContactState, Disposition, Reason, Timestamp, hash};
use kairos_vault::SuppressionCause;
use std::{future::poll_fn, task::Poll};

/// 16 bits of the contact by which a receipt may name it.
fn reference(contact: ContactId) -> u16 {
    (contact.0 >> 48) as u16
}
/// Every sixth text is a long one.
pub fn segments(contact: ContactId) -> u8 {
    if hash::salted(0x4c4f_4e47, contact.0).is_multiple_of(6) { 2 } else { 1 }
}

impl Deliveries for Stage {
    fn next(&self, max: usize) -> BoxFuture<'_, Offered> {
        Box::pin(poll_fn(move |_| match self.scene().take_offered(max) {
            Some(contacts) if !contacts.is_empty() => Poll::Ready(Offered { contacts, awake: Awake::idle() }),
            // polled again after every step of the world
            _ => Poll::Pending,
        }))
    }
    fn gate(&self, d: &Dispatch, now: Timestamp) -> Result<(), Reason> {
        self.scene().gate(d, now)
    }
    fn submitted(&self, reports: Vec<Submitted>) -> BoxFuture<'_, ()> {
        let done = self.scene().reported(&reports);
        Box::pin(finished(done))
    }
    fn received(&self, inbound: Vec<Inbound>) -> BoxFuture<'_, ()> {
        let done = self.scene().received(&inbound);
        Box::pin(finished(done))
    }
}

/// A hand-over that the process did not survive never returns.
async fn finished(done: Option<()>) {
    if done.is_none() {
        std::future::pending::<()>().await;
    }
}

impl Scene {
    fn take_offered(&mut self, max: usize) -> Option<Vec<Dispatch>> {
        let offered = self.offer(max)?;
        let now = self.now();
        let (mut contacts, mut refused) = (Vec::new(), Vec::new());
        for o in &offered {
            let number = self.vault(|v, now| v.number_of(o.subscriber, now))?;
            match number {
                Some(to) => contacts.push(Dispatch {
                    contact: o.contact,
                    to,
                    from: String::new(),
                    text: Label::text(o.contact, segments(o.contact)),
                    not_after: o.not_after,
                    reference: reference(o.contact),
                }),
                None => {
                    let outcome = Outcome::Cancelled { reason: Reason::NoAddress };
                    refused.push(Input::Outcome { contact: o.contact, outcome });
                }
            }
        }
        if !offered.is_empty() {
            self.say(|| format!("{} offered at {now}, {} without a number", offered.len(), refused.len()));
        }
        if !refused.is_empty() {
            self.tell(refused)?;
        }
        Some(contacts)
    }

    fn gate(&mut self, d: &Dispatch, now: Timestamp) -> Result<(), Reason> {
        if self.dead.is_some() {
            return Err(Reason::Unreadable);
        }
        let Some(node) = self.node.as_ref() else { return Err(Reason::Unreadable) };
        let contact = node.engine.contact(d.contact);
        let answer = if node.vault.is_suppressed(d.to) {
            Err(Reason::Suppressed)
        } else if now >= d.not_after {
            Err(Reason::TooLate)
        } else if contact.is_some_and(|c| c.state == ContactState::Unknown) {
            // waited unwritten past the response timeout: it goes back, to be offered again
            Err(Reason::Paused)
        } else if contact.is_some_and(|c| node.vault.holder(d.to, now) != Some(c.subscriber)) {
            // the number has changed hands since it was looked up
            Err(Reason::NoAddress)
        } else {
            node.engine.gate(now, d.contact)
        };
        if let Err(reason) = answer {
            self.say(|| format!("the gate refuses {}: {reason}", d.contact));
        }
        answer
    }

    fn reported(&mut self, reports: &[Submitted]) -> Option<()> {
        let inputs: Vec<Input> = reports.iter().filter_map(|r| self.outcome(r)).collect();
        self.hand_over(inputs)
    }
    fn hand_over(&mut self, inputs: Vec<Input>) -> Option<()> {
        if inputs.is_empty() {
            return self.alive().then_some(());
        }
        self.tell(inputs).map(drop)
    }

    fn outcome(&mut self, report: &Submitted) -> Option<Input> {
        let contact = report.contact;
        self.say(|| format!("reported {contact}: {:?}", report.outcome));
        let outcome = match &report.outcome {
            SubmitOutcome::Accepted { segment, segments, message_id } => {
                self.node.as_mut()?.ids.note(message_id, contact, *segments);
                if segment < segments {
                    return None;
                }
                Outcome::Accepted
            }
            // what was written in part has reached somebody in part: never released, never repeated
            SubmitOutcome::Refused { segment, .. } | SubmitOutcome::Cancelled { segment, .. } if *segment > 1 => {
                Outcome::Unknown
            }
            SubmitOutcome::Refused { .. } => Outcome::Refused { status: 1 },
            SubmitOutcome::Cancelled { reason, .. } => Outcome::Cancelled { reason: *reason },
            SubmitOutcome::Unknown { .. } => Outcome::Unknown,
            SubmitOutcome::Returned => Outcome::Cancelled { reason: Reason::Paused },
        };
        Some(Input::Outcome { contact, outcome })
    }

    fn received(&mut self, inbound: &[Inbound]) -> Option<()> {
        let mut inputs = Vec::new();
        for i in inbound {
            match i {
                Inbound::Receipt(r) => inputs.extend(self.receipt_in(r)),
                Inbound::Message(m) => {
                    let more = self.message_in(m)?;
                    inputs.extend(more);
                }
            }
        }
        self.hand_over(inputs)
    }

    fn receipt_in(&mut self, r: &ReceiptIn) -> Option<Input> {
        let said = match r.state {
            ReceiptState::Delivered => Disposition::Delivered,
            ReceiptState::Expired => Disposition::Expired,
            ReceiptState::Deleted | ReceiptState::Undeliverable | ReceiptState::Rejected => Disposition::Undelivered,
            ReceiptState::Enroute | ReceiptState::Accepted | ReceiptState::Unknown => return None,
        };
        let (contact, known) = self.contact_of(r)?;
        let ids = &mut self.node.as_mut()?.ids;
        let id = known.as_deref().or(r.message_ids.first().map(String::as_str)).unwrap_or_default();
        if known.is_none() {
            let segments = segments(contact.contact);
            if segments > 1 && id.is_empty() {
                return None;
            }
            ids.note(id, contact.contact, segments);
        }
        let accepted = contact.state == ContactState::Sent;
        let disposition = ids.says(contact.contact, id, said, accepted)?;
        Some(Input::Outcome { contact: contact.contact, outcome: Outcome::Seen(disposition) })
    }

    fn contact_of(&self, r: &ReceiptIn) -> Option<(ContactView, Option<String>)> {
        let node = self.node.as_ref()?;
        // whose number it was when the contact was offered: numbers change hands while receipts are under way
        let theirs = |c: &ContactView| c.offered.is_some_and(|at| node.vault.holder(r.from, at) == Some(c.subscriber));
        let by_id = node.ids.find(&r.message_ids);
        let known = by_id.and_then(|(id, contact)| Some((node.engine.contact(contact)?, Some(id.to_owned()))));
        if let Some(found) = known.filter(|(c, _)| theirs(c)) {
            return Some(found);
        }
        let holder = node.vault.holder(r.from, r.at)?;
        let mut contacts = node.engine.contacts_of(holder);
        contacts.retain(theirs);
        if let Some(wanted) = r.reference
            && let Some(c) = contacts.iter().find(|c| reference(c.contact) == wanted)
        {
            return Some((*c, None));
        }
        let awaits = |c: &ContactView| {
            matches!(c.state, ContactState::Sent | ContactState::Unknown | ContactState::Pending)
                && ![Disposition::Delivered, Disposition::Undelivered, Disposition::Expired]
                    .iter()
                    .any(|&d| c.seen.has(d))
        };
        let mut open = contacts.into_iter().filter(awaits);
        match (open.next(), open.next()) {
            (Some(only), None) => Some((only, None)),
            _ => None,
        }
    }

    fn message_in(&mut self, m: &MessageIn) -> Option<Vec<Input>> {
        let opt_out = m.text == "TD";
        if opt_out {
            self.counts.reply_opt_out += 1;
            // durable and in the gate before anything is acknowledged
            self.suppress(m.from.reveal(), m.at, SuppressionCause::Reply)?;
        }
        let node = self.node.as_ref()?;
        let Some(subscriber) = node.vault.holder(m.from, m.at) else { return Some(Vec::new()) };
        let latest =
            node.engine.contacts_of(subscriber).into_iter().filter(|c| c.offered.is_some()).max_by_key(|c| c.offered);
        let mut inputs = Vec::new();
        if opt_out {
            inputs.push(Input::OptOut { subscriber, class: None });
        }
        if let Some(c) = latest {
            let seen = |d| Input::Outcome { contact: c.contact, outcome: Outcome::Seen(d) };
            inputs.push(seen(Disposition::Replied));
            if opt_out {
                inputs.push(seen(Disposition::OptedOut));
            }
        }
        Some(inputs)
    }
}
