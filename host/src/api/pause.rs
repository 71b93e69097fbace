//! Pausing a function on all hosts, and letting it continue.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};

use crate::api::deploy::DeployQuery;
use crate::api::functions::view::DeployedView;
use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::query::QueryParams;
use crate::api::{Api, functions, if_match};
use crate::model::ids::FunctionName;
use crate::model::status::FunctionState;

/// Pause a function
///
/// On every host, until it is resumed, over restarts and new revisions. It keeps its place in its group, with its
/// partitions; nothing is fetched, what runs is finished and committed. Calls over HTTP continue. Pausing again changes
/// nothing.
#[utoipa::path(post, path = "/v1/functions/{name}/pause", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, DeployQuery, ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag")),
    responses(
        (status = 200, description = "It is to be paused; `state` is `paused` once this host has finished what ran", body = DeployedView, headers(("ETag" = String, description = "The revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn pause(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<DeployQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    turn(&api, &name, true, &query, &headers).await
}

/// Resume a function
///
/// On every host, from where everything before is finished. Resuming what is not paused changes nothing.
#[utoipa::path(post, path = "/v1/functions/{name}/resume", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, DeployQuery, ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag")),
    responses(
        (status = 200, description = "It is to continue", body = DeployedView, headers(("ETag" = String, description = "The revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn resume(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<DeployQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    turn(&api, &name, false, &query, &headers).await
}

async fn turn(
    api: &Api,
    name: &FunctionName,
    paused: bool,
    query: &DeployQuery,
    headers: &HeaderMap,
) -> Result<Response, ApiProblem> {
    let wait = query.wait()?.unwrap_or_default();
    let expectation = if_match::expectation(headers)?;
    let revision = api.registry.set_paused(name, paused, expectation).await?;
    // This host does it, or can't.
    let is_settled = |state| match state {
        FunctionState::Paused => paused,
        FunctionState::Failed => true,
        FunctionState::Running | FunctionState::Stalled => !paused,
        FunctionState::Starting => false,
    };
    let state = functions::settled_state(api, &revision, wait, is_settled).await;
    Ok(([(ETAG, if_match::etag(revision.number))], Json(DeployedView::new(&revision, state))).into_response())
}
