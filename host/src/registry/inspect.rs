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

/// Why a module was not taken. Each holds what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleRefused {
    /// It has no shape that this host calls, or imports what nobody gives it.
    #[error("{0}")]
    Unfit(String),
    /// It does not compile or link.
    #[error("{0}")]
    Compile(String),
    /// Compiling it took more memory or time than it may.
    #[error("{0}")]
    TooCostly(String),
    /// The host could not look at it; the module is not at fault.
    #[error("{0}")]
    Host(String),
}
