//! Deploys: a module with its manifest, or another manifest for the live module.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::SemaphorePermit;
use utoipa::{IntoParams, ToSchema};

use crate::api::functions::view::DeployedView;
use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::query::QueryParams;
use crate::api::{Api, body, functions, if_match, upload};
use crate::config::quantity::parse_duration;
use crate::error_code::ErrorCode;
use crate::model::function::Manifest;
use crate::model::ids::FunctionName;
use crate::model::status::FunctionState;
use crate::registry::DeployOutcome;

const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How long an upload waits until others have arrived.
const ARRIVES_AFTER: Duration = Duration::from_secs(20);

/// The query of a change.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeployQuery {
    /// How long to wait until the function runs, such as `30s`. That it does not yet run then is not an error.
    #[param(required = false, example = "30s")]
    wait: Option<String>,
}

impl DeployQuery {
    pub(crate) fn wait(&self) -> Result<Option<Duration>, ApiProblem> {
        wait(self.wait.as_deref())
    }
}

/// How long someone wants to wait.
pub(crate) fn wait(text: Option<&str>) -> Result<Option<Duration>, ApiProblem> {
    let invalid = |error: String| ApiProblem::new(ErrorCode::InvalidRequest).with_detail(format!("wait: {error}"));
    let wait = text.map(parse_duration).transpose().map_err(invalid)?;
    Ok(wait.map(|wait| wait.min(LONGEST_WAIT)))
}

/// A function as it is uploaded.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described; the form is read part by part")]
pub(crate) struct DeployForm {
    /// The manifest: `application/toml` or `application/json`.
    manifest: String,
    /// The module: `application/wasm`.
    #[schema(value_type = String, format = Binary, content_media_type = "application/wasm")]
    module: Vec<u8>,
}

/// Deploy a function
///
/// Answers once the module is compiled and stored, missing topics are made, and the start offsets are fixed. The same
/// manifest and module as the live revision make no new one.
#[utoipa::path(put, path = "/v1/functions/{name}", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, DeployQuery,
        ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag; `*`: only when there is one"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only when there is no such function")),
    request_body(content = DeployForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "The first revision", body = DeployedView, headers(("ETag" = String, description = "The revision's tag"))),
        (status = 200, description = "A new revision, or the live one when nothing differs", body = DeployedView, headers(("ETag" = String, description = "The revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<DeployQuery>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, ApiProblem> {
    let wait = query.wait()?;
    let expectation = if_match::expectation(&headers)?;
    let ReceivedUpload { manifest, module, turn } = arrive(&api, &name, form).await?;
    let deployed = api.registry.deploy(manifest, module, expectation).await?;
    drop(turn);
    Ok(answer(&api, deployed, wait).await)
}

/// A function that has arrived. Only so many are in memory at once.
pub(crate) struct ReceivedUpload<'a> {
    pub(crate) manifest: Manifest,
    pub(crate) module: Bytes,
    /// Kept until it is deployed.
    pub(crate) turn: SemaphorePermit<'a>,
}

/// Takes an upload of `name`.
pub(crate) async fn arrive<'a>(
    api: &'a Api,
    name: &FunctionName,
    form: Result<Multipart, MultipartRejection>,
) -> Result<ReceivedUpload<'a>, ApiProblem> {
    let stopping = |_| ApiProblem::new(ErrorCode::ShuttingDown);
    // No one uploads for minutes to hear that the host could not have taken it.
    if let Err(not_ready) = api.registry.check_ready() {
        upload::pass_over(form).await;
        return Err(not_ready.into());
    }

    let arriving = tokio::time::timeout(ARRIVES_AFTER, api.shared.arriving.acquire()).await;
    let arriving = arriving.map_err(|_elapsed| too_many_uploads())?.map_err(stopping)?;
    let room = upload::UploadBounds { module_bytes: api.limits.upload, folder: &api.shared.uploads_folder };
    let upload = upload::read(form, name, room).await?;
    drop(arriving);
    // Only from here on it is in memory.
    let turn = api.shared.uploads.acquire().await.map_err(stopping)?;
    Ok(ReceivedUpload { manifest: upload.manifest, module: upload.module.read().await?, turn })
}

fn too_many_uploads() -> ApiProblem {
    ApiProblem::new(ErrorCode::TooManyRequests).with_detail("as many uploads arrive as this host takes at once")
}

/// Change the manifest
///
/// Gives the live module another manifest, as a new revision: limits, retries, the environment, outputs and so on. What
/// decides how records are taken (topics, ordering, concurrency, shards, delivery) restarts the function's consumers;
/// everything else takes over while records flow. Records that run keep the limits that they started with.
#[utoipa::path(put, path = "/v1/functions/{name}/manifest", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, DeployQuery, ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag")),
    request_body(content(
        (serde_json::Value = "application/json", example = json!({ "name": "enrich-bid", "topics": ["bids"], "limits": { "memory": "256MiB" } })),
        (String = "application/toml"),
    )),
    responses(
        (status = 200, description = "A new revision, or the live one when nothing differs", body = DeployedView, headers(("ETag" = String, description = "The revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put_manifest(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<DeployQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiProblem> {
    let wait = query.wait()?;
    let expectation = if_match::expectation(&headers)?;
    api.registry.check_ready()?;
    let parse = upload::manifest_parser(media_type(&headers), "the body")?;
    let bytes = body::read(&headers, body, upload::MANIFEST_BYTES).await?;
    let manifest = upload::parse_manifest(parse, &bytes, &name)?;
    let deployed = api.registry.change_manifest(manifest, expectation).await?;
    Ok(answer(&api, deployed, wait).await)
}

/// The media type of a request's body without its parameters.
fn media_type(headers: &HeaderMap) -> &str {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim()
}

/// What a change led to, once it has settled or `wait` is over.
pub(crate) async fn answer(api: &Api, deployed: DeployOutcome, wait: Option<Duration>) -> Response {
    let revision = deployed.revision;
    let has_started = |state| state != FunctionState::Starting;
    let state = functions::settled_state(api, &revision, wait.unwrap_or_default(), has_started).await;
    let status = if deployed.created { StatusCode::CREATED } else { StatusCode::OK };
    let body = DeployedView::new(&revision, state);
    (status, [(ETAG, if_match::etag(revision.number))], Json(body)).into_response()
}
