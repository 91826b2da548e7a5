//! Commands on a directory that a running process holds go through that process: one JSON line to its socket, one back.

use crate::{
    args::{Cli, Command},
    bars::Bars,
    commands::{self, Context},
    config::Config,
    out::Output,
};
use clap::Parser;
use kairos_app::{App, AppError, DataDir, Result};
use serde::{Deserialize, Serialize};
use std::{os::unix::fs::PermissionsExt, path::Path, path::PathBuf, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

/// Longest request or answer line: a report of a campaign with all its segments stays below 1 MiB.
const LINE_MAX: u64 = 16 << 20;

/// A command line with what it needs of its caller's surroundings.
#[derive(Serialize, Deserialize)]
struct Request {
    args: Vec<String>,
    token: Option<String>,
    lang: String,
    folder: PathBuf,
}

/// Sends this process's command line to the process that holds the directory. `None` if none answers.
pub async fn forward(data: &Path, config: &Config) -> Result<Option<Output>> {
    let socket = DataDir::socket(data);
    let Ok(stream) = UnixStream::connect(&socket).await else { return Ok(None) };
    let request = Request {
        args: std::env::args().collect(),
        token: config.get("token").map(str::to_owned),
        lang: config.get("lang").unwrap_or("en").to_owned(),
        folder: std::env::current_dir().unwrap_or_default(),
    };
    let broken = |e: std::io::Error| {
        AppError::unavailable("socket", format!("the process behind `{}` did not answer", socket.display())).because(e)
    };
    let line = serde_json::to_string(&request).map_err(|e| AppError::failure("internal", "request").because(e))?;
    let (read, mut write) = stream.into_split();
    write.write_all(line.as_bytes()).await.map_err(broken)?;
    write.write_all(b"\n").await.map_err(broken)?;
    let mut answer = String::new();
    BufReader::new(read.take(LINE_MAX)).read_line(&mut answer).await.map_err(broken)?;
    let output = serde_json::from_str(&answer).map_err(|e| {
        AppError::unavailable("socket", format!("the process behind `{}` ended while it answered", socket.display()))
            .because(e)
    })?;
    Ok(Some(output))
}

/// Answers commands for as long as the process runs. The socket is the owner's only.
pub async fn listen(app: Arc<App>) -> Result<()> {
    let path = DataDir::socket(app.dir.root());
    // the lock on the directory is ours: a socket that is there belongs to a process that is gone
    if path.exists() {
        std::fs::remove_file(&path).map_err(|e| unavailable(&path, e))?;
    }
    let listener = UnixListener::bind(&path).map_err(|e| unavailable(&path, e))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(|e| unavailable(&path, e))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let app = app.clone();
                    tokio::spawn(async move {
                        if let Err(e) = answer(&app, stream).await {
                            tracing::warn!(error = %e, "a command's caller went away");
                        }
                    });
                }
                Err(e) => tracing::warn!(error = %e, "cannot accept a command"),
            }
        }
    });
    Ok(())
}

fn unavailable(path: &Path, e: std::io::Error) -> AppError {
    AppError::unavailable("socket", format!("cannot listen on `{}`", path.display())).because(e)
}

async fn answer(app: &Arc<App>, stream: UnixStream) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LINE_MAX)).read_line(&mut line).await?;
    let output = match serde_json::from_str::<Request>(&line) {
        Ok(request) => run(app, request).await,
        Err(e) => Output::error(false, &AppError::invalid("request", "no command").because(e)),
    };
    let mut text = serde_json::to_string(&output)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    write.shutdown().await
}

async fn run(app: &Arc<App>, request: Request) -> Output {
    let cli = match Cli::try_parse_from(&request.args) {
        Ok(cli) => cli,
        Err(e) => return Output { stderr: e.to_string(), exit: crate::out::USAGE, ..Output::default() },
    };
    if matches!(cli.command, Command::Serve(_) | Command::Demo(_)) {
        return Output::error(cli.global.json, &held(app.dir.root()));
    }
    if cli.global.outbox.is_some() {
        let message = "the serving process has its outbox; give --outbox to `kairos serve`, or none here";
        return Output::error(cli.global.json, &AppError::invalid("outbox", message));
    }
    let silent = Bars::new(true);
    let lang = if request.lang == "zh" { crate::args::Lang::Zh } else { crate::args::Lang::En };
    let context =
        Context { json: cli.global.json, lang, token: request.token, folder: request.folder, progress: &silent };
    match commands::run(app, &cli.command, &context).await {
        Ok(output) => output,
        Err(e) => Output::error(cli.global.json, &e),
    }
}

/// A second engine on one directory.
pub fn held(data: &Path) -> AppError {
    AppError::unavailable(
        "data_directory_held",
        format!("another process holds the data directory `{}`; one engine a directory", data.display()),
    )
}
