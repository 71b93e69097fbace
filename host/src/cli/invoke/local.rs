//! One call of a user's own module in this process, in the sandbox that a host would give it.

use std::path::Path;
use std::sync::Arc;

use crate::app::local::single_call::CallReport;
use crate::app::local::{LocalFunction, LocalRecord};
use crate::cli::failure::VerbFailure;
use crate::cli::invoke::print::printable;
use crate::cli::progress;
use crate::error_code::ErrorCode;
use crate::model::function::Manifest;
use crate::wasm::log::{GuestLogSink, Level};
use crate::wasm::{EngineOptions, WasmEngine};

/// Calls the module at `path` with `record`.
pub(crate) async fn call(path: &Path, manifest: Manifest, record: &LocalRecord) -> Result<CallReport, VerbFailure> {
    let module: Arc<[u8]> = std::fs::read(path)
        .map_err(|error| VerbFailure::new(ErrorCode::ArtifactMissing, format!("{}: {error}", path.display())))?
        .into();
    // The user's own file, run as the user: nothing is gained by a compiler in another process.
    let engine = WasmEngine::new(EngineOptions { max_instances: 1, ..EngineOptions::default() })
        .map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
    let function = LocalFunction::load(&engine, module, manifest)
        .await
        .map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
    let called = function.call_once(record, Arc::new(StderrLog)).await;
    called.map_err(|error| VerbFailure::new(ErrorCode::Internal, error.to_string()))
}

/// Shows the guest's lines as they come, without the control characters that could play with a terminal.
struct StderrLog;

impl GuestLogSink for StderrLog {
    fn line(&self, level: Level, line: &str) {
        progress::report(format_args!("[{}] {}", format!("{level:?}").to_lowercase(), printable(line)));
    }
}
