//! Users and tokens in the store.

use super::{Catalog, CatalogError, Change, Tx, audit::Subject, campaigns::small};
use crate::{
    check::is_slug,
    users::{Actor, Random, SEED_USERS, Token, User, token_hash},
};
use kairos_model::{Timestamp, UserId};
use serde_json::json;

type Row = (i64, String, String, i64, i64);

/// Most roles of one user and longest label of a token: one line each on a screen.
const ROLES_MAX: usize = 16;
const LABEL_MAX: usize = 80;

impl Catalog {
    /// Who a token belongs to. `None`: no such token, revoked, expired at `now`, or its user is no longer active.
    pub async fn authenticate(&self, token: &str, now: Timestamp) -> Result<Option<Actor>, CatalogError> {
        let Some(hash) = token_hash(token) else { return Ok(None) };
        let row: Option<(i64, String, String)> = sqlx::query_as(
            "SELECT u.id, u.name, u.roles FROM tokens t JOIN users u ON u.id = t.user_id \
             WHERE t.hash = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2) AND u.active = 1",
        )
        .bind(hash)
        .bind(now.0)
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| CatalogError::store("check a token", e))?;
        let Some((id, name, roles)) = row else { return Ok(None) };
        Ok(Some(Actor::new(UserId(small(id, &name)?), name.clone(), roles_in(&roles, &name)?)))
    }

    /// A new user without a token.
    pub async fn create_user(
        &self,
        actor: &Actor,
        name: &str,
        roles: &[&str],
        now: Timestamp,
    ) -> Result<User, CatalogError> {
        let mut change = self.change("create a user", actor).await?;
        may_manage(actor, name, false, "create the account")?;
        let user = insert_user(&mut change, name, roles, now).await?;
        change.done().await?;
        Ok(user)
    }

    /// A new token of `user`; only its hash is kept, so that its text is shown this once.
    pub async fn issue_token(
        &self,
        actor: &Actor,
        user: &str,
        label: &str,
        expires: Option<Timestamp>,
        random: Random<'_>,
        now: Timestamp,
    ) -> Result<Token, CatalogError> {
        let token = Token::draw(random);
        let mut change = self.change("issue a token", actor).await?;
        let (user, _) = self.subject_of(&mut change, user).await?;
        may_manage(actor, &user.name, true, "issue a token")?;
        insert_token(&mut change, &user, &token, label, expires, now).await?;
        change.done().await?;
        Ok(token)
    }

    /// Ends all tokens of `user`; how many there were.
    pub async fn revoke_tokens(&self, actor: &Actor, user: &str, now: Timestamp) -> Result<u64, CatalogError> {
        let mut change = self.change("revoke tokens", actor).await?;
        let (user, subject) = self.subject_of(&mut change, user).await?;
        may_manage(actor, &user.name, true, "revoke the tokens")?;
        let before = change.before(&subject).await?;
        let failed = change.failed();
        let done = sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL")
            .bind(now.0)
            .bind(i64::from(user.id.0))
            .execute(&mut *change.tx)
            .await
            .map_err(failed)?
            .rows_affected();
        change.commit(subject, before, "user.revoke", json!({ "name": user.name, "tokens": done }), now).await?;
        Ok(done)
    }

    /// Closes or reopens an account. What its owner did stays in the log.
    pub async fn set_active(
        &self,
        actor: &Actor,
        user: &str,
        active: bool,
        now: Timestamp,
    ) -> Result<User, CatalogError> {
        let mut change = self.change("close or reopen a user", actor).await?;
        let (user, subject) = self.subject_of(&mut change, user).await?;
        may_manage(actor, &user.name, false, "close or reopen the account")?;
        let before = change.before(&subject).await?;
        let failed = change.failed();
        sqlx::query("UPDATE users SET active = $1 WHERE id = $2")
            .bind(i64::from(active))
            .bind(i64::from(user.id.0))
            .execute(&mut *change.tx)
            .await
            .map_err(failed)?;
        let action = if active { "user.open" } else { "user.close" };
        change.commit(subject, before, action, json!({ "name": user.name }), now).await?;
        Ok(User { active, ..user })
    }

    /// Everybody, by number.
    pub async fn users(&self) -> Result<Vec<User>, CatalogError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT id, name, roles, active, created_at FROM users ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .map_err(|e| CatalogError::store("list users", e))?;
        rows.into_iter().map(from_row).collect()
    }
    pub async fn user(&self, name: &str) -> Result<User, CatalogError> {
        let mut tx = self.view("read a user").await?;
        find(&mut tx, name).await?.ok_or_else(|| CatalogError::NoUser(name.chars().take(80).collect()))
    }
    /// The name behind an id, for reports; users are closed, never deleted.
    pub async fn user_name(&self, id: UserId) -> Result<String, CatalogError> {
        if id.0 == 0 {
            return Ok(Actor::system().name().to_owned());
        }
        let row: Option<(String,)> = sqlx::query_as("SELECT name FROM users WHERE id = $1")
            .bind(i64::from(id.0))
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| CatalogError::store("read a user", e))?;
        row.map(|(name,)| name).ok_or_else(|| CatalogError::NoUser(id.to_string()))
    }

    /// The first operators of an empty catalog, each with a token, in one transaction; nothing if there is any user.
    pub async fn seed_users(&self, random: Random<'_>, now: Timestamp) -> Result<Vec<(User, Token)>, CatalogError> {
        let mut change = self.change("make the first users", &Actor::system()).await?;
        let mut seeded = Vec::with_capacity(SEED_USERS.len());
        let (known,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM users").fetch_one(&mut *change.tx).await.map_err(change.failed())?;
        if known > 0 {
            return Ok(seeded);
        }
        for (name, roles) in SEED_USERS {
            let (user, token) = (insert_user(&mut change, name, roles, now).await?, Token::draw(random));
            insert_token(&mut change, &user, &token, "first", None, now).await?;
            seeded.push((user, token));
        }
        change.done().await?;
        Ok(seeded)
    }

    async fn subject_of(&self, change: &mut Change, name: &str) -> Result<(User, Subject), CatalogError> {
        let user =
            find(&mut change.tx, name).await?.ok_or_else(|| CatalogError::NoUser(name.chars().take(80).collect()))?;
        let subject = Subject::User(i64::from(user.id.0));
        Ok((user, subject))
    }
}

