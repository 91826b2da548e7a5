//! The program: configuration, composition, command line.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod args;
mod bars;
mod commands;
mod config;
mod demo;
mod out;
mod proxy;
mod report;
mod serve;

use args::{Cli, Command};
use bars::Bars;
use clap::{CommandFactory, Parser};
use commands::Context;
use config::Config;
use kairos_app::{App, AppError, Definitions, Options, Result, SystemClock};
use out::Output;
use std::{io::Write, path::Path, process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = match start(&cli) {
        Ok(output) => output,
        Err(e) => Output::error(cli.global.json, &e),
    };
    // a closed pipe on the other side is no failure of ours
    let written = std::io::stdout().write_all(output.stdout.as_bytes()).and_then(|()| std::io::stdout().flush());
    eprint!("{}", output.stderr);
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(out::FAILURE),
        _ => ExitCode::from(output.exit),
    }
}

fn start(cli: &Cli) -> Result<Output> {
    let config = Config::resolve(cli, &|name| std::env::var(name).ok())?;
    logging(&config)?;
    match &cli.command {
        Command::Completion { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "kairos", &mut std::io::stdout());
            return Ok(Output::default());
        }
        Command::Openapi => return Ok(Output::text(kairos_api::openapi_json())),
        Command::Config(_) => return Ok(explain_config(&config, cli.global.json)),
        Command::Synth(args) => return synth(args, cli),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| AppError::unavailable("runtime", "cannot start the runtime").because(e))?;
    runtime.block_on(with_runtime(cli, &config))
}

async fn with_runtime(cli: &Cli, config: &Config) -> Result<Output> {
    if let Command::Demo(args) = &cli.command {
        demo::run(args, config, cli.global.json, cli.global.quiet).await?;
        return Ok(Output::default());
    }
    let data = config.path("data").unwrap_or_default();
    if !matches!(cli.command, Command::Serve(_))
        && let Some(output) = proxy::forward(&data, config).await?
    {
        return Ok(output);
    }
    let options = options(config, &data)?;
    let makes =
        matches!(cli.command, Command::Serve(_) | Command::Import(_) | Command::User(args::UserCommand::Add { .. }));
    if !makes && !data.join("VERSION").exists() && !data.join("LOCK").exists() && is_empty(&data) {
        return Err(AppError::not_found(
            "data_directory",
            format!(
                "there is no data directory `{}` ({}); `kairos import` makes one",
                data.display(),
                config.source("data")
            ),
        ));
    }
    let app = Arc::new(App::open(options).await?);
    if matches!(cli.command, Command::Serve(_)) {
        serve::run(app, config, cli.global.quiet).await?;
        return Ok(Output::default());
    }
    let bars = Bars::new(cli.global.quiet || cli.global.json);
    let context = Context {
        json: cli.global.json,
        lang: config.lang()?,
        token: config.get("token").map(str::to_owned),
        folder: std::env::current_dir().unwrap_or_default(),
        progress: &bars,
    };
    let output = commands::run(&app, &cli.command, &context).await;
    if let Ok(app) = Arc::try_unwrap(app) {
        app.close().await;
    }
    output
}

fn options(config: &Config, data: &Path) -> Result<Options> {
    let definitions = Definitions::load(config.path("definitions").as_deref())?;
    let mut options = Options::new(data, definitions, Arc::new(SystemClock));
    options.key_file = config.path("key_file");
    options.outbox = config.path("outbox");
    options.sms_window = u32::from(config.window()?);
    Ok(options)
}

/// A folder that holds nothing, or none at all.
fn is_empty(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

fn logging(config: &Config) -> Result<()> {
    let text = config.get("log").unwrap_or("info");
    let filter = tracing_subscriber::EnvFilter::try_new(text)
        .map_err(|e| config.wrong("log", text, "a filter such as `info` or `kairos_engine=debug`").because(e))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if subscriber.json().try_init().is_err() {
        eprintln!("logging was set up twice");
    }
    Ok(())
}

fn explain_config(config: &Config, json: bool) -> Output {
    let shown = |s: &config::Setting| match (&s.value, s.secret) {
        (Some(_), true) => "********".to_owned(),
        (Some(v), false) => v.clone(),
        (None, _) => "-".to_owned(),
    };
    let value = || {
        serde_json::Value::Array(
            config
                .settings()
                .iter()
                .map(|s| serde_json::json!({"key": s.key, "value": s.value.as_ref().map(|_| shown(s)), "source": s.source.to_string()}))
                .collect(),
        )
    };
    let text = || {
        let rows: Vec<Vec<String>> =
            config.settings().iter().map(|s| vec![s.key.to_owned(), shown(s), s.source.to_string()]).collect();
        out::table(&["setting", "value", "from"], &rows)
    };
    Output::either(json, value, text)
}

fn synth(args: &args::Synth, cli: &Cli) -> Result<Output> {
    let config = kairos_synth::SynthConfig::china(args.seed, args.subscribers);
    let province = kairos_synth::Province::new(config)
        .map_err(|e| AppError::invalid("synth", "the synthetic province cannot be made").because(e))?;
    let bars = Bars::new(cli.global.quiet || cli.global.json);
    let written = kairos_app::write_province(&province, &args.out, &bars)?;
    let peak = demo::peak_rss_bytes();
    let value = || {
        let files: Vec<_> = written
            .iter()
            .map(|w| serde_json::json!({"path": w.path, "layout": w.layout, "rows": w.rows, "bytes": w.bytes}))
            .collect();
        serde_json::json!({ "files": files, "peak_rss_bytes": peak })
    };
    let text = || {
        let rows: Vec<Vec<String>> = written
            .iter()
            .map(|w| {
                vec![w.path.display().to_string(), w.layout.to_owned(), out::grouped(w.rows), out::grouped(w.bytes)]
            })
            .collect();
        let table = out::table(&["file", "layout", "rows", "bytes"], &rows);
        format!("{table}\npeak memory {:.1} MiB\n", peak as f64 / f64::from(1 << 20))
    };
    Ok(Output::either(cli.global.json, value, text))
}
