//! Numbers, names and texts are in the vault, and there encrypted: no other file holds one in clear, and no log does.

use crate::cli::{Tenant, copy, files_below, province, province_text, repository, wait};
use kairos_app::SystemClock;
use kairos_model::{Msisdn, Span, Timestamp};
use kairos_smsc::{Answer, Fate, Population, Smsc, SmscConfig};
use std::{collections::HashSet, fs, path::Path, sync::Arc};

/// What must be nowhere: the province's numbers and names.
struct Secrets {
    /// 11 digits.
    numbers: HashSet<Vec<u8>>,
    /// As whole numbers with the country code, in either byte order.
    binary: HashSet<[u8; 8]>,
    names: HashSet<Vec<u8>>,
    lengths: Vec<usize>,
}

impl Secrets {
    fn of_province() -> Self {
        let cell = |line: &str, i: usize| line.split(',').nth(i).unwrap_or_default().to_owned();
        let register = province_text("subscribers.csv");
        let mut numbers: HashSet<String> = province_text("numbers.csv").lines().skip(1).map(|l| cell(l, 1)).collect();
        numbers.extend(register.lines().skip(1).map(|l| cell(l, 1)));
        // foreign lines too: whoever called
        for line in province_text("usage-2025-12.csv").lines().skip(1) {
            numbers.extend(Some(cell(line, 2)).filter(|n| n.len() == 11));
        }
        numbers.retain(|n| n.len() == 11 && n.bytes().all(|b| b.is_ascii_digit()));
        let names: HashSet<Vec<u8>> =
            register.lines().skip(1).map(|l| cell(l, 2).into_bytes()).filter(|n| !n.is_empty()).collect();
        assert!(numbers.len() > 1_000 && names.len() > 500, "{} numbers, {} names", numbers.len(), names.len());
        let whole = |n: &String| 8_600_000_000_000 + n.parse::<u64>().unwrap();
        let binary = numbers.iter().flat_map(|n| [whole(n).to_le_bytes(), whole(n).to_be_bytes()]).collect();
        let mut lengths: Vec<usize> = names.iter().map(Vec::len).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Self { numbers: numbers.into_iter().map(String::into_bytes).collect(), binary, names, lengths }
    }

    /// How many numbers and names stand in these bytes.
    fn seen(&self, bytes: &[u8]) -> usize {
        let mut seen = 0;
        for run in bytes.split(|b| !b.is_ascii_digit()) {
            let local = match run.len() {
                11 => run,
                13 if run.starts_with(b"86") => &run[2..],
                15 if run.starts_with(b"0086") => &run[4..],
                _ => continue,
            };
            seen += usize::from(self.numbers.contains(local));
        }
        for eight in bytes.windows(8) {
            seen += usize::from(self.binary.contains(eight));
        }
        for (i, &b) in bytes.iter().enumerate() {
            if b >= 0xe3 {
                let here = |n: &usize| bytes.get(i..i + n).is_some_and(|name| self.names.contains(name));
                seen += self.lengths.iter().filter(|n| here(n)).count();
            }
        }
        seen
    }

    /// Every file below a folder as it is, and the cells of each Parquet file.
    fn assert_clean(&self, folder: &Path) {
        let mut cells = 0;
        for name in files_below(folder) {
            let path = folder.join(&name);
            // the socket of a serving process holds nothing
            if !path.is_file() {
                continue;
            }
            assert_eq!(self.seen(&fs::read(&path).unwrap()), 0, "in clear in {}", name.display());
            if path.extension().is_some_and(|e| e == "parquet") {
                let mut rows = kairos_lake::source::parquet_rows(&path).unwrap();
                while let Some(chunk) = rows.next_chunk().unwrap() {
                    for column in &chunk.columns {
                        for row in 0..chunk.rows {
                            let cell = column.get(row).unwrap_or_default();
                            assert_eq!(self.seen(cell.as_bytes()), 0, "in clear in a cell of {}", name.display());
                            cells += 1;
                        }
                    }
                }
            }
        }
        assert!(cells > 100_000, "{cells} cells were looked at");
    }

