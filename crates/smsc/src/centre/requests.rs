//! What an ESME asks of the centre, and what it is answered.

use super::{Centre, Due, INCOMPLETE_MAX, Message, State};
use crate::{
    log::hex,
    pdu::{self, Payload, Submit},
};
use kairos_model::{Msisdn, Span, Timestamp, hash};
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    pdus::{BindReceiverResp, BindTransceiverResp, BindTransmitterResp, QuerySm, QuerySmResp, SubmitSm, SubmitSmResp},
    values::{InterfaceVersion, MessageState},
};
use serde_json::json;

impl Centre {
    pub(super) fn command(&self, s: &mut State, line: u32, command: &Command, raw: &[u8]) {
        let (seq, ok) = (command.sequence_number(), CommandStatus::EsmeRok);
        match command.pdu() {
            Some(Pdu::BindTransceiver(b)) => self.bind(s, line, command, b.system_id.as_str(), b.password.as_str()),
            Some(Pdu::BindTransmitter(b)) => self.bind(s, line, command, b.system_id.as_str(), b.password.as_str()),
            Some(Pdu::BindReceiver(b)) => self.bind(s, line, command, b.system_id.as_str(), b.password.as_str()),
            Some(Pdu::SubmitSm(submit)) => self.submit(s, line, seq, submit, raw),
            Some(Pdu::QuerySm(query)) => self.query(s, line, seq, query),
            Some(Pdu::DeliverSmResp(_)) => self.acknowledged(s, line, command),
            Some(Pdu::EnquireLink) => self.answer(s, line, ok, seq, Pdu::EnquireLinkResp),
            Some(Pdu::Unbind) => {
                self.answer(s, line, ok, seq, Pdu::UnbindResp);
                if let Some(l) = s.lines.get(line) {
                    l.close(self.clock().begin());
                }
            }
            _ if u32::from(command.id()) & 0x8000_0000 != 0 => {
                // an answer without a body, or to nothing that we asked
                if command.id() == CommandId::DeliverSmResp {
                    self.acknowledged(s, line, command);
                }
            }
            _ => self.answer(s, line, CommandStatus::EsmeRinvcmdid, seq, Pdu::GenericNack),
        }
    }

    fn bind(&self, s: &mut State, line: u32, command: &Command, user: &str, password: &str) {
        let (seq, id) = (command.sequence_number(), command.id());
        let users = &self.config.users;
        let known = users.is_empty() || users.iter().any(|(u, p)| u == user && p == password);
        let Some(l) = s.lines.get(line) else { return };
        let status = match (&l.user, known) {
            (Some(_), _) => CommandStatus::EsmeRalybnd,
            (None, false) => CommandStatus::EsmeRbindfail,
            (None, true) => CommandStatus::EsmeRok,
        };
        let bound = status == CommandStatus::EsmeRok;
        if bound {
            l.user = Some(user.into());
            l.sends = id != CommandId::BindReceiver;
            l.receives = id != CommandId::BindTransmitter;
            s.counts.binds += 1;
        } else {
            s.counts.refused_binds += 1;
        }
        s.log.line(|| json!({"ev": "bind", "user": user, "status": u32::from(status)}));
        let (name, version) = (pdu::c_octets("kairos-smsc"), Some(InterfaceVersion::Smpp3_4));
        match id {
            CommandId::BindReceiver => self.answer(s, line, status, seq, BindReceiverResp::new(name, version)),
            CommandId::BindTransmitter => self.answer(s, line, status, seq, BindTransmitterResp::new(name, version)),
            _ => self.answer(s, line, status, seq, BindTransceiverResp::new(name, version)),
        }
        if bound {
            self.dispatch(s, user);
        } else if let Some(l) = s.lines.get(line)
            && l.user.is_none()
        {
            l.close(self.clock().begin());
        }
    }

