//! The other side of the channel for the SMPP tests: a ledger, a gate and an inbox in memory, and the centre's handsets.

#![allow(clippy::unwrap_used)]

use kairos_connect::{
    channel::{BoxFuture, Deliveries, Dispatch, Inbound, MessageIn, Offered, ReceiptIn, SubmitOutcome, Submitted},
    smpp::{Monitor, Secret, SmppConfig, Status},
};
use kairos_model::{Awake, Clock, ContactId, Msisdn, NumberPlan, Reason, Span, Timestamp, clock::SharedClock};
use kairos_smsc::{Answer, FailState, Fate, Population};
use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub const START: Timestamp = Timestamp(1_772_413_800_000_000); // 2026-03-02T01:10:00Z

/// Real time, for peers that know no clock of ours.
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp(since.as_micros() as i64)
    }
    fn sleep_until(&self, due: Timestamp) -> Pin<Box<dyn Future<Output = Awake> + Send + '_>> {
        let wait = Duration::from_micros(due.since(self.now()).0.max(0) as u64);
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            Awake::idle()
        })
    }
}

type Gate = Box<dyn Fn(&Dispatch, u8, Timestamp) -> Result<(), Reason> + Send + Sync>;

#[derive(Default)]
struct Books {
    queue: VecDeque<Dispatch>,
    /// How often the gate let a contact through.
    gated: BTreeMap<ContactId, u8>,
    reports: BTreeMap<ContactId, Vec<SubmitOutcome>>,
    ended: usize,
    /// When the latest contact ended.
    ended_at: Timestamp,
    offered: usize,
    open_max: usize,
    receipts: Vec<ReceiptIn>,
    messages: Vec<MessageIn>,
    hold_inbound: bool,
}

pub struct Desk {
    clock: SharedClock,
    gate: Gate,
    books: Mutex<Books>,
    changed: Notify,
}

impl Desk {
    pub fn new(clock: SharedClock, contacts: Vec<Dispatch>) -> Arc<Self> {
        Self::gated(clock, contacts, |_, _, _| Ok(()))
    }
    /// `gate` is asked with the contact, how often it passed before, and the time.
    pub fn gated(
        clock: SharedClock,
        contacts: Vec<Dispatch>,
        gate: impl Fn(&Dispatch, u8, Timestamp) -> Result<(), Reason> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let books = Books { queue: contacts.into(), ..Books::default() };
        Arc::new(Self { clock, gate: Box::new(gate), books: Mutex::new(books), changed: Notify::new() })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Books) -> T) -> T {
        let result = f(&mut self.books.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    async fn until<T>(&self, mut ready: impl FnMut(&Books) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(done) = ready(&self.books.lock().unwrap()) {
                return done;
            }
            changed.await;
        }
    }

    pub async fn until_ended(&self, contacts: usize) {
        self.until(|b| (b.ended >= contacts).then_some(())).await;
    }
    pub async fn until_received(&self, receipts: usize, messages: usize) {
        self.until(|b| (b.receipts.len() >= receipts && b.messages.len() >= messages).then_some(())).await;
    }
    pub async fn until_held(&self) {
        self.until(|b| b.hold_inbound.then_some(())).await;
    }
    pub fn hold_inbound(&self, hold: bool) {
        self.with(|b| b.hold_inbound = hold);
    }
    pub fn report(&self, contact: u64) -> Vec<SubmitOutcome> {
        self.with(|b| b.reports.get(&ContactId(contact)).cloned().unwrap_or_default())
    }
    pub fn receipts(&self) -> Vec<ReceiptIn> {
        self.with(|b| b.receipts.clone())
    }
    pub fn messages(&self) -> Vec<MessageIn> {
        self.with(|b| b.messages.clone())
    }
    pub fn ended_at(&self) -> Timestamp {
        self.with(|b| b.ended_at)
    }
    /// Most contacts that were in the channel's hands at once.
    pub fn open_max(&self) -> usize {
        self.with(|b| b.open_max)
    }
    /// Reports by kind: accepted segments, refused, cancelled, unknown, returned.
    pub fn kinds(&self) -> [usize; 5] {
        self.with(|b| {
            let mut n = [0; 5];
            for outcome in b.reports.values().flatten() {
                n[match outcome {
                    SubmitOutcome::Accepted { .. } => 0,
                    SubmitOutcome::Refused { .. } => 1,
                    SubmitOutcome::Cancelled { .. } => 2,
                    SubmitOutcome::Unknown { .. } => 3,
                    SubmitOutcome::Returned => 4,
                }] += 1;
            }
            n
        })
    }
}

