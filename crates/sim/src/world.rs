//! One world: made from a seed, driven event by event, checked after each.

use crate::{
    centre::{Centre, Mood},
    clock::{Moment, SimClock},
    counts::Counts,
    dice::Dice,
    faults::Fault,
    model::{Check, Model, Stage as At, Violation, fail},
    operate::Order,
    plan::{self, BEGIN, Plan},
    scene::{Agenda, Happening, Node, Scene, Stage},
    shelves::Shelves,
};
use kairos_connect::{
    channel::{BoxFuture, Deliveries},
    receipts::Ids,
    smpp::{Connector, Io, Monitor, Secret, SmppConfig, run_over},
};
use kairos_engine::{Engine, EngineConfig, Input, Recovered};
use kairos_journal::{Journal, JournalConfig, MemDisk};
use kairos_model::{
    Clock, Msisdn, NumberPlan, PlaybookId, Span, SubscriberId, TenantId, Timestamp, clock::SharedClock,
};
use kairos_vault::{Assignment, MasterKey, SeededEntropy, Vault};
use std::{
    collections::BTreeMap,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};
use tokio_util::sync::CancellationToken;

const SECOND: Moment = 1_000_000;
const HOUR: Moment = 3_600 * SECOND;
/// Steps at one instant after which time is taken to stand still.
const STILL_MAX: u32 = 20_000;

type Bind = Pin<Box<dyn Future<Output = ()> + Send>>;

pub struct World {
    pub stage: Stage,
    binds: Vec<Bind>,
    dice: Dice,
    still: (Moment, u32),
    /// Engine's due time that a tick has answered.
    ticked: Option<(Timestamp, Moment)>,
    pub begun: Moment,
    calm: bool,
}

/// Opens what a start of the process opens.
fn start(disk: &MemDisk, shelves: &Arc<Shelves>, plan: &Plan, seed: u64) -> Result<(Node, Recovered), String> {
    let shared = Arc::new(disk.clone());
    let mut config = JournalConfig::new(TenantId(1), 1);
    (config.segment_bytes, config.record_max) = (64 << 10, 24 << 10);
    let (journal, _) = Journal::open(shared.clone(), Path::new("/d/journal"), config).map_err(|e| e.to_string())?;
    let mut config = EngineConfig::new(TenantId(1), shared.clone(), "/d/checkpoint");
    config.checkpoint_every = plan.checkpoint_every;
    config.window_default = plan.windows();
    config.response_timeout = Span::secs(120);
    let entropy = Arc::new(SeededEntropy::new(seed));
    let master = MasterKey::from_bytes([7; 32]);
    let vault = Vault::open(shared, entropy, Path::new("/d/vault"), &master, TenantId(1)).map_err(|e| e.to_string())?;
    let (engine, recovered) = Engine::open(config, journal, shelves.clone()).map_err(|e| e.to_string())?;
    Ok((Node { engine, vault, ids: Ids::default() }, recovered))
}

impl World {
    pub fn new(seed: u64, tracing: bool) -> Result<Self, Violation> {
        let mut dice = Dice::new(seed, 1);
        let plan = Plan::draw(&mut dice);
        let shelves = Arc::new(Shelves::default());
        let scene = Scene {
            clock: Arc::new(SimClock::new(BEGIN)),
            disk: MemDisk::new(),
            shelves: shelves.clone(),
            model: Model::new(shelves, plan.people as usize, plan.windows()),
            centre: Centre::new(Mood::draw(&mut dice), Dice::new(seed, 2)),
            dice: Dice::new(seed, 3),
            plan,
            node: None,
            dead: None,
            agenda: Agenda::default(),
            lines: BTreeMap::new(),
            made_lines: 0,
            counts: Counts::default(),
            trace: tracing.then(Vec::new),
            violation: None,
            slow: 0,
            next_snapshot: 1,
            newest_book: 1,
        };
        let mut world = Self {
            stage: Stage::new(scene),
            binds: Vec::new(),
            dice,
            still: (0, 0),
            ticked: None,
            begun: 0,
            calm: false,
        };
        world.found(seed)?;
        world.schedule();
        Ok(world)
    }

