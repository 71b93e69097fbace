//! The revisions of a function, and the way back to one.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::deploy::{self, DeployQuery};
use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::query::QueryParams;
use crate::api::{Api, body, functions, if_match, manifest_view};
use crate::error_code::ErrorCode;
use crate::model::function::ModuleShape;
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::registry::catalogue::StoredRevision;

/// The largest body of a rollback.
const BODY_BYTES: u64 = 4096;

/// A revision that is kept.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RevisionView {
    /// Its number.
    #[schema(value_type = u64)]
    pub(crate) revision: RevisionNumber,
    /// The module's SHA-256.
    #[schema(value_type = String)]
    pub(crate) digest: ArtifactDigest,
    /// How the host calls it.
    #[schema(value_type = String)]
    pub(crate) shape: ModuleShape,
    /// The module's size.
    pub(crate) module_bytes: u64,
    /// When it was deployed, by RFC 3339.
    pub(crate) deployed_at: String,
    /// Whether it is the live one.
    pub(crate) live: bool,
    /// The revision that it has the manifest and module of, when it was made by rolling back.
    #[schema(value_type = Option<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restores: Option<RevisionNumber>,
}

/// The revisions that are kept, the newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RevisionList {
    #[schema(value_type = String)]
    pub(crate) name: FunctionName,
    pub(crate) revisions: Vec<RevisionView>,
}

/// A revision with its manifest.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevisionAlone {
    #[serde(flatten)]
    revision: RevisionView,
    /// The manifest with every default filled in.
    #[schema(value_type = Object)]
    manifest: Value,
}

/// Where to go back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackRequest {
    /// The revision; the one before the live one when it is left out.
    #[schema(minimum = 1)]
    revision: Option<u64>,
}

impl RevisionView {
    fn new(stored: &StoredRevision, live: RevisionNumber) -> Self {
        let revision = &stored.revision;
        Self {
            revision: revision.number,
            digest: revision.digest,
            shape: revision.shape,
            module_bytes: revision.module_bytes,
            deployed_at: functions::view::moment(revision.deployed_at_ms),
            live: revision.number == live,
            restores: stored.restores,
        }
    }
}

/// List a function's revisions
///
/// The newest ten are kept, fewer when their manifests are large.
#[utoipa::path(get, path = "/v1/functions/{name}/revisions", tag = "functions", security(("token" = ["read"])), params(PathName),
    responses(
        (status = 200, description = "The revisions, the newest first", body = RevisionList, headers(("ETag" = String, description = "The live revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(State(api): State<Api>, PathName(name): PathName) -> Result<Response, ApiProblem> {
    let kept = kept(&api, &name)?;
    let live = live(&kept);
    let revisions = kept.iter().rev().map(|stored| RevisionView::new(stored, live)).collect();
    Ok(([(ETAG, if_match::etag(live))], Json(RevisionList { name, revisions })).into_response())
}

/// Show a revision with its manifest
#[utoipa::path(get, path = "/v1/functions/{name}/revisions/{revision}", tag = "functions", security(("token" = ["read"])),
    params(PathName, ("revision" = u64, Path, description = "The revision's number", minimum = 1)),
    responses(
        (status = 200, description = "The revision", body = RevisionAlone),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(
    State(api): State<Api>,
    Path((name, revision)): Path<(String, String)>,
) -> Result<Json<RevisionAlone>, ApiProblem> {
    let invalid = |detail: String| ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail);
    let name = FunctionName::new(&name).map_err(|error| invalid(error.to_string()))?;
    let number = revision.parse().map_err(|_| invalid("a revision is a number, such as 3".to_owned()))?;
    let kept = kept(&api, &name)?;
    let found = functions::find_kept(&kept, &name, RevisionNumber(number))?;
    let manifest = manifest_view::json(&found.revision.manifest);
    Ok(Json(RevisionAlone { revision: RevisionView::new(found, live(&kept)), manifest }))
}

/// Roll back
///
/// Makes the manifest and module of an earlier revision live again, as a new revision: records that run end on the one
/// that they began with, and the function's place in its topics stays. When the live revision has that manifest and
/// module already, it stays.
#[utoipa::path(post, path = "/v1/functions/{name}/rollback", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, DeployQuery, ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag")),
    request_body(content = Option<RollbackRequest>, description = "Nothing, for the revision before the live one"),
    responses(
        (status = 200, description = "The new revision", body = crate::api::functions::view::DeployedView, headers(("ETag" = String, description = "The revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn rollback(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<DeployQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiProblem> {
    let wait = query.wait()?;
    let expectation = if_match::expectation(&headers)?;
    let bytes = body::read(&headers, body, BODY_BYTES).await?;
    let request: Option<RollbackRequest> = match bytes.trim_ascii() {
        b"" => None,
        json => serde_json::from_slice(json).map_err(|error| {
            let detail = format!("the body is not {{\"revision\": NUMBER}}, and not empty: {error}");
            ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail)
        })?,
    };
    let to = request.unwrap_or_default().revision.map(RevisionNumber);
    let deployed = api.registry.rollback(&name, to, expectation).await?;
    Ok(deploy::answer(&api, deployed, wait).await)
}

fn kept(api: &Api, name: &FunctionName) -> Result<Vec<StoredRevision>, ApiProblem> {
    api.registry.check_ready()?;
    api.registry.revisions(name).ok_or_else(|| functions::no_such(name))
}

fn live(kept: &[StoredRevision]) -> RevisionNumber {
    // A record has at least one revision.
    kept.last().map_or(RevisionNumber(0), |stored| stored.revision.number)
}
