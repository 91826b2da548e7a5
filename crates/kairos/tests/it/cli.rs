//! The command line as its users meet it: exit codes, codes of errors, what is printed where. And the kit of the other
//! `cli_` stories: one small province made once a run, a tenant of one's own for each story.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Seed and size of the province; the counts in the stories hang on them.
const SEED: &str = "7";
const SUBSCRIBERS: &str = "1000";
/// Local time at which the province's tags are computed: the morning after its last record.
pub const AS_OF: &str = "2026-03-02T08:30";
/// Longest wait for a process to say something.
const PATIENCE: Duration = Duration::from_secs(60);

/// Layout and file of the province, in the order of import.
pub const FILES: [(&str, &str); 17] = [
    ("subscribers", "subscribers.csv"),
    ("numbers", "numbers.csv"),
    ("products", "products.csv"),
    ("consents", "consents.csv"),
    ("suppression", "suppression.csv"),
    ("usage", "usage-2025-12.csv"),
    ("usage", "usage-2026-01.csv"),
    ("usage", "usage-2026-02.csv"),
    ("bills", "bills.csv"),
    ("contacts", "contacts.csv"),
    ("orders", "orders.csv"),
    ("devices", "devices.csv"),
    ("device_history", "device_history.csv"),
    ("payments", "payments.csv"),
    ("content", "content.csv"),
    ("web_visits", "web_visits.csv"),
    ("page_views", "page_views.csv"),
];

/// The program, with nothing of the caller's environment.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kairos"));
    command.env_clear().env("KAIROS_LOG", "warn").stdin(Stdio::null());
    command
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a command did.
pub struct Ran {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(o: Output) -> Self {
        Self {
            exit: o.status.code().unwrap_or(-1),
            stdout: String::from_utf8(o.stdout).unwrap(),
            stderr: String::from_utf8(o.stderr).unwrap(),
        }
    }
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{}{}", self.stdout, self.stderr))
    }
}

/// A folder of its own with a data directory `data`.
pub struct Tenant {
    pub folder: TempDir,
}

impl Tenant {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    /// A copy of the data directory into which the whole province was imported and whose tags are computed.
    pub fn loaded() -> Self {
        let t = Self::new();
        copy(loaded(), &t.data());
        fs::copy(loaded().with_extension("key"), t.path("data.key")).unwrap();
        t
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.current_dir(self.folder.path()).env("KAIROS_DATA", self.data()).args(args);
        command
    }
    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }
    /// Standard output of a command that must go well.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.exit, 0, "kairos {}\n{}{}", args.join(" "), ran.stdout, ran.stderr);
        ran.stdout
    }
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("kairos {}: {e}\n{text}", args.join(" ")))
    }
    /// Exit code, stable code and message of a command that must fail; on standard output as JSON and nothing else.
    pub fn refused(&self, args: &[&str]) -> Refusal {
        let ran = self.run(&[args, &["--json"]].concat());
        assert_ne!(ran.exit, 0, "kairos {} went well\n{}", args.join(" "), ran.stdout);
        let said = ran.json();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        Refusal {
            exit: ran.exit,
            code: text(&said["error"]["code"]),
            message: text(&said["error"]["message"]),
            errors: said["error"]["errors"].clone(),
        }
    }
    /// Adds a console user; the token.
    pub fn user(&self, name: &str, role: &str) -> String {
        self.json(&["user", "add", name, "--role", role])["token"].as_str().unwrap().to_owned()
    }
    /// read, accepted, duplicate, quarantined of one file.
    pub fn import(&self, layout: &str, file: &Path) -> [u64; 4] {
        counts(&self.json(&["import", "--layout", layout, file.to_str().unwrap()])["imports"][0])
    }
    /// `kairos serve` with these arguments, ready; its address.
    pub fn serve(&self, args: &[&str]) -> (Process, String) {
        let out = self.path("serve.out");
        let mut command = self.command(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(self.path("serve.err")).unwrap());
        let mut process = Process(command.spawn().unwrap());
        let address = wait("`ready` of kairos serve", || {
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none(), "it ended\n{}", fs::read_to_string(self.path("serve.err")).unwrap());
            Some(fs::read_to_string(&out).unwrap().strip_prefix("ready ")?.strip_suffix('\n')?.to_owned())
        });
        (process, address)
    }
}

pub fn counts(import: &Value) -> [u64; 4] {
    ["read", "accepted", "duplicate", "quarantined"].map(|k| import[k].as_u64().unwrap())
}

#[derive(Debug)]
pub struct Refusal {
    pub exit: i32,
    pub code: String,
    pub message: String,
    pub errors: Value,
}

impl Refusal {
    #[track_caller]
    pub fn is(&self, exit: i32, code: &str, parts: &[&str]) {
        assert_eq!((self.exit, self.code.as_str()), (exit, code), "{self:#?}");
        for part in parts {
            assert!(self.message.contains(part), "no `{part}` in\n{}", self.message);
        }
    }
}

/// A process that ends with its story.
pub struct Process(pub Child);

impl Process {
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
    /// SIGTERM, and a good end.
    pub fn end(&mut self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        assert_eq!(wait("the process to end", || self.0.try_wait().unwrap()).code(), Some(0));
    }
}
impl Drop for Process {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.kill();
        }
    }
}

/// Looks until there is something to see.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Every file below a folder, relative, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// The province's files.
pub fn province() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-province");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        let made: Ran = program()
            .args(["--quiet", "synth", "--seed", SEED, "--subscribers", SUBSCRIBERS, "--out"])
            .arg(&folder)
            .output()
            .unwrap()
            .into();
        assert_eq!((made.exit, made.stderr.as_str()), (0, ""));
        folder
    })
}

