//! What happened on the network: CloudEvents in.

use crate::{
    context::Context,
    problem::{Failure, Fault, Result},
};
use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;

/// What became of the events of a request: `read` is the sum of the others and of the problems.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventsTaken {
    #[serde(rename = "@type")]
    #[schema(example = "EventsTaken")]
    pub kind: &'static str,
    pub read: u64,
    /// Durable. An event that comes again, by its `source` and `id`, is taken once.
    pub taken: u64,
    /// Of numbers that belong to no subscriber at the event's time.
    pub unknown: u64,
    /// Notices about subscriptions.
    pub ignored: u64,
    /// Events that were not decoded, each with its place in the body.
    pub problems: Vec<EventProblem>,
}

/// One event that was not decoded; no value of the body is repeated.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventProblem {
    /// JSON pointer into the body.
    pub pointer: String,
    /// Stable: count by this.
    pub code: &'static str,
    pub detail: String,
}

/// Take events: CloudEvents 1.0, one, a batch, or binary mode; answered when they are durable
#[utoipa::path(post, path = "/v1/events", tag = "events",
    request_body(content = Object, content_type = "application/cloudevents-batch+json"),
    responses((status = 200, description = "Durable, but for the problems", body = EventsTaken)))]
pub async fn take_events(State(context): State<Context>, headers: HeaderMap, body: Bytes) -> Result<Json<EventsTaken>> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let kind = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let taken = context.app.take_cloudevents(&body, &kind, &text).await?;
    if taken.taken == 0 && !taken.problems.is_empty() && taken.problems.len() as u64 == taken.read {
        let mut failure = Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "events",
            "none of the events can be read; nothing was taken",
        );
        failure.errors =
            taken.problems.iter().map(|p| Fault { pointer: p.pointer.clone(), detail: p.detail.clone() }).collect();
        return Err(failure);
    }
    Ok(Json(EventsTaken {
        kind: "EventsTaken",
        read: taken.read,
        taken: taken.taken,
        unknown: taken.unknown,
        ignored: taken.ignored,
        problems: taken
            .problems
            .into_iter()
            .map(|p| EventProblem { pointer: p.pointer, code: p.code, detail: p.detail })
            .collect(),
    }))
}
