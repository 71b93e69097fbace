//! What the registry asks of the sandbox: whether a module can run here at all.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::model::function::Shape;
use crate::model::ids::Digest;

/// Looks at a module and compiles it.
pub trait Inspect: Send + Sync {
    /// The module's shape, once it is compiled and ready to run on this host.
    fn check(&self, digest: Digest, module: Bytes) -> BoxFuture<'_, Result<Shape, ModuleRefused>>;
}

/// Why a module cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ModuleRefused {
    /// What is wrong with it and what to do.
    pub reason: String,
}
