//! Triggers through the whole program: an event comes in, a message goes out, or the report says why not.

use crate::{
    cli::{Tenant, province_text, wait},
    cli_campaign::current,
    cli_loop::{Shop, centre, runtime},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// A subscriber's source key, national number and ordinal.
struct Person {
    number: String,
    ordinal: u32,
}

/// Members of a condition with their numbers.
fn people(s: &Shop, condition: &str, n: usize) -> Vec<Person> {
    let found = s.json(&["audience", "extract", "--limit", "1000", condition])["subscribers"].clone();
    let lines: Vec<Vec<String>> =
        province_text("subscribers.csv").lines().skip(1).map(|l| l.split(',').map(str::to_owned).collect()).collect();
    // the province is imported in the order of its file: ordinals are places in it
    let person = |v: &Value| {
        let ordinal: u32 = v.as_str().unwrap().trim_start_matches('s').parse().unwrap();
        let number = lines[ordinal as usize][1].clone();
        (!number.is_empty()).then_some(Person { number, ordinal })
    };
    found.as_array().unwrap().iter().filter_map(person).take(n).collect()
}

fn event(id: &str, kind: &str, number: &str, data: Value) -> Value {
    let mut all = json!({ "number": number });
    all.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    json!({
        "specversion": "1.0", "id": id, "source": "test", "type": format!("kairos.{kind}"),
        "time": jiff::Timestamp::now().to_string(), "data": all,
    })
}

fn inject(s: &Shop, events: &[Value]) -> Value {
    let file: PathBuf = s.t.write("events.json", serde_json::to_vec(events).unwrap());
    s.json(&["event", "inject", file.to_str().unwrap()])
}

/// A campaign on hang-ups on campus, with everything else of the demo campaign.
fn hang_up(change: impl FnOnce(&mut toml::Table)) -> String {
    current(|c| {
        c.remove("waves");
        c.remove("hold_days");
        c["audience"]["condition"] = "age > 0".into();
        c["control"] = toml::from_str::<toml::Table>("share = \"0%\"\nreason = \"a story\"").unwrap().into();
        c.insert("holdout".to_owned(), false.into());
        let trigger = "[on]\nevent = \"call_ended\"\nrole = \"caller\"\narea = \"campus\"\nwhere = [\"duration_s >= 10\"]\n\
                       [peer]\ncondition = \"has_ring_back_tone\"\n[then]\nwait = \"1 s\"\n";
        c.insert("trigger".to_owned(), toml::from_str::<toml::Table>(trigger).unwrap().into());
        change(c);
    })
}

#[test]
fn who_hangs_up_on_campus_gets_one_message_and_everybody_else_a_reason() {
    let s = Shop::open();
    let runtime = runtime();
    let centre = centre(&runtime, |_| ());
    let address = centre.addr().to_string();
    let (mut process, _) = s.t.serve(&["--definitions", "definitions", "--smpp", &address]);
    let file = s.t.write("campaign.toml", hang_up(|_| ()));
    s.json(&["--token", &s.alice, "campaign", "submit", file.to_str().unwrap()]);
    s.json(&["--token", &s.bob, "campaign", "approve", "ring-back-tone"]);
    s.json(&["--token", &s.alice, "campaign", "start", "ring-back-tone"]);
    let open = "not do_not_disturb and age > 0";
    let callers = people(&s, &format!("{open} and not has_ring_back_tone"), 60);
    let owner = &people(&s, "has_ring_back_tone", 1)[0];
    let other = &people(&s, "not has_ring_back_tone", 200)[199];
    let call = |i: usize, who: &Person, peer: &str, cell: u32, seconds: u32, role: &str| {
        let data = json!({"peer": peer, "cell": cell, "duration_s": seconds, "role": role});
        event(&format!("{i}"), "call_ended", &who.number, data)
    };
    let campus = 11_000;
    let mut events: Vec<Value> =
        callers[..50].iter().enumerate().map(|(i, p)| call(i, p, &owner.number, campus, 30, "caller")).collect();
    // off campus, too short, called instead of calling, a peer without the tone, a number of nobody
    events.push(call(50, &callers[50], &owner.number, 10_500, 30, "caller"));
    events.push(call(51, &callers[51], &owner.number, campus, 5, "caller"));
    events.push(call(52, &callers[52], &owner.number, campus, 30, "callee"));
    events.push(call(53, &callers[53], &other.number, campus, 30, "caller"));
    events.push(event("54", "call_ended", "13999999999", json!({"cell": campus, "duration_s": 30})));
    let taken = inject(&s, &events);
    assert_eq!((&taken["read"], &taken["taken"], &taken["unknown"]), (&json!(55), &json!(54), &json!(1)), "{taken:#}");
    let report = wait("the waits to be over", || {
        let r = s.report();
        let open: u64 = ["deferred", "pending"].iter().map(|k| r["states"][k].as_u64().unwrap()).sum();
        (open == 0 && r["members"].as_u64() > Some(0)).then_some(r)
    });
    // fifty matched; some have not agreed to marketing, or nobody may contact them
    assert_eq!(report["members"], 50, "{report:#}");
    let (sent, withheld) = (report["states"]["sent"].as_u64().unwrap(), report["states"]["withheld"].as_u64().unwrap());
    assert!(sent > 20 && sent + withheld == 50 && centre.counts().submits == sent, "{report:#}");

    // the same events again, and a second hang-up of the same people: nobody is contacted twice
    inject(&s, &events);
    let again: Vec<Value> =
        callers[..50].iter().enumerate().map(|(i, p)| call(100 + i, p, &owner.number, campus, 30, "caller")).collect();
    inject(&s, &again);
    let report = wait("the second calls to be judged", || {
        let r = s.report();
        let open: u64 = ["deferred", "pending"].iter().map(|k| r["states"][k].as_u64().unwrap()).sum();
        (open == 0 && r["members"] == 100).then_some(r)
    });
    assert_eq!(report["states"]["sent"].as_u64().unwrap(), sent);
    assert!(report["withheld"]["same_message"].as_u64().unwrap() >= sent, "{report:#}");
    assert_eq!(centre.counts().submits, sent);
    let one = s.json(&["explain", &format!("s{}", callers[0].ordinal), "--campaign", "ring-back-tone"]);
    assert!(!one["campaigns"][0]["decisions"].as_array().unwrap().is_empty(), "{one:#}");
    process.end();
    runtime.block_on(centre.stop());
}

#[test]
fn a_wrong_trigger_names_each_fault_at_its_field() {
    let t = Tenant::loaded();
    let wrong = hang_up(|c| {
        let trigger = "windows = [{ from = \"21:00\", to = \"23:00\" }]\n[on]\nevent = \"call_endet\"\narea = \"campas\"\n\
                       [peer]\nlist = \"friends\"\n[then]\nwait = \"1 s\"\ndwell = \"2 s\"\n";
        c["trigger"] = toml::from_str::<toml::Table>(trigger).unwrap().into();
        c.insert("waves".to_owned(), toml::Value::Array(vec![]));
    });
    let file = t.write("campaign.toml", wrong);
    let ran = t.run(&["campaign", "check", file.to_str().unwrap(), "--json"]);
    assert_eq!(ran.exit, 1);
    let found: Vec<String> = ran.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["severity"] == "error")
        .map(|f| f["pointer"].as_str().unwrap().to_owned())
        .collect();
    for pointer in
        ["/trigger/on/event", "/trigger/on/area", "/trigger/peer/list", "/trigger/then", "/trigger/windows/0"]
    {
        assert!(found.iter().any(|f| f == pointer), "no {pointer} in {found:?}");
    }
    fs::write(t.path("bad.json"), "[{\"specversion\": \"1.0\"}, 7]").unwrap();
    let ran = t.run(&["event", "inject", "bad.json", "--json"]);
    assert_eq!(ran.exit, 1);
    assert_eq!(ran.json()["problems"].as_array().unwrap().len(), 2);
    fs::write(t.path("worse.json"), "[{").unwrap();
    t.refused(&["event", "inject", "worse.json"]).is(2, "cloudevents", &["no JSON at line 1"]);
}
