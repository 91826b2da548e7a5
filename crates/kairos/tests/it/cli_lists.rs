//! Lists of numbers, areas, past snapshots: what conditions can name.

use crate::{
    cli::{AS_OF, Tenant, province_text},
    cli_campaign::current,
};
use serde_json::Value;

/// Numbers of the first subscribers that have one.
fn numbers(n: usize) -> Vec<String> {
    let lines = province_text("subscribers.csv");
    lines
        .lines()
        .skip(1)
        .filter_map(|l| l.split(',').nth(1))
        .filter(|n| !n.is_empty())
        .take(n)
        .map(str::to_owned)
        .collect()
}

fn figures(v: &Value) -> [u64; 5] {
    ["lines", "members", "duplicate", "foreign", "bad"].map(|k| v[k].as_u64().unwrap())
}

#[test]
fn a_list_in_any_form_of_number_is_counted_named_and_forgotten() {
    let t = Tenant::loaded();
    let alice = t.user("alice", "planner");
    let n = numbers(5);
    let text = format!(
        "{}\n+86 {}\n{}-{}-{}\n{},with,more,columns\n{}\n{}\n13912345678\nno number\n\n",
        n[0],
        n[1],
        &n[2][..3],
        &n[2][3..7],
        &n[2][7..],
        n[3],
        n[4],
        n[0]
    );
    let file = t.write("vip.csv", &text);
    let file = file.to_str().unwrap();
    t.refused(&["list", "load", "vip", file]).is(4, "token", &["KAIROS_TOKEN"]);
    let load = |args: &[&str]| t.json(&[&["--token", &alice, "list", "load"], args].concat());
    let loaded = load(&["vip", file, "--zh", "贵宾", "--en", "VIPs"]);
    // the first column of a line counts, whatever follows it; an empty line is none
    assert_eq!(figures(&loaded), [8, 5, 1, 1, 1], "{loaded:#}");
    assert_eq!((&loaded["faults"][0]["first_row"], &loaded["faults"][0]["rows"]), (&8.into(), &1.into()));
    assert!(!t.ok(&["list", "show"]).contains(&n[0]), "no number is shown");

    let count = |condition: &str| t.json(&["audience", "count", condition])["count"].as_u64().unwrap();
    assert_eq!(count("subscriber in list vip"), 5);
    assert_eq!(count("subscriber not in list vip"), 995);
    t.refused(&["audience", "count", "subscriber in list vpi"]).is(2, "condition", &["did you mean `vip`"]);

    // a campaign may name it instead of a condition
    let campaign = t.write(
        "campaign.toml",
        current(|c| {
            c["audience"].as_table_mut().unwrap().remove("condition");
            c["audience"].as_table_mut().unwrap().insert("list".to_owned(), "vip".into());
        }),
    );
    assert_eq!(t.json(&["campaign", "check", campaign.to_str().unwrap()])["members"], 5);

    // a new version replaces it; of the other kind it is refused
    let two = t.write("two.csv", format!("{}\n{}\n", n[3], n[4]));
    let again = load(&["vip", two.to_str().unwrap()]);
    assert_eq!((again["version"].as_u64(), again["name"]["zh"].as_str()), (Some(2), Some("贵宾")));
    assert_eq!(count("subscriber in list vip"), 2);
    let refused = |args: &[&str]| t.refused(&[&["--token", &alice, "list"], args].concat());
    refused(&["load", "vip", file, "--kind", "peer"]).is(5, "list_kind", &["`vip`"]);
    refused(&["load", "v i p", file]).is(2, "list_id", &["a–z, 0–9"]);
    refused(&["load", "old", file, "--expires", "2020-01-01T00:00"]).is(2, "list_expires", &["later"]);
    refused(&["load", "vip", "nothing.csv"]).is(2, "list_file", &["nothing.csv"]);
    let foreign = t.write("foreign.csv", "13912345678\n");
    refused(&["load", "strangers", foreign.to_str().unwrap()]).is(2, "list_empty", &["1 foreign or unknown"]);
    refused(&["load", "vip", file, "--layout", "orders"]).is(2, "list_layout", &["`number_list`"]);
    t.refused(&["import", "--layout", "number-list", file]).is(2, "import_layout", &["kairos list load"]);

    // whom subscribers talk to may be anybody's number, and is no audience
    let peers = load(&["banks", foreign.to_str().unwrap(), "--kind", "peer"]);
    assert_eq!(figures(&peers), [1, 1, 0, 1, 0]);
    t.refused(&["audience", "count", "subscriber in list banks"]).is(2, "condition_refused", &["it is a peer list"]);

    t.json(&["--token", &alice, "list", "drop", "vip"]);
    t.refused(&["audience", "count", "subscriber in list vip"]).is(2, "condition", &["vip"]);
    refused(&["drop", "vip"]).is(3, "list", &["no list `vip`"]);
    let acts: Vec<String> = t.json(&["audit", "list"])["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["action"].as_str().filter(|a| a.starts_with("list.")).map(str::to_owned))
        .collect();
    assert_eq!(acts.iter().filter(|a| *a == "list.drop").count(), 2, "tries too: {acts:?}");
    assert!(acts.iter().filter(|a| *a == "list.load").count() >= 3, "{acts:?}");
    assert_eq!(t.json(&["audit", "verify"])["sound"], true);
}

#[test]
fn damage_to_a_list_is_named_and_nothing_is_decided_by_it() {
    let t = Tenant::loaded();
    let alice = t.user("alice", "planner");
    let file = t.write("vip.csv", numbers(3).join("\n"));
    t.ok(&["--token", &alice, "list", "load", "vip", file.to_str().unwrap()]);
    let path = t.data().join("lists/vip.00000001.list");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    t.refused(&["audience", "count", "subscriber in list vip"]).is(
        2,
        "condition_refused",
        &["the list `vip` cannot be used", "vip.00000001.list", "backup"],
    );
    // everything else goes on, and the list can be loaded again
    assert_eq!(t.json(&["audience", "count", "age > 60"])["everyone"], 1000);
    assert!(t.ok(&["list", "show"]).contains("is damaged"));
    let again = t.json(&["--token", &alice, "list", "load", "vip", file.to_str().unwrap()]);
    assert_eq!(again["version"], 2);
    assert_eq!(t.json(&["audience", "count", "subscriber in list vip"])["count"], 3);
}

#[test]
fn a_list_that_a_tag_names_stays() {
    let t = Tenant::loaded();
    crate::cli_privacy::always_open(&t);
    fn with<'a>(args: &[&'a str]) -> Vec<&'a str> {
        [&["--definitions", "definitions"], args].concat()
    }
    let alice = t.json(&with(&["user", "add", "alice"]))["token"].as_str().unwrap().to_owned();
    let file = t.write("vip.csv", numbers(3).join("\n"));
    t.ok(&with(&["--token", &alice, "list", "load", "vip", file.to_str().unwrap()]));
    t.write("definitions/tags/local.toml", "[[tag]]\nid = \"is_vip\"\nzh = \"贵宾\"\nen = \"VIP\"\naspect = \"basic\"\ncategory = \"vip\"\ntype = \"bool\"\ncondition = \"subscriber in list vip\"\nowner = \"branch\"\nrefresh = \"daily\"\ndescription = \"x\"\n");
    t.refused(&with(&["--token", &alice, "list", "drop", "vip"])).is(5, "list_used", &["a tag names the list `vip`"]);
    assert_eq!(t.json(&with(&["audience", "count", "subscriber in list vip"]))["count"], 3);
}

