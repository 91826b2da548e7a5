//! Campaigns on their way out: files for callers, the kill switch, a pause in the middle, a centre that hangs up, and
//! what is said of them afterwards.

use crate::{
    cli::{Tenant, province_text, wait},
    cli_campaign::current,
    cli_privacy::always_open,
};
use kairos_app::SystemClock;
use kairos_model::{Msisdn, Span, Timestamp};
use kairos_smsc::{Answer, Fate, Population, Smsc, SmscConfig};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

/// Everything arrives at once; nobody answers.
struct Silent;

impl Population for Silent {
    fn fate(&self, _to: Msisdn, _text: &str, _at: Timestamp) -> Fate {
        Fate::Delivered { after: Span::ZERO }
    }
    fn delivered(&self, _to: Msisdn, _text: &str, _at: Timestamp) -> Option<Answer> {
        None
    }
}

/// A tenant that is open at any hour, with a planner and an approver.
pub struct Shop {
    pub t: Tenant,
    pub alice: String,
    pub bob: String,
}

impl Shop {
    pub fn open() -> Self {
        let t = Tenant::loaded();
        always_open(&t);
        let token = |name: &str, role: &str| {
            let added = t.json(&["--definitions", "definitions", "user", "add", name, "--role", role]);
            added["token"].as_str().unwrap().to_owned()
        };
        let (alice, bob) = (token("alice", "planner"), token("bob", "approver"));
        Self { t, alice, bob }
    }
    pub fn json(&self, args: &[&str]) -> Value {
        self.t.json(&[&["--definitions", "definitions"], args].concat())
    }
    /// Submits, approves and starts a campaign whose audience is large; its members.
    fn start(&self, change: impl FnOnce(&mut toml::Table)) -> u64 {
        let text = current(|c| {
            c["audience"]["condition"] = "arpu_3m >= 40 yuan and not has_ring_back_tone".into();
            c["waves"][0].as_table_mut().unwrap().remove("window");
            change(c);
        });
        let file = self.t.write("campaign.toml", text);
        self.json(&["--token", &self.alice, "campaign", "submit", file.to_str().unwrap()]);
        self.json(&["--token", &self.bob, "campaign", "approve", "ring-back-tone"]);
        let started = self.json(&["--token", &self.alice, "campaign", "start", "ring-back-tone"]);
        started["members"].as_u64().unwrap()
    }
    pub fn report(&self) -> Value {
        let r = self.json(&["campaign", "report", "ring-back-tone"]);
        assert_eq!(r["adds_up"], true, "{r:#}");
        r
    }
    fn states(&self, names: &[&str]) -> u64 {
        let r = self.report();
        names.iter().map(|s| r["states"][s].as_u64().unwrap()).sum()
    }
}

