//! The command line, as typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Kairos (良机): the right offer to the right subscriber at the right moment, and proof of what it was worth.
#[derive(Parser, Debug)]
#[command(name = "kairos", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command. Precedence: flag > environment (`KAIROS_DATA`, …) > configuration file > default;
/// `kairos config explain` says where each value came from.
#[derive(Args, Debug, Clone, Default)]
pub struct Global {
    /// Data directory of the tenant
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Folder of definitions (tenant.toml, layouts/, tags/, campaigns/); default: the embedded province
    #[arg(long, global = true, value_name = "DIR")]
    pub definitions: Option<PathBuf>,
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File with the vault's master key; default: DIR.key beside the data directory
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Where lists of contacts for people are written; default: DIR.outbox beside the data directory
    #[arg(long, global = true, value_name = "DIR")]
    pub outbox: Option<PathBuf>,
    /// Your token; who you are comes from it and from nothing else
    #[arg(long, global = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Log filter, e.g. `info` or `kairos_engine=debug`
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks on standard error
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Language of sentences and labels
    #[arg(long, global = true, value_enum)]
    pub lang: Option<Lang>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lang {
    #[default]
    En,
    Zh,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Read files into the lake by a layout; bad rows go to the quarantine with their reason
    Import(Import),
    /// The tag catalogue and its snapshots
    #[command(subcommand)]
    Tag(TagCommand),
    /// Who satisfies a condition
    #[command(subcommand)]
    Audience(AudienceCommand),
    /// Lists of numbers that conditions name
    #[command(subcommand)]
    List(ListCommand),
    /// Campaigns: check, submit, approve, start, pause, resume, stop, simulate, report
    #[command(subcommand)]
    Campaign(CampaignCommand),
    /// Events of the network
    #[command(subcommand)]
    Event(EventCommand),
    /// Contacts that go out as files, and those whose answer is lost
    #[command(subcommand)]
    Contact(ContactCommand),
    /// Stop everything at once, or go on: nothing is decided or sent while the switch is on
    KillSwitch(KillSwitch),
    /// Why was, or was not, a subscriber contacted
    Explain(Explain),
    /// Read-only SQL over tables, quarantine, decisions and outcomes
    Sql(Sql),
    /// The hash-chained audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Console operators and their tokens
    #[command(subcommand)]
    User(UserCommand),
    /// Write the files of a synthetic operator
    Synth(Synth),
    /// Run the engine, the channels and the API on a data directory
    Serve(Serve),
    /// The whole loop on a synthetic province, in a directory of its own
    Demo(Demo),
    /// Configuration: where each value comes from
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Shell completion script
    Completion {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// The OpenAPI 3.1 description of the HTTP API
    Openapi,
}

#[derive(Args, Debug)]
pub struct Import {
    /// Layout file (TOML), or the name of an embedded layout such as `usage`
    #[arg(long, value_name = "FILE|NAME")]
    pub layout: String,
    /// State of an upsert or snapshot file: local time `2026-03-01T00:00:00`
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    /// Files to read, each whole or not at all
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum TagCommand {
    /// All tags with their coverage in the newest snapshot
    List {
        /// Only this category
        #[arg(long)]
        category: Option<String>,
    },
    /// One tag: definition, owner, lineage, coverage, freshness
    Show { id: String },
    /// Compute a snapshot; only what changed is recomputed
    Compute {
        /// Local time that the snapshot describes; default: now
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
    },
    /// Prove the catalogue: types, names, cycles, unused sources
    Check,
}

#[derive(Args, Debug)]
pub struct Condition {
    /// The condition, e.g. 'arpu_3m >= 80 yuan and not has_ring_back_tone'
    pub condition: Option<String>,
    /// Read the condition (text or JSON tree) from a file
    #[arg(long, value_name = "FILE", conflicts_with = "condition")]
    pub file: Option<PathBuf>,
    /// Ask the newest snapshot that describes a time up to this local one; default: now
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
}

#[derive(Subcommand, Debug)]
pub enum ListCommand {
    /// Read a file of numbers into a new version of a list: one a line, in any form
    Load(LoadList),
    /// All lists: kind, version, members, and what became of the lines of their files
    Show,
    /// Forget a list with all its versions
    Drop { id: String },
}

#[derive(Args, Debug)]
pub struct LoadList {
    /// Letters, digits and `_`; conditions name it: subscriber in list ID
    pub id: String,
    pub file: PathBuf,
    /// own (本端): subscribers; peer (对端): whom they talk to, foreign numbers too
    #[arg(long, value_enum, default_value = "own")]
    pub kind: ListKind,
    #[arg(long, value_name = "NAME")]
    pub zh: Option<String>,
    #[arg(long, value_name = "NAME")]
    pub en: Option<String>,
    /// Local time from which the list is not used any more
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// Layout of table `number_list` for other files than one number a line
    #[arg(long, value_name = "FILE|NAME", default_value = "number-list")]
    pub layout: String,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    Own,
    Peer,
}

#[derive(Subcommand, Debug)]
pub enum EventCommand {
    /// Take the CloudEvents of a file: one JSON object, or an array of them
    Inject {
        /// `-` reads standard input; not through a serving process
        file: PathBuf,
    },
    /// All event types with their fields
    Types,
}

#[derive(Subcommand, Debug)]
pub enum ContactCommand {
    /// Write what may go out now on a channel of files (outbound, mms) to the outbox
    Export { channel: String },
    /// The files that were written, and which were called back
    Lists,
    /// Mark a file as called back; its contacts are printed for whoever must tell the callers
    Recall { name: String },
    /// Contacts that were offered and whose answer is lost, with what is known of them
    Unknown {
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Say what became of an unknown contact
    Settle {
        contact: String,
        /// It was sent, or it certainly was not
        #[arg(long = "as", value_enum, value_name = "WHAT")]
        outcome: SettledAs,
        /// How you know: it stands in the audit log
        #[arg(long)]
        reason: String,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettledAs {
    Sent,
    NotSent,
}

#[derive(Args, Debug)]
pub struct KillSwitch {
    #[arg(value_enum, default_value = "show")]
    pub state: KillState,
    /// Why: it stands in the audit log
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillState {
    On,
    Off,
    Show,
}

#[derive(Subcommand, Debug)]
pub enum AudienceCommand {
    /// How many, clause by clause
    Count(Condition),
    /// The subscribers themselves, as ordinals
    Extract {
        #[command(flatten)]
        condition: Condition,
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Make it immutable and print its hash
    Freeze(Condition),
    /// How many are in which of up to ten sets
    Overlap(Sets),
    /// Every pair of up to 200 sets, such as the users of services: share and lift
    Cross(Sets),
    /// Some members, the same for the same seed
    Sample(Sample),
    /// Reverse query: which tags and values set these apart from a base
    Apart(Apart),
    /// Look-alike: what a service's users have in common, and who looks most like them
    Alike(Alike),
}

#[derive(Args, Debug)]
pub struct Sets {
    /// Conditions, each a set
    #[arg(required = true, num_args = 2..)]
    pub conditions: Vec<String>,
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
}

#[derive(Args, Debug)]
pub struct Sample {
    pub condition: String,
    #[arg(short, default_value_t = 100)]
    pub n: usize,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
}

#[derive(Args, Debug)]
pub struct Apart {
    /// Who, e.g. 'subscriber in list vip'
    pub condition: String,
    /// Set apart from whom; default: everyone
    #[arg(long, value_name = "CONDITION")]
    pub base: Option<String>,
    #[arg(long, default_value_t = 30)]
    pub limit: usize,
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
}

#[derive(Args, Debug)]
pub struct Alike {
    /// Who uses the service, e.g. 'has_ring_back_tone'
    pub users: String,
    /// Among whom the users are told apart; default: everyone
    #[arg(long, value_name = "CONDITION")]
    pub base: Option<String>,
    /// Who may be named, e.g. the active; users never are. Default: the base
    #[arg(long, value_name = "CONDITION")]
    pub among: Option<String>,
    /// Tags that would say by themselves who is a user, beside those that the condition names
    #[arg(long, value_name = "TAG")]
    pub leave_out: Vec<String>,
    #[arg(short, default_value_t = 1000)]
    pub n: usize,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
}

#[derive(Subcommand, Debug)]
pub enum CampaignCommand {
    /// All campaigns and where they stand
    List,
    /// One campaign: definition, state, approvals
    Show {
        id: String,
    },
    /// Judge a definition without keeping it
    Check {
        /// TOML or JSON file
        file: PathBuf,
    },
    /// Keep a definition and ask for approval
    Submit {
        file: PathBuf,
    },
    /// Approve the content that was submitted; the author cannot
    Approve {
        id: String,
        /// Content hash that you read (`campaign show`); another content is refused
        #[arg(long, value_name = "HASH")]
        content: Option<String>,
    },
    /// Launch the next wave
    Start {
        id: String,
    },
    Pause {
        id: String,
        #[arg(long, default_value = "paused from the command line")]
        reason: String,
    },
    Resume {
        id: String,
    },
    /// For good: whoever is not yet offered is cancelled
    Stop {
        id: String,
        #[arg(long, default_value = "stopped from the command line")]
        reason: String,
    },
    /// Back to its author, who reads why
    Reject {
        id: String,
        #[arg(long)]
        reason: String,
    },
    /// Take a submission or an approval back
    Withdraw {
        id: String,
        #[arg(long)]
        reason: String,
    },
    /// What would happen now, contacting nobody
    Simulate {
        /// Campaign or definition file
        campaign: String,
        /// Local time to judge at, with the snapshot and the contacts of then; default: now
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Ledger, rates and uplift
    Report {
        id: String,
        /// Tag whose values divide the report
        #[arg(long, value_name = "TAG")]
        by: Option<String>,
    },
}

#[derive(Args, Debug)]
pub struct Explain {
    /// Subscriber: ordinal (`s42`) or the source's key
    pub subscriber: String,
    #[arg(long)]
    pub campaign: Option<String>,
    /// Local time; default: now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

#[derive(Args, Debug)]
pub struct Sql {
    /// e.g. 'SELECT reason, count(*) FROM quarantine GROUP BY reason'
    pub query: String,
    /// Most rows of the answer
    #[arg(long, default_value_t = 1000)]
    pub rows: usize,
    /// Longest run
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
}

#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// Recompute the chain
    Verify {
        /// Print the head only, to keep it elsewhere; with a value: also prove that the log still ends in it or goes on from it
        #[arg(long, num_args = 0..=1, default_missing_value = "")]
        head: Option<String>,
    },
    /// The newest entries
    List {
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// A new token for an operator, printed once; those before stay good until they are revoked
    Token {
        name: String,
    },
    /// Revoke all tokens of an operator
    Revoke {
        name: String,
    },
    /// Add an operator; prints the token once
    Add {
        name: String,
        /// planner, approver, analyst, operator
        #[arg(long, default_value = "planner")]
        role: String,
    },
    List,
}

#[derive(Args, Debug)]
pub struct Synth {
    /// Folder to write to; made if missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[arg(long, default_value_t = 100_000)]
    pub subscribers: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Args, Debug)]
pub struct Serve {
    /// Address of the HTTP API
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Message centre to bind to: host:port
    #[arg(long, value_name = "ADDR")]
    pub smpp: Option<String>,
    #[arg(long, value_name = "NAME")]
    pub smpp_user: Option<String>,
    #[arg(long, value_name = "PASSWORD")]
    pub smpp_password: Option<String>,
    /// Most submits without an answer on the bind
    #[arg(long, value_name = "N")]
    pub smpp_window: Option<u16>,
}

#[derive(Args, Debug)]
pub struct Demo {
    /// End after the report instead of serving the API
    #[arg(long)]
    pub once: bool,
    #[arg(long, default_value_t = 100_000)]
    pub subscribers: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Address of the API that is served after the report
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: String,
}

#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Each setting, its value and where it came from
    Explain,
}
