//! L5: the HTTP surface; the only room that knows axum.
//!
//! Handlers read a request, ask the registry, the observer or a function, and show the answer; they decide nothing. Every
//! error is problem details (RFC 9457) with a stable code. `routes` joins each handler with its document; the document says
//! what a token needs, and the guard holds it.
//!
//! Limits: a TLS handshake and a request's head must arrive within 10 s each, a body within 30 s and with at most
//! `limits.request` bytes, an upload within 5 min and with at most `limits.upload`; a client must take something of an
//! answer every 30 s. Eight uploads arrive at once, on disk, and two are worked on, in memory; 64 logs are followed; 512
//! connections are served at once, and when more come, clients that are waited for lose their places.

mod authorization;
mod body;
mod dead_letters;
mod deploy;
mod events;
mod functions;
mod if_match;
mod invoke;
mod lineage;
mod logs;
mod manifest_view;
mod name;
mod openapi;
mod operations;
mod origin_check;
mod page;
mod pause;
mod problem;
mod query;
mod replay;
mod reset;
mod revisions;
mod routes;
mod server;
mod shadow;
#[cfg(test)]
mod tests;
mod tls;
mod topics;
mod trigger;
mod upload;
mod usage;
pub(crate) mod views;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::{Router, middleware};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) use server::serve;
pub(crate) use tls::acceptor;
pub(crate) use topics::TopicWriter;

use crate::config::host::AccessTokens;
use crate::error_code::ErrorCode;
use crate::inspect::replay::ReplayService;
use crate::inspect::shadow::ShadowReports;
use crate::kafka::read::history::TopicHistory;
use crate::model::status::FunctionObserver;
use crate::pipeline::calls::FunctionInvoker;
use crate::redrive::DeadLetters;
use crate::registry::RegistryHandle;
use crate::telemetry::exposition::HostMetrics;
use crate::telemetry::usage::UsageRecorder;
use authorization::Authorization;
use origin_check::OriginCheck;
use problem::ApiProblem;
use routes::RouteTable;

/// While uploads arrive they are on disk.
const ARRIVING_AT_ONCE: usize = 8;
/// While uploads are worked on they are in memory as a whole.
const UPLOADS_AT_ONCE: usize = 2;
const FOLLOWERS_AT_ONCE: usize = 64;
/// What the manifest and the form around it may add to a module.
const FORM_BYTES: u64 = 1 << 20;

/// What the API stands on.
pub(crate) struct Parts {
    pub(crate) registry: RegistryHandle,
    pub(crate) observe: Arc<dyn FunctionObserver>,
    pub(crate) direct: Arc<dyn FunctionInvoker>,
    pub(crate) topics: TopicWriter,
    /// Records that were dead-lettered.
    pub(crate) letters: DeadLetters,
    /// Runs revisions over the past.
    pub(crate) replays: ReplayService,
    pub(crate) shadows: ShadowReports,
    /// Reads the past of topics.
    pub(crate) history: TopicHistory,
    pub(crate) metrics: HostMetrics,
    pub(crate) usage: UsageRecorder,
    /// How much a request may bring.
    pub(crate) limits: Limits,
    /// A folder for uploads while they arrive. It exists.
    pub(crate) uploads_folder: PathBuf,
    pub(crate) tokens: AccessTokens,
}

/// How much a request may bring, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) upload: u64,
    pub(crate) request: u64,
}

/// The API. Clones share everything.
#[derive(Clone)]
pub(crate) struct Api {
    registry: RegistryHandle,
    observe: Arc<dyn FunctionObserver>,
    direct: Arc<dyn FunctionInvoker>,
    topics: TopicWriter,
    letters: DeadLetters,
    replays: ReplayService,
    shadows: ShadowReports,
    history: TopicHistory,
    metrics: HostMetrics,
    usage: UsageRecorder,
    limits: Limits,
    shared: Arc<Shared>,
}

struct Shared {
    arriving: Semaphore,
    uploads: Semaphore,
    uploads_folder: PathBuf,
    followers: Arc<Semaphore>,
    traces: Arc<Semaphore>,
    answers: invoke::IdempotencyCache,
    tokens: AccessTokens,
    /// Cancelled when the host stops: what would continue without end, ends.
    stop: CancellationToken,
}