pub fn centre(runtime: &tokio::runtime::Runtime, change: impl FnOnce(&mut SmscConfig)) -> Smsc {
    let mut config = SmscConfig::new(Arc::new(SystemClock), 1);
    change(&mut config);
    runtime.block_on(Smsc::start(config, Arc::new(Silent))).unwrap()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn callers_get_a_file_and_the_report_says_exported() {
    let s = Shop::open();
    let members = s.start(|c| c["channel"] = "outbound".into());
    let done = s.json(&["--token", &s.alice, "contact", "export", "outbound"]);
    let lists = s.json(&["contact", "lists"])["lists"].clone();
    assert_eq!(
        (done["lists"].as_array().unwrap().len(), lists.as_array().unwrap().len()),
        (1, 1),
        "one list: {done:#}"
    );
    let contacts = done["lists"][0]["contacts"].as_u64().unwrap();
    assert_eq!(s.states(&["not_reached", "deferred", "pending"]), 0);
    let report = s.report();
    assert_eq!(report["sent_is"], "exported");
    assert_eq!(report["states"]["sent"].as_u64().unwrap(), contacts);
    assert!(contacts > 100 && report["states"]["unknown"] == 0 && contacts < members, "{report:#}");
    let text = s.t.ok(&["--definitions", "definitions", "campaign", "report", "ring-back-tone"]);
    assert!(text.contains("\nexported ") && !text.contains("\nsent "), "{text}");

    let path = lists[0]["path"].as_str().unwrap();
    assert!(path.starts_with(s.t.path("data.outbox").canonicalize().unwrap().to_str().unwrap()), "{path}");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let file = fs::read_to_string(path).unwrap();
    let mut lines = file.trim_start_matches('\u{feff}').lines();
    assert_eq!(lines.next(), Some("contact,number,from,not_after,text"));
    let numbers = province_text("subscribers.csv");
    let row: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert!(numbers.contains(row[1].trim_start_matches("86")), "a caller needs the number");

    // called back: marked, its contacts said, and still exported in the ledger
    let name = lists[0]["name"].as_str().unwrap();
    let recalled = s.json(&["--token", &s.alice, "contact", "recall", name]);
    assert_eq!(recalled["contacts"].as_array().unwrap().len() as u64, lists[0]["contacts"].as_u64().unwrap());
    assert_eq!(s.json(&["contact", "lists"])["lists"][0]["recalled"], true);
    assert_eq!(s.report()["states"]["sent"].as_u64().unwrap(), contacts);
    let refused = |args: &[&str]| {
        s.t.refused(&[&["--definitions", "definitions", "--token", &s.alice, "contact"], args].concat())
    };
    refused(&["recall", "no-such"]).is(3, "list_not_found", &["no-such"]);
    refused(&["recall", "../data"]).is(2, "list_name", &["letters, digits"]);
    refused(&["export", "sms"]).is(2, "channel", &["outbound and mms do"]);
    refused(&["export", "outbound", "--outbox", "data/out"]).is(2, "outbox_inside", &["inside the data directory"]);
}

#[test]
fn a_pause_and_the_kill_switch_stop_what_is_under_way_within_a_second() {
    let s = Shop::open();
    let runtime = runtime();
    let centre = centre(&runtime, |_| ());
    // slow enough for a pause in the middle
    let path = s.t.path("definitions/tenant.toml");
    let text = fs::read_to_string(&path).unwrap().replace("per_second = 200", "per_second = 40");
    fs::write(&path, text).unwrap();
    let address = centre.addr().to_string();
    let (mut process, _) = s.t.serve(&["--definitions", "definitions", "--smpp", &address]);
    let members = s.start(|_| ());
    let submits = || centre.counts().submits;
    let stops = |what: &str, stop: &dyn Fn()| {
        let from = submits();
        wait(what, || (submits() >= from + 20).then_some(()));
        stop();
        // a second later nothing more is written
        std::thread::sleep(Duration::from_secs(1));
        let at = submits();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(submits(), at, "{what}");
        assert!(s.states(&["not_reached", "deferred", "pending"]) > 0, "the wave was over before: {what}");
    };
    stops("sending before the pause", &|| {
        s.json(&["--token", &s.bob, "campaign", "pause", "ring-back-tone"]);
    });
    s.json(&["--token", &s.bob, "campaign", "resume", "ring-back-tone"]);
    stops("sending before the switch", &|| {
        let switch = s.json(&["--token", &s.bob, "kill-switch", "on", "--reason", "wrong price in the text"]);
        assert_eq!(switch["on"], true);
        assert!(switch["in_flight"].as_array().unwrap().len() <= 32, "no more than a window: {switch:#}");
        assert_eq!(switch["audited"], true);
    });
    assert_eq!(s.json(&["kill-switch"])["on"], true);
    let refused = s.t.refused(&["--token", &s.bob, "kill-switch", "off"]);
    refused.is(2, "reason", &["say why", "audit log"]);
    s.t.refused(&["kill-switch", "off", "--reason", "x"]).is(4, "token", &["KAIROS_TOKEN"]);
    s.json(&["--token", &s.bob, "kill-switch", "off", "--reason", "price mended"]);
    wait("the rest to be sent", || (s.states(&["not_reached", "deferred", "pending"]) == 0).then_some(()));
    let report = s.report();
    let sent = report["states"]["sent"].as_u64().unwrap();
    assert_eq!((sent, report["states"]["unknown"].as_u64()), (submits(), Some(0)), "{members} members {report:#}");
    let audit = s.json(&["audit", "list"]);
    let switched = audit["entries"].as_array().unwrap().iter().filter(|e| e["action"] == "setting.set").count();
    assert_eq!(switched, 2);
    process.end();
    runtime.block_on(centre.stop());
}

#[test]
fn a_centre_that_hangs_up_in_the_middle_of_an_answer_costs_no_second_message() {
    let s = Shop::open();
    let runtime = runtime();
    let centre = centre(&runtime, |c| {
        c.cut_one_in = Some(25);
        c.log = Some(s.t.path("centre.log"));
    });
    let address = centre.addr().to_string();
    let (mut process, _) = s.t.serve(&["--definitions", "definitions", "--smpp", &address, "--smpp-window", "4"]);
    s.start(|_| ());
    wait("the wave to be over", || (s.states(&["not_reached", "deferred", "pending"]) == 0).then_some(()));
    // receipts settle what they can
    wait("the receipts", || (centre.is_idle() && s.states(&["unknown"]) == 0).then_some(()));
    let counts = centre.counts();
    let report = s.report();
    assert!(counts.unanswered > 3 && counts.binds > 3, "it hung up often: {counts:?}");
    assert_eq!(report["states"]["sent"].as_u64().unwrap(), counts.accepted);
    let log = fs::read_to_string(s.t.path("centre.log")).unwrap();
    let to: Vec<String> = log
        .lines()
        .filter_map(|l| {
            let v: Value = serde_json::from_str(l).unwrap();
            (v["ev"] == "submit").then(|| format!("{} {}", v["dst"], v["hex"]))
        })
        .collect();
    assert_eq!(to.iter().collect::<BTreeSet<_>>().len(), to.len(), "nobody twice");
    process.end();
    runtime.block_on(centre.stop());
}

#[test]
fn the_past_is_explained_as_it_was() {
    let s = Shop::open();
    let runtime = runtime();
    let centre = centre(&runtime, |_| ());
    let address = centre.addr().to_string();
    let (mut process, _) = s.t.serve(&["--definitions", "definitions", "--smpp", &address]);
    let before = jiff::Timestamp::now().to_string();
    s.start(|_| ());
    wait("the wave to be over", || (s.states(&["not_reached", "deferred", "pending"]) == 0).then_some(()));
    let decided =
        s.json(&["sql", "SELECT subscriber FROM decision WHERE verdict = 'send' ORDER BY subscriber LIMIT 1"]);
    let subscriber = format!("s{}", decided["rows"][0]["subscriber"]);
    let explain = |at: &[&str]| {
        s.json(&[&["explain", &subscriber, "--campaign", "ring-back-tone"], at].concat())["campaigns"][0].clone()
    };
    let now = explain(&[]);
    assert_eq!(now["contacts"][0]["state"], "sent");
    assert!(now["now"].as_array().unwrap().contains(&json!("same_message")), "{now:#}");
    let then = explain(&["--at", &before]);
    assert_eq!((then["contacts"].as_array().unwrap().len(), then["decisions"].as_array().unwrap().len()), (0, 0));
    assert!(!then["now"].as_array().unwrap().contains(&json!("same_message")), "{then:#}");
    // divided by what the planner asks for
    let parts: Vec<String> = s.json(&["campaign", "report", "ring-back-tone", "--by", "gender"])["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["part"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        parts.iter().any(|p| p.starts_with("gender ")) && !parts.iter().any(|p| p.starts_with("brand ")),
        "{parts:?}"
    );
    s.t.refused(&["campaign", "report", "ring-back-tone", "--by", "gendre"]).is(3, "tag", &["did you mean `gender`"]);
    process.end();
    runtime.block_on(centre.stop());
}
