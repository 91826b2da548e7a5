//! What every handler shares.

use kairos_app::App;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Semaphore;

/// Changes under way at a time: SQLite has one writer, so more would only wait in memory.
pub const CHANGES_MAX: u32 = 32;

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub app: Arc<App>,
    /// A permit for each change under way; all of them free means that nothing is half-done.
    pub changes: Arc<Semaphore>,
    requests: Arc<AtomicU64>,
    started: i64,
}

impl Context {
    pub fn new(app: Arc<App>) -> Self {
        let started = app.now().0;
        Self { app, changes: Arc::new(Semaphore::new(CHANGES_MAX as usize)), requests: Arc::default(), started }
    }
    /// A name that no other request of this data directory has: when the process began to serve, and a count.
    pub fn request_id(&self) -> String {
        format!("{:x}-{:x}", self.started, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}
