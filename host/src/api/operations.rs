//! What operators and their tools ask of a host.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::api::authorization::CallerIdentity;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::query::QueryParams;
use crate::config::host::TokenScope;
use crate::error_code::ErrorCode;
use crate::model::function::Revision;
use crate::model::status::FunctionState;
use crate::pipeline::watchdog::SILENT_AFTER;
use crate::registry::RegistryReadiness;
use crate::telemetry::exposition;

/// The host listens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthReport {
    healthy: bool,
}

/// The host is ready.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadinessReport {
    ready: bool,
    /// The functions that make no progress on this host; only for anyone who may read, where the host has tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled: Option<Vec<StalledFunction>>,
}

/// A function that makes no progress.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StalledFunction {
    function: String,
    reason: String,
}

/// Say whether the host listens
#[utoipa::path(get, path = "/healthz", tag = "host", security(()), responses(
    (status = 200, description = "It does", body = HealthReport),
))]
pub(crate) async fn healthz() -> Json<HealthReport> {
    Json(HealthReport { healthy: true })
}

/// How `/readyz` is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadyQuery {
    /// Whether a stalled function makes the answer a 503.
    #[serde(default)]
    #[param(required = false)]
    strict: bool,
}

/// Say whether the host is ready
///
/// Kafka answers and the registry is read; else what is missing. Names the functions that are stalled: with them the
/// host is ready all the same, since the API is what mends them, unless one asks strictly.
#[utoipa::path(get, path = "/readyz", tag = "host", security(()), params(ReadyQuery), responses(
    (status = 200, description = "It is", body = ReadinessReport),
    (status = 400, description = "The query cannot be read", body = ProblemView, content_type = "application/problem+json"),
    (status = 503, description = "It is not", body = ProblemView, content_type = "application/problem+json"),
))]
pub(crate) async fn readyz(
    State(api): State<Api>,
    caller: CallerIdentity,
    QueryParams(ReadyQuery { strict }): QueryParams<ReadyQuery>,
) -> Result<Json<ReadinessReport>, ApiProblem> {
    if let RegistryReadiness::Waiting(what) = api.registry.readiness() {
        return Err(ApiProblem::new(ErrorCode::NotReady).with_detail(what));
    }
    if let Some(silent_for) = api.observe.kafka_is_silent_for().filter(|silent_for| *silent_for >= SILENT_AFTER) {
        return Err(ApiProblem::new(ErrorCode::KafkaUnavailable).with_detail(format!(
            "kafka has not answered for {} s; functions wait for it, nothing is lost, and they continue by themselves",
            silent_for.as_secs()
        )));
    }
    let stalled: Vec<_> = api.registry.list().iter().filter_map(|live| stalled(&api, live)).collect();
    let may_read = caller.may(TokenScope::Read);
    if strict && let Some(StalledFunction { function, reason }) = stalled.first() {
        let named =
            if may_read { format!("{function} is stalled: {reason}") } else { "a function is stalled".to_owned() };
        return Err(ApiProblem::new(ErrorCode::NotReady).with_detail(named));
    }
    Ok(Json(ReadinessReport { ready: true, stalled: may_read.then_some(stalled) }))
}

fn stalled(api: &Api, live: &Revision) -> Option<StalledFunction> {
    let name = &live.manifest.name;
    let (_, state, reason) = api.observe.state(name)?;
    let stalled = || StalledFunction { function: name.to_string(), reason: reason.unwrap_or_default() };
    (state == FunctionState::Stalled).then(stalled)
}

/// Give all figures
///
/// In Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "host", security(("token" = ["read"])), responses(
    (status = 200, description = "The figures", body = String, content_type = "text/plain"),
    (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
))]
pub(crate) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let statuses = api.observe.statuses().await;
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], api.metrics.render(statuses))
}
