//! Requests that change something: finished once begun, and done once for each idempotency key.

use crate::{
    auth::Caller,
    context::Context,
    extract::Json,
    problem::{Failure, Result},
};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kairos_app::App;
use kairos_catalog::{Actor, ContentHash, Remembered, canonical};
use kairos_model::Span;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{future::Future, sync::Arc};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is remembered: a client that retries does so within a day.
const KEY_LIFE: Span = Span::days(1);

/// A changing request: who, what, and under which key.
pub struct Effect<T> {
    pub actor: Actor,
    pub value: T,
    pub headers: HeaderMap,
    key: Option<Key>,
}

struct Key {
    text: String,
    /// Of method, path and body: the same key with another request is refused.
    request: ContentHash,
}

impl<T: DeserializeOwned> FromRequest<Context> for Effect<T> {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &Context) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let Caller(actor) = Caller::from_request_parts(&mut parts, state).await?;
        let (method, path, headers) = (parts.method.clone(), parts.uri.path().to_owned(), parts.headers.clone());
        let key = match headers.get(&KEY).map(HeaderValue::to_str) {
            None => None,
            Some(Ok(text)) if !text.is_empty() && text.len() <= 255 => Some(text.to_owned()),
            Some(_) => {
                let detail = "the Idempotency-Key header has 1 to 255 visible ASCII characters";
                return Err(Failure::bad_request("idempotency_key", detail));
            }
        };
        let Json { value, raw } = Json::<T>::from_request(Request::from_parts(parts, body), state).await?;
        let key = key.map(|text| Key {
            text,
            request: canonical::hash(
                "kairos api request 1",
                &json!({ "method": method.as_str(), "path": path, "body": raw }),
            ),
        });
        Ok(Self { actor, value, headers, key })
    }
}

/// What a change answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub location: Option<String>,
    pub body: Value,
    #[serde(skip)]
    pub replayed: bool,
}

impl Answer {
    pub fn ok(body: &impl Serialize) -> Result<Self> {
        Self::new(StatusCode::OK, body)
    }
    pub fn new(status: StatusCode, body: &impl Serialize) -> Result<Self> {
        let body = to_value(body)?;
        Ok(Self { status: status.as_u16(), etag: None, location: None, body, replayed: false })
    }
    #[must_use]
    pub fn tagged(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }
    #[must_use]
    pub fn located(mut self, at: String) -> Self {
        self.location = Some(at);
        self
    }
}

pub fn to_value(body: &impl Serialize) -> Result<Value> {
    serde_json::to_value(body).map_err(|e| {
        tracing::error!(error = %e, "an answer cannot be written");
        Failure::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, axum::Json(self.body)).into_response();
        let headers = response.headers_mut();
        let mut put = |name: HeaderName, value: Option<String>| {
            if let Some(Ok(value)) = value.map(|v| HeaderValue::from_str(&v)) {
                headers.insert(name, value);
            }
        };
        put(header::ETAG, self.etag);
        put(header::LOCATION, self.location);
        put(REPLAYED, self.replayed.then(|| "true".to_owned()));
        response
    }
}

/// Does the work in a task of its own, so that it ends though the caller hangs up or the time limit passes.
///
/// With a key: the answer of a success is remembered and given again; a refusal changed nothing, so that its key is
/// free for another try.
pub async fn run<T, F, W>(context: &Context, effect: Effect<T>, work: F) -> Result<Answer>
where
    T: Send + 'static,
    F: FnOnce(Arc<App>, Actor, T) -> W + Send + 'static,
    W: Future<Output = Result<Answer>> + Send,
{
    let closing = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "closing", "the server is ending; try again");
    let permit = context.changes.clone().acquire_owned().await.map_err(closing)?;
    let app = context.app.clone();
    let task = tokio::spawn(async move {
        let answer = keyed(app, effect, work).await;
        drop(permit);
        answer
    });
    task.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "a change ended in a panic");
        Err(Failure::of_status(StatusCode::INTERNAL_SERVER_ERROR))
    })
}

async fn keyed<T, F, W>(app: Arc<App>, effect: Effect<T>, work: F) -> Result<Answer>
where
    F: FnOnce(Arc<App>, Actor, T) -> W,
    W: Future<Output = Result<Answer>>,
{
    let Effect { actor, value, key, .. } = effect;
    let Some(key) = key else { return work(app, actor, value).await };
    let (user, now) = (actor.id(), app.now());
    match app.catalog.claim_key(user, &key.text, &key.request, now.plus(KEY_LIFE), now).await? {
        Remembered::Answered { body, .. } => {
            let answer: Answer = serde_json::from_str(&body).map_err(|e| {
                tracing::error!(error = %e, "a remembered answer does not read");
                Failure::of_status(StatusCode::INTERNAL_SERVER_ERROR)
            })?;
            Ok(Answer { replayed: true, ..answer })
        }
        Remembered::Fresh => {
            let answer = work(app.clone(), actor, value).await;
            let kept = match &answer {
                Ok(a) => match serde_json::to_string(a) {
                    Ok(text) => app.catalog.answer(user, &key.text, a.status, &text).await,
                    Err(_) => app.catalog.release(user, &key.text).await,
                },
                Err(_) => app.catalog.release(user, &key.text).await,
            };
            if let Err(e) = kept {
                // the work is done or refused all the same; the claim ends by itself
                tracing::error!(error = %e, "an idempotency key cannot be settled");
            }
            answer
        }
    }
}
