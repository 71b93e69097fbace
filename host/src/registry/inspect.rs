//! What the registry asks of the sandbox: whether a module can run here at all.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::error_code::ErrorCode;
use crate::model::function::ModuleShape;
use crate::model::ids::ArtifactDigest;

/// Looks at a module and compiles it.
pub(crate) trait ModuleInspector: Send + Sync {
    /// The module's shape, once it is compiled and ready to run on this host.
    fn check(&self, digest: ArtifactDigest, module: Bytes) -> BoxFuture<'_, Result<ModuleShape, ModuleRefused>>;
}

/// Why a module was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct ModuleRefused {
    /// What it is to anyone who uploaded it.
    pub(crate) code: ErrorCode,
    /// What is wrong and what to do.
    pub(crate) reason: String,
}
