//! Functions as JSON shows them.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::model::function::{ModuleShape, Revision, TopicSelection};
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::model::status::FunctionState;
use crate::registry::catalogue::StoredRevision;

/// The answer of a deploy.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeployedView {
    #[schema(value_type = String)]
    pub(crate) name: FunctionName,
    #[schema(value_type = u64)]
    pub(crate) revision: RevisionNumber,
    /// The module's SHA-256.
    #[schema(value_type = String)]
    pub(crate) digest: ArtifactDigest,
    /// How the host calls it.
    #[schema(value_type = String)]
    pub(crate) shape: ModuleShape,
    pub(crate) state: FunctionState,
}

impl DeployedView {
    pub(crate) fn new(revision: &Revision, state: FunctionState) -> Self {
        let Revision { number, digest, shape, manifest, .. } = revision;
        Self { name: manifest.name.clone(), revision: *number, digest: *digest, shape: *shape, state }
    }
}

/// A function in a list, and the common part of one alone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct FunctionView {
    #[serde(flatten)]
    pub(crate) deployed: DeployedView,
    /// The topics named in the manifest; none when it has a pattern.
    pub(crate) topics: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topics_pattern: Option<String>,
    /// When it was deployed, by RFC 3339.
    pub(crate) deployed_at: String,
    /// The revisions that are kept, oldest first; the last one is live.
    #[schema(value_type = Vec<u64>)]
    pub(crate) revisions: Vec<RevisionNumber>,
    /// The revision that the live one has the manifest and module of, when it was made by rolling back.
    #[schema(value_type = Option<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restores: Option<RevisionNumber>,
    /// The revision that runs beside the live one, its outputs fenced off.
    #[schema(value_type = Option<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shadow: Option<RevisionNumber>,
}

/// All functions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct FunctionList {
    pub(crate) functions: Vec<FunctionView>,
}

/// One function.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FunctionAlone {
    #[serde(flatten)]
    pub(crate) function: FunctionView,
    /// The manifest with every default filled in. Values that may be secrets are hidden.
    #[schema(value_type = Object)]
    pub(crate) manifest: Value,
}

impl FunctionView {
    pub(crate) fn new(
        revision: &Revision,
        state: FunctionState,
        kept: &[StoredRevision],
        shadow: Option<RevisionNumber>,
    ) -> Self {
        let (topics, topics_pattern) = match &revision.manifest.topics {
            TopicSelection::Named(topics) => (topics.clone(), None),
            TopicSelection::Pattern(pattern) => (Vec::new(), Some(pattern.clone())),
        };
        Self {
            deployed: DeployedView::new(revision, state),
            topics,
            topics_pattern,
            deployed_at: moment(revision.deployed_at_ms),
            revisions: kept.iter().map(|stored| stored.revision.number).collect(),
            restores: kept.last().and_then(|stored| stored.restores),
            shadow,
        }
    }
}

/// Milliseconds since the Unix epoch by RFC 3339.
pub(crate) fn moment(unix_ms: u64) -> String {
    // The year 9999, beyond which no moment is written.
    const LATEST: u64 = 253_370_764_800_000;
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(unix_ms.min(LATEST))).to_string()
}
