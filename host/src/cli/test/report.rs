//! What a person reads of the cases, and what a script does.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::local::LocalOutcome;
use crate::cli::failure::VerbFailure;
use crate::cli::invoke::printable;
use crate::cli::table::ColorChoice;
use crate::cli::test::case::{CaseResult, StepResult};
use crate::cli::test::emitted;
use crate::cli::test::fixture::FixtureCase;

/// Lines of a guest's log that are shown of a case that failed.
const LOG_LINES: usize = 10;
/// Letters of a value that are shown.
const LETTERS: usize = 400;

#[derive(Debug)]
pub(crate) struct TestReport {
    paint: ColorChoice,
    is_for_people: bool,
    began: Instant,
    failed: usize,
    updated: usize,
    cases: Vec<Value>,
}

impl TestReport {
    /// A report on nothing yet.
    pub(crate) fn new(paint: ColorChoice, is_for_people: bool) -> Self {
        Self { paint, is_for_people, began: Instant::now(), failed: 0, updated: 0, cases: Vec::new() }
    }

    pub(crate) fn ran(&self) -> usize {
        self.cases.len()
    }

    /// Cases that were not as expected.
    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    /// Notes what became of a case of `file`, and prints it.
    pub(crate) fn add(
        &mut self,
        file: &str,
        case: &FixtureCase,
        result: CaseResult,
        out: &mut dyn Write,
    ) -> Result<(), VerbFailure> {
        self.failed += usize::from(!result.passed());
        self.updated += usize::from(result.is_updated);
        if self.is_for_people {
            self.print(file, case, &result, out)?;
        }
        self.cases.push(json_of(file, case, &result));
        Ok(())
    }

    fn print(
        &self,
        file: &str,
        case: &FixtureCase,
        result: &CaseResult,
        out: &mut dyn Write,
    ) -> Result<(), VerbFailure> {
        let paint = self.paint;
        let mark = match (result.is_updated, result.passed()) {
            (true, _) => paint.yellow("~"),
            (false, true) => paint.green("✓"),
            (false, false) => paint.red("✗"),
        };
        let file = file.strip_suffix(".json").unwrap_or(file);
        let took = paint.dim(&format!("({})", tell_time(result.elapsed)));
        writeln!(out, "{mark} {} › {}  {took}", printable(file), printable(&case.name))?;
        if result.passed() {
            return Ok(());
        }
        for (index, step) in result.steps.iter().enumerate().filter(|(_, step)| !step.problems.is_empty()) {
            if result.steps.len() > 1 {
                writeln!(out, "    step {}", index + 1)?;
            }
            for problem in &step.problems {
                writeln!(out, "    {}", printable(&problem.at))?;
                for line in lines_of(problem.expected.as_deref()) {
                    writeln!(out, "      {}", paint.red(&format!("- {line}")))?;
                }
                for line in lines_of(problem.actual.as_deref()) {
                    writeln!(out, "      {}", paint.green(&format!("+ {line}")))?;
                }
            }
        }
        let beyond = result.logs.len().saturating_sub(LOG_LINES);
        if beyond > 0 {
            writeln!(out, "    {}", paint.dim(&format!("the guest wrote {beyond} more lines before these")))?;
        }
        for (level, line) in &result.logs[beyond..] {
            let level = format!("{level:?}").to_lowercase();
            writeln!(out, "    {}", paint.dim(&format!("[{level}] {}", printable(line))))?;
        }
        Ok(())
    }

    /// Prints the line that sums up.
    pub(crate) fn close(&self, out: &mut dyn Write) -> Result<(), VerbFailure> {
        if !self.is_for_people {
            return Ok(());
        }
        let (ran, failed) = (self.ran(), self.failed);
        let mut parts = vec![self.paint.green(&format!("{} passed", ran - failed - self.updated))];
        if self.updated > 0 {
            parts.push(self.paint.yellow(&format!("{} updated", self.updated)));
        }
        let count = format!("{failed} failed");
        parts.push(if failed > 0 { self.paint.red(&count) } else { count });
        Ok(writeln!(out, "\ntest: {} in {}", parts.join(", "), tell_time(self.began.elapsed()))?)
    }

    /// All of it for a script.
    pub(crate) fn to_json(&self) -> Value {
        let passed = self.ran() - self.failed - self.updated;
        json!({ "passed": passed, "updated": self.updated, "failed": self.failed, "cases": self.cases })
    }
}

fn lines_of(text: Option<&str>) -> Vec<String> {
    let Some(text) = text else { return Vec::new() };
    text.lines()
        .map(|line| {
            let mut shown: String = printable(line);
            if let Some((end, _)) = shown.char_indices().nth(LETTERS) {
                shown.truncate(end);
                shown.push('…');
            }
            shown
        })
        .collect()
}

fn tell_time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

fn json_of(file: &str, case: &FixtureCase, result: &CaseResult) -> Value {
    json!({
        "file": file,
        "name": case.name,
        "passed": result.passed(),
        "updated": result.is_updated,
        "ms": (result.elapsed.as_secs_f64() * 1e6).round() / 1e3,
        "steps": result.steps.iter().map(step_json).collect::<Vec<_>>(),
        "logs": result.logs.iter().map(|(_, line)| line).collect::<Vec<_>>(),
    })
}

fn step_json(step: &StepResult) -> Value {
    let problems: Vec<Value> = step
        .problems
        .iter()
        .map(|problem| json!({ "at": problem.at, "expected": problem.expected, "actual": problem.actual }))
        .collect();
    let mut told = json!({ "outcome": outcome_name(&step.outcome), "problems": problems });
    match &step.outcome {
        LocalOutcome::Filtered => {}
        LocalOutcome::Emitted(emissions) => told["events"] = emissions.iter().map(emitted::json_of).collect(),
        LocalOutcome::Failed(fault) => told["message"] = json!(fault.message),
    }
    told
}

fn outcome_name(outcome: &LocalOutcome) -> &str {
    match outcome {
        LocalOutcome::Filtered => "filtered",
        LocalOutcome::Emitted(_) => "emitted",
        LocalOutcome::Failed(fault) => fault.class.as_str(),
    }
}
