//! Connections: how many, how slow they may be, and how they end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Api;

const CONNECTIONS: usize = 512;
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 64 * 1024;
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(5);
/// Accepting fails while no file descriptor is free.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then lets the requests that run end.
pub async fn serve(listener: TcpListener, api: Api, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let service = TowerToHyperService::new(api.router(listener.local_addr()?));
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let stop = CancellationToken::new();
    let mut connections = tokio::task::JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        // Clients beyond the limit wait in the listener's queue.
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (stream, permit))
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let (service, stop) = (service.clone(), stop.clone());
                connections.spawn(async move {
                    serve_connection(stream, service, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }

    drop(listener);
    stop.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(REQUESTS_END_WITHIN, ended).await.is_err() {
        tracing::warn!(open = connections.len(), "closing connections whose requests have not ended");
    }
    Ok(())
}

async fn serve_connection(stream: TcpStream, service: TowerToHyperService<axum::Router>, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
