//! At the door: tokens, unknown paths and methods, bodies that do not read.

use crate::support::{World, definition, request};
use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};

/// Every operation of the description: method, path with its places filled, whether it is guarded.
fn operations() -> Vec<(Method, String, bool)> {
    let api: Value = serde_json::from_str(&kairos_api::openapi_json()).unwrap();
    let mut all = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let filled = path.replace("{id}", "ring-back-tone").replace("{ordinal}", "s1");
            all.push((method, filled, operation.get("security").is_some()));
        }
    }
    all
}

#[tokio::test]
async fn every_route_is_attacked_without_a_token() {
    let w = World::empty().await;
    let all = operations();
    assert!(all.len() >= 26, "{}", all.len());
    let stranger = format!("kairos_{}", "0".repeat(64));
    let mut open = Vec::new();
    for (method, path, guarded) in all {
        let body = (method != Method::GET).then(|| json!({}));
        for token in ["", "nonsense", stranger.as_str()] {
            let reply = w.send(request(method.clone(), &path, token, &[], body.clone())).await;
            if guarded {
                assert_eq!(reply.problem(), (401, "token".to_owned()), "{method} {path}");
                assert_eq!(reply.header("www-authenticate"), "Bearer");
            } else {
                assert_eq!(reply.status, 200, "{method} {path}");
            }
        }
        if !guarded {
            open.push(path.clone());
        }
        // and each is there: whatever it answers to its owner, it is neither an unknown path nor an unknown method
        let reply = w.send(request(method.clone(), &path, &w.planner, &[], body)).await;
        if reply.status.as_u16() >= 400 {
            let (_, code) = reply.problem();
            assert!(code != "no_route" && code != "method", "{method} {path}");
        }
    }
    assert_eq!(open, ["/livez", "/openapi.json", "/readyz"]);
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case_and_no_other_is() {
    let w = World::empty().await;
    let with = |value: String| {
        Request::builder().uri("/v1/campaigns").header("authorization", value).body(Body::empty()).unwrap()
    };
    assert_eq!(w.send(with(format!("bearer {}", w.planner))).await.status, 200);
    assert_eq!(w.send(with(format!("Basic {}", w.planner))).await.problem().0, 401);
    w.app.catalog.revoke_tokens(&kairos_catalog::Actor::system(), "planner", w.app.now()).await.unwrap();
    assert_eq!(w.send(with(format!("Bearer {}", w.planner))).await.problem().0, 401);
}

#[tokio::test]
async fn paths_and_methods_that_nobody_takes() {
    let w = World::empty().await;
    for path in ["/", "/v1", "/v2/campaigns", "/v1/campaigns/ring-back-tone/explode"] {
        assert_eq!(w.get(&w.planner, path).await.problem(), (404, "no_route".to_owned()), "{path}");
    }
    let reply = w.send(request(Method::DELETE, "/v1/campaigns", &w.planner, &[], None)).await;
    assert_eq!(reply.problem(), (405, "method".to_owned()));
    assert_eq!(reply.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn a_number_in_a_path_is_never_said_again() {
    let w = World::empty().await;
    for path in ["/v1/subscribers/13912345678/explanation", "/v1/campaigns/139%2012345678", "/v1/tags/13912345678"] {
        let reply = w.get(&w.planner, path).await;
        assert_eq!(reply.problem().0, 404, "{path}");
        assert!(!reply.text.contains("12345678"), "{}", reply.text);
    }
    assert_eq!(w.get(&w.planner, "/v1/subscribers/s7/explanation").await.problem().1, "subscriber");
}

#[tokio::test]
async fn bodies_that_do_not_read() {
    let w = World::empty().await;
    let raw = |kind: &str, body: String| {
        Request::builder()
            .method("POST")
            .uri("/v1/campaigns")
            .header("authorization", format!("Bearer {}", w.planner))
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap()
    };
    let reply = w.send(raw("application/json", "{\"id\": ".to_owned())).await;
    assert_eq!(reply.problem(), (400, "malformed_json".to_owned()));
    let reply = w.send(raw("text/plain", "{}".to_owned())).await;
    assert_eq!(reply.problem(), (415, "media_type".to_owned()));
    let reply = w.send(raw("application/json", format!("\"{}\"", "x".repeat(300_000)))).await;
    assert_eq!(reply.problem(), (413, "body_too_large".to_owned()));

    let mut misspelt = definition();
    misspelt["bugdet"] = misspelt["budget"].take();
    misspelt.as_object_mut().unwrap().remove("budget");
    let reply = w.post(&w.planner, "/v1/campaigns", misspelt).await;
    assert_eq!(reply.problem(), (422, "body".to_owned()));
    let fault = &reply.json()["errors"][0];
    assert_eq!(fault["pointer"], "/bugdet");
    assert!(fault["detail"].as_str().unwrap().contains("did you mean `budget`?"), "{fault}");

    let mut wrong = definition();
    wrong["budget"]["amount"] = json!("a lot");
    let reply = w.post(&w.planner, "/v1/campaign-checks", wrong).await;
    assert_eq!((reply.problem().0, &reply.json()["errors"][0]["pointer"]), (422, &json!("/budget/amount")));
}

#[tokio::test]
async fn queries_that_do_not_read() {
    let w = World::empty().await;
    let table = [
        ("/v1/campaigns?colour=red", "query"),
        ("/v1/campaigns?limit=many", "query"),
        ("/v1/campaigns?limit=201", "limit"),
        ("/v1/campaigns?cursor=zzz", "cursor"),
        ("/v1/campaigns?state=lost", "query"),
        ("/v1/tags?cursor=k1", "cursor"),
        ("/v1/audit?cursor=-", "cursor"),
        ("/v1/audit?fields=nothing", "fields"),
        ("/v1/audit/verification?head=short", "head"),
    ];
    for (path, code) in table {
        assert_eq!(w.get(&w.planner, path).await.problem(), (400, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let w = World::empty().await;
    assert_eq!(w.get(&w.planner, "/v1/campaigns/nothing").await.problem(), (404, "campaign_not_found".to_owned()));
    assert_eq!(w.get(&w.planner, "/v1/tags/nothing").await.problem(), (404, "tag_not_found".to_owned()));
    let condition = json!({ "condition": "arpu_3m >= 80 yuan" });
    let reply = w.post(&w.planner, "/v1/audiences/count", condition).await;
    assert_eq!(reply.problem(), (409, "no_snapshot".to_owned()));
    let stop = json!({ "reason": "no" });
    let reply = w.post(&w.planner, "/v1/campaigns/nothing/stop", stop).await;
    assert_eq!(reply.problem(), (404, "campaign_not_found".to_owned()));
}
