//! What operators, subscribers and the network do to a world.

use crate::{plan, scene::Scene};
use kairos_decide::RunState;
use kairos_engine::{AudienceHash, Input, StartWave};
use kairos_model::{
    CampaignClass, CampaignId, CellId, Event, EventType, Msisdn, PartyId, PlaybookId, SnapshotId, Span, Timestamp,
    WaveNo,
};
use kairos_vault::{Assignment, SuppressionCause};

/// Who or what exactly is drawn when it is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    StartWave,
    Pause,
    Resume,
    Stop,
    KillSwitch(bool),
    OptOut,
    OptIn,
    Snapshot,
    Edit,
    Event,
    Renumber,
    Erase,
    Checkpoint,
}

impl Order {
    /// What an ordinary hour brings.
    pub const USUAL: &'static [Self] = &[
        Self::Pause,
        Self::Pause,
        Self::Resume,
        Self::Resume,
        Self::Resume,
        Self::KillSwitch(true),
        Self::OptOut,
        Self::OptOut,
        Self::OptOut,
        Self::OptIn,
        Self::Snapshot,
        Self::Edit,
        Self::Event,
        Self::Event,
        Self::Renumber,
        Self::Checkpoint,
    ];
}

impl Scene {
    /// Carries out an order; where no process runs, the operator is told so and nothing happens.
    pub fn operate(&mut self, order: Order) {
        if !self.alive() {
            return;
        }
        let c = CampaignId(1 + self.dice.below(self.plan.campaigns.into()) as u32);
        self.say(|| format!("order {order:?} (for {c})"));
        match order {
            Order::StartWave => self.start_wave(c),
            Order::Pause => {
                self.counts.pause += 1;
                self.tell(vec![Input::Pause(c)]);
                let back = self.dice.between(2, 4_000) * 1_000_000;
                self.after(back, crate::scene::Happening::Operator(Order::Resume));
            }
            Order::Resume => {
                let paused = self.model.runs.iter().find(|(_, r)| **r == RunState::Paused).map(|(&c, _)| c);
                if let Some(c) = paused {
                    self.counts.resume += 1;
                    self.tell(vec![Input::Resume(c)]);
                }
            }
            Order::Stop => {
                self.counts.stop += 1;
                self.tell(vec![Input::Stop(c)]);
            }
            Order::KillSwitch(on) => {
                self.counts.kill_switch += 1;
                self.tell(vec![Input::KillSwitch(on)]);
                if on {
                    let back = self.dice.between(1, 900) * 1_000_000;
                    self.after(back, crate::scene::Happening::Operator(Order::KillSwitch(false)));
                }
            }
            Order::OptOut => self.opt_out(),
            Order::OptIn => self.opt_in(),
            Order::Snapshot => self.snapshot(),
            Order::Edit => self.edit(),
            Order::Event => self.event(),
            Order::Renumber => self.renumber(),
            Order::Erase => self.erase(),
            Order::Checkpoint => {
                self.counts.checkpoints += 1;
                let cut = self.dice.one_in(2);
                self.tidy(cut);
            }
        }
    }

    fn start_wave(&mut self, campaign: CampaignId) {
        let Some(book) = self.model.book.clone() else { return };
        let Some(c) = book.campaign(campaign) else { return };
        let no = WaveNo(self.model.audiences.len() as u16 + 1);
        let mut hash = AudienceHash([0; 32]);
        hash.0[..2].copy_from_slice(&no.0.to_le_bytes());
        let members = plan::audience(&mut self.dice, &self.plan);
        self.shelves.put_audience(hash, members);
        let not_after =
            if self.dice.one_in(4) { self.now().plus(Span::mins(self.dice.between(1, 400))) } else { Timestamp::MAX };
        self.model.audiences.insert((campaign, no), (hash, not_after));
        let start = StartWave { campaign, version: c.version, wave: no, audience: hash, not_after };
        self.tell(vec![Input::StartWave(start)]);
    }

