//! Rating: what each record of a month costs; exact, in millionths of a yuan.

use crate::{
    usage::{Cdr, Distance, Kind, Peer, SERVICE_NUMBERS, Town},
    vocab::Plan,
};

/// Sums of a subscriber's charges in a month, millionths of a yuan.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Charges {
    pub voice: i64,
    pub data: i64,
    pub messages: i64,
}

impl Town {
    /// Prices the sorted records; allowances go to the first ones of the month.
    pub(crate) fn rate(&mut self) {
        self.charges.clear();
        self.charges.resize(self.members.len(), Charges::default());
        let (mut who, mut minutes, mut sms, mut kb) = (usize::MAX, 0, 0, 0);
        for c in &mut self.cdrs {
            if c.who() != who {
                who = c.who();
                let plan = self.members[who].sub.plan;
                (minutes, sms, kb) = (plan.free_minutes, plan.free_sms, self.members[who].free_kb);
            }
            let plan = self.members[who].sub.plan;
            let sums = &mut self.charges[who];
            match c.kind {
                Kind::VoiceOut | Kind::VoiceIn => {
                    let m = c.duration_s.div_ceil(60);
                    let free = c.kind == Kind::VoiceOut
                        && c.roaming == 0
                        && c.distance == Distance::Local
                        && !is_service(c.peer);
                    let used = if free { m.min(minutes) } else { 0 };
                    minutes -= used;
                    c.charge = per_minute(plan, c) * i64::from(m - used);
                    sums.voice += c.charge;
                }
                Kind::SmsOut if sms > 0 => sms -= 1,
                Kind::SmsOut | Kind::MmsOut => {
                    c.charge = if c.kind == Kind::SmsOut { plan.sms } else { plan.mms };
                    sums.messages += c.charge;
                }
                Kind::SmsIn => {}
                Kind::Data => {
                    let used = if c.roaming == 2 { 0 } else { u64::from(c.kb).min(kb) };
                    kb -= used;
                    let rate = if c.roaming == 2 { 10 * plan.per_kb } else { plan.per_kb };
                    c.charge = rate * (u64::from(c.kb) - used) as i64;
                    sums.data += c.charge;
                }
            }
        }
    }
}

fn per_minute(plan: &Plan, c: &Cdr) -> i64 {
    match (c.kind, c.roaming, c.distance) {
        _ if is_service(c.peer) => 0,
        (_, 2, _) | (Kind::VoiceOut, _, Distance::International) => plan.international,
        (_, 1, _) => plan.roaming,
        (Kind::VoiceIn, ..) => 0,
        (_, _, Distance::Long) => plan.long_distance,
        (_, _, Distance::Ip) => plan.ip,
        _ => plan.local,
    }
}

fn is_service(p: Peer) -> bool {
    SERVICE_NUMBERS.contains(&p.digits)
}
