//! The process is killed with -9 again and again in the middle of a wave, against a message centre that is not ours and
//! keeps its own log: nobody is sent to twice, nobody is lost, and every member is accounted for right after each restart
//! and at the end.

use crate::world::{Process, Served, World, root, wait};
use kairos_app::{App, Definitions, Options, SystemClock};
use kairos_model::{ContactState, SubscriberId, hash};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const KILLS: u64 = 25;
const SUBSCRIBERS: u32 = 3_000;
/// Submits without an answer, and contacts offered ahead: what one kill may make unknown.
const WINDOW: u64 = 16;
/// The text has two segments, so that a kill can fall between them.
const SEGMENTS: u64 = 2;
/// Submits from one kill to the next: 1 to this.
const SUBMITS_BETWEEN: u64 = 60;
/// Contacts a second that we are granted, and submits a second that the centre takes: somewhat less than we try, so that
/// it throttles us, and both less than the wave could need, so that its cursor is under way as well.
const GRANTED: i64 = 120;
const TAKEN: u64 = 200;
const SEED: u64 = 0x6b69_6c6c_2d39;
/// Longest wait for anything here.
const MOST: Duration = Duration::from_secs(40);

/// The npm message centre, and how far its log was read.
struct Centre {
    _process: Process,
    port: u16,
    log: Log,
}

struct Log {
    path: PathBuf,
    file: File,
    rest: Vec<u8>,
    submits: Vec<Submit>,
    throttled: u64,
}

/// One submit that the centre took: it is logged before it is answered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Submit {
    to: String,
    /// From 1.
    segment: u8,
}

impl Centre {
    fn start(folder: &Path) -> Self {
        let peers = root().join("tests/peers");
        assert!(
            peers.join("smpp/node_modules/smpp").is_dir(),
            "the npm message centre is not installed: run tests/peers/install.sh (`make test` does)"
        );
        let (said, path) = (folder.join("centre.out"), folder.join("centre.log"));
        File::create(&path).unwrap();
        let mut command = Command::new("node");
        command.arg(peers.join("smpp/smsc.js")).stdout(File::create(&said).unwrap()).stderr(Stdio::inherit());
        command.env("PORT", "0").env("LOG", &path).env("RATE", TAKEN.to_string()).env("DLR_MS", "50");
        command.env("USER", "kairos").env("PASS", "secret");
        let process = Process::start(&mut command);
        let port = wait("the port of the message centre", MOST, || {
            fs::read_to_string(&said).unwrap().strip_prefix("LISTENING ")?.strip_suffix('\n')?.parse().ok()
        });
        let file = File::open(&path).unwrap();
        let log = Log { path, file, rest: Vec::new(), submits: Vec::new(), throttled: 0 };
        Self { _process: process, port, log }
    }
}

impl Log {
    /// Takes in what was written since; how many submits there are now.
    fn read(&mut self) -> u64 {
        self.file.read_to_end(&mut self.rest).unwrap();
        while let Some(end) = self.rest.iter().position(|&b| b == b'\n') {
            let line: Value = serde_json::from_slice(&self.rest[..end]).unwrap();
            self.rest.drain(..=end);
            match line["ev"].as_str().unwrap() {
                "submit" => self.submits.push(Submit::of(&line)),
                "throttled" => self.throttled += 1,
                // what a killed peer looks like from there
                "error" if ["ECONNRESET", "EPIPE"].iter().any(|e| line["e"].as_str().unwrap().contains(e)) => {}
                "error" => panic!("the centre complains: {line}"),
                _ => {}
            }
        }
        self.submits.len() as u64
    }
    /// From the first line, once everything has ended.
    fn read_again(&mut self) {
        self.file.seek(SeekFrom::Start(0)).unwrap();
        (self.submits, self.throttled) = (Vec::new(), 0);
        self.read();
        assert!(self.rest.is_empty(), "`{}` ends within a line", self.path.display());
    }
}

