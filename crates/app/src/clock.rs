//! The real clock. The simulated one lives with the message centre that it drives.

use kairos_model::{Awake, Clock, Timestamp};
use std::{
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Wall time and tokio's timer.
#[derive(Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(d) => i64::try_from(d.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Timestamp(micros)
    }
    fn sleep_until(&self, due: Timestamp) -> Pin<Box<dyn Future<Output = Awake> + Send + '_>> {
        let wait = Duration::from_micros(u64::try_from(due.since(self.now()).0).unwrap_or(0));
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            Awake::idle()
        })
    }
}