impl Api {
    /// An API over these parts.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { registry, observe, direct, topics, .. } = parts;
        let Parts { letters, replays, shadows, history, metrics, usage, limits, uploads_folder, tokens, .. } = parts;
        let shared = Shared {
            arriving: Semaphore::new(ARRIVING_AT_ONCE),
            uploads: Semaphore::new(UPLOADS_AT_ONCE),
            uploads_folder,
            followers: Arc::new(Semaphore::new(FOLLOWERS_AT_ONCE)),
            traces: Arc::new(Semaphore::new(lineage::TRACES_AT_ONCE)),
            answers: invoke::IdempotencyCache::default(),
            tokens,
            stop: CancellationToken::new(),
        };
        let shared = Arc::new(shared);
        Self { registry, observe, direct, topics, letters, replays, shadows, history, metrics, usage, limits, shared }
    }

    /// The router of an API on the address `listen`.
    fn router(self, listen: SocketAddr) -> Router {
        let (router, paths, access) = routes(self.limits).into_parts();
        let document: Arc<str> = openapi::document(paths).into();
        let guard = Authorization { tokens: self.shared.tokens.clone(), access: Arc::new(access) };
        router
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(path_not_found)
            .with_state(self)
            .layer(axum::Extension(openapi::OpenApiDocument(document)))
            .layer(middleware::from_fn_with_state(guard, authorization::check))
            .layer(middleware::from_fn_with_state(OriginCheck(listen), origin_check::check))
    }
}

fn routes(limits: Limits) -> RouteTable {
    RouteTable::new()
        .add::<functions::__path_list, _>(functions::list)
        .add::<functions::__path_get, _>(functions::get)
        .add_large::<deploy::__path_put, _>(deploy::put, limits.upload.saturating_add(FORM_BYTES))
        .add::<functions::__path_delete, _>(functions::delete)
        .add::<deploy::__path_put_manifest, _>(deploy::put_manifest)
        .add::<functions::__path_status, _>(functions::status)
        .add::<revisions::__path_list, _>(revisions::list)
        .add::<revisions::__path_get, _>(revisions::get)
        .add::<revisions::__path_rollback, _>(revisions::rollback)
        .add_large::<shadow::__path_put, _>(shadow::put, limits.upload.saturating_add(FORM_BYTES))
        .add::<shadow::__path_get, _>(shadow::get)
        .add::<shadow::__path_delete, _>(shadow::delete)
        .add::<shadow::__path_promote, _>(shadow::promote)
        .add::<pause::__path_pause, _>(pause::pause)
        .add::<pause::__path_resume, _>(pause::resume)
        .add::<reset::__path_reset, _>(reset::reset)
        .add::<replay::__path_replay, _>(replay::replay)
        .add::<dead_letters::__path_list, _>(dead_letters::list)
        .add::<dead_letters::__path_get, _>(dead_letters::get)
        .add::<dead_letters::__path_redrive, _>(dead_letters::redrive)
        .add::<trigger::__path_trigger, _>(trigger::trigger)
        .add::<invoke::__path_invoke, _>(invoke::invoke)
        .add::<logs::__path_get, _>(logs::get)
        .add::<topics::__path_publish, _>(topics::publish)
        .add::<lineage::__path_get, _>(lineage::get)
        .add::<usage::__path_get, _>(usage::get)
        .add::<operations::__path_healthz, _>(operations::healthz)
        .add::<operations::__path_readyz, _>(operations::readyz)
        .add::<operations::__path_metrics, _>(operations::metrics)
        .add::<page::__path_index, _>(page::index)
        .add::<page::__path_file, _>(page::file)
        .add::<openapi::__path_get, _>(openapi::get)
}

async fn path_not_found(uri: axum::http::Uri) -> ApiProblem {
    ApiProblem::new(ErrorCode::PathNotFound).with_detail(format!("{} is not a path of this API", uri.path()))
}

async fn method_not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> ApiProblem {
    ApiProblem::new(ErrorCode::MethodNotAllowed).with_detail(format!("{} does not take {method}", uri.path()))
}
