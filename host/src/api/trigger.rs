//! Making a function run now that otherwise runs by the clock.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::topics::WrittenEvent;
use crate::api::{Api, functions};
use crate::error_code::ErrorCode;
use crate::model::clock::now_ms;
use crate::model::schedule::tick_topic;
use crate::pipeline::calls::InvokeEvent;
use crate::schedule::tick::TickRecord;

/// Run a scheduled function now
///
/// Writes a tick to the function's topic of ticks, beside those of its schedule: it is handled like every other record.
#[utoipa::path(post, path = "/v1/functions/{name}/trigger", tag = "functions", security(("token" = ["invoke"])), params(PathName),
    responses(
        (status = 202, description = "Kafka has the tick", body = WrittenEvent),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not acknowledged", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn trigger(State(api): State<Api>, PathName(name): PathName) -> Result<Response, ApiProblem> {
    let live = functions::find(&api, &name)?;
    if live.manifest.schedule.is_none() {
        let detail = format!("\"{name}\" has no [schedule]: publish to one of its topics, or call it");
        return Err(ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail));
    }
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let TickRecord { headers, value } = TickRecord::by_hand(&name, now, fastrand::u64(..));
    let event = InvokeEvent { key: None, value: Some(value), headers };
    let written = api.topics.publish_one(&tick_topic(&name), &event).await?;
    Ok((StatusCode::ACCEPTED, Json(written)).into_response())
}
