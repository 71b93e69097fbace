//! A function's shadow: a revision that runs beside the live one with its outputs fenced off, until it is promoted.

pub(crate) mod view;

use std::time::Duration;

use axum::Json;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::deploy::{self, DeployForm, ReceivedUpload};
use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView, of_admin};
use crate::api::query::QueryParams;
use crate::api::{Api, functions, if_match};
use crate::error_code::ErrorCode;
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::shadow::ShadowRevision;
use view::{ShadowDeployed, ShadowView};

/// The query of a shadow.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShadowQuery {
    /// Attributes and headers in which a difference does not count, with commas between them.
    #[param(required = false, example = "time")]
    ignore: Option<String>,
}

impl ShadowQuery {
    fn ignore(&self) -> Vec<String> {
        let names = self.ignore.as_deref().unwrap_or_default().split(',').map(str::trim);
        let mut names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The query of a promotion.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PromoteQuery {
    /// How long to wait until the function runs, such as `30s`. That it does not yet run then is not an error.
    #[param(required = false, example = "30s")]
    wait: Option<String>,
    /// Only when records were compared, and none of them showed a difference.
    #[serde(default)]
    #[param(required = false)]
    if_same: bool,
}

/// Deploy a shadow
///
/// A revision that runs beside the live one: on every record that the live one has handled, from those on that come after
/// the answer. Nothing of what it emits is written, and the live one neither waits for it nor knows of it. What it emits is
/// compared with what the live one emitted, record by record. Another shadow is replaced; the same manifest and module as
/// the shadow that there is make no new one. Where an output of the live revision is `raw`, which does not say what it was
/// emitted for, the live revision is run again beside the shadow and compared with.
#[utoipa::path(put, path = "/v1/functions/{name}/shadow", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, ShadowQuery, ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag")),
    request_body(content = DeployForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "A new shadow", body = ShadowDeployed, headers(("ETag" = String, description = "The live revision's tag"))),
        (status = 200, description = "The shadow that there is", body = ShadowDeployed, headers(("ETag" = String, description = "The live revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<ShadowQuery>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, ApiProblem> {
    let expectation = if_match::expectation(&headers)?;
    let ReceivedUpload { manifest, module, turn } = deploy::arrive(&api, &name, form).await?;
    let cast = api.registry.deploy_shadow(manifest, module, query.ignore(), expectation).await?;
    drop(turn);
    let status = if cast.created { StatusCode::CREATED } else { StatusCode::OK };
    let live = functions::find(&api, &name)?.number;
    let body = ShadowDeployed::new(&cast.revision, live);
    Ok((status, [(ETAG, if_match::etag(live))], Json(body)).into_response())
}

/// Show how a shadow does
///
/// Counts are of all hosts since it was deployed, and follow within about a second. The differences are the last ones that
/// this host saw, as many as a hundred.
#[utoipa::path(get, path = "/v1/functions/{name}/shadow", tag = "functions", security(("token" = ["read"])), params(PathName),
    responses(
        (status = 200, description = "How it does", body = ShadowView, headers(("ETag" = String, description = "The live revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(State(api): State<Api>, PathName(name): PathName) -> Result<Response, ApiProblem> {
    let (shadow, live) = find(&api, &name)?;
    let report = api.shadows.report(&shadow).await.map_err(|error| of_admin(&error))?;
    Ok(([(ETAG, if_match::etag(live))], Json(ShadowView::new(&shadow, live, &report))).into_response())
}

/// Stop a shadow
///
/// On every host. The live revision stays as it is.
#[utoipa::path(delete, path = "/v1/functions/{name}/shadow", tag = "functions", security(("token" = ["deploy"])),
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
    api.registry.stop_shadow(&name, expectation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Promote a shadow
///
/// Makes the shadow the live revision, as a deploy does: each partition goes over between two records, the function's place
/// in its topics stays, records that run end on the revision that they began with, and `ce_millstreamfunction` says for each
/// event which one emitted it. The shadow keeps its number unless a later revision went live meanwhile.
#[utoipa::path(post, path = "/v1/functions/{name}/promote", tag = "functions", security(("token" = ["deploy"])),
    params(PathName, PromoteQuery, ("If-Match" = Option<String>, Header, description = "Only when this is the live revision's ETag")),
    responses(
        (status = 200, description = "The revision that is live now", body = functions::view::DeployedView, headers(("ETag" = String, description = "The revision's tag"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn promote(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<PromoteQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    let wait: Option<Duration> = deploy::wait(query.wait.as_deref())?;
    let expectation = if_match::expectation(&headers)?;
    let only = match query.if_same {
        true => Some(seen_to_be_the_same(&api, &name).await?),
        false => None,
    };
    let deployed = api.registry.promote(&name, only, expectation).await?;
    Ok(deploy::answer(&api, deployed, wait).await)
}

/// The shadow of `name`, unless it makes a difference.
async fn seen_to_be_the_same(api: &Api, name: &FunctionName) -> Result<RevisionNumber, ApiProblem> {
    let (shadow, _) = find(api, name)?;
    let number = shadow.revision.number;
    let counts = api.shadows.report(&shadow).await.map_err(|error| of_admin(&error))?.counts;
    let refused = |detail: String| Err(ApiProblem::new(ErrorCode::ShadowDiffers).with_detail(detail));
    match (counts.compared(), counts.different()) {
        (0, _) => refused(format!("nothing was compared yet of {name}@{number}")),
        (_, 0) => Ok(number),
        (compared, different) => {
            refused(format!("{different} of {compared} records differ between {name}@{number} and the live revision"))
        }
    }
}

/// The shadow of `name`, and the number of the live revision.
fn find(api: &Api, name: &FunctionName) -> Result<(ShadowRevision, RevisionNumber), ApiProblem> {
    let live = functions::find(api, name)?.number;
    let no_shadow = || ApiProblem::new(ErrorCode::ShadowNotFound).with_detail(format!("\"{name}\" has no shadow"));
    Ok((api.registry.shadow(name).ok_or_else(no_shadow)?, live))
}
