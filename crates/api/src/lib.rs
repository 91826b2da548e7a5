//! The HTTP API of Kairos: routes, wire shapes, OpenAPI 3.1.
//!
//! Floor 6: turns requests into use cases of `app` and their answers into JSON. It decides nothing itself.
//!
//! Invariants held here:
//! - every route but `/livez`, `/readyz` and `/openapi.json` needs a bearer token; who acts is its user, never a field;
//! - whatever goes wrong is answered as `application/problem+json` (RFC 9457) with a stable `code`, also for a path, a
//!   method or a body that no route understands;
//! - no number and no name of a subscriber is in a URL, an answer or a log line: ordinals only, and a log line names
//!   the template of a route, not the path that came;
//! - a change that was begun is finished, though its caller goes away or its time runs out;
//! - wire shapes live in [`view`]; a field of an inner type never becomes one of the API by itself.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod auth;
mod context;
mod effect;
mod extract;
mod observe;
mod openapi;
mod problem;
mod routes;
mod serve;
pub mod view;

pub use openapi::{openapi, openapi_json};
pub use problem::{Fault, Problem};
pub use routes::router;
pub use serve::serve;
