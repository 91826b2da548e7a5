//! Who calls: the user of the bearer token.

use crate::{
    context::Context,
    problem::{Failure, Result},
};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use kairos_catalog::Actor;

/// The user of the token that came with the request.
#[derive(Clone, Debug)]
pub struct Caller(pub Actor);

/// Lets a request with a known token through; anything else ends here, before a handler sees it.
pub async fn authenticate(State(context): State<Context>, mut request: Request, next: Next) -> Result<Response> {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned());
    let Some(token) = token else {
        let detail = "this needs a token: send `Authorization: Bearer …` with an operator's token";
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "token", detail));
    };
    let actor = context.app.actor(Some(&token)).await?;
    request.extensions_mut().insert(Caller(actor));
    Ok(next.run(request).await)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        // a route outside the guard has no caller
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Failure::new(StatusCode::UNAUTHORIZED, "token", "this needs a token"))
    }
}
