//! Functions as JSON shows them.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use crate::model::function::{Revision, Shape, Topics};
use crate::model::ids::{Digest, FunctionName, RevisionNumber};
use crate::model::status::State;

/// The answer of a deploy.
#[derive(Debug, Serialize)]
pub(in crate::api) struct DeployedView<'a> {
    name: &'a FunctionName,
    revision: RevisionNumber,
    digest: Digest,
    shape: Shape,
    state: State,
}

impl<'a> DeployedView<'a> {
    pub(in crate::api) fn new(revision: &'a Revision, state: State) -> Self {
        let Revision { number, digest, shape, manifest, .. } = revision;
        Self { name: &manifest.name, revision: *number, digest: *digest, shape: *shape, state }
    }
}

/// A function in a list, and the common part of one alone.
#[derive(Debug, Serialize)]
pub(in crate::api) struct FunctionView<'a> {
    #[serde(flatten)]
    deployed: DeployedView<'a>,
    /// The topics named in the manifest; none when it has a pattern.
    topics: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    topics_pattern: Option<&'a str>,
    /// RFC 3339.
    deployed_at: String,
}

impl<'a> FunctionView<'a> {
    pub(in crate::api) fn new(revision: &'a Revision, state: State) -> Self {
        let (topics, topics_pattern) = match &revision.manifest.topics {
            Topics::Named(topics) => (topics.as_slice(), None),
            Topics::Pattern(pattern) => (&[][..], Some(pattern.as_str())),
        };
        let deployed_at = UNIX_EPOCH + Duration::from_millis(revision.deployed_at_ms);
        Self {
            deployed: DeployedView::new(revision, state),
            topics,
            topics_pattern,
            deployed_at: humantime::format_rfc3339_millis(deployed_at).to_string(),
        }
    }
}

/// The view of one function alone.
pub(in crate::api) fn with_manifest(view: &FunctionView<'_>, manifest: Value) -> Value {
    // A view is an object of texts and numbers: it always becomes one.
    let mut body = serde_json::to_value(view).unwrap_or_default();
    body["manifest"] = manifest;
    body
}
