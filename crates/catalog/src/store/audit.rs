//! The audit log: a chain of hashes over canonical entries, each with the fingerprint of its subject before and after.

use super::{Catalog, CatalogError, PAGE_MAX, Tx};
use crate::{
    canonical::{self, ContentHash},
    users::Actor,
};
use kairos_model::{TenantId, Timestamp, UserId};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Entries read at a time while verifying: bounds the memory, not the log.
const VERIFY_CHUNK: i64 = 1000;

/// The end of the chain: keep it somewhere else, and a cut tail shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub entries: u64,
    pub hash: ContentHash,
}

/// The log holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    pub entries: u64,
    pub head: ContentHash,
}

/// The log does not hold, or the tables are not what it left. `at` is the first bad entry.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the audit log does not hold at entry {at}: {why}")]
pub struct Broken {
    pub at: u64,
    pub why: String,
}

/// One entry: who did what to which subject, when.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditEntry {
    pub seq: u64,
    pub at: Timestamp,
    pub user: UserId,
    pub user_name: String,
    /// Such as `campaign.approve`.
    pub action: String,
    /// Such as `campaign:3`.
    pub subject: String,
    pub before: Option<ContentHash>,
    pub after: Option<ContentHash>,
    pub detail: Value,
    pub hash: ContentHash,
}

/// A page of entries, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditPage {
    pub items: Vec<AuditEntry>,
    pub next: Option<String>,
}

/// What an entry is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Subject {
    Campaign(i64),
    User(i64),
    Setting(String),
    Holdout(String),
    /// Something outside the catalog that people do: a list, an export, a contact.
    Act(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Campaign(id) => write!(f, "campaign:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Setting(name) => write!(f, "setting:{name}"),
            Self::Holdout(period) => write!(f, "holdout:{period}"),
            Self::Act(what) => write!(f, "act:{what}"),
        }
    }
}
impl FromStr for Subject {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        let (kind, name) = s.split_once(':').ok_or(())?;
        match kind {
            "campaign" => name.parse().map(Self::Campaign).map_err(|_| ()),
            "user" => name.parse().map(Self::User).map_err(|_| ()),
            "setting" => Ok(Self::Setting(name.to_owned())),
            "holdout" => Ok(Self::Holdout(name.to_owned())),
            "act" => Ok(Self::Act(name.to_owned())),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.entries, self.hash)
    }
}
impl FromStr for Head {
    type Err = canonical::NoHash;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (entries, hash) =
            s.trim().split_once(':').ok_or_else(|| canonical::NoHash(s.chars().take(80).collect()))?;
        let entries = entries.parse().map_err(|_| canonical::NoHash(entries.chars().take(80).collect()))?;
        Ok(Self { entries, hash: hash.parse()? })
    }
}

/// Before the first entry: a chain belongs to its tenant.
fn genesis(tenant: TenantId) -> ContentHash {
    canonical::hash("kairos audit 1", &json!({ "tenant": tenant.0 }))
}
fn entry_hash(entry: &str) -> ContentHash {
    canonical::hash_text("kairos audit entry 1", entry)
}

