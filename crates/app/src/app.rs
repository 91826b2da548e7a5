//! The application over one open data directory: its stores, its engine, and what keeps them in step.

use crate::{
    books::{BookCampaign, BookFile},
    definitions::Definitions,
    dir::DataDir,
    error::{AppError, Context, Kind, Result},
    facts::{Agreement, SnapshotFacts},
    keys,
    library::DirLibrary,
    runner::{Runner, Running},
};
use kairos_catalog::{Campaign, CampaignDef, CampaignFilter, CampaignState, Catalog, TenantConfig};
use kairos_decide::RunState;
use kairos_engine::{AudienceHash, Engine, EngineConfig, Input, Output, Recovered, StartWave};
use kairos_journal::{Journal, JournalConfig, RealDisk};
use kairos_lake::{Lake, LakeOptions, Sets, TagCatalogue};
use kairos_model::{
    CampaignClass, Channel, Currency, NumberPlan, PlaybookId, SnapshotId, Span, SubscriberId, Timestamp, Zone,
    clock::SharedClock, hash,
};
use kairos_vault::{SystemEntropy, Vault};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::Mutex as AsyncMutex;

/// How to open an [`App`].
pub struct Options {
    pub data: PathBuf,
    pub definitions: Definitions,
    /// The vault's master key; `None`: `<data>.key` beside the directory, made on first use.
    pub key_file: Option<PathBuf>,
    pub clock: SharedClock,
    pub lake: LakeOptions,
    /// Most submits without an answer, of all binds together.
    pub sms_window: u32,
    /// Where salts come from: the system's random bytes, or a seed for a run that must come out the same. Tokens and
    /// keys are the system's always.
    pub salt_seed: Option<u64>,
}

impl Options {
    pub fn new(data: impl Into<PathBuf>, definitions: Definitions, clock: SharedClock) -> Self {
        Self {
            data: data.into(),
            definitions,
            key_file: None,
            clock,
            lake: LakeOptions::default(),
            sms_window: 64,
            salt_seed: None,
        }
    }
}

/// One open tenant.
pub struct App {
    pub dir: DataDir,
    pub definitions: Definitions,
    pub tenant: TenantConfig,
    pub zone: Zone,
    pub currency: Currency,
    pub plan: Arc<NumberPlan>,
    pub tags: Arc<TagCatalogue>,
    pub vault: Arc<Vault>,
    pub lake: Lake,
    pub catalog: Catalog,
    pub clock: SharedClock,
    pub library: Arc<DirLibrary>,
    pub recovered: Recovered,
    running: Running,
    salt_seed: Option<u64>,
    salts_drawn: AtomicU64,
    /// Playbook and facts in force as we made them; also keeps two refreshes apart.
    in_force: AsyncMutex<InForce>,
}

#[derive(Default)]
struct InForce {
    book: Option<BookFile>,
    facts: Option<SnapshotFacts>,
}

