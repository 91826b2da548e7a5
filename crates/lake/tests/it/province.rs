//! The demo operator's tags over the synthetic operator's own rows.
//!
//! `KAIROS_LAKE_SUBSCRIBERS=100000 cargo test … province -- --nocapture` prints rows a second and seconds at full size.

use crate::kit::{at, zone};
use kairos_lake::{ImportMeta, KeyHasher, Lake, LakeOptions, Mode, TagCatalogue};
use kairos_model::{
    Currency, LocalDay, PartyId, TenantId, Timestamp, Zone,
    money::parse_micros,
    table::{Batch, Column, ColumnType, Texts, Values},
};
use kairos_synth::{FileKind, Province, SynthConfig};
use std::{collections::HashMap, time::Instant};

/// Columns of a file: (place, name, type, multiplier of whole numbers).
type Plan = &'static [(usize, &'static str, ColumnType, i64)];

use ColumnType::{Bool, Date, Int, Money, Party, Subscriber, SubscriberNumber, Text, Time};

const REGISTER: Plan = &[
    (0, "subscriber", Subscriber, 1),
    (3, "brand", Text, 1),
    (4, "status", Text, 1),
    (5, "gender", Text, 1),
    (6, "birth_year", Int, 1),
    (7, "joined", Date, 1),
    (8, "region", Text, 1),
    (9, "home_cell", Int, 1),
    (10, "work_cell", Int, 1),
    (11, "tac", Int, 1),
    (12, "device_brand", Text, 1),
    (13, "device_os", Text, 1),
    (14, "device_screen", Int, 1),
    (15, "device_mms", Bool, 1),
    (16, "device_5g", Bool, 1),
    (17, "plan", Text, 1),
    (18, "customer_group", Text, 1),
    (19, "payment_method", Text, 1),
    (20, "do_not_disturb", Bool, 1),
    (21, "language", Text, 1),
];
const PRODUCTS: Plan = &[
    (0, "subscriber", Subscriber, 1),
    (1, "product", Text, 1),
    (2, "since", Time, 1),
    (3, "until", Time, 1),
    (4, "price", Money, 10_000),
];
const CONSENTS: Plan = &[
    (0, "subscriber", Subscriber, 1),
    (1, "purpose", Text, 1),
    (2, "channel", Text, 1),
    (3, "granted", Bool, 1),
    (4, "at", Time, 1),
];
const USAGE: Plan = &[
    (1, "subscriber", SubscriberNumber, 1),
    (2, "peer", Party, 1),
    (3, "kind", Text, 1),
    (4, "at", Time, 1),
    (5, "duration_s", Int, 1),
    (6, "bytes", Int, 1_024),
    (7, "cell", Int, 1),
    (8, "distance", Text, 1),
    (9, "roaming", Text, 1),
    (10, "on_net", Bool, 1),
    (11, "charge", Money, 1),
];
const BILLS: Plan = &[
    (1, "subscriber", Subscriber, 1),
    (2, "month", Date, 1),
    (3, "issued", Time, 1),
    (4, "total", Money, 1),
    (5, "rental", Money, 1),
    (6, "voice", Money, 1),
    (7, "data", Money, 1),
    (8, "messages", Money, 1),
    (9, "services", Money, 1),
    (10, "arrears", Money, 1),
    (11, "paid_at", Time, 1),
    (12, "payment_method", Text, 1),
];
const CONTACTS: Plan = &[
    (1, "subscriber", Subscriber, 1),
    (2, "kind", Text, 1),
    (3, "channel", Text, 1),
    (4, "at", Time, 1),
    (5, "service", Text, 1),
    (6, "outcome", Text, 1),
    (7, "level", Int, 1),
    (8, "satisfaction", Int, 1),
    (9, "department", Text, 1),
    (10, "duration_s", Int, 1),
    (11, "campaign", Text, 1),
    (12, "response", Text, 1),
];
const ORDERS: Plan = &[
    (1, "subscriber", Subscriber, 1),
    (2, "offer", Text, 1),
    (3, "at", Time, 1),
    (4, "channel", Text, 1),
    (5, "price", Money, 10_000),
];

const DEVICES: Plan = &[
    (0, "tac", Int, 1),
    (1, "brand", Text, 1),
    (2, "model", Text, 1),
    (3, "os", Text, 1),
    (4, "generation", Text, 1),
    (5, "screen_width", Int, 1),
    (6, "screen_height", Int, 1),
    (7, "mms", Bool, 1),
    (8, "dual_sim", Bool, 1),
    (9, "camera", Int, 1),
    (10, "released", Int, 1),
    (11, "price", Money, 1),
];
const DEVICE_HISTORY: Plan =
    &[(0, "subscriber", Subscriber, 1), (1, "tac", Int, 1), (2, "since", Time, 1), (3, "until", Time, 1)];
