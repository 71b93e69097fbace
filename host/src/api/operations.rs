//! What operators and their tools ask of a host.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::problem::Problem;
use crate::error_code::ErrorCode;
use crate::model::function::Revision;
use crate::model::status::State as FunctionState;
use crate::registry::Readiness;
use crate::telemetry::exposition;

/// The host listens.
pub(super) async fn healthz() -> impl IntoResponse {
    Json(json!({ "healthy": true }))
}

/// How `/readyz` is asked.
#[derive(Debug, Deserialize)]
pub(super) struct ReadyQuery {
    /// Whether a stalled function makes the answer a 503.
    #[serde(default)]
    strict: bool,
}

/// Kafka answered and the registry is read; else what is missing. Names the functions that are stalled: with them the
/// host is ready all the same, since the API is what mends them, unless one asks strictly.
pub(super) async fn readyz(
    State(api): State<Api>,
    query: Result<Query<ReadyQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let invalid =
        |rejection: QueryRejection| Problem::new(ErrorCode::InvalidRequest).with_detail(rejection.body_text());
    let Query(ReadyQuery { strict }) = query.map_err(invalid)?;
    if let Readiness::Waiting(what) = api.registry.readiness() {
        return Err(Problem::new(ErrorCode::NotReady).with_detail(what));
    }
    let stalled: Vec<(String, String)> = api.registry.list().iter().filter_map(|live| stalled(&api, live)).collect();
    if strict && let Some((function, reason)) = stalled.first() {
        return Err(Problem::new(ErrorCode::NotReady).with_detail(format!("{function} is stalled: {reason}")));
    }
    let stalled: Vec<_> =
        stalled.iter().map(|(function, reason)| json!({ "function": function, "reason": reason })).collect();
    Ok(Json(json!({ "ready": true, "stalled": stalled })))
}

fn stalled(api: &Api, live: &Revision) -> Option<(String, String)> {
    let name = &live.manifest.name;
    let (_, state, reason) = api.observe.state(name)?;
    (state == FunctionState::Stalled).then(|| (name.to_string(), reason.unwrap_or_default()))
}

/// All figures in Prometheus' text format.
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let statuses = api.observe.statuses().await;
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], api.metrics.render(statuses))
}
