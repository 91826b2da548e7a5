//! One connection between the channel and the simulated centre. Each submit and acknowledgement is checked when its first
//! octet passes.

use crate::{
    clock::Moment,
    model::{Label, fail},
    pdu::{self, Pdu, Stream, id},
    scene::{Happening, Scene, Stage},
};
use kairos_connect::smpp::Io;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the centre has sent us and waits to have acknowledged.
#[derive(Clone, Debug)]
pub enum Deliver {
    Receipt(u64),
    Reply { from: u64, text: &'static str, at: kairos_model::Timestamp },
}

#[derive(Default)]
pub struct Line {
    /// Octets that have arrived and are not read.
    inbox: Vec<u8>,
    ended: bool,
    /// What the process has read, taken apart.
    read: Stream,
    /// Octets of the last written PDU that are still to come.
    left: usize,
    pub jammed: bool,
    pub broken: bool,
    pub latency: Moment,
    /// Which of our binds it belongs to.
    pub bind: usize,
    /// Arrivals keep their order.
    last: [Moment; 2],
    /// At the centre.
    pub open: bool,
    pub bound: bool,
    pub arrived: Stream,
    pub unacknowledged: BTreeMap<u32, Deliver>,
    pub delivers: u32,
    submits: BTreeMap<u32, Label>,
    /// What the centre's answers under way are about, in their order.
    pub answers: VecDeque<Label>,
}

impl Scene {
    /// A new connection, or its refusal.
    pub fn connect(&mut self, stage: &Stage, bind: usize) -> io::Result<Box<dyn Io>> {
        if !self.alive() || self.centre.away_until > self.moment() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.made_lines += 1;
        let latency = self.dice.between(1_000, 40_000);
        let line = Line { open: true, latency, bind, ..Line::default() };
        self.lines.insert(self.made_lines, line);
        let number = self.made_lines;
        self.say(|| format!("line {number} connects"));
        Ok(Box::new(SimStream { stage: stage.clone(), line: number }))
    }

    fn arrival(&mut self, line: u32, direction: usize) -> Moment {
        let now = self.moment();
        let Some(l) = self.lines.get_mut(&line) else { return now };
        l.last[direction] = l.last[direction].max(now + l.latency);
        l.last[direction]
    }
    pub fn send_to_us(&mut self, line: u32, bytes: Vec<u8>) {
        let at = self.arrival(line, 1);
        self.agenda.put(at, Happening::ToUs(line, bytes));
    }
    /// The centre's end of a connection closes.
    pub fn close_at_centre(&mut self, line: u32) {
        let at = self.arrival(line, 1);
        let Some(l) = self.lines.get_mut(&line).filter(|l| l.open) else { return };
        (l.open, l.bound) = (false, false);
        let back = std::mem::take(&mut l.unacknowledged);
        self.agenda.put(at, Happening::GoneAtUs(line));
        self.centre.requeue(back, &mut self.counts);
    }
    /// Both ends lose the connection at once.
    pub fn cut(&mut self, line: u32) {
        let Some(l) = self.lines.get_mut(&line) else { return };
        (l.broken, l.ended) = (true, true);
        // what is on its way may arrive, or not
        if self.dice.one_in(2) {
            let lost = self.agenda.forget(|h| matches!(h, Happening::ToCentre(l, _) if *l == line));
            self.counts.lost_in_pipe += lost as u64;
        }
        self.counts.cut += 1;
        let at = self.arrival(line, 0);
        self.agenda.put(at, Happening::GoneAtCentre(line));
    }
    pub fn arrive_at_us(&mut self, line: u32, bytes: &[u8]) {
        if let Some(l) = self.lines.get_mut(&line).filter(|l| !l.ended) {
            l.inbox.extend_from_slice(bytes);
        }
    }
    pub fn end_at_us(&mut self, line: u32) {
        if let Some(l) = self.lines.get_mut(&line) {
            (l.ended, l.broken) = (true, true);
        }
    }

