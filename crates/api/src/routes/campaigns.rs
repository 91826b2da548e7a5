//! The life of a campaign over HTTP.

use super::lists;
use crate::{
    context::Context,
    effect::{Answer, Effect, run},
    extract::{Json as Body, Query, Slug, instant},
    problem::{Failure, Result},
    view::{
        Page,
        campaign::{ApprovalRequest, Campaign, CampaignSummary, Empty, Launched, ReasonRequest, etag, href},
        definition::CampaignDefinition,
        judged::{CampaignCheck, Simulation, SimulationRequest},
        report::Report,
        state::People,
    },
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use kairos_app::App;
use kairos_catalog::{self as catalog, CampaignDef, CampaignFilter, CampaignState, ContentHash};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

/// Which campaigns, which page, which fields.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CampaignQuery {
    /// `draft`, `submitted`, `approved`, `running`, `paused`, `ended`, `evaluated`.
    state: Option<String>,
    /// `marketing`, `care`, `public_interest`.
    class: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Comma-separated; `id`, `href` and `@type` always come.
    fields: Option<String>,
}

/// Which fields.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FieldsQuery {
    /// Comma-separated; `id`, `href` and `@type` always come.
    fields: Option<String>,
}

async fn people(app: &App) -> Result<People> {
    let users = app.catalog.users().await?;
    Ok(People(users.into_iter().map(|u| (u.id, u.name)).collect()))
}

async fn view(app: &App, c: &catalog::Campaign) -> Result<Campaign> {
    let waves = app.catalog.waves(&c.slug).await?;
    Ok(Campaign::of(c, &waves, &people(app).await?))
}

async fn changed(app: &App, c: &catalog::Campaign) -> Result<Answer> {
    Ok(Answer::ok(&view(app, c).await?)?.tagged(etag(c.revision)))
}

/// Campaigns by number
#[utoipa::path(get, path = "/v1/campaigns", tag = "campaigns", params(CampaignQuery),
    responses((status = 200, description = "A page of campaigns", body = Page<CampaignSummary>)))]
pub async fn list_campaigns(
    State(context): State<Context>,
    Query(query): Query<CampaignQuery>,
) -> Result<Json<Page<Value>>> {
    let app = &context.app;
    if query.state.as_deref().is_some_and(|s| !CampaignState::NAMES.contains(&s)) {
        let detail = format!("`state` is one of {}", CampaignState::NAMES.join(", "));
        return Err(Failure::bad_request("query", detail));
    }
    let class = match query.class.as_deref().map(str::parse) {
        None => None,
        Some(Ok(class)) => Some(class),
        Some(Err(_)) => return Err(Failure::bad_request("query", "`class` is marketing, care or public_interest")),
    };
    let filter = CampaignFilter { state: query.state, class };
    let page = app.catalog.campaigns(&filter, query.cursor.as_deref(), lists::limit(query.limit)?).await?;
    let people = people(app).await?;
    let items: Vec<CampaignSummary> = page.items.iter().map(|c| CampaignSummary::of(c, &people)).collect();
    Ok(Json(lists::page(&items, page.next, query.fields.as_deref(), app.now())?))
}

/// Submit a new campaign for approval
///
/// Refused as a whole if any finding is an error, or if the id was ever used.
#[utoipa::path(post, path = "/v1/campaigns", tag = "campaigns", request_body = CampaignDefinition,
    responses((status = 201, description = "Submitted", body = Campaign,
        headers(("ETag" = String, description = "The revision"), ("Location" = String, description = "The campaign")))))]
pub async fn submit_campaign(State(context): State<Context>, effect: Effect<CampaignDef>) -> Result<Answer> {
    run(&context, effect, |app, actor, def| async move {
        let (campaign, _) = app.create(&actor, def).await?;
        let answer = Answer::new(StatusCode::CREATED, &view(&app, &campaign).await?)?;
        Ok(answer.tagged(etag(campaign.revision)).located(href(&campaign.slug)))
    })
    .await
}

