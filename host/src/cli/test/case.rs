//! Runs one case.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::compare::{self, CaseMismatch};
use super::fixture::FixtureCase;
use crate::app::local::{LocalFunction, LocalOutcome};
use crate::wasm::log::{GuestLogSink, Level};

/// What became of a case.
#[derive(Debug)]
pub(super) struct CaseResult {
    /// One for each step.
    pub(super) steps: Vec<StepResult>,
    /// What the guest wrote.
    pub(super) logs: Vec<(Level, String)>,
    /// How long it took.
    pub(super) elapsed: Duration,
    /// Whether the fixture was rewritten so that it fits.
    pub(super) is_updated: bool,
}

/// What became of one event.
#[derive(Debug)]
pub(super) struct StepResult {
    /// What came out.
    pub(super) outcome: LocalOutcome,
    /// What is not as expected.
    pub(super) problems: Vec<CaseMismatch>,
}

impl CaseResult {
    /// Whether all is as expected.
    pub(super) fn passed(&self) -> bool {
        self.is_updated || self.steps.iter().all(|step| step.problems.is_empty())
    }
}

/// Runs the events of `case` one after another in sandboxes of its own.
pub(super) async fn run(case: &FixtureCase, function: &LocalFunction) -> CaseResult {
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
                actual: Some(super::emitted::expectation_of(&outcome).to_string()),
            }],
        };
        steps.push(StepResult { outcome, problems });
    }
    let logs = std::mem::take(&mut *lines.0.lock().unwrap_or_else(PoisonError::into_inner));
    CaseResult { steps, logs, elapsed: began.elapsed(), is_updated: false }
}

/// Keeps what the guest writes.
#[derive(Debug, Default)]
struct CollectedLines(Mutex<Vec<(Level, String)>>);

impl GuestLogSink for CollectedLines {
    fn line(&self, level: Level, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((level, line.to_owned()));
    }
}