/// Whoever could issue another's token could approve their own work in the other's name: accounts belong to the system
/// (the owner of the data directory) and to administrators; `own`: and to their user.
fn may_manage(actor: &Actor, user: &str, own: bool, doing: &'static str) -> Result<(), CatalogError> {
    if actor.is_system() || actor.has_role("administrator") || own && actor.name() == user {
        return Ok(());
    }
    Err(CatalogError::NotTheirs { actor: actor.name().to_owned(), doing, user: user.chars().take(80).collect() })
}

async fn insert_user(change: &mut Change, name: &str, roles: &[&str], now: Timestamp) -> Result<User, CatalogError> {
    for (what, word) in std::iter::once(("user name", name)).chain(roles.iter().map(|r| ("role", *r))) {
        if !is_slug(word) || word == "system" {
            let given = word.chars().take(80).collect();
            return Err(CatalogError::Word {
                what, given, rule: "use 1–64 of a–z, 0–9, - and _, and not `system`"
            });
        }
    }
    if roles.len() > ROLES_MAX {
        let given = format!("a list of {}", roles.len());
        return Err(CatalogError::Word { what: "set of roles", given, rule: "a user has at most 16" });
    }
    let failed = change.failed();
    if find(&mut change.tx, name).await?.is_some() {
        return Err(CatalogError::UserExists(name.to_owned()));
    }
    let (last,): (i64,) =
        sqlx::query_as("SELECT COALESCE(MAX(id), 0) FROM users").fetch_one(&mut *change.tx).await.map_err(&failed)?;
    let id = last + 1;
    sqlx::query("INSERT INTO users (id, name, roles, active, created_at) VALUES ($1, $2, $3, 1, $4)")
        .bind(id)
        .bind(name)
        .bind(json!(roles).to_string())
        .bind(now.0)
        .execute(&mut *change.tx)
        .await
        .map_err(&failed)?;
    change.record(Subject::User(id), None, "user.create", json!({ "name": name, "roles": roles }), now).await?;
    let roles = roles.iter().map(|r| (*r).to_owned()).collect();
    Ok(User { id: UserId(small(id, name)?), name: name.to_owned(), roles, active: true, created_at: now })
}

async fn insert_token(
    change: &mut Change,
    user: &User,
    token: &Token,
    label: &str,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), CatalogError> {
    if !user.active {
        return Err(CatalogError::Inactive(user.name.clone()));
    }
    let hash = token_hash(token.reveal())
        .ok_or_else(|| CatalogError::damaged("token", "a fresh token has not a token's form"))?;
    let label: String = label.chars().take(LABEL_MAX).collect();
    let subject = Subject::User(i64::from(user.id.0));
    let before = change.before(&subject).await?;
    sqlx::query("INSERT INTO tokens (hash, user_id, label, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(hash)
        .bind(i64::from(user.id.0))
        .bind(&label)
        .bind(now.0)
        .bind(expires.map(|t| t.0))
        .execute(&mut *change.tx)
        .await
        .map_err(change.failed())?;
    let detail = json!({ "name": user.name, "label": label, "expires": expires.map(|t| t.0) });
    change.record(subject, before, "user.token", detail, now).await.map(drop)
}

/// A token may have been revoked and its user closed since the actor was made; a closed user changes nothing more.
pub(super) async fn still_active(tx: &mut Tx, actor: &Actor) -> Result<(), CatalogError> {
    match find(tx, actor.name()).await? {
        Some(user) if user.active && user.id == actor.id() => Ok(()),
        _ => Err(CatalogError::Inactive(actor.name().to_owned())),
    }
}

async fn find(tx: &mut Tx, name: &str) -> Result<Option<User>, CatalogError> {
    let row: Option<Row> = sqlx::query_as("SELECT id, name, roles, active, created_at FROM users WHERE name = $1")
        .bind(name)
        .fetch_optional(&mut **tx)
        .await
        .map_err(|e| CatalogError::store("read a user", e))?;
    row.map(from_row).transpose()
}

fn from_row((id, name, roles, active, created_at): Row) -> Result<User, CatalogError> {
    Ok(User {
        id: UserId(small(id, &name)?),
        roles: roles_in(&roles, &name)?,
        name,
        active: active == 1,
        created_at: Timestamp(created_at),
    })
}

fn roles_in(text: &str, user: &str) -> Result<Vec<String>, CatalogError> {
    serde_json::from_str(text).map_err(|e| CatalogError::damaged(format!("user `{user}`"), e))
}
