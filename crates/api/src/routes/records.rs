//! Reading what is on record: tags, imports, the audit log.

use super::lists;
use crate::{
    context::Context,
    extract::Query,
    problem::{Failure, Result},
    view::{
        Page,
        records::{AuditEntry, AuditVerification, Import, SnapshotHead, Tag},
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use kairos_app::App;
use kairos_catalog::{CatalogError, Head};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

/// Which page, and which fields.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Comma-separated; `id`, `href` and `@type` always come.
    fields: Option<String>,
}

/// Which tags.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TagQuery {
    /// Only this category.
    category: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Comma-separated; `id`, `href` and `@type` always come.
    fields: Option<String>,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only those about this subject, such as `campaign:1`.
    subject: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Comma-separated; `id` and `@type` always come.
    fields: Option<String>,
}

/// What the log must contain.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VerificationQuery {
    /// A head kept elsewhere, `entries:hash`: the log must end in it or go on from it.
    head: Option<String>,
}

/// The tag catalogue, with coverage in the newest snapshot
#[utoipa::path(get, path = "/v1/tags", tag = "tags", params(TagQuery),
    responses((status = 200, description = "A page of tags", body = Page<Tag>)))]
pub async fn list_tags(State(context): State<Context>, Query(query): Query<TagQuery>) -> Result<Json<Page<Value>>> {
    let app = &context.app;
    let limit = lists::limit(query.limit)?;
    let wanted = |category: &str| query.category.as_deref().is_none_or(|c| c == category);
    let catalogue = app.tags();
    let defs: Vec<_> = catalogue.defs().iter().filter(|d| wanted(&d.category)).collect();
    let (defs, next) = lists::cut(&defs, query.cursor.as_deref(), limit)?;
    let snapshot = newest(app)?;
    let tags: Vec<Tag> = defs.iter().map(|d| tag_of(d, snapshot.as_ref())).collect();
    Ok(Json(lists::page(&tags, next, query.fields.as_deref(), app.now())?))
}

/// One tag: definition, owner, lineage, coverage, freshness
#[utoipa::path(get, path = "/v1/tags/{id}", tag = "tags", params(("id" = String, Path, description = "The tag's id")),
    responses((status = 200, body = Tag)))]
pub async fn read_tag(State(context): State<Context>, Path(id): Path<String>) -> Result<Json<Tag>> {
    let app = &context.app;
    let missing = || Failure::not_found("tag_not_found", "the catalogue has no tag of that id; see /v1/tags");
    let catalogue = app.tags();
    let def = catalogue.def(&id).ok_or_else(missing)?;
    Ok(Json(tag_of(def, newest(app)?.as_ref())))
}

type Newest = (kairos_lake::Snapshot, SnapshotHead);

/// The newest snapshot; none is no error.
fn newest(app: &App) -> Result<Option<Newest>> {
    let Ok((id, as_of)) = app.snapshot() else { return Ok(None) };
    let snapshot = app
        .lake
        .snapshot(id)
        .map_err(|e| kairos_app::AppError::unavailable("snapshot", "cannot read the newest tag snapshot").because(e))?;
    let head = SnapshotHead { id, as_of };
    Ok(Some((snapshot, head)))
}

fn tag_of(def: &kairos_lake::tags::TagDef, newest: Option<&Newest>) -> Tag {
    Tag::of(def, newest.and_then(|(s, head)| Some((s.tag(&def.info.id).ok()?, *head))))
}

/// What was imported, oldest first
#[utoipa::path(get, path = "/v1/imports", tag = "imports", params(ListQuery),
    responses((status = 200, description = "A page of imports", body = Page<Import>)))]
pub async fn list_imports(State(context): State<Context>, Query(query): Query<ListQuery>) -> Result<Json<Page<Value>>> {
    let app = &context.app;
    let records = app.lake.imports();
    let (records, next) = lists::cut(&records, query.cursor.as_deref(), lists::limit(query.limit)?)?;
    let imports: Vec<Import> = records.iter().map(Import::of).collect();
    Ok(Json(lists::page(&imports, next, query.fields.as_deref(), app.now())?))
}

/// The hash-chained audit log, oldest first
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "A page of entries", body = Page<AuditEntry>)))]
pub async fn list_audit(State(context): State<Context>, Query(query): Query<AuditQuery>) -> Result<Json<Page<Value>>> {
    let app = &context.app;
    let limit = lists::limit(query.limit)?;
    let page = app.catalog.audit_entries(query.subject.as_deref(), query.cursor.as_deref(), limit).await?;
    let entries: Vec<AuditEntry> = page.items.iter().map(AuditEntry::of).collect();
    Ok(Json(lists::page(&entries, page.next, query.fields.as_deref(), app.now())?))
}

/// Whether the audit log holds: recomputes the chain and compares every subject
#[utoipa::path(get, path = "/v1/audit/verification", tag = "audit", params(VerificationQuery),
    responses((status = 200, description = "It holds, or where it does not", body = AuditVerification)))]
pub async fn verify_audit(
    State(context): State<Context>,
    Query(query): Query<VerificationQuery>,
) -> Result<Json<AuditVerification>> {
    let app = &context.app;
    let verified = match query.head.as_deref() {
        None => app.catalog.verify_audit().await,
        Some(text) => {
            let head: Head = text
                .parse()
                .map_err(|_| Failure::bad_request("head", "`head` is `entries:hash`, as a verification answers it"))?;
            app.catalog.verify_audit_against(&head).await
        }
    };
    let now = app.now();
    match verified {
        Ok(v) => Ok(Json(AuditVerification::holds(&v, now))),
        Err(CatalogError::Broken(b)) => Ok(Json(AuditVerification::broken(&b, now))),
        Err(e) => Err(e.into()),
    }
}
