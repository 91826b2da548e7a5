//! draft → submitted → approved → running ⇄ paused → ended → evaluated, and every way that is refused.

use crate::support::{World, at, counter, def, say};
use expect_test::expect;
use kairos_catalog::{
    Actor, CampaignFilter, CampaignState, CatalogError, EndCause, ErrorKind, Signed, Step, canonical::ContentHash,
};
use kairos_model::{CampaignClass, CampaignId, CampaignVersion};

const SLUG: &str = "ring-back-tone";

fn why(text: &str) -> String {
    text.to_owned()
}
fn every_step() -> Vec<Step> {
    vec![
        Step::Submit,
        Step::Withdraw { reason: why("r") },
        Step::Approve { seen: None },
        Step::Reject { reason: why("r") },
        Step::Start,
        Step::Pause { reason: why("r") },
        Step::Resume,
        Step::Stop { reason: why("r") },
        Step::Complete,
    ]
}

#[tokio::test]
async fn a_campaign_lives_and_every_state_carries_its_facts() {
    let w = World::new().await;
    let c = w.ring_back(3).await;
    assert_eq!((c.id, c.version, c.revision), (CampaignId(1), CampaignVersion(1), 4));
    let approval = *c.state.approval().unwrap();
    assert_eq!(approval.submitted, Signed { by: w.planner.id(), at: at(2) });
    assert_eq!(approval.signed, Signed { by: w.approver.id(), at: at(3) });
    assert_eq!((approval.content, approval.version), (c.content, CampaignVersion(1)));
    assert_eq!(c.state.started(), Some(Signed { by: w.operator.id(), at: at(4) }));

    let c = w.step(&w.operator, SLUG, Step::Pause { reason: why(" too many complaints ") }, 5).await.unwrap();
    let CampaignState::Paused { reason, paused, .. } = &c.state else { panic!("{:?}", c.state) };
    assert_eq!((reason.as_str(), paused.at), ("too many complaints", at(5)));
    w.step(&w.operator, SLUG, Step::Resume, 6).await.unwrap();
    let c = w.step(&Actor::system(), SLUG, Step::Complete, 7).await.unwrap();
    let CampaignState::Ended { cause, started, .. } = &c.state else { panic!("{:?}", c.state) };
    assert_eq!((cause, started.at), (&EndCause::Completed, at(4)));

    let result = serde_json::json!({ "uplift": "2.1" });
    let (c, first) = w.catalog.evaluate(&w.analyst, SLUG, &result, at(8)).await.unwrap();
    let (_, second) = w.catalog.evaluate(&w.analyst, SLUG, &result, at(9)).await.unwrap();
    assert_eq!((c.state.name(), first.no, second.no), ("evaluated", 1, 2));
    assert_eq!(w.catalog.evaluations(SLUG).await.unwrap(), [first, second]);
    assert_eq!(
        c,
        w.catalog
            .campaign_by_id(c.id)
            .await
            .map(|again| kairos_catalog::Campaign {
                state: c.state.clone(),
                updated_at: c.updated_at,
                revision: c.revision,
                ..again
            })
            .unwrap()
    );
}

#[tokio::test]
async fn calls_may_move_between_threads_as_servers_need() {
    fn sendable<T: Send>(call: T) -> T {
        call
    }
    let w = World::new().await;
    let (def, mut random) = (def(SLUG), counter());
    sendable(w.catalog.put(&w.planner, &def, &mut random, at(1))).await.unwrap();
    sendable(w.catalog.step(&w.planner, SLUG, &Step::Submit, &w.tenant, at(2))).await.unwrap();
    sendable(w.catalog.verify_audit()).await.unwrap();
    sendable(w.catalog.authenticate(&w.tokens[0], at(3))).await.unwrap();
}

