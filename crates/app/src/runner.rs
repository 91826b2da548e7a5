//! Drives the engine: one thread that gathers inputs into group commits, and a ticker that wakes it when time is due.
//!
//! Whoever asks holds the clock awake until the answer: a simulated clock never runs ahead of work in hand.

use crate::error::{AppError, Kind, Result};
use kairos_engine::{Engine, EngineError, Input, Offered, Output, Refusal};
use kairos_model::{Awake, Channel, Timestamp, clock::SharedClock};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc},
    thread,
};
use tokio::sync::{mpsc, oneshot};

/// Requests waiting for the engine's thread; a caller past it waits. One group commit takes as many as are there.
const REQUESTS_MAX: usize = 4_096;

/// What a call of [`Runner::handle`] gives back: durable outputs of its own inputs.
pub type Answer = Vec<Output>;

enum Request {
    Handle {
        inputs: Vec<Input>,
        reply: oneshot::Sender<Answer>,
        awake: Awake,
    },
    Offer {
        channel: Channel,
        max: usize,
        wait: bool,
        reply: oneshot::Sender<Parcel>,
    },
    /// Offered contacts that nobody took in hand.
    Back {
        offered: Vec<Offered>,
        awake: Option<Awake>,
    },
    Tick {
        awake: Awake,
    },
    End,
}

/// Offered contacts on their way to a channel. Dropped before it was taken, it gives them back to the engine as not
/// written, to be offered again.
pub struct Parcel {
    offered: Vec<Offered>,
    awake: Option<Awake>,
    back: std_mpsc::SyncSender<Request>,
}

impl Parcel {
    pub fn contacts(&self) -> &[Offered] {
        &self.offered
    }
    /// From here on they are the caller's to answer for.
    pub fn take(mut self) -> (Vec<Offered>, Option<Awake>) {
        (std::mem::take(&mut self.offered), self.awake.take())
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let offered = std::mem::take(&mut self.offered);
        let n = offered.len();
        // never waits: this may run where nobody must be held up
        if n > 0 && self.back.try_send(Request::Back { offered, awake: self.awake.take() }).is_err() {
            tracing::error!(contacts = n, "contacts that nobody took could not be given back: they will be unknown");
        }
    }
}

/// Told of every durable output, on the engine's thread: must be quick and must not call the runner.
pub type Observer = Arc<dyn Fn(&[Output]) + Send + Sync>;
/// Called once if the engine fails for good; the process must end.
pub type OnFatal = Arc<dyn Fn(&EngineError) + Send + Sync>;

/// A handle to the running engine.
#[derive(Clone)]
pub struct Runner {
    engine: Arc<Mutex<Engine>>,
    requests: std_mpsc::SyncSender<Request>,
    clock: SharedClock,
}

/// The thread and the ticker; dropping it does not end them, [`Running::end`] does.
pub struct Running {
    pub runner: Runner,
    thread: Option<thread::JoinHandle<()>>,
    ticker: tokio::task::JoinHandle<()>,
}

impl Runner {
    /// Starts the engine's thread. Needs a tokio runtime for the ticker.
    pub fn start(engine: Engine, clock: SharedClock, observer: Observer, on_fatal: OnFatal) -> Result<Running> {
        let due = engine.next_due();
        let engine = Arc::new(Mutex::new(engine));
        let (requests, inbox) = std_mpsc::sync_channel(REQUESTS_MAX);
        let (dues, due_changes) = mpsc::unbounded_channel();
        let runner = Self { engine: engine.clone(), requests, clock: clock.clone() };
        let ticker = tokio::spawn(tick(clock.clone(), due, due_changes, runner.requests.clone()));
        let back = runner.requests.clone();
        let worker = Worker { engine, clock, inbox, back, dues, due, observer, on_fatal, waiting: Vec::new() };
        let thread = thread::Builder::new()
            .name("kairos-engine".to_owned())
            .spawn(move || worker.run())
            .map_err(|e| AppError::failure("thread", "cannot start the engine's thread").because(e))?;
        Ok(Running { runner, thread: Some(thread), ticker })
    }

    /// Hands inputs over and waits until they are durable. A refused input is an error; the others were done.
    pub async fn handle(&self, inputs: Vec<Input>) -> Result<Answer> {
        let outputs = self.handle_all(inputs).await?;
        match outputs.iter().find_map(|o| if let Output::Refused { why, .. } = o { Some(why) } else { None }) {
            Some(why) => Err(refused(why)),
            None => Ok(outputs),
        }
    }

