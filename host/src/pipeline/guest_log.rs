//! Where the lines of a function's guests go: to the host's log, to the function's ring, and to whoever called it.

use std::cell::RefCell;
use std::sync::Arc;

use crate::model::function::Revision;
use crate::telemetry::guest_lines::GuestLines;
use crate::wasm::log::{self, Level, Log, TracingLog};

tokio::task_local! {
    /// What the guest writes in the call that this task makes.
    static CAPTURED: RefCell<Vec<(&'static str, String)>>;
}

/// The sink of one revision.
pub(super) struct FunctionLog {
    host: TracingLog,
    revision: u64,
    lines: Arc<GuestLines>,
}

impl FunctionLog {
    pub(super) fn new(revision: &Revision, lines: Arc<GuestLines>) -> Self {
        Self { host: TracingLog::new(revision.stamp()), revision: revision.number.0, lines }
    }
}

impl Log for FunctionLog {
    fn line(&self, level: Level, line: &str) {
        self.host.line(level, line);
        let level = name(level);
        self.lines.push(level, self.revision, log::handled(), line);
        // Nothing is captured in the calls that records lead to.
        let _ = CAPTURED.try_with(|captured| captured.borrow_mut().push((level, line.to_owned())));
    }
}

/// Runs a call, and gives what its guest wrote too: as much as `limits.logs` lets through.
pub(super) async fn captured<T>(call: impl Future<Output = T>) -> (T, Vec<(&'static str, String)>) {
    CAPTURED
        .scope(RefCell::default(), async {
            let result = call.await;
            (result, CAPTURED.with(RefCell::take))
        })
        .await
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}
