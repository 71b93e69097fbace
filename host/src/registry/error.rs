//! Why a change was not made, or an artifact not read. Each says what to do.

use crate::kafka::admin::AdminError;
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::registry::cluster::ClusterError;
use crate::registry::inspect::ModuleRefused;
use crate::registry::log::LogError;
use crate::registry::record::RecordError;

/// Why a deploy or a delete was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The registry is not read yet, or Kafka is away.
    #[error("the host cannot change functions now: {0}")]
    NotReady(String),
    /// The module cannot run here.
    #[error("the module cannot run here: {0}")]
    Module(#[from] ModuleRefused),
    /// Someone else was faster, or the caller looked at something old.
    #[error("{}; look at it again and repeat the change with its new revision in If-Match", describe(.name, .live))]
    Precondition { name: FunctionName, live: Option<RevisionNumber> },
    /// There is no such function.
    #[error("there is no function \"{0}\"; the list of functions says which there are")]
    NotFound(FunctionName),
    /// There is no such revision any more, or there never was.
    #[error("{}", no_revision(.name, .wanted, .kept))]
    NoRevision {
        name: FunctionName,
        /// What was asked for; the one before the live one when absent.
        wanted: Option<RevisionNumber>,
        kept: Vec<RevisionNumber>,
    },
    /// The function has no shadow.
    #[error("\"{0}\" has no shadow")]
    NoShadow(FunctionName),
    /// The shadow would read other topics than the live revision.
    #[error("a shadow runs on the records of the live revision: give it the topics that \"{0}\" reads")]
    ShadowElsewhere(FunctionName),
    /// Another reset is under way.
    #[error("\"{0}\" is being reset")]
    ResetUnderWay(FunctionName),
    /// The module of an earlier revision cannot be had.
    #[error(transparent)]
    Artifact(Box<ArtifactError>),
    /// The function's record is not for this host.
    #[error("function \"{name}\" cannot be changed by this host: {reason}")]
    Record { name: FunctionName, reason: RecordError },
    /// Topics, offsets or the group.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The registry could not be written.
    #[error(transparent)]
    Log(LogError),
}

fn describe(name: &FunctionName, live: &Option<RevisionNumber>) -> String {
    match live {
        Some(live) => format!("function \"{name}\" is at revision {live}, not at the one expected"),
        None => format!("function \"{name}\" does not exist, although a revision of it was expected"),
    }
}

fn no_revision(name: &FunctionName, wanted: &Option<RevisionNumber>, kept: &[RevisionNumber]) -> String {
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let kept = kept.join(", ");
    match wanted {
        Some(wanted) => format!("revision {wanted} of \"{name}\" is not kept; kept are {kept}"),
        None => format!("no revision of \"{name}\" before the live one is kept; kept are {kept}"),
    }
}

impl From<ArtifactError> for ChangeError {
    fn from(error: ArtifactError) -> Self {
        Self::Artifact(Box::new(error))
    }
}

impl From<LogError> for ChangeError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::NotReady(what) => Self::NotReady(what),
            error => Self::Log(error),
        }
    }
}

impl ChangeError {
    /// Whether another host came between, so that the same change may be tried again from its beginning. Start offsets
    /// that are gone at once are a sign of it too: that host was still deleting the group of an earlier function.
    pub(crate) fn is_superseded(&self) -> bool {
        match self {
            Self::Log(error) => error.is_superseded(),
            Self::Cluster(ClusterError::Admin(error)) => matches!(error, AdminError::OffsetsNotKept { .. }),
            _ => false,
        }
    }
}

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    /// No kept revision names it.
    #[error("artifact {0} is not in the registry; deploy its module again")]
    Unknown(ArtifactDigest),
    /// What came back is something else.
    #[error("artifact {0} is damaged in the registry; deploy its module again")]
    Damaged(ArtifactDigest),
    /// It could not be read.
    #[error("cannot read artifact {digest}: {source}")]
    Log { digest: ArtifactDigest, source: LogError },
}
