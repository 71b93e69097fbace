//! What starts and calls of a function cost: cold on the host's own path, hot, and what the engine alone would take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::local::{LocalFunction, LocalRecord};
use crate::model::function::Isolation;
use crate::model::outcome::GuestFault;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::log::LogSink;
use crate::wasm::{Sandbox, StartError};

/// Rounds before anything is measured.
const WARM_UP: usize = 50;
/// Rounds that are measured at least, however long they take.
const LEAST: usize = 20;
/// What the guest sees as its time: all rounds use the same request.
const LONG_DEADLINE: Duration = Duration::from_secs(3600);
/// When no further round is begun.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct StartTimings {
    /// Store, WASI context, limits, instance, entry: all that a host does for a new sandbox.
    pub(crate) cold: Vec<Duration>,
    /// The engine's own part of it: the instance in a store that is there.
    pub(crate) bare: Vec<Duration>,
    /// A call of a sandbox that was called before. Where the guest leaves none that can be called again, or each record has
    /// one of its own, a start and a call.
    pub(crate) hot: Vec<Duration>,
    /// The most linear memory of a sandbox, in bytes.
    pub(crate) memory_bytes: u64,
    /// Whether no sandbox is called again.
    pub(crate) is_used_once: bool,
    /// Why the last call failed, when it did.
    pub(crate) fault: Option<GuestFault>,
}

impl LocalFunction {
    /// Starts up to `rounds` sandboxes one after another and calls each with `record`.
    pub(crate) async fn measure_starts(
        &self,
        record: &LocalRecord,
        rounds: usize,
        logs: LogSink,
    ) -> Result<StartTimings, StartError> {
        let manifest = self.manifest();
        let metrics = Arc::new(FunctionMetrics::default());
        let sandbox = self.program.sandbox_with(&manifest.limits, &manifest.env, metrics, logs);
        let request = self.request(record, LONG_DEADLINE);
        let is_for_one = self.revision.isolation() == Isolation::Record;
        let mut ignored = StartTimings::default();
        for _ in 0..WARM_UP.min(rounds) {
            round(&sandbox, &request, is_for_one, &mut ignored).await?;
        }
        let mut starts = StartTimings::default();
        let began = Instant::now();
        while starts.cold.len() < rounds && (starts.cold.len() < LEAST || began.elapsed() < LONGEST) {
            round(&sandbox, &request, is_for_one, &mut starts).await?;
        }
        Ok(starts)
    }
}

async fn round(
    sandbox: &Sandbox,
    request: &[u8],
    is_for_one: bool,
    starts: &mut StartTimings,
) -> Result<(), StartError> {
    let limit = sandbox.timeout();
    starts.bare.push(sandbox.bare_start().await?);

    let starting = Instant::now();
    let mut instance = sandbox.start().await?;
    starts.cold.push(starting.elapsed());
    let first = instance.call(request, 1, limit).await;
    let started_and_called = starting.elapsed();
    starts.memory_bytes = starts.memory_bytes.max(instance.memory_bytes());
    starts.fault = first.err();
    starts.is_used_once = is_for_one || !instance.is_healthy();
    if starts.is_used_once {
        starts.hot.push(started_and_called);
        return Ok(());
    }
    let calling = Instant::now();
    let second = instance.call(request, 1, limit).await;
    starts.hot.push(calling.elapsed());
    starts.memory_bytes = starts.memory_bytes.max(instance.memory_bytes());
    starts.fault = second.err();
    Ok(())
}