    /// As `handle`, but refusals are left in the outputs.
    pub async fn handle_all(&self, inputs: Vec<Input>) -> Result<Answer> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Handle { inputs, reply, awake: self.clock.begin() }).await?;
        answer.await.map_err(|_| gone())
    }

    /// Waits for contacts to send on a channel: at least one, at most `max`, durable as offered.
    ///
    /// Dropping the future, or what it gave before [`Parcel::take`], loses nothing.
    pub async fn offer(&self, channel: Channel, max: usize) -> Result<Parcel> {
        self.ask(channel, max, true).await
    }

    /// As `offer`, but an empty parcel where nothing may be sent now.
    pub async fn offer_now(&self, channel: Channel, max: usize) -> Result<Parcel> {
        self.ask(channel, max, false).await
    }

    async fn ask(&self, channel: Channel, max: usize, wait: bool) -> Result<Parcel> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Offer { channel, max, wait, reply }).await?;
        answer.await.map_err(|_| gone())
    }

    async fn send(&self, request: Request) -> Result<()> {
        let mut request = Some(request);
        loop {
            let Some(next) = request.take() else { return Ok(()) };
            match self.requests.try_send(next) {
                Ok(()) => return Ok(()),
                Err(std_mpsc::TrySendError::Full(back)) => {
                    request = Some(back);
                    tokio::task::yield_now().await;
                }
                Err(std_mpsc::TrySendError::Disconnected(_)) => return Err(gone()),
            }
        }
    }

    /// Reads the engine between two commits.
    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }
}

impl Running {
    /// Ends thread and ticker; what was committed stays.
    pub async fn end(mut self) {
        self.ticker.abort();
        // if the thread is gone already there is nothing to end
        if self.runner.requests.send(Request::End).is_ok()
            && let Some(thread) = self.thread.take()
            && tokio::task::spawn_blocking(move || thread.join()).await.is_err()
        {
            tracing::error!("the engine's thread ended with a panic");
        }
    }
}

fn gone() -> AppError {
    AppError::unavailable("engine_ended", "the engine has ended; start the process again")
}

fn refused(why: &Refusal) -> AppError {
    let kind = match why {
        Refusal::SecondLaunch { .. } | Refusal::Stopped(_) | Refusal::NotPaused(_) | Refusal::Version { .. } => {
            Kind::Conflict
        }
        Refusal::EmptyAudience | Refusal::WaveZero => Kind::Invalid,
        Refusal::NoCampaign(_) => Kind::NotFound,
        _ => Kind::Unavailable,
    };
    AppError::new(kind, "engine_refused", why.to_string())
}

struct Waiting {
    channel: Channel,
    max: usize,
    wait: bool,
    reply: oneshot::Sender<Parcel>,
}

struct Worker {
    engine: Arc<Mutex<Engine>>,
    clock: SharedClock,
    inbox: std_mpsc::Receiver<Request>,
    back: std_mpsc::SyncSender<Request>,
    dues: mpsc::UnboundedSender<(Option<Timestamp>, Awake)>,
    due: Option<Timestamp>,
    observer: Observer,
    on_fatal: OnFatal,
    waiting: Vec<Waiting>,
}

impl Worker {
    fn run(mut self) {
        while let Ok(first) = self.inbox.recv() {
            let mut batch = vec![first];
            while batch.len() < REQUESTS_MAX
                && let Ok(next) = self.inbox.try_recv()
            {
                batch.push(next);
            }
            let end = batch.iter().any(|r| matches!(r, Request::End));
            if end {
                // whoever waits for contacts gets none any more: what is offered now would be nobody's
                self.waiting.clear();
                batch.retain(|r| !matches!(r, Request::Offer { .. }));
            }
            if let Err(e) = self.serve(batch) {
                tracing::error!(error = %e, "the engine has failed");
                (self.on_fatal)(&e);
                return;
            }
            if end {
                return;
            }
        }
    }

