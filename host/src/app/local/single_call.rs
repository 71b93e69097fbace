//! One call of a function in a fresh sandbox, with what it cost. What `millstream invoke FILE.wasm` stands on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::local::{LocalFunction, LocalRecord};
use crate::model::outcome::GuestFault;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::StartError;
use crate::wasm::log::LogSink;

#[derive(Debug)]
pub(crate) struct CallReport {
    /// The guest's flat answer.
    pub(crate) answer: Result<Vec<u8>, GuestFault>,
    /// How long the instance took to start.
    pub(crate) start: Duration,
    /// How long the call took.
    pub(crate) call: Duration,
    /// The sandbox's linear memory after the call.
    pub(crate) memory_bytes: u64,
}

impl LocalFunction {
    /// Calls the guest with `record` as the first of a partition. No filter applies.
    pub(crate) async fn call_once(&self, record: &LocalRecord, logs: LogSink) -> Result<CallReport, StartError> {
        let limit = self.manifest().limits.timeout;
        let sandbox = self.program.sandbox(&self.revision, Arc::new(FunctionMetrics::default()), logs);
        let starting = Instant::now();
        let started = sandbox.start().await;
        let start = starting.elapsed();
        let mut instance = match started {
            Ok(instance) => instance,
            Err(StartError::Fault(fault)) => {
                return Ok(CallReport { answer: Err(fault), start, call: Duration::ZERO, memory_bytes: 0 });
            }
            Err(error @ StartError::Exhausted) => return Err(error),
        };
        let request = self.request(record, limit);
        let calling = Instant::now();
        let answer = instance.call(&request, 1, limit).await;
        Ok(CallReport { answer, start, call: calling.elapsed(), memory_bytes: instance.memory_bytes() })
    }
}
