//! Sending a function to another place in its topics.

use std::time::SystemTime;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::{Api, body, functions, if_match};
use crate::config::offset_target::OffsetTarget;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;
use crate::registry::ResetOrder;
use crate::registry::cluster::{OffsetMove, PartitionSelection};

const BODY_BYTES: u64 = 4096;

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetRequest {
    /// `earliest`, `latest`, an offset, a moment by RFC 3339, or an age such as `-1h`. Offsets beyond what a partition has
    /// are its beginning or its end.
    #[schema(example = "-1h")]
    to: String,
    /// Only of this topic.
    topic: Option<String>,
    /// Only this partition.
    #[schema(minimum = 0)]
    partition: Option<i32>,
    /// Only show what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// From where to where.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ResetView {
    #[schema(value_type = String)]
    pub(crate) name: FunctionName,
    /// Whether nothing was done.
    pub(crate) dry_run: bool,
    /// Offsets that are handled again, in all partitions.
    pub(crate) again: i64,
    /// Offsets that are skipped, in all partitions.
    pub(crate) skipped: i64,
    pub(crate) partitions: Vec<MoveView>,
}

/// From where to where in one partition. An offset is mostly a record: compacted ones and marks of transactions are not.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MoveView {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// Where the function was; nothing where it had not begun.
    pub(crate) from: Option<i64>,
    /// Where it continues.
    pub(crate) to: i64,
    /// Offsets that are handled again.
    pub(crate) again: i64,
    /// Offsets that are skipped.
    pub(crate) skipped: i64,
    /// The partition's end.
    pub(crate) end: i64,
}

impl MoveView {
    fn new(OffsetMove { to, from }: &OffsetMove) -> Self {
        // Where nothing was committed it would have begun at the partition's beginning.
        let was = from.unwrap_or(to.beginning);
        Self {
            topic: to.partition.topic.to_string(),
            partition: to.partition.partition,
            from: *from,
            to: to.offset,
            again: (was - to.offset).max(0),
            skipped: (to.offset - was).max(0),
            end: to.end,
        }
    }
}

/// Send a function to another place in its topics
///
/// On every host: they finish what runs and leave the group, the offsets are written, and they come back; that takes some
/// seconds, and as long as a member lives whose host died. The rest of its partitions stay where they are. A paused
/// function stays paused. With `dry_run` nothing is done.
#[utoipa::path(post, path = "/v1/functions/{name}/reset", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag")),
    request_body(content = ResetRequest),
    responses(
        (status = 200, description = "From where to where", body = ResetView),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn reset(
    State(api): State<Api>,
    PathName(name): PathName,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ResetView>, ApiProblem> {
    let invalid = |detail: String| ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail);
    let expectation = if_match::expectation(&headers)?;
    functions::find(&api, &name)?;
    let bytes = body::read(&headers, body, BODY_BYTES).await?;
    let request: ResetRequest = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(format!("the body is not such as {{\"to\": \"earliest\"}}: {error}")))?;
    let to = OffsetTarget::parse(&request.to, SystemTime::now()).map_err(|error| invalid(format!("to: {error}")))?;
    let selection = PartitionSelection { topic: request.topic, partition: request.partition };
    let order = ResetOrder { selection, to };
    let moves = match request.dry_run {
        true => api.registry.plan_reset(&name, &order).await?,
        false => api.registry.reset(&name, order, expectation).await?,
    };
    let partitions: Vec<MoveView> = moves.iter().map(MoveView::new).collect();
    let again = partitions.iter().map(|at| at.again).sum();
    let skipped = partitions.iter().map(|at| at.skipped).sum();
    Ok(Json(ResetView { name, dry_run: request.dry_run, again, skipped, partitions }))
}
