//! The runtime of verbs that need one.

use tokio::runtime::Runtime;

use crate::cli::failure::VerbFailure;
use crate::error_code::ErrorCode;

/// Runs `work` on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, VerbFailure> {
    Ok(new()?.block_on(work))
}

/// A runtime for a verb that does more than one thing.
pub(crate) fn new() -> Result<Runtime, VerbFailure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| VerbFailure::new(ErrorCode::Internal, format!("cannot start threads: {error}")))
}
