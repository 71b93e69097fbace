//! Empties the counters into the history and the journal, now and then.

use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use crate::model::ids::FunctionName;
use crate::telemetry::exposition::HostMetrics;
use crate::telemetry::usage::history::{UsageHistory, UsagePeriod};
use crate::telemetry::usage::journal::UsageJournal;

/// A crash loses no more than this.
const EVERY: Duration = Duration::from_secs(10);

/// The usage of this host's functions. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct UsageRecorder {
    metrics: HostMetrics,
    kept: Arc<Mutex<RecorderState>>,
}

#[derive(Debug)]
struct RecorderState {
    history: UsageHistory,
    journal: UsageJournal,
    /// Said once, until it is over.
    is_failing: bool,
}

impl UsageRecorder {
    /// Continues with what `folder` has, for the functions whose figures `metrics` holds.
    pub(crate) fn open(folder: &Path, metrics: HostMetrics) -> io::Result<Self> {
        let (journal, history) = UsageJournal::open(folder)?;
        Ok(Self { metrics, kept: Arc::new(Mutex::new(RecorderState { history, journal, is_failing: false })) })
    }

    /// Records until `stop`, and once more then.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
            let recorder = self.clone();
            // It ends early only when the host does.
            let _ = tokio::task::spawn_blocking(move || recorder.record()).await;
        }
    }

    /// Records what was used until now, and waits until the disk has it.
    pub(crate) fn finish(&self) {
        self.record();
        if let Err(error) = self.kept().journal.sync() {
            tracing::warn!(%error, "the last usage may be lost");
        }
    }

    /// What functions used within `seconds` since the Unix epoch, up to this moment.
    pub(crate) fn period(&self, seconds: Range<u64>, function: Option<&FunctionName>) -> UsagePeriod {
        self.record();
        self.kept().history.period(seconds, function)
    }

    fn record(&self) {
        let mut kept = self.kept();
        // Taken under the lock: one at a time may ask.
        let used = self.metrics.take_usage();
        if used.is_empty() {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let RecorderState { history, journal, is_failing } = &mut *kept;
        for (function, amounts) in &used {
            history.add(function, now, amounts);
        }
        let written = journal.append(now, &used, history);
        match &written {
            Err(error) if !*is_failing => {
                tracing::warn!(%error, "usage is not kept over a restart: the data folder can't be written");
            }
            _ => {}
        }
        *is_failing = written.is_err();
    }

    fn kept(&self) -> MutexGuard<'_, RecorderState> {
        self.kept.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_deleted_function_used_is_told_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let name = FunctionName::new("mill").unwrap();
        let second = Duration::from_secs(1);
        let counted = |usage: &UsageRecorder| {
            let period = usage.period(0..u64::MAX - 7200, Some(&name));
            period.used.first().map_or(0, |used| used.amounts.invocations)
        };
        let metrics = HostMetrics::default();
        let usage = UsageRecorder::open(folder.path(), metrics.clone()).unwrap();
        metrics.function(&name).usage.count(5, 0, second, second, 1, 1);
        assert_eq!(counted(&usage), 5);
        metrics.function(&name).usage.count(2, 0, second, second, 1, 1);
        metrics.remove(&name);
        usage.finish();
        assert_eq!(counted(&usage), 7);
        let again = UsageRecorder::open(folder.path(), HostMetrics::default()).unwrap();
        assert_eq!(counted(&again), 7);
    }
}
