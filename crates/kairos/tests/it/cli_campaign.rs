//! Planner, approver and analyst: tags, audiences, campaigns, answers to "why", and the audit log.

use crate::cli::{AS_OF, Tenant, copy, repository};
use jiff::{ToSpan, Zoned, civil::DateTime};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// An instant at which the demo campaign's first wave is open.
const OPEN: &str = "2026-03-02T10:00";

/// The demo campaign as TOML, changed.
fn campaign(change: impl FnOnce(&mut toml::Table)) -> String {
    let text = fs::read_to_string(repository().join("province/campaigns/ring-back-tone.toml")).unwrap();
    let mut table: toml::Table = text.parse().unwrap();
    change(&mut table);
    toml::to_string(&table).unwrap()
}

/// The demo campaign with dates around the present: it began yesterday and goes on for forty days.
pub fn current(change: impl FnOnce(&mut toml::Table)) -> String {
    let midnight = Zoned::now().in_tz("Asia/Shanghai").unwrap().start_of_day().unwrap().datetime();
    let day = |n: i64| -> DateTime { midnight.checked_add(n.days()).unwrap() };
    let text = |d: DateTime| d.strftime("%Y-%m-%dT%H:%M").to_string().into();
    campaign(|c| {
        c["start"] = text(day(-1));
        c["end"] = text(day(40));
        c["waves"][0]["start"] = text(day(-1));
        c["waves"][0]["not_after"] = text(day(30));
        change(c);
    })
}

fn creative(c: &mut toml::Table, i: usize) -> &mut toml::Value {
    &mut c["creatives"].as_array_mut().unwrap()[i]["text"]
}

/// Errors of `campaign check`: pointer and message.
fn findings(t: &Tenant, text: &str) -> Vec<(String, String)> {
    let file = t.write("campaign.toml", text);
    let ran = t.run(&["campaign", "check", file.to_str().unwrap(), "--json"]);
    assert_eq!(ran.exit, 1, "{}{}", ran.stdout, ran.stderr);
    let said = ran.json();
    assert_eq!(said["sound"], false);
    let text = |f: &Value, k: &str| f[k].as_str().unwrap().to_owned();
    let all = said["findings"].as_array().unwrap();
    all.iter().filter(|f| f["severity"] == "error").map(|f| (text(f, "pointer"), text(f, "message"))).collect()
}

#[track_caller]
fn one(found: Vec<(String, String)>, pointer: &str, parts: &[&str]) {
    assert_eq!(found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), [pointer], "{found:#?}");
    for part in parts {
        assert!(found[0].1.contains(part), "no `{part}` in {}", found[0].1);
    }
}

#[test]
fn tags_are_listed_shown_and_proved() {
    let t = Tenant::loaded();
    let list = t.json(&["tag", "list"]);
    assert_eq!(list["tags"].as_array().unwrap().len(), 582);
    assert_eq!(list["as_of"], "2026-03-02T00:30:00Z");
    let check = t.json(&["tag", "check"]);
    assert_eq!((&check["tags"], &check["categories"], &check["problems"]), (&json!(582), &json!(35), &json!([])));
    let show = t.json(&["tag", "show", "arpu_3m"]);
    assert_eq!((&show["type"], &show["tables"]), (&json!("money"), &json!(["bill"])));
    assert_eq!((&show["coverage"], &show["freshness"]), (&json!(1.0), &json!("2026-02-28T18:00:00Z")));
    let zh = t.ok(&["tag", "list", "--category", "prospects", "--lang", "zh"]);
    assert!(zh.contains("流量包潜在客户"), "{zh}");
    t.refused(&["tag", "show", "apru_3m"]).is(3, "tag", &["unknown tag `apru_3m`; did you mean `arpu_3m`?"]);
    t.refused(&["tag", "list", "--category", "prospect"]).is(3, "category", &["`prospect`"]);
}