impl App {
    /// Opens or creates a data directory, recovers the engine and brings it in step with the catalog.
    pub async fn open(options: Options) -> Result<Self> {
        let definitions = options.definitions;
        let tenant_file = "tenant.toml";
        let tenant = TenantConfig::from_toml(&definitions.shown(tenant_file), definitions.required(tenant_file)?)
            .or_fail(Kind::Invalid, "tenant", || format!("`{}` is not valid", definitions.shown(tenant_file)))?;
        let zone = tenant.tz();
        let mut dir = DataDir::open(&options.data, tenant.tenant_id())?;
        let plan = NumberPlan::new(&tenant.number_plan())
            .or_fail(Kind::Invalid, "tenant", || format!("`{}`: number plan", definitions.shown(tenant_file)))?;
        let tags = load_tags(&definitions, tenant.currency)?;
        let disk = Arc::new(RealDisk);
        let key_path = options.key_file.unwrap_or_else(|| keys::beside(&options.data));
        let master = keys::read_or_create(&key_path, DataDir::exists(&options.data) && dir.path("vault").exists())?;
        let vault = Vault::open(disk.clone(), Arc::new(SystemEntropy), &dir.path("vault"), &master, dir.tenant())
            .or_fail(Kind::Unavailable, "vault", || format!("cannot open the vault of `{}`", options.data.display()))?;
        let vault = Arc::new(vault);
        let lake = Lake::open(dir.path("lake"), dir.tenant(), zone.clone(), options.lake).or_fail(
            Kind::Unavailable,
            "lake",
            || format!("cannot open the lake of `{}`", options.data.display()),
        )?;
        let catalog_path = dir.path("catalog.sqlite");
        let catalog = Catalog::open(&catalog_path, dir.tenant()).await.map_err(catalog_error)?;
        let library = Arc::new(DirLibrary::new(dir.path("books"), dir.path("facts"), lake.clone()));
        let journal_config = JournalConfig::new(dir.tenant(), 1);
        let (journal, _) = Journal::open(disk.clone(), &dir.path("journal"), journal_config).or_fail(
            Kind::Unavailable,
            "journal",
            || format!("cannot open the journal of `{}`", options.data.display()),
        )?;
        let mut config = EngineConfig::new(dir.tenant(), disk, dir.path("checkpoint"));
        config.window.insert(Channel::Sms, options.sms_window);
        let (engine, recovered) =
            Engine::open(config, journal, library.clone()).or_fail(Kind::Unavailable, "engine", || {
                format!("cannot recover the engine of `{}`", options.data.display())
            })?;
        let (book, facts) = library.newest(engine.in_force())?;
        dir.note_stores()?;
        let observer = Arc::new(|_: &[Output]| {});
        let on_fatal = Arc::new(|e: &kairos_engine::EngineError| {
            // nothing may go on after a failed sync: what the disk holds is unknown until it is read again
            eprintln!("fatal: the engine has failed: {e}; end and start again");
            std::process::exit(70);
        });
        let running = Runner::start(engine, options.clock.clone(), observer, on_fatal)?;
        let app = Self {
            dir,
            zone,
            currency: tenant.currency,
            plan: Arc::new(plan),
            tags: Arc::new(tags),
            vault,
            lake,
            catalog,
            clock: options.clock,
            library,
            recovered,
            running,
            salt_seed: options.salt_seed,
            salts_drawn: AtomicU64::new(0),
            in_force: AsyncMutex::new(InForce { book, facts }),
            definitions,
            tenant,
        };
        if let Err(e) = app.in_step().await {
            // the engine goes on with its last playbook; whoever can mend the cause needs an open directory for it
            tracing::error!(error = %e, "catalog and engine are not in step");
        }
        Ok(app)
    }

