//! A campaign's life over HTTP, on a small province.

use crate::support::{World, definition};
use serde_json::{Value, json};

const ONE: &str = "/v1/campaigns/ring-back-tone";

fn sum(counts: &Value) -> u64 {
    counts.as_array().unwrap().iter().map(|c| c["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn an_edit_names_what_it_edits_and_an_approval_what_was_read() {
    let w = World::empty().await;
    let made = w.post(&w.planner, "/v1/campaigns", definition()).await;
    let (tag, campaign) = (made.header("etag").to_owned(), made.ok());
    assert_eq!((&campaign["@type"], &campaign["href"]), (&json!("Campaign"), &json!(ONE)));
    assert_eq!(
        (&campaign["state"], &campaign["standing"]["submitted"]["by"]),
        (&json!("submitted"), &json!("planner"))
    );
    assert_eq!(campaign["definition"]["budget"]["cost_per_contact"], "0.05");
    let hash = campaign["content_hash"].clone();
    assert_eq!(w.get(&w.approver, ONE).await.header("etag"), tag);

    let approve = json!({ "content_hash": hash });
    let path = format!("{ONE}/approve");
    assert_eq!(w.post(&w.planner, &path, approve.clone()).await.problem(), (403, "own_work".to_owned()));
    let reply = w.post(&w.approver, &path, json!({ "content_hash": "0".repeat(64) })).await;
    assert_eq!(reply.problem(), (409, "content_changed".to_owned()));
    assert_eq!(w.post(&w.approver, &path, json!({})).await.problem(), (422, "body".to_owned()));

    let mut edited = definition();
    edited["priority"] = json!(600);
    let put = |tag: Option<&'static str>, body: Value| w.put(&w.planner, ONE, tag, body);
    assert_eq!(put(None, edited.clone()).await.problem(), (428, "precondition_required".to_owned()));
    for stale in ["\"1\"", "*", "\"x\"", "2"] {
        let reply = put(Some(stale), edited.clone()).await;
        assert_eq!(reply.problem(), (412, "precondition_failed".to_owned()), "{stale}");
    }
    let reply = w.put(&w.planner, ONE, Some(&tag), edited.clone()).await;
    assert_ne!(reply.header("etag"), tag);
    let second = reply.ok();
    assert_eq!((&second["version"], &second["state"]), (&json!(2), &json!("submitted")));
    // who read the first version approves nothing of the second
    assert_eq!(w.post(&w.approver, &path, approve).await.problem(), (409, "content_changed".to_owned()));
    let mut renamed = edited;
    renamed["id"] = json!("other");
    let tag = w.get(&w.planner, ONE).await.header("etag").to_owned();
    assert_eq!(w.put(&w.planner, ONE, Some(&tag), renamed).await.problem(), (422, "campaign_id".to_owned()));

    let rejected = w.post(&w.approver, &format!("{ONE}/reject"), json!({ "reason": "too dear" })).await.ok();
    assert_eq!(
        (&rejected["state"], &rejected["standing"]["rejected"]["reason"]),
        (&json!("draft"), &json!("too dear"))
    );
    let reply = w.post(&w.approver, &format!("{ONE}/start"), json!({})).await;
    assert_eq!(reply.problem().0, 409);
}

#[tokio::test]
async fn lists_come_in_pages_with_the_fields_asked_for() {
    let w = World::empty().await;
    for id in ["a", "b", "c"] {
        let mut def = definition();
        def["id"] = json!(id);
        assert_eq!(w.post(&w.planner, "/v1/campaigns", def).await.status, 201);
    }
    let first = w.get(&w.planner, "/v1/campaigns?limit=2&fields=state").await.ok();
    assert_eq!(
        first["items"][1],
        json!({ "id": "b", "href": "/v1/campaigns/b", "@type": "Campaign", "state": "submitted" })
    );
    let next = first["next"].as_str().unwrap();
    let second = w.get(&w.planner, &format!("/v1/campaigns?limit=2&cursor={next}")).await.ok();
    assert_eq!((&second["items"][0]["id"], second.get("next")), (&json!("c"), None));
    assert_eq!(second["as_of"], "2026-03-02T01:30:00Z");
    let none = w.get(&w.planner, "/v1/campaigns?state=running&class=marketing").await.ok();
    assert_eq!(none["items"], json!([]));
}

/// What speaks against a contact of this subscriber now.
async fn against(w: &World, subscriber: &str) -> Vec<String> {
    let path = format!("/v1/subscribers/{subscriber}/explanation?campaign=ring-back-tone&lang=en");
    let why = w.get(&w.operator, &path).await.ok();
    let reasons = why["campaigns"][0]["against"].as_array().unwrap().iter();
    reasons.map(|r| r["reason"].as_str().unwrap().to_owned()).collect()
}

/// The first subscriber whom nobody forbids to contact.
async fn willing(w: &World) -> String {
    for n in 0..400 {
        let subscriber = format!("s{n}");
        if !against(w, &subscriber).await.contains(&"no_consent".to_owned()) {
            return subscriber;
        }
    }
    panic!("nobody has agreed to anything");
}

#[tokio::test]
async fn from_a_count_to_a_report() {
    let w = World::province().await;
    // who
    let condition = json!({ "condition": "arpu_3m >= 1 yuan and not has_ring_back_tone" });
    let count = w.post(&w.planner, "/v1/audiences/count?lang=en", condition.clone()).await.ok();
    let matched = count["count"].as_u64().unwrap();
    assert_eq!((count["funnel"].as_array().unwrap().len(), &count["funnel"][1]["left"]), (2, &json!(matched)));
    assert!(matched > 0 && count["everyone"] == 400, "{count}");
    let misspelt = json!({ "condition": "arpu_3n >= 1 yuan" });
    let reply = w.post(&w.planner, "/v1/audiences/count", misspelt).await;
    assert_eq!(
        (reply.problem().1.as_str(), &reply.json()["errors"][0]["pointer"]),
        ("condition", &json!("/condition"))
    );
    let tree = json!({ "condition": { "combinator": "and", "rules": [
        { "field": "arpu_3m", "operator": ">=", "value": "1 yuan" },
        { "field": "has_ring_back_tone", "operator": "=", "value": false } ] } });
    assert_eq!(w.post(&w.planner, "/v1/audiences/count", tree).await.ok()["count"], matched);
    let frozen = w.post(&w.planner, "/v1/audiences", condition.clone()).await;
    assert_eq!((frozen.status.as_u16(), &frozen.ok()["members"]), (201, &json!(matched)));

    // check, submit, approve, simulate
    let check = w.post(&w.planner, "/v1/campaign-checks", definition()).await.ok();
    assert_eq!((&check["sound"], &check["members"]), (&json!(true), &json!(matched)), "{check}");
    let campaign = w.post(&w.planner, "/v1/campaigns", definition()).await.ok();
    let approve = json!({ "content_hash": campaign["content_hash"] });
    let approved = w.post(&w.approver, &format!("{ONE}/approve"), approve).await.ok();
    assert_eq!(approved["standing"]["approval"]["by"], "approver");
    let fall = w.post(&w.planner, &format!("{ONE}/simulate"), json!({})).await.ok();
    let terms = ["control", "holdout", "sent"].iter().map(|k| fall[k].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum(&fall["withheld"]) + sum(&fall["deferred"]) + terms, matched, "{fall}");

    // launch once
    let start = format!("{ONE}/start");
    let launched = w.keyed(&w.operator, &start, "launch", json!({})).await.ok();
    assert_eq!((&launched["wave"], &launched["campaign"]["waves"][0]["members"]), (&json!(1), &json!(matched)));
    assert_eq!(w.keyed(&w.operator, &start, "launch", json!({})).await.ok(), launched);
    assert_eq!(w.post(&w.operator, &start, json!({})).await.problem(), (409, "second_launch".to_owned()));
    let tag = w.get(&w.planner, ONE).await.header("etag").to_owned();
    let mut edited = definition();
    edited["priority"] = json!(1);
    assert_eq!(w.put(&w.planner, ONE, Some(&tag), edited).await.problem(), (409, "wrong_state".to_owned()));

    // pause, resume, opt out, stop
    let reply = w.post(&w.operator, &format!("{ONE}/pause"), json!({ "reason": " " })).await;
    assert_eq!((reply.problem().1.as_str(), &reply.json()["errors"][0]["pointer"]), ("reason", &json!("/reason")));
    let paused = w.post(&w.operator, &format!("{ONE}/pause"), json!({ "reason": "complaints" })).await.ok();
    assert_eq!(paused["standing"]["paused"]["reason"], "complaints");
    assert_eq!(w.post(&w.operator, &format!("{ONE}/resume"), json!({})).await.ok()["state"], "running");
    let willing = willing(&w).await;
    let out = w.post(&w.operator, "/v1/opt-outs", json!({ "subscriber": willing, "class": "marketing" })).await.ok();
    assert_eq!((&out["subscriber"], &out["number_suppressed"]), (&json!(willing), &json!(false)));
    assert!(against(&w, &willing).await.contains(&"no_consent".to_owned()));
    let out = w.post(&w.operator, "/v1/opt-outs", json!({ "subscriber": "s6" })).await.ok();
    let why = w.get(&w.operator, "/v1/subscribers/s6/explanation?at=2026-03-02T09:30:00%2B08:00").await.ok();
    assert_eq!((&why["id"], &why["suppressed"]), (&json!("s6"), &out["number_suppressed"]));
    for (body, pointer) in [
        (json!({ "subscriber": "13912345678" }), "/subscriber"),
        (json!({ "subscriber": "s5", "class": "x" }), "/class"),
    ] {
        let reply = w.post(&w.operator, "/v1/opt-outs", body).await;
        assert_eq!((reply.problem().0, &reply.json()["errors"][0]["pointer"]), (422, &json!(pointer)));
    }
    let stopped = w.post(&w.operator, &format!("{ONE}/stop"), json!({ "reason": "enough" })).await.ok();
    assert_eq!((&stopped["state"], &stopped["standing"]["ended"]["cause"]), (&json!("ended"), &json!("stopped")));

    // what became of them
    let report = w.get(&w.planner, &format!("{ONE}/report")).await.ok();
    let total = &report["total"];
    let states =
        ["not_reached", "withheld", "deferred", "control", "pending", "sent", "failed", "cancelled", "unknown"];
    assert_eq!(states.iter().map(|s| total[s].as_u64().unwrap()).sum::<u64>(), matched, "{total}");
    assert_eq!(sum(&total["withheld_by"]), total["withheld"].as_u64().unwrap());
    assert_eq!((&report["state"], &report["account"]["cost"]["currency"]), (&json!("ended"), &json!("CNY")));

    // the records
    let tags = w.get(&w.planner, "/v1/tags?limit=200").await.ok();
    assert_eq!(tags["items"].as_array().unwrap().len(), 200, "a page");
    let arpu = w.get(&w.planner, "/v1/tags/arpu_3m").await.ok();
    let spend =
        w.get(&w.planner, &format!("/v1/tags?limit=200&category={}", arpu["category"].as_str().unwrap())).await.ok();
    let arpu = spend["items"].as_array().unwrap().iter().find(|t| t["id"] == "arpu_3m").unwrap();
    assert_eq!((&arpu["value_type"], &arpu["coverage"]["subscribers"]), (&json!("money"), &json!(400)));
    assert_eq!(&w.get(&w.planner, "/v1/tags/arpu_3m").await.ok(), arpu);
    for import in w.get(&w.planner, "/v1/imports?limit=200").await.ok()["items"].as_array().unwrap() {
        let of = |k: &str| import[k].as_u64().unwrap();
        assert_eq!(of("read"), of("accepted") + of("duplicate") + of("quarantined"), "{import}");
    }
    let held = w.get(&w.planner, "/v1/audit/verification").await.ok();
    assert_eq!(held["holds"], true);
    let head = held["head"].as_str().unwrap();
    assert_eq!(w.get(&w.planner, &format!("/v1/audit/verification?head={head}")).await.ok()["holds"], true);
    let other = format!("/v1/audit/verification?head=1:{}", "0".repeat(64));
    let broken = w.get(&w.planner, &other).await.ok();
    assert_eq!((&broken["holds"], &broken["broken_at"]), (&json!(false), &json!(1)));
}