/// Adds an entry inside the transaction of its change.
#[allow(clippy::too_many_arguments, reason = "one private call site; a struct would only repeat the names")]
pub(super) async fn append(
    tx: &mut Tx,
    tenant: TenantId,
    actor: &Actor,
    subject: &Subject,
    (before, after): (Option<ContentHash>, Option<ContentHash>),
    action: &str,
    detail: Value,
    now: Timestamp,
) -> Result<AuditEntry, CatalogError> {
    let failed = |e| CatalogError::store("write the audit log", e);
    let last: Option<(i64, String)> = sqlx::query_as("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed)?;
    let (seq, prev) = match last {
        Some((seq, hash)) => (seq + 1, hash),
        None => (1, genesis(tenant).to_string()),
    };
    let subject = subject.to_string();
    let entry = canonical::canonical(&json!({
        "v": 1, "seq": seq, "at": now.0, "user": actor.id().0, "user_name": actor.name(), "action": action,
        "subject": subject, "before": before, "after": after, "detail": detail, "prev": prev,
    }));
    let hash = entry_hash(&entry);
    sqlx::query("INSERT INTO audit (seq, subject, entry, hash) VALUES ($1, $2, $3, $4)")
        .bind(seq)
        .bind(&subject)
        .bind(&entry)
        .bind(hash.to_string())
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(AuditEntry {
        seq: seq as u64,
        at: now,
        user: actor.id(),
        user_name: actor.name().to_owned(),
        action: action.to_owned(),
        subject,
        before,
        after,
        detail,
        hash,
    })
}

/// A stored entry with the link to its predecessor; `None` if it has not the form of one.
fn parse_entry(text: &str, hash: ContentHash) -> Option<(AuditEntry, ContentHash)> {
    let v: Value = serde_json::from_str(text).ok()?;
    let optional = |key: &str| match v.get(key)? {
        Value::Null => Some(None),
        other => Some(Some(other.as_str()?.parse::<ContentHash>().ok()?)),
    };
    let text_of = |key: &str| Some(v.get(key)?.as_str()?.to_owned());
    let entry = AuditEntry {
        seq: v.get("seq")?.as_u64()?,
        at: Timestamp(v.get("at")?.as_i64()?),
        user: UserId(u32::try_from(v.get("user")?.as_u64()?).ok()?),
        user_name: text_of("user_name")?,
        action: text_of("action")?,
        subject: text_of("subject")?,
        before: optional("before")?,
        after: optional("after")?,
        detail: v.get("detail")?.clone(),
        hash,
    };
    Some((entry, v.get("prev")?.as_str()?.parse().ok()?))
}

type Row = (i64, String, String, String);

impl Catalog {
    /// Writes what a person did outside the catalog into the log: `subject` such as `list:vip`, `action` such as
    /// `list.load`. No number, name or text belongs into `detail`.
    pub async fn note(
        &self,
        actor: &Actor,
        subject: &str,
        action: &str,
        detail: Value,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        super::records::bounded("detail of an entry", &detail)?;
        let change = self.change("write the audit log", actor).await?;
        change.commit(Subject::Act(subject.to_owned()), None, action, detail, now).await
    }

    /// The end of the chain, to be kept outside the data directory.
    pub async fn audit_head(&self) -> Result<Head, CatalogError> {
        let last: Option<(i64, String)> = sqlx::query_as("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| CatalogError::store("read the audit log", e))?;
        match last {
            None => Ok(Head { entries: 0, hash: genesis(self.tenant) }),
            Some((seq, hash)) => {
                let hash = hash.parse().map_err(|e| CatalogError::damaged(format!("audit entry {seq}"), e))?;
                Ok(Head { entries: seq as u64, hash })
            }
        }
    }

    /// Reads the whole chain and compares every subject with what its last entry left.
    /// [`CatalogError::Broken`] names the first entry that does not hold.
    pub async fn verify_audit(&self) -> Result<Verified, CatalogError> {
        self.verify(None).await
    }
    /// As [`Self::verify_audit`], and the chain must contain `head`: a cut tail or an exchanged chain shows.
    pub async fn verify_audit_against(&self, head: &Head) -> Result<Verified, CatalogError> {
        self.verify(Some(head)).await
    }

    async fn verify(&self, head: Option<&Head>) -> Result<Verified, CatalogError> {
        let failed = |e| CatalogError::store("verify the audit log", e);
        let mut tx = self.view("verify the audit log").await?;
        let mut walk = Walk { last: genesis(self.tenant), entries: 0, left: BTreeMap::new() };
        walk.meet(head).map_err(CatalogError::Broken)?;
        loop {
            let rows: Vec<Row> =
                sqlx::query_as("SELECT seq, subject, entry, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2")
                    .bind(walk.entries as i64)
                    .bind(VERIFY_CHUNK)
                    .fetch_all(&mut *tx)
                    .await
                    .map_err(failed)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                walk.step(row).map_err(CatalogError::Broken)?;
                walk.meet(head).map_err(CatalogError::Broken)?;
            }
        }
        if let Some(head) = head.filter(|h| h.entries > walk.entries) {
            let why =
                format!("the log ends here, but the head that you keep has {} entries: its tail was cut", head.entries);
            return Err(CatalogError::Broken(Broken { at: walk.entries + 1, why }));
        }
        self.compare(&mut tx, &walk).await?;
        Ok(Verified { entries: walk.entries, head: walk.last })
    }

    /// Whether the tables are what the log left, and hold nothing that it does not know.
    async fn compare(&self, tx: &mut Tx, walk: &Walk) -> Result<(), CatalogError> {
        for (subject, (seq, after)) in &walk.left {
            if fingerprint(tx, subject).await? != *after {
                let why =
                    format!("{subject} is not what this entry, its last one, left: it was changed behind the log");
                return Err(CatalogError::Broken(Broken { at: *seq, why }));
            }
        }
        for subject in subjects(tx).await? {
            if !walk.left.contains_key(&subject) {
                let why = format!("{subject} is in the catalog, but no entry speaks of it");
                return Err(CatalogError::Broken(Broken { at: walk.entries, why }));
            }
        }
        Ok(())
    }

    /// Entries oldest first; `subject` such as `campaign:3`.
    pub async fn audit_entries(
        &self,
        subject: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<AuditPage, CatalogError> {
        let after = super::cursor_in(cursor)?;
        let limit = limit.clamp(1, PAGE_MAX) as usize;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT seq, subject, entry, hash FROM audit WHERE seq > $1 AND ($2 = '' OR subject = $2) ORDER BY seq LIMIT $3",
        )
        .bind(after)
        .bind(subject.unwrap_or_default())
        .bind(limit as i64 + 1)
        .fetch_all(&self.pool)
        .await
        .map_err(|e| CatalogError::store("read the audit log", e))?;
        let more = rows.len() > limit;
        let mut items = Vec::with_capacity(limit);
        for (seq, _, entry, hash) in rows.into_iter().take(limit) {
            let parsed = hash.parse().ok().and_then(|h| parse_entry(&entry, h));
            let bad = || CatalogError::damaged(format!("audit entry {seq}"), "it has not the form of an entry");
            items.push(parsed.ok_or_else(bad)?.0);
        }
        let next = items.last().filter(|_| more).map(|e| super::cursor_out(e.seq as i64));
        Ok(AuditPage { items, next })
    }
}

/// The walk along the chain.
struct Walk {
    last: ContentHash,
    entries: u64,
    /// Each subject's last entry and what it left.
    left: BTreeMap<Subject, (u64, Option<ContentHash>)>,
}

impl Walk {
    fn step(&mut self, (seq, subject, text, hash): Row) -> Result<(), Broken> {
        let at = self.entries + 1;
        let broken = |why: &str| Broken { at, why: why.to_owned() };
        if seq != at as i64 {
            return Err(broken("the entry is missing"));
        }
        let hash: ContentHash = hash.parse().map_err(|_| broken("its hash is no hash"))?;
        if entry_hash(&text) != hash {
            return Err(broken("the entry was changed: it does not have its hash"));
        }
        let (entry, prev) = parse_entry(&text, hash).ok_or_else(|| broken("it has not the form of an entry"))?;
        if prev != self.last {
            return Err(broken("it does not continue the entry before it"));
        }
        if entry.seq != at || entry.subject != subject {
            return Err(broken("its row does not agree with its text"));
        }
        let subject: Subject = subject.parse().map_err(|()| broken("its subject is unknown to this program"))?;
        if self.left.get(&subject).is_some_and(|(_, after)| *after != entry.before) {
            return Err(broken("its subject was changed behind the log before this entry"));
        }
        self.left.insert(subject, (at, entry.after));
        (self.last, self.entries) = (hash, at);
        Ok(())
    }
    fn meet(&self, head: Option<&Head>) -> Result<(), Broken> {
        match head {
            Some(h) if h.entries == self.entries && h.hash != self.last => Err(Broken {
                at: self.entries,
                why: "it is not the entry of the head that you keep: the chain was exchanged".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Everything that the log must know of.
async fn subjects(tx: &mut Tx) -> Result<Vec<Subject>, CatalogError> {
    let failed = |e| CatalogError::store("verify the audit log", e);
    let mut all = Vec::new();
    let ids: Vec<(i64,)> = sqlx::query_as("SELECT id FROM campaigns").fetch_all(&mut **tx).await.map_err(failed)?;
    all.extend(ids.into_iter().map(|(id,)| Subject::Campaign(id)));
    let ids: Vec<(i64,)> = sqlx::query_as("SELECT id FROM users").fetch_all(&mut **tx).await.map_err(failed)?;
    all.extend(ids.into_iter().map(|(id,)| Subject::User(id)));
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM settings").fetch_all(&mut **tx).await.map_err(failed)?;
    all.extend(names.into_iter().map(|(name,)| Subject::Setting(name)));
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT period FROM holdouts").fetch_all(&mut **tx).await.map_err(failed)?;
    all.extend(names.into_iter().map(|(name,)| Subject::Holdout(name)));
    Ok(all)
}

/// A hash over all rows of a subject; `None` if it does not exist.
pub(super) async fn fingerprint(tx: &mut Tx, subject: &Subject) -> Result<Option<ContentHash>, CatalogError> {
    let rows = match subject {
        Subject::Campaign(id) => campaign_rows(tx, *id).await,
        Subject::User(id) => user_rows(tx, *id).await,
        Subject::Setting(name) => sqlx::query_as::<_, (String,)>("SELECT value FROM settings WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut **tx)
            .await
            .map(|r| r.map(|(v,)| json!(v))),
        Subject::Holdout(period) => {
            sqlx::query_as::<_, (String, i64)>("SELECT salt, created_at FROM holdouts WHERE period = $1")
                .bind(period)
                .fetch_optional(&mut **tx)
                .await
                .map(|r| r.map(|r| json!(r)))
        }
        // the catalog holds nothing of it but the log itself
        Subject::Act(_) => return Ok(None),
    };
    let rows = rows.map_err(|e| CatalogError::store("fingerprint a subject", e))?;
    Ok(rows.map(|rows| {
        canonical::hash("kairos audit subject 1", &json!({ "subject": subject.to_string(), "rows": rows }))
    }))
}

async fn campaign_rows(tx: &mut Tx, id: i64) -> Result<Option<Value>, sqlx::Error> {
    type Main = (String, i64, String, String, String, i64, i64, i64, i64);
    let main: Option<Main> = sqlx::query_as(
        "SELECT slug, version, state_name, state, salt, created_by, created_at, updated_at, revision FROM campaigns WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(main) = main else { return Ok(None) };
    let versions: Vec<(i64, String, String, i64, i64)> = sqlx::query_as(
        "SELECT version, definition, content_hash, edited_by, edited_at FROM campaign_versions \
         WHERE campaign_id = $1 ORDER BY version",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    type Wave = (i64, i64, String, String, i64, i64, i64, i64, i64);
    let waves: Vec<Wave> = sqlx::query_as(
        "SELECT wave, version, audience_hash, condition_hash, members, snapshot, as_of, started_by, started_at \
         FROM waves WHERE campaign_id = $1 ORDER BY wave",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    let evaluations: Vec<(i64, String, i64, i64)> =
        sqlx::query_as("SELECT no, result, made_by, made_at FROM evaluations WHERE campaign_id = $1 ORDER BY no")
            .bind(id)
            .fetch_all(&mut **tx)
            .await?;
    Ok(Some(json!({ "campaign": main, "versions": versions, "waves": waves, "evaluations": evaluations })))
}

async fn user_rows(tx: &mut Tx, id: i64) -> Result<Option<Value>, sqlx::Error> {
    let user: Option<(String, String, i64, i64)> =
        sqlx::query_as("SELECT name, roles, active, created_at FROM users WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?;
    let Some(user) = user else { return Ok(None) };
    type Token = (String, String, i64, Option<i64>, Option<i64>);
    let tokens: Vec<Token> = sqlx::query_as(
        "SELECT hash, label, created_at, expires_at, revoked_at FROM tokens WHERE user_id = $1 ORDER BY hash",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    Ok(Some(json!({ "user": user, "tokens": tokens })))
}