#[test]
fn only_what_changed_is_computed_again() {
    let t = Tenant::loaded();
    let definitions = t.path("definitions");
    copy(&repository().join("province"), &definitions);
    let compute = || {
        let done = t.json(&["--definitions", "definitions", "tag", "compute", "--as-of", AS_OF]);
        (done["new"].as_bool().unwrap(), done["computed"].as_u64().unwrap(), done["reused"].as_u64().unwrap())
    };
    assert_eq!(compute(), (false, 0, 582));
    let file = definitions.join("tags/scenarios.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("data_mb_month >= 5").count(), 1);
    fs::write(&file, text.replace("data_mb_month >= 5", "data_mb_month >= 6")).unwrap();
    assert_eq!(compute(), (true, 1, 581));
    assert_eq!(compute(), (false, 0, 582));
}

#[test]
fn a_wrong_catalogue_names_file_tag_and_remedy() {
    let t = Tenant::loaded();
    let wrong = |file: &str, from: &str, to: &str| {
        let definitions = t.path("definitions");
        copy(&repository().join("province"), &definitions);
        let path = definitions.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
        t.refused(&["--definitions", "definitions", "tag", "check"])
    };
    let unknown = wrong("tags/scenarios.toml", "arpu_3m >= 80", "apru_3m >= 80");
    unknown.is(
        2,
        "tag_catalogue",
        &["definitions/tags/scenarios.toml, `ring_back_prospect`, condition", "did you mean `arpu_3m`?"],
    );
    let twice = wrong("tags/spend.toml", "id = \"arpu_3m\"", "id = \"age\"");
    twice.is(2, "tag_catalogue", &["definitions/tags/spend.toml, `age`, id: the tag is in", "give it another id"]);
    // what only the tables can tell
    let table = wrong("tags/spend.toml", "from bill", "from bil");
    table.is(2, "tag_catalogue", &["definitions/tags/spend.toml, `bills_3m`, sql: ", "bil"]);
    let column = wrong("tags/spend.toml", "avg(total) as arpu", "avg(totl) as arpu");
    column.is(2, "tag_catalogue", &["`bills_3m`, sql: ", "totl"]);
}

#[test]
fn an_audience_is_counted_clause_by_clause_in_both_languages() {
    let t = Tenant::loaded();
    let condition = "arpu_3m >= 80 yuan and not has_ring_back_tone and circle_ring_back_share >= 0.5";
    let count = t.json(&["audience", "count", condition]);
    assert_eq!((&count["everyone"], &count["count"]), (&json!(1000), &json!(22)));
    let funnel = |c: &Value| -> Vec<(u64, u64)> {
        let steps = c["funnel"].as_array().unwrap().iter();
        steps.map(|s| (s["alone"].as_u64().unwrap(), s["left"].as_u64().unwrap())).collect()
    };
    assert_eq!(funnel(&count), [(177, 177), (690, 112), (332, 22)]);
    assert_eq!(
        count["sentence"],
        "Mean monthly spend over three months is at least ¥80 and has no ring-back tone and share of the circle with a ring-back tone is at least 0.5."
    );
    let zh = t.json(&["--lang", "zh", "audience", "count", condition]);
    assert_eq!(funnel(&zh), funnel(&count));
    assert_eq!(zh["sentence"], "近三月月均消费不低于80元，且没有彩铃，且交往圈彩铃拥有率不低于0.5。");
    let text = t.ok(&["--lang", "zh", "audience", "count", condition]);
    assert!(text.contains("没有彩铃"), "{text}");
    assert!(text.contains("22 of 1,000 subscribers, exact, snapshot 1 as of 2026-03-02 08:30:00"), "{text}");
    // the same from a file, as a tree would come
    let file = t.write("condition.txt", condition);
    assert_eq!(t.json(&["audience", "count", "--file", file.to_str().unwrap()])["count"], 22);
    let frozen = t.json(&["audience", "freeze", condition]);
    assert_eq!((&frozen["members"], &frozen["snapshot"]), (&json!(22), &json!(1)));
    assert_eq!(t.json(&["audience", "freeze", condition])["hash"], frozen["hash"]);
    assert_eq!(t.ok(&["audience", "extract", "--limit", "3", condition]).lines().count(), 3);
}

#[test]
fn a_wrong_condition_points_at_the_character_and_suggests() {
    let t = Tenant::loaded();
    let count = |condition: &str| t.refused(&["audience", "count", condition]);
    count("apru_3m >= 80 yuan").is(
        2,
        "condition",
        &["unknown tag `apru_3m`; did you mean `arpu_3m`?\n  apru_3m >= 80 yuan\n  ^^^^^^^"],
    );
    count("arpu_3m >= \"much\"").is(
        2,
        "condition",
        &["does not fit `arpu_3m`, which is money in CNY", "expected an amount such as `80 yuan`"],
    );
    count("has_ring_back_tone = 5").is(2, "condition", &["`5` does not fit `has_ring_back_tone`, which is a bool"]);
    count("arpu_3m >= 80").is(2, "condition", &["did you mean `80 yuan`?"]);
    count("arpu_3m >= 80 yuan and").is(2, "condition", &["found the end; expected a clause"]);
    count("").is(2, "condition", &["the condition is empty"]);
    t.refused(&["audience", "count"]).is(2, "condition", &["or --file"]);
    t.refused(&["audience", "count", "--file", "none"]).is(2, "condition_file", &["none`"]);
}

#[test]
fn without_a_snapshot_a_count_says_what_to_do() {
    let t = Tenant::new();
    t.user("alice", "planner");
    t.refused(&["audience", "count", "everyone"]).is(
        5,
        "no_snapshot",
        &["import the operator's files, then run `kairos tag compute`"],
    );
}

#[test]
fn a_definition_is_judged_with_every_finding_at_its_field() {
    let t = Tenant::loaded();
    let sound = t.write("sound.toml", current(|_| ()));
    let check = t.json(&["campaign", "check", sound.to_str().unwrap()]);
    assert_eq!((&check["sound"], &check["members"]), (&json!(true), &json!(22)));
    assert_eq!(
        check["creatives"],
        json!([{"lang": "zh", "alphabet": "Ucs2", "segments": 1}, {"lang": "en", "alphabet": "Gsm7", "segments": 1}])
    );
    one(
        findings(&t, &current(|c| c["audience"]["condition"] = "arpu_3m >= 800000 yuan".into())),
        "/audience/condition",
        &["nobody satisfies the condition", "`kairos audience count`"],
    );
    one(
        findings(&t, &current(|c| c["audience"]["condition"] = "apru_3m >= 80 yuan".into())),
        "/audience/condition",
        &["did you mean `arpu_3m`?"],
    );
    one(
        findings(&t, &current(|c| *creative(c, 0) = format!("回复RBT，回TD退订{}", "好".repeat(300)).into())),
        "/creatives/0/text",
        &["segments of Ucs2, more than max_segments", "shorten the text"],
    );
    one(
        findings(&t, &current(|c| *creative(c, 1) = "Dear {{ nmae }}, reply RBT. Reply TD to opt out".into())),
        "/creatives/1/text",
        &["the unknown field `nmae`; did you mean `name`?"],
    );
    one(
        findings(&t, &current(|c| *creative(c, 1) = "Dear {{ name, reply RBT. Reply TD to opt out".into())),
        "/creatives/1/text",
        &["does not parse at line 1"],
    );
    // a campaign of the past may be studied, not submitted
    let past = t.write("past.toml", campaign(|_| ()));
    let past = t.json(&["campaign", "check", past.to_str().unwrap()]);
    assert_eq!((&past["sound"], &past["findings"][0]["pointer"]), (&json!(true), &json!("/end")));
    let several = findings(
        &t,
        &current(|c| {
            c["goal"]["target"] = 0.into();
            c["budget"]["currency"] = "USD".into();
        }),
    );
    assert_eq!(several.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["/goal/target", "/budget/currency"]);
    let unknown = t.write("unknown.toml", current(|c| drop(c.insert("colour".to_owned(), "red".into()))));
    let e = t.refused(&["campaign", "check", unknown.to_str().unwrap()]);
    e.is(2, "definition", &["unknown.toml", "colour"]);
    t.refused(&["campaign", "check", "none.toml"]).is(3, "definition_file", &["none.toml`"]);
}

#[test]
fn nothing_of_an_unsound_campaign_is_kept() {
    let t = Tenant::loaded();
    let alice = t.user("alice", "planner");
    let submit = |text: String| {
        let file = t.write("campaign.toml", text);
        t.refused(&["--token", &alice, "campaign", "submit", file.to_str().unwrap()])
    };
    submit(campaign(|_| ())).is(
        2,
        "definition_findings",
        &["`ring-back-tone` cannot be submitted: 1 finding(s)", "/end: "],
    );
    let e = submit(current(|c| c["goal"]["target"] = 0.into()));
    e.is(2, "definition_findings", &["/goal/target: the target is 0"]);
    assert_eq!(e.errors[0]["place"], "/goal/target");
    assert_eq!(t.json(&["campaign", "list"])["campaigns"], json!([]));
    assert_eq!(t.json(&["audit", "verify"])["entries"], 2, "the user and the token only");
}

#[test]
fn four_eyes_one_launch_and_an_audit_log_that_holds() {
    let t = Tenant::loaded();
    let (alice, bob) = (t.user("alice", "planner"), t.user("bob", "approver"));
    let head = t.ok(&["audit", "verify", "--head"]).trim().to_owned();
    let file = t.write("campaign.toml", current(|_| ()));
    let file = file.to_str().unwrap();
    let by = |token: &str, args: &[&str]| t.refused(&[&["--token", token, "campaign"], args].concat());

    // who you are comes from a token and from nothing else
    t.refused(&["campaign", "submit", file]).is(4, "token", &["KAIROS_TOKEN", "`kairos user add`"]);
    by("kairos_0000", &["submit", file]).is(4, "token", &["not known, or was revoked"]);
    let submitted = t.json(&["--token", &alice, "campaign", "submit", file]);
    assert_eq!((&submitted["campaign"]["state"], &submitted["members"]), (&json!("submitted"), &json!(22)));

    by(&alice, &["approve", "ring-back-tone"]).is(4, "own_work", &["alice", "another user must approve it"]);
    by(&bob, &["approve", "ring-back-tune"]).is(3, "campaign_not_found", &["no campaign `ring-back-tune`"]);
    by(&bob, &["start", "ring-back-tone"]).is(5, "wrong_state", &["campaign is submitted"]);
    by(&bob, &["pause", "ring-back-tone"]).is(5, "wrong_state", &["it was never started"]);
    let approved = t.json(&["--token", &bob, "campaign", "approve", "ring-back-tone"]);
    assert_eq!(approved["state"], "approved");
    by(&bob, &["approve", "ring-back-tone"]).is(5, "wrong_state", &["campaign is approved"]);

    // any edit voids the approval
    let edited = t.write("edited.toml", current(|c| c["priority"] = 400.into()));
    let again = t.json(&["--token", &alice, "campaign", "submit", edited.to_str().unwrap()]);
    assert_eq!((&again["campaign"]["state"], &again["campaign"]["version"]), (&json!("submitted"), &json!(2)));
    assert_ne!(again["content"], submitted["content"]);
    by(&bob, &["start", "ring-back-tone"]).is(5, "wrong_state", &["campaign is submitted"]);
    t.ok(&["--token", &bob, "campaign", "approve", "ring-back-tone"]);

    let started = t.json(&["--token", &alice, "campaign", "start", "ring-back-tone"]);
    assert_eq!((&started["wave"], &started["members"]), (&json!(1), &json!(22)));
    by(&alice, &["start", "ring-back-tone"]).is(5, "second_launch", &["all 1 wave(s)", "a wave is launched once"]);
    t.ok(&["--token", &bob, "campaign", "pause", "ring-back-tone"]);
    t.ok(&["--token", &bob, "campaign", "resume", "ring-back-tone"]);
    let report = t.json(&["campaign", "report", "ring-back-tone"]);
    assert_eq!(
        (&report["state"], &report["members"], &report["adds_up"]),
        (&json!("running"), &json!(22), &json!(true))
    );
    t.ok(&["--token", &bob, "campaign", "stop", "ring-back-tone"]);
    let report = t.json(&["campaign", "report", "ring-back-tone"]);
    let open: Vec<_> = ["not_reached", "deferred", "pending"].map(|s| report["states"][s].clone()).to_vec();
    assert_eq!((&report["state"], report["adds_up"].as_bool(), open), (&json!("ended"), Some(true), vec![json!(0); 3]));
    by(&bob, &["resume", "ring-back-tone"]).is(5, "wrong_state", &["campaign is ended"]);

    let actions: Vec<String> = t.json(&["audit", "list"])["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{} {}", e["user"].as_str().unwrap(), e["action"].as_str().unwrap()))
        .filter(|a| a.contains(" campaign."))
        .collect();
    assert_eq!(
        actions,
        [
            "alice campaign.create",
            "alice campaign.submit",
            "bob campaign.approve",
            "alice campaign.edit",
            "alice campaign.submit",
            "bob campaign.approve",
            "alice campaign.start",
            "alice campaign.wave",
            "bob campaign.pause",
            "bob campaign.resume",
            "bob campaign.stop",
        ]
    );
    let verified = t.json(&["audit", "verify", &format!("--head={head}")]);
    assert_eq!((&verified["sound"], &verified["since"]), (&json!(true), &json!(head)));
    t.refused(&["audit", "verify", "--head=yesterday"]).is(2, "head", &["`entries:hash`"]);
    let forged = format!("--head=1:{}", "0".repeat(64));
    t.refused(&["audit", "verify", &forged]).is(1, "catalog_damaged", &["entry 1", "the chain was exchanged"]);
}

