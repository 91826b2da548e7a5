//! What the rest of the program asks the catalog to keep: launched waves, evaluations, holdout salts, settings, and the
//! answers of requests that carried an idempotency key.

use super::{
    Catalog, CatalogError, Change,
    audit::Subject,
    campaigns::{Campaign, advance, draw_salt, loaded, move_on, small, write_state},
};
use crate::{
    canonical::{self, ContentHash},
    check::is_slug,
    state::{CampaignState, Step},
    tenant::TenantConfig,
    users::{Actor, Random},
};
use kairos_model::{CampaignId, CampaignVersion, SnapshotId, Span, Timestamp, UserId, WaveNo};
use serde_json::{Value, json};

/// A request that never answered (its process died) frees its key after this long.
const CLAIM_SPAN: Span = Span::mins(5);
/// Longest idempotency key: RFC drafts and practice stay below it.
const KEY_MAX: usize = 255;
/// Largest stored answer, evaluation or setting, in bytes.
const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// What a wave is launched with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaveStart {
    pub wave: WaveNo,
    /// Hash of the frozen audience's members.
    pub audience: ContentHash,
    /// Hash of the condition, or of the list's name.
    pub condition: ContentHash,
    pub members: u64,
    pub snapshot: SnapshotId,
    pub as_of: Timestamp,
}

/// A launched wave: its audience is frozen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaveRecord {
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    pub start: WaveStart,
    pub started_by: UserId,
    pub started_at: Timestamp,
}

/// A stored evaluation, numbered from 1 in its campaign.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluation {
    pub no: u32,
    pub result: Value,
    pub made_by: UserId,
    pub made_at: Timestamp,
}

/// The salt of the global holdout in one period.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holdout {
    pub period: String,
    pub salt: u64,
    pub created_at: Timestamp,
}

/// What is known of an idempotency key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remembered {
    /// Claimed now: do the work, then [`Catalog::answer`] or [`Catalog::release`].
    Fresh,
    /// Done before: answer the same again.
    Answered { status: u16, body: String },
}

type WaveRow = (i64, i64, String, String, i64, i64, i64, i64, i64);

impl Catalog {
    /// Records the launch of a wave, once. Refused unless the campaign runs and has such a wave.
    pub async fn start_wave(
        &self,
        actor: &Actor,
        slug: &str,
        start: WaveStart,
        now: Timestamp,
    ) -> Result<WaveRecord, CatalogError> {
        let mut change = self.change("start a wave", actor).await?;
        let current = loaded(&mut change.tx, slug).await?;
        let wave = insert_wave(&mut change, &current, start, now).await?;
        change.done().await?;
        Ok(wave)
    }

    /// Starts an approved campaign with its first wave, or the next wave of a running one, in one transaction: a launch
    /// that is refused leaves an approved campaign approved.
    pub async fn launch(
        &self,
        actor: &Actor,
        slug: &str,
        start: WaveStart,
        tenant: &TenantConfig,
        now: Timestamp,
    ) -> Result<(Campaign, WaveRecord), CatalogError> {
        let mut change = self.change("launch a campaign", actor).await?;
        let mut current = loaded(&mut change.tx, slug).await?;
        if !matches!(current.state, CampaignState::Running { .. }) {
            current = move_on(&mut change, &current, &Step::Start, tenant, now).await?;
        }
        let wave = insert_wave(&mut change, &current, start, now).await?;
        let campaign = loaded(&mut change.tx, slug).await?;
        change.done().await?;
        Ok((campaign, wave))
    }

    /// The launched waves of a campaign, by number.
    pub async fn waves(&self, slug: &str) -> Result<Vec<WaveRecord>, CatalogError> {
        let id = self.campaign(slug).await?.id;
        let rows: Vec<WaveRow> = sqlx::query_as(
            "SELECT wave, version, audience_hash, condition_hash, members, snapshot, as_of, started_by, started_at \
             FROM waves WHERE campaign_id = $1 ORDER BY wave",
        )
        .bind(i64::from(id.0))
        .fetch_all(&self.pool)
        .await
        .map_err(|e| CatalogError::store("read waves", e))?;
        rows.into_iter().map(|row| wave_from(id, slug, row)).collect()
    }

