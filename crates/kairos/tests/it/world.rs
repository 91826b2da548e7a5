//! A tenant made by the real program, for stories about it: data directory, definitions, users, running processes.

use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Between two looks at something that is waited for. Short: a kill should fall between a submit and its answer.
const LOOK: Duration = Duration::from_millis(1);
/// Longest time a process may take to say that it is ready.
const START_MAX: Duration = Duration::from_secs(20);

/// The files of a synthetic province with the layout of each, in the order of import.
const PROVINCE: [(&str, &[&str]); 15] = [
    ("subscribers", &["subscribers.csv"]),
    ("numbers", &["numbers.csv"]),
    ("products", &["products.csv"]),
    ("consents", &["consents.csv"]),
    ("suppression", &["suppression.csv"]),
    ("usage", &["usage-2025-12.csv", "usage-2026-01.csv", "usage-2026-02.csv"]),
    ("bills", &["bills.csv"]),
    ("contacts", &["contacts.csv"]),
    ("orders", &["orders.csv"]),
    ("devices", &["devices.csv"]),
    ("device_history", &["device_history.csv"]),
    ("payments", &["payments.csv"]),
    ("content", &["content.csv"]),
    ("web_visits", &["web_visits.csv"]),
    ("page_views", &["page_views.csv"]),
];

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Looks until `look` gives something; after `most` it fails with what was waited for.
pub fn wait<T>(what: &str, most: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < most, "waited {most:?} in vain for {what}");
        std::thread::sleep(LOOK);
    }
}

/// A process that ends with its story, also when that fails.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        Self(command.stdin(Stdio::null()).spawn().unwrap_or_else(|e| panic!("cannot start {name}: {e}")))
    }
    /// Signal 9, and gone when this returns.
    pub fn kill(&mut self) {
        self.0.kill().expect("a child of ours");
        self.0.wait().expect("a child of ours");
    }
    /// Asks it to end (SIGTERM) and waits until it has; fails unless it ends well.
    pub fn end(&mut self, most: Duration) {
        let signal = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.0.id())]).status();
        assert!(signal.expect("a shell").success(), "no process to end");
        let status = wait("the process to end", most, || self.0.try_wait().expect("a child of ours"));
        assert!(status.success(), "the process ended with {status}");
    }
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child of ours").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.kill();
        }
    }
}

/// What a command printed, and whether it went well.
pub struct Ran {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// `kairos serve`, ready.
pub struct Served {
    pub process: Process,
    /// From the start of the process to `ready`.
    pub took: Duration,
    stderr: PathBuf,
}

impl Served {
    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }
}

/// One tenant in a folder of its own.
pub struct World {
    folder: TempDir,
}

impl World {
    /// No data yet; the definitions are the demo province's, to be changed as the story needs.
    pub fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        copy(&root().join("province"), &world.path("definitions"));
        world
    }
    /// A file or folder of this world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }
    /// Changes `tenant.toml`.
    pub fn tenant(&self, change: impl FnOnce(&mut toml::Table)) {
        let path = self.path("definitions/tenant.toml");
        let mut table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        change(&mut table);
        fs::write(&path, toml::to_string(&table).unwrap()).unwrap();
    }
    /// The program with this world's data and definitions and nothing of the caller's environment.
    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kairos"));
        command.env_clear().env("KAIROS_DATA", self.data()).env("KAIROS_DEFINITIONS", self.path("definitions"));
        command.current_dir(self.folder.path());
        command
    }
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.program().args(args).stdin(Stdio::null()).output().unwrap();
        Ran {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
    /// Standard output of a command that must go well.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert!(ran.ok, "kairos {} failed\n{}{}", args.join(" "), ran.stdout, ran.stderr);
        ran.stdout
    }
    /// The JSON document of a command that must go well.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("kairos {}: {e}\n{text}", args.join(" ")))
    }
    /// Makes a synthetic province of so many subscribers, imports it and computes its tags as of now.
    pub fn populate(&self, subscribers: u32) {
        self.ok(&["synth", "--quiet", "--out", "files", "--subscribers", &subscribers.to_string()]);
        for (layout, files) in PROVINCE {
            let files: Vec<String> = files.iter().map(|f| format!("files/{f}")).collect();
            let names: Vec<&str> = files.iter().map(String::as_str).collect();
            self.ok(&[&["import", "--quiet", "--layout", layout][..], &names].concat());
        }
        self.ok(&["tag", "compute", "--quiet"]);
    }
    /// Adds a console user; the token.
    pub fn user(&self, name: &str, role: &str) -> String {
        let added = self.json(&["user", "add", name, "--role", role]);
        added["token"].as_str().unwrap().to_owned()
    }
    /// Starts `kairos serve` on a free port and waits until it is ready.
    pub fn serve(&self, args: &[&str]) -> Served {
        let stdout = self.path("serve.out");
        let stderr = self.path("serve.err");
        let mut command = self.program();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(args);
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let begun = Instant::now();
        let mut process = Process::start(&mut command);
        wait("`ready` of kairos serve", START_MAX, || {
            assert!(!process.has_ended(), "kairos serve has ended\n{}", fs::read_to_string(&stderr).unwrap());
            let said = fs::read_to_string(&stdout).unwrap();
            (said.starts_with("ready ") && said.ends_with('\n')).then_some(())
        });
        Served { process, took: begun.elapsed(), stderr }
    }
}

fn copy(from: &Path, to: &Path) {
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
