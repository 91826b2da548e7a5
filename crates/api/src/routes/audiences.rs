//! Who? Counting and freezing.

use crate::{
    context::Context,
    effect::{Answer, Effect, run},
    extract::{Json as Body, Query, instant},
    problem::{Failure, Result},
    routes::blocking,
    view::audience::{AudienceCount, AudienceRequest, FrozenAudience},
};
use axum::{Json, extract::State, http::StatusCode};
use kairos_app::App;
use kairos_model::Timestamp;
use kairos_rules::Lang;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// A language.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    Zh,
    En,
}

/// How to say it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LanguageQuery {
    /// Language of the sentences; the tenant's by default.
    #[param(inline)]
    lang: Option<Language>,
}

/// The language asked for, or the tenant's.
pub fn lang(app: &App, asked: Option<Language>) -> Lang {
    match asked {
        Some(Language::Zh) => Lang::Zh,
        Some(Language::En) => Lang::En,
        None => match app.tenant.language {
            kairos_catalog::Lang::Zh => Lang::Zh,
            kairos_catalog::Lang::En => Lang::En,
        },
    }
}

fn condition(request: &AudienceRequest) -> Result<String> {
    let detail = "a condition is a text such as \"arpu_3m >= 80 yuan\", or a JSON tree";
    let wrong = || Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "condition", detail).at("/condition");
    request.text().ok_or_else(wrong)
}

fn as_of(app: &App, request: &AudienceRequest) -> Result<Timestamp> {
    Ok(request.as_of.as_deref().map(|t| instant(t, "/as_of")).transpose()?.unwrap_or_else(|| app.now()))
}

/// A fault of the condition, at its place in the body.
fn placed(e: kairos_app::AppError) -> Failure {
    let failure = Failure::from(e);
    if failure.errors.is_empty() && failure.code.starts_with("condition") { failure.at("/condition") } else { failure }
}

/// Count a condition over the newest snapshot, clause by clause
#[utoipa::path(post, path = "/v1/audiences/count", tag = "audiences", params(LanguageQuery),
    request_body = AudienceRequest, responses((status = 200, body = AudienceCount)))]
pub async fn count_audience(
    State(context): State<Context>,
    Query(query): Query<LanguageQuery>,
    Body { value, .. }: Body<AudienceRequest>,
) -> Result<Json<AudienceCount>> {
    let app = &context.app;
    let (text, lang, at) = (condition(&value)?, lang(app, query.lang), as_of(app, &value)?);
    let app = app.clone();
    let counted = blocking(move || app.count(&text, at, lang)).await?.map_err(placed)?;
    Ok(Json(AudienceCount::of(&counted)))
}

/// Freeze an audience: it never changes, and the same members, condition and snapshot give the same one
#[utoipa::path(post, path = "/v1/audiences", tag = "audiences", request_body = AudienceRequest,
    responses((status = 201, body = FrozenAudience)))]
pub async fn freeze_audience(State(context): State<Context>, effect: Effect<AudienceRequest>) -> Result<Answer> {
    run(&context, effect, |app, _, request| async move {
        let at = as_of(&app, &request)?;
        let condition = app.condition(&condition(&request)?).map_err(placed)?;
        let audience = blocking(move || app.freeze(&condition, at)).await??;
        Answer::new(StatusCode::CREATED, &FrozenAudience::of(&audience.head))
    })
    .await
}
