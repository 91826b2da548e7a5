//! What went wrong, as RFC 9457 says it: `application/problem+json`.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kairos_app::error::{AppError, Kind};
use kairos_catalog::{CatalogError, Illegal, ReadError};
use serde::Serialize;
use std::{borrow::Cow, error::Error as StdError};
use utoipa::ToSchema;

pub const MEDIA_TYPE: &str = "application/problem+json";

/// A failed request (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:kairos:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:kairos:problem:own_work")]
    pub kind: String,
    /// The status in words.
    #[schema(example = "Forbidden")]
    pub title: &'static str,
    #[schema(example = 403)]
    pub status: u16,
    /// Stable: match on this. See docs/reference/api.md.
    #[schema(example = "own_work")]
    pub code: Cow<'static, str>,
    /// For people: what was attempted, what is wrong, what to do.
    pub detail: String,
    /// Names this occurrence; the log line of the request has the same.
    #[schema(example = "urn:kairos:request:18d3a4f0c2b10-1f")]
    pub instance: String,
    /// Every fault of the request, where they can be told apart.
    pub errors: Vec<Fault>,
}

/// One fault at one place of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the body; empty for the whole.
    #[schema(example = "/budget/amount")]
    pub pointer: String,
    pub detail: String,
}

/// A failure on its way out: `observe` gives it its instance and its body.
#[derive(Clone, Debug)]
pub struct Failure {
    pub status: StatusCode,
    pub code: Cow<'static, str>,
    pub detail: String,
    pub errors: Vec<Fault>,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code: Cow::Borrowed(code), detail: detail.into(), errors: Vec::new() }
    }
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }
    #[must_use]
    pub fn at(mut self, pointer: &str) -> Self {
        self.errors.push(Fault { pointer: pointer.to_owned(), detail: self.detail.clone() });
        self
    }

    /// A failure for a status that no handler gave: axum's own refusals.
    pub fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("no_route", "there is nothing at this address; see /openapi.json"),
            StatusCode::METHOD_NOT_ALLOWED => ("method", "this address does not take this method; see /openapi.json"),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the body is larger than this API takes"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("media_type", "send the body as application/json"),
            s if s.is_client_error() => ("bad_request", "the request cannot be understood"),
            _ => ("internal", "something went wrong here; the log has more under this instance"),
        };
        Self::new(status, code, detail)
    }

    pub fn problem(self, instance: String) -> Problem {
        Problem {
            kind: format!("urn:kairos:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Failed"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            instance,
            errors: self.errors,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<AppError> for Failure {
    fn from(e: AppError) -> Self {
        let status = match (e.kind, e.code) {
            (Kind::Denied, "token") => StatusCode::UNAUTHORIZED,
            (Kind::Invalid, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (Kind::NotFound, _) => StatusCode::NOT_FOUND,
            (Kind::Denied, _) => StatusCode::FORBIDDEN,
            (Kind::Conflict, _) => StatusCode::CONFLICT,
            (Kind::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
            (Kind::Failure, _) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut failure = Self::new(status, e.code, e.message.clone());
        failure.errors =
            e.details.iter().map(|(pointer, text)| Fault { pointer: pointer.clone(), detail: text.clone() }).collect();
        match e.cause.as_deref().map(|c| c as &(dyn StdError + 'static)) {
            Some(cause) if cause.is::<CatalogError>() => {
                if let Some(c) = cause.downcast_ref::<CatalogError>() {
                    of_catalog(c, &mut failure);
                }
            }
            Some(cause) if cause.is::<ReadError>() => {
                if let Some(r) = cause.downcast_ref::<ReadError>() {
                    failure.errors.push(Fault { pointer: r.pointer.clone(), detail: r.message.clone() });
                }
            }
            _ => {}
        }
        if status.is_server_error() {
            // the cause is for those who run the process; the caller gets the attempt and the remedy
            tracing::error!(code = %failure.code, error = %e, "a request failed");
        }
        failure
    }
}

impl From<CatalogError> for Failure {
    fn from(e: CatalogError) -> Self {
        kairos_app::catalog_error(e).into()
    }
}

impl From<ReadError> for Failure {
    fn from(e: ReadError) -> Self {
        // with a line it is no JSON at all; without one, a field is wrong
        let (status, code) = match e.line {
            Some(_) => (StatusCode::BAD_REQUEST, "malformed_json"),
            None => (StatusCode::UNPROCESSABLE_ENTITY, "body"),
        };
        let detail = if e.pointer.is_empty() {
            format!("the body: {}", e.message)
        } else {
            format!("the body, field {}: {}", e.pointer, e.message)
        };
        let mut failure = Self::new(status, code, detail);
        failure.errors.push(Fault { pointer: e.pointer, detail: e.message });
        failure
    }
}

/// The catalog has more to say than "conflict": each of its refusals has a code of its own.
fn of_catalog(e: &CatalogError, failure: &mut Failure) {
    let code = match e {
        CatalogError::NoCampaign(_) => "campaign_not_found",
        CatalogError::NoVersion { .. } => "version_not_found",
        CatalogError::Exists(_) => "campaign_exists",
        CatalogError::OtherId { .. } => "campaign_id",
        CatalogError::Stale { .. } => "stale",
        CatalogError::Findings { findings, .. } => {
            failure.errors =
                findings.errors().map(|f| Fault { pointer: f.pointer.clone(), detail: f.message.clone() }).collect();
            "definition_findings"
        }
        CatalogError::Illegal(Illegal::State { .. }) => "wrong_state",
        CatalogError::Illegal(Illegal::OwnWork { .. }) => "own_work",
        CatalogError::Illegal(Illegal::Changed { .. }) => "content_changed",
        CatalogError::Illegal(Illegal::PastEnd { .. }) => "past_end",
        CatalogError::Illegal(Illegal::System { .. }) => "not_a_person",
        CatalogError::Illegal(Illegal::Reason { .. }) => {
            failure.errors.push(Fault { pointer: "/reason".to_owned(), detail: failure.detail.clone() });
            "reason"
        }
        CatalogError::Wave { .. } => "second_launch",
        CatalogError::KeyReused => "idempotency_key_reused",
        CatalogError::KeyBusy { .. } => "idempotency_key_busy",
        CatalogError::Cursor(_) => {
            failure.status = StatusCode::BAD_REQUEST;
            "cursor"
        }
        CatalogError::Word { .. } => {
            failure.status = StatusCode::BAD_REQUEST;
            "word"
        }
        CatalogError::Inactive(_) => "user_inactive",
        CatalogError::Locked { .. } => "catalog_busy",
        CatalogError::Damaged { .. } | CatalogError::Broken(_) => "catalog_damaged",
        _ => "catalog",
    };
    failure.code = Cow::Borrowed(code);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        let table = [
            (Kind::Invalid, 422),
            (Kind::NotFound, 404),
            (Kind::Denied, 403),
            (Kind::Conflict, 409),
            (Kind::Unavailable, 503),
            (Kind::Failure, 500),
        ];
        for (kind, status) in table {
            assert_eq!(Failure::from(AppError::new(kind, "code", "text")).status.as_u16(), status, "{kind:?}");
        }
        assert_eq!(Failure::from(AppError::new(Kind::Denied, "token", "none")).status, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_refusal_of_the_catalog_keeps_its_own_code() {
        let f = Failure::from(CatalogError::KeyReused);
        assert_eq!((f.status.as_u16(), f.code.as_ref()), (409, "idempotency_key_reused"));
        let f = Failure::from(CatalogError::Cursor("x".to_owned()));
        assert_eq!((f.status.as_u16(), f.code.as_ref()), (400, "cursor"));
    }
}