    #[track_caller]
    fn assert_none(&self, what: &str, text: &[u8]) {
        assert_eq!(self.seen(text), 0, "{what} shows a number or a name in clear");
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let secrets = Secrets::of_province();
    assert_eq!(secrets.seen(b"no 13000000000x or 1399438023"), 0);
    let line = province_text("subscribers.csv").lines().nth(1).unwrap().to_owned();
    let (number, name) = (line.split(',').nth(1).unwrap(), line.split(',').nth(2).unwrap());
    assert_eq!(secrets.seen(line.as_bytes()), 2);
    assert_eq!(secrets.seen(format!("\"+86{number}\" {name}{name}").as_bytes()), 3);
    let e164: u64 = format!("86{number}").parse().unwrap();
    assert_eq!(secrets.seen(&e164.to_le_bytes()), 1);
}

#[test]
fn no_file_of_a_data_directory_and_no_log_of_an_import_holds_a_number_or_a_name() {
    let secrets = Secrets::of_province();
    let t = Tenant::new();
    let trace = |args: &[&str]| {
        let ran = t.run(&[&["--log", "trace"], args].concat());
        secrets.assert_none(&args.join(" "), ran.stdout.as_bytes());
        secrets.assert_none(&args.join(" "), ran.stderr.as_bytes());
        ran.exit
    };
    for (layout, file) in crate::cli::FILES {
        assert_eq!(trace(&["import", "--layout", layout, province().join(file).to_str().unwrap()]), 0, "{file}");
    }
    assert_eq!(trace(&["tag", "compute", "--as-of", crate::cli::AS_OF]), 0);
    assert_eq!(trace(&["audience", "freeze", "arpu_3m >= 40 yuan"]), 0);
    // bad rows carry numbers and names too, and so do errors about them
    let bad = province_text("subscribers.csv").lines().map(|l| format!("{l},more\n")).collect::<String>();
    let bad = bad.replacen(",more", "", 1);
    assert_eq!(trace(&["import", "--layout", "subscribers", t.write("bad.csv", &bad).to_str().unwrap()]), 0);
    let semicolons = t.write("semicolons.csv", province_text("subscribers.csv").replace(',', ";"));
    assert_eq!(trace(&["import", "--layout", "subscribers", semicolons.to_str().unwrap()]), 2);
    let headless: String = province_text("subscribers.csv").lines().skip(1).map(|l| format!("{l}\n")).collect();
    assert_eq!(trace(&["import", "--layout", "subscribers", t.write("headless.csv", headless).to_str().unwrap()]), 2);
    let number = province_text("numbers.csv").lines().nth(1).unwrap().split(',').nth(1).unwrap().to_owned();
    assert_eq!(trace(&["explain", &number]), 3);
    secrets.assert_clean(&t.data());
}

/// Whatever arrives is on the handset at once; every second person orders, every third of the others opts out.
struct Handsets;

impl Population for Handsets {
    fn fate(&self, _to: Msisdn, _text: &str, _at: Timestamp) -> Fate {
        Fate::Delivered { after: Span::ZERO }
    }
    fn delivered(&self, to: Msisdn, _text: &str, _at: Timestamp) -> Option<Answer> {
        let text = match to.reveal() {
            n if n % 2 == 0 => "RBT",
            n if n % 3 == 0 => "TD",
            _ => return None,
        };
        Some(Answer { after: Span::ZERO, text: text.to_owned() })
    }
}

/// The demo province without quiet hours and holidays: the story works at any hour.
pub fn always_open(t: &Tenant) {
    copy(&repository().join("province"), &t.path("definitions"));
    let path = t.path("definitions/tenant.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|l| match l.split(' ').next() {
        Some("quiet_hours") => "quiet_hours = []\n".to_owned(),
        Some("send_on_holidays") => "send_on_holidays = true\n".to_owned(),
        _ => format!("{l}\n"),
    });
    fs::write(&path, lines.collect::<String>()).unwrap();
}

#[test]
fn no_log_of_a_serve_with_texts_and_replies_holds_a_number_or_a_name() {
    let secrets = Secrets::of_province();
    let t = Tenant::loaded();
    always_open(&t);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut config = SmscConfig::new(Arc::new(SystemClock), 1);
    config.log = Some(t.path("centre.log"));
    let centre = runtime.block_on(Smsc::start(config, Arc::new(Handsets))).unwrap();

    let with = |args: &[&str]| t.json(&[&["--definitions", "definitions"], args].concat());
    let token =
        |name: &str, role: &str| with(&["user", "add", name, "--role", role])["token"].as_str().unwrap().to_owned();
    let (alice, bob) = (token("alice", "planner"), token("bob", "approver"));
    let text = crate::cli_campaign::current(|c| {
        c["audience"]["condition"] = "arpu_3m >= 40 yuan and not has_ring_back_tone".into();
        c["creatives"][0]["text"] = "{{ name }}您好，回复RBT即可开通彩铃。回TD退订".into();
        c["creatives"][1]["text"] = "Dear {{ name }}, reply RBT for a ring-back tone, TD to opt out".into();
        c["waves"][0].as_table_mut().unwrap().remove("window");
    });
    let file = t.write("campaign.toml", text);
    let address = centre.addr().to_string();
    let (mut process, _) = t.serve(&["--definitions", "definitions", "--smpp", &address, "--log", "trace"]);
    t.ok(&["--token", &alice, "campaign", "submit", file.to_str().unwrap()]);
    t.ok(&["--token", &bob, "campaign", "approve", "ring-back-tone"]);
    let started = t.json(&["--token", &alice, "campaign", "start", "ring-back-tone"]);
    let members = started["members"].as_u64().unwrap();
    assert!(members > 100, "{members}");
    let report = wait("the wave to be sent and answered", || {
        let r = t.json(&["campaign", "report", "ring-back-tone"]);
        let open: u64 = ["not_reached", "deferred", "pending"].iter().map(|s| r["states"][s].as_u64().unwrap()).sum();
        let sent = r["states"]["sent"].as_u64().unwrap();
        let done = sent > 0 && open == 0 && r["delivered"].as_u64() == Some(sent) && centre.is_idle();
        done.then_some(r)
    });
    assert!(report["replied"].as_u64().unwrap() > 0 && report["opted_out"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!((report["adds_up"].as_bool(), report["members"].as_u64()), (Some(true), Some(members)));
    // a bad command and a bad file through the running process
    assert_eq!(t.refused(&["explain", "13900000000"]).exit, 3);
    let bad =
        t.write("bad.csv", province_text("subscribers.csv").lines().map(|l| format!("{l},more\n")).collect::<String>());
    t.run(&["import", "--layout", "subscribers", bad.to_str().unwrap()]);
    process.end();
    runtime.block_on(centre.stop());

    // the centre's own log knows them: the search would see them in ours
    assert!(secrets.seen(&fs::read(t.path("centre.log")).unwrap()) > 100);
    let log = fs::read(t.path("serve.err")).unwrap();
    assert!(String::from_utf8_lossy(&log).contains("\"level\":\"TRACE\""), "the log was at trace");
    secrets.assert_none("the log of serve", &log);
    secrets.assert_none("its standard output", &fs::read(t.path("serve.out")).unwrap());
    secrets.assert_clean(&t.data());
}
