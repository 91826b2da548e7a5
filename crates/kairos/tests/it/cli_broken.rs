//! The operator's bad days: damaged, foreign and newer data directories, a second engine; and commands that reach a
//! running process through its socket.

use crate::cli::{Ran, Tenant, files_below, program, province};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_unreadable_database_is_named_and_nothing_is_written() {
    let t = Tenant::loaded();
    for garbage in [&b"garbage"[..], &[7; 100_000]] {
        fs::write(t.data().join("catalog.sqlite"), garbage).unwrap();
        let e = t.refused(&["campaign", "list"]);
        e.is(1, "catalog_unreadable", &["data/catalog.sqlite`", "restore it from a backup"]);
        assert_eq!(fs::read(t.data().join("catalog.sqlite")).unwrap(), garbage);
    }
    fs::remove_file(t.data().join("catalog.sqlite")).unwrap();
    fs::create_dir(t.data().join("catalog.sqlite")).unwrap();
    let e = t.refused(&["campaign", "list"]);
    assert!(e.code == "catalog_unreadable" && e.message.contains("data/catalog.sqlite`"), "{e:#?}");
}

#[test]
fn a_directory_of_a_newer_program_is_left_alone() {
    let t = Tenant::loaded();
    let path = t.data().join("VERSION");
    let newer = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 9");
    fs::write(&path, &newer).unwrap();
    let e = t.refused(&["tag", "list"]);
    e.is(1, "data_directory_newer", &["has format 9, this program knows up to 1", "use the newer program"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    fs::write(&path, "{").unwrap();
    t.refused(&["tag", "list"]).is(1, "data_directory_broken", &["VERSION` is damaged; restore it from a backup"]);
}

/// A lost store must not begin anew: an empty vault would know no suppression, an empty manifest would sweep the lake.
#[test]
fn a_store_that_is_gone_is_missed() {
    for store in ["vault", "journal", "lake/MANIFEST.json", "catalog.sqlite"] {
        let t = Tenant::loaded();
        // the second opening notes what the first one made
        t.ok(&["tag", "list"]);
        let path = t.data().join(store);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        let before = files_below(&t.data());
        let e = t.refused(&["tag", "list"]);
        e.is(1, "data_directory_broken", &[store, "is gone from the data directory", "restore it from a backup"]);
        assert_eq!(files_below(&t.data()), before, "{store}");
    }
}

#[test]
fn damage_is_named_by_file() {
    let t = Tenant::loaded();
    let manifest = t.data().join("lake/MANIFEST.json");
    fs::write(&manifest, "{").unwrap();
    t.refused(&["tag", "list"]).is(6, "lake", &["lake/MANIFEST.json` is damaged", "restore it from a backup"]);
    let t = Tenant::loaded();
    let segment = t.data().join("journal/p0000/0000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[20] ^= 0xff;
    fs::write(&segment, bytes).unwrap();
    t.refused(&["tag", "list"]).is(6, "journal", &["0000000000000000.seg` is damaged at byte 0"]);
}

#[test]
fn without_the_right_key_nothing_opens() {
    let t = Tenant::loaded();
    let key = t.path("data.key");
    let right = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let e = t.refused(&["tag", "list"]);
    e.is(6, "master_key", &["data.key` is missing", "restore the file, or name another with --key-file"]);
    assert!(!key.exists(), "no new key for an old vault");
    let other = Tenant::new();
    other.user("alice", "planner");
    assert_eq!((mode(&other.data()), mode(&other.path("data.key"))), (0o700, 0o600));
    let foreign = other.path("data.key");
    t.refused(&["--key-file", foreign.to_str().unwrap(), "tag", "list"]).is(6, "vault", &["cannot open the vault"]);
    fs::write(&key, right).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    t.refused(&["tag", "list"]).is(6, "master_key", &["data.key`", "chmod 600"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    t.ok(&["tag", "list"]);
}

#[test]
fn one_engine_a_directory_and_commands_go_through_it() {
    let t = Tenant::loaded();
    let alice = t.user("alice", "planner");
    let direct = [
        t.ok(&["tag", "list"]),
        t.ok(&["user", "list"]),
        t.ok(&["audit", "verify"]),
        t.ok(&["audience", "extract", "ring_back_prospect"]),
    ];
    let (mut process, address) = t.serve(&[]);
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    assert_eq!(mode(&t.data().join("kairos.sock")), 0o600);

    let second = t.refused(&["serve", "--listen", "127.0.0.1:0"]);
    second.is(6, "data_directory_held", &["another process holds the data directory", "one engine a directory"]);

    // the same answers, and the same exit codes
    let through = [
        t.ok(&["tag", "list"]),
        t.ok(&["user", "list"]),
        t.ok(&["audit", "verify"]),
        t.ok(&["audience", "extract", "ring_back_prospect"]),
    ];
    assert_eq!(through, direct);
    t.refused(&["campaign", "show", "nothing"]).is(3, "campaign_not_found", &["`nothing`"]);
    t.refused(&["campaign", "submit", "none.toml"]).is(4, "token", &["KAIROS_TOKEN"]);
    t.refused(&["audience", "count", "apru_3m > 1 yuan"]).is(2, "condition", &["did you mean `arpu_3m`?"]);
    assert_eq!(t.run(&["frobnicate"]).exit, 2);

    // paths and the token are the caller's, from another folder than the process's
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("campaign.toml"), crate::cli_campaign::current(|_| ())).unwrap();
    fs::copy(province().join("orders.csv"), elsewhere.path().join("mine.csv")).unwrap();
    let layout = crate::cli::repository().join("province/layouts/orders.toml");
    fs::copy(layout, elsewhere.path().join("mine.toml")).unwrap();
    let from_there = |args: &[&str]| -> Ran {
        let mut command = program();
        command.current_dir(elsewhere.path()).env("KAIROS_DATA", t.data()).env("KAIROS_TOKEN", &alice).args(args);
        command.output().unwrap().into()
    };
    let ran = from_there(&["campaign", "submit", "campaign.toml", "--json"]);
    assert_eq!((ran.exit, &ran.json()["campaign"]["state"]), (0, &json!("submitted")));
    let ran = from_there(&["import", "--layout", "mine.toml", "mine.csv", "--json"]);
    assert_eq!((ran.exit, &ran.json()["imports"][0]["duplicate"]), (0, &json!(674)), "{}", ran.stderr);
    assert_eq!(from_there(&["import", "--layout", "orders", "none.csv"]).exit, 2);
    process.end();

    // the process is gone, its socket may not be: commands open the directory themselves
    assert_eq!(t.json(&["campaign", "list"])["campaigns"][0]["state"], "submitted");
    let (mut process, _) = t.serve(&[]);
    process.kill();
    assert_eq!(t.json(&["campaign", "list"])["campaigns"][0]["state"], "submitted");
    let (mut process, _) = t.serve(&[]);
    process.end();
}

#[test]
fn an_address_that_is_taken_or_wrong_is_refused() {
    let t = Tenant::loaded();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let e = t.refused(&["serve", "--listen", &address]);
    e.is(6, "listen", &[&address, "choose another address with --listen"]);
    t.refused(&["serve", "--listen", "127.0.0.1:0", "--smpp", "centre"]).is(
        2,
        "smpp",
        &["`centre` is no message centre; write host:port"],
    );
    t.refused(&["serve", "--smpp-window", "0"]).is(2, "configuration", &["`smpp_window` is `0` (flag --smpp-window)"]);
}
