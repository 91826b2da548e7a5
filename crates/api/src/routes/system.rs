//! For machines: alive, ready, what there is.

use crate::{context::Context, openapi::openapi_json, problem::Result};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::sync::OnceLock;
use utoipa::ToSchema;

/// It answers.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    pub status: &'static str,
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

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses((status = 200, content_type = "application/json")))]
pub async fn openapi_document() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(openapi_json);
    ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}