/// One campaign: definition, state, approvals, waves
#[utoipa::path(get, path = "/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = String, Path, description = "The campaign's id"), FieldsQuery),
    responses((status = 200, body = Campaign, headers(("ETag" = String, description = "The revision")))))]
pub async fn read_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    Query(query): Query<FieldsQuery>,
) -> Result<Answer> {
    let app = &context.app;
    let campaign = app.catalog.campaign(&slug).await?;
    let body = lists::chosen(&view(app, &campaign).await?, query.fields.as_deref())?;
    Ok(Answer::ok(&body)?.tagged(etag(campaign.revision)))
}

/// Write a new version and submit it; an approval that it had is void
///
/// `If-Match` must have the entity tag of the campaign that was edited.
#[utoipa::path(put, path = "/v1/campaigns/{id}", tag = "campaigns", request_body = CampaignDefinition,
    params(("id" = String, Path, description = "The campaign's id"),
        ("If-Match" = String, Header, description = "`ETag` of the campaign as it was read")),
    responses((status = 200, body = Campaign, headers(("ETag" = String, description = "The revision")))))]
pub async fn revise_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    effect: Effect<CampaignDef>,
) -> Result<Answer> {
    let revision = if_match(&effect.headers)?;
    run(&context, effect, move |app, actor, def| async move {
        match app.revise(&actor, &slug, def, revision).await? {
            Some((campaign, _)) => changed(&app, &campaign).await,
            None => {
                let detail = "the campaign has changed since it was read; read it again and repeat the edit";
                Err(Failure::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail))
            }
        }
    })
    .await
}

/// The revision that the caller edited.
fn if_match(headers: &HeaderMap) -> Result<u64> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        let detail = "an edit names the version that it edits: send `If-Match` with the campaign's `ETag`";
        return Err(Failure::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail));
    };
    let tag = value.to_str().ok().map(str::trim).and_then(|t| t.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    tag.ok_or_else(|| {
        let detail = "`If-Match` is no entity tag of this campaign; send its `ETag` as it came";
        Failure::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    })
}

/// Approve the content that was read; its author and its submitter cannot
#[utoipa::path(post, path = "/v1/campaigns/{id}/approve", tag = "campaigns", request_body = ApprovalRequest,
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, body = Campaign)))]
pub async fn approve_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    effect: Effect<ApprovalRequest>,
) -> Result<Answer> {
    run(&context, effect, move |app, actor, request| async move {
        let seen: ContentHash = request.content_hash.parse().map_err(|_| {
            let detail = "give the campaign's `content_hash` as it was read: 64 hexadecimal digits";
            Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "body", detail).at("/content_hash")
        })?;
        let campaign = app.approve(&actor, &slug, Some(seen)).await?;
        changed(&app, &campaign).await
    })
    .await
}

/// Send a submission back to its author
#[utoipa::path(post, path = "/v1/campaigns/{id}/reject", tag = "campaigns", request_body = ReasonRequest,
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, body = Campaign)))]
pub async fn reject_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    effect: Effect<ReasonRequest>,
) -> Result<Answer> {
    run(&context, effect, move |app, actor, request| async move {
        let campaign = app.reject(&actor, &slug, &request.reason).await?;
        changed(&app, &campaign).await
    })
    .await
}

/// Take a submission or an approval back
#[utoipa::path(post, path = "/v1/campaigns/{id}/withdraw", tag = "campaigns", request_body = ReasonRequest,
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, body = Campaign)))]
pub async fn withdraw_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    effect: Effect<ReasonRequest>,
) -> Result<Answer> {
    run(&context, effect, move |app, actor, request| async move {
        let campaign = app.withdraw(&actor, &slug, &request.reason).await?;
        changed(&app, &campaign).await
    })
    .await
}