#[test]
fn an_area_is_a_set_of_cells() {
    let t = Tenant::loaded();
    let count = |condition: &str| t.json(&["audience", "count", condition])["count"].as_u64().unwrap();
    let (in_town, out) = (count("home_cell in area old_town"), count("home_cell not in area old_town"));
    assert!(in_town > 0 && out > in_town, "{in_town} {out}");
    assert_eq!(count("home_cell in area old_town or home_cell not in area old_town"), in_town + out);
    t.refused(&["audience", "count", "home_cell in area old_twon"]).is(2, "condition", &["did you mean `old_town`"]);
    crate::cli_privacy::always_open(&t);
    t.write(
        "definitions/areas/places.toml",
        "[[area]]\nid = \"a\"\nname = { zh = \"甲\", en = \"A\" }\ncells = [\"20-10\"]\n",
    );
    t.refused(&["--definitions", "definitions", "tag", "list"]).is(2, "areas", &["20-10", "10200-10219"]);
}

#[test]
fn a_question_about_an_earlier_time_is_answered_by_the_snapshot_of_then() {
    let t = Tenant::loaded();
    t.ok(&["tag", "compute", "--as-of", "2026-02-01T08:00"]);
    let ask = |args: &[&str]| t.json(&[&["audience", "count", "arpu_3m >= 40 yuan"], args].concat());
    let (now, then) = (ask(&[]), ask(&["--as-of", "2026-02-15T00:00"]));
    assert_eq!(then["as_of"], "2026-02-01T00:00:00Z");
    assert_eq!(now["as_of"], "2026-03-02T00:30:00Z");
    assert_ne!(now["count"], then["count"]);
    let mut same = ask(&["--as-of", AS_OF]);
    same["seconds"] = now["seconds"].clone();
    assert_eq!(same, now);
    t.refused(&["audience", "count", "age > 60", "--as-of", "2025-01-01T00:00"]).is(
        3,
        "no_snapshot",
        &["no tag snapshot describes a time up to 2025-01-01T00:00:00"],
    );
}
