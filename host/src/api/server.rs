//! Connections: how many, how slow they may be, and how they end.

mod connection_limiter;
mod tracked_body;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, tls};
use connection_limiter::{ConnectionLimiter, ConnectionSlot};
use tracked_body::TrackedBody;

const CONNECTIONS: usize = 512;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 64 * 1024;
/// How long a client may take nothing of an answer.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(5);
/// Accepting fails while no file descriptor is free.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

type ApiService = TowerToHyperService<axum::Router>;

/// Serves until `shutdown`, then lets the requests that run end.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Api,
    tls: Option<TlsAcceptor>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let stop = api.shared.stop.clone();
    let service = TowerToHyperService::new(api.router(listener.local_addr()?));
    let places = ConnectionLimiter::new(CONNECTIONS);
    let mut connections = tokio::task::JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        // Where no place becomes free, further clients wait in the listener's queue.
        let accept = async {
            let (stream, _) = listener.accept().await?;
            io::Result::Ok((stream, places.take().await))
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let (service, tls, stop) = (service.clone(), tls.clone(), stop.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = begin(stream, tls, service, stop, place.clone()) => {}
                        () = place.lost() => tracing::debug!("a client that was waited for lost its place to another"),
                    }
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

async fn begin(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    service: ApiService,
    stop: CancellationToken,
    place: ConnectionSlot,
) {
    let Some(tls) = tls else { return serve_connection(stream, service, stop, place).await };
    match tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_connection(stream, service, stop, place).await,
        Ok(Err(error)) if tls::is_plain(&error) => tracing::debug!("a client spoke plain HTTP where TLS is spoken"),
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_elapsed) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite,
    service: ApiService,
    stop: CancellationToken,
    place: ConnectionSlot,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        place.note(false);
        let asking = place.clone();
        let answer = service.call(request.map(|body| Body::new(TrackedBody::request(body, asking))));
        let place = place.clone();
        async move {
            let answer: Result<_, Infallible> = answer.await;
            answer.map(|answer| answer.map(|body| TrackedBody::answer(body, place)))
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(TAKEN_WITHIN));
    let stream = std::pin::pin!(stream);
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
