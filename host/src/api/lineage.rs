//! Where an event comes from, and what it led to.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::Api;
use crate::api::problem::{ApiProblem, ProblemView, of_admin};
use crate::api::query::QueryParams;
use crate::config::quantity::parse_duration;
use crate::error_code::ErrorCode;
use crate::lineage::{Lineage, RecordId, TraceError, TraceRequest, trace};
use crate::model::function::SharedRevision;

/// Each reads as fast as Kafka gives.
pub(crate) const TRACES_AT_ONCE: usize = 2;

const USUAL_WINDOW: Duration = Duration::from_secs(3600);
const USUAL_RECORDS: usize = 200_000;
const MOST_RECORDS: usize = 5_000_000;
const USUAL_TIME: Duration = Duration::from_secs(10);
const LONGEST_TIME: Duration = Duration::from_secs(120);

/// Which record, and how far to look.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LineageQuery {
    /// The record's topic.
    topic: String,
    /// Its partition.
    partition: i32,
    /// Its offset.
    offset: i64,
    /// Whether to show everything that the first cause led to, and not only what the record led to.
    #[serde(default)]
    #[param(required = false)]
    whole: bool,
    /// How long after a record its effects may have come.
    #[param(required = false, example = "1h")]
    window: Option<String>,
    /// How many records may be read to find effects.
    #[param(required = false, minimum = 1, maximum = 5_000_000)]
    records: Option<usize>,
    /// How long it may take.
    #[param(required = false, example = "10s")]
    within: Option<String>,
}

/// Show what caused a record, and what it led to
///
/// Causes are followed from place to place. Effects are looked for in the topics to which the readers of the record's
/// topic write, dead letters among them, from the record's time on; so it takes as long as reading them takes. `scan` says
/// what was read, and in `cut` where the search was cut short. Functions that were deleted, and outputs with
/// `format = "raw"`, leave no trace.
#[utoipa::path(get, path = "/v1/lineage", tag = "topics", security(("token" = ["read"])), params(LineageQuery),
    responses(
        (status = 200, description = "The first cause that is known, with everything that follows", body = Lineage),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(
    State(api): State<Api>,
    QueryParams(query): QueryParams<LineageQuery>,
) -> Result<Json<Lineage>, ApiProblem> {
    let question = question(&query)?;
    api.registry.check_ready()?;
    let busy = |_| {
        ApiProblem::new(ErrorCode::TooManyRequests).with_detail("as many lineages are asked for as the host allows")
    };
    let turn = api.shared.traces.clone().try_acquire_owned().map_err(busy)?;
    let kept = |revision: &SharedRevision| api.registry.revisions(&revision.manifest.name).unwrap_or_default();
    let revisions: Vec<SharedRevision> =
        api.registry.list().iter().flat_map(kept).map(|stored| stored.revision).collect();
    let history = api.history.clone();
    let traced = tokio::task::spawn_blocking(move || {
        // Held until the work is done, also when no one waits for it any more.
        let _turn = turn;
        trace(&history.open()?, &revisions, &question)
    });
    let traced = traced.await.map_err(|error| ApiProblem::new(ErrorCode::Internal).with_detail(error.to_string()))?;
    traced.map(Json).map_err(|error| problem_of(&error))
}

fn question(query: &LineageQuery) -> Result<TraceRequest, ApiProblem> {
    let invalid = |detail: String| ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail);
    let text = format!("{}/{}/{}", query.topic, query.partition, query.offset);
    let place: RecordId = text.parse().map_err(|error: crate::lineage::InvalidPlace| invalid(error.to_string()))?;
    let duration = |name: &str, text: &Option<String>, usual: Duration| match text {
        None => Ok(usual),
        Some(text) => parse_duration(text).map_err(|error| invalid(format!("{name}: {error}"))),
    };
    let records = query.records.unwrap_or(USUAL_RECORDS);
    if !(1..=MOST_RECORDS).contains(&records) {
        return Err(invalid(format!("records is {records}, and must be 1 to {MOST_RECORDS}")));
    }
    let within = duration("within", &query.within, USUAL_TIME)?;
    if within > LONGEST_TIME {
        return Err(invalid(format!("within is longer than {} s", LONGEST_TIME.as_secs())));
    }
    Ok(TraceRequest {
        place,
        whole: query.whole,
        window: duration("window", &query.window, USUAL_WINDOW)?,
        records,
        within,
    })
}

fn problem_of(error: &TraceError) -> ApiProblem {
    match error {
        TraceError::Kafka(error) => of_admin(error),
        TraceError::NoPartition(_) => ApiProblem::new(ErrorCode::TopicNotFound).with_detail(error.to_string()),
        TraceError::NoRecord { .. } => ApiProblem::new(ErrorCode::RecordNotFound).with_detail(error.to_string()),
    }
}
