//! `/v1/functions`.

mod view;

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Multipart, Query, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::name::Name;
use super::problem::Problem;
use super::{Api, if_match, manifest_view, upload};
use crate::config::quantity::parse_duration;
use crate::error_code::ErrorCode;
use crate::model::function::{Revision, SharedRevision};
use crate::model::ids::FunctionName;
use crate::model::status::{Counters, FunctionStatus, State as FunctionState};
use view::{DeployedView, FunctionView};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The query of a deploy.
#[derive(Debug, Deserialize)]
pub(super) struct DeployQuery {
    /// How long to wait until the function runs.
    wait: Option<String>,
}

/// Deploys a function.
pub(super) async fn put(
    State(api): State<Api>,
    Name(name): Name,
    query: Result<Query<DeployQuery>, QueryRejection>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    let invalid = |detail: String| Problem::new(ErrorCode::InvalidRequest).with_detail(detail);
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let wait = query.wait.as_deref().map(parse_wait).transpose().map_err(invalid)?;
    let expectation = if_match::expectation(&headers)?;
    let stopping = |_| Problem::new(ErrorCode::ShuttingDown);
    // Nobody uploads for minutes to hear that the host could not have taken it.
    api.registry.check_ready()?;

    let turn = api.uploads.acquire().await.map_err(stopping)?;
    let upload = upload::read(form, &name, api.upload_limit).await?;
    let deployed = api.registry.deploy(upload.manifest, upload.module, expectation).await?;
    drop(turn);

    let revision = deployed.revision;
    if let Some(wait) = wait {
        wait_until_settled(&api, &revision, wait).await;
    }
    let status = if deployed.created { StatusCode::CREATED } else { StatusCode::OK };
    let body = DeployedView::new(&revision, state_of(&api, &revision));
    Ok((status, [(ETAG, if_match::etag(revision.number))], Json(body)).into_response())
}

/// All functions.
pub(super) async fn list(State(api): State<Api>) -> Result<Response, Problem> {
    api.registry.check_ready()?;
    let revisions = api.registry.list();
    let functions: Vec<_> =
        revisions.iter().map(|revision| FunctionView::new(revision, state_of(&api, revision))).collect();
    Ok(Json(json!({ "functions": functions })).into_response())
}

/// One function with its manifest.
pub(super) async fn get(State(api): State<Api>, Name(name): Name) -> Result<Response, Problem> {
    let revision = find(&api, &name)?;
    let view = FunctionView::new(&revision, state_of(&api, &revision));
    let body = view::with_manifest(&view, manifest_view::json(&revision.manifest));
    Ok(([(ETAG, if_match::etag(revision.number))], Json(body)).into_response())
}

/// What a function is doing on this host.
pub(super) async fn status(State(api): State<Api>, Name(name): Name) -> Result<Json<FunctionStatus>, Problem> {
    let revision = find(&api, &name)?;
    Ok(Json(api.observe.status(&name).await.unwrap_or_else(|| unobserved(&revision))))
}

/// Deletes a function.
pub(super) async fn delete(
    State(api): State<Api>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expectation = if_match::expectation(&headers)?;
    api.registry.delete(&name, expectation).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn find(api: &Api, name: &FunctionName) -> Result<SharedRevision, Problem> {
    api.registry.check_ready()?;
    let missing =
        || Problem::new(ErrorCode::FunctionNotFound).with_detail(format!("no function \"{name}\" is deployed"));
    api.registry.get(name).ok_or_else(missing)
}

/// The state of `revision`: what an earlier one does says nothing about it.
fn state_of(api: &Api, revision: &Revision) -> FunctionState {
    match api.observe.state(&revision.manifest.name) {
        Some((observed, state, _)) if observed >= revision.number => state,
        _ => FunctionState::Starting,
    }
}

/// The supervisor has not taken notice yet.
fn unobserved(revision: &Revision) -> FunctionStatus {
    FunctionStatus {
        name: revision.manifest.name.to_string(),
        revision: revision.number.0,
        state: FunctionState::Starting,
        reason: None,
        partitions: Vec::new(),
        counters: Counters::default(),
    }
}

/// Waits while `revision` is starting.
async fn wait_until_settled(api: &Api, revision: &Revision, wait: Duration) {
    let deadline = Instant::now() + wait;
    while state_of(api, revision) == FunctionState::Starting && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    parse_duration(text).map(|wait| wait.min(LONGEST_WAIT)).map_err(|error| format!("wait: {error}"))
}
