//! The runtime of verbs that need one.

use super::failure::Failure;
use crate::error_code::ErrorCode;

/// Runs `work` on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ErrorCode::Internal, format!("cannot start threads: {error}")))?;
    Ok(runtime.block_on(work))
}
