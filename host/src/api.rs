//! L5: the HTTP surface; the only room that knows axum.
//!
//! Handlers read a request, ask the registry or the observer, and show the answer; they decide nothing. Every error is
//! problem details (RFC 9457) with a stable code.
//!
//! Limits: a request's head must arrive within 10 s, an upload within 5 min and with at most `limits.upload` bytes;
//! two uploads are held in memory at once; 512 connections are served at once.

mod door;
mod functions;
mod if_match;
mod manifest_view;
mod name;
mod operations;
mod problem;
mod server;
#[cfg(test)]
mod tests;
mod upload;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Router, middleware};
use tokio::sync::Semaphore;

pub use server::serve;

use crate::error_code::ErrorCode;
use crate::model::status::Observe;
use crate::registry::Handle;
use crate::telemetry::exposition::Metrics;
use door::Door;
use problem::Problem;

/// Uploads are held in memory as a whole.
const UPLOADS_AT_ONCE: usize = 2;
/// What the manifest and the form around it may add to a module.
const FORM_BYTES: u64 = 1 << 20;

/// What the API stands on. Clones share everything.
#[derive(Clone)]
pub struct Api {
    registry: Handle,
    observe: Arc<dyn Observe>,
    metrics: Metrics,
    upload_limit: u64,
    uploads: Arc<Semaphore>,
}

impl Api {
    /// An API over a registry. `upload_limit` is a module's largest size in bytes.
    pub fn new(registry: Handle, observe: Arc<dyn Observe>, metrics: Metrics, upload_limit: u64) -> Self {
        Self { registry, observe, metrics, upload_limit, uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)) }
    }

    /// Every route, of an API on the address `listen`.
    fn router(self, listen: SocketAddr) -> Router {
        let body_limit = usize::try_from(self.upload_limit.saturating_add(FORM_BYTES)).unwrap_or(usize::MAX);
        let function = get(functions::get).put(functions::put).delete(functions::delete);
        Router::new()
            .route("/v1/functions", get(functions::list))
            .route("/v1/functions/{name}", function.layer(DefaultBodyLimit::max(body_limit)))
            .route("/v1/functions/{name}/status", get(functions::status))
            .route("/healthz", get(operations::healthz))
            .route("/readyz", get(operations::readyz))
            .route("/metrics", get(operations::metrics))
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(path_not_found)
            .with_state(self)
            .layer(middleware::from_fn_with_state(Door(listen), door::check))
    }
}

async fn path_not_found(uri: axum::http::Uri) -> Problem {
    Problem::new(ErrorCode::PathNotFound).with_detail(format!("{} is no path of this API", uri.path()))
}

async fn method_not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    Problem::new(ErrorCode::MethodNotAllowed).with_detail(format!("{} does not take {method}", uri.path()))
}