    /// One group commit for everything in the batch, then offers to whoever waits.
    fn serve(&mut self, batch: Vec<Request>) -> std::result::Result<(), EngineError> {
        let awake = self.clock.begin();
        let mut inputs = Vec::new();
        let mut replies = Vec::new();
        let mut guards = Vec::new();
        let mut ticked = false;
        for request in batch {
            match request {
                Request::Handle { inputs: mut some, reply, awake } => {
                    let from = inputs.len();
                    inputs.append(&mut some);
                    replies.push((from..inputs.len(), reply));
                    guards.push(awake);
                }
                Request::Offer { channel, max, wait, reply } => {
                    self.waiting.push(Waiting { channel, max, wait, reply });
                }
                Request::Back { offered, awake } => {
                    inputs.extend(offered.iter().map(not_written));
                    guards.extend(awake);
                }
                Request::Tick { awake } => {
                    ticked = true;
                    guards.push(awake);
                }
                Request::End => {}
            }
        }
        let engine = self.engine.clone();
        let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let outputs = engine.handle(now, &inputs)?;
        (self.observer)(&outputs);
        self.offer(&mut engine, now)?;
        let due = engine.next_due();
        drop(engine);
        // a clock that was set back: the ticker waits for an answer, and the same due time lies ahead again
        if due != self.due || (ticked && due.is_some_and(|d| d > now)) {
            self.due = due;
            // a ticker that is gone means that the process is ending
            if self.dues.send((due, self.clock.begin())).is_err() {
                tracing::debug!("no ticker");
            }
        }
        for (range, reply) in replies {
            let own: Answer =
                outputs.iter().filter(|o| belongs(o, &range)).cloned().map(|o| rebased(o, range.start)).collect();
            if reply.send(own).is_err() {
                tracing::debug!("the caller no longer waits for its answer; its inputs are durable");
            }
        }
        drop((guards, awake));
        Ok(())
    }

    fn offer(&mut self, engine: &mut Engine, now: Timestamp) -> std::result::Result<(), EngineError> {
        let mut still = Vec::new();
        for w in std::mem::take(&mut self.waiting) {
            if w.reply.is_closed() {
                continue;
            }
            let (offered, outputs) = engine.offer(now, w.channel, w.max)?;
            if !outputs.is_empty() {
                (self.observer)(&outputs);
            }
            if offered.is_empty() && w.wait {
                still.push(w);
                continue;
            }
            let parcel = Parcel { offered, awake: Some(self.clock.begin()), back: self.back.clone() };
            if let Err(mut unclaimed) = w.reply.send(parcel) {
                // nobody wrote them: the ledger may offer them again
                let back: Vec<Input> = std::mem::take(&mut unclaimed.offered).iter().map(not_written).collect();
                let outputs = engine.handle(now, &back)?;
                (self.observer)(&outputs);
            }
        }
        self.waiting = still;
        Ok(())
    }
}

/// Nobody wrote it: the ledger may offer it again.
fn not_written(o: &Offered) -> Input {
    let outcome = kairos_engine::Outcome::Cancelled { reason: kairos_model::Reason::Paused };
    Input::Outcome { contact: o.contact, outcome }
}

/// Whether an output answers one of the inputs in `range`; outputs of no single input go to everyone.
fn belongs(output: &Output, range: &std::ops::Range<usize>) -> bool {
    match output {
        Output::Refused { input, .. } | Output::Ignored { input, .. } => range.contains(input),
        _ => true,
    }
}

fn rebased(output: Output, from: usize) -> Output {
    match output {
        Output::Refused { input, why } => Output::Refused { input: input - from, why },
        Output::Ignored { input, contact } => Output::Ignored { input: input - from, contact },
        other => other,
    }
}

/// Sleeps until the engine has something due, then wakes it. The sleep is registered before the guard that came with a
/// new due time is given up, so that a simulated clock cannot pass it.
async fn tick(
    clock: SharedClock,
    mut due: Option<Timestamp>,
    mut changes: mpsc::UnboundedReceiver<(Option<Timestamp>, Awake)>,
    requests: std_mpsc::SyncSender<Request>,
) {
    let mut guard = Some(clock.begin());
    loop {
        let mut sleep: Pin<Box<dyn Future<Output = Awake> + Send>> = match due {
            Some(at) => clock.sleep_until(at),
            None => Box::pin(std::future::pending()),
        };
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(sleep.as_mut().poll(cx))).await;
        guard.take();
        let woken = match first {
            std::task::Poll::Ready(awake) => Some(awake),
            std::task::Poll::Pending => tokio::select! {
                biased;
                change = changes.recv() => match change {
                    Some((at, awake)) => { due = at; guard = Some(awake); None }
                    None => return,
                },
                awake = &mut sleep => Some(awake),
            },
        };
        if let Some(awake) = woken {
            if requests.send(Request::Tick { awake }).is_err() {
                return;
            }
            // the engine answers every tick that moved its due time; the same due time again would spin
            match changes.recv().await {
                Some((at, awake)) => (due, guard) = (at, Some(awake)),
                None => return,
            }
        }
    }
}
