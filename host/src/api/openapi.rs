//! The API's own description, made of the routes: `/openapi.json`.

use std::sync::Arc;

use axum::Extension;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::path::Paths;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::api::problem::ProblemView;
use crate::api::{
    dead_letters, deploy, events, functions, invoke, logs, operations, replay, reset, revisions, shadow, topics, usage,
};
use crate::lineage;
use crate::model::status;

const ABOUT: &str = "\
Deploys Wasm functions on Kafka topics, calls them, publishes events, and tells what functions do. Every error is problem \
details (RFC 9457) with a stable code, whose page is `type`. What a token may do is in its scopes: `read`, `invoke`, \
`deploy`; no scope includes another. A host without tokens asks for none.";

#[derive(OpenApi)]
#[openapi(components(schemas(
    ProblemView,
    deploy::DeployForm,
    functions::view::DeployedView,
    functions::view::FunctionView,
    functions::view::FunctionList,
    functions::view::FunctionAlone,
    revisions::RevisionView,
    revisions::RevisionList,
    revisions::RevisionAlone,
    revisions::RollbackRequest,
    shadow::view::ShadowDeployed,
    shadow::view::ShadowView,
    shadow::view::ShadowPartition,
    shadow::view::ShadowDifference,
    reset::ResetRequest,
    reset::ResetView,
    reset::MoveView,
    dead_letters::LetterList,
    dead_letters::LetterView,
    dead_letters::LetterAlone,
    dead_letters::SourceView,
    dead_letters::MarkView,
    dead_letters::HeaderView,
    dead_letters::RedriveRequest,
    dead_letters::PlaceRequest,
    dead_letters::HeaderRequest,
    dead_letters::RedriveAnswer,
    dead_letters::RedriveResult,
    replay::ReplayRequest,
    replay::AgainstRequest,
    replay::ReplayLine,
    replay::PartView,
    replay::TallyView,
    replay::SideView,
    replay::EventView,
    operations::HealthReport,
    operations::ReadinessReport,
    operations::StalledFunction,
    status::FunctionStatus,
    status::FunctionState,
    status::PartitionStatus,
    status::BlockedBy,
    status::WaitReason,
    status::FunctionCounters,
    events::CloudEvent,
    invoke::InvokeResponse,
    invoke::view::Invocation,
    invoke::view::Invocations,
    invoke::view::Emission,
    invoke::view::EmittedHeader,
    invoke::view::InstanceStart,
    invoke::view::LogLine,
    invoke::view::RecordPosition,
    logs::LineView,
    logs::LineList,
    lineage::Lineage,
    lineage::LineageNode,
    lineage::NodeKind,
    lineage::NodeFault,
    lineage::ScanReport,
    usage::UsageView,
    usage::FunctionUsage,
    topics::PublishOutcome,
    topics::WrittenEvent,
    topics::NotWritten,
    topics::EventResult,
    topics::EventResults,
)))]
struct SharedComponents;

/// The description, as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct OpenApiDocument(pub(crate) Arc<str>);

/// The document of these paths, as JSON.
pub(crate) fn document(paths: Paths) -> String {
    let mut document = SharedComponents::openapi();
    document.info.title = "Millstream".to_owned();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description = Some(ABOUT.to_owned());
    document.info.contact = None;
    document.paths = paths;
    let bearer =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("One of the host's tokens")).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    // Every part of it is made by a macro of maps and texts.
    document.to_json().unwrap_or_default()
}

/// The API's description
///
/// OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "host", security(()), responses(
    (status = 200, description = "The description", content_type = "application/json", body = serde_json::Value),
))]
pub(crate) async fn get(Extension(OpenApiDocument(document)): Extension<OpenApiDocument>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document.to_string())
}
