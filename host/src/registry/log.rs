//! What the registry asks of the place that keeps its records.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::kafka::topic_log::TopicLogError;
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::registry::catalogue::{ArtifactPlace, FunctionCatalogue};

/// Keeps function records and artifacts, and publishes what it keeps.
pub(crate) trait RegistryLog: Send + Sync {
    /// Shuts every other writer out and reads to the end.
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn LogSession>, LogError>>;

    /// Reads an artifact. The caller checks its digest.
    fn load(&self, digest: ArtifactDigest, place: ArtifactPlace) -> BoxFuture<'_, Result<Bytes, LogError>>;
}

/// The only writer of a log, until another one begins. Dropped without a commit it leaves nothing behind.
pub(crate) trait LogSession: Send {
    /// The newest state, in which no one else can change anything.
    fn catalogue(&self) -> &FunctionCatalogue;

    /// Stores an artifact that no kept revision names.
    fn store(&mut self, digest: ArtifactDigest, module: Bytes) -> BoxFuture<'_, Result<ArtifactPlace, LogError>>;

    /// Makes the change, and what was stored, visible at once.
    fn commit(self: Box<Self>, change: FunctionChange) -> BoxFuture<'static, Result<(), LogError>>;
}

/// A change of one function.
#[derive(Debug)]
pub(crate) struct FunctionChange {
    pub(crate) name: FunctionName,
    /// Its record's JSON; nothing deletes it.
    pub(crate) record: Option<Vec<u8>>,
    /// Artifacts that no one names after this change.
    pub(crate) forgotten: BTreeMap<ArtifactDigest, ArtifactPlace>,
}

/// What the caller of a change believes to be live (`If-Match`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiveExpectation {
    Exists,
    Revision(RevisionNumber),
    /// No function of the name (`If-None-Match: *`).
    Absent,
}

impl LiveExpectation {
    /// Whether `live` is what was expected.
    pub(crate) fn is_met_by(self, live: Option<RevisionNumber>) -> bool {
        match self {
            Self::Exists => live.is_some(),
            Self::Revision(expected) => live == Some(expected),
            Self::Absent => live.is_none(),
        }
    }
}

/// Why a log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// It has not been read yet.
    #[error("{0}")]
    NotReady(String),
    #[error(transparent)]
    Topic(#[from] TopicLogError),
    #[error("cannot use the registry in the data folder: {0}")]
    Folder(#[from] std::io::Error),
    /// A chunk of an artifact is not where its record says.
    #[error("artifact {digest} is not complete in topic \"{topic}\"; deploy its module again")]
    MissingChunks { digest: ArtifactDigest, topic: String },
    #[error("the host stopped before the change was made")]
    Interrupted,
}

impl LogError {
    /// Whether another writer came between, so that the same change may be tried again from its beginning.
    pub(crate) fn is_superseded(&self) -> bool {
        matches!(self, Self::Topic(TopicLogError::Superseded { .. }))
    }
}