#[test]
fn a_simulation_adds_up_and_contacts_nobody() {
    let t = Tenant::loaded();
    let file = repository().join("province/campaigns/ring-back-tone.toml");
    let simulate = |at: &str| t.json(&["campaign", "simulate", file.to_str().unwrap(), "--at", at]);
    let s = simulate(OPEN);
    assert_eq!((&s["all"], &s["matched"], &s["deferred"]), (&json!(1000), &json!(22), &json!({})));
    let sum = |s: &Value| {
        let each = |k: &str| s[k].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
        each("withheld") + each("deferred") + ["control", "sent"].map(|k| s[k].as_u64().unwrap()).iter().sum::<u64>()
    };
    assert_eq!(sum(&s), 22);
    assert_eq!(s["withheld"], json!({"no_consent": 1}));
    assert_eq!(simulate(OPEN), s, "the same again");
    let over = simulate("2026-03-07T10:00");
    assert_eq!((&over["withheld"], &over["sent"]), (&json!({"no_consent": 1, "ended": 21}), &json!(0)));
    let text = t.ok(&["campaign", "simulate", file.to_str().unwrap(), "--at", OPEN]);
    assert!(text.starts_with("ring-back-tone as of 2026-03-02 10:00:00; nobody is contacted"), "{text}");
    assert_eq!(t.json(&["campaign", "list"])["campaigns"], json!([]));
    t.refused(&["campaign", "simulate", "nothing"]).is(3, "campaign_not_found", &["no campaign `nothing`"]);
    t.refused(&["campaign", "report", "nothing"]).is(3, "campaign_not_found", &["no campaign `nothing`"]);
}

