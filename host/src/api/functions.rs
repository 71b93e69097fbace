//! What is deployed, what it does, and how it goes.

pub(crate) mod view;

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::{Api, if_match, manifest_view};
use crate::error_code::ErrorCode;
use crate::model::function::{Revision, SharedRevision};
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::status::{FunctionCounters, FunctionState, FunctionStatus};
use crate::registry::catalogue::StoredRevision;
use view::{FunctionAlone, FunctionList, FunctionView};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// List the functions
#[utoipa::path(get, path = "/v1/functions", tag = "functions", security(("token" = ["read"])), responses(
    (status = 200, description = "All functions, by name", body = FunctionList),
    (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(api): State<Api>) -> Result<Json<FunctionList>, ApiProblem> {
    api.registry.check_ready()?;
    let revisions = api.registry.list();
    let functions = revisions.iter().map(|revision| view_of(&api, revision)).collect();
    Ok(Json(FunctionList { functions }))
}

/// Show a function with its manifest
#[utoipa::path(get, path = "/v1/functions/{name}", tag = "functions", security(("token" = ["read"])), params(PathName), responses(
    (status = 200, description = "The function", body = FunctionAlone, headers(("ETag" = String, description = "The live revision's tag"))),
    (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
))]
pub(crate) async fn get(State(api): State<Api>, PathName(name): PathName) -> Result<Response, ApiProblem> {
    let revision = find(&api, &name)?;
    let body = FunctionAlone { function: view_of(&api, &revision), manifest: manifest_view::json(&revision.manifest) };
    Ok(([(ETAG, if_match::etag(revision.number))], Json(body)).into_response())
}

/// Show what a function is doing
///
/// On this host: its partitions, and its counters since the host started.
#[utoipa::path(get, path = "/v1/functions/{name}/status", tag = "functions", security(("token" = ["read"])), params(PathName), responses(
    (status = 200, description = "The status", body = FunctionStatus),
    (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
))]
pub(crate) async fn status(
    State(api): State<Api>,
    PathName(name): PathName,
) -> Result<Json<FunctionStatus>, ApiProblem> {
    let revision = find(&api, &name)?;
    Ok(Json(api.observe.status(&name).await.unwrap_or_else(|| unobserved(&revision))))
}

/// Delete a function
///
/// Its topics stay; its place in the input topics is forgotten.
#[utoipa::path(delete, path = "/v1/functions/{name}", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete(
    State(api): State<Api>,
    PathName(name): PathName,
    headers: HeaderMap,
) -> Result<StatusCode, ApiProblem> {
    let expectation = if_match::expectation(&headers)?;
    api.registry.delete(&name, expectation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The live revision of `name`.
pub(crate) fn find(api: &Api, name: &FunctionName) -> Result<SharedRevision, ApiProblem> {
    api.registry.check_ready()?;
    api.registry.get(name).ok_or_else(|| no_such(name))
}

/// The kept revision of `name` with this number.
pub(crate) fn kept(api: &Api, name: &FunctionName, number: RevisionNumber) -> Result<SharedRevision, ApiProblem> {
    let kept = api.registry.revisions(name).ok_or_else(|| no_such(name))?;
    find_kept(&kept, name, number).map(|stored| stored.revision.clone())
}

/// The same among those that are `kept`.
pub(crate) fn find_kept<'a>(
    kept: &'a [StoredRevision],
    name: &FunctionName,
    number: RevisionNumber,
) -> Result<&'a StoredRevision, ApiProblem> {
    kept.iter().find(|stored| stored.revision.number == number).ok_or_else(|| {
        let numbers: Vec<String> = kept.iter().map(|stored| stored.revision.number.to_string()).collect();
        let detail = format!("revision {number} of \"{name}\" is not kept; kept are {}", numbers.join(", "));
        ApiProblem::new(ErrorCode::RevisionNotFound).with_detail(detail)
    })
}

pub(crate) fn no_such(name: &FunctionName) -> ApiProblem {
    ApiProblem::new(ErrorCode::FunctionNotFound).with_detail(format!("no function \"{name}\" is deployed"))
}

/// The state of `revision`: what an earlier one does says nothing about it.
pub(crate) fn state_of(api: &Api, revision: &Revision) -> FunctionState {
    match api.observe.state(&revision.manifest.name) {
        Some((observed, state, _)) if observed >= revision.number => state,
        _ => FunctionState::Starting,
    }
}

/// The state of `revision`, once it is one that `is_settled`, or `wait` is over.
pub(crate) async fn settled_state(
    api: &Api,
    revision: &Revision,
    wait: Duration,
    is_settled: impl Fn(FunctionState) -> bool,
) -> FunctionState {
    let deadline = Instant::now() + wait;
    loop {
        let state = state_of(api, revision);
        if is_settled(state) || Instant::now() >= deadline {
            return state;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn view_of(api: &Api, revision: &Revision) -> FunctionView {
    let name = &revision.manifest.name;
    let kept = api.registry.revisions(name).unwrap_or_default();
    let shadow = api.registry.shadow(name).map(|shadow| shadow.revision.number);
    FunctionView::new(revision, state_of(api, revision), &kept, shadow)
}

/// The supervisor has not taken notice yet.
fn unobserved(revision: &Revision) -> FunctionStatus {
    FunctionStatus {
        name: revision.manifest.name.to_string(),
        revision: revision.number.0,
        state: FunctionState::Starting,
        reason: None,
        partitions: Vec::new(),
        counters: FunctionCounters::default(),
        shadow: None,
    }
}
