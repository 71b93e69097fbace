//! Runs one case.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::local::{LocalFunction, LocalOutcome};
use crate::cli::test::compare::{self, CaseMismatch};
use crate::cli::test::fixture::FixtureCase;
use crate::wasm::log::{GuestLogSink, Level};

/// What became of a case.
#[derive(Debug)]
pub(crate) struct CaseResult {
    pub(crate) steps: Vec<StepResult>,
    pub(crate) logs: Vec<(Level, String)>,
    pub(crate) elapsed: Duration,
    /// Whether the fixture was rewritten so that it fits.
    pub(crate) is_updated: bool,
}

/// What became of one event.
#[derive(Debug)]
pub(crate) struct StepResult {
    pub(crate) outcome: LocalOutcome,
    /// What is not as expected.
    pub(crate) problems: Vec<CaseMismatch>,
}

impl CaseResult {
    /// Whether all is as expected.
    pub(crate) fn passed(&self) -> bool {
        self.is_updated || self.steps.iter().all(|step| step.problems.is_empty())
    }
}

/// Runs the events of `case` one after another in sandboxes of its own.
pub(crate) async fn run(case: &FixtureCase, function: &LocalFunction) -> CaseResult {
    let began = Instant::now();
    let lines = Arc::new(CollectedLines::default());
    let mut session = function.session(&case.env, Arc::<CollectedLines>::clone(&lines));
    let mut steps = Vec::with_capacity(case.steps.len());
    for step in &case.steps {
        let outcome = session.handle(&step.record, step.attempt).await;
        let problems = match &step.expectation {
            Some(expectation) => compare::compare(expectation, &outcome),
            None => vec![CaseMismatch {
                at: "nothing is expected yet: write `expect`, or let --update do it".to_owned(),
                expected: None,
                actual: Some(crate::cli::test::emitted::expectation_of(&outcome).to_string()),
            }],
        };
        steps.push(StepResult { outcome, problems });
    }
    let logs = std::mem::take(&mut *lines.0.lock());
    CaseResult { steps, logs, elapsed: began.elapsed(), is_updated: false }
}

/// Keeps what the guest writes.
#[derive(Debug, Default)]
struct CollectedLines(Mutex<Vec<(Level, String)>>);

impl GuestLogSink for CollectedLines {
    fn line(&self, level: Level, line: &str) {
        self.0.lock().push((level, line.to_owned()));
    }
}