#[test]
fn why_and_why_not_is_answered_in_both_languages() {
    let t = Tenant::loaded();
    let (alice, bob) = (t.user("alice", "planner"), t.user("bob", "approver"));
    let file = t.write("campaign.toml", current(|_| ()));
    t.ok(&["--token", &alice, "campaign", "submit", file.to_str().unwrap()]);
    t.ok(&["--token", &bob, "campaign", "approve", "ring-back-tone"]);
    let of = |key: &str| t.json(&["explain", key, "--campaign", "ring-back-tone"])["campaigns"][0].clone();
    let first = of("S000000000");
    assert_eq!(first["selected"], false);
    assert_eq!(first["now"][0], "not_eligible", "{first:#}");
    let member = t.ok(&["audience", "extract", "--limit", "1", "ring_back_prospect"]).trim().to_owned();
    assert_eq!(of(&member)["selected"], true);
    let text = t.ok(&["explain", "s0"]);
    assert!(text.contains("✗ mean monthly spend over three months is at least ¥80 (seen: ¥61.466667)"), "{text}");
    let text = t.ok(&["--lang", "zh", "explain", "s0"]);
    assert!(
        text.contains("有号码") && text.contains("近三月月均消费不低于80元") && text.contains("不符合条件"),
        "{text}"
    );
    let number = crate::cli::province_text("numbers.csv").lines().nth(1).unwrap().split(',').nth(1).unwrap().to_owned();
    let e = t.refused(&["explain", &number]);
    e.is(3, "subscriber", &["give the source's key, or the ordinal as `s42`"]);
    assert!(!e.message.contains(&number), "a number is never repeated");
    t.refused(&["explain", "s0", "--campaign", "nothing"]).is(3, "campaign_not_found", &["`nothing`"]);
    t.refused(&["explain", "s0", "--at", "noon"]).is(2, "time", &["`noon` is no time"]);
}

#[test]
fn users_are_named_once() {
    let t = Tenant::new();
    t.user("alice", "planner");
    t.refused(&["user", "add", "alice"]).is(5, "user_exists", &["user `alice` is there already"]);
    let users = t.json(&["user", "list"]);
    assert_eq!(users["users"], json!([{"name": "alice", "roles": ["planner"], "active": true}]));
    let files: Vec<PathBuf> = crate::cli::files_below(&t.data());
    assert!(files.contains(&PathBuf::from("catalog.sqlite")), "{files:?}");
}
