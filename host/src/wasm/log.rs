//! Where the lines go that a guest writes to stdout, stderr or `wasi:logging`.

use std::fmt;
use std::sync::Arc;

use crate::model::trace_context::SpanContext;
use crate::model::work::RecordRef;

pub(crate) use crate::model::function::LogLevel as Level;

/// Takes a guest's lines. It is called inside the guest's call, so it must be quick and must not block.
pub(crate) trait GuestLogSink: Send + Sync {
    /// Takes one line without its end. Control characters are those of the guest: escape them where they matter.
    fn line(&self, level: Level, line: &str);
}

/// For calls whose lines must not mix with those of the live function, or slow a measurement down.
pub(crate) struct DiscardedLog;

impl GuestLogSink for DiscardedLog {
    fn line(&self, _: Level, _: &str) {}
}

tokio::task_local! {
    static HANDLED: CallRecords;
}

/// The records that a call is for.
#[derive(Debug, Clone)]
pub(crate) struct CallRecords {
    pub(crate) first: RecordRef,
    pub(crate) records: usize,
    /// The call's span, where its trace is recorded.
    pub(crate) span: Option<SpanContext>,
}

impl fmt::Display for CallRecords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecordRef { chunk, .. } = &self.first;
        write!(formatter, "{}/{}", chunk.lease.partition, self.first.record().offset)?;
        match self.records {
            0 | 1 => Ok(()),
            records => write!(formatter, " and {} more", records - 1),
        }
    }
}

/// Makes a call for `handled`: what its guest writes meanwhile is of those records.
pub(crate) async fn handling<T>(handled: CallRecords, call: impl Future<Output = T>) -> T {
    HANDLED.scope(handled, call).await
}

/// The records that the running call is for, as a text: a place, and how many more.
pub(crate) fn handled() -> Option<String> {
    HANDLED.try_with(CallRecords::to_string).ok()
}

/// The span of the running call, as its trace and itself in hexadecimal digits.
fn span() -> Option<(String, String)> {
    let SpanContext { trace, span, .. } = HANDLED.try_with(|handled| handled.span).ok()??;
    Some((format!("{trace:032x}"), format!("{span:016x}")))
}

/// A shared sink of guest lines.
pub(crate) type LogSink = Arc<dyn GuestLogSink>;

/// Writes each line as a `tracing` event under the target `millstream::guest`.
#[derive(Clone)]
pub(crate) struct TracingLog {
    function: Arc<str>,
}

impl TracingLog {
    /// A sink for the guest of `function`.
    pub(crate) fn new(function: impl Into<Arc<str>>) -> Self {
        Self { function: function.into() }
    }
}

impl fmt::Debug for TracingLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TracingLog({})", self.function)
    }
}

impl GuestLogSink for TracingLog {
    fn line(&self, level: Level, line: &str) {
        let function = &*self.function;
        let record = handled().map(tracing::field::display);
        let (trace_id, span_id) = span().unzip();
        let (trace_id, span_id) = (trace_id.map(tracing::field::display), span_id.map(tracing::field::display));
        match level {
            Level::Trace => tracing::trace!(target: "millstream::guest", function, record, trace_id, span_id, line),
            Level::Debug => tracing::debug!(target: "millstream::guest", function, record, trace_id, span_id, line),
            Level::Info => tracing::info!(target: "millstream::guest", function, record, trace_id, span_id, line),
            Level::Warn => tracing::warn!(target: "millstream::guest", function, record, trace_id, span_id, line),
            Level::Error | Level::Critical => {
                tracing::error!(target: "millstream::guest", function, record, trace_id, span_id, line)
            }
        }
    }
}
