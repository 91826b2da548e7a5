//! The whole loop on a synthetic province: files, intake, tags, approval, a wave over SMPP to a simulated centre,
//! replies, orders, evaluation against the known truth. Simulated time; real files, stores, sockets and codecs.

use crate::{
    app::{App, Options},
    campaigns::Simulation,
    definitions::Definitions,
    deliveries::ChannelSide,
    error::{AppError, Context, Kind, Result},
    evaluate::Report,
    import::Imported,
    progress::Progress,
    province::{Written, write_province},
};
use kairos_catalog::Actor;
use kairos_connect::smpp::{self, Monitor, Secret, SmppConfig};
use kairos_model::{Channel, Span, SubscriberId, Timestamp, clock::SharedClock};
use kairos_smsc::{Counts, OrderRow, SimClock, Smsc, SmscConfig, SynthPopulation};
use kairos_synth::{Index, Product, Province, SynthConfig};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// The campaign that the demo runs, of the embedded province.
const CAMPAIGN: &str = "ring-back-tone";
const PASSWORD: &str = "demo";
/// From the launch on, this long at least: the last message leaves within minutes, and replies within six hours of it.
const REPLIES_WITHIN: Span = Span::hours(8);

/// What the demo is asked for.
pub struct DemoOptions {
    /// An empty or new directory.
    pub folder: PathBuf,
    pub subscribers: u32,
    pub seed: u64,
    pub definitions: Definitions,
}

