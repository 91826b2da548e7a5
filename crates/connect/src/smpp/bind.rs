//! The life of one bind: connect, bind, send and receive, unbind or lose the connection, begin again.
//!
//! One hand-written `poll` over socket, hand-overs and timer: everything that is ready is dealt with before it waits.

mod traffic;

use super::{
    config::{ConfigError, SmppConfig},
    flow::Flow,
    frame::BadLength,
    link::{Io, Link},
    monitor::{Monitor, add},
    outbound,
};
use crate::channel::{BoxFuture, Deliveries, Inbound, Offered};
use kairos_model::{Awake, Clock, NumberPlan, Span, Timestamp, clock::SharedClock};
use rusmpp::{CommandStatus, Pdu};
use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Messages that wait for the hand-over in flight; with more than this we stop reading the socket.
const INBOUND_MAX: usize = 1_000;
/// How long we read on after we said goodbye.
const GOODBYE: Span = Span::secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the centre refused the bind with status {0:#x}; check system_id and password")]
    Refused(u32),
    #[error("the connection failed")]
    Io(#[source] io::Error),
    #[error("the centre closed the connection{}", if *.cut { " in the middle of a PDU" } else { "" })]
    Closed { cut: bool },
    #[error(transparent)]
    Length(BadLength),
    #[error("no answer to {0} in time")]
    Silent(&'static str),
    #[error("the centre unbound us")]
    Unbound,
    #[error(transparent)]
    Setting(outbound::TooWide),
}

enum Phase {
    Down {
        until: Timestamp,
    },
    Connecting {
        connect: BoxFuture<'static, io::Result<Box<dyn Io>>>,
        until: Timestamp,
    },
    Binding {
        until: Timestamp,
    },
    Bound,
    Unbinding {
        until: Timestamp,
    },
    /// The centre unbound us: we go when our answer is written.
    Leaving {
        until: Timestamp,
    },
    Over,
}

/// Keeps below `rate_max`.
struct Pace {
    interval: Span,
    next: Timestamp,
}

/// How a bind reaches its centre: host and port in, a stream out.
pub type Connector = Arc<dyn Fn(&str, u16) -> BoxFuture<'static, io::Result<Box<dyn Io>>> + Send + Sync>;

/// Plain TCP on the current tokio runtime.
fn tcp() -> Connector {
    Arc::new(|host: &str, port| {
        let at = (host.to_owned(), port);
        Box::pin(async move {
            let stream = TcpStream::connect(at).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    })
}

struct Bind<'a> {
    config: SmppConfig,
    connector: Connector,
    plan: Arc<NumberPlan>,
    deliveries: &'a dyn Deliveries,
    clock: SharedClock,
    /// The same clock, borrowed: timers live no longer than it.
    timers: &'a dyn Clock,
    monitor: Arc<Monitor>,
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    /// Set once stopping: until when begun texts may be finished.
    stopping: Option<Timestamp>,
    flow: Flow,
    pace: Option<Pace>,
    phase: Phase,
    attempts: u32,
    link: Option<Link>,
    /// The socket took no more at the last attempt; it wakes us when it does.
    blocked: bool,
    closing: Option<(Link, Timestamp)>,
    seq: u32,
    /// When we last heard from the centre, and the enquire_link that it has not answered.
    heard: Timestamp,
    enquiry: Option<(u32, Timestamp)>,
    next: Option<BoxFuture<'a, Offered>>,
    submitting: Option<BoxFuture<'a, ()>>,
    receiving: Option<BoxFuture<'a, ()>>,
    inbound: Vec<Inbound>,
    /// Sequence numbers to acknowledge after the hand-over of `inbound`, and after the one in flight.
    unacked: Vec<u32>,
    acking: Vec<u32>,
    timer: Option<(Timestamp, BoxFuture<'a, Awake>)>,
    guard: Option<Awake>,
}

/// Runs one bind until `stop`: then it finishes begun texts, waits for open answers, gives back what is not begun,
/// unbinds and returns when the last report is durable. Fails only on a setting outside its limits.
pub fn run(
    config: SmppConfig,
    plan: Arc<NumberPlan>,
    deliveries: Arc<dyn Deliveries>,
    clock: SharedClock,
    monitor: Arc<Monitor>,
    stop: CancellationToken,
) -> impl Future<Output = Result<(), ConfigError>> + Send {
    run_over(config, plan, deliveries, clock, monitor, stop, tcp())
}

/// [`run`] over streams from elsewhere. It needs no runtime where `connector` and the clock need none: whoever polls it
/// again after every change drives it.
pub fn run_over(
    config: SmppConfig,
    plan: Arc<NumberPlan>,
    deliveries: Arc<dyn Deliveries>,
    clock: SharedClock,
    monitor: Arc<Monitor>,
    stop: CancellationToken,
    connector: Connector,
) -> impl Future<Output = Result<(), ConfigError>> + Send {
    let awake = clock.begin(); // from the call on, not from the first poll
    async move {
        config.check()?;
        let mut bind = Bind::new(config, connector, plan, &*deliveries, &*clock, clock.clone(), monitor, &stop);
        bind.guard = Some(awake);
        poll_fn(|cx| bind.poll(cx)).await;
        Ok(())
    }
}

/// Numbers go on over connections, and a later process begins above an earlier one (as long as fewer than one submit a
/// microsecond is made): an answer that a centre sends after a reconnect is never taken for that of another submit.
const fn first_sequence(now: Timestamp) -> u32 {
    (now.0 & 0x3fff_ffff) as u32
}

impl<'a> Bind<'a> {
    #[allow(clippy::too_many_arguments)]
    fn new(
        config: SmppConfig,
        connector: Connector,
        plan: Arc<NumberPlan>,
        deliveries: &'a dyn Deliveries,
        timers: &'a dyn Clock,
        clock: SharedClock,
        monitor: Arc<Monitor>,
        stop: &'a CancellationToken,
    ) -> Self {
        let now = clock.now();
        Self {
            flow: Flow::new(&config),
            pace: config.rate_max.map(|r| Pace { interval: Span(1_000_000 / i64::from(r)), next: now }),
            config,
            connector,
            plan,
            deliveries,
            clock,
            timers,
            monitor,
            stop: Some(Box::pin(stop.cancelled())),
            stopping: None,
            phase: Phase::Down { until: now },
            attempts: 0,
            link: None,
            blocked: false,
            closing: None,
            seq: first_sequence(now),
            heard: now,
            enquiry: None,
            next: None,
            submitting: None,
            receiving: None,
            inbound: Vec::new(),
            unacked: Vec::new(),
            acking: Vec::new(),
            timer: None,
            guard: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let guard = self.clock.begin();
        loop {
            let mut moved = self.poll_stop(cx);
            moved |= self.poll_hand_overs(cx);
            moved |= self.poll_link(cx);
            moved |= self.poll_next(cx);
            moved |= self.tick();
            moved |= self.pump(cx);
            if self.is_over() {
                self.guard = None;
                return Poll::Ready(());
            }
            if !moved && !self.poll_timer(cx) {
                break;
            }
        }
        // while a hand-over or a connection attempt is under way, simulated time must not pass
        let busy = self.submitting.is_some() || self.receiving.is_some();
        self.guard = (busy || matches!(self.phase, Phase::Connecting { .. })).then_some(guard);
        Poll::Pending
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
            && self.closing.is_none()
            && self.submitting.is_none()
            && self.receiving.is_none()
            && self.inbound.is_empty()
            && !self.flow.has_reports()
    }

    fn poll_stop(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(stop) = self.stop.as_mut() else { return false };
        if stop.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.stop = None;
        self.next = None;
        self.stopping = Some(self.clock.now().plus(self.config.response_timeout));
        self.flow.give_back(false);
        true
    }

    /// Hands over reports and inbound messages, one batch of each at a time, and acknowledges what is durable.
    fn poll_hand_overs(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if self.submitting.is_none() && self.flow.has_reports() {
            self.submitting = Some(self.deliveries.submitted(self.flow.take_reports()));
        }
        if let Some(f) = self.submitting.as_mut()
            && f.as_mut().poll(cx).is_ready()
        {
            self.submitting = None;
            self.flow.handed_over();
            moved = true;
        }
        if self.receiving.is_none() && !self.inbound.is_empty() {
            self.receiving = Some(self.deliveries.received(std::mem::take(&mut self.inbound)));
            self.acking = std::mem::take(&mut self.unacked);
        }
        if let Some(f) = self.receiving.as_mut()
            && f.as_mut().poll(cx).is_ready()
        {
            self.receiving = None;
            for seq in std::mem::take(&mut self.acking) {
                if let Some(link) = &mut self.link {
                    link.push_plain(|out| outbound::put_deliver_resp(out, seq));
                }
            }
            moved = true;
        }
        moved
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> bool {
        if self.next.is_none() && matches!(self.phase, Phase::Bound) && self.stopping.is_none() {
            let room = self.flow.room();
            self.next = (room > 0).then(|| self.deliveries.next(room));
        }
        let Some(next) = self.next.as_mut() else { return false };
        let Poll::Ready(offered) = next.as_mut().poll(cx) else { return false };
        self.next = None;
        self.flow.offer(offered.contacts, &self.config);
        drop(offered.awake); // `poll` holds a guard of its own
        true
    }

    fn poll_link(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if let Some((link, _)) = self.closing.as_mut()
            && link.poll_close(cx).is_ready()
        {
            self.closing = None;
            moved = true;
        }
        if let Phase::Connecting { connect, .. } = &mut self.phase
            && let Poll::Ready(result) = connect.as_mut().poll(cx)
        {
            match result {
                Ok(stream) => self.connected(stream),
                Err(e) => self.lose(&Lost::Connect(e)),
            }
            moved = true;
        }
        if self.inbound.len() >= INBOUND_MAX {
            return moved;
        }
        let Some(link) = self.link.as_mut() else { return moved };
        match link.poll_read(cx) {
            Poll::Pending => moved,
            Poll::Ready(Ok(true)) => {
                self.heard = self.clock.now();
                self.frames();
                true
            }
            Poll::Ready(Ok(false)) => {
                let cut = link.is_cut();
                self.lose(&Lost::Closed { cut });
                true
            }
            Poll::Ready(Err(e)) => {
                self.lose(&Lost::Io(e));
                true
            }
        }
    }

    fn connected(&mut self, stream: Box<dyn Io>) {
        let now = self.clock.now();
        let mut link = Link::new(stream, self.clock.clone());
        (self.enquiry, self.heard) = (None, now);
        let seq = self.sequence();
        let pushed = link.push(None, |out| outbound::put_bind(out, seq, &self.config));
        self.link = Some(link);
        match pushed {
            Ok(()) => self.phase = Phase::Binding { until: now.plus(self.config.response_timeout) },
            Err(e) => self.lose(&Lost::Setting(e)),
        }
    }

    /// Everything that depends on the time alone.
    fn tick(&mut self) -> bool {
        let now = self.clock.now();
        let silent = self.flow.expire(now);
        add(&self.monitor.unknown, silent);
        if self.closing.as_ref().is_some_and(|c| c.1 <= now) {
            self.closing = None;
        }
        let moved = match self.phase {
            Phase::Down { .. } | Phase::Connecting { .. } | Phase::Binding { .. } if self.stopping.is_some() => {
                self.end();
                true
            }
            Phase::Down { until } if until <= now && self.closing.is_none() => {
                let connect = (self.connector)(&self.config.host, self.config.port);
                self.phase = Phase::Connecting { connect, until: now.plus(self.config.response_timeout) };
                true
            }
            Phase::Connecting { until, .. } if until <= now => {
                self.lose(&Lost::Connect(io::ErrorKind::TimedOut.into()));
                true
            }
            Phase::Binding { until } if until <= now => {
                self.lose(&Lost::Silent("the bind"));
                true
            }
            Phase::Bound if self.stopping.is_some() => self.wind_down(now),
            Phase::Bound => self.enquire(now),
            Phase::Unbinding { until } if until <= now => {
                self.end();
                true
            }
            Phase::Leaving { until } if until <= now || !self.link.as_ref().is_some_and(Link::has_output) => {
                self.lose(&Lost::Unbound);
                true
            }
            _ => false,
        };
        moved || silent > 0
    }

    fn enquire(&mut self, now: Timestamp) -> bool {
        if self.enquiry.is_some_and(|e| e.1 <= now) {
            self.lose(&Lost::Silent("enquire_link"));
            return true;
        }
        if self.enquiry.is_some() || self.heard.plus(self.config.enquire_link) > now {
            return false;
        }
        let seq = self.sequence();
        let Some(link) = self.link.as_mut() else { return false };
        link.push_plain(|out| outbound::put(out, CommandStatus::EsmeRok, seq, Pdu::EnquireLink));
        self.enquiry = Some((seq, now.plus(self.config.response_timeout)));
        true
    }

    /// Unbinds when nothing is open any more.
    fn wind_down(&mut self, now: Timestamp) -> bool {
        if self.stopping.is_some_and(|until| until <= now) {
            self.flow.give_back(true);
        }
        if !self.flow.is_idle() || self.receiving.is_some() || !self.inbound.is_empty() {
            return false;
        }
        let seq = self.sequence();
        let Some(link) = self.link.as_mut() else { return false };
        link.push_plain(|out| outbound::put(out, CommandStatus::EsmeRok, seq, Pdu::Unbind));
        self.phase = Phase::Unbinding { until: now.plus(self.config.response_timeout) };
        true
    }

    /// The connection is gone or given up: what is unanswered is unknown; we try again after a wait.
    fn lose(&mut self, why: &Lost) {
        let now = self.clock.now();
        let unknown = self.drop_link(now);
        if let Phase::Over = self.phase {
            return;
        }
        let (first, longest) = self.config.reconnect_backoff;
        let wait = if matches!(why, Lost::Refused(_)) {
            longest
        } else {
            Span(first.0.saturating_mul(1 << self.attempts.min(30)).min(longest.0))
        };
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Down { until: now.plus(wait) };
        add(&self.monitor.lost_connections, 1);
        let cause = std::error::Error::source(why).map(ToString::to_string);
        tracing::warn!(centre = self.config.host, port = self.config.port, unknown, cause, wait = ?wait, "{why}");
    }

    /// Stopped: no more connection after this one.
    fn end(&mut self) {
        if self.stopping.is_none() {
            return self.lose(&Lost::Unbound);
        }
        self.phase = Phase::Over;
        self.flow.give_back(true);
        self.drop_link(self.clock.now());
    }

    fn drop_link(&mut self, now: Timestamp) -> usize {
        let unknown = self.flow.lost();
        add(&self.monitor.unknown, unknown);
        self.monitor.bound.store(false, Relaxed);
        self.blocked = false;
        // the centre sends again what we did not acknowledge
        self.unacked.clear();
        self.acking.clear();
        self.enquiry = None;
        if let Some(mut link) = self.link.take() {
            link.abandon();
            self.closing = Some((link, now.plus(GOODBYE)));
        }
        unknown
    }

    fn sequence(&mut self) -> u32 {
        // 1–0x7fffffff (SMPP 3.4 §3.2)
        self.seq = if self.seq >= 0x7fff_ffff { 1 } else { self.seq + 1 };
        self.seq
    }

    fn due(&mut self) -> Option<Timestamp> {
        let phase = match self.phase {
            Phase::Down { until } if self.closing.is_none() => Some(until),
            Phase::Connecting { until, .. }
            | Phase::Binding { until }
            | Phase::Unbinding { until }
            | Phase::Leaving { until } => Some(until),
            Phase::Bound if self.stopping.is_some() => self.stopping.filter(|_| !self.flow.is_idle()),
            Phase::Bound => Some(self.enquiry.map_or(self.heard.plus(self.config.enquire_link), |e| e.1)),
            Phase::Down { .. } | Phase::Over => None,
        };
        // what waits for the line or the socket is not due: a timer in the past would ring without end
        let writable = matches!(self.phase, Phase::Bound) && !self.blocked;
        let pace = self.pace.as_ref().filter(|_| writable && self.flow.has_ready()).map(|p| p.next);
        let closing = self.closing.as_ref().map(|c| c.1);
        let flow = self.flow.due(writable);
        [phase, pace, closing, flow].into_iter().flatten().min()
    }

    /// Arms the timer for what is due first; whether something is due now.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.due() else {
            self.timer = None;
            return false;
        };
        // a timer that rings too early costs less than a new one after every answer
        if self.timer.as_ref().is_none_or(|t| t.0 > due || t.0.plus(Span::secs(1)) < due) {
            self.timer = Some((due, self.timers.sleep_until(due)));
        }
        let Some((_, timer)) = self.timer.as_mut() else { return false };
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.timer = None;
        true
    }
}
