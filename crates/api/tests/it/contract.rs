//! The description is what is checked in, and says what goes over the wire.

use kairos_api::view::definition::CampaignDefinition;
use kairos_app::Definitions;
use kairos_catalog::CampaignDef;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// `UPDATE_EXPECT=1` writes the file instead; so does `kairos openapi > openapi.json`.
#[test]
fn the_checked_in_description_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
    let generated = kairos_api::openapi_json();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(found == generated, "openapi.json is stale; write it anew with `kairos openapi > openapi.json`");
}

#[test]
fn the_description_is_openapi_3_1_and_complete() {
    let api: Value = serde_json::from_str(&kairos_api::openapi_json()).unwrap();
    assert_eq!(api["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(operation["responses"]["default"]["content"]["application/problem+json"].is_object());
            assert_eq!(operation["security"].is_array(), path.starts_with("/v1/"), "{method} {path}");
        }
    }
    // every reference leads somewhere
    let schemas = &api["components"]["schemas"];
    let mut missing = BTreeSet::new();
    references(&api, &mut |name| {
        if schemas.get(name).is_none() {
            missing.insert(name.to_owned());
        }
    });
    assert_eq!(missing, BTreeSet::new());
}

fn references(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                see(name.strip_prefix("#/components/schemas/").unwrap());
            }
            map.values().for_each(|v| references(v, see));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, see)),
        _ => {}
    }
}

#[test]
fn the_described_definition_is_the_catalogs() {
    let definitions = Definitions::load(None).unwrap();
    let mut seen = 0;
    for (name, text) in definitions.under("campaigns/") {
        let json = CampaignDef::from_toml(name, text).unwrap().to_json();
        let mirror: CampaignDefinition = serde_json::from_value(json.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(serde_json::to_value(&mirror).unwrap(), json, "{name}");
        seen += 1;
    }
    assert!(seen >= 4);
}

/// Each code that a client may meet is on the reference page.
#[test]
fn every_code_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../../docs/reference/api.md")).unwrap();
    let text = fs::read_to_string(root.join("src/problem.rs")).unwrap();
    let (_, of_catalog) = text.split_once("let code = match e {").unwrap();
    let codes: BTreeSet<&str> = of_catalog
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|c| !c.is_empty() && c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        .take_while(|c| *c != "code")
        .collect();
    assert!(codes.contains("own_work") && codes.contains("idempotency_key_reused"), "{codes:?}");
    let absent: Vec<_> = codes.iter().filter(|c| !page.contains(&format!("`{c}`"))).collect();
    assert!(absent.is_empty(), "docs/reference/api.md does not name {absent:?}");
    let api: Value = serde_json::from_str(&kairos_api::openapi_json()).unwrap();
    let absent: Vec<_> =
        api["paths"].as_object().unwrap().keys().filter(|p| !page.contains(&format!("`{p}`"))).collect();
    assert!(absent.is_empty(), "docs/reference/api.md does not name {absent:?}");
}
