//! Reading and checking definitions: every fault names file, line, field and remedy.

use crate::support::{def, shipped, tenant};
use expect_test::{Expect, expect};
use kairos_catalog::{CampaignDef, Condition, Lang, TenantConfig, check_def};

/// The ring-back-tone file with one text replaced.
fn read(from: &str, to: &str) -> Result<CampaignDef, String> {
    let (file, text) = shipped("ring-back-tone");
    assert!(text.contains(from), "{from}");
    CampaignDef::from_toml(&file, &text.replacen(from, to, 1)).map_err(|e| e.to_string())
}
fn refused(from: &str, to: &str, want: Expect) {
    want.assert_eq(&read(from, to).expect_err("must be refused"));
}
/// The findings of the ring-back-tone campaign with some texts replaced.
fn checked(replace: &[(&str, &str)], want: Expect) {
    let (file, mut text) = shipped("ring-back-tone");
    for (from, to) in replace {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let def = CampaignDef::from_toml(&file, &text).unwrap();
    want.assert_eq(&check_def(&def, &tenant()).to_string());
}

#[test]
fn every_shipped_campaign_is_valid() {
    let mut all = String::new();
    for name in ["ring-back-tone", "mobile-newspaper", "decline-care", "harvest-work"] {
        let d = def(name);
        assert_eq!(d.id, name);
        assert!(d.creatives.iter().all(|c| kairos_model::sms::segments(&c.text) == 1), "{name}: one segment each");
        all += &format!("{name} {} control {} [{}]\n", d.class, d.control_share(), check_def(&d, &tenant()));
    }
    expect![[r#"
        ring-back-tone marketing control 20% []
        mobile-newspaper marketing control 15% []
        decline-care care control 10% []
        harvest-work public_interest control 0% [warning /control/share: no control group: the report will show no uplift]
    "#]]
    .assert_eq(&all);
}

#[test]
fn toml_and_json_are_one_shape() {
    for name in ["ring-back-tone", "mobile-newspaper", "decline-care", "harvest-work"] {
        let d = def(name);
        let json = d.to_json().to_string();
        let back = CampaignDef::from_json("request", &json).unwrap();
        assert_eq!((back.content_hash(), &back), (d.content_hash(), &d));
    }
    let d = def("ring-back-tone");
    assert_eq!(d.budget.amount.money(d.budget.currency).to_string(), "3000.00 CNY");
    assert!(d.creative(Lang::Zh).unwrap().text.contains("RBT"));
}

#[test]
fn the_hash_is_of_the_content_not_of_the_spelling() {
    let (file, text) = shipped("ring-back-tone");
    let spelt = text.replace("\"3000.00\"", "\"3000\"").replace("2026-03-02T09:00", "2026-03-02T09:00:00");
    let spelt = spelt.replace("[control]", "# a comment\n[control]").replace("\"20%\"", "\"20.00%\"");
    let other = CampaignDef::from_toml(&file, &spelt).unwrap();
    assert_eq!(other.content_hash(), def("ring-back-tone").content_hash());
    let changed = read("priority = 500", "priority = 501").unwrap();
    assert_ne!(changed.content_hash(), other.content_hash());
}

#[test]
fn a_json_tree_is_a_condition_too() {
    let (_, json) = (0, def("ring-back-tone").to_json());
    let mut json = json;
    json["audience"]["condition"] = serde_json::json!({ "combinator": "and", "rules": [] });
    let d = CampaignDef::from_json("request", &json.to_string()).unwrap();
    assert!(matches!(d.audience.condition, Some(Condition::Tree(_))));
    json["audience"]["condition"] = serde_json::json!(7);
    expect![[r#"`request`, field /audience/condition: a condition is a text such as "arpu >= 80", or a JSON tree"#]]
        .assert_eq(&CampaignDef::from_json("request", &json.to_string()).unwrap_err().to_string());
}

#[test]
fn what_does_not_read_names_file_line_field_and_remedy() {
    refused(
        "[budget]",
        "[bugdet]",
        expect!["`ring-back-tone.toml` line 17, field /bugdet: unknown field; did you mean `budget`?"],
    );
    refused(
        "currency = \"CNY\"",
        "curency = \"CNY\"",
        expect!["`ring-back-tone.toml` line 19, field /budget/curency: unknown field; did you mean `currency`?"],
    );
    refused(
        "amount = \"3000.00\"",
        "amount = 3000.00",
        expect![[
            r#"`ring-back-tone.toml` line 18, field /budget/amount: found floating point `3000.0`; expected an amount in quotes, such as "12.50" (a bare number could be rounded)"#
        ]],
    );
    refused(
        "amount = \"3000.00\"",
        "amount = \"3,000\"",
        expect![
            "`ring-back-tone.toml` line 18, field /budget/amount: `3,000` is no amount; use digits with at most six decimals, such as 12.50"
        ],
    );
    refused(
        "class = \"marketing\"",
        "class = \"marketting\"",
        expect!["`ring-back-tone.toml` line 4, field /class: unknown class `marketting`; did you mean `marketing`?"],
    );
    refused(
        "channel = \"sms\"",
        "channel = \"SMS\"",
        expect!["`ring-back-tone.toml` line 5, field /channel: unknown channel `SMS`; did you mean `sms`?"],
    );
    refused(
        "metric = \"orders\"",
        "metric = \"order\"",
        expect!["`ring-back-tone.toml` line 14, field /goal/metric: unknown word `order`; did you mean `orders`?"],
    );
    refused(
        "lang = \"en\"",
        "lang = \"fr\"",
        expect![
            "`ring-back-tone.toml` line 38, field /creatives/1/lang: `fr` is no language of a creative; one of zh, en"
        ],
    );
    refused(
        "share = \"20%\"",
        "share = \"120%\"",
        expect![[
            r#"`ring-back-tone.toml` line 49, field /control/share: `120%` is no share; write 0% to 100% with at most four decimals, such as "20%" or "0.5%""#
        ]],
    );
    refused(
        "start = \"2026-03-02T09:00\"",
        "start = \"2026-03-02T09:00+08:00\"",
        expect![
            "`ring-back-tone.toml` line 8, field /start: `2026-03-02T09:00+08:00` is no local date and time; write 2026-03-02T09:00 without an offset"
        ],
    );
    refused(
        "hold_days = 2",
        "hold_days = -2",
        expect!["`ring-back-tone.toml` line 7, field /hold_days: found integer `-2`; expected u16"],
    );
    refused("no = 1\n", "", expect!["`ring-back-tone.toml` line 42, field /waves/0/no: this field is missing"]);
    refused("id = \"ring-back-tone\"", "", expect!["`ring-back-tone.toml`, field /id: this field is missing"]);
    refused("[goal]", "[goal", expect!["`ring-back-tone.toml` line 13: not TOML: unclosed table, expected `]`"]);
    expect!["`huge`: 300000 bytes, more than the 262144 that a definition may have"]
        .assert_eq(&CampaignDef::from_json("huge", &" ".repeat(300_000)).unwrap_err().to_string());
    let deep = format!("[audience]\ncondition = {}1{}", "[".repeat(100), "]".repeat(100));
    let e = CampaignDef::from_toml("deep", &deep).unwrap_err();
    expect!["`deep` line 2: not TOML: cannot recurse further; max recursion depth met"].assert_eq(&e.to_string());
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let e = CampaignDef::from_json("deep", &format!("{{\"audience\":{{\"condition\":{deep}}}}}")).unwrap_err();
    expect!["`deep`: nested deeper than 64"].assert_eq(&e.to_string());
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    let e = CampaignDef::from_json("deep", &deep).unwrap_err();
    expect!["`deep` line 1: not JSON: recursion limit exceeded at line 1 column 128"].assert_eq(&e.to_string());
}

#[test]
fn an_unquoted_local_time_is_the_same_time() {
    let quoted = def("ring-back-tone");
    let bare = read("end = \"2026-03-06T20:00\"", "end = 2026-03-06T20:00:00").unwrap();
    assert_eq!(quoted, bare);
}

#[test]
fn all_findings_come_at_once() {
    checked(
        &[
            ("id = \"ring-back-tone\"", "id = \"Ring back\""),
            ("currency = \"CNY\"", "currency = \"USD\""),
            ("cost_per_contact = \"0.05\"", "cost_per_contact = \"-0.05\""),
            ("end = \"2026-03-06T20:00\"", "end = \"2026-03-01T20:00\""),
            ("success_window_days = 7", "success_window_days = 0"),
            ("channel = \"sms\"", "channel = \"email\""),
            ("share = \"20%\"", "share = \"0%\""),
            ("回TD退订", ""),
            ("smallest_worthwhile_uplift = \"1%\"", "smallest_worthwhile_uplift = \"0%\""),
        ],
        expect![[r#"
            error /id: `Ring back` is no id; use 1–64 of a–z, 0–9, - and _, such as ring-back-tone
            error /budget/currency: USD is not the tenant's currency CNY
            error /budget/cost_per_contact: a contact cannot cost -0.05
            error /creatives/0/text: a marketing text must say how to opt out: name one of TD, T, 退订, STOP
            error /channel: the tenant has no channel `email`; it has sms, outbound
            error /end: 2026-03-01T20:00:00 is not after the start 2026-03-02T09:00:00
            error /waves/0/start: 2026-03-02T09:00:00 is outside the campaign's 2026-03-02T09:00:00 to 2026-03-01T20:00:00
            warning /waves/0/not_after: 2026-03-04T20:00:00 is after the campaign's end 2026-03-01T20:00:00, which rules
            error /control/reason: without a control group nothing is proved; say why there is none
            error /smallest_worthwhile_uplift: state percentage points above 0% and below 100%
            error /success_window_days: 0 is outside 1–92"#]],
    );
}

#[test]
fn a_wave_that_could_never_send_is_found() {
    checked(
        &[("window = { from = \"09:00\", to = \"20:00\" }", "window = { from = \"20:30\", to = \"23:00\" }")],
        expect![
            "error /waves/0/start: nothing could be sent from 2026-03-02T09:00:00 to 2026-03-04T20:00:00, window 20:30–23:00: all of it is in quiet hours (20:00–09:00) or on holidays"
        ],
    );
    // the whole wave inside the Spring Festival
    checked(
        &[
            ("2026-03-02T09:00", "2026-02-16T09:00"),
            ("not_after = \"2026-03-04T20:00\"", "not_after = \"2026-02-23T20:00\""),
        ],
        expect![
            "error /waves/0/start: nothing could be sent from 2026-02-16T09:00:00 to 2026-02-23T20:00:00, window 09:00–20:00: all of it is in quiet hours (20:00–09:00) or on holidays"
        ],
    );
    // one open minute is enough: 19:59 on the first day
    checked(
        &[
            ("no = 1\nstart = \"2026-03-02T09:00\"", "no = 1\nstart = \"2026-03-02T19:59\""),
            ("not_after = \"2026-03-04T20:00\"", "not_after = \"2026-03-03T09:00\""),
        ],
        expect![""],
    );
    checked(
        &[
            ("no = 1\nstart = \"2026-03-02T09:00\"", "no = 1\nstart = \"2026-03-02T20:00\""),
            ("not_after = \"2026-03-04T20:00\"", "not_after = \"2026-03-03T09:00\""),
        ],
        expect![
            "error /waves/0/start: nothing could be sent from 2026-03-02T20:00:00 to 2026-03-03T09:00:00, window 09:00–20:00: all of it is in quiet hours (20:00–09:00) or on holidays"
        ],
    );
}

#[test]
fn marketing_may_tighten_the_policy_and_never_loosen_it() {
    let overrides = "[policy]\nsame_message_days = 7\nother_campaign_days = 14\nsend_on_holidays = true\n\
        quiet_hours = [{ from = \"20:00\", to = \"08:00\" }]\n[control]";
    checked(
        &[("[control]", overrides)],
        expect![[r#"
            error /policy/same_message_days: looser than the tenant's policy for marketing: 7 days instead of 30
            error /policy/quiet_hours: looser than the tenant's policy for marketing: 08:00 would no longer be quiet
            error /policy/send_on_holidays: looser than the tenant's policy for marketing: it would send on holidays"#]],
    );
    let (file, text) = shipped("decline-care");
    let text = format!("{text}\n[policy]\nsame_message_days = 1\n");
    let d = CampaignDef::from_toml(&file, &text).unwrap();
    expect!["warning /policy/same_message_days: looser than the tenant's policy for care: 1 days instead of 7"]
        .assert_eq(&check_def(&d, &tenant()).to_string());
    assert_eq!(tenant().policy_of(&d).same_message_days, 1);
}

#[test]
fn waves_creatives_and_audience_are_judged() {
    checked(
        &[
            ("[control]", "[[waves]]\nno = 1\nstart = \"2026-03-07T09:00\"\n[control]"),
            ("condition = \"arpu_3m >= 80 yuan", "list = \"big-spenders\"\ncondition = \"arpu_3m >= 80 yuan"),
            ("lang = \"en\"\nfamily = \"ring-back-tone\"", "lang = \"zh\"\nfamily = \"other\""),
            ("回复RBT即可", "回复即可"),
            ("amount = \"3000.00\"", "amount = \"0.01\""),
        ],
        expect![[r#"
            error /budget/amount: 0.01 does not pay for one contact of 0.05
            error /audience: give a condition or a list, not both
            error /creatives/0/text: the text does not name the keyword `RBT` with which it is ordered
            error /creatives/1/lang: a second creative in `zh`: which one would a subscriber get?
            error /creatives/1/family: `other` differs from `ring-back-tone`: the languages of one message are one family
            error /waves/1/no: wave 1 is there twice
            error /waves/1/start: 2026-03-07T09:00:00 is outside the campaign's 2026-03-02T09:00:00 to 2026-03-06T20:00:00"#]],
    );
    checked(
        &[("keyword = \"RBT\"", "keyword = \"td\"")],
        expect![[r#"
        error /creatives/0/text: the text does not name the keyword `td` with which it is ordered
        error /creatives/1/text: the text does not name the keyword `td` with which it is ordered
        error /offer/keyword: `td` opts out: nobody could order with it"#]],
    );
    checked(&[("share = \"20%\"", "share = \"60%\"")], expect!["error /control/share: 60% is above the 50% allowed"]);
}

#[test]
fn the_tenant_file_maps_to_the_model() {
    let t = tenant();
    assert_eq!((t.tz().name(), t.currency.code(), t.tenant_id().0), ("Asia/Shanghai", "CNY", 1));
    let plan = kairos_model::NumberPlan::new(&t.number_plan()).unwrap();
    assert_eq!(
        plan.parse_msisdn("13800001111").unwrap(),
        kairos_model::NumberPlan::china().parse_msisdn("13800001111").unwrap()
    );
    let holiday = |day: &str| t.holiday(day.parse().unwrap()).map(|h| h.name.en.clone());
    assert_eq!(holiday("2026-02-15").as_deref(), Some("Spring Festival"));
    assert_eq!((holiday("2026-02-14"), holiday("2026-02-24")), (None, None));
    assert_eq!(t.holidays.iter().map(|h| h.to.0 - h.from.0 + 1).sum::<i32>(), 33, "the notice's days off");
    let period = |s: &str| t.holdout_period(s.parse().unwrap());
    assert_eq!(
        (period("2026-03-31T15:59:59Z"), period("2026-03-31T16:00:00Z")),
        ("2026-Q1".to_owned(), "2026-Q2".to_owned())
    );
}

#[test]
fn a_reply_is_read_however_the_handset_writes_it() {
    let replies = tenant().replies;
    let opts_out = ["TD", "td", " Td. ", "ＴＤ", "退订", "退订。", "T", "stop!"];
    assert!(opts_out.iter().all(|r| replies.is_opt_out(r)));
    assert!(["", "RBT", "TDX", "how do I stop this", "。"].iter().all(|r| !replies.is_opt_out(r)));
    assert!(kairos_catalog::same_reply("rbt", "RBT") && !kairos_catalog::same_reply("RBT please", "RBT"));
}

#[test]
fn a_wrong_tenant_file_says_all_that_is_wrong() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../province/tenant.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let wrong = text
        .replace("Asia/Shanghai", "Asia/Shangai")
        .replace("sender = \"10086\"", "sender = \"10087\"")
        .replace("to = \"2026-01-03\"", "to = \"2025-01-03\"")
        .replace("country = 86", "country = 8600")
        .replacen("same_message_days = 30", "same_message_days = 400", 1)
        .replace("{ from = \"22:00\", to = \"07:00\" }", "{ from = \"00:00\", to = \"24:00\" }");
    expect![[r#"
        `tenant.toml` is no tenant yet: error /zone: unknown time zone `Asia/Shangai`; use an IANA name such as `Asia/Shanghai`
        error /numbers: the number plan is wrong: country code must be 1–3 digits
        error /policy/marketing/same_message_days: 400 days are more than the 366 for which contacts are remembered
        error /policy/public_interest/quiet_hours: the whole day is quiet: nothing could ever be sent
        error /holidays/0/to: 2025-01-03 is before the holiday's first day 2026-01-01
        error /channels/0/sender: `10087` is none of /numbers/short_codes, so replies to it would be nobody's"#]]
    .assert_eq(&TenantConfig::from_toml("tenant.toml", &wrong).unwrap_err().to_string());
    let unread = |from: &str, to: &str| {
        TenantConfig::from_toml("tenant.toml", &text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    expect!["`tenant.toml` line 25, field /policy/marketing/unknown_consent: unknown word `maybe`; one of deny, allow"]
        .assert_eq(&unread("unknown_consent = \"deny\"", "unknown_consent = \"maybe\""));
    expect!["`tenant.toml` line 44, field /holidays/0/from: failed to parse two digit integer as month: parameter 'month' is not in the required range of 1..=12"]
        .assert_eq(&unread("from = \"2026-01-01\"", "from = \"2026-13-01\""));
}

#[test]
fn the_reference_names_every_field() {
    let doc = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/campaigns.md");
    let doc = std::fs::read_to_string(doc).unwrap();
    fn names(v: &serde_json::Value, out: &mut std::collections::BTreeSet<String>) {
        match v {
            serde_json::Value::Object(m) => m.iter().for_each(|(k, v)| {
                out.insert(k.clone());
                names(v, out);
            }),
            serde_json::Value::Array(a) => a.iter().for_each(|v| names(v, out)),
            _ => {}
        }
    }
    let mut all = std::collections::BTreeSet::new();
    for name in ["ring-back-tone", "mobile-newspaper", "decline-care", "harvest-work"] {
        names(&def(name).to_json(), &mut all);
    }
    names(&serde_json::to_value(tenant()).unwrap(), &mut all);
    for optional in ["description", "sender", "list", "quiet_hours", "same_message_days", "send_on_holidays"] {
        all.insert(optional.to_owned());
    }
    let missing: Vec<_> = all.iter().filter(|n| !doc.contains(&format!("`{n}`"))).collect();
    assert!(missing.is_empty(), "docs/reference/campaigns.md does not name {missing:?}");
}