    /// Draws salts; see [`Options::salt_seed`].
    pub(crate) fn salts(&self) -> impl FnMut(&mut [u8]) + Send + '_ {
        |bytes| match self.salt_seed {
            None => keys::random(bytes),
            Some(seed) => bytes.chunks_mut(8).for_each(|chunk| {
                let n = self.salts_drawn.fetch_add(1, Relaxed);
                chunk.copy_from_slice(&hash::salted(seed, n).to_le_bytes()[..chunk.len()]);
            }),
        }
    }

    pub fn runner(&self) -> &Runner {
        &self.running.runner
    }
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Ends the engine's thread and closes the catalog; everything committed stays.
    pub async fn close(self) {
        self.running.end().await;
        self.catalog.close().await;
    }

    /// After a crash between catalog and engine: waves that the catalog launched and the engine does not know, states
    /// that differ.
    async fn in_step(&self) -> Result<()> {
        let campaigns = self.campaigns().await?;
        if campaigns.iter().all(|c| run_state(&c.state).is_none()) {
            return Ok(());
        }
        self.refresh().await?;
        for c in
            campaigns.iter().filter(|c| matches!(c.state, CampaignState::Running { .. } | CampaignState::Paused { .. }))
        {
            let held = self.runner().engine().book().and_then(|b| b.campaign(c.id)).map(|k| k.run);
            if matches!(c.state, CampaignState::Running { .. }) && held == Some(RunState::Paused) {
                self.runner().handle(vec![Input::Resume(c.id)]).await?;
            }
            for wave in self.catalog.waves(&c.slug).await.map_err(catalog_error)? {
                if self.runner().engine().sums(c.id, wave.start.wave).is_none() {
                    self.start_in_engine(c, &wave.start).await?;
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn start_in_engine(&self, c: &Campaign, start: &kairos_catalog::WaveStart) -> Result<()> {
        let def = c.def.wave(start.wave).ok_or_else(|| {
            AppError::not_found("wave", format!("campaign `{}` has no wave {}", c.slug, start.wave.0))
        })?;
        let not_after = c.def.not_after(def).instant(&self.zone).unwrap_or(Timestamp::MAX);
        let input = Input::StartWave(StartWave {
            campaign: c.id,
            version: c.version,
            wave: start.wave,
            audience: AudienceHash(start.audience.0),
            not_after,
        });
        self.runner().handle(vec![input]).await?;
        Ok(())
    }

    /// All campaigns of the catalog.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self
                .catalog
                .campaigns(&CampaignFilter::default(), cursor.as_deref(), 200)
                .await
                .map_err(catalog_error)?;
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes a playbook and facts of what the stores say now, and swaps them in if they differ from those in force.
    pub async fn refresh(&self) -> Result<()> {
        let mut in_force = self.in_force.lock().await;
        let (mut inputs, mut next) = (Vec::new(), InForce::default());
        let facts = self.build_facts(in_force.facts.as_ref()).await?;
        if let Some(facts) = facts {
            facts.save(self.library.facts_folder())?;
            inputs.push(Input::SwapFacts(facts.id));
            next.facts = Some(facts);
        }
        let mut book = self.build_book().await?;
        let same = in_force.book.as_ref().is_some_and(|b| BookFile { id: b.id, ..book.clone() } == *b);
        if !same {
            book.id = self.library.next_book()?.0;
            book.compile()?;
            book.save(self.library.books_folder())?;
            inputs.push(Input::SwapPlaybook(PlaybookId(book.id)));
            next.book = Some(book);
        }
        if !inputs.is_empty() {
            self.runner().handle(inputs).await?;
        }
        // only what the engine has taken is in force
        in_force.facts = next.facts.or(in_force.facts.take());
        in_force.book = next.book.or(in_force.book.take());
        Ok(())
    }

    /// [`App::refresh`], where there is a campaign that decides by it.
    pub async fn refresh_if_running(&self) -> Result<()> {
        if self.campaigns().await?.iter().any(|c| run_state(&c.state).is_some()) {
            self.refresh().await?;
        }
        Ok(())
    }

    /// The playbook's source as the catalog has it now; its id is 0.
    pub async fn build_book(&self) -> Result<BookFile> {
        let now = self.now();
        let mut campaigns = Vec::new();
        for c in self.campaigns().await? {
            let Some(run) = run_state(&c.state) else { continue };
            let holdout_salt = self.holdout_salt(&c, now).await?;
            campaigns.push(BookCampaign {
                id: c.id.0,
                version: c.version.0,
                salt: c.salt,
                holdout_salt,
                run: run.to_owned(),
                hold: run != "stopped" && self.holds(&c.def, now),
                def: c.def,
            });
        }
        Ok(BookFile { format: BookFile::FORMAT, id: 0, kill: false, tenant: self.tenant.clone(), campaigns })
    }

    /// Whether a campaign keeps its audience now: from `hold_days` before its first wave on.
    fn holds(&self, def: &CampaignDef, now: Timestamp) -> bool {
        let first = def.waves.iter().filter_map(|w| w.start.instant(&self.zone)).min();
        def.hold_days > 0 && first.is_some_and(|t| now >= t.minus(Span::days(i64::from(def.hold_days))))
    }

    /// The tenant's holdout salt for the period in which a campaign starts: fixed for the campaign's whole life.
    pub(crate) async fn holdout_salt(&self, c: &Campaign, now: Timestamp) -> Result<Option<u64>> {
        if !c.def.holdout {
            return Ok(None);
        }
        let at = c.def.start.instant(&self.zone).unwrap_or(now);
        let period = self.tenant.holdout_period(at);
        let actor = kairos_catalog::Actor::system();
        let holdout = self.catalog.holdout(&actor, &period, &mut self.salts(), now).await.map_err(catalog_error)?;
        Ok(Some(holdout.salt))
    }

    /// Facts as the stores say now; `None` if they are those in force.
    async fn build_facts(&self, current: Option<&SnapshotFacts>) -> Result<Option<SnapshotFacts>> {
        let now = self.now();
        let mut facts = SnapshotFacts { tags: self.newest_snapshot()?.map(|s| s.id()), ..SnapshotFacts::default() };
        let everyone = 0..self.vault.stats().subscribers;
        facts.reachable = everyone.clone().filter(|&s| self.vault.has_number(SubscriberId(s), now)).collect();
        facts.suppressed = everyone.filter(|&s| self.vault.is_suppressed_sub(SubscriberId(s), now)).collect();
        let set = |sql: String| async move {
            self.lake
                .subscriber_set(now, &sql)
                .await
                .or_fail(Kind::Failure, "facts", || "cannot read the facts".to_owned())
        };
        facts.do_not_disturb = set("SELECT subscriber FROM subscriber WHERE do_not_disturb".to_owned()).await?;
        for &class in CampaignClass::ALL {
            for channel in [Channel::Sms, Channel::Mms, Channel::Outbound] {
                // a change of mind is a new row: the newest counts, and of two at one instant the refusal
                let of = |granted: &str| {
                    format!(
                        "SELECT subscriber FROM (SELECT subscriber, granted, row_number() OVER (PARTITION BY subscriber \
                         ORDER BY at DESC, granted ASC) AS n FROM consent WHERE purpose = '{class}' AND channel = '{channel}') \
                         WHERE n = 1 AND {granted}"
                    )
                };
                let agreement = Agreement { granted: set(of("granted")).await?, denied: set(of("NOT granted")).await? };
                if agreement != Agreement::default() {
                    facts.consent.insert((class, channel), agreement);
                }
            }
        }
        for c in self.campaigns().await? {
            if c.def.hold_days == 0 || !matches!(run_state(&c.state), Some("approved" | "running" | "paused")) {
                continue;
            }
            match self.held_audience(&c).await {
                Ok(Some(members)) => {
                    facts.audiences.insert(c.id, members);
                }
                Ok(None) => {}
                Err(e) => {
                    // one broken condition must not stop everybody's decisions: what it held before, it holds on
                    tracing::error!(campaign = %c.slug, error = %e, "its audience cannot be made anew");
                    if let Some(members) = current.and_then(|f| f.audiences.get(&c.id)) {
                        facts.audiences.insert(c.id, members.clone());
                    }
                }
            }
        }
        if let Some(current) = current {
            facts.id = current.id;
            if facts == *current {
                return Ok(None);
            }
        }
        facts.id = SnapshotId(self.library.next_facts()?.0);
        Ok(Some(facts))
    }

    /// Computes a tag snapshot; only what changed is recomputed.
    pub async fn compute_tags(&self, as_of: Timestamp) -> Result<TagsComputed> {
        let report =
            self.lake
                .compute_tags(&self.tags, as_of, self.now())
                .await
                .or_fail(Kind::Failure, "tags", || "the tags cannot be computed".to_owned())?;
        Ok(TagsComputed {
            snapshot: report.snapshot.id().0,
            as_of: report.snapshot.as_of(),
            subscribers: report.snapshot.subscribers(),
            new: report.new,
            computed: report.computed.len(),
            reused: report.snapshot.tags.len() - report.computed.len(),
        })
    }

    /// Plans every tag on the tables. `Invalid` with each fault: file and tag as its place.
    pub async fn check_tags(&self) -> Result<()> {
        let problems = self
            .lake
            .check_tags(&self.tags)
            .await
            .or_fail(Kind::Unavailable, "tags", || "the tags cannot be planned on the tables".to_owned())?;
        if problems.is_empty() {
            return Ok(());
        }
        let details = problems
            .iter()
            .map(|p| (format!("{}, `{}`, {}", p.file, p.id, p.field), format!("{}; {}", p.what, p.remedy)))
            .collect();
        let message = format!("the tag catalogue is not valid: {} fault(s)", problems.len());
        Err(AppError::invalid("tag_catalogue", message).with_details(details))
    }

    /// The error for a tag that is not in the catalogue, with the nearest that is.
    pub fn unknown_tag(&self, id: &str) -> AppError {
        let near = crate::suggest::nearest(id, self.tags.defs().iter().map(|d| d.info.id.as_str()));
        let hint = near.map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        AppError::not_found("tag", format!("unknown tag `{id}`{hint}"))
    }

    pub(crate) async fn facts_in_force(&self) -> Option<SnapshotFacts> {
        self.in_force.lock().await.facts.clone()
    }
}

/// What a run over the tags did.
#[derive(Clone, Copy, Debug)]
pub struct TagsComputed {
    pub snapshot: u32,
    pub as_of: Timestamp,
    pub subscribers: u64,
    /// Whether there is a new snapshot; else nothing had changed.
    pub new: bool,
    pub computed: usize,
    pub reused: usize,
}

/// The word of the book for a state that the engine must know; `None`: not in the book.
pub(crate) fn run_state(state: &CampaignState) -> Option<&'static str> {
    match state {
        CampaignState::Draft { .. } | CampaignState::Submitted { .. } => None,
        CampaignState::Approved { .. } => Some("approved"),
        CampaignState::Running { .. } => Some("running"),
        CampaignState::Paused { .. } => Some("paused"),
        CampaignState::Ended { .. } | CampaignState::Evaluated { .. } => Some("stopped"),
    }
}

/// A catalog error with the kind that it names itself.
pub fn catalog_error(e: kairos_catalog::CatalogError) -> AppError {
    use kairos_catalog::ErrorKind as K;
    let kind = match e.kind() {
        K::Invalid => Kind::Invalid,
        K::NotFound => Kind::NotFound,
        K::Denied => Kind::Denied,
        K::Conflict => Kind::Conflict,
        K::Unavailable => Kind::Unavailable,
        _ => Kind::Failure,
    };
    AppError::new(kind, catalog_code(&e), e.to_string()).because(e)
}

/// Each refusal of the catalog has a stable word of its own.
const fn catalog_code(e: &kairos_catalog::CatalogError) -> &'static str {
    use kairos_catalog::{CatalogError as E, Illegal};
    match e {
        E::NoCampaign(_) => "campaign_not_found",
        E::NoVersion { .. } => "version_not_found",
        E::NoUser(_) => "user_not_found",
        E::UserExists(_) => "user_exists",
        E::Exists(_) => "campaign_exists",
        E::OtherId { .. } => "campaign_id",
        E::Stale { .. } => "stale",
        E::Findings { .. } => "definition_findings",
        E::Illegal(Illegal::State { .. }) => "wrong_state",
        E::Illegal(Illegal::OwnWork { .. }) => "own_work",
        E::Illegal(Illegal::Changed { .. }) => "content_changed",
        E::Illegal(Illegal::PastEnd { .. }) => "past_end",
        E::Illegal(Illegal::System { .. }) => "not_a_person",
        E::Illegal(Illegal::Reason { .. }) => "reason",
        E::Wave { .. } => "second_launch",
        E::KeyReused => "idempotency_key_reused",
        E::KeyBusy { .. } => "idempotency_key_busy",
        E::Cursor(_) => "cursor",
        E::Word { .. } => "word",
        E::Inactive(_) => "user_inactive",
        E::Locked { .. } => "catalog_busy",
        E::Newer { .. } => "catalog_newer",
        E::Open { .. } => "catalog_unreadable",
        E::Damaged { .. } | E::Broken(_) => "catalog_damaged",
        _ => "catalog",
    }
}

/// The tag catalogue of the definitions.
pub fn load_tags(definitions: &Definitions, currency: Currency) -> Result<TagCatalogue> {
    let files: Vec<(String, String)> =
        definitions.under("tags/").map(|(name, text)| (definitions.shown(name), text.to_owned())).collect();
    TagCatalogue::parse(&files, currency, Sets::default())
        .or_fail(Kind::Invalid, "tag_catalogue", || "the tag catalogue is not valid".to_owned())
}

/// Resolves a path against a folder, as a running process must do for a caller in another one.
pub fn absolute(base: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { base.join(path) }
}
