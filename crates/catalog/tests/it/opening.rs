//! Opening: what is no catalog, is locked, is newer or somebody else's.

use crate::support::{TENANT, World, at, say};
use expect_test::expect;
use kairos_catalog::{Actor, Catalog, CatalogError, ErrorKind};
use kairos_model::TenantId;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::path::Path;

async fn refused(path: &Path, tenant: TenantId) -> String {
    let e = Catalog::open(path, tenant).await.expect_err("must be refused");
    let folder = path.parent().unwrap().display().to_string();
    format!("{:?}: {}", e.kind(), say(&e).replace(&folder, "DIR"))
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.sqlite");
    std::fs::write(&garbage, "not a database, but long enough to have a header of its own ".repeat(40)).unwrap();
    expect![[r#"
        Failure: cannot open the catalog `DIR/garbage.sqlite`: it is not a catalog (no SQLite file); restore it from a backup
          because: error returned from database: (code: 26) file is not a database
          because: (code: 26) file is not a database"#]].assert_eq(&refused(&garbage, TENANT).await);
    assert_eq!(std::fs::read(&garbage).unwrap().len(), 2400, "left as it was");
    expect![[r#"
        Unavailable: cannot open the catalog `DIR/catalog.sqlite`: it cannot be opened or made; check that its folder is there and may be written
          because: error returned from database: (code: 14) unable to open database file
          because: (code: 14) unable to open database file"#]]
        .assert_eq(&refused(&folder.path().join("nowhere/catalog.sqlite"), TENANT).await.replace("/nowhere", ""));
}

#[tokio::test]
async fn a_newer_schema_and_another_tenant_are_refused() {
    let w = World::new().await;
    w.catalog.clone().close().await;
    expect!["Failure: the catalog `DIR/catalog.sqlite` belongs to tenant 1, not to t2; check the data directory"]
        .assert_eq(&refused(&w.path, TenantId(2)).await);
    w.behind(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'later', 1, x'00', 0)",
    )
    .await;
    expect!["Failure: the catalog `DIR/catalog.sqlite` has schema 99, newer than the 1 of this program; run the newer program"].assert_eq(&refused(&w.path, TENANT).await);
}

#[tokio::test]
async fn a_catalog_opens_again_as_it_was() {
    let w = World::new().await;
    let c = w.ring_back(3).await;
    w.catalog.clone().close().await;
    let again = Catalog::open(&w.path, TENANT).await.unwrap();
    assert_eq!(again.campaign(&c.slug).await.unwrap(), c);
    assert_eq!(again.verify_audit().await.unwrap().entries, 12);
}

#[tokio::test]
async fn a_lock_that_does_not_end_says_so_and_changes_nothing() {
    let w = World::new().await;
    let impatient = Catalog::open_waiting(&w.path, TENANT, std::time::Duration::ZERO).await.unwrap();
    let options = SqliteConnectOptions::new().filename(&w.path);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let e = impatient.create_user(&Actor::system(), "li", &[], at(1)).await.unwrap_err();
    assert!(matches!(e, CatalogError::Locked { .. }), "{e:?}");
    assert_eq!(e.kind(), ErrorKind::Unavailable);
    expect![[r#"
        cannot create a user: another process is writing to the catalog; try again
          because: error returned from database: (code: 5) database is locked
          because: (code: 5) database is locked"#]]
    .assert_eq(&say(&e));
    held.rollback().await.unwrap();
    assert!(w.catalog.create_user(&Actor::system(), "li", &[], at(1)).await.is_ok());
}

#[tokio::test]
async fn a_damaged_page_is_told_from_a_lock() {
    let w = World::new().await;
    w.ring_back(3).await;
    w.catalog.clone().close().await;
    let mut bytes = std::fs::read(&w.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0x5a);
    std::fs::write(&w.path, bytes).unwrap();
    let text = refused(&w.path, TENANT).await;
    assert!(text.starts_with("Failure: cannot"), "{text}");
    assert!(text.contains("damaged") || text.contains("backup"), "{text}");
}
