//! CloudEvents: what a request gives, and what is said of a wrong one.

use crate::event_kit::event_line;
use expect_test::{Expect, expect};
use kairos_connect::{
    cloudevents::{BODY_MAX, Decoder, EVENTS_MAX, Intake, Refusal},
    event::{EventConfig, Recent, parse_events},
};
use kairos_model::{NumberPlan, SourceId};
use proptest::prelude::*;
use std::sync::Arc;

const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=UTF-8";

const CONFIG: &str = r#"
[[type]]
name = "film_watched"
code = 128
zh = "看电影"
en = "a film was watched"
cloudevents = ["com.example.film"]
field = [
    { name = "minutes", type = "int", required = true, zh = "分钟", en = "minutes" },
    { name = "title", type = "text", zh = "片名", en = "title" },
    { name = "price", type = "money", zh = "价格", en = "price" },
    { name = "hd", type = "bool", zh = "高清", en = "in HD" },
    { name = "day", type = "date", zh = "日期", en = "day" },
    { name = "until", type = "time", zh = "到期", en = "may be watched until" },
]

[[circle]]
name = "airport"
latitude = 50.735851
longitude = 7.10066
radius_m = 2000
cell = 900001

[[circle]]
name = "campus"
latitude = 30.0
longitude = 120
radius_m = 500
"#;

fn config() -> EventConfig {
    parse_events(CONFIG, "events.toml").unwrap_or_else(|e| panic!("{e}"))
}

fn decoder() -> Decoder {
    let EventConfig { catalog, circles } = config();
    let plan = Arc::new(NumberPlan::china());
    Decoder { source: SourceId(9), catalog: Arc::new(catalog), circles, plan, secret: [7; 16] }
}

fn decode(body: &str, content_type: &str) -> Result<Intake, Refusal> {
    decoder().decode(body.as_bytes(), content_type, &|_| None)
}

fn said(intake: &Intake) -> String {
    let catalog = config().catalog;
    let batch = &intake.batch;
    assert_eq!(batch.read(), batch.events.len() as u64 + batch.ignored() + intake.problems.len() as u64);
    let mut lines: Vec<String> =
        batch.events.iter().map(|e| format!("{}: {}", e.offset, event_line(&catalog, batch, e))).collect();
    lines.extend(batch.ignored.iter().map(|(name, n)| format!("ignored {name} {n}")));
    lines.extend(intake.problems.iter().map(|p| format!("{}: {} {} {}", p.index, p.pointer, p.code, p.detail)));
    lines.join("\n")
}

fn check(body: &str, content_type: &str, want: Expect) {
    match decode(body, content_type) {
        Ok(intake) => want.assert_eq(&said(&intake)),
        Err(refusal) => want.assert_eq(&refusal.to_string()),
    }
}

fn event(kind: &str, data: &str) -> String {
    format!(
        r#"{{"id":"1","source":"/s","type":"{kind}","specversion":"1.0","time":"2026-03-10T10:00:00+08:00","data":{data}}}"#
    )
}