    /// The first start, the subscribers, the first playbook and snapshot: before anything goes wrong.
    fn found(&mut self, seed: u64) -> Check {
        let mut scene = self.stage.scene();
        let s = &mut *scene;
        s.say(|| format!("seed {seed}"));
        let plan = s.plan;
        s.say(|| format!("{plan:?}"));
        let (node, _) = match start(&s.disk, &s.shelves, &plan, seed) {
            Ok(made) => made,
            Err(e) => return fail("a process starts on a sound disk", e),
        };
        s.node = Some(node);
        let keys: Vec<String> = (0..plan.people).map(|i| format!("customer-{i}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        s.vault(|v, _| v.ensure_subscribers(&keys));
        let from = BEGIN.minus(Span::days(400));
        let rows: Vec<Assignment> = (0..plan.people)
            .filter_map(|i| {
                let number = Msisdn::from_e164(plan::number(i))?;
                Some(Assignment { subscriber: SubscriberId(i), number, from, to: Timestamp::MAX })
            })
            .collect();
        s.vault(|v, _| v.assign(&rows));
        (0..plan.people).for_each(|i| s.model.give_number(SubscriberId(i), plan::number(i), from));
        let Some(book) = plan::first_book(&mut self.dice, &plan) else {
            return fail("the simulation makes sound playbooks", "first");
        };
        for c in book.campaigns() {
            s.say(|| format!("{c:?}"));
        }
        s.shelves.put_book(book);
        s.tell(vec![Input::SwapPlaybook(PlaybookId(1))]);
        s.snapshot();
        s.counts = Counts::default();
        drop(scene);
        self.bind();
        Ok(())
    }

    fn bind(&mut self) {
        let (plan, clock) = {
            let s = self.stage.scene();
            (s.plan, s.clock.clone())
        };
        let clock: SharedClock = clock;
        for bind in 0..plan.binds {
            let mut config = SmppConfig::new("centre", 2775, "kairos", Secret::new("secret"));
            config.source_addr = "10086".to_owned();
            config.window = plan.window;
            config.response_timeout = plan.response_timeout;
            config.enquire_link = plan.enquire_link;
            let deliveries: Arc<dyn Deliveries> = Arc::new(self.stage.clone());
            let stage = self.stage.clone();
            let connector: Connector = Arc::new(move |_, _| -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
                let made = stage.scene().connect(&stage, bind);
                Box::pin(std::future::ready(made))
            });
            let (plan, monitor) = (Arc::new(NumberPlan::china()), Arc::new(Monitor::default()));
            let run = run_over(config, plan, deliveries, clock.clone(), monitor, CancellationToken::new(), connector);
            self.binds.push(Box::pin(async move { run.await.unwrap_or(()) }));
        }
    }

    /// Waves, orders and faults of the days to come: most of them while messages are being sent.
    fn schedule(&mut self) {
        let mut scene = self.stage.scene();
        let (plan, dice) = (scene.plan, &mut self.dice);
        let span = plan.days * 24 * HOUR;
        let mut busy: Vec<Moment> = (0..plan.days).map(|d| d * 24 * HOUR + 50 * 60 * SECOND).collect();
        for n in 0..plan.waves {
            let day = i64::from(n) * plan.days / i64::from(plan.waves);
            let at = day * 24 * HOUR + dice.between(30 * 60, 13 * 3_600) * SECOND;
            scene.agenda.put(at, Happening::Operator(Order::StartWave));
            busy.push(at);
        }
        for &at in &busy {
            for _ in 0..dice.between(2, 7) {
                let order = dice.pick(Order::USUAL);
                scene.agenda.put(at + dice.between(0, 120 * SECOND), Happening::Operator(order));
            }
            for _ in 0..dice.between(0, 2) {
                let fault = Fault::draw(dice);
                scene.agenda.put(at + dice.between(0, 100 * SECOND), Happening::Fault(fault));
            }
        }
        for _ in 0..900 {
            let order = if dice.one_in(45) { dice.pick(Order::USUAL) } else { Order::Event };
            scene.agenda.put(dice.below(span as u64) as Moment, Happening::Operator(order));
        }
        for _ in 0..5 {
            let fault = Fault::draw(dice);
            scene.agenda.put(dice.below(span as u64) as Moment, Happening::Fault(fault));
        }
        for (order, odds) in [(Order::Stop, 2), (Order::Stop, 4), (Order::Erase, 1), (Order::Erase, 2)] {
            if dice.one_in(odds) {
                let near = dice.pick(&busy);
                scene.agenda.put(near + dice.between(0, 60 * SECOND), Happening::Operator(order));
            }
        }
    }

    /// When something is due.
    fn next(&self) -> Option<Moment> {
        let s = self.stage.scene();
        let due = s.node.as_ref().and_then(|n| n.engine.next_due()).filter(|_| s.dead.is_none());
        // the same due time is answered once: a clock that was set back reaches it again
        let due = due.map(|at| s.clock.moment_of(at)).filter(|&m| {
            self.ticked
                .is_none_or(|(at, when)| Some(at) != s.node.as_ref().and_then(|n| n.engine.next_due()) || when < m)
        });
        [s.agenda.first(), due, s.clock.first_timer()].into_iter().flatten().min().map(|m| m.max(s.moment()))
    }

    /// One step: the next thing happens, the channel moves, everything is checked. `false`: nothing is due by `end`.
    pub fn step(&mut self, end: Moment) -> Result<bool, Violation> {
        let Some(next) = self.next().filter(|&m| m <= end) else {
            self.stage.scene().clock.advance_to(end);
            return Ok(false);
        };
        let mut restart = false;
        {
            let mut scene = self.stage.scene();
            let s = &mut *scene;
            s.clock.advance_to(next);
            let now = s.moment();
            self.still = if self.still.0 == now { (now, self.still.1 + 1) } else { (now, 0) };
            if self.still.1 > STILL_MAX {
                return fail("time goes on", format!("{:?}", s.now()));
            }
            match s.agenda.take(now) {
                Some(Happening::Restart) => restart = true,
                Some(what) => happen(s, what),
                None => {
                    let due = s.node.as_ref().and_then(|n| n.engine.next_due());
                    if s.alive() && due.is_some_and(|d| d <= s.now()) {
                        s.tell(vec![Input::Tick]);
                        self.ticked = due.map(|d| (d, now));
                    }
                }
            }
            s.counts.steps += 1;
        }
        if restart {
            self.restart()?;
        }
        self.poll();
        if self.stage.scene().dead.is_some() {
            self.die();
        }
        self.check()?;
        Ok(true)
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..20 {
            let before = self.stage.scene().model.told.len();
            for bind in &mut self.binds {
                if self.stage.scene().dead.is_some() {
                    return;
                }
                // a bind ends only when it is stopped, and none is
                let _running = bind.as_mut().poll(&mut context);
            }
            if self.stage.scene().model.told.len() == before {
                return;
            }
        }
    }

    fn check(&mut self) -> Check {
        let mut scene = self.stage.scene();
        let s = &mut *scene;
        if let Some(v) = s.violation.take() {
            return Err(v);
        }
        match &s.node {
            Some(node) => s.model.step(&node.engine),
            None => Ok(()),
        }
    }

    /// The process is gone: what it held in memory, its connections, and what the disk had not synced.
    fn die(&mut self) {
        self.binds.clear();
        let mut scene = self.stage.scene();
        let s = &mut *scene;
        let why = s.dead.take().unwrap_or_default();
        s.node = None;
        s.counts.crashes += 1;
        self.ticked = None;
        let power = match why.as_str() {
            "killed" => false,
            "power" => true,
            // a machine that stopped comes back without what was not synced; a call that failed ends the process only
            _ => s.disk.is_halted() || self.dice.one_in(2),
        };
        if !matches!(why.as_str(), "killed" | "power") {
            s.counts.mid_commit += 1;
            s.counts.sync_failed += u64::from(!s.disk.is_halted());
            s.counts.full += u64::from(s.disk.is_full());
        }
        if power {
            let damage = s.disk.crash(self.dice.next());
            s.counts.power_loss += 1;
            s.counts.shortened += damage.shortened;
            s.counts.zeroed += damage.zeroed;
            s.counts.rubbish += damage.rubbish;
            s.counts.names += damage.names;
            if damage.zeroed + damage.rubbish + damage.shortened > 0 {
                s.counts.reordered += damage.survived;
            }
        } else {
            s.disk.kill();
            s.counts.kills += 1;
        }
        let (power, damage) = (power, why);
        s.say(|| format!("CRASH {} ({damage})", if power { "with loss of power" } else { "of the process alone" }));
        let wait = if self.dice.one_in(3) { 0 } else { self.dice.between(1, 400) * SECOND };
        s.after(wait, Happening::Restart);
        if self.dice.one_in(5) && !self.calm {
            let by = Span::secs(self.dice.between(-2_000, 1_200));
            s.fault(Fault::Clock(by));
        }
    }

    fn restart(&mut self) -> Check {
        let mut scene = self.stage.scene();
        let s = &mut *scene;
        if s.node.is_some() {
            return Ok(());
        }
        let failed = s.disk.failed();
        let opened = start(&s.disk, &s.shelves, &s.plan, self.dice.next());
        let fault = s.disk.failed() != failed;
        match opened {
            Ok((node, recovered)) => {
                s.say(|| format!("STARTED: {recovered:?}"));
                s.counts.unknown += recovered.unknown.len() as u64;
                let check = s.model.recovered(&node.engine, &recovered.unknown);
                let vault = vault_recovered(s, &node.vault);
                s.node = Some(node);
                check.and(vault)?;
                drop(scene);
                self.bind();
                Ok(())
            }
            Err(e) if fault => {
                s.say(|| format!("does not start: {e}"));
                s.counts.failed_starts += 1;
                s.counts.full += u64::from(s.disk.is_full());
                let power = self.dice.one_in(2) || s.disk.is_halted();
                if power {
                    s.disk.crash(self.dice.next());
                } else {
                    s.disk.kill();
                }
                s.after(self.dice.between(1, 60) * SECOND, Happening::Restart);
                Ok(())
            }
            Err(e) => fail("a process starts on a sound disk", e),
        }
    }

    /// Runs the days of the plan, then lets everything come to its end.
    pub fn live(&mut self) -> Check {
        let days = self.stage.scene().plan.days;
        let end = days * 24 * HOUR;
        while self.step(end)? {}
        while self.stage.scene().counts.crashes < 3 {
            self.crash_now(true)?;
        }
        self.settle(end)
    }
    fn crash_now(&mut self, power: bool) -> Check {
        {
            let mut s = self.stage.scene();
            let (at, fault) = (s.moment(), if power { Fault::Power } else { Fault::Kill });
            s.agenda.put(at, Happening::Fault(fault));
        }
        let until = self.stage.scene().moment() + 900 * SECOND;
        while self.step(until)? {}
        Ok(())
    }

    /// Nothing goes wrong any more and every pause is lifted: nobody may be left over.
    fn settle(&mut self, end: Moment) -> Check {
        self.calm = true;
        {
            let mut scene = self.stage.scene();
            let s = &mut *scene;
            s.agenda.forget(|h| matches!(h, Happening::Operator(_) | Happening::Fault(_)));
            s.disk.set_capacity(None);
            s.disk.disarm();
            s.slow = 0;
            s.fault(Fault::Unjam);
            s.centre.mood = s.centre.mood.calm();
            s.centre.away_until = 0;
            s.say(|| "calm: everything is resumed".to_owned());
        }
        let mut at = end;
        for day in 0..14 {
            // a process that is starting is waited for
            at += HOUR;
            while self.step(at)? {}
            let mut scene = self.stage.scene();
            let s = &mut *scene;
            if s.alive() {
                s.tell(vec![Input::KillSwitch(false)]);
                let paused =
                    |(&c, &r): (&_, &kairos_decide::RunState)| (r == kairos_decide::RunState::Paused).then_some(c);
                let list: Vec<_> = s.model.runs.iter().filter_map(paused).collect();
                list.into_iter().for_each(|c| drop(s.tell(vec![Input::Resume(c)])));
            }
            drop(scene);
            at += 23 * HOUR;
            while self.step(at)? {}
            let s = self.stage.scene();
            let open = s.node.as_ref().is_none_or(|n| !n.engine.waves().iter().all(|w| w.sums.is_settled()));
            let flying = s.model.contacts.values().any(|k| k.stage != At::Settled);
            if !open && !flying {
                break;
            }
            if day == 13 {
                let told = s.node.as_ref().map(|n| n.engine.waves());
                return fail("nobody is forgotten", format!("after 14 days of calm: {told:?}"));
            }
        }
        self.finish()
    }

    fn finish(&mut self) -> Check {
        for power in [false, true] {
            {
                let s = self.stage.scene();
                let Some(node) = s.node.as_ref() else { return fail("a process starts on a sound disk", "at the end") };
                s.model.finish(&node.engine)?;
            }
            self.crash_now(power)?;
        }
        let mut s = self.stage.scene();
        s.counts.waves = s.model.waves.len() as u64;
        self.begun = s.moment();
        Ok(())
    }
}

fn happen(s: &mut Scene, what: Happening) {
    match what {
        Happening::ToCentre(line, bytes) => s.arrive_at_centre(line, &bytes),
        Happening::ToUs(line, bytes) => s.arrive_at_us(line, &bytes),
        Happening::GoneAtCentre(line) => s.close_at_centre(line),
        Happening::GoneAtUs(line) => s.end_at_us(line),
        Happening::Answer { line, seq, status, id, label } => s.answer(line, seq, status, id, label),
        Happening::Receipt(message) => s.receipt(message),
        Happening::Reply { from, text } => s.reply(from, text),
        Happening::Operator(order) => s.operate(order),
        Happening::Fault(fault) => s.fault(fault),
        Happening::Restart | Happening::Network => {}
    }
}

/// The vault after a crash: what was acknowledged is there.
fn vault_recovered(s: &mut Scene, vault: &Vault) -> Check {
    let now = s.clock.now();
    let asked = std::mem::take(&mut s.model.asked);
    for (sub, number, from) in asked.assign {
        let there = Msisdn::from_e164(number).and_then(|n| vault.holder(n, from.max(now))) == Some(sub);
        if there {
            s.model.give_number(sub, number, from);
        }
    }
    for sub in asked.erase {
        if vault.is_erased(sub) {
            s.model.people[sub.0 as usize].erased = true;
        }
    }
    for i in 0..s.person_count() {
        let sub = SubscriberId(i);
        let key = format!("customer-{i}");
        let erased = s.model.people[i as usize].erased;
        let ordinal = vault.ordinal(&key);
        let right = ordinal == (!erased).then_some(sub);
        crate::model::ensure!(right, "no subscriber is lost or renumbered", "{key}: {ordinal:?}, must be {sub}");
        let found = vault.number_of(sub, now).map(|n| n.map(Msisdn::reveal));
        let must = if erased { None } else { s.model.number_of(sub, now) };
        let right = found.as_ref().is_ok_and(|f| *f == must);
        crate::model::ensure!(right, "no assignment or erasure is lost", "{sub} at {now}: {found:?}, must be {must:?}");
        let Some(number) = Msisdn::from_e164(plan::number(i)) else { continue };
        let (is, must) = (vault.is_suppressed(number), s.model.suppressed.contains(&plan::number(i)));
        let open = asked.suppress.contains(&plan::number(i)) || asked.unsuppress.contains(&plan::number(i));
        if open && is {
            s.model.suppressed.insert(plan::number(i));
        } else if open {
            s.model.suppressed.remove(&plan::number(i));
        }
        crate::model::ensure!(is == must || open, "no suppression is lost", "the number of s{i}: {is}, must be {must}");
    }
    Ok(())
}