    fn opt_out(&mut self) {
        let s = self.somebody_waiting();
        let class = self.dice.pick(&[None, None, Some(CampaignClass::Marketing), Some(CampaignClass::Care)]);
        self.counts.opt_out += 1;
        self.say(|| format!("{s} opts out of {class:?}"));
        if class.is_none()
            && let Some(number) = self.vault(|v, now| v.number_of(s, now)).flatten()
        {
            let now = self.now();
            if self.suppress(number.reveal(), now, SuppressionCause::Request).is_none() {
                return;
            }
        }
        self.tell(vec![Input::OptOut { subscriber: s, class }]);
    }
    /// Somebody who is about to be contacted, where there is one: an opt-out matters most to them.
    fn somebody_waiting(&mut self) -> kairos_model::SubscriberId {
        let waiting: Vec<_> = self
            .model
            .contacts
            .values()
            .filter(|k| k.stage != crate::model::Stage::Settled)
            .map(|k| k.subscriber)
            .collect();
        if waiting.is_empty() || self.dice.one_in(4) { self.anybody() } else { self.dice.pick(&waiting) }
    }
    fn opt_in(&mut self) {
        let out: Vec<u32> =
            (0..self.person_count()).filter(|&i| self.model.people[i as usize].out.contains(&true)).collect();
        if out.is_empty() {
            return;
        }
        let s = kairos_model::SubscriberId(self.dice.pick(&out));
        if self.model.people[s.0 as usize].erased {
            return;
        }
        self.counts.opt_in += 1;
        self.say(|| format!("{s} opts in again"));
        let number = self.vault(|v, now| v.number_of(s, now)).flatten();
        if let Some(n) = number {
            self.model.lifted.insert(n.reveal());
        }
        if self.tell(vec![Input::OptIn { subscriber: s, class: None }]).is_none() {
            return;
        }
        if let Some(n) = number {
            self.model.asked.unsuppress.push(n.reveal());
            if self.vault(|v, now| v.unsuppress(n, now)).is_some() {
                self.model.asked.unsuppress.clear();
                self.model.suppressed.remove(&n.reveal());
            }
        }
    }

    pub fn snapshot(&mut self) {
        self.counts.snapshot += 1;
        let id = self.next_snapshot;
        self.next_snapshot += 1;
        let now = self.now();
        let lists = plan::lists(&mut self.dice, id, &self.model, self.plan.campaigns, now);
        self.shelves.put_lists(lists);
        self.tell(vec![Input::SwapFacts(SnapshotId(id))]);
    }
    fn edit(&mut self) {
        let Some(newest) = self.shelves.book(PlaybookId(self.newest_book)) else { return };
        let Some(book) = plan::edited(&mut self.dice, &newest) else { return };
        self.counts.edit += 1;
        self.newest_book = book.id.0;
        let id = book.id;
        self.shelves.put_book(book);
        self.tell(vec![Input::SwapPlaybook(id)]);
    }

    fn event(&mut self) {
        self.counts.events += 1;
        let now = self.now();
        let kind = self.dice.pick(&[EventType::MOVED, EventType::POWER_OFF, EventType::POWER_ON]);
        let event = Event {
            kind,
            flags: 0,
            subscriber: self.anybody(),
            peer: PartyId::NONE,
            // never the same twice: what is lost can be told
            cell: CellId(1 + self.counts.events as u32),
            at: now.minus(Span::secs(3)),
            arrived: now,
            aux: 0,
        };
        self.tell(vec![Input::Event(event)]);
    }

    fn renumber(&mut self) {
        let (from, to, now) = (self.anybody(), self.anybody(), self.now());
        let Some(number) = self.model.number_of(from, now) else { return };
        if from == to || self.model.people[to.0 as usize].erased {
            return;
        }
        let Some(msisdn) = Msisdn::from_e164(number) else { return };
        self.counts.renumbered += 1;
        self.say(|| format!("the number of {from} passes to {to}"));
        self.model.asked.assign.push((to, number, now));
        let row = Assignment { subscriber: to, number: msisdn, from: now, to: Timestamp::MAX };
        if self.vault(|v, _| v.assign(&[row])).is_some() {
            self.model.asked.assign.clear();
            self.model.give_number(to, number, now);
        }
    }

    fn erase(&mut self) {
        let s = self.somebody_waiting();
        if self.model.people[s.0 as usize].erased {
            return;
        }
        self.counts.erased += 1;
        self.say(|| format!("{s} is erased"));
        if self.tell(vec![Input::OptOut { subscriber: s, class: None }]).is_none() {
            return;
        }
        self.model.asked.erase.push(s);
        if self.vault(|v, _| v.erase(s)).is_some() {
            self.model.asked.erase.clear();
            self.model.people[s.0 as usize].erased = true;
        }
    }
}
