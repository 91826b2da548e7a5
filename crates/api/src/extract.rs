//! Reading requests: every part that does not read is refused with its place and a remedy.

use crate::problem::{Failure, Result};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use kairos_catalog::{def::DEFINITION_BYTES_MAX, is_slug, read};
use kairos_model::{SubscriberId, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Largest body: a campaign definition at its own limit is the largest thing that anybody sends.
pub const BODY_BYTES_MAX: usize = DEFINITION_BYTES_MAX;

/// The query string; an unknown parameter is an error, not a silence.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(e) => Err(Failure::bad_request("query", format!("the query string: {}", e.body_text()))),
        }
    }
}

/// A campaign's id from the path.
pub struct Slug(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Slug {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let found = Path::<String>::from_request_parts(parts, state).await;
        match found {
            Ok(Path(slug)) if is_slug(&slug) => Ok(Self(slug)),
            // what came is not repeated: it might be anything
            _ => Err(Failure::not_found("campaign_not_found", "no campaign has an id of that form")),
        }
    }
}

/// A subscriber's ordinal from the path: `s42`. Numbers and names have no place in a URL.
pub struct Ordinal(pub SubscriberId);

impl<S: Send + Sync> FromRequestParts<S> for Ordinal {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let found = Path::<String>::from_request_parts(parts, state).await;
        found.ok().and_then(|Path(text)| ordinal(&text)).map(Self).ok_or_else(|| {
            Failure::not_found("subscriber", "no subscriber has an ordinal of that form; it looks like `s42`")
        })
    }
}

/// `s42` as an ordinal.
pub fn ordinal(text: &str) -> Option<SubscriberId> {
    let digits = text.strip_prefix('s')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(SubscriberId)
}

/// An instant of a query or body, RFC 3339 with an offset.
pub fn instant(text: &str, pointer: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        let detail = "no instant: write RFC 3339 with an offset, 2026-03-02T00:30:00Z (in a URL, + is %2B)";
        let status = if pointer.is_empty() { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY };
        let failure = Failure::new(status, "time", detail);
        if pointer.is_empty() { failure } else { failure.at(pointer) }
    })
}

/// A JSON body; a missing one is `{}`.
pub struct Json<T> {
    pub value: T,
    /// As it came, for the hash of an idempotent request.
    pub raw: Value,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let json = is_json(request.headers());
        let bytes = Bytes::from_request(request, state).await.map_err(|e| {
            let mut failure = Failure::of_status(e.status());
            if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
                failure.detail = format!("the body is larger than the {BODY_BYTES_MAX} bytes that this API takes");
            }
            failure
        })?;
        if bytes.is_empty() {
            let raw = Value::Object(serde_json::Map::new());
            return Ok(Self { value: read::from_value("the body", &raw)?, raw });
        }
        if !json {
            return Err(Failure::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let raw: Value = serde_json::from_slice(&bytes)
            .map_err(|e| Failure::bad_request("malformed_json", format!("the body is not JSON: {e}")).at(""))?;
        Ok(Self { value: read::from_value("the body", &raw)?, raw })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinal_is_never_a_number() {
        assert_eq!(ordinal("s42"), Some(SubscriberId(42)));
        for wrong in ["42", "s", "s-1", "s+1", "s4294967296", "S42", "s42 "] {
            assert_eq!(ordinal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_instant_has_an_offset() {
        assert_eq!(instant("2026-03-02T08:30:00+08:00", "").unwrap().to_string(), "2026-03-02T00:30:00Z");
        let e = instant("2026-03-02T08:30:00", "/at").unwrap_err();
        assert_eq!((e.status.as_u16(), e.errors[0].pointer.as_str()), (422, "/at"));
    }
}
