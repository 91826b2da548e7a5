//! A catalog in a folder of its own, four operators with tokens, and the shipped province.

use kairos_catalog::{Actor, Campaign, CampaignDef, Catalog, CatalogError, Step, TenantConfig};
use kairos_model::{TenantId, Timestamp};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::path::{Path, PathBuf};

pub const TENANT: TenantId = TenantId(1);

/// Monday, 2026-03-02 08:30 in Shanghai, and `minutes` later.
pub fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-03-02T00:30:00Z".parse().unwrap();
    start.plus(kairos_model::Span::mins(minutes))
}

/// Counting bytes: every draw differs from the one before, every run is the same.
pub fn counter() -> impl FnMut(&mut [u8]) + Send {
    let mut n = 0u64;
    move |bytes: &mut [u8]| {
        n += 1;
        bytes.fill(0);
        bytes[..8].copy_from_slice(&n.to_le_bytes());
    }
}

fn province() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../province")
}
pub fn tenant() -> TenantConfig {
    TenantConfig::load(&province().join("tenant.toml")).unwrap()
}
pub fn shipped(name: &str) -> (String, String) {
    let file = format!("{name}.toml");
    let text = std::fs::read_to_string(province().join("campaigns").join(&file)).unwrap();
    (file, text)
}
pub fn def(name: &str) -> CampaignDef {
    let (file, text) = shipped(name);
    CampaignDef::from_toml(&file, &text).unwrap()
}

pub struct World {
    pub catalog: Catalog,
    pub tenant: TenantConfig,
    pub planner: Actor,
    pub approver: Actor,
    pub operator: Actor,
    pub analyst: Actor,
    /// The tokens' texts, in the order planner, approver, analyst, operator.
    pub tokens: Vec<String>,
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path, TENANT).await.unwrap();
        let mut random = counter();
        let seeded = catalog.seed_users(&mut random, at(0)).await.unwrap();
        let tokens: Vec<_> = seeded.iter().map(|(_, t)| t.reveal().to_owned()).collect();
        let mut actors = Vec::new();
        for token in &tokens {
            actors.push(catalog.authenticate(token, at(0)).await.unwrap().unwrap());
        }
        let [planner, approver, analyst, operator] = actors.try_into().unwrap();
        Self { catalog, tenant: tenant(), planner, approver, operator, analyst, tokens, path, _folder: folder }
    }
    pub async fn step(&self, actor: &Actor, slug: &str, step: Step, minute: i64) -> Result<Campaign, CatalogError> {
        self.catalog.step(actor, slug, &step, &self.tenant, at(minute)).await
    }
    /// The ring-back-tone campaign, as far as `steps` of: created, submitted, approved, started.
    pub async fn ring_back(&self, steps: usize) -> Campaign {
        let slug = "ring-back-tone";
        let mut c = self.catalog.create(&self.planner, &def(slug), &mut counter(), at(1)).await.unwrap();
        let path = [
            (&self.planner, Step::Submit),
            (&self.approver, Step::Approve { seen: Some(c.content) }),
            (&self.operator, Step::Start),
        ];
        for (i, (actor, step)) in path.into_iter().take(steps).enumerate() {
            c = self.step(actor, slug, step, 2 + i as i64).await.unwrap();
        }
        c
    }
    /// A connection beside the catalog's own: what somebody with the file could do.
    pub async fn behind(&self, sql: &'static str) {
        let mut c = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&self.path)).await.unwrap();
        let done = sqlx::raw_sql(sql).execute(&mut c).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
        c.close().await.unwrap();
    }
}

/// The error with the causes below it.
pub fn say(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        text += &format!("\n  because: {cause}");
        next = cause.source();
    }
    text
}