/// Launch the next wave: its audience is frozen and handed to the engine. Of a campaign with a trigger: its events count
#[utoipa::path(post, path = "/v1/campaigns/{id}/start", tag = "campaigns", request_body = Option<Empty>,
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, body = Launched)))]
pub async fn start_campaign(State(context): State<Context>, Slug(slug): Slug, effect: Effect<Empty>) -> Result<Answer> {
    run(&context, effect, move |app, actor, _| async move {
        let (_, start) = app.start(&actor, &slug).await?;
        let campaign = app.catalog.campaign(&slug).await?;
        let launched = Launched { campaign: view(&app, &campaign).await?, wave: start.map(|s| s.wave.0) };
        Ok(Answer::ok(&launched)?.tagged(etag(campaign.revision)))
    })
    .await
}

/// Decide and offer nothing more until it is resumed
#[utoipa::path(post, path = "/v1/campaigns/{id}/pause", tag = "campaigns", request_body = ReasonRequest,
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, body = Campaign)))]
pub async fn pause_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    effect: Effect<ReasonRequest>,
) -> Result<Answer> {
    run(&context, effect, move |app, actor, request| async move {
        let campaign = app.pause(&actor, &slug, &request.reason).await?;
        changed(&app, &campaign).await
    })
    .await
}

/// Go on with a paused campaign
#[utoipa::path(post, path = "/v1/campaigns/{id}/resume", tag = "campaigns", request_body = Option<Empty>,
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, body = Campaign)))]
pub async fn resume_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    effect: Effect<Empty>,
) -> Result<Answer> {
    run(&context, effect, move |app, actor, _| async move {
        let campaign = app.resume(&actor, &slug).await?;
        changed(&app, &campaign).await
    })
    .await
}

/// End a campaign for good: whoever is not yet offered is cancelled
#[utoipa::path(post, path = "/v1/campaigns/{id}/stop", tag = "campaigns", request_body = ReasonRequest,
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, body = Campaign)))]
pub async fn stop_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    effect: Effect<ReasonRequest>,
) -> Result<Answer> {
    run(&context, effect, move |app, actor, request| async move {
        let campaign = app.stop(&actor, &slug, &request.reason).await?;
        changed(&app, &campaign).await
    })
    .await
}

/// What would happen now, or at another time; contacts nobody
#[utoipa::path(post, path = "/v1/campaigns/{id}/simulate", tag = "campaigns", request_body = Option<SimulationRequest>,
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, body = Simulation)))]
pub async fn simulate_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    Body { value, .. }: Body<SimulationRequest>,
) -> Result<Json<Simulation>> {
    let app = &context.app;
    let at = value.at.as_deref().map(|t| instant(t, "/at")).transpose()?;
    let campaign = app.catalog.campaign(&slug).await?;
    let simulated = app.simulate(campaign.def, at).await?;
    Ok(Json(Simulation::of(&simulated)))
}

/// Ledger, rates and uplift, as far as the campaign has come
#[utoipa::path(get, path = "/v1/campaigns/{id}/report", tag = "campaigns",
    params(("id" = String, Path, description = "The campaign's id"), ReportQuery),
    responses((status = 200, body = Report)))]
pub async fn report_campaign(
    State(context): State<Context>,
    Slug(slug): Slug,
    Query(query): Query<ReportQuery>,
) -> Result<Json<Report>> {
    Ok(Json(Report::of(&context.app.report(&slug, query.by.as_deref()).await?)))
}

/// How a report is divided.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// A part for each value of this tag; `brand` by default.
    by: Option<String>,
}

/// Judge a definition without keeping it
#[utoipa::path(post, path = "/v1/campaign-checks", tag = "campaigns", request_body = CampaignDefinition,
    responses((status = 200, description = "Judged; `sound` says whether it could be submitted", body = CampaignCheck)))]
pub async fn check_campaign(
    State(context): State<Context>,
    Body { value, .. }: Body<CampaignDef>,
) -> Result<Json<CampaignCheck>> {
    let app = &context.app;
    let checked = app.check(value).await?;
    let as_of = app.snapshot().ok().map(|(_, at)| at);
    Ok(Json(CampaignCheck::of(&checked, as_of)))
}