/// What the demo did, and the application it did it with.
pub struct Demo {
    pub app: Arc<App>,
    pub folder: PathBuf,
    pub subscribers: u32,
    pub rows: u64,
    pub imported: Vec<Imported>,
    pub tags_computed: usize,
    pub audience: u64,
    pub simulation: Simulation,
    pub report: Report,
    /// Mean over the chosen of P(order | chosen) − P(order | left alone), delivery included.
    pub truth: f64,
    pub centre: Counts,
    /// Seconds of each step, in order.
    pub seconds: Vec<(&'static str, f64)>,
    /// Tokens of the planner and the approver, for the API.
    pub token: String,
    pub approver_token: String,
}

/// Runs the demo. Deterministic in seed and number of subscribers, whatever the machine does.
pub async fn run(options: DemoOptions, progress: &dyn Progress) -> Result<Demo> {
    let folder = prepare(&options.folder)?;
    let province =
        Province::new(SynthConfig::china(options.seed, options.subscribers))
            .or_fail(Kind::Invalid, "synth", || "the synthetic province cannot be made".to_owned())?;
    let mut steps = Steps::start();
    let written = write_province(&province, &folder.join("operator"), progress)?;
    steps.end("made");
    // the morning after the data, before the wave's start
    let clock = Arc::new(SimClock::new(province.end().plus(Span::days(1)).plus(Span::mins(8 * 60 + 30))));
    let shared: SharedClock = clock.clone();
    let awake = shared.begin();
    let mut app_options = Options::new(folder.join("data"), options.definitions, shared.clone());
    app_options.sms_window = 128;
    app_options.salt_seed = Some(options.seed);
    let app = Arc::new(App::open(app_options).await?);
    let imported = import_all(&app, &written, province.end(), progress)?;
    steps.end("imported");
    let tags_computed = compute_tags(&app, app.now(), progress).await?;
    steps.end("tags");
    let [planner, approver] = people(&app).await?;
    let prepared = prepare_campaign(&app, &planner.0, &approver.0).await?;
    steps.end("approved");
    let wave = run_wave(&app, &province, &clock, awake, &planner.0, &folder, progress).await?;
    steps.end("wave");
    let orders = write_orders(&wave.orders, &folder.join("operator").join("orders-wave.csv"))?;
    let layout = app.layout("orders")?;
    let mut imported = imported;
    imported.push(app.import(&layout, &orders, Some(app.now()), progress)?);
    let report = app.report(CAMPAIGN, None).await?;
    let truth = truth_of(&app, &wave.population, &report);
    steps.end("evaluated");
    let rows = imported.iter().map(|i| i.counts.read).sum();
    Ok(Demo {
        audience: prepared.matched,
        simulation: prepared,
        app,
        folder,
        subscribers: options.subscribers,
        rows,
        imported,
        tags_computed,
        report,
        truth,
        centre: wave.centre,
        seconds: steps.seconds,
        token: planner.1,
        approver_token: approver.1,
    })
}

struct Steps {
    last: Option<Instant>,
    seconds: Vec<(&'static str, f64)>,
}

impl Steps {
    fn end(&mut self, name: &'static str) {
        let now = Instant::now();
        let since = self.last.replace(now);
        self.seconds.push((name, since.map_or(0.0, |s| now.duration_since(s).as_secs_f64())));
    }
    fn start() -> Self {
        Self { last: Some(Instant::now()), seconds: Vec::new() }
    }
}

/// The folder must be new or empty: a demo never mixes with anything.
fn prepare(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        let mut entries = fs::read_dir(folder)
            .or_fail(Kind::Unavailable, "demo_folder", || format!("cannot list `{}`", folder.display()))?;
        if entries.next().is_some() {
            return Err(AppError::conflict(
                "demo_folder",
                format!("`{}` is not empty; the demo wants a new or empty directory of its own", folder.display()),
            ));
        }
    }
    fs::create_dir_all(folder)
        .or_fail(Kind::Unavailable, "demo_folder", || format!("cannot make `{}`", folder.display()))?;
    Ok(folder.to_owned())
}

fn import_all(app: &App, written: &[Written], as_of: Timestamp, progress: &dyn Progress) -> Result<Vec<Imported>> {
    let mut imported = Vec::with_capacity(written.len() + 1);
    for file in written {
        let layout = app.layout(file.layout)?;
        imported.push(app.import(&layout, &file.path, Some(as_of), progress)?);
    }
    Ok(imported)
}

async fn compute_tags(app: &App, as_of: Timestamp, progress: &dyn Progress) -> Result<usize> {
    progress.begin("tags", 0);
    let report = app.compute_tags(as_of).await?;
    progress.end(&format!("{} tags computed, {} reused", report.computed, report.reused));
    Ok(report.computed)
}

/// Planner and approver with their tokens.
async fn people(app: &App) -> Result<[(Actor, String); 2]> {
    let now = app.now();
    let seeded = app.catalog.seed_users(&mut crate::keys::random, now).await.map_err(crate::catalog_error)?;
    let find = |name: &str| seeded.iter().find(|(u, _)| u.name == name).map(|(_, t)| t.reveal().to_owned());
    let missing = || AppError::conflict("demo_users", "the catalog has users already");
    let (planner, approver) = (find("planner").ok_or_else(missing)?, find("approver").ok_or_else(missing)?);
    Ok([(app.actor(Some(&planner)).await?, planner), (app.actor(Some(&approver)).await?, approver)])
}

async fn prepare_campaign(app: &App, planner: &Actor, approver: &Actor) -> Result<Simulation> {
    let file = format!("campaigns/{CAMPAIGN}.toml");
    let def = app.read_definition(&app.definitions.shown(&file), app.definitions.required(&file)?)?;
    let begins = def.start.instant(&app.zone).unwrap_or_else(|| app.now());
    let (campaign, _) = app.submit(planner, def.clone()).await?;
    app.approve(approver, CAMPAIGN, Some(campaign.content)).await?;
    app.simulate(def, Some(begins)).await
}

struct WaveRun {
    orders: Vec<OrderRow>,
    population: Arc<SynthPopulation>,
    centre: Counts,
}

/// Sends the wave over SMPP, then lets the success window pass. `awake` keeps the clock still until the driver sleeps.
async fn run_wave(
    app: &Arc<App>,
    province: &Province,
    clock: &Arc<SimClock>,
    awake: kairos_model::Awake,
    planner: &Actor,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<WaveRun> {
    let shared: SharedClock = clock.clone();
    let def = app.catalog.campaign(CAMPAIGN).await.map_err(crate::catalog_error)?.def;
    let launch = def.start.instant(&app.zone).unwrap_or_else(|| app.now());
    let population = Arc::new(SynthPopulation::new(province.clone(), launch));
    let mut config = SmscConfig::new(shared.clone(), province.config().seed);
    config.users = vec![("kairos".to_owned(), PASSWORD.to_owned())];
    config.log = Some(folder.join("centre.log"));
    let centre = Smsc::start(config, population.clone())
        .await
        .or_fail(Kind::Unavailable, "centre", || "cannot start the simulated message centre".to_owned())?;
    let stop = CancellationToken::new();
    let channel = tokio::spawn(smpp::run(
        bind_to(centre.addr()),
        app.plan.clone(),
        ChannelSide::new(app, Channel::Sms),
        shared.clone(),
        Arc::new(Monitor::default()),
        stop.clone(),
    ));
    let sleep = shared.sleep_until(launch);
    drop(awake);
    let mut awake = sleep.await;
    let (_, start) = app.start(planner, CAMPAIGN).await?;
    progress.begin("wave", start.map_or(0, |s| s.members));
    let ends = def.end.instant(&app.zone).unwrap_or(Timestamp::MAX);
    let mut done = 0;
    loop {
        let sleep = shared.sleep_until(app.now().plus(Span::secs(30)));
        drop(awake);
        awake = sleep.await;
        let sums = app.runner().engine().waves().into_iter().map(|w| w.sums).next().unwrap_or_default();
        let reached = sums.members - sums.of(kairos_model::ContactState::NotReached);
        progress.advance(reached.saturating_sub(done));
        done = reached;
        // replies come within hours of the message: the day is waited out, so that no opt-out is missed
        let replies_in = app.now() >= launch.plus(REPLIES_WITHIN);
        if (sums.is_settled() && centre.is_idle() && replies_in) || app.now() >= ends {
            break;
        }
    }
    progress.end("every member has been decided, every receipt and reply is in");
    let window = Span::days(i64::from(def.success_window_days) + 1);
    let until = app.now().plus(window);
    // registered before the clock may move: how far it runs while the channel unbinds changes nothing
    let window_over = shared.sleep_until(until);
    stop.cancel();
    drop(awake);
    channel.await.or_fail(Kind::Failure, "channel", || "the SMPP channel ended in a panic".to_owned())?.or_fail(
        Kind::Failure,
        "channel",
        || "the SMPP channel failed".to_owned(),
    )?;
    let counts = centre.counts();
    centre.stop().await;
    let awake = window_over.await;
    app.complete(CAMPAIGN).await?;
    let orders = population.orders(Product::ALL, until);
    drop(awake);
    Ok(WaveRun { orders, population, centre: counts })
}

fn bind_to(addr: std::net::SocketAddr) -> SmppConfig {
    let mut config = SmppConfig::new(addr.ip().to_string(), addr.port(), "kairos", Secret::new(PASSWORD));
    config.window = 64;
    // a simulated half day without traffic is no reason to ask every half minute
    config.enquire_link = Span::mins(10);
    config.source_addr = "10086".to_owned();
    config
}

/// Orders come back as a file, in the operator's own columns.
fn write_orders(orders: &[OrderRow], path: &Path) -> Result<PathBuf> {
    let mut text = String::with_capacity(64 * orders.len() + 64);
    text.push_str("order_id,subscriber_id,offer,ordered_at,channel,price_fen\n");
    let zone = kairos_model::Zone::named("Asia/Shanghai")
        .or_fail(Kind::Failure, "zone", || "the bundled zones lack Asia/Shanghai".to_owned())?;
    for (i, o) in orders.iter().enumerate() {
        let at = zone.civil(o.at).strftime("%Y-%m-%d %H:%M:%S");
        text.push_str(&format!("W{i:09},{},{},{at},sms,{}\n", o.subscriber.key(), o.offer.code(), o.offer.price()));
    }
    fs::write(path, text)
        .or_fail(Kind::Unavailable, "write_failed", || format!("cannot write `{}`", path.display()))?;
    Ok(path.to_owned())
}

fn truth_of(app: &App, population: &SynthPopulation, report: &Report) -> f64 {
    let mut index_of: std::collections::BTreeMap<SubscriberId, Index> = std::collections::BTreeMap::new();
    let responses = population.responses();
    for index in population.province().indices() {
        if let Some(s) = app.vault.ordinal(&index.key()) {
            index_of.insert(s, index);
        }
    }
    let chosen = report.chosen.iter().filter_map(|s| index_of.get(s).copied());
    responses.truth(chosen, Product::RingBackTone).uplift
}