/// One file of the province as text.
pub fn province_text(file: &str) -> String {
    fs::read_to_string(province().join(file)).unwrap()
}

/// The data directory that [`Tenant::loaded`] copies.
fn loaded() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-data");
        if data.exists() {
            fs::remove_dir_all(&data).unwrap();
            fs::remove_file(data.with_extension("key")).unwrap();
        }
        let run = |args: &[&str]| {
            let mut command = program();
            let ran: Ran = command.arg("--data").arg(&data).arg("--quiet").args(args).output().unwrap().into();
            assert_eq!(ran.exit, 0, "kairos {}\n{}{}", args.join(" "), ran.stdout, ran.stderr);
        };
        for (layout, file) in FILES {
            run(&["import", "--layout", layout, province().join(file).to_str().unwrap()]);
        }
        run(&["tag", "compute", "--as-of", AS_OF]);
        data
    })
}

#[test]
fn wrong_usage_is_2_and_names_what_there_is() {
    let t = Tenant::new();
    let ran = t.run(&["frobnicate"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("unrecognized subcommand 'frobnicate'"), "{}", ran.stderr);
    let ran = t.run(&["import", "x.csv"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("--layout <FILE|NAME>"), "{}", ran.stderr);
    assert_eq!(t.run(&["--help"]).exit, 0);
    assert_eq!(files_below(t.folder.path()), Vec::<PathBuf>::new(), "nothing was made");
}

#[test]
fn a_reading_command_makes_no_data_directory() {
    let t = Tenant::new();
    t.refused(&["campaign", "list"]).is(3, "data_directory", &["data` (environment KAIROS_DATA)", "`kairos import`"]);
    t.refused(&["--data", "typo", "tag", "list"]).is(3, "data_directory", &["`typo` (flag --data)"]);
    assert_eq!(files_below(t.folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_foreign_folder_is_no_data_directory() {
    let t = Tenant::new();
    t.write("data/holiday.jpg", "x");
    t.refused(&["tag", "list"]).is(2, "not_a_data_directory", &["holds `holiday.jpg` but no VERSION"]);
    assert_eq!(files_below(&t.data()), [PathBuf::from("holiday.jpg")]);
}

#[test]
fn configuration_says_where_each_value_came_from() {
    let t = Tenant::new();
    t.write("kairos.toml", "listen = \"127.0.0.1:1\"\nsmpp = \"centre:2775\"\nsmpp_password = \"hidden\"\n");
    let ran: Ran = t
        .command(&["config", "explain", "--json", "--config", "kairos.toml", "--lang", "zh"])
        .env("KAIROS_SMPP", "other:2775")
        .env("KAIROS_TOKEN", "")
        .output()
        .unwrap()
        .into();
    let said = ran.json();
    let of = |key: &str| {
        let s = said.as_array().unwrap().iter().find(|s| s["key"] == key).unwrap();
        (s["value"].as_str().map(str::to_owned), s["source"].as_str().unwrap().to_owned())
    };
    let pair = |value: &str, source: &str| (Some(value.to_owned()), source.to_owned());
    assert_eq!(of("lang"), pair("zh", "flag --lang"));
    assert_eq!(of("smpp"), pair("other:2775", "environment KAIROS_SMPP"));
    assert_eq!(of("listen"), pair("127.0.0.1:1", "file kairos.toml"));
    assert_eq!(of("smpp_window"), pair("32", "default"));
    assert_eq!(of("smpp_password"), pair("********", "file kairos.toml"));
    assert_eq!(of("token"), (None, "default".to_owned()), "an empty variable is none");
    assert!(!ran.stdout.contains("hidden"));
}

#[test]
fn a_wrong_setting_names_its_place() {
    let t = Tenant::new();
    t.write("kairos.toml", "lsten = \"127.0.0.1:1\"\n");
    let with = ["--config", "kairos.toml", "config", "explain"];
    t.refused(&with).is(2, "configuration", &["`kairos.toml` sets the unknown key `lsten`", "known: data,"]);
    t.refused(&["--config", "none.toml", "tag", "list"]).is(2, "configuration", &["`none.toml`"]);
    let filter = t.refused(&["--log", "a=b=c", "tag", "list"]);
    filter.is(2, "configuration", &["`log` is `a=b=c` (flag --log)", "such as `info`"]);
    t.refused(&["--definitions", "nowhere", "tag", "list"]).is(3, "definitions", &["`nowhere`"]);
}

#[test]
fn people_on_stderr_data_on_stdout_and_quiet_is_quiet() {
    let t = Tenant::new();
    let file = province().join("subscribers.csv");
    let args = ["import", "--layout", "subscribers", file.to_str().unwrap()];
    let loud = t.run(&args);
    assert!(loud.stdout.starts_with("file             table"), "{}", loud.stdout);
    assert!(loud.stderr.contains("subscribers.csv: 1000 read, 1000 accepted"), "{}", loud.stderr);
    let quiet = t.run(&[&["--quiet"][..], &args].concat());
    assert_eq!((quiet.exit, quiet.stderr.as_str()), (0, ""));
    assert!(quiet.stdout.contains("known file"), "{}", quiet.stdout);
    let json = t.run(&[&args[..], &["--json"]].concat());
    assert_eq!((counts(&json.json()["imports"][0]), json.stderr.as_str()), ([1000, 0, 1000, 0], ""));
    // a failure without --json says the same to people
    let failed = t.run(&["import", "--layout", "usage", "none.csv"]);
    assert_eq!((failed.exit, failed.stdout.as_str()), (2, ""));
    assert!(failed.stderr.starts_with("error: cannot read `"), "{}", failed.stderr);
}
