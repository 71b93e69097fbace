//! What operators and their tools ask of a host.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::json;

use super::Api;
use super::problem::Problem;
use crate::error_code::ErrorCode;
use crate::registry::Readiness;
use crate::telemetry::exposition;

/// The host listens.
pub(super) async fn healthz() -> impl IntoResponse {
    Json(json!({ "healthy": true }))
}

/// Kafka answered and the registry is read; else what is missing.
pub(super) async fn readyz(State(api): State<Api>) -> Result<impl IntoResponse, Problem> {
    match api.registry.readiness() {
        Readiness::Ready => Ok(Json(json!({ "ready": true }))),
        Readiness::Waiting(what) => Err(Problem::new(ErrorCode::NotReady).with_detail(what)),
    }
}

/// All figures in Prometheus' text format.
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let statuses = api.observe.statuses().await;
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], api.metrics.render(statuses))
}
