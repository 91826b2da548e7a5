//! Campaigns: numbering, versions, the life cycle, lists.

use super::{Catalog, CatalogError, Change, PAGE_MAX, Tx, audit::Subject, cursor_in, cursor_out};
use crate::{
    canonical::ContentHash,
    check::{check_def, is_slug},
    def::CampaignDef,
    state::{CampaignState, Case, Step},
    tenant::TenantConfig,
    users::{Actor, Random},
};
use kairos_model::{CampaignClass, CampaignId, CampaignVersion, OfferId, Timestamp, UserId};
use serde_json::{Value, json};

/// A campaign with its current definition.
#[derive(Clone, PartialEq, Debug)]
pub struct Campaign {
    pub id: CampaignId,
    pub slug: String,
    pub version: CampaignVersion,
    pub def: CampaignDef,
    pub content: ContentHash,
    pub state: CampaignState,
    /// Salt of control group and service order: made once, never changed.
    pub salt: u64,
    pub created_by: UserId,
    pub created_at: Timestamp,
    /// Who made the current version.
    pub edited_by: UserId,
    pub edited_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts every change, for `ETag`.
    pub revision: u64,
}

/// One version in a campaign's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionInfo {
    pub version: CampaignVersion,
    pub content: ContentHash,
    pub edited_by: UserId,
    pub edited_at: Timestamp,
}

/// Which campaigns a list shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CampaignFilter {
    /// One of [`CampaignState::NAMES`].
    pub state: Option<String>,
    pub class: Option<CampaignClass>,
}

/// A page of campaigns in the order of their numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct CampaignPage {
    pub items: Vec<Campaign>,
    pub next: Option<String>,
}

type Row = (i64, String, i64, String, String, i64, i64, i64, i64, String, String, i64, i64);

const ONE: &str = "SELECT c.id, c.slug, c.version, c.state, c.salt, c.created_by, c.created_at, c.updated_at, c.revision, \
    v.definition, v.content_hash, v.edited_by, v.edited_at \
    FROM campaigns c JOIN campaign_versions v ON v.campaign_id = c.id AND v.version = c.version WHERE c.slug = $1";

impl Catalog {
    /// Numbers a new campaign, draws its salt and keeps version 1 as a draft. The definition need not pass
    /// [`check_def`] yet, but its id must be one, and must never have been used.
    pub async fn create(
        &self,
        actor: &Actor,
        def: &CampaignDef,
        random: Random<'_>,
        now: Timestamp,
    ) -> Result<Campaign, CatalogError> {
        let salt = draw_salt(random);
        let mut change = self.change("create a campaign", actor).await?;
        if load(&mut change.tx, &def.id).await?.is_some() {
            return Err(CatalogError::Exists(def.id.clone()));
        }
        self.insert(change, actor, def, salt, now).await
    }

    /// A new version of the definition; voids an approval. The same content again changes nothing.
    /// `expected`: the version that the author edited, so that two authors do not undo each other.
    pub async fn edit(
        &self,
        actor: &Actor,
        slug: &str,
        def: &CampaignDef,
        expected: Option<CampaignVersion>,
        now: Timestamp,
    ) -> Result<Campaign, CatalogError> {
        let mut change = self.change("edit a campaign", actor).await?;
        let current = loaded(&mut change.tx, slug).await?;
        self.replace(change, actor, current, def, expected, now).await
    }

    /// Creates the campaign, or edits the one with this id.
    pub async fn put(
        &self,
        actor: &Actor,
        def: &CampaignDef,
        random: Random<'_>,
        now: Timestamp,
    ) -> Result<Campaign, CatalogError> {
        let salt = draw_salt(random);
        let mut change = self.change("write a campaign", actor).await?;
        match load(&mut change.tx, &def.id).await? {
            None => self.insert(change, actor, def, salt, now).await,
            Some(current) => self.replace(change, actor, current, def, None, now).await,
        }
    }