#[tokio::test]
async fn every_step_in_every_state() {
    let mut table = String::new();
    for state in ["draft", "submitted", "approved", "running", "paused", "ended"] {
        let w = World::new().await;
        let reached = match state {
            "draft" => 0,
            "submitted" => 1,
            "approved" => 2,
            _ => 3,
        };
        w.ring_back(reached).await;
        match state {
            "paused" => drop(w.step(&w.operator, SLUG, Step::Pause { reason: why("r") }, 5).await.unwrap()),
            "ended" => drop(w.step(&w.operator, SLUG, Step::Stop { reason: why("r") }, 5).await.unwrap()),
            _ => {}
        }
        for step in every_step() {
            // judged, not done: the state is the same for every step
            let c = w.catalog.campaign(SLUG).await.unwrap();
            let case = kairos_catalog::Case {
                slug: SLUG,
                version: c.version,
                content: c.content,
                edited_by: c.edited_by,
                end: (c.def.end, kairos_model::Timestamp::MAX),
            };
            match c.state.after(&step, &case, &w.approver, at(9)) {
                Ok(next) => table += &format!("{state} + {} = {next}\n", step.name()),
                Err(e) => table += &format!("{e}\n"),
            }
        }
        let edited = kairos_catalog::CampaignDef { priority: 1, ..def(SLUG) };
        match w.catalog.edit(&w.planner, SLUG, &edited, None, at(10)).await {
            Ok(c) => table += &format!("{state} + edit = {} {}\n", c.state, c.version),
            Err(e) => table += &format!("{e}\n"),
        }
    }
    expect![[r#"
        draft + submit = submitted
        cannot withdraw `ring-back-tone`: campaign is draft; nothing was submitted
        cannot approve `ring-back-tone`: campaign is draft; its author must submit it first
        cannot reject `ring-back-tone`: campaign is draft; its author must submit it first
        cannot start `ring-back-tone`: campaign is draft; submit and approve it first
        cannot pause `ring-back-tone`: campaign is draft; it was never started
        cannot resume `ring-back-tone`: campaign is draft; it was never started
        cannot stop `ring-back-tone`: campaign is draft; it was never started
        cannot complete `ring-back-tone`: campaign is draft; it was never started
        draft + edit = draft v2
        cannot submit `ring-back-tone`: campaign is submitted; it waits for an approver
        submitted + withdraw = draft
        submitted + approve = approved
        submitted + reject = draft
        cannot start `ring-back-tone`: campaign is submitted; another user must approve it first
        cannot pause `ring-back-tone`: campaign is submitted; it was never started; withdraw it
        cannot resume `ring-back-tone`: campaign is submitted; it was never started
        cannot stop `ring-back-tone`: campaign is submitted; it was never started; withdraw it
        cannot complete `ring-back-tone`: campaign is submitted; it was never started
        submitted + edit = draft v2
        cannot submit `ring-back-tone`: campaign is approved; start it, or withdraw it
        approved + withdraw = draft
        cannot approve `ring-back-tone`: campaign is approved; start it, or withdraw it
        cannot reject `ring-back-tone`: campaign is approved; start it, or withdraw it
        approved + start = running
        cannot pause `ring-back-tone`: campaign is approved; it was never started; withdraw it
        cannot resume `ring-back-tone`: campaign is approved; start it first
        cannot stop `ring-back-tone`: campaign is approved; it was never started; withdraw it
        cannot complete `ring-back-tone`: campaign is approved; start it first
        approved + edit = draft v2
        cannot submit `ring-back-tone`: campaign is running; stop it, and write the change as a new campaign
        cannot withdraw `ring-back-tone`: campaign is running; stop it, and write the change as a new campaign
        cannot approve `ring-back-tone`: campaign is running; stop it, and write the change as a new campaign
        cannot reject `ring-back-tone`: campaign is running; stop it, and write the change as a new campaign
        cannot start `ring-back-tone`: campaign is running; a campaign is launched once
        running + pause = paused
        cannot resume `ring-back-tone`: campaign is running; it is not paused
        running + stop = ended
        running + complete = ended
        cannot edit `ring-back-tone`: campaign is running; stop it, and write the change as a new campaign
        cannot submit `ring-back-tone`: campaign is paused; stop it, and write the change as a new campaign
        cannot withdraw `ring-back-tone`: campaign is paused; stop it, and write the change as a new campaign
        cannot approve `ring-back-tone`: campaign is paused; stop it, and write the change as a new campaign
        cannot reject `ring-back-tone`: campaign is paused; stop it, and write the change as a new campaign
        cannot start `ring-back-tone`: campaign is paused; resume it, or stop it
        cannot pause `ring-back-tone`: campaign is paused; resume it, or stop it
        paused + resume = running
        paused + stop = ended
        paused + complete = ended
        cannot edit `ring-back-tone`: campaign is paused; stop it, and write the change as a new campaign
        cannot submit `ring-back-tone`: campaign is ended; it is over; write a new one with another id
        cannot withdraw `ring-back-tone`: campaign is ended; it is over; write a new one with another id
        cannot approve `ring-back-tone`: campaign is ended; it is over; write a new one with another id
        cannot reject `ring-back-tone`: campaign is ended; it is over; write a new one with another id
        cannot start `ring-back-tone`: campaign is ended; a campaign is launched once; write a new one with another id
        cannot pause `ring-back-tone`: campaign is ended; it is over; write a new one with another id
        cannot resume `ring-back-tone`: campaign is ended; a campaign is launched once; write a new one with another id
        cannot stop `ring-back-tone`: campaign is ended; it is over; write a new one with another id
        cannot complete `ring-back-tone`: campaign is ended; it is over; write a new one with another id
        cannot edit `ring-back-tone`: campaign is ended; it is over; write a new one with another id
    "#]]
    .assert_eq(&table);
}

#[tokio::test]
async fn an_author_never_approves_their_own_work() {
    let w = World::new().await;
    w.ring_back(1).await;
    let approve = || Step::Approve { seen: None };
    let e = w.step(&w.planner, SLUG, approve(), 3).await.unwrap_err();
    expect!["cannot approve `ring-back-tone`: planner wrote and submitted it; another user must approve it"]
        .assert_eq(&e.to_string());
    assert_eq!(e.kind(), ErrorKind::Denied);

    // the operator makes the last edit, the planner submits: neither may approve
    let edited = kairos_catalog::CampaignDef { priority: 501, ..def(SLUG) };
    w.catalog.edit(&w.operator, SLUG, &edited, None, at(4)).await.unwrap();
    w.step(&w.planner, SLUG, Step::Submit, 5).await.unwrap();
    let e = w.step(&w.operator, SLUG, approve(), 6).await.unwrap_err();
    expect!["cannot approve `ring-back-tone`: operator made the last edit; another user must approve it"]
        .assert_eq(&e.to_string());
    let e = w.step(&w.planner, SLUG, approve(), 6).await.unwrap_err();
    expect!["cannot approve `ring-back-tone`: planner submitted it; another user must approve it"]
        .assert_eq(&e.to_string());
    let e = w.step(&Actor::system(), SLUG, approve(), 6).await.unwrap_err();
    expect!["cannot approve `ring-back-tone`: only a person can, and this is the system itself"]
        .assert_eq(&e.to_string());
    assert_eq!(w.step(&w.approver, SLUG, approve(), 7).await.unwrap().state.name(), "approved");
}

#[tokio::test]
async fn any_edit_voids_the_approval_and_the_same_content_does_not() {
    let w = World::new().await;
    let c = w.ring_back(2).await;
    let same = w.catalog.put(&w.planner, &def(SLUG), &mut counter(), at(5)).await.unwrap();
    assert_eq!(same, c, "the same content again changes nothing");

    let edited = kairos_catalog::CampaignDef { priority: 501, ..def(SLUG) };
    let stale = w.catalog.edit(&w.planner, SLUG, &edited, Some(CampaignVersion(7)), at(5)).await.unwrap_err();
    expect!["campaign `ring-back-tone` is at version v1, not v7; read it again and repeat the edit"]
        .assert_eq(&stale.to_string());
    let c2 = w.catalog.edit(&w.planner, SLUG, &edited, Some(CampaignVersion(1)), at(5)).await.unwrap();
    assert_eq!((c2.state.clone(), c2.version, c2.salt), (CampaignState::draft(), CampaignVersion(2), c.salt));
    let e = w.step(&w.operator, SLUG, Step::Start, 6).await.unwrap_err();
    expect!["cannot start `ring-back-tone`: campaign is draft; submit and approve it first"].assert_eq(&e.to_string());
    assert_eq!(e.kind(), ErrorKind::Conflict);

    let versions: Vec<_> = w.catalog.versions(SLUG).await.unwrap().iter().map(|v| (v.version.0, v.content)).collect();
    assert_eq!(versions, [(1, c.content), (2, c2.content)]);
    assert_eq!(w.catalog.definition(SLUG, CampaignVersion(1)).await.unwrap(), c.def);
    let other = kairos_catalog::CampaignDef { id: "other".to_owned(), ..def(SLUG) };
    let e = w.catalog.edit(&w.planner, SLUG, &other, None, at(7)).await.unwrap_err();
    expect!["`other` cannot become the definition of `ring-back-tone`: a campaign's id never changes"]
        .assert_eq(&e.to_string());
}

#[tokio::test]
async fn an_approval_is_of_what_was_read() {
    let w = World::new().await;
    let read = w.ring_back(1).await.content;
    let edited = kairos_catalog::CampaignDef { priority: 501, ..def(SLUG) };
    w.catalog.edit(&w.planner, SLUG, &edited, None, at(3)).await.unwrap();
    w.step(&w.planner, SLUG, Step::Submit, 4).await.unwrap();
    let e = w.step(&w.approver, SLUG, Step::Approve { seen: Some(read) }, 5).await.unwrap_err();
    let now = edited.content_hash();
    assert_eq!(
        e.to_string(),
        format!(
            "cannot approve `ring-back-tone`: its definition is {}, not the {} that was read; read it again",
            now.short(),
            read.short()
        )
    );
    assert!(w.step(&w.approver, SLUG, Step::Approve { seen: Some(now) }, 6).await.is_ok());
}

#[tokio::test]
async fn a_second_launch_is_refused() {
    let w = World::new().await;
    w.ring_back(3).await;
    let e = w.step(&w.operator, SLUG, Step::Start, 5).await.unwrap_err();
    expect!["cannot start `ring-back-tone`: campaign is running; a campaign is launched once"]
        .assert_eq(&e.to_string());
    w.step(&w.operator, SLUG, Step::Stop { reason: why("done") }, 6).await.unwrap();
    let e = w.step(&w.operator, SLUG, Step::Start, 7).await.unwrap_err();
    expect![
        "cannot start `ring-back-tone`: campaign is ended; a campaign is launched once; write a new one with another id"
    ]
    .assert_eq(&e.to_string());
}

#[tokio::test]
async fn two_operators_start_at_once_and_one_wins() {
    let w = World::new().await;
    w.ring_back(2).await;
    let other = kairos_catalog::Catalog::open(&w.path, crate::support::TENANT).await.unwrap();
    let (a, b) = tokio::join!(
        w.catalog.step(&w.operator, SLUG, &Step::Start, &w.tenant, at(5)),
        other.step(&w.planner, SLUG, &Step::Start, &w.tenant, at(5)),
    );
    let errors: Vec<_> = [a, b].into_iter().filter_map(Result::err).map(|e| e.to_string()).collect();
    assert_eq!(errors, ["cannot start `ring-back-tone`: campaign is running; a campaign is launched once"]);
    assert_eq!(w.catalog.verify_audit().await.unwrap().entries, 8 + 4);
}

#[tokio::test]
async fn what_is_not_valid_is_not_submitted_and_stays_a_draft() {
    let w = World::new().await;
    let mut bad = def(SLUG);
    bad.control.share = kairos_catalog::Share::ZERO;
    bad.priority = 2000;
    w.catalog.create(&w.planner, &bad, &mut counter(), at(1)).await.unwrap();
    let e = w.step(&w.planner, SLUG, Step::Submit, 2).await.unwrap_err();
    expect![[r#"
        `ring-back-tone` cannot be submitted:
        error /priority: 2000 is past 1000
        error /control/reason: without a control group nothing is proved; say why there is none"#]]
    .assert_eq(&e.to_string());
    let CatalogError::Findings { findings, .. } = e else { panic!("{e}") };
    assert_eq!(findings.errors().count(), 2);
    assert_eq!(w.catalog.campaign(SLUG).await.unwrap().state, CampaignState::draft());
}

#[tokio::test]
async fn nothing_starts_after_its_end_and_reasons_are_asked_for() {
    let w = World::new().await;
    w.ring_back(2).await;
    let e = w.step(&w.operator, SLUG, Step::Start, 60 * 24 * 10).await.unwrap_err();
    expect!["cannot start `ring-back-tone`: its end 2026-03-06T20:00:00 has passed; move the end, then submit and approve it again"].assert_eq(&e.to_string());
    w.step(&w.operator, SLUG, Step::Start, 5).await.unwrap();
    let e = w.step(&w.operator, SLUG, Step::Pause { reason: why("  ") }, 6).await.unwrap_err();
    expect!["cannot pause `ring-back-tone`: say why, in 1–200 characters"].assert_eq(&e.to_string());
}

#[tokio::test]
async fn a_rejection_says_why_and_a_withdrawal_voids() {
    let w = World::new().await;
    w.ring_back(1).await;
    let c = w.step(&w.approver, SLUG, Step::Reject { reason: why("name the price per month") }, 3).await.unwrap();
    let CampaignState::Draft { rejected: Some(r) } = c.state else { panic!("{:?}", c.state) };
    assert_eq!((r.reason.as_str(), r.signed.by), ("name the price per month", w.approver.id()));
    w.step(&w.planner, SLUG, Step::Submit, 4).await.unwrap();
    w.step(&w.approver, SLUG, Step::Approve { seen: None }, 5).await.unwrap();
    let c = w.step(&w.planner, SLUG, Step::Withdraw { reason: why("wrong month") }, 6).await.unwrap();
    assert_eq!(c.state, CampaignState::draft());
}

#[tokio::test]
async fn a_definition_changed_behind_the_catalog_never_runs() {
    let w = World::new().await;
    w.ring_back(2).await;
    w.behind("UPDATE campaign_versions SET definition = replace(definition, '\"priority\":500', '\"priority\":999')")
        .await;
    let e = w.step(&w.operator, SLUG, Step::Start, 5).await.unwrap_err();
    expect!["the catalog holds a damaged campaign `ring-back-tone`: its definition does not have its content hash; run `kairos audit verify`"].assert_eq(&say(&e));
    // with the hash of the new text beside it, the approval no longer binds
    let changed = kairos_catalog::CampaignDef { priority: 999, ..def(SLUG) }.content_hash();
    let sql: &'static str =
        Box::leak(format!("UPDATE campaign_versions SET content_hash = '{changed}'").into_boxed_str());
    w.behind(sql).await;
    let e = w.step(&w.operator, SLUG, Step::Start, 5).await.unwrap_err();
    let approved: ContentHash = def(SLUG).content_hash();
    assert_eq!(
        e.to_string(),
        format!(
            "cannot start `ring-back-tone`: its definition is {}, not the {} that was approved; read it again",
            changed.short(),
            approved.short()
        )
    );
}

#[tokio::test]
async fn campaigns_are_numbered_salted_once_and_listed_by_page() {
    let w = World::new().await;
    let mut random = counter();
    for name in ["ring-back-tone", "mobile-newspaper", "decline-care", "harvest-work"] {
        w.catalog.create(&w.planner, &def(name), &mut random, at(1)).await.unwrap();
    }
    let e = w.catalog.create(&w.planner, &def(SLUG), &mut random, at(1)).await.unwrap_err();
    expect!["campaign `ring-back-tone` is there already; edit it, or choose another id"].assert_eq(&e.to_string());
    w.step(&w.planner, "decline-care", Step::Submit, 2).await.unwrap();

    let all = CampaignFilter::default();
    let first = w.catalog.campaigns(&all, None, 3).await.unwrap();
    let second = w.catalog.campaigns(&all, first.next.as_deref(), 3).await.unwrap();
    let ids: Vec<_> = first.items.iter().chain(&second.items).map(|c| (c.id.0, c.salt)).collect();
    assert_eq!((ids, second.next), (vec![(1, 1), (2, 2), (3, 3), (4, 4)], None));

    let marketing = CampaignFilter { class: Some(CampaignClass::Marketing), state: None };
    let page = w.catalog.campaigns(&marketing, None, 1).await.unwrap();
    let rest = w.catalog.campaigns(&marketing, page.next.as_deref(), 1).await.unwrap();
    assert_eq!((page.items[0].slug.as_str(), rest.items[0].slug.as_str(), rest.next), (SLUG, "mobile-newspaper", None));
    let submitted = CampaignFilter { state: Some("submitted".to_owned()), class: None };
    assert_eq!(w.catalog.campaigns(&submitted, None, 10).await.unwrap().items[0].slug, "decline-care");
    let odd = CampaignFilter { state: Some("sleeping".to_owned()), class: None };
    let e = w.catalog.campaigns(&odd, None, 10).await.unwrap_err();
    expect!["`sleeping` is no state; use draft, submitted, approved, running, paused, ended or evaluated"]
        .assert_eq(&e.to_string());
    let e = w.catalog.campaigns(&all, Some("here"), 10).await.unwrap_err();
    expect!["`here` is no cursor of this list; begin without one"].assert_eq(&e.to_string());

    assert_eq!(w.catalog.offer_id("mobile_newspaper").await.unwrap().map(|o| o.0), Some(2));
    assert_eq!(w.catalog.family_id("harvest-work").await.unwrap(), Some(4));
    assert_eq!(w.catalog.offer_id("unheard_of").await.unwrap(), None);
    let e = w.catalog.campaign("nobody").await.unwrap_err();
    assert_eq!((e.to_string().as_str(), e.kind()), ("no campaign `nobody`", ErrorKind::NotFound));
}
