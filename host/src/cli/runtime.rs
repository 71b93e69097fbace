//! The runtime of verbs that need one.

use tokio::runtime::Runtime;

use super::failure::Failure;
use crate::error_code::ErrorCode;

/// Runs `work` on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(new()?.block_on(work))
}

/// A runtime for a verb that does more than one thing.
pub(super) fn new() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ErrorCode::Internal, format!("cannot start threads: {error}")))
}