const PAYMENTS: Plan = &[
    (1, "subscriber", Subscriber, 1),
    (2, "at", Time, 1),
    (3, "kind", Text, 1),
    (4, "channel", Text, 1),
    (5, "method", Text, 1),
    (6, "amount", Money, 1),
    (7, "balance", Money, 1),
];
const CONTENT: Plan = &[
    (1, "subscriber", Subscriber, 1),
    (2, "at", Time, 1),
    (3, "service", Text, 1),
    (4, "content", Text, 1),
    (5, "creator", Text, 1),
    (6, "genre", Text, 1),
    (7, "network", Text, 1),
    (8, "duration_s", Int, 1),
    (9, "price", Money, 10_000),
    (10, "shared", Bool, 1),
];
const WEB_VISITS: Plan = &[
    (1, "subscriber", Subscriber, 1),
    (2, "at", Time, 1),
    (3, "topic", Text, 1),
    (4, "site", Text, 1),
    (5, "app", Text, 1),
    (6, "network", Text, 1),
    (7, "duration_s", Int, 1),
    (8, "bytes", Int, 1_024),
];
const PAGE_VIEWS: Plan = &[
    (1, "subscriber", Subscriber, 1),
    (2, "at", Time, 1),
    (3, "channel", Text, 1),
    (4, "visit", Int, 1),
    (5, "step", Int, 1),
    (6, "page", Text, 1),
    (7, "source", Text, 1),
    (8, "stay_s", Int, 1),
];
const NUMBERS: Plan = &[(0, "subscriber", Subscriber, 1), (2, "since", Time, 1), (3, "until", Time, 1)];

/// A stand-in for layout reader and vault: enough for these files, whose cells are never quoted.
struct Door {
    zone: Zone,
    keys: HashMap<String, u32>,
    numbers: HashMap<String, u32>,
    parties: HashMap<String, u32>,
    midnights: HashMap<String, i64>,
}

impl Door {
    fn time(&mut self, text: &str) -> Option<i64> {
        let (day, clock) = text.split_once(' ')?;
        if !self.midnights.contains_key(day) {
            let start = self.zone.start_of(day.parse::<LocalDay>().ok()?)?;
            self.midnights.insert(day.to_owned(), start.0);
        }
        let b = clock.as_bytes();
        let two =
            |i: usize| Some(i64::from(b.get(i)?.wrapping_sub(48)) * 10 + i64::from(b.get(i + 1)?.wrapping_sub(48)));
        let (h, m, s) = (two(0)?, two(3)?, two(6)?);
        (h < 24 && m < 60 && s < 60).then(|| self.midnights[day] + (h * 3_600 + m * 60 + s) * 1_000_000)
    }

    fn party(&mut self, number: &str, own: bool) -> Option<u32> {
        let digits = number.trim_start_matches(['+', '0']);
        let digits = if digits.len() > 11 { digits.strip_prefix("86").unwrap_or(digits) } else { digits };
        if let Some(&s) = self.numbers.get(digits) {
            return Some(s);
        }
        if own {
            return None;
        }
        let base = if digits.len() < 7 { 3u32 << 30 } else { 1 << 31 };
        let next = base + self.parties.len() as u32;
        Some(*self.parties.entry(digits.to_owned()).or_insert(next))
    }

