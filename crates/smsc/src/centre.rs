//! The centre itself: it takes submits, waits out latency and network, and sends receipts and replies.

mod requests;

use crate::{
    config::SmscConfig,
    line::{Delivery, Lines, between},
    log::Log,
    pdu::{self, Address, Payload, Read, Submit},
    population::{FailState, Fate, Population},
};
use kairos_model::{Awake, Msisdn, Span, Timestamp, clock::SharedClock, hash, hash::FixedMap, sms};
use rusmpp::{
    CommandStatus, Pdu,
    pdus::SubmitSmResp,
    tlvs::MessageDeliveryRequestTlvValue as Tlv,
    types::OctetString,
    values::{DataCoding, EsmClass, MessageState, UserMessageReference},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Finished messages that query_sm can still ask for.
const DONE_MAX: usize = 200_000;
/// Long texts that may wait for their missing parts at once.
const INCOMPLETE_MAX: usize = 100_000;
/// How long the centre tries where a message brings no validity.
const VALIDITY: Span = Span::days(2);

/// What the centre counted since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub binds: u64,
    pub refused_binds: u64,
    /// submit_sm read, each with one of the four answers below or none.
    pub submits: u64,
    pub accepted: u64,
    pub throttled: u64,
    pub queue_full: u64,
    pub rejected: u64,
    /// Accepted, but the answer was lost or cut by configuration.
    pub unanswered: u64,
    /// Whole messages that reached a handset, were given up, or ran out of time.
    pub delivered: u64,
    pub failed: u64,
    pub expired: u64,
    pub receipts: u64,
    pub replies: u64,
    /// deliver_sm acknowledged by an ESME.
    pub acknowledged: u64,
    pub queries: u64,
    pub malformed: u64,
}

struct Message {
    user: Arc<str>,
    source: Address,
    to: Address,
    submitted: Timestamp,
    done: Option<Timestamp>,
    state: MessageState,
    receipt: u8,
    reference: Option<u16>,
}

type PartsKey = (Arc<str>, String, String, u16, u8);

struct Parts {
    /// Which set of parts under its key this is: references are used again.
    set: u64,
    coding: u8,
    parts: Vec<Option<(u64, Vec<u8>)>>,
}

/// A whole message on its way through the network.
struct Journey {
    ids: Vec<u64>,
    user: Arc<str>,
    source: Address,
    to: Address,
    number: Msisdn,
    text: String,
    end: MessageState,
}

enum Due {
    Answer { line: u32, seq: u32, id: u64, cut: bool },
    End(Journey),
    Incomplete { key: PartsKey, set: u64 },
    Reply { user: Arc<str>, from: Address, to: Address, text: String },
}

struct State {
    log: Log,
    counts: Counts,
    lines: Lines,
    messages: FixedMap<u64, Message>,
    numbered: u64,
    done: VecDeque<u64>,
    incomplete: BTreeMap<PartsKey, Parts>,
    agenda: BTreeMap<(Timestamp, u64), Due>,
    entries: u64,
    /// Keeps simulated time still from the moment the agenda has a new first entry until the timekeeper has seen it.
    woken: Option<Awake>,
    /// When the rate allows the next submit, in the sense of the generic cell rate algorithm.
    rate_next: Timestamp,
}

pub(crate) struct Centre {
    pub config: SmscConfig,
    population: Arc<dyn Population>,
    state: Mutex<State>,
    pub changed: Notify,
}