    async fn insert(
        &self,
        mut change: Change,
        actor: &Actor,
        def: &CampaignDef,
        salt: u64,
        now: Timestamp,
    ) -> Result<Campaign, CatalogError> {
        let failed = change.failed();
        if !is_slug(&def.id) {
            let given = def.id.chars().take(80).collect();
            return Err(CatalogError::Word { what: "campaign id", given, rule: "use 1–64 of a–z, 0–9, - and _" });
        }
        let (last,): (i64,) = sqlx::query_as("SELECT COALESCE(MAX(id), 0) FROM campaigns")
            .fetch_one(&mut *change.tx)
            .await
            .map_err(&failed)?;
        let id = last + 1;
        let state = CampaignState::draft();
        sqlx::query(
            "INSERT INTO campaigns (id, slug, version, state_name, state, salt, created_by, created_at, updated_at, revision) \
             VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $7, 1)",
        )
        .bind(id)
        .bind(&def.id)
        .bind(state.name())
        .bind(state_text(&state))
        .bind(format!("{salt:016x}"))
        .bind(i64::from(actor.id().0))
        .bind(now.0)
        .execute(&mut *change.tx)
        .await
        .map_err(&failed)?;
        keep_version(&mut change, id, 1, def, actor, now).await?;
        let campaign = loaded(&mut change.tx, &def.id).await?;
        let detail = json!({ "slug": def.id, "version": 1, "content": campaign.content });
        change.commit(Subject::Campaign(id), None, "campaign.create", detail, now).await?;
        Ok(campaign)
    }

    async fn replace(
        &self,
        mut change: Change,
        actor: &Actor,
        current: Campaign,
        def: &CampaignDef,
        expected: Option<CampaignVersion>,
        now: Timestamp,
    ) -> Result<Campaign, CatalogError> {
        if def.id != current.slug {
            return Err(CatalogError::OtherId { slug: current.slug, given: def.id.clone() });
        }
        if let Some(expected) = expected.filter(|v| *v != current.version) {
            return Err(CatalogError::Stale { slug: current.slug, found: current.version, expected });
        }
        if def.content_hash() == current.content {
            return Ok(current);
        }
        let subject = Subject::Campaign(i64::from(current.id.0));
        let before = change.before(&subject).await?;
        let voided = current.state.approval().map(|a| a.content);
        let next = advance(&current, &Step::Edit, None, actor, now)?;
        let version = current.version.0 + 1;
        keep_version(&mut change, i64::from(current.id.0), version, def, actor, now).await?;
        write_state(&mut change, &current, version, &next, now).await?;
        let campaign = loaded(&mut change.tx, &current.slug).await?;
        let mut detail = json!({ "slug": current.slug, "version": version, "content": campaign.content });
        if let Some(voided) = voided {
            detail["voided_approval_of"] = json!(voided);
        }
        change.commit(subject, before, "campaign.edit", detail, now).await?;
        Ok(campaign)
    }

    /// One step of the life cycle, in one transaction with its audit entry. [`Step::Submit`] checks the definition for
    /// `tenant` first and refuses with all its errors. Edits go through [`Self::edit`], evaluations through
    /// [`Self::evaluate`].
    pub async fn step(
        &self,
        actor: &Actor,
        slug: &str,
        step: &Step,
        tenant: &TenantConfig,
        now: Timestamp,
    ) -> Result<Campaign, CatalogError> {
        let mut change = self.change("move a campaign on", actor).await?;
        let current = loaded(&mut change.tx, slug).await?;
        let campaign = move_on(&mut change, &current, step, tenant, now).await?;
        change.done().await?;
        Ok(campaign)
    }

