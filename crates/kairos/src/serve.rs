//! `kairos serve`: engine, channel, API and the socket for other commands, until a signal.

use crate::{config::Config, proxy};
use kairos_app::{App, AppError, ChannelSide, Result};
use kairos_connect::smpp::{self, Monitor, Secret, SmppConfig};
use kairos_model::Channel;
use std::sync::Arc;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Serves until SIGINT or SIGTERM; then begun texts are finished and everything is closed.
pub async fn run(app: Arc<App>, config: &Config, quiet: bool) -> Result<()> {
    let stop = CancellationToken::new();
    // every door first: a port that is taken must not leave contacts in flight
    let listener = bind(config.get("listen").unwrap_or("127.0.0.1:8650")).await?;
    proxy::listen(app.clone()).await?;
    let channel = match config.get("smpp") {
        Some(address) => Some(start_channel(&app, address, config, stop.clone())?),
        None => None,
    };
    let address = listener.local_addr().map_err(|e| AppError::unavailable("listen", "no address").because(e))?;
    if !quiet {
        eprintln!("API on http://{address}/v1, commands through {}/kairos.sock", app.dir.root().display());
        match config.get("smpp") {
            Some(centre) => eprintln!("SMS to the message centre {centre}"),
            None => eprintln!("no message centre: waves wait (give --smpp host:port)"),
        }
        for note in &app.recovered.notes {
            eprintln!("recovery: {note}");
        }
        if app.recovered.replayed > 0 {
            eprintln!(
                "recovered: {} journal records, {} contacts unknown",
                app.recovered.replayed,
                app.recovered.unknown.len()
            );
        }
    }
    println!("ready http://{address}");
    let watcher = tokio::spawn(complete_when_settled(app.clone()));
    serve_api(app, listener, stop.clone()).await?;
    stop.cancel();
    watcher.abort();
    if let Some(channel) = channel {
        channel.await.map_err(|e| AppError::failure("channel", "the SMPP channel ended in a panic").because(e))?;
    }
    Ok(())
}

/// The API until a signal or `stop`.
pub async fn serve_api(app: Arc<App>, listener: TcpListener, stop: CancellationToken) -> Result<()> {
    let until = async move {
        tokio::select! {
            () = signal() => {}
            () = stop.cancelled() => {}
        }
    };
    kairos_api::serve(app, listener, until)
        .await
        .map_err(|e| AppError::unavailable("api", "the HTTP API ended").because(e))
}

pub async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        AppError::unavailable("listen", format!("cannot listen on `{address}`; choose another address with --listen"))
            .because(e)
    })
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = match signal(SignalKind::terminate()) {
        Ok(term) => term,
        Err(e) => {
            tracing::warn!(error = %e, "SIGTERM is not heard");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = term.recv() => {}
        r = tokio::signal::ctrl_c() => if let Err(e) = r { tracing::warn!(error = %e, "SIGINT is not heard") },
    }
}

fn start_channel(app: &Arc<App>, address: &str, config: &Config, stop: CancellationToken) -> Result<JoinHandle<()>> {
    let (host, port) = address
        .rsplit_once(':')
        .and_then(|(h, p)| Some((h, p.parse::<u16>().ok()?)))
        .ok_or_else(|| AppError::invalid("smpp", format!("`{address}` is no message centre; write host:port")))?;
    let password = Secret::new(config.get("smpp_password").unwrap_or_default());
    let mut smpp = SmppConfig::new(host, port, config.get("smpp_user").unwrap_or("kairos"), password);
    smpp.window = config.window()?;
    smpp.source_addr = app.tenant.channel(Channel::Sms).and_then(|c| c.sender.clone()).unwrap_or_default();
    smpp.check().map_err(|e| AppError::invalid("smpp", e.to_string()))?;
    let side = ChannelSide::new(app, Channel::Sms);
    let (plan, clock) = (app.plan.clone(), app.clock.clone());
    Ok(tokio::spawn(async move {
        if let Err(e) = smpp::run(smpp, plan, side, clock, Arc::new(Monitor::default()), stop).await {
            tracing::error!(error = %e, "the SMPP channel ended");
        }
    }))
}

/// How often playbook and facts are made anew without a change that asks for it.
const REFRESH_SECONDS: u64 = 600;

/// Waves of which nothing is open end their campaign when no other wave is to come.
async fn complete_when_settled(app: Arc<App>) {
    for second in 1_u64.. {
        let awake = app.clock.sleep_until(app.now().plus(kairos_model::Span::secs(1))).await;
        if let Err(e) = app.complete_settled().await {
            tracing::warn!(error = %e, "a settled campaign could not be completed");
        }
        // holds begin by the clock
        if second.is_multiple_of(REFRESH_SECONDS)
            && let Err(e) = app.refresh_if_running().await
        {
            tracing::warn!(error = %e, "playbook and facts could not be made anew");
        }
        drop(awake);
    }
}