    fn write(&mut self, line: u32, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.dead.is_some() {
            return Poll::Pending;
        }
        let jam = self.lines.get(&line).is_some_and(|l| l.jammed);
        let n = if jam { (self.dice.below(120) as usize).min(bytes.len()) } else { bytes.len() };
        let Some(l) = self.lines.get_mut(&line) else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        if l.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if n == 0 {
            return Poll::Pending;
        }
        let mut at = l.left.min(n);
        l.left -= at;
        while at < n {
            // the rest of the outbox holds the whole of what begins in it
            let len = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
            self.first_octet(line, &bytes[at..at + len]);
            let taken = len.min(n - at);
            self.lines.get_mut(&line).into_iter().for_each(|l| l.left = len - taken);
            at += taken;
        }
        let arrives = self.arrival(line, 0);
        self.agenda.put(arrives, Happening::ToCentre(line, bytes[..n].to_vec()));
        Poll::Ready(Ok(n))
    }

    /// A PDU begins to pass the socket.
    fn first_octet(&mut self, line: u32, bytes: &[u8]) {
        let mut stream = Stream::default();
        stream.push(bytes);
        let Some(pdu) = stream.next() else { return };
        match pdu.id {
            id::SUBMIT_SM => self.submit_passes(line, &pdu),
            x if x == id::DELIVER_SM | id::RESPONSE => self.acknowledgement_passes(line, &pdu),
            _ => {}
        }
    }
    fn submit_passes(&mut self, line: u32, pdu: &Pdu) {
        let now = self.now();
        let read = pdu::submit(&pdu.body).and_then(|s| Some((Label::read(&s)?, s)));
        let Some((label, submit)) = read else {
            return self.check(fail("what we write can be read", format!("{pdu:?}")));
        };
        self.say(|| format!("line {line} #{} submits {label:?}", pdu.seq));
        self.counts.submits += 1;
        let check = self.model.submitted(&submit, label, now);
        self.check(check);
        let known = self.lines.get_mut(&line).and_then(|l| l.submits.insert(pdu.seq, label));
        if let Some(other) = known {
            self.check(fail("sequence numbers are used once", format!("{label:?} and {other:?} are #{}", pdu.seq)));
        }
    }
    fn acknowledgement_passes(&mut self, line: u32, pdu: &Pdu) {
        let found = self.lines.get(&line).and_then(|l| l.unacknowledged.get(&pdu.seq)).cloned();
        match found {
            Some(Deliver::Reply { from, text: "TD", at }) => {
                let check = self.model.reply_acknowledged(from, at);
                self.check(check);
            }
            Some(Deliver::Receipt(message)) => {
                if let Some((contact, delivered)) = self.centre.certain_receipt(message) {
                    let check = self.model.receipt_acknowledged(contact, delivered);
                    self.check(check);
                }
            }
            _ => {}
        }
    }

    fn read(&mut self, line: u32, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(l) = self.lines.get_mut(&line) else { return Poll::Ready(Ok(())) };
        if l.inbox.is_empty() {
            return if l.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let n = l.inbox.len().min(buf.remaining());
        buf.put_slice(&l.inbox[..n]);
        let rest = l.inbox.split_off(n);
        let taken = std::mem::replace(&mut l.inbox, rest);
        l.read.push(&taken);
        while let Some(l) = self.lines.get_mut(&line)
            && let Some(pdu) = l.read.next()
        {
            let answer = pdu.id == id::SUBMIT_SM | id::RESPONSE || pdu.id == id::RESPONSE;
            if answer && let Some(label) = l.answers.pop_front() {
                let status = if pdu.id == id::RESPONSE { pdu.status.max(3) } else { pdu.status };
                self.say(|| format!("line {line} #{} is answered {status:#x}: {label:?}", pdu.seq));
                self.model.answered(label, status);
            }
        }
        Poll::Ready(Ok(()))
    }
    fn hang_up(&mut self, line: u32) {
        let at = self.arrival(line, 0);
        self.lines.get_mut(&line).into_iter().for_each(|l| (l.broken, l.ended) = (true, true));
        self.agenda.put(at, Happening::GoneAtCentre(line));
    }
}

/// Our end of a connection.
struct SimStream {
    stage: Stage,
    line: u32,
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stage.scene().read(self.line, buf)
    }
}
impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stage.scene().write(self.line, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stage.scene().hang_up(self.line);
        Poll::Ready(Ok(()))
    }
}
impl Drop for SimStream {
    fn drop(&mut self) {
        self.stage.scene().hang_up(self.line);
    }
}
