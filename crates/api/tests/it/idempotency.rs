//! The same key, the same answer; another request, a refusal.

use crate::support::{World, definition};
use serde_json::json;

#[tokio::test]
async fn a_repeated_request_is_answered_and_not_done_again() {
    let w = World::empty().await;
    let post = |key: &'static str, body| w.keyed(&w.planner, "/v1/campaigns", key, body);
    let first = post("a-1", definition()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = post("a-1", definition()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(again.header("location"), "/v1/campaigns/ring-back-tone");

    let mut other = definition();
    other["priority"] = json!(7);
    assert_eq!(post("a-1", other).await.problem(), (409, "idempotency_key_reused".to_owned()));
    // a new key is a new intent, and the id is taken
    assert_eq!(post("a-2", definition()).await.problem(), (409, "campaign_exists".to_owned()));
    // a key is its user's own
    let reply = w.keyed(&w.approver, "/v1/campaigns", "a-1", definition()).await;
    assert_eq!(reply.problem(), (409, "campaign_exists".to_owned()));

    let log = w.get(&w.planner, "/v1/audit?subject=campaign:1").await.ok();
    let actions: Vec<_> = log["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["campaign.create", "campaign.submit"]);
}

#[tokio::test]
async fn a_refused_request_frees_its_key() {
    let w = World::empty().await;
    let mut unsound = definition();
    unsound["control"] = json!({ "share": "0%" });
    let reply = w.keyed(&w.planner, "/v1/campaigns", "k", unsound).await;
    assert_eq!(reply.problem(), (422, "definition_findings".to_owned()));
    let pointers: Vec<_> = reply.json()["errors"].as_array().unwrap().iter().map(|f| f["pointer"].clone()).collect();
    assert!(pointers.contains(&json!("/control/reason")), "{pointers:?}");
    assert_eq!(w.keyed(&w.planner, "/v1/campaigns", "k", definition()).await.status, 201);
    let reply = w.keyed(&w.planner, "/v1/campaigns", "", definition()).await;
    assert_eq!(reply.problem(), (400, "idempotency_key".to_owned()));
}