/// CAMARA's own examples (geofencing, reachability and roaming subscriptions, Apache-2.0), with numbers of our plan.
#[test]
fn camaras_notifications_are_taken_as_they_are() {
    let device = r#""device":{"phoneNumber":"+8613800000001"},"subscriptionId":"qs15""#;
    let circle = r#""area":{"areaType":"CIRCLE","center":{"latitude":50.735851,"longitude":7.10066},"radius":2000}"#;
    let campus = r#""area":{"areaType":"CIRCLE","center":{"latitude":30,"longitude":120.0},"radius":500.0}"#;
    let geo = "org.camaraproject.geofencing-subscriptions.v0";
    let reach = "org.camaraproject.device-reachability-status-subscriptions.v0";
    let roam = "org.camaraproject.device-roaming-status-subscriptions.v1";
    let events = [
        event(&format!("{geo}.area-entered"), &format!("{{{device},{circle}}}")),
        event(&format!("{geo}.area-left"), &format!("{{{circle},{device}}}")),
        event(&format!("{geo}.area-entered"), &format!("{{{device},{campus}}}")),
        event(&format!("{reach}.reachability-data"), &format!("{{{device}}}")),
        event(&format!("{reach}.reachability-sms"), &format!("{{{device}}}")),
        event(&format!("{reach}.reachability-disconnected"), &format!("{{{device}}}")),
        event(&format!("{roam}.roaming-status"), &format!("{{{device},\"roaming\":true}}")),
        event(&format!("{roam}.roaming-status"), &format!("{{{device},\"roaming\":false}}")),
        event(&format!("{roam}.roaming-on"), &format!("{{{device}}}")),
        event(&format!("{roam}.roaming-off"), &format!("{{{device}}}")),
        event(
            &format!("{roam}.roaming-change-country"),
            &format!("{{{device},\"countryCode\":214,\"countryName\":[\"ES\"]}}"),
        ),
        event(
            &format!("{geo}.subscription-ended"),
            &format!("{{{circle},\"terminationReason\":\"SUBSCRIPTION_EXPIRED\"}}"),
        ),
        event(&format!("{roam}.subscription-ends"), "{}"),
        event(&format!("{reach}.subscription-started"), "{}"),
    ];
    check(
        &format!("[{}]", events.join(",")),
        BATCH,
        expect![[r#"
        0: area_entered number 8613800000001 2026-03-10T02:00:00Z cell 900001 area=airport
        1: area_left number 8613800000001 2026-03-10T02:00:00Z cell 4294967295 area=airport
        2: area_entered number 8613800000001 2026-03-10T02:00:00Z area=campus
        3: power_on number 8613800000001 2026-03-10T02:00:00Z reach=1
        4: power_on number 8613800000001 2026-03-10T02:00:00Z reach=2
        5: power_off number 8613800000001 2026-03-10T02:00:00Z
        6: roaming_out number 8613800000001 2026-03-10T02:00:00Z
        7: roaming_in number 8613800000001 2026-03-10T02:00:00Z
        8: roaming_out number 8613800000001 2026-03-10T02:00:00Z
        9: roaming_in number 8613800000001 2026-03-10T02:00:00Z
        10: roaming_out number 8613800000001 2026-03-10T02:00:00Z country=214
        ignored subscription-ended 1
        ignored subscription-ends 1
        ignored subscription-started 1"#]],
    );
}

#[test]
fn our_own_and_custom_events_carry_their_fields() {
    let events = [
        event(
            "kairos.call_ended",
            r#"{"number":"13800000001","peer":"10086","cell":27447297,"role":"caller","duration_s":62,"cause":16}"#,
        ),
        event(
            "kairos.call_ended",
            r#"{"imsi":"460001234567890","role":"callee","long_distance":true,"cell":"0x1A2D001"}"#,
        ),
        event("kairos.moved", r#"{"number":"+86 138-0000-0001","cell":"70000"}"#),
        event("kairos.top_up", r#"{"number":"13800000001","amount":"50.5"}"#),
        event("kairos.balance_low", r#"{"number":"13800000001","balance":-3}"#),
        event("kairos.page_viewed", r#"{"number":"13800000001","host":"news.\u4e2d.example"}"#),
        event("kairos.area_entered", r#"{"number":"13800000001","area":"airport"}"#),
        event(
            "com.example.film",
            r#"{"number":"13800000001","minutes":90,"title":"良机","price":"9.90","hd":true,"day":"2026-03-10","until":"2026-03-12T00:00:00Z"}"#,
        ),
        event("kairos.film_watched", r#"{"number":"13800000001","minutes":5}"#),
    ];
    check(
        &format!("[{}]", events.join(",")),
        BATCH,
        expect![[r#"
        0: call_ended caller number 8613800000001 peer short 10086 2026-03-10T02:00:00Z cell 27447297 duration_s=62 cause=16
        1: call_ended callee long_distance imsi 460001234567890 2026-03-10T02:00:00Z cell 27447297 duration_s=0
        2: moved number 8613800000001 2026-03-10T02:00:00Z cell 70000
        3: top_up number 8613800000001 2026-03-10T02:00:00Z amount=50.50
        4: balance_low number 8613800000001 2026-03-10T02:00:00Z balance=-3.00
        5: page_viewed number 8613800000001 2026-03-10T02:00:00Z host=news.中.example
        6: area_entered number 8613800000001 2026-03-10T02:00:00Z area=airport
        7: film_watched number 8613800000001 2026-03-10T02:00:00Z minutes=90 title=良机 price=9.90 hd=true day=2026-03-10 until=2026-03-12T00:00:00Z
        8: film_watched number 8613800000001 2026-03-10T02:00:00Z minutes=5"#]],
    );
    // members may stand in any order, and extension attributes say nothing
    let body = r#"{"data":{"cell":5,"number":"13800000001"},"traceparent":"00-1","time":"2026-03-10T02:00:00Z","type":"kairos.moved","specversion":"1.0","datacontenttype":"application/json; charset=utf-8","source":"/s","id":"1","subject":null}"#;
    check(body, ONE, expect!["0: moved number 8613800000001 2026-03-10T02:00:00Z cell 5"]);
}

#[test]
fn binary_mode_takes_its_attributes_from_headers() {
    let headers = |name: &str| match name {
        "ce-id" => Some("1%201"),
        "ce-source" => Some("/s"),
        "ce-type" => Some("kairos.power_on"),
        "ce-specversion" => Some("1.0"),
        "ce-time" => Some("2026-03-10T02:00:00.5Z"),
        _ => None,
    };
    let binary = |body: &str| decoder().decode(body.as_bytes(), "application/json", &headers).expect("JSON");
    expect!["0: power_on number 8613800000001 2026-03-10T02:00:00.5Z"]
        .assert_eq(&said(&binary(r#"{"number":"13800000001"}"#)));
    expect!["0: /number number a number must be a text"].assert_eq(&said(&binary(r#"{"number":17}"#)));
    let no_time = |name: &str| headers(name).filter(|_| name != "ce-time");
    let intake = decoder().decode(br#"{"number":"13800000001"}"#, "application/json", &no_time).expect("JSON");
    expect!["0: /ce-time missing `time` is needed: RFC 3339 with an offset"].assert_eq(&said(&intake));
    // the same event in structured mode has the same identity
    let body = r#"{"id":"1 1","source":"/s","type":"kairos.power_on","specversion":"1.0","time":"2026-03-10T02:00:00.5Z","data":{"number":"13800000001"}}"#;
    let structured = decode(body, ONE).expect("JSON");
    assert_eq!(structured.batch.events, binary(r#"{"number":"13800000001"}"#).batch.events);
}

#[test]
fn a_malformed_event_is_named_by_its_pointer_and_costs_only_itself() {
    let good = event("kairos.power_on", r#"{"number":"13800000001"}"#);
    let bad = [
        "7".to_owned(),
        "{}".to_owned(),
        good.replace("\"1.0\"", "\"0.3\""),
        good.replace("\"id\":\"1\"", "\"id\":1"),
        good.replace("\"id\":\"1\"", &format!("\"id\":\"{}\"", "x".repeat(257))),
        good.replace("2026-03-10T10:00:00+08:00", "2026-03-10T10:00:00"),
        good.replace(",\"time\":\"2026-03-10T10:00:00+08:00\"", ""),
        good.replace("\"data\"", "\"datacontenttype\":\"text/xml\",\"data\""),
        good.replace("\"data\":{\"number\":\"13800000001\"}", "\"data_base64\":\"AA==\""),
        event("kairos.power_of", "{}"),
        event("org.camaraproject.sim-swap.v0.swapped", "{}"),
        event("org.camaraproject.geofencing-subscriptions.v0.area-crossed", "{}"),
        event("kairos.power_on", "[]"),
        event("kairos.power_on", "null"),
        event("kairos.power_on", "{}"),
        event("kairos.power_on", r#"{"number":"138"}"#),
        event("kairos.power_on", r#"{"number":"10086"}"#),
        event("kairos.power_on", r#"{"number":13800000001}"#),
        event("kairos.power_on", r#"{"imsi":"46000"}"#),
        event("kairos.power_on", r#"{"number":"13800000001","peer":"10086"}"#),
        event("kairos.power_on", r#"{"number":"13800000001","reech":1}"#),
        event("kairos.power_on", r#"{"number":"13800000001","a/b~c":1}"#),
        event("kairos.power_on", r#"{"number":"13800000001","reach":-1}"#),
        event("kairos.power_on", r#"{"number":"13800000001","reach":1.5}"#),
        event("kairos.moved", r#"{"number":"13800000001"}"#),
        event("kairos.moved", r#"{"number":"13800000001","cell":4294967295}"#),
        event("kairos.call_ended", r#"{"number":"13800000001","role":"both"}"#),
        event("kairos.top_up", r#"{"number":"13800000001","amount":50.5}"#),
        event("kairos.top_up", r#"{"number":"13800000001"}"#),
        event("kairos.page_viewed", &format!(r#"{{"number":"13800000001","host":"{}"}}"#, "h".repeat(256))),
        event(
            "org.camaraproject.device-reachability-status-subscriptions.v0.reachability-sms",
            r#"{"device":{"ipv4Address":{}}}"#,
        ),
        event(
            "org.camaraproject.device-roaming-status-subscriptions.v0.roaming-status",
            r#"{"device":{"phoneNumber":"+8613800000001"}}"#,
        ),
        event(
            "org.camaraproject.geofencing-subscriptions.v0.area-left",
            r#"{"device":{"phoneNumber":"+8613800000001"},"area":{"areaType":"POLYGON"}}"#,
        ),
        event(
            "org.camaraproject.geofencing-subscriptions.v0.area-left",
            r#"{"device":{"phoneNumber":"+8613800000001"},"area":{"areaType":"CIRCLE","center":{"latitude":1,"longitude":2},"radius":3}}"#,
        ),
        event(
            "kairos.power_on",
            &format!("{{{}}}", (0..70).map(|i| format!("\"m{i}\":{i}")).collect::<Vec<_>>().join(",")),
        ),
    ];
    let intake = decode(&format!("[{good},{},{good}]", bad.join(",")), BATCH).expect("JSON");
    assert_eq!(intake.batch.events.iter().map(|e| e.offset).collect::<Vec<_>>(), [0, bad.len() as u64 + 1]);
    let problems = intake.problems.iter().map(|p| format!("{} {}: {}", p.pointer, p.code, p.detail));
    expect![[r#"
        /1 not_an_event: an event is a JSON object
        /2/id missing: `id` is needed
        /3/specversion specversion: `specversion` must be "1.0"
        /4/id attribute: `id` must be a text of 1–256 bytes
        /5/id attribute: `id` must be a text of 1–256 bytes
        /6/time time: `time` must be RFC 3339 with an offset, e.g. 2026-03-10T10:00:00+08:00
        /7/time missing: `time` is needed: RFC 3339 with an offset
        /8/datacontenttype datacontenttype: data must be application/json
        /9/data_base64 data_base64: data must be JSON, in `data`
        /10/type unknown_type: no event type is declared by this name; ours are `kairos.` and the event's name
        /11/type unknown_type: CAMARA types known here are of geofencing-subscriptions, device-reachability-status-subscriptions, device-roaming-status-subscriptions
        /12/type unknown_type: unknown event of CAMARA geofencing-subscriptions
        /13/data object: `data` must be an object
        /14/data missing: `data` is needed
        /15/data/number missing: `number` or `imsi` is needed
        /16/data/number number: a phone number of 3 digits is not valid in its country
        /17/data/number short_code: a short code is no subscriber's number
        /18/data/number number: a number must be a text
        /19/data/imsi imsi: an IMSI is 14 or 15 digits
        /20/data/peer unknown_member: this event has no other side
        /21/data/reech unknown_member: event `power_on` has no such field; did you mean `reach`?
        /22/data/a~1b~0c unknown_member: event `power_on` has no such field
        /23/data/reach out_of_range: out of range
        /24/data/reach whole_number: must be a whole number
        /25/data/cell missing: `cell` is needed
        /26/data/cell cell: a cell is a whole number below 2^32 − 2, or a text of it, perhaps with 0x
        /27/data/role role: `role` is "caller" or "callee"
        /28/data/amount amount: must be a whole number, or a text with at most six decimals such as "12.50"
        /29/data/amount missing: `amount` is needed
        /30/data/host too_long: longer than 255 bytes
        /31/data/device/phoneNumber missing: the device's `phoneNumber` is needed: other identifiers are not resolved
        /32/data/roaming missing: `roaming` is needed
        /33/data/area/areaType area_type: `areaType` must be CIRCLE
        /34/data/area unknown_area: no circle of the configuration has this centre and radius
        /35/data/number missing: `number` or `imsi` is needed"#]].assert_eq(&problems.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_request_of_another_kind_is_refused_as_a_whole() {
    let good = event("kairos.power_on", r#"{"number":"13800000001"}"#);
    check(
        &good,
        "application/json",
        expect![
            "content type is none of application/cloudevents+json, application/cloudevents-batch+json and, with `ce-` headers, application/json (in UTF-8)"
        ],
    );
    check(
        &good,
        "application/cloudevents+json; charset=gbk",
        expect![
            "content type is none of application/cloudevents+json, application/cloudevents-batch+json and, with `ce-` headers, application/json (in UTF-8)"
        ],
    );
    check(&good, BATCH, expect!["a batch is a JSON array of events"]);
    check("5", BATCH, expect!["a batch is a JSON array of events"]);
    check("5", ONE, expect!["0:  not_an_event an event is a JSON object"]);
    check("", ONE, expect!["the body is no JSON at line 1, column 0"]);
    check(&format!("[{good},\n{good}"), BATCH, expect!["the body is no JSON at line 2, column 136"]);
    check(&format!("{good} x"), ONE, expect!["the body is no JSON at line 1, column 138"]);
    check("[]", BATCH, expect![[""]]);
    let many = vec![good.as_str(); EVENTS_MAX + 1].join(",");
    check(&format!("[{many}]"), BATCH, expect!["more than 1000 events in one batch; send smaller batches"]);
    let enough = vec![good.as_str(); EVENTS_MAX].join(",");
    assert_eq!(decode(&format!("[{enough}]"), BATCH).expect("fits").batch.events.len(), EVENTS_MAX);
    check(
        &" ".repeat(BODY_MAX + 1),
        ONE,
        expect!["the body has 1048577 bytes, more than 1048576; send smaller batches"],
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(decode(&deep, BATCH).expect("JSON").problems[0].code, "not_an_event");
    let deep_object =
        event("kairos.moved", &format!("{}{}", "{\"a\":".repeat(100_000), "1".to_owned() + &"}".repeat(100_000)));
    assert_eq!(decode(&deep_object, ONE).expect("JSON").problems[0].pointer, "/data/number");
    let not_utf8 = decoder().decode(b"{\"id\":\"\xff\"}", ONE, &|_| None);
    assert_eq!(not_utf8, Err(Refusal::NotUtf8 { at: 7 }));
}

#[test]
fn the_same_source_and_id_are_the_same_event() {
    let event = |source: &str, id: &str| {
        event("kairos.power_on", r#"{"number":"13800000001"}"#)
            .replace("\"/s\"", &format!("\"{source}\""))
            .replace("\"id\":\"1\"", &format!("\"id\":\"{id}\""))
    };
    let body = [event("/a", "1"), event("/a", "2"), event("/b", "1"), event("/a", "1")].join(",");
    let events = decode(&format!("[{body}]"), BATCH).expect("JSON").batch.events;
    let mut recent = Recent::new(Recent::HTTP);
    assert_eq!(events.iter().map(|e| recent.insert(e.key)).collect::<Vec<_>>(), [true, true, true, false]);
}

#[test]
fn faults_of_the_configuration_are_told_at_once() {
    let text = r#"
[[type]]
name = "film"
code = 12
zh = "电影"
en = "film"
field = [{ name = "minutes", type = "nt", zh = "", en = "" }]
[[type]]
name = "moved"
code = 200
colour = "red"
[[circle]]
name = "a"
latitude = 99
longitude = 1
radius_m = "wide"
"#;
    let errors = parse_events(text, "events.toml").expect_err("faults").to_string();
    expect![[r#"
        layout `events.toml` has 7 faults
          line 2, type `film`: code 12 of `film` must be 128–65535: lower ones are Kairos' own
          line 7, type `film`: unknown type `nt`; did you mean `int`? (one of bool, int, decimal, money, text, date, time, subscriber, own_number, party, subscriber_number, secret)
          line 8, type `moved`: `zh` is missing
          line 8, type `moved`: `en` is missing
          line 8, type `moved`: `moved` (code 200) repeats the name or the code of `moved`
          line 11, type 2: unknown field `colour` (fields: name, code, zh, en, needs_cell, has_peer, field, cloudevents)
          line 12, circle `a`: `radius_m` must be a number"#]].assert_eq(&errors);
    let twice = "[[circle]]\nname = \"a\"\nlatitude = 1\nlongitude = 1\nradius_m = 5\n".repeat(2);
    expect![[r#"
        layout `events.toml` has 1 fault
          line 1, circles: circles `a` and `a` are the same: no notification could tell them apart"#]]
    .assert_eq(&parse_events(&twice, "events.toml").expect_err("twice").to_string());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for kind in [ONE, BATCH] {
            if let Ok(intake) = decoder().decode(&bytes, kind, &|_| None) {
                said(&intake);
            }
        }
    }

    #[test]
    fn likely_json_is_accounted_for(
        body in "(\\{|\\}|\\[|\\]|,|:|\"id\":\"1\"|\"source\":\"/s\"|\"type\":\"kairos.moved\"|\"specversion\":\"1.0\"|\"time\":\"2026-03-10T10:00:00Z\"|\"data\":\\{|\"number\":\"13800000001\"|\"cell\":5|\"area\":|\"device\":|\"phoneNumber\":|null|1e99|-1|\"\\\\u4e2d\"|\"\\\\ud800\"){0,40}",
    ) {
        for kind in [ONE, BATCH] {
            if let Ok(intake) = decode(&body, kind) {
                said(&intake);
            }
        }
    }

    /// A request cut anywhere is refused, and never half taken.
    #[test]
    fn a_cut_request_is_refused(at in 0usize..700) {
        let event = event("kairos.call_ended", r#"{"number":"13800000001","peer":"13900000001","role":"caller","cell":1,"duration_s":5}"#);
        let body = format!("[{event},{event},{event}]");
        if at < body.len() {
            let refused = matches!(decode(&body[..at], BATCH), Err(Refusal::NotJson { .. }));
            prop_assert!(refused);
        }
    }
}