    /// Appends a row; false = refused.
    fn row(&mut self, line: &str, plan: Plan, batch: &mut Batch) -> bool {
        let cells: Vec<&str> = line.split(',').collect();
        let mut parsed: Vec<Option<i64>> = Vec::with_capacity(plan.len());
        for (place, _, kind, times) in plan {
            let Some(cell) = cells.get(*place) else { return false };
            let value = match kind {
                _ if cell.is_empty() => None,
                Text => None,
                Bool => Some(i64::from(*cell == "1")),
                Int => cell.parse::<i64>().ok().map(|n| n * times),
                Money => parse_micros(cell).map(|n| if *times == 1 { n } else { n / 1_000_000 * times }),
                Date => cell.parse::<LocalDay>().ok().map(|d| d.0.into()),
                Time => self.time(cell),
                Subscriber => self.keys.get(*cell).map(|&s| s.into()),
                SubscriberNumber => self.party(cell, true).map(i64::from),
                _ => self.party(cell, false).map(i64::from),
            };
            if value.is_none() && !cell.is_empty() && *kind != Text {
                return false;
            }
            parsed.push(value);
        }
        for (((place, ..), v), c) in plan.iter().zip(parsed).zip(&mut batch.columns) {
            let cell = cells[*place];
            let n = v.unwrap_or(0);
            match &mut c.values {
                Values::Bool(a) => a.push(n == 1),
                Values::Int(a) | Values::Micros(a) => a.push(n),
                Values::Text(a) => a.push(cell),
                Values::Date(a) => a.push(LocalDay(n as i32)),
                Values::Time(a) => a.push(Timestamp(n)),
                Values::Party(a) => a.push(PartyId(n as u32)),
                _ => unreachable!("no such column in a plan"),
            }
            c.valid.push(if c.kind == Text { !cell.is_empty() } else { v.is_some() });
        }
        batch.source_rows.push(1);
        true
    }
}

fn empty(plan: Plan) -> Batch {
    let columns = plan.iter().map(|(_, name, kind, _)| {
        let values = match kind {
            Bool => Values::Bool(vec![]),
            Int => Values::Int(vec![]),
            Money => Values::Micros(vec![]),
            Text => Values::Text(Texts::default()),
            Date => Values::Date(vec![]),
            Time => Values::Time(vec![]),
            _ => Values::Party(vec![]),
        };
        Column { name: (*name).to_owned(), kind: *kind, values, valid: vec![] }
    });
    Batch { columns: columns.collect(), source_rows: vec![] }
}

/// Seconds for which this thread was on a core.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Imports a file of the operator; returns (rows, CPU seconds inside the lake).
fn take(lake: &Lake, p: &Province, file: FileKind, door: &mut Door, plan: Plan, table: &str, mode: Mode) -> (u64, f64) {
    let name = p.file_name(file);
    let meta = ImportMeta {
        content_hash: name.clone(),
        file_name: name,
        layout: file.layout().to_owned(),
        table: table.to_owned(),
        mode,
        as_of: at("2026-02-28T16:00:00Z"),
        imported_at: at("2026-03-02T00:30:00Z"),
    };
    let keyed_by_id = !matches!(
        file,
        FileKind::Subscribers | FileKind::Numbers | FileKind::Products | FileKind::Consents | FileKind::DeviceHistory
    );
    let hasher = KeyHasher::new([3; 32]);
    let mut i = lake.begin_import(meta).unwrap();
    let (mut rows, mut seconds, mut bytes) = (0, 0.0, Vec::new());
    for n in 0..p.chunks(file) {
        bytes.clear();
        p.write_chunk(file, n, &mut bytes);
        let mut batch = empty(plan);
        let mut ids = Texts::default();
        for line in std::str::from_utf8(&bytes).unwrap().lines() {
            if door.row(line, plan, &mut batch) {
                ids.push(line.split(',').next().unwrap());
            }
        }
        let id = Column { name: "id".to_owned(), kind: Text, valid: vec![true; ids.len()], values: Values::Key(ids) };
        let started = busy();
        let named = |names: &[&str]| names.iter().map(|n| batch.column(n).unwrap()).collect::<Vec<_>>();
        let keys = match file {
            _ if keyed_by_id => vec![&id],
            FileKind::Subscribers => named(&["subscriber"]),
            FileKind::Numbers => named(&["subscriber", "since"]),
            FileKind::Products => named(&["subscriber", "product", "since"]),
            FileKind::DeviceHistory => named(&["subscriber", "tac", "since"]),
            _ => named(&["subscriber", "purpose", "channel", "at"]),
        };
        let keys = hasher.keys(&keys, batch.rows());
        i.push(&batch, &keys).unwrap();
        seconds += busy() - started;
        rows += batch.rows() as u64;
    }
    let started = busy();
    let counts = i.commit().unwrap();
    assert_eq!((counts.read, counts.accepted), (rows, rows));
    (rows, seconds + busy() - started)
}

