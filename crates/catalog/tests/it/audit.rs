//! The log finds what was changed, removed, cut or done behind it.

use crate::support::{World, at};
use expect_test::{Expect, expect};
use kairos_catalog::{CatalogError, ErrorKind, Head, Step};

/// What the log says after `sql` was done behind it.
async fn found(sql: &'static str, want: Expect) {
    let w = World::new().await;
    w.ring_back(2).await;
    let head = w.catalog.audit_head().await.unwrap();
    w.catalog.verify_audit_against(&head).await.unwrap();
    w.behind(sql).await;
    let e = w.catalog.verify_audit_against(&head).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Failure);
    want.assert_eq(&e.to_string());
}

#[tokio::test]
async fn every_change_is_in_the_log_and_the_log_holds() {
    let w = World::new().await;
    let c = w.ring_back(3).await;
    w.step(&w.operator, &c.slug, Step::Stop { reason: "enough".to_owned() }, 9).await.unwrap();
    let page = w.catalog.audit_entries(None, None, 200).await.unwrap();
    let lines: Vec<_> =
        page.items.iter().map(|e| format!("{} {} {} {} {}", e.seq, e.at, e.user_name, e.action, e.subject)).collect();
    expect![[r#"
        1 2026-03-02T00:30:00Z system user.create user:1
        2 2026-03-02T00:30:00Z system user.token user:1
        3 2026-03-02T00:30:00Z system user.create user:2
        4 2026-03-02T00:30:00Z system user.token user:2
        5 2026-03-02T00:30:00Z system user.create user:3
        6 2026-03-02T00:30:00Z system user.token user:3
        7 2026-03-02T00:30:00Z system user.create user:4
        8 2026-03-02T00:30:00Z system user.token user:4
        9 2026-03-02T00:31:00Z planner campaign.create campaign:1
        10 2026-03-02T00:32:00Z planner campaign.submit campaign:1
        11 2026-03-02T00:33:00Z approver campaign.approve campaign:1
        12 2026-03-02T00:34:00Z operator campaign.start campaign:1
        13 2026-03-02T00:39:00Z operator campaign.stop campaign:1"#]]
    .assert_eq(&lines.join("\n"));
    assert_eq!(page.items[12].detail["reason"], "enough");
    assert_eq!(page.items[9].before, page.items[8].after);

    let verified = w.catalog.verify_audit().await.unwrap();
    let head = w.catalog.audit_head().await.unwrap();
    assert_eq!((verified.entries, verified.head), (13, head.hash));
    assert_eq!(head.to_string().parse(), Ok(head));

    let of_campaign = w.catalog.audit_entries(Some("campaign:1"), None, 2).await.unwrap();
    let rest = w.catalog.audit_entries(Some("campaign:1"), of_campaign.next.as_deref(), 10).await.unwrap();
    assert_eq!((of_campaign.items.len(), rest.items.len(), rest.next), (2, 3, None));
}

#[tokio::test]
async fn a_refused_change_leaves_no_entry() {
    let w = World::new().await;
    w.ring_back(1).await;
    let before = w.catalog.audit_head().await.unwrap();
    w.step(&w.planner, "ring-back-tone", Step::Approve { seen: None }, 3).await.unwrap_err();
    assert_eq!(w.catalog.audit_head().await.unwrap(), before);
}

#[tokio::test]
async fn a_changed_entry_is_found() {
    found(
        "UPDATE audit SET entry = replace(entry, '\"approver\"', '\"planner\"') WHERE seq = 11",
        expect!["the audit log does not hold at entry 11: the entry was changed: it does not have its hash"],
    )
    .await;
}

#[tokio::test]
async fn a_changed_hash_is_found() {
    found(
        "UPDATE audit SET hash = replace(hash, substr(hash, 1, 4), 'abcd') WHERE seq = 3",
        expect!["the audit log does not hold at entry 3: the entry was changed: it does not have its hash"],
    )
    .await;
}

#[tokio::test]
async fn a_removed_entry_is_found() {
    found("DELETE FROM audit WHERE seq = 10", expect!["the audit log does not hold at entry 10: the entry is missing"])
        .await;
    found("DELETE FROM audit WHERE seq = 1", expect!["the audit log does not hold at entry 1: the entry is missing"])
        .await;
}

#[tokio::test]
async fn exchanged_entries_are_found() {
    found(
        "UPDATE audit SET seq = 99 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 7; UPDATE audit SET seq = 7 WHERE seq = 99",
        expect!["the audit log does not hold at entry 5: it does not continue the entry before it"],
    )
    .await;
}

#[tokio::test]
async fn a_cut_tail_is_found_with_the_head_that_was_kept() {
    found(
        "DELETE FROM audit WHERE seq > 8; DELETE FROM campaign_versions; DELETE FROM campaigns",
        expect!["the audit log does not hold at entry 9: the log ends here, but the head that you keep has 11 entries: its tail was cut"],
    )
    .await;
}

#[tokio::test]
async fn a_cut_tail_alone_is_found_by_what_it_left() {
    found(
        "DELETE FROM audit WHERE seq = 11",
        expect!["the audit log does not hold at entry 11: the log ends here, but the head that you keep has 11 entries: its tail was cut"],
    )
    .await;
    let w = World::new().await;
    w.ring_back(2).await;
    w.behind("DELETE FROM audit WHERE seq = 11").await;
    let e = w.catalog.verify_audit().await.unwrap_err();
    expect!["the audit log does not hold at entry 10: campaign:1 is not what this entry, its last one, left: it was changed behind the log"]
        .assert_eq(&e.to_string());
}

#[tokio::test]
async fn an_exchanged_chain_is_found_with_the_head_that_was_kept() {
    let w = World::new().await;
    w.ring_back(0).await;
    let kept = w.catalog.audit_head().await.unwrap();
    let other = World::new().await;
    other.catalog.set_setting(&other.planner, "kill-switch", &serde_json::json!(true), at(1)).await.unwrap();
    other.ring_back(1).await;
    other.catalog.verify_audit().await.unwrap();
    let e = other.catalog.verify_audit_against(&kept).await.unwrap_err();
    expect![
        "the audit log does not hold at entry 9: it is not the entry of the head that you keep: the chain was exchanged"
    ]
    .assert_eq(&e.to_string());
}

#[tokio::test]
async fn a_state_changed_behind_the_log_is_found() {
    found(
        "UPDATE campaigns SET state_name = 'running'",
        expect!["the audit log does not hold at entry 11: campaign:1 is not what this entry, its last one, left: it was changed behind the log"],
    )
    .await;
    found(
        "UPDATE campaigns SET salt = '0000000000000009'",
        expect!["the audit log does not hold at entry 11: campaign:1 is not what this entry, its last one, left: it was changed behind the log"],
    )
    .await;
    found(
        "UPDATE users SET roles = '[\"approver\"]' WHERE name = 'planner'",
        expect!["the audit log does not hold at entry 2: user:1 is not what this entry, its last one, left: it was changed behind the log"],
    )
    .await;
}

#[tokio::test]
async fn a_change_behind_the_log_is_found_even_after_a_later_honest_one() {
    let w = World::new().await;
    w.ring_back(2).await;
    w.behind("UPDATE campaigns SET salt = '0000000000000009'").await;
    w.step(&w.operator, "ring-back-tone", Step::Start, 5).await.unwrap();
    let e = w.catalog.verify_audit().await.unwrap_err();
    expect!["the audit log does not hold at entry 12: its subject was changed behind the log before this entry"]
        .assert_eq(&e.to_string());
}

#[tokio::test]
async fn somebody_the_log_never_heard_of_is_found() {
    found(
        "INSERT INTO users (id, name, roles, active, created_at) VALUES (9, 'ghost', '[]', 1, 0)",
        expect!["the audit log does not hold at entry 11: user:9 is in the catalog, but no entry speaks of it"],
    )
    .await;
}

#[test]
fn what_is_no_head_says_so() {
    let e = "13:abc".parse::<Head>().unwrap_err();
    expect!["`abc` is no hash; expected 64 hexadecimal digits"].assert_eq(&e.to_string());
    assert!("x".parse::<Head>().is_err());
}

#[tokio::test]
async fn an_empty_log_verifies_and_belongs_to_its_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let one = kairos_catalog::Catalog::open(&folder.path().join("1"), kairos_model::TenantId(1)).await.unwrap();
    let two = kairos_catalog::Catalog::open(&folder.path().join("2"), kairos_model::TenantId(2)).await.unwrap();
    assert_eq!(one.verify_audit().await.unwrap().entries, 0);
    let head = one.audit_head().await.unwrap();
    assert!(matches!(two.verify_audit_against(&head).await, Err(CatalogError::Broken(_))));
}
