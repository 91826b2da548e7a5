//! The simulated message centre: it loses answers, delays, throttles, refuses, repeats receipts, and answers after a
//! reconnect. It outlives every crash of ours.

use crate::{
    clock::Moment,
    counts::Counts,
    dice::Dice,
    line::Deliver,
    model::{Label, fail},
    pdu::{self, Pdu, id},
    scene::{Happening, Scene},
};
use kairos_model::ContactId;
use std::collections::{BTreeMap, VecDeque};

/// How often what goes wrong, in thousandths of submits; a world has its own.
#[derive(Clone, Copy, Debug)]
pub struct Mood {
    pub throttle: u64,
    pub refuse: u64,
    pub nack: u64,
    pub lose_answer: u64,
    pub late: u64,
    pub cut: u64,
    pub receipt_twice: u64,
    pub undelivered: u64,
    pub reply: u64,
    /// Of the replies, in hundredths.
    pub opt_out: u64,
    pub refuse_bind: u64,
    /// Form of receipts: bit 0 the id as a parameter, bit 1 the id decimal in the text, bit 2 the reference is echoed.
    pub form: u64,
}

impl Mood {
    pub fn draw(dice: &mut Dice) -> Self {
        let mut some = |n: u64| if dice.one_in(3) { 0 } else { dice.below(n) };
        Self {
            throttle: some(120),
            refuse: some(60),
            nack: some(15),
            lose_answer: some(60),
            late: some(40),
            cut: some(12),
            receipt_twice: some(150),
            undelivered: some(150),
            reply: some(120),
            opt_out: 40,
            refuse_bind: some(200),
            form: dice.below(8),
        }
    }
    /// Nothing goes wrong any more.
    pub const fn calm(self) -> Self {
        Self { throttle: 0, refuse: 0, nack: 0, lose_answer: 0, late: 0, cut: 0, refuse_bind: 0, ..self }
    }
}

struct Message {
    label: Label,
    to: u64,
    reference: Option<u16>,
    delivered: bool,
}

pub struct Centre {
    pub mood: Mood,
    dice: Dice,
    pub away_until: Moment,
    numbered: u64,
    messages: BTreeMap<u64, Message>,
    queue: VecDeque<Deliver>,
}

impl Centre {
    pub fn new(mood: Mood, dice: Dice) -> Self {
        Self { mood, dice, away_until: 0, numbered: 0x1000, messages: BTreeMap::new(), queue: VecDeque::new() }
    }
    fn happens(&mut self, thousandths: u64) -> bool {
        self.dice.below(1_000) < thousandths
    }
    pub fn requeue(&mut self, back: BTreeMap<u32, Deliver>, counts: &mut Counts) {
        counts.receipt_lost_link += back.len() as u64;
        self.queue.extend(back.into_values());
    }
    /// The contact of a receipt that nobody can take for another's, and whether it was delivered.
    pub fn certain_receipt(&self, message: u64) -> Option<(ContactId, bool)> {
        let certain = self.mood.form & 4 != 0;
        let m = self.messages.get(&message).filter(|m| certain && m.label.of == 1)?;
        Some((m.label.contact, m.delivered))
    }
    fn id_text(&self, id: u64) -> String {
        if self.mood.form & 2 != 0 { format!("{id:010}") } else { format!("{id:x}") }
    }
    fn deliver(&self, seq: u32, d: &Deliver) -> Vec<u8> {
        match d {
            Deliver::Reply { from, text, .. } => pdu::deliver(seq, *from, 0, text, &[]),
            Deliver::Receipt(id) => {
                let Some(m) = self.messages.get(id) else { return Vec::new() };
                let word = if m.delivered { "DELIVRD" } else { "UNDELIV" };
                let text = format!(
                    "id:{} sub:001 dlvrd:001 submit date:2603020830 done date:2603020831 stat:{word} err:000 text:",
                    self.id_text(*id)
                );
                let mut parameters = Vec::new();
                if self.mood.form & 1 != 0 {
                    parameters.extend(pdu::receipted_id(&format!("{id:x}")));
                    parameters.extend(pdu::state(if m.delivered { 2 } else { 5 }));
                }
                if let Some(r) = m.reference.filter(|_| self.mood.form & 4 != 0) {
                    parameters.extend(pdu::reference(r));
                }
                pdu::deliver(seq, m.to, 4, &text, &parameters)
            }
        }
    }
}

