//! Users, tokens, actors.

use crate::support::{TENANT, World, at, counter};
use expect_test::expect;
use kairos_catalog::{Actor, Catalog, ErrorKind};

#[tokio::test]
async fn a_token_names_its_user_and_only_its_hash_is_kept() {
    let w = World::new().await;
    assert_eq!(
        (w.planner.name(), w.planner.has_role("planner"), w.approver.roles()),
        ("planner", true, &["approver".to_owned()][..])
    );
    assert!(w.catalog.seed_users(&mut counter(), at(1)).await.unwrap().is_empty(), "seeded once");
    w.catalog.clone().close().await;
    for file in std::fs::read_dir(w.path.parent().unwrap()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for token in &w.tokens {
            let digits = token.strip_prefix("kairos_").unwrap().as_bytes();
            assert!(!bytes.windows(digits.len()).any(|b| b == digits), "a token stands in the file");
        }
    }
}

#[tokio::test]
async fn what_is_no_token_is_nobody() {
    let w = World::new().await;
    let good = &w.tokens[0];
    for wrong in ["", "planner", "kairos_", &good[..70], &good.replace("kairos_01", "kairos_ff"), &format!("{good}0")] {
        assert_eq!(w.catalog.authenticate(wrong, at(1)).await.unwrap(), None, "{wrong}");
    }
    assert_eq!(w.catalog.authenticate(&format!(" {good}\n"), at(1)).await.unwrap().as_ref(), Some(&w.planner));
}

#[tokio::test]
async fn tokens_expire_and_are_revoked_and_a_closed_user_changes_nothing_more() {
    let w = World::new().await;
    let (mut random, system) = (counter(), Actor::system());
    w.catalog.create_user(&system, "li", &["planner"], at(1)).await.unwrap();
    // the seeded tokens took the first four draws
    for _ in 0..4 {
        random(&mut [0; 8]);
    }
    let token = w.catalog.issue_token(&system, "li", "laptop", Some(at(60)), &mut random, at(1)).await.unwrap();
    assert_eq!(format!("{token:?}"), "kairos_****");
    assert!(w.catalog.authenticate(token.reveal(), at(59)).await.unwrap().is_some());
    assert!(w.catalog.authenticate(token.reveal(), at(60)).await.unwrap().is_none(), "expired");
    let li = w.catalog.authenticate(token.reveal(), at(2)).await.unwrap().unwrap();
    assert_eq!(w.catalog.revoke_tokens(&li, "li", at(3)).await.unwrap(), 1);
    assert!(w.catalog.authenticate(token.reveal(), at(4)).await.unwrap().is_none(), "revoked");

    w.catalog.set_active(&system, "li", false, at(5)).await.unwrap();
    let e = w.catalog.create_user(&li, "wang", &[], at(6)).await.unwrap_err();
    assert_eq!((e.to_string().as_str(), e.kind()), ("user `li` is no longer active", ErrorKind::Denied));
    let e = w.catalog.issue_token(&system, "li", "again", None, &mut random, at(7)).await.unwrap_err();
    assert_eq!(e.to_string(), "user `li` is no longer active");
    let e = w.catalog.create_user(&system, "li", &[], at(8)).await.unwrap_err();
    assert_eq!(e.to_string(), "user `li` is there already");
    let e = w.catalog.create_user(&system, "system", &[], at(8)).await.unwrap_err();
    expect!["`system` is no user name; use 1–64 of a–z, 0–9, - and _, and not `system`"].assert_eq(&e.to_string());
    assert_eq!(w.catalog.user_name(li.id()).await.unwrap(), "li");
    assert_eq!(w.catalog.users().await.unwrap().iter().filter(|u| u.active).count(), 4);
    w.catalog.verify_audit().await.unwrap();
}

#[tokio::test]
async fn an_actor_of_another_catalog_is_nobody_here() {
    let w = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let other = Catalog::open(&folder.path().join("c"), TENANT).await.unwrap();
    let e = other.create_user(&w.planner, "li", &[], at(1)).await.unwrap_err();
    assert_eq!(e.to_string(), "user `planner` is no longer active");
    assert!(other.create_user(&Actor::system(), "li", &[], at(1)).await.is_ok());
}

#[tokio::test]
async fn nobody_gets_a_token_in_somebody_elses_name() {
    let w = World::new().await;
    let mut random = counter();
    (0..8).for_each(|_| random(&mut [0; 8]));
    let e = w.catalog.issue_token(&w.planner, "approver", "mine", None, &mut random, at(1)).await.unwrap_err();
    expect!["`planner` may not issue a token of `approver`; ask an administrator"].assert_eq(&e.to_string());
    assert_eq!(e.kind(), ErrorKind::Denied);
    let e = w.catalog.create_user(&w.planner, "shadow", &["approver"], at(1)).await.unwrap_err();
    expect!["`planner` may not create the account of `shadow`; ask an administrator"].assert_eq(&e.to_string());
    assert!(w.catalog.set_active(&w.planner, "approver", false, at(1)).await.is_err());
    let own = w.catalog.issue_token(&w.planner, "planner", "phone", None, &mut random, at(1)).await.unwrap();
    assert_eq!(w.catalog.authenticate(own.reveal(), at(2)).await.unwrap(), Some(w.planner.clone()));

    w.catalog.create_user(&Actor::system(), "zhao", &["administrator"], at(2)).await.unwrap();
    let token = w.catalog.issue_token(&Actor::system(), "zhao", "first", None, &mut random, at(2)).await.unwrap();
    let zhao = w.catalog.authenticate(token.reveal(), at(3)).await.unwrap().unwrap();
    assert!(w.catalog.create_user(&zhao, "sun", &["approver"], at(3)).await.is_ok());
}