impl Deliveries for Desk {
    fn next(&self, max: usize) -> BoxFuture<'_, Offered> {
        Box::pin(async move {
            let ready = self.until(|b| (!b.queue.is_empty()).then_some(()));
            ready.await;
            self.with(|b| {
                let n = max.min(b.queue.len());
                let contacts: Vec<_> = b.queue.drain(..n).collect();
                b.offered += contacts.len();
                b.open_max = b.open_max.max(b.offered - b.ended);
                Offered { contacts, awake: self.clock.begin() }
            })
        })
    }
    fn gate(&self, d: &Dispatch, now: Timestamp) -> Result<(), Reason> {
        self.with(|b| {
            let passed = b.gated.entry(d.contact).or_default();
            (self.gate)(d, *passed, now)?;
            *passed += 1;
            Ok(())
        })
    }
    fn submitted(&self, reports: Vec<Submitted>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tokio::task::yield_now().await; // as a disk would take its time
            let now = self.clock.now();
            self.with(|b| {
                b.ended_at = now;
                for r in reports {
                    let last = match &r.outcome {
                        SubmitOutcome::Accepted { segment, segments, .. } => segment == segments,
                        _ => true,
                    };
                    b.ended += usize::from(last);
                    b.reports.entry(r.contact).or_default().push(r.outcome);
                }
            });
        })
    }
    fn received(&self, inbound: Vec<Inbound>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.until(|b| (!b.hold_inbound).then_some(())).await;
            self.with(|b| {
                for i in inbound {
                    match i {
                        Inbound::Receipt(r) => b.receipts.push(r),
                        Inbound::Message(m) => b.messages.push(m),
                    }
                }
            });
        })
    }
}

/// A bind that runs beside the test.
pub struct Running {
    pub monitor: Arc<Monitor>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(config: SmppConfig, desk: &Arc<Desk>, clock: &SharedClock) -> Self {
        let (monitor, stop) = (Arc::new(Monitor::default()), CancellationToken::new());
        let plan = Arc::new(NumberPlan::china());
        let run = kairos_connect::smpp::run(config, plan, desk.clone(), clock.clone(), monitor.clone(), stop.clone());
        let task = tokio::spawn(async move { run.await.unwrap() });
        Self { monitor, stop, task }
    }
    pub async fn until_binds(&self, n: u64) {
        while self.monitor.status().binds < n {
            tokio::task::yield_now().await;
        }
    }
    pub async fn stop(self) -> Status {
        self.stop.cancel();
        self.task.await.unwrap();
        self.monitor.status()
    }
}

pub fn config(addr: SocketAddr) -> SmppConfig {
    let mut c = SmppConfig::new(addr.ip().to_string(), addr.port(), "kairos", Secret::new("secret"));
    c.source_addr = "10086".to_owned();
    c
}

pub fn number(n: u64) -> Msisdn {
    Msisdn::from_e164(8_613_800_000_000 + n).unwrap()
}

pub fn dispatch(n: u64, text: &str) -> Dispatch {
    Dispatch {
        contact: ContactId(n),
        to: number(n),
        from: String::new(),
        text: text.to_owned(),
        not_after: Timestamp::MAX,
        reference: n as u16,
    }
}

/// Handsets by the last digits of their number: …7 is switched off, …13 opts out, …31 writes something long.
#[derive(Default)]
pub struct Town {
    pub seen: Mutex<Vec<(Msisdn, String)>>,
}

impl Population for Town {
    fn fate(&self, to: Msisdn, _: &str, _: Timestamp) -> Fate {
        match to.reveal() % 10 {
            7 => Fate::Failed { after: Span::secs(9), state: FailState::Undeliverable },
            n => Fate::Delivered { after: Span::millis(300 + 100 * n as i64) },
        }
    }
    fn delivered(&self, to: Msisdn, text: &str, _: Timestamp) -> Option<Answer> {
        self.seen.lock().unwrap().push((to, text.to_owned()));
        let text = match to.reveal() % 100 {
            13 => "退订".to_owned(),
            31 => "What is this, and why do you write to me? ".repeat(5),
            _ => return None,
        };
        Some(Answer { after: Span::mins(3), text })
    }
}