    /// Keeps an evaluation and moves an ended campaign to evaluated. May be repeated: late receipts change the result.
    pub async fn evaluate(
        &self,
        actor: &Actor,
        slug: &str,
        result: &Value,
        now: Timestamp,
    ) -> Result<(Campaign, Evaluation), CatalogError> {
        let text = bounded("evaluation", result)?;
        let mut change = self.change("keep an evaluation", actor).await?;
        let current = loaded(&mut change.tx, slug).await?;
        let next = advance(&current, &Step::Evaluate, None, actor, now)?;
        let subject = Subject::Campaign(i64::from(current.id.0));
        let before = change.before(&subject).await?;
        let failed = change.failed();
        let (last,): (i64,) = sqlx::query_as("SELECT COALESCE(MAX(no), 0) FROM evaluations WHERE campaign_id = $1")
            .bind(i64::from(current.id.0))
            .fetch_one(&mut *change.tx)
            .await
            .map_err(&failed)?;
        sqlx::query("INSERT INTO evaluations (campaign_id, no, result, made_by, made_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(i64::from(current.id.0))
            .bind(last + 1)
            .bind(text)
            .bind(i64::from(actor.id().0))
            .bind(now.0)
            .execute(&mut *change.tx)
            .await
            .map_err(&failed)?;
        write_state(&mut change, &current, current.version.0, &next, now).await?;
        let campaign = loaded(&mut change.tx, slug).await?;
        let no = small(last + 1, slug)?;
        let detail = json!({ "slug": slug, "no": no, "result": canonical::hash("kairos evaluation 1", result) });
        change.commit(subject, before, "campaign.evaluate", detail, now).await?;
        Ok((campaign, Evaluation { no, result: result.clone(), made_by: actor.id(), made_at: now }))
    }

    /// All evaluations of a campaign, oldest first.
    pub async fn evaluations(&self, slug: &str) -> Result<Vec<Evaluation>, CatalogError> {
        let id = self.campaign(slug).await?.id;
        let rows: Vec<(i64, String, i64, i64)> =
            sqlx::query_as("SELECT no, result, made_by, made_at FROM evaluations WHERE campaign_id = $1 ORDER BY no")
                .bind(i64::from(id.0))
                .fetch_all(&self.pool)
                .await
                .map_err(|e| CatalogError::store("read evaluations", e))?;
        rows.into_iter()
            .map(|(no, result, by, at)| {
                Ok(Evaluation {
                    no: small(no, slug)?,
                    result: parsed("evaluation", &result)?,
                    made_by: UserId(small(by, slug)?),
                    made_at: Timestamp(at),
                })
            })
            .collect()
    }

    /// The holdout's salt in `period` (see [`crate::TenantConfig::holdout_period`]); drawn at the first asking.
    pub async fn holdout(
        &self,
        actor: &Actor,
        period: &str,
        random: Random<'_>,
        now: Timestamp,
    ) -> Result<Holdout, CatalogError> {
        let salt = draw_salt(random);
        let mut change = self.change("draw the holdout's salt", actor).await?;
        let failed = change.failed();
        let known: Option<(String, i64)> = sqlx::query_as("SELECT salt, created_at FROM holdouts WHERE period = $1")
            .bind(period)
            .fetch_optional(&mut *change.tx)
            .await
            .map_err(&failed)?;
        if let Some((salt, at)) = known {
            let salt = u64::from_str_radix(&salt, 16).map_err(|e| CatalogError::damaged("holdout", e))?;
            return Ok(Holdout { period: period.to_owned(), salt, created_at: Timestamp(at) });
        }
        sqlx::query("INSERT INTO holdouts (period, salt, created_at) VALUES ($1, $2, $3)")
            .bind(period)
            .bind(format!("{salt:016x}"))
            .bind(now.0)
            .execute(&mut *change.tx)
            .await
            .map_err(&failed)?;
        let subject = Subject::Holdout(period.to_owned());
        change.commit(subject, None, "holdout.draw", json!({ "period": period }), now).await?;
        Ok(Holdout { period: period.to_owned(), salt, created_at: now })
    }

    /// Sets a named value of the installation, such as the kill switch.
    pub async fn set_setting(
        &self,
        actor: &Actor,
        name: &str,
        value: &Value,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        if !is_slug(name) {
            let given = name.chars().take(80).collect();
            return Err(CatalogError::Word {
                what: "setting's name", given, rule: "use 1–64 of a–z, 0–9, - and _"
            });
        }
        let text = bounded("setting", value)?;
        let mut change = self.change("change a setting", actor).await?;
        let subject = Subject::Setting(name.to_owned());
        let before = change.before(&subject).await?;
        let failed = change.failed();
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(text)
        .execute(&mut *change.tx)
        .await
        .map_err(failed)?;
        change.commit(subject, before, "setting.set", json!({ "name": name }), now).await
    }

    pub async fn setting(&self, name: &str) -> Result<Option<Value>, CatalogError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT value FROM settings WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| CatalogError::store("read a setting", e))?;
        row.map(|(text,)| parsed("setting", &text)).transpose()
    }

    /// Claims `key` of `user` for a request, or gives the answer of the first one. The same key with another request is
    /// refused, and so is one whose first request still runs; a claim without an answer ends after five minutes.
    pub async fn claim_key(
        &self,
        user: UserId,
        key: &str,
        request: &ContentHash,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Remembered, CatalogError> {
        if key.is_empty() || key.len() > KEY_MAX {
            let given = key.chars().take(20).collect();
            return Err(CatalogError::Word { what: "idempotency key", given, rule: "use 1–255 bytes" });
        }
        let failed = |e| CatalogError::store("look up an idempotency key", e);
        let mut tx = self.write("look up an idempotency key").await?;
        sqlx::query("DELETE FROM idempotency WHERE expires_at <= $1 OR (status IS NULL AND claimed_at <= $2)")
            .bind(now.0)
            .bind(now.minus(CLAIM_SPAN).0)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        type Known = (String, Option<i64>, Option<String>, i64);
        let known: Option<Known> = sqlx::query_as(
            "SELECT request_hash, status, response, claimed_at FROM idempotency WHERE user_id = $1 AND key = $2",
        )
        .bind(i64::from(user.0))
        .bind(key)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
        let remembered = match known {
            Some((hash, ..)) if hash != request.to_string() => return Err(CatalogError::KeyReused),
            Some((_, Some(status), Some(body), _)) => {
                let status = u16::try_from(status).map_err(|e| CatalogError::damaged("idempotency key", e))?;
                Remembered::Answered { status, body }
            }
            Some((.., claimed)) => {
                return Err(CatalogError::KeyBusy { until: Timestamp(claimed).plus(CLAIM_SPAN) });
            }
            None => {
                sqlx::query(
                    "INSERT INTO idempotency (user_id, key, request_hash, claimed_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(i64::from(user.0))
                .bind(key)
                .bind(request.to_string())
                .bind(now.0)
                .bind(expires.0)
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
                Remembered::Fresh
            }
        };
        tx.commit().await.map_err(failed)?;
        Ok(remembered)
    }

    /// Keeps the answer of a claimed key until the key expires.
    pub async fn answer(&self, user: UserId, key: &str, status: u16, body: &str) -> Result<(), CatalogError> {
        if body.len() > VALUE_BYTES_MAX {
            return self.release(user, key).await;
        }
        sqlx::query("UPDATE idempotency SET status = $1, response = $2 WHERE user_id = $3 AND key = $4")
            .bind(i64::from(status))
            .bind(body)
            .bind(i64::from(user.0))
            .bind(key)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|e| CatalogError::store("keep an answer", e))
    }

    /// Gives a claimed key back: nothing was done, and the request may come again.
    pub async fn release(&self, user: UserId, key: &str) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM idempotency WHERE user_id = $1 AND key = $2 AND status IS NULL")
            .bind(i64::from(user.0))
            .bind(key)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|e| CatalogError::store("give a key back", e))
    }
}

