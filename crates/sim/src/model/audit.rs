//! The engine's own account against the model's: after every step, after every crash, and at the end.

use super::{Check, Model, Stage, ensure, fail};
use kairos_engine::{Engine, EngineError, Input, Sums};
use kairos_journal::Position;
use kairos_model::{CampaignClass, ContactId, ContactState, Reason, SubscriberId};

impl Model {
    /// Invariant 13 and what else holds at every instant.
    pub fn step(&self, engine: &Engine) -> Check {
        let right = engine.last_stamp() == self.high;
        ensure!(right, "the clock never goes back", "the engine is at {}, seen {}", engine.last_stamp(), self.high);
        for w in &self.waves {
            let Some(sums) = engine.sums(w.campaign, w.wave) else {
                return fail("states add up at every step", format!("{} {} is gone", w.campaign, w.wave));
            };
            let told = || format!("{} {}: {sums:?}, must be {:?}", w.campaign, w.wave, w.by_state);
            let right = sums.adds_up() && sums.members == w.size && sums.by_state == w.by_state;
            ensure!(right, "states add up at every step", "{}", told());
        }
        for (&c, &micros) in &self.spent {
            let spent = engine.spent(c);
            ensure!(spent == micros && micros >= 0, "budget adds up at every step", "{c}: {spent}, must be {micros}");
        }
        Ok(())
    }

    /// Slower: counted from the members, all reasons and dispositions, and each member by itself.
    pub fn members(&self, engine: &Engine) -> Check {
        for w in &self.waves {
            let sums = engine.sums(w.campaign, w.wave);
            let again = engine.recount(w.campaign, w.wave);
            ensure!(sums == again, "states add up when counted again", "{} {}: {sums:?} {again:?}", w.campaign, w.wave);
            for m in engine.members(w.campaign, w.wave) {
                let mine = w.members[m.subscriber.0 as usize];
                let seen = m.seen.iter().fold(0u16, |bits, d| bits | 1 << d.code());
                let same = mine
                    .is_some_and(|x| (x.state, x.reason, x.holdout, x.seen) == (m.state, m.reason, m.holdout, seen));
                ensure!(
                    same,
                    "each member stands where it was told",
                    "{} {}: {m:?}, must be {mine:?}",
                    w.campaign,
                    w.wave
                );
            }
            let Some(sums) = sums else { continue };
            self.reasons(w, &sums)?;
        }
        Ok(())
    }
    fn reasons(&self, w: &super::Wave, sums: &Sums) -> Check {
        let count = |state, reason| {
            let same = |m: &&super::Member| m.state == state && m.reason == Some(reason);
            w.members.iter().flatten().filter(same).count() as u64
        };
        for &r in Reason::ALL {
            let right = sums.withheld[r as usize] == count(ContactState::Withheld, r)
                && sums.cancelled[r as usize] == count(ContactState::Cancelled, r);
            ensure!(right, "states add up when counted again", "{} {} by {r}: {sums:?}", w.campaign, w.wave);
        }
        Ok(())
    }

    /// Reads the trail as far as it was told, so that positions are known before the journal is cut.
    pub fn mirror(&mut self, engine: &Engine) -> Check {
        let from = self.positions.last().map_or(engine.trail_ends().0, |p| p.plus(1)).max(engine.trail_ends().0);
        let known = self.positions.len();
        for (i, line) in engine.trail_from(from).map_err(unreadable)?.enumerate() {
            let (position, line) = line.map_err(unreadable)?;
            let told = self.told.get(known + i);
            ensure!(told == Some(&line), "no durable line is lost", "at {position} {line:?}, told {told:?}");
            self.positions.push(position);
        }
        let (read, told) = (self.positions.len(), self.told.len());
        ensure!(read == told, "no durable line is lost", "{read} of {told} lines are in the journal");
        Ok(())
    }

