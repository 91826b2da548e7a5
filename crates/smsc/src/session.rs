//! Sockets of the centre: accepting, reading, writing, and the timekeeper.

use crate::{centre::Centre, pdu};
use kairos_model::Awake;
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::JoinSet,
};
use tokio_util::{bytes::BytesMut, sync::CancellationToken};

/// Octets read from a socket at once.
const READ: usize = 64 * 1024;

/// Accepts connections until `stop`, then closes them all.
pub(crate) async fn accept(centre: Arc<Centre>, listener: TcpListener, stop: CancellationToken) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    sessions.spawn(serve(centre.clone(), stream));
                }
                Err(cause) => tracing::warn!(%cause, "the simulated centre could not accept a connection"),
            },
            Some(ended) = sessions.join_next() => report(ended),
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    centre.close_all();
    while let Some(ended) = sessions.join_next().await {
        report(ended);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(cause) = ended {
        tracing::error!(%cause, "a session of the simulated centre panicked");
    }
}

async fn serve(centre: Arc<Centre>, stream: TcpStream) {
    if let Err(cause) = stream.set_nodelay(true) {
        tracing::debug!(%cause, "TCP_NODELAY");
    }
    let (read, write) = stream.into_split();
    let wake = Arc::new(Notify::new());
    let line = centre.open_line(wake.clone());
    let writing = write_all(centre.clone(), line, write, wake);
    let reading = read_all(&centre, line, read);
    let (awake, ()) = tokio::join!(reading, writing);
    centre.hang_up(line);
    drop(awake);
}

/// Reads to the end of the stream, also after our side has closed: nothing stays on the wire.
async fn read_all(centre: &Centre, line: u32, mut read: OwnedReadHalf) -> Awake {
    let mut stream = BytesMut::with_capacity(READ);
    let mut in_step = true;
    loop {
        let more = read.read_buf(&mut stream).await;
        if let Err(cause) = &more {
            tracing::debug!(%cause, "reading");
        }
        if more.unwrap_or(0) == 0 {
            break;
        }
        let mut burst = Vec::new();
        while in_step {
            match pdu::next(&mut stream) {
                Ok(Some(pdu)) => burst.push(pdu),
                Ok(None) => break,
                Err(cause) => {
                    tracing::warn!(%cause, "an ESME is out of step");
                    in_step = false;
                }
            }
        }
        if !burst.is_empty() {
            centre.handle(line, burst);
        }
        if !in_step {
            stream.clear();
            centre.close_line(line);
        }
    }
    let awake = centre.clock().begin();
    centre.clock().on_wire(-1);
    centre.close_line(line);
    awake
}

/// Writes what there is to write until the line closes.
async fn write_all(centre: Arc<Centre>, line: u32, mut write: OwnedWriteHalf, wake: Arc<Notify>) {
    loop {
        let Some((octets, pdus, closing)) = centre.output(line) else { break };
        if !octets.is_empty() {
            if let Err(cause) = write.write_all(&octets).await {
                tracing::debug!(%cause, "writing");
                centre.clock().on_wire(-pdus);
                centre.close_line(line);
                break;
            }
            continue;
        }
        if closing {
            break;
        }
        wake.notified().await;
    }
    centre.clock().on_wire(1); // the end of our stream
    if let Err(cause) = write.shutdown().await {
        tracing::debug!(%cause, "closing");
    }
}

/// Waits for what is due and does it, until `stop`.
pub(crate) async fn keep_time(centre: Arc<Centre>, mut awake: Awake, stop: CancellationToken) {
    let clock = centre.clock().clone();
    loop {
        let due = centre.run_due();
        let sleep = due.map(|due| clock.sleep_until(due));
        drop(awake);
        let woken = async {
            match sleep {
                Some(sleep) => sleep.await,
                None => std::future::pending().await,
            }
        };
        awake = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            woken = woken => woken,
            () = centre.changed.notified() => clock.begin(),
        };
    }
}

/// Binds the listener.
pub(crate) async fn listen(at: std::net::SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(at).await
}
