//! Around every request: its name, its time limit, its log line, and the body of a refusal.

use crate::{
    context::Context,
    problem::{Failure, MEDIA_TYPE},
};
use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use std::time::{Duration, Instant};

/// Longest wait for an answer. Counting a condition over ten million subscribers stays well below it; a person has left
/// long before. A change that was begun goes on.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub async fn observe(State(context): State<Context>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = context.request_id();
    let method = request.method().clone();
    // the template: the path that came might hold anything
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |m| m.as_str().to_owned());
    let answer = tokio::time::timeout(ANSWER_TIME_MAX, next.run(request)).await;
    let mut response = answer.unwrap_or_else(|_| {
        let detail = format!(
            "no answer within {} s; a change that was begun goes on: read it again before you repeat it",
            ANSWER_TIME_MAX.as_secs()
        );
        axum::response::IntoResponse::into_response(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail))
    });
    let status = response.status();
    let mut code = None;
    if status.is_client_error() || status.is_server_error() {
        let failure = response.extensions_mut().remove::<Failure>().unwrap_or_else(|| Failure::of_status(status));
        code = Some(failure.code.clone());
        response = with_body(response, failure, &id);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let milliseconds = begun.elapsed().as_millis() as u64;
    tracing::info!(request = %id, %method, route, status = status.as_u16(), code = code.as_deref(), milliseconds, "request");
    response
}

/// The refusal's own headers stay: `Allow`, `WWW-Authenticate`.
fn with_body(response: Response, failure: Failure, id: &str) -> Response {
    let problem = failure.problem(format!("urn:kairos:request:{id}"));
    let (mut parts, _) = response.into_parts();
    // plain strings and numbers: this cannot fail
    let body = serde_json::to_vec(&problem).unwrap_or_else(|e| unreachable!("a problem is plain JSON: {e}"));
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(parts, Body::from(body))
}
