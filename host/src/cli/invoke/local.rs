//! One call of a user's own module in this process, in the sandbox that a host would give it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_flat::begin_batch;

use crate::cli::failure::VerbFailure;
use crate::cli::invoke::input::InputRecord;
use crate::cli::progress;
use crate::consume::decode::{self, RawFields};
use crate::error_code::ErrorCode;
use crate::model::function::{Manifest, Revision, TopicSelection};
use crate::model::ids::{ArtifactDigest, RevisionNumber};
use crate::model::outcome::GuestFault;
use crate::model::record::RecordHeaders;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::log::{GuestLogSink, Level};
use crate::wasm::{EngineOptions, LoadedProgram, StartError, WasmEngine};

/// What events of this verb name as their cluster.
const CLUSTER: &str = "local";

/// What became of the call.
#[derive(Debug)]
pub(crate) struct CallReport {
    pub(crate) answer: Result<Vec<u8>, GuestFault>,
    /// How long the instance took to start.
    pub(crate) start: Duration,
    /// How long the call took.
    pub(crate) call: Duration,
    /// The sandbox's linear memory after the call.
    pub(crate) memory_bytes: u64,
}

/// Calls the module at `path` with `record`.
pub(crate) async fn call(path: &Path, manifest: Manifest, record: &InputRecord) -> Result<CallReport, VerbFailure> {
    let module: Arc<[u8]> = std::fs::read(path)
        .map_err(|error| VerbFailure::new(ErrorCode::ArtifactMissing, format!("{}: {error}", path.display())))?
        .into();
    let digest = ArtifactDigest::of(&module);
    // The user's own file, run as the user: nothing is gained by a compiler in another process.
    let engine = WasmEngine::new(EngineOptions { max_instances: 1, ..EngineOptions::default() })
        .map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
    let program = engine
        .load(Arc::clone(&module), digest)
        .await
        .map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
    let limit = manifest.limits.timeout;
    let request = request(&manifest, record, limit);
    let revision = revision(&program, manifest, digest, module.len() as u64);
    let sandbox = program.sandbox(&revision, Arc::new(FunctionMetrics::default()), Arc::new(StderrLog));

    let starting = Instant::now();
    let started = sandbox.start().await;
    let start = starting.elapsed();
    let mut instance = match started {
        Ok(instance) => instance,
        Err(StartError::Fault(fault)) => {
            return Ok(CallReport { answer: Err(fault), start, call: Duration::ZERO, memory_bytes: 0 });
        }
        Err(error @ StartError::Exhausted) => return Err(VerbFailure::new(ErrorCode::Internal, error.to_string())),
    };
    let calling = Instant::now();
    let answer = instance.call(&request, 1, limit).await;
    Ok(CallReport { answer, start, call: calling.elapsed(), memory_bytes: instance.memory_bytes() })
}

/// The record as the first of a partition, in a batch of one.
fn request(manifest: &Manifest, record: &InputRecord, limit: Duration) -> Vec<u8> {
    let topic = match &manifest.topics {
        TopicSelection::Named(topics) => topics.first().map_or("input", String::as_str),
        TopicSelection::Pattern(_) => "input",
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let headers: RecordHeaders<'_> =
        record.headers.iter().map(|(name, value)| (*name, Some(value.as_bytes()))).collect();
    let fields = RawFields {
        topic,
        partition: 0,
        offset: 0,
        timestamp_ms: i64::try_from(now.as_millis()).ok(),
        key: record.key.as_deref(),
        value: Some(&record.value),
        headers: &headers,
    };
    let mut flat = Vec::new();
    let decoded = decode::decode(&mut flat, &fields).flat;
    let mut request = Vec::new();
    let deadline_ms = u64::try_from((now + limit).as_millis()).unwrap_or(u64::MAX);
    begin_batch(&mut request, 1, deadline_ms, CLUSTER);
    request.extend_from_slice(&flat[decoded.start as usize..decoded.end as usize]);
    request
}

fn revision(program: &LoadedProgram, manifest: Manifest, digest: ArtifactDigest, module_bytes: u64) -> Arc<Revision> {
    let (number, shape) = (RevisionNumber(1), program.shape());
    Arc::new(Revision { number, digest, module_bytes, shape, manifest, deployed_at_ms: 0 })
}

/// Shows the guest's lines as they come, without the control characters that could play with a terminal.
struct StderrLog;

impl GuestLogSink for StderrLog {
    fn line(&self, level: Level, line: &str) {
        progress::tell(format_args!(
            "[{}] {}",
            format!("{level:?}").to_lowercase(),
            crate::cli::invoke::print::printable(line)
        ));
    }
}
