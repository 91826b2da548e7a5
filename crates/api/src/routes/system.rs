//! For machines: alive, ready, what there is.

use super::blocking;
use crate::{
    context::Context,
    effect::{Answer, Effect, run},
    openapi::openapi_json,
    problem::Result,
    view::time,
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use utoipa::ToSchema;

/// It answers.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// Contacts named one by one in an answer.
const IN_FLIGHT_MAX: usize = 1_000;

/// The switch, and what it may not be able to call back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KillSwitch {
    #[serde(rename = "@type")]
    #[schema(example = "KillSwitch")]
    pub kind: &'static str,
    pub on: bool,
    /// Contacts handed to a channel and not answered, the oldest 1,000: those written to a centre may still arrive.
    pub in_flight: Vec<InFlight>,
    /// How many of them there are.
    pub in_flight_count: u64,
    /// Lists handed out to people and not called back; null: they cannot be read.
    pub lists_out: Option<u64>,
    /// Whether the audit log says who threw the switch, and why.
    pub audited: bool,
}

/// A contact on its way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InFlight {
    pub contact: String,
    pub subscriber: String,
    pub campaign: u32,
    #[schema(format = DateTime)]
    pub offered: Option<String>,
}

impl KillSwitch {
    fn of(s: &kairos_app::KillSwitch) -> Self {
        let one = |c: &kairos_engine::ContactView| InFlight {
            contact: c.contact.to_string(),
            subscriber: c.subscriber.to_string(),
            campaign: c.campaign.0,
            offered: c.offered.map(time),
        };
        Self {
            kind: "KillSwitch",
            on: s.on,
            in_flight: s.in_flight.iter().take(IN_FLIGHT_MAX).map(one).collect(),
            in_flight_count: s.in_flight.len() as u64,
            lists_out: s.lists_out,
            audited: s.audited,
        }
    }
}

/// What to do, and why.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillSwitchRequest {
    pub on: bool,
    /// It stands in the audit log.
    pub reason: String,
}

/// Whether the process answers at all
#[utoipa::path(get, path = "/livez", tag = "system", responses((status = 200, body = Health)))]
pub async fn livez() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether requests can be served: the catalog reads
#[utoipa::path(get, path = "/readyz", tag = "system", responses((status = 200, body = Health)))]
pub async fn readyz(State(context): State<Context>) -> Result<Json<Health>> {
    context.app.catalog.audit_head().await?;
    Ok(Json(Health { status: "ok" }))
}

/// Whether everything is stopped, and what could not be called back
#[utoipa::path(get, path = "/v1/kill-switch", tag = "system", responses((status = 200, body = KillSwitch)))]
pub async fn read_kill_switch(State(context): State<Context>) -> Result<Json<KillSwitch>> {
    let app = context.app.clone();
    let switch = blocking(move || app.kill_switch()).await?;
    Ok(Json(KillSwitch::of(&switch)))
}

/// Stop everything at once, or go on: in force before the answer, audited with its reason
#[utoipa::path(post, path = "/v1/kill-switch", tag = "system", request_body = KillSwitchRequest,
    responses((status = 200, body = KillSwitch)))]
pub async fn set_kill_switch(State(context): State<Context>, effect: Effect<KillSwitchRequest>) -> Result<Answer> {
    run(&context, effect, |app, actor, request| async move {
        let switch = app.set_kill_switch(&actor, request.on, &request.reason).await?;
        Answer::ok(&KillSwitch::of(&switch))
    })
    .await
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses((status = 200, content_type = "application/json")))]
pub async fn openapi_document() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(openapi_json);
    ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}
