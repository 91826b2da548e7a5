//! One subscriber, by ordinal: why or why not, and opting out.

use super::audiences::{Language, lang};
use crate::{
    context::Context,
    effect::{Answer, Effect, run},
    extract::{Ordinal, Query, instant, ordinal},
    problem::{Failure, Result},
    view::{
        explain::{Explanation, OptOut, OptOutRequest},
        time,
    },
};
use axum::{Json, extract::State, http::StatusCode};
use kairos_app::App;
use kairos_catalog::is_slug;
use kairos_model::{CampaignClass, SubscriberId};
use serde::Deserialize;
use utoipa::IntoParams;

/// What to explain.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplanationQuery {
    /// Only this campaign; all by default.
    campaign: Option<String>,
    /// RFC 3339; now by default.
    #[param(format = DateTime)]
    at: Option<String>,
    /// Language of the sentences; the tenant's by default.
    #[param(inline)]
    lang: Option<Language>,
}

fn known(app: &App, subscriber: SubscriberId) -> Result<SubscriberId> {
    if subscriber.0 < app.vault.stats().subscribers {
        return Ok(subscriber);
    }
    Err(Failure::not_found("subscriber", format!("there is no subscriber {subscriber}")))
}

/// Why was, or was not, a subscriber contacted
#[utoipa::path(get, path = "/v1/subscribers/{ordinal}/explanation", tag = "subscribers",
    params(("ordinal" = String, Path, description = "The ordinal, such as `s42`; never a number"), ExplanationQuery),
    responses((status = 200, body = Explanation)))]
pub async fn explain_subscriber(
    State(context): State<Context>,
    Ordinal(subscriber): Ordinal,
    Query(query): Query<ExplanationQuery>,
) -> Result<Json<Explanation>> {
    let app = &context.app;
    let subscriber = known(app, subscriber)?;
    let at = query.at.as_deref().map(|t| instant(t, "")).transpose()?;
    if query.campaign.as_deref().is_some_and(|c| !is_slug(c)) {
        return Err(Failure::not_found("campaign_not_found", "no campaign has an id of that form"));
    }
    let explained = app.explain(subscriber, query.campaign.as_deref(), at, lang(app, query.lang)).await?;
    Ok(Json(Explanation::of(&explained)))
}

/// Stop contacting a subscriber; durable and in force before the answer
#[utoipa::path(post, path = "/v1/opt-outs", tag = "subscribers", request_body = OptOutRequest,
    responses((status = 200, body = OptOut)))]
pub async fn opt_out(State(context): State<Context>, effect: Effect<OptOutRequest>) -> Result<Answer> {
    run(&context, effect, |app, _, request| async move {
        let wrong =
            |pointer: &str, detail: &str| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "body", detail).at(pointer);
        let subscriber = ordinal(&request.subscriber)
            .ok_or_else(|| wrong("/subscriber", "a subscriber is named by its ordinal, such as `s42`"))?;
        let subscriber = known(&app, subscriber)?;
        let class = match request.class.as_deref().map(str::parse::<CampaignClass>) {
            None => None,
            Some(Ok(class)) => Some(class),
            Some(Err(_)) => return Err(wrong("/class", "a class is marketing, care or public_interest")),
        };
        let number_suppressed = app.opt_out(subscriber, class).await?;
        Answer::ok(&OptOut {
            kind: "OptOut",
            subscriber: subscriber.to_string(),
            class: class.map(CampaignClass::name),
            number_suppressed,
            at: time(app.now()),
        })
    })
    .await
}
