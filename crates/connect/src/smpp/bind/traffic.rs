//! What goes over a bind's connection: PDUs read and dealt with, submits gated, encoded and written.

use super::{Bind, GOODBYE, Lost, Phase};
use crate::{
    channel::{Inbound, RefusalStatus},
    smpp::{
        flow::{Answer, Task},
        frame::{Fields, Frame, id},
        inbound,
        monitor::add,
        outbound,
    },
};
use kairos_model::{Reason, Span, Timestamp};
use rusmpp::{CommandStatus, Pdu};
use std::{
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
};

/// Submits gated and encoded before one write: small, so that little time passes between gate and socket.
const BURST: usize = 64;

impl Bind<'_> {
    pub(super) fn frames(&mut self) {
        while let Some(link) = self.link.as_mut() {
            match link.frame() {
                Ok(Some(frame)) => {
                    self.frame(&frame);
                    self.clock.on_wire(-1);
                }
                Ok(None) => return,
                Err(e) => return self.lose(&Lost::Length(e)),
            }
        }
    }

    fn frame(&mut self, f: &Frame) {
        let (now, m) = (self.clock.now(), self.monitor.clone());
        let Some(link) = self.link.as_mut() else { return };
        match f.id {
            id::SUBMIT_SM_RESP => {
                let message_id = Fields(&f.body).text().unwrap_or_default().iter().map(|&b| char::from(b)).collect();
                let answer = self.flow.answered(f.seq, f.status, message_id, now);
                self.count(answer);
            }
            id::GENERIC_NACK if matches!(self.phase, Phase::Binding { .. }) => self.lose(&Lost::Refused(f.status)),
            // a nack of status 0 would be no refusal: call it "invalid command"
            id::GENERIC_NACK => {
                let answer = self.flow.answered(f.seq, f.status.max(3), String::new(), now);
                self.count(answer);
            }
            id::DELIVER_SM => match inbound::read(&f.body, &self.plan, now) {
                Ok(what) => {
                    add(if matches!(what, Inbound::Receipt(_)) { &m.receipts } else { &m.messages }, 1);
                    self.inbound.push(what);
                    self.unacked.push(f.seq);
                }
                Err(e) => {
                    add(&m.unreadable, 1);
                    tracing::warn!(centre = self.config.host, cause = %e, "deliver_sm dropped");
                    link.push_plain(|out| outbound::put_deliver_resp(out, f.seq));
                }
            },
            id::ENQUIRE_LINK => {
                link.push_plain(|out| outbound::put(out, CommandStatus::EsmeRok, f.seq, Pdu::EnquireLinkResp));
            }
            id::ENQUIRE_LINK_RESP => self.enquiry = None,
            id::BIND_TRANSCEIVER_RESP if matches!(self.phase, Phase::Binding { .. }) => {
                if f.status != 0 {
                    return self.lose(&Lost::Refused(f.status));
                }
                (self.phase, self.attempts) = (Phase::Bound, 0);
                add(&m.binds, 1);
                m.bound.store(true, Relaxed);
                tracing::info!(centre = self.config.host, port = self.config.port, "bound");
            }
            id::UNBIND => {
                link.push_plain(|out| outbound::put(out, CommandStatus::EsmeRok, f.seq, Pdu::UnbindResp));
                self.phase = Phase::Leaving { until: now.plus(GOODBYE) };
            }
            id::UNBIND_RESP if matches!(self.phase, Phase::Unbinding { .. }) => self.end(),
            id::OUTBIND | id::ALERT_NOTIFICATION => {}
            other if outbound::is_request(other) => link.push_plain(|out| outbound::put_nack(out, f.seq)),
            _ => add(&m.stray, 1),
        }
    }

    fn count(&self, answer: Answer) {
        let m = &self.monitor;
        let counter = match answer {
            Answer::Accepted => &m.accepted,
            Answer::Throttled => &m.throttled,
            Answer::Refused => &m.refused,
            Answer::Stray => &m.stray,
        };
        add(counter, 1);
    }

    /// Gates, encodes and writes as much as window, pace and socket take.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        loop {
            let Some(link) = self.link.as_ref() else { return moved };
            let filled = !link.has_output() && matches!(self.phase, Phase::Bound) && self.fill();
            moved |= filled;
            let Some(link) = self.link.as_mut() else { return moved };
            if !link.has_output() {
                if filled {
                    continue; // all of that burst was cancelled
                }
                return moved;
            }
            match link.poll_flush(cx) {
                Poll::Ready(Ok(())) => (moved, self.blocked) = (true, false),
                Poll::Ready(Err(e)) => {
                    self.lose(&Lost::Io(e));
                    return true;
                }
                Poll::Pending => {
                    let back = link.take_back();
                    self.blocked = true;
                    // they were gated and not written: that was no progress
                    self.monitor.submits.fetch_sub(back.len() as u64, Relaxed);
                    back.into_iter().for_each(|seq| self.flow.unwritten(seq));
                    return self.flow.has_reports() && self.submitting.is_none();
                }
            }
        }
    }

    /// Gates and encodes one burst. Whether anything happened.
    fn fill(&mut self) -> bool {
        for n in 0..BURST {
            let now = self.clock.now();
            if self.pace.as_ref().is_some_and(|p| p.next > now) {
                return n > 0;
            }
            let Some(task) = self.flow.pop(now) else { return n > 0 };
            self.submit(task, now);
        }
        true
    }

    fn submit(&mut self, task: Task, now: Timestamp) {
        let late = if task.dispatch.not_after <= now { Err(Reason::TooLate) } else { Ok(()) };
        if let Err(reason) = late.and_then(|()| self.deliveries.gate(&task.dispatch, now)) {
            add(&self.monitor.cancelled, 1);
            return self.flow.cancel(&task, reason);
        }
        let seq = self.sequence();
        let Some(link) = self.link.as_mut() else { return };
        let written = self.config.source(&task.dispatch.from).ok_or(outbound::TooWide { field: "source_addr" });
        let written = written.and_then(|source| {
            let segment = outbound::Segment {
                dispatch: &task.dispatch,
                source,
                alphabet: task.text.alphabet,
                octets: &task.text.segments[usize::from(task.segment) - 1],
                number: task.segment,
                of: task.segments(),
            };
            link.push(Some(seq), |out| outbound::put_submit(out, seq, &segment, self.config.validity, now))
        });
        if written.is_err() {
            add(&self.monitor.refused, 1);
            return self.flow.refuse(&task, RefusalStatus::BadSource);
        }
        add(&self.monitor.submits, 1);
        self.flow.written(seq, task, now);
        if let Some(pace) = &mut self.pace {
            pace.next = pace.next.max(now.minus(Span::millis(10))).plus(pace.interval);
        }
    }
}
