//! Waves, holdout salts, settings, idempotency keys.

use crate::support::{World, at, counter};
use expect_test::expect;
use kairos_catalog::{ContentHash, ErrorKind, Remembered, Step, WaveStart};
use kairos_model::{SnapshotId, UserId, WaveNo};
use serde_json::json;

const SLUG: &str = "ring-back-tone";

fn wave(no: u16) -> WaveStart {
    WaveStart {
        wave: WaveNo(no),
        audience: ContentHash([7; 32]),
        condition: ContentHash([8; 32]),
        members: 5000,
        snapshot: SnapshotId(3),
        as_of: at(0),
    }
}

#[tokio::test]
async fn a_wave_is_launched_once_and_only_while_the_campaign_runs() {
    let w = World::new().await;
    w.ring_back(2).await;
    let e = w.catalog.start_wave(&w.operator, SLUG, wave(1), at(4)).await.unwrap_err();
    expect!["cannot start wave 1 of `ring-back-tone`: campaign is approved; a wave starts only while it runs"]
        .assert_eq(&e.to_string());
    w.step(&w.operator, SLUG, Step::Start, 5).await.unwrap();
    let e = w.catalog.start_wave(&w.operator, SLUG, wave(2), at(6)).await.unwrap_err();
    expect!["cannot start wave 2 of `ring-back-tone`: the campaign has the waves 1"].assert_eq(&e.to_string());
    let started = w.catalog.start_wave(&w.operator, SLUG, wave(1), at(6)).await.unwrap();
    let e = w.catalog.start_wave(&w.operator, SLUG, wave(1), at(7)).await.unwrap_err();
    expect![
        "cannot start wave 1 of `ring-back-tone`: it was launched at 2026-03-02T00:36:00Z; a wave is launched once"
    ]
    .assert_eq(&e.to_string());
    assert_eq!(e.kind(), ErrorKind::Conflict);
    assert_eq!(w.catalog.waves(SLUG).await.unwrap(), [started]);
    assert_eq!((started.start, started.version.0, started.started_by), (wave(1), 1, w.operator.id()));
    w.catalog.verify_audit().await.unwrap();
}

#[tokio::test]
async fn the_holdout_is_drawn_once_a_period() {
    let w = World::new().await;
    let mut random = counter();
    let first = w.catalog.holdout(&w.operator, "2026-Q1", &mut random, at(1)).await.unwrap();
    let again = w.catalog.holdout(&w.planner, "2026-Q1", &mut random, at(2)).await.unwrap();
    let next = w.catalog.holdout(&w.operator, "2026-Q2", &mut random, at(3)).await.unwrap();
    assert_eq!((first.salt, &again, next.salt), (1, &first, 3));
    w.catalog.verify_audit().await.unwrap();
}

#[tokio::test]
async fn settings_are_kept_and_logged() {
    let w = World::new().await;
    assert_eq!(w.catalog.setting("kill-switch").await.unwrap(), None);
    for on in [true, false] {
        w.catalog.set_setting(&w.operator, "kill-switch", &json!({ "on": on }), at(1)).await.unwrap();
    }
    assert_eq!(w.catalog.setting("kill-switch").await.unwrap(), Some(json!({ "on": false })));
    assert_eq!(w.catalog.verify_audit().await.unwrap().entries, 10);
    let e = w.catalog.set_setting(&w.operator, "big", &json!("x".repeat(2 << 20)), at(2)).await.unwrap_err();
    expect!["`2097154 bytes` is no setting; at most 1 MiB is kept"].assert_eq(&e.to_string());
}

#[tokio::test]
async fn an_idempotency_key_answers_the_same_again() {
    let w = World::new().await;
    let (user, one, two) = (w.planner.id(), ContentHash([1; 32]), ContentHash([2; 32]));
    let claim = |key: &'static str, hash: ContentHash, minute: i64| {
        let catalog = &w.catalog;
        async move { catalog.claim_key(user, key, &hash, at(24 * 60), at(minute)).await }
    };
    assert_eq!(claim("k", one, 0).await.unwrap(), Remembered::Fresh);
    let busy = claim("k", one, 1).await.unwrap_err();
    expect!["the first request with this idempotency key is still running; ask again after 2026-03-02T00:35:00Z"]
        .assert_eq(&busy.to_string());
    w.catalog.answer(user, "k", 201, "{\"id\":1}").await.unwrap();
    let answered = Remembered::Answered { status: 201, body: "{\"id\":1}".to_owned() };
    assert_eq!(claim("k", one, 2).await.unwrap(), answered);
    let e = claim("k", two, 3).await.unwrap_err();
    assert_eq!(
        (e.to_string().as_str(), e.kind()),
        ("the idempotency key was used for another request; use a new key", ErrorKind::Conflict)
    );
    // another user's key of the same name is another key
    assert_eq!(w.catalog.claim_key(UserId(2), "k", &two, at(60), at(3)).await.unwrap(), Remembered::Fresh);
    // what failed before it did anything may come again; what never answered may after five minutes
    w.catalog.release(UserId(2), "k").await.unwrap();
    assert_eq!(w.catalog.claim_key(UserId(2), "k", &one, at(60), at(4)).await.unwrap(), Remembered::Fresh);
    assert_eq!(w.catalog.claim_key(UserId(2), "k", &one, at(60), at(9)).await.unwrap(), Remembered::Fresh);
    // forgotten at its expiry
    assert_eq!(claim("k", two, 24 * 60).await.unwrap(), Remembered::Fresh);
    assert!(claim("", one, 0).await.is_err());
}

#[tokio::test]
async fn a_refused_launch_leaves_the_campaign_approved() {
    let w = World::new().await;
    w.ring_back(2).await;
    let e = w.catalog.launch(&w.operator, SLUG, wave(2), &w.tenant, at(4)).await.unwrap_err();
    expect!["cannot start wave 2 of `ring-back-tone`: the campaign has the waves 1"].assert_eq(&e.to_string());
    assert_eq!(w.catalog.campaign(SLUG).await.unwrap().state.name(), "approved");
    let (c, started) = w.catalog.launch(&w.operator, SLUG, wave(1), &w.tenant, at(5)).await.unwrap();
    assert_eq!(
        (c.state.name(), started.start, w.catalog.campaign(SLUG).await.unwrap()),
        ("running", wave(1), c.clone())
    );
    let e = w.catalog.launch(&w.operator, SLUG, wave(1), &w.tenant, at(6)).await.unwrap_err();
    expect![
        "cannot start wave 1 of `ring-back-tone`: it was launched at 2026-03-02T00:35:00Z; a wave is launched once"
    ]
    .assert_eq(&e.to_string());
    w.step(&w.operator, SLUG, Step::Stop { reason: "done".to_owned() }, 7).await.unwrap();
    let e = w.catalog.launch(&w.operator, SLUG, wave(1), &w.tenant, at(8)).await.unwrap_err();
    expect![
        "cannot start `ring-back-tone`: campaign is ended; a campaign is launched once; write a new one with another id"
    ]
    .assert_eq(&e.to_string());
    assert_eq!(w.catalog.verify_audit().await.unwrap().entries, 8 + 3 + 3);
}