impl Submit {
    fn of(line: &Value) -> Self {
        let text = line["hex"].as_str().unwrap();
        let pdu: Vec<u8> =
            (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect();
        Self { to: line["dst"].as_str().unwrap().to_owned(), segment: segment(&pdu[16..]) }
    }
}

/// The segment that the body of a submit_sm (SMPP 3.4 §4.4.1) says it is in its user data header (3GPP TS 23.040
/// §9.2.3.24.1); 1 without one.
fn segment(body: &[u8]) -> u8 {
    let text = |at: usize| at + body[at..].iter().position(|&b| b == 0).unwrap() + 1;
    let source = text(0) + 2;
    let destination = text(source) + 2;
    let esm_class = text(destination);
    let registered = text(text(esm_class + 3));
    let message = &body[registered + 5..];
    if body[esm_class] & 0x40 == 0 {
        return 1;
    }
    assert_eq!(message[..3], [5, 0, 3], "a header of concatenation and nothing else");
    assert_eq!(u64::from(message[4]), SEGMENTS);
    message[5]
}

/// The tenant has neither nights nor holidays, and a campaign that begins an hour ago.
fn campaign(world: &World) -> PathBuf {
    world.tenant(|tenant| {
        tenant.remove("holidays");
        let policy = tenant["policy"].as_table_mut().unwrap();
        for (_, class) in policy.iter_mut() {
            class.as_table_mut().unwrap().insert("quiet_hours".to_owned(), toml::Value::Array(Vec::new()));
        }
        for channel in tenant["channels"].as_array_mut().unwrap() {
            channel.as_table_mut().unwrap().insert("per_second".to_owned(), GRANTED.into());
        }
    });
    let zone = world.path("definitions/tenant.toml");
    let zone: toml::Table = fs::read_to_string(zone).unwrap().parse().unwrap();
    let now = jiff::Timestamp::now().in_tz(zone["zone"].as_str().unwrap()).unwrap();
    let at = |hours: i64| now.saturating_add(jiff::Span::new().hours(hours)).strftime("%Y-%m-%dT%H:%M").to_string();
    let text = "您的好友多已用彩铃。".repeat(8);
    let file = world.path("kill.toml");
    let definition = format!(
        r#"id = "kill"
name = {{ zh = "断电", en = "Killed" }}
class = "marketing"
channel = "sms"
priority = 500
start = "{start}"
end = "{end}"
smallest_worthwhile_uplift = "1%"
success_window_days = 7
goal = {{ metric = "orders", target = 100 }}
budget = {{ amount = "3000.00", currency = "CNY", cost_per_contact = "0.05" }}
audience = {{ condition = "status = active" }}
offer = {{ code = "ring_back_tone", name = {{ zh = "彩铃", en = "Ring-back tone" }}, price = "5.00", margin = "3.50", keyword = "RBT" }}
creatives = [{{ lang = "zh", family = "kill", text = "{text}回复RBT即可开通，回TD退订" }}]
waves = [{{ no = 1, start = "{start}", not_after = "{not_after}" }}]
control = {{ share = "20%" }}
"#,
        start = at(-1),
        not_after = at(24),
        end = at(48),
    );
    fs::write(&file, definition).unwrap();
    file
}

/// The sums of the report, through the socket of the running process.
struct Sums {
    states: BTreeMap<String, u64>,
    members: u64,
}

impl Sums {
    fn read(world: &World) -> Self {
        let report = world.json(&["campaign", "report", "kill"]);
        let states: BTreeMap<String, u64> = serde_json::from_value(report["states"].clone()).unwrap();
        let members = report["members"].as_u64().unwrap();
        assert_eq!(states.len(), ContactState::ALL.len(), "{states:?}");
        assert_eq!(states.values().sum::<u64>(), members, "every member is in exactly one state: {states:?}");
        Self { states, members }
    }
    fn of(&self, state: ContactState) -> u64 {
        self.states[state.name()]
    }
    /// Not at their end yet.
    fn open(&self) -> u64 {
        self.of(ContactState::NotReached) + self.of(ContactState::Deferred) + self.of(ContactState::Pending)
    }
}

fn serve(world: &World, centre: &Centre) -> Served {
    let (address, window) = (format!("127.0.0.1:{}", centre.port), WINDOW.to_string());
    world.serve(&["--smpp", &address, "--smpp-password", "secret", "--smpp-window", &window])
}

#[test]
fn killed_25_times_in_the_middle_of_a_wave_nobody_is_sent_to_twice_and_nobody_is_lost() {
    let begun = Instant::now();
    let world = World::new();
    let mut centre = Centre::start(&world.path(""));
    let definition = campaign(&world);
    world.populate(SUBSCRIBERS);
    let (author, approver) = (world.user("ann", "planner"), world.user("bob", "approver"));
    world.ok(&["campaign", "submit", definition.to_str().unwrap(), "--token", &author]);
    world.ok(&["campaign", "approve", "kill", "--token", &approver]);

    let mut served = serve(&world, &centre);
    world.ok(&["campaign", "start", "kill", "--token", &author]);
    let mut table = String::from("kill  submits  throttled  not reached  pending   sent  unknown  restart\n");
    for kill in 1..=KILLS {
        let goal = centre.log.read() + 1 + hash::salted2(SEED, kill, 0) % SUBMITS_BETWEEN;
        wait("submits", MOST, || {
            assert!(!served.process.has_ended(), "kairos serve has ended\n{}", served.log());
            (centre.log.read() >= goal).then_some(())
        });
        served.process.kill();
        let submits = centre.log.read();
        served = serve(&world, &centre);
        let sums = Sums::read(&world);
        let of = |state| sums.of(state);
        let unknown = of(ContactState::Unknown);
        writeln!(
            table,
            "{kill:4} {submits:8} {:10} {:12} {:8} {:6} {unknown:8} {:5} ms",
            centre.log.throttled,
            of(ContactState::NotReached) + of(ContactState::Deferred),
            of(ContactState::Pending),
            of(ContactState::Sent),
            served.took.as_millis(),
        )
        .unwrap();
        assert!(sums.open() > 0, "kill {kill} was not in the middle of the wave\n{table}");
        assert!(unknown <= kill * WINDOW, "more than a window a kill is unknown\n{table}");
        assert!(of(ContactState::Sent) + unknown >= submits / SEGMENTS, "a submit left no trace\n{table}");
    }
    let sums = wait("the wave to end", MOST, || {
        assert!(!served.process.has_ended(), "kairos serve has ended\n{}", served.log());
        Some(Sums::read(&world)).filter(|s| s.open() == 0)
    });
    served.process.end(MOST);
    world.ok(&["audit", "verify"]);
    centre.log.read_again();
    writeln!(
        table,
        " end {:8} {:10} {:12} {:8} {:6} {:8}   all in {:.1} s",
        centre.log.submits.len(),
        centre.log.throttled,
        0,
        0,
        sums.of(ContactState::Sent),
        sums.of(ContactState::Unknown),
        begun.elapsed().as_secs_f64()
    )
    .unwrap();
    println!("{table}");
    ledger_and_log_agree(&world, &centre.log, &sums);
    suppressed_numbers_are_absent(&world, &centre.log);
}

/// Opens the data directory as the program does and holds each member's state against the centre's log.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn ledger_and_log_agree(world: &World, log: &Log, sums: &Sums) {
    let mut logged: BTreeMap<&str, BTreeSet<u8>> = BTreeMap::new();
    for s in &log.submits {
        let new = logged.entry(&s.to).or_default().insert(s.segment);
        assert!(new, "{} was sent segment {} twice", s.to, s.segment);
    }
    let definitions = Definitions::load(Some(&world.path("definitions"))).unwrap();
    let app = App::open(Options::new(world.data(), definitions, Arc::new(SystemClock))).await.unwrap();
    let now = app.now();
    let number = |s: SubscriberId| app.vault.number_of(s, now).unwrap().map(|n| n.reveal().to_string());
    let (campaign, wave, members) = {
        let engine = app.runner().engine();
        let wave = engine.waves().remove(0);
        assert_eq!(engine.recount(wave.campaign, wave.wave).as_ref(), Some(&wave.sums), "sums kept along and counted");
        (wave.campaign, wave.wave, engine.members(wave.campaign, wave.wave).collect::<Vec<_>>())
    };
    assert_eq!(members.len() as u64, sums.members);
    let mut counts: BTreeMap<ContactState, u64> = BTreeMap::new();
    let mut found = 0;
    for m in &members {
        *counts.entry(m.state).or_default() += 1;
        let segments = number(m.subscriber).and_then(|n| logged.get(n.as_str()));
        found += u64::from(segments.is_some());
        let segments = segments.map_or(0, |s| s.len() as u64);
        match m.state {
            ContactState::Sent => assert_eq!(segments, SEGMENTS, "{} is sent, and the log lacks a part", m.subscriber),
            ContactState::Unknown => {}
            state => assert_eq!(segments, 0, "{} is {state}, and in the log", m.subscriber),
        }
        let contacts = app.runner().engine().contacts_of(m.subscriber);
        assert!(contacts.len() <= 1 && contacts.iter().all(|c| (c.campaign, c.wave) == (campaign, wave)));
    }
    assert_eq!(found, logged.len() as u64, "every number of the log is a member's");
    let of = |state| counts.get(&state).copied().unwrap_or(0);
    for state in ContactState::ALL {
        assert_eq!(of(state), sums.of(state), "{state}");
    }
    let chosen = of(ContactState::Sent) + of(ContactState::Unknown);
    assert_eq!(members.len() as u64, chosen + of(ContactState::Control) + of(ContactState::Withheld));
    assert!(of(ContactState::Control) > 0 && of(ContactState::Withheld) > 0);
    assert!(found <= chosen && log.submits.len() as u64 <= chosen * SEGMENTS);
    assert!(of(ContactState::Unknown) <= KILLS * WINDOW);
    app.close().await;
}

/// By the operator's own file, not by the ledger.
fn suppressed_numbers_are_absent(world: &World, log: &Log) {
    let reached: BTreeSet<&str> = log.submits.iter().map(|s| s.to.as_str()).collect();
    let rows = fs::read_to_string(world.path("files/suppression.csv")).unwrap();
    let suppressed: Vec<String> = rows.lines().skip(1).map(|r| format!("86{}", r.split(',').nth(1).unwrap())).collect();
    assert!(!suppressed.is_empty());
    let wrong: Vec<&String> = suppressed.iter().filter(|n| reached.contains(n.as_str())).collect();
    assert!(wrong.is_empty(), "suppressed and reached: {wrong:?}");
}
