//! The forms that last, byte for byte: a change here is a change of every stored catalog.

use crate::support::{World, at};
use expect_test::expect;
use kairos_catalog::{CampaignDef, CampaignState, Step};

/// A definition of format 1 as it stands in a database; never edit it.
const DEFINITION_1: &str = r#"{"audience":{"condition":"arpu_3m >= 80 yuan"},"budget":{"amount":"3000.00","cost_per_contact":"0.05","currency":"CNY"},"channel":"sms","class":"marketing","control":{"share":"20%"},"creatives":[{"family":"f","lang":"zh","text":"{{ name }}您好，回复RBT，回TD退订"}],"end":"2026-03-06T20:00:00","goal":{"metric":"orders","target":400},"hold_days":2,"holdout":true,"id":"golden","max_segments":2,"name":{"en":"Golden","zh":"金"},"offer":{"code":"ring_back_tone","keyword":"RBT","margin":"3.50","name":{"en":"Ring-back tone","zh":"彩铃"},"price":"5.00"},"policy":{"quiet_hours":[{"from":"20:00","to":"09:00"}]},"priority":500,"smallest_worthwhile_uplift":"1%","start":"2026-03-02T09:00:00","success_window_days":7,"waves":[{"no":1,"not_after":"2026-03-04T20:00:00","start":"2026-03-02T09:00:00","window":{"from":"09:00","to":"20:00"}}]}"#;

#[test]
fn a_definition_of_format_1_reads_and_keeps_its_hash() {
    let def = CampaignDef::from_json("golden", DEFINITION_1).unwrap();
    assert_eq!(kairos_catalog::canonical(&def.to_json()), DEFINITION_1);
    expect!["fff0d844b5e5b324ea08ace5d744fc11dce108011bc3653dcbc2463fa4d02de0"]
        .assert_eq(&def.content_hash().to_string());
}

#[test]
fn the_states_of_format_1_read_and_write_back() {
    let approval = r#""approval":{"content":"0707070707070707070707070707070707070707070707070707070707070707","signed":{"at":3,"by":2},"submitted":{"at":2,"by":1},"version":1}"#;
    let started = r#""started":{"at":4,"by":4}"#;
    let ended = r#""cause":{"stopped":{"reason":"r"}},"ended":{"at":6,"by":4}"#;
    let states = [
        r#"{"state":"draft"}"#.to_owned(),
        r#"{"rejected":{"reason":"r","signed":{"at":3,"by":2}},"state":"draft"}"#.to_owned(),
        r#"{"content":"0707070707070707070707070707070707070707070707070707070707070707","state":"submitted","submitted":{"at":2,"by":1}}"#.to_owned(),
        format!(r#"{{{approval},"state":"approved"}}"#),
        format!(r#"{{"state":"running",{approval},{started}}}"#),
        format!(r#"{{"state":"paused",{approval},{started},"paused":{{"at":5,"by":4}},"reason":"r"}}"#),
        format!(r#"{{"state":"ended",{approval},{started},{ended}}}"#),
        format!(r#"{{"state":"ended",{approval},{started},"cause":"completed","ended":{{"at":6,"by":0}}}}"#),
        format!(r#"{{"state":"evaluated",{approval},{started},{ended},"evaluated":{{"at":7,"by":3}}}}"#),
    ];
    for text in states {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let state: CampaignState = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(&state).unwrap(), value, "{text}");
    }
}

#[tokio::test]
async fn the_audit_chain_of_format_1() {
    let w = World::new().await;
    let def = CampaignDef::from_json("golden", DEFINITION_1).unwrap();
    w.catalog.create(&w.planner, &def, &mut crate::support::counter(), at(1)).await.unwrap();
    w.step(&w.planner, "golden", Step::Submit, 2).await.unwrap();
    expect!["10:6aeb1ea680caa86fc2f5170b9e643c42808944ddab67926a6760fce5a4d2e7b1"]
        .assert_eq(&w.catalog.audit_head().await.unwrap().to_string());
}