    fn submit(&self, s: &mut State, line: u32, seq: u32, submit: &SubmitSm, raw: &[u8]) {
        let now = self.clock().now();
        s.counts.submits += 1;
        let user = s.lines.get(line).filter(|l| l.sends).and_then(|l| l.user.clone());
        let checked = user.ok_or(CommandStatus::EsmeRinvbndsts).and_then(|user| {
            self.room(s, now)?;
            let submit = pdu::read_submit(submit, now)?;
            let number = submit.to.digits.parse().ok().and_then(Msisdn::from_e164);
            Ok((user, number.ok_or(CommandStatus::EsmeRinvdstadr)?, submit))
        });
        let (user, number, submit) = match checked {
            Ok(checked) => checked,
            Err(status) => {
                match status {
                    CommandStatus::EsmeRthrottled => s.counts.throttled += 1,
                    CommandStatus::EsmeRmsgqful => s.counts.queue_full += 1,
                    _ => s.counts.rejected += 1,
                }
                let (dst, status_code) = (submit.destination_addr.as_str(), u32::from(status));
                s.log.line(|| json!({"t": now.0, "ev": "refused", "seq": seq, "dst": dst, "status": status_code}));
                return self.answer(s, line, status, seq, SubmitSmResp::default());
            }
        };
        s.counts.accepted += 1;
        s.numbered += 1;
        let id = s.numbered;
        let octets = match &submit.text {
            Payload::Whole(o) | Payload::Part { octets: o, .. } => o,
        };
        s.log.line(|| {
            json!({
                "t": now.0, "ev": "submit", "id": format!("{id:x}"), "user": *user, "seq": seq,
                "src": submit.source.digits, "dst": submit.to.digits, "dc": submit.coding,
                "text": pdu::text(submit.coding, octets), "ref": submit.reference, "hex": hex(raw),
            })
        });
        let luck = self.luck(&submit, octets);
        s.messages.insert(
            id,
            Message {
                user: user.clone(),
                source: submit.source.clone(),
                to: submit.to.clone(),
                submitted: now,
                done: None,
                state: MessageState::Enroute,
                receipt: submit.receipt,
                reference: submit.reference,
            },
        );
        let one_in = |n: Option<u32>, luck: u64| n.is_some_and(|n| luck.is_multiple_of(u64::from(n.max(1))));
        let cut = one_in(self.config.cut_one_in, luck >> 32);
        if cut || one_in(self.config.lose_one_in, luck & 0xffff_ffff) {
            s.counts.unanswered += 1;
        }
        if cut || !one_in(self.config.lose_one_in, luck & 0xffff_ffff) {
            if self.config.latency > Span::ZERO {
                self.schedule(s, now.plus(self.config.latency), Due::Answer { line, seq, id, cut });
            } else {
                self.accepted(s, line, seq, id, cut);
            }
        }
        self.assemble(s, user, number, submit, id, now);
    }

    /// Whether rate and queue take one more.
    fn room(&self, s: &mut State, now: Timestamp) -> Result<(), CommandStatus> {
        if s.messages.len() - s.done.len() >= self.config.queue_max || s.incomplete.len() >= INCOMPLETE_MAX {
            return Err(CommandStatus::EsmeRmsgqful);
        }
        if let Some(rate) = self.config.rate_max {
            let next = s.rate_next.max(now).plus(Span(1_000_000 / i64::from(rate.max(1))));
            if next > now.plus(Span::secs(1)) {
                return Err(CommandStatus::EsmeRthrottled);
            }
            s.rate_next = next;
        }
        Ok(())
    }

    /// A hash of what was submitted, whenever that was.
    fn luck(&self, submit: &Submit, octets: &[u8]) -> u64 {
        let all = [submit.source.digits.as_bytes(), submit.to.digits.as_bytes(), octets].concat();
        let number = match submit.text {
            Payload::Whole(_) => 0,
            Payload::Part { number, .. } => number,
        };
        let salt = hash::salted2(self.config.seed, 0x4c55_434b, number.into());
        all.iter().fold(salt, |h, &b| hash::mix(h ^ u64::from(b)))
    }

    fn acknowledged(&self, s: &mut State, line: u32, command: &Command) {
        let Some(l) = s.lines.get(line) else { return };
        let (user, status) = (l.user.clone(), u32::from(command.status()));
        let Some(delivery) = l.answered(command.sequence_number()) else { return };
        s.counts.acknowledged += 1;
        s.log.line(|| {
            let id = delivery.receipt_of.map(|id| format!("{id:x}"));
            json!({"ev": "deliver_resp", "id": id, "status": status})
        });
        if let Some(user) = user {
            self.dispatch(s, &user);
        }
    }

    fn query(&self, s: &mut State, line: u32, seq: u32, q: &QuerySm) {
        s.counts.queries += 1;
        let asker = s.lines.get(line).and_then(|l| l.user.clone());
        let asked = q.message_id.as_str();
        let found = u64::from_str_radix(asked, 16).ok().and_then(|id| s.messages.get(&id));
        let found = found.filter(|m| Some(&m.user) == asker.as_ref() && m.source.digits == q.source_addr.as_str());
        let (status, resp) = match found {
            None => (CommandStatus::EsmeRqueryfail, QuerySmResp::default()),
            Some(m) => {
                let resp = QuerySmResp::builder().message_id(pdu::c_octets(asked)).message_state(m.state);
                (CommandStatus::EsmeRok, resp.final_date(pdu::final_date(m.done)).build())
            }
        };
        self.answer(s, line, status, seq, resp);
    }
}