    pub async fn campaign(&self, slug: &str) -> Result<Campaign, CatalogError> {
        let mut tx = self.view("read a campaign").await?;
        loaded(&mut tx, slug).await
    }
    pub async fn campaign_by_id(&self, id: CampaignId) -> Result<Campaign, CatalogError> {
        let slug: Option<(String,)> = sqlx::query_as("SELECT slug FROM campaigns WHERE id = $1")
            .bind(i64::from(id.0))
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| CatalogError::store("read a campaign", e))?;
        let (slug,) = slug.ok_or_else(|| CatalogError::NoCampaign(id.to_string()))?;
        self.campaign(&slug).await
    }

    /// Campaigns by number, `limit` (at most 200) at a time.
    pub async fn campaigns(
        &self,
        filter: &CampaignFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<CampaignPage, CatalogError> {
        let after = cursor_in(cursor)?;
        let limit = limit.clamp(1, PAGE_MAX) as usize;
        let class = filter.class.map(CampaignClass::name);
        if let Some(given) = filter.state.as_ref().filter(|s| !CampaignState::NAMES.contains(&s.as_str())) {
            let rule = "use draft, submitted, approved, running, paused, ended or evaluated";
            return Err(CatalogError::Word { what: "state", given: given.chars().take(40).collect(), rule });
        }
        let mut items = Vec::new();
        let mut last = after;
        // the class stands in the definition: filter after reading, a page at a time
        while items.len() <= limit {
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT c.id, c.slug, c.version, c.state, c.salt, c.created_by, c.created_at, c.updated_at, c.revision, \
                 v.definition, v.content_hash, v.edited_by, v.edited_at \
                 FROM campaigns c JOIN campaign_versions v ON v.campaign_id = c.id AND v.version = c.version \
                 WHERE c.id > $1 AND ($2 = '' OR c.state_name = $2) ORDER BY c.id LIMIT $3",
            )
            .bind(last)
            .bind(filter.state.as_deref().unwrap_or_default())
            .bind(limit as i64 + 1)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| CatalogError::store("list campaigns", e))?;
            let Some(row) = rows.last() else { break };
            last = row.0;
            for row in rows {
                let campaign = from_row(row)?;
                if class.is_none_or(|c| c == campaign.def.class.name()) {
                    items.push(campaign);
                }
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|c| cursor_out(i64::from(c.id.0)));
        Ok(CampaignPage { items, next })
    }

    /// The history of a campaign's definition, oldest first.
    pub async fn versions(&self, slug: &str) -> Result<Vec<VersionInfo>, CatalogError> {
        let id = self.campaign(slug).await?.id;
        let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(
            "SELECT version, content_hash, edited_by, edited_at FROM campaign_versions WHERE campaign_id = $1 ORDER BY version",
        )
        .bind(i64::from(id.0))
        .fetch_all(&self.pool)
        .await
        .map_err(|e| CatalogError::store("read a campaign's versions", e))?;
        rows.into_iter()
            .map(|(version, content, by, at)| {
                Ok(VersionInfo {
                    version: CampaignVersion(small(version, slug)?),
                    content: content.parse().map_err(|e| CatalogError::damaged(slug, e))?,
                    edited_by: UserId(small(by, slug)?),
                    edited_at: Timestamp(at),
                })
            })
            .collect()
    }

    /// The definition as it was at `version`.
    pub async fn definition(&self, slug: &str, version: CampaignVersion) -> Result<CampaignDef, CatalogError> {
        let id = self.campaign(slug).await?.id;
        let row: Option<(String,)> =
            sqlx::query_as("SELECT definition FROM campaign_versions WHERE campaign_id = $1 AND version = $2")
                .bind(i64::from(id.0))
                .bind(i64::from(version.0))
                .fetch_optional(&self.pool)
                .await
                .map_err(|e| CatalogError::store("read a campaign's version", e))?;
        let (text,) = row.ok_or_else(|| CatalogError::NoVersion { slug: slug.to_owned(), version })?;
        CampaignDef::from_json(slug, &text).map_err(|e| CatalogError::damaged(format!("definition of `{slug}`"), e))
    }

    /// The number of an offer that some campaign has named.
    pub async fn offer_id(&self, code: &str) -> Result<Option<OfferId>, CatalogError> {
        Ok(self.number_of("offer", code).await?.map(OfferId))
    }
    /// The number of a creative family that some campaign has named.
    pub async fn family_id(&self, family: &str) -> Result<Option<u32>, CatalogError> {
        self.number_of("family", family).await
    }
    async fn number_of(&self, kind: &str, name: &str) -> Result<Option<u32>, CatalogError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT id FROM numbering WHERE kind = $1 AND name = $2")
            .bind(kind)
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| CatalogError::store("read a number", e))?;
        row.map(|(id,)| small(id, name)).transpose()
    }
}

/// Does a step inside a change, with its audit entry; the campaign as it is then.
pub(super) async fn move_on(
    change: &mut Change,
    current: &Campaign,
    step: &Step,
    tenant: &TenantConfig,
    now: Timestamp,
) -> Result<Campaign, CatalogError> {
    let slug = &current.slug;
    let next = advance(current, step, Some(tenant), &change.actor, now)?;
    if *step == Step::Submit {
        let findings = check_def(&current.def, tenant);
        if findings.has_errors() {
            return Err(CatalogError::Findings { slug: slug.clone(), findings });
        }
    }
    let subject = Subject::Campaign(i64::from(current.id.0));
    let before = change.before(&subject).await?;
    write_state(change, current, current.version.0, &next, now).await?;
    let campaign = loaded(&mut change.tx, slug).await?;
    let mut detail = json!({ "slug": slug, "version": current.version.0, "content": current.content,
        "from": current.state.name(), "to": next.name() });
    if let Some(reason) = step.reason() {
        detail["reason"] = json!(reason.trim());
    }
    change.record(subject, before, &format!("campaign.{}", step.name()), detail, now).await?;
    Ok(campaign)
}

/// Checks a step against a campaign. Without a tenant (an edit) the end is not looked at.
pub(super) fn advance(
    current: &Campaign,
    step: &Step,
    tenant: Option<&TenantConfig>,
    actor: &Actor,
    now: Timestamp,
) -> Result<CampaignState, CatalogError> {
    let end = tenant.and_then(|t| current.def.end.instant(&t.tz())).unwrap_or(Timestamp::MAX);
    let case = Case {
        slug: &current.slug,
        version: current.version,
        content: current.content,
        edited_by: current.edited_by,
        end: (current.def.end, end),
    };
    Ok(current.state.after(step, &case, actor, now)?)
}

