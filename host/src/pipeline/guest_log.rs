//! Where the lines of a function's guests go: to the host's log, to the function's ring, and to anyone who called it.
//!
//! Of what is less important than `logs.level` only the caller hears; and of more than `logs.rate` lines a second, the
//! host's log and the ring learn no more than how many there were.

mod pace;

use std::cell::RefCell;
use std::sync::Arc;

use self::pace::{LineRate, RateDecision};
use crate::model::function::Revision;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::telemetry::guest_lines::GuestLines;
use crate::wasm::log::{self, GuestLogSink, Level, TracingLog};

tokio::task_local! {
    /// What the guest writes in the call that this task makes.
    static CAPTURED: RefCell<Vec<(&'static str, String)>>;
}

/// The sink of one revision.
pub(crate) struct FunctionLog {
    host: TracingLog,
    revision: u64,
    level: Level,
    pace: LineRate,
    lines: Arc<GuestLines>,
    metrics: Arc<FunctionMetrics>,
}

impl FunctionLog {
    pub(crate) fn new(revision: &Revision, lines: Arc<GuestLines>, metrics: Arc<FunctionMetrics>) -> Self {
        Self {
            host: TracingLog::new(revision.stamp()),
            revision: revision.number.0,
            level: revision.manifest.logs.level,
            pace: LineRate::new(revision.manifest.logs.rate),
            lines,
            metrics,
        }
    }

    fn write(&self, level: Level, record: Option<String>, line: &str) {
        self.host.line(level, line);
        self.lines.push(name(level), self.revision, record, line);
    }
}

impl GuestLogSink for FunctionLog {
    fn line(&self, level: Level, line: &str) {
        // Nothing is captured in the calls that records lead to.
        let _ = CAPTURED.try_with(|captured| captured.borrow_mut().push((name(level), line.to_owned())));
        if level < self.level {
            return;
        }
        match self.pace.turn() {
            RateDecision::Pass => self.write(level, log::handled(), line),
            RateDecision::PassAfter(dropped) => {
                self.write(Level::Warn, None, &format!("{dropped} lines were dropped: more than logs.rate allows"));
                self.write(level, log::handled(), line);
            }
            RateDecision::Drop => {
                self.metrics.log_bytes_dropped.inc_by(line.len() as u64);
            }
        }
    }
}

/// Runs a call, and gives what its guest wrote too: as much as `limits.logs` lets through.
pub(crate) async fn captured<T>(call: impl Future<Output = T>) -> (T, Vec<(&'static str, String)>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::function::tests_support::revision;

    fn log(level: Level, rate: u32) -> (FunctionLog, Arc<GuestLines>, Arc<FunctionMetrics>) {
        let mut revision = (*revision()).clone();
        revision.manifest.logs.level = level;
        revision.manifest.logs.rate = rate;
        let (lines, metrics) = (Arc::new(GuestLines::default()), Arc::new(FunctionMetrics::default()));
        (FunctionLog::new(&revision, lines.clone(), metrics.clone()), lines, metrics)
    }

    #[tokio::test]
    async fn only_the_caller_hears_of_what_is_less_important() {
        let (log, lines, _) = log(Level::Warn, 10);
        let ((), heard) = captured(async {
            log.line(Level::Info, "quiet");
            log.line(Level::Error, "loud");
        })
        .await;
        assert_eq!(heard, [("info", "quiet".to_owned()), ("error", "loud".to_owned())]);
        let kept = lines.last(9, |_| true);
        assert_eq!(kept.iter().map(|line| (line.level, &*line.text)).collect::<Vec<_>>(), [("error", "loud")]);
    }

    #[test]
    fn what_is_beyond_the_rate_is_counted() {
        let (log, lines, metrics) = log(Level::Trace, 3);
        for _ in 0..10 {
            log.line(Level::Info, "line");
        }
        assert_eq!(lines.last(99, |_| true).len(), 3);
        assert_eq!(metrics.log_bytes_dropped.get(), 7 * 4);
    }
}
