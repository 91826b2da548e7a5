//! The application over one open data directory: its stores, its engine, and what keeps them in step.

use crate::{
    campaigns::{Transport, transport},
    definitions::Definitions,
    dir::DataDir,
    error::{AppError, Context, Kind, Result},
    events::event_config,
    exports::LIST_ROWS,
    keys,
    library::DirLibrary,
    lists,
    refresh::{InForce, run_state},
    runner::{Runner, Running},
    tags::load_tags,
};
use kairos_catalog::{Campaign, CampaignFilter, CampaignState, Catalog, TenantConfig};
use kairos_connect::{cloudevents::Decoder, event::EventConfig};
use kairos_decide::RunState;
use kairos_engine::{AudienceHash, Engine, EngineConfig, Input, Output, Recovered, StartWave};
use kairos_journal::{Journal, JournalConfig, RealDisk};
use kairos_lake::{Lake, LakeOptions, TagCatalogue};
use kairos_model::{Channel, Currency, NumberPlan, Timestamp, Zone, clock::SharedClock, hash};
use kairos_vault::{SystemEntropy, Vault};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, RwLock,
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
    /// Where lists for people are written; `None`: `<data>.outbox` beside the directory. Never in it: they hold numbers.
    pub outbox: Option<PathBuf>,
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
            outbox: None,
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
    /// The catalogue, and when the first of its lists expires.
    pub(crate) tags: RwLock<(Arc<TagCatalogue>, Option<Timestamp>)>,
    pub(crate) lists_lock: Mutex<()>,
    pub events: EventConfig,
    pub(crate) decoder: OnceLock<Decoder>,
    pub vault: Arc<Vault>,
    pub lake: Lake,
    pub catalog: Catalog,
    pub clock: SharedClock,
    pub library: Arc<DirLibrary>,
    pub recovered: Recovered,
    pub(crate) outbox: PathBuf,
    running: Running,
    salt_seed: Option<u64>,
    salts_drawn: AtomicU64,
    /// Playbook and facts in force as we made them; also keeps two refreshes apart.
    pub(crate) in_force: AsyncMutex<InForce>,
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
        let events = event_config(&definitions)?;
        let named = lists::sets(&definitions, &dir.path("lists"), options.clock.now())?;
        let tags = load_tags(&definitions, tenant.currency, named.sets)?;
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
        for &channel in Channel::ALL.iter().filter(|&&c| transport(c) == Some(Transport::File)) {
            config.window.insert(channel, LIST_ROWS as u32);
        }
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
            tags: RwLock::new((Arc::new(tags), named.until)),
            lists_lock: Mutex::default(),
            events,
            decoder: OnceLock::new(),
            vault,
            lake,
            catalog,
            clock: options.clock,
            library,
            recovered,
            outbox: options.outbox.unwrap_or_else(|| keys::sibling(&options.data, "outbox")),
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

/// Resolves a path against a folder, as a running process must do for a caller in another one.
pub fn absolute(base: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { base.join(path) }
}
