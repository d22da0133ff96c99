//! Connections: accepted up to a bound, TLS first, then HTTP/1.1. Every step that waits for the other end has its
//! time, so that whoever says nothing, or says it slowly, loses the place.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::gate::Line;
use super::{Daemon, routes, tls};

/// Connections of one listener beyond this many are closed at once.
const MAX_CONNECTIONS: usize = 1024;
/// For the TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Bytes that a head may have.
const HEAD_BYTES: usize = 32 * 1024;
/// Fields that a head may have.
const HEAD_FIELDS: usize = 64;

/// Accepts until told to stop, then waits for the connections that are there.
pub(crate) async fn accept(daemon: Arc<Daemon>, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, address)) = accepted else {
            // Out of descriptors, most likely: the connections that are there may end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            daemon.figures.turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (daemon, stopping) = (Arc::clone(&daemon), stopping.clone());
        connections.spawn(async move {
            daemon.figures.connections.fetch_add(1, Ordering::Relaxed);
            welcome(&daemon, stream, address.ip().to_canonical(), stopping).await;
            daemon.figures.connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn welcome(
    daemon: &Arc<Daemon>,
    stream: TcpStream,
    ip: std::net::IpAddr,
    stopping: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true); // answers are whole; without it they may come later
    let Some(config) = daemon.gate().tls.clone() else {
        return converse(daemon, stream, Line { ip, certified: None }, stopping).await;
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates();
            let certified = certificates.and_then(|chain| tls::name(chain.first()?));
            converse(daemon, stream, Line { ip, certified }, stopping).await;
        }
        _ => drop(daemon.figures.handshakes_failed.fetch_add(1, Ordering::Relaxed)),
    }
}

async fn converse(
    daemon: &Arc<Daemon>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    line: Line,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(|request| {
        let (daemon, line) = (Arc::clone(daemon), line.clone());
        async move { Ok::<_, std::convert::Infallible>(routes::answer(&daemon, &line, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(daemon.settings.patience)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return, // however it ended, the other end knows
        _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await; // as above
}