impl Centre {
    pub fn new(config: SmscConfig, population: Arc<dyn Population>, log: Log) -> Self {
        let state = State {
            log,
            counts: Counts::default(),
            lines: Lines::default(),
            messages: FixedMap::default(),
            numbered: 0,
            done: VecDeque::new(),
            incomplete: BTreeMap::new(),
            agenda: BTreeMap::new(),
            entries: 0,
            woken: None,
            rate_next: Timestamp::MIN,
        };
        Self { config, population, state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // a handler that panicked ends its connection; the centre goes on with what it had
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn clock(&self) -> &SharedClock {
        &self.config.clock
    }

    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Messages under way, and deliver_sm not yet acknowledged.
    pub fn open(&self) -> (usize, usize) {
        let s = self.lock();
        (s.messages.len() - s.done.len(), s.lines.undelivered())
    }

    pub fn open_line(&self, wake: Arc<Notify>) -> u32 {
        self.lock().lines.open(wake)
    }

    pub fn hang_up(&self, line: u32) {
        let mut s = self.lock();
        let user = s.lines.get(line).and_then(|l| l.user.clone());
        let unwritten = s.lines.hang_up(line);
        self.clock().on_wire(-unwritten);
        if let Some(user) = user {
            self.dispatch(&mut s, &user);
        }
        s.log.flush();
    }

    pub fn close_line(&self, line: u32) {
        let awake = self.clock().begin();
        if let Some(l) = self.lock().lines.get(line) {
            l.close(awake);
        }
    }

    pub fn close_all(&self) {
        self.lock().lines.close_all(|| self.clock().begin());
    }

    /// What `line` is to write, how many PDUs that is, and whether its stream ends behind it.
    pub fn output(&self, line: u32) -> Option<(tokio_util::bytes::Bytes, i64, bool)> {
        let mut s = self.lock();
        let l = s.lines.get(line)?;
        let (octets, pdus) = l.take();
        Some((octets, pdus, l.is_closing()))
    }

    /// Deals with a burst of PDUs from one connection: logged first, answered then.
    pub fn handle(&self, line: u32, burst: Vec<Read>) {
        let read = burst.len() as i64;
        let mut s = self.lock();
        for pdu in burst {
            match pdu {
                Read::Pdu { command, raw } => self.command(&mut s, line, &command, &raw),
                Read::Malformed { seq } => {
                    s.counts.malformed += 1;
                    self.answer(&mut s, line, CommandStatus::EsmeRinvcmdlen, seq, Pdu::GenericNack);
                }
            }
        }
        s.log.flush();
        drop(s);
        self.clock().on_wire(-read);
    }

    fn answer(&self, s: &mut State, line: u32, status: CommandStatus, seq: u32, pdu: impl Into<Pdu>) {
        if let Some(l) = s.lines.get(line) {
            self.clock().on_wire(l.push(status, seq, pdu));
            if l.is_stuffed() {
                l.close(self.clock().begin());
            }
        }
    }

    fn accepted(&self, s: &mut State, line: u32, seq: u32, id: u64, cut: bool) {
        let resp = SubmitSmResp::builder().message_id(pdu::c_octets(&format!("{id:x}"))).build();
        if cut {
            if let Some(l) = s.lines.get(line) {
                l.push_half(seq, resp, self.clock().begin());
            }
            return;
        }
        self.answer(s, line, CommandStatus::EsmeRok, seq, resp);
    }

    /// A whole text goes on its journey; a part waits for the others.
    fn assemble(&self, s: &mut State, user: Arc<str>, number: Msisdn, submit: Submit, id: u64, now: Timestamp) {
        let expires = submit.expires.unwrap_or(now.plus(VALIDITY));
        let (ids, coding, octets) = match submit.text {
            Payload::Whole(octets) => (vec![id], submit.coding, octets),
            Payload::Part { reference, of, number: part, octets } => {
                let key = (user.clone(), submit.source.digits.clone(), submit.to.digits.clone(), reference, of);
                let new = !s.incomplete.contains_key(&key);
                if new {
                    self.schedule(s, expires, Due::Incomplete { key: key.clone(), set: id });
                }
                let empty = || Parts { set: id, coding: submit.coding, parts: vec![None; of.into()] };
                let entry = s.incomplete.entry(key.clone()).or_insert_with(empty);
                entry.parts[usize::from(part) - 1] = Some((id, octets));
                if entry.parts.iter().any(Option::is_none) {
                    return;
                }
                let Some(whole) = s.incomplete.remove(&key) else { return };
                let (ids, octets): (Vec<_>, Vec<_>) = whole.parts.into_iter().flatten().unzip();
                (ids, whole.coding, octets.concat())
            }
        };
        let text = pdu::text(coding, &octets);
        let (after, end) = match self.population.fate(number, &text, now) {
            Fate::Delivered { after } => (after, MessageState::Delivered),
            Fate::Failed { after, state: FailState::Undeliverable } => (after, MessageState::Undeliverable),
            Fate::Failed { after, state: FailState::Rejected } => (after, MessageState::Rejected),
        };
        let (at, end) =
            if now.plus(after) < expires { (now.plus(after), end) } else { (expires, MessageState::Expired) };
        let journey = Journey { ids, user, source: submit.source, to: submit.to, number, text, end };
        self.schedule(s, at, Due::End(journey));
    }

    fn schedule(&self, s: &mut State, at: Timestamp, due: Due) {
        let first = s.agenda.first_key_value().is_none_or(|(k, _)| at < k.0);
        s.entries += 1;
        s.agenda.insert((at, s.entries), due);
        if first {
            s.woken = Some(self.clock().begin());
            self.changed.notify_one();
        }
    }

    /// Does what is due, and says when the next thing is. The caller holds an [`Awake`].
    pub fn run_due(&self) -> Option<Timestamp> {
        let mut s = self.lock();
        s.woken = None;
        let now = self.clock().now();
        while let Some(entry) = s.agenda.first_entry().filter(|e| e.key().0 <= now) {
            match entry.remove() {
                Due::Answer { line, seq, id, cut } => self.accepted(&mut s, line, seq, id, cut),
                Due::End(journey) => self.ended(&mut s, journey, now),
                Due::Incomplete { key, set } => {
                    if s.incomplete.get(&key).is_none_or(|p| p.set != set) {
                        continue;
                    }
                    let parts = s.incomplete.remove(&key).map(|p| p.parts).unwrap_or_default();
                    s.counts.expired += 1;
                    for (id, _) in parts.into_iter().flatten() {
                        self.finish(&mut s, id, MessageState::Expired, now);
                    }
                    self.dispatch(&mut s, &key.0);
                }
                Due::Reply { user, from, to, text } => self.reply(&mut s, &user, &from, &to, &text, now),
            }
        }
        s.log.flush();
        s.agenda.first_key_value().map(|(k, _)| k.0)
    }

    fn ended(&self, s: &mut State, j: Journey, now: Timestamp) {
        match j.end {
            MessageState::Delivered => s.counts.delivered += 1,
            MessageState::Expired => s.counts.expired += 1,
            _ => s.counts.failed += 1,
        }
        for &id in &j.ids {
            self.finish(s, id, j.end, now);
        }
        self.dispatch(s, &j.user);
        if j.end == MessageState::Delivered
            && let Some(answer) = self.population.delivered(j.number, &j.text, now)
        {
            let due = Due::Reply { user: j.user, from: j.to, to: j.source, text: answer.text };
            self.schedule(s, now.plus(answer.after), due);
        }
    }

    /// Ends one segment, with its receipt if one was asked for.
    fn finish(&self, s: &mut State, id: u64, state: MessageState, now: Timestamp) {
        let Some(m) = s.messages.get_mut(&id).filter(|m| m.done.is_none()) else { return };
        (m.state, m.done) = (state, Some(now));
        let delivered = state == MessageState::Delivered;
        let wanted = matches!((m.receipt, delivered), (1, _) | (2, false) | (3, true));
        if wanted {
            let delivery = Delivery { pdu: self.receipt(id, m, now), receipt_of: Some(id) };
            s.counts.receipts += 1;
            s.lines.post(&m.user, delivery);
            s.log.line(|| json!({"t": now.0, "ev": "receipt", "id": format!("{id:x}"), "state": word(state)}));
        }
        s.done.push_back(id);
        if s.done.len() > DONE_MAX
            && let Some(old) = s.done.pop_front()
        {
            s.messages.remove(&old);
        }
    }

    fn receipt(&self, id: u64, m: &Message, now: Timestamp) -> rusmpp::pdus::DeliverSm {
        let style = self.config.receipts;
        let id_text = if style.decimal_ids { format!("{id:010}") } else { format!("{id:x}") };
        let dlvrd = u8::from(m.state == MessageState::Delivered);
        let (submitted, done, stat) = (pdu::minute(m.submitted), pdu::minute(now), word(m.state));
        let text = format!(
            "id:{id_text} sub:001 dlvrd:00{dlvrd} submit date:{submitted} done date:{done} stat:{stat} err:000 text:"
        );
        let mut d = between(&m.to, &m.source);
        d.esm_class = EsmClass::from(4);
        d.set_short_message(octets(text.into_bytes()));
        let mut tlvs = Vec::new();
        if style.tlvs {
            tlvs.push(Tlv::ReceiptedMessageId(pdu::c_octets(&format!("{id:x}"))));
            tlvs.push(Tlv::MessageState(m.state));
        }
        if let Some(reference) = m.reference.filter(|_| style.echo_reference) {
            tlvs.push(Tlv::UserMessageReference(UserMessageReference::new(reference)));
        }
        d.set_tlvs(tlvs);
        d
    }

    fn reply(&self, s: &mut State, user: &Arc<str>, from: &Address, to: &Address, text: &str, now: Timestamp) {
        s.counts.replies += 1;
        s.log.line(|| json!({"t": now.0, "ev": "reply", "from": from.digits, "to": to.digits, "text": text}));
        let encoded = sms::encode(text);
        let of = encoded.segments.len().min(255);
        let reference = (hash::salted(self.config.seed, s.counts.replies) >> 56) as u8;
        for (n, segment) in (1..).zip(encoded.segments.into_iter().take(255)) {
            let mut d = between(from, to);
            let mut body = if of > 1 { vec![5, 0, 3, reference, of as u8, n] } else { Vec::new() };
            body.extend(segment);
            d.esm_class = EsmClass::from(if of > 1 { 0x40 } else { 0 });
            d.data_coding = match encoded.alphabet {
                sms::Alphabet::Gsm7 => DataCoding::McSpecific,
                sms::Alphabet::Ucs2 => DataCoding::Ucs2,
            };
            d.set_short_message(octets(body));
            s.lines.post(user, Delivery { pdu: d, receipt_of: None });
        }
        self.dispatch(s, user);
    }

    fn dispatch(&self, s: &mut State, user: &str) {
        self.clock().on_wire(s.lines.dispatch(user, self.config.deliver_window));
    }
}

fn octets(bytes: Vec<u8>) -> OctetString<0, 255> {
    // a receipt's text and a segment with its header are at most 165 octets
    OctetString::from_vec(bytes).unwrap_or_else(|_| OctetString::empty())
}

/// SMPP 3.4 appendix B.
const fn word(state: MessageState) -> &'static str {
    match state {
        MessageState::Delivered => "DELIVRD",
        MessageState::Expired => "EXPIRED",
        MessageState::Rejected => "REJECTD",
        MessageState::Undeliverable => "UNDELIV",
        _ => "UNKNOWN",
    }
}