pub(super) async fn loaded(tx: &mut Tx, slug: &str) -> Result<Campaign, CatalogError> {
    load(tx, slug).await?.ok_or_else(|| CatalogError::NoCampaign(slug.chars().take(80).collect()))
}

async fn load(tx: &mut Tx, slug: &str) -> Result<Option<Campaign>, CatalogError> {
    let row: Option<Row> = sqlx::query_as(ONE)
        .bind(slug)
        .fetch_optional(&mut **tx)
        .await
        .map_err(|e| CatalogError::store("read a campaign", e))?;
    row.map(from_row).transpose()
}

/// A stored row as a campaign. The content hash is computed anew: what is stored is only compared with it.
fn from_row(row: Row) -> Result<Campaign, CatalogError> {
    let (id, slug, version, state, salt, by, at, updated, revision, definition, content, edited_by, edited_at) = row;
    let what = format!("campaign `{slug}`");
    let def = CampaignDef::from_json(&slug, &definition).map_err(|e| CatalogError::damaged(&what, e))?;
    let hash = def.content_hash();
    if hash.to_string() != content {
        return Err(CatalogError::damaged(&what, "its definition does not have its content hash"));
    }
    Ok(Campaign {
        id: CampaignId(small(id, &what)?),
        version: CampaignVersion(small(version, &what)?),
        def,
        content: hash,
        state: serde_json::from_str(&state).map_err(|e| CatalogError::damaged(&what, e))?,
        salt: u64::from_str_radix(&salt, 16).map_err(|e| CatalogError::damaged(&what, e))?,
        created_by: UserId(small(by, &what)?),
        created_at: Timestamp(at),
        edited_by: UserId(small(edited_by, &what)?),
        edited_at: Timestamp(edited_at),
        updated_at: Timestamp(updated),
        revision: u64::try_from(revision).map_err(|e| CatalogError::damaged(&what, e))?,
        slug,
    })
}

pub(super) fn small(x: i64, what: &str) -> Result<u32, CatalogError> {
    u32::try_from(x).map_err(|e| CatalogError::damaged(what, e))
}

fn state_text(state: &CampaignState) -> String {
    // plain strings and integers: this cannot fail
    serde_json::to_string(state).unwrap_or_else(|e| unreachable!("a state is plain JSON: {e}"))
}

pub(super) fn draw_salt(random: Random<'_>) -> u64 {
    let mut bytes = [0u8; 8];
    random(&mut bytes);
    u64::from_le_bytes(bytes)
}

pub(super) async fn write_state(
    change: &mut Change,
    current: &Campaign,
    version: u32,
    next: &CampaignState,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let failed = change.failed();
    sqlx::query(
        "UPDATE campaigns SET version = $1, state_name = $2, state = $3, updated_at = $4, revision = revision + 1 WHERE id = $5",
    )
    .bind(i64::from(version))
    .bind(next.name())
    .bind(state_text(next))
    .bind(now.0)
    .bind(i64::from(current.id.0))
    .execute(&mut *change.tx)
    .await
    .map(drop)
    .map_err(failed)
}

async fn keep_version(
    change: &mut Change,
    id: i64,
    version: u32,
    def: &CampaignDef,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let failed = change.failed();
    let value: Value = def.to_json();
    sqlx::query(
        "INSERT INTO campaign_versions (campaign_id, version, definition, content_hash, edited_by, edited_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(i64::from(version))
    .bind(crate::canonical::canonical(&value))
    .bind(def.content_hash().to_string())
    .bind(i64::from(actor.id().0))
    .bind(now.0)
    .execute(&mut *change.tx)
    .await
    .map_err(failed)?;
    give_number(change, "offer", &def.offer.code).await?;
    for creative in &def.creatives {
        give_number(change, "family", &creative.family).await?;
    }
    Ok(())
}

/// Numbers `name` among its kind, from 1, the first time that it is seen.
async fn give_number(change: &mut Change, kind: &str, name: &str) -> Result<(), CatalogError> {
    let failed = change.failed();
    sqlx::query(
        "INSERT INTO numbering (kind, name, id) \
         SELECT $1, $2, COALESCE((SELECT MAX(id) FROM numbering WHERE kind = $1), 0) + 1 \
         WHERE NOT EXISTS (SELECT 1 FROM numbering WHERE kind = $1 AND name = $2)",
    )
    .bind(kind)
    .bind(name)
    .execute(&mut *change.tx)
    .await
    .map(drop)
    .map_err(failed)
}
