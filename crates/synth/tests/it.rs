#![allow(clippy::unwrap_used)]
//! The operator's files as a reader meets them.

use kairos_model::{NumberPlan, hash, money, table};
use kairos_synth::{FileKind, Index, Province, SynthConfig, Truth};
use std::collections::{BTreeMap, BTreeSet};

fn province(seed: u64, n: u32) -> Province {
    Province::new(SynthConfig::china(seed, n)).unwrap()
}

/// A file's rows without the header, and the count that `write_chunk` gave.
fn read(p: &Province, file: FileKind) -> (String, u64) {
    let (mut bytes, mut rows) = (Vec::new(), 0);
    (0..p.chunks(file)).for_each(|n| rows += p.write_chunk(file, n, &mut bytes));
    (String::from_utf8(bytes).unwrap(), rows)
}

fn column(file: FileKind, name: &str) -> usize {
    file.header().trim_end().split(',').position(|c| c == name).unwrap_or_else(|| panic!("{file:?} has no {name}"))
}

fn fingerprint(p: &Province) -> u64 {
    let mut h = 0;
    for file in p.files() {
        for line in [file.header().to_owned(), read(p, file).0] {
            h = line.bytes().fold(h, |h, b| hash::mix(h ^ u64::from(b)));
        }
    }
    h
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_machine() {
    // recorded; a change of the generator changes it, and with it every figure that was measured on its files
    assert_eq!(format!("{:016x}", fingerprint(&province(1, 3_000))), GOLDEN);
    assert_ne!(fingerprint(&province(2, 3_000)), fingerprint(&province(1, 3_000)));
}
const GOLDEN: &str = "b7299c214398eee4";

#[test]
fn chunks_can_be_made_in_any_order_and_a_larger_province_begins_alike() {
    let (p, q) = (province(3, 5_000), province(3, 50_000));
    for file in [FileKind::Usage(1), FileKind::Contacts, FileKind::Numbers] {
        let (mut last, mut same) = (Vec::new(), Vec::new());
        p.write_chunk(file, 2, &mut last);
        q.write_chunk(file, 2, &mut same);
        assert!(last == same && !last.is_empty(), "{file:?}");
        assert_eq!(p.write_chunk(file, p.chunks(file), &mut last), 0);
    }
}

#[test]
fn every_row_has_its_fields_and_every_spoilt_one_is_known() {
    let p = province(5, 8_000);
    let plan = NumberPlan::china();
    for file in p.files() {
        let (text, rows) = read(&p, file);
        let fields = file.header().trim_end().split(',').count();
        assert_eq!(text.lines().count() as u64, rows, "{file:?}");
        assert!(!text.contains(['"', '\r', '\t']), "{file:?}");
        let msisdn = file.header().split(',').position(|c| c == "msisdn");
        let sound = |line: &&str| {
            let cells: Vec<_> = line.split(',').collect();
            let number = msisdn.is_none_or(|m| {
                cells[m].is_empty() && file == FileKind::Subscribers || plan.parse_msisdn(cells[m]).is_ok()
            });
            let level = file != FileKind::Contacts
                || cells.len() == fields
                    && cells[column(file, "level")].parse::<u8>().is_ok() | cells[column(file, "level")].is_empty();
            let time = |c: &str| !c.starts_with("2025-13") && !c.starts_with("2026-02-30");
            cells.len() == fields && number && level && cells.iter().all(|c| time(c))
        };
        let spoilt = text.lines().filter(|l| !sound(l)).count() as u64;
        assert_eq!(spoilt, p.expected_rejects(file), "{file:?}");
        if matches!(file, FileKind::Usage(_) | FileKind::Contacts) {
            assert!((0.0002..0.0009).contains(&(spoilt as f64 / rows as f64)), "{file:?} {spoilt} of {rows}");
        }
    }
}

#[test]
fn bills_are_the_sum_of_their_usage_to_the_last_millionth() {
    let p = province(7, 1_500);
    let at = |file, name, cells: &[&str]| cells[column(file, name)].to_owned();
    let mut holders: BTreeMap<(String, String), Vec<(String, String)>> = BTreeMap::new();
    for line in read(&p, FileKind::Numbers).0.lines() {
        let c: Vec<_> = line.split(',').collect();
        holders.entry((c[1].to_owned(), String::new())).or_default().push((c[2].to_owned(), c[0].to_owned()));
    }
    let bills = read(&p, FileKind::Bills).0;
    for (m, month) in ["2025-12-01", "2026-01-01", "2026-02-01"].iter().enumerate() {
        let file = FileKind::Usage(m as u8);
        let mut spent: BTreeMap<String, i64> = BTreeMap::new();
        for line in read(&p, file).0.lines() {
            let c: Vec<_> = line.split(',').collect();
            let Some(spans) = c.get(1).and_then(|n| holders.get(&((*n).to_owned(), String::new()))) else { continue };
            if c.len() < 13 || c[4].starts_with("2025-13") {
                continue;
            }
            // the holder at the time of the call: the last who came before it
            let (_, who) = spans.iter().filter(|(since, _)| since.as_str() <= c[4]).max().unwrap();
            *spent.entry(who.clone()).or_default() += money::parse_micros(&at(file, "charge", &c)).unwrap();
        }
        let mut n = 0;
        for line in bills.lines().filter(|l| l.split(',').nth(2) == Some(month)) {
            let c: Vec<_> = line.split(',').collect();
            let amount = |name| money::parse_micros(c[column(FileKind::Bills, name)]).unwrap();
            let usage = amount("voice") + amount("data") + amount("messages");
            assert_eq!(usage, spent.remove(c[1]).unwrap_or(0), "{line}");
            assert_eq!(amount("total"), usage + amount("rental") + amount("services"));
            n += 1;
        }
        assert!(n > 1_450 && spent.is_empty(), "{n} {spent:?}");
    }
}

#[test]
fn the_contact_log_has_every_kind_and_frequent_contacts() {
    let p = province(9, 5_000);
    let (text, _) = read(&p, FileKind::Contacts);
    let (mut kinds, mut per) = (BTreeMap::<&str, u32>::new(), BTreeMap::<&str, u32>::new());
    for line in text.lines() {
        let c: Vec<_> = line.split(',').collect();
        *kinds.entry(c[2]).or_default() += 1;
        *per.entry(c[1]).or_default() += 1;
    }
    for kind in kairos_model::ContactKind::ALL {
        assert!(kinds.get(kind.name()).is_some_and(|&n| n > 500), "{kind} {kinds:?}");
    }
    assert_eq!(kinds.len(), 7);
    let frequent = per.values().filter(|&&n| n >= 10).count();
    assert!((300..900).contains(&frequent), "{frequent}");
}

#[test]
fn consent_and_suppression_have_their_shares() {
    let p = province(9, 10_000);
    let (consents, _) = read(&p, FileKind::Consents);
    let mut sms: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
    for line in consents.lines() {
        let c: Vec<_> = line.split(',').collect();
        if (c[1], c[2]) == ("marketing", "sms") {
            let latest = sms.entry(c[0]).or_insert((c[4], c[3] == "1"));
            *latest = (*latest).max((c[4], c[3] == "1"));
        }
    }
    let granted = sms.values().filter(|v| v.1).count();
    assert!((8_700..9_200).contains(&granted) && (150..800).contains(&(10_000 - sms.len())), "{granted} {}", sms.len());
    let listed = read(&p, FileKind::Suppression).1;
    assert!((100..220).contains(&listed), "{listed}");
}

#[test]
fn the_layouts_read_the_files() {
    let layouts = [
        include_str!("../../../province/layouts/numbers.toml"),
        include_str!("../../../province/layouts/subscribers.toml"),
        include_str!("../../../province/layouts/products.toml"),
        include_str!("../../../province/layouts/consents.toml"),
        include_str!("../../../province/layouts/suppression.toml"),
        include_str!("../../../province/layouts/usage.toml"),
        include_str!("../../../province/layouts/bills.toml"),
        include_str!("../../../province/layouts/contacts.toml"),
        include_str!("../../../province/layouts/orders.toml"),
        include_str!("../../../province/layouts/devices.toml"),
        include_str!("../../../province/layouts/device_history.toml"),
        include_str!("../../../province/layouts/payments.toml"),
        include_str!("../../../province/layouts/content.toml"),
        include_str!("../../../province/layouts/web_visits.toml"),
        include_str!("../../../province/layouts/page_views.toml"),
    ];
    let p = province(1, 10);
    let files = p.files().into_iter().filter(|f| !matches!(f, FileKind::Usage(m) if *m > 0));
    for (file, text) in files.zip(layouts) {
        let layout: toml::Table = text.parse().unwrap();
        let word = |t: &toml::Table, key: &str| t.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        assert_eq!(word(&layout, "id").as_deref(), Some(file.layout()));
        let canonical = table::table(&word(&layout, "table").unwrap()).unwrap();
        let (mut read, mut ours) = (BTreeSet::new(), BTreeSet::new());
        for c in layout["column"].as_array().unwrap() {
            let c = c.as_table().unwrap();
            let to = word(c, "to").unwrap();
            assert!(c.contains_key("type") || canonical.column(&to).is_some(), "{} {to}", file.layout());
            read.insert(word(c, "from").unwrap_or_else(|| to.clone()));
            ours.insert(to);
        }
        let header: BTreeSet<_> = file.header().trim_end().split(',').map(str::to_owned).collect();
        assert_eq!(read, header, "{}", file.layout());
        assert!(canonical.columns.iter().all(|c| ours.contains(c.name)), "{}", file.layout());
        assert!(layout["key"].as_array().unwrap().iter().all(|k| ours.contains(k.as_str().unwrap())));
    }
}

#[test]
fn names_are_found_by_index_and_the_truth_is_the_same_in_two_runs() {
    let truth = |p: &Province| -> Truth {
        kairos_synth::Responses::new(p).truth(p.indices(), kairos_synth::Product::RingBackTone)
    };
    let (a, b) = (province(1, 2_000), province(1, 2_000));
    assert_eq!(truth(&a), truth(&b));
    assert_eq!(Index::of_key(&Index(1_999).key()), Some(Index(1_999)));
}

#[test]
fn the_new_libraries_tell_a_coherent_story() {
    let p = province(11, 4_000);
    let rows = |file: FileKind| -> Vec<Vec<String>> {
        read(&p, file).0.lines().map(|l| l.split(',').map(str::to_owned).collect()).collect()
    };
    let ids = |file: FileKind| {
        let all = rows(file);
        let n = all.iter().map(|r| r[0].clone()).collect::<BTreeSet<_>>().len();
        (n, all)
    };
    for file in [FileKind::Payments, FileKind::Content, FileKind::WebVisits, FileKind::PageViews, FileKind::Devices] {
        let (n, all) = ids(file);
        assert_eq!(n, all.len(), "{file:?}: an id is one row's");
    }
    // what is paid is in the balance afterwards
    let whole = |cell: &str| money::parse_micros(cell).unwrap();
    assert!(rows(FileKind::Payments).iter().all(|r| whole(&r[6]) > 0 && whole(&r[7]) >= whole(&r[6])));
    // a title has one creator and one genre
    let mut titles: BTreeMap<String, (String, String)> = BTreeMap::new();
    for r in rows(FileKind::Content) {
        let known = titles.entry(r[4].clone()).or_insert_with(|| (r[5].clone(), r[6].clone()));
        assert_eq!((&known.0, &known.1), (&r[5], &r[6]), "{r:?}");
    }
    assert!(titles.len() > 500, "{}", titles.len());
    // the title that rises is used three times as often in the last month as in both before
    let rising = |from: &str, to: &str| {
        rows(FileKind::Content).iter().filter(|r| r[4] == "m107" && r[2].as_str() >= from && r[2].as_str() < to).count()
    };
    let (before, after) = (rising("2025-12-01", "2026-02-01"), rising("2026-02-01", "2026-03-01"));
    assert!(after > 3 * before, "{before} {after}");
    // a visit to our pages has its steps in order, and an order is the last of them
    let mut last = (String::new(), String::new(), 0, false);
    for r in rows(FileKind::PageViews) {
        let (who, visit, step) = (r[1].clone(), r[4].clone(), r[5].parse::<u32>().unwrap());
        let same = last.0 == who && last.1 == visit;
        assert_eq!(step, if same { last.2 + 1 } else { 1 }, "{r:?}");
        assert!(!(same && last.3), "{r:?}");
        last = (who, visit, step, r[6] == "done");
    }
}
