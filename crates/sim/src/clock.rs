//! True time, and the machine's clock that strays from it.
//!
//! Timers run in true time, as a machine's monotonic clock does; what they were set for, and every stamp, is wall time.

use kairos_model::{Awake, Clock, Span, Timestamp};
use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

/// True time in microseconds since the world began.
pub type Moment = i64;

struct Inner {
    now: Moment,
    /// Wall time − true time.
    skew: i64,
    timers: BTreeSet<(Moment, u64)>,
    made: u64,
}

pub struct SimClock {
    begin: Timestamp,
    inner: Mutex<Inner>,
}

impl SimClock {
    pub fn new(begin: Timestamp) -> Self {
        let inner = Inner { now: 0, skew: 0, timers: BTreeSet::new(), made: 0 };
        Self { begin, inner: Mutex::new(inner) }
    }
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn moment(&self) -> Moment {
        self.lock().now
    }
    pub fn advance_to(&self, moment: Moment) {
        let mut i = self.lock();
        i.now = i.now.max(moment);
    }
    /// Sets the machine's clock forward or back.
    pub fn jump(&self, by: Span) {
        self.lock().skew += by.0;
    }
    /// When the machine's clock will show `wall`, if it is left alone.
    pub fn moment_of(&self, wall: Timestamp) -> Moment {
        wall.0.saturating_sub(self.begin.0).saturating_sub(self.lock().skew)
    }
    /// When the first timer rings.
    pub fn first_timer(&self) -> Option<Moment> {
        self.lock().timers.first().map(|t| t.0)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let i = self.lock();
        Timestamp(self.begin.0 + i.now + i.skew)
    }
    fn sleep_until(&self, due: Timestamp) -> Pin<Box<dyn Future<Output = Awake> + Send + '_>> {
        let wait = due.since(self.now()).0.max(0);
        let mut i = self.lock();
        i.made += 1;
        let key = (i.now.saturating_add(wait), i.made);
        i.timers.insert(key);
        drop(i);
        Box::pin(Sleep { clock: self, key })
    }
}

struct Sleep<'a> {
    clock: &'a SimClock,
    key: (Moment, u64),
}

impl Future for Sleep<'_> {
    type Output = Awake;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Awake> {
        // nobody is woken: the world polls again after every step
        if self.clock.moment() >= self.key.0 { Poll::Ready(Awake::idle()) } else { Poll::Pending }
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.clock.lock().timers.remove(&self.key);
    }
}
