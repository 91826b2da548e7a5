//! The clock is an argument. Real time and simulated time look the same to engine, channel and message centre.

use crate::time::Timestamp;
use std::{future::Future, pin::Pin, sync::Arc};

/// While one of these lives, a simulated clock stands still: somebody has work in hand. Real clocks ignore it.
pub struct Awake(Option<Box<dyn FnOnce() + Send>>);

impl Awake {
    /// For clocks that never stand still.
    pub const fn idle() -> Self {
        Self(None)
    }
    /// `release` runs when the guard is dropped.
    pub fn new(release: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(release)))
    }
}
impl Drop for Awake {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

/// What time it is, and waiting for a later one.
///
/// The rules that let simulated time move only while nobody has anything due:
/// - whoever has work in hand holds an [`Awake`] from [`Clock::begin`] (or the one that a sleep gave);
/// - a sleeper gives up its guard, sleeps, and gets a new guard with its waking. The sleep is registered by the *call* of
///   `sleep_until`: call it, drop the guard, then await, so that no moment is left in which nobody seems to wait;
/// - work that is handed to another task carries a guard with it;
/// - who writes a message to a peer inside the same simulation calls `on_wire(1)` *before* writing it, and the reader
///   calls `on_wire(-1)` when it has finished with the message and registered whatever follows from it. Closing a stream
///   counts as one message in its direction.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    /// Completes at or after `due`.
    fn sleep_until(&self, due: Timestamp) -> Pin<Box<dyn Future<Output = Awake> + Send + '_>>;
    fn begin(&self) -> Awake {
        Awake::idle()
    }
    fn on_wire(&self, _messages: i64) {}
}

/// How clocks are handed round.
pub type SharedClock = Arc<dyn Clock>;
