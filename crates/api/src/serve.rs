//! Serving on a socket until told to end.

use crate::{context::CHANGES_MAX, context::Context, routes};
use kairos_app::App;
use std::{future::Future, io, sync::Arc};
use tokio::net::TcpListener;

/// Serves until `shutdown` completes: then no new connection is taken, open requests are answered, and changes under
/// way are finished before this returns.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let context = Context::new(app);
    let changes = context.changes.clone();
    let served = axum::serve(listener, routes::with_context(context)).with_graceful_shutdown(shutdown).await;
    // an error here would mean that the semaphore was closed, which nobody does
    if let Ok(all) = changes.acquire_many(CHANGES_MAX).await {
        drop(all);
    }
    served
}