impl Scene {
    pub fn arrive_at_centre(&mut self, line: u32, bytes: &[u8]) {
        if let Some(l) = self.lines.get_mut(&line).filter(|l| l.open) {
            l.arrived.push(bytes);
        }
        while let Some(l) = self.lines.get_mut(&line).filter(|l| l.open)
            && let Some(pdu) = l.arrived.next()
        {
            self.at_centre(line, &pdu);
        }
    }

    fn at_centre(&mut self, line: u32, pdu: &Pdu) {
        let answer = |status, body: &[u8]| pdu::pdu(pdu.id | id::RESPONSE, status, pdu.seq, body);
        match pdu.id {
            id::BIND_TRANSCEIVER => {
                let refused = self.centre.happens(self.centre.mood.refuse_bind);
                if refused {
                    self.counts.bind_refused += 1;
                    self.send_to_us(line, answer(0x0d, b"\0"));
                    return self.close_at_centre(line);
                }
                self.send_to_us(line, answer(0, b"centre\0"));
                self.lines.get_mut(&line).into_iter().for_each(|l| l.bound = true);
                self.dispatch();
            }
            id::SUBMIT_SM => self.take(line, pdu),
            id::ENQUIRE_LINK => self.send_to_us(line, answer(0, b"")),
            id::UNBIND => {
                self.send_to_us(line, answer(0, b""));
                self.close_at_centre(line);
            }
            x if x == id::DELIVER_SM | id::RESPONSE => {
                self.lines.get_mut(&line).into_iter().for_each(|l| l.unacknowledged.retain(|seq, _| *seq != pdu.seq));
            }
            0 => self.check(fail("what we write can be read", format!("line {line} is out of step"))),
            _ => {}
        }
    }

    fn take(&mut self, line: u32, pdu: &Pdu) {
        let read = pdu::submit(&pdu.body).and_then(|s| Some((Label::read(&s)?, s)));
        let Some((label, submit)) = read else {
            return self.check(fail("what we write can be read", format!("{pdu:?}")));
        };
        let mood = self.centre.mood;
        let latency = self.centre.dice.between(1_000, 300_000);
        let seq = pdu.seq;
        let no = |status| Happening::Answer { line, seq, status, id: 0, label };
        if self.centre.happens(mood.throttle) {
            self.counts.throttled += 1;
            let status = self.centre.dice.pick(&[0x58, 0x14]);
            return self.after(latency, no(status));
        }
        if self.centre.happens(mood.refuse) {
            self.counts.refused += 1;
            let status = self.centre.dice.pick(&[0x0b, 0x45, 0x08]);
            return self.after(latency, no(status));
        }
        if self.centre.happens(mood.nack) {
            self.counts.nacked += 1;
            return self.after(latency, no(u32::MAX));
        }
        let again = !self.model.taken.insert((label.contact, label.segment));
        if again {
            self.check(fail("one submit per contact", format!("the centre has taken {label:?} before")));
        }
        self.centre.numbered += 1;
        let id = self.centre.numbered;
        let delivered = !self.centre.happens(mood.undelivered);
        let message = Message { label, to: submit.to, reference: submit.reference, delivered };
        self.centre.messages.insert(id, message);
        let receipt = if self.centre.dice.one_in(8) {
            self.centre.dice.between(1_000, 200_000)
        } else {
            self.centre.dice.between(1_000_000, 90_000_000)
        };
        self.after(receipt, Happening::Receipt(id));
        let yes = Happening::Answer { line, seq, status: 0, id, label };
        if self.centre.happens(mood.cut) {
            self.cut(line);
            return self.after(latency, yes);
        }
        if self.centre.happens(mood.lose_answer) {
            self.counts.answer_lost += 1;
            return;
        }
        let mut wait = latency;
        if self.centre.happens(mood.late) {
            self.counts.answer_late += 1;
            wait += self.plan.response_timeout.0 + self.centre.dice.between(0, 60_000_000);
        }
        if receipt < wait {
            self.counts.receipt_early += 1;
        }
        self.after(wait, yes);
    }