async fn insert_wave(
    change: &mut Change,
    current: &Campaign,
    start: WaveStart,
    now: Timestamp,
) -> Result<WaveRecord, CatalogError> {
    let refuse = |why: String| CatalogError::Wave { slug: current.slug.clone(), wave: start.wave.0, why };
    if !matches!(current.state, CampaignState::Running { .. }) {
        return Err(refuse(format!("campaign is {}; a wave starts only while it runs", current.state)));
    }
    if current.def.wave(start.wave).is_none() {
        let known: Vec<_> = current.def.waves.iter().map(|w| w.no.to_string()).collect();
        return Err(refuse(format!("the campaign has the waves {}", known.join(", "))));
    }
    let members = i64::try_from(start.members).map_err(|_| refuse("it has too many members".to_owned()))?;
    let failed = change.failed();
    let launched: Option<(i64,)> = sqlx::query_as("SELECT started_at FROM waves WHERE campaign_id = $1 AND wave = $2")
        .bind(i64::from(current.id.0))
        .bind(i64::from(start.wave.0))
        .fetch_optional(&mut *change.tx)
        .await
        .map_err(&failed)?;
    if let Some((at,)) = launched {
        return Err(refuse(format!("it was launched at {}; a wave is launched once", Timestamp(at))));
    }
    let subject = Subject::Campaign(i64::from(current.id.0));
    let before = change.before(&subject).await?;
    let by = change.actor.id();
    sqlx::query(
        "INSERT INTO waves (campaign_id, wave, version, audience_hash, condition_hash, members, snapshot, as_of, \
         started_by, started_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(i64::from(current.id.0))
    .bind(i64::from(start.wave.0))
    .bind(i64::from(current.version.0))
    .bind(start.audience.to_string())
    .bind(start.condition.to_string())
    .bind(members)
    .bind(i64::from(start.snapshot.0))
    .bind(start.as_of.0)
    .bind(i64::from(by.0))
    .bind(now.0)
    .execute(&mut *change.tx)
    .await
    .map_err(&failed)?;
    let detail = json!({ "slug": current.slug, "wave": start.wave.0, "version": current.version.0,
        "audience": start.audience, "members": start.members, "snapshot": start.snapshot.0 });
    change.record(subject, before, "campaign.wave", detail, now).await?;
    Ok(WaveRecord { campaign: current.id, version: current.version, start, started_by: by, started_at: now })
}

pub(super) fn bounded(what: &'static str, value: &Value) -> Result<String, CatalogError> {
    let text = canonical::canonical(value);
    if text.len() <= VALUE_BYTES_MAX {
        return Ok(text);
    }
    Err(CatalogError::Word { what, given: format!("{} bytes", text.len()), rule: "at most 1 MiB is kept" })
}

fn parsed(what: &str, text: &str) -> Result<Value, CatalogError> {
    serde_json::from_str(text).map_err(|e| CatalogError::damaged(what, e))
}

fn wave_from(campaign: CampaignId, slug: &str, row: WaveRow) -> Result<WaveRecord, CatalogError> {
    let (wave, version, audience, condition, members, snapshot, as_of, by, at) = row;
    let what = format!("wave {wave} of `{slug}`");
    let hash = |text: String| text.parse().map_err(|e| CatalogError::damaged(&what, e));
    Ok(WaveRecord {
        campaign,
        version: CampaignVersion(small(version, &what)?),
        start: WaveStart {
            wave: WaveNo(u16::try_from(wave).map_err(|e| CatalogError::damaged(&what, e))?),
            audience: hash(audience)?,
            condition: hash(condition)?,
            members: u64::try_from(members).map_err(|e| CatalogError::damaged(&what, e))?,
            snapshot: SnapshotId(small(snapshot, &what)?),
            as_of: Timestamp(as_of),
        },
        started_by: UserId(small(by, &what)?),
        started_at: Timestamp(at),
    })
}
