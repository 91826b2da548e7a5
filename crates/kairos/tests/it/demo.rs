//! The demo is the loop: it must come out the same twice, add up, and land near the truth that it knows.

use serde_json::Value;
use std::process::Command;

fn demo(folder: &std::path::Path) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_kairos"))
        .args(["demo", "--once", "--json", "--subscribers", "60000", "--data"])
        .arg(folder)
        .output()
        .expect("the program starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("one JSON document")
}

fn n(v: &Value, key: &str) -> u64 {
    v[key].as_u64().unwrap_or_else(|| panic!("`{key}` is no count in {v:#}"))
}

#[test]
fn two_runs_print_the_same_counts_and_they_add_up() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (a, b) = (demo(&temp.path().join("a")), demo(&temp.path().join("b")));
    let without_machine = |v: &Value| {
        let mut v = v.clone();
        for key in ["seconds", "peak_rss_bytes", "steps"] {
            v.as_object_mut().expect("an object").remove(key);
        }
        v
    };
    assert_eq!(without_machine(&a), without_machine(&b));

    let withheld: u64 = a["withheld"].as_object().expect("by reason").values().filter_map(Value::as_u64).sum();
    let states = ["not_reached", "deferred", "control", "pending", "sent", "failed", "cancelled", "unknown"];
    assert_eq!(withheld + states.iter().map(|s| n(&a, s)).sum::<u64>(), n(&a, "audience"), "{a:#}");
    for open in ["not_reached", "deferred", "pending", "unknown"] {
        assert_eq!(n(&a, open), 0, "{open}");
    }
    // what the ledger calls sent is what the centre took, and nothing else reached it
    assert_eq!((n(&a, "sent"), n(&a["centre"], "accepted")), (n(&a["centre"], "submits"), n(&a, "sent")));
    assert!(n(&a, "delivered") <= n(&a, "sent") && n(&a, "delivered") == n(&a["centre"], "delivered"));

    // a seeded campaign: its interval covers the truth of its members
    let uplift = &a["uplift"];
    let at = |k: &str| uplift[k].as_f64().unwrap_or_else(|| panic!("`{k}` is missing in {uplift}"));
    assert!(at("low") <= at("truth") && at("truth") <= at("high"), "{uplift}");

    // the demo never mixes with what is there
    let again = Command::new(env!("CARGO_BIN_EXE_kairos"))
        .args(["demo", "--once", "--json", "--data"])
        .arg(temp.path().join("a"))
        .output()
        .expect("the program starts");
    assert_eq!(again.status.code(), Some(5), "{}", String::from_utf8_lossy(&again.stdout));
}
