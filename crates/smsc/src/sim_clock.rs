//! Simulated time: it moves only while nobody has anything due.

use kairos_model::{Awake, Clock, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// A [`Clock`] that jumps to the earliest sleeper as soon as nobody is awake and no message is on the wire.
///
/// Sleepers wake one at a time, in the order of (due, registration): each has finished (dropped its [`Awake`]) before
/// the next wakes. A sleep is registered by the *call* of `sleep_until`, not by its first poll, so the safe way to
/// sleep is `let sleep = clock.sleep_until(due); drop(awake); let awake = sleep.await;`.
///
/// It starts standing still: hold a [`Clock::begin`] while the simulation is set up.
pub struct SimClock(Arc<Inner>);

struct Inner {
    /// `State::now`, readable without the lock.
    now: AtomicI64,
    state: Mutex<State>,
}

struct State {
    now: Timestamp,
    busy: u64,
    wire: i64,
    registered: u64,
    sleepers: BTreeMap<(Timestamp, u64), Option<Waker>>,
    /// Woken, and not yet polled or dropped; `busy` counts them.
    woken: BTreeSet<(Timestamp, u64)>,
}

/// Why a simulated clock stands where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    pub now: Timestamp,
    /// How many hold an [`Awake`].
    pub busy: u64,
    /// Messages written and not dealt with; never negative where both sides keep the rules.
    pub wire: i64,
    pub sleepers: usize,
}

impl SimClock {
    pub fn new(now: Timestamp) -> Self {
        let state = State { now, busy: 0, wire: 0, registered: 0, sleepers: BTreeMap::new(), woken: BTreeSet::new() };
        Self(Arc::new(Inner { now: AtomicI64::new(now.0), state: Mutex::new(state) }))
    }

    pub fn standing(&self) -> Standing {
        let s = self.0.lock();
        Standing { now: s.now, busy: s.busy, wire: s.wire, sleepers: s.sleepers.len() }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // every change below is complete in itself: a panic elsewhere leaves nothing half-done here
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change and, if all is quiet after it, moves time to the earliest sleeper.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut s = self.lock();
        change(&mut s);
        if s.busy > 0 || s.wire != 0 {
            return;
        }
        let Some((key, waker)) = s.sleepers.pop_first() else { return };
        s.now = s.now.max(key.0);
        s.busy = 1;
        s.woken.insert(key);
        self.now.store(s.now.0, Ordering::Release);
        drop(s);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn awake(self: &Arc<Self>) -> Awake {
        let inner = self.clone();
        Awake::new(move || inner.change(|s| s.busy -= 1))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.now.load(Ordering::Acquire))
    }

    fn sleep_until(&self, due: Timestamp) -> Pin<Box<dyn Future<Output = Awake> + Send + '_>> {
        let mut key = (due, 0);
        self.0.change(|s| {
            s.registered += 1;
            key.1 = s.registered;
            if due <= s.now {
                s.busy += 1;
                s.woken.insert(key);
            } else {
                s.sleepers.insert(key, None);
            }
        });
        Box::pin(Sleep { inner: self.0.clone(), key, done: false })
    }

    fn begin(&self) -> Awake {
        self.0.change(|s| s.busy += 1);
        self.0.awake()
    }

    fn on_wire(&self, messages: i64) {
        if messages != 0 {
            self.0.change(|s| s.wire += messages);
        }
    }
}

struct Sleep {
    inner: Arc<Inner>,
    key: (Timestamp, u64),
    done: bool,
}

impl Future for Sleep {
    type Output = Awake;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Awake> {
        let mut s = self.inner.lock();
        if s.woken.remove(&self.key) {
            drop(s);
            self.done = true;
            return Poll::Ready(self.inner.awake());
        }
        if let Some(waker) = s.sleepers.get_mut(&self.key) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if !self.done {
            self.inner.change(|s| {
                if s.woken.remove(&self.key) {
                    s.busy -= 1;
                } else {
                    s.sleepers.remove(&self.key);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_model::{Span, clock::SharedClock};

    #[test]
    fn time_moves_only_while_nobody_is_awake_and_nothing_is_on_the_wire() {
        let clock = SimClock::new(Timestamp(0));
        let awake = clock.begin();
        let (late, early) = (clock.sleep_until(Timestamp(20)), clock.sleep_until(Timestamp(10)));
        clock.on_wire(1);
        drop(awake);
        assert_eq!(clock.standing(), Standing { now: Timestamp(0), busy: 0, wire: 1, sleepers: 2 });
        clock.on_wire(-1);
        assert_eq!(clock.standing(), Standing { now: Timestamp(10), busy: 1, wire: 0, sleepers: 1 });
        drop(late);
        drop(early);
        assert_eq!(clock.standing(), Standing { now: Timestamp(10), busy: 0, wire: 0, sleepers: 0 });
    }

    #[test]
    fn a_sleep_that_is_due_does_not_wait() {
        let clock = SimClock::new(Timestamp(5));
        let sleep = clock.sleep_until(Timestamp(5));
        assert_eq!(clock.standing().busy, 1);
        drop(sleep);
        assert_eq!(clock.standing().busy, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_sleepers_wake_in_order_and_a_year_takes_no_time() {
        let clock: SharedClock = Arc::new(SimClock::new(Timestamp(0)));
        let log = Arc::new(Mutex::new(Vec::new()));
        let awake = clock.begin();
        let tasks: Vec<_> = (0..50i64)
            .map(|n| {
                let (clock, log, mut awake) = (clock.clone(), log.clone(), clock.begin());
                tokio::spawn(async move {
                    for round in 0..20 {
                        let due = Timestamp(0).plus(Span::days(round * 20)).plus(Span::secs((n * 37) % 50));
                        let sleep = clock.sleep_until(due);
                        drop(awake);
                        awake = sleep.await;
                        log.lock().unwrap().push((clock.now(), n));
                    }
                })
            })
            .collect();
        drop(awake);
        for t in tasks {
            t.await.unwrap();
        }
        let log = log.lock().unwrap();
        assert_eq!((log.len(), log.iter().map(|l| l.0).is_sorted()), (1000, true));
        assert_eq!(clock.now(), Timestamp(0).plus(Span::days(380)).plus(Span::secs(49)));
    }
}