    /// After a crash: everything that was told is there; what was asked and not answered is there or not; nothing else.
    pub fn recovered(&mut self, engine: &Engine, unknown: &[ContactId]) -> Check {
        let n = unknown.len();
        ensure!(n <= self.window as usize, "a crash leaves at most the windows unknown", "{n} of {}", self.window);
        self.recovered_lines(engine)?;
        let open = self.contacts.iter().find(|(_, k)| k.stage == Stage::Offered);
        ensure!(open.is_none(), "after a crash what was offered is unknown", "{open:?}");
        let last = engine.last_stamp();
        ensure!(last >= self.durable, "the clock never goes back", "{last} after {}", self.durable);
        self.high = last;
        let in_force = (self.book.as_ref().map(|b| b.id), self.snapshot());
        let found = engine.in_force();
        ensure!(found == in_force, "no acknowledged order is lost", "in force {found:?}, must be {in_force:?}");
        if let Some(book) = engine.book() {
            for c in book.campaigns() {
                let must = self.run_of(c.id);
                ensure!(c.run == must, "no acknowledged order is lost", "{} is {:?}, must be {must:?}", c.id, c.run);
            }
            ensure!(book.kill == self.kill, "no acknowledged order is lost", "the kill switch is {}", book.kill);
        }
        for (i, p) in self.people.iter().enumerate() {
            let s = SubscriberId(i as u32);
            let state = engine.state(s);
            for &class in CampaignClass::ALL {
                let out = state.is_some_and(|x| x.opted_out(class));
                let must = p.out[super::class_index(class)];
                ensure!(out == must, "no acknowledged opt-out is lost", "{s} {class}: {out}, must be {must}");
            }
            let (cell, on) = state.map_or((Default::default(), true), |x| (x.cell(), x.powered_on()));
            let same = (cell, !on) == (p.cell, p.power_off);
            ensure!(same, "no acknowledged event is lost", "{s}: {cell} {on}, must be {} {}", p.cell, !p.power_off);
        }
        self.members(engine)?;
        self.step(engine)
    }

    fn recovered_lines(&mut self, engine: &Engine) -> Check {
        let first = engine.trail_ends().0;
        let mut next = self.positions.partition_point(|&p| p < first);
        self.orders_found(engine);
        let mut positions: Vec<Position> = Vec::new();
        let known = next;
        for line in engine.trail_from(first).map_err(unreadable)? {
            let (position, line) = line.map_err(unreadable)?;
            if next < self.told.len() {
                let told = self.told[next];
                ensure!(told == line, "no durable line is lost", "at {position} {line:?}, told {told:?}");
            } else {
                self.line(&line)?;
            }
            positions.push(position);
            next += 1;
        }
        let told = self.told.len();
        ensure!(next >= told, "no durable line is lost", "{next} of {told} lines are in the journal");
        self.positions.truncate(known);
        self.positions.extend(positions);
        Ok(())
    }

    /// Orders that were asked for and not answered: those that are in force count as acknowledged from now on.
    fn orders_found(&mut self, engine: &Engine) {
        let inputs = self.asked.inputs.clone();
        for input in &inputs {
            let found = match *input {
                Input::SwapPlaybook(id) => engine.in_force().0 == Some(id),
                Input::SwapFacts(id) => engine.in_force().1 == Some(id),
                Input::Pause(c) | Input::Resume(c) | Input::Stop(c) => {
                    let run = engine.book().and_then(|b| b.campaign(c)).map(|c| c.run);
                    run.is_some_and(|run| match input {
                        Input::Pause(_) => run == kairos_decide::RunState::Paused,
                        Input::Resume(_) => run == kairos_decide::RunState::Running,
                        _ => run == kairos_decide::RunState::Stopped,
                    })
                }
                Input::KillSwitch(on) => engine.book().is_some_and(|b| b.kill == on),
                Input::OptOut { subscriber, class } | Input::OptIn { subscriber, class } => {
                    let out = matches!(input, Input::OptOut { .. });
                    let state = engine.state(subscriber);
                    let is = |c: &CampaignClass| state.is_some_and(|s| s.opted_out(*c)) == out;
                    CampaignClass::ALL.iter().filter(|c| class.is_none_or(|x| x == **c)).all(is)
                }
                Input::Event(e) => engine.state(e.subscriber).is_some_and(|s| s.cell() == e.cell),
                Input::StartWave(_) | Input::Outcome { .. } | Input::Events(_) | Input::Past(_) | Input::Tick => false,
            };
            if found {
                self.in_force(input);
            }
        }
    }

    /// At the end: nobody is forgotten, and every member's state is what happened.
    pub fn finish(&self, engine: &Engine) -> Check {
        self.members(engine)?;
        for w in &self.waves {
            for (i, m) in w.members.iter().enumerate() {
                let Some(m) = m else { continue };
                let contact = ContactId::of_wave(w.campaign, w.wave, SubscriberId(i as u32));
                let open = matches!(m.state, ContactState::NotReached | ContactState::Deferred | ContactState::Pending);
                ensure!(!open, "nobody is forgotten", "{contact} of s{i}: {m:?}");
                let may = matches!(m.state, ContactState::Sent | ContactState::Unknown);
                let reached = self.reached(contact);
                ensure!(may || !reached, "what was written is not released", "{contact} of s{i}: {m:?}");
            }
        }
        Ok(())
    }
}

fn unreadable(e: EngineError) -> super::Violation {
    super::Violation { check: "no durable line is lost", told: e.to_string() }
}
