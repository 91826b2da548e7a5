//! The catalog on SQLite: opening, transactions that carry their audit entry, errors that name the remedy.

pub mod audit;
pub mod campaigns;
mod error;
pub mod operators;
pub mod records;

pub use error::{CatalogError, ErrorKind};

use crate::{canonical::ContentHash, users::Actor};
use audit::{AuditEntry, Subject};
use kairos_model::{TenantId, Timestamp};
use serde_json::Value;
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    migrate::{Migrate, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How long [`Catalog::open`]'s statements wait for another process's write.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers beside the one writer that SQLite allows; more only queue.
const CONNECTIONS_MAX: u32 = 4;
/// Rows of one page at most: what a screen scrolls.
pub const PAGE_MAX: u32 = 200;

/// Campaigns, users, waves, evaluations, settings and the audit log of one tenant. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalog {
    pool: SqlitePool,
    path: PathBuf,
    tenant: TenantId,
}

type Tx = Transaction<'static, Sqlite>;

impl Catalog {
    /// Opens `path`, makes it if it is not there, and migrates an older schema. A schema of a newer program is refused,
    /// as is a catalog of another tenant.
    pub async fn open(path: &Path, tenant: TenantId) -> Result<Self, CatalogError> {
        Self::open_waiting(path, tenant, BUSY_TIMEOUT).await
    }

    /// As [`Self::open`]; a statement waits for `busy` for another process's write, then gives up with
    /// [`CatalogError::Locked`].
    pub async fn open_waiting(path: &Path, tenant: TenantId, busy: Duration) -> Result<Self, CatalogError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // an approval that was answered must survive the power; writes here are rare
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(busy);
        let opened = |cause| CatalogError::opening(path, cause);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(busy * 2 + BUSY_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(opened)?;
        refuse_newer(&pool, path).await?;
        MIGRATOR
            .run(&pool)
            .await
            .map_err(|cause| CatalogError::Migrate { path: path.to_owned(), cause: Box::new(cause) })?;
        let catalog = Self { pool, path: path.to_owned(), tenant };
        catalog.claim().await?;
        Ok(catalog)
    }

    /// Waits for running statements, writes the log back into the file and closes it.
    pub async fn close(self) {
        self.pool.close().await;
    }
    pub fn path(&self) -> &Path {
        &self.path
    }
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Writes the tenant on the first opening and compares it on every later one.
    async fn claim(&self) -> Result<(), CatalogError> {
        let mut tx = self.write("open the catalog").await?;
        let found: Option<(String,)> = sqlx::query_as("SELECT value FROM facts WHERE name = 'tenant'")
            .fetch_optional(&mut *tx)
            .await
            .map_err(|e| CatalogError::store("read the tenant", e))?;
        match found {
            Some((found,)) if found == self.tenant.0.to_string() => Ok(()),
            Some((found,)) => Err(CatalogError::OtherTenant { path: self.path.clone(), found, expected: self.tenant }),
            None => {
                sqlx::query("INSERT INTO facts (name, value) VALUES ('tenant', $1)")
                    .bind(self.tenant.0.to_string())
                    .execute(&mut *tx)
                    .await
                    .map_err(|e| CatalogError::store("write the tenant", e))?;
                tx.commit().await.map_err(|e| CatalogError::store("write the tenant", e))
            }
        }
    }

    /// A transaction that holds the writer's lock from its first moment, so that what it reads stays true.
    async fn write(&self, doing: &'static str) -> Result<Tx, CatalogError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| CatalogError::store(doing, e))
    }
    /// A consistent view for several reads.
    async fn view(&self, doing: &'static str) -> Result<Tx, CatalogError> {
        self.pool.begin().await.map_err(|e| CatalogError::store(doing, e))
    }

    /// Begins a change of `subject` by `actor`.
    async fn change(&self, doing: &'static str, actor: &Actor) -> Result<Change, CatalogError> {
        let mut tx = self.write(doing).await?;
        if !actor.is_system() {
            operators::still_active(&mut tx, actor).await?;
        }
        Ok(Change { tx, actor: actor.clone(), tenant: self.tenant, doing })
    }
}

/// One change in the making: everything written through `tx` is kept together with its audit entry, or not at all.
struct Change {
    tx: Tx,
    actor: Actor,
    tenant: TenantId,
    doing: &'static str,
}

impl Change {
    fn failed(&self) -> impl Fn(sqlx::Error) -> CatalogError + use<> {
        let doing = self.doing;
        move |e| CatalogError::store(doing, e)
    }
    /// What the subject looks like before the change.
    async fn before(&mut self, subject: &Subject) -> Result<Option<ContentHash>, CatalogError> {
        audit::fingerprint(&mut self.tx, subject).await
    }
    /// Adds the audit entry and commits both.
    async fn commit(
        mut self,
        subject: Subject,
        before: Option<ContentHash>,
        action: &str,
        detail: Value,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.record(subject, before, action, detail, now).await?;
        self.done().await
    }
    async fn done(self) -> Result<(), CatalogError> {
        let failed = self.failed();
        self.tx.commit().await.map_err(failed)
    }
    /// Adds the audit entry of what was written so far.
    async fn record(
        &mut self,
        subject: Subject,
        before: Option<ContentHash>,
        action: &str,
        detail: Value,
        now: Timestamp,
    ) -> Result<AuditEntry, CatalogError> {
        let after = audit::fingerprint(&mut self.tx, &subject).await?;
        let change = (before, after);
        audit::append(&mut self.tx, self.tenant, &self.actor, &subject, change, action, detail, now).await
    }
}

/// sqlx refuses an applied migration that it does not know, without saying that the program is simply older.
async fn refuse_newer(pool: &SqlitePool, path: &Path) -> Result<(), CatalogError> {
    let known = MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0);
    let mut conn = pool.acquire().await.map_err(|e| CatalogError::opening(path, e))?;
    let table: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_optional(&mut *conn)
            .await
            .map_err(|e| CatalogError::opening(path, e))?;
    if table.is_none() {
        return Ok(());
    }
    let applied = conn
        .list_applied_migrations("_sqlx_migrations")
        .await
        .map_err(|cause| CatalogError::Migrate { path: path.to_owned(), cause: Box::new(cause) })?;
    match applied.iter().map(|m| m.version).max() {
        Some(found) if found > known => Err(CatalogError::Newer { path: path.to_owned(), found, known }),
        _ => Ok(()),
    }
}

/// Cursors are opaque to callers: the last key of the page behind a letter.
fn cursor_out(last: i64) -> String {
    format!("k{last:x}")
}
fn cursor_in(cursor: Option<&str>) -> Result<i64, CatalogError> {
    let Some(text) = cursor else { return Ok(0) };
    let key = text.strip_prefix('k').and_then(|x| i64::from_str_radix(x, 16).ok()).filter(|k| *k >= 0);
    key.ok_or_else(|| CatalogError::Cursor(text.chars().take(40).collect()))
}
