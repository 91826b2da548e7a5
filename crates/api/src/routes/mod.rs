//! Every route. A handler reads its request, calls one use case, and says the answer in a wire shape.

pub mod audiences;
pub mod campaigns;
pub mod events;
pub mod lists;
pub mod records;
pub mod subscribers;
pub mod system;

use crate::{
    auth::authenticate,
    context::Context,
    extract::BODY_BYTES_MAX,
    observe::observe,
    problem::{Failure, Result},
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware::{from_fn_with_state, map_response},
    response::Response,
    routing::{get, post},
};
use kairos_app::App;
use std::sync::Arc;

/// A batch of events is larger than any other body.
const EVENTS_BYTES_MAX: usize = kairos_app::EVENTS_BYTES_MAX;

/// The whole API over one open data directory. Needs a tokio runtime with time.
pub fn router(app: Arc<App>) -> Router {
    with_context(Context::new(app))
}

pub(crate) fn with_context(context: Context) -> Router {
    let guarded = Router::new()
        .route("/v1/campaigns", get(campaigns::list_campaigns).post(campaigns::submit_campaign))
        .route("/v1/campaigns/{id}", get(campaigns::read_campaign).put(campaigns::revise_campaign))
        .route("/v1/campaigns/{id}/approve", post(campaigns::approve_campaign))
        .route("/v1/campaigns/{id}/reject", post(campaigns::reject_campaign))
        .route("/v1/campaigns/{id}/withdraw", post(campaigns::withdraw_campaign))
        .route("/v1/campaigns/{id}/start", post(campaigns::start_campaign))
        .route("/v1/campaigns/{id}/pause", post(campaigns::pause_campaign))
        .route("/v1/campaigns/{id}/resume", post(campaigns::resume_campaign))
        .route("/v1/campaigns/{id}/stop", post(campaigns::stop_campaign))
        .route("/v1/campaigns/{id}/simulate", post(campaigns::simulate_campaign))
        .route("/v1/campaigns/{id}/report", get(campaigns::report_campaign))
        .route("/v1/campaign-checks", post(campaigns::check_campaign))
        .route("/v1/tags", get(records::list_tags))
        .route("/v1/tags/{id}", get(records::read_tag))
        .route("/v1/audiences/count", post(audiences::count_audience))
        .route("/v1/audiences", post(audiences::freeze_audience))
        .route("/v1/subscribers/{ordinal}/explanation", get(subscribers::explain_subscriber))
        .route("/v1/opt-outs", post(subscribers::opt_out))
        .route("/v1/events", post(events::take_events).layer(DefaultBodyLimit::max(EVENTS_BYTES_MAX)))
        .route("/v1/kill-switch", get(system::read_kill_switch).post(system::set_kill_switch))
        .route("/v1/audit", get(records::list_audit))
        .route("/v1/audit/verification", get(records::verify_audit))
        .route("/v1/imports", get(records::list_imports))
        .route_layer(from_fn_with_state(context.clone(), authenticate));
    Router::new()
        .route("/livez", get(system::livez))
        .route("/readyz", get(system::readyz))
        .route("/openapi.json", get(system::openapi_document))
        .merge(guarded)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(map_response(uncached))
        .layer(from_fn_with_state(context.clone(), observe))
        .with_state(context)
}

/// Work that computes for long, away from the threads that answer.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        tracing::error!(error = %e, "a request ended in a panic");
        Failure::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

async fn no_route() -> Failure {
    Failure::of_status(StatusCode::NOT_FOUND)
}

async fn no_method() -> Failure {
    Failure::of_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Answers are for their caller at this moment; no proxy keeps them.
async fn uncached(mut response: Response) -> Response {
    let no_store = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, no_store);
    response
}