/// Subscribers by key, and the last holder of each number: dates of assignments are the vault's business.
fn door(p: &Province) -> Door {
    let mut door = Door {
        zone: zone(),
        keys: HashMap::new(),
        numbers: HashMap::new(),
        parties: HashMap::new(),
        midnights: HashMap::new(),
    };
    for n in 0..p.chunks(FileKind::Numbers) {
        let mut bytes = Vec::new();
        p.write_chunk(FileKind::Subscribers, n, &mut bytes);
        for line in String::from_utf8(bytes).unwrap().lines() {
            let next = door.keys.len() as u32;
            door.keys.insert(line.split(',').next().unwrap().to_owned(), next);
        }
        let mut bytes = Vec::new();
        p.write_chunk(FileKind::Numbers, n, &mut bytes);
        for line in String::from_utf8(bytes).unwrap().lines() {
            let cells: Vec<&str> = line.split(',').collect();
            door.numbers.insert(cells[1].to_owned(), door.keys[cells[0]]);
        }
    }
    door
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provinces_tags_say_something_of_everybody() {
    let n: u32 = std::env::var("KAIROS_LAKE_SUBSCRIBERS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000);
    let p = Province::new(SynthConfig::china(1, n)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path(), TenantId(1), zone(), LakeOptions::default()).unwrap();
    let mut door = door(&p);
    for file in p.files() {
        let (plan, table, mode) = match file {
            FileKind::Subscribers => (REGISTER, "subscriber", Mode::Snapshot),
            FileKind::Products => (PRODUCTS, "product", Mode::Upsert),
            FileKind::Consents => (CONSENTS, "consent", Mode::Append),
            FileKind::Usage(_) => (USAGE, "usage", Mode::Append),
            FileKind::Bills => (BILLS, "bill", Mode::Append),
            FileKind::Contacts => (CONTACTS, "contact_log", Mode::Append),
            FileKind::Orders => (ORDERS, "orders", Mode::Append),
            FileKind::Numbers => (NUMBERS, "number", Mode::Upsert),
            FileKind::Devices => (DEVICES, "device", Mode::Snapshot),
            FileKind::DeviceHistory => (DEVICE_HISTORY, "device_use", Mode::Append),
            FileKind::Payments => (PAYMENTS, "payment", Mode::Append),
            FileKind::Content => (CONTENT, "content_use", Mode::Append),
            FileKind::WebVisits => (WEB_VISITS, "web_visit", Mode::Append),
            FileKind::PageViews => (PAGE_VIEWS, "page_view", Mode::Append),
            FileKind::Suppression => continue,
        };
        let (rows, seconds) = take(&lake, &p, file, &mut door, plan, table, mode);
        println!("{:<16} {rows:>9} rows {:>6.2} s {:>10.0} rows/s", p.file_name(file), seconds, rows as f64 / seconds);
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../province/tags");
    let catalogue =
        TagCatalogue::load(folder, Currency::CNY, kairos_lake::Sets::default()).unwrap_or_else(|e| panic!("{e}"));
    let problems = lake.check_tags(&catalogue).await.unwrap();
    assert!(problems.is_empty(), "{}", kairos_lake::TagProblems(problems));
    let now = at("2026-03-02T00:30:00Z");
    let started = Instant::now();
    let report = lake.compute_tags(&catalogue, now, now).await.unwrap_or_else(|e| panic!("{e:?}"));
    println!("{} tags in {:.2} s", report.computed.len(), started.elapsed().as_secs_f64());
    for p in &report.passes {
        println!("  {:<20} {:>3} tags {:>8} rows {:>6.2} s", p.source, p.tags, p.rows, p.took.as_secs_f64());
    }
    let categories: std::collections::BTreeSet<_> = report.snapshot.tags.iter().map(|t| &t.category).collect();
    assert!(report.snapshot.tags.len() >= 450 && categories.len() == 35);
    for t in &report.snapshot.tags {
        println!(
            "{:<26} {:<10} {:>7.2} %{}",
            t.id,
            t.ty,
            t.coverage() * 100.0,
            if t.constant { " constant" } else { "" }
        );
    }
    let dull: Vec<_> = report.snapshot.tags.iter().filter(|t| t.constant || t.known == 0 || t.unlisted > 0).collect();
    assert!(dull.is_empty(), "{:?}", dull.iter().map(|t| (&t.id, t.unlisted)).collect::<Vec<_>>());
    let started = Instant::now();
    assert!(!lake.compute_tags(&catalogue, now, now).await.unwrap().new);
    println!("again in {:.2} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let c = catalogue.def("ring_back_prospect").unwrap();
    let kairos_lake::tags::Origin::Condition(c) = &c.origin else { panic!("a condition") };
    let chosen = lake.count(report.snapshot.id(), c, catalogue.sets()).unwrap();
    println!("{chosen} ring-back prospects in {:.3} s", started.elapsed().as_secs_f64());
}
