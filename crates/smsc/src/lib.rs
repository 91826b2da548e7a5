//! A simulated short-message centre: a real SMPP 3.4 server on a socket, with latency, throttling, lost answers,
//! receipts, and a population of handsets that receive, answer, opt out and order.
//!
//! Invariants:
//! - delivery and replies arise only from PDUs that the centre took and delivered;
//! - every draw is a hash of (seed, subscriber, offer or message): timing changes nothing;
//! - a submit is in the centre's own log before it is answered;
//! - in simulated time ([`SimClock`]) latency, receipts and replies are registered with the clock, and every PDU and
//!   every end of a stream is on the wire's account until it has been dealt with.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod centre;
mod config;
mod line;
mod log;
mod pdu;
mod population;
mod session;
mod sim_clock;
mod synth_population;

pub use centre::Counts;
pub use config::{ReceiptStyle, SmscConfig};
pub use population::{Answer, FailState, Fate, Population};
pub use sim_clock::{SimClock, Standing};
pub use synth_population::{OrderRow, SynthPopulation};

use centre::Centre;
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Why a centre does not start.
#[derive(Debug, thiserror::Error)]
pub enum SmscError {
    #[error("the simulated centre cannot listen on {at}; choose a free port, or 0 for any")]
    Listen {
        at: SocketAddr,
        #[source]
        cause: io::Error,
    },
    #[error("the simulated centre cannot open its log `{path}`")]
    Log {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

/// A running centre. Dropping it stops it without waiting.
pub struct Smsc {
    centre: Arc<Centre>,
    addr: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Smsc {
    /// Listens and serves on the current tokio runtime.
    pub async fn start(config: SmscConfig, population: Arc<dyn Population>) -> Result<Self, SmscError> {
        let log = log::Log::open(config.log.as_deref())
            .map_err(|cause| SmscError::Log { path: config.log.clone().unwrap_or_default(), cause })?;
        let at = config.listen;
        let listening = async {
            let listener = session::listen(at).await?;
            let addr = listener.local_addr()?;
            Ok((listener, addr))
        };
        let (listener, addr) = listening.await.map_err(|cause| SmscError::Listen { at, cause })?;
        let centre = Arc::new(Centre::new(config, population, log));
        let stop = CancellationToken::new();
        let awake = centre.clock().begin();
        let tasks = vec![
            tokio::spawn(session::accept(centre.clone(), listener, stop.clone())),
            tokio::spawn(session::keep_time(centre.clone(), awake, stop.clone())),
        ];
        Ok(Self { centre, addr, stop, tasks })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn counts(&self) -> Counts {
        self.centre.counts()
    }

    /// Whether no message is under way and every deliver_sm is acknowledged.
    pub fn is_idle(&self) -> bool {
        self.centre.open() == (0, 0)
    }

    /// Closes every connection and returns when all is written.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            if let Err(cause) = task.await {
                tracing::error!(%cause, "a task of the simulated centre failed");
            }
        }
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