    /// The answer goes out on the line of its submit; where that is gone, sometimes on another.
    pub fn answer(&mut self, line: u32, seq: u32, status: u32, id: u64, label: Label) {
        let open = self.lines.get(&line).is_some_and(|l| l.open);
        let mut to = line;
        if !open {
            let bind = self.lines.get(&line).map_or(0, |l| l.bind);
            let other = self.lines.iter().rev().find(|(_, l)| l.open && l.bound && l.bind == bind).map(|(&n, _)| n);
            match other.filter(|_| self.centre.dice.one_in(2)) {
                Some(n) => {
                    self.counts.answer_after_reconnect += 1;
                    to = n;
                }
                None => {
                    self.counts.answer_lost += 1;
                    return;
                }
            }
        }
        let bytes = match status {
            u32::MAX => pdu::pdu(id::RESPONSE, 3, seq, b""),
            0 => pdu::pdu(id::SUBMIT_SM | id::RESPONSE, 0, seq, format!("{id:x}\0").as_bytes()),
            status => pdu::pdu(id::SUBMIT_SM | id::RESPONSE, status, seq, b"\0"),
        };
        self.lines.get_mut(&to).into_iter().for_each(|l| l.answers.push_back(label));
        self.send_to_us(to, bytes);
    }

    pub fn receipt(&mut self, message: u64) {
        self.counts.receipts += 1;
        self.centre.queue.push_back(Deliver::Receipt(message));
        if self.centre.happens(self.centre.mood.receipt_twice) {
            self.counts.receipt_twice += 1;
            self.centre.queue.push_back(Deliver::Receipt(message));
        }
        let told = self.centre.messages.get(&message).map(|m| (m.delivered, m.to));
        if let Some((true, from)) = told
            && self.centre.happens(self.centre.mood.reply)
        {
            let text = if self.centre.dice.percent(self.centre.mood.opt_out) { "TD" } else { "hello" };
            let after = self.centre.dice.between(500_000, 600_000_000);
            self.after(after, Happening::Reply { from, text });
        }
        self.dispatch();
    }
    pub fn reply(&mut self, from: u64, text: &'static str) {
        self.counts.replies += 1;
        let at = self.now();
        self.centre.queue.push_back(Deliver::Reply { from, text, at });
        self.dispatch();
    }
    /// Sends what is queued on any bound line.
    pub fn dispatch(&mut self) {
        let bound = self.lines.iter().rev().find(|(_, l)| l.open && l.bound && !l.broken).map(|(&n, _)| n);
        let Some(line) = bound else { return };
        while let Some(d) = self.centre.queue.pop_front() {
            let Some(l) = self.lines.get_mut(&line) else { return };
            l.delivers += 1;
            let seq = l.delivers;
            l.unacknowledged.insert(seq, d.clone());
            let bytes = self.centre.deliver(seq, &d);
            self.send_to_us(line, bytes);
        }
    }
    pub fn go_away(&mut self, span: Moment) {
        self.counts.away += 1;
        self.centre.away_until = self.moment() + span;
        let open: Vec<u32> = self.lines.iter().filter(|(_, l)| l.open).map(|(&n, _)| n).collect();
        for line in open {
            self.cut(line);
        }
    }
}
